"""Why the pods of a service do not run, as a failure with a name. Pure.

Reasons are those of the kubelet (kubernetes/kubernetes:pkg/kubelet/images/types.go, events) and of
the scheduler.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops_rollback.late import regex, replace
from gitops_rollback.rollout.standing import FOREVER, Failure, Whose, go_back, short, told_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gitops_rollback.rollout.raw import Name
    from gitops_rollback.rollout.target import Target
    from gitops_rollback.rollout.workloads import ContainerState, Pod, Workload

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"})
_NO_IMAGE = frozenset({"InvalidImageName", "ErrInvalidImageName"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError",
                     "ImageInspectError"})  # fmt: skip
_NOT_RUN = frozenset({"StartError", "ContainerCannotRun"})  # why it ended that was never begun
# What runtimes say where the image has no such command, or cannot run it; all else is no image's.
_COMMAND = regex(r"\bexec(utable|: | format| /)")
_CRASH = "CrashLoopBackOff"
_SURE = regex(r"not found|manifest unknown|no match for platform|invalid reference", re.IGNORECASE)
# What they say where the cluster may not pull: a deploy keeps the repository, so that the image
# before may not be pulled any more, either.
_NO_ACCESS = regex(
    r"unauthori[sz]ed|authori[sz]ation failed|authentication required|no basic auth|403 Forbidden|"
    r"(?<![\w./-])denied[:,]",
    re.IGNORECASE,
)
_UNSIGNED = "SignatureValidationFailed"
_NO_ANSWER = "RegistryUnavailable"
# What containerd, CRI-O and the registries say where the registry is to blame, and no image.
_NO_REGISTRY = regex(
    r"toomanyrequests|too many requests|i/o timeout|timeout exceeded|no such host|"
    r"server misbehaving|connection (refused|reset)|no route to host|(: |unexpected )EOF\b|"
    r"TLS handshake|x509: |\b(429|50[0234]) (Too|Internal|Bad|Service|Gateway)|"
    # and where the node is
    r"no space left on device|read-only file system|input/output error|pull QPS exceeded|"
    r"context (canceled|deadline exceeded)|gave HTTP response to HTTPS client",
    re.IGNORECASE,
)
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
_DENIED = regex(r"denied|forbidden|disallowed|not allowed|violat|blocked", re.IGNORECASE)
# The words of a sentence; what is quoted, or has a hyphen or a slash, is the name of an object.
_IMAGE = r"(?<![\w\"'/-])images?(?![\w\"'/-])"
_ABOUT_IMAGE = regex(
    rf"{_IMAGE}.*\b(signature|signed|verif\w*|attest\w*|registry|registries|trusted|digest|tag)|"
    rf"\b(signature|unsigned|not signed|untrusted registry|registry)\b.*{_IMAGE}|"
    r"no (matching )?signatures?|image ?policy ?webhook",
    re.IGNORECASE,
)
# What makes its pods itself, and the reason of the event by which it says that it cannot.
MAKERS, NOT_MADE = ("StatefulSet", "DaemonSet"), "FailedCreate"
SETTLED = 10.0  # seconds after which what Flux has applied is what it will stay
_PULL_PATIENCE = 15.0  # seconds: a registry may stumble; the kubelet asks again after ten
_CRASH_PATIENCE = 15.0
_CONFIG_PATIENCE = 15.0
_CREATE_PATIENCE = 15.0
_STUCK_PATIENCE = 15.0  # seconds: a pod of before may still become ready
_MANY_RESTARTS = 3
_AGAIN = "Kubernetes tries again by itself"


def pod_failure(target: Target, workload: Workload, pods: Iterable[Pod]) -> Failure | None:
    """Name what keeps the new pods of a workload from running; None where nothing is known to.

    Pods that are being deleted, or were evicted, tell it where no other new one is there.
    """
    pods, names = tuple(pods), workload.names_of(target)
    new = [pod for pod in pods if pod.is_new(target, names)]
    serving = serving_of(target, workload, pods)
    living = [pod for pod in new if not pod.ended]
    failures = [*_failures(target, workload, living or new, serving)]
    found = told_first(failures) if failures else creation_failure(target, workload, serving)
    return found or next(
        (_turned_out(pod, serving) for pod in new if pod.why and not pod.is_leaving), None
    )


def serving_of(target: Target, workload: Workload, pods: Iterable[Pod]) -> str:
    """Say what the old pods do; empty where there is nothing to say (none was there)."""
    names = workload.names_of(target)
    old = [
        pod
        for pod in pods
        if not pod.is_new(target, names) and not pod.ended and pod.of(target, names)
    ]
    ready = sum(pod.ready for pod in old)
    if ready:
        return f"{ready} old pod{'s' if ready > 1 else ''} still serve{'' if ready > 1 else 's'}"
    return "no old pod serves any more"


def creation_failure(target: Target, workload: Workload, serving: str) -> Failure | None:
    """Name why a workload cannot even create its pods: quota, an admission webhook, a limit."""
    said = workload.replica_failure
    if said.status != "True":
        return None
    return refusal(target, workload.name, said.message, serving)


def uncreated_failure(target: Target, workload: Workload, pods: Iterable[Pod]) -> Failure | None:
    """Name a StatefulSet or DaemonSet that lacks pods, though those that it has are all ready.

    Why it makes no more stands in none of its conditions, only in its events.
    """
    pods = tuple(pods)
    made, wanted = len(pods), workload.wanted or 0
    is_settled = workload.observed and all(pod.ready and not pod.ended for pod in pods)
    if workload.name.kind not in MAKERS or made >= wanted or not is_settled:
        return None
    said = f"it has {made} of {wanted}, and makes no more"
    failure = refusal(target, workload.name, said, serving_of(target, workload, pods))
    return replace(failure, patience=failure.patience + workload.minimum)


def refusal(target: Target, name: Name, said: str, serving: str) -> Failure:
    """Name what keeps a workload from creating its pods, by what the API server said of it."""
    quota = "exceeded quota" in said
    by_image = not quota and refuses_image(target, said)
    hint = "look at what refuses the pods; another image does not help"
    if quota:
        hint = "ask for more quota, or scale something down: another image does not help"
    if by_image:
        hint = f"a policy refuses this image: sign it, or use one that it allows; {go_back(target)}"
    return Failure(
        code="quota" if quota else "policy" if by_image else "create",
        message=short(f"{name} cannot create its pods: {said}"),
        hint=hint,
        whose=Whose.OURS if by_image else Whose.CLUSTER,
        object=str(name),
        by_image=by_image,
        retries=_AGAIN,
        serving=serving,
        patience=_CREATE_PATIENCE,
    )


def refuses_image(target: Target, message: str) -> bool:
    """Tell whether an admission policy has refused an object for its image.

    It denies, and says that it is about the image: by its whole name, tag or digest, or a
    signature. A repository alone can be an object's name, too.
    """
    image = target.image
    tagged = f"{image.repository}:{image.tag}" if image.tag else image.full_repository
    named = (image.full_repository, tagged, image.digest or tagged)
    about = any(name in message for name in named) or _ABOUT_IMAGE.search(message)
    return bool(_DENIED.search(message) and about)


def _turned_out(pod: Pod, serving: str) -> Failure:
    """Name a pod that its node has evicted, or did not take (OutOfcpu, UnexpectedAdmissionError).

    Its workload makes another one, and again, for as long as that goes on.
    """
    how = "was evicted" if pod.why == "Evicted" else f"was not kept by its node ({pod.why})"
    hint = (
        "give the node room, or the pods requests and limits that fit; another image helps only if "
        "this one takes more"
    )
    said = f"{pod.name} {how}: {pod.message or 'its node ran short'}"
    return _of_cluster("evicted", pod, said, hint, serving)


def _of_cluster(code: str, pod: Pod, said: str, hint: str, serving: str = "") -> Failure:
    """Return a failure of a pod that is the cluster's affair, and may pass."""
    return Failure(
        code, short(said), hint, Whose.CLUSTER, str(pod.name), retries=_AGAIN, serving=serving,
        patience=FOREVER,
    )  # fmt: skip


