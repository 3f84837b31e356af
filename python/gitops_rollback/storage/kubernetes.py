"""What Kubernetes reads from a manifest: plain values, quantities, and its published schema.

`kubernetes.json` is cut from the release's OpenAPI description by `tools/kubernetes_schema.py`. A
validator of JSON Schema stops at the first error; here all of them count, and the place of each;
and where what does not fit belongs.
"""

from __future__ import annotations

import json
from collections import deque
from fractions import Fraction
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from gitops_rollback.late import dataclass, regex
from gitops_rollback.manifest.document import lookup, text_of
from gitops_rollback.manifest.scan import NULL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gitops_rollback.storage.model import KubernetesObject

Steps = tuple[str | int, ...]
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_SCALARS = {
    "tag:yaml.org,2002:int": _CONSTRUCTOR.construct_yaml_int,
    "tag:yaml.org,2002:float": _CONSTRUCTOR.construct_yaml_float,
    "tag:yaml.org,2002:bool": _CONSTRUCTOR.construct_yaml_bool,
}
_MERGE = "tag:yaml.org,2002:merge"


def plain(node: yaml.Node | None) -> Any:  # noqa: ANN401 - whatever YAML holds
    """Return a node as dicts, lists and scalars; fields that are null are left out, as unset.

    Merge keys are followed.
    """
    if isinstance(node, yaml.MappingNode):
        return _mapping(node)
    if isinstance(node, yaml.SequenceNode):
        return [plain(item) for item in node.value]
    if not isinstance(node, yaml.ScalarNode) or node.tag == NULL:
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
    return isinstance(node, yaml.ScalarNode) and node.tag == NULL


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


_FILE = Path(__file__).with_name("kubernetes.json")
_MOST = 200  # violations of one object; who has more has another problem
UNKNOWN, MISSING, TYPE = "unknown", "missing", "type"
_ITEM = "[]"
# Entries of maps are in no schema; these are the ones that storage cannot do without.
_MAP_ENTRIES = {"capacity": ("storage",), "requests": ("storage",)}
FIELD, NAME = 0.75, 0.85  # of difflib: names of objects are short, and differ by a letter


@dataclass(frozen=True)
class Violation:
    """One thing that does not fit: an `unknown` field, a `missing` one, or a wrong `type`.

    `steps` lead to the field; `known` are the fields there could be beside an unknown one,
    `wanted` the types there may be.
    """

    rule: str
    steps: Steps
    known: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()


@cache
def published() -> dict[str, Any]:
    """Return the schema: `version`, `kinds` (by `apps/v1 Deployment`) and `definitions`."""
    document: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return document


@cache
def api_versions() -> dict[str, str]:
    """Return the API version of each kind that is looked into."""
    pairs = (key.split(" ") for key in published()["kinds"])
    return {kind: version for version, kind in pairs}


def definition(reference: Any) -> dict[str, Any]:  # noqa: ANN401 - a part of a JSON Schema
    """Return a part of the schema with its reference followed."""
    while "$ref" in reference:
        reference = published()["definitions"][reference["$ref"].rpartition("/")[2]]
    resolved: dict[str, Any] = reference
    return resolved


def definition_of(kind: str) -> dict[str, Any]:
    """Return the schema of a kind that is looked into."""
    name = published()["kinds"][f"{api_versions()[kind]} {kind}"]
    return definition({"$ref": f"#/definitions/{name}"})


def violations(kind: str, value: dict[str, Any]) -> tuple[Violation, ...]:
    """Return what in an object of a kind does not fit, in the order it is met, up to a limit."""
    return tuple(islice(_unfit(value, definition_of(kind), ()), _MOST))


def _unfit(value: object, schema: dict[str, Any], steps: Steps) -> Iterator[Violation]:
    """Yield what does not fit; the schema has types, properties, items and no more than these."""
    said = schema.get("type", ())
    wanted = (said,) if isinstance(said, str) else tuple(said)
    if wanted and not any(_is_of(value, one) for one in wanted):
        yield Violation(TYPE, steps, wanted=wanted)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _unfit(one, definition(schema.get("items", {})), (*steps, index))
    elif isinstance(value, dict):
        fields, more = schema.get("properties", {}), schema.get("additionalProperties", {})
        for key in schema.get("required", ()):
            if key not in value:
                yield Violation(MISSING, (*steps, key))
        for key, one in value.items():
            if key not in fields and more is False:
                yield Violation(UNKNOWN, (*steps, key), known=tuple(fields))
            else:
                yield from _unfit(one, definition(fields.get(key, more)), (*steps, key))


