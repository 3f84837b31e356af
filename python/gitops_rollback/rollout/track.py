"""One change in one cluster, followed over time: progress lines, patience, moments. Pure.

Time comes in as a number of seconds; nothing here looks at a clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.late import replace
from gitops_rollback.rollout.standing import FOREVER, Failure, Standing, State, Whose, failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.rollout.target import Target

_FETCHED = (State.APPLYING, State.ROLLING, State.READY, State.APPLIED)
_APPLIED = (State.ROLLING, State.READY, State.APPLIED)


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
        standing = self._patiently(standing, now)
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


_VERBS = {
    State.FETCHING: "waiting for",
    State.APPLYING: "waiting for",
    State.ROLLING: "waiting for",
    State.READY: "ready:",
    State.APPLIED: "done:",
    State.REPLACED: "overtaken:",
    State.FAILED: "failed:",
}
