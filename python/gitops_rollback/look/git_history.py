"""What the commits of the manifests repository tell of a service: bounded, newest first.

This tool's trailers count where they name the image that the commit left in the manifest; else it
is an edit by its author: by a person, another tool, a merge or a revert.
"""

from __future__ import annotations

from functools import cache, partial
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from gitops_rollback.decide.standing import names_of
from gitops_rollback.errors import GitopsRollbackError, ManifestError
from gitops_rollback.late import dataclass, replace
from gitops_rollback.ledger.events import HistoryEntry, agree
from gitops_rollback.ledger.message import read_trailers, trailers_of
from gitops_rollback.look.environment_files import is_manifest
from gitops_rollback.look.snapshot import read_config, read_snapshot
from gitops_rollback.manifest.document import parse_once
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.image_field import KUSTOMIZE, SUBSTITUTION
from gitops_rollback.model import Request
from gitops_rollback.repo.objects import Tip
from gitops_rollback.repo.repository import FIRST_LOOK
from gitops_rollback.services.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.message import Told
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.repo.objects import PathChange
    from gitops_rollback.repo.repository import Repository

    Entries = tuple[HistoryEntry, ...]
    IsEnough = Callable[[Sequence[HistoryEntry]], bool]
    Changed = tuple[str, bool, PathChange]  # a path, and whether it is there after that
    Then = tuple[ServiceAtTip, str]  # a service, and a commit

# How many commits are looked at: few first, for each of them costs the server.
DEPTHS = (FIRST_LOOK, 1000)
_MOST_STEPS = 3  # to an earlier image, that are held against what took effect
_MOST_MOVES = 5  # of a file, that are followed
_MOST_REMOVED = 50  # files that a commit takes away, and that are looked at


def walk_all(
    repository: Repository, config: Config, wanted: Sequence[tuple[ServiceAtTip, IsEnough]]
) -> list[Entries]:
    """Walk back until there is enough, at most `DEPTHS[-1]` commits of the branch.

    One walk for all services, which stand at one tip and have this configuration. The first of a
    service's files stands for all of them: one commit changes them together.
    """
    found: dict[int, Entries] = {}
    versions = _Versions({})
    trails: dict[int, _Trail] = {}
    waiting = list(enumerate(wanted))
    for depth in DEPTHS if waiting else ():
        paths = dict.fromkeys(_path(at) for _index, (at, _is_enough) in waiting)
        changes = repository.histories(wanted[0][0].tip, paths, depth)
        versions.add(repository.read(c.oid for path in paths for c in changes[path]))
        for index, (at, _is_enough) in waiting:
            trails[index] = _entries(changes[_path(at)], versions, at, at.found.fields[0])
            found[index] = trails[index].entries
        waiting = [(index, one) for index, one in waiting if not one[1](found[index])]
        if not waiting:
            break
    removed = cache(partial(repository.removed_in, endings=(".yaml", ".yml")))
    for index, (at, is_enough) in waiting:
        found[index] = _before_moves(repository, config, at, trails[index], is_enough, removed)
    _hold_back(repository, config, wanted, found)
    return [found[index] for index in range(len(wanted))]


@dataclass(frozen=True)
class _Account:
    """What commits tell of one service, while it is held against what took effect.

    `told` is settled, newest first; `rest` is what its file tells to have run before, up to a
    commit (None: the tip). `at` is the service as it stood then.
    """

    at: ServiceAtTip
    rest: Entries
    told: Entries = ()
    upto: str | None = None

    @property
    def newest(self) -> Entries:
        """The newest entries that are not settled, of one image."""
        return tuple(takewhile(lambda entry: entry.image == self.rest[0].image, self.rest))

    def settled(self, commit: str) -> _Account:
        """Return it with its newest image settled, which a commit brought."""
        newest = self.newest
        return replace(self, told=self.told + newest, rest=self.rest[len(newest) :], upto=commit)


