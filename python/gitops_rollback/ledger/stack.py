"""What ran when, and what a rollback can go back to: the replay of deployments as a stack. Pure.

A deploy pushes its image; a rollback to X drops all above the newest X, or, if X is not on the
stack, replaces the top. Candidates are the images below the top, newest first. A source that
does not explain the running image yields nothing: nothing is anchored on "latest".

Two images are the same where their digests are. A tag without a digest is read as the digest that
ran only where the field's text, unchanged since, was written with it; else it is an image of its
own, that nobody knows: never taken for one that ran under that tag, nor for another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.image import same, same_reference
from gitops_rollback.late import dataclass, replace
from gitops_rollback.ledger.events import (
    GIT,
    Event,
    agree,
    from_records,
    is_named,
    is_unchanged,
)
from gitops_rollback.ledger.fields import meant_by
from gitops_rollback.ledger.holds import BAD, Bad, digests_that_ran
from gitops_rollback.ledger.merge import is_placed, with_commits
from gitops_rollback.model import EDIT, ROLLBACK, Deed, images_of
from gitops_rollback.query.shapes import is_version_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.events import HistoryEntry
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.ledger.state import State
    from gitops_rollback.manifest.image_field import ImageField


@dataclass(frozen=True)
class Level:
    """One image on the stack: the event that put it there, and the one that replaced it."""

    image: ImageReference
    placed: Event | None
    replaced: Event | None = None


@dataclass(frozen=True)
class Running:
    """What runs, as the fields and the state file tell.

    `digest_from` says what proves its digest: `manifest`, `state`, or nothing. `is_explained` tells
    that the newest deed of the state file left every field as it stands.
    """

    image: ImageReference
    digest_from: str = ""
    is_explained: bool = False


@dataclass(frozen=True)
class Timeline:
    """Events and stack, both oldest first; the top of the stack is what runs.

    `bad` is the state file's list; without one, what was rolled back from. `ran` are the digests
    that ran here and were not rolled back from.
    """

    events: tuple[Event, ...] = ()
    levels: tuple[Level, ...] = ()
    rolled_back: Event | None = None
    never_deployed: tuple[ImageReference, ...] = ()
    bad: tuple[Bad, ...] = ()

    @property
    def explains(self) -> bool:
        """Whether there is anything below the running image to speak of."""
        return bool(self.levels)

    @property
    def images(self) -> tuple[ImageReference, ...]:
        """The images that events tell of, each as often as they do."""
        return images_of(self.events)

    @property
    def ran(self) -> frozenset[str]:
        """The digests that ran here and were not rolled back from."""
        return digests_that_ran((event.deed for event in self.events), self.bad)


def read_running(fields: Sequence[ImageField], state: State | None) -> Running | None:
    """Return what the fields of a service run; None where they name different images.

    A field that names no digest runs the image that its text was written with, as long as that text
    stands there unchanged. So a field with a digest and one without can be of one image. Where a
    field was copied, or renamed, nobody knows what its text means: neither is it known of them all.
    """
    texts = [field.image for field in fields]
    noted = state.fields if state else ()
    meant = [meant_by(noted, field) for field in fields]
    first = next((image for image in texts if image), None)
    if first is None or any(image is None for image in texts):
        return None
    images = [_known(text, note) for text, note in zip(texts, meant, strict=True) if text]
    best = next((image for image in images if image.digest), images[0])
    if not all(_are_one(best, image) for image in images):
        is_one_text = all(text and same_reference(first, text) for text in texts)
        if not is_one_text or any(same(best, image) is False for image in images):
            return None
        best = first
    newest = state.newest if state else None
    if newest is None:
        return Running(best, "manifest" if first.digest else "")
    if not noted:
        return _of_first_version(first, newest)
    is_explained = all(note is not None for note in meant) and is_unchanged(newest.image, best)
    if all(image and image.digest for image in texts):
        return Running(best, "manifest", is_explained or is_unchanged(newest.image, best))
    return Running(best, "state" if best.digest else "", is_explained)


def _of_first_version(image: ImageReference, newest: Deed) -> Running:
    """Return what runs by a state file of schema version 1, which kept no texts of fields."""
    is_explained = agree(image, newest.image)
    found = _known(image, newest.image) if is_explained else image
    source = "manifest" if image.digest else "state" if found.digest else ""
    return Running(found, source, is_explained)


def _known(text: ImageReference, noted: ImageReference | None) -> ImageReference:
    """Return a field's image: with the digest it was written with, where it names none."""
    if text.digest is not None or noted is None or noted.digest is None:
        return text
    return text.with_version(text.tag, noted.digest)


