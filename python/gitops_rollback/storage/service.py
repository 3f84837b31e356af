"""The storage of one service: what its pods mount, what is behind that, and what changed in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.image import find_image
from gitops_rollback.late import dataclass
from gitops_rollback.model import some
from gitops_rollback.storage.kubernetes import parse_quantity, written
from gitops_rollback.storage.mounts import POD_SPEC_PATHS, World, workload_of, worlds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from gitops_rollback.storage.kubernetes import Steps
    from gitops_rollback.storage.model import Claim, Finding, KubernetesObject
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
_MOST_FIELDS = 4  # of one part, in a message
_SIZES = ("storage", "sizeLimit")
# What the API server fills in (kubernetes/kubernetes:pkg/apis/core/v1/defaults.go, storage/v1), or
# takes for what is not written.
_DEFAULTS = {
    "allowVolumeExpansion": False,
    "cachingMode": "ReadWrite",
    "iscsiInterface": "default",
    "kind": "Shared",  # of azureDisk
    "lun": 0,
    "mountPropagation": "None",
    "partition": 0,
    "persistentVolumeReclaimPolicy": "Retain",
    "readOnly": False,
    "reclaimPolicy": "Delete",
    "recursiveReadOnly": "Disabled",
    "subPath": "",
    "type": "",  # of hostPath
    "volumeBindingMode": "Immediate",
    "volumeMode": "Filesystem",
}
_SIZE = ("resources", "requests", "storage")
# As whom containers read and write, and what becomes of the owners of files.
_OWNERS = ("fsGroup", "fsGroupChangePolicy", "runAsGroup", "runAsUser", "supplementalGroups")
# What of each object can be another once it is there (the API server's Validate*Update); of a
# StatefulSet its templates are meant, of which nothing can.
_FREE: dict[str, tuple[str, ...]] = {
    "PersistentVolumeClaim": ("resources", "volumeAttributesClassName"),
    "PersistentVolume": (
        *("accessModes", "capacity", "claimRef", "mountOptions", "persistentVolumeReclaimPolicy"),
        *("storageClassName", "volumeAttributesClassName"),
    ),
    "StorageClass": ("allowVolumeExpansion", "allowedTopologies", "apiVersion", "mountOptions"),
}
# What a controller fills in, where it is not written, and what may be written later.
_LATER = ("nodeAffinity", "storageClassName", "volumeName")


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
    """Yield where containers mount the volumes that hold data, and as whom they run."""
    kept = {v.name for v in workload.volumes if not v.source.keys() & set(_NO_DATA)}
    kept |= {claim.template for claim in workload.templates}
    for mount in workload.mounts:
        if mount.kind == "volumeMounts" and mount.name in kept:
            title = f"mount of {mount.name} in container {mount.container}"
            value = {k: v for k, v in mount.value.items() if k != "name"}
            yield Part(f"{title} of {workload.item.title}", value, workload.item)
    if kept:
        item = workload.item
        yield Part(f"owners of files of {item.title}", _owners(item, workload.pod), item)
        for steps, one in workload.containers:
            title = f"owners of files of container {one.get('name')} of {item.title}"
            yield Part(title, _owners(item, steps), item)


def _owners(item: KubernetesObject, steps: Steps) -> dict[str, Any]:
    found = item.mapping(*steps, "securityContext")
    return {key: found[key] for key in _OWNERS if key in found}


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


@dataclass(frozen=True)
class StorageChange:
    """One part of the storage that is another now than it was.

    `what` is for people; `effect` what it means for the older image; `path` where it stands, or
    stood: `commit` tells who changed it when, where that was found.
    """

    title: str
    what: str
    effect: str
    path: str
    commit: str = ""

    @property
    def sentence(self) -> str:
        """The change as one line, for plans, commits and results."""
        by = f", {self.commit}" if self.commit else ""
        return f"{self.title}: {self.what} ({self.path}{by}); {self.effect}"


def changes_between(
    then: Mapping[str, Part],
    now: Mapping[str, Part],
    there: Collection[str] = (),
    there_then: Collection[str] = (),
) -> tuple[StorageChange, ...]:
    """Return what is other now than it was then, by part.

    `there` are the titles of the claims, volumes and classes that stand in Git now, `there_then` of
    those that stood there then, whether the service mounts them or not.
    """
    found = []
    for title in dict.fromkeys((*then, *now)):
        before, after = then.get(title), now.get(title)
        if before is None and after is not None:
            found.append(_added(after, was_there=title in there_then))
        elif after is None and before is not None:
            found.append(_removed(before, is_there=title in there))
        elif before is not None and after is not None and _differ(before.value, after.value):
            found.append(_changed(before, after, now))
    return tuple(found)


def _differ(before: Any, after: Any) -> bool:  # noqa: ANN401 - JSON
    """Tell whether two mean something else: `5Gi` and `5120Mi` are one size."""
    return before != after and any(_differences((), before, after))


def _added(part: Part, *, was_there: bool) -> StorageChange:
    return StorageChange(
        part.title,
        "it is mounted now, and was there before" if was_there else "it is new",
        "the older image gets it too, and may not know it; its data stay as they are",
        part.path,
    )


def _removed(part: Part, *, is_there: bool) -> StorageChange:
    if is_there:
        return StorageChange(
            part.title,
            "it is still there, and the service no longer takes it",
            "the older image had it, and a rollback of the image does not bring it back to it; its "
            "data stay as they are",
            part.path,
        )
    gone = "where Flux prunes, its data went with it" if part.title.startswith("claim ") else ""
    return StorageChange(
        part.title,
        "it is no longer there",
        "the older image had it, and a rollback of the image does not bring it back"
        + (f"; {gone}" if gone else ""),
        part.path,
    )


def _changed(before: Part, after: Part, now: Mapping[str, Part]) -> StorageChange:
    fields = list(_differences((), before.value, after.value))
    told = [f"{written(steps) or 'all'} {old} → {new}" for steps, old, new in fields]
    effect = "it stays as it is now, and so do its data"
    if any(_is_fixed(after.item, *one) for one in fields):
        effect += (
            "; the API server refuses that of one that is there: where it was not made anew, Flux "
            "stops at it, and applies no other image either"
        )
    elif any(_is_growth(*one) for one in fields):
        effect += "; taking it back in Git would stop Flux: a claim never shrinks"
        effect += _unexpandable(after, now)
    return StorageChange(after.title, some(told, _MOST_FIELDS), effect, after.path)


def _is_fixed(item: KubernetesObject, steps: Steps, old: str, new: str) -> bool:
    """Tell whether the API server lets no object that is there become so: claims shrink, too.

    Of a workload that is only so for its claims' templates, whose fields stand in their `spec`.
    """
    keys = [key for key in steps if key != "spec"]
    is_part = item.kind in _FREE or (item.kind == "StatefulSet" and steps[:1] == ("spec",))
    if not is_part or (keys[:1] and keys[0] in _LATER and old == "(none)"):
        return False
    shrinks = item.kind == "PersistentVolumeClaim" and _is_growth(steps, new, old)
    return shrinks or not keys or keys[0] not in _FREE.get(item.kind, ())


def _unexpandable(part: Part, now: Mapping[str, Part]) -> str:
    """Say what stops a claim that grew, where its class is known not to let it."""
    spec = part.value.get("spec") if isinstance(part.value, dict) else None
    name = spec.get("storageClassName") if isinstance(spec, dict) else None
    found = now.get(f"class {name}")
    if found is None or found.value.get("allowVolumeExpansion") is True:
        return ""
    return (
        f"; class {name} has no allowVolumeExpansion: the API server refuses the larger claim, "
        "and Flux stops at it"
    )


def _is_growth(steps: Steps, old: str, new: str) -> bool:
    sizes = parse_quantity(old), parse_quantity(new)
    return steps[-3:] == _SIZE and None not in sizes and sizes[1] > sizes[0]  # type: ignore[operator]


def _differences(steps: Steps, old: Any, new: Any) -> Iterator[tuple[Steps, str, str]]:  # noqa: ANN401
    """Yield the smallest fields that differ, with what they were and are."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _differences((*steps, key), old.get(key), new.get(key))
    elif old != new and not _means_the_same(steps, old, new):
        yield steps, _text(old), _text(new)


def _means_the_same(steps: Steps, old: Any, new: Any) -> bool:  # noqa: ANN401 - JSON
    """Tell whether two texts of one field are the same to Kubernetes.

    Sizes in other units, access modes in another order, a default that is written out.
    """
    field = str(steps[-1]) if steps else ""
    if field in _SIZES:
        sizes = parse_quantity(old), parse_quantity(new)
        return None not in sizes and sizes[0] == sizes[1]
    if field == "accessModes" and isinstance(old, list) and isinstance(new, list):
        return sorted(map(str, old)) == sorted(map(str, new))
    default = _DEFAULTS.get(field)
    return default is not None and {old or default, new or default} == {default}


def _text(value: object) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return " ".join(str(value).split())[:60]
