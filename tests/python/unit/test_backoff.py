"""Pauses after lost races: the turn of this machine, else as long as tries take."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from threading import Event, Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from gitops_rollback import alarm
from gitops_rollback.clock import Deadline, Stopwatch
from gitops_rollback.errors import RepositoryError
from gitops_rollback.repo.objects import Tip
from gitops_rollback.repo.process import TimeIsUpError
from gitops_rollback.repo.repository import Repository
from gitops_rollback.repo.turn import Turn
from gitops_rollback.write.commit import Committer, Work

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = 60.0  # seconds that no test comes to wait


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "turns" / "main"


def test_a_turn_is_had_by_one_at_a_time_and_given_on(path: Path) -> None:
    first, second = Turn(path), Turn(path)
    assert first.wait(LONG, LONG)
    assert first.is_ours
    assert not second.wait(0.0, LONG), "there is no time to wait"
    assert not second.wait(LONG, 0.0), "it does not go round"
    assert not second.is_ours
    first.end()
    assert second.wait(0.0, 0.0)


def test_it_is_waited_for_as_long_as_it_goes_round(path: Path) -> None:
    """Each look finds that another run has taken it, so it is never stuck."""
    holder = Turn(path)
    looks: list[int] = []
    assert holder.wait(LONG, LONG)

    def look(_seconds: float) -> None:
        looks.append(len(looks))
        os.utime(path, ns=(0, 1000 + len(looks)))
        if len(looks) == 9:
            holder.end()

    with patch("gitops_rollback.repo.turn.time.sleep", look):
        assert Turn(path).wait(LONG, 0.0)
    assert len(looks) == 9


def test_who_waits_gets_it_when_it_is_given_on(path: Path) -> None:
    holder, waiter, done = Turn(path), Turn(path), Event()
    assert holder.wait(LONG, LONG)

    def wait() -> None:
        if waiter.wait(LONG, LONG):
            done.set()

    thread = Thread(target=wait)
    thread.start()
    holder.end()
    assert done.wait(LONG)
    thread.join()


def test_the_turn_of_a_run_that_was_killed_is_free(path: Path) -> None:
    code = (
        "import os, sys, pathlib; from gitops_rollback.repo.turn import Turn\n"
        "assert Turn(pathlib.Path(sys.argv[1])).wait(9, 9); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -9
    assert Turn(path).wait(0.0, 0.0)


def test_where_there_is_no_place_for_it_all_goes_on_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not Turn(tmp_path / "file" / "main").wait(LONG, LONG)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert not Turn(tmp_path / "link").wait(LONG, LONG)
    assert not (tmp_path / "elsewhere").exists()


@pytest.fixture
def committer(tmp_path: Path) -> Iterator[Committer]:
    environment = {**os.environ, "HOME": str(tmp_path)}
    with Repository("https://git.example/m.git", environment, Deadline(LONG)) as repository:
        made = Committer(repository, Deadline(LONG), Stopwatch(lambda _phase: None), dry_run=False)
        yield made
        made.close()


def test_a_push_that_is_late_is_told_of_though_the_timer_of_the_run_would_ring(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = Tip("main", "a" * 40)
    commit: Any = SimpleNamespace(files={}, message="")

    def push(*_swap: object) -> None:
        time.sleep(0.3)
        raise TimeIsUpError("git push did not end", "look")

    monkeypatch.setattr(alarm, "_GRACE", 0.0)
    monkeypatch.setattr(committer.repository, "write", lambda *_what: "b" * 40)
    monkeypatch.setattr(committer.repository, "push", push)
    monkeypatch.setattr(committer.repository, "remote_tip", lambda *_who, **_how: tip.commit)
    with (
        _signals_as_before(),
        alarm.bounded(0.1),
        pytest.raises(RepositoryError, match=f"main is as before, at {tip.commit[:12]}"),
    ):
        committer.deliver(Work(tip, commit))


@contextmanager
def _signals_as_before() -> Iterator[None]:
    ends = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in ends]
    yield
    for number, handler in zip(ends, before, strict=True):
        signal.signal(number, handler)


def pauses(committer: Committer, seconds: float, *, hurries: bool = False) -> list[float]:
    """The longest pause that may be drawn at the first loss and at the second; none is a turn."""
    drawn: list[float] = []

    def draw(shortest: float, longest: float) -> float:
        assert shortest == 0
        drawn.append(longest)
        return longest

    with patch("random.uniform", draw), patch("gitops_rollback.write.commit.time.sleep") as sleep:
        for lost in (1, 2):
            committer.pause(lost, seconds, "main", hurries=hurries)
        assert [call.args[0] for call in sleep.call_args_list] == drawn
    return drawn


def test_who_has_lost_takes_the_turn_and_pauses_only_where_that_does_not_help(
    committer: Committer,
) -> None:
    """Then somebody of another machine, or who hurries, was faster."""
    assert pauses(committer, 0.5) == [2.0]


def test_where_nobody_gives_the_turn_on_the_pause_is_measured_by_a_try(
    committer: Committer,
) -> None:
    other = Turn(committer.repository.turn.path)
    assert other.wait(LONG, LONG)
    with patch("gitops_rollback.write.commit._STUCK", -1):
        assert pauses(committer, 0.5) == [2.0, 2.0]
    assert not Turn(committer.repository.turn.path).wait(0.0, 0.0)


def test_who_finds_another_run_about_to_push_waits_and_reads_the_branch_again(
    committer: Committer,
) -> None:
    other = Turn(committer.repository.turn.path)
    assert other.wait(LONG, LONG)
    with patch("gitops_rollback.repo.turn.time.sleep", lambda _seconds: other.end()):
        assert not committer.may_push("main", 0.5)
    assert committer.may_push("main", 0.5), "the turn is ours now"
    committer.close()
    with patch("gitops_rollback.repo.early_push.begin") as asks_ahead:
        committer.begin()
    asks_ahead.assert_called_once()
    assert not Turn(committer.repository.turn.path).wait(0.0, 0.0), "it was free, and is ours"
    assert committer.may_push("main", 0.5)


def test_who_finds_another_run_at_it_asks_nothing_ahead_of_a_push(committer: Committer) -> None:
    other = Turn(committer.repository.turn.path)
    assert other.wait(LONG, LONG)
    with patch("gitops_rollback.repo.early_push.begin") as asks_ahead:
        committer.begin()
        other.end()
        committer.dry_run = True
        committer.begin()
    assert not asks_ahead.called


def test_a_rollback_and_who_cannot_wait_push_beside_another_run(committer: Committer) -> None:
    other = Turn(committer.repository.turn.path)
    assert other.wait(LONG, LONG)
    assert committer.may_push("main", 0.5, hurries=True)
    with patch("gitops_rollback.write.commit._STUCK", -1):
        assert committer.may_push("main", 0.5), "nobody gives the turn on"


def test_a_rollback_waits_for_nobody_and_pauses_less(committer: Committer) -> None:
    other = Turn(committer.repository.turn.path)
    assert other.wait(LONG, LONG)
    assert pauses(committer, 0.5, hurries=True) == [0.5, 0.5]


def test_no_pause_takes_the_time_of_the_next_try(committer: Committer) -> None:
    with patch("random.uniform", lambda _shortest, longest: longest):
        with patch("gitops_rollback.write.commit.time.sleep") as sleep:
            committer.pause(1, LONG - 1, "main", hurries=True)
        assert sleep.call_args.args[0] <= 1
        committer.deadline = Deadline(0)
        with pytest.raises(RepositoryError, match="main moved 3 times while this was being pushed"):
            committer.pause(3, 0.1, "main")
