"""A bare repository without objects, made without git: a process less at each start.

That objects may be missing and are to be fetched when they are needed is said to git by each call
(`process`), not by the repository: a push must not fetch. Of a branch that moved, it would fetch
the new tip with all its trees, only to reject it in other words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops_rollback.late import regex
from gitops_rollback.repo.process import REMOTE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG = "config"
PACKED_REFS = "packed-refs"
SHALLOW = "shallow"
_SHA256_LENGTH = 64
# What `git clone --bare --filter=blob:none` writes (git 2.39), but for what makes it partial.
_CONFIG = """\
[core]
\trepositoryformatversion = 1
\tbare = true
{extensions}[remote "{remote}"]
\turl = "{url}"
"""
_PARTIAL = "\tpromisor = true\n\tpartialclonefilter = blob:none\n"
_PARTIAL_LINE = regex(
    r"^\s*(promisor|partialclonefilter|partialclone)\s*=.*\n", re.IGNORECASE | re.MULTILINE
)


def make_skeleton(
    repository: Path, url: str, tip: str, tips: Mapping[str, str], shallow: bytes = b""
) -> None:
    """Make a bare repository of a URL with these tips by branch; its objects are to come.

    Its object format is that of `tip`, an object id. Raises `OSError`.
    """
    for folder in ("objects/pack", "objects/info", "refs/heads"):
        (repository / folder).mkdir(parents=True, exist_ok=True)
    extensions = "[extensions]\n\tobjectFormat = sha256\n" if len(tip) == _SHA256_LENGTH else ""
    quoted = url.replace("\\", "\\\\").replace('"', '\\"')
    (repository / "HEAD").write_text("ref: refs/heads/none\n", encoding="utf-8")
    (repository / PACKED_REFS).write_text(render_tips(tips), encoding="utf-8")
    if shallow:
        (repository / SHALLOW).write_bytes(shallow)
    (repository / CONFIG).write_text(
        _CONFIG.format(url=quoted, extensions=extensions, remote=REMOTE), encoding="utf-8"
    )


def make_partial(repository: Path) -> None:
    """Let git know of a new skeleton, whoever calls it, that its objects may be missing."""
    with (repository / CONFIG).open("a", encoding="utf-8") as config:
        config.write(_PARTIAL)


def make_whole(repository: Path) -> None:
    """Let git know of a clone's missing objects by what it is called with alone."""
    path = repository / CONFIG
    path.write_text(_PARTIAL_LINE.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")


def render_tips(tips: Mapping[str, str]) -> str:
    """Return tips by branch as git's `packed-refs`."""
    lines = [f"{tip} refs/heads/{branch}\n" for branch, tip in sorted(tips.items())]
    return "# pack-refs with: peeled fully-peeled sorted \n" + "".join(lines)


def read_tips(text: str) -> dict[str, str]:
    """Read tips by branch from git's `packed-refs`."""
    pairs = (line.split(" ", 1) for line in text.splitlines() if not line.startswith(("#", "^")))
    return {name.removeprefix("refs/heads/"): tip for tip, name in pairs}
