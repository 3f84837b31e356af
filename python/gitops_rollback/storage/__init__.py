"""What is wrong with storage, and what changed in it: this is the door to this room. Pure.

`review` looks at manifests, `findings_of` and `parts_of` at those of one service, `changes_between`
at two states of its parts.
"""

from gitops_rollback.storage.kubernetes import published
from gitops_rollback.storage.model import (
    ERROR,
    NOTE,
    WARNING,
    Finding,
    KubernetesObject,
    find_objects,
    in_order,
)
from gitops_rollback.storage.review import Review, read_objects, review
from gitops_rollback.storage.service import (
    ServiceKeys,
    StorageChange,
    changes_between,
    findings_of,
    parts_of,
    storage_in,
    titles_of,
)

__all__ = [
    "ERROR",
    "NOTE",
    "WARNING",
    "Finding",
    "KubernetesObject",
    "Review",
    "ServiceKeys",
    "StorageChange",
    "changes_between",
    "find_objects",
    "findings_of",
    "in_order",
    "parts_of",
    "published",
    "read_objects",
    "review",
    "storage_in",
    "titles_of",
]
