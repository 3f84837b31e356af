"""Flux's own objects: the source that fetches, the Kustomization and HelmRelease that apply. Pure.

Which of them are a service's is told by URL, branch, path and inventory: nothing is configured for
it. Fields as in the specifications of source-controller v1.7, kustomize-controller v1.9 and
helm-controller v1.6 (docs/spec of each). What was learned from real ones stands where it counts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass, regex, replace
from gitops_rollback.manifest.flux import LEAVES_ALONE
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
    texts,
    truth,
)
from gitops_rollback.rollout.target import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gitops_rollback.rollout.target import Place

# What source-controller appends to a chart's version, where each revision makes a new chart.
_CHART_COMMIT = regex(r"\+([0-9a-f]{12})(?:\.\d+)?$")
_COMMIT = regex(r"(?:^|[:/])([0-9a-f]{40}(?:[0-9a-f]{24})?)$")
# A JSON pointer to the containers of a workload, into them, or to what holds them.
_OF_CONTAINERS = regex(
    r"/spec(/jobTemplate(/spec)?)?(/template(/spec(/(initC|c)ontainers.*)?)?)?/?$"
)
REQUESTED = "reconcile.fluxcd.io/requestedAt"
NOT_YET = "DependencyNotReady"


@dataclass(frozen=True)
class Source:
    """A GitRepository: what it follows, and the commit it has fetched (empty if none).

    `branch` is empty where it follows none; `follows` says in words what it does. `includes` are
    the names of other GitRepositories of its namespace whose files it has beside its own.
    `is_leaving` says that it is being deleted, and still there.
    """

    name: Name
    url: str
    branch: str
    follows: str
    suspended: bool
    commit: str
    ready: Condition
    handled: str
    includes: tuple[str, ...] = ()
    is_leaving: bool = False


@dataclass(frozen=True)
class Setting:
    """One part of a live Kustomization's spec that changes what its manifests say.

    `image` is the image's name, `kind` the kind of the objects that it is about; empty for any.
    `is_whole` says that it is about an object as a whole: whether it is there, and its name;
    `is_alone` that Flux leaves what it applies as it is.
    """

    text: str
    image: str = ""
    kind: str = ""
    is_whole: bool = False
    is_alone: bool = False


@dataclass(frozen=True)
class Reconciler:
    """A Kustomization or a HelmRelease; commits are empty where it knows none.

    `attempted` and `applied` are commits. `current` says that it has begun with its present
    generation, `is_told` that `ready` bears that one's number. `checks_health` says that being
    ready includes its workloads.

    A HelmRelease has instead: the scalars of its `spec` as texts, and the first 12 digits of the
    commit of the chart that was last tried, where its version tells; `value_files` are those of the
    repository that it takes, `reads_values` says that it takes some from ConfigMaps or Secrets,
    `remediates` that Helm is to undo what fails, `retries` that it is to try again,
    `corrects_drift` that edits by hand are undone.

    Of a Kustomization, `inventory` is what it has applied, and `sets` what of its own spec can make
    something else of a manifest than Git's files say: one text each. `takes` are kind and name of
    the ConfigMaps and Secrets that it substitutes from. `space` is the namespace that it gives to
    all of them, `prefix` and `suffix` what it puts to their names. `remote` says that it applies to
    another cluster than the one it is in. `needs` are those that have to be ready before it, as
    Flux sees it: where an expression of its own decides (`readyExpr`), nothing is known here;
    `held_by` says what keeps one of them from that, and `is_stuck` that this lasts (`held_up`).
    `is_leaving` says that it is being deleted, and still there.
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
    inventory: frozenset[Name] = frozenset()
    sets: tuple[Setting, ...] = ()
    takes: frozenset[tuple[str, str]] = frozenset()
    space: str = ""
    prefix: str = ""
    suffix: str = ""
    remote: bool = False
    needs: tuple[Name, ...] = ()
    held_by: str = ""
    is_stuck: bool = False
    is_leaving: bool = False
    is_told: bool = False
    spec: tuple[str, ...] = ()
    chart_commit: str = ""
    value_files: tuple[str, ...] = ()
    reads_values: bool = False
    remediates: bool = False
    retries: bool = False
    corrects_drift: bool = False

    def called(self, place: Place) -> frozenset[Name]:
        """Return what a Kustomization has applied that is called as a place is."""
        return frozenset(
            one
            for one in self.inventory
            if one.kind == place.kind and place.is_named(one.name, self.prefix, self.suffix)
        )


