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
    from gitops_rollback.rollout.workloads import ContainerState, Pod, PodsOf, Workload

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"})
_NO_IMAGE = frozenset({"InvalidImageName", "ErrInvalidImageName"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError",
                     "ImageInspectError"})  # fmt: skip
_NOT_RUN = frozenset({"StartError", "ContainerCannotRun"})  # why it ended that was never begun
# What runtimes say where the image has no such command or cannot run it, and the kubelet and they
# where its user is none, or may not be; all else is no image's.
_COMMAND = regex(r"\bexec(utable|: | format| /)")
_OF_IMAGE = regex(
    r"no command specified|runAsNonRoot and image|unable to find (user|group)|no users found"
)
_CRASH = "CrashLoopBackOff"
_SURE = regex(r"not found|manifest unknown|no match for platform|invalid reference", re.IGNORECASE)
# What they say where the cluster may not pull: a deploy keeps the repository, so that the image
# before may not be pulled any more, either.
_NO_ACCESS = regex(
    r"unauthori[sz]ed|authori[sz]ation failed|authentication required|no basic auth|403 Forbidden|"
    r"(?<![\w./-])denied[:,]",
    re.IGNORECASE,
)
# What the scheduler says where the volumes of a pod are to blame.
_OF_VOLUME = regex(r"persistent ?volume|volume node affinity|volume count|\bpvcs?\b", re.IGNORECASE)
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


def pod_failure(its: PodsOf) -> Failure | None:
    """Name what keeps the new pods of a workload from running; None where nothing is known to.

    Pods that are being deleted, or were evicted, tell it where no other new one is there.
    """
    failures = [*_failures(its, [pod for pod in its.new if not pod.ended] or its.new)]
    if failures:
        return told_first(failures)
    said = its.workload.replica_failure
    if said.status == "True":  # it cannot even create its pods: quota, an admission webhook
        return refusal(its.target, its.workload.name, said.message, its.serving)
    gone = next((pod for pod in its.new if pod.why and not pod.is_leaving), None)
    return _turned_out(its, gone) if gone else None


def uncreated_failure(its: PodsOf) -> Failure | None:
    """Name a StatefulSet or DaemonSet that lacks pods, though those that it has are all ready.

    Why it makes no more stands in none of its conditions, only in its events.
    """
    workload = its.workload
    made, wanted = len(its.pods), workload.wanted or 0
    is_settled = workload.observed and all(pod.ready and not pod.ended for pod in its.pods)
    if workload.name.kind not in MAKERS or made >= wanted or not is_settled:
        return None
    said = f"it has {made} of {wanted}, and makes no more"
    failure = refusal(its.target, workload.name, said, its.serving)
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


def _turned_out(its: PodsOf, pod: Pod) -> Failure:
    """Name a pod that its node has evicted, or did not take (OutOfcpu, UnexpectedAdmissionError).

    Its workload makes another one, and again, for as long as that goes on.
    """
    how = "was evicted" if pod.why == "Evicted" else f"was not kept by its node ({pod.why})"
    hint = (
        "give the node room, or the pods requests and limits that fit; another image helps only if "
        "this one takes more"
    )
    said = f"{pod.name} {how}: {pod.message or 'its node ran short'}"
    return _of_cluster(its, "evicted", pod, said, hint)


def _of_cluster(its: PodsOf, code: str, pod: Pod, said: str, hint: str) -> Failure:
    """Return a failure of a pod that is the cluster's affair, and may pass."""
    return Failure(
        code, short(said), hint, Whose.CLUSTER, str(pod.name), retries=_AGAIN,
        serving=its.serving, patience=FOREVER,
    )  # fmt: skip


def deadline_failure(its: PodsOf) -> Failure:
    """Name a progress deadline that was exceeded, where no pod says why."""
    name = its.workload.name
    said = its.workload.progressing.message or "its pods did not become ready in time"
    return Failure(
        "deadline", short(f"{name} made no progress: {said}"),
        f"look at the pods' logs and probes; {go_back(its.target)}", Whose.OURS, str(name),
        by_image=True, retries="Kubernetes goes on trying, without a deadline", serving=its.serving,
    )  # fmt: skip


def unready_failure(its: PodsOf) -> Failure | None:
    """Name pods that run but are not ready: their probes fail, or they are only starting.

    By the image only where a container of the service is: not a sidecar that was put beside it.
    """
    for pod in its.new:
        own = its.own(pod)
        slow = [c for c in (*own, *pod.containers) if c.running and not c.ready]
        if pod.ended or pod.ready or not slow:
            continue
        said, look = "runs but is not ready", "its readiness probe and its log"
        if slow[0].is_first:
            said, look = "has not come to its end, and the others wait for it", "its log"
        return _failure(
            its, pod, slow[0], "probe", f"{pod.name}: container {slow[0].name} {said}",
            f"look at {look}: {_describe(pod.name)}", by_image=slow[0] in own,
        )  # fmt: skip
    return None


