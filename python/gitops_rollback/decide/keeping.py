"""Which builds a rollback needs: the one that Jenkins is to keep, and those that it lost. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.candidates import from_timeline
from gitops_rollback.ledger.holds import bad_match
from gitops_rollback.ledger.stack import build_timeline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.ledger.state import State
    from gitops_rollback.model import Build

WANTED = 5  # deployments that a rollback should be able to go back by
WINDOW = 100  # builds that are listed at most; of older ones nothing is known


def build_to_keep(state: State | None) -> Build | None:
    """Return the build with the record of what a service would go back to; None if none has it."""
    newest = state.newest if state else None
    if state is None or newest is None:
        return None
    timeline = build_timeline(newest.image, state, None, None)
    good = (c for c in from_timeline(timeline) if bad_match(state.bad, c.image, state.ran) is None)
    return next((candidate.archived_by for candidate in good), None)


def builds_lost(state: State, job: str, listed: Mapping[int, bool]) -> tuple[Build, ...]:
    """Return those builds of the last deployments whose records are no longer there.

    `listed` are the newest builds that the job has (100 at most), and whether each archived a
    record of the service.
    """
    builds = [entry.build for entry in state.deployed if entry.build and entry.build.job == job]
    oldest = min(listed, default=0) if len(listed) >= WINDOW else 0
    return tuple(
        build
        for build in builds[:WANTED]
        if build.number >= oldest and not listed.get(build.number)
    )


def advice(listed: Mapping[int, bool]) -> str:
    """Return how many builds to keep, from how many of them deployed lately."""
    deployed = sum(listed.values())
    each = len(listed) / deployed if deployed else len(listed) or 1
    wanted = max(30, round(each * WANTED * 2))
    return (
        f"keep at least {wanted} builds (buildDiscarder, numToKeepStr), or deploy with keep: true"
    )
