"""Read what counts for the fields of services: state files of their other names, holds in force."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import takewhile
from operator import itemgetter
from typing import TYPE_CHECKING

from gitops_rollback.decide.facts import ServiceAtTip
from gitops_rollback.decide.standing import (
    all_there,
    belongs_to,
    doubt_of,
    moved,
    names_in,
    names_of,
    standing,
    tells_what_stands,
)
from gitops_rollback.errors import ManifestError
from gitops_rollback.late import dataclass, replace
from gitops_rollback.ledger.fields import likeness_of, once
from gitops_rollback.ledger.holds import place_holds
from gitops_rollback.ledger.state import FOLDER, State, named_at, parse_state, path_of
from gitops_rollback.look.environment_files import (
    Paths,
    is_manifest,
    is_state,
    meant_paths,
    read_files,
)
from gitops_rollback.manifest.document import parse_once
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.model import is_name
from gitops_rollback.repo.repository import LAST_LOOK, MOST_MOVES
from gitops_rollback.services import inventory
from gitops_rollback.services.catalogue import has_field

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.ledger.holds import HeldFile
    from gitops_rollback.look.environment_files import Here
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.services.catalogue import ServiceFields
    from gitops_rollback.services.config import Config, Environment
    from gitops_rollback.services.inventory import Manifests

    Found = Sequence[tuple[ServiceFields, State | None]]
    Patterns = Mapping[str, Sequence[re.Pattern[str]]]
    from gitops_rollback.decide.facts import NeedBeside
    from gitops_rollback.ledger.fields import Likeness

_MOST_STRAYS = 100  # state files of names that are nobody's, read where an account is missing
_UNREAD = (
    "{} state files of names that no field has any more were not read: what is bad there is not "
    "known here; gitops-rollback history NAME --retire --reason TEXT removes what is gone"
)


def read_standings(here: Here, found: Found, held: Sequence[HeldFile]) -> Iterator[ServiceAtTip]:
    """Yield each service with what counts for its fields, whatever they are called.

    Nothing is fetched for it but state files of names that a service's fields have too, and files
    in which a hold or a state file has its field, where they are not read already. Where a
    service's own state file does not tell what stands there, those of names that are nobody's any
    more are read, too. Where a field is not where it was, it is looked for in the whole branch.
    """
    shared = tuple({id(fields.manifests): fields.manifests for fields, _own in found}.values())
    noted = fields_where_noted(here, shared, [*held, *(o for _f, o in found if o)])
    branch = once([*(field for fields, _own in found for field in fields.fields), *noted])
    today = {
        fields.service: name
        for fields, own in found
        if own is not None and (name := _called_today(here, own, fields, branch))
    }
    names = _names(here, found)
    unsure = [f for f, own in found if f.service in today or not tells_what_stands(own, f.fields)]
    stray, left = _strays(here, unsure, shared) if unsure else ([], 0)
    for fields in unsure:
        names[fields.service] = [*dict.fromkeys((*names[fields.service], *stray))]
    others = _states(here, {path for paths in names.values() for path in paths})
    branch = once([*branch, *fields_where_noted(here, shared, others.values())])
    if not all_there([*held, *others.values()], branch):
        branch = once([*branch, *_everywhere(here, shared)])
    known = here.config.environments.keys() | {fields.environment.name for fields, _own in found}
    doubts = partial(doubt_of, environments=known, branch=branch)
    is_twins = partial(_is_twins, here, doubts)
    placed = place_holds(held, branch)  # once for all: of many services each is held against many
    for fields, own in found:
        service, environment = fields.service, fields.environment.name
        theirs = [s for path in names[service] if (s := others.get(path)) is not None]
        theirs = [state for state in theirs if _name(state) != (environment, service)]
        twins = [state for state in theirs if is_twins(own, fields, state)]
        at = ServiceAtTip(
            here.tip,
            fields,
            None if service in today else own,
            elsewhere=frozenset(here.config.environments.keys() - {environment}),
            named=frozenset((state.service, state.environment) for state in theirs),
        )
        holds = [one.as_lost if is_twins(own, fields, one.file) else one for one in placed]
        at = standing(at, theirs, holds, branch, twins)
        if left and any(fields is one for one in unsure):
            at = replace(at, found=replace(fields, notes=(*fields.notes, _UNREAD.format(left))))
        if own is not None and service in today:
            at = _with_displaced(at, here, own, today[service], branch)
        yield at


def _with_displaced(
    at: ServiceAtTip, here: Here, own: State, name: State, branch: Sequence[ImageField]
) -> ServiceAtTip:
    """Return a service with its state file as it moves to the name that its fields have today."""
    path = path_of(*_name(name))
    there = _states(here, {path}).get(path)
    return replace(at, displaced=moved(own, name, there, branch, counted=there in at.aliases))


def _is_twins(
    here: Here,
    doubts: Callable[..., NeedBeside | None],
    own: State | None,
    fields: ServiceFields,
    file: State | HeldFile,
) -> bool:
    """Tell whether a file is, or may be, of fields that are gone, though like a service's."""
    doubt = doubts(file, own, fields.fields)
    if doubt is None:
        return False
    return stood_beside(here.repository, here.tip, here.config, doubt) is not False


