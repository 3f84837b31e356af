"""Which of Flux's objects apply a service's files: by URL, branch, path or inventory. Pure.

Nothing is configured for it: a Kustomization names its source and a path, and lists in its status
what it has applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.ledger.records import repository_key

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
    target: Target,
    sources: Sequence[Source],
    appliers: Sequence[Reconciler],
    releases: Iterable[Reconciler],
) -> list[Reconciler]:
    """Return the HelmReleases that run the target.

    Named by a field; else with their chart or values file in the repository; else, where values
    reach them through a ConfigMap, those that its Kustomizations apply, of the service's name if
    there are several.
    """
    names = {source.name for source in sources}
    wanted = {place.name for place in target.places if place.kind == "HelmRelease"}
    found, others = [], []
    for one in releases:
        from_chart = one.source in names and any(_is_made_of(one, path) for path in target.paths)
        if one.name.name in wanted or from_chart:
            found.append(one)
        elif one.reads_values and any(_holds(by, "HelmRelease", one.name.name) for by in appliers):
            others.append(one)
    if found or not target.is_by_values:
        return found
    named = [one for one in others if one.name.name == target.service]
    return named or (others if len(others) == 1 else [])


def _is_made_of(release: Reconciler, path: str) -> bool:
    """Tell whether a file is in the chart of a release, or one of its values files."""
    return path in release.value_files or (bool(release.path) and _is_above(release.path, path))


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
