"""Where the workloads and pods of an applied change stand. Pure; knows no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.late import dataclass, regex, replace
from gitops_rollback.rollout.apply_failures import (
    HEALTH_REASON,
    apply_failure,
    ended_early,
    health_failure,
    leaving,
    unhealthy_objects,
)
from gitops_rollback.rollout.pod_failures import (
    SETTLED,
    altered_failure,
    deadline_failure,
    digest_failure,
    node_failure,
    paused_failure,
    pod_failure,
    restart_failure,
    stuck_failure,
    uncreated_failure,
    unready_failure,
    unstarted_failure,
)
from gitops_rollback.rollout.releases import places_of, proves
from gitops_rollback.rollout.standing import (
    FOREVER,
    IN_STEP,
    LISTING,
    Failure,
    Standing,
    State,
    View,
    Whose,
    failed,
    short,
    suspect,
    urgency,
)
from gitops_rollback.rollout.target import BARE, THERE
from gitops_rollback.rollout.workloads import PodsOf

if TYPE_CHECKING:
    from gitops_rollback.rollout.appliers import Reconciler
    from gitops_rollback.rollout.raw import Name
    from gitops_rollback.rollout.target import Target
    from gitops_rollback.rollout.workloads import ContainerState, Workload

# What only carries an image to where it runs; any other kind runs it, in its own way.
_CARRIERS = frozenset({"ConfigMap", "Secret", "Values", "HelmRelease", "Kustomization",
                       "Component"})  # fmt: skip
# Of Flagger, and of Argo Rollouts where it takes a Deployment's pods (`workloadRef`).
_STEERING = ("Canary", "Rollout")
# Of which the deadline is; its pods are called as it is, and more (kubernetes: `NewPodName`).
_REPLICA_SET = regex(r'^ReplicaSet "(?P<name>[^"]+)" has timed out')
_SHORT = 12
_MISSING = 15.0  # seconds for an object to appear that Flux says it has applied
_LOST = 5.0  # seconds after which it may have been deleted by hand, and Flux is to make it anew


def roll_out(target: Target, view: View) -> Standing:
    """Judge the workloads; where there are none to look at, what Flux says is no proof."""
    if not view.listed:
        return LISTING
    if view.missing:
        return _missing(target, view)
    if not view.workloads:
        return _by_flux(target, view)
    found = [one for workload in view.workloads if (one := _workload(target, view, workload))]
    return min(found, key=urgency) if found else _by_pods(target, view, view.workloads)


def _by_pods(target: Target, view: View, workloads: tuple[Workload, ...]) -> Standing:
    """Judge by what the pods run, once every workload is rolled out."""
    seen = [_look_at(target, view, workload) for workload in workloads]
    wrong = next((one.failure for one in seen if one.failure), None)
    if wrong is not None:
        return suspect(State.ROLLING, "the pods", wrong)
    left = [text for one in seen for text in one.left]
    left += [*view.unseen, *_without_release(target, view), *_not_made(target, view, workloads)]
    left += [*_steered(target, view), *_of_others(target), *_contested(target, view)]
    notes = [text for one in seen for text in one.notes] + _others(view)
    names = ", ".join(str(workload.name) for workload in workloads)
    said = f"{names}: {_running(target, view)}"
    if left:
        return Standing(State.APPLIED, f"{said}; {'; '.join(left)}", warnings=(*left, *notes))
    return Standing(State.READY, said, warnings=tuple(notes))


def _not_made(target: Target, view: View, workloads: tuple[Workload, ...]) -> list[str]:
    """Say what may not have all that Git holds, though its pods run the image.

    A suspended HelmRelease takes each change, and observes it, and Helm makes nothing of it.
    """
    stopped = [f"{one.name} is suspended" for one in view.releases if one.suspended]
    live = [f"{one.name} as it is ({one.left_alone})" for one in workloads if one.left_alone]
    held = [f"{one.title} as it is ({one.left_alone})" for one in target.held if one.left_alone]
    alone = [f"Flux leaves {one}" for one in live or held]
    alone += [
        f"{by.name}: {one.text}" for by in view.kustomizations for one in by.sets if one.is_alone
    ]
    return [f"{one}: what else Git holds of it may not be there" for one in stopped + alone]


def _steered(target: Target, view: View) -> list[str]:
    """Say what decides by itself which pods serve: those of the workload show nothing of it."""
    names = {(one.name.namespace, one.name.name) for one in view.workloads or ()}
    found = {
        one
        for by in (*view.kustomizations, *view.releases)
        for one in by.inventory
        if one.kind in _STEERING and ((one.namespace, one.name) in names or target.owns(str(one)))
    }
    return [
        f"{one} decides which pods serve, and when: those with {target.image.label} may still be "
        "on trial, or not be there yet"
        for one in sorted(found, key=str)
    ]


def _contested(target: Target, view: View) -> list[str]:
    """Say what applies the workloads too, and may set another image again.

    From another source, at a commit without the change; or with something in its spec that makes
    another image of Git's. What a source that has the change gives next is Git's own.
    """
    found = []
    for one in view.rivals:
        settings = _settings_of(target, one)
        commits = (one.applied, one.attempted) if one.source != view.source.name else ()
        if settings or (commits and all(view.relation(target, c) not in THERE for c in commits)):
            at = one.applied[:_SHORT] or "no commit"
            says = f"{one.name} applies it too, from {one.source} at {at}{_sentence(settings)}"
            found.append(f"{says}: it may set another image again")
    return found


def _of_others(target: Target) -> list[str]:
    """Say what else Git gives the image to, of kinds whose pods are not looked at."""
    found = (one for one in target.landed if not one.is_workload and one.kind not in _CARRIERS)
    return [
        f"{title} is not looked at: what a {kind} runs of {target.image.label} is not known"
        for title, kind in dict.fromkeys((one.title, one.kind) for one in found)
    ]


def unfinished_of(target: Target, view: View) -> list[Workload]:
    """Return the workloads that do not run the target's image, nor are well with another one."""
    return [
        one
        for one in view.workloads or ()
        if one.wanted and one.elsewhere(target) and (one.counts_lack or not one.observed)
    ]