def deadline_failure(target: Target, workload: Workload, pods: Iterable[Pod]) -> Failure:
    """Name a progress deadline that was exceeded, where no pod says why."""
    said = workload.progressing.message or "its pods did not become ready in time"
    return Failure(
        code="deadline",
        message=short(f"{workload.name} made no progress: {said}"),
        hint=f"look at the pods' logs and probes; {go_back(target)}",
        whose=Whose.OURS,
        object=str(workload.name),
        by_image=True,
        retries="Kubernetes goes on trying, without a deadline",
        serving=serving_of(target, workload, pods),
    )


def unready_failure(target: Target, workload: Workload, pods: Iterable[Pod]) -> Failure | None:
    """Name pods that run but are not ready: their probes fail, or they are only starting.

    By the image only where a container of the service is: not a sidecar that was put beside it.
    """
    pods, names = tuple(pods), workload.names_of(target)
    for pod in pods:
        own = pod.of(target, names)
        slow = [c for c in (*own, *pod.containers) if c.running and not c.ready]
        if not pod.is_new(target, names) or pod.ended or pod.ready or not slow:
            continue
        said, look = "runs but is not ready", "its readiness probe and its log"
        if slow[0].is_first:
            said, look = "has not come to its end, and the others wait for it", "its log"
        failure = _failure(
            "probe", f"{pod.name}: container {slow[0].name} {said}",
            f"look at {look}: kubectl -n {pod.name.namespace} describe pod {pod.name.name}",
            pod, slow[0], by_image=slow[0] in own, target=target, patience=FOREVER,
        )  # fmt: skip
        return replace(failure, serving=serving_of(target, workload, pods))
    return None


