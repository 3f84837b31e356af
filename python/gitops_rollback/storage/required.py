"""What the API server asks of storage objects beyond the schema.

The published schema has no value lists and few required fields; the rules are those of
`ValidatePersistentVolume`, `ValidatePersistentVolumeClaim` and `ValidateStorageClass` in
kubernetes/kubernetes, pkg/apis/core/validation and pkg/apis/storage/validation, release 1.36:
what breaks one is refused. Those of a volume's source, nodes and labels were each asked of a real
API server (tests/flux/test_storage.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gitops_rollback.late import regex
from gitops_rollback.storage.findings import ERROR, WARNING
from gitops_rollback.storage.kubernetes import definition, definition_of
from gitops_rollback.storage.structure import REFUSED, missing
from gitops_rollback.storage.suggest import misspelt, written
from gitops_rollback.storage.values import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.storage.findings import Finding
    from gitops_rollback.storage.objects import KubernetesObject
    from gitops_rollback.storage.structure import Structure
    from gitops_rollback.storage.values import Steps


ACCESS_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
_POLICIES = ("Retain", "Delete", "Recycle")
_VOLUME_MODES = ("Filesystem", "Block")
_VALUES: dict[tuple[str, Steps], tuple[str, ...]] = {
    ("PersistentVolume", ("spec", "persistentVolumeReclaimPolicy")): _POLICIES,
    ("PersistentVolume", ("spec", "volumeMode")): _VOLUME_MODES,
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
_NO_SOURCE = frozenset(
    {"accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity"}
    | {"persistentVolumeReclaimPolicy", "storageClassName", "volumeAttributesClassName"}
    | {"volumeMode"}
)


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


def _templates(item: KubernetesObject) -> Iterator[Steps]:
    """Yield where the specifications of claims are that a StatefulSet makes."""
    templates = item.get("spec", "volumeClaimTemplates")
    for index, template in enumerate(templates if isinstance(templates, list) else ()):
        if isinstance(template, dict) and isinstance(template.get("spec"), dict):
            yield ("spec", "volumeClaimTemplates", index, "spec")


def sources_of(spec: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the sources of a PersistentVolume's specification."""
    known = definition(definition_of("PersistentVolume")["properties"]["spec"])["properties"]
    return tuple(key for key in spec if key in known and key not in _NO_SOURCE)


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


_HOST_PATH_TYPES = (
    *("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate"),
    "Socket",
)
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_CLASS = regex(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_INITIATOR = regex(
    r"iqn\.\d{4}-\d{2}\.[A-Za-z0-9.-]+(:[^,;*&$|\s]+)?|eui\.[A-Za-z0-9]{16}|naa\.[A-Za-z0-9]{32}"
)
_NAME = regex(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")  # of a label, after its prefix
_TERMS: Steps = ("spec", "nodeAffinity", "required", "nodeSelectorTerms")


def check_volume_rules(item: KubernetesObject) -> Iterator[Finding]:
    """Yield what the API server refuses in a volume though its fields are all there."""
    for steps, why, mend in (*_paths(item), *_nodes(item), *_sources(item), *_names(item)):
        yield item.finding(ERROR, "bad-value", steps, why, effect=REFUSED, mend=mend)


_Wrong = tuple["Steps", str, str]


def _paths(item: KubernetesObject) -> Iterator[_Wrong]:
    kind = _text(item, "spec", "hostPath", "type")
    if kind not in (None, *_HOST_PATH_TYPES):
        allowed = ", ".join(one for one in _HOST_PATH_TYPES if one)
        yield ("spec", "hostPath", "type"), f"`spec.hostPath.type` is {kind}", f"write {allowed}"
    for source in ("hostPath", "local"):
        path = _text(item, "spec", source, "path") or ""
        if ".." in path.split("/"):
            steps = ("spec", source, "path")
            yield steps, f"`{written(steps)}` is {path}, which has `..` in it", "write it out"
    recycles = _text(item, "spec", "persistentVolumeReclaimPolicy") == "Recycle"
    if recycles and _text(item, "spec", "hostPath", "path") == "/":
        yield (
            ("spec", "persistentVolumeReclaimPolicy"),
            "a volume that is all of its node, `/`, may not be recycled: that would empty it",
            "write Retain, and a folder as spec.hostPath.path",
        )
    export = _text(item, "spec", "nfs", "path")
    if export and not export.startswith("/"):
        yield ("spec", "nfs", "path"), f"`spec.nfs.path` is {export}", "write it from the root: /…"


def _nodes(item: KubernetesObject) -> Iterator[_Wrong]:
    terms = item.get(*_TERMS)
    if item.get(*_TERMS[:-1]) is not None and terms in (None, []):
        yield _TERMS, f"`{written(_TERMS)}` names no node", "write a term with matchExpressions"
    for number, term in enumerate(terms if isinstance(terms, list) else ()):
        for key in ("matchExpressions", "matchFields"):
            found = term.get(key) if isinstance(term, dict) else None
            for index, one in enumerate(found if isinstance(found, list) else ()):
                said = one.get("operator") if isinstance(one, dict) else None
                if said is not None and "${" not in str(said) and said not in _OPERATORS:
                    steps = (*_TERMS, number, key, index, "operator")
                    yield steps, f"`{written(steps)}` is {said}", f"write {', '.join(_OPERATORS)}"


def _sources(item: KubernetesObject) -> Iterator[_Wrong]:
    name = _text(item, "spec", "iscsi", "iqn")
    if name and not _INITIATOR.fullmatch(name):
        yield ("spec", "iscsi", "iqn"), f"`spec.iscsi.iqn` is {name}", "write iqn.YYYY-MM.domain:id"
    channel = item.get("spec", "fc")
    if isinstance(channel, dict) and bool(channel.get("targetWWNs")) == bool(channel.get("wwids")):
        why = "`spec.fc` needs targetWWNs or wwids, and not both"
        yield ("spec", "fc"), why, "write one of them"


def _names(item: KubernetesObject) -> Iterator[_Wrong]:
    of_class = _text(item, "spec", "storageClassName")
    if of_class and not _CLASS.fullmatch(of_class):
        steps: Steps = ("spec", "storageClassName")
        yield (
            steps,
            f"`spec.storageClassName` is {of_class}, which cannot be a name",
            ("write small letters, digits, dashes and dots"),
        )
    if _text(item, "spec", "volumeAttributesClassName") == "":
        steps = ("spec", "volumeAttributesClassName")
        yield steps, f"`{written(steps)}` is empty", "take the line out"
    labels = item.get("metadata", "labels")
    for key, value in (labels if isinstance(labels, dict) else {}).items():
        if not _is_label(str(key), value):
            yield (
                ("metadata", "labels", key),
                f"the label `{key}: {value}` cannot be one",
                ("write letters, digits, dashes, underscores and dots, at most 63"),
            )


def _is_label(key: str, value: object) -> bool:
    prefix, slash, name = key.rpartition("/")
    if "${" in f"{key}{value}" or not isinstance(value, str):
        return True  # filled in later, or said as a wrong type
    is_prefix = not slash or bool(_CLASS.fullmatch(prefix))
    return is_prefix and bool(_NAME.fullmatch(name)) and bool(not value or _NAME.fullmatch(value))


def _text(item: KubernetesObject, *steps: str) -> str | None:
    """Return a text of the object; None where there is none, or Flux fills it in."""
    found: Any = item.get(*steps)
    return found if isinstance(found, str) and "${" not in found else None
