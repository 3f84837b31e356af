"""Put the image to go back to into the manifest, mark the other bad, and hold the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.alarm import bounded
from gitops_rollback.commands.doing import make
from gitops_rollback.commands.wishes import rollback_wishes
from gitops_rollback.errors import RepositoryError, UsageError
from gitops_rollback.late import replace
from gitops_rollback.session import Session, start

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.decide.plan import PlanFile
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.look.snapshot import Snapshot
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Roll back; a person at a terminal is asked for the reason, once the plan is shown."""
    session = start(options, environment)
    if session.reason:
        return _roll_back(session)
    from gitops_rollback.commands.prompting import ask_reason, can_ask  # noqa: PLC0415 - few runs

    if not can_ask(session):
        raise UsageError("a rollback needs a reason", "say why with --reason TEXT")
    options.reason, planned = ask_reason(session)
    with bounded(options.timeout):  # what is done begins now: a person has taken his time
        return _roll_back(start(options, environment), planned)


def _roll_back(session: Session, planned: PlanFile | None = None) -> int:
    """Do it; `planned` is the plan that a person has seen."""
    wishes = rollback_wishes(session)
    if planned is not None:
        asked = wishes

        def wishes(snapshot: Snapshot) -> list[Wish]:
            return [replace(wish, planned=planned) for wish in asked(snapshot)]

    return make(session, wishes, _tip)


def _tip(session: Session, repository: Repository) -> Tip:
    """Fetch the tip; where Git does not answer, say what shows what the archive knows."""
    try:
        return session.open_tip(repository)
    except RepositoryError as error:
        error.hint += "; gitops-rollback plan shows what the archive alone knows"
        raise
