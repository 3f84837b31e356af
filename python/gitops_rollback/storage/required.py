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
from gitops_rollback.storage.kubernetes import misspelt, parse_quantity, written
from gitops_rollback.storage.model import ERROR, WARNING
from gitops_rollback.storage.mounts import POD_SPEC_PATHS
from gitops_rollback.storage.structure import REFUSED, bad_values, missing
from gitops_rollback.storage.volumes import (
    claim_rules,
    class_rules,
    name_rules,
    pod_rules,
    sources_of,
    volume_rules,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.storage.kubernetes import Steps
    from gitops_rollback.storage.model import Finding, KubernetesObject
    from gitops_rollback.storage.structure import Structure, Wrong


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
    yield from bad_values(item, [*_name(item), *_values(item), *name_rules(item), *_strategy(item)])
    yield from _of_kind(item, structure)


def _of_kind(item: KubernetesObject, structure: Structure) -> Iterator[Finding]:
    if item.kind == "StorageClass":
        yield from bad_values(item, class_rules(item))
    if item.kind in POD_SPEC_PATHS:
        yield from bad_values(item, pod_rules(item, POD_SPEC_PATHS[item.kind]))
        for base in _ephemeral(item, POD_SPEC_PATHS[item.kind]):
            yield from _check_claim(item, base, structure, REFUSED)
    if item.kind == "PersistentVolume":
        yield from _check_volume(item, structure)
    if item.kind == "PersistentVolumeClaim":
        yield from _check_claim(item, ("spec",), structure, REFUSED)
    if item.kind == "StatefulSet":
        for base in _templates(item):
            yield from _check_claim(item, base, structure, _NO_CLAIM)


def _name(item: KubernetesObject) -> Iterator[Wrong]:
    """Yield a storage object's name that is none, as a placeholder that was left in."""
    name = item.name
    is_good = _NAME_PATTERN.fullmatch(name) and len(name) <= _LONGEST_NAME
    if item.kind in _NAMED and name and "${" not in name and not is_good:
        why = f"`metadata.name` is {name[:60]}, which cannot be a name"
        yield ("metadata", "name"), why, "write small letters, digits, dashes and dots, at most 253"


def _values(item: KubernetesObject) -> Iterator[Wrong]:
    """Yield what is none of the values that a field of a kind may have."""
    for (kind, steps), allowed in _VALUES.items():
        if kind == item.kind:
            yield from _of_values(steps, item.get(*steps), allowed)


def _check_volume(item: KubernetesObject, structure: Structure) -> Iterator[Finding]:
    for steps in (_CAPACITY, _MODES):
        if item.get(*steps) in (None, []) and not structure.explains(steps):
            yield missing(item, steps)
    yield from bad_values(item, [*_modes(item, _MODES), *volume_rules(item)])
    yield from _quantity(item, _CAPACITY)
    yield from _source(item, structure)


def _check_claim(
    item: KubernetesObject, base: Steps, structure: Structure, effect: str
) -> Iterator[Finding]:
    """Yield what is wrong with the specification of a claim, which `base` leads to."""
    size = (*base, "resources", "requests", "storage")
    for steps in ((*base, "accessModes"), size):
        if item.get(*steps) in (None, []) and not structure.explains(steps):
            yield missing(item, steps, effect)
    mode = (*base, "volumeMode")
    yield from bad_values(item, _of_values(mode, item.get(*mode), _VOLUME_MODES))
    yield from bad_values(item, [*_modes(item, (*base, "accessModes")), *claim_rules(item, base)])
    yield from _quantity(item, size)


def _strategy(item: KubernetesObject) -> Iterator[Wrong]:
    """Yield what an update of a Deployment cannot be."""
    strategy = item.mapping("spec", "strategy") if item.kind == "Deployment" else {}
    rolling = strategy.get("rollingUpdate")
    steps = ("spec", "strategy", "rollingUpdate")
    if strategy.get("type") == "Recreate" and rolling is not None:
        mend = "take rollingUpdate out (in a live object, too: kubectl apply leaves it there)"
        yield steps, "`spec.strategy` is Recreate, and has rollingUpdate", mend
    none = (0, "0", "0%")
    sizes = rolling if isinstance(rolling, dict) else {}
    if sizes.get("maxSurge") in none and sizes.get("maxUnavailable") in none:
        why = "`spec.strategy.rollingUpdate` lets no pod come and none go: both are 0"
        yield steps, why, "write maxUnavailable: 1"


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


def _of_values(steps: Steps, value: object, allowed: tuple[str, ...]) -> Iterator[Wrong]:
    text = str(value)
    if value is None or text in allowed or "${" in text:
        return
    near = misspelt(text, allowed)
    why = f"`{written(steps)}` is {text}, and only {', '.join(allowed)} are allowed"
    guess = f"; did you mean {near}?" if near else ""
    yield steps, f"{why}{guess}", f"write {near or ' or '.join(allowed)}"


def _modes(item: KubernetesObject, steps: Steps) -> Iterator[Wrong]:
    modes = item.get(*steps)
    if not isinstance(modes, list):
        return
    for index, mode in enumerate(modes):
        yield from _of_values((*steps, index), mode, ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        why = "ReadWriteOncePod stands beside other access modes"
        yield steps, why, "write ReadWriteOncePod alone"


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
