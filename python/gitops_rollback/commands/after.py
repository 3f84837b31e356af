"""After a push: wait until the change runs, and undo a deploy whose image is to blame."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from gitops_rollback import clock
from gitops_rollback.clock import Deadline
from gitops_rollback.commands.doing import change_result, do
from gitops_rollback.commands.waiting import watch
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import Exit, GitopsRollbackError, InterruptedRunError
from gitops_rollback.late import replace
from gitops_rollback.tell.output import write_result
from gitops_rollback.tell.terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.image import ImageReference
    from gitops_rollback.look.snapshot import Snapshot
    from gitops_rollback.session import Session
    from gitops_rollback.write.commit import Outcome


def see_through(session: Session, outcome: Outcome) -> int:
    """Tell of a change, wait until it runs, and write both as one result.

    With `--auto-rollback` a deploy whose image is to blame is rolled back, once; the run fails all
    the same. Raises what the wait ended with, with the change and its rollout in it.
    """
    result = change_result(session, outcome)
    if outcome.commit is not None:
        say(f"pushed as {outcome.commit[:12]} on {outcome.branch}; waiting until it runs")
    session = _of(session, [change.at.service for change in outcome.changes], outcome)
    seen, error = _watched(session, result)
    result["rollout"] = seen
    if error is None:
        write_result(result, session.options.output)
        return Exit.DONE
    if _undoes(session, outcome, seen):
        error.message += f" ({_undo(session, outcome, result, error.message)})"
    error.found = result
    raise error


def _watched(
    session: Session, change: dict[str, Any]
) -> tuple[dict[str, Any], GitopsRollbackError | None]:
    """Wait for a change; what was changed is in the error of a wait that was interrupted, too."""
    try:
        return watch(session, change, session.options.wait_timeout)
    except InterruptedRunError as error:
        error.found = {**change, **error.found}
        raise
    except GitopsRollbackError as error:
        # That it could not be looked at undoes nothing: it is said beside what was done.
        error.found = change
        raise


def _of(session: Session, services: Sequence[str], outcome: Outcome) -> Session:
    """Return the session of some services of a change, however they were named before."""
    options = Namespace(**vars(session.options))
    options.service, options.set, options.all = list(services), [], False
    options.environment = outcome.changes[0].at.environment
    options.plan = None
    return replace(session, options=options)


# Going back by itself


def _undoes(session: Session, outcome: Outcome, seen: dict[str, Any]) -> bool:
    """Tell whether a deploy is to be undone: asked for, changed, and the image is to blame."""
    is_wanted = getattr(session.options, "auto_rollback", False) and outcome.changed
    return is_wanted and any(one.get("failure", {}).get("byImage") for one in seen["rollouts"])


def _undo(
    session: Session,
    outcome: Outcome,
    result: dict[str, Any],
    reason: str,
) -> str:
    """Roll back all that a deploy's commit changed, in one commit, once; say how that went.

    Nobody looks on: a changed storage stops it, and so does an image that is no longer the one that
    was deployed. A rollback whose own pods fail is not rolled back.
    """
    changed = {one.at.service: one.summary.to for one in outcome.changes if one.changes_what_runs}
    say(f"rolling back what was deployed: {', '.join(changed)}")
    session = _of(session, list(changed), outcome)
    session = replace(session, present=clock.now(), deadline=Deadline(session.options.timeout))
    try:
        undone = _roll_back(session, changed, reason)
    except GitopsRollbackError as error:
        return f"it could not be rolled back: {error.message}"
    back = result["rolledBack"] = change_result(session, undone)
    images = ", ".join(one.summary.to.label for one in undone.changes)
    told = f"rolled back to {images}, and held"
    try:
        back["rollout"], bad = watch(session, back, session.options.wait_timeout)
    except GitopsRollbackError as error:
        bad = error
    return f"{told}; but {bad.message}" if bad else told


def _roll_back(session: Session, deployed: dict[str, ImageReference], reason: str) -> Outcome:
    session.options.reason = reason
    wish = Wish(
        "rollback",
        session.present,
        by=session.by,
        reason=session.reason,
        build=session.build,
        unattended=True,
    )

    def wishes(snapshot: Snapshot) -> list[Wish]:
        return [replace(wish, expected=deployed[at.service]) for at in snapshot.services]

    with session.open_repository() as repository:
        return do(session, repository, session.open_tip(repository), wishes)
