"""Pods, what makes pods, and whether what they mount is there: volumes, claims, namespaces.

A world is what is looked at together: the objects of one environment, as if applied to one cluster.
Where the same object stands in two folders (overlays, environments, examples), no cluster has
both: these folders are then looked at one by one.
"""

from __future__ import annotations

from functools import cached_property
from itertools import starmap
from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.manifest.objects import POD_SPECS, REPORTED_POD_SPECS, selects
from gitops_rollback.storage.binding import Binding, Storage, bind
from gitops_rollback.storage.kubernetes import NAME, misspelt
from gitops_rollback.storage.model import (
    ERROR,
    NOTE,
    WARNING,
    Claim,
    StorageClass,
    Volume,
    claim_from,
    claim_of,
    class_of,
    name_or_none,
    volume_of,
)
from gitops_rollback.storage.structure import REFUSED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gitops_rollback.storage.kubernetes import Steps
    from gitops_rollback.storage.model import Finding, KubernetesObject

_WAITS = "the pod stays Pending"
POD_SPEC_PATHS: dict[str, tuple[str, ...]] = {
    kind: tuple(pointer.strip("/").split("/"))
    for kind, pointer in {
        **POD_SPECS,
        **REPORTED_POD_SPECS,
        "ReplicationController": "/spec/template/spec",
    }.items()
}
_MOST_REPLICAS = 20  # of a StatefulSet whose claims are followed one by one


def check_mounts(world: World) -> Iterator[Finding]:
    """Yield the findings about what the pods of a world mount."""
    for workload in world.workloads:
        yield from _mounts(workload)
        for volume in workload.volumes:
            if volume.claim is not None and "${" not in volume.claim:
                yield from _claim(world, workload, volume)
                yield from _unmounted(workload, volume)


def _mounts(workload: Workload) -> Iterator[Finding]:
    names = {volume.name for volume in workload.volumes}
    names |= {claim.template for claim in workload.templates}
    seen: set[tuple[Steps, str]] = set()
    for mount in workload.mounts:
        if "name" in mount.value and mount.name not in names and "${" not in mount.name:
            yield _no_volume(workload, (*mount.steps, "name"), mount.name, names)
        path = mount.value.get("mountPath")
        place = (mount.steps[:-2], str(path))
        if path is not None and place in seen:
            yield workload.item.finding(
                ERROR,
                "mounted-twice",
                (*mount.steps, "mountPath"),
                f"container {mount.container} mounts two volumes at {path}",
                effect=REFUSED,
                mend="give one of them another mountPath",
            )
        seen.add(place)


def _no_volume(workload: Workload, steps: Steps, name: str, names: set[str]) -> Finding:
    near = misspelt(name, names)
    return workload.item.finding(
        ERROR,
        "mount-without-volume",
        steps,
        f"the mount names volume {name}, and the pod has no such volume"
        + (f"; did you mean {near}?" if near else ""),
        effect=REFUSED,
        mend=f"write {near}" if near else "add it to the pod's volumes, for example with a claim",
    )


def _claim(world: World, workload: Workload, volume: PodVolume) -> Iterator[Finding]:
    steps = (*volume.steps, "persistentVolumeClaim", "claimName")
    found = world.claims_for(workload, volume)
    for claim in found:
        if claim.namespace != workload.item.namespace:
            theirs, ours = claim.namespace, workload.item.namespace
            yield workload.item.finding(
                NOTE,
                "namespace-unwritten",
                steps,
                f"claim {claim.name} is written for namespace {theirs or '(none)'}, this "
                f"{workload.item.kind} for {ours or '(none)'}",
                effect="they only meet where both are applied to the same namespace",
                mend="write the namespace in both, or set it once in the kustomization",
            )
        yield from _elsewhere(world, workload, claim)
    if not found:
        yield _no_claim(world, workload, volume, steps)


def _elsewhere(world: World, workload: Workload, claim: Claim) -> Iterator[Finding]:
    """Find a pod that wants other nodes than those that reach its volume."""
    wanted = workload.item.mapping(*workload.pod, "nodeSelector")
    volumes = world.binding_of(claim).volumes
    if volumes and not any(_is_reached(volume, wanted) for volume in volumes):
        names = " or ".join(volume.name for volume in volumes)
        told = ", ".join(f"{key}: {value}" for key, value in wanted.items())
        yield workload.item.finding(
            ERROR,
            "other-node",
            (*workload.pod, "nodeSelector"),
            f"the pod wants a node with {told}, and volume {names} of claim {claim.name} is on "
            "others (nodeAffinity)",
            effect=f"{_WAITS}: no node matches the volume's node affinity",
            mend="write the same nodes in nodeSelector and in the volume's nodeAffinity",
        )


def _is_reached(volume: Volume, wanted: dict[str, Any]) -> bool:
    """Tell whether a node with the labels that a pod wants may reach a volume."""
    labels = {str(key): str(value) for key, value in wanted.items()}
    terms = list(volume.item.mappings("spec", "nodeAffinity", "required", "nodeSelectorTerms"))
    return not terms or any(
        selects({"matchExpressions": [one for one in said if one.get("key") in labels]}, labels)
        for said in (term.get("matchExpressions") or [] for _steps, term in terms)
        if isinstance(said, list)
    )


