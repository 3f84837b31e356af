"""Show what a change did: lines for people, the result for programs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gitops_rollback import clock
from gitops_rollback.errors import Exit, GitopsRollbackError, WaitingError
from gitops_rollback.refusals import Place, place_of
from gitops_rollback.tell.output import error_to_json, write_result
from gitops_rollback.tell.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.session import Session
    from gitops_rollback.tell.output import Output
    from gitops_rollback.write.commit import Outcome


@contextmanager
def timed(session: Session) -> Iterator[None]:
    """Let an error that ends a `with` block tell the seconds by phase, as a success does."""
    try:
        yield
    except GitopsRollbackError as error:
        error.found = {**error.found, "seconds": session.watch.seconds()}
        raise


def report_change(session: Session, outcome: Outcome) -> Exit:
    """Tell of an outcome, and write its result.

    Returns the exit code: 7 while a pull request waits for its merge.
    """
    return _end(outcome, change_result(session, outcome), session.options.output)


def change_result(session: Session, outcome: Outcome) -> dict[str, Any]:
    """Return the result of a change, and tell what it warns of."""
    dry_run = bool(session.options.dry_run)
    blocked = outcome.blocked
    seconds = session.watch.seconds()
    for warning in (warning for change in outcome.changes for warning in change.warnings):
        say(f"warning: {warning}")
    return {
        **({"commit": outcome.commit} if outcome.commit is not None else {}),
        **({"pullRequest": outcome.pull_request.to_json()} if outcome.pull_request else {}),
        "branch": outcome.branch,
        "changed": outcome.changed,
        "dryRun": dry_run,
        "services": [change.to_json() for change in outcome.changes],
        **({"blocked": [one.to_json() for one in blocked]} if blocked else {}),
        "startedAt": clock.moment(seconds["total"]),
        "seconds": seconds,
    }


def waits_after(session: Session, outcome: Outcome) -> bool:
    """Tell whether a change is to be waited for: asked for, made, and not only proposed.

    An image that was deployed before is waited for, too: it may not run yet. A step of the library
    waits by itself, in another run.
    """
    options = session.options
    asked = options.wait or getattr(options, "auto_rollback", False)
    made = not options.dry_run and outcome.pull_request is None and bool(outcome.changes)
    return asked and made and place_of(session.environment) is Place.SHELL


def _end(outcome: Outcome, result: dict[str, Any], output: Output) -> Exit:
    opened = outcome.pull_request
    if opened is None or not outcome.is_waiting:
        write_result(result, output, _difference(outcome, is_result=result["dryRun"]))
        return Exit.DONE
    error = WaitingError(
        f"pull request {opened.number} is open and not merged: {opened.url}",
        "merge it; or run this again with --wait-for-merge, which waits for that",
        result,
    )
    say(error.message, f"hint: {error.hint}")
    write_result(error_to_json(error), output)
    return error.exit_code


def _difference(outcome: Outcome, *, is_result: bool) -> list[str]:
    """Return the difference to show with the result of a rehearsal; of a change it is progress."""
    lines = outcome.diff.splitlines() if outcome.diff else []
    if is_result:
        return lines
    say(*lines)
    return []
