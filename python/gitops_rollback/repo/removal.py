"""Remove a folder of our own, although what git had started may still write to it."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_ATTEMPTS = 10
_PAUSE = 0.05  # seconds


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it.

    A git that was ended leaves processes of its own behind for a moment: what they write while
    the folder is emptied keeps it from being removed, so it is emptied again.
    """
    for _attempt in range(_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_PAUSE)
