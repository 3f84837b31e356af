"""Read what stands at the tip of the manifests repository about some services, or about all."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gitops_rollback.decide.accounts import has_all_of
from gitops_rollback.decide.facts import ServiceAtTip
from gitops_rollback.decide.standing import (
    are_of_others,
    names_in,
    names_of,
    retired_holds,
    retiring,
)
from gitops_rollback.errors import (
    SPELT_NEARLY,
    ConfigError,
    GitopsRollbackError,
    ManifestError,
    RepositoryError,
    ResourceError,
    nearest,
    nearest_hint,
)
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.ledger.fields import find_fields, once
from gitops_rollback.ledger.holds import FOLDER as HELD
from gitops_rollback.ledger.holds import (
    BrokenHoldError,
    Holds,
    find_holds,
    may_be_of,
    parse_held,
    place_holds,
)
from gitops_rollback.ledger.state import (
    FOLDER,
    BrokenStateError,
    named_at,
    parse_state,
    path_of,
)
from gitops_rollback.look.environment_files import (
    Here,
    Paths,
    discoverable,
    flux_manifests,
    flux_paths,
    follow_overlays,
    is_held,
    is_manifest,
    is_state,
    likely_paths,
    list_entries,
    meant_paths,
    wanted_paths,
)
from gitops_rollback.look.standings import fields_where_noted, read_standings
from gitops_rollback.model import ROLLBACK, is_name
from gitops_rollback.refusals import typed
from gitops_rollback.repo.objects import Tip
from gitops_rollback.repo.repository import LAST_LOOK
from gitops_rollback.services import catalogue, inventory
from gitops_rollback.services.catalogue import ServiceFields, refuse_others_fields, two_meanings
from gitops_rollback.services.config import (
    DEFAULT_ENVIRONMENT,
    FILE,
    Config,
    Environment,
    parse_config,
)
from gitops_rollback.services.inventory import Manifests, glob_root
from gitops_rollback.services.ownership import UnknownServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.ledger.fields import NotedField
    from gitops_rollback.ledger.holds import HeldFile
    from gitops_rollback.ledger.state import State
    from gitops_rollback.manifest.image_field import FieldKey, ImageField
    from gitops_rollback.model import Request
    from gitops_rollback.repo.repository import Repository

_FEW = 20  # services, for each of which all paths may be looked at for what is spelt nearly so


@dataclass(frozen=True)
class Snapshot:
    """Configuration and services at a tip.

    `left_out` names what was taken for a service because all were meant, and why it is none here;
    `retired` tells of state files and holds without a field, and how to go on; `unread` has those
    that cannot be read, where these were to be told apart.
    """

    tip: Tip
    config: Config
    environment: Environment
    services: tuple[ServiceAtTip, ...]
    left_out: tuple[str, ...] = ()
    retired: tuple[tuple[str, str], ...] = ()
    unread: Mapping[str, GitopsRollbackError] = field(default_factory=dict)


@dataclass(frozen=True)
class EnvironmentFiles(Here):
    """An environment at a tip: every path, and the bytes of each manifest.

    `unread` says why there are none where there are too many.
    """

    paths: tuple[str, ...]
    files: Mapping[str, bytes]
    unread: str = ""


@dataclass(frozen=True)
class Overview(Here):
    """An environment at a tip, without a service in mind: every file, and the manifests read.

    `shared` are the paths that matter for every service: Flux's, and those from elsewhere.
    """

    paths: Paths
    manifests: Manifests
    shared: frozenset[str]

    def of(self, service: str) -> Manifests:
        """Return the manifests in which a service's fields are looked for."""
        wanted = wanted_paths(service, self.environment, self.config, self.paths)
        return self.manifests.only([*wanted, *self.shared])


