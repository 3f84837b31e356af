"""Which further files an environment's overlays take from elsewhere in the repository. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.manifest.flux import flux_kustomization
from gitops_rollback.manifest.kustomize import candidates, is_kustomization
from gitops_rollback.manifest.objects import objects_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.kustomize import Kustomization


def files_to_follow(
    kustomizations: Mapping[str, Kustomization], known: Collection[str], meant: Collection[str]
) -> list[str]:
    """Return the paths that kustomizations take and that are not among the `known` files.

    All that a kustomization in `meant` takes is followed; of another one, which only stands above
    what is meant, its components and patches: the rest belongs to other services. For a folder,
    every name its kustomization can have is returned.
    """
    out: list[str] = []
    for path, kustomization in kustomizations.items():
        out += _taken(kustomization, all_of_it=path in meant)
    return [path for path in dict.fromkeys(out) if path not in known]


def folders_to_follow(files: Mapping[str, ParsedFile], meant: Collection[str]) -> list[str]:
    """Return the folders that Flux Kustomizations in `meant` apply, if nothing there was read."""
    folders = [
        flux.path
        for path, file in files.items()
        if path in meant and not is_kustomization(path)
        for item in objects_of(file)
        if (flux := flux_kustomization(item)) is not None and flux.path
    ]
    return [
        folder
        for folder in dict.fromkeys(folders)
        if not any(path.startswith(f"{folder}/") for path in files)
    ]


def _taken(kustomization: Kustomization, *, all_of_it: bool) -> Iterator[str]:
    for path in kustomization.references:
        if all_of_it or path not in kustomization.resources:
            yield from candidates(path)
