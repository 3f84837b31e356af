"""Whether an object is of a kind that is looked into, and what is wrong if it nearly is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.storage.findings import ERROR
from gitops_rollback.storage.kubernetes import api_versions
from gitops_rollback.storage.suggest import NAME, misspelt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.storage.findings import Finding
    from gitops_rollback.storage.objects import KubernetesObject

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
