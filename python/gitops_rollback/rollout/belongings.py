"""What is a service's own beside its workloads: what its pods take, what is about them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.manifest.workloads import POD_SPECS
from gitops_rollback.rollout.raw import Json, items, mapping, number, text
from gitops_rollback.rollout.target import BARE, KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


# By what in its spec an object is told which workload it scales or steers.
_REFERENCES = ("scaleTargetRef", "targetRef", "workloadRef")
# What leads to a Service by its name.
_DOORS = ("Ingress", "HTTPRoute", "GRPCRoute", "VirtualService")


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
