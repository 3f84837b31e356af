"""One account of what ran, merged from the state file, Git's commits and records. Pure.

Each event says which sources prove it and where they disagree. The order is that of the branch,
never that of clocks, which may disagree too.

The state file's deeds are the spine. Commits that it does not have stand above, between and below
them: edits by hand, deeds that were taken back, and what was before its oldest entry. Records are
given to the events that they are of, and what is older than all of them goes on below, chained by
what replaced what: so going back often loses no image.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass, replace
from gitops_rollback.ledger.events import (
    ARTIFACT,
    Event,
    agree,
    from_history,
    from_records,
    from_state,
    is_of_another_deed,
    is_unchanged,
)
from gitops_rollback.ledger.records import MissingRecord
from gitops_rollback.model import EDIT, without_none

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.events import HistoryEntry
    from gitops_rollback.ledger.records import Record, StoredRecord
    from gitops_rollback.ledger.state import State

REVERTED = "its commit is on the branch, but the state file does not have it: it was taken back"


@dataclass(frozen=True)
class Ledger:
    """What ran when, newest first, and the records of builds that never deployed."""

    events: tuple[Event, ...]
    never_deployed: tuple[StoredRecord, ...] = ()


def merge(
    running: ImageReference,
    state: State | None,
    history: Sequence[HistoryEntry],
    records: Sequence[StoredRecord],
    named: Mapping[str, StoredRecord | MissingRecord],
) -> Ledger:
    """Merge what each source tells of a service; `history` and `records` are newest first.

    `named` holds what the archive has where the state file names a record, by the hash it names.
    """
    known = with_commits(state, history)
    changed = [stored for stored in records if not stored.record.unchanged]
    known = [
        _looked_up(event, named[event.record or ""]) if event.record in named else event
        for event in known
    ]
    events, unclaimed, older = _with_records(known, changed)
    bottom = events[-1].from_image if events else running
    committed = {event.record for event in known if event.record}
    chained, _skipped = from_records(older, bottom, committed) if bottom else ((), ())
    events = _with_clocks([*events, *reversed(chained)])
    used = {event.record for event in chained}
    never = (stored for stored in (*unclaimed, *older) if stored.sha256 not in used)
    return Ledger(tuple(events), tuple(never))


def entry_to_json(event: Event) -> dict[str, Any]:
    """Return an event as it stands in the result of `history`."""
    return without_none(
        {
            "at": event.at,
            "action": event.action,
            "from": event.from_image.canonical if event.from_image else None,
            "to": event.image.canonical,
            "by": event.by,
            "reason": event.reason,
            "build": event.build.to_json() if event.build else None,
            "commit": event.commit,
            "proofs": sorted(event.proofs),
            "conflicts": list(event.conflicts),
        }
    )


def with_commits(
    state: State | None,
    history: Sequence[HistoryEntry],
    *,
    is_spine: bool = False,
    is_top: bool = False,
) -> list[Event]:
    """Give the state file's entries their commits; other commits are changes of their own.

    Both are newest first. A commit without trailers that carried several deeds (a squash) is that
    of the newest of them. Deeds that left no commit, since they were folded into one that changed
    nothing in the end, lie below the edits that came after them. `is_spine`: between its entries
    the state file counts alone, as it does where no history was read; and `is_top`: above them,
    since its newest deed left what stands there.
    """
    entries = list(reversed(from_state(state))) if state else []
    rest = _commits(history)
    merged: list[Event] = []
    place: int | None = 0
    is_below = False  # a deed that was found
    for number, entry in enumerate(entries):
        place = _place(entry, rest)
        if place is None and rest and _carried(rest[0], entries[number:]):
            place = 0
        if place is None:
            since = _since(entries, rest) if number == 0 and not is_top else []
            merged += [*since, entry]
            rest = rest[len(since) :]
            continue
        above = [_unless_told(commit) for commit in rest[:place]]
        if state and number == 0 and above:
            alike = [one for one in rest if _is_same(one, entry) and not one.image.digest]
            above[-1] = _after(above[-1], state, alike)
            above = _given_back(above, state)
        if not (is_spine and (is_top or is_below)):
            merged += above
        merged.append(_joined(entry, rest[place]))
        rest = rest[place + 1 :]
        is_below = True
    if place is None:
        rest = _below(entries[-1], rest)
    return merged + rest


def _since(entries: Sequence[Event], commits: Sequence[Event]) -> list[Event]:
    """Return the commits after a state file's newest deed, which left none of its own.

    It was folded into the newest that left the same image; where none did, all came after it that
    are above those of older deeds. Else an edit by hand to an image that ran once would be taken
    for the deploy of it.
    """
    alike = (place for place, one in enumerate(commits) if agree(one.image, entries[0].image))
    older = (place for one in entries[1:] if (place := _place(one, commits)) is not None)
    return [_unless_told(commit) for commit in commits[: next(alike, next(older, 0))]]


def is_placed(state: State | None, history: Sequence[HistoryEntry]) -> bool:
    """Tell whether a state file's newest deed is found among commits, the newest of which runs."""
    newest = state.newest if state else None
    if state is None or newest is None:
        return False
    top = from_state(state)[-1]
    return any(
        _is_same(commit, top) or is_unchanged(commit.image, newest.image)
        for commit in _commits(history)
    )


