"""What the commits of the manifests repository tell of a service: bounded, newest first.

This tool's trailers count where they name the image that the commit left in the manifest; else it
is an edit by its author: by a person, another tool, a merge or a revert.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from gitops_rollback.errors import ManifestError
from gitops_rollback.late import replace
from gitops_rollback.ledger.events import HistoryEntry, agree
from gitops_rollback.ledger.message import read_trailers
from gitops_rollback.manifest.document import parse_once
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.image_field import KUSTOMIZE, SUBSTITUTION
from gitops_rollback.repo.objects import Tip
from gitops_rollback.repo.repository import FIRST_LOOK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.message import Told
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.repo.objects import PathChange
    from gitops_rollback.repo.repository import Repository

    Entries = tuple[HistoryEntry, ...]
    IsEnough = Callable[[Sequence[HistoryEntry]], bool]

# How many commits are looked at: few first, for each of them costs the server.
DEPTHS = (FIRST_LOOK, 1000)
_MOST_MOVES = 5  # of a file, that are followed
_MOST_REMOVED = 50  # files that a commit takes away, and that are looked at


def walk(repository: Repository, at: ServiceAtTip, is_enough: IsEnough) -> Entries:
    """Walk back for one service; see `walk_all`."""
    return walk_all(repository, [(at, is_enough)])[0]


def walk_all(
    repository: Repository, wanted: Sequence[tuple[ServiceAtTip, IsEnough]]
) -> list[Entries]:
    """Walk back until there is enough, at most `DEPTHS[-1]` commits of the branch.

    One walk for all services, which stand at one tip. The first of a service's files stands for
    all of them: one commit changes them together.
    """
    found: dict[int, Entries] = {}
    versions = _Versions({})
    waiting = list(enumerate(wanted))
    for depth in DEPTHS if waiting else ():
        paths = dict.fromkeys(_path(at) for _index, (at, _is_enough) in waiting)
        changes = repository.histories(wanted[0][0].tip, paths, depth)
        versions.add(repository.read(c.oid for path in paths for c in changes[path]))
        for index, (at, _is_enough) in waiting:
            found[index] = _entries(changes[_path(at)], versions, at)
        waiting = [(index, one) for index, one in waiting if not one[1](found[index])]
        if not waiting:
            break
    removed = cache(partial(repository.removed_in, endings=(".yaml", ".yml")))
    for index, (at, is_enough) in waiting:
        found[index] = _before_moves(repository, at, found[index], is_enough, removed)
    return [found[index] for index in range(len(wanted))]


def _before_moves(
    repository: Repository,
    at: ServiceAtTip,
    entries: Entries,
    is_enough: IsEnough,
    removed_in: Callable[[str], dict[str, str]],
) -> Entries:
    """Go on below the commits that gave the file its name, where it had another one before.

    `removed_in` is asked once for each commit: one may have brought the files of many services.
    """
    for _ in range(_MOST_MOVES):
        if not entries or entries[-1].is_oldest or is_enough(entries):
            break
        commit = entries[-1].commit
        older = _before_move(repository, at, commit, removed_in(commit))
        if not older:
            break
        entries += older
    return entries


def _before_move(
    repository: Repository, at: ServiceAtTip, commit: str, removed: Mapping[str, str]
) -> Entries:
    """Return what ran before a commit in the one file that it took away and that was this one.

    It was this one if it has the field: the same kind, name and container, and image repository.
    """
    if not 0 < len(removed) <= _MOST_REMOVED:
        return ()
    versions = _Versions(repository.read(removed.values()))
    was = [path for path, oid in removed.items() if _holds(versions.parsed(_path(at), oid), at)]
    if len(was) != 1:
        return ()
    before = Tip(at.tip.branch, f"{commit}^1")
    changes = repository.histories(before, was, DEPTHS[-1])[was[0]]
    return _entries(changes, _Versions(repository.read(change.oid for change in changes)), at)


def read_entries(
    changes: Iterable[PathChange], blobs: Mapping[str, bytes], at: ServiceAtTip
) -> Entries:
    """Return what the commits tell that changed a service's first file; both are newest first."""
    return _entries(changes, _Versions(blobs), at)


def _entries(changes: Iterable[PathChange], versions: _Versions, at: ServiceAtTip) -> Entries:
    read = (_entry(change, versions, at) for change in changes)
    return tuple(entry for entry in read if entry is not None)


def _holds(file: ParsedFile | None, at: ServiceAtTip) -> bool:
    return file is not None and _image_in(file, at) is not None


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


def _path(at: ServiceAtTip) -> str:
    return at.found.fields[0].path


def _entry(change: PathChange, versions: _Versions, at: ServiceAtTip) -> HistoryEntry | None:
    file = versions.parsed(_path(at), change.oid)
    image = _image_in(file, at) if file is not None else None
    if image is None:
        return None
    told = read_trailers(change.message, at.service, at.environment)
    told = told if told is not None and _fits(told, image) else None
    return HistoryEntry(change.commit, change.at, change.by, image, told, change.is_oldest)


def _fits(told: Told, image: ImageReference) -> bool:
    return agree(told.to, image) and told.from_image.full_repository == image.full_repository


def _image_in(file: ParsedFile, at: ServiceAtTip) -> ImageReference | None:
    """Return the service's image in an earlier version of its first file, if it has one."""
    wanted = at.found.fields[0]
    try:
        fields = _fields_in(file, at)
    except ManifestError:
        return None  # a version that nobody could deploy is no deployment
    for candidate in fields:
        image = candidate.image
        same_place = candidate.recorded_key == wanted.recorded_key
        if same_place and image and image.full_repository == at.found.image.full_repository:
            return image
    return None


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
