"""Do what is wished for: the loop, with what a person is told on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.planning import plans_to_json
from gitops_rollback.commands.wishes import request_of
from gitops_rollback.errors import NotFoundError, RefusedError, UsageError
from gitops_rollback.late import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gitops_rollback.decide.change import Change, Refused
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.errors import GitopsRollbackError
    from gitops_rollback.look.snapshot import Snapshot
    from gitops_rollback.model import Request
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session
    from gitops_rollback.write.commit import Committer, Outcome


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
