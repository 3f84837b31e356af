"""Volumes, claims and classes of manifests, with the place of everything in them.

And what there is to find: what is wrong with one, where, what comes of it, and the mend. What is no
YAML, and lines indented with tabs, is told here, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from gitops_rollback.errors import ManifestError
from gitops_rollback.late import dataclass, field, regex, replace
from gitops_rollback.manifest.document import ParsedFile, TangledError, parse_once
from gitops_rollback.manifest.objects import unlisted
from gitops_rollback.storage.kubernetes import mark_of, node_at, parse_quantity, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from fractions import Fraction

    from gitops_rollback.storage.kubernetes import Steps

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
_COMPLETED = "pv.kubernetes.io/bind-completed"
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"  # older than the field, and wins
_DEFAULT_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
NO_PROVISIONER = "kubernetes.io/no-provisioner"
# What makes a file worth parsing; a misspelt kind has one of these words all the same.
_WORTH = regex(rb"persist|storage|volume|container|hostpath", re.IGNORECASE)
_TAB = regex(r"[ ]*\t\s*[^\s#]")
_TEMPLATE = regex(r"\{\{|\{%")
_BLOCK = ("|", ">")
_STOPS = "the file is no YAML: Flux stops (BuildFailed), and applies nothing of this folder"
_MOST_LINES = 8


@dataclass(frozen=True)
class Finding:
    """One thing to know about a storage object.

    `severity` is `error` (the cluster refuses it, drops it, or the pod never starts), `warning`
    (it runs, and data or a rollout is at risk) or `note`; `line` and `column` count from 1;
    `message` says what is wrong, `effect` what it means at run time, `mend` what to write.
    `subject` is the object, as `PersistentVolumeClaim data`, where there is one.
    """

    severity: str
    code: str
    path: str
    line: int
    column: int
    message: str
    effect: str
    mend: str
    subject: str = ""

    @property
    def is_refusal(self) -> bool:
        """Whether it keeps the object from being made at all, and not only part of it."""
        return self.severity == ERROR and "the API server refuses" in self.effect

    @property
    def is_note(self) -> bool:
        """Whether nothing is at risk."""
        return self.severity == NOTE

    @property
    def place(self) -> str:
        """Where it is, for people and editors: `path:line:column`."""
        return f"{self.path}:{self.line}:{self.column}"

    @property
    def sentence(self) -> str:
        """The finding as one line, for plans and commits."""
        return f"storage {self.severity}: {self.path}:{self.line}: {self.message}; {self.effect}"

    def to_json(self) -> dict[str, Any]:
        """Return the finding as it stands in results."""
        subject = {"subject": self.subject} if self.subject else {}
        return {
            "severity": self.severity,
            "code": self.code,
            "path": self.path,
            "line": self.line,
            "column": self.column,
            **subject,
            "message": self.message,
            "effect": self.effect,
            "mend": self.mend,
        }


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings by file, line and column; the same one only once."""
    return tuple(
        sorted(
            dict.fromkeys(findings),
            key=lambda f: (f.path, f.line, f.column, SEVERITIES.index(f.severity), f.code),
        )
    )


@dataclass(frozen=True)
class Volume:
    """A PersistentVolume; `claim_ref` is (namespace, name) of the claim it is kept for.

    `claim_uid` is the number of that very claim: one that is made anew has another one.
    """

    item: KubernetesObject
    name: str
    capacity: Fraction | None
    modes: frozenset[str]
    storage_class: str
    volume_mode: str
    labels: dict[str, str] = field(hash=False)
    claim_ref: tuple[str | None, str] | None
    policy: str
    attributes_class: str
    claim_uid: str = ""

    @property
    def is_local(self) -> bool:
        """Whether its data are on one node: hostPath or local."""
        return bool({"hostPath", "local"} & self.item.mapping("spec").keys())


@dataclass(frozen=True)
class Claim:
    """A PersistentVolumeClaim, or one that a StatefulSet makes of a template.

    `storage_class` is None where none is written: then the cluster's default counts. `steps` lead
    to its specification in `item`. `is_completed` says that it is bound already, as its annotation
    has it: then the volume that it names is not looked at any more.
    """

    item: KubernetesObject
    steps: Steps
    name: str
    namespace: str | None
    request: Fraction | None
    modes: frozenset[str]
    storage_class: str | None
    volume_mode: str
    selector: dict[str, Any] | None = field(hash=False)
    volume_name: str
    attributes_class: str
    template: str = ""
    is_completed: bool = False

    @property
    def title(self) -> str:
        """What people call it: `claim data`."""
        return f"claim {self.name}"


@dataclass(frozen=True)
class StorageClass:
    """A StorageClass, with the defaults that the API server fills in."""

    item: KubernetesObject
    name: str
    provisioner: str
    policy: str
    expands: bool
    waits: bool
    is_default: bool


