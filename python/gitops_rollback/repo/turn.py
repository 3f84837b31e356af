"""Whose turn it is to push to a repository, among the runs of this account on this machine.

Of the pushes that overlap, the first to arrive wins, and all others were for nothing (see
`write/commit.py`).

What a run that pushed by its turn hands on to the next is its commit, and what is new with it. Who
waited has read the branch before, and to read it again takes three requests, while what he would
read was just made beside him. So for as long as somebody waits there is a chain of commits for each
branch that runs of this machine have pushed, each upon the one before, with a pack of what it
brought. He waits from before he asks the server: so nothing is pushed in between.
Who finds in it the tip that he has read goes on from its end: that was the branch's tip later than
what he read. Whether it still is, the server says when he pushes, as ever: where it is not, the
push is lost, and the branch is read.

All of this is for who has the turn; only that somebody waits is said by a lock of its own, which
ends with the process. Where nobody does, nothing is kept.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from contextlib import ExitStack, contextmanager
from errno import EPERM
from typing import TYPE_CHECKING

from gitops_rollback.late import regex
from gitops_rollback.repo.copy import short_of
from gitops_rollback.scratch import link, private, remove

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_LOG = logging.getLogger("gitops_rollback")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_POLL = (0.01, 0.06)  # seconds between two looks
# By branch, a line for each commit: its id, and its pack, which the first one has not.
_CHAIN = "chain-{}"
_LINE = regex(r"([0-9a-f]{40,64}) (-|pack-[0-9a-f]{40,64})")
_ENDINGS = (".pack", ".idx")  # git takes what has an index for whole
MOST = 200  # commits of a chain


class Handover:
    """The chains of a repository's branches, in a folder that is this account's alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: int | None = None

    def wait(self) -> None:
        """Say, until `end`, that this run will take what is handed on."""
        if self._waiting is not None:
            return
        try:
            private(self._folder)
            self._waiting = self._locked(fcntl.LOCK_SH)
        except OSError as error:
            _LOG.info("nothing can be handed on: %s", error)

    def end(self) -> None:
        """Wait no more."""
        if self._waiting is not None:
            os.close(self._waiting)
            self._waiting = None

    def is_wanted(self) -> bool:
        """Tell whether a run waits for it; where none does, remove it."""
        try:
            descriptor = self._locked(fcntl.LOCK_EX)
        except BlockingIOError:
            return True
        except OSError:  # no run has waited here, or it is nobody's to wait in
            return False
        remove(self._folder)
        os.close(descriptor)
        return False

    def is_elsewhere(self, branch: str, tip: str) -> bool:
        """Tell, while this run waits, whether what was handed on ends in another than its tip."""
        with self._tried("taken"):
            chain = self._chain(branch) if self._waiting is not None else []
            return bool(chain) and chain[-1][0] != tip
        return False

    def take(self, branch: str, tip: str, packs: Path) -> str | None:
        """Return the end of the chain from a tip, with all that it brings; None without any.

        This run waits no more then.
        """
        try:
            with self._tried("taken"):
                chain = self._chain(branch) if self._waiting is not None else []
                places = (place for place, (commit, _pack) in enumerate(chain) if commit == tip)
                found = chain[next(places, len(chain)) + 1 :]
                for _commit, pack in found:
                    for ending in _ENDINGS:
                        link(self._folder / f"{pack}{ending}", packs / f"{pack}{ending}")
                return found[-1][0] if found else None
            return None
        finally:
            self.end()

    def leave(self, branch: str, before: str, commit: str, pack: Path) -> None:
        """Put a commit to the end of the chain; one that is not upon the last begins another.

        `pack` is the path of its pack, without an ending.
        """
        with self._tried("handed on"):
            chain = self._chain(branch)
            if not chain or chain[-1][0] != before or len(chain) > MOST:
                for _commit, old in chain:
                    for ending in _ENDINGS:
                        (self._folder / f"{old}{ending}").unlink(missing_ok=True)
                chain = [(before, "-")]
            for ending in _ENDINGS:
                link(pack.with_name(f"{pack.name}{ending}"), self._folder / f"{pack.name}{ending}")
            written = pack.with_name(_CHAIN.format(short_of(branch)))
            lines = (" ".join(line) for line in [*chain, (commit, pack.name)])
            written.write_text("\n".join(lines), encoding="utf-8")
            (self._folder / written.name).unlink(missing_ok=True)  # meanwhile there is none
            link(written, self._folder / written.name)

    def _locked(self, how: int) -> int:
        """Return the folder, open and locked; raises `OSError`."""
        descriptor = os.open(self._folder, _FOLDER)
        with ExitStack() as unless_locked:
            unless_locked.callback(os.close, descriptor)
            about = os.fstat(descriptor)
            if about.st_uid != os.geteuid() or about.st_mode & 0o077:
                raise OSError(EPERM, "others may write to it")
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            unless_locked.pop_all()
        return descriptor

    def _chain(self, branch: str) -> list[tuple[str, str]]:
        """Return the commits that were handed on, each with its pack; raises `ValueError`."""
        path = self._folder / _CHAIN.format(short_of(branch))
        lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
        found = [_LINE.fullmatch(line) for line in lines]
        if not all(found):
            raise ValueError(f"{path} is not as it was written")
        return [(line[1], line[2]) for line in found if line]

    @contextmanager
    def _tried(self, done: str) -> Iterator[None]:
        """Do without it where it cannot be done: the branch is read from the server then."""
        try:
            yield
        except (OSError, ValueError) as error:
            _LOG.info("nothing is %s: %s", done, error)


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

        private(self.path.parent)
        descriptor = os.open(self.path, _LOCK, 0o600)
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
