"""Tell how a wait ended: lines for people, the result for programs, the exit code."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import ClusterError, Exit, MovedError
from gitops_rollback.output import say, write_result
from gitops_rollback.rollout.failure import told_first
from gitops_rollback.rollout.standing import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gitops_rollback.commands.session import Session
    from gitops_rollback.rollout.failure import Failure
    from gitops_rollback.rollout.target import Target
    from gitops_rollback.rollout.track import Track

_MOMENTS = ("fetched", "applied", "ready")


def report(
    session: Session,
    seen: Sequence[tuple[Track, Callable[[Failure], Failure]]],
    change: dict[str, Any] | None,
    verified_by: str,
) -> int:
    """Report what became of every target; raise what the worst of them is.

    With each comes what explains a failure further.
    """
    before = _before(session, change)
    tracks = [track for track, _explain in seen]
    rollouts, failures = [], []
    for track, explain in seen:
        failure = _failure(session, tracks, track)
        failure = explain(failure) if failure else None
        rollouts.append(_rollout(track, failure, before))
        failures += [failure] if failure else []
    result = {
        **_head(tracks[0].target),
        "state": _overall(tracks),
        "verifiedBy": verified_by,
        "rollouts": rollouts,
        "warnings": [w for track in tracks if track.standing for w in track.standing.warnings],
        "seconds": _seconds(session, tracks, change, before),
    }
    for warning in result["warnings"]:
        say(f"warning: {warning}")
    _raise_the_worst(tracks, failures, result)
    say(_times(result["seconds"]))
    write_result(result, session.options.output)
    return Exit.DONE


def unverified(session: Session, targets: Sequence[Target], reasons: Sequence[str]) -> int:
    """Say that nothing was seen of the change, and why; that is no failure of the change."""
    why = "; ".join(reasons)
    say(f"warning: nothing was verified: {why}; see docs/flux.md for what this needs")
    write_result(
        {
            **_head(targets[0]),
            "state": "unverified",
            "verifiedBy": "nothing",
            "rollouts": [_named(target) | {"state": "unverified"} for target in targets],
            "warnings": [f"nothing was verified: {why}"],
            "seconds": {"total": session.watch.seconds()["total"]},
        },
        session.options.output,
    )
    return Exit.DONE


def _raise_the_worst(
    tracks: Sequence[Track], failures: Sequence[Failure], result: dict[str, Any]
) -> None:
    if failures:
        titles = {track.target.title for track in tracks}
        who = f"{next(iter(titles))}: " if len(titles) == 1 else ""
        worst = told_first(failures)
        said = worst.sentence if worst.sentence.startswith(who) else who + worst.sentence
        raise ClusterError(said, worst.hint, result)
    for track in tracks:
        if track.standing and track.standing.state is State.REPLACED:
            raise MovedError(
                f"{track.target.title}: overtaken: {track.standing.message}",
                "look at what runs now: gitops-rollback wait without --commit and --change",
                result,
            )


def _failure(session: Session, tracks: Sequence[Track], track: Track) -> Failure | None:
    if track.standing is not None and track.standing.failure is not None:
        return track.standing.failure
    others = [one.standing.state for one in tracks if one.standing]
    if track.is_over or State.FAILED in others:
        return None
    return track.time_is_up(session.deadline.seconds)


def _overall(tracks: Sequence[Track]) -> str:
    states = [track.standing.state if track.standing else State.FETCHING for track in tracks]
    order = (State.FAILED, State.REPLACED, State.FETCHING, State.APPLYING, State.ROLLING,
             State.APPLIED, State.READY)  # fmt: skip
    return next(state for state in order if state in states).value


def _rollout(track: Track, failure: Failure | None, before: float) -> dict[str, Any]:
    standing = track.standing
    cluster = {"cluster": track.cluster} if track.cluster else {}
    return {
        **_named(track.target),
        **cluster,
        "state": standing.state.value if standing else State.FETCHING.value,
        "message": standing.message if standing else "nothing was seen",
        **({"failure": failure.to_json()} if failure else {}),
        "seconds": {name: round(at + before, 3) for name, at in track.moments.items()},
    }


def _named(target: Target) -> dict[str, Any]:
    return {
        "service": target.service,
        "environment": target.environment,
        "image": target.image.canonical,
    }


def _head(target: Target) -> dict[str, Any]:
    return {"commit": target.commit, "branch": target.branch}


def _before(session: Session, change: dict[str, Any] | None) -> float:
    """Return how long before this wait the change began; 0 where that is not known."""
    started = (change or {}).get("startedAt")
    if not started:
        return 0.0
    waited = session.watch.seconds()["total"]
    return max(0.0, time.time() - waited - datetime.fromisoformat(started).timestamp())


def _seconds(
    session: Session, tracks: Sequence[Track], change: dict[str, Any] | None, before: float
) -> dict[str, float]:
    """Return the moments of the whole change, in seconds since it began."""
    spent = (change or {}).get("seconds", {})
    found = {"total": round(before + session.watch.seconds()["total"], 3)}
    if before and "total" in spent:
        found["decide"] = round(spent.get("fetch", 0.0) + spent.get("decide", 0.0), 3)
        found["commit"] = spent["total"]
    for name in _MOMENTS:
        reached = [track.moments[name] for track in tracks if name in track.moments]
        if len(reached) == len(tracks):
            found[name] = round(max(reached) + before, 3)
    return found


def _times(seconds: dict[str, float]) -> str:
    names = [name for name in ("decide", "commit", *_MOMENTS) if name in seconds]
    parts = ", ".join(f"{name} {seconds[name]:.1f}" for name in names)
    return f"seconds since the beginning: {parts}"
