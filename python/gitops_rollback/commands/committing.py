"""What a command commits with: to the branch itself, or by a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import UsageError
from gitops_rollback.write.commit import Committer

if TYPE_CHECKING:
    from gitops_rollback.commands.session import Session
    from gitops_rollback.repo.repository import Repository


def committer_of(session: Session, repository: Repository) -> Committer:
    """Return what commits to the branch, or with `--pull-request` to one beside it."""
    options = session.options
    dry_run = bool(options.dry_run)
    if options.wait_for_merge and not options.pull_request:
        raise UsageError("--wait-for-merge has no pull request to wait for", "add --pull-request")
    if dry_run or not options.pull_request:
        return Committer(repository, session.deadline, session.watch, dry_run=dry_run)
    from gitops_rollback.forges.connect import connect  # noqa: PLC0415 - only for pull requests
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