def commit_of(revision: str) -> str:
    """Return the commit of a revision: `main@sha1:<hex>`, `sha1:<hex>`, formerly `main/<hex>`."""
    found = _COMMIT.search(revision)
    return found.group(1) if found else ""


def read_source(found: Json) -> Source:
    """Read a GitRepository."""
    branch, follows = _followed(mapping(found, "spec", "ref"))
    return Source(
        name=name_of(found, "GitRepository"),
        url=text(found, "spec", "url"),
        branch=branch,
        follows=follows,
        suspended=truth(found, "spec", "suspend"),
        commit=commit_of(text(found, "status", "artifact", "revision")),
        ready=conditions_of(found).get("Ready", Condition()),
        handled=text(found, "status", "lastHandledReconcileAt"),
        includes=tuple(text(one, "repository", "name") for one in items(found, "spec", "include")),
        is_leaving=bool(text(found, "metadata", "deletionTimestamp")),
    )


def _followed(ref: Json) -> tuple[str, str]:
    """Return the branch that a reference follows, empty if none, and what it follows in words.

    As source-controller reads it: the commit counts before the name, then semver, tag and branch;
    without any it is `master` (docs/spec/v1/gitrepositories.md, "Reference").
    """
    for key in ("commit", "name", "semver", "tag"):
        value = text(ref, key)
        if not value:
            continue
        branch = value.removeprefix("refs/heads/") if key == "name" else ""
        if branch != value and branch:
            return branch, f"branch {branch}"
        return "", f"{'ref' if key == 'name' else key} {value}"
    branch = text(ref, "branch") or "master"
    return branch, f"branch {branch}"


def read_reconciler(found: Json, kind: str) -> Reconciler:
    """Read a Kustomization or a HelmRelease."""
    conditions = conditions_of(found)
    spec, status = mapping(found, "spec"), mapping(found, "status")
    helm = kind == "HelmRelease"
    reconciling = conditions.get("Reconciling", Condition())
    ready = conditions.get("Ready", Condition())
    ready = ready if helm else _not_before(ready, reconciling)
    generation = number(found, "metadata", "generation")
    own = text(found, "metadata", "namespace")
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
        reconciling=reconciling,
        remediated=conditions.get("Remediated", Condition()),
        released=conditions.get("Released", Condition()),
        handled=text(status, "lastHandledReconcileAt"),
        timeout=text(spec, "timeout") or text(spec, "interval"),
        inventory=frozenset(
            name
            for one in items(status, "inventory", "entries")
            if (name := _inventoried(text(one, "id")))
        ),
        remote="kubeConfig" in spec,
        needs=tuple(
            Name(kind, text(one, "namespace") or own, text(one, "name"))
            for one in items(spec, "dependsOn")
            if not text(one, "readyExpr")
        ),
        is_leaving=bool(text(found, "metadata", "deletionTimestamp")),
        **(_of_release(spec, status, conditions) if helm else _of_kustomization(spec)),
    )


def _not_before(ready: Condition, reconciling: Condition) -> Condition:
    """Return whether a Kustomization is ready as far as that is of what it is at.

    It says first that this is not known. Where its cache was behind, that changes nothing for it,
    and the end of what it did before stands beside the revision it is at, till it is done with that
    (seen with kustomize-controller v1.9: a failed health check of the image before).
    """
    if reconciling.status != "True" or reconciling.reason != "Progressing":
        return ready
    return replace(ready, status="Unknown", reason=reconciling.reason, message="")


def _inventoried(entry: str) -> Name | None:
    """Return the object of an inventory's entry: `<namespace>_<name>_<group>_<kind>`.

    A colon in a name is written as two underscores (fluxcd/cli-utils:pkg/object/objmetadata.go).
    What another operator calls as Kubernetes calls its workloads is of another kind.
    """
    namespace, _, rest = entry.partition("_")
    named, _, kind = rest.rpartition("_")
    name, _, group = named.rpartition("_")
    if kind in KINDS and group != KINDS[kind][0]:
        kind = f"{kind}.{group}"
    return Name(kind, namespace, name.replace("__", ":")) if kind and name else None


def _of_kustomization(spec: Json) -> dict[str, Any]:
    """Return what only a Kustomization has."""
    sources = items(spec, "postBuild", "substituteFrom")
    return {
        "sets": tuple(_settings_in(spec, sources)),
        "space": text(spec, "targetNamespace"),
        "prefix": text(spec, "namePrefix"),
        "suffix": text(spec, "nameSuffix"),
        "takes": frozenset((text(one, "kind"), text(one, "name")) for one in sources),
    }


def _settings_in(spec: Json, sources: Iterable[Json]) -> Iterator[Setting]:
    """Yield what in a Kustomization's spec can make something else of a manifest."""
    for one in items(spec, "images"):
        name = text(one, "name")
        yield Setting(f"spec.images makes {_image_text(one)} of {name}", image=name)
    for one in items(spec, "patches"):
        yield from _patched(one)
    for one in items(spec, "ignore"):
        kind, what = _aimed_at(one)
        paths = ", ".join(path for path in texts(one, "paths") if _OF_CONTAINERS.match(path))
        if paths:
            yield Setting(f"spec.ignore leaves {paths} of {what}", kind=kind)
    components = ", ".join(texts(spec, "components"))
    if components:
        yield Setting(f"spec.components has {components}")
    if mapping(spec, "postBuild"):
        named = [f"{text(one, 'kind')} {text(one, 'name')}" for one in sources]
        own = [*mapping(spec, "postBuild", "substitute"), *named]
        yield Setting(f"spec.postBuild substitutes {', '.join(own)}")
    for where in ("annotations", "labels"):
        for key, value in mapping(spec, "commonMetadata", where).items():
            if f"{value}".lower() in LEAVES_ALONE.get(key, ()):
                yield Setting(f"spec.commonMetadata gives all {key}: {value}", is_alone=True)


def _patched(patch: Json) -> Iterator[Setting]:
    kind, what = _aimed_at(patch)
    if re.search(r"\bimage\b|\bcontainers\b", text(patch, "patch")):
        yield Setting(f"spec.patches changes {what}", kind=kind)
    elif re.search(r"\$patch: *[\"']?delete|/metadata/name", text(patch, "patch")):
        yield Setting(f"spec.patches changes {what}", kind=kind, is_whole=True)


def _aimed_at(rule: Json) -> tuple[str, str]:
    """Return the kind of the objects that a rule is about, empty for any, and these in words."""
    kind, name = text(rule, "target", "kind"), text(rule, "target", "name")
    return kind, " ".join(part for part in (kind, name) if part) or "what it applies"


def _image_text(entry: Json) -> str:
    """Return what an entry of `images` makes of an image, as people write it."""
    name = text(entry, "newName") or text(entry, "name")
    tag, digest = text(entry, "newTag"), text(entry, "digest")
    return name + (f":{tag}" if tag else "") + (f"@{digest[:19]}…" if digest else "")


