"""Patterns of Go, as far as Python reads them alike and in bounded time. Pure.

github.com/google/re2/wiki/Syntax: what means something else to Python, or could make it try for
hours, is not judged. A repository could hold an expression that never ends.
"""

from __future__ import annotations

import functools
import re
import warnings

from gitops_rollback.late import regex

_LONGEST = 300  # characters of a pattern
_MOST_REPEATS = 6  # names and tags have some hundred characters: each repeat is tried at each
# Of what begins with a backslash or `(?`, only what means the same to both.
_ALIKE = regex(
    r"\\[dDwWsSbB]|\\[^A-Za-z0-9\s]|\(\?P<[A-Za-z_]\w*>|\(\?:|\((?!\?)|\[\^?\]?(?:\\.|[^\]\[\\])+\]"
    r"|\{\d+(?:,\d*)?\}|[^\\(\[{]",
    re.ASCII,
)
# A star, a class, an escaped character or any other, as Go has them (path/filepath/match.go).
_GLOB_CHARACTER = r"(?:\\(.)|([^\\\]-]))"
_GLOB_PART = regex(
    rf"\*|\?|\[\^?+(?:{_GLOB_CHARACTER}(?:-{_GLOB_CHARACTER})?)+\]|\\.|[^\[\\*?]", re.DOTALL
)
_GLOB_RANGE = regex(rf"{_GLOB_CHARACTER}(?:-{_GLOB_CHARACTER})?", re.DOTALL)
_REPEAT = regex(r"[*+]|\{\d+(?:,\d*)?\}")
_REPEATED_GROUP = regex(r"\)(?:[*+]|\{)")
_TWICE = regex(r"(?:[*+?]|\{\d+(?:,\d*)?\})[*+]")


class UnreadablePatternError(ValueError):
    """Raised for a pattern that may mean something else to Go than to Python."""


@functools.lru_cache(maxsize=4_096)
def go_pattern(pattern: str) -> re.Pattern[str]:
    """Return a Go pattern compiled; raise `UnreadablePatternError` if that cannot be said."""
    is_alike = "".join(found[0] for found in _ALIKE.finditer(pattern)) == pattern
    is_quick = len(pattern) <= _LONGEST and len(_REPEAT.findall(pattern)) <= _MOST_REPEATS
    if not is_alike or not is_quick or _REPEATED_GROUP.search(pattern) or _TWICE.search(pattern):
        raise UnreadablePatternError(
            f"the pattern '{pattern[:_LONGEST]}' is not read as Go reads it"
        )
    try:
        with warnings.catch_warnings():  # of what a later Python may read differently, as `[0--9]`
            warnings.simplefilter("error")
            return re.compile(pattern, re.ASCII)
    except (re.error, OverflowError, Warning) as error:
        raise UnreadablePatternError(f"the pattern '{pattern}' is none: {error}") from error


def go_matches(pattern: str, text: str) -> bool:
    """Tell whether a pattern is of a whole text, as kustomize's selectors are (`^(?:…)$`).

    Raises `UnreadablePatternError` if that cannot be said.
    """
    if "$" in pattern.removesuffix("$"):  # Python lets `$` stand before a last line end
        raise UnreadablePatternError(f"the pattern '{pattern}' has a $ inside")
    return go_pattern(f"(?:{pattern})").fullmatch(text) is not None


@functools.lru_cache(maxsize=4_096)
def go_glob(pattern: str) -> re.Pattern[str] | None:
    """Return a pattern for names as Go has it (`path/filepath.Match`); None where it is none.

    Each star takes as little as it can and gives nothing back: no pattern takes long.
    """
    try:
        first, *others = (_literal(part) for part in _star_parts(pattern))
    except ValueError:
        return None
    if not others:
        return re.compile(first, re.DOTALL)
    middle = "".join(f"(?>.*?{part})" for part in others[:-1])
    return re.compile(f"{first}{middle}.*{others[-1]}", re.DOTALL)


def _star_parts(pattern: str) -> list[list[str]]:
    """Return what stands between the stars, each as characters and whole classes."""
    parts: list[list[str]] = [[]]
    position = 0
    while position < len(pattern):
        found = _GLOB_PART.match(pattern, position)
        if found is None:
            raise ValueError(pattern)
        position = found.end()
        if found[0] != "*":
            parts[-1].append(found[0])
        elif parts[-1] or len(parts) == 1:
            parts.append([])
    return parts


def _literal(parts: list[str]) -> str:
    """Return the regular expression of characters and classes."""
    out = []
    for part in parts:
        if part == "?":
            out.append(".")
        elif part[0] == "[" and len(part) > 1:
            out.append(_class(part[1:-1]))
        else:
            out.append(re.escape(part[-1]))
    return "".join(out)


def _class(text: str) -> str:
    """Return the regular expression of a class: `a-z`, negated by `^`."""
    found = _GLOB_RANGE.finditer(text.removeprefix("^"))
    ranges = [(one[1] or one[2], one[3] or one[4]) for one in found]
    said = "".join(
        f"{re.escape(low)}-{re.escape(high or low)}" for low, high in ranges if low <= (high or low)
    )
    if text.startswith("^"):
        return f"[^{said}]" if said else "."
    return f"[{said}]" if said else "(?!)"