def node_failure(target: Target, workload: Workload, pods: Iterable[Pod]) -> Failure | None:
    """Name pods that only their node keeps from running, or from going: no image is to blame.

    It has not begun with a new one, or no longer says that one is well whose containers all are; or
    an old one that is being deleted stays. Something outside may want a say too (readiness gates).
    """
    pods, names = tuple(pods), workload.names_of(target)
    serving = serving_of(target, workload, pods)
    for pod in pods:
        is_new = pod.is_new(target, names)
        node = f"{pod.name}, on the node {pod.node}"
        said, code = "", "node"
        if is_new and not pod.ended and not pod.has_begun and pod.node:
            said = f"{node}, is not begun with: its kubelet says nothing of it"
        elif is_new and not pod.ended and _are_ready(pod) and not pod.ready:
            said = f"{node}, is not ready, though its containers are"
            if pod.readiness.message:
                said, code = f"{said}: {pod.readiness.message}", "probe"
        elif pod.is_leaving and not is_new:
            said = f"{node}, is being deleted, and is still there"
        if said:
            return _node_failure(pod, code, said, serving)
    return None


def _are_ready(pod: Pod) -> bool:
    return pod.has_begun and all(one.ready for one in pod.containers if not one.is_first)


def _node_failure(pod: Pod, code: str, said: str, serving: str) -> Failure:
    look = f"kubectl -n {pod.name.namespace} describe pod {pod.name.name}"
    hint = f"see what has to say that it is ready (readinessGates: a load balancer, a mesh): {look}"
    if code == "node":
        hint = f"see whether the node is well: kubectl get node {pod.node}; "
        gone = f"kubectl -n {pod.name.namespace} delete pod {pod.name.name} --force"
        hint += (
            f"once it is off for sure: {gone}" if pod.is_leaving else "another image does not help"
        )
    return _of_cluster(code, pod, said, hint, serving)


def unstarted_failure(target: Target, workload: Workload, pods: Iterable[Pod]) -> Failure | None:
    """Name new pods whose containers are still to be made; what hinders that, their events tell."""
    pods, names = tuple(pods), workload.names_of(target)
    for pod in pods:
        box = next((one for one in pod.containers if one.waiting in _STARTING), None)
        if box is None or pod.ended or not pod.is_new(target, names):
            continue
        where = f"{workload.name}: container {box.name}"
        failure = _failure(
            "container", f"{where} is not started yet ({box.waiting})",
            "see what its pod waits for (volumes, ConfigMaps, Secrets, the network): kubectl -n "
            f"{pod.name.namespace} describe pod {pod.name.name}", pod, box,
            by_image=False, target=target, patience=FOREVER,
        )  # fmt: skip
        return replace(failure, serving=serving_of(target, workload, pods))
    return None


