"""Where the workloads and pods of an applied change stand. Pure; knows no clock."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_rollback.rollout.apply_failures import (
    HEALTH_REASON,
    apply_failure,
    health_failure,
    unhealthy_objects,
)
from gitops_rollback.rollout.failure import Failure, Whose
from gitops_rollback.rollout.pod_failures import (
    deadline_failure,
    pod_failure,
    serving_of,
    unready_failure,
)
from gitops_rollback.rollout.releases import proves
from gitops_rollback.rollout.standing import Standing, State, View, failed, suspect
from gitops_rollback.rollout.target import Relation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.rollout.pods import Pod
    from gitops_rollback.rollout.reconcilers import Reconciler
    from gitops_rollback.rollout.target import Target
    from gitops_rollback.rollout.workloads import Workload

_THERE = (Relation.OURS, Relation.HOLDS)


def roll_out(target: Target, view: View) -> Standing:
    """Judge the workloads; without any to look at, what Flux says of their health has to do."""
    if not view.listed:
        return Standing(State.APPLYING, "the cluster to list the workloads")
    if not view.workloads:
        return _by_flux(target, view)
    warnings: list[str] = []
    for workload in view.workloads:
        found = _workload(target, view, workload)
        if found is None:
            warnings += _unproven(target, workload, _pods_of(view, workload))
        elif found.failure or not _is_by_hand(workload):
            return found
        else:
            warnings.append(f"{workload.name} replaces its pods only when somebody deletes them")
    warnings += _others(view)
    names = ", ".join(str(workload.name) for workload in view.workloads)
    return Standing(State.READY, f"{names}: {_running(target, view)}", warnings=tuple(warnings))


def _workload(target: Target, view: View, workload: Workload) -> Standing | None:
    """Judge one workload; None where it runs the image."""
    pods = _pods_of(view, workload)
    elsewhere = workload.runs_elsewhere(target)
    if elsewhere:
        return _not_told(view, workload, elsewhere[0].image)
    if workload.wanted is None:
        return None  # a CronJob: its next run takes the image
    if workload.paused:
        return failed(_paused(target, workload, pods))
    waits = _missing(workload, None if view.pods is None else pods, target)
    if not waits:
        return None
    waits = f"{workload.name}: {waits}"
    failure = _failure(target, view, workload, pods)
    return suspect(State.ROLLING, waits, failure) if failure else Standing(State.ROLLING, waits)


def _failure(target: Target, view: View, workload: Workload, pods: list[Pod]) -> Failure | None:
    """Name why a rollout is not done, if anything shows why; certain once Flux gave it up."""
    cause = pod_failure(target, workload, pods) or unready_failure(target, pods)
    if workload.observed and workload.progressing.reason == "ProgressDeadlineExceeded":
        return replace(cause or deadline_failure(target, workload, pods), patience=0.0)
    for one in view.kustomizations:
        objects = unhealthy_objects(one.ready.message)
        if _has_failed_health(one, target, view) and str(workload.name) in objects:
            return replace(cause or _unhealthy(target, one, workload, pods), patience=0.0)
    return cause


def _missing(workload: Workload, pods: Iterable[Pod] | None, target: Target) -> str:
    """Say what a rollout lacks; empty where it is done. `pods` is None if they may not be read."""
    wanted = workload.wanted or 0
    if not workload.observed:
        return "its controller to see the new image"
    if workload.updated < wanted:
        return f"{workload.updated} of {wanted} pods are new"
    if workload.name.kind == "Deployment" and workload.total > workload.updated:
        return f"{workload.total - workload.updated} old pods are still there"
    if workload.available < wanted:
        return f"{workload.available} of {wanted} pods are ready"
    if pods is None:
        return ""
    running = [pod for pod in pods if pod.is_new(target) and pod.ready and not pod.ended]
    wanted_new = wanted - workload.kept
    return "" if len(running) >= wanted_new else "the pods to report the image they run"


def _not_told(view: View, workload: Workload, image: str) -> Standing:
    """Return the standing of a workload with another image: not applied yet, or edited by hand."""
    if workload.set_by and all(one.ready.status == "True" for one in view.kustomizations):
        edit = f"an edit by hand: {workload.name} runs {image}, set by {workload.set_by}"
        if view.releases and not any(one.corrects_drift for one in view.releases):
            when = "only with driftDetection, or when something else changes"
            return Standing(State.APPLYING, f"Helm to undo {edit}, which it does {when}")
        return Standing(State.APPLYING, f"Flux to undo {edit}", nudge=True)
    return Standing(State.APPLYING, f"{workload.name} to be told: it still names {image}")


def _by_flux(target: Target, view: View) -> Standing:
    """Judge by Flux's own word alone: its Ready, which covers health only where it checks it."""
    hidden = "its workloads may not be read here" if view.workloads is None else "no workload with "
    if view.workloads is not None:
        hidden += f"the image repository {target.image.full_repository} was found"
    deciding = (*view.kustomizations, *view.releases)
    for one in deciding:
        if one.ready.status == "True" and one.current:
            continue
        if _has_failed_health(one, target, view):
            objects = unhealthy_objects(one.ready.message)
            ours = any(_is_ours(name, target) for name in objects)
            return failed(health_failure(one, objects, ours=ours))
        if one.ready.status == "False" and one.name.kind == "Kustomization":
            return Standing(State.APPLYING, f"{one.name}", suspicion=apply_failure(target, one))
        return Standing(State.ROLLING, f"{one.name} to be ready ({hidden})")
    unsure = _unsure(target, view)
    if unsure:
        return Standing(
            State.APPLIED,
            f"applied; nothing tells whether pods run: {hidden}, and {unsure}",
            warnings=("nothing was verified but that Flux has applied the commit",),
        )
    names = ", ".join(str(one.name) for one in deciding)
    return Standing(State.READY, f"{names} reports health ({hidden})")


