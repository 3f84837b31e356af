"""Help of a command: the common case in some 20 lines, everything with `--help --all`."""

from __future__ import annotations

import textwrap
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from itertools import groupby
from typing import TYPE_CHECKING

from gitops_rollback.options import Kind, Row, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WIDTH = 100
_COLUMN = 26  # where the words begin
# Two lines at most each: what one types first, and what one types next.
EXAMPLES = {
    "record": ("record cart --image acme/cart:1.5.0",),
    "deploy": (
        "deploy cart --image acme/cart:1.5.0",
        "deploy cart --image acme/cart:1.5.1 --release",
    ),
    "plan": ("plan cart", "plan cart --to 1.4.2"),
    "rollback": (
        "rollback cart --reason 'checkout fails'",
        "rollback cart --to 1.4.2 --reason TEXT",
    ),
    "release": ("release cart --reason '1.5.1 fixes it'",),
    "history": ("history cart", "history cart --limit 100"),
    "stats": ("stats --since 90d", "stats cart --since 30d -o json"),
    "report": ("report cart --report-dir out",),
    "check": ("check", "check cart --storage"),
    "wait": ("deploy cart --image acme/cart:1.5.0 -o change.json", "wait --change change.json"),
    "services": ("services", "services --environment production"),
    "jobs": ("jobs install --library-url https://github.com/acme/gitops-rollback.git --dry-run",),
    "completion": ("completion bash --install",),
    "fields": ("fields apps/", "fields --prove apps/"),
}


def doc_of(module: str) -> str | None:
    """Return a module's text without importing it: that takes longer than all else of a help."""
    spec = find_spec(module)
    if spec is None or not isinstance(spec.loader, SourceFileLoader):
        return None
    code = spec.loader.get_code(module)
    doc = code.co_consts[0] if code else None  # what Python gives a module as its `__doc__`
    return doc if isinstance(doc, str) else None


def help_of(command: str, words: str | None, *, is_whole: bool) -> str:
    """Return the help of a command; `words` is its module's text.

    The short one has the options of the common case; the whole one has all, in groups.
    """
    rows = list(rows_of(command))
    arguments = [row for row in rows if row.is_argument]
    usage = " ".join(["gitops-rollback", command, *map(_argument, arguments), "[options]"])
    texts = (words or "").strip().split("\n\n")
    lines = [f"usage: {usage}", "", *(texts if is_whole else texts[:1])]
    shown = [row for row in rows if is_whole or row.is_basic]
    lines += _grouped(shown) if is_whole else ["", *_lines(shown)]
    lines += ["", "examples:", *(f"  gitops-rollback {line}" for line in EXAMPLES[command])]
    if not is_whole and len(shown) < len(rows):
        more = len(rows) - len(shown)
        lines += ["", f"{more} more options: gitops-rollback {command} --help --all"]
    return "\n".join(lines) + "\n"


def _argument(row: Row) -> str:
    return "|".join(row.choices) if row.kind is Kind.WORD else f"[{row.metavar} …]"


def _grouped(rows: Sequence[Row]) -> list[str]:
    lines = []
    for group, members in groupby(rows, key=lambda row: row.group):
        lines += ["", f"{group.value}:", *_lines(members)]
    return lines


def _lines(rows: Iterable[Row]) -> list[str]:
    return [line for row in rows for line in _entry(row)]


def _entry(row: Row) -> list[str]:
    name = _name(row)
    words = textwrap.wrap(row.help, _WIDTH - _COLUMN, break_on_hyphens=False)
    head = f"  {name}".ljust(_COLUMN)
    if len(name) + 4 > _COLUMN:
        return [head.rstrip(), *(" " * _COLUMN + line for line in words)]
    return [head + words[0], *(" " * _COLUMN + line for line in words[1:])]


def _name(row: Row) -> str:
    if row.is_argument:
        return "|".join(row.choices) if row.kind is Kind.WORD else row.metavar
    letter = f"-{row.letter}, " if row.letter else ""
    value = f"{{{','.join(row.choices)}}}" if row.choices else row.metavar
    return f"{letter}--{row.name} {value}".rstrip()
