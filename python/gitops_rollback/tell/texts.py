"""Results as text, made of their JSON documents alone: one function for each command.

What a deploy, a rollback, a release or a repair did, and what was done before, is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gitops_rollback.image import label_of, step_of
from gitops_rollback.late import replace
from gitops_rollback.model import RECORDED, title
from gitops_rollback.tell import plans, tools
from gitops_rollback.tell.plans import build_name, proved
from gitops_rollback.tell.tools import rollouts
from gitops_rollback.tell.view import (
    View,
    first_ones,
    moment,
    narrow_table,
    table,
    view_of,
    wrapped,
)

if TYPE_CHECKING:
    from gitops_rollback.tell.output import Output

# What is said of a service: done, and where there was nothing to do.
_WORDS = {
    "deploy": ("deployed", "runs already"),
    "rollback": ("rolled back, held", "runs already"),
    "release": ("released", "is not held"),
    "history": ("repaired", "has a sound state file"),
    "retire": ("retired", "is gone"),
}


def changes(document: Mapping[str, Any], view: View) -> list[str]:
    """Return what became of each service, of those that were left, and the commit."""
    lines = [line for one in document.get("services", ()) for line in _service(document, one, view)]
    left = document.get("blocked", ())
    if [one["message"] for one in left] == [document.get("error", {}).get("message")]:
        return lines  # the error says it
    if left:
        services = document.get("services", ())
        if services or "error" not in document:
            lines.append(f"left as they are: {len(left)} of {len(left) + len(services)} services")
        lines += blocked(left, view)
    if "commit" in document and "services" in document:
        seconds = document.get("seconds", {})
        spent = [f"{name} {value:g}" for name, value in seconds.items() if name != "total"]
        lines.append(
            f"commit {document['commit']} on {document['branch']} in {seconds.get('total', 0):g} s "
            f"({', '.join(spent)})"
        )
    if "rollout" in document:
        lines += rollouts(document["rollout"], view)
    if "rolledBack" in document:
        lines += changes(document["rolledBack"], replace(view, command="rollback"))
    return lines


def _service(document: Mapping[str, Any], one: Mapping[str, Any], view: View) -> list[str]:
    done, idle = _WORDS.get(view.command, _WORDS["deploy"])
    name, to = title(one["service"], one["environment"]), label_of(one.get("to"))
    old = one.get("from")
    versions = step_of(old, one["to"]) if old and old != one.get("to") else to
    if one.get("action") == RECORDED:
        would = "would be " if document.get("dryRun") else ""
        return wrapped(f"{name}: {versions} {would}written down; what runs is not changed")
    if "deployedBefore" in one:
        before = label_of(one["deployedBefore"])
        return wrapped(f"{name}: nothing to do: this record deployed {before}, and {to} runs since")
    if not _is_changed(document, one):
        return wrapped(f"{name}: {to} {idle}, nothing to do")
    is_open = "error" in document and ("commit" not in document or "pullRequest" in document)
    if document.get("dryRun") or is_open:
        when = "dry run" if document.get("dryRun") else "when it is merged"
        return [*wrapped(f"{name}: {versions} would be {done} ({when})"), *_effect(one)]
    return [
        *(view.ink(line, "bold") for line in wrapped(f"{name}: {versions} {done}")),
        *_effect(one),
    ]


def _effect(one: Mapping[str, Any]) -> list[str]:
    """Return what proves that it takes effect, where that is more than the files themselves."""
    return wrapped(f"effect   {proved(one)}", "  ") if proved(one) else []


def _is_changed(document: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    """Tell whether anything was or would be written for a service."""
    if "changed" in one:
        return bool(one["changed"])
    return bool(document.get("changed") or document.get("pullRequest") or one.get("edits"))


def blocked(left: list[Mapping[str, str]], view: View) -> list[str]:
    """Return the services that are refused, or have no image to go back to, and why."""
    rows = [
        ("service", "refused", "why"),
        *((one["service"], one["code"], one["message"]) for one in left),
    ]
    texts = ["\n".join(wrapped(f"{one['message']} ({one['hint']})", "  ")) for one in left]
    return [
        *(table(rows) if view.is_wide else narrow_table(rows)),
        *first_ones(texts, view.limit, "  "),
    ]


def history(document: Mapping[str, Any], view: View) -> list[str]:
    """Return the entries of each service, newest first, and what proves each."""
    return [line for one in document.get("services", ()) for line in _history_of(one, view)]


def history_names(document: Mapping[str, Any]) -> list[str]:
    """Return the images that ran, newest first."""
    services = document.get("services", ())
    found = [(one["service"], entry["to"]) for one in services for entry in one["entries"]]
    return [image if len(services) == 1 else f"{name}={image}" for name, image in found]


def _history_of(one: Mapping[str, Any], view: View) -> list[str]:
    name = title(one["service"], one["environment"])
    running = one.get("running") or next((entry["to"] for entry in one["entries"]), None)
    head = f"{name}: runs {running}" if running else f"{name}: nothing tells of a deployment"
    lines = [view.ink(line, "bold") for line in wrapped(head)]
    if view.is_wide:
        lines += _history_table(one, view)
    else:
        lines += [
            line
            for entry in one["entries"]
            for text in _history_entry(entry, view)
            for line in wrapped(text, "  ")
        ]
    if len(one["entries"]) >= view.limit:
        lines.append(f"  … older ones, if there are: --limit {2 * view.limit}")
    return [
        *lines,
        *(line for text in one.get("findings", ()) for line in wrapped(f"note: {text}", "  ")),
    ]


def _history_entry(entry: Mapping[str, Any], view: View) -> list[str]:
    old, new = entry.get("from"), entry["to"]
    who = f"by {entry['by']}" if entry.get("by") else ""
    why = f": {entry['reason']}" if entry.get("reason") else ""
    at = moment(entry.get("at"), view.present) or "at some time"
    return [
        f"{at} {entry['action']} {step_of(old, new) if old else label_of(new)}",
        *(f"  {text}" for text in (f"{who}{why}".lstrip(": "),) if text),
        f"  {', '.join(text for text in _traces(entry) if text)}",
        *(f"  conflict: {text}" for text in entry.get("conflicts", ())),
    ]


def _traces(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    build = entry.get("build")
    proofs = entry.get("proofs", ())
    return (
        build_name(build) if build else "",
        f"commit {entry['commit'][:12]}" if entry.get("commit") else "",
        f"proven by {', '.join(proofs)}" if proofs else "not proven",
    )


def _history_table(one: Mapping[str, Any], view: View) -> list[str]:
    heading = ("at", "action", "from", "to", "by", "reason", "build", "commit", "proofs")
    rows = [
        (
            moment(entry.get("at"), view.present),
            entry["action"],
            str(entry.get("from") or ""),
            entry["to"],
            str(entry.get("by") or ""),
            str(entry.get("reason") or ""),
            _traces(entry)[0],
            str(entry.get("commit") or "")[:12],
            ", ".join(entry.get("proofs", ())),
        )
        for entry in one["entries"]
    ]
    return table([heading, *rows], "  ") if rows else []


Document = Mapping[str, Any]
Texts = Callable[[Document, View], list[str]]
Names = Callable[[Document], list[str]]


def _each(items: str, pattern: str) -> Names:
    """Return what lists a text of each item of a document, of its keys: `{path}:{line}`."""
    return lambda document: [pattern.format_map(one) for one in document.get(items, ())]


def _alone(key: str) -> Names:
    """Return what lists the one text that a document has under a key."""
    return lambda document: [document[key]] if key in document else []


# For people, and as names: what a script reads, one a line.
_TEXTS: Mapping[str, tuple[Texts, Names]] = {
    "record": (tools.records, tools.record_names),
    "deploy": (changes, _alone("commit")),
    "plan": (plans.plans, plans.names),
    "rollback": (changes, _alone("commit")),
    "release": (changes, _alone("commit")),
    "history": (history, history_names),
    "report": (tools.report, _alone("page")),
    "check": (tools.drill, tools.drill_names),
    "wait": (tools.rollouts, _alone("commit")),
    "services": (tools.services, _each("services", "{service}")),
    "jobs": (tools.jobs, _each("jobs", "{job}")),
    "fields": (tools.fields, _each("fields", "{path}:{line}")),
    "stats": (tools.stats, _each("services", "{service}")),
}


def lines_of(document: Document, output: Output) -> list[str]:
    """Return a result as the lines of its format: `text`, `wide` or `name`.

    A change that was refused has a plan beside its error, and is shown as one.
    """
    command = _kind(document, output.command)
    if command not in _TEXTS:
        return []
    texts, names = _TEXTS[command]
    return names(document) if output.format == "name" else texts(document, view_of(output))


def _kind(document: Document, command: str) -> str:
    """Return the command whose result a document is: that of a failed one is often a plan."""
    services = document.get("services") or [{}]
    if command in ("deploy", "rollback", "release") and "current" in services[0]:
        return "plan"
    if "verdict" in document and "findings" in document:
        return "check"
    if command == "history" and "branch" in document:
        return "deploy"  # a repair is a change
    return command