def _unsure(target: Target, view: View) -> str:
    """Say why Flux's word on health does not cover the change; empty where it does."""
    deciding = (*view.kustomizations, *view.releases)
    unchecked = [str(one.name) for one in deciding if not one.checks_health]
    if unchecked:
        return f"health checks are off in {', '.join(unchecked)}"
    unproven = [str(one.name) for one in view.releases if not proves(target, one)]
    if unproven:
        return f"{', '.join(unproven)} does not show which values it has"
    if target.is_by_values and not view.releases:
        return f"no HelmRelease is known to take {', '.join(target.paths)}"
    return ""


def _has_failed_health(one: Reconciler, target: Target, view: View) -> bool:
    attempted = view.relation(target, one.attempted) in _THERE
    return attempted and one.ready.status == "False" and one.ready.reason == HEALTH_REASON


def _unhealthy(target: Target, by: Reconciler, workload: Workload, pods: Iterable[Pod]) -> Failure:
    failure = health_failure(by, (str(workload.name),), ours=True)
    return replace(failure, serving=serving_of(target, pods))


def _paused(target: Target, workload: Workload, pods: Iterable[Pod]) -> Failure:
    name = workload.name
    return Failure(
        code="paused",
        message=f"{name} is paused: its pods stay as they are",
        hint=f"kubectl -n {name.namespace} rollout resume {name.kind.lower()} {name.name}",
        whose=Whose.CLUSTER,
        object=str(name),
        serving=serving_of(target, pods),
    )


def _others(view: View) -> list[str]:
    """Say that another service in the same Kustomization is not well, though ours is."""
    return [
        f"{one.name} is not ready all the same: {one.ready.message}"
        for one in (*view.kustomizations, *view.releases)
        if one.ready.status == "False" and one.current
    ]


def _unproven(target: Target, workload: Workload, pods: Iterable[Pod]) -> list[str]:
    """Say where the runtime reports another digest than the target's under its tag.

    An image named with its digest can be no other: the kubelet pulls by it.
    """
    wanted = target.image.digest
    found = {
        container.digest
        for pod in pods
        if pod.is_new(target) and not pod.ended
        for container in pod.of(target)
        if container.reference is not None and container.reference.digest is None
        if container.digest and wanted and container.digest != wanted
    }
    return [
        f"{workload.name}: pods report {digest[:19]} for {target.image.label}, which was "
        f"{(wanted or '')[:19]}: the tag was moved, or the runtime names its platform's digest"
        for digest in sorted(found)
    ]


def _running(target: Target, view: View) -> str:
    if view.pods is None:
        return f"{target.image.label} is rolled out (its pods may not be read here)"
    new = sum(
        pod.is_new(target) and pod.ready and not pod.ended
        for workload in view.workloads or ()
        for pod in _pods_of(view, workload)
    )
    if not new:
        return f"{target.image.label} is what the next pods run (none is wanted now)"
    digest = f" ({target.image.short_digest})" if target.image.digest else ""
    pods = "1 pod runs" if new == 1 else f"{new} pods run"
    return f"{pods} {target.image.label}{digest}"


def _pods_of(view: View, workload: Workload) -> list[Pod]:
    wanted = frozenset(workload.selector)
    return [
        pod
        for pod in view.pods or ()
        if wanted and wanted <= pod.labels and pod.name.namespace == workload.name.namespace
    ]


def _is_by_hand(workload: Workload) -> bool:
    return workload.by_hand and workload.observed


def _is_ours(name: str, target: Target) -> bool:
    kind, _, rest = name.partition("/")
    return (kind, rest.rpartition("/")[2]) in {(p.kind, p.name) for p in target.places}
