"""Check documents from outside against the published JSON Schemas in `schemas/`."""

from __future__ import annotations

import json
import time
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import UnwritableError

if TYPE_CHECKING:
    from collections.abc import Callable

# The newest version of each format that this tool writes; of all others it is 1.
VERSIONS = MappingProxyType({"state": 2, "record": 2, "held": 2})
_FOLDER = Path(__file__).parent / "schemas"


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


def prepare(name: str) -> None:
    """Make the check of a kind of document, which then takes no time when it is needed."""
    _validator(name, explains=False)


def check(document: object, name: str) -> None:
    """Check a document against `schemas/<name>.schema.json`; raise `InvalidDocumentError`."""
    from fastjsonschema import JsonSchemaException  # noqa: PLC0415 - not every run has a document

    try:
        _validator(name, explains=False)(document)
    except JsonSchemaException:
        _explain(document, name)


def _explain(document: object, name: str) -> None:
    """Check again with the validator that tells what is wrong; it takes three times as long."""
    from fastjsonschema import JsonSchemaValueException  # noqa: PLC0415 - as above

    try:
        _validator(name, explains=True)(document)
    except JsonSchemaValueException as error:
        unknown: tuple[str, ...] = ()
        known: tuple[str, ...] = ()
        if error.rule == "additionalProperties" and isinstance(error.value, dict):
            known = tuple(error.definition.get("properties", {}))
            unknown = tuple(key for key in error.value if key not in known)
        raise InvalidDocumentError(_readable(error, unknown), unknown, known) from error


def _readable(error: Any, unknown: tuple[str, ...]) -> str:  # noqa: ANN401 - an untyped library
    place = str(error.name).removeprefix("data").lstrip(".")
    if unknown:
        return f"unknown key {', '.join(unknown)}" + (f" in {place}" if place else "")
    if error.rule == "propertyNames":
        return f"{', '.join(error.value)}: names in {place} have small letters, digits, ._-"
    reason = str(error.message).removeprefix(str(error.name)).strip()
    return f"{place or 'the document'} {reason}"[:300]


@cache
def _validator(name: str, *, explains: bool) -> Callable[[object], object]:
    from fastjsonschema import compile as compile_schema  # noqa: PLC0415 - as above

    validator: Callable[[object], object] = compile_schema(
        _load(f"{name}.schema.json"),
        use_default=False,
        detailed_exceptions=explains,
        handlers={"": _load},  # what schemas share stands in files beside them
        formats={"date-time": _is_moment},
    )
    return validator


def _is_moment(text: str) -> bool:
    """Tell whether a text is a time that there is: no 30 February, no 25 o'clock."""
    try:
        time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return False
    return True


def _load(file: str) -> Any:  # noqa: ANN401 - a schema is any JSON
    return json.loads((_FOLDER / file).read_text(encoding="utf-8"))
