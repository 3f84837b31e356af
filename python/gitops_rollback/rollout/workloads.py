"""The workloads that run a service's image: what they were told, and how far they are. Pure.

How far a rollout is, is judged as `kubectl rollout status` does
(kubernetes/kubectl:pkg/polymorphichelpers/rollout_status.go).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_rollback.image import ImageReference, find_image
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
    truth,
)

if TYPE_CHECKING:
    from gitops_rollback.rollout.target import Target

# Kinds that run pods, with group, version and plural: what Flux applies and a service is made of.
KINDS = {
    "Deployment": ("apps", "v1", "deployments"),
    "StatefulSet": ("apps", "v1", "statefulsets"),
    "DaemonSet": ("apps", "v1", "daemonsets"),
    "CronJob": ("batch", "v1", "cronjobs"),
}


@dataclass(frozen=True)
class Container:
    """One container of a pod template."""

    name: str
    image: str

    @property
    def reference(self) -> ImageReference | None:
        """Its image; None where the text is no image reference."""
        return find_image(self.image)


@dataclass(frozen=True)
class Workload:
    """A workload: `wanted` is None where its kind has no replicas (a CronJob).

    `kept` pods of those that are wanted stay as they are, on purpose.
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
    selector: tuple[tuple[str, str], ...]
    progressing: Condition
    replica_failure: Condition
    set_by: str = ""
    kept: int = 0

    def images_of(self, target: Target) -> tuple[ImageReference, ...]:
        """Return the images it names that are of the service's image repository."""
        wanted = target.image.full_repository
        found = (container.reference for container in self.containers)
        return tuple(image for image in found if image and image.full_repository == wanted)

    def runs_elsewhere(self, target: Target) -> tuple[Container, ...]:
        """Return the containers of the service's repository that name another image."""
        found = []
        for container in self.containers:
            image = container.reference
            if image is None or image.full_repository != target.image.full_repository:
                continue
            if not names(image, target.image):
                found.append(container)
        return tuple(found)


def names(image: ImageReference, wanted: ImageReference) -> bool:
    """Tell whether a manifest's image is the one that is wanted; a tag alone stands for it."""
    return image.may_be(wanted)


def read_workload(found: Json, kind: str) -> Workload:
    """Read a workload of one of the `KINDS`."""
    spec, status = mapping(found, "spec"), mapping(found, "status")
    pod = _pod_spec(found, kind)
    conditions = conditions_of(found)
    wanted, updated, total, available = _counts(kind, spec, status)
    kept = min(wanted or 0, _partition(spec)) if kind == "StatefulSet" else 0
    observed = number(status, "observedGeneration") >= number(found, "metadata", "generation")
    return Workload(
        name=name_of(found, kind),
        observed=observed or kind == "CronJob",
        containers=tuple(
            Container(text(one, "name"), text(one, "image"))
            for one in (*items(pod, "initContainers"), *items(pod, "containers"))
        ),
        wanted=wanted,
        updated=updated + kept,
        total=total,
        available=available,
        paused=truth(spec, "paused") or truth(spec, "suspend"),
        by_hand=text(spec, "updateStrategy", "type") == "OnDelete",
        selector=tuple(sorted(mapping(spec, "selector", "matchLabels").items())),
        progressing=conditions.get("Progressing", Condition()),
        replica_failure=conditions.get("ReplicaFailure", Condition()),
        set_by=_set_by(found),
        kept=kept,
    )


def _pod_spec(found: Json, kind: str) -> Json:
    if kind == "CronJob":
        return mapping(found, "spec", "jobTemplate", "spec", "template", "spec")
    return mapping(found, "spec", "template", "spec")


def _counts(kind: str, spec: Json, status: Json) -> tuple[int | None, int, int, int]:
    """Return how many pods are wanted, updated, there at all, and available."""
    if kind == "CronJob":
        return None, 0, 0, 0
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
    return "" if who in ("kustomize-controller", "helm-controller") else who
