"""Where a field belongs that stands where there is none of its name."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any

from gitops_rollback.storage.kubernetes import definition, definition_of
from gitops_rollback.storage.values import is_null, node_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.storage.model import KubernetesObject
    from gitops_rollback.storage.values import Steps

_ITEM = "[]"
# Entries of maps are in no schema; these are the ones that storage cannot do without.
_MAP_ENTRIES = {"capacity": ("storage",), "requests": ("storage",)}
FIELD, NAME = 0.75, 0.85  # of difflib: names of objects are short, and differ by a letter


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
