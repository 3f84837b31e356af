"""Commit messages: a subject for people, trailers for people and programs. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, TypeVar

from gitops_rollback.image import InvalidImageError, parse_image
from gitops_rollback.late import dataclass, regex
from gitops_rollback.model import DEPLOY, ROLLBACK, Build, Deed, OfDeed, one_line, title

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from gitops_rollback.image import ImageReference
    from gitops_rollback.model import LogEntry

_LONGEST_SUBJECT = 72
_LONGEST_TEXT = 500  # of what is for people: the state file has all of it
_LONGEST_IMAGE = 520  # as in the schemas
_LONGEST_JOB = 1100  # a name of 1,024 characters, and a number
_TRAILER = regex(r"^Gitops-([A-Z][a-z]+): (.+?)\r?$", re.MULTILINE)
_RECORD = regex(r"sha256:[0-9a-f]{64}")
_REVERTS = regex(r"^This reverts commit ([0-9a-f]{40,64})", re.MULTILINE)
_QUOTED = regex(r'Revert "(.+)"(?: \(#\d+\))?\r?(?:\n|\Z)')
_NUMBER = regex(r" \(#\d+\)\Z")  # of a pull request: a host adds it to a subject
_BUILD = regex(r"(.+) #([1-9][0-9]{0,9})")


class Commit(Protocol):
    """What is asked of a commit to tell what it reverts."""

    @property
    def commit(self) -> str: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102


C = TypeVar("C", bound=Commit)


@dataclass(frozen=True)
class Told(OfDeed):
    """What a commit's message tells of one service.

    The deed, the storage that changed with it, and the images that a rollback passed over.
    """

    service: str
    environment: str
    deed: Deed
    storage: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()

    @property
    def from_image(self) -> ImageReference:
        """The image that ran before."""
        return self.deed.from_image or self.deed.image

    @property
    def to(self) -> ImageReference:
        """The image that runs after it."""
        return self.deed.image


def render(told: Sequence[Told]) -> str:
    """Return the message of a commit that changes one or more services."""
    trailers = [line for one in told for line in _trailers(one)]
    return f"{subject(told)}\n\n" + "\n".join(trailers) + "\n"


def read_trailers(text: str, service: str, environment: str) -> Told | None:
    """Return what the trailers of a commit message say of a service; None if they say nothing.

    Anybody can write such lines: what is no deploy or rollback in the form that `render` gives is
    left out, and the caller compares the image with what the commit left in the manifest.
    """
    found = _groups(text, DEPLOY, ROLLBACK).get((service, environment))
    return _told(found) if found is not None else None


def trailers_of(text: str, services: Collection[str], *actions: str) -> Iterator[Told]:
    """Yield what the trailers of a commit message say of services, in whatever environment.

    Of deploys and rollbacks, or of other `actions`.
    """
    for (service, _environment), group in _groups(text, *(actions or (DEPLOY, ROLLBACK))).items():
        told = _told(group) if service in services else None
        if told is not None:
            yield told


@lru_cache(maxsize=128)  # a commit of many services is asked for each of them
def _groups(text: str, *actions: str) -> dict[tuple[str, str], dict[str, str]]:
    """Return the trailers of what a message says that was done, by service and environment.

    Of several, those of the first of some actions; of whatever action where none is named.
    """
    groups: list[dict[str, str]] = []
    for name, value in _TRAILER.findall(text):
        if name == "Action":
            groups.append({})
        if groups:
            groups[-1].setdefault(name, value)
    found: dict[tuple[str, str], dict[str, str]] = {}
    for one in groups:
        is_meant = not actions or one["Action"] in actions
        if is_meant and "Service" in one and "Environment" in one:
            found.setdefault((one["Service"], one["Environment"]), one)
    return found


def find_revert(
    log: Sequence[LogEntry],
    services: Collection[str],
    environments: Collection[str],
    newest: Deed | None = None,
) -> tuple[Told, LogEntry] | None:
    """Return the deploy of a service that was taken back by hand since its last deed, and by what.

    `log` is newest first, what a merge brought right below it; the service may have several names.
    A revert that was taken back itself is none, nor one since which the state file has a `newest`
    deed, whose commit was folded into one that says nothing.
    """
    undone: set[str] = set()
    for number, one in enumerate(log):
        if one.commit in undone:
            continue
        taken = _taken_back(one, log[number + 1 :])
        undone |= {other.commit for other in taken}
        for other in taken:
            told = _told_of(other.message, services, environments)
            if told is not None and told.action == DEPLOY:
                below = log[log.index(other) + 1 :]
                deeds = (_told_of(entry.message, services, environments) for entry in below)
                is_past = newest is not None and _is_since(newest, other, deeds)
                return None if is_past else (told, one)
        if _told_of(one.message, services, environments) is not None:
            return None
    return None


def _is_since(newest: Deed, deploy: LogEntry, below: Iterable[Told | None]) -> bool:
    """Tell whether a state file's newest deed came since a deploy that was taken back with it.

    What a commit below the deploy tells did not, whatever clocks say; else they alone tell.
    """
    known = {_step(told.deed) for told in below if told is not None}
    return _step(newest) not in known and (newest.at or "") > deploy.at


def _step(deed: Deed) -> tuple[str, str | None, str]:
    before = deed.from_image
    return deed.action, before.canonical if before else None, deed.image.canonical


def _taken_back(revert: LogEntry, older: Sequence[LogEntry]) -> list[LogEntry]:
    """Return what a commit reverts (see `reverted_of`); with a merge goes what it brought."""
    taken = reverted_of(revert.message, older)
    brought = {commit for one in taken for commit in _brought(one, older)}
    return [one for one in older if one in taken or one.commit in brought]


def reverted_of(message: str, older: Sequence[C]) -> list[C]:
    """Return which of some commits a commit reverts: those it names, or has the subject of.

    `git revert` names the commit, a host only its subject, each with the number of its pull request
    or without. Which of several with that subject is meant, only what runs since can tell.
    """
    named = set(reverted_by(message))
    taken = [one for one in older if one.commit in named]
    quoted = _QUOTED.match(message)
    if taken or quoted is None:
        return taken
    return [one for one in older if _title(one.message) == _title(quoted[1])]


def _title(message: str) -> str:
    """Return a commit's subject without the number that a host may have added to it."""
    return _NUMBER.sub("", message.partition("\n")[0].rstrip("\r"))


