"""Ask a query of a document, in bounded steps and memory, and say of a wrong one what is wrong.

Queries come from job parameters and from files of the repository: one of some hundred characters
can ask for a value that doubles at each step. So each step is counted, with the size of what it
gives.

Beside JMESPath's own functions there are patterns, ranges and the order of versions, read as Flux's
image policies read them, so that a query can say the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import jmespath
from jmespath.exceptions import ArityError, JMESPathTypeError, ParseError, VariadictArityError
from jmespath.functions import Functions, signature
from jmespath.visitor import TreeInterpreter

from gitops_rollback.errors import UsageError, nearest_hint
from gitops_rollback.late import dataclass, regex
from gitops_rollback.policies import apply_filter, takes_version, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from semver import Version

EXAMPLE = "tags[?older && starts_with(name, 'v')]"
SORTED_EXAMPLE = "reverse(sort_by(tags[?older && pushed], &pushed))"
MOST_STEPS = 5_000_000  # some 10 s; a sort of 10,000 tags takes 100,000
LARGEST_VALUE = 20_000_000  # characters and entries, lists within lists counted in full
LONGEST_QUERY = 4096
_LONGEST_ECHO = 200
_FUNCTION = regex(r"(\w+)\(\)")
# What jq writes and JMESPath does not; the words say what to write instead.
_JQ = (
    (regex(r"^\s*\."), "a query begins without a dot: results[].name"),
    (
        regex(r"\bselect\s*\("),
        "for select(…) write a filter: results[?starts_with(name, 'v')]",
    ),
    (regex(r"\|\s*\.|\[\]\s*\|"), "after | a query goes on without a dot"),
    (regex(r"\btest\s*\("), "for test(…) write matches(name, '…')"),
    (regex(r"sort_by\s*\(\s*\."), "for sort_by(.x) write sort_by(results, &x)"),
)


class _EndlessError(Exception):
    """Raised when a query takes too many steps, or gives too large a value."""


@dataclass(frozen=True)
class Answer:
    """What a query gave, as a list; `sample` shows what it was asked of."""

    query: str
    items: Sequence[object]
    sample: Sequence[str]

    def name_of(self, item: object, known: Mapping[str, str]) -> str:
        """Return the tag that an item is: `known` gives it by name or digest; or `UsageError`."""
        name = item.get("name") if isinstance(item, dict) else item
        if not isinstance(name, str):
            kind = {"bool": "a boolean", "list": "a list", "dict": "an object without a name"}
            what = kind.get(type(item).__name__, "a number")
            reason = f"gives {what} where a tag or its name is wanted"
            raise _refusal(self.query, reason, self.sample)
        if name not in known:
            reason = f"gives {_echo(name)}, which is no tag that could be gone back to"
            raise _refusal(self.query, reason, self.sample)
        return known[name]


def read_query(query: str, sample: Sequence[str] = ()) -> dict[str, Any]:
    """Return a query as it is read, without an answer; raise `UsageError` if it cannot be.

    Nor can it be where it calls a function that there is not: asked of no tags it would not show.
    """
    if len(query) > LONGEST_QUERY:
        raise _refusal(query, f"is longer than {LONGEST_QUERY} characters", sample)
    try:
        parsed: dict[str, Any] = jmespath.compile(query).parsed
        for call in _calls(parsed):
            _check_call(query, call, sample)
    except ParseError as error:
        raise _unreadable(query, error, sample) from error
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        # jmespath lets Python's own errors out, as for a thousand brackets.
        raise _refusal(query, f"cannot be answered: {_words(error)}", sample) from error
    return parsed


def _calls(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the calls of functions in a query that was read, however deep they are."""
    open_ = [node]
    while open_:
        one = open_.pop()
        open_ += (child for child in one["children"] if isinstance(child, dict))  # or a slice's
        if one["type"] == "function_expression":
            yield one


def _check_call(query: str, call: Mapping[str, Any], sample: Sequence[str]) -> None:
    name, given = call["value"], len(call["children"])
    known = QueryFunctions.FUNCTION_TABLE
    if name not in known:
        words = f"Unknown function: {_echo(name, quote='')}()"
        near = nearest_hint(name, known)
        reason = f"cannot be answered{_function_at(query, words)}: {words}"
        raise _refusal(query, f"{reason}; {near}" if near else reason, sample)
    wanted = known[name]["signature"]
    is_open = bool(wanted[-1].get("variadic"))
    if given < len(wanted) or (given > len(wanted) and not is_open):
        raise (VariadictArityError if is_open else ArityError)(len(wanted), given, name)


def search(query: str, document: Mapping[str, Any], sample: Sequence[str] = ()) -> Answer:
    """Return what a query answers; raise `UsageError` if it cannot be read or answered."""
    parsed = read_query(query, sample)
    try:
        found = _Bounded(jmespath.Options(custom_functions=QueryFunctions())).visit(
            parsed, document
        )
    except JMESPathTypeError as error:
        raise _type_refusal(query, error, sample) from error
    except _EndlessError as error:
        raise _refusal(query, f"is not answered: {error}", sample) from error
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        # jmespath lets Python's own errors out, as for `tags[::0]`.
        raise _refusal(query, f"cannot be answered: {_words(error)}", sample) from error
    items = found if isinstance(found, list) else [found]
    return Answer(query, [item for item in items if item is not None], sample)


