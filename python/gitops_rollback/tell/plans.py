"""Plans as text: from, to and why in the first lines, then every candidate, then what to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gitops_rollback.image import label_of, step_of
from gitops_rollback.model import by_whom, title, told_why
from gitops_rollback.refusals import ALREADY, RUNNING
from gitops_rollback.tell.terminal import width
from gitops_rollback.tell.view import View, first_ones, moment, narrow_table, table, wrapped

Plan = Mapping[str, Any]

_VERDICTS = ("chosen", "acceptable", "refused")
_STYLES = {"chosen": "green", "refused": "red"}
_SOURCES = {
    "git": "deployed before, as Git tells",
    "registry": "the registry's answer to the query",
}


def plans(document: Mapping[str, Any], view: View) -> list[str]:
    """Return plans as lines: one in full, several as a table with what has to be known beside."""
    services = document.get("services", ())
    if not services:
        return []
    if len(services) == 1:
        return plan(services[0], view) + (explained(services[0], view) if view.explains else [])
    lines = [f"{title(f'{len(services)} services', services[0]['environment'])}:"]
    rows = [("service", "runs", "back to", "because"), *map(_row, services)]
    lines += [f"  {line}" for line in (table(rows) if view.is_wide else narrow_table(rows, 2))]
    told = [text for one in services for text in _obstacles(one)]
    notes = [f"{one['service']}: note: {text}" for one in services for text in one["findings"]]
    for texts in (told, notes):
        wrapped_texts = ["\n".join(wrapped(text, "  ")) for text in texts]
        lines += first_ones(wrapped_texts, view.limit, "  ")
    for one in services:
        lines += explained(one, view) if view.explains else []
    return lines


def names(document: Mapping[str, Any]) -> list[str]:
    """Return the images to go back to; of several services each behind its name."""
    services = document.get("services", ())
    found = [(one["service"], one["to"]["image"]) for one in services if "to" in one]
    return [image if len(services) == 1 else f"{name}={image}" for name, image in found]


def plan(one: Plan, view: View) -> list[str]:
    """Return one plan as lines that can be read at three in the morning."""
    ink = view.ink
    lines = [ink(line, "bold") for line in wrapped(_headline(one))]
    lines.append(f"  runs     {one['current']['image']}")
    if "to" in one and not runs_already(one):
        lines.append(f"  back to  {one['to']['image']}")
        lines += wrapped(f"because  {because(one)}", "  ")
    for block in _blocks(one):
        text = f"refused  {block['code']}: {block['message']} ({block['hint']})"
        lines += [ink(line, "red") for line in wrapped(text, "  ")]
    for edit in one.get("edits", ()):
        place = f"{edit['path']}:{edit['line']} ({edit['container']})"
        lines += wrapped(f"edit     {place}: {edit['new']}", "  ")
        if edit.get("overrides"):
            lines += wrapped(f"         which overrides {', '.join(edit['overrides'])}", "  ")
    lines += wrapped(f"effect   {proved(one)}", "  ") if proved(one) else []
    lines += candidates(one, view)
    hold = one.get("hold")
    if hold:
        told = f"{by_whom(hold.get('by'))}{told_why(hold.get('reason'))}"
        lines += wrapped(f"held     since {hold['at']}{told}", "  ")
    for finding in one.get("findings", ()):
        # What storage means for going back stands in the commit, too: it is no mere note.
        word = "warning" if finding.startswith("storage ") else "note   "
        lines += wrapped(f"{word}  {finding}", "  ")
    return lines


_PROVED = {
    "restored": "as it was when the image ran: nothing of it changed since",
    "accepted": "not proven, and accepted",
}


def proved(one: Mapping[str, Any]) -> str:
    """Return what proves that a service's edits take effect; empty where files were followed."""
    proof = one.get("effectProof", {})
    if proof.get("by") != "build":
        return _PROVED.get(proof.get("by", ""), "")
    folders = ", ".join(build["folder"] for build in proof["builds"])
    return f"proven by {proof['tool']} {proof['version']}, which built {folders} before and after"


def _headline(one: Plan) -> str:
    """Return the first line: where it would go, or that it goes nowhere, and why."""
    name, runs = title(one["service"], one["environment"]), label_of(one["current"]["image"])
    if runs_already(one):
        return f"{name}: {runs} runs already, nothing to do"
    code = blocks[0]["code"] if (blocks := _blocks(one)) else ""
    refused = f" (refused: {code})" if code else ""
    if "to" not in one and code == ALREADY:
        return f"{name}: back at {runs} already{refused}"
    if "to" not in one:
        return f"{name}: no image to go back to from {runs}{refused}"
    return f"{name}: {step_of(one['current']['image'], one['to']['image'])}{refused}"


def runs_already(one: Plan) -> bool:
    """Tell whether the image that was named is the one that runs: nothing to do."""
    return any(block["code"] == RUNNING for block in one.get("blockedBy", ()))


def _blocks(one: Plan) -> list[Mapping[str, str]]:
    return [block for block in one.get("blockedBy", ()) if block["code"] != RUNNING]


def _obstacles(one: Plan) -> list[str]:
    name = title(one["service"], one["environment"])
    texts = [f"{block['message']} ({block['hint']})" for block in _blocks(one)]
    if "to" not in one and not texts and not runs_already(one):
        refused = [c for c in one["candidates"] if c["verdict"] == "refused"]
        reasons = "; ".join(f"{label_of(c['image'])}: {c['message']}" for c in refused[:3])
        texts = [f"{name}: no image to go back to{f' ({reasons})' if reasons else ''}"]
    return texts


