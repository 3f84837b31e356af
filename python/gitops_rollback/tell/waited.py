"""The result of a wait: what was seen of each service, and when."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gitops_rollback import clock
from gitops_rollback.rollout import UNSEEN, State, overall

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops_rollback.rollout import Failure, Lost, Seen, Target, Track

_MOMENTS = ("fetched", "applied", "ready")


def wait_result(
    targets: Sequence[Target],
    seen: Seen,
    failures: Mapping[Track, Failure],
    change: Mapping[str, Any] | None,
    waited: float,
) -> dict[str, Any]:
    """Return the result of a wait of `waited` seconds; `change` is that of what made the change."""
    before = _before(waited, change)
    rollouts = [_rollout(track, failures.get(track), waited, before) for track in seen.tracks]
    rollouts += [_lost(target, one) for one in seen.lost for target in targets]
    warnings = [w for track in seen.tracks if track.standing for w in track.standing.warnings]
    if not rollouts:
        rollouts = [_named(target) | {"state": UNSEEN} for target in targets]
        warnings = [f"nothing was verified: {'; '.join(seen.why_not)}"]
    return {
        "commit": targets[0].commit,
        "branch": targets[0].branch,
        "state": overall(seen),
        "verifiedBy": seen.by,
        "rollouts": rollouts,
        "warnings": list(dict.fromkeys(warnings)),
        "seconds": _seconds(seen.tracks, change, waited, before),
    }


def _rollout(track: Track, failure: Failure | None, waited: float, before: float) -> dict[str, Any]:
    standing = track.standing
    cluster = {"cluster": track.cluster} if track.cluster else {}
    applied = track.moments.get("applied")
    return {
        **_named(track.target),
        **cluster,
        "state": standing.state.value if standing else State.FETCHING.value,
        "message": standing.message if standing else "nothing was seen",
        **({"failure": failure.to_json()} if failure else {}),
        **({} if applied is None else {"appliedAt": clock.moment(waited - applied)}),
        "seconds": {name: round(at + before, 3) for name, at in track.moments.items()},
    }


def _lost(target: Target, lost: Lost) -> dict[str, Any]:
    cluster = {"cluster": lost.cluster} if lost.cluster else {}
    return {
        **_named(target),
        **cluster,
        "state": UNSEEN,
        "message": f"{lost.error.message}; {lost.error.hint}",
    }


def _named(target: Target) -> dict[str, Any]:
    return {
        "service": target.service,
        "environment": target.environment,
        "image": target.image.canonical,
    }


def _before(waited: float, change: Mapping[str, Any] | None) -> float:
    """Return how long before this run the change began; 0 where that is not known."""
    started = (change or {}).get("startedAt")
    if not started:
        return 0.0
    return max(0.0, time.time() - waited - datetime.fromisoformat(started).timestamp())


def _seconds(
    tracks: Sequence[Track], change: Mapping[str, Any] | None, waited: float, before: float
) -> dict[str, float]:
    """Return the moments of the whole change, in seconds since it began."""
    spent = (change or {}).get("seconds", {})
    found = {"total": round(before + waited, 3)}
    if "total" in spent:
        found["decide"] = round(spent.get("fetch", 0.0) + spent.get("decide", 0.0), 3)
        found["commit"] = spent["total"]
    for name in _MOMENTS:
        reached = [track.moments[name] for track in tracks if name in track.moments]
        if tracks and len(reached) == len(tracks):
            found[name] = round(max(reached) + before, 3)
    return found
