"""Show what a change did: lines for people, the result for programs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gitops_rollback import clock
from gitops_rollback.errors import Exit, GitopsRollbackError, WaitingError
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
    """Tell of an outcome, and of the services that were left because something blocks them.

    Returns the exit code: 7 while a pull request waits for its merge.
    """
    dry_run = bool(session.options.dry_run)
    blocked = outcome.blocked
    seconds = session.watch.seconds()
    for warning in (warning for change in outcome.changes for warning in change.warnings):
        say(f"warning: {warning}")
    result = {
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
    return _end(outcome, result, session.options.output)


def _end(outcome: Outcome, result: dict[str, Any], output: Output) -> Exit:
    opened = outcome.pull_request
    if opened is None or not outcome.is_waiting:
        write_result(result, output, outcome.diff.splitlines() if outcome.diff else ())
        return Exit.DONE
    error = WaitingError(
        f"pull request {opened.number} is open and not merged: {opened.url}",
        "merge it; or run this again with --wait-for-merge, which waits for that",
        result,
    )
    say(error.message, f"hint: {error.hint}")
    write_result(error_to_json(error), output)
    return error.exit_code