def altered_failure(target: Target, workload: Workload, pods: Iterable[Pod]) -> Failure | None:
    """Name pods that were made with another image than their workload says, where all are new."""
    names = workload.names_of(target)
    others = [pod for pod in pods if not pod.ended and not pod.is_new(target, names)]
    if workload.by_hand or len(others) <= workload.kept:
        return None
    pod = others[0]
    runs = ", ".join(one.image for one in pod.of(target, names))
    return Failure(
        code="overridden",
        message=f"{workload.name} says {target.image.label}, and its newest pods have {runs} "
        f"({pod.name}): something changes pods as they are made",
        hint="look at what the cluster does with new pods, and what it says of this image: kubectl "
        "get mutatingwebhookconfigurations,mutatingadmissionpolicies",
        whose=Whose.CLUSTER,
        object=str(pod.name),
        field="image",
        patience=SETTLED,
    )


def digest_failure(target: Target, workload: Workload, digests: Iterable[str]) -> Failure:
    """Name pods that run, under the tag that was deployed, another digest than it had then."""
    wanted = target.image.digest or ""
    return Failure(
        code="digest",
        message=f"{workload.name}: pods report {', '.join(one[:19] for one in digests)} for "
        f"{target.image.label}, which was {wanted[:19]} when it was deployed: the tag was moved, "
        "or the runtime names the digest of its platform",
        hint='deploy the image with its digest (pin = "digest"): then no pod can run another one',
        whose=Whose.CLUSTER,
        object=str(workload.name),
        field="image",
        patience=SETTLED,
    )


def restart_failure(workload: Workload, earlier: Iterable[ContainerState]) -> Failure:
    """Name a pod whose containers are still those of an earlier image, as the runtime says."""
    names = ", ".join(one.name for one in earlier)
    return Failure(
        code="container",
        message=f"{workload.name} still runs {names} with an earlier image: its kubelet is to "
        "restart it with the new one",
        hint=f"see what it says: kubectl -n {workload.name.namespace} describe pod "
        f"{workload.name.name}",
        whose=Whose.OURS,
        object=str(workload.name),
        patience=FOREVER,
    )


def paused_failure(target: Target, workload: Workload, pods: Iterable[Pod]) -> Failure:
    """Name a workload that somebody has paused."""
    name = workload.name
    return Failure(
        code="paused",
        message=f"{name} is paused: its pods stay as they are",
        hint=f"kubectl -n {name.namespace} rollout resume {name.kind.lower()} {name.name}",
        whose=Whose.CLUSTER,
        object=str(name),
        serving=serving_of(target, workload, pods),
    )


def stuck_failure(target: Target, workload: Workload, pods: Iterable[Pod]) -> Failure | None:
    """Name the pod of an earlier image for which a StatefulSet waits, and will for ever.

    It replaces its pods one after another, each only once all run and are ready: one that never
    will be stops it, whatever image it is told meanwhile. Somebody has to delete that pod
    (kubernetes.io/docs/concepts/workloads/controllers/statefulset, "Forced rollback").
    """
    pods, names = tuple(pods), workload.names_of(target)
    stuck = [
        pod
        for pod in pods
        if not pod.is_new(target, names)
        and not pod.ended
        and not pod.ready
        and pod.of(target, names)
    ]
    if workload.name.kind != "StatefulSet" or workload.by_hand or not stuck:
        return None
    pod = max(stuck, key=lambda one: one.name.name)
    box = pod.of(target, names)[0]
    why = f" ({box.waiting})" if box.waiting else ""
    return Failure(
        code="stuck",
        message=short(
            f"{workload.name} waits for {pod.name}, which has {box.image} and is not ready{why}: "
            "it replaces no pod before all of them are"
        ),
        hint=f"delete that pod: kubectl --namespace {pod.name.namespace} delete pod "
        f"{pod.name.name}; the next one has the image that Git says",
        whose=Whose.OURS,
        object=str(pod.name),
        field=box.name,
        patience=_STUCK_PATIENCE,
    )


def _failures(
    target: Target, workload: Workload, pods: list[Pod], serving: str
) -> Iterator[Failure]:
    for pod in pods:
        for container in pod.containers:
            found = _container(target, workload, pod, container)
            if found is not None:
                yield replace(found, serving=serving)
        if pod.scheduled.status == "False":
            yield replace(_unscheduled(pod), serving=serving)


