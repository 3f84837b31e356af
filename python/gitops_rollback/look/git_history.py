"""What the commits of the manifests repository tell of a service: bounded, newest first.

This tool's trailers count where they name the image that the commit left in the manifest; else it
is an edit by its author: by a person, another tool, a merge or a revert.
"""

from __future__ import annotations

from functools import cache, cached_property, partial
from itertools import islice, takewhile
from operator import itemgetter
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
from gitops_rollback.repo.repository import FIRST_LOOK, LAST_LOOK, MOST_MOVES
from gitops_rollback.services.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.effective.resolve import EffectiveFields
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.message import Told
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.repo.objects import PathChange
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.services.catalogue import ServiceFields

    Entries = tuple[HistoryEntry, ...]
    IsEnough = Callable[[Sequence[HistoryEntry]], bool]

# How many commits are looked at: few first, for each of them costs the server.
DEPTHS = (FIRST_LOOK, LAST_LOOK)
_MOST_STEPS = 3  # to an earlier image, that are held against what took effect
_MOST_REMOVED = 50  # files that a commit takes away, and that are looked at


def walk_all(
    repository: Repository, config: Config, wanted: Sequence[tuple[ServiceAtTip, IsEnough]]
) -> list[Entries]:
    """Walk back until there is enough, at most `DEPTHS[-1]` commits of the branch.

    One walk for all services, which stand at one tip and have this configuration.
    """
    past = _Past(repository, config)
    trails: dict[int, _Trail] = {}
    waiting = list(enumerate(wanted))
    for depth in DEPTHS:
        if not waiting:
            break
        found = past.trails([at for _index, (at, _is_enough) in waiting], depth)
        trails |= {index: trail for (index, _one), trail in zip(waiting, found, strict=True)}
        waiting = [(index, one) for index, one in waiting if not one[1](trails[index].entries)]
    entries = {index: trail.entries for index, trail in trails.items()}
    for index, (at, is_enough) in waiting:
        entries[index] = past.before_moves(at, trails[index], is_enough)
    only = {i: _Account(at, entries[i]) for i, (at, _e) in enumerate(wanted) if at.state is None}
    entries |= past.held_back({i: account for i, account in only.items() if account.rest})
    return [entries[index] for index in range(len(wanted))]


@dataclass(frozen=True)
class _Trail:
    """What commits tell of a field, newest first, and the field as the oldest of them had it."""

    entries: Entries
    field: ImageField


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