def _hold_back(
    repository: Repository,
    config: Config,
    wanted: Sequence[tuple[ServiceAtTip, IsEnough]],
    found: dict[int, Entries],
) -> None:
    """Correct what ran before the newest images, of services of which only commits tell.

    A commit that changed other manifests besides, or an overlay, may have taken the effect from
    another field than the one that is followed; so may one that changed those alone, since.
    """
    accounts = {
        i: _Account(at, found[i])
        for i, (at, _is_enough) in enumerate(wanted)
        if at.state is None and found[i]
    }
    if not accounts:
        return
    past = _Past(repository, config, repository.changes(wanted[0][0].tip, DEPTHS[-1]))
    for _ in range(_MOST_STEPS):
        open_ = {i: account for i, account in accounts.items() if account.rest}
        deciding = {i: past.deciding(account) for i, account in open_.items()}
        later = past.where_another_ran(open_, deciding)
        accounts |= {i: past.since(open_[i], then, deciding[i]) for i, then in later.items()}
        accounts |= past.one_step({i: one for i, one in open_.items() if i not in later})
    found |= {i: account.told + account.rest for i, account in accounts.items()}


class _Past:
    """What the newest commits changed, newest first, and services as they were then."""

    def __init__(
        self,
        repository: Repository,
        config: Config,
        changes: Sequence[tuple[str, bool, PathChange]],
    ) -> None:
        self._repository = repository
        self._config = config
        self._commits: dict[str, dict[str, tuple[bool, PathChange]]] = {}
        for path, is_there, change in changes:
            self._commits.setdefault(change.commit, {})[path] = is_there, change

    def where_another_ran(
        self, accounts: Mapping[int, _Account], deciding: Mapping[int, list[PathChange]]
    ) -> dict[int, ServiceAtTip]:
        """Return services as of the commit that brought their image, where another ran for all."""
        asked = {i: (one.at, one.newest[-1].commit) for i, one in accounts.items() if deciding[i]}
        then = self._read(asked)
        return {
            i: at
            for i, at in then.items()
            if at is not None and at.found.image != accounts[i].rest[0].image
        }

    def since(
        self, account: _Account, then: ServiceAtTip, deciding: Sequence[PathChange]
    ) -> _Account:
        """Return the account where the image of the file took effect by a later commit only.

        Where what took effect is not sure, nobody knows what ran.
        """
        image, at = account.rest[0].image, account.at
        nobody_knows = replace(account, told=account.told + account.newest, rest=())
        if not _is_sure(then):
            return nobody_knows
        for change in deciding:
            [before] = _as_at(self._repository, self._config, [at], f"{change.commit}^1")
            if before is None or not _is_sure(before):
                break
            if before.found.image != image:
                entry = HistoryEntry(change.commit, change.at, change.by, image)
                rest = self._trail_of(before)
                return _Account(before, rest, (*account.told, entry), change.commit)
        return nobody_knows

    def one_step(self, accounts: Mapping[int, _Account]) -> dict[int, _Account]:
        """Settle the newest image of services, and correct what ran before it."""
        asked, done = {}, {}
        for i, account in accounts.items():
            commit = account.newest[-1].commit
            done[i] = account.settled(commit)
            others = self._commits.get(commit, {}).keys() - _plain_paths(account.at)
            if done[i].rest and any(map(is_manifest, others)):
                asked[i] = (account.at, f"{commit}^1")
        for i, before in self._read(asked).items():
            if before is None or before.found.image == done[i].rest[0].image:
                continue
            is_known = _is_sure(before)
            rest = self._trail_of(before) if is_known else ()
            done[i] = replace(done[i], at=before, rest=rest)
        return done

    def deciding(self, account: _Account) -> list[PathChange]:
        """List commits after the one that brought an image which changed what else decides it.

        That is what its effect rests on now, and what was there and is no more. The newest only.
        """
        return list(islice(self._deciding(account), _MOST_STEPS))

    def _deciding(self, account: _Account) -> Iterator[PathChange]:
        at, commits = account.at, list(self._commits)
        last = account.newest[-1].commit
        if last not in self._commits:
            return
        begin = commits.index(account.upto) + 1 if account.upto in self._commits else 0
        own = {field.path for field in at.found.fields}
        effect = at.found.effective_in(at.found.manifests).effect
        deciders = {*effect.paths_of(field.key for field in at.found.fields)} - own
        for commit in commits[begin : commits.index(last)]:
            for path, (is_there, change) in self._commits[commit].items():
                if path in deciders or not (is_there or path in own or not is_manifest(path)):
                    yield change
                    break

    def _read(
        self, asked: Mapping[int, tuple[ServiceAtTip, str]]
    ) -> dict[int, ServiceAtTip | None]:
        """Return services as they were at commits: one may have changed many services."""
        by_commit: dict[str, list[int]] = {}
        for index, (_at, commit) in asked.items():
            by_commit.setdefault(commit, []).append(index)
        found: dict[int, ServiceAtTip | None] = {}
        for commit, indices in by_commit.items():
            services = [asked[index][0] for index in indices]
            read = _as_at(self._repository, self._config, services, commit)
            found |= dict(zip(indices, read, strict=True))
        return found

    def _trail_of(self, at: ServiceAtTip) -> Entries:
        return _trail_before(self._repository, at, at.found.fields[0], _path(at)).entries


