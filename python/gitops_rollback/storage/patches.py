"""What kustomizations make of files: patches, which are no objects themselves, and namespaces."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.document import parse_once
from gitops_rollback.manifest.kustomize import Kustomization, read_kustomization

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def read_kustomizations(files: Mapping[str, bytes]) -> list[Kustomization]:
    """Read kustomizations; of one that cannot be read, what is wrong is not said here."""
    found = []
    for path, data in files.items():
        try:
            found.append(read_kustomization(parse_once(path, data)))
        except ManifestError:
            continue  # it names no patch and no namespace
    return found


def patch_paths(kustomizations: Iterable[Kustomization]) -> frozenset[str]:
    """Return the paths of the files that kustomizations use as patches."""
    return frozenset(
        patch.path for one in kustomizations for patch in one.patches if patch.path is not None
    )


def namespaces(kustomizations: Iterable[Kustomization]) -> dict[str, str]:
    """Return the namespaces that kustomizations give to what is in and below their folders."""
    return {one.folder: one.namespace for one in kustomizations if one.namespace}


def namespace_of(path: str, known: Mapping[str, str]) -> str | None:
    """Return the namespace that the nearest kustomization gives to a file; None if none does."""
    folder = path
    while folder not in ("", "/"):
        folder = posixpath.dirname(folder)
        if folder in known:
            return known[folder]
    return None