def volume_of(item: KubernetesObject) -> Volume:
    """Read a PersistentVolume."""
    spec = item.mapping("spec")
    reference = item.mapping("spec", "claimRef")
    return Volume(
        item=item,
        name=item.name,
        capacity=parse_quantity(item.get("spec", "capacity", "storage")),
        modes=_texts(spec.get("accessModes")),
        storage_class=_class(item) or "",
        volume_mode=str(spec.get("volumeMode") or "Filesystem"),
        labels={k: str(v) for k, v in item.mapping("metadata", "labels").items()},
        claim_ref=(name_or_none(reference.get("namespace")), str(reference["name"]))
        if "name" in reference
        else None,
        policy=str(spec.get("persistentVolumeReclaimPolicy") or "Retain"),
        attributes_class=str(spec.get("volumeAttributesClassName") or ""),
        claim_uid=str(reference.get("uid") or ""),
    )


def claim_of(item: KubernetesObject) -> Claim:
    """Read a PersistentVolumeClaim."""
    return replace(
        claim_from(item, ("spec",), item.name),
        storage_class=_class(item),
        is_completed=_COMPLETED in item.mapping("metadata", "annotations"),
    )


def class_of(item: KubernetesObject) -> StorageClass:
    """Read a StorageClass."""
    annotations = item.mapping("metadata", "annotations")
    return StorageClass(
        item=item,
        name=item.name,
        provisioner=str(item.get("provisioner") or ""),
        policy=str(item.get("reclaimPolicy") or "Delete"),
        expands=item.get("allowVolumeExpansion") is True,
        waits=item.get("volumeBindingMode") == "WaitForFirstConsumer",
        is_default=any(str(annotations.get(key)) == "true" for key in _DEFAULT_ANNOTATIONS),
    )


def claim_from(item: KubernetesObject, steps: Steps, name: str) -> Claim:
    """Read the specification of a claim, which `steps` lead to."""
    spec = item.mapping(*steps)
    selector = spec.get("selector")
    return Claim(
        item=item,
        steps=steps,
        name=name,
        namespace=item.namespace,
        request=parse_quantity(item.get(*steps, "resources", "requests", "storage")),
        modes=_texts(spec.get("accessModes")),
        storage_class=_optional(spec.get("storageClassName")),
        volume_mode=str(spec.get("volumeMode") or "Filesystem"),
        selector=selector if isinstance(selector, dict) else None,
        volume_name=str(spec.get("volumeName") or ""),
        attributes_class=str(spec.get("volumeAttributesClassName") or ""),
    )


def _class(item: KubernetesObject) -> str | None:
    annotation = item.mapping("metadata", "annotations").get(CLASS_ANNOTATION)
    return _optional(annotation if annotation is not None else item.get("spec", "storageClassName"))


def _texts(value: object) -> frozenset[str]:
    return frozenset(str(item) for item in value) if isinstance(value, list) else frozenset()


def _optional(value: object) -> str | None:
    return None if value is None else str(value)


def name_or_none(value: object) -> str | None:
    """Return a name; None where none is written."""
    return None if value is None or value == "" else str(value)


@dataclass(frozen=True)
class KubernetesObject:
    """One object of a file: `value` without what is null, `namespace` None where none is written.

    `is_patch` marks a part of an object that kustomize lays over another, `is_refused` one that the
    API server does not take as it is written: no claim and no volume comes of it. Its `node` is
    counted as memory in use for as long as it holds the `file`.
    """

    path: str
    document: int
    api_version: str
    kind: str
    name: str
    namespace: str | None
    value: dict[str, Any] = field(repr=False, hash=False)
    node: yaml.Node = field(repr=False, compare=False)
    file: ParsedFile = field(repr=False, compare=False)
    is_patch: bool = False
    is_refused: bool = False

    @property
    def title(self) -> str:
        """Kind and name, as people say it: `PersistentVolumeClaim data`."""
        return f"{self.kind or 'object'} {self.name}".rstrip()

    @property
    def identity(self) -> tuple[str, str | None, str]:
        """What there can be only one of in a cluster."""
        return (self.kind, self.namespace, self.name)

    def get(self, *steps: str | int) -> Any:  # noqa: ANN401 - whatever the manifest holds
        """Return what keys and indexes lead to; None if there is nothing."""
        value: Any = self.value
        for step in steps:
            if isinstance(step, int):
                value = value[step] if isinstance(value, list) and step < len(value) else None
            else:
                value = value.get(step) if isinstance(value, dict) else None
        return value

    def mapping(self, *steps: str | int) -> dict[str, Any]:
        """Return the mapping that keys lead to; an empty one for anything else."""
        value = self.get(*steps)
        return value if isinstance(value, dict) else {}

    def mappings(self, *steps: str | int) -> Iterator[tuple[Steps, dict[str, Any]]]:
        """Yield the mappings of the list that keys lead to, with the steps to each."""
        found = self.get(*steps)
        for index, one in enumerate(found if isinstance(found, list) else ()):
            if isinstance(one, dict):
                yield (*steps, index), one

    def place(self, steps: Steps) -> tuple[int, int]:
        """Return line and column, from 1, of what steps lead to, as far as it is there."""
        return mark_of(self.node, steps)

    def source(self, steps: Steps) -> str:
        """Return the text of what keys and indexes lead to, as it stands in the file."""
        node = node_at(self.node, steps)
        return self.file.text[node.start_mark.index : node.end_mark.index] if node else ""

    def finding(
        self, severity: str, code: str, steps: Steps, message: str, *, effect: str, mend: str
    ) -> Finding:
        """Return a finding about this object, at the key or item that `steps` lead to."""
        line, column = self.place(steps)
        return Finding(severity, code, self.path, line, column, message, effect, mend, self.title)


