"""What changed in a service's storage between two commits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass
from gitops_rollback.model import some
from gitops_rollback.storage.suggest import written
from gitops_rollback.storage.values import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from gitops_rollback.storage.service import Part
    from gitops_rollback.storage.values import Steps

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
    if any(_is_growth(steps, old, new) for steps, old, new in fields):
        effect += "; taking it back in Git would stop Flux: a claim never shrinks"
        effect += _unexpandable(after, now)
    return StorageChange(after.title, some(told, _MOST_FIELDS), effect, after.path)


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
