"""The published Kubernetes schema, and everything in an object that does not fit it.

`kubernetes.json` is cut from the release's OpenAPI description by `tools/kubernetes_schema.py`. A
validator of JSON Schema stops at the first error; here all of them count, and the place of each.
"""

from __future__ import annotations

import json
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.storage.values import Steps

_FILE = Path(__file__).with_name("kubernetes.json")
_MOST = 200  # violations of one object; who has more has another problem
UNKNOWN, MISSING, TYPE = "unknown", "missing", "type"


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
