"""Read what others may have laid down: regular files up to a size, without waiting; JSON.

A folder that several write to may hold a FIFO, on which opening waits for ever, a link to
`/dev/zero`, which has no end, or a file of any size. In JSON a value of three bytes can take a
hundred times as much memory.
"""

from __future__ import annotations

import json
import os
import stat
from errno import EFBIG, EINVAL
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MOST_VALUES = 1_000_000  # of one answer: some 150 MB
_BEGINNINGS = (b",", b"[", b"{")  # each value but the first of a list or an object follows one


def read_json(data: bytes, most: int = MOST_VALUES) -> Any:  # noqa: ANN401 - any JSON
    """Return a document; raise `ValueError` for what is none, or has too many values or levels."""
    if sum(data.count(mark) for mark in _BEGINNINGS) > most:
        raise ValueError(f"it has more than {most} values")
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("it has too many levels") from error


def read_file(path: str | Path, largest: int) -> bytes:
    """Return the bytes of a regular file that has at most `largest`; raise `OSError` otherwise."""
    # Opening a FIFO does not wait so; of a regular file nothing changes.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(EINVAL, "is no regular file", str(path))
    with os.fdopen(descriptor, "rb") as stream:
        data = stream.read(largest + 1)
    if len(data) > largest:
        raise OSError(EFBIG, f"has more than {largest} bytes", str(path))
    return data
