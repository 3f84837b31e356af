"""Talk with a process: feed it, read what it says, within limits of time and size.

Git, the helpers that know a registry's login, and where asked what builds manifests (`builder`): no
other program is run.

`subprocess.communicate` keeps all that a process says. What git says is of the size of what
somebody else pushed: a commit of 3 kB can name a billion files, and a server may talk without end.
"""

from __future__ import annotations

import os
import resource
import selectors
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

LARGEST_ANSWER = 100_000_000  # bytes of stdout
LONGEST_WORDS = 1_000_000  # bytes of stderr, which is for people: what comes after is let go
_CHUNK = 1 << 16
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


class TooMuchError(Exception):
    """Raised when a process says more than is ever read."""


class Said(NamedTuple):
    """What a process has said."""

    stdout: bytes
    stderr: bytes


def ask(
    command: list[str],
    stdin: bytes,
    environment: Mapping[str, str],
    *,
    seconds: float,
    most: int,
    folder: Path | None = None,
    memory: int | None = None,
) -> tuple[int, Said]:
    """Run a program that answers shortly; return its exit code, and at most `most` bytes of it.

    It runs in a folder, and with at most so many bytes of memory, where these are given.
    Raises `OSError` where it cannot be started, `TimeoutError` and `TooMuchError`: it is ended
    then, with all that it has started.
    """
    pipe = subprocess.PIPE
    with (
        undisturbed() as go_on,
        subprocess.Popen(
            command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            cwd=folder,
            env=environment,
            start_new_session=True,
        ) as running,
    ):
        try:
            go_on()
            if memory is not None:
                _bound_memory(running, memory)
            said = talk(running, stdin, seconds, most)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(running.pid, signal.SIGKILL)
        return running.returncode, said


def _bound_memory(running: subprocess.Popen[bytes], most: int) -> None:
    """Let a program have so much memory; where the system has no such call, its time bounds it."""
    if not hasattr(resource, "prlimit"):
        return
    with suppress(ProcessLookupError):
        resource.prlimit(running.pid, resource.RLIMIT_DATA, (most, most))


@contextmanager
def undisturbed() -> Iterator[Callable[[], None]]:
    """Let signals that end a run wait, until the block ends or calls what it is given.

    Between the start of a process, or the making of a folder, and what sees to its end there is a
    moment in which a signal would leave it behind. It is Python that has to wait, not the system:
    another thread may be given the signal, and the handler runs in the main thread all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None  # no handler runs in it
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: came.append(number))
        for number in _ENDING
    }

    def go_on() -> None:
        for number in tuple(before):
            signal.signal(number, before.pop(number) or signal.SIG_DFL)
        while came:
            signal.raise_signal(came.pop())

    try:
        yield go_on
    finally:
        go_on()


def talk(
    running: subprocess.Popen[bytes], stdin: bytes, seconds: float, most: int = LARGEST_ANSWER
) -> Said:
    """Feed a process and read what it says until it ends: at most `most` bytes.

    Raises `subprocess.TimeoutExpired` after `seconds`, and `TooMuchError`; the process then still
    runs, and its pipes are open.
    """
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        stdout = _Ear(selector, _opened(running.stdout), most)
        stderr = _Ear(selector, _opened(running.stderr), LONGEST_WORDS)
        _Mouth(selector, _opened(running.stdin), stdin)
        while selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            if not ready and time.monotonic() >= end:
                raise subprocess.TimeoutExpired(running.args, seconds)
            for key, _events in ready:
                key.data.turn()
            if stdout.is_over:
                raise TooMuchError
    running.wait(max(0.0, end - time.monotonic()))
    return Said(b"".join(stdout.heard), b"".join(stderr.heard))


def _opened(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the process was started without this pipe")
    return pipe


class _Ear:
    """Reads one pipe to its end, and keeps the first `most` bytes."""

    def __init__(self, selector: selectors.BaseSelector, pipe: IO[bytes], most: int) -> None:
        self.heard: list[bytes] = []
        self.is_over = False
        self._left = most
        self._selector = selector
        self._pipe = pipe
        selector.register(pipe, selectors.EVENT_READ, self)

    def turn(self) -> None:
        """Read what is there."""
        chunk = os.read(self._pipe.fileno(), _CHUNK)
        if not chunk:
            self._selector.unregister(self._pipe)
        kept = chunk[: self._left]
        self._left -= len(kept)
        self.is_over = self.is_over or len(kept) < len(chunk)
        if kept:
            self.heard.append(kept)


class _Mouth:
    """Feeds one pipe and closes it; a process that hears no more has had enough."""

    def __init__(self, selector: selectors.BaseSelector, pipe: IO[bytes], data: bytes) -> None:
        self._left = memoryview(data)
        self._selector = selector
        self._pipe = pipe
        if data:
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_WRITE, self)
        else:
            pipe.close()

    def turn(self) -> None:
        """Write what the pipe takes."""
        try:
            self._left = self._left[os.write(self._pipe.fileno(), self._left[:_CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._left = self._left[:0]
        if not self._left:
            self._selector.unregister(self._pipe)
            self._pipe.close()
