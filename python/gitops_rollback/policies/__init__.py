"""Image policies of Flux: this is the door, by which the rest of the house comes in. Pure.

`find_policies` reads them from files that `may_hold_policy`, `automation_blocks` says which of them
would take a bad image again. `takes_version` and `apply_filter` judge versions and tags as Flux
does, for queries too.
"""

from __future__ import annotations

from gitops_rollback.policies.judge import (
    ImagePolicy,
    Policies,
    apply_filter,
    automation_blocks,
    find_policies,
    may_hold_policy,
)
from gitops_rollback.policies.semver_range import takes_version, version_of

__all__ = [
    "ImagePolicy",
    "Policies",
    "apply_filter",
    "automation_blocks",
    "find_policies",
    "may_hold_policy",
    "takes_version",
    "version_of",
]
