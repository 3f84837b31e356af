"""What ran at a time: from the account of events, else from Git's history. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_rollback.decide import candidates
from gitops_rollback.decide.facts import Candidate, NeedHistory
from gitops_rollback.ledger.events import GIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.decide.facts import Facts
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.events import Event, HistoryEntry
    from gitops_rollback.ledger.stack import Timeline


def candidate_as_of(
    facts: Facts, timeline: Timeline, moment: str
) -> Candidate | NeedHistory | None:
    """Return the image that ran at a time; None if nothing tells.

    An event counts from its time to the next one, if nobody edited the manifest in between: then,
    and before the first event, the commits that changed the manifest have to tell.
    """
    image = _by_events(timeline.events, moment)
    if image is not None:
        return candidates.named(image.canonical, facts, timeline)
    if not reaches(facts.history, moment) and not facts.history_is_whole:
        return NeedHistory(until=moment)
    entry = _by_history(facts.history or (), moment)
    if entry is None:
        return None
    found = candidates.named(entry.image.canonical, facts, timeline)
    if found.sources & {GIT}:
        return found
    return replace(found, sources=found.sources | {GIT}, deployed_at=entry.at)


def reaches(history: Sequence[HistoryEntry] | None, moment: str) -> bool:
    """Tell whether history, newest first, goes back to a time."""
    return any(entry.at <= moment for entry in history or ())


def _by_events(events: Sequence[Event], moment: str) -> ImageReference | None:
    """Return what the newest event until a time left; None where that is not sure."""
    for index in range(len(events) - 1, -1, -1):
        event = events[index]
        if event.at is None or event.at > moment:
            continue
        following = events[index + 1] if index + 1 < len(events) else None
        before = following.from_image if following else None
        is_undisturbed = before is None or before.may_be(event.image)
        return event.image if is_undisturbed else None
    return None


def _by_history(history: Sequence[HistoryEntry], moment: str) -> HistoryEntry | None:
    return next((entry for entry in history if entry.at <= moment), None)
