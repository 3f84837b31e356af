"""Changes of the running image, as the state file, records and history tell of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.message import Summary
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.ledger.state import State
    from gitops_rollback.model import Build

ARTIFACT = "artifact"
GIT = "git"


@dataclass(frozen=True)
class Event:
    """One change of the running image; `record` is the sha256 of the record of what it replaced.

    `action` is `deploy`, `rollback`, or `edit` for a change that only Git's history tells of.
    `proofs` names the sources that tell of it, `conflicts` says where they disagree.
    """

    action: str
    image: ImageReference
    from_image: ImageReference | None = None
    at: str | None = None
    by: str | None = None
    reason: str | None = None
    build: Build | None = None
    commit: str | None = None
    record: str | None = None
    stored: StoredRecord | None = None
    proofs: frozenset[str] = frozenset()
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True)
class HistoryEntry:
    """A commit that changed the service's fields, and the image they had after it.

    `told` is what this tool's trailers in its message say, where they fit that image. `is_oldest`
    tells that nothing before it is known, so that it need not have changed anything.
    """

    commit: str
    at: str
    by: str
    image: ImageReference
    told: Summary | None = None
    is_oldest: bool = False


def from_state(state: State) -> tuple[Event, ...]:
    """Return the events of a state file, oldest first."""
    return tuple(
        Event(
            action=entry.action,
            image=entry.image,
            from_image=entry.from_image,
            at=entry.at,
            by=entry.by,
            reason=entry.reason,
            build=entry.build,
            record=entry.record,
            proofs=frozenset({GIT}),
        )
        for entry in reversed(state.deployed)
    )


def from_history(entries: Iterable[HistoryEntry]) -> tuple[Event, ...]:
    """Return the changes that Git's history shows, oldest first; `entries` is newest first."""
    events: list[Event] = []
    above: HistoryEntry | None = None
    for entry in reversed(tuple(entries)):
        if above is None or not entry.image.is_same_image(above.image):
            events.append(_of_commit(entry, events[-1].image if events else None))
        above = entry
    return tuple(events)


def _of_commit(entry: HistoryEntry, before: ImageReference | None) -> Event:
    """Return the change that a commit made: as its trailers tell, else as an edit by its author."""
    edit = Event(
        action="edit",
        image=entry.image,
        from_image=before,
        at=entry.at,
        by=entry.by,
        commit=entry.commit,
        proofs=frozenset({GIT}),
    )
    told = entry.told
    if told is None:
        return edit
    return replace(
        edit,
        action=told.action,
        image=told.to,
        from_image=before or told.from_image,
        by=told.by,
        reason=told.reason,
        build=told.build,
        record=told.record,
    )


def from_records(
    records: Sequence[StoredRecord], running: ImageReference
) -> tuple[tuple[Event, ...], tuple[ImageReference, ...]]:
    """Chain records, newest first, backwards from the running image.

    Returns the events, oldest first, and the images that were recorded as replacements but are
    not part of the chain: of builds that archived and, as far as records tell, never deployed.
    """
    changed = [stored for stored in records if not stored.record.unchanged]
    events: list[Event] = []
    skipped: list[ImageReference] = []
    wanted = running
    following: ImageReference | None = None
    for stored in changed:
        record = stored.record
        replaced_by = record.replaced_by or following or wanted
        following = record.image
        if not replaced_by.may_be(wanted):
            skipped.append(replaced_by)
            continue
        events.append(
            Event(
                action=record.action,
                image=replaced_by,
                from_image=record.image,
                at=record.recorded_at,
                by=record.by,
                build=record.build,
                record=stored.sha256,
                stored=stored,
                proofs=frozenset({ARTIFACT}),
            )
        )
        wanted = record.image
    deployed = [image for event in events for image in (event.image, event.from_image) if image]
    never = tuple(i for i in skipped if not any(i.may_be(d) for d in deployed))
    return tuple(reversed(events)), never