# What is there, and what it was told


def _missing(target: Target, view: View) -> Standing:
    """Judge a change of which a workload stands in Git and was not found: that is never ready."""
    what = ", ".join(view.missing)
    by = ", ".join(str(one.name) for one in (*view.kustomizations, *view.releases))
    settings = _sentence(_settings(target, view))
    kinds = ",".join(dict.fromkeys(f"{one.partition('/')[0].lower()}s" for one in view.missing))
    failure = Failure(
        code="missing",
        message=short(
            f"{by} has applied {target.commit[:12]}, and {what}, which Git holds in "
            f"{', '.join(target.paths)}, is not there, or not among what it has applied{settings}"
        ),
        hint="see what the Kustomization takes: its spec.path and the kustomization.yaml there, "
        f"and whether the object is there: kubectl get --all-namespaces {kinds}",
        whose=Whose.CLUSTER,
        object=by,
        patience=_MISSING,
    )
    return suspect(State.APPLYING, f"{what} to be there", failure, nudge=_LOST)


def _workload(target: Target, view: View, workload: Workload) -> Standing | None:
    """Judge one workload; None where it is rolled out as far as its counts tell."""
    its = PodsOf(target, workload, tuple(view.pods_of(workload)))
    if workload.is_leaving:
        return suspect(State.ROLLING, f"{workload.name} to be there", leaving(workload))
    if not workload.is_told(target):
        return _not_told(target, view, workload)
    if workload.wanted is None:
        return None  # a CronJob: its next run takes the image
    waits = _lacks(its, are_seen=view.pods is not None)
    if not waits:
        return None
    if workload.paused and workload.observed:  # its counts are of what it is told now
        return failed(paused_failure(its))
    waits = f"{workload.name}: {waits}"
    failure = _failure(view, its)
    return suspect(State.ROLLING, waits, failure) if failure else Standing(State.ROLLING, waits)


def _not_told(target: Target, view: View, workload: Workload) -> Standing:
    """Judge a workload that names another image, though what applies it has applied the change.

    Or that has no such container at all.
    It is told in a moment, was edited by hand, or something keeps the change from it: that is named
    from the live objects.
    """
    has = next((one.image for one in workload.elsewhere(target)), "")
    has = has or f"no container {', '.join(workload.lacks(target))}"
    runs = f"{workload.name} runs {has}"
    if workload.left_alone:
        return suspect(State.APPLYING, f"{workload.name} to be told", _left_alone(workload, runs))
    settled = all(one.ready.status == "True" for one in view.kustomizations)
    if workload.set_by and settled:
        edit = f"an edit by hand: {runs}, set by {workload.set_by}"
        failure = replace(_overridden(target, view, workload, runs), patience=FOREVER)
        if view.releases and not any(one.corrects_drift for one in view.releases):
            when = "only with driftDetection, or when something else changes"
            return Standing(State.APPLYING, f"Helm to undo {edit} ({when})", suspicion=failure)
        return Standing(State.APPLYING, f"Flux to undo {edit}", suspicion=failure, nudge=0.0)
    waits = f"{workload.name} to be told, it has {has}"
    if not settled:
        return Standing(State.APPLYING, waits)
    failure = _overridden(target, view, workload, runs)
    return suspect(State.APPLYING, waits, failure, nudge=0.0 if _takes(view) else FOREVER)


def _left_alone(workload: Workload, runs: str) -> Failure:
    key = workload.left_alone.partition(":")[0]
    name = workload.name
    verb = "label" if workload.noted_in == "labels" else "annotate"
    return Failure(
        code="left-alone",
        message=f"{runs}: Flux leaves it as it is, for its {workload.noted_in} have "
        f"{workload.left_alone}",
        hint=f"take that out of its {workload.noted_in}, in Git too: "
        f"kubectl --namespace {name.namespace} {verb} {name.kind.lower()} {name.name} {key}-",
        whose=Whose.OURS,
        object=str(name),
        field=f"metadata.{workload.noted_in}.{key}",
        patience=IN_STEP,
    )


def _overridden(target: Target, view: View, workload: Workload, runs: str) -> Failure:
    """Name what keeps the change from a workload: a part of a live object's spec."""
    settings = _settings(target, view, workload)
    deciding = (*view.kustomizations, *view.releases)
    applier = next((one for one in deciding if workload.name in one.inventory), deciding[0]).name
    by = settings[0][0] if settings else applier
    return Failure(
        code="overridden",
        message=short(
            f"{runs}, though {applier} has applied {target.commit[:12]}{_sentence(settings)}"
        ),
        hint=f"look at the live object, which decides what becomes of the manifest: kubectl "
        f"--namespace {by.namespace} get {by.kind.lower()} {by.name} -o yaml; change it where it "
        "is written, or change the image there",
        whose=Whose.CLUSTER,
        object=str(workload.name),
        field="image",
        patience=FOREVER if view.releases or _takes(view) else SETTLED,
    )


def _settings(
    target: Target, view: View, workload: Workload | None = None
) -> list[tuple[Name, str]]:
    """Return the parts of live objects that can be why a workload has another image."""
    found = [one for by in view.kustomizations for one in _settings_of(target, by, workload)]
    puts = f"spec.include puts in what {', '.join(view.source.includes)} has"
    return [*found, (view.source.name, puts)] if view.source.includes else found


def _settings_of(
    target: Target, by: Reconciler, workload: Workload | None = None
) -> list[tuple[Name, str]]:
    return [
        (by.name, one.text)
        for one in by.sets
        if (not one.image or target.is_of_repository(one.image) or _names(workload, one.image))
        and (not one.kind or workload is None or one.kind == workload.name.kind)
        and (workload is None or not one.is_whole)
    ]


def _names(workload: Workload | None, image: str) -> bool:
    """Tell whether a container's image is of the name that an entry of `images` has."""
    found = workload.containers if workload else ()
    return any(one.image.partition("@")[0].rpartition(":")[0] == image for one in found)


def _sentence(settings: list[tuple[Name, str]]) -> str:
    said = [f"{name}: {text}" for name, text in settings]
    return f": {'; '.join(said)}" if said else ""


def _takes(view: View) -> list[Reconciler]:
    """Return the Kustomizations that substitute from objects that others apply."""
    return [one for one in view.kustomizations if one.takes]


# How far the pods are


@dataclass(frozen=True)
class _Seen:
    """What the pods of a workload that is rolled out show: old ones that stay, what is unproven."""

    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    failure: Failure | None = None


def _failure(view: View, its: PodsOf) -> Failure | None:
    """Name why a rollout is not done, if anything shows why; certain once Flux gave it up.

    Where nothing shows why, the pods may only be late: what comes a moment after Flux has given up
    comes all the same.
    """
    workload = its.workload
    cause = (
        pod_failure(its)
        or unready_failure(its)
        or unstarted_failure(its)
        or stuck_failure(its)
        or node_failure(its)
    )
    if cause is None and view.pods is not None:
        cause = uncreated_failure(its)
    if cause is None and workload.observed and not workload.counts_lack:
        cause = altered_failure(its)
    if workload.observed and workload.progressing.reason == "ProgressDeadlineExceeded":
        return _given_up(its, cause)
    for one in view.kustomizations:
        objects = unhealthy_objects(one.ready.message)
        if _has_failed_health(one, its.target, view) and str(workload.name) in objects:
            if view.pods is not None and ended_early(one.ready.message):
                return cause
            if cause is not None:
                return replace(cause, patience=0.0)
            health = health_failure(one, (str(workload.name),), ours=True, by_image=True)
            return replace(health, serving=its.serving, patience=SETTLED)
    return cause


def _given_up(its: PodsOf, cause: Failure | None) -> Failure | None:
    """Name a deadline that was exceeded, if it is that of this image.

    What was said of the image before stays until a pod is made or goes
    (kubernetes/kubernetes:pkg/controller/deployment/progress.go, `syncRolloutStatus`).
    """
    found = _REPLICA_SET.search(its.workload.progressing.message)
    if found is None or not its.new:
        failure = cause or deadline_failure(its)
        return replace(failure, patience=max(failure.patience, _MISSING))
    if not any(pod.name.name.startswith(f"{found['name']}-") for pod in its.new):
        return cause
    return replace(cause or deadline_failure(its), patience=0.0)


def _lacks(its: PodsOf, *, are_seen: bool) -> str:
    """Say what a rollout lacks; empty where it is done. Pods that may not be read are not asked.

    Old pods that somebody has to delete are not waited for; those that came after them are.
    """
    workload = its.workload
    wanted = workload.wanted or 0
    if not workload.observed:
        return "its controller to see the new image"
    lacks = "" if workload.by_hand else workload.counts_lack
    if lacks or not are_seen or not its.names:
        return lacks
    new = [pod for pod in its.new if not pod.ended]
    running = sum(pod.ready for pod in new)
    old = len(its.living) - len(new)
    if workload.by_hand and running < len(new):
        return f"{running} of {len(new)} new pods are ready"
    if old > workload.kept and not workload.by_hand:
        names = ", ".join(str(one.name) for one in its.living if one not in new)
        return f"{old - workload.kept} old pods are still there: {names}"
    stay = old if workload.by_hand else workload.kept
    is_full = len(its.living) >= wanted and running >= wanted - stay
    return "" if is_full else "the pods to report the image they run"


