"""Which files matter: of an environment, what its overlays take, and what points into it.

Objects of Flux and Argo CD stand outside of an environment, too, and image policies wherever in the
repository.
"""

from __future__ import annotations

import posixpath
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gitops_rollback.effective.appliers import charts_to_follow, files_to_follow, folders_to_follow
from gitops_rollback.effective.raw import IGNORE_FILE, is_ignore_file
from gitops_rollback.effective.sources import Home, applies, names_repositories
from gitops_rollback.effective.templates import is_beside
from gitops_rollback.errors import ConfigError, ManifestError
from gitops_rollback.late import dataclass, regex, replace
from gitops_rollback.ledger.holds import FOLDER as HELD
from gitops_rollback.ledger.records import RECORD_FILE, is_copy
from gitops_rollback.ledger.state import FOLDER, path_of
from gitops_rollback.manifest.argo import folders_of, is_application, override_names
from gitops_rollback.manifest.document import is_config_map, parse_once
from gitops_rollback.manifest.flux import flux_kustomization
from gitops_rollback.manifest.kustomize import KUSTOMIZATION_NAMES, candidates, is_kustomization
from gitops_rollback.manifest.objects import objects_of
from gitops_rollback.policies import ImagePolicy, Policies, find_policies, may_hold_policy
from gitops_rollback.repo.objects import between
from gitops_rollback.services import inventory
from gitops_rollback.services.config import FILE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from gitops_rollback.manifest.flux import FluxKustomization
    from gitops_rollback.repo.objects import Entry, Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.services.config import Config, Environment
    from gitops_rollback.services.inventory import Manifests

_STATES = f"{FOLDER}/"
_WILD = regex(r"[*?{]")
_MOST_LEVELS = 20  # of overlays on overlays, each a batch of its own
_MOST_LIKELY = 500  # files


@dataclass(frozen=True)
class Here:
    """An environment of a repository at a tip, as the configuration has it."""

    repository: Repository
    tip: Tip
    config: Config
    environment: Environment

    @property
    def home(self) -> Home:
        """What the repository and the branch are called."""
        return Home(self.repository.url, self.tip.branch, self.config.urls)

    def list(self, paths: Iterable[str] = ("",)) -> list[Entry]:
        """List the files that are, or lie below, some paths; all without any."""
        return self.repository.list_files(self.tip.commit, paths)

    def read(self, entries: Iterable[Entry]) -> dict[str, bytes]:
        """Read files, in one batch."""
        return read_files(self.repository, entries)


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
    here: Here, manifests: Manifests, meant: set[str], known: Iterable[str]
) -> Manifests:
    """Return the manifests with what their overlays take from elsewhere: a batch for each level.

    What `meant` kustomizations take is followed in full; `known` paths were read already. What a
    kustomization takes and the repository has not is said.
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
            entry for entry in here.list(paths) if is_manifest(entry.path) or entry.path in paths
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
            manifests = inventory.joined(manifests, inventory.read_manifests(here.read(new)))
            meant = meant | {entry.path for entry in new}
    absent = _absent(here, manifests)
    return replace(manifests, absent=absent, _found={})


def _absent(here: Here, manifests: Manifests) -> frozenset[str]:
    """Return what is taken and is no file here, nor a folder with a kustomization, or with files.

    By kustomizations, Flux Kustomizations and releases. What lies below a link or a submodule may
    be there.
    """
    there = {entry.path for entry in here.list()}
    in_the_way = partial(here.repository.in_the_way, here.tip.commit)
    taken = {path for one in manifests.kustomizations.values() for path in one.taken}
    gone = {path: candidates(path) for path in taken - there}
    folders = [
        *folders_to_follow(manifests.files, manifests.files),
        *charts_to_follow(manifests.raw, manifests.files, manifests.files),
    ]
    return frozenset(
        path
        for path, files in gone.items()  # a folder is in the way of a file, not of what is in it
        if there.isdisjoint(files) and not any(map(in_the_way, files[1:] or files))
    ).union(path for path in folders if path not in gone and not in_the_way(path))


def list_entries(here: Here, names: tuple[str, ...]) -> dict[str, Entry]:
    """List the files that can matter for the services: one listing, whatever their number."""
    environment, config = here.environment, here.config
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
    here.list()  # in one call: what applies these is looked for, too
    entries = {e.path: e for e in here.list(dict.fromkeys(roots))}
    if discovers:
        discoverable(entries.values(), environment)
    paths = Paths(entries)
    wanted = {path for name in names for path in wanted_paths(name, environment, config, paths)}
    return {
        path: e for path, e in entries.items() if path in wanted or path in states or is_held(path)
    }


def likely_paths(paths: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return, of a commit's files, what will likely be read for some services, by its path alone.

    That bears a service's name, or is in a folder that does; the kustomizations above it, which may
    not be there; the holds in force; and what is beside Flux's own. More may be read, or less.
    """
    paths, names = tuple(paths), tuple(names)
    # Of all files each is looked at by what is quick alone: whether its path has some letters.
    bearing = [path for name in names for path in paths if name in path]
    found = [path for path in bearing if not _steps_of(path).isdisjoint(names)]
    found += [path for path in paths if path.startswith(f"{HELD}/")]
    roots = tuple({f"{path.partition('/')[0]}/" for path in paths if _SYSTEM in path})
    found += [path for path in paths if path.startswith(roots)] if roots else []
    read = [path for path in dict.fromkeys(found) if is_state(path) or is_manifest(path)]
    folders = sorted({folder for path in read[:_MOST_LIKELY] for folder in _folders_of(path)})
    above = [
        _join("" if folder == "." else folder, file)
        for folder in folders
        for file in KUSTOMIZATION_NAMES
    ]
    return [*read[:_MOST_LIKELY], *above]


