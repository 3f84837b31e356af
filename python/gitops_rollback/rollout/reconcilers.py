"""Flux's own objects: the source that fetches, the Kustomization and HelmRelease that apply. Pure.

Fields as in the specifications of source-controller v1.7, kustomize-controller v1.9 and
helm-controller v1.4 (docs/spec of each). What was learned from real ones stands where it counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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

    `attempted` and `applied` are commits. `current` says that its conditions are of its present
    generation. `checks_health` says that being ready includes its workloads. `last` is how the
    newest attempt ended, which is there even while the next one runs; `last_commit` its commit.
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
    generation = number(found, "metadata", "generation")
    return Reconciler(
        name=name_of(found, kind),
        source=_source_of(found, helm=helm),
        path=_path(text(spec, "chart", "spec", "chart") if helm else text(spec, "path")),
        suspended=truth(spec, "suspend"),
        checks_health=_checks_health(spec, helm=helm),
        current=number(status, "observedGeneration") >= generation,
        attempted=commit_of(text(status, "lastAttemptedRevision")),
        applied=commit_of(text(status, "lastAppliedRevision")),
        ready=conditions.get("Ready", Condition()),
        reconciling=conditions.get("Reconciling", Condition()),
        remediated=conditions.get("Remediated", Condition()),
        released=conditions.get("Released", Condition()),
        handled=text(status, "lastHandledReconcileAt"),
        timeout=text(spec, "timeout"),
        last=text(newest, "lastReconciledStatus"),
        last_commit=commit_of(text(newest, "metadata", "revision")),
        inventory=tuple(text(one, "id") for one in items(status, "inventory", "entries")),
    )


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