def _look_at(target: Target, view: View, workload: Workload) -> _Seen:
    """Look at what a workload really runs, once its counts say that it is rolled out."""
    unseen = (
        f"{workload.name}: whether {name} has {target.image.label} is not looked at"
        for name in workload.unseen(target)
    )
    if not workload.of(target):
        return _Seen(tuple(unseen))
    if workload.wanted:
        seen = _look_at_pods(view, PodsOf(target, workload, tuple(view.pods_of(workload))))
    else:  # what the next pods are told to run, where none is wanted now
        texts = [one.image for one in workload.of(target) if not target.is_proven_by(one.image)]
        seen = _Seen(tuple(_undigested(target, workload, one, "") for one in texts[:1]))
    return replace(seen, left=(*unseen, *seen.left))


def _look_at_pods(view: View, its: PodsOf) -> _Seen:
    target, workload = its.target, its.workload
    if view.pods is None:
        return _Seen((f"which digest the pods of {workload.name} run may not be read here",))
    old = [pod.name.name for pod in its.living if not its.is_new(pod)]
    left = []
    if old:
        why = f"its partition keeps {workload.kept}"
        if workload.by_hand:
            why = "somebody has to delete them (updateStrategy OnDelete)"
        left.append(f"{workload.name}: {', '.join(sorted(old))} still run another image: {why}")
    left += [
        f"{pod.name}, which {'/'.join(pod.owner) if pod.is_owned else 'nothing'} owns, has the "
        f"labels that {workload.name} selects and runs "
        f"{', '.join(one.image for one in pod.containers)}"
        for pod in view.strangers_of(target, workload)
        if not pod.is_new(target, its.names)
    ]
    own = [one for pod in its.living for one in its.own(pod) if one.is_new(target)]
    if workload.name.kind == BARE:
        return _look_at_bare(target, workload, own)
    unproven = [one for one in own if not one.is_proven(target)]
    other = sorted({one.digest for one in unproven if one.digest and target.image.digest})
    if other:
        return _Seen(failure=digest_failure(its, other))
    if unproven:
        took = ", and the runtime reports none"
        left.append(_undigested(target, workload, unproven[0].image, took))
    return _Seen(tuple(left), tuple(_mirrors(target, workload, own)))


def _look_at_bare(target: Target, workload: Workload, own: list[ContainerState]) -> _Seen:
    """Look at a pod that is restarted in place: only what the runtime took proves anything."""
    digest = target.image.digest
    earlier = [one for one in own if digest and one.digest not in ("", digest)]
    if earlier:
        return _Seen(failure=restart_failure(workload, earlier))
    unproven = [one.image for one in own if not digest or not one.digest][:1]
    took = ", and the runtime reports none that it took"
    return _Seen(tuple(_undigested(target, workload, one, took) for one in unproven))


def _undigested(target: Target, workload: Workload, image: str, took: str) -> str:
    """Say why a tag proves nothing; `took` is what the runtime says of it, where it ran."""
    why = f"{image} has no digest{took}"
    if target.image.digest is None:
        why = f"no digest is known of {target.image.label}"
    return f"{workload.name}: which image its pods run is not proven: {why}"


def _mirrors(target: Target, workload: Workload, own: list[ContainerState]) -> list[str]:
    """Say where the image is taken from another repository, and is the same by its digest."""
    others = sorted({one.image for one in own if not target.is_of_repository(one.image)})
    return [
        f"{workload.name}: its pods take {target.image.label} as {image}: another repository, and "
        "the same image by its digest"
        for image in others
    ]


