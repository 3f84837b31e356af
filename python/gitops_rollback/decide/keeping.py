"""Which build a rollback would need, so that Jenkins keeps that one and no other. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.candidates import from_timeline
from gitops_rollback.ledger.stack import build_timeline

if TYPE_CHECKING:
    from gitops_rollback.ledger.state import State
    from gitops_rollback.model import Build


def build_to_keep(state: State | None) -> Build | None:
    """Return the build with the record of what a service would go back to; None if none has it."""
    newest = state.newest if state else None
    if state is None or newest is None:
        return None
    timeline = build_timeline(newest.image, state, None, None)
    good = (c for c in from_timeline(timeline, "auto") if state.find_bad(c.image) is None)
    return next((candidate.build for candidate in good), None)
