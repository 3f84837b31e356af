"""Read the image policies of the manifests repository, wherever in it they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.document import parse_once
from gitops_rollback.policies import ImagePolicy, Policies, find_policies, may_hold_policy
from gitops_rollback.services.inventory import MOST_DISCOVERED_FILES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.repo.objects import Entry, Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.services.config import Config, Environment

_LIKELY = ("polic", "image", "flux", "automation")  # in the paths of files that hold policies


def read_policies(
    repository: Repository, tip: Tip, environment: Environment, config: Config
) -> Policies:
    """Return the policies at a tip, but for those of other environments: one batch of blobs."""
    wanted = [
        entry
        for entry in repository.list_files(tip.commit, [""])
        if entry.path.endswith((".yaml", ".yml"))
        and not _is_of_another(entry.path, environment, config)
    ]
    chosen = _likeliest(wanted)
    blobs = repository.read(entry.oid for entry in chosen)
    found: list[ImagePolicy] = []
    unread = []
    for entry in chosen:
        if not may_hold_policy(blobs[entry.oid]):
            continue
        try:
            found += find_policies(parse_once(entry.path, blobs[entry.oid]))
        except ManifestError as error:
            unread.append(error.message)
    if len(chosen) < len(wanted):
        unread.append(f"{len(wanted) - len(chosen)} of {len(wanted)} YAML files")
    return Policies(tuple(found), tuple(unread))


def _is_of_another(path: str, environment: Environment, config: Config) -> bool:
    """Tell whether a file is of another environment's alone: its cluster is not this one."""
    others = (e for e in config.environments.values() if e.name != environment.name and e.path)
    return not (environment.path and environment.holds(path)) and any(e.holds(path) for e in others)


def _likeliest(entries: Iterable[Entry]) -> list[Entry]:
    """Return all files, or of very many those whose names speak of policies first."""
    return sorted(
        entries, key=lambda entry: not any(word in entry.path.lower() for word in _LIKELY)
    )[:MOST_DISCOVERED_FILES]
