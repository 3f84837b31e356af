"""The objects of one cluster as they come in, and what they show of a target. Pure.

A listing replaces all that its query has brought so far; a single change replaces one object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gitops_rollback.rollout.owners import own_sources, owners, releases_of
from gitops_rollback.rollout.pods import Pod, read_pod
from gitops_rollback.rollout.raw import Json, name_of
from gitops_rollback.rollout.reconcilers import Reconciler, Source, read_reconciler, read_source
from gitops_rollback.rollout.standing import View
from gitops_rollback.rollout.workloads import KINDS, Workload, read_workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.rollout.raw import Name
    from gitops_rollback.rollout.target import Relation, Target


@dataclass(frozen=True)
class Query:
    """Objects of one kind to list and watch, in a namespace (everywhere if empty).

    `instead` names the namespaces to ask one by one where an account may not ask for all.
    """

    kind: str
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    name: str = ""
    instead: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Change:
    """What a query brought: all of it (`whole`), or one object that is new, changed or gone.

    `denied` says that the account may not read it; nothing more will come then.
    """

    query: Query
    objects: tuple[Json, ...] = ()
    whole: bool = False
    deleted: bool = False
    denied: bool = False


class Objects:
    """What is known of one cluster; `url` is the manifests repository's."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._found: dict[Name, tuple[Query, Json]] = {}
        self._denied: set[str] = set()
        self._answered: set[Query] = set()

    def take(self, change: Change) -> None:
        """Take a change in."""
        kind = change.query.kind
        if change.denied:
            self._denied.add(kind)
        if change.whole:
            self._answered.add(change.query)
            gone = [name for name, (query, _) in self._found.items() if query == change.query]
            for name in gone:
                del self._found[name]
        for one in change.objects:
            name = name_of({**one, "kind": kind})
            if change.deleted:
                self._found.pop(name, None)
            else:
                self._found[name] = (change.query, one)

    def sources(self) -> list[Source]:
        """Return the GitRepositories."""
        return [read_source(one) for one in self._of("GitRepository")]

    def own_sources(self, branch: str) -> list[Source]:
        """Return the GitRepositories that follow a branch of the manifests repository."""
        return own_sources(self.sources(), self._url, branch)

    def owners(self, target: Target) -> list[Reconciler]:
        """Return the Kustomizations that apply a target's files."""
        found = [read_reconciler(one, "Kustomization") for one in self._of("Kustomization")]
        return owners(target, self.own_sources(target.branch), found)

    def releases(self, target: Target) -> list[Reconciler]:
        """Return the HelmReleases that run a target."""
        found = [read_reconciler(one, "HelmRelease") for one in self._of("HelmRelease")]
        return releases_of(target, self.own_sources(target.branch), self.owners(target), found)

    def workloads(self, target: Target) -> list[Workload] | None:
        """Return the workloads that run a target's image repository; None if they are hidden.

        Where objects of the names that the manifests give are there, only those count: another
        service may run the same image.
        """
        if self._denied.issuperset(KINDS):
            return None
        found = [read_workload(one, kind) for kind in KINDS for one in self._of(kind)]
        own = [one for one in found if one.images_of(target)]
        wanted = {(place.kind, place.name) for place in target.places}
        named = [one for one in own if (one.name.kind, one.name.name) in wanted]
        return named or own

    def view(
        self,
        target: Target,
        relations: Mapping[str, Relation],
        token: str = "",
        *,
        nudged: bool = False,
    ) -> View | None:
        """Return what is shown of a target; None where nothing here applies it."""
        appliers, releases = self.owners(target), self.releases(target)
        wanted = {one.source for one in (*appliers, *releases)}
        own = [one for one in self.own_sources(target.branch) if one.name in wanted]
        if not own:
            return None
        workloads = self.workloads(target)
        return View(
            source=own[0],
            kustomizations=tuple(appliers),
            releases=tuple(releases),
            workloads=None if workloads is None else tuple(workloads),
            pods=self._pods(),
            listed=self._is_listed(target),
            relations=relations,
            token=token,
            nudged=nudged,
        )

    def queries(self, target: Target) -> list[Query]:
        """Return what has to be watched for a target, as far as that is known by now."""
        appliers, releases = self.owners(target), self.releases(target)
        sources = {one.source for one in (*appliers, *releases)}
        wanted = [
            Query("GitRepository", one.name.namespace, name=one.name.name)
            for one in self.own_sources(target.branch)
            if one.name in sources
        ]
        for one in (*appliers, *releases):
            wanted.append(Query(one.name.kind, one.name.namespace, name=one.name.name))
            wanted += [Query(kind, labels=_labels(one), instead=_namespaces(one)) for kind in KINDS]
        for workload in self.workloads(target) or ():
            if workload.selector:
                wanted.append(Query("Pod", workload.name.namespace, workload.selector))
        return list(dict.fromkeys(wanted))

    def _is_listed(self, target: Target) -> bool:
        """Tell whether the workloads and pods of a target have all been listed once."""
        return all(
            query in self._answered or query.kind in self._denied
            for query in self.queries(target)
            if query.kind == "Pod" or query.kind in KINDS
        )

    def _pods(self) -> tuple[Pod, ...] | None:
        if "Pod" in self._denied:
            return None
        return tuple(read_pod(one) for one in self._of("Pod"))

    def _of(self, kind: str) -> list[Json]:
        return [one for name, (_, one) in self._found.items() if name.kind == kind]


def _labels(one: Reconciler) -> tuple[tuple[str, str], ...]:
    """Return the labels that Flux gives to what it applies, by which its workloads are found."""
    group = "helm" if one.name.kind == "HelmRelease" else "kustomize"
    prefix = f"{group}.toolkit.fluxcd.io"
    return ((f"{prefix}/name", one.name.name), (f"{prefix}/namespace", one.name.namespace))


def _namespaces(one: Reconciler) -> tuple[str, ...]:
    found = (entry.partition("_")[0] for entry in one.inventory)
    return tuple(dict.fromkeys([*(name for name in found if name), one.name.namespace]))
