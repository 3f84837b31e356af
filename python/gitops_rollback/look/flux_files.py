"""Objects of Flux and Argo CD that stand outside of an environment and point into it.

The image policies of the manifests repository, too, wherever in it they stand.
"""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gitops_rollback.effective.raw import IGNORE_FILE, is_ignore_file
from gitops_rollback.effective.sources import applies, names_repositories
from gitops_rollback.errors import ManifestError
from gitops_rollback.late import dataclass
from gitops_rollback.ledger.records import RECORD_FILE, is_copy
from gitops_rollback.look.environment_files import Paths, is_manifest, read_files
from gitops_rollback.manifest.argo import folders_of, is_application
from gitops_rollback.manifest.document import is_config_map, parse_once
from gitops_rollback.manifest.flux import flux_kustomization
from gitops_rollback.manifest.kustomize import KUSTOMIZATION_NAMES
from gitops_rollback.manifest.objects import objects_of
from gitops_rollback.policies import ImagePolicy, Policies, find_policies, may_hold_policy
from gitops_rollback.services import inventory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from gitops_rollback.manifest.flux import FluxKustomization
    from gitops_rollback.repo.objects import Entry, Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.services.config import Config, Environment
    from gitops_rollback.services.inventory import Manifests

_SYSTEM = "/flux-system/"  # the folder that `flux bootstrap` makes
_LIKELY = ("polic", "image", "flux", "automation")  # in the paths of files that hold policies
_MOST_ELSEWHERE = 200  # files that are looked into where nothing says that Flux is there


def flux_manifests(
    repository: Repository,
    tip: Tip,
    environment: Environment,
    config: Config,
    known: Collection[str] | None = None,
) -> tuple[Manifests, str]:
    """Return what applies an environment, of files that were not read yet: of Flux, of Argo CD.

    `known` are the paths that were read; None where all of the environment was. They are looked for
    where the environment's `flux` globs say; else in the folders of the root that hold a
    `flux-system`; else, where these are few, in all files of no environment. With them come their
    ConfigMaps, the kustomizations above the environment that they apply, and their components. Also
    says in how far the effect is proven, where they could not be looked for.
    """
    if known is None and not environment.path:
        return inventory.read_manifests({}), ""
    listed = repository.list_files(tip.commit, [""])
    is_everywhere = any(not one.path for one in (environment, *config.environments.values()))
    if is_everywhere and not environment.flux and not any(_matters(one.path) for one in listed):
        return inventory.read_manifests({}), ""  # no file is outside of all environments
    entries = _unread(listed, environment, known)
    chosen, said = _chosen(entries, environment, config)
    data = read_files(repository, chosen)
    charts = {posixpath.dirname(one.path) for one in listed if one.path.endswith("/Chart.yaml")}
    applying = {path: _applying(path, content, environment) for path, content in data.items()}
    kept = _kept(data, applying, charts)
    places = {
        name
        for found in applying.values()
        for one in found.kustomizations
        for name in _taken(one, environment)
    }
    wanted = [
        one for one in entries if one.path in places - kept.keys() or is_ignore_file(one.path)
    ]
    kept |= read_files(repository, wanted)
    return inventory.read_manifests(kept), said


def _matters(path: str) -> bool:
    """Tell, quickly, whether a file may be looked at though no `flux` glob names it."""
    return _SYSTEM in path or path.endswith(IGNORE_FILE)


def _unread(
    listed: Collection[Entry], environment: Environment, known: Collection[str] | None
) -> list[Entry]:
    """Return the manifests that were not read, but for the copies that lie beside records."""
    records = {entry.path for entry in listed if entry.path.endswith(f"/{RECORD_FILE}")}
    return [
        entry
        for entry in listed
        if is_manifest(entry.path)
        and not is_copy(entry.path, records)
        and (not environment.holds(entry.path) if known is None else entry.path not in known)
    ]


