"""Read files that others may have laid down: regular ones, up to a size, without waiting.

A folder that several write to may hold a FIFO, on which opening waits for ever, a link to
`/dev/zero`, which has no end, or a file of any size.
"""

from __future__ import annotations

import os
import stat
from errno import EFBIG, EINVAL
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


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
