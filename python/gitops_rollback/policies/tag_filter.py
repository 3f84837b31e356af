"""Tag filters of Flux image policies: a pattern of Go's, and what it extracts (`Regexp.Expand`)."""

from __future__ import annotations

import re

from gitops_rollback.late import regex
from gitops_rollback.manifest.patterns import go_pattern
from gitops_rollback.model import whole_number

_REFERENCE = regex(r"\$(?:\$|\{(\w+)\}|(\w+))", re.ASCII)


def apply_filter(pattern: str, extract: str, tag: str) -> str | None:
    """Return what a policy orders a tag by, None where the pattern does not match it.

    Raises `UnreadablePatternError` if that cannot be said.
    """
    if not pattern:
        return tag
    match = go_pattern(pattern).search(tag)
    if match is None:
        return None
    if not extract:
        return tag
    return _REFERENCE.sub(lambda reference: _expanded(reference, match), extract)


def _expanded(reference: re.Match[str], match: re.Match[str]) -> str:
    """Return what `$name`, `${name}` or `$1` stands for: nothing where there is no such group."""
    name = reference[1] or reference[2]
    if name is None:
        return "$"
    number = whole_number(name)
    key = name if number is None else number
    try:
        return match[key] or ""
    except IndexError:
        return ""
