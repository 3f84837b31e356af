"""Follows what a refusal prints, to the letter, as somebody does who reads no documentation.

A hint in a shell names options to give beside what was typed (`--again`), and whole commands
(`gitops-rollback release cart --reason TEXT`). Each of them is tried on its own, on a repository as
it was when the hint was printed: it has to work, or to end in another clear refusal, whose hint is
followed in turn.
"""

from __future__ import annotations

import re
import shlex
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_rollback.errors import Exit
from gitops_rollback.refusals import CODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from integration.shop import Run, Shop

    Line = tuple[str, ...]

_WORDS = r"((?:'[^']*'|[^;,()'\n]|\([^)]*\))+)"
_COMMAND = re.compile(rf"gitops-rollback (?=[a-z]){_WORDS}")
_FOLLOWING = re.compile(r"^(?!hint|error)[a-z][^:\n]*: gitops-rollback (.+)$", re.MULTILINE)
# Options that stand one behind the other are meant together.
_OPTIONS = re.compile(r"(?:--[a-z][a-z-]*(?: (?!--)[^\s;()]+[^\s;,()])?(?: (?=--)|))+")
_FLAGS = {"--again", "--release", "--allow-older"}
_TO_LEAVE = "--unattended"  # "without --unattended"
_LOOKS = {"plan", "history", "check", "services", "fields"}  # which change nothing
_LONGEST = 5


@dataclass(frozen=True)
class Remedy:
    """What is to be typed: a whole command, or options beside what was typed."""

    command: Line = ()
    options: Line = ()

    def lines(self, line: Line) -> tuple[Line, ...]:
        """Return what is typed after a line that was refused, so that it comes to that."""
        if self.command and (self.command[0] == line[0] or self.command[0] in _LOOKS):
            return (self.command,)
        if self.command:
            return (self.command, line)  # the way of the line is free then
        return ((*(part for part in line if part != _TO_LEAVE), *self.options),)


def remedies(refused: Run, words: Mapping[str, str]) -> list[Remedy]:
    """Return the remedies that are printed: commands, then options beside what was typed.

    `words` are what a reader has for the words in capitals: a reason for TEXT.
    """
    hint = refused.error["hint"]
    assert f"hint: {hint}" in refused.stderr, "what is printed is what is meant"
    printed = [*_FOLLOWING.findall(refused.stderr), *_COMMAND.findall(hint)]
    commands = [tuple(words.get(part, part) for part in shlex.split(one)) for one in printed]
    found = [Remedy(command=line) for line in dict.fromkeys(commands)]
    for options in _OPTIONS.findall(_COMMAND.sub("", hint)):
        parts = options.split()
        if parts[0] in _FLAGS or len(parts) > 1:
            found.append(Remedy(options=tuple(words.get(part, part) for part in parts)))
    return found


class Follower:
    """Follows what a shop's refusals print; `chains` are the codes that were met, each."""

    def __init__(self, shop: Shop, words: Mapping[str, str]) -> None:
        self.shop = shop
        self.words = words
        self.chains: list[Line] = []

    def follow(self, lines: tuple[Line, ...], met: Line = ()) -> None:
        """Type lines one after the other; each remedy of a refusal is tried for itself."""
        for number, line in enumerate(lines):
            done = self.shop.run(line[0], *line[1:])
            if done.code == Exit.REFUSED:
                self._refused(line, done, lines[number + 1 :], met)
                return
            if done.code != Exit.DONE:
                ends = {Exit.NOT_FOUND, Exit.MOVED}
                ends |= {Exit.WARNINGS} if line[0] in _LOOKS else set()
                told = f"after {', '.join(met)}: {shlex.join(line)}: {done.stderr}"
                assert done.code in ends, told
                break
        self.chains.append(met)

    def _refused(self, line: Line, refused: Run, rest: tuple[Line, ...], met: Line) -> None:
        code = refused.error["code"]
        assert code in CODES
        assert code not in met, f"{shlex.join(line)}: {code} again after {met}: {refused.stderr}"
        chain = (*met, code)
        assert len(chain) <= _LONGEST, chain
        found = remedies(refused, self.words)
        if not found:
            self.chains.append(chain)  # it says what to do outside of this tool
        for remedy in found:
            with undone(self.shop.root):
                self.follow((*remedy.lines(line), *rest), chain)


@contextmanager
def undone(folder: Path) -> Iterator[None]:
    """Undo what happens in a folder meanwhile: records know their place, so it is done there."""
    kept = folder.with_name(f"{folder.name}.kept")
    while kept.exists():
        kept = kept.with_name(f"{kept.name}.kept")
    shutil.copytree(folder, kept, symlinks=True)
    try:
        yield
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)