def node_failure(its: PodsOf) -> Failure | None:
    """Name pods that only their node keeps from running, or from going: no image is to blame.

    It has not begun with a new one, or no longer says that one is well whose containers all are; or
    an old one that is being deleted stays. Something outside may want a say too (readiness gates).
    """
    for pod in its.pods:
        is_new = its.is_new(pod)
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
            return _of_cluster(its, code, pod, said, _node_hint(pod, code))
    return None


def _are_ready(pod: Pod) -> bool:
    return pod.has_begun and all(one.ready for one in pod.containers if not one.is_first)


def _node_hint(pod: Pod, code: str) -> str:
    if code != "node":
        what = "see what has to say that it is ready (readinessGates: a load balancer, a mesh)"
        return f"{what}: {_describe(pod.name)}"
    gone = f"kubectl -n {pod.name.namespace} delete pod {pod.name.name} --force"
    more = f"once it is off for sure: {gone}" if pod.is_leaving else "another image does not help"
    return f"see whether the node is well: kubectl get node {pod.node}; {more}"


def unstarted_failure(its: PodsOf) -> Failure | None:
    """Name new pods whose containers are still to be made; what hinders that, their events tell."""
    for pod in its.new:
        box = next((one for one in pod.containers if one.waiting in _STARTING), None)
        if box is not None and not pod.ended:
            where = f"{its.workload.name}: container {box.name}"
            return _failure(
                its, pod, box, "container", f"{where} is not started yet ({box.waiting})",
                "see what its pod waits for (volumes, ConfigMaps, Secrets, the network): "
                f"{_describe(pod.name)}",
            )  # fmt: skip
    return None


def altered_failure(its: PodsOf) -> Failure | None:
    """Name pods that were made with another image than their workload says, where all are new."""
    others = [pod for pod in its.pods if not pod.ended and not its.is_new(pod)]
    are_all_there = len(its.living) - len(others) >= (its.workload.wanted or 0)
    if its.workload.by_hand or len(others) <= its.workload.kept or are_all_there:
        return None  # or others stay beside those it wants
    pod = others[0]
    runs = ", ".join(one.image for one in its.own(pod))
    return Failure(
        "overridden",
        f"{its.workload.name} says {its.target.image.label}, and its newest pods have {runs} "
        f"({pod.name}): something changes pods as they are made",
        "look at what the cluster does with new pods, and what it says of this image: kubectl "
        "get mutatingwebhookconfigurations,mutatingadmissionpolicies",
        Whose.CLUSTER, str(pod.name), "image", patience=SETTLED,
    )  # fmt: skip


def digest_failure(its: PodsOf, digests: Iterable[str]) -> Failure:
    """Name pods that run, under the tag that was deployed, another digest than it had then."""
    name, image = its.workload.name, its.target.image
    taken = {box.image for pod in its.living for box in its.own(pod)}
    others = sorted(one for one in taken if not its.target.is_of_repository(one))
    by = f", which they take as {', '.join(others)}," if others else ""
    return Failure(
        "digest",
        f"{name}: pods report {', '.join(one[:19] for one in digests)} for {image.label}{by} which "
        f"was {(image.digest or '')[:19]} when it was deployed: the tag was moved, or the runtime "
        "names the digest of its platform",
        'deploy the image with its digest (pin = "digest"): then no pod can run another one',
        Whose.CLUSTER, str(name), "image", patience=SETTLED,
    )  # fmt: skip


def restart_failure(workload: Workload, earlier: Iterable[ContainerState]) -> Failure:
    """Name a pod whose containers are still those of an earlier image, as the runtime says."""
    names = ", ".join(one.name for one in earlier)
    return Failure(
        "container",
        f"{workload.name} still runs {names} with an earlier image: its kubelet is to restart it "
        "with the new one",
        f"see what it says: {_describe(workload.name)}",
        Whose.OURS, str(workload.name), patience=FOREVER,
    )  # fmt: skip


def paused_failure(its: PodsOf) -> Failure:
    """Name a workload that somebody has paused."""
    name = its.workload.name
    return Failure(
        "paused", f"{name} is paused: its pods stay as they are",
        f"kubectl -n {name.namespace} rollout resume {name.kind.lower()} {name.name}",
        Whose.CLUSTER, str(name), serving=its.serving,
    )  # fmt: skip


def stuck_failure(its: PodsOf) -> Failure | None:
    """Name the pod of an earlier image for which a StatefulSet waits, and will for ever.

    It replaces its pods one after another, each only once all run and are ready: one that never
    will be stops it, whatever image it is told meanwhile. Somebody has to delete that pod
    (kubernetes.io/docs/concepts/workloads/controllers/statefulset, "Forced rollback").
    """
    workload, stuck = its.workload, [pod for pod in its.old if not pod.ready]
    if workload.name.kind != "StatefulSet" or workload.by_hand or not stuck:
        return None
    pod = max(stuck, key=lambda one: one.name.name)
    box = its.own(pod)[0]
    why = f" ({box.waiting})" if box.waiting else ""
    return Failure(
        "stuck",
        short(
            f"{workload.name} waits for {pod.name}, which has {box.image} and is not ready{why}: "
            "it replaces no pod before all of them are"
        ),
        f"delete that pod: kubectl --namespace {pod.name.namespace} delete pod {pod.name.name}; "
        "the next one has the image that Git says",
        Whose.OURS, str(pod.name), box.name, patience=_STUCK_PATIENCE,
    )  # fmt: skip


