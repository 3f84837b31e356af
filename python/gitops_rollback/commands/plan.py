"""Choose the image to go back to, explain the choice, change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.doing import plan_all, refuse_blocked, timed
from gitops_rollback.commands.wishes import request_of, rollback_wishes
from gitops_rollback.errors import Exit, NotFoundError, RepositoryError
from gitops_rollback.repo.messages import UnknownBranchError
from gitops_rollback.session import start
from gitops_rollback.tell.output import write_result

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Show the plan; exit 4 if a service has no image to go back to."""
    session = start(options, environment)
    wishes = rollback_wishes(session)
    with timed(session), session.open_repository() as repository:
        tip = _tip(session, repository)
        snapshot = session.read(repository, request_of(options), tip)
        plans, result = plan_all(session, repository, snapshot, wishes)
    refuse_blocked(session, plans, result, NotFoundError)
    write_result(result, options.output)
    return Exit.DONE


def _tip(session: Session, repository: Repository) -> Tip:
    """Fetch the tip; where Git does not answer, show what the archive knows, and fail."""
    try:
        return session.open_tip(repository)
    except UnknownBranchError:
        raise
    except RepositoryError as error:
        failure = error
    from gitops_rollback.commands.break_glass import plan_without_git  # noqa: PLC0415 - rare

    # Not while the failure is handled: it would take the place of causes of further ones.
    failure.found = plan_without_git(session)
    raise failure
