"""Whether the storage of a service is worth a look at all: told without asking anybody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops_rollback.look.since import is_as_recorded
from gitops_rollback.manifest.workloads import POD_SPECS

if TYPE_CHECKING:
    from gitops_rollback.decide.facts import Candidate
    from gitops_rollback.look.snapshot import ServiceAtTip

# What a manifest has whose storage may be wrong, or may have changed.
_STORAGE = re.compile(
    "persistent|claimtemplates|claimname|hostpath|storageclass|accessmodes", re.IGNORECASE
)


def storage_is_in_question(at: ServiceAtTip, chosen: Candidate) -> bool:
    """Tell whether a service has storage, or may have had some when an image ran.

    A service without any, whose manifests changed in their images only, costs nothing.
    """
    if has_storage(at):
        return True
    return chosen.stored is not None and not is_as_recorded(at, chosen.stored)


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
