"""The timeline of a service as a drawing: where each mark, line and word stands. Pure.

Time runs downwards, newest first. Each image has a column; a deployment leads to a new column, a
rollback back to an old one. Shapes tell the kinds apart, so that nothing depends on colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.image import find_image
from gitops_rollback.late import dataclass
from gitops_rollback.model import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ROW, _COLUMN, _TOP, _LEFT = 46, 18, 26, 16
_MOST_COLUMNS = 8
_GAP, _WIDTH = 18, 360
_LONGEST = 38  # characters beside the drawing


@dataclass(frozen=True)
class Mark:
    """One event: its place, its words, and the line to the event before it, if there is one."""

    x: int
    y: int
    text_x: int
    action: str
    title: str
    details: str
    path: str


@dataclass(frozen=True)
class Picture:
    """The whole drawing; `alternative` says in words what it shows."""

    width: int
    height: int
    marks: tuple[Mark, ...]
    alternative: str


def draw(title: str, entries: Sequence[Mapping[str, Any]]) -> Picture:
    """Draw the entries of `history`, newest first."""
    columns = _columns([str(entry["to"]) for entry in reversed(entries)])
    text_x = _LEFT + _COLUMN * max(columns.values(), default=0) + _GAP
    places = [
        (_LEFT + _COLUMN * columns[entry["to"]], _TOP + _ROW * row)
        for row, entry in enumerate(entries)
    ]
    marks = []
    for row, entry in enumerate(entries):
        x, y = places[row]
        before = places[row + 1] if row + 1 < len(places) else None
        marks.append(
            Mark(x, y, text_x, entry["action"], _title(entry), _details(entry), _line(x, y, before))
        )
    newest = f", the newest {_title(entries[0])}" if entries else ""
    said = f"Timeline of {title}: {len(entries)} changes{newest}. The table below says the same."
    height = _TOP + _ROW * max(len(entries), 1)
    return Picture(_WIDTH, height, tuple(marks), said)


def label(image: str) -> str:
    """Return what people call an image, or its text where it is no image."""
    found = find_image(image)
    return one_line(found.label if found else image, _LONGEST)


def _columns(images: Sequence[str]) -> dict[str, int]:
    """Give each image a column, in the order in which they first ran; the last are shared."""
    found: dict[str, int] = {}
    for image in images:
        found.setdefault(image, min(len(found), _MOST_COLUMNS - 1))
    return found


def _title(entry: Mapping[str, Any]) -> str:
    return one_line(f"{entry['action']} {label(entry['to'])}", _LONGEST)


def _details(entry: Mapping[str, Any]) -> str:
    at = str(entry.get("at", "")).replace("T", " ").removesuffix("Z")
    by = entry.get("by", "")
    return one_line(", ".join(part for part in (at, by) if part), _LONGEST + 4)


def _line(x: int, y: int, before: tuple[int, int] | None) -> str:
    if before is None:
        return ""
    half = (y + before[1]) // 2
    return f"M {before[0]} {before[1]} C {before[0]} {half}, {x} {half}, {x} {y}"
