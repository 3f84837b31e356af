"""What the API server asks of storage objects beyond the schema.

The published schema has no value lists and few required fields; the rules are those of
`ValidatePersistentVolume`, `ValidatePersistentVolumeClaim` and `ValidateStorageClass` in
kubernetes/kubernetes, pkg/apis/core/validation and pkg/apis/storage/validation, release 1.36:
what breaks one is refused. Those of values stand in `volumes`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops_rollback.late import regex
from gitops_rollback.storage.findings import ERROR, WARNING
from gitops_rollback.storage.mounts import POD_SPEC_PATHS
from gitops_rollback.storage.structure import REFUSED, missing
from gitops_rollback.storage.suggest import misspelt, written
from gitops_rollback.storage.values import parse_quantity
from gitops_rollback.storage.volumes import (
    check_claim_rules,
    check_class_rules,
    check_names,
    check_pod_volumes,
    check_volume_rules,
    sources_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.storage.findings import Finding
    from gitops_rollback.storage.model import KubernetesObject
    from gitops_rollback.storage.structure import Structure
    from gitops_rollback.storage.values import Steps


ACCESS_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
_POLICIES = ("Retain", "Delete", "Recycle")
_VOLUME_MODES = ("Filesystem", "Block")
_RETENTION = ("spec", "persistentVolumeClaimRetentionPolicy")
_VALUES: dict[tuple[str, Steps], tuple[str, ...]] = {
    ("PersistentVolume", ("spec", "persistentVolumeReclaimPolicy")): _POLICIES,
    ("PersistentVolume", ("spec", "volumeMode")): _VOLUME_MODES,
    ("Deployment", ("spec", "strategy", "type")): ("Recreate", "RollingUpdate"),
    ("DaemonSet", ("spec", "updateStrategy", "type")): ("RollingUpdate", "OnDelete"),
    ("StatefulSet", ("spec", "updateStrategy", "type")): ("RollingUpdate", "OnDelete"),
    ("StatefulSet", ("spec", "podManagementPolicy")): ("OrderedReady", "Parallel"),
    ("StatefulSet", (*_RETENTION, "whenDeleted")): _POLICIES[:2],
    ("StatefulSet", (*_RETENTION, "whenScaled")): _POLICIES[:2],
    ("StorageClass", ("reclaimPolicy",)): _POLICIES[:2],
    ("StorageClass", ("volumeBindingMode",)): ("Immediate", "WaitForFirstConsumer"),
}
_CAPACITY: Steps = ("spec", "capacity", "storage")
_MODES: Steps = ("spec", "accessModes")
# Kubernetes before `validateVolumeClaimTemplates` (pkg/apis/apps/validation) took such a set.
_NO_CLAIM = (
    "the API server refuses the StatefulSet; older ones take it, refuse its claims, and no pod is "
    "made (FailedCreate)"
)
_NAMED = ("PersistentVolume", "PersistentVolumeClaim", "StorageClass", "Pod")
_NAME_PATTERN = regex(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SMALLEST = 1_000_000  # bytes; on less no file system is made
_LONGEST_NAME = 253  # IsDNS1123Subdomain in apimachinery


def check_required(item: KubernetesObject, structure: Structure) -> Iterator[Finding]:
    """Yield what the API server would refuse in an object; nothing that is misplaced is missed."""
    if item.is_patch:
        return
    is_named = item.name or item.get("metadata", "generateName")
    if not is_named and not structure.explains(("metadata", "name")):
        yield missing(item, ("metadata", "name"))
    yield from _name(item)
    for (kind, steps), allowed in _VALUES.items():
        value = item.get(*steps)
        if kind == item.kind and value is not None:
            yield from _of_values(item, steps, value, allowed)
    yield from check_names(item)
    yield from _strategy(item)
    yield from _of_kind(item, structure)


def _of_kind(item: KubernetesObject, structure: Structure) -> Iterator[Finding]:
    if item.kind == "StorageClass":
        yield from check_class_rules(item)
    if item.kind in POD_SPEC_PATHS:
        yield from check_pod_volumes(item, POD_SPEC_PATHS[item.kind])
        for base in _ephemeral(item, POD_SPEC_PATHS[item.kind]):
            yield from _check_claim(item, base, structure, REFUSED)
    if item.kind == "PersistentVolume":
        yield from _check_volume(item, structure)
    if item.kind == "PersistentVolumeClaim":
        yield from _check_claim(item, ("spec",), structure, REFUSED)
    if item.kind == "StatefulSet":
        for base in _templates(item):
            yield from _check_claim(item, base, structure, _NO_CLAIM)


def _name(item: KubernetesObject) -> Iterator[Finding]:
    """Yield a storage object's name that is none, as a placeholder that was left in."""
    if item.kind not in _NAMED or not item.name or "${" in item.name:
        return
    if _NAME_PATTERN.fullmatch(item.name) and len(item.name) <= _LONGEST_NAME:
        return
    yield item.finding(
        ERROR,
        "bad-value",
        ("metadata", "name"),
        f"`metadata.name` is {item.name[:60]}, which cannot be a name",
        effect=REFUSED,
        mend="write small letters, digits, dashes and dots, at most 253",
    )


