"""A change as a pull request: the branch's name, the title and the body. Pure."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from gitops_rollback.ledger.message import subject
from gitops_rollback.model import one_line
from gitops_rollback.services.config import DEFAULT_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops_rollback.decide.change import Change
    from gitops_rollback.decide.plan import Candidate
    from gitops_rollback.ledger.message import Told

_PREFIX = "gitops-rollback/"
_SHORT = 12  # digits, as people know them from images and commits
_LONGEST_TITLE = 255  # characters; GitHub takes 256, GitLab 255
_LONGEST_BODY = 60_000  # GitHub takes 65,536, GitLab a megabyte
_MOST_OF_SERVICES = 40_000  # the rest is for the diff
_MOST_OF_OVERVIEW = 15_000
_LONGEST_TEXT = 1_000
_MOST_CANDIDATES = 10
_END = (
    "Made by `gitops-rollback`. It is done when this is merged, by whatever kind of merge; running "
    "the same command again brings this up to date."
)


def branch_of(changes: Sequence[Change]) -> str:
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


def title_of(changes: Sequence[Change]) -> str:
    """Return the title: the subject of the commit, as long as GitHub and GitLab take it."""
    return one_line(subject([change.summary for change in changes]), _LONGEST_TITLE)


def body_of(changes: Sequence[Change], diff: str) -> str:
    """Return the body in Markdown: what goes where and why, what to know, and the diff.

    What does not fit is counted. Texts from outside stand in code only: they are shown as they
    are, and call nobody.
    """
    parts = [_overview(changes)] if len(changes) > 1 else []
    left = _MOST_OF_SERVICES - sum(map(len, parts))
    shown = _fitting((_service_part(change) for change in changes), left)
    parts += shown
    if len(shown) < len(changes):
        parts.append(f"{len(changes) - len(shown)} more services: the commit's message names all.")
    text = "\n\n".join(parts)
    return f"{text}\n\n{_diff_part(diff, _LONGEST_BODY - len(text))}\n\n{_END}\n"


def _fitting(texts: Iterable[str], room: int) -> list[str]:
    """Return the first texts that have so many characters together; a line end counts for each."""
    taken = []
    for text in texts:
        room -= len(text) + 1
        if room < 0:
            break
        taken.append(text)
    return taken


def _diff_part(diff: str, room: int) -> str:
    lines = diff.split("\n")
    shown = _fitting(lines, room)
    more = len(lines) - len(shown)
    if more:
        shown.append(f"({more} more lines: see the changed files)")
    fence = "`" * max(3, _longest_run(diff) + 1)
    return "\n".join([f"{fence}diff", *shown, fence])


def _overview(changes: Sequence[Change]) -> str:
    rows = [
        f"| {_cell(change.at.service)} | {_cell(change.summary.from_image.label)} "
        f"| {_cell(change.summary.to.label)} |"
        for change in changes
    ]
    shown = _fitting(rows, _MOST_OF_OVERVIEW)
    more = [f"| {len(rows) - len(shown)} more | | |"] if len(shown) < len(rows) else []
    return "\n".join(["| service | from | to |", "|---|---|---|", *shown, *more])


def _service_part(change: Change) -> str:
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
    return "\n".join([*lines, *_candidates(change.candidates)])


def _candidates(candidates: Sequence[Candidate]) -> list[str]:
    """Return the images that it could go back to as a table, the chosen one first."""
    if not candidates:
        return []
    ordered = sorted(candidates, key=lambda candidate: not candidate.is_chosen)
    rows = [("candidate", "image", "deployed", "what is known of it"), ("---",) * 4]
    rows += [
        (one.verdict, _cell(one.image.label), _cell(one.deployed_at or ""), _cell(_why(one)))
        for one in ordered[:_MOST_CANDIDATES]
    ]
    more = len(ordered) - _MOST_CANDIDATES
    rows += [("", f"{more} more", "", "")] if more > 0 else []
    return ["", *(f"| {' | '.join(row)} |" for row in rows)]


def _why(candidate: Candidate) -> str:
    told = [candidate.reason or "", candidate.message or ""]
    if not candidate.is_refused:
        told += [f"told by {', '.join(sorted(candidate.sources))}", str(candidate.build or "")]
    return "; ".join(text for text in told if text)


def _digest(summary: Told) -> str:
    """Return the digits of the image's digest, or of its name where it has none."""
    digest = summary.to.digest
    if digest is None:
        return sha256(summary.to.canonical.encode()).hexdigest()[:_SHORT]
    return digest.rpartition(":")[2][:_SHORT]


def _code(text: str) -> str:
    """Show a text as it is: no Markdown, no mention of people, no HTML."""
    text = one_line(text, _LONGEST_TEXT)
    if not text:
        return ""
    fence = "`" * (_longest_run(text) + 1)
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _cell(text: str) -> str:
    """Show a text as it is in a cell of a table, where a bar ends the cell also within code."""
    return _code(text.replace("\\|", "\\ |")).replace("|", "\\|")


def _longest_run(text: str) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest
