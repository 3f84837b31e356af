"""What to type next, exactly: the commands that follow a result, in the words of its run."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from gitops_rollback import clock
from gitops_rollback.late import regex
from gitops_rollback.options import Kind, limits, repeated, rows_of
from gitops_rollback.refusals import ACCEPT, RELEASE, ROWS, Place, codes_of, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gitops_rollback.options import Row
    from gitops_rollback.tell.output import Output

_CHANGING = ("deploy", "rollback", "release")
_NAMED_FIRST = ("service", "services", "set", "all")
# Where the next command looks; what else was given was of this change.
_PLACE = ("repository", "branch", "environment", "store", "hub-url", "registry-url", "cache")
_ME = "gitops-rollback"
_BESIDES = regex(rf" --{ACCEPT} ([a-z,-]+)")  # that is offered with another option
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
        is_asked_before = getattr(output.options, "before_build", False)
        words = "when it is built and pushed" if is_asked_before else "to do it"
        return [(words, _command(output.command, output, without=("dry-run", "before-build")))]
    return _after_change(document, output) if document.get("changed") else []


def _after_plan(document: Mapping[str, Any], output: Output) -> list[tuple[str, str]]:
    services = document.get("services", ())
    skips = output.options is not None and output.options.skip_blocked
    if "error" in document or (any("to" not in one for one in services) and not skips):
        return []
    blocks = [] if skips else list(_blocks(document))
    accepted = _accepting(blocks, output) if blocks else ("to do it", [])
    if accepted is None:
        return []
    words, more = accepted
    return [(words, _command("rollback", output, [*more, "--reason TEXT"]))]


def _after_refusal(document: Mapping[str, Any], output: Output) -> list[tuple[str, str]]:
    """Return the same command again with what accepts what refused it; for a hold its end, too."""
    error = document["error"]
    blocks = list(_blocks(document)) or ([("", error)] if "code" in error else [])
    accepted = _accepting(blocks, output) if blocks else None
    found = []
    if accepted is not None:
        words, more = accepted
        found.append((words, _command(output.command, output, more)))
    is_good = accepted is None or not any(ACCEPT in one for one in accepted[1])
    held = (block for _service, block in blocks if block["code"] in codes_of(RELEASE))
    if is_good and any(RELEASE in block["hint"] for block in held):  # else it is over already
        found.append(("to end the hold", _command("release", output, ["--reason TEXT"], _PLACE)))
    return found


def _after_change(document: Mapping[str, Any], output: Output) -> list[tuple[str, str]]:
    names = [one["service"] for one in document["services"]]
    images = [f"--image {name}=IMAGE" for name in names] if len(names) > 1 else ["--image IMAGE"]
    back, fix, end = (
        _command(command, output, more, _PLACE, names=names)
        for command, more in (
            ("rollback", ["--reason TEXT"]),
            ("deploy", [*images, "--release"]),
            ("release", ["--reason TEXT"]),
        )
    )
    if output.command == "deploy":
        return [("to take it back", back)]
    is_back = output.command == "rollback"
    return [("to deploy the fix", fix), ("to end the hold", end)] if is_back else []


def _blocks(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each refusal of a plan, with the service where there are several."""
    services = document.get("services", ())
    for one in services:
        name = one["service"] if len(services) > 1 else ""
        yield from ((name, block) for block in one.get("blockedBy", ()))


def _accepting(
    blocks: Sequence[tuple[str, Mapping[str, Any]]], output: Output
) -> tuple[str, list[str]] | None:
    """Return who may accept what blocks services, and by which options.

    None where one of them cannot be accepted, or its hint leads elsewhere: what to do comes from
    the rule that refused, `…; if you know that it ran: --accept unproven`.
    """
    allowed = limits(output.options, "allowed_accept") if output.options is not None else ()
    options, conditions = [], []
    for service, block in blocks:
        row = ROWS.get(block["code"])
        if row is None:
            return None  # it runs already: there is nothing to accept
        condition, offered, rest = block["hint"].partition(f": {row.accepting(Place.SHELL)}")
        besides = _BESIDES.match(rest)
        codes = [row.code] if row.option == ACCEPT else []
        codes += besides[1].split(",") if besides else []
        if row.option is None or not offered or not (not allowed or {*codes} <= {*allowed}):
            return None
        what = ",".join(f"{service}={code}" if service else code for code in codes)
        options += [f"--{row.option}"] if row.option != ACCEPT else []
        options += [f"--{ACCEPT} {what}"] if what else []
        conditions.append(condition.rpartition("; ")[2])
    words = conditions[0] if len(set(conditions)) == 1 else "to do it all the same"
    return words, list(dict.fromkeys(options))


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
        is_given = value is not None and value is not False and value != []
        if is_taken and is_given and row.kind is not Kind.OUTPUT:
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
    default = row.choices[0] if row.choices and row.default is None else row.default
    # A variable stands before the default: who gave the default against it meant that.
    if "\n".join(texts) == (environment.get(row.variable) or _text(default)):
        return []
    if value is True:
        return [f"--{row.name}"]
    if row.name == "as-of":  # an age means another time when it is typed again
        texts = [clock.instant(value, clock.now())]
    return [f"--{row.name} {shlex.quote(text)}" for text in texts]


def _text(value: Any) -> str:  # noqa: ANN401 - of any option
    if value is None or value is True:
        return "true" if value else ""
    return f"{value:g}" if isinstance(value, float) else str(value)