def because(one: Plan) -> str:
    """Return why the image of a plan was chosen, for people."""
    to = one["to"]
    build, archive = to.get("build"), to.get("archivedBy")
    deployed = f"deployed by {build_name(build)}, " if build else ""
    archived = f"archived by {build_name(archive)}" if archive else "archived in a record"
    archived = deployed + archived
    source = _SOURCES.get(str(to.get("source")), archived)
    return f"{source}; {'the registry has it' if to.get('verified') else 'not verified'}"


def _row(one: Plan) -> tuple[str, str, str, str]:
    name, runs = str(one["service"]), label_of(one["current"]["image"])
    if runs_already(one):
        return (name, runs, "-", "runs already")
    target = label_of(one["to"]["image"]) if "to" in one else "-"
    blocks = _blocks(one)
    if blocks:
        return (name, runs, target, f"REFUSED: {blocks[0]['code']}")
    return (name, runs, target, because(one) if "to" in one else "NO IMAGE to go back to")


def candidates(one: Plan, view: View) -> list[str]:
    """Return the candidates: verdict, image, when it was deployed by whom, and what refuses it."""
    found = by_verdict(one)
    if not found:
        return []
    heading, *lines = _in_columns([_cells(one, candidate, view) for candidate in found])
    blocks = []
    for line, candidate in zip(lines, found, strict=True):
        verdict = candidate["verdict"]
        painted = line.replace(verdict, view.ink(verdict, _STYLES.get(verdict, "dim")), 1)
        blocks.append("\n".join([painted, *wrapped(why(candidate), "      ")]))
    return [heading, *first_ones(blocks, view.limit, "    ")]


def _in_columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return a heading and a line for each row; on a narrow terminal without columns."""
    heading, *lines = table([("verdict", "image", "deployed", "by", "revision"), *rows], "    ")
    if max(map(len, lines)) <= width():
        return [f"  candidates:\n{heading}", *lines]
    texts = [f"{row[0]} {', '.join(cell for cell in row[1:] if cell)}" for row in rows]
    return ["  candidates:", *("\n".join(wrapped(text, "    ")) for text in texts)]


def _cells(one: Plan, candidate: Mapping[str, Any], view: View) -> tuple[str, ...]:
    image = candidate["image"] if view.is_wide else _short(one, candidate["image"])
    revision = str(candidate.get("revision") or "")
    return (
        candidate["verdict"],
        image,
        moment(candidate.get("deployedAt"), view.present),
        str(candidate.get("by") or ""),
        revision if view.is_wide else revision[:12],
    )


def _short(one: Plan, image: str) -> str:
    """Return the label of a candidate, with its digest where another has the same label."""
    same = [c for c in one["candidates"] if label_of(c["image"]) == label_of(image)]
    runs_so = label_of(one["current"]["image"]) == label_of(image)
    digest = image.partition("@")[2]
    if (len(same) > 1 or runs_so) and digest and not label_of(image).startswith("sha256"):
        return f"{label_of(image)} {digest[:19]}"
    return label_of(image)


def why(candidate: Mapping[str, Any]) -> str:
    """Return what is said of a candidate: the code that refuses it, and its message."""
    return ": ".join(text for text in (candidate.get("reason"), candidate.get("message")) if text)


def explained(one: Plan, view: View) -> list[str]:
    """Return all that is known of each candidate: what proves it, when it ran, what refuses it."""
    name = title(one["service"], one["environment"])
    lines = ["", *wrapped(f"{name}: every candidate, by strategy {one['strategy']}")]
    found = by_verdict(one)
    if not found:
        return [*lines, "  none"]
    for candidate in found:
        lines += ["", *wrapped(f"{candidate['verdict'].upper()} {candidate['image']}", "  ")]
        lines += [line for text in _facts(candidate, view) for line in wrapped(text, "    ")]
    return lines


def _facts(candidate: Mapping[str, Any], view: View) -> list[str]:
    build = candidate.get("build")
    deployed = moment(candidate.get("deployedAt"), view.present)
    verified = "the registry has it" if candidate.get("verified") else "not verified"
    facts: Sequence[tuple[str, str]] = (
        ("why", why(candidate)),
        ("deployed", f"{deployed}{by_whom(candidate.get('by'))}" if deployed else ""),
        ("built", moment(candidate.get("builtAt"), view.present)),
        ("revision", str(candidate.get("revision") or "")),
        ("commit", str(candidate.get("commit") or "")[:12]),
        ("build", build_name(build) if build else ""),
        ("archived by", build_name(candidate["archivedBy"]) if "archivedBy" in candidate else ""),
        ("proofs", ", ".join(candidate.get("sources", ()))),
        ("registry", verified),
    )
    return [f"{name}: {text}" for name, text in facts if text]


def by_verdict(one: Plan) -> list[Mapping[str, Any]]:
    """Return the candidates of a plan: the chosen one first, those that are refused last."""
    return sorted(one.get("candidates", ()), key=lambda c: _VERDICTS.index(c["verdict"]))


def build_name(build: Mapping[str, Any]) -> str:
    """Return what people call a build: `shop/cart #41`."""
    return f"{build['job']} #{build['number']}"
