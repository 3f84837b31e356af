"""What to type next, exactly: the commands that follow a result, in the words of its run."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from gitops_rollback import clock
from gitops_rollback.options import Kind, limits, repeated, rows_of
from gitops_rollback.refusals import ACCEPT, RELEASE, ROWS, Place, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gitops_rollback.options import Row
    from gitops_rollback.tell.output import Output

_CHANGING = ("deploy", "rollback", "release")
_NAMED_FIRST = ("service", "services", "set", "all")
# Where the next command looks; what else was given was of this change.
_PLACE = ("repository", "branch", "environment", "store", "hub-url", "registry-url", "cache")
_ME = "gitops-rollback"
_WITH_FORMS = (
    "the deploy job with RELEASE deploys the fix and ends the hold; "
    "ACTION release of the rollback job ends it alone"
)


def next_commands(document: Mapping[str, Any], output: Output) -> list[tuple[str, str]]:
    """Return one or two commands to type next, each behind what it is for; in Jenkins words."""
    if output.options is None or output.command not in ("plan", *_CHANGING):
        return []
    if place_of(output.environment) is Place.JENKINS:
        is_back = output.command == "rollback" and document.get("changed")
        return [("next", _WITH_FORMS)] if is_back else []
    if output.command == "plan":
        return _after_plan(document, output)
    if "error" in document:
        return _after_refusal(document, output)
    if document.get("dryRun"):
        return [("to do it", _command(output.command, output, without=("dry-run",)))]
    return _after_change(document, output) if document.get("changed") else []


def _after_plan(document: Mapping[str, Any], output: Output) -> list[tuple[str, str]]:
    services = document.get("services", ())
    skips = output.options is not None and output.options.skip_blocked
    if "error" in document or (any("to" not in one for one in services) and not skips):
        return []
    blocks = [] if skips else list(_blocks(document))
    more = _accepting(blocks, output)
    if more is None:
        return []
    words = _condition(blocks) if blocks else "to do it"
    return [(words, _command("rollback", output, [*more, "--reason TEXT"]))]


def _after_refusal(document: Mapping[str, Any], output: Output) -> list[tuple[str, str]]:
    """Return the same command again with what accepts what refused it; for a hold its end, too."""
    code = document["error"].get("code")
    blocks = list(_blocks(document)) or [("", code)] * (code is not None)
    more = _accepting(blocks, output)
    if not more:
        return []
    found = [(_condition(blocks), _command(output.command, output, more))]
    if any(ROWS[one].option == RELEASE for _service, one in blocks):
        found.append(("to end the hold", _command("release", output, ["--reason TEXT"], _PLACE)))
    return found


def _after_change(document: Mapping[str, Any], output: Output) -> list[tuple[str, str]]:
    names = [one["service"] for one in document["services"]]
    back, fix, end = (
        _command(command, output, more, _PLACE, names=names)
        for command, more in (
            ("rollback", ["--reason TEXT"]),
            ("deploy", ["--image IMAGE", "--release"]),
            ("release", ["--reason TEXT"]),
        )
    )
    if output.command == "deploy":
        return [("to take it back", back)]
    is_back = output.command == "rollback"
    return [("to deploy the fix", fix), ("to end the hold", end)] if is_back else []


def _blocks(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    services = document.get("services", ())
    for one in services:
        name = one["service"] if len(services) > 1 else ""
        yield from ((name, block["code"]) for block in one.get("blockedBy", ()))


def _condition(blocks: Sequence[tuple[str, str]]) -> str:
    codes = {code for _service, code in blocks}
    return ROWS[codes.pop()].condition if len(codes) == 1 else "to do it all the same"


def _accepting(blocks: Sequence[tuple[str, str]], output: Output) -> list[str] | None:
    """Return the options that accept what blocks services; None where one cannot be accepted."""
    allowed = limits(output.options, "allowed_accept") if output.options is not None else ()
    words = []
    for service, code in blocks:
        option = ROWS[code].option
        if option is None or (allowed and option == ACCEPT and code not in allowed):
            return None
        what = f" {service}={code}" if service else f" {code}"
        words.append(f"--{option}{what if option == ACCEPT else ''}")
    return list(dict.fromkeys(words))


def _command(
    command: str,
    output: Output,
    more: Sequence[str] = (),
    only: Sequence[str] = (),
    *,
    without: Sequence[str] = (),
    names: Sequence[str] | None = None,
) -> str:
    """Return a command for the same services with what was given, as far as it takes that.

    What a variable of the environment gives is there next time, too. `only` are the options that
    are taken over where not all are, `without` those that are not.
    """
    given = output.options
    words = [_ME, command, *(names if names is not None else _services(given))]
    for row in rows_of(command):
        value = getattr(given, row.name.replace("-", "_"), None)
        is_taken = row.name in only if only else row.name not in (*_NAMED_FIRST, *without)
        if is_taken and row.kind is not Kind.OUTPUT and value:
            words += _words(row, value, output.environment)
    return " ".join([*words, *more])


def _services(options: Any) -> list[str]:  # noqa: ANN401 - a namespace
    """Return the services as they were named."""
    sets = repeated(options, "set")
    names = [name for name in repeated(options, "service") if name not in sets]
    return [*(["--all"] if options.all else names), *(f"--set {name}" for name in sets)]


def _words(row: Row, value: Any, environment: Mapping[str, str]) -> list[str]:  # noqa: ANN401 - any
    """Return an option with its value; nothing for its default, and for what its variable says."""
    texts = [_text(one) for one in (value if isinstance(value, list) else [value])]
    usual = row.default or (row.choices[0] if row.choices else None)
    if "\n".join(texts) in (environment.get(row.variable), usual and _text(usual)):
        return []
    if value is True:
        return [f"--{row.name}"]
    if row.name == "as-of":  # an age means another time when it is typed again
        texts = [clock.instant(value, clock.now())]
    return [f"--{row.name} {shlex.quote(text)}" for text in texts]


def _text(value: Any) -> str:  # noqa: ANN401 - of any option
    if value is True:
        return "true"
    return f"{value:g}" if isinstance(value, float) else str(value)
