"""What is waited for: one service's image, as one commit put it into the manifests. Pure.

And what is a service's own beside its workloads: what its pods take, what is about them.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from gitops_rollback.image import find_image, may_be, same
from gitops_rollback.late import dataclass, regex
from gitops_rollback.ledger.events import is_unchanged
from gitops_rollback.manifest.objects import POD_SPECS
from gitops_rollback.model import title
from gitops_rollback.rollout.raw import Json, items, mapping, number, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gitops_rollback.image import ImageReference

# Kinds that run pods, with group, version and plural: what Flux applies and a service is made of.
KINDS = {
    "Deployment": ("apps", "v1", "deployments"),
    "StatefulSet": ("apps", "v1", "statefulsets"),
    "DaemonSet": ("apps", "v1", "daemonsets"),
    "CronJob": ("batch", "v1", "cronjobs"),
}

# A pod that Git holds itself: its containers are restarted in place, by the new image.
BARE = "Pod"
# By what in its spec an object is told which workload it scales or steers.
_REFERENCES = ("scaleTargetRef", "targetRef", "workloadRef")
# What leads to a Service by its name.
_DOORS = ("Ingress", "HTTPRoute", "GRPCRoute", "VirtualService")


class Relation(Enum):
    """How another commit stands to the change that is waited for."""

    OURS = "ours"  # it is the change itself
    HOLDS = "holds"  # a later one, in which the change still stands
    BEFORE = "before"  # the change is not in it, and nothing shows that it was taken out
    REPLACED = "replaced"  # a later one, in which another change has replaced ours
    UNKNOWN = "unknown"  # nobody can tell: it cannot be read


# What Flux substitutes in a name (kustomize-controller:docs/spec/v1/kustomizations.md).
_VARIABLE = regex(r"\$\{[^}]*\}")
# In such a commit the change stands.
THERE = (Relation.OURS, Relation.HOLDS)


class Match(Enum):
    """How the text of a live image stands to the image that is waited for."""

    SAME = "same"  # the same repository; by digest, or by tag where one of them has no digest
    # another repository by digest; or another registry by tag: what an admission policy wrote
    MIRROR = "mirror"
    OTHER = "other"


@dataclass(frozen=True)
class Place:
    """Where a manifest names the image; `kind` and `name` are those of the object.

    `overlay` is the kustomization elsewhere that takes the file, if there is one: what is applied.
    `container` and `value`, the text as it stands there, are empty where they are not known, and so
    is `namespace`. `is_sure` says that kind, namespace and name are those that take effect: then
    what only resembles it is another object. `left_alone` says where Git tells Flux to leave the
    object as it is.
    """

    path: str
    kind: str
    name: str
    overlay: str = ""
    container: str = ""
    value: str = ""
    namespace: str = ""
    is_sure: bool = False
    left_alone: str = ""

    @property
    def applied(self) -> str:
        """The file that Flux is told to apply."""
        return self.overlay or self.path

    @property
    def is_workload(self) -> bool:
        """Whether the object runs pods, so that it has to be found in the cluster."""
        return self.kind in KINDS or self.kind == BARE

    @property
    def title(self) -> str:
        """The object as Flux writes it, with its namespace where that is known."""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)

    def is_named(self, name: str, prefix: str = "", suffix: str = "") -> bool:
        """Tell whether an object of this name is meant; what Flux substitutes may be any text.

        Flux may put a prefix and a suffix to it, where these stand in its live object alone.
        """
        own = ".*".join(re.escape(part) for part in _VARIABLE.split(self.name))
        more = f"{re.escape(prefix)}{own}{re.escape(suffix)}"
        return bool(re.fullmatch(own, name) or re.fullmatch(more, name))


@dataclass(frozen=True)
class InGit:
    """What Git holds beside a service's workloads; kind and name of each, as they are written.

    `own` is what is known to be the service's: the claims, ConfigMaps and Secrets that its pods
    take, and what stands in its files. `elsewhere` is what of it lies in a namespace that is not
    its workloads', as Flux writes it. `others` are objects that are not the service's.
    """

    own: frozenset[tuple[str, str]] = frozenset()
    elsewhere: frozenset[str] = frozenset()
    others: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Target:
    """One service of a change: `entry` is the id of its newest deployment in the state file.

    `places` are where Git names the image, `lands` the objects to which that comes once overlays
    had their say, in each root that is applied; none where that is not known.
    `belongings` are kind and name of what else is known to be the service's own, `in_git` tells
    what Git holds; it is asked only where a failure names an object. `spaces` are the namespaces
    that its workloads are in, none where that is not known; `is_placed` says that they are known
    for sure. `given` are the options that a
    command about it has to repeat, `contexts` those that one that waits for it has to.
    """

    service: str
    environment: str
    image: ImageReference
    commit: str
    branch: str
    places: tuple[Place, ...]
    entry: str = ""
    belongings: frozenset[tuple[str, str]] = frozenset()
    in_git: Callable[[], InGit] = InGit
    spaces: frozenset[str] = frozenset()
    is_placed: bool = False
    given: str = ""
    contexts: str = ""
    lands: tuple[Place, ...] = ()

    def look_on(self, *more: str) -> str:
        """Return the command that waits for the service; `more` are options of it."""
        named = f"gitops-rollback wait --service {self.service}"
        return " ".join(part for part in (named, *more, self.given, self.contexts) if part)

    @property
    def title(self) -> str:
        """Service and environment, as people read them: `cart production`."""
        return title(self.service, self.environment)

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that name the image."""
        return tuple(dict.fromkeys(place.path for place in self.places))

    @property
    def is_by_values(self) -> bool:
        """Whether files with Helm values name it: what applies them is not to be seen in them."""
        return any(place.kind == "Values" for place in self.places)

    @property
    def is_by_workloads(self) -> bool:
        """Whether Git names the image in workloads alone, so that these are all that runs it."""
        return all(place.is_workload for place in self.landed)

    @property
    def landed(self) -> tuple[Place, ...]:
        """Where Git names the image, as it takes effect where that is known."""
        return self.lands or self.places

    @property
    def of_releases(self) -> tuple[Place, ...]:
        """Where HelmReleases name the image, as they are applied."""
        return tuple(place for place in self.landed if place.kind == "HelmRelease")

    @property
    def workloads(self) -> tuple[tuple[str, str], ...]:
        """Kind and name of the workloads that Git holds."""
        return tuple(dict.fromkeys((place.kind, place.name) for place in self.held))

    @property
    def held(self) -> tuple[Place, ...]:
        """The workloads that Git holds: each once for each file that is told to be applied."""
        found = {
            (one.kind, one.namespace, one.name, one.applied): one
            for one in self.landed
            if one.is_workload
        }
        return tuple(found.values())

    def containers(self, kind: str, name: str) -> frozenset[str]:
        """Return the containers of a workload that Git gives the image; none where not known."""
        return frozenset(
            place.container.partition("#")[0]  # with the number that tells two of a name apart
            for place in self.landed
            if place.kind == kind and place.is_named(name) and place.container
        )

    def value_of(self, kind: str, name: str, container: str) -> str:
        """Return the text of a workload's image as it stands in Git; empty where not known."""
        key = (kind, name, container)
        all_of = (*self.lands, *self.places)
        return next((p.value for p in all_of if (p.kind, p.name, p.container) == key), "")

    def owns(self, name: str) -> bool:
        """Tell whether an object is the service's own, by its name as Flux writes it.

        What is called as one of its workloads is, of whatever kind.
        """
        kind, space, own = parts_of(name)
        alike = {one.name for one in (*self.lands, *self.places) if one.is_workload}
        is_own = (
            own in alike
            or (kind, own) in self.belongings
            or self._names_image(kind, own)
            or (kind, own) in self.in_git().own
        )
        return is_own and (self._is_here(kind, space, own) or name in self.in_git().elsewhere)

    def holds_image(self, name: str) -> bool:
        """Tell whether an object is one in which Git names the image, by its name as above."""
        kind, space, own = parts_of(name)
        return self._names_image(kind, own) and self._is_here(kind, space, own)

    def _names_image(self, kind: str, own: str) -> bool:
        return any((one.kind, one.name) == (kind, own) for one in (*self.lands, *self.places))

    def _is_here(self, kind: str, space: str, own: str) -> bool:
        """Tell whether an object that is called as one of the service's is where that one is.

        Where that is not sure, another team's may be meant, if Git has one of that name.
        """
        if space and self.spaces and (self.is_placed or space not in self.spaces):
            return space in self.spaces
        return (kind, own) not in self.in_git().others

    def match(self, text: str) -> Match:
        """Return how the text of an image stands to the target's.

        A tag alone stands for the digest that was deployed with it; whether it is that image, only
        the runtime tells.
        """
        image = find_image(text)
        if image is None:
            return Match.OTHER
        if image.full_repository == self.image.full_repository:
            return Match.SAME if may_be(image, self.image) else Match.OTHER
        is_mirror = image.digest is not None and image.digest == self.image.digest
        if image.digest is None and image.tag and image.tag == self.image.tag:
            is_mirror = f"/{image.repository}".endswith(f"/{self.image.repository}")
        return Match.MIRROR if is_mirror else Match.OTHER

    def is_proven_by(self, text: str) -> bool:
        """Tell whether the text of an image names the target's digest: nothing else can run by it.

        The text of one without a digest proves nothing, whatever its tag.
        """
        image = find_image(text)
        return image is not None and same(image, self.image) is True

    def is_of_repository(self, text: str) -> bool:
        """Tell whether the text of an image is of the service's image repository."""
        image = find_image(text)
        return image is not None and image.full_repository == self.image.full_repository


