"""Where the HelmReleases of a change stand, and what Helm says when it fails. Pure.

helm-controller upgrades once for each change of the release, its values or its chart, and waits for
the workloads meanwhile: these are looked at before it has come to an end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops_rollback.image import find_image
from gitops_rollback.late import regex, replace
from gitops_rollback.rollout.appliers import NOT_YET
from gitops_rollback.rollout.apply_failures import (
    PASSING,
    UNTOUCHED,
    apply_failure,
    leaving,
    suspended,
    unhealthy_objects,
)
from gitops_rollback.rollout.standing import (
    FOREVER,
    LISTING,
    Failure,
    Standing,
    State,
    View,
    Whose,
    failed,
    go_back,
    short,
    suspect,
)
from gitops_rollback.rollout.target import THERE, Relation

if TYPE_CHECKING:
    from gitops_rollback.rollout.appliers import Reconciler
    from gitops_rollback.rollout.target import Place, Target

# Reasons of `Ready` while Flux only waits, or that the next attempt decides anew.
_WAITING_REASONS = frozenset({NOT_YET, "HealthCheckCanceled", "Progressing", ""})
_CHART_REASONS = frozenset({"ArtifactFailed", "HelmChartFailed", "SourceNotReady"})
_OF_ATTEMPTS = regex("^(Install|Upgrade|Test|Rollback|Uninstall)")
_NOT_IN_TIME = regex(
    r"timed out|timeout waiting|context deadline|not ready|InProgress", re.IGNORECASE
)
_NOT_RENDERED = regex(
    r"template:|execution error|parse error|render|meet the specifications of the schema",
    re.IGNORECASE,
)
_OF_HOOK = regex(r"hooks? failed|^TestFailed")
_UNDONE = {
    "RollbackSucceeded": "Helm went back to the release before; {} does not run",
    "RollbackFailed": "Helm could not go back to the release before",
    "UninstallSucceeded": "Helm has uninstalled the release: nothing of it runs",
    "UninstallFailed": "Helm could not uninstall the release",
}
_AGAIN = "Flux tries again by itself"
_CHART_PATIENCE = 30.0  # seconds: while a new chart is made, the old one is not ready
_UNDO_PATIENCE = 10.0  # seconds for Helm to go back by itself, which is worth being told


def begin(target: Target, view: View) -> Standing | None:
    """Judge whether the HelmReleases have begun with the change; None where all have."""
    for one in view.releases:
        if one.is_leaving:
            return suspect(State.APPLYING, f"{one.name} to be there", leaving(one))
        begun = has_begun(target, view, one)
        if begun and view.has_told(target):
            continue  # Helm has done its part, whatever keeps it from the next one
        if one.suspended:
            stopped = suspect(State.APPLYING, f"{one.name} to be resumed", suspended(one))
            return LISTING if begun and not view.listed else stopped
        waits = f"{one.name} to upgrade"
        if one.ready.reason == NOT_YET:
            return suspect(State.APPLYING, waits, apply_failure(target, one))
        if not begun:
            return Standing(State.APPLYING, f"{waits}{_why_not(one)}")
    return None


def finish(target: Target, view: View, standing: Standing) -> Standing:
    """Return where a change stands once Helm is heard too, beside the workloads.

    It may have failed; and it is done only after hooks and tests.
    """
    for one in view.releases if view.listed else ():
        if _has_failed(one):
            return _failed(target, view, one, standing)
        if standing.state is State.READY and not (one.current and one.ready.status == "True"):
            said = one.reconciling.message or one.ready.message
            waits = f"{one.name} to be done with its upgrade"
            if one.ready.reason == NOT_YET:
                return suspect(State.ROLLING, waits, apply_failure(target, one))
            return Standing(State.ROLLING, f"{waits} ({said})" if said else waits)
    return standing


def has_begun(target: Target, view: View, one: Reconciler) -> bool:
    """Tell whether a release is told of the change, as far as it shows: by spec or chart."""
    held = places_of(target, view, one)
    if held:
        return all(_is_told(place, target, one) for place in held)
    if not one.chart_commit:
        return True
    commits = {target.commit: Relation.OURS, **view.relations}
    return any(
        commit.startswith(one.chart_commit) and relation in THERE
        for commit, relation in commits.items()
    )


def places_of(target: Target, view: View, one: Reconciler) -> list[Place]:
    """Return where Git gives the image to a release by its name, as it is applied."""
    return [
        place
        for place in target.of_releases
        if any(one.name in by.called(place) for by in view.kustomizations)
    ]


def proves(target: Target, view: View, one: Reconciler) -> bool:
    """Tell whether a release that has begun shows by itself that it is at the change."""
    return bool(places_of(target, view, one) or one.chart_commit)


def helm_failure(target: Target, one: Reconciler) -> Failure:
    """Name why a HelmRelease failed; where Helm rolled back by itself, the upgrade is to blame."""
    said = one.released if one.released.status == "False" else one.ready
    undone = _UNDONE.get(one.remediated.reason, "")
    of = f"--namespace {one.name.namespace}"
    hint = f"look at the release: kubectl {of} describe helmrelease {one.name.name}, flux logs "
    hint += f"--kind HelmRelease --name {one.name.name} {of}"
    if undone:  # Flux holds on to what Git says: the next change would try the same image again
        hint = f"Git still says {target.image.label}: undo it there; {go_back(target)}"
    failure = Failure(
        code="helm",
        message=short(f"{one.name}: {said.reason}: {said.message}"),
        hint=hint,
        whose=Whose.OURS,
        object=str(one.name),
        by_image=bool(_NOT_IN_TIME.search(said.message)),
        retries=_AGAIN if one.retries else "Flux does not try again until something changes",
        serving=undone.format(target.image.label),
        patience=_UNDO_PATIENCE if one.remediates and not undone else 0.0,
    )
    if said.reason in _CHART_REASONS:
        hint = (
            f"look at the chart and its source: kubectl {of} describe helmchart, flux get sources "
        )
        hint += "all --all-namespaces"
        patience = FOREVER if PASSING.search(said.message) else _CHART_PATIENCE
        return replace(failure, hint=hint, whose=Whose.CLUSTER, by_image=False, patience=patience,
                       serving=UNTOUCHED, retries=_AGAIN)  # fmt: skip
    if _NOT_RENDERED.search(said.message):
        hint = "mend the chart or the values: helm template tells more"
        return replace(failure, hint=hint, by_image=False, serving=UNTOUCHED)
    if _OF_HOOK.search(f"{said.reason}: {said.message}"):  # whose image that is, nobody looks at
        jobs = f"kubectl {of} get jobs,pods"
        return replace(failure, hint=f"{hint}; and at its hooks: {jobs}", by_image=False)
    return failure


def _failed(target: Target, view: View, one: Reconciler, standing: Standing) -> Standing:
    """Name why Helm failed; where it only ran out of time, by what keeps the pods from running.

    Where Helm has gone back, the workloads are no longer told the image, and show nothing of it.
    """
    failure = helm_failure(target, one)
    cause = standing.failure or standing.suspicion
    if failure.by_image and view.has_told(target) and cause is not None:
        return failed(replace(cause, patience=0.0))
    unready = set(unhealthy_objects(failure.message))
    own = {str(one.name) for one in view.workloads or ()}
    is_well = standing.state in (State.READY, State.APPLIED)
    if is_well or (own and unready and own.isdisjoint(unready)):
        failure = replace(failure, by_image=False)  # what else is in the release is to blame
    if one.suspended:  # it observes each change and makes none: of which one that is, nobody knows
        return suspect(State.APPLYING, f"{one.name} to be resumed", suspended(one))
    return suspect(State.APPLYING, f"{one.name} to upgrade", failure)


def _is_told(place: Place, target: Target, one: Reconciler) -> bool:
    """Tell whether a release's spec has what Git holds there: the digest, else the tag.

    As a whole: `1.5.0` is in `1.5.0-rc1`, too. Where it is not known what Git holds, by either.
    """
    image = find_image(place.value)
    held = (image.digest or image.tag) if image is not None else None
    names = [name for name in (target.image.digest, target.image.tag) if name]
    whole = [
        re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])")
        for name in ([held] if held else names)
    ]
    return any(pattern.search(text) for pattern in whole for text in one.spec)


def _has_failed(one: Reconciler) -> bool:
    """Tell whether the present generation has failed, in an attempt or before one could begin."""
    if one.ready.status != "False" or one.ready.reason in _WAITING_REASONS:
        return False
    return one.current or (one.is_told and not _OF_ATTEMPTS.search(one.ready.reason))


def _why_not(one: Reconciler) -> str:
    """Say what a release that has not begun is at."""
    return f" (its chart is of {one.chart_commit})" if one.chart_commit else ""