def _plain_paths(at: ServiceAtTip) -> frozenset[str]:
    """Return the files in which a change of the service's field takes the effect from no other."""
    return frozenset(field.path for field in at.found.fields if field.form != KUSTOMIZE)


def _before_moves(
    repository: Repository,
    config: Config,
    at: ServiceAtTip,
    trail: _Trail,
    is_enough: IsEnough,
    removed_in: Callable[[str], dict[str, str]],
) -> Entries:
    """Go on below the commits that gave the file its name, where it had another one before.

    `removed_in` is asked once for each commit: one may have brought the files of many services.
    """
    entries = trail.entries
    for _ in range(_MOST_MOVES):
        if not entries or entries[-1].is_oldest or is_enough(entries):
            break
        commit, wanted = entries[-1].commit, trail.field
        trail = _before_move(repository, at, wanted, commit, removed_in(commit))
        if not trail.entries and wanted.form == KUSTOMIZE:
            at, trail = _before_overlay(repository, config, at, wanted, commit)
        if not trail.entries:
            break
        entries += trail.entries
    return entries


def _before_overlay(
    repository: Repository, config: Config, at: ServiceAtTip, wanted: ImageField, commit: str
) -> tuple[ServiceAtTip, _Trail]:
    """Return what ran before a commit that brought an overlay's entry, by what had effect then."""
    [before] = _as_at(repository, config, [at], f"{commit}^1")
    is_sure = before is not None and _is_sure(before)
    if before is None or not is_sure or not _is_of_repository(before.found.fields[0], wanted):
        return at, _Trail((), wanted)
    return before, _trail_before(repository, before, before.found.fields[0], _path(before))


def _as_at(
    repository: Repository, config: Config, services: Sequence[ServiceAtTip], commit: str
) -> list[ServiceAtTip | None]:
    """Return services as they were at a commit; None where they cannot be read.

    By the configuration of then, where there was one and they are found by it, else by today's.
    """
    tip = Tip(services[0].tip.branch, commit)
    names = tuple(at.service for at in services)
    request = Request(names, services[0].environment, tip.branch, without_states=True)
    found = _read_at(repository, None, request, tip)
    left = tuple(name for name in names if name not in found)
    found |= _read_at(repository, config, replace(request, names=left), tip)
    return [found.get(name) for name in names]


