"""Workloads and their pods: what they were told to run, and what became of it. Pure."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from gitops_rollback.late import dataclass, field, regex
from gitops_rollback.manifest.flux import LEAVES_ALONE
from gitops_rollback.manifest.objects import POD_SPECS, selects
from gitops_rollback.rollout.raw import (
    Condition,
    Json,
    Name,
    conditions_of,
    items,
    mapping,
    name_of,
    number,
    text,
    texts,
    truth,
)
from gitops_rollback.rollout.target import BARE, Match, claims_of, pod_spec_of, taken_by

if TYPE_CHECKING:
    from gitops_rollback.rollout.target import Target

_FLUX = ("kustomize-controller", "helm-controller")
# A container's name; what stands at other places goes by a name that is none (manifest/objects).
_CONTAINER = regex(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def selector_text(selector: Json) -> str:
    """Return a label selector as the API server takes it in a list request."""
    found = [f"{key}={value}" for key, value in sorted(mapping(selector, "matchLabels").items())]
    for one in items(selector, "matchExpressions"):
        key, operator, values = text(one, "key"), text(one, "operator"), texts(one, "values")
        if operator in ("In", "NotIn"):
            found.append(f"{key} {operator.lower()} ({','.join(values)})")
        else:
            found.append(key if operator == "Exists" else f"!{key}")
    return ",".join(found)


@dataclass(frozen=True)
class Container:
    """One container of a pod template, and its place in the object, a JSON pointer."""

    name: str
    image: str
    pointer: str = ""


@dataclass(frozen=True)
class Workload:
    """A workload: `wanted` is None where its kind has no replicas (a CronJob).

    `kept` pods of those that are wanted stay as they are, on purpose. `is_leaving` says that it is
    being deleted, and still there: nothing more is made of it. `left_alone` is the note by
    which Flux leaves the object as it is, and `noted_in` says where its metadata has that:
    `annotations` or `labels`; `belongings` are kind and name of what its
    pods take: claims, ConfigMaps, Secrets.
    """

    name: Name
    observed: bool
    containers: tuple[Container, ...]
    wanted: int | None
    updated: int
    total: int
    available: int
    paused: bool
    by_hand: bool
    selector: Json = field(hash=False)
    progressing: Condition
    replica_failure: Condition
    set_by: str = ""
    kept: int = 0
    is_leaving: bool = False
    ready: int = 0
    minimum: int = 0
    left_alone: str = ""
    noted_in: str = ""
    belongings: frozenset[tuple[str, str]] = frozenset()

    def of(self, target: Target) -> tuple[Container, ...]:
        """Return the containers that are to run a target's image.

        Those that Git names, whatever image they have now; else those of the service's image
        repository, or with its digest.
        """
        names = target.containers(self.name.kind, self.name.name)
        found = tuple(one for one in self.containers if one.name in names)
        return found or tuple(
            one
            for one in self.containers
            if target.is_of_repository(one.image) or target.match(one.image) is not Match.OTHER
        )

    def unseen(self, target: Target) -> tuple[str, ...]:
        """Return the names of what Git gives the target's image and is no container here.

        That is an image volume, or a place that only the configuration names; or a container that
        something has taken out, which `lacks` tells.
        """
        names = target.containers(self.name.kind, self.name.name)
        return tuple(sorted(names - {one.name for one in self.containers}))

    def names_of(self, target: Target) -> frozenset[str]:
        """Return the names of the containers that are to run a target's image."""
        return frozenset(one.name for one in self.of(target))

    def elsewhere(self, target: Target) -> tuple[Container, ...]:
        """Return the containers of the service that name another image."""
        return tuple(one for one in self.of(target) if target.match(one.image) is Match.OTHER)

    def lacks(self, target: Target) -> tuple[str, ...]:
        """Return the containers to which Git gives the image, and that are not there at all.

        Where none is known by its name, and none has the repository, that is all that is said.
        """
        lacking = tuple(name for name in self.unseen(target) if _CONTAINER.fullmatch(name))
        is_known = bool(self.of(target) or self.unseen(target))
        return lacking if is_known else (f"of {target.image.full_repository}",)

    def is_told(self, target: Target) -> bool:
        """Tell whether all its containers that are to run the image name it."""
        return not self.elsewhere(target) and not self.lacks(target)

    @property
    def counts_lack(self) -> str:
        """What the counts in its status lack; empty where all pods it wants are new and available.

        As `kubectl rollout status` judges it (kubectl:pkg/polymorphichelpers/rollout_status.go).
        """
        wanted = self.wanted or 0
        if self.updated < wanted:
            return f"{self.updated} of {wanted} pods are new"
        if self.name.kind == "Deployment" and self.total > self.updated:
            return f"{self.total - self.updated} old pods are still there"
        if self.available >= wanted:
            return ""
        if self.ready >= wanted and self.minimum:
            return f"its pods are ready, and have to be so for {self.minimum} s"
        return f"{self.available} of {wanted} pods are ready"


