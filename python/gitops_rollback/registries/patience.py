"""The seconds that all calls to registries may take together."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Patience:
    """A number of seconds; those in which several calls wait at once count once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._left = seconds
        self._lock = Lock()
        self._waiting = 0
        self._since = 0.0

    @property
    def left(self) -> float:
        """The seconds that are left; less than zero where a call took longer than it had."""
        with self._lock:
            return self._left - (monotonic() - self._since if self._waiting else 0.0)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the time of a `with` block."""
        with self._lock:
            if not self._waiting:
                self._since = monotonic()
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                if not self._waiting:
                    self._left -= monotonic() - self._since

    def spend(self, seconds: float) -> None:
        """Count seconds that are about to be slept."""
        with self._lock:
            self._left -= seconds
