"""Flux's own objects: the source that fetches, the Kustomization and HelmRelease that apply. Pure.

Fields as in the specifications of source-controller v1.7, kustomize-controller v1.9 and
helm-controller v1.6 (docs/spec of each). What was learned from real ones stands where it counts.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gitops_rollback.rollout.raw import (
    Condition,
    Json,
    Name,
    conditions_of,
    items,
    mapping,
    name_of,
    number,
    text,
    truth,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# What source-controller appends to a chart's version, where each revision makes a new chart.
_CHART_COMMIT = re.compile(r"\+([0-9a-f]{12})(?:\.\d+)?$")
_COMMIT = re.compile(r"(?:^|[:/])([0-9a-f]{40}(?:[0-9a-f]{24})?)$")
REQUESTED = "reconcile.fluxcd.io/requestedAt"


@dataclass(frozen=True)
class Source:
    """A GitRepository: what it follows, and the commit it has fetched (empty if none)."""

    name: Name
    url: str
    branch: str
    follows_branch: bool
    suspended: bool
    commit: str
    ready: Condition
    handled: str


@dataclass(frozen=True)
class Reconciler:
    """A Kustomization or a HelmRelease; commits are empty where it knows none.

    `attempted` and `applied` are commits. `current` says that it has begun with its present
    generation, `is_told` that `ready` bears that one's number. `checks_health` says that being
    ready includes its workloads. `last` is how the newest attempt ended, which is there even while
    the next one runs; `last_commit` its commit.

    A HelmRelease has instead: `spec` as JSON, and the first 12 digits of the commit of the chart
    that was last tried, where its version tells; `value_files` are those of the repository that it
    takes, `reads_values` says that it takes some from ConfigMaps or Secrets, `remediates` that Helm
    is to undo what fails, `retries` that it is to try again,
    `corrects_drift` that edits by hand are undone.
    """

    name: Name
    source: Name
    path: str
    suspended: bool
    checks_health: bool
    current: bool
    attempted: str
    applied: str
    ready: Condition
    reconciling: Condition
    remediated: Condition
    released: Condition
    handled: str
    timeout: str = ""
    last: str = ""
    last_commit: str = ""
    inventory: tuple[str, ...] = ()
    is_told: bool = False
    spec: str = ""
    chart_commit: str = ""
    value_files: tuple[str, ...] = ()
    reads_values: bool = False
    remediates: bool = False
    retries: bool = False
    corrects_drift: bool = False


def commit_of(revision: str) -> str:
    """Return the commit of a revision: `main@sha1:<hex>`, `sha1:<hex>`, formerly `main/<hex>`."""
    found = _COMMIT.search(revision)
    return found.group(1) if found else ""


def read_source(found: Json) -> Source:
    """Read a GitRepository."""
    ref = mapping(found, "spec", "ref")
    full = text(ref, "name")
    pinned = any(text(ref, key) for key in ("tag", "semver", "commit"))
    branch = full.removeprefix("refs/heads/") if full else text(ref, "branch")
    is_other = full.startswith("refs/") and not full.startswith("refs/heads/")
    return Source(
        name=name_of(found, "GitRepository"),
        url=text(found, "spec", "url"),
        # Without a ref, source-controller follows `master`.
        branch=branch or "master",
        follows_branch=not pinned and not is_other,
        suspended=truth(found, "spec", "suspend"),
        commit=commit_of(text(found, "status", "artifact", "revision")),
        ready=conditions_of(found).get("Ready", Condition()),
        handled=text(found, "status", "lastHandledReconcileAt"),
    )


def read_reconciler(found: Json, kind: str) -> Reconciler:
    """Read a Kustomization or a HelmRelease."""
    conditions = conditions_of(found)
    spec, status = mapping(found, "spec"), mapping(found, "status")
    newest = (items(status, "history") or [{}])[0]
    helm = kind == "HelmRelease"
    ready = conditions.get("Ready", Condition())
    generation = number(found, "metadata", "generation")
    return Reconciler(
        name=name_of(found, kind),
        source=_source_of(found, helm=helm),
        path=_path(text(spec, "chart", "spec", "chart") if helm else text(spec, "path")),
        suspended=truth(spec, "suspend"),
        checks_health=_checks_health(spec, helm=helm),
        # helm-controller observes a generation only when it is done with it, for good or bad; its
        # conditions bear the newest one, even where the attempt was of the one before.
        current=max(number(status, "observedGeneration"), number(status, "lastAttemptedGeneration"))
        >= generation,
        is_told=ready.generation >= generation,
        attempted=commit_of(text(status, "lastAttemptedRevision")),
        applied=commit_of(text(status, "lastAppliedRevision")),
        ready=ready,
        reconciling=conditions.get("Reconciling", Condition()),
        remediated=conditions.get("Remediated", Condition()),
        released=conditions.get("Released", Condition()),
        handled=text(status, "lastHandledReconcileAt"),
        timeout=text(spec, "timeout"),
        last=text(newest, "lastReconciledStatus"),
        last_commit=commit_of(text(newest, "metadata", "revision")),
        inventory=tuple(text(one, "id") for one in items(status, "inventory", "entries")),
        **(_of_release(spec, status, conditions) if helm else {}),
    )


def _of_release(spec: Json, status: Json, conditions: Mapping[str, Condition]) -> dict[str, Any]:
    """Return what only a HelmRelease has."""
    chart = _CHART_COMMIT.search(text(status, "lastAttemptedRevision"))
    files = mapping(spec, "chart", "spec").get("valuesFiles")
    remediation = mapping(spec, "upgrade", "remediation")
    retries = number(remediation, "retries") != 0
    again = retries or text(spec, "upgrade", "strategy", "name") == "RetryOnFailure"
    return {
        "spec": json.dumps(spec),
        "chart_commit": chart.group(1) if chart else "",
        "value_files": tuple(_path(f"{one}") for one in files or ()),
        "reads_values": bool(items(spec, "valuesFrom")),
        "remediates": retries or truth(remediation, "remediateLastFailure"),
        "corrects_drift": text(spec, "driftDetection", "mode") == "enabled",
        "retries": again and conditions.get("Stalled", Condition()).status != "True",
    }


def _checks_health(spec: Json, *, helm: bool) -> bool:
    """Tell whether readiness includes that of the workloads."""
    if helm:
        skipped = truth(spec, "upgrade", "disableWait") or truth(spec, "install", "disableWait")
        return not skipped
    return truth(spec, "wait") or bool(items(spec, "healthChecks"))


def _source_of(found: Json, *, helm: bool) -> Name:
    keys = ("spec", "chart", "spec", "sourceRef") if helm else ("spec", "sourceRef")
    reference = mapping(found, *keys)
    own = text(found, "metadata", "namespace")
    return Name(
        text(reference, "kind"), text(reference, "namespace") or own, text(reference, "name")
    )


def _path(path: str) -> str:
    """Return a path as the repository's own files are named: without `./` and slashes around."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/".join(parts)