def _everywhere(here: Here, read: Collection[Manifests]) -> list[ImageField]:
    """Return the fields of all manifests of the branch that are not read; none of too many."""
    known = {path for one in read for path in one.files}
    entries = [e for e in here.list() if is_manifest(e.path)]
    if len(entries) > inventory.MOST_DISCOVERED_FILES:
        return []
    files = here.read(entry for entry in entries if entry.path not in known)
    found = inventory.read_manifests(files).fields
    return [field for fields in found.values() for field in fields]


def _name(state: State) -> tuple[str, str]:
    return state.environment, state.service


def _names(here: Here, found: Found) -> dict[str, list[str]]:
    """Return where the state files of the other names of each service would stand."""
    folders = here.repository.list_folders(here.tip.commit, FOLDER)
    environments = [name for name in folders if is_name(name)]
    patterns = _patterns(here.config, found[0][0].environment) if found else {}
    return {fields.service: _paths(fields, own, patterns, environments) for fields, own in found}


def _paths(
    fields: ServiceFields, own: State | None, patterns: Patterns, environments: Sequence[str]
) -> list[str]:
    """Return those of one service; a configured one, by its manifests, may have its fields.

    Its repositories of before may have given it a name, too.
    """
    named = {*names_of(fields.fields), *(names_in(own) if own else ()), fields.service}
    places = {field.path for field in fields.fields}
    named |= {
        name
        for name, its in patterns.items()
        if any(one.fullmatch(path) for one in its for path in places)
    }
    first = path_of(fields.environment.name, fields.service)
    paths = (path_of(e, name) for e in environments for name in sorted(named) if is_name(name))
    return [path for path in paths if path != first]


def _strays(
    here: Here, unsure: Sequence[ServiceFields], read: Collection[Manifests]
) -> tuple[list[str], int]:
    """Return state files, of bounded number, whose names may have been those of other fields.

    Those are names that no field has any more, and those that the configuration gives; first what
    is like a service's name. Those of other environments that there are, are left to them. Also
    says how many of the first kind were left.
    """
    config, environment = here.config, unsure[0].environment
    left = config.environments.keys() - {environment.name}
    used = {name for fields in _fields(read) for name in names_of(fields)}
    used -= config.services.keys()
    named = ((entry.path, named_at(entry.path)) for entry in here.list([FOLDER]))
    stray = [
        (path, name[1])
        for path, name in named
        if name is not None and name[0] not in left and name[1] not in used
    ]
    if any(config.settings(name).manifests for _path, name in stray):
        there = Paths(entry.path for entry in here.list([environment.path]))
        stray = [
            (path, name)
            for path, name in stray
            if name in config.services
            or not config.settings(name).manifests
            or not meant_paths(name, environment, config, there)
        ]
    wanted = {name for fields in unsure for name in (fields.service, *names_of(fields.fields))}
    stray.sort(key=lambda one: (not _is_like(one[1], wanted), one[1] in config.services))
    unread = [name for _path, name in stray[_MOST_STRAYS:] if name not in config.services]
    return [path for path, _name in stray[:_MOST_STRAYS]], len(unread)


def _is_like(name: str, wanted: Iterable[str]) -> bool:
    return any(name in one or one in name for one in wanted)


def _called_today(
    here: Here, own: State, fields: ServiceFields, branch: Sequence[ImageField]
) -> State | None:
    """Return the name that the fields of a service's state file have today, if they are not its.

    None where they are, or where nobody can say a name for them: then the file's name counts.
    """
    field = belongs_to(own, fields.fields, branch)
    if field is None:
        return None
    config, environment = here.config, fields.environment
    at = [
        one
        for one in config.environments.values() or (environment,)
        if one.branch in (None, here.tip.branch) and one.holds(field.path)
    ]
    if len(at) != 1:
        return None
    if at[0].name != environment.name:
        has = has_field(own.service, config, at[0], field)
        return State(own.service, at[0].name) if has else None
    named = [name for name in config.services if has_field(name, config, environment, field)]
    named += [
        name for name in sorted(names_of([field])) if has_field(name, config, environment, field)
    ]
    other = next((name for name in named if is_name(name) and name != own.service), None)
    return State(other, environment.name) if other is not None else None