def _steps_of(path: str) -> set[str]:
    """Return the names of a file's folders, and its own without what it ends with."""
    *folders, name = path.split("/")
    return {*folders, name.partition(".")[0]}


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


_SYSTEM = "/flux-system/"  # the folder that `flux bootstrap` makes
_LIKELY = ("polic", "image", "flux", "automation")  # in the paths of files that hold policies
_MOST_ELSEWHERE = 200  # files that are looked into where nothing says that Flux is there


def flux_manifests(here: Here, known: Collection[str] | None = None) -> tuple[Manifests, str]:
    """Return what applies an environment, of files that were not read yet: of Flux, of Argo CD.

    `known` are the paths that were read; None where all of the environment was. They are looked for
    where the environment's `flux` globs say; else in the folders of the root that hold a
    `flux-system`; else, where these are few, in all files of no environment. With them come their
    ConfigMaps, the kustomizations above the environment that they apply, and their components. Also
    says in how far the effect is proven, where they could not be looked for.
    """
    environment, config = here.environment, here.config
    if known is None and not environment.path:
        return inventory.read_manifests({}), ""
    listed = here.list()
    is_everywhere = any(not one.path for one in (environment, *config.environments.values()))
    if is_everywhere and not environment.flux and not any(_matters(one.path) for one in listed):
        return inventory.read_manifests({}), ""  # no file is outside of all environments
    entries = _unread(listed, environment, known)
    chosen, said = _chosen(entries, environment, config)
    data = here.read(chosen)
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
    kept |= here.read(wanted)
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


def read_policies(here: Here) -> Policies:
    """Return the policies at a tip, but for those of other environments: one batch of blobs."""
    wanted = [
        entry
        for entry in here.list()
        if entry.path.endswith((".yaml", ".yml"))
        and not _is_of_another(entry.path, here.environment, here.config)
    ]
    chosen = _likeliest(wanted)
    data = here.read(chosen)
    found: list[ImagePolicy] = []
    unread = []
    for path, content in data.items():
        if not may_hold_policy(content):
            continue
        try:
            found += find_policies(parse_once(path, content))
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
