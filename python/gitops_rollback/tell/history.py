"""What was deployed and rolled back, as text: lines that fit a telephone, or a wide table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.model import title
from gitops_rollback.tell.view import View, label, moment, table, wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping


def history(document: Mapping[str, Any], view: View) -> list[str]:
    """Return the entries of each service, newest first, and what proves each."""
    return [line for one in document.get("services", ()) for line in _service(one, view)]


def names(document: Mapping[str, Any]) -> list[str]:
    """Return the images that ran, newest first."""
    services = document.get("services", ())
    found = [(one["service"], entry["to"]) for one in services for entry in one["entries"]]
    return [image if len(services) == 1 else f"{name}={image}" for name, image in found]


def _service(one: Mapping[str, Any], view: View) -> list[str]:
    name = title(one["service"], one["environment"])
    running = one.get("running") or next((entry["to"] for entry in one["entries"]), None)
    head = f"{name}: runs {running}" if running else f"{name}: nothing tells of a deployment"
    lines = [view.ink(line, "bold") for line in wrapped(head)]
    if view.is_wide:
        lines += _table(one, view)
    else:
        lines += [
            line
            for entry in one["entries"]
            for text in _entry(entry, view)
            for line in wrapped(text, "  ")
        ]
    if len(one["entries"]) >= view.limit:
        lines.append(f"  … older ones, if there are: --limit {2 * view.limit}")
    return [
        *lines,
        *(line for text in one.get("findings", ()) for line in wrapped(f"note: {text}", "  ")),
    ]


def _entry(entry: Mapping[str, Any], view: View) -> list[str]:
    old = f"{label(entry['from'])} → " if entry.get("from") else ""
    who = f"by {entry['by']}" if entry.get("by") else ""
    why = f": {entry['reason']}" if entry.get("reason") else ""
    at = moment(entry.get("at"), view.present) or "at some time"
    return [
        f"{at} {entry['action']} {old}{label(entry['to'])}",
        *(f"  {text}" for text in (f"{who}{why}".lstrip(": "),) if text),
        f"  {', '.join(text for text in _traces(entry) if text)}",
        *(f"  conflict: {text}" for text in entry.get("conflicts", ())),
    ]


def _traces(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    build = entry.get("build")
    proofs = entry.get("proofs", ())
    return (
        f"{build['job']} #{build['number']}" if build else "",
        f"commit {entry['commit'][:12]}" if entry.get("commit") else "",
        f"proven by {', '.join(proofs)}" if proofs else "not proven",
    )


def _table(one: Mapping[str, Any], view: View) -> list[str]:
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
