"""Where a change stands by the commit statuses that Flux posts to a Git host. Pure.

notification-controller names them `kustomization/<name>/<8 digits of the provider's uid>`,
describes them by the event's reason in words ("health check failed"), and posts only how it ended
(fluxcd/notification-controller:internal/notifier/github.go, gitlab.go, util.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gitops_rollback.rollout.standing import FOREVER, Failure, Standing, State, Whose, short
from gitops_rollback.rollout.target import Relation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from gitops_rollback.forges.statuses import CommitStatus
    from gitops_rollback.rollout.follow import Relations
    from gitops_rollback.rollout.target import Target

_SUCCESS = frozenset({"success"})
_FAILURE = frozenset({"failure", "failed", "error", "canceled"})
_AGAIN = 20.0  # seconds: a failure may be of an attempt that the next one mends


def names_of(statuses: Iterable[CommitStatus]) -> set[str]:
    """Return the names of the Kustomizations and HelmReleases that Flux has posted for."""
    return {status.name for status in statuses if status.name}


def judge_statuses(
    target: Target, statuses: Iterable[CommitStatus], expected: Collection[str]
) -> Standing:
    """Judge a change by the statuses of its commit, or of a later one that still holds it.

    `expected` are the names that have to report: those a person named, else those that have
    reported for the commits before.
    """
    own = [status for status in statuses if status.name]
    if expected:
        own = [status for status in own if status.name in expected]
    for status in own:
        if status.state in _FAILURE:
            failure = _failure(status, len(expected))
            return Standing(State.APPLYING, failure.message, suspicion=failure)
    done = {status.name for status in own if status.state in _SUCCESS}
    missing = sorted(set(expected) - done)
    if missing or not done:
        who = ", ".join(missing) or "a Kustomization"
        return Standing(State.FETCHING, f"Flux to report {who} for {target.commit[:12]}")
    words = ", ".join(f"{status.name}: {status.description or status.state}" for status in own)
    return Standing(
        State.APPLIED,
        f"Flux reports {words} (commit statuses; no pod was looked at)",
        warnings=("Flux's own word was taken: nothing here has seen a pod",),
    )


def _failure(status: CommitStatus, number: int) -> Failure:
    several = " (several Kustomizations report here: --kustomization names the one that counts)"
    return Failure(
        code="reported",
        message=short(f"Flux reports {status.name}: {status.description or status.state}"),
        hint=f"ask who has access to the cluster: flux get kustomization {status.name}"
        + (several if number != 1 else ""),
        # By a status alone nobody can tell whose object it was, so no image is blamed.
        whose=Whose.CLUSTER,
        object=status.name,
        retries="Flux tries again by itself",
        patience=FOREVER if "dependency" in status.description else _AGAIN,
    )


class Statuses(Protocol):
    """The commit statuses of the repository at its host; raises `GitopsRollbackError`."""

    def of(self, commit: str) -> Sequence[CommitStatus]:
        """Return the statuses of a commit."""

    def before(self, commit: str) -> Sequence[str]:
        """Return a few commits before one, newest first."""


class StatusReader:
    """Reads the statuses of a change's commit, or of a later one that still holds it."""

    def __init__(self, statuses: Statuses, relations: Relations) -> None:
        self.relations = relations
        self.has_seen_any = False
        self._statuses = statuses

    def seen_before(self, target: Target) -> set[str]:
        """Return the names that Flux has posted for the commits before."""
        names: set[str] = set()
        for commit in self._statuses.before(target.commit):
            names |= names_of(self._statuses.of(commit))
        return names

    def judge(self, target: Target, expected: Collection[str]) -> Standing:
        """Judge by the commit's statuses; where it has none, by those of the branch's tip."""
        found = self._statuses.of(target.commit)
        if not names_of(found):
            tip, relation = self.relations.at_tip(target)
            if relation is Relation.REPLACED:
                text = f"{target.branch}@{tip[:12]} has replaced {target.image.label}"
                return Standing(State.REPLACED, text)
            if relation is Relation.HOLDS:
                found = self._statuses.of(tip)
        self.has_seen_any = self.has_seen_any or bool(names_of(found))
        return judge_statuses(target, found, expected)
