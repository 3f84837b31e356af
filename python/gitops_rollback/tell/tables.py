"""Tables and wrapped lines, as wide as the terminal. Pure, but for its width."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from gitops_rollback.outlet import one
from gitops_rollback.redaction import hide
from gitops_rollback.tell.terminal import width

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NARROWEST = 30  # columns that a last cell keeps
_TABLE_WIDTH = 80
_WIDEST_CELL = 20


def table(rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """Return rows as lines with columns under each other; the first row is the heading.

    A column in which no row has a text is left out.
    """
    rows = [[one(hide(cell)) for cell in row] for row in rows]
    kept = [
        number
        for number, column in enumerate(zip(*rows, strict=True))
        if any(column[1:]) or len(rows) == 1
    ]
    shown = [[row[number] for number in kept] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*shown, strict=True)]
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
