"""The objects of one cluster as they come in, and what they show of a target. Pure.

A listing replaces all that its query has brought so far; a single change replaces one object.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.model import repository_key
from gitops_rollback.rollout.appliers import (
    NOT_YET,
    Reconciler,
    Source,
    held_up,
    is_above,
    is_made_of,
    made_of,
    read_reconciler,
    read_source,
)
from gitops_rollback.rollout.raw import Json, Name, mapping, name_of
from gitops_rollback.rollout.standing import View
from gitops_rollback.rollout.target import BARE, KINDS, THERE
from gitops_rollback.rollout.workloads import Pod, Workload, read_pod, read_workload, selector_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gitops_rollback.rollout.target import Place, Relation, Target


T = TypeVar("T")
_APPLIERS = ("Kustomization", "HelmRelease")


@dataclass(frozen=True)
class Query:
    """Objects of one kind to list and watch, in a namespace (everywhere if empty).

    `labels` is a selector as the API server takes it. `instead` names the namespaces to ask one by
    one where an account may not ask for all.
    """

    kind: str
    namespace: str = ""
    labels: str = ""
    name: str = ""
    instead: tuple[str, ...] = field(default=(), compare=False)

    def within(self, namespace: str) -> Query:
        """Return the same in one namespace only."""
        return replace(self, namespace=namespace, instead=())

    @property
    def selectors(self) -> dict[str, str]:
        """By what the API server is to choose."""
        found = {
            "labelSelector": self.labels,
            "fieldSelector": self.name and f"metadata.name={self.name}",
        }
        return {key: value for key, value in found.items() if value}


@dataclass(frozen=True)
class Change:
    """What a query brought: all of it (`whole`), or one object that is new, changed or gone.

    `denied` says that the account may not read it; nothing more will come then. `left_out` are
    namespaces that it may not read, where it may read others. `silence` is no change of an object:
    it says why the cluster does not answer, or, empty, that it does again.
    """

    query: Query
    objects: tuple[Json, ...] = ()
    whole: bool = False
    deleted: bool = False
    denied: bool = False
    left_out: tuple[str, ...] = ()
    silence: str | None = None


class Objects:
    """What is known of one cluster; `url` is the manifests repository's.

    `elsewhere` are the files that are followed in other clusters: what is made of them is not
    looked for here, unless it is applied here too.
    """

    def __init__(self, url: str) -> None:
        self.elsewhere: frozenset[str] = frozenset()
        self._url = url
        self._found: dict[Name, tuple[Query, Json]] = {}
        self._denied: set[str] = set()  # kinds that may not be read
        self._left_out: set[tuple[str, str]] = set()  # kind and namespace, where others may be
        self._answered: set[Query] = set()
        self._read: dict[Name, Any] = {}  # what was read of objects, until they change
        self._told: dict[object, Any] = {}  # what was found out of all, until one changes

    def take(self, change: Change) -> None:
        """Take a change in."""
        self._told.clear()
        kind = change.query.kind
        if change.denied:
            self._denied.add(kind)
        self._left_out.update((kind, namespace) for namespace in change.left_out)
        if change.whole:
            self._answered.add(change.query)
            gone = [name for name, (query, _) in self._found.items() if query == change.query]
            for name in gone:
                del self._found[name]
                self._read.pop(name, None)
        for one in change.objects:
            name = name_of({**one, "kind": kind})
            self._read.pop(name, None)
            if change.deleted:
                self._found.pop(name, None)
            else:
                self._found[name] = (change.query, one)

    def sources(self) -> list[Source]:
        """Return the GitRepositories."""
        return self._each("GitRepository", read_source)

    def repositories(self, branch: str = "") -> list[Source]:
        """Return the GitRepositories of the manifests repository, or those that follow a branch."""
        key = repository_key(self._url)
        own = self._once("repositories", lambda: [
            one for one in self.sources() if repository_key(one.url) == key
        ])  # fmt: skip
        return [one for one in own if branch in ("", one.branch)]

    def kustomizations(self) -> list[Reconciler]:
        """Return the Kustomizations."""
        return self._each("Kustomization", partial(read_reconciler, kind="Kustomization"))

    def other_ways(self, target: Target) -> list[str]:
        """Say of sources by which a target's files may be applied, and that cannot be followed.

        Repositories that include this one, Kustomizations that apply from no GitRepository, and
        those that apply the files from one of this repository that follows something else.
        """
        own = {one.name for one in self.repositories(target.branch)}
        spaces = {one.namespace for one in own}
        unseen = "which commit that has is not to be seen"
        found = [
            f"{source.name} includes {name}: {unseen}"
            for source in self.sources()
            for name in source.includes
            if replace(source.name, name=name) in own
        ]
        follows = {one.name: one.follows for one in self.repositories()}
        for one in self.kustomizations():
            if one.source.kind != "GitRepository" and one.source.namespace in spaces:
                found.append(f"{one.name} applies from {one.source}: {unseen}")
            elif one.source in set(follows) - own and any(
                is_above(one.path, place.applied) for place in target.places
            ):
                follow = f"follows {follows[one.source]}, not the branch {target.branch}"
                found.append(f"{one.name} applies it from {one.source}, which {follow}")
        return found

    def owners(self, target: Target) -> list[Reconciler]:
        """Return the Kustomizations that apply a target's files, by the path that they apply.

        An inventory that has an object of that name shows nothing: another environment's may. With
        them come those that substitute from the ConfigMaps and Secrets in which the image stands.
        """
        return self._once(("owners", *_key(target)), lambda: self._owners(target))

    def _owners(self, target: Target) -> list[Reconciler]:
        found: dict[Name, Reconciler] = {}
        for place in (*target.places, *target.lands):
            chosen = self._appliers_of(place, target)
            key = (place.kind, place.name)
            takers = [one for one in self._own(target) if chosen and key in one.takes]
            found.update({one.name: one for one in (*chosen, *takers)})
        return list(found.values())

    def _own(self, target: Target) -> list[Reconciler]:
        """Return the Kustomizations that apply from a target's repository and branch."""
        names = {one.name for one in self.repositories(target.branch)}
        return self._once(("own", target.branch), lambda: [
            one for one in self.kustomizations() if one.source in names
        ])  # fmt: skip

    def _appliers_of(self, place: Place, target: Target) -> list[Reconciler]:
        """Return the Kustomizations that apply a place.

        Those with the longest path above its file, or above the overlay that takes it; two may
        apply the same path, to two namespaces.
        """
        above = [one for one in self._own(target) if is_above(one.path, place.applied)]
        longest = max((len(one.path) for one in above), default=0)
        return [one for one in above if len(one.path) == longest]

    def releases(self, target: Target) -> list[Reconciler]:
        """Return the HelmReleases that run a target.

        Named by a field, and applied by one of its Kustomizations; else with their chart or values
        file in the repository; else, where values reach them through a ConfigMap, those that its
        Kustomizations apply, of the service's name if there are several.
        """
        return self._once(("releases", *_key(target)), lambda: self._releases_of(target))

    def _releases_of(self, target: Target) -> list[Reconciler]:
        charts = {name_of(one, "HelmChart"): one for one in self._of("HelmChart")}
        names = {one.name for one in self.repositories(target.branch)}
        owners = self.owners(target)
        applied = frozenset[Name]().union(*(by.inventory for by in owners))
        named = {name for place in target.of_releases for by in owners for name in by.called(place)}
        found, others = [], []
        for one in (made_of(release, charts) for release in self._releases()):
            from_chart = one.source in names and any(is_made_of(one, p) for p in target.paths)
            if one.name in named or from_chart:
                found.append(one)
            elif one.reads_values and one.name in applied:
                others.append(one)
        if found or not target.is_by_values:
            return found
        own = [one for one in others if one.name.name == target.service]
        return own or (others if len(others) == 1 else [])

    def names_charts(self) -> bool:
        """Tell whether a HelmRelease names a HelmChart, which tells what it is made of."""
        return any(one.source.kind == "HelmChart" for one in self._releases())

    def _releases(self) -> list[Reconciler]:
        return self._each("HelmRelease", partial(read_reconciler, kind="HelmRelease"))

    def applied(self, target: Target) -> frozenset[str]:
        """Return the files of a target that something here applies."""
        found = (*target.places, *target.lands)
        return frozenset(one.applied for one in found if self._appliers_of(one, target))

    def workloads(self, target: Target) -> tuple[list[Workload], tuple[str, ...]] | None:
        """Return a target's workloads, and those that Git holds and that are not here.

        They are in the inventory of each Kustomization that applies them, or a HelmRelease has made
        them: another object of the same name shows nothing. Those that Git names count; where the
        image stands elsewhere too (values, ConfigMaps, kinds of others) those that run the
        service's image repository. None where they may not be read.
        """
        wanted = target.workloads
        if self._denied.intersection(kind for kind, _name in wanted) or (
            not wanted and self._denied.issuperset(KINDS)
        ):
            return None
        applied = self._applied(target)
        hidden = {(one.kind, one.name) for one in self._hidden(target)}
        found: list[Workload] = []
        missing: list[str] = []
        for place, by in self._held(target):
            own = _of_place(applied, place, by, target)
            found += own
            if not own and (place.kind, place.name) not in hidden and not _is_foreign(place, by):
                of_which = f" (of {by.name})" if by and len(self.owners(target)) > 1 else ""
                missing.append(place.title + of_which)
        if not target.is_by_workloads:
            found += [one for one in applied if one.of(target)]
        missing += self._lost_releases(target)
        if hidden and not found and not missing:
            return None
        return list({one.name: one for one in found}.values()), tuple(dict.fromkeys(missing))

    def _lost_releases(self, target: Target) -> list[str]:
        """Return the HelmReleases that Git holds and that what applies them has not applied."""
        found = []
        for place in target.of_releases:
            appliers = self._appliers_of(place, target)
            if appliers and not any(by.called(place) for by in appliers):
                found.append(place.title)
        return found

    def _held(self, target: Target) -> list[tuple[Place, Reconciler | None]]:
        """Return each workload that Git holds with each Kustomization that applies it.

        Of a file that several overlays take, those that nothing here applies are left out, as long
        as one is: `_unseen` tells them. So are those that are followed in another cluster.
        """
        by = [
            (place, appliers)
            for place in target.held
            if (appliers := self._appliers_of(place, target)) or not self._is_elsewhere(place)
        ]
        applied = {place.path for place, appliers in by if appliers}
        found: list[tuple[Place, Reconciler | None]] = []
        for place, appliers in by:
            found += [(place, one) for one in appliers]
            if not appliers and place.path not in applied:
                found.append((place, None))
        return found

    def _is_elsewhere(self, place: Place) -> bool:
        return place.applied in self.elsewhere

    def _unseen(self, target: Target) -> tuple[str, ...]:
        """Say what is not seen here of the workloads that can run a target."""
        held = self._held(target)
        looked_at = [place for place, _by in held]
        found = [
            f"{one.title} is not looked at: nothing here applies {one.applied}; where it is of "
            "another cluster, name that one too (--kube-context)"
            for one in target.held
            if one not in looked_at and not self._is_elsewhere(one)
        ]
        found += [
            f"{place.title} is not looked at: it is of another API than Kubernetes' own"
            for place, by in held
            if _is_foreign(place, by)
        ]
        return (*found, *self._unreadable(target))

    def _unreadable(self, target: Target) -> tuple[str, ...]:
        """Say what may not be read here of the workloads that can run a target."""
        releases = self.releases(target)
        hidden = self._hidden(target)
        if target.is_by_workloads:
            hidden = [one for one in hidden if (one.kind, one.name) in target.workloads]
        found = [f"{one} may not be read here" for one in hidden]
        if any(not one.inventory for one in releases):  # so what they have made is not known
            denied = sorted(self._denied.intersection(KINDS))
            found += [f"what Helm made of kind {kind} may not be read here" for kind in denied]
        return tuple(found)

    def _hidden(self, target: Target) -> list[Name]:
        """Return the workloads that were applied with a target and may not be read here."""
        names = frozenset[Name]().union(
            *(one.inventory for one in (*self.owners(target), *self.releases(target)))
        )
        return [
            one
            for one in sorted(names, key=str)
            if one.kind in KINDS
            and one not in self._found
            and (one.kind in self._denied or (one.kind, one.namespace) in self._left_out)
        ]

    def _applied(self, target: Target) -> list[Workload]:
        """Return the workloads that a target's Kustomizations and HelmReleases have applied."""
        appliers, releases = self.owners(target), self.releases(target)
        names = frozenset[Name]().union(*(one.inventory for one in appliers))
        labels = {frozenset(_labels(one)) for one in releases}
        return [
            read_workload(one, kind)
            for kind in KINDS
            for one in self._of(kind)
            if name_of(one, kind) in names or any(of <= _labels_of(one) for of in labels)
        ] + [read_workload(one, BARE) for one in self._of(BARE) if name_of(one, BARE) in names]

    def view(
        self,
        target: Target,
        relations: Mapping[str, Relation],
        token: str = "",
        *,
        told: Mapping[Name, str] | None = None,
    ) -> View | None:
        """Return what is shown of a target; None where nothing here applies it."""
        appliers = self._explained(self.owners(target))
        releases = self._explained(self.releases(target))
        wanted = {one.source for one in (*appliers, *releases)}
        own = [one for one in self.repositories(target.branch) if one.name in wanted]
        if not own:
            return None
        own.sort(key=lambda one: relations.get(one.commit) in THERE or one.commit == target.commit)
        is_remote = any(one.remote for one in (*appliers, *releases))
        workloads = None if is_remote else self.workloads(target)
        return View(
            source=own[0],  # one that has not fetched it, if there is one
            kustomizations=tuple(appliers),
            releases=tuple(releases),
            workloads=None if workloads is None else tuple(workloads[0]),
            missing=workloads[1] if workloads else (),
            rivals=tuple(self._rivals(appliers, workloads[0] if workloads else ())),
            unseen=self._unseen(target),
            pods=self._pods(),
            listed=self._is_listed(target),
            relations=relations,
            token=token,
            told=told or {},
        )

    def _rivals(
        self, appliers: Sequence[Reconciler], workloads: Sequence[Workload]
    ) -> list[Reconciler]:
        """Return the other Kustomizations that have applied one of these workloads, too."""
        names, own = {one.name for one in workloads}, {one.name for one in appliers}
        return [
            one
            for one in self.kustomizations()
            if one.name not in own
            and not (one.suspended or one.remote)
            and not names.isdisjoint(one.inventory)
        ]

    def _explained(self, found: list[Reconciler]) -> list[Reconciler]:
        """Return what applies a target; what waits for another one with why that is not ready."""
        if all(one.ready.reason != NOT_YET for one in found):
            return found
        named = {one.name: one for one in (*self.kustomizations(), *self._releases())}
        return [held_up(one, named) for one in found]

    def queries(self, target: Target) -> list[Query]:
        """Return what has to be watched for a target, as far as that is known by now."""
        appliers, releases = self.owners(target), self.releases(target)
        sources = {one.source for one in (*appliers, *releases)}
        wanted = [
            Query("GitRepository", one.name.namespace, name=one.name.name)
            for one in self.repositories(target.branch)
            if one.name in sources
        ]
        # All that apply: the change, or what comes with it, may make one.
        wanted += [one for one in self._answered if one.kind in _APPLIERS and not one.namespace]
        for one in (*appliers, *releases):
            wanted += [
                Query(kind, labels=_selector(one), instead=_namespaces(one)) for kind in KINDS
            ]
            wanted += self._unlabelled(target, one)
            wanted += [
                Query(BARE, name.namespace, name=name.name)
                for name in one.inventory
                if (name.kind, name.name) in target.workloads and name.kind == BARE
            ]
        for workload in (self.workloads(target) or ((), ()))[0]:
            if selector := selector_text(workload.selector):
                wanted.append(Query("Pod", workload.name.namespace, selector))
        return list(dict.fromkeys(wanted))

    def _unlabelled(self, target: Target, by: Reconciler) -> list[Query]:
        """Return queries for workloads of an inventory that bear no label of what applies them.

        Such an object was there before, and Flux was told to leave it alone.
        """
        return [
            Query(one.kind, one.namespace, name=one.name)
            for one in by.inventory
            if (one.kind, one.name) in target.workloads
            if Query(one.kind, labels=_selector(by)) in self._answered and one not in self._found
        ]

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
        return tuple(self._each("Pod", read_pod))

    def _once(self, key: object, find: Callable[[], list[T]]) -> list[T]:
        """Return what is found out of all objects: once, until one of them changes."""
        if key not in self._told:
            self._told[key] = find()
        found: list[T] = self._told[key]
        return found

    def _of(self, kind: str) -> list[Json]:
        return [one for name, (_, one) in self._found.items() if name.kind == kind]

    def _each(self, kind: str, read: Callable[[Json], T]) -> list[T]:
        """Return what is read of the objects of a kind: of each once, until it changes."""
        found: list[T] = []
        for name, (_, one) in self._found.items():
            if name.kind == kind:
                if name not in self._read:
                    self._read[name] = read(one)
                found.append(self._read[name])
        return found