class QueryFunctions(Functions):  # type: ignore[misc]
    """`matches(name, pattern)`, `in_range(name, range)` and `by_version(tags)`."""

    @signature({"types": ["string"]}, {"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_matches(self, name: str, pattern: str) -> bool:
        """Tell whether a regular expression is found in a name."""
        return apply_filter(pattern, "", name) is not None

    @signature({"types": ["string"]}, {"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_in_range(self, name: str, range_: str) -> bool:
        """Tell whether a name is a semantic version in a range such as `>=1.4 <2` or `~1.4`."""
        return takes_version(range_, name) is True

    @signature({"types": ["array"]})  # type: ignore[untyped-decorator]
    def _func_by_version(self, items: list[Any]) -> list[Any]:
        """Return the tags or names that are semantic versions, the highest first."""
        versions = [(_version(item), item) for item in items]
        known = [(version, item) for version, item in versions if version is not None]
        return [item for _, item in sorted(known, key=lambda pair: pair[0], reverse=True)]


def _version(item: object) -> Version | None:
    name = item.get("name") if isinstance(item, dict) else item
    return version_of(name) if isinstance(name, str) else None


class _Bounded(TreeInterpreter):  # type: ignore[misc] # jmespath has no types
    """Evaluates a query, and gives up where it takes too long or its values grow too large."""

    def __init__(self, options: jmespath.Options) -> None:
        super().__init__(options)
        self._steps = 0
        self._sizes: dict[int, tuple[int, object]] = {}  # by identity; the value is kept alive

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - jmespath's own
        """Visit a node of the query, and count it."""
        found = super().visit(node, *args, **kwargs)
        self._count(1 if not isinstance(found, list | dict | str) else 1 + len(found))
        if isinstance(found, list | dict | str) and self._size(found) > LARGEST_VALUE:
            raise _EndlessError("what it gives grows too large")
        return found

    def visit_function_expression(self, node: Any, value: Any) -> Any:  # noqa: ANN401 - the same
        """Call a function, but none whose value could be beyond measure before it is measured."""
        if node["value"] == "join" and len(node["children"]) == 2:  # noqa: PLR2004 - its arguments
            glue, parts = (self.visit(child, value) for child in node["children"])
            if isinstance(glue, str) and isinstance(parts, list):
                total = len(glue) * len(parts) + sum(len(p) for p in parts if isinstance(p, str))
                if total > LARGEST_VALUE:
                    raise _EndlessError("what it gives grows too large")
        return super().visit_function_expression(node, value)

    def _count(self, steps: int) -> None:
        self._steps += steps
        if self._steps > MOST_STEPS:
            raise _EndlessError("it takes too many steps")

    def _size(self, value: object) -> int:
        """Return the entries and characters in a value, what stands in it twice counted twice."""
        if isinstance(value, str):
            return len(value)
        if not isinstance(value, list | dict):
            return 1
        known = self._sizes.get(id(value))
        if known is not None:
            return known[0]
        inner = value.values() if isinstance(value, dict) else value
        size = 1 + sum(self._size(item) for item in inner)
        self._sizes[id(value)] = (size, value)
        return size


def _unreadable(query: str, error: ParseError, sample: Sequence[str]) -> UsageError:
    position = getattr(error, "lex_position", None)  # an ArityError has none
    at = _function_at(query, _words(error))
    if isinstance(position, int):
        at = f" at character {position + 1}"
    return _refusal(query, f"cannot be read{at}: {_words(error)}", sample)


def _function_at(query: str, words: str) -> str:
    """Say where the function stands that an error speaks of, where it stands but once."""
    named = _FUNCTION.search(words)
    places = [found.start() for found in re.finditer(rf"\b{named[1]}\(", query)] if named else []
    return f" at character {places[0] + 1}" if len(places) == 1 else ""


def _type_refusal(query: str, error: Exception, sample: Sequence[str]) -> UsageError:
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
    return _refusal(query, reason, sample)


def _refusal(query: str, reason: str, sample: Sequence[str] = ()) -> UsageError:
    jq = next((f"this is jq: {words}; " for pattern, words in _JQ if pattern.search(query)), "")
    shown = f"; {'; '.join(sample)}" if sample else ""
    return UsageError(
        f"the query {_echo(query)} {reason}",
        f"{jq}a query is JMESPath and gives tags or names, best first, for example {EXAMPLE};"
        " a tag has name, digest, pushed, updated, created, size, platforms and older; there are"
        " matches(name, pattern), in_range(name, range) and by_version(tags) beside JMESPath's own;"
        f" results[] has what runs too, in Docker Hub's words{shown}",
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
