"""What does not fit the Kubernetes schema: unknown, misplaced, wrongly typed, missing, twice.

And kinds that are nearly those that are looked into.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from gitops_rollback.late import dataclass, replace
from gitops_rollback.manifest.document import duplicate_key, walk
from gitops_rollback.storage import kubernetes
from gitops_rollback.storage.kubernetes import (
    NAME,
    Steps,
    Violation,
    api_versions,
    belongs,
    is_null,
    misspelt,
    node_at,
    written,
)
from gitops_rollback.storage.model import ERROR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gitops_rollback.storage.model import Finding, KubernetesObject


_DROPPED = "the API server drops it, and Flux says nothing"
# What it means at run time that a field of storage is not where it belongs.
_EFFECTS = {
    "accessModes": "the object has no access mode: the API server refuses it",
    "capacity": "the volume has no size: the API server refuses it",
    "claimName": "the volume names no claim",
    "containers": "the pod has no container: the API server refuses it",
    "hostPath": "the volume has no source: the API server refuses it",
    "name": "the object has no name: the API server refuses it",
    "path": "the volume has no path to hold its data",
    "persistentVolumeReclaimPolicy": "the policy is Retain, as for every volume made by hand",
    "reclaimPolicy": "the policy is Delete: data go when the claim goes",
    "resources": "the claim asks for no size: the API server refuses it",
    "storage": "the size is not known: the API server refuses it",
    "storageClassName": "the cluster's default class is used, or none",
    "volumeMounts": "nothing is mounted: data are written into the container and lost with it",
    "volumes": "the pod has no volumes",
    "volumeClaimTemplates": "no claim is made",
}
REFUSED = "the API server refuses the object; Flux stops, and applies nothing of this folder"
Wrong = tuple[Steps, str, str]  # where, why the API server refuses it, and what to write
_SIZED = ("PersistentVolume", "PersistentVolumeClaim")
_PATCH_WORDS = ("$patch", "$setElementOrder", "$retainKeys", "$deleteFromPrimitiveList")


@dataclass(frozen=True)
class Structure:
    """What does not fit in one object; `displaced` are the places its misplaced fields belong."""

    findings: tuple[Finding, ...]
    displaced: tuple[Steps, ...] = ()

    def explains(self, steps: Steps) -> bool:
        """Tell whether a missing field stands elsewhere, in or with what holds it."""
        return any(
            place[: len(steps)] == steps or steps[: len(place)] == place for place in self.displaced
        )


def check_structure(item: KubernetesObject) -> Structure:
    """Check one object of a kind that the schema has."""
    found = kubernetes.violations(item.kind, item.value)
    found = tuple(v for v in found if not _is_meant(item, v))
    found += tuple(_emptied(item, found))
    unknown = [v for v in found if v.rule == kubernetes.UNKNOWN]
    places = {v.steps: _belongs(item, v, unknown) for v in unknown}
    structure = Structure((), tuple(place for place in places.values() if place))
    findings = list(_twice(item))
    findings += _strange_sizes(item)
    for violation in found:
        if violation.rule == kubernetes.UNKNOWN:
            findings.append(_unknown(item, violation, places[violation.steps]))
        elif violation.rule == kubernetes.TYPE:
            findings.append(_wrong_type(item, violation))
        elif not structure.explains(violation.steps):
            findings.append(missing(item, violation.steps))
    return replace(structure, findings=tuple(findings))


def missing(item: KubernetesObject, steps: Steps, effect: str = REFUSED) -> Finding:
    """Return the finding that a field is missing; one that says nothing counts as missing."""
    place = written(steps)
    is_empty = is_null(node_at(item.node, steps))
    what = f"`{place}` says nothing" if is_empty else f"`{place}` is missing"
    at = steps if is_empty else steps[:-1]
    return item.finding(ERROR, "missing", at, what, effect=effect, mend=f"write {place}")


def bad_values(item: KubernetesObject, wrong: Iterable[Wrong]) -> Iterator[Finding]:
    """Yield the findings of values that the API server refuses."""
    for steps, why, mend in wrong:
        yield item.finding(ERROR, "bad-value", steps, why, effect=REFUSED, mend=mend)


def _emptied(item: KubernetesObject, found: tuple[Violation, ...]) -> Iterator[Violation]:
    """Yield unknown fields that say nothing, beside others: they lost what was below them."""
    known = {v.steps[:-1]: v.known for v in found if v.rule == kubernetes.UNKNOWN}
    for parent, fields in known.items():
        node = node_at(item.node, parent)
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            if is_null(value) and key.value not in fields:
                yield Violation(kubernetes.UNKNOWN, (*parent, key.value), known=fields)


def _strange_sizes(item: KubernetesObject) -> Iterator[Finding]:
    """Find fields among the sizes, where every name is allowed and none but storage is meant."""
    for place in (("spec", "capacity"), ("spec", "resources", "requests")):
        for key in item.mapping(*place) if item.kind in _SIZED else ():
            target = belongs(item, (*place, key), ())
            if key != "storage" and target is not None:
                yield _unknown(item, Violation(kubernetes.UNKNOWN, (*place, key)), target)


def _is_meant(item: KubernetesObject, violation: Violation) -> bool:
    """Tell whether a thing may stand so: in a patch, or as a text that is filled in later."""
    if item.is_patch:
        is_word = str(violation.steps[-1]).startswith(_PATCH_WORDS)
        return is_word or violation.rule == kubernetes.MISSING
    if violation.rule != kubernetes.TYPE:
        return False
    return "${" in item.source(violation.steps)


def _belongs(
    item: KubernetesObject, violation: Violation, unknown: list[Violation]
) -> Steps | None:
    """Return where an unknown field belongs: beside where it stands if misspelt, else elsewhere."""
    *parent, key = violation.steps
    near = misspelt(str(key), violation.known)
    if near is not None:
        return (*parent, near)
    beside = [str(v.steps[-1]) for v in unknown if v.steps[:-1] == tuple(parent)]
    return belongs(item, violation.steps, beside)


def _unknown(item: KubernetesObject, violation: Violation, place: Steps | None) -> Finding:
    *parent, key = violation.steps
    where = f"in `{written(tuple(parent))}`" if parent else "at the top level"
    version = kubernetes.published()["version"]
    effect = _EFFECTS.get(str(place[-1] if place else key))
    if place is None:
        known = ", ".join(sorted(violation.known)[:12])
        return item.finding(
            ERROR,
            "unknown-field",
            violation.steps,
            f"`{key}` {where} is no field of a {item.kind} (Kubernetes {version})",
            effect=_DROPPED,
            mend=f"remove it; fields there are {known}",
        )
    is_misspelt = place[:-1] == tuple(parent)
    what = "is misspelt" if is_misspelt else f"stands {where}, where it is no field"
    return item.finding(
        ERROR,
        "misspelt-field" if is_misspelt else "misplaced-field",
        violation.steps,
        f"`{key}` {what}; did you mean `{written(place)}`?",
        effect=f"{_DROPPED}: {effect}" if effect else _DROPPED,
        mend=f"write `{place[-1]}`" if is_misspelt else _moved(item, str(key), place),
    )


def _moved(item: KubernetesObject, key: str, place: Steps) -> str:
    """Return how a field gets where it belongs."""
    parent = written(place[:-1])
    if node_at(item.node, place[:-1]) is None:
        return f"write `{parent}:`, and `{key}` below it, two spaces further"
    return f"indent `{key}` below `{parent}:`, two spaces further than it"


def _wrong_type(item: KubernetesObject, violation: Violation) -> Finding:
    names = {"string": "a text", "integer": "a whole number", "boolean": "true or false"}
    names |= {"array": "a list", "object": "a mapping", "number": "a number"}
    wanted = " or ".join(names[name] for name in violation.wanted) or "something else"
    text = " ".join(item.source(violation.steps).split())[:40]
    mend = f"write {wanted}"
    node = node_at(item.node, violation.steps)
    if violation.wanted == ("string",) and isinstance(node, yaml.ScalarNode):
        mend = f'put it in quotes: "{text}"'
    if violation.wanted == ("array",):
        mend = "begin each item with a dash: `- …`"
    return item.finding(
        ERROR,
        "wrong-type",
        violation.steps,
        f"`{written(violation.steps)}` is {text or 'empty'}, and {wanted} is due",
        effect=REFUSED,
        mend=mend,
    )


def _twice(item: KubernetesObject) -> Iterator[Finding]:
    for key in map(duplicate_key, walk(item.node)):
        if key is not None:
            yield _duplicate(item, key)


def _duplicate(item: KubernetesObject, key: yaml.ScalarNode) -> Finding:
    finding = item.finding(
        ERROR,
        "duplicate-key",
        (),
        f"the key `{key.value}` stands twice",
        effect="kustomize refuses the file; Flux stops, and applies nothing of this folder",
        mend="remove one of them",
    )
    return replace(finding, line=key.start_mark.line + 1, column=key.start_mark.column + 1)


_BUILT_IN = ("", "apps", "batch", "extensions", "storage.k8s.io")
_OTHERS = ("PodTemplate", "PodDisruptionBudget", "CSIStorageCapacity")
_NO_MATCH = "the API server knows no such kind; Flux stops, and applies nothing of this folder"
# Kinds whose misspelling is worth a guess: others have kinds of their own that look alike.
_GUESSED = (
    "PersistentVolume",
    "PersistentVolumeClaim",
    "StorageClass",
    "StatefulSet",
    "Deployment",
)


def is_checked(item: KubernetesObject) -> bool:
    """Tell whether an object is of a kind and version that the schema has."""
    return api_versions().get(item.kind) == item.api_version


def check_kind(item: KubernetesObject) -> Iterator[Finding]:
    """Yield what is wrong with kind and apiVersion of an object that is not checked."""
    wanted = api_versions().get(item.kind)
    if is_checked(item) or (wanted is None and not item.kind) or not _is_built_in(item):
        return
    if wanted is not None:
        what = f"is {item.api_version}" if item.api_version else "is missing"
        yield item.finding(
            ERROR,
            "api-version",
            ("apiVersion",),
            f"`apiVersion` {what}, and a {item.kind} is of {wanted}",
            effect=_NO_MATCH,
            mend=f"write apiVersion: {wanted}",
        )
        return
    near = misspelt(item.kind, _GUESSED, NAME)
    if near is None or item.kind in _OTHERS or item.kind.endswith("List"):
        return
    yield item.finding(
        ERROR,
        "unknown-kind",
        ("kind",),
        f"there is no kind {item.kind}; did you mean {near}?",
        effect=_NO_MATCH,
        mend=f"write kind: {near}",
    )


def _is_built_in(item: KubernetesObject) -> bool:
    group, slash, _version = item.api_version.rpartition("/")
    return not slash or group in _BUILT_IN
