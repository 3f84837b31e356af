"""Show what a change did: lines for people, the result for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.many import Blocked, show_blocked
from gitops_rollback.output import say, write_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.change import Outcome
    from gitops_rollback.commands.session import Session


def report_change(
    session: Session,
    outcome: Outcome,
    done: str,
    idle: str = "runs already",
    blocked: Sequence[Blocked] = (),
) -> None:
    """Tell of an outcome, and of the services that were left because something blocks them.

    `done` is the verb in the past, `idle` why there was nothing to do.
    """
    dry_run = bool(session.options.dry_run)
    seconds = session.watch.seconds()
    if outcome.diff:
        say(outcome.diff)
    for change in outcome.changes:
        for warning in change.warnings:
            say(f"warning: {warning}")
        summary = change.summary
        if not change.changes_anything:
            say(f"{change.at.title}: {summary.to.label} {idle}, nothing to do")
        elif dry_run:
            say(f"{change.at.title}: {summary.versions} would be {done} (dry run)")
        else:
            say(f"{change.at.title}: {summary.versions} {done}")
    if blocked:
        say(f"left as they are: {len(blocked)} of {len(blocked) + len(outcome.changes)} services")
        show_blocked(blocked)
    if outcome.commit is not None:
        phases = ", ".join(
            f"{name} {value:g}" for name, value in seconds.items() if name != "total"
        )
        say(f"commit {outcome.commit} on {outcome.branch} in {seconds['total']:g} s ({phases})")
    commit = {"commit": outcome.commit} if outcome.commit is not None else {}
    write_result(
        {
            **commit,
            "branch": outcome.branch,
            "changed": outcome.changed,
            "dryRun": dry_run,
            "services": [change.to_json() for change in outcome.changes],
            **({"blocked": [one.to_json() for one in blocked]} if blocked else {}),
            "seconds": seconds,
        },
        session.options.output,
    )
