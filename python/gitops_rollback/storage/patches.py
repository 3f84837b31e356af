"""What kustomizations make of files: patches, which are no objects themselves, and namespaces."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.document import parse
from gitops_rollback.storage.values import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LISTS = ("patches", "patchesStrategicMerge", "patchesJson6902")


def patch_paths(kustomizations: Mapping[str, bytes]) -> frozenset[str]:
    """Return the paths of the files that kustomizations use as patches.

    A kustomization that cannot be read names none: what is wrong with it is not said here.
    """
    return frozenset(
        _resolved(path, name)
        for path, data in kustomizations.items()
        for document in _documents(path, data)
        for name in _named(document)
    )


def namespaces(kustomizations: Mapping[str, bytes]) -> dict[str, str]:
    """Return the namespaces that kustomizations give to what is in and below their folders."""
    return {
        str(PurePosixPath(path).parent): namespace
        for path, data in kustomizations.items()
        for document in _documents(path, data)
        if isinstance(document, dict)
        and isinstance(namespace := document.get("namespace"), str)
        and namespace
    }


def namespace_of(path: str, known: Mapping[str, str]) -> str | None:
    """Return the namespace that the nearest kustomization gives to a file; None if none does."""
    folders = (str(parent) for parent in PurePosixPath(path).parents)
    return next((known[folder] for folder in folders if folder in known), None)


def _documents(path: str, data: bytes) -> list[Any]:
    try:
        return [plain(path, root) for root in parse(path, data).documents]
    except ManifestError:
        return []


def _named(document: object) -> Iterator[str]:
    if not isinstance(document, dict):
        return
    for key in _LISTS:
        entries = document.get(key)
        for entry in entries if isinstance(entries, list) else ():
            name = entry.get("path") if isinstance(entry, dict) else entry
            if isinstance(name, str) and "\n" not in name:
                yield name


def _resolved(kustomization: str, name: str) -> str:
    parts: list[str] = []
    for part in (*PurePosixPath(kustomization).parent.parts, *name.split("/")):
        if part == "..":
            parts = parts[:-1]
        elif part != ".":
            parts.append(part)
    return str(PurePosixPath(*parts)) if parts else ""
