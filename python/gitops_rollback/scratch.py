"""Folders and files of one run alone: written aside, renamed into their place, and never left.

Each is locked for as long as its run lives. What a run that was killed has left is locked by
nobody: the next run that works beside it removes it (`sweep`). Between making one and locking it,
it can be taken for such: then another one is made.

Where a file system has no locks (some network disks), nothing is swept there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gitops_rollback.alarm import undisturbed
from gitops_rollback.late import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RUN = "gitops-rollback-run-"  # what folders of a run begin with, in the system's place for them
RESULT = ".gitops-result-"  # and files, and folders of a page, beside where they are to be
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ATTEMPTS = 10
_PAUSE = 0.05  # seconds


@dataclass(frozen=True)
class Own:
    """A folder or a file of this run; `path` is absolute."""

    path: Path
    descriptor: int

    def end(self) -> None:
        """Remove it, if it still is where it was made, and let go of it; no signal hinders that."""
        with undisturbed():
            remove(self.path)
            os.close(self.descriptor)


def own_folder(parent: Path | None, prefix: str) -> Own:
    """Make a folder that nobody but its owner may enter; in the system's place for them if None."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent)).absolute()
        with suppress(FileNotFoundError):  # it was swept
            descriptor = os.open(path, _FLAGS)
            if _is_held(descriptor, path):
                return Own(path, descriptor)
            os.close(descriptor)


def private(path: Path) -> None:
    """Make a folder, and what is missing above it, that nobody but this account may enter.

    Whatever the umask is: what is found there is trusted.
    """
    if not path.parent.exists():
        private(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def folder(parent: Path | None, prefix: str) -> Iterator[Own]:
    """Give a folder to write in; it is removed afterwards, unless it was renamed."""
    with undisturbed() as go_on:
        own = own_folder(parent, prefix)
        try:
            go_on()
            yield own
        finally:
            own.end()


@contextmanager
def below(top: Path | int, names: Sequence[str]) -> Iterator[int]:
    """Give a descriptor of a folder below another (a path or a descriptor), made where it is not.

    Names are looked up in what was opened before, and no link is followed: whoever swaps folders
    and links meanwhile leads nowhere. Raises `OSError`, where one is a link ELOOP or ENOTDIR.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    at = os.dup(top) if isinstance(top, int) else os.open(top, flags)
    try:
        for name in names:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=at)
            inner = os.open(name, flags | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        yield at
    finally:
        os.close(at)


def write_new(at: int, name: str, data: bytes) -> None:
    """Write a file that is not there yet into an opened folder; raises `OSError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o666, dir_fd=at), "wb") as stream:
        stream.write(data)


def link(source: Path, target: Path) -> None:
    """Make a file known under a second name, at once and whole; copy it where links are not."""
    try:
        try:
            os.link(source, target)
        except FileNotFoundError:
            target.parent.mkdir(exist_ok=True)
            os.link(source, target)
    except FileExistsError:
        return
    except FileNotFoundError:
        raise
    except OSError:
        temporary = target.with_name(f"tmp_{os.getpid()}_{target.name}")
        shutil.copyfile(source, temporary)
        temporary.replace(target)


def write_whole(path: Path, text: str, *, sweeps: bool = True) -> None:
    """Write a file that is there whole or not at all, and nothing beside it; raises `OSError`.

    A device or a pipe is written into: a file in its place would take /dev/null from everybody.
    Who writes many into a folder sweeps it once: that reads all names in it.
    """
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    with undisturbed():
        own = _own_file(path.parent, RESULT)
        try:
            with os.fdopen(os.dup(own.descriptor), "w", encoding="utf-8") as stream:
                stream.write(text)
            os.fchmod(own.descriptor, 0o644)  # not by its name, which others may have made a link
            own.path.replace(path)
        finally:
            own.end()
    if sweeps:
        sweep(path.parent, RESULT)


def sweep(parent: Path, *prefixes: str) -> None:
    """Remove what killed runs of this account have left in a folder; what cannot be, stays."""
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(prefixes):
                sweep_one(Path(entry.path))


def sweep_one(path: Path) -> None:
    """Remove a folder or a file that nobody holds, if it is of this account."""
    with suppress(OSError):
        descriptor = os.open(path, _FLAGS)
        try:
            about = os.fstat(descriptor)
            is_such = stat.S_ISDIR(about.st_mode) or stat.S_ISREG(about.st_mode)
            if is_such and about.st_uid == os.getuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(path)
        finally:
            os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it.

    A git that was ended leaves processes of its own behind for a moment: what they write while
    the folder is emptied keeps it from being removed, so it is emptied again.
    """
    for _attempt in range(_ATTEMPTS):
        if not os.path.lexists(path):
            return
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
        if not os.path.lexists(path):
            return
        time.sleep(_PAUSE)


def _own_file(parent: Path, prefix: str) -> Own:
    while True:
        descriptor, name = tempfile.mkstemp(prefix=prefix, dir=parent)
        path = Path(name).absolute()
        if _is_held(descriptor, path):
            return Own(path, descriptor)
        os.close(descriptor)


def _is_held(descriptor: int, path: Path) -> bool:
    """Lock what was just made; tell whether it is ours, and was not swept before it was locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:
        return True  # there are no locks: so nobody sweeps here