def _running(target: Target, view: View) -> str:
    if view.pods is None:
        return f"{target.image.label} is rolled out (its pods may not be read here)"
    found = [PodsOf(target, one, tuple(view.pods_of(one))) for one in view.workloads or ()]
    new = [
        its.own(pod) for its in found if its.names for pod in its.new if pod.ready and not pod.ended
    ]
    if not new and not any(one.wanted for one in view.workloads or ()):
        return f"{target.image.label} is what the next pods run (none is wanted now)"
    if not new:
        return f"no pod was seen to run {target.image.label}"
    is_proven = all(one.is_proven(target) for own in new for one in own)
    digest = f" ({target.image.short_digest})" if target.image.digest and is_proven else ""
    pods = "1 pod runs" if len(new) == 1 else f"{len(new)} pods run"
    return f"{pods} {target.image.label}{digest}"


# What Flux alone says


def _by_flux(target: Target, view: View) -> Standing:
    """Judge by the readiness that Flux reports: it can fail, and never proves that pods run."""
    hidden = _why_unseen(target, view)
    deciding = (*view.kustomizations, *view.releases)
    for one in deciding:
        if one.ready.status == "True" and one.current:
            continue
        if _has_failed_health(one, target, view):
            objects = unhealthy_objects(one.ready.message)
            ours = any(target.owns(name) for name in objects)
            by_image = any(target.holds_image(name) for name in objects)
            return failed(health_failure(one, objects, ours=ours, by_image=by_image))
        if one.ready.status == "False" and one.name.kind == "Kustomization":
            return Standing(State.APPLYING, f"{one.name}", suspicion=apply_failure(target, one))
        return Standing(State.ROLLING, f"{one.name} to be ready ({hidden})")
    names = ", ".join(str(one.name) for one in deciding)
    said = _unsure(target, view) or f"{names} reports health"
    return Standing(
        State.APPLIED,
        f"applied; no pod was seen to run {target.image.label}: {hidden}; {said}",
        warnings=(f"nothing was verified but that Flux has applied the commit: {hidden}",),
    )


def _why_unseen(target: Target, view: View) -> str:
    if any(one.remote for one in (*view.kustomizations, *view.releases)):
        return "it is applied to another cluster (spec.kubeConfig)"
    if view.workloads is None:
        return "its workloads may not be read here"
    if view.unseen:
        return "; ".join(view.unseen)
    kinds = ", ".join(dict.fromkeys(place.kind for place in target.places))
    return (
        f"the image stands in a {kinds}, and no workload with the image repository "
        f"{target.image.full_repository} was found"
    )


def _unsure(target: Target, view: View) -> str:
    """Say why Flux's word on health does not cover the change; empty where it does."""
    deciding = (*view.kustomizations, *view.releases)
    unchecked = [str(one.name) for one in deciding if not one.checks_health]
    if unchecked:
        return f"health checks are off in {', '.join(unchecked)}"
    unproven = [str(one.name) for one in view.releases if not proves(target, view, one)]
    if unproven:
        return f"{', '.join(unproven)} does not show which values it has"
    return "; ".join(_without_release(target, view))


def _without_release(target: Target, view: View) -> list[str]:
    """Say which HelmReleases are not seen that Git gives the image to."""
    seen = [place for one in view.releases for place in places_of(target, view, one)]
    lost = sorted({one.name for one in target.of_releases if one not in seen})
    said = [f"HelmRelease {name} was not seen" for name in lost]
    if target.is_by_values and not view.releases:
        said.append(f"no HelmRelease is known to take {', '.join(target.paths)}")
    return said


def _has_failed_health(one: Reconciler, target: Target, view: View) -> bool:
    attempted = view.relation(target, one.attempted) in THERE
    return attempted and one.ready.status == "False" and one.ready.reason == HEALTH_REASON


def _others(view: View) -> list[str]:
    """Say what else is not well with what applies the service, though the service is."""
    deciding = (*view.kustomizations, *view.releases)
    unwell = [
        f"{one.name} is not ready all the same: {one.ready.message}"
        for one in deciding
        if one.ready.status == "False" and one.current
    ]
    stopped = [
        f"{one.name} is suspended: it applies nothing more until somebody resumes it"
        for one in view.kustomizations
        if one.suspended
    ]
    return unwell + stopped
