"""Trees of YAML nodes that are changed by making new ones: what is shared stays as it was. Pure.

A scalar keeps its identity through overlays and patches, so that at the end it is known which
place of which file an image comes from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from gitops_rollback.manifest.document import items_of, lookup, text_of
from gitops_rollback.manifest.scan import MAP, SEQUENCE, STRING

if TYPE_CHECKING:
    from collections.abc import Iterable

NULL = "tag:yaml.org,2002:null"


class TreeError(ValueError):
    """Raised for a change that a tree does not allow; the text says why, for people."""


def mapping(entries: Iterable[tuple[yaml.Node, yaml.Node]], like: yaml.Node) -> yaml.MappingNode:
    """Return a new mapping with some entries, at the place of another node."""
    return yaml.MappingNode(MAP, list(entries), like.start_mark, like.end_mark)


def sequence(items: Iterable[yaml.Node], like: yaml.Node) -> yaml.SequenceNode:
    """Return a new sequence with some items, at the place of another node."""
    return yaml.SequenceNode(SEQUENCE, list(items), like.start_mark, like.end_mark)


def text_node(text: str, like: yaml.Node) -> yaml.ScalarNode:
    """Return a new scalar with a text, at the place of another node."""
    return yaml.ScalarNode(STRING, text, like.start_mark, like.end_mark)


def is_null(node: yaml.Node | None) -> bool:
    """Tell whether nothing is there, or YAML's null."""
    return node is None or (isinstance(node, yaml.ScalarNode) and node.tag == NULL)


def entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """Return the values of a mapping by the texts of its keys; nothing for anything else.

    Of a key that stands there twice the first counts, as for `lookup`.
    """
    if not isinstance(node, yaml.MappingNode):
        return {}
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        text = text_of(key)
        if text is not None:
            found.setdefault(text, value)
    return found


def find(node: yaml.Node | None, *keys: str) -> yaml.Node | None:
    """Return the node below some keys, or None."""
    for key in keys:
        node = lookup(node, key)
    return node


def with_entry(node: yaml.Node, key: str, value: yaml.Node) -> yaml.MappingNode:
    """Return a mapping with another value for a key, which is added if it is not there."""
    if not isinstance(node, yaml.MappingNode):
        raise TreeError(f"there is no mapping to set '{key}' in")
    out = [(k, value if text_of(k) == key else v) for k, v in node.value]
    if lookup(node, key) is None:
        out.append((text_node(key, node), value))
    return mapping(out, node)


def without(node: yaml.Node, key: str) -> yaml.MappingNode:
    """Return a mapping without a key."""
    return mapping(((k, v) for k, v in node.value if text_of(k) != key), node)


def with_path(node: yaml.Node | None, keys: tuple[str, ...], value: yaml.Node) -> yaml.Node:
    """Return a mapping with a value below some keys; mappings on the way are made."""
    if not keys:
        return value
    base = mapping((), value) if node is None or is_null(node) else node
    return with_entry(base, keys[0], with_path(lookup(base, keys[0]), keys[1:], value))


def same(one: yaml.Node | None, other: yaml.Node | None) -> bool:
    """Tell whether two trees say the same, as JSON has it: mappings without an order."""
    if isinstance(one, yaml.MappingNode) and isinstance(other, yaml.MappingNode):
        mine, others = entries(one), entries(other)
        return mine.keys() == others.keys() and all(same(mine[k], others[k]) for k in mine)
    if isinstance(one, yaml.SequenceNode) and isinstance(other, yaml.SequenceNode):
        mine_, others_ = items_of(one), items_of(other)
        return len(mine_) == len(others_) and all(map(same, mine_, others_))
    if isinstance(one, yaml.ScalarNode) and isinstance(other, yaml.ScalarNode):
        return bool(one.tag == other.tag and one.value == other.value)
    return one is None and other is None
