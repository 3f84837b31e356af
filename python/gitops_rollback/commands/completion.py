"""Print what lets a shell complete commands and options: `completion bash`, `zsh` or `fish`.

The script is made once and knows all options, so that completing starts nothing.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from gitops_rollback.errors import Exit
from gitops_rollback.options import Options, Parser

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHELLS = ("bash", "zsh", "fish")
_FILES = ("FILE", "PATH", "paths")
_FOLDERS = ("DIR",)


def add_options(options: Options) -> None:
    """Add the options of `completion`."""
    options.word("shell", "the shell", choices=_SHELLS)


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
        parser = commands.add_parser(name, help=help_)
        import_module(f"gitops_rollback.commands.{name}").add_options(Options(parser, {}))
    return whole


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
            found += [inner for one in action.choices.values() for inner in _actions(one)]
    return found
