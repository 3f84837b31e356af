"""What the API server asks of a PersistentVolume's source, nodes and labels beyond the schema.

The rules are those of `ValidatePersistentVolume` and what it calls in kubernetes/kubernetes,
pkg/apis/core/validation/validation.go, release 1.36: a volume that breaks one is refused, and no
claim is bound to it. Each was asked of a real API server (tests/flux/test_storage.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.late import regex
from gitops_rollback.storage.findings import ERROR
from gitops_rollback.storage.structure import REFUSED
from gitops_rollback.storage.suggest import written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.storage.findings import Finding
    from gitops_rollback.storage.objects import KubernetesObject
    from gitops_rollback.storage.values import Steps

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