def reaches_below(state: State, history: Sequence[HistoryEntry]) -> int:
    """Return how many changes commits tell of that are older than a state file's oldest deed."""
    events = with_commits(state, history)
    own = {deed.id for deed in state.deployed}
    places = [place for place, event in enumerate(events) if event.deed.id in own]
    return len(events) - 1 - max(places, default=-1)


def _commits(history: Sequence[HistoryEntry]) -> list[Event]:
    """Return what commits changed, newest first.

    Where the fetch ends, a commit need not have changed anything: only trailers can tell.
    """
    events = list(reversed(from_history(history)))
    unsure = {entry.commit for entry in history if entry.is_oldest and entry.told is None}
    return [event for event in events if event.commit not in unsure]


def _place(entry: Event, commits: Sequence[Event]) -> int | None:
    """Find the commit that made an entry: the one that says so, else the newest that can be it."""
    named = (i for i, one in enumerate(commits) if entry.record and one.record == entry.record)
    alike = (i for i, one in enumerate(commits) if _is_same(one, entry))
    return next(named, next(alike, None))


def _is_same(commit: Event, entry: Event) -> bool:
    """Tell whether a commit is what made an entry of the state file."""
    if not agree(commit.image, entry.image):
        return False
    if commit.record is not None and entry.record is not None:
        return commit.record == entry.record
    return commit.action == EDIT and agree(commit.from_image, entry.from_image)


def _carried(commit: Event, entries: Sequence[Event]) -> bool:
    """Tell whether a commit without trailers carried some deeds, of which the first is newest."""
    first = entries[0]
    return (
        commit.action == EDIT
        and commit.from_image is not None
        and agree(commit.image, first.image)
        and any(
            entry.from_image is not None and agree(commit.from_image, entry.from_image)
            for entry in entries[1:]
        )
    )


def _below(oldest: Event, commits: list[Event]) -> list[Event]:
    """Return the commits from the newest on that left what the oldest entry replaced.

    What is above it is told by the entries, whose commits were not found. Where none left it, all
    that is known is that these came before.
    """
    before = oldest.from_image
    if before is None:
        return []
    found = (i for i, commit in enumerate(commits) if agree(commit.image, before))
    return commits[next(found, len(commits)) :]


def _after(event: Event, state: State, alike: Sequence[Event]) -> Event:
    """Return what came after a state file's newest deed, with the digest that its text meant.

    A commit without trailers (a squash) tells the text alone: a tag, where a service works with
    tags. `alike` are the commits that left it: of two, one may have been made by hand.
    """
    if len(alike) != 1 or not _wrote_tags(state):
        return event
    return _following(event, state.deployed[0].image)


def _given_back(above: Sequence[Event], state: State) -> list[Event]:
    """Return the commits after a state file's newest deed; the one that gave it back has its image.

    Where tags are written, what a revert left names no digest; the state file that came back with
    it does. Of two commits that left that tag, one may have been made by hand.
    """
    newest = state.deployed[0].image
    alike = [
        number
        for number, one in enumerate(above)
        if one.action == EDIT and not one.image.digest and agree(one.image, newest)
    ]
    taken = [number for number, one in enumerate(above) if REVERTED in one.conflicts]
    found = list(above)
    if not _wrote_tags(state) or len(alike) != 1 or not taken or alike[0] > taken[-1]:
        return found
    [place] = alike
    found[place] = replace(found[place], deed=replace(found[place].deed, image=newest))
    if place:
        found[place - 1] = _following(found[place - 1], newest)
    return found


def _following(event: Event, image: ImageReference) -> Event:
    return replace(event, deed=replace(event.deed, from_image=image))


def _wrote_tags(state: State) -> bool:
    """Tell whether a state file's newest deed wrote tags alone."""
    return bool(state.fields) and all("@" not in one.value for one in state.fields)


