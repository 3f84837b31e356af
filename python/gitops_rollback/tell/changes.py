"""What a deploy, a rollback, a release or a repair did, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.late import replace
from gitops_rollback.model import RECORDED, title
from gitops_rollback.tell.plans import proved
from gitops_rollback.tell.tools import rollouts
from gitops_rollback.tell.view import View, first_ones, label, narrow_table, table, wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

# What is said of a service: done, and where there was nothing to do.
_WORDS = {
    "deploy": ("deployed", "runs already"),
    "rollback": ("rolled back, held", "runs already"),
    "release": ("released", "is not held"),
    "history": ("repaired", "has a sound state file"),
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


def names(document: Mapping[str, Any]) -> list[str]:
    """Return the commit that was made, or that was waited for."""
    return [document["commit"]] if "commit" in document else []


def _service(document: Mapping[str, Any], one: Mapping[str, Any], view: View) -> list[str]:
    done, idle = _WORDS.get(view.command, _WORDS["deploy"])
    name, to = title(one["service"], one["environment"]), label(one.get("to"))
    old = one.get("from")
    versions = f"{label(old)} → {to}" if old and old != one.get("to") else to
    if one.get("action") == RECORDED:
        would = "would be " if document.get("dryRun") else ""
        return wrapped(f"{name}: {versions} {would}written down; what runs is not changed")
    if "deployedBefore" in one:
        before = label(one["deployedBefore"])
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
