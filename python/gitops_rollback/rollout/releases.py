"""Where the HelmReleases of a change stand, and what Helm says when it fails. Pure.

helm-controller upgrades once for each change of the release, its values or its chart, and waits for
the workloads meanwhile: these are looked at before it has come to an end.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_rollback.rollout.apply_failures import PASSING, suspended
from gitops_rollback.rollout.failure import FOREVER, Failure, Whose, short
from gitops_rollback.rollout.standing import Standing, State, View, failed, suspect
from gitops_rollback.rollout.target import Relation

if TYPE_CHECKING:
    from gitops_rollback.rollout.reconcilers import Reconciler
    from gitops_rollback.rollout.target import Target

# Reasons of `Ready` while Flux only waits, or that the next attempt decides anew.
_WAITING_REASONS = frozenset({"DependencyNotReady", "HealthCheckCanceled", "Progressing", ""})
_CHART_REASONS = frozenset({"ArtifactFailed", "HelmChartFailed", "SourceNotReady"})
_NOT_IN_TIME = re.compile(r"timed out|context deadline|not ready|InProgress", re.IGNORECASE)
_NOT_RENDERED = re.compile(r"template:|parse error|render|schema", re.IGNORECASE)
_CHART_PATIENCE = 30.0  # seconds: while a new chart is made, the old one is not ready
_UNDO_PATIENCE = 10.0  # seconds for Helm to go back by itself, which is worth being told
_THERE = (Relation.OURS, Relation.HOLDS)


def release(target: Target, view: View) -> Standing | None:
    """Judge the HelmReleases; None where all have begun with the change and none has failed."""
    for one in view.releases:
        if one.suspended:
            return failed(suspended(one))
        waits = f"{one.name} to upgrade"
        if not has_begun(target, view, one):
            return Standing(State.APPLYING, f"{waits}{_why_not(one)}")
        if one.current and one.ready.status == "False" and not _only_waits(one):
            return suspect(State.APPLYING, waits, helm_failure(target, one))
    return None


def finish(view: View, standing: Standing) -> Standing:
    """Return a standing that is ready only once Helm is done too: hooks and tests come last."""
    if standing.state is not State.READY:
        return standing
    for one in view.releases:
        if one.ready.status != "True" or not one.current:
            said = one.reconciling.message or one.ready.message
            waits = f"{one.name} to be done with its upgrade"
            return Standing(State.ROLLING, f"{waits} ({said})" if said else waits)
    return standing


def has_begun(target: Target, view: View, one: Reconciler) -> bool:
    """Tell whether a release is told of the change, as far as it shows: by spec or chart."""
    if _is_named(target, one):
        names = [name for name in (target.image.digest, target.image.tag) if name]
        return any(name in one.spec for name in names)
    if not one.chart_commit:
        return True
    commits = {target.commit: Relation.OURS, **view.relations}
    return any(
        commit.startswith(one.chart_commit) and relation in _THERE
        for commit, relation in commits.items()
    )


def proves(target: Target, one: Reconciler) -> bool:
    """Tell whether a release that has begun shows by itself that it is at the change."""
    return _is_named(target, one) or bool(one.chart_commit)


def helm_failure(target: Target, one: Reconciler) -> Failure:
    """Name why a HelmRelease failed; where Helm rolled back by itself, the upgrade is to blame."""
    said = one.released if one.released.status == "False" else one.ready
    undone = one.remediated.status == "True" or "Rollback" in one.ready.reason
    failure = Failure(
        code="helm",
        message=short(f"{one.name}: {said.reason}: {said.message}"),
        hint="look at the release: flux logs --kind HelmRelease, helm history",
        whose=Whose.OURS,
        object=str(one.name),
        by_image=bool(_NOT_IN_TIME.search(said.message)),
        retries="" if one.reconciling.status != "True" else "Flux tries again by itself",
        serving=f"Helm went back to the release before; {target.image.label} does not run"
        if undone
        else "",
        patience=_UNDO_PATIENCE if one.remediates and not undone else 0.0,
    )
    if said.reason in _CHART_REASONS:
        hint = "look at the chart and its source: kubectl describe helmchart, flux get sources all"
        passing = PASSING.search(said.message)
        return replace(failure, hint=hint, whose=Whose.CLUSTER, by_image=False, serving="",
                       patience=FOREVER if passing else _CHART_PATIENCE)  # fmt: skip
    if _NOT_RENDERED.search(said.message):
        hint = "mend the chart or the values: helm template tells more"
        return replace(failure, hint=hint, by_image=False)
    return failure


def _is_named(target: Target, one: Reconciler) -> bool:
    wanted = {place.name for place in target.places if place.kind == "HelmRelease"}
    return one.name.name in wanted


def _only_waits(one: Reconciler) -> bool:
    return one.ready.reason in _WAITING_REASONS


def _why_not(one: Reconciler) -> str:
    """Say what a release that has not begun is at."""
    return f" (its chart is of {one.chart_commit})" if one.chart_commit else ""
