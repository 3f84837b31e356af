"""Parsers made from the table of options; empty variables are unset."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NoReturn

from gitops_rollback.errors import UsageError, nearest
from gitops_rollback.late import replace
from gitops_rollback.model import whole_number
from gitops_rollback.options import Kind, Row, rows_of, split, variable_name
from gitops_rollback.tell.output import read_output

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
_SERVICES = "services"  # the argument that means the same as --service
# What git, kubectl, docker and others call some of the options.
_ELSEWHERE = {
    "-m": "--reason", "--message": "--reason", "--tag": "--image", "-t": "--image",
    "-n": "--environment", "--namespace": "--environment", "-e": "--environment",
    "--env": "--environment", "--format": "--output", "--context": "--kube-context",
    "-f": "--plan", "--revision": "--to", "--to-revision": "--to",
}  # fmt: skip


class Parser(argparse.ArgumentParser):
    """A parser whose errors are `UsageError`; its help is not argparse's."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - argparse's own settings
        super().__init__(allow_abbrev=False, add_help=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError` instead of printing and leaving."""
        raise UsageError(f"{self.prog}: {message}", f"see {self.prog} --help")

    def parse_command(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse; an unknown option is an error that names the nearest known one."""
        known, rest = self.parse_known_intermixed_args(list(arguments))
        if rest:
            raise UsageError(
                f"{self.prog}: unknown option or argument '{rest[0]}'",
                self._meant(rest[0].partition("=")[0]) or f"see {self.prog} --help",
            )
        return known

    def _meant(self, name: str) -> str:
        """Return which option a name that is none may stand for, as a question, or nothing."""
        options = [text for action in self._actions for text in action.option_strings]
        elsewhere = _ELSEWHERE.get(name)
        if elsewhere in options:
            return f"did you mean {elsewhere}?"
        near = nearest(name, options) if name.startswith("--") else []
        return f"did you mean {near[0]}?" if near else ""


class _Repeated(argparse.Action):
    """Collects the values of an option; those given replace the variable's."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,  # noqa: ANN401 - argparse's own type
        option_string: str | None = None,
    ) -> None:
        del parser, option_string
        given = getattr(namespace, self.dest)
        earlier = [] if given is self.default else given
        setattr(namespace, self.dest, [*earlier, values])


def parse(
    command: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> argparse.Namespace:
    """Parse what a command was given; raise `UsageError` for what it does not take."""
    parser = Parser(prog=f"gitops-rollback {command}")
    fill(parser, command, environment)
    options = parser.parse_command(arguments)
    if hasattr(options, _SERVICES):
        _place_arguments(options, command)
    if hasattr(options, "output"):
        output = read_output(options.output or (), environment.get(variable_name("output")))
        options.output = replace(output, command=command, options=options, environment=environment)
    return options


def _place_arguments(options: argparse.Namespace, command: str) -> None:
    """Let the arguments of a command mean services, or what `check --storage` reads."""
    named = options.services
    if command == "check":
        options.paths = named if options.storage else []
        named = [] if options.storage else named
    if named:
        options.service = [*(options.service or ()), *named]


def fill(parser: argparse.ArgumentParser, command: str, environment: Mapping[str, str]) -> None:
    """Add the options of a command to a parser, with defaults from the environment."""
    for row in rows_of(command):
        text = environment.get(row.variable) or None
        _ADD[row.kind](parser, row, text)


def _add_one(parser: argparse.ArgumentParser, row: Row, text: str | None) -> None:
    """Add an option whose value is read from one text."""
    read = _READERS.get(row.kind, str)
    default = read(text) if text else row.default
    parser.add_argument(*_names(row), default=default, type=read, metavar=row.metavar)


def _add_flag(parser: argparse.ArgumentParser, row: Row, text: str | None) -> None:
    default = truth(row.name, {row.variable: text or ""})
    parser.add_argument(*_names(row), action="store_true", default=default)


def _add_choice(parser: argparse.ArgumentParser, row: Row, text: str | None) -> None:
    value = text or (row.choices[0] if row.default is None else row.default)
    if value and value not in row.choices:
        raise UsageError(
            f"{row.variable} is '{value}', which is none of {', '.join(row.choices)}",
            "set it to one of them, or unset it",
        )
    parser.add_argument(*_names(row), default=value, choices=row.choices)


def _add_names(parser: argparse.ArgumentParser, row: Row, text: str | None) -> None:
    parser.add_argument(*_names(row), action="append", default=None, metavar=row.metavar)
    names = None if text is None else split(text)
    parser.set_defaults(**{f"{row.name.replace('-', '_')}_variable": names})


def _add_files(parser: argparse.ArgumentParser, row: Row, text: str | None) -> None:
    default = [line for line in (text or "").splitlines() if line.strip()]
    parser.add_argument(*_names(row), action=_Repeated, default=default, metavar=row.metavar)


def _add_output(parser: argparse.ArgumentParser, row: Row, text: str | None) -> None:
    del text  # it is the file where no option names one
    parser.add_argument(*_names(row), action="append", default=None, metavar=row.metavar)


def _add_word(parser: argparse.ArgumentParser, row: Row, text: str | None) -> None:
    del text  # what is said by its place has no variable
    parser.add_argument(row.name, choices=row.choices)


def _add_arguments(parser: argparse.ArgumentParser, row: Row, text: str | None) -> None:
    del text
    parser.add_argument(row.name, nargs="*", metavar=row.metavar)


_ADD: Mapping[Kind, Callable[[argparse.ArgumentParser, Row, str | None], None]] = {
    Kind.TEXT: _add_one,
    Kind.SECONDS: _add_one,
    Kind.COUNT: _add_one,
    Kind.FLAG: _add_flag,
    Kind.CHOICE: _add_choice,
    Kind.NAMES: _add_names,
    Kind.FILES: _add_files,
    Kind.LIMIT: _add_one,
    Kind.OUTPUT: _add_output,
    Kind.WORD: _add_word,
    Kind.ARGUMENTS: _add_arguments,
}


def _names(row: Row) -> tuple[str, ...]:
    return (f"-{row.letter}", f"--{row.name}") if row.letter else (f"--{row.name}",)


def truth(name: str, environment: Mapping[str, str]) -> bool:
    """Return what the variable of a flag says; raise `UsageError` if it is malformed."""
    text = environment.get(variable_name(name), "")
    if text.lower() in ("", *_FALSE):
        return False
    if text.lower() in _TRUE:
        return True
    raise UsageError(
        f"{variable_name(name)} is '{text}', which is neither true nor false",
        "set it to true or false, or unset it",
    )


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UsageError(f"'{text}' is no number of seconds", "write for example 120")
    return value


def _count(text: str) -> int:
    number = whole_number(text)
    if not number:
        raise UsageError(f"'{text}' is no number of at least 1", "write for example 20")
    return number


def _limit(text: str) -> int:
    number = whole_number(text)
    if number is None:
        raise UsageError(f"'{text}' is no number of lines", "write for example 20; 0 is all")
    return number


_READERS: Mapping[Kind, Callable[[str], object]] = {
    Kind.SECONDS: _number,
    Kind.COUNT: _count,
    Kind.LIMIT: _limit,
}