def _are_one(one: ImageReference, other: ImageReference) -> bool:
    return one.full_repository == other.full_repository and (
        same(one, other) is True
        or (one.digest is None and one.effective_tag == other.effective_tag)
    )


def replay(events: Sequence[Event]) -> tuple[Level, ...]:
    """Replay events, oldest first, beginning with the oldest event's `from`.

    Where an event's `from` is not what the one before left there, somebody edited the manifest
    in between, and that image is replayed as an edit.
    """
    levels: list[Level] = []
    for event in events:
        before = event.from_image
        if before is not None and levels and same(levels[-1].image, before):
            levels[-1] = replace(levels[-1], image=before)  # the same image, in another repository
        elif before is not None and not (levels and _goes_on(levels[-1].image, before)):
            between = Event(Deed(EDIT, before), proofs=event.proofs)
            _apply(levels, between if levels else None, before)
        _apply(levels, event, event.image)
    return tuple(levels)


def _goes_on(level: ImageReference, before: ImageReference) -> bool:
    """Tell whether a deed began with what the one before it left.

    Had that a digest, and this has none, then somebody wrote the tag alone in between.
    """
    return agree(level, before) and (before.digest is not None or level.digest is None)


def build_timeline(
    running: ImageReference,
    state: State | None,
    records: Sequence[StoredRecord] | None,
    history: Sequence[HistoryEntry] | None,
    *,
    is_explained: bool | None = None,
) -> Timeline:
    """Merge what is known into one timeline that ends with the running image.

    The state file counts where its newest deed left what stands there (`is_explained`, see
    `read_running`), or where commits lead down to it. Edits since are above it, and below its
    oldest entry history and records go on. Without it records chain backwards, else history alone
    counts.
    """
    commits = history or ()
    counts = _counts(running, state, commits, is_explained=is_explained)
    is_top = state_explains(state, running, is_explained=is_explained)
    events = with_commits(state if counts else None, commits, is_spine=True, is_top=is_top)
    known = tuple(reversed(events))
    never: tuple[ImageReference, ...] = ()
    if not counts and records:
        chained, never = _by_records(running, records, commits, known)
        known = chained or known
    elif records and known and known[0].from_image:
        older, _never = from_records(_older(records, known[0]), known[0].from_image)
        known = (*older, *known)
    levels = replay(known)
    bad = state.bad if state else ()
    bad += () if counts else _rolled_back_from(known)
    if not levels or not agree(levels[-1].image, running):
        return Timeline(never_deployed=never, bad=bad)
    return Timeline(known, levels, _rolled_back(known), never, bad)


def state_explains(
    state: State | None, running: ImageReference, *, is_explained: bool | None = None
) -> bool:
    """Tell whether the newest entry of a state file is what runs."""
    if state is None or state.newest is None:
        return False
    return agree(state.newest.image, running) if is_explained is None else is_explained


def _counts(
    running: ImageReference,
    state: State | None,
    commits: Sequence[HistoryEntry],
    *,
    is_explained: bool | None,
) -> bool:
    """Tell whether the state file leads to what runs: by itself, or with the commits above it."""
    return state_explains(state, running, is_explained=is_explained) or (
        bool(commits) and agree(commits[0].image, running) and is_placed(state, commits)
    )


def _by_records(
    running: ImageReference,
    records: Sequence[StoredRecord],
    commits: Sequence[HistoryEntry],
    known: Sequence[Event],
) -> tuple[tuple[Event, ...], tuple[ImageReference, ...]]:
    """Return the chain of records, with the commits that prove them, and what is older below.

    No chain where commits tell that it went otherwise: such a record never reached the branch. Of
    what no chain goes by, what was recorded since the oldest of the commits never did.
    """
    committed = {event.record for event in known if event.record}
    chained, never = from_records(records, running, committed)
    events, below = _as_committed(chained, known)
    if not events:
        since = known[0].at if known else None
        told = [one for one in records if since is not None and one.record.recorded_at > since]
        _chained, never = from_records(told, running, committed)
    events = tuple(_proven_by_history(event, commits) for event in events)
    shown = [entry.image for entry in commits]
    never = tuple(i for i in never if not any(is_named(i, s) for s in shown))
    return (*below, *events), never


