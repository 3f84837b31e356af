"""Where a change stands: fetched, applied, running, or failed and why. Pure; knows no clock.

Judged is *this* change, not whether something is ready: `Ready=True` may be of the old revision,
and a failed `Ready` may be another service's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    LISTING,
    SetImage,
    Standing,
    State,
    View,
    failed,
    suspect,
)
from gitops_rollback.rollout.target import THERE, Relation

if TYPE_CHECKING:
    from gitops_rollback.rollout.appliers import Reconciler
    from gitops_rollback.rollout.target import Place, Target

_SHORT = 12
_NOWHERE = ""  # no object has this namespace
_CHECKING = "Running health checks"
# Seconds after which what Flux has fetched is no longer about to be applied: where any two of the
# source's Kustomizations wait for each other, none is told of a new revision
# (kustomize-controller:internal/controller, `requestsForRevisionChangeOf`, dependency.Sort).
_IDLE = 5.0
_AGAIN = 30.0  # seconds for Flux to try once more what had failed


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
    named = [_named(place, by) for place in target.held for by in view.kustomizations]
    clear = frozenset[str]().union(*(one for one in named if len(one) == 1))
    return (clear or frozenset({_NOWHERE} if any(named) else ())), False


def _named(place: Place, by: Reconciler) -> frozenset[str]:
    """Return the namespaces in which a Kustomization has applied what is called as a place is."""
    return frozenset(
        one.namespace
        for one in by.inventory
        if one.kind == place.kind and place.is_named(one.name, by.prefix, by.suffix)
    )


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
        return failed(suspended(source))
    if source.is_leaving:
        return suspect(State.FETCHING, f"{source.name} to fetch", leaving(source))
    has = f"it has {source.commit[:_SHORT]}" if source.commit else "it has none yet"
    waits = f"{source.name} to fetch {target.branch}@{target.commit[:_SHORT]} ({has})"
    if source.ready.status == "False":
        return suspect(State.FETCHING, waits, source_failure(source))
    is_deaf = view.token and source.handled != view.token
    return Standing(State.FETCHING, waits, suspicion=unheard(target, source) if is_deaf else None)


def _apply(target: Target, view: View) -> Standing | None:
    for one in view.kustomizations:
        found = _apply_one(target, view, one)
        if found is not None:
            return found
    return None


def _apply_one(target: Target, view: View, by: Reconciler) -> Standing | None:
    """Judge one Kustomization; None where it has applied the change and the pods count."""
    if by.is_leaving:
        return suspect(State.APPLYING, f"{by.name} to be there", leaving(by))
    tried = view.relation(target, by.attempted) in THERE
    done = tried and by.suspended and _has_applied_all(target, view, by)
    if view.relation(target, by.applied) in THERE or (done and view.has_told(target)):
        return None
    if by.suspended:
        return LISTING if done and not view.listed else failed(suspended(by))
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
