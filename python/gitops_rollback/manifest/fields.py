"""Find the image fields of a manifest: every place in it that names an image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.errors import ManifestError
from gitops_rollback.image import InvalidImageError, parse_image
from gitops_rollback.manifest.document import (
    HELM_HINT,
    duplicate_key,
    items_of,
    lookup,
    shared_nodes,
    text_of,
)
from gitops_rollback.manifest.image_field import ImageField, Scalar
from gitops_rollback.manifest.markers import find_marker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gitops_rollback.manifest.document import ParsedFile

# Where the pod specification of each kind stands (kubernetes.io API reference).
POD_SPECS: dict[str, str] = {
    "Pod": "/spec",
    "Deployment": "/spec/template/spec",
    "StatefulSet": "/spec/template/spec",
    "DaemonSet": "/spec/template/spec",
    "ReplicaSet": "/spec/template/spec",
    "CronJob": "/spec/jobTemplate/spec/template/spec",
}
# A Job's template is immutable: it is reported, and edited only where the configuration says so.
REPORTED_POD_SPECS: dict[str, str] = {"Job": "/spec/template/spec"}

_CONTAINER_LISTS = ("initContainers", "containers")
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # as YAML 1.1 has them
_NODE_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")


def find_fields(
    file: ParsedFile, further_kinds: Mapping[str, str] | None = None
) -> tuple[ImageField, ...]:
    """Return the image fields of a file in its order.

    `further_kinds` maps a kind to the JSON pointer of its pod specification. Raises
    `ManifestError` where a key stands twice on the way to a field.
    """
    found: list[ImageField] = []
    for number, root in enumerate(file.documents):
        for prefix, item in _objects(root):
            found.extend(_fields_of_object(file, number, prefix, item, further_kinds or {}))
    return tuple(found)


def _objects(root: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    """Yield each object of a document with its pointer: itself, or the items of a `List`."""
    kind = text_of(lookup(root, "kind"))
    if root is None or kind is None:
        return
    if kind != "List" and not (kind.endswith("List") and lookup(root, "items") is not None):
        yield "", root
        return
    for index, item in enumerate(items_of(lookup(root, "items"))):
        yield f"/items/{index}", item


@dataclass(frozen=True)
class _Workload:
    """One object with a pod specification, and what its fields have in common."""

    file: ParsedFile
    document: int
    kind: str
    prefix: str
    nodes: tuple[yaml.Node, ...]  # from the object down to its pod specification
    reported_only: bool


def _fields_of_object(
    file: ParsedFile, number: int, prefix: str, item: yaml.Node, further_kinds: Mapping[str, str]
) -> Iterator[ImageField]:
    kind = text_of(lookup(item, "kind")) or ""
    pointer = further_kinds.get(kind) or POD_SPECS.get(kind) or REPORTED_POD_SPECS.get(kind)
    if pointer is None:
        return
    nodes = [item]
    for step in pointer.strip("/").split("/"):
        below = lookup(nodes[-1], step.replace("~1", "/").replace("~0", "~"))
        if below is None:
            return
        nodes.append(below)
    workload = _Workload(
        file=file,
        document=number,
        kind=kind,
        prefix=f"{prefix}{pointer}",
        nodes=tuple(nodes),
        reported_only=kind in REPORTED_POD_SPECS and kind not in further_kinds,
    )
    for list_name in _CONTAINER_LISTS:
        yield from _fields_of_list(workload, list_name)


def _fields_of_list(workload: _Workload, list_name: str) -> Iterator[ImageField]:
    file = workload.file
    containers = lookup(workload.nodes[-1], list_name)
    if containers is None:
        return
    name, labels = _names(workload.nodes[0], workload.kind)
    shared = shared_nodes(file.documents[workload.document])
    for index, container in enumerate(items_of(containers)):
        nodes = [*workload.nodes, containers, container]
        _refuse_duplicate_keys(file.path, nodes)
        image = lookup(container, "image")
        if not isinstance(image, yaml.ScalarNode):
            _refuse_template(file, image)
            continue
        scalar = _scalar(file, image)
        problem = _text_problem(file, scalar)
        if any(id(node) in shared for node in (*nodes, image)):
            problem = "other parts of the file share this text through an alias"
        if workload.reported_only:
            problem = f"the template of a {workload.kind} is immutable (see `kinds`)"
        yield ImageField(
            path=file.path,
            document=workload.document,
            kind=workload.kind,
            name=name,
            container=text_of(lookup(container, "name")) or f"{list_name}[{index}]",
            pointer=f"{workload.prefix}/{list_name}/{index}/image",
            scalar=scalar,
            labels=labels,
            problem=problem,
            reported_only=workload.reported_only,
        )


def _names(item: yaml.Node, kind: str) -> tuple[str, frozenset[str]]:
    metadata = lookup(item, "metadata")
    name = text_of(lookup(metadata, "name"))
    labels = lookup(metadata, "labels")
    texts = (
        name,
        text_of(lookup(labels, "app.kubernetes.io/name")),
        text_of(lookup(labels, "app")),
    )
    return name or kind, frozenset(text for text in texts if text)


def _refuse_template(file: ParsedFile, image: yaml.Node | None) -> None:
    """Refuse a file whose image is `{{ … }}`: to YAML a mapping, to Helm a value."""
    if image is None or not file.text.startswith("{{", image.start_mark.index):
        return
    mark = image.start_mark
    raise ManifestError(
        f"{file.path}:{mark.line + 1}:{mark.column + 1} is a Helm template (image: {{{{ … }}}})",
        HELM_HINT,
    )


def _refuse_duplicate_keys(path: str, nodes: list[yaml.Node]) -> None:
    for node in nodes:
        key = duplicate_key(node)
        if key is not None:
            mark = key.start_mark
            raise ManifestError(
                f"{path}:{mark.line + 1}:{mark.column + 1}: the key '{key.value}' stands twice",
                "remove one of them: which one counts differs between tools",
            )


def _scalar(file: ParsedFile, node: yaml.ScalarNode) -> Scalar:
    start, end = node.start_mark.index, node.end_mark.index
    properties = _NODE_PROPERTIES.match(file.text, start, end)
    skipped = properties[0] if properties else ""
    *above, last = _LINE_BREAK.split(skipped)
    return Scalar(
        value=str(node.value),
        line=node.start_mark.line + 1 + len(above),
        column=len(last) + 1 + (0 if above else node.start_mark.column),
        start=start + len(skipped),
        end=end,
        marker=find_marker(file.text, end),
        node=node,
    )


def _text_problem(file: ParsedFile, scalar: Scalar) -> str:
    raw = file.text[scalar.start : scalar.end]
    style = scalar.node.style
    if style in ("|", ">") or "\n" in raw or "\r" in raw:
        return "the value spans several lines"
    inside = raw[1:-1] if style else raw
    if inside != scalar.value:
        return "the value is written with escapes"
    try:
        parse_image(scalar.value)
    except InvalidImageError as error:
        return str(error)
    return ""
