"""The check of documents, held against fastjsonschema: another reader of the same schemas.

Documents are made by the schemas themselves, and broken at one place or two.
"""

from __future__ import annotations

import copy
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from gitops_rollback import schema

FOLDER = Path(schema.__file__).parent / "schemas"
NAMES = sorted(path.name.partition(".")[0] for path in FOLDER.glob("*.schema.json"))
NAMES = [name for name in NAMES if name not in ("common", "codes")]
KNOWN = {
    *("$ref", "type", "enum", "anyOf", "minLength", "maxLength", "pattern", "format", "minimum"),
    *("minItems", "maxItems", "items", "required", "properties", "additionalProperties"),
    *("propertyNames", "$schema", "title", "description", "definitions"),
}
TEXTS = {
    "^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$": "cart",
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$": "2026-02-28T23:59:59Z",
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z$": (
        "2026-02-28T23:59:59.123Z"
    ),
    "^sha256:[0-9a-f]{64}$": f"sha256:{'a' * 64}",
    "^([0-9a-f]{40}|[0-9a-f]{64})$": "b" * 40,
    "^[0-9a-f]{7,64}$": "c" * 7,
    "^[0-9A-Za-z_-]{1,64}$": "hold-1",
    r"^[0-9]+\.[0-9]+\.[0-9]+$": "1.30.0",
    "^/.": "/spec",
    "^https?://": "https://x",
}
STRANGE: list[Any] = [
    None, True, False, 0, 1, -1, 2, 1.0, 1.5, "", "x", "CART", "cart\n", "2026-02-30T00:00:00Z",
    "2026-02-28T24:00:00Z", "2026-02-28T23:59:59Z\n", "y" * 5000, [], [None], ["x"], [[]], {},
    {"x": 1}, {"CART": {}}, [{}] * 1001,
]  # fmt: skip


@cache
def load(file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / file).read_text(encoding="utf-8"))
    return found


def resolved(rules: dict[str, Any], home: str) -> tuple[dict[str, Any], str]:
    while "$ref" in rules:
        file, _, pointer = rules["$ref"].partition("#/")
        home = file or home
        rules = load(home)
        for step in filter(None, pointer.split("/")):
            rules = rules[step]
    return rules, home


def made(rules: dict[str, Any], home: str, chance: random.Random) -> object:
    """Return a document that fits; keys that need not be there are there half of the time."""
    rules, home = resolved(rules, home)
    if "enum" in rules:
        return chance.choice(rules["enum"])
    kind = rules["type"]
    if kind == "object":
        known, others = rules.get("properties", {}), rules.get("additionalProperties")
        least = [
            *rules.get("required", ()),
            *chance.choice(rules.get("anyOf", [{}])).get("required", ()),
        ]
        wanted = [key for key in known if key in least or chance.random() < 0.5]
        found = {key: made(known[key], home, chance) for key in wanted}
        if isinstance(others, dict):
            found |= {name: made(others, home, chance) for name in ("cart", "shop")}
        return found
    if kind == "array":
        size = chance.randint(rules.get("minItems", 0), 2)
        return [made(rules["items"], home, chance) for _ in range(size)]
    simple = {"boolean": True, "integer": rules.get("minimum", 0), "number": 1.5}
    return simple[kind] if kind in simple else TEXTS.get(rules.get("pattern", ""), "text")


def places(document: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(document, dict | list):
        items = document.items() if isinstance(document, dict) else enumerate(document)
        for key, value in items:
            found += places(value, (*path, key))
    return found


def broken(document: object, chance: random.Random) -> object:
    """Return a document with something else at one place, without it, or with one key more."""
    *above, last = chance.choice(places(document)) or [None]
    if last is None:
        return chance.choice(STRANGE)
    document = copy.deepcopy(document)
    at: Any = document
    for key in above:
        at = at[key]
    match chance.randrange(4):
        case 0:
            del at[last]
        case 1 if isinstance(at, dict):
            at[chance.choice(["zzz", "CART", "cart"])] = chance.choice(STRANGE)
        case _:
            at[last] = chance.choice(STRANGE)
    return document


def words(name: str, document: object) -> str:
    try:
        schema.check(document, name)
    except schema.InvalidDocumentError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", NAMES)
def test_a_check_says_what_another_reader_of_the_schema_says(name: str) -> None:
    chance = random.Random(name)
    other = fastjsonschema.compile(
        load(f"{name}.schema.json"),
        use_default=False,
        handlers={"": load},
        formats={"date-time": lambda text: "-30T" not in text and "T24" not in text},
    )
    refused = 0
    for _ in range(150):
        document = made(load(f"{name}.schema.json"), f"{name}.schema.json", chance)
        assert words(name, document) == ""
        faults = chance.randint(1, 2)
        for _ in range(faults):
            document = broken(document, chance)
        said, expected, rule = words(name, document), "", None
        try:
            other(document)
        except fastjsonschema.JsonSchemaValueException as error:
            rule = error.rule
            at = str(error.name)
            place = at.removeprefix("data").lstrip(".") or "the document"
            expected = f"{place} {str(error.message).removeprefix(at).strip()}"[:300]
        assert bool(said) == bool(expected), (document, said, expected)
        refused += bool(said)
        if faults == 1 and rule not in ("additionalProperties", "propertyNames"):
            assert said == expected
    assert refused > 50


@pytest.mark.parametrize("file", sorted(path.name for path in FOLDER.iterdir()))
def test_schemas_say_nothing_that_is_not_checked(file: str) -> None:
    def rules_of(rules: dict[str, Any]) -> set[str]:
        below = [*rules.get("properties", {}).values(), *rules.get("definitions", {}).values()]
        below += [rules[key] for key in ("items", "propertyNames") if key in rules]
        below += rules.get("anyOf", [])
        if isinstance(rules.get("additionalProperties"), dict):
            below.append(rules["additionalProperties"])
        return set(rules).union(*map(rules_of, below))

    assert rules_of(load(file)) <= KNOWN
