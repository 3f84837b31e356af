"""Do what is wished for, and tell of it: lines for people, the result for programs.

After a push it may wait until the change runs, and undo a deploy whose image is to blame.
"""

from __future__ import annotations

from argparse import Namespace
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from gitops_rollback import clock
from gitops_rollback.clock import Deadline
from gitops_rollback.commands.keeping import keep_builds
from gitops_rollback.commands.wishes import request_of
from gitops_rollback.decide.change import Refused, whole_error
from gitops_rollback.decide.rollback import obstacle
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import (
    Exit,
    GitopsRollbackError,
    InterruptedRunError,
    NotFoundError,
    RefusedError,
    UsageError,
    WaitingError,
)
from gitops_rollback.late import replace
from gitops_rollback.refusals import Place, place_of
from gitops_rollback.run import carry_out, look_only
from gitops_rollback.tell.output import error_to_json, write_result
from gitops_rollback.tell.terminal import say
from gitops_rollback.write.commit import Committer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gitops_rollback.decide.change import Change
    from gitops_rollback.decide.plan import Plan
    from gitops_rollback.image import ImageReference
    from gitops_rollback.look.snapshot import Snapshot
    from gitops_rollback.model import Request
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session
    from gitops_rollback.tell.output import Output
    from gitops_rollback.write.commit import Outcome


def make(
    session: Session,
    wishes: Callable[[Snapshot], Sequence[Wish]],
    opened: Callable[[Session, Repository], Tip],
) -> int:
    """Do what is wished for, keep builds where that is asked; tell of it at once or when it runs.

    `opened` fetches the tip. Returns the exit code.
    """
    with timed(session), session.open_repository() as repository:
        outcome = do(session, repository, opened(session, repository), wishes)
        if getattr(session.options, "keep", False):
            outcome = keep_builds(session, repository, outcome)
    if waits_after(session, outcome):
        return see_through(session, outcome)
    return report_change(session, outcome)


def do(
    session: Session,
    repository: Repository,
    tip: Tip,
    wishes: Callable[[Snapshot], Sequence[Wish]],
    *,
    states: bool = True,
    read: Callable[[Repository, Request, Tip], Snapshot] | None = None,
) -> Outcome:
    """Do what is wished for, and return what became of it; raise what refuses it.

    `tip` is the tip of the configuration's branch.
    Without `states` state files are not read: they are to be rebuilt. `read` is how the
    services are read, where that is not the usual way.
    """
    request = replace(request_of(session.options), without_states=not states)
    decided: list[tuple[Snapshot, Sequence[Change | Refused]]] = []
    committer = _committer(session, repository)
    try:
        with closing(committer):
            return carry_out(
                session,
                committer,
                tip,
                lambda tip: (read or session.read)(repository, request, tip),
                wishes,
                lambda *last: decided.append(last),
            )
    except (RefusedError, NotFoundError) as error:
        for snapshot, last in decided[-1:]:
            if any(one.plan is not None for one in last):
                error.found = plans_to_json(session, snapshot, last)
        raise


def _committer(session: Session, repository: Repository) -> Committer:
    """Return what commits to the branch, or with `--pull-request` to one beside it."""
    options = session.options
    dry_run = bool(options.dry_run)
    if getattr(options, "wait_for_merge", False) and not options.pull_request:
        raise UsageError("--wait-for-merge has no pull request to wait for", "add --pull-request")
    if dry_run or not getattr(options, "pull_request", False):
        return Committer(repository, session.deadline, session.watch, dry_run=dry_run)
    from gitops_rollback.forges.pulls import connect  # noqa: PLC0415 - only for pull requests
    from gitops_rollback.write.proposal import Proposer  # noqa: PLC0415 - the same

    forge = connect(
        session.remote,
        session.environment,
        session.deadline,
        kind=options.forge,
        api=options.forge_url,
    )
    waits = bool(options.wait_for_merge)
    return Proposer(repository, session.deadline, session.watch, forge=forge, waits=waits)


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
    asked = any(getattr(options, name, False) for name in ("wait", "auto_rollback"))
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


def plan_all(
    session: Session,
    repository: Repository,
    snapshot: Snapshot,
    wishes: Callable[[Snapshot], Sequence[Wish]],
) -> tuple[list[Plan], dict[str, Any]]:
    """Return what is planned for each service, and all of it as a result; raise why one is not."""
    decided = look_only(session, repository, snapshot, wishes(snapshot))
    return plans_of(decided), plans_to_json(session, snapshot, decided)


def refuse_blocked(
    session: Session,
    plans: Sequence[Plan],
    document: dict[str, Any],
    kind: type[GitopsRollbackError] = GitopsRollbackError,
) -> None:
    """Raise what stands in the way of plans, unless the others are to be done without those.

    Only an error of a `kind` is reason enough; all that stand in the way are told with it.
    """
    errors = [error for plan in plans if (error := obstacle(plan)) is not None]
    is_reason = any(isinstance(error, kind) for error in errors)
    if is_reason and not (session.skips_blocked and len(errors) < len(plans)):
        error = whole_error(errors, len(plans), "rolled back")
        error.found = document
        raise error


def plans_of(decided: Sequence[Change | Refused]) -> list[Plan]:
    """Return the plans; raise the error of a service that has none."""
    for one in decided:
        if one.plan is None:
            assert isinstance(one, Refused)  # noqa: S101 - a change of a rollback has its plan
            raise one.error
    return [one.plan for one in decided if one.plan is not None]


def plans_to_json(
    session: Session, snapshot: Snapshot, decided: Iterable[Change | Refused]
) -> dict[str, Any]:
    """Return plans as a result; a service that has none is left out."""
    tip = snapshot.services[0].tip
    return {
        "repository": session.url,
        "branch": tip.branch,
        "commit": tip.commit,
        "services": [one.plan.to_json() for one in decided if one.plan is not None],
        "seconds": session.watch.seconds(),
    }


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
    from gitops_rollback.commands.waiting import watch  # noqa: PLC0415 - if asked

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
    from gitops_rollback.commands.waiting import watch  # noqa: PLC0415 - if asked

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