def _is_of(value: object, name: str) -> bool:
    """Tell whether a value is of a type as JSON Schema has them: 1.0 is an integer, true is not."""
    if isinstance(value, bool):
        return name == "boolean"
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return {
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
        "string": isinstance(value, str),
        "integer": is_whole,
        "number": isinstance(value, int | float),
    }.get(name, False)


def misspelt(key: str, known: Iterable[str], cutoff: float = FIELD) -> str | None:
    """Return the one of the known texts that was probably meant, or None."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for findings

    names = {name.lower(): name for name in known}
    near = get_close_matches(key.lower(), names, n=1, cutoff=cutoff)
    return names[near[0]] if near else None


def belongs(item: KubernetesObject, steps: Steps, unknown: Iterable[str]) -> Steps | None:
    """Return where the field at `steps` belongs, or None if the kind has no such field.

    `unknown` are the names of all unknown fields beside it: what was lost together belongs
    together, and what follows an empty `hostPath:` was below it once.
    """
    key = str(steps[-1])
    parent = steps[:-1]
    candidates = [
        place for place in _places(item.kind).get(key, ()) if _fill(place[:-1], parent) != parent
    ]
    if not candidates:
        return None
    emptied = _emptied_before(item, parent, key)
    beside = frozenset(unknown)

    def rank(place: Steps) -> tuple[object, ...]:
        fields, required = _fields(item.kind, place[:-1])
        return (
            place[-2:-1] != (emptied,),
            len(required - beside - {key}),
            -len(fields & beside),
            _distance(place[:-1], parent),
            len(fields),
            place,
        )

    return _fill(min(candidates, key=rank), parent)


def written(steps: Steps) -> str:
    """Return steps as people write them: `spec.containers[0].name`."""
    text = "".join(
        f"[{step}]" if isinstance(step, int) else step if step == _ITEM else f".{step}"
        for step in steps
    )
    return text.removeprefix(".")


@cache
def _places(kind: str) -> dict[str, list[Steps]]:
    """Return where each name of a field stands in a kind; each definition by its shortest way."""
    places: dict[str, list[Steps]] = {}
    seen: set[int] = set()
    waiting: deque[tuple[Steps, dict[str, Any]]] = deque([((), definition_of(kind))])
    while waiting:
        steps, schema = waiting.popleft()
        while "items" in schema:
            steps, schema = (*steps, _ITEM), definition(schema["items"])
        if id(schema) in seen:
            continue
        seen.add(id(schema))
        for name, part in schema.get("properties", {}).items():
            places.setdefault(name, []).append((*steps, name))
            for entry in _MAP_ENTRIES.get(name, ()) if "properties" not in definition(part) else ():
                places.setdefault(entry, []).append((*steps, name, entry))
            waiting.append(((*steps, name), definition(part)))
    return places


def _fields(kind: str, place: Steps) -> tuple[frozenset[str], frozenset[str]]:
    """Return the fields that an object at a place can have, and those it has to have."""
    schema = definition_of(kind)
    for step in place:
        part = schema.get("items") if step == _ITEM else schema.get("properties", {}).get(step)
        schema = definition(part or {})
    return frozenset(schema.get("properties", {})), frozenset(schema.get("required", ()))


def _emptied_before(item: KubernetesObject, parent: Steps, key: str) -> str | None:
    """Return the last field before `key` that says nothing: what its lines lost to the left."""
    node = node_at(item.node, parent)
    emptied = None
    for name, value in node.value if node is not None else ():
        if getattr(name, "value", None) == key:
            return emptied
        if is_null(value):
            emptied = name.value
    return emptied


def _distance(place: Steps, parent: Steps) -> int:
    """Return how many levels lie between two places."""
    pattern = tuple(_ITEM if isinstance(step, int) else step for step in parent)
    common = 0
    for mine, theirs in zip(place, pattern, strict=False):
        if mine != theirs:
            break
        common += 1
    return len(place) + len(pattern) - 2 * common


def _fill(place: Steps, parent: Steps) -> Steps:
    """Return a place with the indexes of the parent's, as far as both go the same way."""
    filled: list[str | int] = list(place)
    for index, (mine, theirs) in enumerate(zip(place, parent, strict=False)):
        if mine == _ITEM and isinstance(theirs, int):
            filled[index] = theirs
        elif mine != theirs:
            break
    return tuple(filled)
