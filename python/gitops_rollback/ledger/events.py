"""Changes of the running image, as the state file, records and history tell of them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.image import contradicts, same, same_here, same_reference
from gitops_rollback.late import dataclass, replace
from gitops_rollback.model import EDIT, Deed, OfDeed, images_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.message import Told
    from gitops_rollback.ledger.records import Record, StoredRecord
    from gitops_rollback.ledger.state import State

ARTIFACT = "artifact"
GIT = "git"


@dataclass(frozen=True)
class Event(OfDeed):
    """One change of the running image: a deed, and what proves it.

    The deed's action is `edit` for a change that only Git's history tells of. `stored` is the
    record of what it replaced; `proofs` names the sources that tell of it, `conflicts` says where
    they disagree.
    """

    deed: Deed
    commit: str | None = None
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
    told: Told | None = None
    is_oldest: bool = False

    @property
    def ran(self) -> ImageReference:
        """The image that ran after it; trailers tell the digest of a tag that stands alone."""
        return self.told.to if self.told else self.image


def agree(one: ImageReference | None, other: ImageReference | None) -> bool:
    """Tell whether two accounts can be of one image; what is not told contradicts nothing."""
    return one is None or other is None or not contradicts(one, other)


def is_unchanged(before: ImageReference, after: ImageReference) -> bool:
    """Tell whether a text that replaced another surely left the same image running."""
    return same_reference(before, after) or same_here(before, after) is True


def is_named(one: ImageReference, other: ImageReference) -> bool:
    """Tell whether two references are of one digest, or written alike where none has one."""
    return same(one, other) is True or same_reference(one, other)


def from_state(state: State) -> tuple[Event, ...]:
    """Return the events of a state file, oldest first."""
    return tuple(Event(deed, proofs=frozenset({GIT})) for deed in reversed(state.deployed))


def from_history(entries: Iterable[HistoryEntry]) -> tuple[Event, ...]:
    """Return the changes that Git's history shows, oldest first; `entries` is newest first."""
    events: list[Event] = []
    above: HistoryEntry | None = None
    for entry in reversed(tuple(entries)):
        if above is None or not is_unchanged(above.image, entry.image):
            events.append(_of_commit(entry, events[-1].image if events else None))
        above = entry
    return tuple(events)


def _of_commit(entry: HistoryEntry, before: ImageReference | None) -> Event:
    """Return the change that a commit made: as its trailers tell, else as an edit by its author."""
    deed = entry.told.deed if entry.told else Deed(EDIT, entry.image, by=entry.by)
    deed = replace(deed, from_image=before or deed.from_image, at=entry.at)
    return Event(deed, entry.commit, proofs=frozenset({GIT}))


def from_records(
    records: Sequence[StoredRecord],
    running: ImageReference,
    committed: Collection[str] = (),
) -> tuple[tuple[Event, ...], tuple[ImageReference, ...]]:
    """Chain records, newest first, backwards from the running image.

    The newest of the chain says that the very image that runs replaced another: that a tag is the
    same says nothing, unless the branch names the record (`committed`, hashes). Further down a tag
    goes on the chain, but the digest that a build meant to deploy is not proven to have run.
    Returns the events, oldest first, and the images that were recorded as replacements but are not
    part of the chain: of builds that archived and, as far as records tell, never deployed.
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
        is_proven = is_unchanged(replaced_by, wanted) or stored.sha256 in committed
        if not agree(replaced_by, wanted) or not (is_proven or events):
            skipped.append(replaced_by)
            continue
        events.append(_of_record(stored, replaced_by if is_proven else wanted))
        wanted = record.image
    deployed = images_of(events)
    never = tuple(i for i in skipped if not any(is_named(i, d) for d in deployed))
    return tuple(reversed(events)), never


def _of_record(stored: StoredRecord, replaced_by: ImageReference) -> Event:
    record = stored.record
    deed = Deed(
        action=record.action,
        image=replaced_by,
        from_image=record.image,
        at=record.recorded_at,
        by=record.by,
        build=record.build,
        record=stored.sha256,
    )
    return Event(deed, stored=stored, proofs=frozenset({ARTIFACT}))


def is_of_another_deed(record: Record, deed: Deed) -> bool:
    """Tell whether a record is of another deed than the one whose build number it bears.

    A record is made before its deed. One that was made after it is of a later build: the job was
    made anew, or moved to a new controller, and its numbers began again. Of one that was made in
    the same second no clock tells: it is of another deed where it says that another image came.
    """
    if deed.at is None or record.recorded_at < deed.at:
        return False
    return record.recorded_at > deed.at or not agree(record.replaced_by, deed.image)