def _kept(
    data: Mapping[str, bytes], applying: Mapping[str, _Applying], charts: Collection[str]
) -> dict[str, bytes]:
    """Return the files that apply something, with the repositories and values these take.

    A file of a chart that cannot be read is a template, and applies nothing.
    """
    kept = {
        path: content
        for path, content in data.items()
        if applying[path].is_one
        and not (applying[path].is_unreadable and not _folders_of(path).isdisjoint(charts))
    }
    kept |= {path: content for path, content in data.items() if names_repositories(content)}
    if any(b"substituteFrom" in content for content in kept.values()):
        kept |= {path: content for path, content in data.items() if is_config_map(content)}
    return kept


def flux_paths(manifests: Manifests) -> set[str]:
    """Return the files that matter for every service: of what applies manifests, and ConfigMaps."""
    return {
        path
        for path, data in manifests.raw.items()
        if applies(data) or names_repositories(data) or is_config_map(data)
    }


def _chosen(
    entries: list[Entry], environment: Environment, config: Config
) -> tuple[list[Entry], str]:
    if environment.flux:
        paths = Paths(entry.path for entry in entries)
        meant = {path for glob in environment.flux for path in paths.matching(glob)}
        return [entry for entry in entries if entry.path in meant], ""
    roots = tuple({f"{one.path.partition('/')[0]}/" for one in entries if _SYSTEM in one.path})
    if roots:
        found = [entry for entry in entries if entry.path.startswith(roots)]
        if len(found) <= inventory.MOST_DISCOVERED_FILES:
            return found, ""
        return [], (
            f"the effect is proven below {environment.path}: Flux's own objects are among "
            f"{len(found)} files, too many to look into; name them: "
            f'[environments.{environment.name}] flux = ["…"]'
        )
    others = (environment, *config.environments.values())
    found = [entry for entry in entries if not any(one.holds(entry.path) for one in others)]
    return (found, "") if len(found) <= _MOST_ELSEWHERE else ([], "")


@dataclass(frozen=True)
class _Applying:
    """What a file has that applies an environment, a part of it or more."""

    kustomizations: tuple[FluxKustomization, ...] = ()
    applications: int = 0
    is_unreadable: bool = False

    @property
    def is_one(self) -> bool:
        """Whether it has, or may have, any."""
        return bool(self.kustomizations or self.applications) or self.is_unreadable


def _applying(path: str, content: bytes, environment: Environment) -> _Applying:
    """Return what of a file applies an environment; what cannot be read may be anything."""
    if not applies(content):
        return _Applying()
    try:
        items = list(objects_of(parse_once(path, content)))
    except ManifestError:
        return _Applying(is_unreadable=True)
    found = (flux_kustomization(item) for item in items)
    folders = [name for item in items if is_application(item) for name in folders_of(item)]
    return _Applying(
        tuple(one for one in found if one is not None and _meets(one.path, environment.path)),
        sum(_meets(folder, environment.path) for folder in folders),
    )


def _folders_of(path: str) -> set[str]:
    return {str(one) for one in PurePosixPath(path).parents}


def _taken(flux: FluxKustomization, environment: Environment) -> list[str]:
    """Return where kustomizations can stand that a Flux Kustomization takes.

    They are those of its components, and those from its folder down to an environment below it.
    """
    parents = [str(one) for one in PurePosixPath(environment.path).parents]
    above = ["" if one == "." else one for one in parents]
    within = [one for one in above if not flux.path or f"{one}/".startswith(f"{flux.path}/")]
    folders = (*within, *flux.added.components)
    return [posixpath.join(folder, name) for folder in folders for name in KUSTOMIZATION_NAMES]


def _meets(path: str, other: str) -> bool:
    one, two = (f"{posixpath.normpath(text)}/" if text else "" for text in (path, other))
    return one.startswith(two) or two.startswith(one)


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
    )[: inventory.MOST_DISCOVERED_FILES]
