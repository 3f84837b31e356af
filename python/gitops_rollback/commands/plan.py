"""Choose the image to go back to, explain the choice, change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.session import start
from gitops_rollback.commands.shared_options import (
    add_choice_options,
    add_common_options,
    add_service_options,
    add_store_options,
)
from gitops_rollback.errors import Exit, RepositoryError
from gitops_rollback.output import say, write_result

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.commands.session import Session
    from gitops_rollback.options import Options
    from gitops_rollback.plan.facts import Choice
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository


def add_options(options: Options) -> None:
    """Add the options of `plan`."""
    add_service_options(options)
    add_choice_options(options)
    options.flag("explain", "print all that is known of every candidate")
    add_store_options(options)
    add_common_options(options)


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Show the plan; exit 4 if a service has no image to go back to."""
    session = start(options, environment)
    with session.open_repository() as repository:
        from gitops_rollback.commands import planning  # noqa: PLC0415 - see open_repository
        from gitops_rollback.commands.explaining import explain  # noqa: PLC0415 - the same
        from gitops_rollback.plan.verdicts import none_to_go_back_to  # noqa: PLC0415 - the same

        choice = planning.choice_of(session)
        snapshot = session.read(repository, _tip(session, repository, choice))
        gatherer = planning.gatherer_of(session, repository, snapshot)
        plans = [gatherer.plan(at, choice) for at in snapshot.services]
    for plan, at in zip(plans, snapshot.services, strict=True):
        planning.show_plan(session, plan, at)
        if options.explain:
            explain(plan)
    result = planning.plans_to_json(session, snapshot, plans)
    missing = none_to_go_back_to(plans)
    if missing is not None:
        missing.found = result
        raise missing
    write_result(result, options.output)
    if not any(plan.blocks for plan in plans):
        names = " ".join(f"--service {plan.service}" for plan in plans)
        say(f"to do it: gitops-rollback rollback {names} --reason TEXT")
    return Exit.DONE


def _tip(session: Session, repository: Repository, choice: Choice) -> Tip:
    """Fetch the tip; where Git does not answer, show what the archive knows, and fail."""
    try:
        return session.open_tip(repository)
    except RepositoryError as error:
        from gitops_rollback.commands.break_glass import plan_without_git  # noqa: PLC0415 - rare

        error.found = plan_without_git(session, choice)
        raise
