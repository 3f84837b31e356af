"""A state file that was broken or edited by hand, rebuilt from what cannot be edited. Pure.

Git keeps every version that this tool committed: the newest of them, which nobody reverted, is the
whole truth. Where none is in reach, commits and archived records tell what was deployed; what was
forgiven since is not in them, so it counts as bad again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops_rollback.decide.held_markers import markers_to_hold
from gitops_rollback.errors import RepositoryError
from gitops_rollback.ledger.holds import BAD, Bad, Hold
from gitops_rollback.ledger.message import action_of
from gitops_rollback.ledger.state import State, parse_state
from gitops_rollback.model import Deed, identified

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops_rollback.ledger.events import Event
    from gitops_rollback.look.snapshot import ServiceAtTip

_REVERTS = re.compile(r"^This reverts commit ([0-9a-f]{40,64})", re.MULTILINE)


@dataclass(frozen=True)
class Version:
    """A version of a state file: the commit that left it so, its message, and the bytes."""

    commit: str
    message: str
    data: bytes


def newest_written(versions: Sequence[Version], environment: str, service: str) -> State | None:
    """Return the newest sound version that this tool committed and nobody reverted, if any.

    `versions` are newest first. A revert of a revert brings its commit back.
    """
    reverted: set[str] = set()
    for version in versions:
        taken_back = set(_REVERTS.findall(version.message))
        if version.commit not in reverted:
            reverted |= taken_back
            if action_of(version.message, service, environment) is not None:
                try:
                    return parse_state(version.data, environment, service)
                except RepositoryError:
                    continue  # an older version of the file may be sound
    return None


def from_events(
    at: ServiceAtTip, events: Iterable[Event], versions: Sequence[Version]
) -> State | None:
    """Return a state from what commits and records tell, newest first; None if they tell nothing.

    A service whose newest deployment is a rollback that no release followed is held.
    """
    told = [event for event in events if event.action in ("deploy", "rollback") and event.at]
    if not told:
        return None
    state = State(at.service, at.environment)
    for event in reversed(told):
        deed = _entry(at, event)
        state = state.with_deed(deed)
        if event.action == "rollback" and event.from_image is not None:
            bad = replace(deed, action=BAD, image=event.from_image, from_image=None, record=None)
            state = state.with_bad(Bad(bad))
    actions = (action_of(version.message, at.service, at.environment) for version in versions)
    last = next((action for action in actions if action is not None), None)
    newest = told[0]
    if newest.action != "rollback" or newest.from_image is None or last == "release":
        return state
    return replace(state, hold=Hold(state.deployed[0], markers_to_hold(at)))


def _entry(at: ServiceAtTip, event: Event) -> Deed:
    deed = Deed(
        action=event.action,
        image=event.image,
        at=event.at or "",
        from_image=event.from_image,
        by=event.by,
        reason=event.reason,
        build=event.build,
        record=event.record,
    )
    return identified(deed, at.service, at.environment)
