"""Print what lets a shell complete commands and options, or install it: bash, zsh or fish.

The script is made once and knows all options, so that completing starts nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gitops_rollback.errors import ConfigError, Exit
from gitops_rollback.parsing import Parser, fill
from gitops_rollback.scratch import private, write_whole
from gitops_rollback.tell.terminal import say, show

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILES = ("FILE", "PATH", "SERVICE|PATH")
_FOLDERS = ("DIR",)


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Print the script of one shell, or write it where that shell looks."""
    import shtab  # noqa: PLC0415 - for this command alone

    parser = _whole_parser()
    for action in _actions(parser):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    script = shtab.complete(parser, shell=options.shell) + "\n"
    if not options.install:
        sys.stdout.write(script)
        return Exit.DONE
    file = _place(options.shell, environment)
    try:
        private(file.parent)
        write_whole(file, script)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror or error}",
            f"write it by hand: gitops-rollback completion {options.shell} > FILE",
        ) from error
    show([f"{file}: a new shell completes gitops-rollback"])
    if options.shell == "zsh":
        say(f"where zsh does not look there yet, put into ~/.zshrc: fpath+=({file.parent})")
    return Exit.DONE


def _place(shell: str, environment: Mapping[str, str]) -> Path:
    """Return where a shell looks for completions of its user, by itself (zsh: once it is told)."""
    home = environment.get("HOME")
    if not home:
        raise ConfigError("there is no HOME to install it in", "print it, without --install")
    data = Path(environment.get("XDG_DATA_HOME") or Path(home) / ".local/share")
    config = Path(environment.get("XDG_CONFIG_HOME") or Path(home) / ".config")
    return {
        "bash": data / "bash-completion/completions/gitops-rollback",
        "zsh": data / "zsh/site-functions/_gitops-rollback",
        "fish": config / "fish/completions/gitops-rollback.fish",
    }[shell]


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