def _key(target: Target) -> tuple[object, ...]:
    """Return what decides by which objects a target is applied."""
    return target.service, target.branch, target.places, target.lands


def _of_place(
    found: list[Workload], place: Place, by: Reconciler | None, target: Target
) -> list[Workload]:
    """Return the workloads that a place is, as a Kustomization applies it.

    By its name, and by the namespace where that is known: the Kustomization's own counts before
    Git's. Where it is not sure what becomes of the name, that is the one that has it within its
    own, and the service's image repository.
    """
    if by is None:
        return []
    space = by.space or place.namespace
    own = [
        one
        for one in found
        if one.name.kind == place.kind
        and one.name in by.inventory
        and (not space or one.name.namespace == space)
    ]
    exact = [one for one in own if place.is_named(one.name.name, by.prefix, by.suffix)]
    if exact or place.is_sure:
        return exact
    near = [one for one in own if place.name in one.name.name and one.of(target)]
    return near if len(near) == 1 else []


def _is_foreign(place: Place, by: Reconciler | None) -> bool:
    """Tell whether a place is of a kind that another operator has under the same name."""
    found = by.inventory if by else ()
    return any(one.kind.startswith(f"{place.kind}.") and place.is_named(one.name) for one in found)


def _labels(one: Reconciler) -> tuple[tuple[str, str], ...]:
    """Return the labels that Flux gives to what it applies, by which its workloads are found."""
    group = "helm" if one.name.kind == "HelmRelease" else "kustomize"
    prefix = f"{group}.toolkit.fluxcd.io"
    return ((f"{prefix}/name", one.name.name), (f"{prefix}/namespace", one.name.namespace))


def _selector(one: Reconciler) -> str:
    return ",".join(f"{key}={value}" for key, value in _labels(one))


def _labels_of(found: Json) -> frozenset[tuple[str, str]]:
    labels = mapping(found, "metadata", "labels")
    return frozenset((key, value) for key, value in labels.items() if isinstance(value, str))


def _namespaces(one: Reconciler) -> tuple[str, ...]:
    found = sorted(name.namespace for name in one.inventory if name.namespace)
    return tuple(dict.fromkeys([*found, one.name.namespace]))
