"""Kustomize `images:` entries, which override what a workload's own manifest says.

kustomize matches an entry's `name` with the image's name as written, and an override of tag or
digest replaces both (kustomize, api/filters/imagetag). Flux Kustomizations have the same list
under `spec.images`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gitops_rollback.manifest.document import items_of, lookup, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import yaml

    from gitops_rollback.manifest.document import ParsedFile

KUSTOMIZATION_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_OVERRIDES = ("newName", "newTag", "digest")
_REFERENCES = ("resources", "bases", "components")


@dataclass(frozen=True)
class ImageOverride:
    """An `images:` entry: the image name it applies to, and where it stands."""

    path: str
    line: int
    name: str


def is_kustomization(path: str) -> bool:
    """Tell whether kustomize would read the file as a kustomization."""
    return PurePosixPath(path).name in KUSTOMIZATION_NAMES


def image_overrides(file: ParsedFile) -> tuple[ImageOverride, ...]:
    """Return the entries of a kustomization, or of a Flux Kustomization, that override images."""
    found = []
    for root in file.documents:
        for entry in _image_entries(file.path, root):
            name = lookup(entry, "name")
            text = text_of(name)
            if name is None or text is None or not any(lookup(entry, k) for k in _OVERRIDES):
                continue
            found.append(ImageOverride(file.path, name.start_mark.line + 1, text))
    return tuple(found)


def references(file: ParsedFile) -> tuple[str, ...]:
    """Return the paths a kustomization takes its resources and components from, as written."""
    return tuple(
        text
        for root in file.documents
        for key in _REFERENCES
        for item in items_of(lookup(root, key))
        if (text := text_of(item)) is not None
    )


def _image_entries(path: str, root: yaml.Node | None) -> Iterator[yaml.Node]:
    if is_kustomization(path):
        yield from items_of(lookup(root, "images"))
    elif text_of(lookup(root, "kind")) == "Kustomization":
        yield from items_of(lookup(lookup(root, "spec"), "images"))
