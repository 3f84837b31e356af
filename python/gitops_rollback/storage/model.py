"""Volumes, claims and classes, as the rules of storage look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.storage.values import parse_quantity

if TYPE_CHECKING:
    from fractions import Fraction

    from gitops_rollback.storage.objects import KubernetesObject
    from gitops_rollback.storage.values import Steps

CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"  # older than the field, and wins
_DEFAULT_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
NO_PROVISIONER = "kubernetes.io/no-provisioner"


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
        claim_ref=(name_or_none(reference.get("namespace")), str(reference["name"]))
        if "name" in reference
        else None,
        policy=str(spec.get("persistentVolumeReclaimPolicy") or "Retain"),
        attributes_class=str(spec.get("volumeAttributesClassName") or ""),
    )


def claim_of(item: KubernetesObject) -> Claim:
    """Read a PersistentVolumeClaim."""
    claim = claim_from(item, ("spec",), item.mapping("spec"), item.name)
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


def claim_from(item: KubernetesObject, steps: Steps, spec: dict[str, Any], name: str) -> Claim:
    """Read the specification of a claim, which `steps` lead to."""
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


def _class(item: KubernetesObject) -> str | None:
    annotation = item.mapping("metadata", "annotations").get(CLASS_ANNOTATION)
    return _optional(annotation if annotation is not None else item.get("spec", "storageClassName"))


def _texts(value: object) -> frozenset[str]:
    return frozenset(str(item) for item in value) if isinstance(value, list) else frozenset()


def _optional(value: object) -> str | None:
    return None if value is None else str(value)


def name_or_none(value: object) -> str | None:
    """Return a name; None where none is written."""
    return None if value is None or value == "" else str(value)
