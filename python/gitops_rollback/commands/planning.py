"""Show plans: one in full, several as a table, and as a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.commands.explaining import show_candidates
from gitops_rollback.decide.change import Change, Refused
from gitops_rollback.decide.rollback import obstacle
from gitops_rollback.output import narrow_table, say, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops_rollback.decide.plan import Plan
    from gitops_rollback.look.snapshot import Snapshot
    from gitops_rollback.session import Session

_MOST_TOLD = 10  # of what has to be known beside a table, in full


def plans_of(decided: Sequence[Change | Refused]) -> list[Plan]:
    """Return the plans; raise the error of a service that has none."""
    for one in decided:
        if one.plan is None:
            assert isinstance(one, Refused)  # noqa: S101 - a change of a rollback has its plan
            raise one.error
    return [one.plan for one in decided if one.plan is not None]


def plans_to_json(
    session: Session, snapshot: Snapshot, decided: Iterable[Change | Refused]
) -> dict[str, Any]:
    """Return plans as a result; a service that has none is left out."""
    tip = snapshot.services[0].tip
    return {
        "repository": session.url,
        "branch": tip.branch,
        "commit": tip.commit,
        "services": [one.plan.to_json() for one in decided if one.plan is not None],
        "seconds": session.watch.seconds(),
    }


def show_plans(plans: Sequence[Plan]) -> None:
    """Print the plans: one in full, several as a table with what has to be known beside it."""
    if len(plans) == 1:
        show_plan(plans[0])
        return
    say(f"{len(plans)} services of {plans[0].environment}:")
    rows = [("service", "runs", "back to", "because"), *map(_row, plans)]
    say(*(f"  {line}" for line in narrow_table(rows, indent=2)))
    errors = [error for plan in plans if (error := obstacle(plan)) is not None]
    tell([f"{error.message} ({error.hint})" for error in errors])
    tell([f"{plan.service}: note: {finding}" for plan in plans for finding in plan.findings])


def show_plan(plan: Plan) -> None:
    """Print a plan so that it can be read at three in the morning."""
    chosen = plan.chosen
    target = chosen.image.label if chosen else "no image to go back to"
    say(f"{plan.title}: {plan.running.label} → {target}")
    say(f"  runs     {plan.running.canonical}")
    if chosen is not None:
        say(f"  back to  {chosen.image.canonical}")
        say(*wrapped(f"because  {because(plan)}", "  "))
    for edit in plan.edits:
        say(*wrapped(f"edit     {edit.field.place} ({edit.field.container}): {edit.value}", "  "))
        if edit.field.overrides:
            say(*wrapped(f"         which overrides {', '.join(edit.field.overrides)}", "  "))
    show_candidates(plan)
    if plan.hold is not None:
        by = f" by {plan.hold.by}" if plan.hold.by else ""
        say(*wrapped(f"held     since {plan.hold.at}{by}: {plan.hold.reason}", "  "))
    for finding in plan.findings:
        say(*wrapped(f"note     {finding}", "  "))
    for warning in plan.warnings:
        say(*wrapped(f"warning  {warning}", "  "))
    for block in plan.blocks:
        say(*wrapped(f"refused  {block.code}: {block.message} ({block.hint})", "  "))


def because(plan: Plan) -> str:
    """Return why the image of a plan was chosen, for people."""
    chosen = plan.chosen
    if chosen is None:
        return ""
    source = {
        "artifact": f"archived by {chosen.build}" if chosen.build else "archived in a record",
        "git": "deployed before, as Git tells",
        "registry": "the registry's answer to the query",
    }[plan.source or "registry"]
    return f"{source}; {'the registry has it' if chosen.verified else 'not verified'}"


def show_blocked(blocked: Sequence[Refused]) -> None:
    """Print what is blocked, and why, for people."""
    rows = [
        ("service", "refused", "why"),
        *((b.at.service, b.code, b.error.message) for b in blocked),
    ]
    say(*narrow_table(rows))
    tell([f"{one.error.message} ({one.error.hint})" for one in blocked])


def tell(texts: Sequence[str]) -> None:
    """Print what has to be known beside a table, as long as somebody may read it."""
    for text in texts[:_MOST_TOLD]:
        say(*wrapped(text, "  "))
    if len(texts) > _MOST_TOLD:
        say(f"  and {len(texts) - _MOST_TOLD} more: --output FILE has each in full")


def _row(plan: Plan) -> tuple[str, ...]:
    if plan.runs_already:
        return (plan.service, plan.running.label, "-", "runs already")
    if plan.blocks:
        target = plan.chosen.image.label if plan.chosen else "-"
        return (plan.service, plan.running.label, target, f"REFUSED: {plan.blocks[0].code}")
    if plan.chosen is None:
        return (plan.service, plan.running.label, "-", "NO IMAGE to go back to")
    return (plan.service, plan.running.label, plan.chosen.image.label, because(plan))
