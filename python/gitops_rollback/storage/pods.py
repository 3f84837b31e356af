"""Pods, and what makes pods, as the rules of storage look at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.manifest.workloads import POD_SPECS, REPORTED_POD_SPECS
from gitops_rollback.storage.model import Claim, claim_from, name_or_none

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_MOST_REPLICAS = 20  # of a StatefulSet whose claims are followed one by one


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
            found = claim_from(item, steps, spec if isinstance(spec, dict) else {}, str(name))
            yield replace(found, template=str(name))


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
