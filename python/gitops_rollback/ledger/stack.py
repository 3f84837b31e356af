"""What ran when, and what a rollback can go back to: the replay of deployments as a stack. Pure.

A deploy pushes its image; a rollback to X drops all above the newest X, or, if X is not on the
stack, replaces the top. Candidates are the images below the top, newest first. A source that
does not explain the running image yields nothing: nothing is anchored on "latest".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops_rollback.ledger.events import (
    GIT,
    Event,
    HistoryEntry,
    from_history,
    from_records,
    from_state,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.ledger.state import State


@dataclass(frozen=True)
class Level:
    """One image on the stack: the event that put it there, and the one that replaced it."""

    image: ImageReference
    placed: Event | None
    replaced: Event | None = None


@dataclass(frozen=True)
class Timeline:
    """Events and stack, both oldest first; the top of the stack is what runs."""

    events: tuple[Event, ...] = ()
    levels: tuple[Level, ...] = ()
    rolled_back: Event | None = None
    never_deployed: tuple[ImageReference, ...] = ()
    bad: tuple[ImageReference, ...] = ()

    @property
    def explains(self) -> bool:
        """Whether there is anything below the running image to speak of."""
        return bool(self.levels)


def running_image(field_image: ImageReference, state: State | None) -> tuple[ImageReference, str]:
    """Return the running image, with its digest if it is proven, and where the digest is from.

    The field names it (`manifest`), or this tool's last deploy of that text does (`state`);
    else the source is empty.
    """
    if field_image.digest is not None:
        return field_image, "manifest"
    for entry in state.deployed if state else ():
        same_text = (
            entry.image.full_repository == field_image.full_repository
            and entry.image.tag == field_image.tag
        )
        if same_text and entry.image.digest is not None:
            return field_image.with_version(field_image.tag, entry.image.digest), "state"
        if same_text:
            break
    return field_image, ""


def replay(events: Sequence[Event]) -> tuple[Level, ...]:
    """Replay events, oldest first, beginning with the oldest event's `from`.

    Where an event's `from` is not what the one before left there, somebody edited the manifest
    in between, and that image is replayed as an edit.
    """
    levels: list[Level] = []
    for event in events:
        before = event.from_image
        if before is not None and not (levels and levels[-1].image.may_be(before)):
            between = Event("edit", before, proofs=event.proofs)
            _apply(levels, between if levels else None, before)
        _apply(levels, event, event.image)
    return tuple(levels)


def build_timeline(
    running: ImageReference,
    state: State | None,
    records: Sequence[StoredRecord] | None,
    history: Sequence[HistoryEntry] | None,
) -> Timeline:
    """Merge what is known into one timeline that ends with the running image.

    The state file counts where it explains the running image; edits since are spliced on from
    history. Without it records chain backwards, else history alone counts.
    """
    bad = tuple(bad.image for bad in state.bad) if state else ()
    events: tuple[Event, ...] = ()
    never: tuple[ImageReference, ...] = ()
    if state is not None and state.newest is not None:
        events = _spliced(from_state(state), history or (), running)
    if not events and records:
        events, never = from_records(records, running)
        events = tuple(_proven_by_history(event, history or ()) for event in events)
        shown = [entry.image for entry in history or ()]
        never = tuple(i for i in never if events and not any(image.may_be(i) for image in shown))
        bad += _rolled_back_from(events)
    if not events and history:
        events = from_history(history)
        bad += _rolled_back_from(events)
    levels = replay(events)
    if not levels or not levels[-1].image.may_be(running):
        return Timeline(never_deployed=never, bad=bad)
    rolled_back = _rolled_back(events)
    return Timeline(events, levels, rolled_back, never, bad)


def state_explains(state: State | None, running: ImageReference) -> bool:
    """Tell whether the newest entry of a state file is what runs."""
    return state is not None and state.newest is not None and state.newest.image.may_be(running)


def _proven_by_history(event: Event, history: Sequence[HistoryEntry]) -> Event:
    """Add the commit that put an event's image there, if Git's history shows one."""
    for entry in history:
        if entry.image.is_same_image(event.image):
            return replace(event, commit=entry.commit, proofs=event.proofs | {GIT})
    return event


def _rolled_back_from(events: Sequence[Event]) -> tuple[ImageReference, ...]:
    """Return what was rolled back from and not deployed again since."""
    bad: list[ImageReference] = []
    for event in events:
        bad = [image for image in bad if not image.may_be(event.image)]
        if event.action == "rollback" and event.from_image is not None:
            bad.append(event.from_image)
    return tuple(bad)


def _spliced(
    events: tuple[Event, ...], history: Sequence[HistoryEntry], running: ImageReference
) -> tuple[Event, ...]:
    """Put edits by hand, made since the newest event, on top of a state file's events."""
    top = events[-1].image
    if top.may_be(running):
        return events
    edits = []
    for entry in history:
        if entry.image.may_be(top):
            break
        edits.append(entry)
    else:
        return ()
    base = HistoryEntry("", "", "", top)
    return events + from_history([*edits, base])[1:]


def _rolled_back(events: tuple[Event, ...]) -> Event | None:
    """Return the newest event if it went back to an earlier image."""
    newest = events[-1]
    if newest.action == "rollback":
        return newest
    if (
        newest.action == "edit"
        and _position(list(replay(events[:-1]))[:-1], newest.image) is not None
    ):
        return newest
    return None


def _apply(levels: list[Level], event: Event | None, image: ImageReference) -> None:
    """Let an image come to run, by an event or, at the very beginning, by nothing known."""
    if event is not None and (
        event.action == "rollback"
        or (event.action == "edit" and _position(levels[:-1], image) is not None)
    ):
        _roll_back(levels, event)
    elif not levels or not levels[-1].image.is_same_image(image):
        if levels:
            levels[-1] = replace(levels[-1], replaced=event)
        levels.append(Level(image, event))


def _roll_back(levels: list[Level], event: Event) -> None:
    position = _position(levels, event.image)
    if position is None:
        if levels:
            levels.pop()
        levels.append(Level(event.image, event))
        return
    del levels[position + 1 :]
    known = levels[position].image
    image = event.image if known.digest is None else known
    levels[position] = replace(levels[position], image=image, replaced=None)


def _position(levels: list[Level], image: ImageReference) -> int | None:
    """Find the newest level with an image, or else with what may be it."""
    newest_first = range(len(levels) - 1, -1, -1)
    same = (index for index in newest_first if levels[index].image.is_same_image(image))
    like = (index for index in newest_first if levels[index].image.may_be(image))
    return next(same, next(like, None))
