"""Time, in one place, so that tests can set it: now, deadlines, and seconds by phase."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def now() -> str:
    """Return the present time in UTC, to the second: `2026-01-31T02:03:04Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def age(at: str, present: str) -> str:
    """Return how long before `present` something was, for people: `40 s`, `3 h`, `12 d`."""
    seconds = max(0, int(_epoch(present) - _epoch(at)))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _epoch(at: str) -> float:
    from calendar import timegm  # noqa: PLC0415 - needed only where an age is shown

    return float(timegm(time.strptime(at[:19], "%Y-%m-%dT%H:%M:%S")))


class Deadline:
    """A bound on all waiting for others, in seconds from its making."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """The seconds that are left, never less than zero."""
        return max(0.0, self._end - time.monotonic())


class Stopwatch:
    """Seconds spent in named phases; a phase entered again adds up."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._phases: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of a `with` block to a phase."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._phases[name] = self._phases.get(name, 0.0) + time.monotonic() - start

    def seconds(self) -> dict[str, float]:
        """Return the total and the phases, rounded to milliseconds."""
        total = {"total": time.monotonic() - self._start}
        return {name: round(value, 3) for name, value in {**total, **self._phases}.items()}
