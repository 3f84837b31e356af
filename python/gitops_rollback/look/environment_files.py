"""Which files of an environment matter, and what its overlays take from elsewhere."""

from __future__ import annotations

import posixpath
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gitops_rollback.effective.appliers import charts_to_follow, files_to_follow, folders_to_follow
from gitops_rollback.effective.templates import is_beside
from gitops_rollback.errors import ConfigError
from gitops_rollback.late import regex
from gitops_rollback.ledger.holds import FOLDER as HELD
from gitops_rollback.ledger.records import RECORD_FILE, is_copy
from gitops_rollback.ledger.state import FOLDER, path_of
from gitops_rollback.manifest.argo import override_names
from gitops_rollback.manifest.kustomize import KUSTOMIZATION_NAMES, is_kustomization
from gitops_rollback.repo.objects import between
from gitops_rollback.services import inventory
from gitops_rollback.services.config import FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gitops_rollback.repo.objects import Entry, Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.services.config import Config, Environment
    from gitops_rollback.services.inventory import Manifests

_STATES = f"{FOLDER}/"
_WILD = regex(r"[*?{]")
_MOST_LEVELS = 20  # of overlays on overlays, each a batch of its own


class Paths:
    """Some paths, in which a service's are found without a look at those of all others."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._all = frozenset(paths)
        self._sorted = sorted(self._all)
        self._manifests: dict[Environment, list[str]] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._all

    def __iter__(self) -> Iterator[str]:
        return iter(self._sorted)

    def manifests(self, environment: Environment) -> list[str]:
        """Return those of an environment that can be manifests: the same for each service."""
        if environment not in self._manifests:
            self._manifests[environment] = [
                path for path in self if is_manifest(path) and environment.holds(path)
            ]
        return self._manifests[environment]

    def matching(self, glob: str) -> list[str]:
        """Return the paths that a glob means."""
        root = inventory.glob_root(glob)
        if root == glob:
            return [root] if root in self._all else []
        prefix = f"{root}/" if root else ""
        places = between(self._sorted, root) if root else range(len(self._sorted))
        # Only the rest of the glob: it is most often the same for all services, and compiled once.
        rest = glob.removeprefix(prefix)
        named = (self._by_step.get(step, []) for step in rest.split("/") if not _WILD.search(step))
        among = min(named, key=len, default=self._sorted)
        if len(places) < len(among):
            among = self._sorted[places.start : places.stop]
        pattern = inventory.glob_pattern(rest)
        start = len(prefix)
        return [p for p in among if p.startswith(prefix) and pattern.fullmatch(p, start)]

    @cached_property
    def _by_step(self) -> dict[str, list[str]]:
        """The paths by each folder, and by the name, in them: by a service's name, most often."""
        found: dict[str, list[str]] = {}
        for path in self._sorted:
            for step in set(path.split("/")):
                found.setdefault(step, []).append(path)
        return found


def is_state(path: str) -> bool:
    """Tell whether a path is of a state file."""
    return path.startswith(_STATES)


def is_held(path: str) -> bool:
    """Tell whether a path is of the file of a hold in force."""
    return path.startswith(f"{HELD}/") and path.endswith(".json")


def is_manifest(path: str) -> bool:
    """Tell by its name whether a file can be a manifest, or says what becomes of others."""
    is_yaml = path.endswith((".yaml", ".yml"))
    is_one = is_yaml or is_kustomization(path) or is_beside(path)
    return is_one and not is_state(path)


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
            *files_to_follow(manifests.kustomizations, manifests.files, meant),
            *folders_to_follow(manifests.files, meant),
            *charts_to_follow(manifests.raw, manifests.files, meant),
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


def list_entries(
    repository: Repository,
    tip: Tip,
    environment: Environment,
    config: Config,
    names: tuple[str, ...],
) -> dict[str, Entry]:
    """List the files that can matter for the services: one listing, whatever their number."""
    settings = {name: config.settings(name) for name in names}
    states = dict.fromkeys(path_of(environment.name, name) for name in names)
    discovers = [name for name in names if not settings[name].manifests]
    roots = [*states, HELD]
    for name in names:
        for glob in settings[name].manifests:
            root = _join(environment.path, inventory.glob_root(glob))
            roots += [root, *_deciding_above(name, root, environment)]
    if discovers:
        roots.append(environment.path)
    repository.list_files(tip.commit, [""])  # in one call: what applies these is looked for, too
    entries = {e.path: e for e in repository.list_files(tip.commit, dict.fromkeys(roots))}
    if discovers:
        discoverable(entries.values(), environment)
    paths = Paths(entries)
    wanted = {path for name in names for path in wanted_paths(name, environment, config, paths)}
    return {
        path: e for path, e in entries.items() if path in wanted or path in states or is_held(path)
    }


def wanted_paths(name: str, environment: Environment, config: Config, paths: Paths) -> list[str]:
    """Return the paths in which a service's fields are looked for."""
    globs = config.settings(name).manifests
    if not globs:
        return paths.manifests(environment)
    meant = _meant(globs, environment, paths)
    roots = {_join(environment.path, inventory.glob_root(glob)) for glob in globs}
    roots |= {posixpath.dirname(path) for path in meant}
    above = {path for root in roots for path in _deciding_above(name, root, environment)}
    return [*(path for path in above if path in paths), *meant]


def meant_paths(name: str, environment: Environment, config: Config, paths: Paths) -> list[str]:
    """Return the paths of which all that they take belongs to the service."""
    globs = config.settings(name).manifests
    if not globs:
        return [path for path in paths if environment.holds(path)]
    return _meant(globs, environment, paths)


def _meant(globs: Iterable[str], environment: Environment, paths: Paths) -> list[str]:
    return [path for glob in globs for path in paths.matching(_join(environment.path, glob))]


def discoverable(
    entries: Iterable[Entry], environment: Environment, *, by_globs: bool = False
) -> list[Entry]:
    """Return the manifests of an environment; raise `ConfigError` if they are too many.

    `by_globs` tells that the configuration says already where to look for each service.
    """
    entries = tuple(entries)
    records = {e.path for e in entries if e.path.endswith(f"/{RECORD_FILE}")}
    found = [
        e
        for e in entries
        if is_manifest(e.path) and environment.holds(e.path) and not is_copy(e.path, records)
    ]
    if len(found) > inventory.MOST_DISCOVERED_FILES:
        raise ConfigError(
            f"{environment.told} has {len(found)} YAML files, too many to look for "
            f"a service in all of them (at most {inventory.MOST_DISCOVERED_FILES})",
            f"ask for one service (gitops-rollback plan SERVICE), or give a part of the repository "
            f'a name in {FILE}: [environments.NAME] path = "FOLDER"'
            if by_globs
            else f'say where to look in {FILE}: [defaults] manifests = ["apps/{{service}}/*.yaml"]',
        )
    return found


def _deciding_above(name: str, root: str, environment: Environment) -> list[str]:
    """Return where files can stand that override the images of a service below a folder.

    They are kustomizations, and what overrides an Application of Argo CD that bears its name.
    """
    folders = [root, *(str(parent) for parent in PurePosixPath(root).parents)] if root else [""]
    return [
        _join("" if folder == "." else folder, file)
        for folder in folders
        if environment.holds("" if folder == "." else folder) or not environment.path
        for file in (*KUSTOMIZATION_NAMES, *override_names(name))
    ]


def _join(folder: str, path: str) -> str:
    return "/".join(part for part in (folder, path) if part)