def _joined(entry: Event, commit: Event) -> Event:
    conflicts = entry.conflicts
    if not agree(commit.from_image, entry.from_image):
        conflicts += (f"its commit replaced {_name(commit.from_image)}",)
    return replace(
        entry,
        deed=replace(entry.deed, from_image=entry.from_image or commit.from_image),
        commit=commit.commit,
        proofs=entry.proofs | commit.proofs,
        conflicts=conflicts,
    )


def _unless_told(commit: Event) -> Event:
    """Mark a commit of this tool's that the state file, which is older and newer, does not have."""
    if commit.action == EDIT:
        return commit
    return replace(commit, conflicts=(*commit.conflicts, REVERTED))


def _with_records(
    events: Sequence[Event], records: Sequence[StoredRecord]
) -> tuple[list[Event], list[StoredRecord], list[StoredRecord]]:
    """Give events their records, by hash, else by build, else by what was replaced by what.

    Returns the events, the records that belong to none of them, and those that are older than all
    that do: these may tell of what was before.
    """
    claimed: dict[int, StoredRecord] = {}
    for belongs in (_by_hash, _by_build, _by_images):
        free = [stored for stored in records if stored not in claimed.values()]
        for number, event in enumerate(events):
            found = next((stored for stored in free if belongs(stored, event)), None)
            if number not in claimed and event.stored is None and found is not None:
                claimed[number] = found
                free.remove(found)
    merged = [
        _proven(event, claimed[number]) if number in claimed else event
        for number, event in enumerate(events)
    ]
    places = [records.index(stored) for stored in claimed.values()]
    end = max(places) + 1 if places else _first_older(events, records)
    unclaimed = [stored for stored in records[:end] if stored not in claimed.values()]
    return merged, unclaimed, list(records[end:])


def _by_hash(stored: StoredRecord, event: Event) -> bool:
    return event.record == stored.sha256


def _by_build(stored: StoredRecord, event: Event) -> bool:
    """Tell whether a build's archive holds a record: the one of its deploy, or another instead."""
    build = stored.record.build
    ours = event.build
    if build is None or ours is None or (build.job, build.number) != (ours.job, ours.number):
        return False
    if is_of_another_deed(stored.record, event.deed):
        return False
    return event.record is not None or _tells(stored.record, event)


def _by_images(stored: StoredRecord, event: Event) -> bool:
    return (
        event.record is None
        and stored.record.replaced_by is not None
        and (_tells(stored.record, event))
    )


def _tells(record: Record, event: Event) -> bool:
    return agree(record.image, event.from_image) and agree(record.replaced_by, event.image)


def _first_older(events: Sequence[Event], records: Sequence[StoredRecord]) -> int:
    """Return the place of the first record that was made before the oldest event."""
    oldest = events[-1].at if events else None
    if oldest is None:
        return 0
    older = (i for i, stored in enumerate(records) if stored.record.recorded_at < oldest)
    return next(older, len(records))


def _looked_up(event: Event, found: StoredRecord | MissingRecord) -> Event:
    if isinstance(found, MissingRecord):
        return replace(event, conflicts=(*event.conflicts, f"tampered: {found.reason}"))
    return _proven(event, found)


def _proven(event: Event, stored: StoredRecord) -> Event:
    """Add what a record proves of an event, or in what it contradicts it."""
    record, where, deed = stored.record, stored.location, event.deed
    conflicts: list[str] = []
    if event.record is not None and event.record != stored.sha256:
        conflicts.append(f"tampered: {where} is not the record that was archived")
    if not agree(record.image, event.from_image):
        conflicts.append(f"{where} says that it replaced {_name(record.image)}")
    if not agree(record.replaced_by, event.image):
        conflicts.append(f"{where} says that {_name(record.replaced_by)} came instead")
    event = replace(event, conflicts=(*event.conflicts, *conflicts))
    if conflicts:
        return event
    deed = replace(
        deed,
        at=deed.at or record.recorded_at,
        from_image=deed.from_image or record.image,
        build=deed.build or record.build,
        by=deed.by or record.by,
    )
    return replace(event, deed=deed, stored=stored, proofs=event.proofs | {ARTIFACT})


def _with_clocks(events: Sequence[Event]) -> list[Event]:
    """Say where an event is dated before the one that it follows."""
    marked = list(events)
    for place, (event, before) in enumerate(pairwise(events)):
        if event.at and before.at and event.at < before.at:
            conflict = f"dated before what it follows ({before.at})"
            marked[place] = replace(event, conflicts=(*event.conflicts, conflict))
    return marked


def _name(image: ImageReference | None) -> str:
    return image.canonical if image else "something else"


def proves(events: Iterable[Event], running: ImageReference) -> bool:
    """Tell whether an account ends with what runs, as far as can be told."""
    newest = next(iter(events), None)
    return newest is not None and agree(newest.image, running)
