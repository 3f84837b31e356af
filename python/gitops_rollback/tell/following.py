"""What to type next, exactly: the commands that follow a result, in the words of its run."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from gitops_rollback import clock
from gitops_rollback.forges.address import KINDS
from gitops_rollback.options import STRATEGIES, repeated, variable_name
from gitops_rollback.refusals import Place, place_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.tell.output import Output

_PLACE = ("repository", "branch", "environment", "store", "hub-url", "registry-url", "cache")
_CHOICE = ("strategy", "query", "to")
# What else decides what a change does, and how it comes to the branch.
_FLAGS = (
    *("release", "allow-older", "unattended", "pull-request", "wait-for-merge"),
    *("wait", "hasten", "auto-rollback", "keep"),
)
_TEXTS = ("hold", "forge", "forge-url")
_DEFAULTS = {"strategy": STRATEGIES[0], "forge": KINDS[0]}
_ME = "gitops-rollback"
_WITH_FORMS = (
    "the deploy job with RELEASE deploys the fix and ends the hold; "
    "ACTION release of the rollback job ends it alone"
)


def next_commands(document: Mapping[str, Any], output: Output) -> list[tuple[str, str]]:
    """Return one or two commands to type next, each behind what it is for; in Jenkins words."""
    options, environment = output.options, output.environment
    if options is None or "error" in document:
        return []
    if place_of(environment) is Place.JENKINS:
        is_back = output.command == "rollback" and document.get("changed")
        return [("next", _WITH_FORMS)] if is_back else []
    if output.command == "plan":
        return _after_plan(document, options, environment)
    if output.command in ("deploy", "rollback") and document.get("dryRun"):
        return _after_dry_run(output.command, options, environment)
    if output.command in ("deploy", "rollback") and document.get("changed"):
        return _after_change(document, output.command, options, environment)
    return []


def _after_plan(
    document: Mapping[str, Any], options: argparse.Namespace, environment: Mapping[str, str]
) -> list[tuple[str, str]]:
    services = document.get("services", ())
    blocked = any(one.get("blockedBy") or "to" not in one for one in services)
    if blocked and not options.skip_blocked:
        return []
    words = [*_services(options), *_place(options, environment), *_choice(options, environment)]
    return [("to do it", f"{_ME} rollback {' '.join(words)} --reason TEXT")]


def _after_dry_run(
    command: str, options: argparse.Namespace, environment: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return the same command without `--dry-run`; none where files decide what it does."""
    if options.plan if command == "rollback" else options.record:
        return []
    words = [*_services(options), *_place(options, environment)]
    if command == "rollback":
        words += [*_choice(options, environment), f"--reason {shlex.quote(options.reason)}"]
    else:
        words += _repeated(options, "image", "from", "accept")
        words += ["--skip-blocked"] if options.skip_blocked else []
    words += _given(options, environment, _TEXTS)
    words += [f"--{name}" for name in _FLAGS if getattr(options, name.replace("-", "_"), False)]
    return [("to do it", f"{_ME} {command} {' '.join(words)}")]


def _after_change(
    document: Mapping[str, Any],
    command: str,
    options: argparse.Namespace,
    environment: Mapping[str, str],
) -> list[tuple[str, str]]:
    names = " ".join([one["service"] for one in document["services"]])
    place = " ".join([names, *_place(options, environment)])
    if command == "deploy":
        return [("to take it back", f"{_ME} rollback {place} --reason TEXT")]
    return [
        ("to deploy the fix", f"{_ME} deploy {place} --image IMAGE --release"),
        ("to end the hold", f"{_ME} release {place} --reason TEXT"),
    ]


def _services(options: argparse.Namespace) -> list[str]:
    """Return the services as they were named."""
    sets = repeated(options, "set")
    names = [name for name in repeated(options, "service") if name not in sets]
    return [*(["--all"] if options.all else names), *(f"--set {name}" for name in sets)]


def _place(options: argparse.Namespace, environment: Mapping[str, str]) -> list[str]:
    """Return where the run was, as far as no variable says it: that is there next time, too."""
    return _given(options, environment, _PLACE)


def _choice(options: argparse.Namespace, environment: Mapping[str, str]) -> list[str]:
    """Return what was asked for; an age as the time that it means now."""
    words = _given(options, environment, _CHOICE)
    if options.as_of:
        words.append(f"--as-of {clock.instant(options.as_of, clock.now())}")
    words += _repeated(options, "from", "accept")
    words += ["--again"] if options.again else []
    return words + (["--skip-blocked"] if options.skip_blocked else [])


def _repeated(options: argparse.Namespace, *names: str) -> list[str]:
    given = [name for name in names if getattr(options, name) is not None]
    return [f"--{name} {shlex.quote(value)}" for name in given for value in repeated(options, name)]


def _given(
    options: argparse.Namespace, environment: Mapping[str, str], names: tuple[str, ...]
) -> list[str]:
    words = []
    for name in names:
        value = getattr(options, name.replace("-", "_"), None)
        usual = environment.get(variable_name(name)) or _DEFAULTS.get(name)
        if value and value != usual:
            words.append(f"--{name} {shlex.quote(str(value))}")
    return words
