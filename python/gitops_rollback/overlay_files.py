"""Read the files of an environment, and what its overlays take from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback import inventory
from gitops_rollback.config import FILE
from gitops_rollback.effective.following import files_to_follow, folders_to_follow
from gitops_rollback.errors import ConfigError
from gitops_rollback.manifest.kustomize import is_kustomization
from gitops_rollback.state import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.inventory import Manifests
    from gitops_rollback.repo.objects import Entry, Tip
    from gitops_rollback.repo.repository import Repository

_MOST_LEVELS = 20  # of overlays on overlays, each a batch of its own


def is_state(path: str) -> bool:
    """Tell whether a path is of a state file."""
    return path.startswith(f"{FOLDER}/")


def is_manifest(path: str) -> bool:
    """Tell by its name whether a file can be a manifest."""
    if is_state(path):
        return False
    return path.endswith((".yaml", ".yml")) or is_kustomization(path)


def read_files(repository: Repository, entries: Iterable[Entry]) -> dict[str, bytes]:
    """Read files, in one batch."""
    entries = tuple(entries)
    blobs = repository.read(entry.oid for entry in entries)
    return {entry.path: blobs[entry.oid] for entry in entries}


def follow_overlays(
    repository: Repository, tip: Tip, manifests: Manifests, meant: set[str], known: Iterable[str]
) -> Manifests:
    """Return the manifests with what their overlays take from elsewhere: a batch for each level.

    What `meant` kustomizations take is followed in full; `known` paths were read already.
    """
    known = set(known)
    tried = set(known)
    for _level in range(_MOST_LEVELS):
        wanted = [
            *files_to_follow(manifests.files, meant),
            *folders_to_follow(manifests.files, meant),
        ]
        paths = [path for path in wanted if path not in tried]
        if not paths:
            break
        tried.update(paths)
        entries = [
            entry
            for entry in repository.list_files(tip.commit, paths)
            if is_manifest(entry.path) or entry.path in paths
        ]
        if len(entries) > inventory.MOST_DISCOVERED_FILES:
            raise ConfigError(
                f"what the overlays take from elsewhere are {len(entries)} files, too many to look "
                f"into (at most {inventory.MOST_DISCOVERED_FILES})",
                f"say where to look in {FILE}: the environment's path, or its manifests",
            )
        new = [entry for entry in entries if entry.path not in known]
        known = {*known, *(entry.path for entry in new)}
        if new:
            manifests = inventory.joined(
                manifests, inventory.read_manifests(read_files(repository, new))
            )
            meant = meant | {entry.path for entry in new}
    return manifests
