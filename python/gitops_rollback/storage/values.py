"""The nodes of a manifest as the plain values that Kubernetes reads from it, and quantities."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import yaml

from gitops_rollback.late import regex
from gitops_rollback.manifest.document import lookup, text_of

Steps = tuple[str | int, ...]
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_SCALARS = {
    "tag:yaml.org,2002:int": _CONSTRUCTOR.construct_yaml_int,
    "tag:yaml.org,2002:float": _CONSTRUCTOR.construct_yaml_float,
    "tag:yaml.org,2002:bool": _CONSTRUCTOR.construct_yaml_bool,
}
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"


def plain(node: yaml.Node | None) -> Any:  # noqa: ANN401 - whatever YAML holds
    """Return a node as dicts, lists and scalars; fields that are null are left out, as unset.

    Merge keys are followed.
    """
    if isinstance(node, yaml.MappingNode):
        return _mapping(node)
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    if not isinstance(node, yaml.ScalarNode) or node.tag == _NULL:
        return None
    return _scalar(node)


def node_at(root: yaml.Node | None, steps: Steps) -> yaml.Node | None:
    """Return the node that keys and indexes lead to; None if there is none."""
    node = root
    for step in steps:
        if isinstance(step, int):
            items = node.value if isinstance(node, yaml.SequenceNode) else []
            node = items[step] if step < len(items) else None
        else:
            node = _merged(node, step)
    return node


def mark_of(root: yaml.Node, steps: Steps) -> tuple[int, int]:
    """Return line and column, from 1, of the last key or item that there is on the way."""
    mark = root.start_mark
    node: yaml.Node | None = root
    for step in steps:
        key = _key(node, step) if isinstance(step, str) else None
        node = node_at(node, (step,))
        if key is None and node is None:
            break
        mark = (key or node or root).start_mark
    return mark.line + 1, mark.column + 1


def is_null(node: yaml.Node | None) -> bool:
    """Tell whether a node is there and says nothing: `hostPath:` with nothing after it."""
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    own: dict[str, Any] = {}
    inherited: dict[str, Any] = {}
    for key, value in node.value:
        found = plain(value)
        if key.tag == _MERGE:
            for source in found if isinstance(found, list) else [found]:
                for name, merged in source.items() if isinstance(source, dict) else ():
                    inherited.setdefault(name, merged)
        elif found is not None:
            own[text_of(key) or ""] = found
    return {**inherited, **own}


def _scalar(node: yaml.ScalarNode) -> Any:  # noqa: ANN401 - a number, a truth value or a text
    construct = _SCALARS.get(node.tag)
    if construct is None:
        return str(node.value)
    try:
        return construct(node)
    except (ValueError, KeyError):  # `!!int x`: said by the schema, as a text where a number is due
        return str(node.value)


def _merged(node: yaml.Node | None, name: str) -> yaml.Node | None:
    """Look a key up as `plain` does: last one first, then what is merged in."""
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in reversed(node.value):
        if text_of(key) == name and key.tag != _MERGE:
            found: yaml.Node = value
            return found
    for key, value in node.value:
        if key.tag == _MERGE:
            sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for source in sources:
                merged = lookup(source, name)
                if merged is not None:
                    return merged
    return None


def _key(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((key for key, _value in reversed(node.value) if text_of(key) == name), None)


# k8s.io/apimachinery/pkg/api/resource/quantity.go: sign, digits, then a suffix or an exponent.
_QUANTITY = regex(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE]\+?\d+)?"
)
_BINARY = "KMGTPE"
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_LONGEST = 64


def parse_quantity(value: object) -> Fraction | None:
    """Return a quantity in its base unit (bytes, for storage); None if it is malformed."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value)
    match = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    number, suffix = Fraction(match[1]), match[2] or ""
    if suffix.endswith("i"):
        return number * Fraction(1024 ** (_BINARY.index(suffix[0]) + 1))
    power = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:] or 0)
    if power > _LONGEST:
        return None
    return number * Fraction(10**power) if power >= 0 else number / Fraction(10**-power)
