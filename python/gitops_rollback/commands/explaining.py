"""Every candidate of a plan, in words that fit a terminal as narrow as a telephone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.output import say, wrapped

if TYPE_CHECKING:
    from gitops_rollback.decide.plan import Candidate, Plan

_VERDICTS = ("chosen", "acceptable", "refused")


def show_candidates(plan: Plan) -> None:
    """Print a line for each candidate: verdict, image, and what refuses it."""
    if plan.candidates:
        say("  candidates:")
    for candidate in _sorted(plan):
        code = f" ({candidate.reason})" if candidate.reason else ""
        told = f": {candidate.message}" if candidate.message else ""
        say(*wrapped(f"{candidate.verdict} {candidate.image.label}{code}{told}", "    "))


def explain(plan: Plan) -> None:
    """Print all that is known of each candidate: what proves it, when it ran, what refuses it."""
    say(*wrapped(f"{plan.title}: every candidate, by strategy {plan.strategy}"))
    if not plan.candidates:
        say("  none")
    for candidate in _sorted(plan):
        say("", *wrapped(f"{candidate.verdict.upper()} {candidate.image.label}", "  "))
        say(*(line for text in _lines(candidate) for line in wrapped(text, "    ")))


def _lines(candidate: Candidate) -> list[str]:
    image, placed, replaced = candidate.image, candidate.placed, candidate.replaced
    person = f" by {placed.by}" if placed and placed.by else ""
    deployed = f"{candidate.deployed_at.replace('T', ' ')}{person}" if candidate.deployed_at else ""
    record = candidate.stored.location if candidate.stored else ""
    lines = [
        ("why", ": ".join(text for text in (candidate.reason, candidate.message) if text)),
        ("digest", image.digest or "not known: only the tag"),
        ("deployed", deployed),
        ("commit", placed.commit[:12] if placed and placed.commit else ""),
        ("replaced", replaced.at.replace("T", " ") if replaced and replaced.at else ""),
        ("record", record or (str(candidate.build) if candidate.build else "")),
        ("proofs", ", ".join(sorted(candidate.sources))),
        ("registry", _registry(candidate)),
    ]
    return [f"{name}: {text}" for name, text in lines if text]


def _registry(candidate: Candidate) -> str:
    check = candidate.check
    if check is None:
        return "not asked"
    if check.status == "there":
        return "has it, under its tag" if check.has_tag else "has it"
    return check.message


def _sorted(plan: Plan) -> list[Candidate]:
    return sorted(plan.candidates, key=lambda c: _VERDICTS.index(c.verdict))
