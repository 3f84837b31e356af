"""The seconds that all calls may take together, and threads that are left behind after them."""

from __future__ import annotations

import weakref
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

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


class Helpers(Generic[T]):
    """Do work in another thread; one that has come to its end does the next piece too.

    They are daemons: one that still waits for a server does not keep the program from ending, as
    those of a `ThreadPoolExecutor` would. Those that have nothing to do end with what they help.
    """

    def __init__(self) -> None:
        self._idle: list[_Helper[T]] = []
        weakref.finalize(self, _send_home, self._idle).atexit = False

    def run(self, work: Callable[[], T], seconds: float) -> T:
        """Return what the work returns; raise what it raises, or `TimeoutError`."""
        return self.begin(work).result(timeout=seconds)

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Let the work be done, and do not wait for it."""
        try:
            helper = self._idle.pop()
        except IndexError:
            helper = _Helper(self._idle)
        future: Future[T] = Future()
        helper.inbox.put((work, future))
        return future


def _send_home(idle: list[_Helper[T]]) -> None:
    for helper in idle:
        helper.inbox.put(None)


class _Helper(Generic[T]):
    def __init__(self, idle: list[_Helper[T]]) -> None:
        self.inbox: SimpleQueue[tuple[Callable[[], T], Future[T]] | None] = SimpleQueue()
        self._idle = idle
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while (order := self.inbox.get()) is not None:
            work, future = order
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
                self._idle.append(self)
                future.set_exception(error)
            else:
                self._idle.append(self)
                future.set_result(result)
            del order, work, future
