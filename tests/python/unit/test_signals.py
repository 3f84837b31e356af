"""A signal ends the command, wherever in the interpreter it arrives."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.clock import Deadline
from gitops_rollback.errors import Exit, Interrupted
from gitops_rollback.repo.process import Git
from gitops_rollback.scratch import folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The interpreter drops what is raised while it removes an object, and goes on.
PROGRAM = """
import os, signal, time
from gitops_rollback import cli
from gitops_rollback.errors import Interrupted

class Removed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _turn in range(100_000):
            pass

cli._catch_signals()
try:
    Removed()
    time.sleep(20)
    print("deaf")
except Interrupted:
    print("heard")
"""


def test_a_signal_that_arrives_where_exceptions_are_dropped_is_not_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, check=False, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("heard\n", "")


# As a service manager, or the end of a session, sends them.
TOGETHER = """
import os, signal, sys, time
from gitops_rollback import cli

def dispatch(*_arguments):
    both = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, both)
    for number in both:
        os.kill(os.getpid(), number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
    time.sleep(20)

cli._dispatch = dispatch
sys.exit(cli._run(["services"], {}))
"""


def test_signals_that_come_together_end_it_once_and_without_a_traceback() -> None:
    line = [sys.executable, "-c", TOGETHER]
    done = subprocess.run(line, capture_output=True, check=False, text=True, timeout=60)
    assert done.returncode == Exit.INTERRUPTED
    assert done.stderr.count("error: interrupted before anything was pushed") == 1
    assert "Traceback" not in done.stderr
    assert "race" not in done.stderr


# As `from _ssl import RAND_egd` does of one that arrives while it looks for that name.
MADE_ANOTHER = """
import os, signal, sys, time
from gitops_rollback import alarm, cli
from gitops_rollback.errors import Interrupted, OutOfTime

alarm._GRACE = 0.0

def dispatch(*_arguments):
    try:
        if "signal" in sys.argv:
            os.kill(os.getpid(), signal.SIGTERM)
        with alarm.bounded(0.01 if "timer" in sys.argv else 60):
            time.sleep(20 if "timer" in sys.argv else 0)
    except (Interrupted, OutOfTime):
        pass
    raise TypeError("expected a message argument")

cli._dispatch = dispatch
sys.exit(cli._run(["services"], {}))
"""


@pytest.mark.parametrize(
    ("why", "code", "words"),
    [
        ("signal", Exit.INTERRUPTED, "error: interrupted; what was pushed before, if anything"),
        ("timer", Exit.FAILED, "error: the run took longer than --timeout allows"),
        ("nothing", Exit.BUG, "has a bug: TypeError: expected a message argument"),
    ],
)
def test_what_c_code_makes_of_a_signal_or_the_timer_is_no_bug(
    why: str, code: Exit, words: str
) -> None:
    line = [sys.executable, "-c", MADE_ANOTHER, why]
    done = subprocess.run(line, capture_output=True, check=False, text=True, timeout=60)
    assert done.returncode == code
    assert words in done.stderr
    assert ("Traceback" in done.stderr) is (code == Exit.BUG)


AT_THE_BEGINNING = """
import os, signal, sys
from gitops_rollback import cli

sys.argv = ["gitops-rollback", "services"]
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore it
cli.run = lambda *_arguments: os.kill(os.getpid(), signal.SIGINT)
cli.main()
"""


def test_an_interrupt_before_anything_is_begun_has_no_traceback() -> None:
    line = [sys.executable, "-c", AT_THE_BEGINNING]
    done = subprocess.run(line, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


@pytest.fixture
def _interrupts() -> Iterator[None]:
    def interrupt(_number: int, _frame: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_interrupts")
def test_a_git_in_whose_start_a_signal_arrives_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def start(*arguments: Any, **settings: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401 - of it
        started.append(real(*arguments, **settings))
        os.kill(os.getpid(), signal.SIGTERM)
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", start)
    git = Git(tmp_path, str(tmp_path), {"PATH": os.environ["PATH"]}, Deadline(60))
    with pytest.raises(Interrupted):
        git.start("hash-object", "--stdin")
    assert started[0].poll() is None
    git.end()
    assert started[0].poll() is not None


@pytest.mark.usefixtures("_interrupts")
def test_a_folder_in_whose_removal_a_signal_arrives_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.rmtree

    def remove(path: Path, **settings: Any) -> None:  # noqa: ANN401 - of it
        os.kill(os.getpid(), signal.SIGTERM)
        real(path, **settings)

    monkeypatch.setattr(shutil, "rmtree", remove)
    with pytest.raises(Interrupted), folder(tmp_path, "run-") as own:
        (own.path / "a").touch()
    assert list(tmp_path.iterdir()) == []
