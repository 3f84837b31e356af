"""Which of Flux's objects apply a service's files: by URL, branch, path or inventory. Pure.

Nothing is configured for it: a Kustomization names its source and a path, and lists in its status
what it has applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.timeline.records import repository_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops_rollback.rollout.reconcilers import Reconciler, Source
    from gitops_rollback.rollout.target import Target


def own_sources(sources: Iterable[Source], url: str, branch: str) -> list[Source]:
    """Return the GitRepositories that follow a branch of the manifests repository."""
    key = repository_key(url)
    return [
        source
        for source in sources
        if repository_key(source.url) == key and source.follows_branch and source.branch == branch
    ]


def other_sources(sources: Iterable[Source], url: str) -> list[Source]:
    """Return the GitRepositories of the repository, whatever they follow: for messages."""
    key = repository_key(url)
    return [source for source in sources if repository_key(source.url) == key]


def owners(
    target: Target, sources: Sequence[Source], kustomizations: Iterable[Reconciler]
) -> list[Reconciler]:
    """Return the Kustomizations that apply the target's files.

    For each file the one with the longest path above it; where none is above (a base that an
    overlay elsewhere refers to), those whose inventory holds the objects.
    """
    names = {source.name for source in sources}
    own = [one for one in kustomizations if one.source in names]
    found: dict[str, Reconciler] = {}
    for place in target.places:
        above = [one for one in own if _is_above(one.path, place.applied)]
        longest = max((len(one.path) for one in above), default=0)
        chosen = [one for one in above if len(one.path) == longest]
        if not chosen:
            chosen = [one for one in own if _holds(one, place.kind, place.name)]
        found.update({str(one.name): one for one in chosen})
    return list(found.values())


def releases_of(
    target: Target, sources: Sequence[Source], releases: Iterable[Reconciler]
) -> list[Reconciler]:
    """Return the HelmReleases of the target: named by a field, or with their chart above it."""
    names = {source.name for source in sources}
    wanted = {place.name for place in target.places if place.kind == "HelmRelease"}
    return [
        one
        for one in releases
        if one.name.name in wanted
        or (
            one.source in names
            and one.path
            and any(_is_above(one.path, path) for path in target.paths)
        )
    ]


def _is_above(folder: str, path: str) -> bool:
    return not folder or path.startswith(f"{folder}/")


def _holds(one: Reconciler, kind: str, name: str) -> bool:
    """Tell whether an inventory has an object; its ids are `<namespace>_<name>_<group>_<kind>`.

    Of a file that kustomize reads, such as one with `images:`, no object is applied: those never
    match here (fluxcd/cli-utils:pkg/object/objmetadata.go).
    """
    for entry in one.inventory:
        parts = entry.split("_")
        if len(parts) >= 4 and parts[-1] == kind and "_".join(parts[1:-2]) == name:  # noqa: PLR2004
            return True
    return False
