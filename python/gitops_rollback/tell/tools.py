"""The results of the smaller commands as text: records, services, fields, jobs, a drill, numbers.

Numbers of deploys and rollbacks as CSV and as a textfile for Prometheus, too.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gitops_rollback.image import label_of
from gitops_rollback.model import some, title
from gitops_rollback.refusals import Place, place_of
from gitops_rollback.tell.view import View, table, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

Document = Mapping[str, Any]
_MOMENTS = ("decide", "commit", "fetched", "applied", "ready")
_MARGIN = " " * 9  # as wide as the longest level, and a blank
_STYLES = {"failed": "red", "warning": "yellow", "error": "red", "ok": "green"}
_MOST_DOUBTS = 10  # of edits without an effect that is proven
_MOST_FOUND = 20  # of services that are only found
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


def records(document: Document, _view: View) -> list[str]:
    """Return where each record was written."""
    lines = []
    for one in document.get("records", ()):
        record = one["record"]
        state = "runs already, recorded as unchanged" if one["unchanged"] else "recorded"
        name = title(record["service"], record["environment"])
        where = one.get("file") or one.get("filed") or "nothing: --record-dir says where to"
        # In Jenkins the file is in a folder that is gone a moment later; the build archives it.
        place = "" if place_of(os.environ) is Place.JENKINS else f" in {where}"
        lines.append(f"{name}: {record['image']} {state}{place}")
    return lines


def record_names(document: Document) -> list[str]:
    """Return the files that were written."""
    return [one["file"] for one in document.get("records", ()) if "file" in one]


def services(document: Document, view: View) -> list[str]:
    """Return the services with their images and where these stand."""
    rows = [("service", "image", "where", "from")]
    for one in document.get("services", ()):
        places = ", ".join(f"{field['path']}:{field['line']}" for field in one["fields"])
        image = one.get("image", "-")
        shown = image if view.is_wide or image == "-" else image.partition("@")[0]
        rows.append((one["service"], shown, places or one.get("problem", ""), one["source"]))
    lines = [*table(rows), *_skipped(document)] if "services" in document else []
    found = [one["service"] for one in document.get("services", ()) if not one.get("inAll", True)]
    if found:
        names = some(found, _MOST_FOUND)
        lines += wrapped(
            f"only found, so left out by --all and the drill: {names} (they take what "
            ".gitops-rollback.toml names or this tool deployed)"
        )
    return lines


def fields(document: Document, _view: View) -> list[str]:
    """Return the image fields of files, and which could not be edited and undone."""
    rows = [
        ("where", "kind", "name", "container", "image"),
        *map(_field, document.get("fields", ())),
    ]
    lines = [*table(rows), *_skipped(document)] if "fields" in document else []
    proof = document.get("proof")
    if proof is None:
        return lines
    failed = proof["failed"]
    lines += [f"not exact: {one['path']}:{one['line']}: {one['problem']}" for one in failed]
    doubts = proof.get("effect", ())
    lines += [f"no effect is proven: {message}" for message in doubts[:_MOST_DOUBTS]]
    if len(doubts) > _MOST_DOUBTS:
        lines.append(f"no effect is proven of {len(doubts) - _MOST_DOUBTS} more (-o json has all)")
    return [*lines, f"proved: {proof['edited']} edited and undone, {len(failed)} not exact"]


def _field(field: Document) -> tuple[str, ...]:
    value = str(field["value"])
    if field.get("problem"):
        value += f"  (not editable: {field['problem']})"
    if field.get("overriddenBy"):
        value += f"  (overridden by {field['overriddenBy']})"
    column = f":{field['column']}" if "column" in field else ""
    place = f"{field['path']}:{field['line']}{column}"
    return (place, str(field["kind"]), str(field["name"]), str(field["container"]), value)


def jobs(document: Document, _view: View) -> list[str]:
    """Return the jobs and what was done to each; in a rehearsal the difference."""
    is_rehearsal = bool(document.get("dryRun"))
    rows = [("job", "kind", "would be" if is_rehearsal else "is")]
    rows += [(one["job"], one["kind"], one["action"]) for one in document.get("jobs", ())]
    diffs = [one["diff"] for one in document.get("jobs", ()) if is_rehearsal and one.get("diff")]
    made = [*diffs, *table(rows)] if "jobs" in document else []
    return [*made, *_needs(document)]


def _needs(document: Document) -> list[str]:
    """Return what the jobs need: what is there in one line, the rest with where it is mended."""
    needs = document.get("needs", ())
    there = [one["name"] for one in needs if one["state"] == "found"]
    lines = wrapped(f"found: {', '.join(there)}") if there else []
    for one in needs:
        if one["state"] == "missing":
            lines += wrapped(f"missing: {one['kind']} {one['name']}: {one['hint']}")
    for one in needs:
        if one["state"] == "unknown":
            lines += wrapped(f"not seen: {one['kind']} {one['name']}: {one['hint']}")
    return lines


def report(document: Document, view: View) -> list[str]:
    """Return where the page is; a step archives it, and links it there: its own folder is gone."""
    is_there = "page" in document and not view.is_in_jenkins
    return [f"report: {document['page']}"] if is_there else []


def rollouts(document: Document, view: View) -> list[str]:
    """Return how far each service came, and when."""
    lines = []
    for one in document.get("rollouts", ()):
        name = title(one["service"], one["environment"])
        cluster = f" in {one['cluster']}" if one.get("cluster") else ""
        told = f": {one['message']}" if one.get("message") else ""
        text = f"{name}: {label_of(one['image'])} {one['state']}{cluster}{told}"
        lines += [view.ink(line, "bold") for line in wrapped(text)]
    times = document.get("seconds", {})
    moments = [f"{name} {times[name]:.1f}" for name in _MOMENTS if name in times]
    return [*lines, f"seconds since the beginning: {', '.join(moments)}"] if moments else lines


def _skipped(document: Document) -> Iterable[str]:
    return [f"skipped: {skip['reason']}" for skip in document.get("skipped", ())]


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


def drill_names(document: Mapping[str, Any]) -> list[str]:
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
