"""How a text is to be: how much of it, in which colours and words; tables and wrapped lines.

All is pure, but for the terminal's width and the present.
"""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from gitops_rollback import clock
from gitops_rollback.late import dataclass, field
from gitops_rollback.options import MOST_LINES
from gitops_rollback.outlet import one
from gitops_rollback.redaction import hide
from gitops_rollback.refusals import Place, place_of
from gitops_rollback.tell.terminal import Ink, ink_of, width

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops_rollback.tell.output import Output

_NARROWEST = 30  # columns that a last cell keeps
_TABLE_WIDTH = 80
_PADDED = 120  # characters; what is longer is a list, or a sentence
_WIDEST_CELL = 20


@dataclass(frozen=True)
class View:
    """How a text is to be; `limit` 0 shows lists as long as they are."""

    is_wide: bool = False
    ink: Ink = field(default_factory=Ink)
    present: str = ""
    limit: int = MOST_LINES
    command: str = ""
    explains: bool = False
    form: str = "text"
    is_in_jenkins: bool = False


def view_of(output: Output) -> View:
    """Return the view for what a run was given."""
    options = vars(output.options) if output.options is not None else {}
    limit = options.get("limit")
    return View(
        is_wide=output.format == "wide",
        ink=ink_of(sys.stdout),
        present=clock.now(),
        limit=MOST_LINES if limit is None else int(limit),
        command="retire" if options.get("retire") else output.command,
        explains=bool(options.get("explain")),
        form=str(options.get("format") or "text"),
        is_in_jenkins=place_of(output.environment) is Place.JENKINS,
    )


def moment(at: object, present: str) -> str:
    """Return a time as people read it, with its age: `2026-01-31 02:03 (2 d ago)`."""
    text = str(at or "")
    if not text:
        return ""
    shown = text[:16].replace("T", " ")
    try:
        return f"{shown} ({clock.age(text, present)} ago)"
    except ValueError:
        return shown  # a record may hold another way to write a time


def table(rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """Return rows as lines with columns under each other; the first row is the heading.

    A column in which no row has a text is left out. A cell of hundreds of characters moves what is
    behind it in its own row alone.
    """
    rows = [[one(hide(cell)) for cell in row] for row in rows]
    kept = [
        number
        for number, column in enumerate(zip(*rows, strict=True))
        if any(column[1:]) or len(rows) == 1
    ]
    shown = [[row[number] for number in kept] for row in rows]
    widths = [
        max((length for length in map(len, column) if length <= _PADDED), default=0)
        for column in zip(*shown, strict=True)
    ]
    return [
        indent
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]


def narrow_table(rows: Iterable[Sequence[str]], indent: int = 0) -> list[str]:
    """Return a table that fits a terminal of 80 columns: what is longer is cut, the last most."""
    cut = [[_cut(cell, _WIDEST_CELL) for cell in row[:-1]] + [row[-1]] for row in rows]
    taken = [max(map(len, column)) + 2 for column in zip(*cut, strict=True)][:-1]
    room = max(_NARROWEST, _TABLE_WIDTH - indent - sum(taken))
    return table([*row[:-1], _cut(row[-1], room)] for row in cut)


def _cut(text: str, most: int) -> str:
    text = one(hide(text))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def wrapped(text: str, indent: str = "") -> list[str]:
    """Return a text as lines that fit the terminal, further ones indented by two more blanks.

    A word that is longer (a digest, a path) stays whole, so that it can be copied.
    """
    return textwrap.wrap(
        one(hide(text)),
        width(),
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def first_ones(lines: Sequence[str], limit: int, indent: str = "") -> list[str]:
    """Return the first lines, and how to see the others where there are more; limit 0: all."""
    if not limit or len(lines) <= limit:
        return list(lines)
    return [*lines[:limit], f"{indent}… {len(lines) - limit} more: --limit 0"]
