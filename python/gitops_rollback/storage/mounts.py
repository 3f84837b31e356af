"""Whether what a pod mounts is there: volumes, claims, namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.storage.findings import ERROR, NOTE, WARNING
from gitops_rollback.storage.structure import REFUSED
from gitops_rollback.storage.suggest import NAME, misspelt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.storage.findings import Finding
    from gitops_rollback.storage.pods import PodVolume, Workload
    from gitops_rollback.storage.values import Steps
    from gitops_rollback.storage.world import World

_WAITS = "the pod stays Pending"


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
    if not found:
        yield _no_claim(world, workload, volume, steps)


def _no_claim(world: World, workload: Workload, volume: PodVolume, steps: Steps) -> Finding:
    others = sorted({str(c.namespace) for c in world.claims if c.name == volume.claim})
    if others:
        return workload.item.finding(
            ERROR,
            "claim-namespace",
            steps,
            f"claim {volume.claim} is in namespace {', '.join(others)}, and this pod in "
            f"{workload.item.namespace}",
            effect=f"{_WAITS}: a pod takes claims of its own namespace only",
            mend=f"write namespace: {others[0]} in one place and the same in the other",
        )
    near = misspelt(str(volume.claim), {c.name for c in world.claims}, NAME)
    if near:
        return workload.item.finding(
            ERROR,
            "claim-missing",
            steps,
            f"there is no claim {volume.claim}; did you mean {near}?",
            effect=f'{_WAITS}: persistentvolumeclaim "{volume.claim}" not found',
            mend=f"write claimName: {near}",
        )
    return workload.item.finding(
        WARNING,
        "claim-missing",
        steps,
        f"there is no claim {volume.claim} in these manifests",
        effect=f'{_WAITS} unless somebody else makes it: persistentvolumeclaim "{volume.claim}" '
        "not found",
        mend=f"add a PersistentVolumeClaim {volume.claim}",
    )


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