def _patterns(config: Config, environment: Environment) -> Patterns:
    """Return what the manifests of each configured service match, in an environment."""
    prefix = f"{environment.path}/" if environment.path else ""
    return {
        name: [inventory.glob_pattern(prefix + glob) for glob in config.settings(name).manifests]
        for name in config.services
    }


def _states(here: Here, paths: set[str]) -> dict[str, State]:
    """Read those state files that are there, by path."""
    entries = here.list(sorted(paths)) if paths else []
    states = {}
    for path, data in here.read(entries).items():
        name = named_at(path)
        if name is not None:
            states[path] = parse_state(data, *name)
    return states


def _fields(read: Iterable[Manifests]) -> Iterator[tuple[ImageField, ...]]:
    """Yield the fields of each file; manifests that are parts of one whole have those of it."""
    for fields in {id(one.fields): one.fields for one in read}.values():
        yield from fields.values()


def fields_where_noted(
    here: Here, read: Collection[Manifests], noted: Iterable[HeldFile | State]
) -> list[ImageField]:
    """Return the fields of all manifests that are read, and of the files that `noted` names."""
    everything = [field for fields in _fields(read) for field in fields]
    known = {path for one in read for path in one.files}
    wanted = {field.path for one in noted for field in one.fields} - known
    if not wanted:
        return everything
    entries = [e for e in here.list(sorted(wanted)) if e.path in wanted]
    files = here.read(e for e in entries if not is_state(e.path))
    more = inventory.read_manifests(files)
    return [*everything, *(f for fields in more.fields.values() for f in fields)]


def stood_beside(repository: Repository, tip: Tip, config: Config, need: NeedBeside) -> bool | None:
    """Tell whether a field stood on the branch when the one of before last stood at its place.

    Each is followed back through the commits that moved it. None where nothing in reach tells.
    """
    then = _Then(repository, config)
    if then.having(tip.commit, [need.path], need.like):
        return True
    try:
        taken = then.taken(tip, need.path, need.like)
        if taken is None:
            return None
        places = {then.place(f"{taken}~1", tip, path, like) for path, like in need.fields}
    except ManifestError:
        return None  # what a version had that nobody can read is not known
    if need.path in places:
        return False
    return True if places - {None, ""} else (None if None in places else False)


@dataclass(frozen=True)
class _Then:
    """Where fields stood at commits of before."""

    repository: Repository
    config: Config

    def taken(self, tip: Tip, path: str, like: Likeness) -> str | None:
        """Return the commit that took a field, which is not there, from a file; None if none did.

        That may have been more commits ago than are looked at.
        """
        commit = None
        for change, has_it in self._versions(tip, path, like):
            if has_it:
                return commit
            commit = change
        return None

    def place(self, before: str, tip: Tip, path: str, like: Likeness) -> str | None:
        """Return the file in which a field stood at a commit, "" where it came later.

        None where that is not known: it was moved too often, or more than one may be it.
        """
        for _ in range(MOST_MOVES + 1):
            if self.having(before, [path], like):
                return path
            versions = self._versions(tip, path, like)
            *_, commit = (change for change, _has_it in takewhile(itemgetter(1), versions))
            at, tip = replace(tip, commit=commit), replace(tip, commit=f"{commit}~1")
            paths = [one for one, _is_there, _change in self.repository.changes(at, 1)]
            was = self.having(tip.commit, paths, like) - self.having(commit, paths, like)
            if len(was) != 1:
                return None if was else ""
            [path] = was
        return None

    def having(self, commit: str, paths: Iterable[str], like: Likeness) -> set[str]:
        """Return those of some files that have a field, as they are at a commit."""
        entries = [e for e in self.repository.list_files(commit, paths) if is_manifest(e.path)]
        files = read_files(self.repository, entries)
        found = set()
        for path, data in files.items():
            with suppress(ManifestError):  # of other files, a template, say
                if self._has(path, data, like):
                    found.add(path)
        return found

    def _versions(self, tip: Tip, path: str, like: Likeness) -> Iterator[tuple[str, bool]]:
        """Yield the commits that changed a file, newest first, and whether it has a field then.

        Raises `ManifestError` where a version cannot be read.
        """
        versions = self.repository.versions(tip, path, LAST_LOOK)
        blobs = self.repository.read(change.oid for is_there, change in versions if is_there)
        for is_there, change in versions:
            yield change.commit, is_there and self._has(path, blobs[change.oid], like)

    def _has(self, path: str, data: bytes, like: Likeness) -> bool:
        settings = [self.config.settings(name) for name in self.config.services]
        kinds = {kind: place for one in settings for kind, place in one.kinds.items()}
        pointers = tuple({pointer for one in settings for pointer in one.fields})
        found = find_fields(parse_once(path, data), kinds, pointers)
        return any(like.fits(likeness_of(field)) for field in found)