def _read_at(
    repository: Repository, config: Config | None, request: Request, tip: Tip
) -> dict[str, ServiceAtTip]:
    """Return those services of a request that can be read; none without a configuration."""
    names = request.names
    if not names:
        return {}
    try:
        known = config or read_config(repository, tip)
        if config is None and known == Config():
            return {}
        snapshot = read_snapshot(repository, request, tip, config=known)
    except GitopsRollbackError:  # whatever it was: then nothing is told of it
        half = len(names) // 2  # one that was not there then leaves the others
        parts = (names[:half], names[half:]) if half else ()
        read = [_read_at(repository, config, replace(request, names=p), tip) for p in parts]
        return {name: at for one in read for name, at in one.items()}
    return {at.service: at for at in snapshot.services} if snapshot.tip == tip else {}


def _is_sure(at: ServiceAtTip) -> bool:
    """Tell whether the image that the fields name is what took effect."""
    effect = at.found.effective_in(at.found.manifests).effect
    landed = effect.decided_by(field.key for field in at.found.fields)
    return bool(landed) and not any(image.unknowns for image in landed)


def _trail_before(
    repository: Repository, at: ServiceAtTip, wanted: ImageField, path: str
) -> _Trail:
    changes = repository.histories(at.tip, [path], DEPTHS[-1])[path]
    versions = _Versions(repository.read(change.oid for change in changes))
    return _entries(changes, versions, at, wanted)


def _before_move(
    repository: Repository,
    at: ServiceAtTip,
    wanted: ImageField,
    commit: str,
    removed: Mapping[str, str],
) -> _Trail:
    """Return what ran before a commit in the one file that it took away and that was this one.

    It was this one if it has the field: the same kind, name and container, and image repository.
    """
    nothing = _Trail((), wanted)
    if not 0 < len(removed) <= _MOST_REMOVED:
        return nothing
    versions = _Versions(repository.read(removed.values()))
    was = [
        path
        for path, oid in removed.items()
        if _field_in(versions.fields(_path(at), oid, at), wanted) is not None
    ]
    if len(was) != 1:
        return nothing
    before = replace(at, tip=Tip(at.tip.branch, f"{commit}^1"))
    return _trail_before(repository, before, wanted, was[0])


def read_entries(
    changes: Iterable[PathChange], blobs: Mapping[str, bytes], at: ServiceAtTip
) -> Entries:
    """Return what the commits tell that changed a service's first file; both are newest first."""
    return _entries(changes, _Versions(blobs), at, at.found.fields[0]).entries


@dataclass(frozen=True)
class _Trail:
    """What commits tell of a field, newest first, and the field as the oldest of them had it."""

    entries: Entries
    field: ImageField


def _entries(
    changes: Iterable[PathChange], versions: _Versions, at: ServiceAtTip, wanted: ImageField
) -> _Trail:
    """Follow a field back through the versions of its file, newest first, by the names it had."""
    entries: list[HistoryEntry] = []
    newer: Sequence[ImageField] = ()
    # Where somebody wrote another repository, the field is known by what the state file names.
    known = {image.full_repository for image in at.account.images}
    for change in changes:
        fields = versions.fields(_path(at), change.oid, at)
        present = _field_in(fields, wanted) or _field_of(fields, wanted, known)
        if present is None and newer:
            present = _renamed(newer, fields, wanted)
        if present is None or present.image is None:
            newer = ()
            continue
        entries.append(_entry(change, present.image, at))
        newer, wanted = fields, present
    return _Trail(tuple(entries), wanted)


def _field_in(fields: Iterable[ImageField], wanted: ImageField) -> ImageField | None:
    """Return the field among those of an earlier version, by its names and image repository."""
    same = (one for one in fields if one.recorded_key == wanted.recorded_key)
    return next((one for one in same if _is_of_repository(one, wanted)), None)


def _field_of(
    fields: Iterable[ImageField], wanted: ImageField, repositories: Collection[str]
) -> ImageField | None:
    """Return the field at the very place of an earlier version, of one of some repositories."""
    for one in fields:
        is_there = (one.key, one.recorded_key) == (wanted.key, wanted.recorded_key)
        if is_there and one.image is not None and one.image.full_repository in repositories:
            return one
    return None


