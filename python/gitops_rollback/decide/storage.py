"""What storage means for a plan: lines for people, and the guards `storage` and `schema`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops_rollback.refusals import Block

if TYPE_CHECKING:
    from gitops_rollback.decide.facts import Plan

SCHEMA_LABEL = "org.gitops-rollback.schema"
_PARTS = re.compile(r"\d+|[^\d.\-_+]+")
_MOST_CHANGES = 8  # of one service, in a message


@dataclass(frozen=True)
class StorageFacts:
    """What was found about the storage of a service.

    `findings` are those of `check --storage`, `changes` what is other than when the chosen image
    ran, `problems` what could not be found out; all as lines.
    """

    findings: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class SchemaLabels:
    """The schema that two images say they need, by their label; None where they say nothing."""

    running: str | None = None
    target: str | None = None
    problem: str = ""


def with_storage(plan: Plan, facts: StorageFacts, guard: str, accept: frozenset[str]) -> Plan:
    """Return a plan that tells of storage, and is refused where it changed and is guarded."""
    if plan.chosen is None:
        return plan
    label = plan.chosen.image.label
    changes = tuple(
        f"storage changed since {label} ran: {change}" for change in facts.changes[:_MOST_CHANGES]
    )
    blocks = plan.blocks
    if changes and guard == "refuse" and "storage" not in accept:
        blocks += (
            Block(
                "storage",
                f"{plan.title}: {'; '.join(changes)}",
                f"see that {label} can live with it; to put it back all the same: --accept storage",
            ),
        )
    return replace(
        plan,
        blocks=blocks,
        findings=plan.findings + facts.problems,
        warnings=plan.warnings + changes + facts.findings,
        storage_changes=changes,
    )


def with_schema(plan: Plan, labels: SchemaLabels, accept: frozenset[str]) -> Plan:
    """Return a plan that is refused where the running image needs a later schema."""
    if plan.chosen is None:
        return plan
    if labels.problem:
        problem = f"{SCHEMA_LABEL} was not compared: {labels.problem}"
        return replace(plan, findings=(*plan.findings, problem))
    old, new = plan.running.label, plan.chosen.image.label
    if labels.running is not None and labels.target is None:
        missing = (
            f"{old} needs schema {labels.running}, and {new} does not say which ({SCHEMA_LABEL})"
        )
        return replace(plan, warnings=(*plan.warnings, missing))
    if labels.running is None or _order(labels.running) <= _order(labels.target or ""):
        return plan
    forward = (
        f"{plan.title}: the schema went forward, {labels.target} → {labels.running} "
        f"({SCHEMA_LABEL}): {new} may not be able to use the data that {old} has changed"
    )
    if "schema" in accept:
        return replace(plan, warnings=(*plan.warnings, forward))
    hint = "take the schema back first, or, if the old code can use it: --accept schema"
    return replace(plan, blocks=(*plan.blocks, Block("schema", forward, hint)))


def _order(schema: str) -> tuple[tuple[int, int, str], ...]:
    """Order schemas as people number them: 9 before 10, 1.9 before 1.10, 2026-01-31."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _PARTS.findall(schema)
    )