class _Past:
    """Services as they were: what the files of their fields held, and what took effect."""

    def __init__(self, repository: Repository, config: Config) -> None:
        self._repository = repository
        self._config = config
        self._versions = _Versions()
        self._tip: Tip | None = None
        # Asked once for each commit: one may have brought the files of many services.
        self._removed_in = cache(partial(repository.removed_in, endings=(".yaml", ".yml")))

    def trails(self, services: Sequence[ServiceAtTip], depth: int = DEPTHS[-1]) -> list[_Trail]:
        """Follow the fields of services, which stand at one tip, through their files' versions."""
        tip = services[0].tip
        self._tip = self._tip or tip
        paths = dict.fromkeys(field.path for at in services for field in at.found.fields)
        changes = self._repository.histories(tip, paths, depth)
        self._versions.add(self._repository.read(c.oid for one in changes.values() for c in one))
        return [
            self._together(
                [_entries(changes[f.path], self._versions, at, f) for f in at.found.fields]
            )
            for at in services
        ]

    def _together(self, trails: Sequence[_Trail]) -> _Trail:
        """Return what commits tell of several fields: what all that were there then had.

        Where they named different images, nobody knows what ran; what was before a field came, the
        others tell.
        """
        if len(trails) == 1:
            return trails[0]
        order = {commit: number for number, commit in enumerate(self._commits)}
        told = [[(order.get(e.commit, len(order)), e) for e in trail.entries] for trail in trails]
        found: dict[int, HistoryEntry] = {}
        for number, entry in sorted((one for each in told for one in each), key=itemgetter(0)):
            stood = (next((e for n, e in each if n >= number), None) for each in told)
            if all(agree(entry.image, one.image) for one in stood if one is not None):
                known = found.setdefault(number, entry)
                found[number] = known if known.image.digest else entry
        oldest = max(range(len(told)), key=lambda i: told[i][-1][0] if told[i] else -1)
        return _Trail(tuple(found.values()), trails[oldest].field)

    @cached_property
    def _commits(self) -> dict[str, dict[str, tuple[bool, PathChange]]]:
        """What the newest commits changed, newest first, by path."""
        assert self._tip is not None  # noqa: S101 - asked of what was read there
        commits: dict[str, dict[str, tuple[bool, PathChange]]] = {}
        for path, is_there, change in self._repository.changes(self._tip, DEPTHS[-1]):
            commits.setdefault(change.commit, {})[path] = is_there, change
        return commits

    # What ran before a file had its name, or an overlay its entry

    def before_moves(self, at: ServiceAtTip, trail: _Trail, is_enough: IsEnough) -> Entries:
        """Go on below the commits that gave the file its name, where it had another one before."""
        entries = trail.entries
        for _ in range(MOST_MOVES):
            if not entries or entries[-1].is_oldest or is_enough(entries):
                break
            commit, wanted = entries[-1].commit, trail.field
            trail = self._before_move(at, wanted, commit)
            if not trail.entries and wanted.form == KUSTOMIZE:
                at, trail = self._before_overlay(at, wanted, commit)
            if not trail.entries:
                break
            entries += trail.entries
        return entries

    def _before_move(self, at: ServiceAtTip, wanted: ImageField, commit: str) -> _Trail:
        """Return what ran before a commit in the one file that it took away and that was this one.

        It was this one if it has the field: the same kind, name and container, and repository.
        """
        removed = self._removed_in(commit)
        nothing = _Trail((), wanted)
        if not 0 < len(removed) <= _MOST_REMOVED:
            return nothing
        self._versions.add(self._repository.read(removed.values()))
        was = [
            path
            for path, oid in removed.items()
            if _field_in(self._versions.fields(oid, at, wanted), wanted) is not None
        ]
        if len(was) != 1:
            return nothing
        tip = Tip(at.tip.branch, f"{commit}^1")
        changes = self._repository.histories(tip, was, DEPTHS[-1])[was[0]]
        self._versions.add(self._repository.read(change.oid for change in changes))
        return _entries(changes, self._versions, at, wanted)

    def _before_overlay(
        self, at: ServiceAtTip, wanted: ImageField, commit: str
    ) -> tuple[ServiceAtTip, _Trail]:
        """Return what ran before a commit that brought an overlay's entry, by what had effect."""
        [before] = self._as_at([at], f"{commit}^1")
        is_sure = before is not None and _is_sure(before)
        if before is None or not is_sure or not _is_of_repository(before.found.fields[0], wanted):
            return at, _Trail((), wanted)
        return before, self.trails([before])[0]

    # What took effect besides

    def held_back(self, accounts: dict[int, _Account]) -> dict[int, Entries]:
        """Correct what ran before the newest images, of services of which only commits tell.

        A commit that changed other manifests besides, or an overlay, may have taken the effect from
        another field than the one that is followed; so may one that changed those alone, since.
        """
        for _ in range(_MOST_STEPS):
            open_ = {i: account for i, account in accounts.items() if account.rest}
            later = self._came_later(open_)
            accounts |= later
            accounts |= self._one_step({i: one for i, one in open_.items() if i not in later})
        return {i: account.told + account.rest for i, account in accounts.items()}

    def _came_later(self, accounts: Mapping[int, _Account]) -> dict[int, _Account]:
        """Return accounts whose newest image took effect by a later commit than their file's.

        The image that ran before the newest of the commits that decided it goes on below it. Where
        that is not sure, or there are more than are looked at, nobody knows what ran if another did
        once the file had the image.
        """
        deciding = {i: self._newest_deciding(account) for i, account in accounts.items()}
        found: dict[int, _Account] = {}
        unsure = {i for i, changes in deciding.items() if len(changes) > _MOST_STEPS}
        for place in range(_MOST_STEPS):
            asked = {
                i: (accounts[i].at, f"{changes[place].commit}^1")
                for i, changes in deciding.items()
                if place < len(changes) and i not in found
            }
            for i, before in self._read(asked).items():
                account, change = accounts[i], deciding[i][place]
                if before is None or not _is_sure(before):
                    unsure.add(i)
                elif before.found.image != account.rest[0].image:
                    entry = HistoryEntry(change.commit, change.at, change.by, account.rest[0].image)
                    rest = self.trails([before])[0].entries
                    found[i] = _Account(before, rest, (*account.told, entry), change.commit)
        last = {i: (accounts[i].at, accounts[i].newest[-1].commit) for i in unsure - found.keys()}
        for i, then in self._read(last).items():
            account = accounts[i]
            if then is not None and then.found.image != account.rest[0].image:
                found[i] = replace(account, told=account.told + account.newest, rest=())
        return found

    def _one_step(self, accounts: Mapping[int, _Account]) -> dict[int, _Account]:
        """Settle the newest image of services, and correct what ran before it."""
        asked, done = {}, {}
        for i, account in accounts.items():
            commit = account.newest[-1].commit
            done[i] = account.settled(commit)
            others = self._commits.get(commit, {}).keys() - _plain_paths(account.at)
            is_brought = not done[i].rest and account.at.found.fields[0].form == KUSTOMIZE
            if is_brought or (done[i].rest and any(map(is_manifest, others))):
                asked[i] = (account.at, f"{commit}^1")
        for i, before in self._read(asked).items():
            told = [entry.image for entry in done[i].rest[:1]]
            if before is None or before.found.image in told:
                continue
            rest = self.trails([before])[0].entries if _is_sure(before) else ()
            done[i] = replace(done[i], at=before, rest=rest)
        return done

    def _newest_deciding(self, account: _Account) -> list[PathChange]:
        """List those of `_deciding` that are looked at, and one more if there are more."""
        return list(islice(self._deciding(account), _MOST_STEPS + 1))

    def _deciding(self, account: _Account) -> Iterator[PathChange]:
        """Yield commits after the one that brought an image which changed what else decides it.

        That is what its effect rests on now, and what was there and is no more.
        """
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

    # Services at a commit

    def _read(
        self, asked: Mapping[int, tuple[ServiceAtTip, str]]
    ) -> dict[int, ServiceAtTip | None]:
        """Return services as they were at commits: one may have changed many services."""
        by_commit: dict[str, list[int]] = {}
        for index, (_at, commit) in asked.items():
            by_commit.setdefault(commit, []).append(index)
        found: dict[int, ServiceAtTip | None] = {}
        for commit, indices in by_commit.items():
            read = self._as_at([asked[index][0] for index in indices], commit)
            found |= dict(zip(indices, read, strict=True))
        return found

    def _as_at(self, services: Sequence[ServiceAtTip], commit: str) -> list[ServiceAtTip | None]:
        """Return services as they were at a commit; None where they cannot be read.

        By the configuration of then, where there was one and they are found by it, else by today's.
        """
        tip = Tip(services[0].tip.branch, commit)
        names = tuple(at.service for at in services)
        request = Request(names, services[0].environment, tip.branch, without_states=True)
        found = _read_at(self._repository, None, request, tip)
        left = tuple(name for name in names if name not in found)
        found |= _read_at(self._repository, self._config, replace(request, names=left), tip)
        return [found.get(name) for name in names]


