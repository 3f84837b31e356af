"""The storage of one service: what its pods mount, and what is behind that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.image import find_image
from gitops_rollback.late import dataclass
from gitops_rollback.storage.mounts import POD_SPEC_PATHS, workload_of
from gitops_rollback.storage.world import World, worlds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gitops_rollback.storage.findings import Finding
    from gitops_rollback.storage.model import Claim, KubernetesObject
    from gitops_rollback.storage.mounts import Workload
    from gitops_rollback.storage.review import Review

# Volumes that hold no data of their own.
_NO_DATA = ("configMap", "secret", "downwardAPI", "projected", "emptyDir", "image")
_WORDS = {
    "PersistentVolumeClaim": "claim",
    "PersistentVolume": "volume",
    "StorageClass": "class",
}
# Findings that only hold where all of an environment was read.
_NEED_ALL = ("claim-missing", "volume-missing", "class-differs", "default-class", "reclaim-unknown")


@dataclass(frozen=True)
class ServiceKeys:
    """How the workloads of a service are known: by (path, kind, name) of fields, or by image."""

    workloads: frozenset[tuple[str, str, str]]
    repository: str

    def owns(self, item: KubernetesObject) -> bool:
        """Tell whether an object is a workload of the service."""
        if (item.path, item.kind, item.name) in self.workloads:
            return True
        if item.kind not in POD_SPEC_PATHS:
            return False
        texts = (str(one.get("image")) for _steps, one in workload_of(item).containers)
        images = map(find_image, texts)  # a template's text is none: that is known by its place
        return any(one is not None and one.full_repository == self.repository for one in images)


@dataclass(frozen=True)
class Part:
    """One part of a service's storage: what people call it, what it says, and its object."""

    title: str
    value: Any
    item: KubernetesObject

    @property
    def path(self) -> str:
        """Where it stands."""
        return self.item.path


def parts_of(items: Iterable[KubernetesObject], keys: ServiceKeys) -> dict[str, Part]:
    """Return the storage of a service by title: mounts, templates, claims, volumes, classes."""
    parts: dict[str, Part] = {}
    for world in worlds(items):
        for workload in world.workloads:
            if keys.owns(workload.item):
                for part in _of_workload(world, workload):
                    parts.setdefault(part.title, part)
    return parts


def titles_of(items: Iterable[KubernetesObject]) -> frozenset[str]:
    """Return the titles of the claims, volumes and classes that are there, as parts bear them."""
    return frozenset(f"{_WORDS[item.kind]} {item.name}" for item in items if item.kind in _WORDS)


def findings_of(review: Review, keys: ServiceKeys, *, is_all: bool) -> tuple[Finding, ...]:
    """Return the findings about a service: about its workloads, and the storage behind them.

    `is_all` tells whether the whole environment was read; else what may stand elsewhere is not
    said to be missing.
    """
    subjects: set[tuple[str, str]] = set()
    for world in review.worlds:
        for workload in world.workloads:
            if keys.owns(workload.item):
                items = (workload.item, *(one.item for one in _of_workload(world, workload)))
                subjects |= {(item.path, item.title) for item in items}
    paths = {path for path, _kind, _name in keys.workloads}
    return tuple(
        finding
        for finding in review.findings
        if ((finding.path, finding.subject) in subjects or _is_own(finding, keys, paths))
        and (is_all or finding.code not in _NEED_ALL)
    )


def _is_own(finding: Finding, keys: ServiceKeys, paths: set[str]) -> bool:
    """Tell whether a finding is about a workload that could not be looked into, or its file."""
    titles = {f"{kind} {name}" for _path, kind, name in keys.workloads}
    return finding.path in paths and (finding.subject in titles or not finding.subject)


def _of_workload(world: World, workload: Workload) -> Iterator[Part]:
    item = workload.item
    for volume in workload.volumes:
        if volume.source.keys() & set(_NO_DATA):
            continue
        value = {key: one for key, one in volume.source.items() if key != "name"}
        yield Part(f"volume {volume.name} of {item.title}", value, item)
        for claim in world.claims_for(workload, volume):
            yield from _of_claim(world, claim)
    for claim in workload.templates:
        value = {"spec": item.mapping(*claim.steps)}
        yield Part(f"claim template {claim.template} of {item.title}", value, item)
    for claim in world.claims:
        if claim.item is item:
            yield from _of_binding(world, claim)
    yield from _mounts(workload)


def _of_claim(world: World, claim: Claim) -> Iterator[Part]:
    value = {"spec": claim.item.mapping("spec")}
    yield Part(f"claim {claim.name}", value, claim.item)
    yield from _of_binding(world, claim)


def _of_binding(world: World, claim: Claim) -> Iterator[Part]:
    for volume in world.binding_of(claim).volumes:
        value = {"spec": volume.item.mapping("spec")}
        yield Part(f"volume {volume.name}", value, volume.item)
    found = world.classes.get(claim.storage_class or "")
    if found is not None:
        value = {k: v for k, v in found.item.value.items() if k not in ("metadata", "kind")}
        yield Part(f"class {found.name}", value, found.item)


def _mounts(workload: Workload) -> Iterator[Part]:
    """Yield where containers mount the volumes that hold data."""
    kept = {v.name for v in workload.volumes if not v.source.keys() & set(_NO_DATA)}
    kept |= {claim.template for claim in workload.templates}
    for mount in workload.mounts:
        if mount.kind == "volumeMounts" and mount.name in kept:
            title = f"mount of {mount.name} in container {mount.container}"
            value = {k: v for k, v in mount.value.items() if k != "name"}
            yield Part(f"{title} of {workload.item.title}", value, workload.item)


def storage_in(item: KubernetesObject) -> dict[str, Any]:
    """Return what an object says of storage, and nothing of its images: only to be compared."""
    said: dict[str, Any] = {"kind": item.kind, "name": item.name}
    if item.kind in ("PersistentVolume", "PersistentVolumeClaim", "StorageClass"):
        return {**said, "value": {k: v for k, v in item.value.items() if k != "metadata"}}
    if item.kind not in POD_SPEC_PATHS:
        return said
    workload = workload_of(item)
    return {
        **said,
        "volumes": [v.source for v in workload.volumes if not v.source.keys() & set(_NO_DATA)],
        "templates": item.get("spec", "volumeClaimTemplates"),
        "mounts": [part.value for part in _mounts(workload)],
    }
