"""Tag filters of Flux image policies: Go's regular expressions, as far as Python reads them alike.

github.com/google/re2/wiki/Syntax and Go's `regexp` (`Regexp.Expand`): what means something else
to Python, or could make it try for hours, is not judged.
"""

from __future__ import annotations

import re

_LONGEST = 300  # characters of a pattern
_MOST_REPEATS = 6  # a tag has at most 128 characters, and each repeat is tried at each of them
# Of what begins with a backslash or `(?`, only what means the same to both.
_ALIKE = re.compile(
    r"\\[dDwWsSbB]|\\[^A-Za-z0-9\s]|\(\?P<[A-Za-z_]\w*>|\(\?:|\((?!\?)|\[\^?\]?(?:\\.|[^\]\[\\])+\]"
    r"|\{\d+(?:,\d*)?\}|[^\\(\[{]",
    re.ASCII,
)
_REPEAT = re.compile(r"[*+]|\{\d+(?:,\d*)?\}")
_REPEATED_GROUP = re.compile(r"\)(?:[*+]|\{)")
_TWICE = re.compile(r"(?:[*+?]|\{\d+(?:,\d*)?\})[*+]")
_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))", re.ASCII)


class UnreadableFilterError(ValueError):
    """Raised for a pattern that may mean something else to Flux than to Python."""


def apply_filter(pattern: str, extract: str, tag: str) -> str | None:
    """Return what a policy orders a tag by, None where the pattern does not match it.

    Raises `UnreadableFilterError` if that cannot be said.
    """
    if not pattern:
        return tag
    match = _compiled(pattern).search(tag)
    if match is None:
        return None
    if not extract:
        return tag
    return _REFERENCE.sub(lambda reference: _expanded(reference, match), extract)


def _compiled(pattern: str) -> re.Pattern[str]:
    is_alike = "".join(found[0] for found in _ALIKE.finditer(pattern)) == pattern
    is_quick = len(pattern) <= _LONGEST and len(_REPEAT.findall(pattern)) <= _MOST_REPEATS
    if not is_alike or not is_quick or _REPEATED_GROUP.search(pattern) or _TWICE.search(pattern):
        raise UnreadableFilterError(
            f"the pattern '{pattern[:_LONGEST]}' is not read as Go reads it"
        )
    try:
        return re.compile(pattern, re.ASCII)
    except (re.error, OverflowError) as error:
        raise UnreadableFilterError(f"the pattern '{pattern}' is none: {error}") from error


def _expanded(reference: re.Match[str], match: re.Match[str]) -> str:
    """Return what `$name`, `${name}` or `$1` stands for: nothing where there is no such group."""
    name = reference[1] or reference[2]
    if name is None:
        return "$"
    key = int(name) if name.isdecimal() else name
    try:
        return match[key] or ""
    except IndexError:
        return ""
