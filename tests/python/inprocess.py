"""Runs the command in the tests' own process, as a process of its own would run it.

Starting Python and importing the package takes longer than most runs; where the process is not what
is tested, it is left out. Everything that a process has of its own is put there for the run and
taken away after it: environment, folder, standard streams (their descriptors too, which children
inherit), signal handlers, the timer, what is logged and where temporary files go. With
`GITOPS_TEST_PROCESSES=1` (`make test-long`) each run is a process after all.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from unittest.mock import patch

from gitops_rollback import cli

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

COMMAND = Path(sys.executable).parent / "gitops-rollback"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGHUP, signal.SIGPIPE)
_PATIENCE = 60  # seconds for a whole run, and for threads that it left


@dataclass(frozen=True)
class Done:
    """How a run ended, and the bytes that it wrote."""

    code: int
    stdout: bytes
    stderr: bytes


def run_command(
    arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, stdin: bytes = b""
) -> Done:
    """Run the command with exactly this environment; `arguments` come after its name."""
    if os.environ.get("GITOPS_TEST_PROCESSES") == "1":
        return run_process(arguments, environment, cwd, stdin)
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as out, _file() as err:
        asked.write(stdin)
        asked.seek(0)
        with ExitStack() as stack:
            stack.enter_context(_own_logging())
            stack.enter_context(_own_signals())
            stack.enter_context(_descriptors(asked, out, err))
            stack.enter_context(chdir(cwd))
            stack.enter_context(patch.dict(os.environ, environment, clear=True))
            stack.enter_context(patch.object(tempfile, "tempdir", None))
            stack.enter_context(_threads_ended())
            code = _exit_code(arguments, environment)
        return Done(code, _contents(out), _contents(err))


def run_process(
    arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, stdin: bytes = b""
) -> Done:
    """Run the installed command as a process of its own."""
    done = subprocess.run(
        [COMMAND, *arguments],
        env=environment,
        cwd=cwd,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=_PATIENCE,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def _exit_code(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    with patch.object(sys, "argv", [str(COMMAND), *arguments]):
        try:
            return cli.run(list(arguments), dict(environment))
        except SystemExit as leaving:  # of `--help`
            return leaving.code if isinstance(leaving.code, int) else int(bool(leaving.code))


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _contents(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


@contextmanager
def _descriptors(*files: IO[bytes]) -> Iterator[None]:
    """Put files in the place of the three standard streams, for Python and for children."""
    saved = (sys.stdin, sys.stdout, sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in range(3)]
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
    mine = [
        io.TextIOWrapper(
            open(number, "wb" if number else "rb", buffering=-1, closefd=False),  # noqa: SIM115
            encoding="utf-8",
            errors=errors,
            line_buffering=number == 2,
        )
        for number, errors in enumerate(("surrogateescape", "surrogateescape", "backslashreplace"))
    ]
    sys.stdin, sys.stdout, sys.stderr = mine
    try:
        yield
    finally:
        for stream in mine[1:]:
            stream.flush()
        sys.stdin, sys.stdout, sys.stderr = saved
        for stream in mine:
            stream.close()
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, number)
            os.close(descriptor)


@contextmanager
def _own_signals() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    hook = sys.unraisablehook
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook


@contextmanager
def _own_logging() -> Iterator[None]:
    """Take away what `--verbose` sets up: a process has it to its end."""
    root, ours = logging.getLogger(), logging.getLogger("gitops_rollback")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    root.handlers = []
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(levels[0])
        ours.setLevel(levels[1])


@contextmanager
def _threads_ended() -> Iterator[None]:
    """Wait, as the end of a process does, for the threads that are not for nothing but waiting."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if not thread.daemon:
            thread.join(_PATIENCE)
