"""The published Kubernetes schema, and everything in an object that does not fit it.

`kubernetes.json` is cut from the release's OpenAPI description by `tools/kubernetes_schema.py`.
fastjsonschema stops at the first error: what it found is put right in a copy, and it goes on.
"""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass, regex

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitops_rollback.storage.values import Steps

_FILE = Path(__file__).with_name("kubernetes.json")
_MOST = 200  # violations of one object; who has more has another problem
_INDEX = regex(r"\[(\d+)\]")
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
    return definition(_reference(kind))


def violations(kind: str, value: dict[str, Any], kinds: frozenset[str]) -> tuple[Violation, ...]:
    """Return everything in an object of a kind that does not fit, in the order it is met.

    `kinds` are all the kinds of the run: their validator is made once, in 0.1 to 0.2 s.
    """
    from fastjsonschema import JsonSchemaException  # noqa: PLC0415 - only where there is storage

    try:
        _validator(kinds, explains=False)({kind: value})
    except JsonSchemaException:
        return tuple(_collect(kind, deepcopy(value), kinds))
    return ()


def _collect(kind: str, value: dict[str, Any], kinds: frozenset[str]) -> list[Violation]:
    from fastjsonschema import JsonSchemaValueException  # noqa: PLC0415 - as above

    found: list[Violation] = []
    root = {kind: value}
    while len(found) < _MOST:
        try:
            _validator(kinds, explains=True)(root)
        except JsonSchemaValueException as error:
            steps = _steps(root, str(error.name).removeprefix("data"))
            found += _mend(root, steps, str(error.rule), error.definition)
        else:
            break
    return [_without_kind(violation) for violation in found]


def _mend(root: dict[str, Any], steps: Steps, rule: str, schema: dict[str, Any]) -> list[Violation]:
    """Put one error right in the copy, and return what it was."""
    value = _at(root, steps)
    if rule == "additionalProperties":
        known = tuple(schema["properties"])
        unknown = [key for key in value if key not in schema["properties"]]
        for key in unknown:
            del value[key]
        return [Violation(UNKNOWN, (*steps, key), known=known) for key in unknown]
    if rule == "required":
        missing = [key for key in schema["required"] if key not in value]
        for key in missing:
            value[key] = _least(schema.get("properties", {}).get(key, {}))
        return [Violation(MISSING, (*steps, key)) for key in missing]
    wanted = schema.get("type", ())
    _at(root, steps[:-1])[steps[-1]] = _least(schema)
    return [Violation(TYPE, steps, wanted=(wanted,) if isinstance(wanted, str) else tuple(wanted))]


def _least(schema: dict[str, Any]) -> Any:  # noqa: ANN401 - a value of any type
    """Return the smallest value that fits."""
    schema = definition(schema)
    wanted = schema.get("type", "object")
    wanted = wanted if isinstance(wanted, str) else wanted[0]
    if wanted == "object":
        properties = schema.get("properties", {})
        return {key: _least(properties.get(key, {})) for key in schema.get("required", ())}
    return {"array": [], "string": "", "boolean": False}.get(wanted, 0)


def _steps(root: Any, name: str) -> Steps:  # noqa: ANN401 - an object as YAML holds it
    """Read a place as the validator names it: `.Pod.spec.containers[0]`; keys may have dots."""
    steps: list[str | int] = []
    value = root
    while name:
        index = _INDEX.match(name)
        if index is not None and isinstance(value, list):
            step: str | int = int(index[1])
            length = index.end()
        else:
            step = max((k for k in value if _begins(name, k)), key=len)
            length = len(str(step)) + 1
        steps.append(step)
        value = value[step]
        name = name[length:]
    return tuple(steps)


def _begins(name: str, key: str) -> bool:
    rest = name.removeprefix(f".{key}")
    return rest != name and rest[:1] in ("", ".", "[")


def _at(value: Any, steps: Steps) -> Any:  # noqa: ANN401 - as above
    for step in steps:
        value = value[step]
    return value


def _without_kind(violation: Violation) -> Violation:
    return Violation(violation.rule, violation.steps[1:], violation.known, violation.wanted)


def _reference(kind: str) -> dict[str, str]:
    name = published()["kinds"][f"{api_versions()[kind]} {kind}"]
    return {"$ref": f"#/definitions/{name}"}


@cache
def _validator(kinds: frozenset[str], *, explains: bool) -> Callable[[object], object]:
    from fastjsonschema import compile as compile_schema  # noqa: PLC0415 - as above

    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": published()["definitions"],
        "properties": {kind: _reference(kind) for kind in sorted(kinds)},
    }
    validator: Callable[[object], object] = compile_schema(
        schema, use_default=False, detailed_exceptions=explains
    )
    return validator