def _container(
    target: Target, workload: Workload, pod: Pod, container: ContainerState
) -> Failure | None:
    waiting = container.waiting
    own = container in pod.of(target, workload.names_of(target))
    where = f"{workload.name}: container {container.name}"
    said = f"{waiting}: {container.message}" if container.message else waiting
    if waiting in (*_PULL, *_NO_IMAGE, _UNSIGNED, _NO_ANSWER):
        return _unpulled(target, pod, container, where, own=own)
    is_down = container.has_ended and container.exit_code and not pod.ended
    is_over = waiting == _CRASH or (container.restarts >= _MANY_RESTARTS and not container.ready)
    if container.ended in _NOT_RUN and (is_over or is_down):
        waiting, said = "RunContainerError", f"{container.ended}: {container.last}"
    elif is_over or is_down:
        code = f", exit code {container.exit_code}" if container.exit_code is not None else ""
        why = f" ({container.ended})" if container.ended not in ("", "Error", "Completed") else ""
        return _failure(
            "crash", f"{where} crashes: {container.restarts} restarts{code}{why}",
            f"see its log: kubectl -n {pod.name.namespace} logs --previous {pod.name.name} "
            f"-c {container.name}", pod, container, by_image=own, target=target,
            patience=0.0 if container.restarts >= _MANY_RESTARTS else _CRASH_PATIENCE,
        )  # fmt: skip
    if waiting in _CONFIG:
        is_command = waiting == "RunContainerError" and _COMMAND.search(said)
        return _failure(
            "container", f"{where} cannot be started ({said})",
            "see whether the ConfigMaps, Secrets, volumes and commands it names exist", pod,
            container, by_image=own and bool(is_command), target=target,
            patience=_CONFIG_PATIENCE,
        )  # fmt: skip
    return None


def _unpulled(
    target: Target, pod: Pod, container: ContainerState, where: str, *, own: bool
) -> Failure:
    """Name why an image is not there: by the image, by its registry, or by who may pull it."""
    waiting, message = container.waiting, container.message
    said = f"{waiting}: {message}" if message else waiting
    if waiting == _UNSIGNED:
        return _failure(
            "policy", f"{where} may not run {container.image}: {said}",
            "its node takes signed images only: sign it, or use one that is", pod, container,
            by_image=own, target=target, patience=0.0,
        )  # fmt: skip
    if waiting == _NO_ANSWER or (waiting in _PULL and _NO_REGISTRY.search(message)):
        return _failure(
            "registry", f"{where} cannot pull {container.image}: its registry does not give it "
            f"({said})", "see whether the cluster reaches the registry, and how much it may pull: "
            "another image does not help", pod, container,
            by_image=False, target=target, patience=FOREVER,
        )  # fmt: skip
    if waiting in _PULL and _NO_ACCESS.search(message):
        return _failure(
            "registry", f"{where} may not pull {container.image} ({said})",
            "see the pull secret of its pods and what that may read, or whether it has expired: "
            "another image does not help", pod, container,
            by_image=False, target=target, patience=_PULL_PATIENCE,
        )  # fmt: skip
    sure = waiting in _NO_IMAGE or _SURE.search(message)
    return _failure(
        "pull", f"{where} cannot pull {container.image} ({said})",
        "see whether the image exists", pod, container,
        by_image=own, target=target, patience=0.0 if sure else _PULL_PATIENCE,
    )  # fmt: skip


def _unscheduled(pod: Pod) -> Failure:
    said = pod.scheduled.message or pod.scheduled.reason
    code, look = "unschedulable", "give the cluster room, or mend requests, selectors, tolerations"
    if "persistentvolumeclaim" in said.lower():
        code, look = "claim", "see why the claim is pending: kubectl describe pvc"
    hint = f"{look}; another image does not help"
    return _of_cluster(code, pod, f"{pod.name} finds no node: {said}", hint)


def _failure(  # noqa: PLR0913 - the parts of one sentence
    code: str,
    message: str,
    hint: str,
    pod: Pod,
    container: ContainerState,
    *,
    by_image: bool,
    target: Target,
    patience: float,
) -> Failure:
    return Failure(
        code=code,
        message=short(message),
        hint=f"{hint}; {go_back(target)}" if by_image else hint,
        whose=Whose.OURS,
        object=str(pod.name),
        field=container.name,
        by_image=by_image,
        retries=_AGAIN,
        patience=patience,
    )
