"""Choose the image to go back to, explain the choice, change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.commands.planning import plans_of, plans_to_json
from gitops_rollback.commands.results import timed
from gitops_rollback.commands.wishes import request_of, rollback_wishes
from gitops_rollback.decide.change import whole_error
from gitops_rollback.decide.rollback import obstacle
from gitops_rollback.errors import Exit, NotFoundError, RepositoryError
from gitops_rollback.session import start
from gitops_rollback.tell.output import write_result

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from gitops_rollback.decide.plan import Plan
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Show the plan; exit 4 if a service has no image to go back to."""
    session = start(options, environment)
    wishes = rollback_wishes(session)
    with timed(session), session.open_repository() as repository:
        from gitops_rollback.run import look_only  # noqa: PLC0415 - see open_repository

        tip = _tip(session, repository)
        snapshot = session.read(repository, request_of(options), tip)
        decided = look_only(session, repository, snapshot, wishes(snapshot))
        plans = plans_of(decided)
    result = plans_to_json(session, snapshot, decided)
    _refuse_without_image(plans, result, skip=options.skip_blocked)
    write_result(result, options.output)
    return Exit.DONE


def _tip(session: Session, repository: Repository) -> Tip:
    """Fetch the tip; where Git does not answer, show what the archive knows, and fail."""
    try:
        return session.open_tip(repository)
    except RepositoryError as error:
        failure = error
    from gitops_rollback.commands.break_glass import plan_without_git  # noqa: PLC0415 - rare

    # Not while the failure is handled: it would take the place of causes of further ones.
    failure.found = plan_without_git(session)
    raise failure


def _refuse_without_image(plans: Sequence[Plan], result: dict[str, Any], *, skip: bool) -> None:
    """Raise `NotFoundError` if a service has no image, unless the others are to be planned."""
    errors = [error for plan in plans if (error := obstacle(plan)) is not None]
    is_missing = any(isinstance(error, NotFoundError) for error in errors)
    if is_missing and not (skip and len(errors) < len(plans)):
        error = whole_error(errors, len(plans), "rolled back")
        error.found = result
        raise error
