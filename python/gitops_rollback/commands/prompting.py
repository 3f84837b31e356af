"""Ask a person for what a rollback needs and was not given: the reason, once the plan is shown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gitops_rollback.alarm import seen_through
from gitops_rollback.commands.doing import plan_all, refuse_blocked
from gitops_rollback.commands.wishes import request_of, rollback_wishes
from gitops_rollback.decide.plan import parse_plan
from gitops_rollback.errors import UsageError
from gitops_rollback.outlet import one_in
from gitops_rollback.tell.output import json_text
from gitops_rollback.tell.terminal import is_terminal, show
from gitops_rollback.tell.texts import lines_of

if TYPE_CHECKING:
    from gitops_rollback.decide.plan import PlanFile
    from gitops_rollback.session import Session

_QUESTION = "reason (nothing: leave it as it is): "


def can_ask(session: Session) -> bool:
    """Tell whether a person sits there who reads a plan and can answer."""
    reads_text = session.options.output.format in ("text", "wide")
    return reads_text and sys.stdin.isatty() and is_terminal(sys.stderr)


def ask_reason(session: Session) -> tuple[str, PlanFile | None]:
    """Show the plan and ask why; return the reason, and the plan that was shown, to be followed.

    Raises what refuses the rollback, before anybody is asked, and `UsageError` without an answer.
    However long a person thinks, no time limit runs meanwhile.
    """
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
