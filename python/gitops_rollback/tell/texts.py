"""Results as text, made of their JSON documents alone: one function for each command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gitops_rollback.tell import changes, plans, stats, tools
from gitops_rollback.tell.view import View, view_of

if TYPE_CHECKING:
    from gitops_rollback.tell.output import Output

Document = Mapping[str, Any]
Texts = Callable[[Document, View], list[str]]
Names = Callable[[Document], list[str]]

_TEXTS: Mapping[str, Texts] = {
    "record": tools.records,
    "deploy": changes.changes,
    "plan": plans.plans,
    "rollback": changes.changes,
    "release": changes.changes,
    "history": changes.history,
    "report": tools.report,
    "check": tools.drill,
    "wait": tools.rollouts,
    "services": tools.services,
    "jobs": tools.jobs,
    "fields": tools.fields,
    "stats": stats.stats,
}
_NAMES: Mapping[str, Names] = {
    "record": tools.record_names,
    "deploy": changes.names,
    "plan": plans.names,
    "rollback": changes.names,
    "release": changes.names,
    "history": changes.history_names,
    "report": tools.report_names,
    "check": tools.drill_names,
    "wait": changes.names,
    "services": tools.service_names,
    "jobs": tools.job_names,
    "fields": tools.field_names,
    "stats": stats.names,
}


def lines_of(document: Document, output: Output) -> list[str]:
    """Return a result as the lines of its format: `text`, `wide` or `name`.

    A change that was refused has a plan beside its error, and is shown as one.
    """
    command = _kind(document, output.command)
    if output.format == "name":
        return _NAMES[command](document) if command in _NAMES else []
    if command not in _TEXTS:
        return []
    return _TEXTS[command](document, view_of(output))


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
