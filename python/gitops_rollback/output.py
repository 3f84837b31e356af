"""Results: tables and lines for people on stderr, JSON for programs in a file."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import UsageError
from gitops_rollback.outlet import (
    ESCAPED_BYTES,
    UNSAFE,
    escaped,
    note_change,
    one,
    shortened,
    write_own,
)
from gitops_rollback.redaction import hide, hide_in

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Sequence

    from gitops_rollback.errors import GitopsRollbackError

_NARROWEST = 30  # columns
_TABLE_WIDTH = 80
_WIDEST_CELL = 20
_TARGET_HINT = "give a file in a folder one can write to with --output"


_CLEAR = "\r\x1b[K"
_DOING = {
    "fetch": "fetching the tip of the manifests repository",
    "decide": "looking for the image",
    "edit": "editing the manifests",
    "push": "pushing",
    "merge": "waiting for the merge",
}


def say(*lines: str) -> None:
    """Print lines for people; each stays one line, whatever stands in it."""
    show_progress(None)
    if not lines:
        return
    # All at once: a secret may go over several lines.
    for line in hide("\n".join(map(one, lines))).split("\n"):
        print(line, file=sys.stderr)  # noqa: T201 - the one place that prints


def say_text(text: str) -> None:
    """Print a text of several lines, as a difference is."""
    say(*text.split("\n"))


def show_progress(phase: str | None) -> None:
    """Show on a terminal what is being done, in a line that goes away; in a log show nothing."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return
    text = f"{_DOING.get(phase, phase)} …" if phase else ""
    write_own(_CLEAR + text)


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return rows as lines with columns under each other; the first row is the heading."""
    rows = [[one(hide(cell)) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def narrow_table(rows: Iterable[Sequence[str]], indent: int = 0) -> list[str]:
    """Return a table that fits a terminal of 80 columns: what is longer is cut, the last most."""
    cut = [[_cut(cell, _WIDEST_CELL) for cell in row[:-1]] + [row[-1]] for row in rows]
    taken = [max(map(len, column)) + 2 for column in zip(*cut, strict=True)][:-1]
    room = max(_NARROWEST, _TABLE_WIDTH - indent - sum(taken))
    return table([*row[:-1], _cut(row[-1], room)] for row in cut)


def _cut(text: str, width: int) -> str:
    text = one(hide(text))
    return text if len(text) <= width else f"{text[: width - 1]}…"


def wrapped(text: str, indent: str = "") -> list[str]:
    """Return a text as lines that fit the terminal, further ones indented by two more blanks.

    A word that is longer (a digest, a path) stays whole, so that it can be copied.
    """
    return textwrap.wrap(
        one(hide(text)),
        max(_NARROWEST, shutil.get_terminal_size().columns),
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def check_target(target: str | None) -> None:
    """Raise `UsageError` if a result could not be written: before anything is done for it."""
    if target is None or target == "-":
        return
    path = Path(target)
    if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        reason = "it is a folder" if path.is_dir() else f"{path.parent} is no folder to write to"
        raise UsageError(f"the result cannot be written to {target}: {reason}", _TARGET_HINT)


def write_result(result: dict[str, Any], target: str | None) -> None:
    """Write a result: to a file by rename, to stdout where the target is `-`, else nowhere.

    Raises `UsageError` where it cannot be written, but not for a change that was pushed: then it is
    said, and the run is what the change is.
    """
    if "commit" in result and result.get("changed"):
        note_change()
    if target is None:
        return
    text = json_text({"schemaVersion": 1, **result})
    if target == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        _replace(Path(target), text)
    except OSError as error:
        reason = f"the result cannot be written to {target}: {error.strerror or error}"
        if not ("commit" in result and result.get("changed")):
            raise UsageError(reason, _TARGET_HINT) from error
        say(f"warning: {reason}; the change is done: {result['commit']} is pushed")


def json_text(document: dict[str, Any]) -> str:
    """Return a result as JSON, without secrets, and with escapes for what a terminal would obey."""
    text = json.dumps(hide_in(document), indent=1, ensure_ascii=False)
    return UNSAFE.sub(_in_json, text) + "\n"


def _in_json(found: re.Match[str]) -> str:
    r"""Return a character as JSON's own escape; a byte that is no UTF-8 as the text `\xe9`."""
    shown = escaped(found[0])
    return f"\\{shown}" if ord(found[0]) in ESCAPED_BYTES else json.dumps(found[0])[1:-1]


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, and leave nothing else behind."""
    descriptor, name = tempfile.mkstemp(prefix=".gitops-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def error_to_json(error: GitopsRollbackError) -> dict[str, Any]:
    """Return an error as it stands in results, beside what was found."""
    code = {"code": error.code} if error.code else {}
    message, hint = (shortened(hide(text)) for text in (error.message, error.hint))
    body = {"category": error.category, **code, "message": message, "hint": hint}
    return {**error.found, "error": body}
