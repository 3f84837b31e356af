"""What is as it was when an image ran: told without asking anybody. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops_rollback.errors import ManifestError
from gitops_rollback.late import regex
from gitops_rollback.ledger.fields import noted_of
from gitops_rollback.ledger.records import digest_of_bytes
from gitops_rollback.manifest.edit import rewrite_to_compare
from gitops_rollback.manifest.forms import restoring_edit
from gitops_rollback.manifest.workloads import POD_SPECS

if TYPE_CHECKING:
    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.manifest.document import ParsedFile

# What a manifest has whose storage may be wrong, or may have changed.
_STORAGE = regex(
    "persistent|claimtemplates|claimname|hostpath|storageclass|accessmodes", re.IGNORECASE
)


def has_storage(at: ServiceAtTip) -> bool:
    """Tell cheaply whether a service's manifests mention storage that lasts.

    Where an image stands outside of a workload (a kustomization's entry), every file counts that
    names the image.
    """
    paths = {field.path for field in at.found.fields}
    name = at.found.image.repository.rpartition("/")[2]
    is_apart = any(field.kind not in POD_SPECS for field in at.found.fields)
    return any(
        _STORAGE.search(file.text)
        for path, file in at.found.manifests.files.items()
        if path in paths or (is_apart and name in file.text)
    )


def is_as_recorded(at: ServiceAtTip, stored: StoredRecord) -> bool:
    """Tell, without asking anybody, whether a record's manifests changed in nothing but images."""
    files = at.found.manifests.files
    return all(
        copy.path in files
        and digest_of_bytes(as_recorded(files[copy.path], at, stored)) == copy.sha256
        for copy in stored.record.manifests
    )


def as_recorded(file: ParsedFile, at: ServiceAtTip, stored: StoredRecord) -> bytes:
    """Return the file with the recorded texts in its image fields, as far as they can stand there.

    What cannot be put back changed too, which the comparison then tells.
    """
    fields = [field for field in at.found.fields if field.path == file.path]
    recorded = [(field, noted_of(stored.record.fields, field)) for field in fields]
    try:
        return rewrite_to_compare(
            file, [restoring_edit(f, noted.value, noted.parts) for f, noted in recorded if noted]
        )
    except ManifestError:
        return file.encode(file.text)
