"""What plans of one or more services mean for a run: 4 before 6, all or nothing. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.explain import UNKNOWN_TIME
from gitops_rollback.errors import NotFoundError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.decide.facts import Plan
    from gitops_rollback.errors import GitopsRollbackError


def none_to_go_back_to(plans: Sequence[Plan]) -> NotFoundError | None:
    """Return the error if a service has no image to go back to, else None.

    A service that is refused for a reason of its own (rolled back already) is not counted.
    """
    without = [plan for plan in plans if plan.chosen is None and not plan.blocks]
    if not without:
        return None
    first = without[0]
    refused = [c for c in first.candidates if c.verdict == "refused"]
    codes = [c.reason for c in refused if c.reason and c.reason != "running"]
    why = "; ".join(f"{c.image.label}: {c.message}" for c in refused[:3])
    names = ", ".join(plan.title for plan in without)
    lost = any(c.reason is None for c in refused)
    shown = [c for c in first.candidates if c.verdict == "acceptable"]
    unknown = next((f for f in first.findings if f.startswith(UNKNOWN_TIME)), "")
    why = why or unknown
    if unknown:
        hint = "give a later time with --as-of, or name an image with --to"
    elif lost:
        hint = "go by what Git tells with --strategy auto, or name an image with --to"
    elif shown:
        hint = f"the registry knows others: --strategy registry, or --to {shown[0].image.label}"
    elif codes:
        hint = f"name one with --to, and accept what refuses it: --accept {codes[0]}"
    else:
        hint = "name one with --to TAG, or ask the registry with --strategy registry"
    return NotFoundError(
        f"there is no image to go back to for {names}" + (f" ({why})" if why else ""), hint
    )


def obstacle(plan: Plan) -> GitopsRollbackError | None:
    """Return the error of what stands in the way of a plan: no image, or a refusal; else None."""
    if runs_already(plan):
        return None
    return none_to_go_back_to([plan]) or refusal([plan])


def refusal(plans: Sequence[Plan]) -> RefusedError | None:
    """Return the error if something stands in the way of a plan, else None."""
    for plan in plans:
        for block in plan.blocks:
            return RefusedError(block.code, block.message, block.hint)
    return None


def runs_already(plan: Plan) -> bool:
    """Tell whether the image that was named is the one that runs: nothing to do."""
    return bool(plan.blocks) and plan.blocks[0].code == "running"
