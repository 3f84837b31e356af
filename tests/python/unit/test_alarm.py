"""The timer of `--timeout` ends what computes, and nothing that is pushed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import pytest

from gitops_rollback import alarm
from gitops_rollback.errors import OutOfTime


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm, "_GRACE", 0.0)


def test_a_pattern_that_has_no_end_is_ended() -> None:
    with pytest.raises(OutOfTime), alarm.bounded(0.1):
        re.match("(a|aa)*" * 20 + "$", "a" * 60 + "b")


def test_a_loop_is_ended_once_and_what_cleans_up_is_not_disturbed() -> None:
    cleaned = False

    def compute() -> None:
        nonlocal cleaned
        try:
            while True:
                pass
        finally:
            time.sleep(0.2)
            cleaned = True

    with pytest.raises(OutOfTime), alarm.bounded(0.05):
        compute()
    assert cleaned


def test_what_is_over_in_time_hears_nothing_afterwards() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with alarm.bounded(60):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_push_is_seen_through_and_what_follows_is_bounded_again() -> None:
    is_through = False

    def push_and_go_on() -> None:
        nonlocal is_through
        with alarm.seen_through():
            time.sleep(1.2)
            is_through = True
        time.sleep(60)

    with pytest.raises(OutOfTime), alarm.bounded(1):
        push_and_go_on()
    assert is_through


def test_what_has_seconds_of_its_own_takes_none_of_what_follows() -> None:
    with alarm.bounded(1000):
        began = time.monotonic()
        before = signal.getitimer(signal.ITIMER_REAL)[0]
        with alarm.lasting(5000):
            inside = time.monotonic()
            time.sleep(0.8)
            inside = time.monotonic() - inside
        remaining = signal.getitimer(signal.ITIMER_REAL)[0]
        total = time.monotonic() - began
    assert before - (total - inside) - 0.01 <= remaining <= before


def test_what_has_seconds_of_its_own_is_bounded_by_them() -> None:
    with pytest.raises(OutOfTime), alarm.bounded(60), alarm.lasting(0.05):
        time.sleep(5)
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_without_a_limit_there_is_no_timer() -> None:
    with alarm.bounded(0):
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


# The interpreter drops what is raised while it removes an object, and goes on.
DROPPED = """
import sys, time
from gitops_rollback import alarm, cli
from gitops_rollback.errors import OutOfTime

class Removed:
    def __del__(self):
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            pass

alarm._GRACE = 0.0
cli._catch_signals()
try:
    with alarm.bounded(0.1):
        Removed()
        time.sleep(20)
        print("deaf")
except OutOfTime:
    print("heard")
"""


def test_a_timer_that_rings_where_exceptions_are_dropped_rings_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DROPPED], capture_output=True, check=False, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("heard\n", "")
