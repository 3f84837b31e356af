"""The command line that does what was planned: the options that mean the same again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from gitops_rollback import clock
from gitops_rollback.options import STRATEGIES, repeated, variable_name

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


_PLACE = ("repository", "branch", "environment", "store", "hub-url", "registry-url")
_CHOICE = ("strategy", "query", "to")
_DEFAULTS = {"strategy": STRATEGIES[0]}


def to_do_it(options: argparse.Namespace, present: str, environment: Mapping[str, str]) -> str:
    """Return the rollback that does what a plan with these options shows.

    What the variables of the environment say is left out: they are there then, too.
    """
    sets = repeated(options, "set")
    names = [name for name in repeated(options, "service") if name not in sets]
    words = ["--all"] if options.all else [f"--service {name}" for name in names]
    words += [f"--set {name}" for name in sets]
    for name in (*_PLACE, *_CHOICE):
        value = getattr(options, name.replace("-", "_"))
        if value and value != (environment.get(variable_name(name)) or _DEFAULTS.get(name)):
            words.append(f"--{name} {shlex.quote(value)}")
    words += [f"--as-of {clock.instant(options.as_of, present)}"] if options.as_of else []
    words += [f"--{name} {value}" for name in ("from", "accept") for value in _given(options, name)]
    words += ["--again"] if options.again else []
    words += ["--skip-blocked"] if options.skip_blocked else []
    return f"gitops-rollback rollback {' '.join(words)} --reason TEXT"


def _given(options: argparse.Namespace, name: str) -> tuple[str, ...]:
    """Return the values of a repeatable option that stand on the command line."""
    return repeated(options, name) if getattr(options, name) is not None else ()
