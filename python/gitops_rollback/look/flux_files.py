"""Flux's own objects for an environment that stand outside its path, where they point into it."""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gitops_rollback.errors import ManifestError
from gitops_rollback.look.environment_files import Paths, is_manifest, read_files
from gitops_rollback.manifest.document import is_config_map, parse
from gitops_rollback.manifest.flux import KUSTOMIZE_GROUP, flux_kustomization
from gitops_rollback.manifest.objects import objects_of
from gitops_rollback.services import inventory

if TYPE_CHECKING:
    from gitops_rollback.repo.objects import Entry, Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.services.config import Config, Environment
    from gitops_rollback.services.inventory import Manifests

_SYSTEM = "flux-system"  # the folder that `flux bootstrap` makes
_MOST_ELSEWHERE = 200  # files that are looked into where nothing says that Flux is there


def flux_manifests(
    repository: Repository, tip: Tip, environment: Environment, config: Config
) -> tuple[Manifests, str]:
    """Return the Flux Kustomizations from outside an environment that apply it, with their sources.

    They are looked for where the environment's `flux` globs say; else in the folders of the root
    that hold a `flux-system`; else, where these are few, in all files of no environment. Also says
    in how far the effect is proven, where they could not be looked for.
    """
    if not environment.path:
        return inventory.read_manifests({}), ""
    entries = [
        entry
        for entry in repository.list_files(tip.commit, [""])
        if is_manifest(entry.path) and not environment.holds(entry.path)
    ]
    chosen, said = _chosen(entries, environment, config)
    data = read_files(repository, chosen)
    kept = {path: content for path, content in data.items() if _applies(path, content, environment)}
    if any(b"substituteFrom" in content for content in kept.values()):
        kept |= {path: content for path, content in data.items() if is_config_map(content)}
    return inventory.read_manifests(kept), said


def _chosen(
    entries: list[Entry], environment: Environment, config: Config
) -> tuple[list[Entry], str]:
    if environment.flux:
        paths = Paths(entry.path for entry in entries)
        meant = {path for glob in environment.flux for path in paths.matching(glob)}
        return [entry for entry in entries if entry.path in meant], ""
    roots = {
        PurePosixPath(entry.path).parts[0]
        for entry in entries
        if _SYSTEM in PurePosixPath(entry.path).parts[1:-1]
    }
    if roots:
        found = [entry for entry in entries if PurePosixPath(entry.path).parts[0] in roots]
        if len(found) <= inventory.MOST_DISCOVERED_FILES:
            return found, ""
        return [], (
            f"the effect is proven below {environment.path}: Flux's own objects are among "
            f"{len(found)} files, too many to look into; name them: "
            f'[environments.{environment.name}] flux = ["…"]'
        )
    others = config.environments.values()
    found = [entry for entry in entries if not any(one.holds(entry.path) for one in others)]
    return (found, "") if len(found) <= _MOST_ELSEWHERE else ([], "")


def _applies(path: str, content: bytes, environment: Environment) -> bool:
    """Tell whether a file has a Flux Kustomization of the environment, of a part or of more."""
    if KUSTOMIZE_GROUP.encode() not in content:
        return False
    try:
        items = list(objects_of(parse(path, content)))
    except ManifestError:
        return False
    found = (flux_kustomization(item) for item in items)
    return any(flux is not None and _meets(flux.path, environment.path) for flux in found)


def _meets(path: str, other: str) -> bool:
    one, two = (f"{posixpath.normpath(text)}/" if text else "" for text in (path, other))
    return one.startswith(two) or two.startswith(one)
