"""Put a decision into words: the plan, its candidates, what stands in the way, why. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback import clock
from gitops_rollback.decide.candidates import pointer
from gitops_rollback.decide.facts import Candidate, Choice, Facts, Plan
from gitops_rollback.ledger.events import ARTIFACT, GIT
from gitops_rollback.ledger.records import MissingRecord
from gitops_rollback.refusals import Block

if TYPE_CHECKING:
    from gitops_rollback.ledger.stack import Timeline

REGISTRY = "registry"
# What it means for the choice that a source did not answer.
_MEANING = {
    ARTIFACT: "the choice rests on what Git tells, not on archived records",
    REGISTRY: "no tag of it is offered",
    "records": "these were passed over",
}
UNKNOWN_TIME = "what ran at "  # begins the finding that nothing tells what ran at a time


def make_plan(
    facts: Facts, choice: Choice, timeline: Timeline, judged: tuple[Candidate, ...]
) -> Plan:
    """Return the plan for candidates that were judged; one of them is chosen, or none."""
    chosen = next((c for c in judged if c.verdict == "chosen"), None)
    blocks = []
    is_previous = choice.to is None and choice.as_of is None
    if is_previous and not choice.again:
        blocks += _already(facts, timeline)
    if choice.is_named and judged and judged[0].verdict == "refused" and judged[0].reason:
        blocks.append(_refusal(facts, judged[0]))
    return Plan(
        service=facts.service,
        environment=facts.environment,
        strategy=choice.strategy,
        running=facts.running,
        value=facts.value,
        candidates=judged,
        chosen=chosen,
        source=_source(chosen),
        blocks=tuple(blocks),
        findings=_findings(facts, timeline, judged) + _unknown(facts, choice, judged),
        hold=facts.state.hold if facts.state else None,
    )


def _source(chosen: Candidate | None) -> str | None:
    """Name the best proof of the chosen image: its record, else Git, else the registry."""
    if chosen is None:
        return None
    for source in (ARTIFACT, GIT, REGISTRY):
        if source in chosen.sources:
            return source
    return REGISTRY


def _already(facts: Facts, timeline: Timeline) -> list[Block]:
    event = timeline.rolled_back
    if event is None:
        return []
    when = f" {clock.age(event.at, facts.present)} ago" if event.at else ""
    who = f" by {event.by}" if event.by else ""
    labels = f"{event.from_image.label if event.from_image else '?'} → {event.image.label}"
    return [
        Block(
            "already",
            f"{facts.title} was rolled back{when}{who}, {labels}",
            "to go one further: --again",
        )
    ]


def _refusal(facts: Facts, candidate: Candidate) -> Block:
    return Block(
        candidate.reason or "",
        f"{facts.title}: {candidate.image.label} is refused: {candidate.message}",
        f"to take it all the same: --accept {candidate.reason}",
    )


def _unknown(facts: Facts, choice: Choice, judged: tuple[Candidate, ...]) -> tuple[str, ...]:
    """Say why it is not known what ran at the time that was meant."""
    if choice.as_of is None or judged:
        return ()
    oldest = facts.history[-1].at if facts.history else None
    reach = f"the oldest commit that is known is of {oldest}" if oldest else "no commit tells"
    return (f"{UNKNOWN_TIME}{choice.as_of} is not known: {reach}",)


def _findings(facts: Facts, timeline: Timeline, judged: tuple[Candidate, ...]) -> tuple[str, ...]:
    findings = [
        f"{source}: {problem}; {_MEANING[source]}" for source, problem in facts.problems.items()
    ]
    if not timeline.explains:
        findings.append(
            f"no state file, record or commit explains how {facts.running.canonical} came to run"
        )
    for candidate in judged:
        if candidate.verdict == "chosen":
            findings += _unverified(facts, candidate)
    return tuple(findings)


def _unverified(facts: Facts, candidate: Candidate) -> list[str]:
    """Say which facts of the chosen image nobody confirmed, and what that means."""
    findings = []
    check, event = candidate.check, candidate.replaced
    missing = facts.stored.get(pointer(event)) if event else None
    if isinstance(missing, MissingRecord) and ARTIFACT not in facts.problems:
        findings.append(
            f"{candidate.image.label}: no record proves it: {missing.reason}; Git alone does"
        )
    platforms = facts.platforms.get(candidate.image.canonical)
    if platforms is not None and platforms.problem:
        findings.append(
            f"{candidate.image.label}: whether it is there for every platform of the running image "
            f"is not known: {platforms.problem}"
        )
    if check is not None and check.status == "unknown":
        findings.append(
            f"{candidate.image.label}: not verified: {check.message}; were it deleted, pods could "
            "not pull it"
        )
    return findings