@dataclass(frozen=True)
class ContainerState:
    """One container of a pod: what it was told to run, and what became of it.

    `image_id` is what the runtime really took: its digest is the proof. `exit_code` is that of the
    last time it ended, None if it never did; `ended` and `last` say why, and `has_ended` that it is
    not begun again yet. `is_first` says that it comes to its end before the others begin.
    """

    name: str
    image: str
    image_id: str = ""
    ready: bool = False
    running: bool = False
    restarts: int = 0
    waiting: str = ""
    message: str = ""
    exit_code: int | None = None
    ended: str = ""
    last: str = ""
    has_ended: bool = False
    is_first: bool = False

    @property
    def digest(self) -> str:
        """The digest that the runtime reports, `sha256:…`; empty where it reports none."""
        _, at, digest = self.image_id.rpartition("@")
        return digest if at else ""

    def is_new(self, target: Target) -> bool:
        """Tell whether it was told to run the target's image, or runs it by its digest."""
        return target.match(self.image) is not Match.OTHER or self._took(target)

    def is_proven(self, target: Target) -> bool:
        """Tell whether it runs the target's digest: named by it, or by what the runtime took."""
        return target.is_proven_by(self.image) or self._took(target)

    def _took(self, target: Target) -> bool:
        return bool(self.digest) and self.digest == target.image.digest


@dataclass(frozen=True)
class Pod:
    """A pod; `ended` where it is being deleted or has run to its end, `why` if it says why.

    `node` is the one it was given to, whose kubelet `has_begun` with it; `is_leaving` says that it
    is being deleted, and still there.
    """

    name: Name
    labels: frozenset[tuple[str, str]]
    containers: tuple[ContainerState, ...]
    readiness: Condition
    ended: bool
    scheduled: Condition
    why: str = ""
    message: str = ""
    owner: tuple[str, str] = ("", "")
    node: str = ""
    has_begun: bool = False
    is_leaving: bool = False

    @property
    def ready(self) -> bool:
        """Whether it serves."""
        return self.readiness.status == "True"

    @property
    def is_owned(self) -> bool:
        """Whether something has made it that keeps it."""
        return self.owner != ("", "")

    def is_of(self, workload: Name, selector: Json) -> bool:
        """Tell whether a workload has made it: by what owns it, and by the labels it selects.

        Of a Deployment the owner is a ReplicaSet, whose name begins with the Deployment's. Of one
        without an owner nobody knows. A pod that Git holds itself is its own.
        """
        if workload.kind == BARE:
            return self.name == workload
        kind, name = self.owner
        is_owned = (kind, name) == (workload.kind, workload.name) or (
            (kind, workload.kind) == ("ReplicaSet", "Deployment")
            and name.rpartition("-")[0] == workload.name
        )
        return (is_owned or not kind) and self.is_selected(workload, selector)

    def is_selected(self, workload: Name, selector: Json) -> bool:
        """Tell whether it is where a workload is, and has the labels that this one selects."""
        is_near = self.name.namespace == workload.namespace and bool(selector_text(selector))
        return is_near and selects(selector, dict(self.labels))

    def of(self, target: Target, names: frozenset[str] = frozenset()) -> tuple[ContainerState, ...]:
        """Return the containers of the service: of these names, else by the image."""
        found = tuple(one for one in self.containers if one.name in names)
        return found or tuple(
            one
            for one in self.containers
            if target.is_of_repository(one.image) or one.is_new(target)
        )

    def is_new(self, target: Target, names: frozenset[str] = frozenset()) -> bool:
        """Tell whether all its containers of the service run the target's image."""
        own = self.of(target, names)
        return bool(own) and all(one.is_new(target) for one in own)


