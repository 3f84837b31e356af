"""The clock that `--timeout` runs by while this tool computes: a query, a pattern, a bomb in YAML.

Waiting for others has limits of its own (`clock.Deadline`), and better words. What computes asks
nobody, so the process's timer interrupts it: Python looks for signals between its instructions, and
its regular expressions do while they try. A push that has begun is seen through.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gitops_rollback.errors import OutOfTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

# In which what waits for others gives up by itself, and says whom it asked: seconds, and a part.
_GRACE, _PART = 2.0, 0.05
_AT_ONCE = 0.001  # seconds
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)

_end: float | None = None  # on the monotonic clock
_has_rung = False


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime`, once, in a `with` block that lasts longer than some seconds."""
    global _end, _has_rung  # noqa: PLW0603 - the process has one timer
    if threading.current_thread() is not threading.main_thread() or seconds <= 0:
        yield  # signals reach the main thread alone
        return
    _has_rung = False
    before = signal.signal(signal.SIGALRM, _ring)
    _end = time.monotonic() + seconds * (1 + _PART) + _GRACE
    _wind()
    try:
        yield
    finally:
        _end = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def seen_through() -> Iterator[None]:
    """Let a `with` block come to its end, however long it takes; what follows has what is left."""
    global _end  # noqa: PLW0603 - as above
    kept, _end = _end, None
    signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        _end = kept
        _wind()


@contextmanager
def lasting(seconds: float) -> Iterator[None]:
    """Give a `with` block some seconds of its own; what follows has what was left before it.

    For what waits for others longer than the run may compute: until a change really runs.
    """
    global _end  # noqa: PLW0603 - as above
    kept, began = _end, time.monotonic()
    if kept is None:
        yield
        return
    _end = began + seconds * (1 + _PART) + _GRACE
    _wind()
    try:
        yield
    finally:
        if _end is not None:  # it did not ring
            _end = kept + time.monotonic() - began
            _wind()


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


def has_rung() -> bool:
    """Tell whether the time of a run of this process was up: whatever was made of `OutOfTime`."""
    return _has_rung


def ring_again() -> None:
    """Raise once more what the interpreter dropped, as it does while it removes an object."""
    global _end  # noqa: PLW0603 - as above
    _end = time.monotonic()
    _wind()


def _wind() -> None:
    if _end is not None:
        signal.setitimer(signal.ITIMER_REAL, max(_AT_ONCE, _end - time.monotonic()))


def _ring(_number: int, _frame: FrameType | None) -> None:
    global _end, _has_rung  # noqa: PLW0603 - as above
    if _end is not None:
        _has_rung = True
        _end = None  # what cleans up afterwards is not disturbed
        raise OutOfTime
