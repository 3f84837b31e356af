"""Walk local files and folders for manifests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gitops_rollback.errors import UsageError
from gitops_rollback.ledger.records import RECORD_FILE, is_copy
from gitops_rollback.manifest.kustomize import is_kustomization

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SUFFIXES = (".yaml", ".yml", ".json")


def walk(paths: Iterable[str]) -> Iterator[Path]:
    """Yield the files that are named, and the manifests in the folders that are.

    Raises `UsageError` for a path where nothing is.
    """
    for text in paths:
        path = Path(text)
        # These tell of a name that is too long, too, that nothing is there.
        if os.path.isfile(text):  # noqa: PTH113
            yield path
        elif os.path.isdir(text):  # noqa: PTH112
            found = (p for p in sorted(path.rglob("*")) if _is_manifest(p) and p.is_file())
            yield from (p for p in found if ".git" not in p.parts and not _is_copy(p))
        else:
            raise UsageError(f"there is no file or folder {text}", "name one that is there")


def _is_copy(path: Path) -> bool:
    """Tell whether a file is the copy of a manifest that a record brought with it."""
    above = (parent / RECORD_FILE for parent in path.parents)
    return is_copy(path.as_posix(), [file.as_posix() for file in above if file.exists()])


def _is_manifest(path: Path) -> bool:
    return path.suffix in _SUFFIXES or is_kustomization(path.name)
