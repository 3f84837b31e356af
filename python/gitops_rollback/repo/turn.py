"""Whose turn it is to push to a repository, among the runs of this account on this machine.

Of the pushes that overlap, the first to arrive wins, and all others were for nothing (see
`write/commit.py`).
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from gitops_rollback.repo.handover import Handover

if TYPE_CHECKING:
    from pathlib import Path

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_POLL = (0.01, 0.06)  # seconds between two looks


class Turn:
    """What runs have by turns.

    It is a lock of the system's, which ends with the process. Nothing depends on it but how many
    tries are for nothing: where there can be none, or nobody gives it on, all goes on without.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self.handover = Handover(path.with_name(f"{path.name}.next"))

    def wait(self, seconds: float, stuck: float) -> bool:
        """Tell whether the turn is ours, after at most so many seconds.

        It is waited for as long as it goes round: not when the same run has had it for `stuck`.
        """
        try:
            return self.is_ours or self._wait(seconds, stuck)
        except OSError:  # there is no place for it, or no locks are there
            return False

    def _wait(self, seconds: float, stuck: float) -> bool:
        from random import uniform  # noqa: PLC0415 - only where a race was lost

        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, _FLAGS, 0o600)
        with ExitStack() as unless_ours:
            unless_ours.callback(os.close, descriptor)
            end, seen, since = time.monotonic() + seconds, 0, time.monotonic()
            while not _locked(descriptor):
                now, taken = time.monotonic(), os.fstat(descriptor).st_mtime_ns
                seen, since = (seen, since) if taken == seen else (taken, now)
                if now > end or now - since > stuck:
                    return False
                time.sleep(uniform(*_POLL))  # noqa: S311 - no secret
            os.utime(descriptor)  # so that who waits sees that it goes round
            unless_ours.pop_all()
            self._descriptor = descriptor
        return True

    @property
    def is_ours(self) -> bool:
        """Whether this run has the turn."""
        return self._descriptor is not None

    def end(self) -> None:
        """Give the turn on."""
        self.handover.end()
        if self._descriptor is not None:
            self.handover.is_wanted()  # else nothing of it stays
            os.close(self._descriptor)
            self._descriptor = None


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
