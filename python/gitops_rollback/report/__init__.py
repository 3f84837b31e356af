"""The report: one page to archive, made from the results of other commands, and its files.

This is the door, by which the rest of the house comes in: `make_page`, then `write`.

`plan`, `result` (of deploy, rollback or release), `history` and `check` are documents that were
checked against their schemas; everything in them may be written by strangers, so addresses, too:
which ones are linked to, and where a forge shows a commit, is said here.

The timeline of a service is a drawing: time runs downwards, newest first. Each image has a column;
a deployment leads to a new column, a rollback back to an old one. Shapes tell the kinds apart, so
that nothing depends on colours. A page is written whole or not at all.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_rollback import __version__, scratch
from gitops_rollback.clock import age
from gitops_rollback.errors import UsageError
from gitops_rollback.forges.address import page_of_commit
from gitops_rollback.image import label_of, step_of
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.model import by_whom, one_line, title
from gitops_rollback.outlet import one
from gitops_rollback.redaction import hide
from gitops_rollback.refusals import ALREADY
from gitops_rollback.tell.plans import build_name, by_verdict, proved, why
from gitops_rollback.web.hosts import is_web_address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Documents", "make_page", "write"]

_BROKEN = ("failed", "warning")  # levels of what a drill found, the worst first
# Kind and words of the worst a drill found of a service: judged anew here it could be otherwise.
_DRILLED = {
    "failed": ("refused", "would fail"),
    "warning": ("warned", "with a warning"),
    "": ("done", "in order"),
}
_UNSEEN = ("warned", "not verified at the registry")
_MOST_NAMED = 3  # services in the title
_DONE = {
    "deploy": "Deployed",
    "rollback": "Rolled back",
    "release": "Released",
    "edit": "Changed",
    "recorded": "Written down",
}
_ROW, _COLUMN, _TOP, _LEFT = 46, 18, 26, 16
_MOST_COLUMNS = 8
_GAP, _WIDTH = 18, 360
_LONGEST = 38  # characters beside the drawing
FOLDER = "gitops-rollback/report"
PAGE = "report.html"
_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = "report.css"


@dataclass(frozen=True)
class Documents:
    """What the page is made of; a document that is not there is empty."""

    plan: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    history: Mapping[str, Any] = field(default_factory=dict)
    check: Mapping[str, Any] = field(default_factory=dict)
    rollout: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Link:
    """A text, and where it leads if that is safe."""

    text: str
    url: str | None = None


@dataclass(frozen=True)
class Summary:
    """What is to be known of a service first; `action` is what was done, empty for a plan."""

    action: str
    versions: str
    stands: str
    held: str
    live: str
    next: str


@dataclass(frozen=True)
class Service:
    """One service on the page; `proof` is what proves that its edits take effect."""

    title: str
    summary: Summary
    key: str
    outcome: str
    kind: str
    plan: Mapping[str, Any]
    candidates: tuple[Mapping[str, Any], ...]
    edits: tuple[Mapping[str, Any], ...]
    proof: str
    notes: tuple[str, ...]
    entries: tuple[Mapping[str, Any], ...]
    picture: Picture | None


@dataclass(frozen=True)
class Page:
    """The whole page; `facts` are names with links, `timings` names with seconds."""

    title: str
    facts: tuple[tuple[str, Link], ...]
    error: Mapping[str, str]
    services: tuple[Service, ...]
    timings: tuple[tuple[str, float], ...]
    check: Mapping[str, Any]


def make_page(
    documents: Documents, repository: str, present: str, build: Mapping[str, Any]
) -> Page:
    """Make the page; `present` is now, `build` the Jenkins build that makes it, if there is one."""
    services = _broken_first(
        documents,
        [_service(documents, key, repository, present) for key in _keys(documents).items()],
    )
    result, plan = documents.result, documents.plan
    commit = result.get("commit")
    facts = [("Repository", Link(repository, safe_url(repository)))]
    branch = result.get("branch") or plan.get("branch")
    if branch:
        facts.append(("Branch", Link(branch)))
    if commit or plan.get("commit"):
        name = "Commit made" if commit else "Commit read"
        facts.append((name, _commit(repository, commit or plan["commit"])))
    if build:
        text = build_name(build)
        facts.append(("Build", Link(text, safe_url(build.get("url")))))
    facts.append(("Made", Link(_when(present))))
    facts += [("Rollout", Link(text)) for text in _rollouts(documents.rollout)]
    seconds = {**result.get("seconds", {}), **_moments(documents.rollout)}
    timings = sorted(seconds.items(), key=lambda item: item[0] == "total")
    titles = ", ".join(service.title for service in services)
    return Page(
        title=_title(documents, services, titles),
        facts=tuple(facts),
        error=result.get("error") or documents.rollout.get("error") or plan.get("error") or {},
        services=services,
        timings=tuple((name, float(value)) for name, value in timings),
        check=documents.check,
    )


def _rollouts(rollout: Mapping[str, Any]) -> list[str]:
    """Say how far each service came, in each cluster."""
    return [
        f"{one['service']}: {one['state']}: {one.get('message', '')}".removesuffix(": ")
        for one in rollout.get("rollouts", ())
    ]


def _moments(rollout: Mapping[str, Any]) -> dict[str, float]:
    """Return what was reached after how many seconds since the change began; the last is all."""
    seconds = rollout.get("seconds", {})
    names = ("commit", "fetched", "applied", "ready")
    reached = {f"until {name}": seconds[name] for name in names if name in seconds}
    return {**reached, **({"total": seconds["total"]} if seconds else {})}


def _title(documents: Documents, services: Sequence[Service], titles: str) -> str:
    """Say what happened, to what; of one service with the versions."""
    if len(services) > _MOST_NAMED:
        titles = f"{len(services)} services"
    if documents.check:
        return f"Drill: {titles}" if titles else "Drill"
    if documents.result.get("commit"):
        actions = {service.summary.action for service in services}
        done = _DONE.get(actions.pop(), "Changed") if len(actions) == 1 else "Changed"
        versions = f" {services[0].summary.versions}" if len(services) == 1 else ""
        return f"{done}: {titles}{versions}"
    if documents.plan.get("error"):
        return f"Refused: {titles}"
    return f"Plan: {titles}" if documents.plan else f"History: {titles}"


def _broken_first(documents: Documents, services: list[Service]) -> tuple[Service, ...]:
    """Return the services of a drill with what is broken first; those of others as they are."""
    levels = (*_BROKEN, "")
    worst = {
        service.title: levels.index(_worst(documents, service.title).get("level", ""))
        for service in services
    }
    return tuple(sorted(services, key=lambda service: worst[service.title]))


def _summary(
    documents: Documents,
    pair: tuple[str, str],
    plan: Mapping[str, Any],
    result: Mapping[str, Any],
    history: Mapping[str, Any],
) -> Summary:
    """Say first what was done, whether it is held and by whom, whether it is live, what is next."""
    newest: Mapping[str, Any] = next(iter(history.get("entries", ())), {})
    commit = documents.result.get("commit")
    is_it = bool(commit) and newest.get("commit") == commit
    action = str(newest["action"]) if is_it else ""
    frm = result.get("from") or (plan.get("current") or {}).get("image")
    to = result.get("to") or (plan.get("to") or {}).get("image")
    versions = _step(frm, to) if frm and to and frm != to else _label(to or frm or "")
    held = _held(plan.get("hold"), newest if action == "rollback" else {})
    blocked = plan.get("blockedBy", ())
    error = documents.result.get("error") or documents.plan.get("error") or {}
    if action == "rollback":
        next_ = "deploy the fix, which ends the hold; or release it"
    elif blocked:
        next_ = str(blocked[0]["hint"])
    elif error:
        next_ = str(error["hint"])
    else:
        next_ = "roll back" if plan.get("to") and not commit else ""
    return Summary(action, versions, "", held, _live(documents, pair), next_)


def _held(hold: Mapping[str, Any] | None, rollback: Mapping[str, Any]) -> str:
    """Say since when and by whom it is held: by this rollback, else by an earlier one."""
    told = rollback or hold or {}
    if not told:
        return "no"
    return f"yes, since {_when(str(told.get('at', '')))}{by_whom(told.get('by'))}"


def _live(documents: Documents, pair: tuple[str, str]) -> str:
    for found in documents.rollout.get("rollouts", ()):
        if (found["service"], found["environment"]) == pair:
            return {"ready": "yes", "applied": "applied, pods not looked at"}.get(
                found["state"], f"no: {found.get('message') or found['state']}"
            )
    return "not looked at" if documents.result.get("commit") else ""


def _keys(documents: Documents) -> dict[str, tuple[str, str]]:
    """Return the services of all documents, in their order."""
    keys: dict[str, tuple[str, str]] = {}
    for document in (documents.plan, documents.result, documents.history):
        for entry in document.get("services", ()):
            pair = (entry["service"], entry["environment"])
            keys[f"{pair[1]}-{pair[0]}"] = pair
    return keys


def _service(
    documents: Documents, named: tuple[str, tuple[str, str]], repository: str, present: str
) -> Service:
    key, pair = named
    plan = _of(documents.plan, pair)
    result = _of(documents.result, pair)
    history = _of(documents.history, pair)
    name = title(*pair)
    outcome, kind = _outcome(documents, plan, result)
    summary = _summary(documents, pair, plan, result, history)
    if summary.action and kind == "done":
        outcome = f"{summary.versions}, {_DONE.get(summary.action, 'Changed').lower()}"
    summary = replace(summary, stands=outcome.partition(", ")[2] or outcome)
    if documents.check:
        found = _worst(documents, name)
        is_unseen = not found and "to" in plan and not plan["to"].get("verified")
        kind, stands = _UNSEEN if is_unseen else _DRILLED[found.get("level", "")]
        outcome = f"{summary.versions}, {found.get('message', stands)}"
        summary = replace(summary, stands=stands, next=found.get("hint", ""))
    entries = _entries(history.get("entries", ()), repository, present)
    return Service(
        title=name,
        summary=summary,
        key=key,
        outcome=outcome,
        kind=kind,
        plan=plan,
        candidates=tuple(_candidates(plan, repository)),
        edits=tuple(result.get("edits") or plan.get("edits", ())),
        proof=_proof(result if "effectProof" in result else plan),
        notes=(
            *plan.get("findings", ()),
            *(w["message"] if isinstance(w, dict) else w for w in result.get("warnings", ())),
            *history.get("findings", ()),
        ),
        entries=entries,
        picture=draw(name, entries) if entries else None,
    )


def _proof(one: Mapping[str, Any]) -> str:
    if "effectProof" not in one:
        return ""
    return proved(one) or "followed exactly, in the files themselves"


def _outcome(
    documents: Documents, plan: Mapping[str, Any], result: Mapping[str, Any]
) -> tuple[str, str]:
    """Say in one line how it stands, and of what kind that is: done, plan, refused."""
    if result.get("to"):
        versions = _step(result["from"], result["to"])
        if documents.result.get("commit"):
            return f"{versions}, done", "done"
        rehearsal = documents.result.get("dryRun")
        return f"{versions}, {'dry run' if rehearsal else 'not done'}", "plan"
    if not plan:
        return "", "plan"
    current = _label(plan["current"]["image"])
    blocks = plan.get("blockedBy", ())
    if "to" not in plan:
        is_back = any(block["code"] == ALREADY for block in blocks)
        said = f"back at {current} already" if is_back else f"{current}: no image to go back to"
        return said, "refused"
    versions = _step(plan["current"]["image"], plan["to"]["image"])
    if blocks:
        return f"{versions}, would be refused", "refused"
    passed = " and ".join(plan.get("passedOver", ()))
    return (
        (f"{versions}, planned, over {passed}", "warned")
        if passed
        else (f"{versions}, planned", "plan")
    )


def _worst(documents: Documents, title: str) -> Mapping[str, Any]:
    """Return the worst that a drill found about a service; empty if all is well with it."""
    found = [one for one in documents.check.get("findings", ()) if one["subject"] == title]
    broken = [one for one in found if one["level"] in _BROKEN]
    return min(broken, key=lambda one: _BROKEN.index(one["level"]), default={})


def _of(document: Mapping[str, Any], pair: tuple[str, str]) -> Mapping[str, Any]:
    for entry in document.get("services", ()):
        if (entry["service"], entry["environment"]) == pair:
            found: Mapping[str, Any] = entry
            return found
    return {}


def _candidates(plan: Mapping[str, Any], repository: str) -> list[Mapping[str, Any]]:
    return [
        {
            **candidate,
            "label": _label(candidate["image"]),
            "at": _when(candidate.get("deployedAt", "")),
            "why": why(candidate),
            "links": _links(candidate, repository),
        }
        for candidate in by_verdict(plan)
    ]


def _entries(
    entries: Sequence[Mapping[str, Any]], repository: str, present: str
) -> tuple[Mapping[str, Any], ...]:
    rows = []
    ended = present
    for entry in entries:
        at = entry.get("at", "")
        rows.append(
            {
                **entry,
                "when": _when(at),
                "ran": age(at, ended) if at and ended else "",
                "label": _label(entry["to"]),
                "before": _label(entry["from"]) if "from" in entry else "",
                "links": _links(entry, repository),
            }
        )
        ended = at
    return tuple(rows)


def _links(entry: Mapping[str, Any], repository: str) -> list[Link]:
    links = []
    build = entry.get("build")
    if build:
        links.append(Link(build_name(build), safe_url(build.get("url"))))
    if entry.get("commit"):
        links.append(_commit(repository, entry["commit"]))
    return links


def _commit(repository: str, commit: str) -> Link:
    return Link(commit[:12], page_of_commit(repository, commit))


def _when(at: str) -> str:
    return f"{at.replace('T', ' ').removesuffix('Z')} UTC" if at else ""


def safe_url(text: str | None) -> str | None:
    """Return an http or https address without a user in it; None for everything else."""
    return text if text and is_web_address(text) else None


@dataclass(frozen=True)
class Mark:
    """One event: its place, its words, and the line to the event before it, if there is one."""

    x: int
    y: int
    text_x: int
    action: str
    title: str
    details: str
    path: str


@dataclass(frozen=True)
class Picture:
    """The whole drawing; `alternative` says in words what it shows."""

    width: int
    height: int
    marks: tuple[Mark, ...]
    alternative: str


def draw(title: str, entries: Sequence[Mapping[str, Any]]) -> Picture:
    """Draw the entries of `history`, newest first."""
    columns = _columns([str(entry["to"]) for entry in reversed(entries)])
    text_x = _LEFT + _COLUMN * max(columns.values(), default=0) + _GAP
    places = [
        (_LEFT + _COLUMN * columns[entry["to"]], _TOP + _ROW * row)
        for row, entry in enumerate(entries)
    ]
    marks = []
    for row, entry in enumerate(entries):
        x, y = places[row]
        before = places[row + 1] if row + 1 < len(places) else None
        marks.append(
            Mark(
                x,
                y,
                text_x,
                entry["action"],
                _title_of_picture(entry),
                _details(entry),
                _line(x, y, before),
            )
        )
    newest = f", the newest {_title_of_picture(entries[0])}" if entries else ""
    said = f"Timeline of {title}: {len(entries)} changes{newest}. The table below says the same."
    height = _TOP + _ROW * max(len(entries), 1)
    return Picture(_WIDTH, height, tuple(marks), said)


def _label(image: str) -> str:
    return one_line(label_of(image), _LONGEST)


def _step(old: str, new: str) -> str:
    return one_line(step_of(old, new), 2 * _LONGEST)


def _columns(images: Sequence[str]) -> dict[str, int]:
    """Give each image a column, in the order in which they first ran; the last are shared."""
    found: dict[str, int] = {}
    for image in images:
        found.setdefault(image, min(len(found), _MOST_COLUMNS - 1))
    return found


def _title_of_picture(entry: Mapping[str, Any]) -> str:
    return one_line(f"{entry['action']} {_label(entry['to'])}", _LONGEST)


def _details(entry: Mapping[str, Any]) -> str:
    at = str(entry.get("at", "")).replace("T", " ").removesuffix("Z")
    by = entry.get("by", "")
    return one_line(", ".join(part for part in (at, by) if part), _LONGEST + 4)


def _line(x: int, y: int, before: tuple[int, int] | None) -> str:
    if before is None:
        return ""
    half = (y + before[1]) // 2
    return f"M {before[0]} {before[1]} C {before[0]} {half}, {x} {half}, {x} {y}"


def render(page: Page) -> dict[str, str]:
    """Return the files of a page by name: HTML, CSS, and one SVG for each timeline.

    Each text goes the way of all that is printed: without known secrets, without controls. They
    keep to Jenkins' Content-Security-Policy for artifacts (`default-src 'none'; img-src 'self';
    style-src 'self'`): no script, no style in the page, no `data:` address.
    """
    from jinja2 import Environment, FileSystemLoader  # noqa: PLC0415 - slow import

    templates = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = templates.get_template("report.html.j2").render(page=page, version=__version__)
    files = {
        PAGE: html.lstrip(),
        _STYLE: (_TEMPLATES / _STYLE).read_text(encoding="utf-8"),
    }
    picture = templates.get_template("timeline.svg.j2")
    for service in page.services:
        if service.picture is not None:
            files[f"timeline-{service.key}.svg"] = picture.render(picture=service.picture)
    return files


def _shown(value: object) -> object:
    """Return what stands at a place of a template as it may leave; markup is made of such."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return one(hide(str(value))) if is_text else value


def write(page: Page, directory: Path) -> Path:
    """Write a page below `directory`, in place of an earlier one; return the HTML's path.

    Raises `UsageError` if one cannot write there.
    """
    files = render(page)
    target = directory / FOLDER
    *above, name = Path(FOLDER).parts
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (
            scratch.folder(directory, scratch.RESULT) as made,
            scratch.below(directory, above) as at,
        ):
            with scratch.below(made.descriptor, (name,)) as fresh:
                for file, text in files.items():
                    scratch.write_new(fresh, file, text.encode())
            with suppress(FileNotFoundError):
                shutil.rmtree(name, dir_fd=at)
            os.rename(name, name, src_dir_fd=made.descriptor, dst_dir_fd=at)
        scratch.sweep(directory, scratch.RESULT)
    except OSError as error:
        raise UsageError(
            f"the report cannot be written to {target}: {error.strerror or error}",
            "give a folder one can write to with --report-dir",
        ) from error
    return target / PAGE
