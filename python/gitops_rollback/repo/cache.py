"""What earlier runs fetched: one bare partial repository per URL, which a run copies by links.

A run never works in the cached repository. It links the objects into a folder of its own, works
there, and at its end adds what is new. Files only appear in a cached repository, under their last
name and complete: objects first, then the list of them with their sums, then the shallow
boundary, then the tips; a run reads in the opposite order. So whatever happens in between, what it
reads of tips has all its objects. Only adding takes a lock, which is the system's and ends with
the process; nobody waits for it. Whatever is not as listed is thrown away, and fetched again.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import stat
import time
from contextlib import suppress
from errno import ENOSPC, EPERM
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from gitops_rollback.late import dataclass
from gitops_rollback.repo.copy import (
    CONFIG,
    PACKED_REFS,
    SHALLOW,
    make_partial,
    make_skeleton,
    read_tips,
    render_tips,
    short_of,
)
from gitops_rollback.scratch import link, own_folder, private, sweep_one

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LOG = logging.getLogger("gitops_rollback")

MOST_FILES = 1000  # objects and packs of one repository; with more it is built anew
LARGEST = 256_000_000  # bytes of one repository; a larger one is not kept
LONGEST_UNUSED = 30 * 86400  # seconds
LEAST_SPACE = 64_000_000  # bytes that are free on its disk: a run works there, too
_CONTENTS = "contents"  # the list of files below `objects`, each with its checksum and size
_CHUNK = 1 << 20
_RUN = ".run-"


class Cache:
    """One repository's part of a cache directory, as one run uses it.

    `own` is this run's folder, `place` is for all. Nothing here raises for a cache that cannot be
    used: it is said in the log, and the run goes on without.
    """

    def __init__(self, directory: Path, url: str) -> None:
        name = short_of(url)
        self._url = url
        self._directory = directory
        self.place = directory / f"{name}.git"
        self.own = own_folder(directory, f"{name}{_RUN}")
        self._cut_off: frozenset[bytes] = frozenset()  # the boundary that was taken

    def take(self, repository: Path) -> dict[str, str]:
        """Make a bare repository of what is cached; return its tips by branch, or nothing."""
        if not self.place.exists():
            return {}
        try:
            return self._take(repository)
        except (OSError, ValueError) as error:
            _LOG.info("cache: built anew: %s", error)
            self.drop()
            return {}

    def add(self, repository: Path, tips: Mapping[str, str], *, goes_on: bool) -> None:
        """Add what a run has fetched and written; where another is adding, it is left out.

        `goes_on` tells whether the repository still is what was taken, and what came to it.
        """
        if not goes_on:
            self._cut_off = frozenset()
        try:
            with (self.place.with_suffix(".lock")).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._add(repository, tips)
        except (OSError, ValueError) as error:  # the next run finds it as it is, and drops it
            _LOG.info("cache: nothing is added: %s", error)

    def drop(self) -> None:
        """Throw the cached repository away."""
        with suppress(OSError):
            self.place.rename(self.own.path / "dropped")

    def sweep(self) -> None:
        """Remove what killed runs left, and what was not used for long."""
        with suppress(OSError):
            for path in self._directory.iterdir():
                if _RUN in path.name:
                    sweep_one(path)
                elif path.suffix == ".git" and time.time() - path.stat().st_mtime > LONGEST_UNUSED:
                    shutil.rmtree(path, ignore_errors=True)

    def _take(self, repository: Path) -> dict[str, str]:
        """Link what is cached; raises `ValueError` where it is not as it should be."""
        if self.place.stat().st_uid != os.geteuid():
            raise ValueError("it belongs to another user")
        tips = read_tips((self.place / PACKED_REFS).read_text(encoding="utf-8"))
        shallow = (self.place / SHALLOW).read_bytes()
        contents = self._contents()
        if not tips or len(contents) > MOST_FILES or _size(contents) > LARGEST:
            raise ValueError("it is empty, or has grown large")
        os.utime(self.place)
        self._cut_off = frozenset(shallow.splitlines(keepends=True))
        make_skeleton(repository, self._url, next(iter(tips.values())), tips)
        if shallow:
            (repository / SHALLOW).write_bytes(shallow)
        for name, listed in contents.items():
            source = self.place / "objects" / name
            # git must not meet a broken object: it asks for it, and for it, and for it.
            if _File.read(source) != listed:
                raise ValueError(f"{name} is not as it was written")
            link(source, repository / "objects" / name)
        return tips

    def _contents(self) -> dict[str, _File]:
        lines = (self.place / _CONTENTS).read_text(encoding="utf-8").splitlines()
        parts = (line.split(" ", 2) for line in lines)
        return {_checked_name(name): _File(int(sum_), int(size)) for sum_, size, name in parts}

    def _add(self, repository: Path, tips: Mapping[str, str]) -> None:
        if not (self.place / CONFIG).exists():
            make_skeleton(self.place, self._url, next(iter(tips.values())))
            make_partial(self.place)
        with suppress(FileNotFoundError):
            tips = {**read_tips((self.place / PACKED_REFS).read_text(encoding="utf-8")), **tips}
        contents = self._contents() if (self.place / _CONTENTS).exists() else {}
        for name, path in _objects_of(repository):
            if name not in contents:
                contents[name] = _File.read(path)
                link(path, self.place / "objects" / name)
        if _size(contents) > LARGEST:
            self.drop()
            return
        lines = (f"{file.sum} {file.size} {name}\n" for name, file in sorted(contents.items()))
        self._replace(_CONTENTS, "".join(lines).encode())
        # A commit that is a boundary for anyone is one for all, since what is behind it may be
        # missing; unless it was one for this run, which has fetched what is behind it.
        now = frozenset(_lines(repository / SHALLOW))
        boundary = now | (frozenset(_lines(self.place / SHALLOW)) - (self._cut_off - now))
        self._replace(SHALLOW, b"".join(sorted(boundary)))
        self._replace(PACKED_REFS, render_tips(tips).encode())

    def _replace(self, name: str, data: bytes) -> None:
        temporary = self.own.path / name
        temporary.write_bytes(data)
        temporary.replace(self.place / name)


def open_cache(directory: Path, url: str) -> Cache | None:
    """Return a URL's part of a cache directory; None, with a warning, where it cannot be used."""
    # Once: whoever turns a link round later changes nothing. Of links in a circle it says nothing.
    directory = Path(os.path.realpath(directory))
    try:
        private(directory)
        _make_private(directory)
        _check_space(directory)
        return Cache(directory, url)
    except OSError as error:
        _LOG.warning("warning: the cache %s cannot be used: %s", directory, error.strerror or error)
        return None


