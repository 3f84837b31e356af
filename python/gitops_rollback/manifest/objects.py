"""The objects of a file: one for each document, or the items of a `List`. Pure."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.late import dataclass
from gitops_rollback.manifest.document import items_of, lookup, text_of
from gitops_rollback.manifest.image_field import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gitops_rollback.manifest.document import ParsedFile


_CONTENTS = ("data", "stringData")  # of a Secret


@dataclass(frozen=True)
class ManifestObject:
    """One Kubernetes object, and where it stands: its document, and its pointer in there."""

    file: ParsedFile
    document: int
    pointer: str
    node: yaml.Node
    kind: str

    @property
    def name(self) -> str:
        """The object's name; its kind where it has none."""
        return text_of(lookup(lookup(self.node, "metadata"), "name")) or self.kind

    @property
    def namespace(self) -> str | None:
        """The namespace the object says it is in."""
        return text_of(lookup(lookup(self.node, "metadata"), "namespace"))

    @property
    def api_group(self) -> str:
        """The group of the object's `apiVersion`; empty for the core group."""
        version = text_of(lookup(self.node, "apiVersion")) or ""
        return version.rpartition("/")[0]

    @property
    def names(self) -> frozenset[str]:
        """The names people know the object by: its own, and those of its labels."""
        metadata = lookup(self.node, "metadata")
        labels = lookup(metadata, "labels")
        texts = (
            text_of(lookup(metadata, "name")),
            text_of(lookup(labels, "app.kubernetes.io/name")),
            text_of(lookup(labels, "app")),
        )
        return frozenset(text for text in texts if text)

    @property
    def place(self) -> Place:
        """The place of the object, for what fields it has."""
        return Place(
            self.file,
            self.document,
            self.kind,
            self.name,
            self.pointer,
            self.namespace or "",
            self.names,
        )

    @property
    def line(self) -> int:
        """The line the object begins on, counted from 1."""
        return int(self.node.start_mark.line) + 1

    def find(self, *keys: str) -> yaml.Node | None:
        """Return the node below some keys, or None."""
        node: yaml.Node | None = self.node
        for key in keys:
            node = lookup(node, key)
        return node


def folder_of(text: str) -> str:
    """Return a folder of a repository as Flux and Argo CD take it; empty for the root."""
    path = posixpath.normpath(text.strip("/"))
    return "" if path == "." else path


def objects_of(file: ParsedFile) -> Iterator[ManifestObject]:
    """Yield each object of a file; documents without a `kind` are none."""
    for number, root in enumerate(file.trees):
        if text_of(lookup(root, "kind")) is None:
            continue
        for pointer, node in unlisted(root):
            kind = text_of(lookup(node, "kind")) or ""
            if kind != "List":  # one without items
                yield ManifestObject(file, number, pointer, node, kind)


def unlisted(root: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    """Yield a document's objects with their pointers: those of a `List`, of a list in it too.

    So does kustomize (api/resource/factory.go).
    """
    waiting = [("", root)]
    while waiting:
        pointer, node = waiting.pop()
        items = lookup(node, "items")
        if items is None or not (text_of(lookup(node, "kind")) or "").endswith("List"):
            yield pointer, node
        else:
            found = [(f"{pointer}/items/{n}", item) for n, item in enumerate(items_of(items))]
            waiting += reversed(found)


def selects(selector: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector wants what has these labels; an empty one wants everything.

    `matchLabels` and `matchExpressions`, as Kubernetes has them; no unknown operator wants any.
    """
    wanted = selector.get("matchLabels")
    for key, value in wanted.items() if isinstance(wanted, dict) else ():
        if labels.get(key) != str(value):
            return False
    expressions = selector.get("matchExpressions")
    return all(
        _fits(expression, labels)
        for expression in (expressions if isinstance(expressions, list) else ())
        if isinstance(expression, dict)
    )


def _fits(expression: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    key, operator = str(expression.get("key")), expression.get("operator")
    given = expression.get("values")
    values = [str(value) for value in given] if isinstance(given, list) else []
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False


def holds_clear_secret(file: ParsedFile) -> bool:
    """Tell whether a file has a Secret with `data` or `stringData` that is not encrypted."""
    return any(
        kind == "Secret" and lookup(node, "sops") is None and _has_contents(node)
        for root in file.trees
        for node, kind in _objects(root)
    )


def _objects(root: yaml.Node) -> Iterator[tuple[yaml.Node, str]]:
    """Yield each object with its kind: the items of a SecretList may leave theirs out."""
    waiting = [(root, "")]
    while waiting:
        node, kind = waiting.pop()
        kind = text_of(lookup(node, "kind")) or kind
        yield node, kind
        waiting += [(item, kind.removesuffix("List")) for item in items_of(lookup(node, "items"))]


def _has_contents(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode) and any(
        isinstance(value, yaml.MappingNode) and value.value
        for key, value in node.value
        if text_of(key) in _CONTENTS
    )
