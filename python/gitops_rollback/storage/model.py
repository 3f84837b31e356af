"""Volumes, claims, classes and workloads, as the rules of storage look at them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gitops_rollback.manifest.workloads import POD_SPECS, REPORTED_POD_SPECS
from gitops_rollback.storage.quantity import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction

    from gitops_rollback.storage.objects import KubernetesObject
    from gitops_rollback.storage.values import Steps

POD_SPEC_PATHS: dict[str, tuple[str, ...]] = {
    kind: tuple(pointer.strip("/").split("/"))
    for kind, pointer in {
        **POD_SPECS,
        **REPORTED_POD_SPECS,
        "ReplicationController": "/spec/template/spec",
    }.items()
}
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"  # older than the field, and wins
_DEFAULT_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
NO_PROVISIONER = "kubernetes.io/no-provisioner"
_MOST_REPLICAS = 20  # of a StatefulSet whose claims are followed one by one


@dataclass(frozen=True)
class Volume:
    """A PersistentVolume; `claim_ref` is (namespace, name) of the claim it is kept for."""

    item: KubernetesObject
    name: str
    capacity: Fraction | None
    modes: frozenset[str]
    storage_class: str
    volume_mode: str
    labels: dict[str, str] = field(hash=False)
    claim_ref: tuple[str | None, str] | None
    policy: str
    attributes_class: str

    @property
    def is_local(self) -> bool:
        """Whether its data are on one node: hostPath or local."""
        return bool({"hostPath", "local"} & self.item.mapping("spec").keys())


@dataclass(frozen=True)
class Claim:
    """A PersistentVolumeClaim, or one that a StatefulSet makes of a template.

    `storage_class` is None where none is written: then the cluster's default counts. `steps` lead
    to its specification in `item`.
    """

    item: KubernetesObject
    steps: Steps
    name: str
    namespace: str | None
    request: Fraction | None
    modes: frozenset[str]
    storage_class: str | None
    volume_mode: str
    selector: dict[str, Any] | None = field(hash=False)
    volume_name: str
    attributes_class: str
    template: str = ""

    @property
    def title(self) -> str:
        """What people call it: `claim data`."""
        return f"claim {self.name}"


@dataclass(frozen=True)
class StorageClass:
    """A StorageClass, with the defaults that the API server fills in."""

    item: KubernetesObject
    name: str
    provisioner: str
    policy: str
    expands: bool
    waits: bool
    is_default: bool


@dataclass(frozen=True)
class PodVolume:
    """One volume of a pod: `claim` is the claim's name where it is one."""

    name: str
    steps: Steps
    source: dict[str, Any] = field(hash=False)
    claim: str | None = None
    read_only: bool = False


@dataclass(frozen=True)
class Workload:
    """A pod, or what makes pods, and how it uses storage."""

    item: KubernetesObject
    pod: Steps
    replicas: int
    strategy: str
    volumes: tuple[PodVolume, ...]
    templates: tuple[Claim, ...] = ()

    @property
    def containers(self) -> Iterator[tuple[Steps, dict[str, Any]]]:
        """Each container with the steps to it."""
        spec = self.item.mapping(*self.pod)
        for key in ("initContainers", "containers", "ephemeralContainers"):
            items = spec.get(key)
            for index, container in enumerate(items if isinstance(items, list) else ()):
                if isinstance(container, dict):
                    yield (*self.pod, key, index), container

    @property
    def mounts(self) -> Iterator[Mount]:
        """Each mount of each container, of block devices too."""
        for steps, container in self.containers:
            for key in ("volumeMounts", "volumeDevices"):
                items = container.get(key)
                for index, mount in enumerate(items if isinstance(items, list) else ()):
                    if isinstance(mount, dict):
                        names = str(container.get("name")), key, str(mount.get("name"))
                        yield Mount((*steps, key, index), *names, mount)


@dataclass(frozen=True)
class Mount:
    """Where a container has a volume: `steps` lead to it, `kind` is the list it stands in."""

    steps: Steps
    container: str
    kind: str
    name: str
    value: dict[str, Any] = field(hash=False)


def volume_of(item: KubernetesObject) -> Volume:
    """Read a PersistentVolume."""
    spec = item.mapping("spec")
    reference = item.mapping("spec", "claimRef")
    return Volume(
        item=item,
        name=item.name,
        capacity=parse_quantity(item.get("spec", "capacity", "storage")),
        modes=_texts(spec.get("accessModes")),
        storage_class=_class(item) or "",
        volume_mode=str(spec.get("volumeMode") or "Filesystem"),
        labels={k: str(v) for k, v in item.mapping("metadata", "labels").items()},
        claim_ref=(_name(reference.get("namespace")), str(reference["name"]))
        if "name" in reference
        else None,
        policy=str(spec.get("persistentVolumeReclaimPolicy") or "Retain"),
        attributes_class=str(spec.get("volumeAttributesClassName") or ""),
    )


