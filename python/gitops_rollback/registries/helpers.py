"""Threads that do what may take too long, and are left behind when time is up."""

from __future__ import annotations

from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Helpers(Generic[T]):
    """Do work in another thread; one that has come to its end does the next piece too.

    They are daemons: one that still waits for a server does not keep the program from ending, as
    those of a `ThreadPoolExecutor` would.
    """

    def __init__(self) -> None:
        self._idle: list[_Helper[T]] = []

    def run(self, work: Callable[[], T], seconds: float) -> T:
        """Return what the work returns; raise what it raises, or `TimeoutError`."""
        try:
            helper = self._idle.pop()
        except IndexError:
            helper = _Helper(self._idle)
        future: Future[T] = Future()
        helper.inbox.put((work, future))
        return future.result(timeout=seconds)


class _Helper(Generic[T]):
    def __init__(self, idle: list[_Helper[T]]) -> None:
        self.inbox: SimpleQueue[tuple[Callable[[], T], Future[T]]] = SimpleQueue()
        self._idle = idle
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            work, future = self.inbox.get()
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
                self._idle.append(self)
                future.set_exception(error)
            else:
                self._idle.append(self)
                future.set_result(result)
            del work, future
