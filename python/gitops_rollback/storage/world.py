"""What is looked at together: the objects of one environment, as if applied to one cluster.

Where the same object stands in two folders (overlays, environments, examples), no cluster has
both: these folders are then looked at one by one.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from gitops_rollback.late import dataclass, field
from gitops_rollback.storage.binding import Binding, Storage, bind
from gitops_rollback.storage.model import Claim, StorageClass, Volume, claim_of, class_of, volume_of
from gitops_rollback.storage.mounts import (
    POD_SPEC_PATHS,
    PodVolume,
    Workload,
    claims_of,
    workload_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gitops_rollback.storage.model import KubernetesObject


@dataclass(frozen=True)
class World:
    """Objects that meet in one cluster, as volumes, claims, classes and workloads."""

    items: tuple[KubernetesObject, ...] = field(repr=False)

    @cached_property
    def volumes(self) -> tuple[Volume, ...]:
        """The PersistentVolumes."""
        return tuple(volume_of(i) for i in self.items if i.kind == "PersistentVolume" and i.name)

    @cached_property
    def classes(self) -> dict[str, StorageClass]:
        """The StorageClasses by name."""
        return {i.name: class_of(i) for i in self.items if i.kind == "StorageClass" and i.name}

    @cached_property
    def workloads(self) -> tuple[Workload, ...]:
        """The pods, and what makes pods."""
        return tuple(workload_of(item) for item in self.items if item.kind in POD_SPEC_PATHS)

    @cached_property
    def claims(self) -> tuple[Claim, ...]:
        """The claims, those that workloads make among them; one that is there is taken."""
        written = [claim_of(i) for i in self.items if i.kind == "PersistentVolumeClaim" and i.name]
        made = [claim for workload in self.workloads for claim in claims_of(workload)]
        return (
            *written,
            *(claim for claim in made if not any(_is_same(claim, o) for o in written)),
        )

    @cached_property
    def storage(self) -> Storage:
        """Volumes, claims and classes, and which claims pods mount."""
        used = frozenset(
            (workload.item.namespace, volume.claim)
            for workload in self.workloads
            for volume in workload.volumes
            if volume.claim and workload.has_pods
        )
        found = frozenset(
            (claim.namespace, claim.name)
            for claim in self.claims
            for namespace, name in used
            if name == claim.name and same_namespace(namespace, claim.namespace)
        )
        return Storage(self.volumes, self.claims, self.classes, found)

    @cached_property
    def bindings(self) -> tuple[Binding, ...]:
        """What becomes of each claim."""
        return bind(self.storage)

    def claims_for(self, workload: Workload, volume: PodVolume) -> list[Claim]:
        """Return the claims that a pod's volume can mean: one, where all is well."""
        return [
            claim
            for claim in self.claims
            if claim.name == volume.claim
            and same_namespace(claim.namespace, workload.item.namespace)
        ]

    def binding_of(self, claim: Claim) -> Binding:
        """Return what becomes of a claim of this world."""
        return next(binding for binding in self.bindings if binding.claim is claim)


def same_namespace(one: str | None, other: str | None) -> bool:
    """Tell whether two can be the same; an unwritten one is what the object is applied to."""
    return one is None or other is None or one == other


def worlds(items: Iterable[KubernetesObject]) -> Iterator[World]:
    """Divide objects into what can meet in one cluster; patches are no objects."""
    yield from _divide([item for item in items if not item.is_patch], 0)


def _divide(items: list[KubernetesObject], depth: int) -> Iterator[World]:
    if not items:
        return
    folders: dict[str, list[KubernetesObject]] = {}
    here: list[KubernetesObject] = []
    for item in items:
        parts = item.path.split("/")
        if len(parts) - 1 > depth:
            folders.setdefault(parts[depth], []).append(item)
        else:
            here.append(item)
    groups = [here, *folders.values()]
    if not _is_repeated(groups):
        yield World(tuple(items))
        return
    if len(folders) == 1 and not here:
        yield from _divide(items, depth + 1)
        return
    yield from _by_file(here)
    for group in folders.values():
        yield from _divide(group, depth + 1)


def _is_repeated(groups: list[list[KubernetesObject]]) -> bool:
    """Tell whether an object stands twice: in two groups, or in the files of one."""
    identities = [item.identity for group in groups for item in group if item.name]
    return len(identities) != len(set(identities))


def _by_file(items: list[KubernetesObject]) -> Iterator[World]:
    """Yield the files of one folder together, or one by one where they repeat an object."""
    if not _is_repeated([items]):
        yield from [World(tuple(items))] if items else []
        return
    files: dict[str, list[KubernetesObject]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    for group in files.values():
        yield World(tuple(group))


def _is_same(one: Claim, other: Claim) -> bool:
    return one.name == other.name and same_namespace(one.namespace, other.namespace)