@dataclass(frozen=True)
class PodsOf:
    """The pods that a workload has made, and which of them run a target's image."""

    target: Target
    workload: Workload
    pods: tuple[Pod, ...]

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the containers that are to run the image."""
        return self.workload.names_of(self.target)

    @cached_property
    def new(self) -> tuple[Pod, ...]:
        """Those that run the image, or are told to."""
        return tuple(pod for pod in self.pods if self.is_new(pod))

    @cached_property
    def old(self) -> tuple[Pod, ...]:
        """Those of the service that run another image and are not at their end."""
        return tuple(pod for pod in self.living if not self.is_new(pod) and self.own(pod))

    @cached_property
    def living(self) -> tuple[Pod, ...]:
        """Those that are neither being deleted nor at their end."""
        return tuple(pod for pod in self.pods if not pod.ended)

    @property
    def serving(self) -> str:
        """What the old pods do, in words."""
        ready = sum(pod.ready for pod in self.old)
        if not ready:
            return "no old pod serves any more"
        return f"{ready} old pod{'s' if ready > 1 else ''} still serve{'' if ready > 1 else 's'}"

    def is_new(self, pod: Pod) -> bool:
        """Tell whether one of them runs the image."""
        return pod.is_new(self.target, self.names)

    def own(self, pod: Pod) -> tuple[ContainerState, ...]:
        """Return the containers of one of them that are the service's."""
        return pod.of(self.target, self.names)


def read_workload(found: Json, kind: str) -> Workload:
    """Read a workload of one of the kinds of `target.KINDS`, or a pod that is one itself."""
    spec, status = mapping(found, "spec"), mapping(found, "status")
    pod = pod_spec_of(found, kind)
    conditions = conditions_of(found)
    wanted, updated, total, available = _counts(kind, spec, status)
    kept = min(wanted or 0, _partition(spec)) if kind == "StatefulSet" else 0
    observed = number(status, "observedGeneration") >= number(found, "metadata", "generation")
    ready = number(status, "numberReady" if kind == "DaemonSet" else "readyReplicas")
    left_alone, noted_in = _left_alone(found)
    return Workload(
        name=name_of(found, kind),
        observed=observed or kind in ("CronJob", BARE),
        containers=tuple(
            Container(text(one, "name"), text(one, "image"), f"{POD_SPECS[kind]}/{key}/{index}")
            for key in ("initContainers", "containers")
            for index, one in enumerate(items(pod, key))
        ),
        wanted=wanted,
        updated=updated + kept,
        total=total,
        available=available,
        paused=truth(spec, "paused") or truth(spec, "suspend"),
        by_hand=text(spec, "updateStrategy", "type") == "OnDelete",
        selector=mapping(spec, "selector"),
        progressing=conditions.get("Progressing", Condition()),
        replica_failure=conditions.get("ReplicaFailure", Condition()),
        set_by=_set_by(found),
        kept=kept,
        is_leaving=bool(text(found, "metadata", "deletionTimestamp")),
        ready=ready,
        minimum=number(spec, "minReadySeconds"),
        left_alone=left_alone,
        noted_in=noted_in,
        belongings=taken_by(pod) | claims_of(found),
    )