def _failures(its: PodsOf, pods: Iterable[Pod]) -> Iterator[Failure]:
    for pod in pods:
        for container in pod.containers:
            found = _container(its, pod, container)
            if found is not None:
                yield found
        if pod.scheduled.status == "False":
            yield _unscheduled(its, pod)


def _container(its: PodsOf, pod: Pod, container: ContainerState) -> Failure | None:
    waiting = container.waiting
    own = container in its.own(pod)
    where = f"{its.workload.name}: container {container.name}"
    said = f"{waiting}: {container.message}" if container.message else waiting
    if waiting in (*_PULL, *_NO_IMAGE, _UNSIGNED, _NO_ANSWER):
        code, what, hint, patience = _unpulled(container)
        by_image = own and code != "registry"
        return _failure(its, pod, container, code, f"{where} {what}", hint, by_image=by_image,
                        patience=patience)  # fmt: skip
    is_down = container.has_ended and container.exit_code and not pod.ended
    is_over = waiting == _CRASH or (container.restarts >= _MANY_RESTARTS and not container.ready)
    if container.ended in _NOT_RUN and (is_over or is_down):
        waiting, said = "RunContainerError", f"{container.ended}: {container.last}"
    elif is_over or is_down:
        code = f", exit code {container.exit_code}" if container.exit_code is not None else ""
        why = f" ({container.ended})" if container.ended not in ("", "Error", "Completed") else ""
        return _failure(
            its, pod, container, "crash",
            f"{where} crashes: {container.restarts} restarts{code}{why}",
            f"see its log: kubectl -n {pod.name.namespace} logs --previous {pod.name.name} "
            f"-c {container.name}", by_image=own,
            patience=0.0 if container.restarts >= _MANY_RESTARTS else _CRASH_PATIENCE,
        )  # fmt: skip
    if waiting in _CONFIG:
        is_command = waiting == "RunContainerError" and _COMMAND.search(said)
        of_image = bool(is_command or _OF_IMAGE.search(said))
        return _failure(
            its, pod, container, "container", f"{where} cannot be started ({said})",
            "see whether the ConfigMaps, Secrets, volumes, commands and users it names exist",
            by_image=own and of_image, patience=_CONFIG_PATIENCE,
        )  # fmt: skip
    return None


def _unpulled(container: ContainerState) -> tuple[str, str, str, float]:
    """Tell why an image is not there: by the image, by its registry, or by who may pull it.

    Returns the failure's code, what happened, a hint, and the seconds of patience.
    """
    waiting, message, image = container.waiting, container.message, container.image
    said = f"{waiting}: {message}" if message else waiting
    if waiting == _UNSIGNED:
        hint = "its node takes signed images only: sign it, or use one that is"
        return "policy", f"may not run {image}: {said}", hint, 0.0
    if waiting == _NO_ANSWER or (waiting in _PULL and _NO_REGISTRY.search(message)):
        hint = (
            "see whether the cluster reaches the registry, and how much it may pull: another image "
            "does not help"
        )
        what = f"cannot pull {image}: its registry does not give it ({said})"
        return "registry", what, hint, FOREVER
    if waiting in _PULL and _NO_ACCESS.search(message):
        hint = (
            "see the pull secret of its pods and what that may read, or whether it has expired: "
            "another image does not help"
        )
        return "registry", f"may not pull {image} ({said})", hint, _PULL_PATIENCE
    sure = waiting in _NO_IMAGE or _SURE.search(message)
    hint = "see whether the image exists"
    return "pull", f"cannot pull {image} ({said})", hint, 0.0 if sure else _PULL_PATIENCE


def _unscheduled(its: PodsOf, pod: Pod) -> Failure:
    said = pod.scheduled.message or pod.scheduled.reason
    code, look = "unschedulable", "give the cluster room, or mend requests, selectors, tolerations"
    if _OF_VOLUME.search(said) and "Insufficient" not in said:
        code = "claim"
        look = "see why the claim is pending, and which nodes reach its volume: "
        look += f"kubectl -n {pod.name.namespace} describe pvc"
    hint = f"{look}; another image does not help"
    return _of_cluster(its, code, pod, f"{pod.name} finds no node: {said}", hint)


def _describe(pod: Name) -> str:
    return f"kubectl -n {pod.namespace} describe pod {pod.name}"


def _failure(  # noqa: PLR0913 - the parts of one sentence
    its: PodsOf,
    pod: Pod,
    container: ContainerState,
    code: str,
    message: str,
    hint: str,
    *,
    by_image: bool = False,
    patience: float = FOREVER,
) -> Failure:
    """Return a failure of a container."""
    return Failure(
        code, short(message), f"{hint}; {go_back(its.target)}" if by_image else hint, Whose.OURS,
        str(pod.name), container.name, by_image, _AGAIN, its.serving, patience,
    )  # fmt: skip