@dataclass(frozen=True)
class _File:
    """A file's CRC-32 and its size in bytes."""

    sum: int
    size: int

    @classmethod
    def read(cls, path: Path) -> _File:
        total = size = 0
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                total = crc32(chunk, total)
                size += len(chunk)
        return cls(total, size)


def _make_private(directory: Path) -> None:
    """Let nobody else write to a directory of ours; raise `OSError` where it is somebody else's.

    Who may write there could lay links and objects under the names that a run looks for.
    """
    found = directory.stat()
    if found.st_uid != os.geteuid():
        raise OSError(EPERM, "it belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        directory.chmod(0o700)


def _check_space(directory: Path) -> None:
    disk = os.statvfs(directory)
    if disk.f_bavail * disk.f_frsize < LEAST_SPACE:
        raise OSError(ENOSPC, f"less than {LEAST_SPACE // 1_000_000} MB are free there")


def _size(contents: Mapping[str, _File]) -> int:
    return sum(file.size for file in contents.values())


def _objects_of(repository: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files below `objects`: loose objects, and whole packs."""
    for folder in (repository / "objects").iterdir():
        if folder.name != "pack" and len(folder.name) != 2:  # noqa: PLR2004 - two hex digits
            continue
        for path in folder.iterdir():
            if not path.name.startswith("tmp_") and path.suffix not in (".lock", ".keep"):
                yield f"{folder.name}/{path.name}", path


def _checked_name(name: str) -> str:
    folder, _, file = name.partition("/")
    if not (folder.isalnum() and file.replace("-", "").replace(".", "").isalnum()):
        raise ValueError(f"{name!r} is no object")
    return name


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []
