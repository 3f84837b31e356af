"""Time, in one place, so that tests can set it: now, deadlines, and seconds by phase."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gitops_rollback.late import regex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

PHASES = ("fetch", "decide", "edit", "push")
_AGE = regex(
    r"(?:(\d{1,6}) ?d)? ?(?:(\d{1,6}) ?h)? ?(?:(\d{1,6}) ?m(?:in)?)? ?(?:(\d{1,6}) ?s)?", re.ASCII
)


def now() -> str:
    """Return the present time in UTC, to the second: `2026-01-31T02:03:04Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def moment(seconds: float) -> str:
    """Return the time some seconds ago in UTC, to the millisecond: `2026-01-31T02:03:04.567Z`."""
    at = time.time() - seconds
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03}Z"


def age(at: str, present: str) -> str:
    """Return how long before `present` something was, for people: `40 s`, `3 h`, `12 d`."""
    seconds = max(0, int(_epoch(present) - _epoch(at)))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def instant(text: str, present: str) -> str:
    """Return a past time as `now` writes it: an age (`2h`, `1d12h`, `90 s`), or a time with offset.

    Raises `ValueError`, saying why, for anything else: a time without an offset could be meant
    anywhere on earth.
    """
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - needed for --as-of alone

    parts = _AGE.fullmatch(text.strip().lower())
    here = datetime.fromisoformat(present)
    if parts is not None and any(parts.groups()):
        days, hours, minutes, seconds = (int(part or 0) for part in parts.groups())
        try:
            meant = here - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        except OverflowError as error:
            raise ValueError("is older than time itself") from error
    else:
        meant = _with_offset(text)
    if meant > here:
        raise ValueError(f"is in the future (now it is {present})")
    return meant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _with_offset(text: str) -> datetime:
    from datetime import datetime  # noqa: PLC0415 - as above

    try:
        meant = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError("is neither an age nor a time") from error
    if meant.tzinfo is None:
        raise ValueError("has no offset from UTC, so it could be meant anywhere")
    return meant


def days_between(at: str, present: str) -> float:
    """Return how many days before `present` something was."""
    return (_epoch(present) - _epoch(at)) / 86400


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
    """Seconds spent in named phases; a phase entered again adds up, one within another counts once.

    Every phase of `PHASES` is told of, also one that was not needed; any other if there was one.
    `tell` is called with the name of a phase that begins, or goes on, and with None when none runs.
    """

    def __init__(self, tell: Callable[[str | None], None] | None = None) -> None:
        self._start = time.monotonic()
        self._tell = tell or (lambda _phase: None)
        self._phases = dict.fromkeys(PHASES, 0.0)
        self._inner: list[float] = []  # for each phase that runs, the seconds of those within it
        self._running: list[str] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of a `with` block to a phase, but for that of phases within it."""
        start = time.monotonic()
        self._inner.append(0.0)
        self._running.append(name)
        self._tell(name)
        try:
            yield
        finally:
            self._running.pop()
            self._tell(self._running[-1] if self._running else None)
            spent = time.monotonic() - start
            own = spent - self._inner.pop()
            self._phases[name] = self._phases.get(name, 0.0) + own
            if self._inner:
                self._inner[-1] += spent

    def elapsed(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._start

    def seconds(self) -> dict[str, float]:
        """Return the total and the phases, rounded to milliseconds."""
        total = {"total": time.monotonic() - self._start}
        return {name: round(value, 3) for name, value in {**total, **self._phases}.items()}
