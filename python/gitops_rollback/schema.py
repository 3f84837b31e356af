"""Check documents from outside against the published JSON Schemas in `schemas/`."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gitops_rollback.errors import UnwritableError

# The newest version of each format that this tool writes; of all others it is 1.
VERSIONS = MappingProxyType({"state": 2, "record": 2, "held": 2})
_FOLDER = Path(__file__).parent / "schemas"
_KINDS: dict[str, type | tuple[type, ...]] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "object": dict,
    "string": str,
}


class InvalidDocumentError(ValueError):
    """Raised when a document does not fit its schema; its message names the place.

    `unknown` holds the keys nobody knows, `known` those that could be meant.
    """

    def __init__(
        self, message: str, unknown: tuple[str, ...] = (), known: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.unknown = unknown
        self.known = known


class NewerDocumentError(InvalidDocumentError):
    """Raised when a document was written by a version of this tool that knows more."""


def read(data: bytes, name: str, largest: int) -> dict[str, Any]:
    """Read a JSON document of at most `largest` bytes and check it; raise `InvalidDocumentError`.

    Half a surrogate pair is legal JSON and no text, NaN is no number of JSON, 1e999 none of ours,
    and of a key that stands twice each reader takes another one: what cannot be written again is
    refused.
    """
    if len(data) > largest:
        raise InvalidDocumentError(f"it has {len(data)} bytes, more than {largest / 1e6:g} MB")
    try:
        document = json.loads(data, object_pairs_hook=_object, parse_constant=_no_number)
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidDocumentError(f"it is no complete JSON ({error})") from error
    version = document.get("schemaVersion") if isinstance(document, dict) else None
    if isinstance(version, int) and version > VERSIONS.get(name, 1):
        raise NewerDocumentError(f"was written by a newer gitops-rollback (schema {version})")
    check(document, name)
    checked: dict[str, Any] = document
    return checked


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def write(document: dict[str, Any], name: str, largest: int, what: str) -> bytes:
    """Return the bytes of a JSON document, checked as `read` will check it.

    Raises `UnwritableError`, which says `what` it would have been, where it could not be read back.
    """
    try:
        data = (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
        read(data, name, largest)
    except UnicodeEncodeError as error:
        raise _unwritable(what, "it has half of a surrogate pair, which is no text") from error
    except InvalidDocumentError as error:
        raise _unwritable(what, str(error)) from error
    return data


def _unwritable(what: str, reason: str) -> UnwritableError:
    return UnwritableError(
        f"{what} could not be read again: {reason}",
        "nothing was written; give a shorter reason, name or path there, and run this again",
    )


def check(document: object, name: str) -> None:
    """Check a document against `schemas/<name>.schema.json`; raise `InvalidDocumentError`."""
    home = f"{name}.schema.json"
    _check(document, _load(home), home, "")


def _check(value: Any, rules: Any, home: str, place: str) -> None:  # noqa: ANN401 - any JSON
    """Check what stands at a place of a document against rules of the file `home`.

    Of JSON Schema what the schemas of this tool use, and nothing else: `test_schema` looks. A
    library for all of it made a program of each schema first, which took 20 ms of each run.
    """
    while "$ref" in rules:
        file, _, pointer = rules["$ref"].partition("#/")
        home = file or home
        rules = reduce(getitem, filter(None, pointer.split("/")), _load(home))
    if "type" in rules and not _is_of(value, rules["type"]):
        raise _misfit(place, f"must be {rules['type']}")
    if "enum" in rules and not any(_is_same(value, one) for one in rules["enum"]):
        raise _misfit(place, f"must be one of {rules['enum']}")
    if "anyOf" in rules and not any(_fits(value, one, home) for one in rules["anyOf"]):
        raise _misfit(place, "cannot be validated by any definition")
    if isinstance(value, str):
        _check_text(value, rules, place)
    elif isinstance(value, list):
        _check_items(value, rules, home, place)
    elif isinstance(value, dict):
        _check_keys(value, rules, home, place)
    elif "minimum" in rules and value < rules["minimum"]:
        raise _misfit(place, f"must be bigger than or equal to {rules['minimum']}")


def _check_text(text: str, rules: dict[str, Any], place: str) -> None:
    if len(text) < rules.get("minLength", 0):
        raise _misfit(place, f"must be longer than or equal to {rules['minLength']} characters")
    if len(text) > rules.get("maxLength", len(text)):
        raise _misfit(place, f"must be shorter than or equal to {rules['maxLength']} characters")
    if "pattern" in rules and not _pattern(rules["pattern"]).search(text):
        raise _misfit(place, f"must match pattern {rules['pattern']}")
    if "format" in rules and not _is_moment(text):
        raise _misfit(place, f"must be {rules['format']}")


def _check_items(items: list[Any], rules: dict[str, Any], home: str, place: str) -> None:
    if len(items) < rules.get("minItems", 0):
        raise _misfit(place, f"must contain at least {rules['minItems']} items")
    if len(items) > rules.get("maxItems", len(items)):
        raise _misfit(place, f"must contain less than or equal to {rules['maxItems']} items")
    if "items" in rules:
        for number, item in enumerate(items):
            _check(item, rules["items"], home, f"{place}[{number}]")


def _check_keys(found: dict[str, Any], rules: dict[str, Any], home: str, place: str) -> None:
    missing = sorted(key for key in rules.get("required", ()) if key not in found)
    if missing:
        raise _misfit(place, f"must contain {missing} properties")
    known, others = rules.get("properties", {}), rules.get("additionalProperties", True)
    for key, value in found.items():
        if key in known or isinstance(others, dict):
            _check(value, known.get(key, others), home, f"{place}.{key}")
    where = place.lstrip(".")
    unknown = tuple(key for key in found if key not in known)
    if unknown and others is False:
        told = f"unknown key {', '.join(unknown)}" + (f" in {where}" if where else "")
        raise InvalidDocumentError(told, unknown, tuple(known))
    wrong = [key for key in found if not _fits(key, rules.get("propertyNames", {}), home)]
    if wrong:
        told = f"{', '.join(wrong)}: names in {where} have small letters, digits, ._-"
        raise InvalidDocumentError(told)


def _fits(value: object, rules: dict[str, Any], home: str) -> bool:
    try:
        _check(value, rules, home, "")
    except InvalidDocumentError:
        return False
    return True


def _misfit(place: str, reason: str) -> InvalidDocumentError:
    return InvalidDocumentError(f"{place.lstrip('.') or 'the document'} {reason}"[:300])


def _is_of(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    is_whole = isinstance(value, float) and value.is_integer()  # 7.0 is an integer
    return isinstance(value, _KINDS[kind]) or (kind == "integer" and is_whole)


def _is_same(value: object, other: object) -> bool:
    """Tell whether two values are the same JSON: true is not 1."""
    return value == other and isinstance(value, bool) is isinstance(other, bool)


def _is_moment(text: str) -> bool:
    """Tell whether a text is a time that there is: no 30 February, no 25 o'clock."""
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return text[11:13] != "24"  # newer Pythons take it for the next day


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern of a schema, where a dollar is the end, and Python's also before a line."""
    return re.compile(text.removesuffix("$") + r"\Z" if text.endswith("$") else text)


@cache
def _load(file: str) -> Any:  # noqa: ANN401 - a schema is any JSON
    return json.loads((_FOLDER / file).read_text(encoding="utf-8"))
