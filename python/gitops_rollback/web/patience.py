"""The seconds that all calls may take together, and threads that are left behind after them."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import contextmanager
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


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


def in_background(work: Callable[[], T]) -> Future[T]:
    """Do work in a thread of its own, which is left behind where nobody waits for it any more.

    It is a daemon: while it still waits for a server it does not keep the program from ending, as
    those of a `ThreadPoolExecutor` would.
    """
    future: Future[T] = Future()

    def serve() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
            future.set_exception(error)

    Thread(target=serve, daemon=True).start()
    return future
