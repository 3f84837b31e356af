"""Print what lets a shell complete commands and options: `completion bash`, `zsh` or `fish`.

The script is made once and knows all options, so that completing starts nothing.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from gitops_rollback.errors import Exit
from gitops_rollback.parsing import Parser, fill

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILES = ("FILE", "PATH", "SERVICE|PATH")
_FOLDERS = ("DIR",)


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Print the script of one shell."""
    del environment
    import shtab  # noqa: PLC0415 - for this command alone

    parser = _whole_parser()
    for action in _actions(parser):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    sys.stdout.write(shtab.complete(parser, shell=options.shell) + "\n")
    return Exit.DONE


def _whole_parser() -> argparse.ArgumentParser:
    """Return one parser with every command, as no other run needs it."""
    from gitops_rollback.cli import COMMANDS  # noqa: PLC0415 - it imports commands by name

    whole = Parser(prog="gitops-rollback")
    whole.add_argument("-v", "--verbose", action="store_true", help="show each git call")
    whole.add_argument("--version", action="store_true", help="print the version")
    commands = whole.add_subparsers()
    for name, help_ in COMMANDS.items():
        fill(commands.add_parser(name, help=help_), name, {})
    return whole


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
            found += [inner for one in action.choices.values() for inner in _actions(one)]
    return found