def parts_of(name: str) -> tuple[str, str, str]:
    """Return kind, namespace and name of an object as Flux writes it; some have no namespace."""
    kind, _, rest = name.partition("/")
    space, _, own = rest.rpartition("/")
    return kind, space, own


@dataclass(frozen=True)
class Stand:
    """What stands about the service at another commit: its image, and its deployments' ids."""

    image: ImageReference | None
    entries: tuple[str, ...] = ()


def relation(target: Target, stand: Stand | None) -> Relation:
    """Tell how a commit with this stand relates to the change; None is one that cannot be read.

    A state file that begins with our entry, and a field with our image: the change still stands.
    Ours among the older entries, or another image under our entry: it was replaced.
    """
    if stand is None:
        return Relation.UNKNOWN
    same_image = stand.image is not None and is_unchanged(stand.image, target.image)
    if not target.entry:
        return Relation.HOLDS if same_image else Relation.BEFORE
    if stand.entries[:1] == (target.entry,):
        return Relation.HOLDS if same_image else Relation.REPLACED
    return Relation.REPLACED if target.entry in stand.entries else Relation.BEFORE


def belongings_of(found: Json) -> frozenset[tuple[str, str]]:
    """Return kind and name of what the pods of an object take: claims, ConfigMaps, Secrets."""
    return taken_by(pod_spec_of(found, text(found, "kind"))) | claims_of(found)