def _of_release(spec: Json, status: Json, conditions: Mapping[str, Condition]) -> dict[str, Any]:
    """Return what only a HelmRelease has."""
    chart = _CHART_COMMIT.search(text(status, "lastAttemptedRevision"))
    files = mapping(spec, "chart", "spec").get("valuesFiles")
    remediation = mapping(spec, "upgrade", "remediation")
    retries = number(remediation, "retries") != 0
    again = retries or text(spec, "upgrade", "strategy", "name") == "RetryOnFailure"
    return {
        "spec": tuple(_scalars(spec)),
        "chart_commit": chart.group(1) if chart else "",
        "value_files": tuple(_path(f"{one}") for one in files or ()),
        "reads_values": bool(items(spec, "valuesFrom")),
        "remediates": retries or truth(remediation, "remediateLastFailure"),
        "corrects_drift": text(spec, "driftDetection", "mode") == "enabled",
        "retries": again and conditions.get("Stalled", Condition()).status != "True",
    }


def _scalars(value: object) -> Iterator[str]:
    """Yield the texts and numbers of a JSON value, as texts."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _scalars(one)
    elif value is not None:
        yield f"{value}"


def _checks_health(spec: Json, *, helm: bool) -> bool:
    """Tell whether readiness includes that of the workloads."""
    if helm:
        skipped = truth(spec, "upgrade", "disableWait") or truth(spec, "install", "disableWait")
        return not skipped
    return truth(spec, "wait") or bool(items(spec, "healthChecks"))


def made_of(release: Reconciler, charts: Mapping[Name, Json]) -> Reconciler:
    """Return a HelmRelease with what the HelmChart says that it names as its chart, if it does."""
    chart = charts.get(release.source)
    if chart is None:
        return release
    return replace(
        release,
        source=_source_of(chart, helm=False),
        path=_path(text(chart, "spec", "chart")),
        value_files=tuple(_path(one) for one in texts(mapping(chart, "spec"), "valuesFiles")),
    )


def _source_of(found: Json, *, helm: bool) -> Name:
    """Return what an object is made from; of a HelmRelease that is its `chartRef` if it has one."""
    keys = ("spec", "chart", "spec", "sourceRef") if helm else ("spec", "sourceRef")
    reference = mapping(found, "spec", "chartRef") or mapping(found, *keys)
    own = text(found, "metadata", "namespace")
    return Name(
        text(reference, "kind"), text(reference, "namespace") or own, text(reference, "name")
    )


def _path(path: str) -> str:
    """Return a path as the repository's own files are named: without `./` and slashes around."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return "/".join(parts)


# Which of them are a service's


def held_up(one: Reconciler, others: Mapping[Name, Reconciler]) -> Reconciler:
    """Return one that waits for another with why that is not ready, and whether it never will be.

    Followed from one to the next. Those in a circle wait for ever: Flux looks for none, and says of
    each that another is not ready. So does who waits for a suspended one of the same source, which
    has to have applied the same revision.
    """
    path, now = [one.name], one
    while now.ready.reason == NOT_YET:
        name = next((name for name in now.needs if not _serves(others.get(name), now)), None)
        if name is None:
            return one
        if name in path:
            circle = " waits for ".join(str(each) for each in (*path[path.index(name) :], name))
            return replace(one, held_by=f"{circle}, for ever", is_stuck=True)
        found = others.get(name)
        if found is None:
            return replace(one, held_by=f"{name} is not there")
        if found.suspended:
            return replace(one, held_by=f"{name} is suspended", is_stuck=True)
        path, now = [*path, name], found
    said = f"{now.name}: {now.ready.reason}: {now.ready.message}" if now is not one else ""
    return replace(one, held_by=said)


def _serves(needed: Reconciler | None, by: Reconciler) -> bool:
    """Tell whether what something depends on lets it go on, as far as its status shows."""
    if needed is None or needed.ready.status != "True" or not needed.current:
        return False
    return not needed.suspended or needed.source != by.source


def is_above(folder: str, path: str) -> bool:
    """Tell whether a file stands below a folder; everything does below the empty one."""
    return not folder or path.startswith(f"{folder}/")


def is_made_of(release: Reconciler, path: str) -> bool:
    """Tell whether a file is in the chart of a release, or one of its values files."""
    return path in release.value_files or (bool(release.path) and is_above(release.path, path))
