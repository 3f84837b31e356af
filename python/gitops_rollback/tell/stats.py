"""Numbers of deploys and rollbacks as text, CSV, or a textfile for Prometheus."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from gitops_rollback.model import title
from gitops_rollback.tell.view import table, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gitops_rollback.tell.view import View

_APPLIED = "recoveryAppliedSeconds"
# Key in the document, heading of a table, and what it is: for who does not know the words.
_COLUMNS = (
    ("deployments", "deploys", "Deploys in the window."),
    ("deploymentsPerDay", "a day", "Deployment frequency: deploys in the window, by day."),
    ("failedDeployments", "failed", "Deploys whose image was rolled back from, or is marked bad."),
    ("changeFailureRate", "failure rate", "Share of the deploys that failed."),
    ("rollbacks", "rollbacks", "Rollbacks in the window."),
    (
        "recoverySeconds",
        "recovery (median)",
        "Failed deployment recovery time: deploy to rollback, median.",
    ),
    (_APPLIED, "until applied", "From a failed deploy to its rollback applied, median."),
    ("holdSeconds", "hold (median)", "How long rollbacks held, median."),
    ("openHolds", "held now", "Holds in force."),
)


def stats(document: Mapping[str, Any], view: View) -> list[str]:
    """Return the numbers as a table that says of what they are, as CSV, or for Prometheus."""
    if "total" not in document:
        return []
    if view.form == "csv":
        return _csv(document)
    if view.form == "prometheus":
        return _prometheus(document)
    # Of times that nobody gave there is no column.
    shown = [row for row in _COLUMNS if row[0] != _APPLIED or _APPLIED in document["total"]]
    rows = [("service", *(heading for _key, heading, _what in shown))]
    rows += [
        (name, *(_cell(key, one.get(key)) for key, *_ in shown)) for name, one in _named(document)
    ]
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


def _cell(key: str, value: Any) -> str:  # noqa: ANN401 - a number, or what times came to
    if value is None:
        return "-"
    if isinstance(value, dict):
        return _duration(value["median"])
    return f"{value:.0%}" if key == "changeFailureRate" else f"{value:g}"


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _numbers(one: Mapping[str, Any]) -> dict[str, float | None]:
    values = ((key, one.get(key)) for key, *_ in _COLUMNS)
    return {key: value["median"] if isinstance(value, dict) else value for key, value in values}


def _csv(document: Mapping[str, Any]) -> list[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = [key for key, *_ in _COLUMNS]
    writer.writerow(["service", "environment", "since", "until", "completeSince", *keys])
    for one in document["services"]:
        when = (document["since"], document["until"], one["completeSince"])
        writer.writerow([one["service"], one["environment"], *when, *_numbers(one).values()])
    return text.getvalue().splitlines()


def _prometheus(document: Mapping[str, Any]) -> list[str]:
    """Return lines of the text format, to be written where node_exporter reads textfiles.

    The format: https://prometheus.io/docs/instrumenting/exposition_formats/. Names of services have
    nothing in them that a label would have to escape.
    """
    lines = []
    for key, _heading, what in _COLUMNS:
        name = f"gitops_rollback_{_snake(key)}"
        lines += [f"# HELP {name} {what}", f"# TYPE {name} gauge"]
        for one in document["services"]:
            value = _numbers(one)[key]
            if value is not None:
                labels = f'service="{one["service"]}",environment="{one["environment"]}"'
                lines.append(f"{name}{{{labels}}} {value:g}")
    return lines


def _snake(key: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in key)
