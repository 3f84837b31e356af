"""Numbers of deploys and rollbacks as text, CSV, or a textfile for Prometheus."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from gitops_rollback.model import title
from gitops_rollback.tell.view import table, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gitops_rollback.tell.view import View

_COLUMNS = (
    ("deployments", "deploys"),
    ("deploymentsPerDay", "a day"),
    ("failedDeployments", "failed"),
    ("changeFailureRate", "failure rate"),
    ("rollbacks", "rollbacks"),
    ("recoverySeconds", "recovery (median)"),
    ("recoveryAppliedSeconds", "until applied"),
    ("holdSeconds", "hold (median)"),
    ("openHolds", "held now"),
)
_HELP = {
    "deployments": "Deploys in the window.",
    "deploymentsPerDay": "Deployment frequency: deploys in the window, by day.",
    "failedDeployments": "Deploys whose image was rolled back from, or is marked bad.",
    "changeFailureRate": "Share of the deploys that failed.",
    "rollbacks": "Rollbacks in the window.",
    "recoverySeconds": "Failed deployment recovery time: deploy to rollback, median.",
    "recoveryAppliedSeconds": "From a failed deploy to its rollback applied, median.",
    "holdSeconds": "How long rollbacks held, median.",
    "openHolds": "Holds in force.",
}


def stats(document: Mapping[str, Any], view: View) -> list[str]:
    """Return the numbers as a table that says of what they are, as CSV, or for Prometheus."""
    if "total" not in document:
        return []
    if view.form == "csv":
        return _csv(document)
    if view.form == "prometheus":
        return _prometheus(document)
    columns = [(key, heading) for key, heading in _COLUMNS if _is_shown(key, document["total"])]
    rows = [("service", *(heading for _key, heading in columns))]
    rows += [(name, *_cells(one, columns)) for name, one in _named(document)]
    lines = [
        f"{document['since'][:10]} to {document['until'][:10]}, as DORA defines it",
        *table(rows),
    ]
    late: dict[str, list[str]] = {}
    for name, one in _named(document):
        if one["completeSince"] > document["since"] and name != "all":
            late.setdefault(one["completeSince"], []).append(name)
    drills = document.get("drills")
    if drills:
        lines.append(f"drills: {drills['count']}, success rate {drills['successRate']:.0%}")
    since = (f"complete since {at} only: {', '.join(late[at])}" for at in sorted(late))
    return [*lines, *(line for text in since for line in wrapped(text))]


def _named(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for one in document["services"]:
        yield title(one["service"], one["environment"]), one
    if len(document["services"]) > 1:
        yield "all", document["total"]


def _is_shown(key: str, total: Mapping[str, Any]) -> bool:
    """Tell whether people see a column: all, but of times that nobody gave."""
    return key != "recoveryAppliedSeconds" or key in total


def _cells(one: Mapping[str, Any], columns: Sequence[tuple[str, str]]) -> Iterator[str]:
    for key, _heading in columns:
        value = one.get(key)
        if value is None:
            yield "-"
        elif isinstance(value, dict):
            yield _duration(value["median"])
        elif key == "changeFailureRate":
            yield f"{value:.0%}"
        else:
            yield f"{value:g}"


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _numbers(one: Mapping[str, Any]) -> dict[str, float | None]:
    found = {}
    for key, _heading in _COLUMNS:
        value = one.get(key)
        found[key] = value["median"] if isinstance(value, dict) else value
    return found


def _csv(document: Mapping[str, Any]) -> list[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = [key for key, _heading in _COLUMNS]
    writer.writerow(["service", "environment", "since", "until", "completeSince", *keys])
    for one in document["services"]:
        numbers = _numbers(one)
        writer.writerow(
            [
                one["service"],
                one["environment"],
                document["since"],
                document["until"],
                one["completeSince"],
                *("" if numbers[key] is None else numbers[key] for key in keys),
            ]
        )
    return text.getvalue().splitlines()


def _prometheus(document: Mapping[str, Any]) -> list[str]:
    """Return lines of the text format, to be written where node_exporter reads textfiles.

    The format: https://prometheus.io/docs/instrumenting/exposition_formats/. Names of services have
    nothing in them that a label would have to escape.
    """
    lines = []
    for key, _heading in _COLUMNS:
        name = f"gitops_rollback_{_snake(key)}"
        lines += [f"# HELP {name} {_HELP[key]}", f"# TYPE {name} gauge"]
        for one in document["services"]:
            value = _numbers(one)[key]
            if value is not None:
                labels = f'service="{one["service"]}",environment="{one["environment"]}"'
                lines.append(f"{name}{{{labels}}} {value:g}")
    return lines


def _snake(key: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in key)
