"""Where a change stands: fetched, applied, running, or failed and why. Pure; knows no clock.

Judged is *this* change, not whether something is ready: `Ready=True` may be of the old revision,
and a failed `Ready` may be another service's.

Without a cluster, the commit statuses tell that Flux posts to a Git host: notification-controller
names them `kustomization/<name>/<8 digits of the provider's uid>`, describes them by the event's
reason in words ("health check failed"), and posts only how it ended
(fluxcd/notification-controller:internal/notifier/github.go, gitlab.go, util.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gitops_rollback.late import replace
from gitops_rollback.rollout.appliers import NOT_YET, commit_of
from gitops_rollback.rollout.apply_failures import (
    APPLIED_REASONS,
    apply_failure,
    leaving,
    source_failure,
    suspended,
    unheard,
)
from gitops_rollback.rollout.releases import begin, finish
from gitops_rollback.rollout.rolling import roll_out, unfinished_of
from gitops_rollback.rollout.standing import (
    FOREVER,
    LISTING,
    Failure,
    SetImage,
    Standing,
    State,
    View,
    Whose,
    short,
    suspect,
    urgency,
)
from gitops_rollback.rollout.target import THERE, Relation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from gitops_rollback.forges.rules import CommitStatus
    from gitops_rollback.rollout.appliers import Reconciler
    from gitops_rollback.rollout.follow import Relations
    from gitops_rollback.rollout.target import Target

_SHORT = 12
_NOWHERE = ""  # no object has this namespace
_CHECKING = "Running health checks"
# Seconds after which what Flux has fetched is no longer about to be applied: where any two of the
# source's Kustomizations wait for each other, none is told of a new revision
# (kustomize-controller:internal/controller, `requestsForRevisionChangeOf`, dependency.Sort).
_IDLE = 5.0
_AGAIN = 30.0  # seconds for Flux to try once more what had failed
_SUCCESS = frozenset({"success"})
_FAILURE = frozenset({"failure", "failed", "error", "canceled"})
_NEXT_TRY = 20.0  # seconds: a failure may be of an attempt that the next one mends


def judge(target: Target, view: View) -> Standing:
    """Return where a change stands in a cluster; or, in `asks`, the commits to look up first."""
    live = (one.belongings for one in view.workloads or ())
    spaces, are_sure = _spaces(target, view)
    target = replace(
        target,
        belongings=target.belongings.union(*live),
        spaces=spaces,
        is_placed=are_sure,
    )
    asks = _unknown(target, view)
    if asks:
        return Standing(State.FETCHING, "to learn what the newest commits hold", asks=asks)
    return (
        _replaced(target, view)
        or _fetch(target, view)
        or _apply(target, view)
        or begin(target, view)
        or finish(target, view, roll_out(target, view))
    )


def _spaces(target: Target, view: View) -> tuple[frozenset[str], bool]:
    """Return the namespaces that a service's objects are in, and whether that is sure.

    What a Kustomization gives to all that it applies counts before what Git says, and that before
    what has been applied under the names of its workloads, which may be another team's: where one
    Kustomization has a name in several namespaces, none is known to be the service's.
    """
    live = frozenset(one.name.namespace for one in view.workloads or ())
    given = {one.space for one in view.kustomizations}
    if given and all(given):
        return live | given, True
    landed = {one.namespace if one.is_sure else "" for one in target.lands}
    if landed and all(landed):
        return live | landed | (given - {""}), True
    named = [
        frozenset(one.namespace for one in by.called(place))
        for place in target.held
        for by in view.kustomizations
    ]
    clear = frozenset[str]().union(*(one for one in named if len(one) == 1))
    return (clear or frozenset({_NOWHERE} if any(named) else ())), False


def _unknown(target: Target, view: View) -> tuple[str, ...]:
    commits = [view.source.commit]
    for one in view.kustomizations:
        commits += [one.attempted, one.applied]
    known = (commit for commit in dict.fromkeys(commits) if commit)
    return tuple(commit for commit in known if view.relation(target, commit) is None)


def _replaced(target: Target, view: View) -> Standing | None:
    """Return the standing of a change whose place another one has taken."""
    commits = [view.source.commit, *(one.attempted for one in view.kustomizations)]
    for commit in commits:
        if view.relation(target, commit) is Relation.REPLACED:
            return Standing(
                State.REPLACED,
                f"{target.branch}@{commit[:_SHORT]} has replaced {target.image.label}: a newer "
                "change of the service was pushed",
            )
    source = view.source
    handled = bool(view.token) and source.handled == view.token and source.ready.status == "True"
    if handled and source.commit and view.relation(target, source.commit) is Relation.BEFORE:
        return Standing(
            State.REPLACED,
            f"{target.branch}@{source.commit[:_SHORT]}, which Flux has just fetched, does not hold "
            f"{target.image.label}: the change was reverted, or is on another branch",
        )
    return None


def _fetch(target: Target, view: View) -> Standing | None:
    source = view.source
    if view.relation(target, source.commit) in THERE:
        return None
    taking = (one for one in view.kustomizations if one.source == source.name)
    if any(view.relation(target, one.applied) in THERE for one in taking):
        return None
    if source.suspended:
        return suspect(State.FETCHING, f"{source.name} to be resumed", suspended(source))
    if source.is_leaving:
        return suspect(State.FETCHING, f"{source.name} to fetch", leaving(source))
    has = f"it has {source.commit[:_SHORT]}" if source.commit else "it has none yet"
    waits = f"{source.name} to fetch {target.branch}@{target.commit[:_SHORT]} ({has})"
    if source.ready.status == "False":
        return suspect(State.FETCHING, waits, source_failure(source))
    is_deaf = view.token and source.handled != view.token
    return Standing(State.FETCHING, waits, suspicion=unheard(target, source) if is_deaf else None)


def _apply(target: Target, view: View) -> Standing | None:
    found = [one for by in view.kustomizations if (one := _apply_one(target, view, by))]
    return min(found, key=urgency) if found else None


def _apply_one(target: Target, view: View, by: Reconciler) -> Standing | None:
    """Judge one Kustomization; None where it has applied the change and the pods count."""
    if by.is_leaving:
        return suspect(State.APPLYING, f"{by.name} to be there", leaving(by))
    tried = view.relation(target, by.attempted) in THERE
    done = tried and by.suspended and _has_applied_all(target, view, by)
    if view.relation(target, by.applied) in THERE or (done and view.has_told(target)):
        return None
    if by.suspended:
        stopped = suspect(State.APPLYING, f"{by.name} to be resumed", suspended(by))
        return LISTING if done and not view.listed else stopped
    if tried:
        return _attempted(target, view, by)
    waits = f"{by.name} to apply {target.commit[:_SHORT]}{_busy_with(by)}"
    if by.ready.reason == NOT_YET:
        return suspect(State.APPLYING, waits, apply_failure(target, by))
    return _hastened(target, view, by, waits)


def _hastened(target: Target, view: View, by: Reconciler, waits: str) -> Standing:
    """Wait for a Kustomization; say what would end a health check of an earlier, bad image.

    Its health check ends as soon as the live image is what Git holds, and Flux applies that a
    second later, with nobody else's name left in the object (measured, kustomize-controller v1.9).
    """
    is_checking = by.reconciling.message.startswith(_CHECKING)
    has_fetched = view.relation(target, view.source.commit) in THERE
    if not is_checking or not has_fetched:
        if not has_fetched or by.reconciling.status:
            return Standing(State.APPLYING, waits)
        return Standing(State.APPLYING, waits, suspicion=unheard(target, by), nudge=_IDLE)
    hastens = tuple(
        SetImage(one.name, box.name, value, box.pointer, box.image, view.context)
        for one in unfinished_of(target, view)
        if one.name in by.inventory
        for box in one.elsewhere(target)
        if (value := target.value_of(one.name.kind, one.name.name, box.name))
    )
    said = "; ".join(one.command for one in hastens)
    if said:
        waits = f"{waits}; to end that now, set what Git holds (or wait --hasten): {said}"
    return Standing(State.APPLYING, waits, hastens=hastens)


def _attempted(target: Target, view: View, by: Reconciler) -> Standing | None:
    """Judge a Kustomization that has begun to apply the change."""
    if _has_applied_all(target, view, by):
        return None
    waits = f"{by.name} to apply {target.commit[:_SHORT]}"
    if by.ready.status != "False" or by.ready.reason == "HealthCheckCanceled":
        return Standing(State.APPLYING, f"{waits} ({_step_of(by)})")
    failure = apply_failure(target, by)
    if by.handled != view.told.get(by.name, by.handled):
        # It failed before this wait began, and was told to try again.
        again = replace(failure, patience=max(failure.patience, _AGAIN))
        return Standing(State.APPLYING, f"{waits} once more", suspicion=again)
    return suspect(State.APPLYING, waits, failure)


def _has_applied_all(target: Target, view: View, by: Reconciler) -> bool:
    """Tell whether it has come to what follows once all of our change that it tried is applied."""
    said = by.reconciling.message
    commit = next((c for c in map(commit_of, said.split()) if c), "")
    checks = said.startswith(_CHECKING) and view.relation(target, commit) in THERE
    return checks or by.ready.reason in APPLIED_REASONS


def _busy_with(by: Reconciler) -> str:
    """Say what it does meanwhile: a health check of an earlier revision goes on to its end."""
    said = by.reconciling.message
    if said.startswith(_CHECKING):
        limit = f", at most {by.timeout}" if by.timeout else ""
        return f": it still waits for the health of an earlier revision{limit}"
    return f" (it is at {by.attempted[:_SHORT]})" if by.attempted else ""


def _step_of(by: Reconciler) -> str:
    return by.reconciling.message.partition(" for revision ")[0] or by.ready.reason or "begun"


def contexts_of(statuses: Iterable[CommitStatus]) -> set[str]:
    """Return the contexts of what Flux has posted: by these one cluster's differ from another's."""
    return {status.context for status in statuses if status.name}


def judge_statuses(
    target: Target, statuses: Iterable[CommitStatus], expected: Collection[str]
) -> Standing:
    """Judge a change by the statuses of its commit, or of a later one that still holds it.

    `expected` is what has to report: the names that a person gave, else the contexts that have
    reported for the commits before, of each cluster its own.
    """
    own = [
        status
        for status in statuses
        if status.name and (not expected or any(map(status.is_called, expected)))
    ]
    for status in own:
        if status.state in _FAILURE:
            failure = _reported(status, len(expected))
            return Standing(State.APPLYING, failure.message, suspicion=failure)
    done = [status for status in own if status.state in _SUCCESS]
    missing = sorted(one for one in expected if not any(each.is_called(one) for each in done))
    if missing or not done:
        who = ", ".join(missing) or "a Kustomization"
        return Standing(State.FETCHING, f"Flux to report {who} for {target.commit[:12]}")
    words = ", ".join(f"{status.name}: {status.description or status.state}" for status in own)
    return Standing(
        State.APPLIED,
        f"Flux reports {words} (commit statuses; no pod was looked at)",
        warnings=("Flux's own word was taken: nothing here has seen a pod",),
    )


def _reported(status: CommitStatus, number: int) -> Failure:
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
        patience=FOREVER if "dependency" in status.description else _NEXT_TRY,
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
        """Return the contexts in which Flux has posted for the commits before."""
        commits = self._statuses.before(target.commit)
        return set[str]().union(*(contexts_of(self._statuses.of(one)) for one in commits))

    def judge(self, target: Target, expected: Collection[str]) -> Standing:
        """Judge by the commit's statuses; where it has none, by those of the branch's tip."""
        found = self._statuses.of(target.commit)
        if not contexts_of(found):
            tip, relation = self.relations.at_tip(target)
            if relation is Relation.REPLACED:
                text = f"{target.branch}@{tip[:12]} has replaced {target.image.label}"
                return Standing(State.REPLACED, text)
            if relation is Relation.HOLDS:
                found = self._statuses.of(tip)
        self.has_seen_any = self.has_seen_any or bool(contexts_of(found))
        return judge_statuses(target, found, expected)
