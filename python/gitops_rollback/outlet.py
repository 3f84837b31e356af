r"""What leaves by stdout and stderr: without secrets, without controls, whatever happens.

Every text that is printed, by this tool, a library or Python itself, goes through an `Outlet`:
known secrets are hidden, and characters that a terminal or a log would obey (escapes, other
controls, bidi marks, invisible formats, bytes that are no UTF-8) are shown as `\x1b`. A line end
within a text that is one line is the caller's matter: see `tell.terminal.say`.

A stream that is closed, or a full disk behind it, never ends a run: what is lost is remembered in
`failure`, for `cli` to tell and to count.
"""

from __future__ import annotations

import atexit
import io
import logging
import os
import re
import sys
from contextlib import contextmanager, suppress
from errno import EBADF, EPIPE
from functools import cache
from os import strerror
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from gitops_rollback.late import dataclass, regex
from gitops_rollback.redaction import hide, hide_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST_LINE = 4000  # characters: longer ones are cut, for no line of this tool is
# Controls but tab and line end; formats that show nothing or turn the order of letters round; line
# and paragraph separators; halves of surrogate pairs (also what stands for bytes that are no
# UTF-8); private and unassigned invisible blocks (tags, variation selectors of the supplement).
UNSAFE = regex(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff"
    "\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# What a CI system that reads its log obeys: `::error …::` of GitHub's runner at the beginning of a
# line, and so wherever a line can be broken; `##[…]`, `##vso[…]` and the like of others anywhere.
_ORDER = regex(r"(?<!\S):(?=:[A-Za-z])|#(?=#(?:vso|teamcity)?\[)", re.IGNORECASE)
ESCAPED_BYTES = range(0xDC80, 0xDD00)  # how Python holds a byte that is no UTF-8


def escaped(text: str) -> str:
    r"""Return a text in which what a terminal would obey, or hide, is shown: `\x1b`, `\u202e`."""
    return UNSAFE.sub(lambda found: _shown(found[0]), text)


def one(text: str) -> str:
    """Return a text as one line: escaped, its line ends and tabs too, and cut where it is long.

    Nothing in it is an order to the CI system in whose log it may stand.
    """
    line = shortened(escaped(text).replace("\n", "\\n"))
    return _ORDER.sub(lambda found: _shown(found[0]), line)


def one_in(document: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a JSON document each of whose texts is one line, without secrets: to be printed."""
    return hide_in(document, cache(lambda text: one(hide(text))))


def shortened(line: str) -> str:
    """Return a line, cut where it is longer than any of this tool, saying how long it was."""
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[:LONGEST_LINE]}… ({len(line)} characters)"


def _shown(char: str) -> str:
    code = ord(char)
    if code in ESCAPED_BYTES:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:  # noqa: PLR2004 - Latin-1
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - the first plane


class Outlet(io.TextIOBase):
    """A text stream in front of another; whole lines go through at once, a rest when it is flushed.

    `failure` is what the stream behind answered when it took no more; then nothing is written.
    """

    def __init__(self, behind: TextIO | None) -> None:
        self._behind = behind
        self._waiting: list[str] = []
        self.failure: OSError | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream behind."""
        return getattr(self._behind, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Tell whether a person looks on."""
        try:
            return self._behind is not None and self._behind.isatty()
        except ValueError:  # it is closed
            return False

    def fileno(self) -> int:
        """Return the descriptor behind, for what asks for the size of the terminal."""
        if self._behind is None:
            raise io.UnsupportedOperation("there is no stream")
        return self._behind.fileno()

    def writable(self) -> bool:
        """Say that one can write here."""
        return True

    def write(self, text: str) -> int:
        """Take a text; what is complete up to a line end goes out."""
        whole, line_end, rest = text.rpartition("\n")
        if line_end:
            self._send(escaped(hide("".join((*self._waiting, whole, line_end)))))
            self._waiting.clear()
        if rest:
            self._waiting.append(rest)
        return len(text)

    def write_own(self, text: str) -> None:
        """Write what this tool itself says to a terminal, with its escape sequences."""
        self.flush()
        self._send(hide(text))
        self.flush()

    def flush(self) -> None:
        """Let everything out."""
        text = "".join(self._waiting)
        self._waiting.clear()
        if text:
            self._send(escaped(hide(text)))
        if self._behind is not None and self.failure is None:
            self._try(self._behind.flush)

    def _send(self, text: str) -> None:
        if self._behind is None:
            self.failure = OSError(EBADF, strerror(EBADF))
        elif self.failure is None:
            printable = text.encode(self.encoding, "backslashreplace").decode(self.encoding)
            self._try(lambda: self._behind.write(printable) if self._behind else 0)

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            self.failure = error
        except ValueError:  # it was closed by this process
            self.failure = OSError(EBADF, strerror(EBADF))


class OneLine(logging.Formatter):
    """Writes an entry of the log on one line, whatever stands in it; a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return one(hide(record.getMessage())) + trace


@dataclass
class Streams:
    """The two ways out of one run; `is_changed` says that something was pushed."""

    stdout: Outlet
    stderr: Outlet
    is_changed: bool = False

    def counted(self, code: int) -> int:
        """Return the exit code of a run, as it is where the result could not be printed.

        A reader that closed the pipe has had enough. A disk that is full is an error, but not where
        a change was made: then the code is that of the change.
        """
        self.stdout.flush()
        failure = self.stdout.failure
        if failure is not None and (failure.errno != EPIPE or self.is_changed):
            reason = failure.strerror or failure
            self.stderr.write(f"error: the result cannot be written to stdout: {reason}\n")
        self.stderr.flush()
        is_over = failure is None or failure.errno in (EPIPE, EBADF) or self.is_changed
        return code if is_over or code else 1


_open: Streams | None = None


@contextmanager
def opened() -> Iterator[Streams]:
    """Put outlets before stdout and stderr for a `with` block."""
    global _open  # noqa: PLW0603 - the process has one pair of streams
    before = sys.stdout, sys.stderr
    streams = Streams(Outlet(before[0]), Outlet(before[1]))
    _open = streams
    sys.stdout, sys.stderr = streams.stdout, streams.stderr
    try:
        yield streams
    finally:
        sys.stdout, sys.stderr = before
        _open = None


def note_change() -> None:
    """Remember that something was pushed: from now on the exit code is that of the change."""
    if _open is not None:
        _open.is_changed = True


def write_own(text: str) -> None:
    """Write escape sequences of this tool's own to stderr: a line that goes away."""
    if isinstance(sys.stderr, Outlet):
        sys.stderr.write_own(text)
    else:
        sys.stderr.write(text)
        sys.stderr.flush()


def leave(code: int) -> NoReturn:
    """End the process with a code, whatever has become of its streams.

    What is registered for the end of the process is done, and the interpreter is not taken down: a
    third of the CPU of a short run went into that; it flushes once more, and makes 120 of every
    code where that fails; and a thread that wakes meanwhile aborts the process.
    """
    atexit._run_exitfuncs()  # noqa: SLF001 - what else ends a process does that, too
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
    os._exit(code)
