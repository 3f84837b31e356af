"""Where the API server has the objects: group, versions, plural. Newest version first."""

from __future__ import annotations

from dataclasses import dataclass

from gitops_rollback.rollout.workloads import KINDS


@dataclass(frozen=True)
class Resource:
    """One kind of object; `group` is empty for the core."""

    group: str
    versions: tuple[str, ...]
    plural: str


RESOURCES = {
    "GitRepository": Resource(
        "source.toolkit.fluxcd.io", ("v1", "v1beta2", "v1beta1"), "gitrepositories"
    ),
    "Kustomization": Resource(
        "kustomize.toolkit.fluxcd.io", ("v1", "v1beta2", "v1beta1"), "kustomizations"
    ),
    "HelmRelease": Resource("helm.toolkit.fluxcd.io", ("v2", "v2beta2", "v2beta1"), "helmreleases"),
    "Pod": Resource("", ("v1",), "pods"),
    **{
        kind: Resource(group, (version,), plural)
        for kind, (group, version, plural) in KINDS.items()
    },
}