def _plain_paths(at: ServiceAtTip) -> frozenset[str]:
    """Return the files in which a change of the service's field takes the effect from no other."""
    return frozenset(field.path for field in at.found.fields if field.form != KUSTOMIZE)


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


def read_entries(
    changes: Iterable[PathChange], blobs: Mapping[str, bytes], at: ServiceAtTip
) -> Entries:
    """Return what the commits tell that changed a service's first file; both are newest first."""
    versions = _Versions()
    versions.add(blobs)
    return _entries(changes, versions, at, at.found.fields[0]).entries


def _entries(
    changes: Iterable[PathChange], versions: _Versions, at: ServiceAtTip, wanted: ImageField
) -> _Trail:
    """Follow a field back through the versions of its file, newest first, by the names it had."""
    entries: list[HistoryEntry] = []
    newer: Sequence[ImageField] = ()
    shown = wanted  # as it is named today
    # Where somebody wrote another repository, the field is known by what the state file names.
    known = {image.full_repository for image in at.account.images}
    for change in changes:
        fields = versions.fields(change.oid, at, shown)
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

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._parsed: dict[tuple[str, str], ParsedFile | None] = {}
        self._effective: dict[tuple[int, int], tuple[EffectiveFields, EffectiveFields]] = {}

    def add(self, blobs: Mapping[str, bytes]) -> None:
        """Add further versions, by the ids of their objects."""
        self._blobs.update(blobs)

    def _at(self, path: str, oid: str) -> ParsedFile | None:
        """Return a version, None if it cannot be read: nobody could deploy it."""
        if (path, oid) not in self._parsed:
            try:
                self._parsed[path, oid] = parse_once(path, self._blobs[oid])
            except ManifestError:
                self._parsed[path, oid] = None
        return self._parsed[path, oid]

    def _live(self, file: ParsedFile, found: ServiceFields) -> Sequence[ImageField]:
        """Return what takes effect with a version of a file, once for all services beside it."""
        now = found.effective_in(found.manifests)
        key = (id(file), id(now))  # both are kept: no other ones get these ids
        if key not in self._effective:
            there = found.manifests.with_files({file.path: file})
            self._effective[key] = now, found.effective_in(there)
        return self._effective[key][1].live

    def fields(self, oid: str, at: ServiceAtTip, present: ImageField) -> Sequence[ImageField]:
        """Return the fields of a version of the file that a service's field stands in at present.

        They are named as overlays name that one; a version that nobody could deploy has none.
        """
        file, found = self._at(present.path, oid), at.found
        if file is None:
            return ()
        try:
            if present.form == SUBSTITUTION:  # only what uses the variable makes it an image
                return self._live(file, found)
            fields = find_fields(file, found.settings.kinds, found.settings.fields)
        except ManifestError:
            return ()
        if present.shown_name is None or present.form == KUSTOMIZE:
            return fields
        return tuple(replace(field, shown_name=present.shown_name) for field in fields)


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
