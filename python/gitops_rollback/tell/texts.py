"""Results as text, made of their JSON documents alone: one function for each command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gitops_rollback.tell import changes, plans, tools
from gitops_rollback.tell.view import View, view_of

if TYPE_CHECKING:
    from gitops_rollback.tell.output import Output

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
    "deploy": (changes.changes, _alone("commit")),
    "plan": (plans.plans, plans.names),
    "rollback": (changes.changes, _alone("commit")),
    "release": (changes.changes, _alone("commit")),
    "history": (changes.history, changes.history_names),
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
