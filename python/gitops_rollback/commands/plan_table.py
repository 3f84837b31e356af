"""The plans of several services in one table, which fits a terminal of 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.many import tell
from gitops_rollback.commands.planning import because, show_plan
from gitops_rollback.decide.verdicts import obstacle, runs_already
from gitops_rollback.output import narrow_table, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.commands.session import Session
    from gitops_rollback.decide.facts import Plan
    from gitops_rollback.look.snapshot import ServiceAtTip


def show_plans(session: Session, plans: Sequence[Plan], services: Sequence[ServiceAtTip]) -> None:
    """Print the plans: one in full, several as a table with what has to be known beside it."""
    if len(plans) == 1:
        show_plan(session, plans[0], services[0])
        return
    say(f"{len(plans)} services of {plans[0].environment}:")
    rows = [("service", "runs", "back to", "because"), *map(_row, plans)]
    say(*(f"  {line}" for line in narrow_table(rows, indent=2)))
    errors = [error for plan in plans if (error := obstacle(plan)) is not None]
    tell([f"{error.message} ({error.hint})" for error in errors])
    tell([f"{plan.service}: note: {finding}" for plan in plans for finding in plan.findings])


def _row(plan: Plan) -> tuple[str, ...]:
    if runs_already(plan):
        return (plan.service, plan.running.label, "-", "runs already")
    if plan.blocks:
        target = plan.chosen.image.label if plan.chosen else "-"
        return (plan.service, plan.running.label, target, f"REFUSED: {plan.blocks[0].code}")
    if plan.chosen is None:
        return (plan.service, plan.running.label, "-", "NO IMAGE to go back to")
    return (plan.service, plan.running.label, plan.chosen.image.label, because(plan))