def taken_by(pod: Json) -> frozenset[tuple[str, str]]:
    """Return kind and name of what a pod of this spec takes."""
    named: list[tuple[str, str]] = [("ServiceAccount", text(pod, "serviceAccountName"))]
    named += [("Secret", text(one, "name")) for one in items(pod, "imagePullSecrets")]
    for volume in items(pod, "volumes"):
        named.append(("PersistentVolumeClaim", text(volume, "persistentVolumeClaim", "claimName")))
        for source in (volume, *items(volume, "projected", "sources")):
            named.append(("ConfigMap", text(source, "configMap", "name")))
            named.append(("Secret", text(source, "secret", "name")))
        named.append(("Secret", text(volume, "secret", "secretName")))
    for container in (*items(pod, "initContainers"), *items(pod, "containers")):
        for source in items(container, "envFrom"):
            named.append(("ConfigMap", text(source, "configMapRef", "name")))
            named.append(("Secret", text(source, "secretRef", "name")))
        for one in items(container, "env"):
            named.append(("ConfigMap", text(one, "valueFrom", "configMapKeyRef", "name")))
            named.append(("Secret", text(one, "valueFrom", "secretKeyRef", "name")))
    return frozenset((kind, name) for kind, name in named if name)


def claims_of(found: Json) -> frozenset[tuple[str, str]]:
    """Return the claims that a StatefulSet makes, by what their names begin with."""
    name = text(found, "metadata", "name")
    templates = items(found, "spec", "volumeClaimTemplates")
    return frozenset(
        ("PersistentVolumeClaim", f"{text(one, 'metadata', 'name')}-{name}-{ordinal}")
        for one in templates
        for ordinal in range(max(1, min(number(found, "spec", "replicas", default=1), 100)))
    )


def pod_spec_of(found: Json, kind: str) -> Json:
    """Return the spec of the pods that a workload makes, or is."""
    return mapping(found, *POD_SPECS.get(kind, "/spec/template/spec").strip("/").split("/"))


def about(workloads: Iterable[Json], objects: Iterable[Json]) -> frozenset[tuple[str, str]]:
    """Return kind and name of the objects that are about some workloads, as they stand in Git.

    Those that scale or steer one, those that select its pods (Services, budgets, network
    policies), and what leads to such a Service, or to one that is called as a workload is.
    """
    workloads, objects = tuple(workloads), tuple(objects)
    names = {text(one, "metadata", "name") for one in workloads}
    labels = [mapping(one, "spec", "template", "metadata", "labels") for one in workloads]
    found = {
        (text(one, "kind"), text(one, "metadata", "name"))
        for one in objects
        if any(text(one, "spec", by, "name") in names for by in _REFERENCES)
        or any(selector.items() <= own.items() for selector in _selectors(one) for own in labels)
    }
    services = names | {name for kind, name in found if kind == "Service"}
    return frozenset(found).union(
        (text(one, "kind"), text(one, "metadata", "name"))
        for one in objects
        if text(one, "kind") in _DOORS and not services.isdisjoint(_names_in(one.get("spec")))
    )


def _selectors(found: Json) -> Iterator[Json]:
    """Yield what an object selects pods by, if it makes none itself."""
    if text(found, "kind") in (*KINDS, BARE):
        return
    spec = mapping(found, "spec")
    plain = mapping(spec, "selector")
    for one in (
        mapping(plain, "matchLabels") or plain,
        mapping(spec, "podSelector", "matchLabels"),
    ):
        if one and all(isinstance(value, str) for value in one.values()):
            yield one


def _names_in(value: object) -> Iterator[str]:
    """Yield all that is called `name` somewhere in a JSON value."""
    if isinstance(value, dict):
        yield text(value, "name")
    for one in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _names_in(one)