def _check_volume(item: KubernetesObject, structure: Structure) -> Iterator[Finding]:
    for steps in (_CAPACITY, _MODES):
        if item.get(*steps) in (None, []) and not structure.explains(steps):
            yield missing(item, steps)
    yield from _modes(item, _MODES)
    yield from _quantity(item, _CAPACITY)
    yield from _source(item, structure)
    yield from check_volume_rules(item)


def _check_claim(
    item: KubernetesObject, base: Steps, structure: Structure, effect: str
) -> Iterator[Finding]:
    """Yield what is wrong with the specification of a claim, which `base` leads to."""
    size = (*base, "resources", "requests", "storage")
    for steps in ((*base, "accessModes"), size):
        if item.get(*steps) in (None, []) and not structure.explains(steps):
            yield missing(item, steps, effect)
    mode = item.get(*base, "volumeMode")
    if mode is not None:
        yield from _of_values(item, (*base, "volumeMode"), mode, _VOLUME_MODES)
    yield from _modes(item, (*base, "accessModes"))
    yield from _quantity(item, size)
    yield from check_claim_rules(item, base)


def _strategy(item: KubernetesObject) -> Iterator[Finding]:
    """Yield what an update of a Deployment cannot be."""
    strategy = item.mapping("spec", "strategy") if item.kind == "Deployment" else {}
    rolling = strategy.get("rollingUpdate")
    steps = ("spec", "strategy", "rollingUpdate")
    if strategy.get("type") == "Recreate" and rolling is not None:
        yield item.finding(
            ERROR,
            "bad-value",
            steps,
            "`spec.strategy` is Recreate, and has rollingUpdate",
            effect=REFUSED,
            mend="take rollingUpdate out (in a live object, too: kubectl apply leaves it there)",
        )
    none = (0, "0", "0%")
    sizes = rolling if isinstance(rolling, dict) else {}
    if sizes.get("maxSurge") in none and sizes.get("maxUnavailable") in none:
        yield item.finding(
            ERROR,
            "bad-value",
            steps,
            "`spec.strategy.rollingUpdate` lets no pod come and none go: both are 0",
            effect=REFUSED,
            mend="write maxUnavailable: 1",
        )


def _templates(item: KubernetesObject) -> Iterator[Steps]:
    """Yield where the specifications of claims are that a StatefulSet makes."""
    for steps, template in item.mappings("spec", "volumeClaimTemplates"):
        if isinstance(template.get("spec"), dict):
            yield (*steps, "spec")


