"""Flux image-policy markers: the comments that let its automation rewrite an image.

`# {"$imagepolicy": "flux-system:cart"}` behind a value, with `:tag`, `:name` or `:digest` where
only a part is meant (fluxcd.io, guides/image-update). Flux looks for that key; under another key
the comment stays readable, and automation leaves the value alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ACTIVE_KEY = "$imagepolicy"
HELD_KEY = "$imagepolicy-held"
_MARKER = re.compile(
    r'#[ \t]*(\{[ \t]*"(?P<key>\$imagepolicy(?:-held)?)"[ \t]*:[ \t]*"(?P<policy>[^"\n]*)"[ \t]*\})'
)
_LINE_END = re.compile(r"[\r\n\x85\u2028\u2029]|\Z")


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
    match = _MARKER.search(text, offset, line_end.start() if line_end else len(text))
    return _marker(match) if match else None


def find_markers(text: str) -> Iterator[Marker]:
    """Yield all that looks like a marker in a file's text, wherever it stands."""
    return map(_marker, _MARKER.finditer(text))


def _marker(match: re.Match[str]) -> Marker:
    return Marker(match[1], match["policy"], match.start("key"), match.end("key"))
