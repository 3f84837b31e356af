"""Put the image to go back to into the manifest, mark the other bad, and hold the service."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gitops_rollback.alarm import bounded, seen_through
from gitops_rollback.commands.doing import make, plan_all, refuse_blocked
from gitops_rollback.commands.wishes import request_of, rollback_wishes
from gitops_rollback.decide.plan import parse_plan
from gitops_rollback.errors import RepositoryError, UsageError
from gitops_rollback.late import replace
from gitops_rollback.outlet import one_in
from gitops_rollback.repo.messages import UnknownBranchError
from gitops_rollback.session import Session, start
from gitops_rollback.tell.output import json_text
from gitops_rollback.tell.terminal import is_terminal, show

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.decide.plan import PlanFile
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.look.snapshot import Snapshot
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session

_QUESTION = "reason (nothing: leave it as it is): "


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Roll back; a person at a terminal is asked for the reason, once the plan is shown."""
    session = start(options, environment)
    if session.reason:
        return _roll_back(session)
    if not _can_ask(session):
        raise UsageError("a rollback needs a reason", "say why with --reason TEXT")
    options.reason, planned = _ask_reason(session)
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
    except UnknownBranchError:
        raise
    except RepositoryError as error:
        error.hint += "; gitops-rollback plan shows what the archive alone knows"
        raise


def _can_ask(session: Session) -> bool:
    """Tell whether a person sits there who reads a plan and can answer."""
    reads_text = session.options.output.format in ("text", "wide")
    return reads_text and sys.stdin.isatty() and is_terminal(sys.stderr)


def _ask_reason(session: Session) -> tuple[str, PlanFile | None]:
    """Show the plan and ask why; return the reason, and the plan that was shown, to be followed.

    Raises what refuses the rollback, before anybody is asked, and `UsageError` without an answer.
    However long a person thinks, no time limit runs meanwhile.
    """
    from gitops_rollback.tell.texts import lines_of  # noqa: PLC0415 - few runs

    wishes = rollback_wishes(session)
    with session.open_repository() as repository:
        tip = session.open_tip(repository)
        snapshot = session.read(repository, request_of(session.options), tip)
        plans, document = plan_all(session, repository, snapshot, wishes)
    refuse_blocked(session, plans, document)
    show(lines_of(one_in({"schemaVersion": 1, **document}), session.options.output))
    with seen_through():
        reason = _answer()
    if all(plan.runs_already for plan in plans):
        return reason, None
    text = json_text({"schemaVersion": 1, **document})
    return reason, parse_plan(text.encode(), "the plan that was shown")


def _answer() -> str:
    sys.stderr.write(_QUESTION)
    sys.stderr.flush()
    reason = sys.stdin.readline().strip()
    if not reason:
        raise UsageError("no reason was given: nothing was changed", "say why with --reason TEXT")
    return reason