def _ephemeral(item: KubernetesObject, pod: Steps) -> Iterator[Steps]:
    """Yield where the specifications of claims are that live as long as a pod."""
    for volume, _source in item.mappings(*pod, "volumes"):
        steps = (*volume, "ephemeral", "volumeClaimTemplate", "spec")
        if isinstance(item.get(*steps), dict):
            yield steps


def _of_values(
    item: KubernetesObject, steps: Steps, value: object, allowed: tuple[str, ...]
) -> Iterator[Finding]:
    text = str(value)
    if text in allowed or "${" in text:
        return
    near = misspelt(text, allowed)
    yield item.finding(
        ERROR,
        "bad-value",
        steps,
        f"`{written(steps)}` is {text}, and only {', '.join(allowed)} are allowed"
        + (f"; did you mean {near}?" if near else ""),
        effect=REFUSED,
        mend=f"write {near or ' or '.join(allowed)}",
    )


def _modes(item: KubernetesObject, steps: Steps) -> Iterator[Finding]:
    modes = item.get(*steps)
    if not isinstance(modes, list):
        return
    for index, mode in enumerate(modes):
        yield from _of_values(item, (*steps, index), mode, ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        yield item.finding(
            ERROR,
            "bad-value",
            steps,
            "ReadWriteOncePod stands beside other access modes",
            effect=REFUSED,
            mend="write ReadWriteOncePod alone",
        )


def _quantity(item: KubernetesObject, steps: Steps) -> Iterator[Finding]:
    value = item.get(*steps)
    size = parse_quantity(value)
    if value is not None and size is not None and 0 < size < _SMALLEST:
        yield _tiny(item, steps, str(value), int(size))
    if value is None or "${" in str(value) or (size is not None and size > 0):
        return
    if not isinstance(value, str | int | float):
        return  # said as a wrong type
    text = str(value)
    guess = text.rstrip("bB ") or text
    mend = f"write {guess}" if guess != text and parse_quantity(guess) else "write for example 10Gi"
    yield item.finding(
        ERROR,
        "bad-quantity",
        steps,
        f"`{written(steps)}` is {text}, which is no size",
        effect=REFUSED,
        mend=mend,
    )


def _tiny(item: KubernetesObject, steps: Steps, text: str, size: int) -> Finding:
    """Return the finding of a size that is legal, and that nobody means."""
    digits = re.match(r"[0-9.]*", text)
    meant = f"{digits[0] if digits else ''}Gi"
    return item.finding(
        WARNING,
        "tiny-size",
        steps,
        f"`{written(steps)}` is {text}, which is {size} byte{'' if size == 1 else 's'}: "
        f"is {meant} meant?",
        effect="the API server takes it; a volume is then as small as its driver makes it, and a "
        "claim can grow but never shrink",
        mend=f"write {meant}, or another unit: Ki, Mi, Gi, Ti",
    )


def _source(item: KubernetesObject, structure: Structure) -> Iterator[Finding]:
    spec = item.mapping("spec")
    sources = sources_of(spec)
    if len(sources) > 1:
        yield item.finding(
            ERROR,
            "two-sources",
            ("spec", sources[1]),
            f"the volume has more than one source: {', '.join(sources)}",
            effect=REFUSED,
            mend="keep one of them",
        )
    if not sources and not _lost_source(structure):
        yield item.finding(
            ERROR,
            "no-source",
            ("spec",),
            "the volume says nowhere where its data are: no hostPath, local, nfs, csi, …",
            effect=REFUSED,
            mend="write its source, for example spec.hostPath.path",
        )
    local = spec.get("local")
    if local is not None and not spec.get("nodeAffinity"):
        yield missing(item, ("spec", "nodeAffinity"))


def _lost_source(structure: Structure) -> bool:
    """Tell whether a source, or a field of one, stands elsewhere in the object."""
    return any(
        place[:1] == ("spec",) and sources_of({str(place[1]): {}})
        for place in structure.displaced
        if len(place) > 1
    )
