"""Options of the command: each also reads an environment variable; empty variables are unset."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NoReturn

from gitops_rollback.errors import UsageError, nearest
from gitops_rollback.image import ImageReference, InvalidImageError, parse_image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PREFIX = "GITOPS_"
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
_HELP_WIDTH = 100


class Parser(argparse.ArgumentParser):
    """A parser whose errors are `UsageError`, and whose help does not depend on the terminal."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - argparse's own settings
        super().__init__(
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
                prog, max_help_position=26, width=_HELP_WIDTH
            ),
            **settings,
        )

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError` instead of printing and leaving."""
        raise UsageError(f"{self.prog}: {message}", f"see {self.prog} --help")

    def parse_command(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse; an unknown option is an error that names the nearest known one."""
        known, rest = self.parse_known_args(list(arguments))
        if rest:
            options = [text for action in self._actions for text in action.option_strings]
            near = nearest(rest[0].partition("=")[0], options)
            raise UsageError(
                f"{self.prog}: unknown option or argument '{rest[0]}'",
                f"did you mean {near[0]}?" if near else f"see {self.prog} --help",
            )
        return known


class _Files(argparse.Action):
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


class Options:
    """Adds options to a parser, with defaults from the environment."""

    def __init__(self, parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
        self._parser = parser
        self._environment = environment

    def text(self, name: str, help_: str, *, metavar: str, default: str | None = None) -> None:
        """Add an option with one value."""
        value = self._variable(name) or default
        self._parser.add_argument(f"--{name}", default=value, metavar=metavar, help=help_)

    def number(self, name: str, help_: str, *, metavar: str, default: float) -> None:
        """Add an option with a number of at least zero."""
        text = self._variable(name)
        self._parser.add_argument(
            f"--{name}",
            default=_number(text) if text else default,
            type=_number,
            metavar=metavar,
            help=help_,
        )

    def count(self, name: str, help_: str, *, metavar: str, default: int) -> None:
        """Add an option with a whole number of at least one."""
        text = self._variable(name)
        self._parser.add_argument(
            f"--{name}",
            default=_count(text) if text else default,
            type=_count,
            metavar=metavar,
            help=help_,
        )

    def flag(self, name: str, help_: str) -> None:
        """Add an option without a value."""
        default = truth(name, self._environment)
        self._parser.add_argument(f"--{name}", action="store_true", default=default, help=help_)

    def choice(self, name: str, help_: str, *, choices: Sequence[str]) -> None:
        """Add an option with one of some values; the first is the default."""
        value = self._variable(name) or choices[0]
        if value not in choices:
            raise UsageError(
                f"{variable_name(name)} is '{value}', which is none of {', '.join(choices)}",
                "set it to one of them, or unset it",
            )
        self._parser.add_argument(f"--{name}", default=value, choices=choices, help=help_)

    def word(self, name: str, help_: str, *, choices: Sequence[str]) -> None:
        """Add an argument without an option's name: one of some words."""
        self._parser.add_argument(name, choices=choices, help=help_)

    def paths(self, name: str, help_: str, *, metavar: str) -> None:
        """Add any number of arguments without an option's name."""
        self._parser.add_argument(name, nargs="*", metavar=metavar, help=help_)

    def names(self, name: str, help_: str, *, metavar: str) -> None:
        """Add an option that may be repeated; in the variable, commas or blanks separate."""
        text = self._variable(name) or ""
        self._parser.add_argument(
            f"--{name}",
            action="append",
            default=None,
            metavar=metavar,
            help=help_,
        )
        self._parser.set_defaults(**{f"{name.replace('-', '_')}_variable": _split(text)})

    def files(self, name: str, help_: str, *, metavar: str) -> None:
        """Add a file option that may be repeated; in the variable, each stands on its own line."""
        lines = (self._variable(name) or "").splitlines()
        default = [line for line in lines if line.strip()]
        self._parser.add_argument(
            f"--{name}", action=_Files, default=default, metavar=metavar, help=help_
        )

    def _variable(self, name: str) -> str | None:
        return self._environment.get(variable_name(name)) or None


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


def repeated(options: argparse.Namespace, name: str) -> tuple[str, ...]:
    """Return the values of a repeatable option: those given, else those of its variable."""
    given = getattr(options, name)
    values = given if given is not None else getattr(options, f"{name}_variable")
    return tuple(part for value in values for part in _split(value))


def images_by_service(options: argparse.Namespace, name: str) -> dict[str, ImageReference]:
    """Return the images of an option, `SERVICE=IMAGE`, by service; a plain one has an empty name.

    Raises `UsageError` if one is malformed, or if a service is named twice.
    """
    found: dict[str, ImageReference] = {}
    for text in repeated(options, name):
        service, equals, image = text.rpartition("=")
        if service in found or (equals and not service):
            raise UsageError(
                f"--{name} {text}: {service or 'no service'} is named{' twice' if service else ''}",
                f"write --{name} SERVICE=IMAGE, once for each service",
            )
        found[service] = _parsed(image, name)
    return found


def _parsed(text: str, name: str) -> ImageReference:
    try:
        return parse_image(text)
    except InvalidImageError as error:
        raise UsageError(
            f"--{name}: {error}",
            "write registry/repository:tag@sha256:…, for example acme/cart:1.4.2",
        ) from error


def variable_name(name: str) -> str:
    """Return the environment variable by which an option is given, too."""
    return _PREFIX + name.upper().replace("-", "_")


def _split(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UsageError(f"'{text}' is no number of seconds", "write for example 120")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"'{text}' is no number of at least 1", "write for example 20")
    return int(text)
