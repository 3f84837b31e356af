"""Whether the storage of a service is worth a look at all: told without asking anybody. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops_rollback.errors import GitopsRollbackError
from gitops_rollback.manifest.edit import FieldEdit, rewrite
from gitops_rollback.records import digest_of_bytes

if TYPE_CHECKING:
    from gitops_rollback.plan.facts import Candidate
    from gitops_rollback.snapshot import ServiceAtTip

# What a manifest has whose storage may be wrong, or may have changed.
_STORAGE = re.compile(
    "persistent|claimtemplates|claimname|hostpath|storageclass|accessmodes", re.IGNORECASE
)


def storage_is_in_question(at: ServiceAtTip, chosen: Candidate) -> bool:
    """Tell whether a service has storage, or may have had some when an image ran.

    A service without any, whose manifests changed in their images only, costs nothing.
    """
    return has_storage(at) or changed_only_images(at, chosen) is False


def has_storage(at: ServiceAtTip) -> bool:
    """Tell cheaply whether a service's manifests mention storage that lasts."""
    files = at.found.manifests.files
    paths = dict.fromkeys(field.path for field in at.found.fields)
    return any(_STORAGE.search(files[path].text) for path in paths if path in files)


def changed_only_images(at: ServiceAtTip, chosen: Candidate) -> bool | None:
    """Tell whether the service's manifests are but for images as an image's record has them.

    Proved without asking anybody: the recorded texts are put into today's manifests, which then
    have the recorded digest. None where there is no record.
    """
    if chosen.stored is None:
        return None
    record = chosen.stored.record
    values = {field.key: field.value for field in record.fields}
    for manifest in record.manifests:
        file = at.found.manifests.files.get(manifest.path)
        if file is None:
            return False
        edits = [
            FieldEdit(field, values[field.key])
            for field in at.found.fields
            if field.path == manifest.path and values.get(field.key, field.value) != field.value
        ]
        try:
            data = rewrite(file, edits, [])
        except GitopsRollbackError:
            return False
        if digest_of_bytes(data) != manifest.sha256:
            return False
    return True
