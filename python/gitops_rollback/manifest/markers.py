"""Flux image-policy markers: the comments that let its automation rewrite a value.

`# {"$imagepolicy": "flux-system:cart"}` behind a value, or above one that begins its own line, with
`:tag`, `:name` or `:digest` where only a part is meant (fluxcd.io, guides/image-update). The
comment is a JSON object of texts that has this key, and may have others (kyaml/fieldmeta). Under
another key the comment stays readable, and automation leaves the value alone.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.late import dataclass, regex

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from gitops_rollback.manifest.document import ParsedFile

ACTIVE_KEY = "$imagepolicy"
HELD_KEY = "$imagepolicy-held"
_COMMENT = regex(
    r"#[ \t]*(?P<text>\{[^\r\n\x85\u2028\u2029]*\})[ \t]*(?=[\r\n\x85\u2028\u2029]|\Z)"
)
_KEY = regex(r'"(?P<key>\$imagepolicy(?:-held)?)"[ \t]*:')
_LINE_END = regex(r"[\r\n\x85\u2028\u2029]|\Z")
_LINE_SIGNS = "\r\n\x85\u2028\u2029"
_LARGEST_MARKER = 2_000  # characters


@dataclass(frozen=True)
class Marker:
    """A marker: its `text` as it stands, its policy, and the offsets of the key in the file."""

    text: str
    policy: str
    key_start: int
    key_end: int

    @property
    def is_held(self) -> bool:
        """Whether a rollback put the marker out of action."""
        return self.key_end - self.key_start == len(HELD_KEY)

    @property
    def active_text(self) -> str:
        """The marker as Flux reads it, held or not."""
        return self.text.replace(f'"{HELD_KEY}"', f'"{ACTIVE_KEY}"', 1)


def find_marker(text: str, offset: int) -> Marker | None:
    """Return the marker between `offset` and the end of its line, if there is one."""
    line_end = _LINE_END.search(text, offset)
    end = line_end.start() if line_end else len(text)
    match = _COMMENT.search(text, offset, end)
    return _marker(match) if match else None


def find_marker_above(text: str, start: int) -> Marker | None:
    """Return the marker in a line of its own above a value that begins the line at `start`."""
    before = text[:start]
    line_start = _line_start(before, start)
    if not line_start or before[line_start:].strip(" \t-"):
        return None
    above = _line_start(before, line_start - 1)
    comment = before[above:line_start].strip()
    match = _COMMENT.match(text, above + before[above:line_start].find("#"))
    return _marker(match) if comment.startswith("#") and match is not None else None


def find_markers(text: str) -> Iterator[Marker]:
    """Yield all that looks like a marker in a file's text, wherever it stands."""
    found = (_marker(match) for match in _COMMENT.finditer(text))
    return (marker for marker in found if marker is not None)


def markers_in(file: ParsedFile) -> list[Marker]:
    """Return the markers of a file that Flux reads: in comments, and not inside of texts."""
    if ACTIVE_KEY not in file.text:
        return []
    spans = sorted(_spans(file))
    starts = [start for start, _end in spans]
    found = []
    for marker in find_markers(file.text):
        index = bisect_right(starts, marker.key_start) - 1
        within = index >= 0 and marker.key_start < spans[index][1]
        line = file.text[_line_start(file.text, marker.key_start) : marker.key_start]
        if not within and line.count("#") == 1:  # a comment in a comment is none
            found.append(marker)
    return found


def policy_of(marker: Marker) -> str:
    """Return the policy that a marker names, without what it says of parts: `flux-system:cart`."""
    return ":".join(marker.policy.split(":")[:2])


def _spans(file: ParsedFile) -> Iterator[tuple[int, int]]:
    """Yield where the scalars of a file stand."""
    for node in file.nodes:
        if isinstance(node, yaml.ScalarNode):
            yield node.start_mark.index, node.end_mark.index


def _line_start(text: str, offset: int) -> int:
    return max(text.rfind(sign, 0, offset) for sign in _LINE_SIGNS) + 1


def _marker(match: re.Match[str]) -> Marker | None:
    """Return the marker that a comment is: a JSON object of texts with the key."""
    text = match["text"]
    if len(text) > _LARGEST_MARKER:
        return None
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    key = _KEY.search(text)
    if key is None or not all(isinstance(value, str) for value in said.values()):
        return None
    start = match.start("text")
    policy = said.get(key["key"])
    if not isinstance(policy, str):
        return None
    return Marker(text, policy, start + key.start("key"), start + key.end("key"))
