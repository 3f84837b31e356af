"""Everything there is to say about the storage of some manifests."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import ManifestError
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.manifest.document import parse_once
from gitops_rollback.manifest.kustomize import Kustomization, is_kustomization, read_kustomization
from gitops_rollback.storage import model
from gitops_rollback.storage.binding import BOUND, PROVISIONED, check_bindings, effective_class
from gitops_rollback.storage.model import (
    ERROR,
    NOTE,
    WARNING,
    Finding,
    KubernetesObject,
    find_objects,
    in_order,
)
from gitops_rollback.storage.mounts import POD_SPEC_PATHS, World, check_mounts, worlds
from gitops_rollback.storage.required import check_required
from gitops_rollback.storage.structure import check_kind, check_structure, is_checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gitops_rollback.storage.binding import Binding
    from gitops_rollback.storage.model import Claim, Finding, StorageClass, Volume
    from gitops_rollback.storage.mounts import PodVolume, Workload, World

_OF_NO_NAMESPACE = ("PersistentVolume", "StorageClass")


@dataclass(frozen=True)
class Review:
    """Findings by place, what becomes of each claim, and the files that are templates."""

    findings: tuple[Finding, ...]
    worlds: tuple[World, ...] = field(repr=False)
    objects: int
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """What becomes of each claim."""
        return tuple(binding for world in self.worlds for binding in world.bindings)

    def claims_to_json(self) -> list[dict[str, Any]]:
        """Return what becomes of each claim, as it stands in results."""
        return [_claim_to_json(binding) for binding in self.bindings]


def review(files: Mapping[str, bytes]) -> Review:
    """Look at the storage in manifests, given as bytes by path."""
    read = read_objects(files)
    return review_objects(read.items, read.findings, read.skipped)


def review_objects(
    items: Iterable[KubernetesObject],
    findings: Iterable[Finding] = (),
    skipped: tuple[tuple[str, str], ...] = (),
) -> Review:
    """Look at objects that were read; `findings` are those of reading them."""
    items = tuple(items)
    checked = tuple(item for item in items if is_checked(item))
    found = list(findings)
    for item in items:
        found += check_kind(item)
    meeting = []
    for item in checked:
        structure = check_structure(item)
        own = [*structure.findings, *check_required(item, structure)]
        found += own
        # A pod that has lost its volumes mounts none: that is said once.
        if not structure.displaced or item.kind not in POD_SPEC_PATHS:
            meeting.append(replace(item, is_refused=any(one.is_refusal for one in own)))
    together = tuple(worlds(meeting))
    for world in together:
        found += _of_world(world)
    return Review(in_order(found), together, len(checked), skipped)


@dataclass(frozen=True)
class ReadObjects:
    """The objects of some files, what is wrong with the files, and which are templates."""

    items: tuple[KubernetesObject, ...]
    findings: tuple[Finding, ...]
    skipped: tuple[tuple[str, str], ...]


def read_objects(files: Mapping[str, bytes]) -> ReadObjects:
    """Read the objects of files that may hold storage."""
    kustomizations = read_kustomizations({p: d for p, d in files.items() if is_kustomization(p)})
    patches, spaces = patch_paths(kustomizations), namespaces(kustomizations)
    items: list[KubernetesObject] = []
    findings: list[Finding] = []
    skipped = []
    for path, data in files.items():
        if is_kustomization(path) or not model.may_hold_storage(data):
            continue
        try:
            file, problems = model.read(path, data)
            findings += problems
            if file is not None:
                found = find_objects(file, is_patch=path in patches)
                items += [_in_namespace(item, namespace_of(path, spaces)) for item in found]
        except (model.TemplateError, ManifestError) as error:
            skipped.append((path, str(error)))
    return ReadObjects(tuple(items), tuple(findings), tuple(skipped))


def _in_namespace(item: KubernetesObject, namespace: str | None) -> KubernetesObject:
    if namespace is None or item.kind in _OF_NO_NAMESPACE:
        return item
    return replace(item, namespace=namespace)


def _of_world(world: World) -> Iterator[Finding]:
    yield from check_mounts(world)
    yield from check_bindings(world)
    yield from check_risks(world)


def _claim_to_json(binding: Binding) -> dict[str, Any]:
    claim = binding.claim
    line, _column = claim.item.place(claim.steps)
    namespace = {"namespace": claim.namespace} if claim.namespace else {}
    volume = {"volume": binding.volume.name} if binding.volume else {}
    if binding.either:
        volume = {"volume": " or ".join(one.name for one in binding.either)}
    return {
        "name": claim.name,
        **namespace,
        "path": claim.item.path,
        "line": line,
        "state": binding.state,
        **volume,
        "reason": binding.reason,
    }


def read_kustomizations(files: Mapping[str, bytes]) -> list[Kustomization]:
    """Read kustomizations; of one that cannot be read, what is wrong is not said here."""
    found = []
    for path, data in files.items():
        try:
            found.append(read_kustomization(parse_once(path, data)))
        except ManifestError:
            continue  # it names no patch and no namespace
    return found


def patch_paths(kustomizations: Iterable[Kustomization]) -> frozenset[str]:
    """Return the paths of the files that kustomizations use as patches."""
    return frozenset(
        patch.path for one in kustomizations for patch in one.patches if patch.path is not None
    )


def namespaces(kustomizations: Iterable[Kustomization]) -> dict[str, str]:
    """Return the namespaces that kustomizations give to what is in and below their folders."""
    return {one.folder: one.namespace for one in kustomizations if one.namespace}


def namespace_of(path: str, known: Mapping[str, str]) -> str | None:
    """Return the namespace that the nearest kustomization gives to a file; None if none does."""
    folder = path
    while folder not in ("", "/"):
        folder = posixpath.dirname(folder)
        if folder in known:
            return known[folder]
    return None


# What runs, and puts data or a rollout at risk: policies, replicas, writers, growth

_LOST = "when the claim is deleted, by hand or by Flux when its file goes (prune), the data go too"
_NO_DATA_TYPES = ("Socket", "CharDevice", "BlockDevice", "File")


def check_risks(world: World) -> Iterator[Finding]:
    """Yield the risks of a world."""
    for workload in world.workloads:
        yield from _host_paths(workload)
        yield from _retention(workload)
        for claim in workload.templates:
            yield from _policy(world, workload, claim)
        for volume in workload.volumes:
            for claim in world.claims_for(workload, volume):
                yield from _shared_by_replicas(world, workload, volume, claim)
                yield from _policy(world, workload, claim)
    for claim in world.claims:
        yield from _writers(world, claim)


def _host_paths(workload: Workload) -> Iterator[Finding]:
    """Find directories of the node that several replicas take for one; a DaemonSet means it so."""
    if not _has_several(workload):
        return
    for volume in workload.volumes:
        source = volume.source.get("hostPath")
        if not isinstance(source, dict) or source.get("type") in _NO_DATA_TYPES:
            continue
        if _is_written(workload, volume):
            yield _local(workload, (*volume.steps, "hostPath"), f"volume {volume.name} (hostPath)")


def _local(workload: Workload, steps: tuple[str | int, ...], what: str) -> Finding:
    return workload.item.finding(
        WARNING,
        "local-replicas",
        steps,
        f"{what} is a directory of one node, and there are {workload.replicas} replicas",
        effect="each node has data of its own: replicas do not see each other's, and a pod that "
        "moves finds none",
        mend="use a volume that all nodes reach (ReadWriteMany), or one replica",
    )


def _shared_by_replicas(
    world: World, workload: Workload, volume: PodVolume, claim: Claim
) -> Iterator[Finding]:
    steps = (*volume.steps, "persistentVolumeClaim")
    for bound in world.binding_of(claim).volumes:
        if _has_several(workload) and bound.is_local:
            yield _local(workload, steps, f"volume {bound.name} of claim {claim.name}")
    if claim.modes & {"ReadWriteMany", "ReadOnlyMany"} or workload.replicas == 0:
        return
    if _has_several(workload) or (workload.item.kind == "DaemonSet"):
        yield _too_many(workload, steps, claim)
    elif workload.item.kind == "Deployment" and _overlaps(workload):
        yield workload.item.finding(
            WARNING,
            "rolling-update",
            steps,
            f"claim {claim.name} is {_mode(claim)}, and the Deployment is updated by RollingUpdate",
            effect="the new pod starts while the old one holds the volume: on another node it "
            "waits (Multi-Attach error), and so does every rollout and rollback",
            mend="write spec.strategy.type: Recreate",
        )


def _too_many(workload: Workload, steps: tuple[str | int, ...], claim: Claim) -> Finding:
    alone = "ReadWriteOncePod" in claim.modes
    many = "every node" if workload.item.kind == "DaemonSet" else f"{workload.replicas} replicas"
    return workload.item.finding(
        ERROR if alone else WARNING,
        "shared-claim",
        steps,
        f"claim {claim.name} is {_mode(claim)}, and {many} mount it",
        effect="only one pod gets it, the others stay Pending"
        if alone
        else "pods on other nodes than the first do not start (Multi-Attach error); pods on the "
        "same node write into one another's files",
        mend="ask for ReadWriteMany, run one replica, or make it a StatefulSet with "
        "volumeClaimTemplates",
    )


def _policy(world: World, workload: Workload, claim: Claim) -> Iterator[Finding]:
    """Tell of a claim of a workload whose data are deleted with it, or that cannot grow."""
    made = claim if not claim.template else _first_of(world, workload, claim)
    binding = world.binding_of(made) if made is not None else None
    if binding is not None and binding.state == BOUND and binding.volumes:
        for volume in binding.volumes:
            yield from _volume_policy(workload, volume)
        return
    name = effective_class(claim, world.storage)
    found = world.classes.get(name or "")
    if found is not None and _may_provision(binding):
        yield from _class_policy(workload, claim, found)
    elif found is None and name != "" and workload.item.kind == "StatefulSet":
        yield claim.item.finding(
            NOTE,
            "reclaim-unknown",
            claim.steps,
            f"the class of {claim.title} is not in these manifests",
            effect=f"unless it says Retain, its policy is Delete: {_LOST}",
            mend="look at kubectl get storageclass; use one with reclaimPolicy: Retain",
        )


def _volume_policy(workload: Workload, volume: Volume) -> Iterator[Finding]:
    if volume.policy != "Retain":
        yield volume.item.finding(
            WARNING,
            "reclaim-delete",
            ("spec", "persistentVolumeReclaimPolicy"),
            f"volume {volume.name} of {workload.item.title} has reclaim policy {volume.policy}",
            effect=_LOST,
            mend="write persistentVolumeReclaimPolicy: Retain",
        )


def _class_policy(workload: Workload, claim: Claim, found: StorageClass) -> Iterator[Finding]:
    if found.policy == "Delete":
        yield found.item.finding(
            WARNING,
            "reclaim-delete",
            ("reclaimPolicy",),
            f"class {found.name}, which {workload.item.title} uses, has reclaim policy Delete",
            effect=_LOST,
            mend="write reclaimPolicy: Retain (it is fixed: make a new class for new claims)",
        )
    if not found.expands:
        yield claim.item.finding(
            NOTE,
            "no-expansion",
            claim.steps,
            f"class {found.name} of {claim.title} has no allowVolumeExpansion",
            effect="a larger request is refused by the API server, and Flux stops at it",
            mend=f"write allowVolumeExpansion: true in class {found.name}, if its driver can",
        )


def _may_provision(binding: object) -> bool:
    return getattr(binding, "state", PROVISIONED) == PROVISIONED


def _first_of(world: World, workload: Workload, template: Claim) -> Claim | None:
    return next(
        (c for c in world.claims if c.item is workload.item and c.template == template.template),
        None,
    )


def _retention(workload: Workload) -> Iterator[Finding]:
    policy = workload.item.mapping("spec", "persistentVolumeClaimRetentionPolicy")
    for key, when in (("whenDeleted", "is deleted"), ("whenScaled", "is scaled down")):
        if policy.get(key) == "Delete":
            yield workload.item.finding(
                WARNING,
                "claims-deleted",
                ("spec", "persistentVolumeClaimRetentionPolicy", key),
                f"the claims of {workload.item.title} are deleted when it {when}",
                effect="with a reclaim policy of Delete the data go with them",
                mend=f"write {key}: Retain",
            )


def _writers(world: World, claim: Claim) -> Iterator[Finding]:
    """Find two workloads that write into one claim."""
    writers = [
        (workload, volume)
        for workload in world.workloads
        for volume in workload.volumes
        if volume.claim == claim.name
        and claim in world.claims_for(workload, volume)
        and _is_written(workload, volume)
    ]
    names = list(dict.fromkeys(workload.item.title for workload, _volume in writers))
    if len(names) < 2:  # noqa: PLR2004 - two writers
        return
    shared = "ReadWriteMany" in claim.modes
    workload, volume = writers[1]
    yield workload.item.finding(
        NOTE if shared else WARNING,
        "two-writers",
        (*volume.steps, "persistentVolumeClaim"),
        f"{' and '.join(names)} write into claim {claim.name} ({_mode(claim)})",
        effect="both change the same files"
        + ("" if shared else "; on different nodes the second one does not start"),
        mend="give each a claim of its own, or mount it readOnly in one of them",
    )


def _is_written(workload: Workload, volume: PodVolume) -> bool:
    """Tell whether any container can write into a volume."""
    if volume.read_only:
        return False
    mounts = [mount.value for mount in workload.mounts if mount.name == volume.name]
    return any(mount.get("readOnly") is not True for mount in mounts)


def _has_several(workload: Workload) -> bool:
    return workload.replicas > 1 and workload.item.kind not in (
        "Pod",
        "DaemonSet",
        "Job",
        "CronJob",
    )


def _overlaps(workload: Workload) -> bool:
    """Tell whether an update starts the new pod before the old one is gone."""
    surge = workload.item.get("spec", "strategy", "rollingUpdate", "maxSurge")
    return workload.strategy == "RollingUpdate" and surge not in (0, "0", "0%")


def _mode(claim: Claim) -> str:
    return ", ".join(sorted(claim.modes)) or "of no access mode"