def _is_of_repository(one: ImageField, wanted: ImageField) -> bool:
    image, known = one.image, wanted.image
    return (
        image is not None and known is not None and image.full_repository == known.full_repository
    )


def _renamed(
    newer: Sequence[ImageField], older: Sequence[ImageField], wanted: ImageField
) -> ImageField | None:
    """Return the field that a commit gave the names it has in the newer version, if that is sure.

    One field went and one came with the same kind, place in the object, image repository, and name
    or container: it is that one. Where others of that kind went or came with it, nothing tells.
    """
    before, after = ({one.recorded_key for one in fields} for fields in (older, newer))
    gone = [one for one in older if one.recorded_key not in after and _may_be(one, wanted)]
    came = [one for one in newer if one.recorded_key not in before and _may_be(one, wanted)]
    is_sure = len(gone) == len(came) == 1 and came[0].recorded_key == wanted.recorded_key
    return gone[0] if is_sure else None


def _may_be(one: ImageField, wanted: ImageField) -> bool:
    has_name = one.name == wanted.name or one.container == wanted.container
    is_there = (one.kind, one.pointer) == (wanted.kind, wanted.pointer)
    return has_name and is_there and _is_of_repository(one, wanted)


class _Versions:
    """Earlier versions of files, each parsed once: several services may stand in one file."""

    def __init__(self, blobs: Mapping[str, bytes]) -> None:
        self._blobs = dict(blobs)
        self._parsed: dict[tuple[str, str], ParsedFile | None] = {}

    def add(self, blobs: Mapping[str, bytes]) -> None:
        """Add further versions, by the ids of their objects."""
        self._blobs.update(blobs)

    def parsed(self, path: str, oid: str) -> ParsedFile | None:
        """Return a version, None if it cannot be read: nobody could deploy it."""
        if (path, oid) not in self._parsed:
            try:
                self._parsed[path, oid] = parse_once(path, self._blobs[oid])
            except ManifestError:
                self._parsed[path, oid] = None
        return self._parsed[path, oid]

    def fields(self, path: str, oid: str, at: ServiceAtTip) -> Sequence[ImageField]:
        """Return the fields of a version; a version that nobody could deploy has none."""
        file = self.parsed(path, oid)
        try:
            return tuple(_fields_in(file, at)) if file is not None else ()
        except ManifestError:
            return ()


def _path(at: ServiceAtTip) -> str:
    return at.found.fields[0].path


def _entry(change: PathChange, image: ImageReference, at: ServiceAtTip) -> HistoryEntry:
    fitting = (told for told in _told(change.message, at) if _fits(told, image))
    told = next(fitting, None)
    return HistoryEntry(change.commit, change.at, change.by, image, told, change.is_oldest)


def _told(message: str, at: ServiceAtTip) -> Iterator[Told]:
    """Yield what a commit says of the service's fields, by its name of today, then by others.

    It was one commit that changed this very field: whatever service and environment were called.
    """
    own = read_trailers(message, at.service, at.environment)
    if own is not None:
        yield own
    yield from trailers_of(message, {at.service, *names_of(at.found.fields)})


def _fits(told: Told, image: ImageReference) -> bool:
    return agree(told.to, image) and told.from_image.full_repository == image.full_repository


def _fields_in(file: ParsedFile, at: ServiceAtTip) -> Iterable[ImageField]:
    """Return the fields of an earlier version, named as overlays name the present one."""
    found, wanted = at.found, at.found.fields[0]
    if wanted.form == SUBSTITUTION:  # only the manifest that uses the variable makes it an image
        earlier = found.manifests.with_files({file.path: file})
        return found.effective_in(earlier).live
    fields = find_fields(file, found.settings.kinds, found.settings.fields)
    if wanted.shown_name is None or wanted.form == KUSTOMIZE:
        return fields
    return tuple(replace(field, shown_name=wanted.shown_name) for field in fields)
