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
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, NamedTuple

from gitops_rollback.alarm import undisturbed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LARGEST_ANSWER = 100_000_000  # bytes of stdout
LONGEST_WORDS = 1_000_000  # bytes of stderr, which is for people: what comes after is let go
_CHUNK = 1 << 16


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
                bound_memory(running, memory)
            said = talk(running, stdin, seconds, most)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(running.pid, signal.SIGKILL)
        return running.returncode, said


def bound_memory(running: subprocess.Popen[bytes], most: int) -> None:
    """Let a program have so much memory; where the system has no such call, its time bounds it."""
    if not hasattr(resource, "prlimit"):
        return
    with suppress(ProcessLookupError):
        resource.prlimit(running.pid, resource.RLIMIT_DATA, (most, most))


def talk(
    running: subprocess.Popen[bytes], stdin: bytes, seconds: float, most: int = LARGEST_ANSWER
) -> Said:
    """Feed a process and read what it says until it ends: at most `most` bytes.

    Raises `subprocess.TimeoutExpired` after `seconds`, and `TooMuchError`; the process then still
    runs, and its pipes are open.
    """
    end = time.monotonic() + seconds
    feed, *ears = (_opened(pipe) for pipe in (running.stdin, running.stdout, running.stderr))
    left = memoryview(stdin)
    heard = {pipe.fileno(): bytearray() for pipe in ears}
    stdout, stderr = heard
    with selectors.DefaultSelector() as selector:
        for pipe in ears:
            selector.register(pipe, selectors.EVENT_READ)
        if left:
            os.set_blocking(feed.fileno(), False)
            selector.register(feed, selectors.EVENT_WRITE)
        else:
            feed.close()
        while selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            if not ready and time.monotonic() >= end:
                raise subprocess.TimeoutExpired(running.args, seconds)
            for key, _events in ready:
                if key.fd in heard:
                    chunk = os.read(key.fd, _CHUNK)
                    heard[key.fd] += chunk
                    is_at_end = not chunk
                else:
                    left = left[_fed(key.fd, left) :]
                    is_at_end = not left
                if is_at_end:
                    selector.unregister(key.fileobj)
                    if key.fd not in heard:
                        feed.close()
            if len(heard[stdout]) > most:
                raise TooMuchError
            del heard[stderr][LONGEST_WORDS:]
    running.wait(max(0.0, end - time.monotonic()))
    return Said(bytes(heard[stdout]), bytes(heard[stderr]))


def _opened(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the process was started without this pipe")
    return pipe


def _fed(descriptor: int, data: memoryview) -> int:
    """Write what a pipe takes; a process that hears no more has had enough of it all."""
    try:
        return os.write(descriptor, data[:_CHUNK])
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(data)
