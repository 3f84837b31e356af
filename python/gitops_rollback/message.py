"""Commit messages: a subject for people, trailers for people and programs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_rollback.model import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.image import ImageReference
    from gitops_rollback.model import Build

_LONGEST_SUBJECT = 72


@dataclass(frozen=True)
class Summary:
    """What a commit does to one service."""

    action: str
    service: str
    environment: str
    from_image: ImageReference
    to: ImageReference
    record: str | None = None
    build: Build | None = None
    by: str | None = None
    reason: str | None = None

    @property
    def versions(self) -> str:
        """From and to, as people name them: `1.5.0 → 1.4.2`."""
        old, new = self.from_image.label, self.to.label
        if old == new:
            old = f"{old}@{self.from_image.short_digest or '?'}"
            new = f"{new}@{self.to.short_digest or '?'}"
        return f"{old} → {new}"


def render(summaries: Sequence[Summary]) -> str:
    """Return the message of a commit that changes one or more services."""
    trailers = [line for summary in summaries for line in _trailers(summary)]
    return f"{_subject(summaries)}\n\n" + "\n".join(trailers) + "\n"


def _subject(summaries: Sequence[Summary]) -> str:
    first = summaries[0]
    if len(summaries) == 1:
        return f"{first.service} {first.environment}: {_what(first)}"
    names = ", ".join(summary.service for summary in summaries)
    subject = f"{names} {first.environment}: {first.action}"
    if len(subject) <= _LONGEST_SUBJECT:
        return subject
    return f"{len(summaries)} services {first.environment}: {first.action}"


def _what(summary: Summary) -> str:
    if summary.action == "release":
        return f"{summary.to.label} (release)"
    return f"{summary.versions} ({summary.action})"


def _trailers(summary: Summary) -> list[str]:
    values = {
        "Action": summary.action,
        "Service": summary.service,
        "Environment": summary.environment,
        "From": summary.from_image.canonical,
        "To": summary.to.canonical,
        "Record": summary.record,
        "Build": str(summary.build) if summary.build else None,
        "By": summary.by,
        "Reason": summary.reason,
    }
    return [f"Gitops-{name}: {one_line(value)}" for name, value in values.items() if value]