def claim_of(item: KubernetesObject) -> Claim:
    """Read a PersistentVolumeClaim."""
    claim = _claim(item, ("spec",), item.mapping("spec"), item.name)
    return replace(claim, storage_class=_class(item))


def class_of(item: KubernetesObject) -> StorageClass:
    """Read a StorageClass."""
    annotations = item.mapping("metadata", "annotations")
    return StorageClass(
        item=item,
        name=item.name,
        provisioner=str(item.get("provisioner") or ""),
        policy=str(item.get("reclaimPolicy") or "Delete"),
        expands=item.get("allowVolumeExpansion") is True,
        waits=item.get("volumeBindingMode") == "WaitForFirstConsumer",
        is_default=any(str(annotations.get(key)) == "true" for key in _DEFAULT_ANNOTATIONS),
    )


def workload_of(item: KubernetesObject) -> Workload:
    """Read a pod, or what makes pods."""
    pod = POD_SPEC_PATHS[item.kind]
    volumes = item.get(*pod, "volumes")
    replicas = item.get("spec", "replicas")
    is_set = item.kind == "StatefulSet"
    return Workload(
        item=item,
        pod=pod,
        replicas=replicas if isinstance(replicas, int) else 1,
        strategy=str(item.get("spec", "strategy", "type") or "RollingUpdate"),
        volumes=tuple(
            _pod_volume((*pod, "volumes", index), volume)
            for index, volume in enumerate(volumes if isinstance(volumes, list) else ())
            if isinstance(volume, dict)
        ),
        templates=tuple(_templates(item)) if is_set else (),
    )


def claims_of_set(workload: Workload) -> Iterator[Claim]:
    """Yield the claims that a StatefulSet makes: `data-web-0` and so on."""
    start = workload.item.get("spec", "ordinals", "start")
    first = start if isinstance(start, int) else 0
    for number in range(first, first + min(workload.replicas, _MOST_REPLICAS)):
        for template in workload.templates:
            yield replace(template, name=f"{template.template}-{workload.item.name}-{number}")


def _templates(item: KubernetesObject) -> Iterator[Claim]:
    templates = item.get("spec", "volumeClaimTemplates")
    for index, template in enumerate(templates if isinstance(templates, list) else ()):
        metadata = template.get("metadata") if isinstance(template, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        spec = template.get("spec") if isinstance(template, dict) else None
        if name:  # one without a name is refused
            steps = ("spec", "volumeClaimTemplates", index, "spec")
            found = _claim(item, steps, spec if isinstance(spec, dict) else {}, str(name))
            yield replace(found, template=str(name))


def _claim(item: KubernetesObject, steps: Steps, spec: dict[str, Any], name: str) -> Claim:
    selector = spec.get("selector")
    resources = spec.get("resources")
    requests = resources.get("requests") if isinstance(resources, dict) else None
    return Claim(
        item=item,
        steps=steps,
        name=name,
        namespace=item.namespace,
        request=parse_quantity(requests.get("storage") if isinstance(requests, dict) else None),
        modes=_texts(spec.get("accessModes")),
        storage_class=_optional(spec.get("storageClassName")),
        volume_mode=str(spec.get("volumeMode") or "Filesystem"),
        selector=selector if isinstance(selector, dict) else None,
        volume_name=str(spec.get("volumeName") or ""),
        attributes_class=str(spec.get("volumeAttributesClassName") or ""),
    )


def _pod_volume(steps: Steps, volume: dict[str, Any]) -> PodVolume:
    source = volume.get("persistentVolumeClaim")
    source = source if isinstance(source, dict) else {}
    return PodVolume(
        name=str(volume.get("name") or ""),
        steps=steps,
        source=volume,
        claim=_name(source.get("claimName")),
        read_only=source.get("readOnly") is True,
    )


def _class(item: KubernetesObject) -> str | None:
    annotation = item.mapping("metadata", "annotations").get(CLASS_ANNOTATION)
    return _optional(annotation if annotation is not None else item.get("spec", "storageClassName"))


def _texts(value: object) -> frozenset[str]:
    return frozenset(str(item) for item in value) if isinstance(value, list) else frozenset()


def _optional(value: object) -> str | None:
    return None if value is None else str(value)


def _name(value: object) -> str | None:
    return None if value is None or value == "" else str(value)
