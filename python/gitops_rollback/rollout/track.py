"""One change in one cluster, followed over time, and how the wait for all of them ends. Pure.

Progress lines, patience, moments; the state of the whole, and the error where that is not well.
Time comes in as a number of seconds; nothing here looks at a clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import ClusterError, GitopsRollbackError, MovedError, WaitingError
from gitops_rollback.image import parse_image
from gitops_rollback.late import replace
from gitops_rollback.ledger.events import is_named
from gitops_rollback.rollout.standing import (
    FOREVER,
    Failure,
    Standing,
    State,
    Whose,
    failed,
    told_first,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops_rollback.rollout.target import Target
    from gitops_rollback.rollout.waiting import Seen

_FETCHED = (State.APPLYING, State.ROLLING, State.READY, State.APPLIED)
_APPLIED = (State.ROLLING, State.READY, State.APPLIED)
_VERBS = {
    State.FETCHING: "waiting for",
    State.APPLYING: "waiting for",
    State.ROLLING: "waiting for",
    State.READY: "ready:",
    State.APPLIED: "done:",
    State.REPLACED: "overtaken:",
    State.FAILED: "failed:",
}
UNSEEN = "unverified"  # the state of what nobody saw


class Track:
    """Where one target stands in one cluster; `moments` are the seconds of what was reached."""

    def __init__(self, target: Target, cluster: str) -> None:
        self.target = target
        self.cluster = cluster
        self.moments: dict[str, float] = {}
        self.standing: Standing | None = None
        self._suspected: str | None = None
        self._since = 0.0
        self._said = ""
        self._silent_since: float | None = None
        self._silence = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to wait for."""
        return self.standing is not None and self.standing.is_over

    def take(self, standing: Standing, now: float) -> str:
        """Take a judgement of this moment; return a progress line if there is something new.

        A suspicion that lasted longer than its patience becomes a failure.
        """
        if self._silent_since is not None:  # what was suspected before cannot be judged by time
            self._silent_since, self._suspected = None, None
        standing = self._patiently(standing.in_context(self.cluster), now)
        self.standing = standing
        for name, states in (("fetched", _FETCHED), ("applied", _APPLIED)):
            if standing.state in states:
                self.moments.setdefault(name, now)
        if standing.state is State.READY:
            self.moments.setdefault("ready", now)
        return self._news(f"{_VERBS[standing.state]} {standing.message}")

    def fall_silent(self, why: str, now: float) -> str:
        """Take in that the cluster does not answer: what it said last may no longer be so."""
        if self._silent_since is None:
            self._silent_since = now
        self._silence = why
        return self._news(f"the cluster no longer answers: {why}")

    def replace_standing(self, standing: Standing) -> str:
        """Take another judgement for the last one, by what Git says; return a progress line."""
        self.standing = standing
        return self._news(f"{_VERBS[standing.state]} {standing.message}")

    def next_look(self, now: float) -> float:
        """Return in how many seconds a suspicion becomes a failure, or Flux has to be told."""
        suspicion = self.standing.suspicion if self.standing else None
        if suspicion is None or self.is_over or self._silent_since is not None:
            return FOREVER
        lasts = now - self._since
        nudge = self.standing.nudge if self.standing else FOREVER
        coming = (one - lasts for one in (suspicion.patience, nudge) if one > lasts)
        return min(coming, default=0.0)

    def wants_nudge(self, now: float) -> bool:
        """Tell whether what is waited for has lasted until Flux has to be told of it."""
        return self.standing is not None and now - self._since >= self.standing.nudge

    def time_is_up(self, seconds: float, now: float = 0.0) -> Failure:
        """Return the failure of a wait that ended too early: what it was waiting for."""
        standing = self.standing
        waits = standing.message if standing else "the cluster to answer"
        where = f" in {self.cluster}" if self.cluster else ""
        head = f"{self.target.title}{where}: not done after {seconds:g} s"
        if self._silent_since is not None:
            since = now - self._silent_since
            return Failure(
                code="silent",
                message=f"{head}: the cluster has not answered for {since:.0f} s "
                f"({self._silence}); before that it waited for {waits}, which may be so no more",
                hint="see whether the cluster is reachable, and look on: "
                + self.target.look_on(f"--commit {self.target.commit}"),
                whose=Whose.CLUSTER,
            )
        suspicion = standing.suspicion if standing else None
        if suspicion is not None:
            return replace(suspicion, message=f"{head}: waiting for {waits}")
        return Failure(
            code="timeout",
            message=f"{head}: waiting for {waits}",
            hint=_way_out(self.target, standing),
            whose=Whose.CLUSTER,
        )

    def _news(self, said: str) -> str:
        if said == self._said:
            return ""
        self._said = said
        return said

    def _patiently(self, standing: Standing, now: float) -> Standing:
        suspicion = standing.suspicion
        key = suspicion.code if suspicion else None
        if key != self._suspected:
            self._suspected, self._since = key, now
        if suspicion is not None and now - self._since >= suspicion.patience:
            return failed(suspicion)
        return standing


def are_over(tracks: Sequence[Track]) -> bool:
    """Tell whether nothing is left to wait for: all are done, or one has failed."""
    states = [track.standing.state for track in tracks if track.standing]
    return State.FAILED in states or all(track.is_over for track in tracks)


def _way_out(target: Target, standing: Standing | None) -> str:
    """Say how to go on: what ends the health check that is waited for, else to wait on."""
    commit = f"--commit {target.commit}"
    if standing is not None and standing.hastens:
        commands = "; ".join(one.command for one in standing.hastens)
        hasten = target.look_on(commit, "--hasten")
        return f"set the live image to what Git holds: {commands}; or {hasten}"
    wait_on = target.look_on(commit, "--timeout SECONDS")
    return f"wait on: {wait_on}; the next time --wait-timeout allows more"


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
    failed = {track: _failure_of(seen, track, seconds) for track in seen.tracks}
    return {track: seen.explain(track, failure) for track, failure in failed.items() if failure}


def _failure_of(seen: Seen, track: Track, seconds: float) -> Failure | None:
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