def _brought(merge: LogEntry, log: Sequence[LogEntry]) -> set[str]:
    """Return the commits that a merge brought to the branch, as far as the log reaches."""
    above, brought = set(merge.parents[:1]), set(merge.parents[1:])
    for one in log:
        if one.commit in above:
            above.update(one.parents)
        elif one.commit in brought:
            brought.update(one.parents)
    return brought - above


@lru_cache(maxsize=128)  # as of `_groups`: each reads the whole message
def reverted_by(message: str) -> tuple[str, ...]:
    """Return the commits that a commit says it reverts, as `git revert` writes it."""
    return tuple(_REVERTS.findall(message))


def is_own(message: str) -> bool:
    """Tell whether a commit's message is this tool's: its trailers say what was done."""
    return bool(_groups(message))


def is_revert(message: str) -> bool:
    """Tell whether a commit took others back, as `git revert` or a host writes it."""
    return bool(reverted_by(message)) or _QUOTED.match(message) is not None


def _told_of(text: str, services: Collection[str], environments: Collection[str]) -> Told | None:
    pairs = ((service, environment) for service in services for environment in environments)
    return next((told for pair in pairs if (told := read_trailers(text, *pair))), None)


def action_of(text: str, service: str, environment: str) -> str | None:
    """Return what a commit message says that was done to a service, also a release or a repair."""
    found = _groups(text).get((service, environment))
    return found["Action"] if found is not None else None


def _told(group: dict[str, str]) -> Told | None:
    try:
        from_image, to = parse_image(group["From"]), parse_image(group["To"])
    except (KeyError, InvalidImageError):
        return None
    record, build = group.get("Record", ""), _BUILD.fullmatch(group.get("Build", ""))
    deed = Deed(
        action=group["Action"],
        image=to,
        from_image=from_image,
        by=one_line(group["By"]) if "By" in group else None,
        reason=one_line(group["Reason"]) if "Reason" in group else None,
        build=Build(one_line(build[1], _LONGEST_JOB), int(build[2])) if build else None,
        record=record if _RECORD.fullmatch(record) else None,
    )
    return Told(group["Service"], group["Environment"], deed)


def subject(told: Sequence[Told]) -> str:
    """Return the first line of a commit's message."""
    first = told[0]
    if len(told) == 1:
        return f"{title(first.service, first.environment)}: {first.deed.versions} ({first.action})"
    names = ", ".join(one.service for one in told)
    subject = f"{title(names, first.environment)}: {first.action}"
    if len(subject) <= _LONGEST_SUBJECT:
        return subject
    return f"{title(f'{len(told)} services', first.environment)}: {first.action}"


def _trailers(told: Told) -> list[str]:
    deed = told.deed
    values = {
        "Action": deed.action,
        "Service": told.service,
        "Environment": told.environment,
        "From": told.from_image.canonical,
        "To": deed.image.canonical,
        "Record": deed.record,
        "Build": str(deed.build) if deed.build else None,
        "By": deed.by,
        "Reason": deed.reason,
        "Storage": "; ".join(told.storage) or None,
        "Passed": "; ".join(told.passed_over) or None,
    }
    # What is for programs is never cut: an image name can be as long as the grammar allows.
    longest = {"From": _LONGEST_IMAGE, "To": _LONGEST_IMAGE, "Build": _LONGEST_JOB}
    return [
        f"Gitops-{name}: {one_line(value, longest.get(name, _LONGEST_TEXT))}"
        for name, value in values.items()
        if value
    ]
