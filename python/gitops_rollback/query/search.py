"""Ask a query of a document, and say of a wrong one what is wrong and where. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

EXAMPLE = "tags[?older && starts_with(name, 'v')]"
SORTED_EXAMPLE = "reverse(sort_by(tags[?older && pushed], &pushed))"
_LONGEST_ECHO = 200
_FUNCTION = re.compile(r"(\w+)\(\)")


def search(query: str, document: dict[str, Any]) -> object:
    """Return what a query answers; raise `UsageError` if it cannot be read or answered."""
    import jmespath  # noqa: PLC0415 - only a configured query needs it
    from jmespath.exceptions import (  # noqa: PLC0415 - the same
        JMESPathTypeError,
        ParseError,
        UnknownFunctionError,
    )

    from gitops_rollback.query.functions import QueryFunctions  # noqa: PLC0415 - the same

    options = jmespath.Options(custom_functions=QueryFunctions())
    try:
        answer: object = jmespath.search(query, document, options=options)
    except UnknownFunctionError as error:
        words = _words(error)
        raise _refusal(query, f"cannot be answered{_function_at(query, words)}: {words}") from error
    except ParseError as error:
        position = getattr(error, "lex_position", None)  # an ArityError has none
        at = _function_at(query, _words(error))
        if isinstance(position, int):
            at = f" at character {position + 1}"
        raise _refusal(query, f"cannot be read{at}: {_words(error)}") from error
    except JMESPathTypeError as error:
        raise _type_refusal(query, error) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        # jmespath lets Python's own errors out, as for `tags[::0]` or a thousand brackets.
        raise _refusal(query, f"cannot be answered: {_words(error)}") from error
    return answer


def _function_at(query: str, words: str) -> str:
    """Say where the function stands that an error speaks of, where it stands but once."""
    named = _FUNCTION.search(words)
    places = [found.start() for found in re.finditer(rf"\b{named[1]}\(", query)] if named else []
    return f" at character {places[0] + 1}" if len(places) == 1 else ""


def _type_refusal(query: str, error: Exception) -> UsageError:
    function = getattr(error, "function_name", "a function")
    received = getattr(error, "actual_type", "something else")
    at = _function_at(query, f"{function}()")
    reason = f"cannot be answered{at}: {function}() was given a value of type {received}"
    if received == "null":
        return UsageError(
            f"the query {_echo(query)} {reason}",
            "some tags have no such value: keep those that have one before sorting,"
            f" for example {SORTED_EXAMPLE}",
        )
    return _refusal(query, reason)


def name_of(item: object, query: str, known: AbstractSet[str]) -> str:
    """Return the name of a tag that a query gave; raise `UsageError` for anything else."""
    name = item.get("name") if isinstance(item, dict) else item
    if not isinstance(name, str):
        kind = {"bool": "a boolean", "list": "a list", "dict": "an object without a name"}
        what = kind.get(type(item).__name__, "a number")
        raise _refusal(query, f"gives {what} where a tag or its name is wanted")
    if name not in known:
        raise _refusal(query, f"gives {_echo(name)}, which is no tag that could be gone back to")
    return name


def _refusal(query: str, reason: str) -> UsageError:
    return UsageError(
        f"the query {_echo(query)} {reason}",
        f"a query is JMESPath and gives tags or names, best first, for example {EXAMPLE};"
        " a tag has name, digest, pushed, updated, created, size, platforms and older; there are"
        " matches(name, pattern), in_range(name, range) and by_version(tags) beside JMESPath's own",
    )


def _words(error: Exception) -> str:
    # jmespath repeats the query with a caret on further lines; the first says what is wrong.
    first = str(error).strip().splitlines() or ["no expression"]
    reason = first[0].removeprefix("Invalid jmespath expression: ").rstrip(":")
    reason = reason.removeprefix("Bad jmespath expression: ").partition(", for expression")[0]
    return _echo(reason, quote="")


def _echo(text: str, quote: str = "'") -> str:
    clean = "".join(char if char.isprintable() else " " for char in text)
    short = clean if len(clean) <= _LONGEST_ECHO else clean[: _LONGEST_ECHO - 1] + "…"
    return f"{quote}{short}{quote}"
