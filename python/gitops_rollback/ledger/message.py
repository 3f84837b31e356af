"""Commit messages: a subject for people, trailers for people and programs. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from gitops_rollback.image import InvalidImageError, parse_image
from gitops_rollback.model import Build, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.image import ImageReference

_LONGEST_SUBJECT = 72
_TRAILER = re.compile(r"^Gitops-([A-Z][a-z]+): (.+?)\r?$", re.MULTILINE)
_RECORD = re.compile(r"sha256:[0-9a-f]{64}")
_BUILD = re.compile(r"(.+) #([1-9][0-9]{0,9})")


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
    storage: tuple[str, ...] = ()

    @property
    def versions(self) -> str:
        """From and to, as people name them: `1.5.0 → 1.4.2`; the image alone where it stays."""
        old, new = self.from_image.label, self.to.label
        if self.from_image.canonical == self.to.canonical:
            return new
        if old == new:
            old = f"{old}@{self.from_image.short_digest or '?'}"
            new = f"{new}@{self.to.short_digest or '?'}"
        return f"{old} → {new}"


def render(summaries: Sequence[Summary]) -> str:
    """Return the message of a commit that changes one or more services."""
    trailers = [line for summary in summaries for line in _trailers(summary)]
    return f"{subject(summaries)}\n\n" + "\n".join(trailers) + "\n"


def read_trailers(text: str, service: str, environment: str) -> Summary | None:
    """Return what the trailers of a commit message say of a service; None if they say nothing.

    Anybody can write such lines: what is no deploy or rollback in the form that `render` gives is
    left out, and the caller compares the image with what the commit left in the manifest.
    """
    found = _groups(text).get((service, environment))
    return _summary(found) if found is not None else None


@lru_cache(maxsize=128)  # a commit of many services is asked for each of them
def _groups(text: str) -> dict[tuple[str | None, str | None], dict[str, str]]:
    """Return the trailers of each deploy and rollback, by service and environment."""
    group: dict[str, str] = {}
    groups = [group]
    for name, value in _TRAILER.findall(text):
        if name == "Action":
            group = {}
            groups.append(group)
        group.setdefault(name, value)
    found: dict[tuple[str | None, str | None], dict[str, str]] = {}
    for one in groups:
        if one.get("Action") in ("deploy", "rollback"):
            found.setdefault((one.get("Service"), one.get("Environment")), one)
    return found


def action_of(text: str, service: str, environment: str) -> str | None:
    """Return what a commit message says that was done to a service, also a release or a repair."""
    action = ""
    named: dict[str, str] = {}
    for name, value in _TRAILER.findall(text):
        if name == "Action":
            action, named = value, {}
        named.setdefault(name, value)
        if (named.get("Service"), named.get("Environment")) == (service, environment):
            return action or None
    return None


def _summary(group: dict[str, str]) -> Summary | None:
    try:
        from_image, to = parse_image(group["From"]), parse_image(group["To"])
    except (KeyError, InvalidImageError):
        return None
    record, build = group.get("Record", ""), _BUILD.fullmatch(group.get("Build", ""))
    return Summary(
        action=group["Action"],
        service=group["Service"],
        environment=group["Environment"],
        from_image=from_image,
        to=to,
        record=record if _RECORD.fullmatch(record) else None,
        build=Build(one_line(build[1]), int(build[2])) if build else None,
        by=one_line(group["By"]) if "By" in group else None,
        reason=one_line(group["Reason"]) if "Reason" in group else None,
    )


def subject(summaries: Sequence[Summary]) -> str:
    """Return the first line of a commit's message."""
    first = summaries[0]
    if len(summaries) == 1:
        return f"{first.service} {first.environment}: {first.versions} ({first.action})"
    names = ", ".join(summary.service for summary in summaries)
    subject = f"{names} {first.environment}: {first.action}"
    if len(subject) <= _LONGEST_SUBJECT:
        return subject
    return f"{len(summaries)} services {first.environment}: {first.action}"


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
        "Storage": "; ".join(summary.storage) or None,
    }
    return [f"Gitops-{name}: {one_line(value)}" for name, value in values.items() if value]