def read_snapshot(
    repository: Repository,
    request: Request,
    tip: Tip,
    commit: str | None = None,
    config: Config | None = None,
) -> Snapshot:
    """Read the services of a request, with `tip` as the tip of the configuration's branch.

    They are read at `commit` of the environment's branch, at its tip where None, and by the
    configuration that stands there, where no other is given.
    Raises `ConfigError`, `ManifestError` or `RepositoryError` if one of them is not sure.
    """
    config = config or read_config(repository, tip, request.names)
    names = config.expand(request.names, request.sets)
    config.check_allowed(names, request.allowed)
    environment = _environment(repository, request, config, tip)
    here = Here(repository, _tip_at(repository, environment, tip, commit), config, environment)
    if request.everything:
        names = all_names(here, request)
    # The job trusts these names: what else they could mean is looked for in all manifests.
    trusted = tuple(name for name in request.allowed if name in config.sets)
    data = here.read(list_entries(here, (*names, *trusted)).values())
    manifests = _manifests(here, data)
    paths = Paths(data)
    meant = {path for name in names for path in meant_paths(name, environment, config, paths)}
    in_part = all(config.settings(name).manifests for name in (*names, *trusted))
    flux, said = flux_manifests(here, data if in_part else None)
    read = inventory.joined(manifests, flux)
    everything = follow_overlays(here, read, meant, read.raw)
    for name in (*request.names, *trusted):
        if name in config.sets and catalogue.has_fields(name, environment, config, everything):
            raise two_meanings(name)
    shared = _paths_of(everything) - _paths_of(manifests) | flux_paths(everything)
    found = _Found(notes=(said,) if said else ())
    resolve = _resolved_or_near if len(names) <= _FEW else _resolved
    for name in names:
        files = everything.only({*wanted_paths(name, environment, config, paths), *shared})
        resolved = partial(resolve, here, name, files)
        raw = partial(_raw_state, here, name, data)
        found.take(name, raw, request, resolved)
    found.refuse_nothing(config, environment)
    services = tuple(read_standings(here, found.services, _held(here, data)))
    for at in services:
        others = [alias.service for alias in at.aliases]
        refuse_others_fields(at.found, others, config, request.allowed)
    gone = tuple(found.gone(config, environment, are_of_others(services)))
    gone += retired_holds(services) if request.everything else ()
    left_out = tuple(found.left_out)
    return Snapshot(here.tip, config, environment, services, left_out, gone, found.unread)


@dataclass
class _Found:
    """The fields of the services that were found, with their state files, and what was not."""

    services: list[tuple[ServiceFields, State | None]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    retired: dict[str, str] = field(default_factory=dict)
    unread: dict[str, GitopsRollbackError] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def take(
        self,
        name: str,
        read: Callable[[], bytes | None],
        request: Request,
        resolve: Callable[[bytes | None], ServiceFields],
    ) -> None:
        """Find a service, whose state file `read` gives; note why not, where that is told apart."""
        try:
            self._add(name, read(), request, resolve)
        except GitopsRollbackError as error:
            if not request.apart or isinstance(error, ResourceError):
                raise
            self.unread[name] = error

    def _add(
        self,
        name: str,
        raw: bytes | None,
        request: Request,
        resolve: Callable[[bytes | None], ServiceFields],
    ) -> None:
        """Find the fields of a service, whose state file has the bytes `raw`, or say why not.

        Raises what `resolve` raises, unless all services are meant and this is none here.
        """
        try:
            fields = resolve(raw)
            fields = replace(fields, notes=(*fields.notes, *self.notes))
        except UnknownServiceError as error:
            if not request.everything:
                raise
            message = f"{name}: {error.message}"
            if raw is not None:
                self.retired[name] = message
            else:
                self.left_out.append(message)
            return
        except GitopsRollbackError as error:
            if raw is not None or not request.everything:
                raise
            self.left_out.append(f"{name}: {error.message}")
            return
        environment = fields.environment.name
        is_read = raw is not None and not request.without_states
        own = parse_state(raw, environment, name) if raw is not None and is_read else None
        self.services.append((fields, own))

    def gone(
        self, config: Config, environment: Environment, theirs: Collection[tuple[str, str]] = ()
    ) -> Iterator[tuple[str, str]]:
        """Yield what is retired, but for state files of others' fields, and what to do with each.

        A field that is only called otherwise goes on with what its file says.
        """
        is_only = config.environments.keys() <= {environment.name}
        for name, message in self.retired.items():
            if (name, environment.name) not in theirs:
                command = retiring(name, environment.name, is_only=is_only)
                yield f"retired: {message}", f"if it is gone for good: {command}"

    def refuse_nothing(self, config: Config, environment: Environment) -> None:
        """Raise `ConfigError` if there is none."""
        if self.services or self.unread:
            return
        way = next((way for _message, way in self.gone(config, environment)), None)
        raise ConfigError(
            f"none of the services of {environment.told} can be read: "
            f"{'; '.join((*self.left_out, *self.retired.values()))}",
            way
            or f"mend the first, or name services with --service, or in {FILE}: [services.NAME]",
        )


def _resolved(here: Here, name: str, manifests: Manifests, raw: bytes | None) -> ServiceFields:
    """Return the fields of a service; also those that a rollback left of another repository.

    `raw` is its state file: what is wrong with that is told to whoever finds the fields.
    """
    written = partial(_left_by_a_rollback, here, name, raw)
    return catalogue.resolve(name, here.environment, here.config, manifests, written)


def _resolved_or_near(
    here: Here, name: str, manifests: Manifests, raw: bytes | None
) -> ServiceFields:
    """Return the fields of a service, or say what may be meant by its name or place."""
    try:
        return _resolved(here, name, manifests, raw)
    except UnknownServiceError as error:
        raise error.reworded(error.message, _hint_of_place(here, name) or error.hint) from error


def _hint_of_place(here: Here, name: str) -> str:
    """Return what may be meant where no file is at a configured place; else nothing.

    A name that the configuration does not have may be the mistake itself.
    """
    paths = [entry.path for entry in here.list()]
    names = inventory.configured_names(here.config, here.environment, paths)
    meant = "" if name in here.config.services else nearest_hint(name, names)
    if meant:
        return meant
    known = {*paths, *(str(one) for path in paths for one in PurePosixPath(path).parents)}
    home = here.environment.path
    if home and home not in known:
        return _meant(f"`path` in {FILE}: [environments.{here.environment.name}]", home, known)
    roots = [glob_root(glob) for glob in here.config.settings(name).manifests]
    places = [f"{home}/{root}".strip("/") for root in roots if root]
    absent = next((place for place in places if place not in known), None)
    return _meant(f"`manifests` in {FILE}", absent, known) if absent else ""


def _meant(key: str, absent: str, known: Iterable[str]) -> str:
    near = nearest(absent, known, SPELT_NEARLY)
    return f"check {key}: nothing is at {absent}{f'; did you mean {near[0]}?' if near else ''}"


def _left_by_a_rollback(here: Here, name: str, raw: bytes | None) -> tuple[NotedField, ...]:
    """Return the fields of a service's state file, where a rollback may have left other names."""
    with suppress(RepositoryError):
        state = parse_state(raw, here.environment.name, name) if raw is not None else None
        if state is not None and state.newest is not None and state.newest.action == ROLLBACK:
            is_moved = here.config.settings(name).image is not None or name in names_in(state)
            return state.fields if is_moved else ()
    return ()


def _manifests(here: Here, files: Mapping[str, bytes]) -> Manifests:
    """Read what of some files are manifests."""
    found = {path: data for path, data in files.items() if not is_state(path)}
    return inventory.read_manifests(found, here.home, here.config.words)


def _paths_of(manifests: Manifests) -> set[str]:
    return {*manifests.files, *(skip.path for skip in manifests.skipped)}


def read_retired(repository: Repository, request: Request, tip: Tip) -> Snapshot:
    """Read what is left of services that have no image field any more.

    Also in an environment that is configured no more. Raises `ConfigError` if one of them still has
    a field.
    """
    config = read_config(repository, tip)
    names = config.expand(request.names, request.sets)
    config.check_allowed(names, request.allowed)
    known = config.environments or {DEFAULT_ENVIRONMENT}
    former = request.environment
    if former is None or former in known or not is_name(former):
        environment = config.choose_environment(request.environment)
    else:
        environment = Environment(former)
    here = Here(repository, _tip_of(repository, environment, tip), config, environment)
    services = []
    is_former = environment.name not in known
    files = here.read(e for e in here.list() if is_state(e.path) or is_manifest(e.path))
    manifests = _manifests(here, files)
    there = known if is_former else (environment.name,)
    places = [config.choose_environment(one) for one in there]
    for name in names:
        wanted = replace(request, names=(name,), sets=())
        if not is_former and _is_there(repository, wanted, tip, here.tip):
            raise ConfigError(
                f"service '{name}' still has image fields in {environment.told}",
                "only what is gone can be retired; whether a hold there has lost its field: "
                f"gitops-rollback check {typed(name, environment.name)}",
            )
        at = _left_of(here, name, files, manifests)
        others = []
        for place in places:
            if place.branch in (None, here.tip.branch):
                having = _having(at, config, place, manifests)
                others += _others(repository, replace(request, environment=place.name), tip, having)
        services.append(_with_doubts(repository, at, others))
    return Snapshot(here.tip, config, environment, tuple(services))


def _having(
    at: ServiceAtTip, config: Config, environment: Environment, manifests: Manifests
) -> dict[str, set[FieldKey]]:
    """Return the services of an environment, by any name, and their fields that are like lost ones.

    Lost are those of what is left of a service. Raises `ManifestError` of a file that may have one
    and cannot be read.
    """
    lost = [noted for file in at.holds.retired for noted in file.fields]
    lost += at.account.fields if at.account.bad else ()
    names = {noted.reference.repository.encode() for noted in lost if noted.reference}
    for skip in manifests.skipped:
        is_of_chart = manifests.raw.is_of_templates(skip.path)
        if not is_of_chart and any(name in manifests.raw[skip.path] for name in names):
            raise ManifestError(
                f"{skip.reason}, and it may have the field that {at.title} had",
                "mend it, then run this again",
            )
    settings = [config.settings(name) for name in (at.service, *config.services)]
    effective = (manifests.effective(one.kinds, environment, one.fields) for one in settings)
    live = once(field for one in effective for field in one.live)
    like = [field for field in live if any(may_be_of(noted, [field]) for noted in lost)]
    called = dict.fromkeys([*config.services, *sorted(names_of(like))])
    has_field = partial(catalogue.has_field, config=config, environment=environment)
    having = {
        name: {field.key for field in like if has_field(name, field=field)}
        for name in called
        if is_name(name)
    }
    return {name: keys for name, keys in having.items() if keys}


def _others(
    repository: Repository, request: Request, tip: Tip, having: Mapping[str, set[FieldKey]]
) -> list[ServiceAtTip]:
    """Return the services that have some fields; those of the same fields are one.

    Raises what is wrong with one of them, where its fields are no other's.
    """
    if not having:
        return []
    every = replace(request, names=(*having,), sets=(), allowed=(), apart=True)
    snapshot = read_snapshot(repository, every, tip)
    found: dict[frozenset[FieldKey], ServiceAtTip] = {}
    for at in snapshot.services:
        found.setdefault(frozenset(field.key for field in at.found.fields), at)
    known = {key for keys in found for key in keys}
    for name, error in snapshot.unread.items():
        if known.isdisjoint(having[name]) and not isinstance(error, UnknownServiceError):
            raise error
    return [*found.values()]


def _with_doubts(
    repository: Repository, at: ServiceAtTip, others: Sequence[ServiceAtTip]
) -> ServiceAtTip:
    """Return what is left of a service, and of which others (`named`) what of it may be.

    That are holds; else the state file, where a service has not written down all that is bad there.
    """
    gone = at.holds.retired
    theirs = [one for one in others if any(file in one.holds.lost for file in gone)]
    lost = tuple(file for file in gone if any(file in one.holds.lost for one in theirs))
    holds = replace(at.holds, lost=lost, retired=tuple(file for file in gone if file not in lost))
    states: tuple[State, ...] = ()
    if not lost and at.state is not None:
        theirs = [one for one in others if _lacks(repository, one, at.state)]
        states = (at.state,) if theirs else ()
    named = frozenset((one.service, one.environment) for one in theirs)
    return replace(at, holds=holds, lost=states, named=named)


def _lacks(repository: Repository, at: ServiceAtTip, lost: State) -> bool:
    """Tell whether a service's state file lacks marks of one whose fields may be the service's."""
    if (lost.service, lost.environment) not in {(s.service, s.environment) for s in at.lost}:
        return False
    data = repository.read_file(at.tip.commit, path_of(at.environment, at.service))
    own = [parse_state(data, at.environment, at.service)] if data is not None else []
    known = {entry.image.canonical for state in (*own, *at.aliases) for entry in state.bad}
    return not {entry.image.canonical for entry in lost.bad} <= known


def _is_there(repository: Repository, request: Request, tip: Tip, here: Tip) -> bool:
    try:
        read_snapshot(repository, request, tip, here.commit)
    except UnknownServiceError:
        return False
    return True


def _left_of(
    here: Here, name: str, files: Mapping[str, bytes], manifests: Manifests
) -> ServiceAtTip:
    """Return what is left of a service: its state file, and its holds by what became of them.

    All manifests of the branch are looked into: a hold whose field is found has only got another
    name, or environment.
    """
    environment, config = here.environment, here.config
    path = path_of(environment.name, name)
    held = _held(here, files)
    theirs = [h for h in held if (h.service, h.environment) == (name, environment.name)]
    settings = [config.settings(one) for one in (name, *config.services)]
    effective = (manifests.effective(one.kinds, environment, one.fields) for one in settings)
    branch = fields_where_noted(here, [manifests], theirs)
    branch += (field for one in effective for field in one.live)
    gone = find_holds(place_holds(theirs, once(branch)), ()).retired
    there = tuple(file for file in theirs if file not in gone)
    try:
        own = parse_state(files[path], environment.name, name) if path in files else None
    except BrokenStateError as error:  # there is no service to repair it for
        hint = f"restore it from Git (git log -- {path}), or delete it by hand, with a commit"
        raise error.reworded(error.message, hint) from error
    fields = ServiceFields(name, environment, config.settings(name), "state", (), (), Manifests({}))
    elsewhere = frozenset(config.environments) - {environment.name}
    holds = Holds(ours=there, retired=gone)
    at = ServiceAtTip(here.tip, fields, own, (), holds, elsewhere=elsewhere)
    if own is None or not _is_needed(own, files, once(branch)):
        return at
    return replace(at, state=None, displaced=own)


def _is_needed(own: State, files: Mapping[str, bytes], branch: Sequence[ImageField]) -> bool:
    """Tell whether a state file is of fields that are there, and no other file has what it says."""
    theirs = {one.field.key for one in find_fields(own.fields, branch) if one.field is not None}
    if not theirs:
        return False
    for path, data in files.items():
        name = named_at(path)
        if name is None or name == (own.environment, own.service):
            continue
        with suppress(RepositoryError):  # what cannot be read has nothing of it
            other = parse_state(data, *name)
            found = find_fields(other.fields, branch)
            is_theirs = any(one.field is not None and one.field.key in theirs for one in found)
            if is_theirs and has_all_of(other, own):
                return False
    return True


def read_overview(repository: Repository, request: Request, tip: Tip) -> Overview:
    """Read all manifests of an environment."""
    read = read_environment(repository, request, tip)
    manifests = _manifests(read, read.files)
    flux, _said = flux_manifests(read)
    both = inventory.joined(manifests, flux)
    everything = follow_overlays(read, both, set(read.files), both.raw)
    shared = _paths_of(everything) - _paths_of(manifests) | flux_paths(everything)
    at = (repository, read.tip, read.config, read.environment)
    return Overview(*at, Paths(read.paths), everything, frozenset(shared))


def read_environment(
    repository: Repository, request: Request, tip: Tip, *, or_none: bool = False
) -> EnvironmentFiles:
    """Read the bytes of every manifest of an environment; raise `ConfigError` of too many.

    With `or_none` none is read then, and `unread` says so: for who looks at services besides.
    """
    config = read_config(repository, tip)
    environment = config.choose_environment(request.environment)
    at = (repository, _tip_of(repository, environment, tip), config, environment)
    here = Here(*at)
    entries = here.list([environment.path])
    by_globs = "manifests" in config.defaults
    paths = tuple(entry.path for entry in entries)
    try:
        files = here.read(discoverable(entries, environment, by_globs=by_globs))
    except ConfigError as error:
        if not or_none:
            raise
        return EnvironmentFiles(*at, paths, {}, error.message)
    return EnvironmentFiles(*at, paths, files)


def read_config(repository: Repository, tip: Tip, names: Collection[str] = ()) -> Config:
    """Read the configuration at a tip; an empty one if there is no file.

    All files are listed with it: that is one call of git, and whoever comes next has to know them.
    What `names` tell of the files that are read next comes with it.
    """
    listed = repository.list_files(tip.commit, [""])
    paths = (entry.path for entry in listed)
    repository.expect(lambda: repository.list_files(tip.commit, likely_paths(paths, names)))
    data = repository.read_file(tip.commit, FILE)
    if data is None:
        _refuse_what_is_in_the_way(repository, tip, FILE)
        odd = [e.path for e in listed if len(e.path) == len(FILE) and e.path.lower() == FILE]
        if odd:
            raise ConfigError(f"{odd[0]} is not read: write {FILE}", f"git mv {odd[0]} {FILE}")
    return parse_config(data, tip.branch) if data is not None else Config()


def _raw_state(here: Here, name: str, data: Mapping[str, bytes]) -> bytes | None:
    """Return the bytes of a service's state file; None where there is none, for certain."""
    path = path_of(here.environment.name, name)
    if path not in data:
        _refuse_what_is_in_the_way(here.repository, here.tip, path)
    return data.get(path)


def _held(here: Here, data: Mapping[str, bytes]) -> tuple[HeldFile, ...]:
    """Return the holds among some files; raise `RepositoryError` where something hides them.

    One whose file is broken counts as it stood before; it is an error where no commit tells.
    """
    held, broken = [], {}
    for path, content in data.items():
        if is_held(path):
            try:
                held.append(parse_held(content, path))
            except BrokenHoldError as error:
                broken[path] = error
    if broken:
        held += _as_they_stood(here, broken)
    if not held:
        _refuse_what_is_in_the_way(here.repository, here.tip, f"{HELD}/ID.json")
    return tuple(held)


def _as_they_stood(here: Here, broken: Mapping[str, BrokenHoldError]) -> Iterator[HeldFile]:
    """Yield holds as their files were sound last: one walk, and one batch, for all of them."""
    versions = here.repository.histories(here.tip, broken, LAST_LOOK)
    blobs = here.repository.read(one.oid for changes in versions.values() for one in changes)
    for path, error in broken.items():
        for change in versions[path]:
            with suppress(BrokenHoldError):
                yield replace(parse_held(blobs[change.oid], path), stood=change.commit)
                break
        else:
            raise error


def _refuse_what_is_in_the_way(repository: Repository, tip: Tip, path: str) -> None:
    """Raise `RepositoryError` where a link or the like hides what a file would say."""
    way = repository.in_the_way(tip.commit, path)
    if way:
        raise RepositoryError(
            f"{path} is not read: {way} is a link, a submodule, or a file in the place of a folder,"
            " or the other way round",
            f"give {way} another name on the branch, or put the file itself there",
        )


def _tip_at(repository: Repository, environment: Environment, tip: Tip, commit: str | None) -> Tip:
    """Return a commit of an environment's branch in the place of its tip, where one is given."""
    if commit is None or commit == tip.commit:
        return _tip_of(repository, environment, tip)
    repository.fetch_commit(commit)
    return Tip(environment.branch or tip.branch, commit)


def _tip_of(repository: Repository, environment: Environment, tip: Tip) -> Tip:
    """Return the tip of an environment's branch; `tip` is that of the configuration's."""
    if environment.branch in (None, tip.branch):
        return tip
    return repository.fetch(environment.branch or tip.branch)


def _environment(repository: Repository, request: Request, config: Config, tip: Tip) -> Environment:
    """Choose the environment; where several could be meant, say which hold the services."""
    is_sure = request.environment is not None or request.everything
    if is_sure or len(config.environments) < 2:  # noqa: PLR2004
        return config.choose_environment(request.environment)
    holding, unsure, unknown = [], {}, []
    for name in config.environments:
        try:
            read_snapshot(repository, replace(request, environment=name), tip)
        except UnknownServiceError as error:
            unknown.append(error)
        except GitopsRollbackError as error:
            unsure[name] = error.message
        else:
            holding.append(name)
    services = ", ".join(request.names)
    told = "".join(f"; in {name}: {message}" for name, message in unsure.items())
    possible = [name for name in config.environments if name in (*holding, *unsure)]
    near = dict.fromkeys(error.hint for error in unknown) if not possible else ()
    raise ConfigError(
        f"several environments are configured, and {', '.join(holding) or 'none'} of them "
        f"hold{'' if len(holding) > 1 else 's'} {services}{told}",
        "; ".join(near) or f"choose one with --environment: {', '.join(possible)}",
    )


def known_names(here: Here) -> tuple[str, ...]:
    """Return the services that the configuration or a state file names; else all that are found.

    Where some are named, what is merely found may be somebody else's image, such as a proxy: who
    takes everything back does not mean that.
    """
    return sure_names(here) or _found_names(here)


def sure_names(here: Here) -> tuple[str, ...]:
    """Return the services that the configuration or a state file names; none is read for it."""
    environment = here.environment
    entries = here.list(dict.fromkeys([environment.path, f"{FOLDER}/{environment.name}"]))
    paths = [entry.path for entry in entries]
    names = inventory.configured_names(here.config, environment, paths)
    names += [name[1] for path in paths if (name := named_at(path)) and name[0] == environment.name]
    return tuple(sorted(name for name in set(names) if is_name(name)))


def _found_names(here: Here) -> tuple[str, ...]:
    files = here.read(discoverable(here.list([here.environment.path]), here.environment))
    manifests = _manifests(here, files)
    found = inventory.service_names(manifests, here.config, here.environment, files)
    return tuple(sorted(name for name in found if is_name(name)))


def all_names(here: Here, request: Request) -> tuple[str, ...]:
    """Return the services that are known, of those allowed; raise `ConfigError` if none is."""
    names = known_names(here)
    found = here.config.of_allowed(names, request.allowed)
    if not found:
        raise ConfigError(
            f"no service of {here.environment.told} that may be named here is configured, "
            "deployed or found",
            f"name services with --service, or in {FILE}: [services.NAME]",
        )
    return found