def _as_committed(
    chained: Sequence[Event], known: Sequence[Event]
) -> tuple[tuple[Event, ...], Sequence[Event]]:
    """Return the newest events of a chain of records that commits agree with; and what is below.

    Both are oldest first and end with what runs. Below what commits tell, records count alone. A
    commit by hand that went back is no deploy, though a build may have recorded that very step.
    """
    committed = {event.record for event in known if event.record}
    place = len(known) - 1
    for number, event in enumerate(reversed(chained)):
        if place < 0:
            return tuple(chained), ()
        commit = known[place]
        is_its = event.record == commit.record or (
            event.record not in committed and not _goes_back(known[: place + 1])
        )
        if not is_its or not agree(commit.from_image, event.from_image):
            return tuple(chained[len(chained) - number :]), known[: place + 1]
        place -= 1
    return tuple(chained), known[: place + 1]


def _older(records: Sequence[StoredRecord], oldest: Event) -> Sequence[StoredRecord]:
    """Return the records, newest first, that were made before the oldest event."""
    return [
        stored
        for stored in records
        if oldest.at is not None
        and stored.record.recorded_at < oldest.at
        and stored.sha256 != oldest.record
    ]


def _proven_by_history(event: Event, history: Sequence[HistoryEntry]) -> Event:
    """Add the commit that put an event's image there, if Git's history shows one."""
    for entry in history:
        if is_unchanged(entry.image, event.image):
            return replace(event, commit=entry.commit, proofs=event.proofs | {GIT})
    return event


def _rolled_back_from(events: Iterable[Event]) -> tuple[Bad, ...]:
    """Return what was rolled back from and not deployed again since, the newest first."""
    bad: list[Bad] = []
    for event in events:
        bad = [entry for entry in bad if not is_named(entry.image, event.image)]
        if event.action == ROLLBACK and event.from_image is not None:
            deed = replace(event.deed, action=BAD, image=event.from_image, from_image=None)
            tag = event.from_image.tag
            bad.insert(0, Bad(deed, tag if tag and is_version_tag(tag) else None))
    return tuple(bad)


def _rolled_back(events: tuple[Event, ...]) -> Event | None:
    """Return the newest event if it went back to an earlier image."""
    newest = events[-1]
    return newest if newest.action == ROLLBACK or _goes_back(events) else None


def _goes_back(events: Sequence[Event]) -> bool:
    """Tell whether the newest event is an edit by hand that went back to an earlier image."""
    newest = events[-1]
    earlier = replay(events[:-1])[:-1] if newest.action == EDIT else ()
    return _position(earlier, newest.image) is not None


def _apply(levels: list[Level], event: Event | None, image: ImageReference) -> None:
    """Let an image come to run, by an event or, at the very beginning, by nothing known."""
    if event is not None and event.action == ROLLBACK:
        _roll_back(levels, event, _position(levels, image, by_name=True))
    elif event is not None and event.action == EDIT and _position(levels[:-1], image) is not None:
        _roll_back(levels, event, _position(levels, image))
    elif levels and is_unchanged(levels[-1].image, image):
        levels[-1] = replace(levels[-1], image=image)
    else:
        if levels:
            levels[-1] = replace(levels[-1], replaced=event)
        levels.append(Level(image, event))


def _roll_back(levels: list[Level], event: Event, position: int | None) -> None:
    if position is None:
        if levels:
            levels.pop()
        levels.append(Level(event.image, event))
        return
    del levels[position + 1 :]
    known = levels[position].image
    image = event.image if known.digest is None else known
    levels[position] = replace(levels[position], image=image, replaced=None)


def _position(
    levels: Sequence[Level], image: ImageReference, *, by_name: bool = False
) -> int | None:
    """Find the newest level with an image: by digest, else by a version tag that both only have.

    A rollback names its target (`by_name`): it is the newest level that can be it.
    """
    newest_first = range(len(levels) - 1, -1, -1)
    alike = (index for index in newest_first if _is_it(levels[index].image, image))
    named = (index for index in newest_first if by_name and agree(levels[index].image, image))
    return next(alike, next(named, None))


def _is_it(level: ImageReference, image: ImageReference) -> bool:
    if same(level, image):
        return True
    # Two texts without a digest: of a version tag, the same text is taken for the same release.
    return (
        image.digest is None
        and image.tag is not None
        and same_reference(level, image)
        and is_version_tag(image.tag)
    )