def find_objects(file: ParsedFile, *, is_patch: bool = False) -> Iterator[KubernetesObject]:
    """Yield the objects of a file, those in a `List` too."""
    for number, root in enumerate(file.documents):
        for _pointer, node in unlisted(root):
            if not isinstance(node, yaml.MappingNode):
                continue
            value = plain(node)
            metadata = value.get("metadata")
            metadata = metadata if isinstance(metadata, dict) else {}
            yield KubernetesObject(
                path=file.path,
                document=number,
                api_version=_text(value.get("apiVersion")),
                kind=_text(value.get("kind")),
                name=_text(metadata.get("name")),
                namespace=_text(metadata.get("namespace")) or None,
                value=value,
                node=node,
                file=file,
                is_patch=is_patch,
            )


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


class TemplateError(Exception):
    """Raised for a file that is a template and no manifest; its message says so."""


def may_hold_storage(data: bytes) -> bool:
    """Tell cheaply whether a file is worth parsing."""
    return _WORTH.search(data) is not None


def read(path: str, data: bytes) -> tuple[ParsedFile | None, tuple[Finding, ...]]:
    """Parse a file, or say why it is no YAML; raises `TemplateError` and `TangledError`."""
    try:
        file = parse_once(path, data)
    except TangledError:
        raise  # it is YAML all the same
    except ManifestError as error:
        text = data.decode(errors="replace")
        if _TEMPLATE.search(text):
            raise TemplateError(error.message) from error
        return None, (_unreadable(path, text, error),)
    _refuse_template(file)
    return file, tuple(_tabs_within(file))


def _unreadable(path: str, text: str, error: ManifestError) -> Finding:
    lines = _tabbed(text)
    line, column = error.line or 1, error.column or 1
    if lines and line in (lines[0] - 1, *lines):
        return _tab(path, text, lines)
    reason = error.message.partition(": ")[2] or error.message
    return Finding(
        ERROR,
        "yaml",
        path,
        line,
        column,
        f"the file is not readable as YAML: {reason}",
        effect=_STOPS,
        mend="mend this line, or the one above it: its indentation, a colon, a quote",
    )


def _tab(path: str, text: str, lines: list[int]) -> Finding:
    first = lines[0]
    further = ", ".join(map(str, lines[1:_MOST_LINES]))
    more = f" (also lines {further}{' …' if len(lines) > _MOST_LINES else ''})" if further else ""
    return Finding(
        ERROR,
        "tab",
        path,
        first,
        text.splitlines()[first - 1].index("\t") + 1,
        f"the line is indented with a tab{more}",
        effect=_STOPS,
        mend="indent with spaces, two for each level: YAML takes no tabs",
    )


def _tabbed(text: str) -> list[int]:
    return [n for n, line in enumerate(text.splitlines(), start=1) if _TAB.match(line)]


def _tabs_within(file: ParsedFile) -> Iterator[Finding]:
    """Find lines after a tab that YAML takes for the rest of the text above."""
    if not _tabbed(file.text):
        return
    for node in file.nodes:
        raw = file.text[node.start_mark.index : node.end_mark.index]
        if not isinstance(node, yaml.ScalarNode) or node.style in _BLOCK or "\n" not in raw:
            continue
        lines = [number + node.start_mark.line for number in _tabbed(raw) if number > 1]
        if lines:
            yield _tab(file.path, file.text, lines)


def _refuse_template(file: ParsedFile) -> None:
    """Refuse what YAML reads as mappings and Helm as values: `name: {{ .Values.name }}`."""
    if "{{" not in file.text:
        return
    for node in file.nodes:
        is_scalar = isinstance(node, yaml.ScalarNode)
        if not is_scalar and file.text.startswith("{{", node.start_mark.index):
            raise TemplateError(f"{file.path}:{node.start_mark.line + 1} is a Helm template")