def read_pod(found: Json) -> Pod:
    """Read a pod."""
    statuses = {
        text(one, "name"): one
        for key in ("initContainerStatuses", "containerStatuses")
        for one in items(found, "status", key)
    }
    spec = mapping(found, "spec")
    conditions = conditions_of(found)
    leaving = bool(text(found, "metadata", "deletionTimestamp"))
    return Pod(
        name=name_of(found, "Pod"),
        labels=frozenset(
            (key, value)
            for key, value in mapping(found, "metadata", "labels").items()
            if isinstance(value, str)
        ),
        containers=tuple(
            _container(
                one,
                statuses.get(text(one, "name"), {}),
                is_first=key == "initContainers" and text(one, "restartPolicy") != "Always",
            )
            for key in ("initContainers", "containers")
            for one in items(spec, key)
        ),
        readiness=conditions.get("Ready", Condition()),
        ended=leaving or text(found, "status", "phase") in ("Succeeded", "Failed"),
        scheduled=conditions.get("PodScheduled", Condition()),
        why=text(found, "status", "reason"),
        message=" ".join(text(found, "status", "message").split()),
        owner=_owner_of(found),
        node=text(spec, "nodeName"),
        has_begun=bool(statuses),
        is_leaving=leaving,
    )


def _owner_of(found: Json) -> tuple[str, str]:
    """Return kind and name of what has made an object and keeps it; empty where nothing does."""
    for one in items(found, "metadata", "ownerReferences"):
        if truth(one, "controller"):
            return text(one, "kind"), text(one, "name")
    return "", ""


def _counts(kind: str, spec: Json, status: Json) -> tuple[int | None, int, int, int]:
    """Return how many pods are wanted, updated, there at all, and available."""
    if kind == "CronJob":
        return None, 0, 0, 0
    if kind == BARE:
        ready = conditions_of({"status": status}).get("Ready", Condition()).status == "True"
        return 1, 1, 1, int(ready)
    if kind == "DaemonSet":
        return (
            number(status, "desiredNumberScheduled"),
            number(status, "updatedNumberScheduled"),
            number(status, "currentNumberScheduled"),
            number(status, "numberAvailable"),
        )
    wanted = number(spec, "replicas", default=1)
    updated = number(status, "updatedReplicas")
    if kind == "StatefulSet" and text(status, "updateRevision") == text(status, "currentRevision"):
        updated = wanted - min(wanted, _partition(spec))
    return wanted, updated, number(status, "replicas"), number(status, "availableReplicas")


def _partition(spec: Json) -> int:
    """Return the number below which the pods of a StatefulSet are left as they are."""
    return number(spec, "updateStrategy", "rollingUpdate", "partition")


def _left_alone(found: Json) -> tuple[str, str]:
    """Return by what note Flux leaves an object as it is, and where it has that."""
    for where in ("annotations", "labels"):
        notes = mapping(found, "metadata", where)
        for key, values in LEAVES_ALONE.items():
            value = text(notes, key)
            if value.lower() in values:
                return f"{key}: {value}", where
    return "", ""


def _set_by(found: Json) -> str:
    """Return who wrote the pod template's images last, where that was not Flux."""
    newest, who = "", ""
    for entry in items(found, "metadata", "managedFields"):
        if text(entry, "subresource"):
            continue
        fields = mapping(entry, "fieldsV1", "f:spec", "f:template", "f:spec", "f:containers")
        names_image = any("f:image" in one for one in fields.values() if isinstance(one, dict))
        if names_image and text(entry, "time") >= newest:
            newest, who = text(entry, "time"), text(entry, "manager")
    return "" if who in _FLUX else who


def _container(spec: Json, status: Json, *, is_first: bool) -> ContainerState:
    waiting = mapping(status, "state", "waiting")
    ending = mapping(status, "state", "terminated")
    ended = ending or mapping(status, "lastState", "terminated")
    return ContainerState(
        name=text(spec, "name"),
        image=text(spec, "image"),
        image_id=text(status, "imageID"),
        ready=truth(status, "ready"),
        running="running" in mapping(status, "state"),
        restarts=number(status, "restartCount"),
        waiting=text(waiting, "reason"),
        message=" ".join(text(waiting, "message").split()),
        exit_code=number(ended, "exitCode") if ended else None,
        ended=text(ended, "reason"),
        last=" ".join(text(ended, "message").split()),
        has_ended=bool(ending),
        is_first=is_first,
    )
