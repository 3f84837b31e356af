"""What a drill or a look at storage found, as text: what is broken first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.tell.view import table, wrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.tell.view import View

_MARGIN = " " * 9  # as wide as the longest level, and a blank
_STYLES = {"failed": "red", "warning": "yellow", "error": "red", "ok": "green"}


def drill(document: Mapping[str, Any], view: View) -> list[str]:
    """Return what a drill found, worst first, and its sum; or what storage was found to be."""
    if "verdict" not in document:
        return storage(document, view)
    lines = []
    for found in document.get("findings", ()):
        level = found["level"]
        text = f"{found['check']} {found['subject']}: {found['message']}"
        first, *more = wrapped(text, _MARGIN)
        mark = view.ink(level, _STYLES.get(level, "dim"))
        lines += [f"{mark}{' ' * (len(_MARGIN) - len(level))}{first.lstrip()}", *more]
        if level != "ok" and found.get("hint"):
            lines += wrapped(f"hint: {found['hint']}", _MARGIN)
    return [*lines, view.ink(document["summary"], "bold")]


def names(document: Mapping[str, Any]) -> list[str]:
    """Return what a rollback would fail at, or where storage is not sound."""
    if "verdict" not in document:
        return [f"{one['path']}:{one['line']}" for one in document.get("findings", ())]
    failed = [one["subject"] for one in document["findings"] if one["level"] == "failed"]
    return list(dict.fromkeys(failed))


def storage(document: Mapping[str, Any], view: View) -> list[str]:
    """Return the findings about volumes and claims, what each claim becomes, and the counts."""
    lines = []
    counts: dict[str, int] = {"error": 0, "warning": 0, "info": 0}
    for found in document.get("findings", ()):
        severity = found["severity"]
        counts[severity] = counts.get(severity, 0) + 1
        place = f"{found['path']}:{found['line']}:{found['column']}"
        mark = view.ink(severity, _STYLES.get(severity, "dim"))
        lines += [
            f"{place}: {mark}: {found['message']} [{found['code']}]",
            f"    means: {found['effect']}",
            f"    mend:  {found['mend']}",
        ]
    claims = document.get("claims", ())
    if claims:
        rows = [("claim", "becomes", "why"), *map(_claim, claims)]
        lines += table(rows)
    lines += [f"skipped: {skip['reason']}" for skip in document.get("skipped", ())]
    if "files" not in document:
        return lines
    told = ", ".join(f"{number} {severity}s" for severity, number in counts.items())
    return [*lines, f"{document['files']} files, {document['objects']} objects checked: {told}"]


def _claim(claim: Mapping[str, Any]) -> tuple[str, str, str]:
    name = f"{claim['namespace']}/{claim['name']}" if claim.get("namespace") else claim["name"]
    volume = f" to {claim['volume']}" if claim.get("volume") else ""
    return (name, f"{claim['state']}{volume}", "" if volume else str(claim.get("reason") or ""))