def _no_claim(world: World, workload: Workload, volume: PodVolume, steps: Steps) -> Finding:
    others = sorted({str(c.namespace) for c in world.claims if c.name == volume.claim})
    near = misspelt(str(volume.claim), {c.name for c in world.claims}, NAME)
    severity, code = ERROR, "claim-missing"
    what, gone = f"there is no claim {volume.claim}", f'"{volume.claim}" not found'
    effect = f"{_WAITS}: persistentvolumeclaim {gone}"
    if others:
        code = "claim-namespace"
        ours = workload.item.namespace
        what = f"claim {volume.claim} is in namespace {', '.join(others)}, and this pod in {ours}"
        effect = f"{_WAITS}: a pod takes claims of its own namespace only"
        mend = f"write namespace: {others[0]} in one place and the same in the other"
    elif near:
        what, mend = f"{what}; did you mean {near}?", f"write claimName: {near}"
    else:
        severity, what = WARNING, f"{what} in these manifests"
        effect = f"{_WAITS} unless somebody else makes it: persistentvolumeclaim {gone}"
        mend = f"add a PersistentVolumeClaim {volume.claim}"
    return workload.item.finding(severity, code, steps, what, effect=effect, mend=mend)


def _unmounted(workload: Workload, volume: PodVolume) -> Iterator[Finding]:
    if volume.name in {mount.name for mount in workload.mounts}:
        return
    yield workload.item.finding(
        WARNING,
        "claim-not-mounted",
        volume.steps,
        f"no container mounts volume {volume.name} with claim {volume.claim}",
        effect="what the containers write goes into themselves, and is lost when they restart",
        mend=f"add `- name: {volume.name}` with a mountPath to a container's volumeMounts",
    )


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
    def has_pods(self) -> bool:
        """Whether it makes pods at once: a CronJob does so by and by, a suspended Job never."""
        is_still = self.item.kind == "CronJob" or self.item.get("spec", "suspend") is True
        return self.replicas > 0 and not is_still

    @property
    def containers(self) -> Iterator[tuple[Steps, dict[str, Any]]]:
        """Each container with the steps to it."""
        for key in ("initContainers", "containers", "ephemeralContainers"):
            yield from self.item.mappings(*self.pod, key)

    @property
    def mounts(self) -> Iterator[Mount]:
        """Each mount of each container, of block devices too."""
        for steps, container in self.containers:
            for key in ("volumeMounts", "volumeDevices"):
                for place, mount in self.item.mappings(*steps, key):
                    names = str(container.get("name")), key, str(mount.get("name"))
                    yield Mount(place, *names, mount)


@dataclass(frozen=True)
class Mount:
    """Where a container has a volume: `steps` lead to it, `kind` is the list it stands in."""

    steps: Steps
    container: str
    kind: str
    name: str
    value: dict[str, Any] = field(hash=False)


def workload_of(item: KubernetesObject) -> Workload:
    """Read a pod, or what makes pods."""
    pod = POD_SPEC_PATHS[item.kind]
    replicas = item.get("spec", "replicas")
    is_set = item.kind == "StatefulSet"
    return Workload(
        item=item,
        pod=pod,
        replicas=replicas if isinstance(replicas, int) else 1,
        strategy=str(item.get("spec", "strategy", "type") or "RollingUpdate"),
        volumes=tuple(starmap(_pod_volume, item.mappings(*pod, "volumes"))),
        templates=tuple(_templates(item)) if is_set else (),
    )


def claims_of(workload: Workload) -> Iterator[Claim]:
    """Yield the claims that a workload makes: those of a StatefulSet, and those of its pods.

    `data-web-0` and so on of a template; `web-0-data` of a volume that lives as long as its pod
    (`ephemeral`), and `web-*-data` where nobody knows what the pod is called.
    """
    item = workload.item
    start = item.get("spec", "ordinals", "start")
    first = start if isinstance(start, int) else 0
    for number in range(first, first + min(workload.replicas, _MOST_REPLICAS)):
        for template in workload.templates:
            yield replace(template, name=f"{template.template}-{item.name}-{number}")
        own = {"StatefulSet": f"{item.name}-{number}", "Pod": item.name}
        pod = own.get(item.kind, f"{item.name}-*")
        for volume in workload.volumes if workload.has_pods else ():
            steps = (*volume.steps, "ephemeral", "volumeClaimTemplate", "spec")
            if item.mapping(*steps):
                name = f"{pod}-{volume.name}"
                yield replace(claim_from(item, steps, name), template=volume.name)


def _templates(item: KubernetesObject) -> Iterator[Claim]:
    for steps, _template in item.mappings("spec", "volumeClaimTemplates"):
        name = item.get(*steps, "metadata", "name")
        if name:  # one without a name is refused
            yield replace(claim_from(item, (*steps, "spec"), str(name)), template=str(name))


def _pod_volume(steps: Steps, volume: dict[str, Any]) -> PodVolume:
    source = volume.get("persistentVolumeClaim")
    source = source if isinstance(source, dict) else {}
    return PodVolume(
        name=str(volume.get("name") or ""),
        steps=steps,
        source=volume,
        claim=name_or_none(source.get("claimName")),
        read_only=source.get("readOnly") is True,
    )


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
