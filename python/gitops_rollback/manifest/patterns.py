"""Regular expressions of Go, as far as Python reads them alike and in bounded time. Pure.

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
