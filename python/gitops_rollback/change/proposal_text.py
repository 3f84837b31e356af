"""A change as a pull request: the branch's name, the title and the body. Pure."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from gitops_rollback.services.config import DEFAULT_ENVIRONMENT
from gitops_rollback.timeline.message import subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.change.service import ServiceChange
    from gitops_rollback.timeline.message import Summary

_PREFIX = "gitops-rollback/"
_SHORT = 12  # digits, as people know them from images and commits
_LONGEST_BODY = 60_000  # characters; GitHub takes 65,536


def branch_of(changes: Sequence[ServiceChange]) -> str:
    """Return the branch for a change: the same for the same images, whoever asks and when.

    `gitops-rollback/<service>-<short digest>`; in an environment that has a name, that stands
    before the service, and of several services the first with a digest of all images.
    """
    first = changes[0].summary
    place = "" if first.environment == DEFAULT_ENVIRONMENT else f"{first.environment}/"
    release = "-release" if first.action == "release" else ""
    if len(changes) == 1:
        return f"{_PREFIX}{place}{first.service}-{_digest(first)}{release}"
    named = "\n".join(f"{c.at.service} {c.summary.to.canonical}" for c in changes)
    short = sha256(named.encode()).hexdigest()[:_SHORT]
    return f"{_PREFIX}{place}{first.service}-and-{len(changes) - 1}-more-{short}{release}"


def title_of(changes: Sequence[ServiceChange]) -> str:
    """Return the title: the subject of the commit."""
    return subject([change.summary for change in changes])


def body_of(changes: Sequence[ServiceChange], diff: str) -> str:
    """Return the body in Markdown: what goes where and why, what to know, and the diff."""
    parts = [_service_part(change) for change in changes]
    text = "\n\n".join(parts)
    shown = diff if len(text) + len(diff) < _LONGEST_BODY else "(too long to be shown here)"
    fence = "`" * max(3, _longest_run(shown) + 1)
    return (
        f"{text}\n\n{fence}diff\n{shown}\n{fence}\n\nMade by `gitops-rollback`. It is done when "
        "this is merged, by whatever kind of merge; running the same command again brings this up "
        "to date.\n"
    )


def _service_part(change: ServiceChange) -> str:
    summary = change.summary
    facts = {
        "from": summary.from_image.canonical,
        "to": summary.to.canonical,
        "reason": summary.reason,
        "by": summary.by,
        "build": str(summary.build) if summary.build else None,
        "record": summary.record,
    }
    lines = [f"### {change.at.title}: {summary.action}", ""]
    lines += [f"- {name}: {_code(value)}" for name, value in facts.items() if value]
    lines += [
        f"- {_code(edit.field.place)}: {_code(edit.field.value)} becomes {_code(edit.value)}"
        for edit in change.edits
    ]
    if change.state is not None:
        hold = change.state.hold
        held = f"held until it is released: {_code(hold.from_image.canonical)}" if hold else "no"
        lines.append(f"- hold: {held}")
    lines += [f"- warning: {_code(warning)}" for warning in change.warnings]
    return "\n".join(lines)


def _digest(summary: Summary) -> str:
    """Return the digits of the image's digest, or of its name where it has none."""
    digest = summary.to.digest
    if digest is None:
        return sha256(summary.to.canonical.encode()).hexdigest()[:_SHORT]
    return digest.rpartition(":")[2][:_SHORT]


def _code(text: str) -> str:
    """Show a text as it is: no Markdown, no mention of people, no HTML."""
    fence = "`" * (_longest_run(text) + 1)
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _longest_run(text: str) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest
