"""Put the image to go back to into the manifest, mark the other bad, and hold the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.doing import do
from gitops_rollback.commands.keeping import keep_builds
from gitops_rollback.commands.results import report_change, timed, waits_after
from gitops_rollback.commands.wishes import rollback_wishes
from gitops_rollback.errors import RepositoryError, UsageError
from gitops_rollback.session import start

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Roll back."""
    session = start(options, environment)
    if not session.reason:
        raise UsageError("a rollback needs a reason", "say why with --reason TEXT")
    wishes = rollback_wishes(session)
    with timed(session), session.open_repository() as repository:
        outcome = do(session, repository, _tip(session, repository), wishes)
        if options.keep:
            outcome = keep_builds(session, repository, outcome)
    if waits_after(session, outcome):
        from gitops_rollback.commands.after import see_through  # noqa: PLC0415 - if asked

        return see_through(session, outcome)
    return report_change(session, outcome)


def _tip(session: Session, repository: Repository) -> Tip:
    """Fetch the tip; where Git does not answer, say what shows what the archive knows."""
    try:
        return session.open_tip(repository)
    except RepositoryError as error:
        error.hint += "; gitops-rollback plan shows what the archive alone knows"
        raise
