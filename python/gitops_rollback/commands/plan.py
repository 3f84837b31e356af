"""Choose the image to go back to, explain the choice, change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.commands.results import timed
from gitops_rollback.commands.session import start
from gitops_rollback.errors import Exit, NotFoundError, RepositoryError
from gitops_rollback.output import say, write_result

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from gitops_rollback.commands.session import Session
    from gitops_rollback.decide.facts import Choice, Plan
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Show the plan; exit 4 if a service has no image to go back to."""
    session = start(options, environment)
    with timed(session), session.open_repository() as repository:
        from gitops_rollback.commands import planning  # noqa: PLC0415 - see open_repository
        from gitops_rollback.commands.command_line import to_do_it  # noqa: PLC0415 - the same
        from gitops_rollback.commands.explaining import explain  # noqa: PLC0415 - the same
        from gitops_rollback.commands.plan_table import show_plans  # noqa: PLC0415 - the same
        from gitops_rollback.look.together import plan_all  # noqa: PLC0415 - the same

        choice = planning.choice_of(session)
        snapshot = session.read(repository, _tip(session, repository, choice))
        gatherer = planning.gatherer_of(session, repository, snapshot)
        with session.watch.phase("decide"):
            plans = plan_all(gatherer, planning.choices_of(session, choice, snapshot.services))
    show_plans(session, plans, snapshot.services)
    if options.explain:
        for plan in plans:
            explain(plan)
    result = planning.plans_to_json(session, snapshot, plans)
    _refuse_without_image(plans, result, skip=options.skip_blocked)
    write_result(result, options.output)
    if options.skip_blocked or not any(plan.blocks for plan in plans):
        say(f"to do it: {to_do_it(options, choice, environment)}")
    return Exit.DONE


def _tip(session: Session, repository: Repository, choice: Choice) -> Tip:
    """Fetch the tip; where Git does not answer, show what the archive knows, and fail."""
    try:
        return session.open_tip(repository)
    except RepositoryError as error:
        failure = error
    from gitops_rollback.commands.break_glass import plan_without_git  # noqa: PLC0415 - rare

    # Not while the failure is handled: it would take the place of causes of further ones.
    failure.found = plan_without_git(session, choice)
    raise failure


def _refuse_without_image(plans: Sequence[Plan], result: dict[str, Any], *, skip: bool) -> None:
    """Raise `NotFoundError` if a service has no image, unless the others are to be planned."""
    from gitops_rollback.commands.many import whole_error  # noqa: PLC0415 - see open_repository
    from gitops_rollback.decide.verdicts import obstacle  # noqa: PLC0415 - the same

    errors = [error for plan in plans if (error := obstacle(plan)) is not None]
    is_missing = any(isinstance(error, NotFoundError) for error in errors)
    if is_missing and not (skip and len(errors) < len(plans)):
        error = whole_error(errors, len(plans), "rolled back")
        error.found = result
        raise error
