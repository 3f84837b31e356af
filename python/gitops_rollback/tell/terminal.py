"""The terminal: results on stdout, all else on stderr, colour and progress for people only."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from typing import TYPE_CHECKING, TextIO

from gitops_rollback.late import dataclass, regex
from gitops_rollback.outlet import Outlet, escaped, one, write_own
from gitops_rollback.redaction import hide
from gitops_rollback.refusals import Place, place_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_CLEAR = "\r\x1b[K"
_NARROWEST = 30  # columns
_DOING = {
    "fetch": "fetching the tip of the manifests repository",
    "decide": "looking for the image",
    "edit": "editing the manifests",
    "push": "pushing",
    "merge": "waiting for the merge",
}
_LONG, _AGAIN = 10.0, 60.0  # seconds until what is waited for is told, and told again
_STYLES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "dim": "2"}
_OWN = regex(r"(\x1b\[(?:[012]|3[123])m)")  # what `Ink` writes


@dataclass(frozen=True)
class Ink:
    """Colours a text, on a terminal that takes colour; anywhere else it stays as it is."""

    is_on: bool = False

    def __call__(self, text: str, style: str) -> str:
        """Return a text in a style: `bold`, `red`, `green`, `yellow`, `dim`."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.is_on and text else text


def ink_of(stream: TextIO) -> Ink:
    """Return the colours for a stream; none where it is no terminal, or NO_COLOR is set.

    NO_COLOR as https://no-color.org says: set to anything but an empty text.
    """
    return Ink(is_terminal(stream) and not os.environ.get("NO_COLOR"))


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a person looks at a stream, on a terminal that can do more than print."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def width() -> int:
    """Return how many columns a line may have."""
    return max(_NARROWEST, shutil.get_terminal_size().columns)


def say(*lines: str) -> None:
    """Print progress, warnings and errors: lines for people that are no result.

    Each stays one line, whatever stands in it.
    """
    _clear_progress()
    if not lines:
        return
    if place_of(os.environ) is Place.JENKINS:
        from gitops_rollback.tell.jenkins import in_words_of_jenkins  # noqa: PLC0415 - there alone

        lines = tuple(map(in_words_of_jenkins, lines))
    ink = ink_of(sys.stderr)
    # All at once: a secret may go over several lines.
    for line in hide("\n".join(map(one, lines))).split("\n"):
        _print(_painted(line, ink), sys.stderr, ink)


def show(lines: Iterable[str]) -> None:
    """Print a result, or a part of it."""
    _clear_progress()
    ink = ink_of(sys.stdout)
    for line in lines:
        _print(line, sys.stdout, ink)
    sys.stdout.flush()


def _print(line: str, stream: TextIO, ink: Ink) -> None:
    """Print a line; with colours by the way that lets escapes of this tool's own through."""
    if ink.is_on and isinstance(stream, Outlet):
        parts = _OWN.split(line)
        stream.write_own(
            "".join(escaped(text) if n % 2 == 0 else text for n, text in enumerate(parts))
        )
        stream.write_own("\n")
    else:
        stream.write(f"{line}\n")


def show_progress(phase: str | None) -> None:
    """Show on a terminal what is being done, in a line that goes away.

    In a log nothing is shown as long as it goes well; what lasts is told once in a while.
    """
    if not is_terminal(sys.stderr):
        _reminder.watch(phase)
        return
    text = f"{_DOING.get(phase, phase)} …" if phase else ""
    write_own(_CLEAR + text)


def _painted(line: str, ink: Ink) -> str:
    for start, style in (("error:", "red"), ("warning:", "yellow"), ("hint:", "bold")):
        if line.startswith(start):
            return ink(start, style) + line.removeprefix(start)
    return line


def _clear_progress() -> None:
    if is_terminal(sys.stderr):
        write_own(_CLEAR)


class _Reminder:
    """Says in a log what is waited for, if it lasts: so that nobody waits without a word."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def watch(self, phase: str | None) -> None:
        """Watch another phase from now on, or none."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if phase is not None:
            self._start(phase, _LONG, _LONG)

    def _start(self, phase: str, wait: float, lasted: float) -> None:
        self._timer = threading.Timer(wait, self._tell, (phase, lasted))
        self._timer.daemon = True
        self._timer.start()

    def _tell(self, phase: str, lasted: float) -> None:
        sys.stderr.write(f"still {_DOING.get(phase, phase)} after {lasted:g} s …\n")
        self._start(phase, _AGAIN, lasted + _AGAIN)


_reminder = _Reminder()
