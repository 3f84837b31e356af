"""Recognise manifests that hold secrets in clear, of which no copy may be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from gitops_rollback.manifest.document import items_of, lookup, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.manifest.document import ParsedFile


_CONTENTS = ("data", "stringData")


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
