"""How a wait ends: the state of the whole, and the error where that is not well. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import ClusterError, GitopsRollbackError, MovedError, WaitingError
from gitops_rollback.image import parse_image
from gitops_rollback.ledger.events import is_named
from gitops_rollback.rollout.standing import State, told_first

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops_rollback.rollout.standing import Failure
    from gitops_rollback.rollout.target import Target
    from gitops_rollback.rollout.track import Track
    from gitops_rollback.rollout.waiting import Seen

UNSEEN = "unverified"  # the state of what nobody saw


def refuse_others(change: Mapping[str, Any], targets: Sequence[Target]) -> None:
    """Refuse to wait for what a change without a commit is not: another image at the tip.

    It found its image there, or proposed it. Raises `WaitingError`, `MovedError`.
    """
    meant = {one["service"]: parse_image(one["to"]) for one in change["services"]}
    for target in targets:
        image = meant[target.service]
        if is_named(target.image, image):
            continue
        has = f"{target.branch}@{target.commit[:12]} has {target.image.label}"
        proposed = change.get("pullRequest")
        if proposed:
            raise WaitingError(
                f"{target.title}: {has}: pull request #{proposed['number']}, which proposes "
                f"{image.label}, is not merged, or another change came after it",
                f"see {proposed['url']}, and wait again once it is merged",
            )
        raise MovedError(
            f"{target.title}: overtaken: {has}, and no longer {image.label}: a newer change of the "
            "service was pushed",
            f"look at what runs now: {target.look_on()}",
        )


def failures_of(seen: Seen, seconds: float) -> dict[Track, Failure]:
    """Return what failed in a wait of some seconds, with what the cluster can add to it."""
    failed = {track: _failure(seen, track, seconds) for track in seen.tracks}
    return {track: seen.explain(track, failure) for track, failure in failed.items() if failure}


def _failure(seen: Seen, track: Track, seconds: float) -> Failure | None:
    if track.standing is not None and track.standing.failure is not None:
        return track.standing.failure
    others = [one.standing.state for one in seen.tracks if one.standing]
    if track.is_over or State.FAILED in others:
        return None
    return track.time_is_up(seconds, seen.now)


def error_of(seen: Seen, failures: Sequence[Failure]) -> GitopsRollbackError | None:
    """Return what the worst of all is: a failure, a cluster that was not seen, a replacement."""
    lost = "; ".join(one.error.message for one in seen.lost)
    if failures:
        titles = {track.target.title for track in seen.tracks}
        who = f"{next(iter(titles))}: " if len(titles) == 1 else ""
        worst = told_first(failures)
        said = worst.sentence if worst.sentence.startswith(who) else who + worst.sentence
        return ClusterError(f"{said}; and {lost}" if lost else said, worst.hint)
    if seen.lost:
        known = ", ".join(
            f"{track.cluster or 'the cluster'}: {track.standing.state.value}"
            for track in seen.tracks
            if track.standing
        )
        beside = f" (seen elsewhere: {known})" if known else ""
        return ClusterError(f"not verified: {lost}{beside}", seen.lost[0].error.hint)
    for track in seen.tracks:
        if track.standing and track.standing.state is State.REPLACED:
            return MovedError(
                f"{track.target.title}: overtaken: {track.standing.message}",
                f"look at what runs now: {track.target.look_on()}",
            )
    if not seen.tracks and not seen.may_be_unseen:
        return ClusterError(f"nothing was verified: {'; '.join(seen.why_not)}", seen.hint)
    return None


def overall(seen: Seen) -> str:
    """Return the state of the whole: the worst of all that was seen."""
    if not seen.tracks:
        return UNSEEN
    states = [one.standing.state if one.standing else State.FETCHING for one in seen.tracks]
    order = (State.FAILED, State.REPLACED, State.FETCHING, State.APPLYING, State.ROLLING,
             State.APPLIED, State.READY)  # fmt: skip
    worst = next(state for state in order if state in states)
    is_well = worst in (State.APPLIED, State.READY)
    return UNSEEN if seen.lost and is_well else worst.value
