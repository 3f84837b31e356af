"""Do what is wished for, and tell of it: lines for people, the result for programs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gitops_rollback import clock
from gitops_rollback.commands.keeping import keep_builds
from gitops_rollback.commands.wishes import request_of
from gitops_rollback.decide.change import Refused, whole_error
from gitops_rollback.decide.rollback import obstacle
from gitops_rollback.errors import (
    Exit,
    GitopsRollbackError,
    NotFoundError,
    RefusedError,
    UsageError,
    WaitingError,
)
from gitops_rollback.late import dataclass, replace
from gitops_rollback.refusals import Place, place_of
from gitops_rollback.tell.output import error_to_json, write_result
from gitops_rollback.tell.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gitops_rollback.decide.change import Change
    from gitops_rollback.decide.plan import Plan
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.look.snapshot import Snapshot
    from gitops_rollback.model import Request
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session
    from gitops_rollback.tell.output import Output
    from gitops_rollback.write.commit import Committer, Outcome


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
        from gitops_rollback.commands.after import see_through  # noqa: PLC0415 - if asked

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
    from gitops_rollback.run import carry_out  # noqa: PLC0415 - loaded while git waits

    request = replace(request_of(session.options), without_states=not states)
    decisions = _Decisions(session)
    committer = _committer(session, repository)
    try:
        return carry_out(
            session,
            committer,
            tip,
            lambda tip: (read or session.read)(repository, request, tip),
            wishes,
            decisions.keep,
        )
    except (RefusedError, NotFoundError) as error:
        decisions.put_beside(error)
        raise


@dataclass
class _Decisions:
    """The last decisions of a run, which stand beside the error that refuses it."""

    session: Session
    snapshot: Snapshot | None = None
    decided: Sequence[Change | Refused] = ()

    def keep(self, snapshot: Snapshot, decided: Sequence[Change | Refused]) -> None:
        """Remember what was decided on a snapshot."""
        self.snapshot, self.decided = snapshot, decided

    def put_beside(self, error: GitopsRollbackError) -> None:
        """Put the plans beside the error, where there are any."""
        if self.snapshot is not None and any(one.plan is not None for one in self.decided):
            error.found = plans_to_json(self.session, self.snapshot, self.decided)


def _committer(session: Session, repository: Repository) -> Committer:
    """Return what commits to the branch, or with `--pull-request` to one beside it."""
    options = session.options
    dry_run = bool(options.dry_run)
    if getattr(options, "wait_for_merge", False) and not options.pull_request:
        raise UsageError("--wait-for-merge has no pull request to wait for", "add --pull-request")
    if dry_run or not getattr(options, "pull_request", False):
        from gitops_rollback.write.commit import Committer  # noqa: PLC0415 - loaded while git waits

        return Committer(repository, session.deadline, session.watch, dry_run=dry_run)
    from gitops_rollback.forges.client import connect  # noqa: PLC0415 - only for pull requests
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
    wishes: Callable[[Session], Callable[[Snapshot], Sequence[Wish]]],
) -> tuple[list[Plan], dict[str, Any]]:
    """Return what is planned for each service, and all of it as a result; raise why one is not."""
    from gitops_rollback.run import look_only  # noqa: PLC0415 - loaded while git waits

    decided = look_only(session, repository, snapshot, wishes(session)(snapshot))
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
