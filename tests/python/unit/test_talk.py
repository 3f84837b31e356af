"""A process is fed and heard within limits of time and size."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_rollback import alarm
from gitops_rollback.clock import Deadline
from gitops_rollback.errors import OutOfTime, RepositoryError
from gitops_rollback.repo import process
from gitops_rollback.repo import talk as talking
from gitops_rollback.repo.process import Git, stop
from gitops_rollback.repo.talk import TooMuchError, talk

if TYPE_CHECKING:
    from pathlib import Path


def started(program: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys, time\n{program}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def said(program: str, stdin: bytes = b"", seconds: float = 20) -> talking.Said:
    running = started(program)
    try:
        return talk(running, stdin, seconds)
    finally:
        stop(running)


ECHO = "data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data); sys.stderr.write('done')"


@settings(max_examples=5)
@given(st.binary(max_size=300))
def test_what_is_fed_arrives_and_what_is_said_is_heard(data: bytes) -> None:
    assert said(ECHO, data * 1000) == (data * 1000, b"done")


def test_more_than_a_pipe_holds_goes_both_ways_at_once() -> None:
    program = (
        "import shutil\nshutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer, 1000)\n"
        "sys.stderr.write('x' * 300000)"
    )
    data = bytes(range(256)) * 20_000
    assert said(program, data) == (data, b"x" * 300_000)


def test_a_process_that_hears_nothing_is_no_error() -> None:
    assert said("sys.stdin.close(); print('enough')", b"x" * 1_000_000).stdout == b"enough\n"


def test_a_process_that_says_nothing_in_time_is_given_up() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        said("time.sleep(600)", seconds=0.3)


def test_a_process_that_closes_its_pipes_and_stays_is_given_up() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        said("import os\nos.close(1); os.close(2); time.sleep(60)", seconds=1)


def test_a_process_that_says_too_much_is_not_heard_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(talking, "LARGEST_ANSWER", 100_000)
    with pytest.raises(TooMuchError):
        said("while True: sys.stdout.write('x' * 1000)")
    assert len(said("sys.stdout.write('x' * 100000)").stdout) == 100_000


def test_words_for_people_are_cut_and_the_answer_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talking, "LONGEST_WORDS", 1000)
    heard = said("sys.stderr.write('x' * 1000000); print('fine')")
    assert heard == (b"fine\n", b"x" * 1000)


def test_a_pipe_that_fails_ends_git_and_is_no_bug(tmp_path: Path) -> None:
    git = Git(tmp_path, "https://git.example/shop.git", os.environ, Deadline(20))
    running = git.start("hash-object", "--stdin")
    assert running.stdin is not None
    running.stdin.close()
    nobody = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # a write fails: not connected
    running.stdin = open(nobody.detach(), "wb", 0)  # noqa: PTH123, SIM115 - `stop` closes it
    with pytest.raises(RepositoryError, match="git hash-object was ended: it could not be talked"):
        git.finish(running, stdin=b"a manifest")
    assert running.poll() is not None


@pytest.mark.parametrize("deadline", [60, 0.05], ids=["waited for", "ended"])
def test_the_timer_that_rings_while_git_is_waited_for_or_ended_tells_of_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deadline: float
) -> None:
    """On a busy machine that takes longer than what the timer gives beyond the deadline."""
    monkeypatch.setattr(alarm, "_GRACE", 0.0)
    git = Git(tmp_path, str(tmp_path), {"PATH": os.environ["PATH"]}, Deadline(deadline))
    running = git.start("-c", "alias.wait=!trap '' TERM; sleep 5", "wait")
    with pytest.raises(OutOfTime) as ring, alarm.bounded(0.3):
        git.finish(running)
    assert f"did not end within --timeout {deadline:g} s" in str(ring.value.told)
    git.end()
    assert running.poll() is not None


def test_a_message_of_any_size_takes_no_memory_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_MOST_OF_LOG", 50_000_000)
    git = Git(tmp_path, str(tmp_path), os.environ, Deadline(60))
    git.run("init", "--bare", ".")
    tree = git.run("hash-object", "-t", "tree", "-w", "--stdin").stdout.decode().strip()
    commit = f"tree {tree}\nauthor x <x> 0 +0000\ncommitter x <x> 0 +0000\n\n"
    for size in (10, 40_000_000):
        data = commit.encode() + b"x" * size
        oid = git.run("hash-object", "-t", "commit", "-w", "--stdin", stdin=data).stdout.decode()
        if size == 10:
            assert git.run("log", "--format=%B", oid.strip()).stdout.strip() == b"x" * 10
    with pytest.raises(RepositoryError, match="git log says more than") as error:
        git.run("log", "--format=%B", oid.strip())
    assert "deploy the image to go back to" in error.value.hint


CHILD = "import subprocess\nchild = subprocess.Popen([sys.executable, '-c', '''{}'''])\n"
SLEEP = "import time; time.sleep(600)"


def test_what_an_ended_process_has_started_writes_nothing_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_CHILDREN", 60)
    late = tmp_path / "late"
    child = f"import pathlib, time; time.sleep(1); pathlib.Path('{late}').touch()"
    running = started(CHILD.format(child) + "print(flush=True)\n" + SLEEP)
    assert running.stdout is not None
    assert running.stdout.readline() == b"\n"
    stop(running)
    assert late.exists()


def test_what_outlives_a_process_for_good_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "_CHILDREN", 0.1)
    running = started(CHILD.format(SLEEP) + f"print(child.pid, flush=True)\n{SLEEP}")
    assert running.stdout is not None
    child = int(running.stdout.readline())
    stop(running)
    os.kill(child, signal.SIGKILL)  # it is there to be ended
