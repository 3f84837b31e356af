"""How much the first fetch asks for: with the tip all small files, unless the repository is large.

A repository of some hundred services is told whole in one answer; to ask for trees first and for
files then takes two requests more, and each costs a round trip. How large a repository is nobody
knows before it is fetched. So the first fetch is watched: where it grows beyond a bound it is given
up, and the files are left out; that it was so is remembered on this machine for a month.
"""

from __future__ import annotations

import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from gitops_rollback.late import regex

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

SMALL = "--filter=blob:limit=64k"  # a manifest of that size holds several hundred objects
NONE = "--filter=blob:none"
WHOLE = "--no-filter"
_REFUSED = regex(r"filter '[^'\n]*' not supported")  # a server may allow some kinds, or none
LARGEST = 4_000_000  # bytes of a pack; compressed, of some thousand manifests
_REMEMBERED = 30 * 86400  # seconds
_PAUSE = 0.02  # seconds between two looks


class FirstFetch:
    """Chooses and watches the first fetch of a URL. A home that cannot be written costs time only.

    `option` is what git is told to leave out: with the tip come small files, none, or all, where
    the server leaves nothing out.
    """

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        self._mark = place_of("large", url, environment)
        self.option = NONE if self._is_remembered() else SMALL
        self._given_up = False

    def watch(self, running: subprocess.Popen[bytes], repository: Path) -> None:
        """Look after a fetch that was started, and end it where more comes than the bound."""
        self._given_up = False  # what was ended before this one says nothing of it
        packs = repository / "objects" / "pack"
        most = LARGEST + _size(packs)
        Thread(target=self._watch, args=(running, packs, most), daemon=True).start()

    def gave_up(self) -> bool:
        """Tell, once, whether the clone was ended as too large; from then on files are left out."""
        if not self._given_up or self.option != SMALL:
            return False
        self.option = NONE
        self._remember()
        return True

    def is_refused(self, words: str) -> bool:
        """Tell whether a server refused what it was to leave out; it is asked for more then."""
        if self.option == WHOLE or not is_filter_refused(words):
            return False
        self.option = NONE if self.option == SMALL else WHOLE
        return True

    def end(self, repository: Path) -> None:
        """Look at what came: of a repository that is large the next run will ask less."""
        if self.option == SMALL and _size(repository / "objects" / "pack") > LARGEST:
            self._remember()

    def _remember(self) -> None:
        with suppress(OSError):
            self._mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._mark.touch(mode=0o600)

    def _watch(self, running: subprocess.Popen[bytes], packs: Path, most: int) -> None:
        while running.poll() is None:
            if _size(packs) > most:
                self._given_up = True
                running.terminate()
                return
            time.sleep(_PAUSE)

    def _is_remembered(self) -> bool:
        try:
            return time.time() - self._mark.stat().st_mtime < _REMEMBERED
        except OSError:
            return False


def is_filter_refused(words: str) -> bool:
    """Tell whether a server says that it leaves nothing, or not this, out."""
    return _REFUSED.search(words) is not None


def place_of(kind: str, what: str, environment: Mapping[str, str]) -> Path:
    """Return the file in which something is noted for all runs of this account."""
    home = environment.get("XDG_CACHE_HOME") or f"{environment.get('HOME', '')}/.cache"
    return Path(home) / "gitops-rollback" / kind / short_of(what)


def short_of(text: str) -> str:
    """Return what can stand in the name of a file for any text."""
    return sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def _size(packs: Path) -> int:
    """Return the bytes of the packs that are there, or are being written."""
    total = 0
    with suppress(OSError):  # not there yet, or gone again
        for path in packs.glob("*pack*"):
            total += path.stat().st_size
    return total
