"""Patches of kustomizations and Flux objects, as far as they set images. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops_rollback.manifest.document import items_of, lookup, parse, text_of
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.image_field import split_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    import yaml

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.manifest.kustomize import Patch

INLINE_PROBLEM = (
    "an inline patch sets it; move the patch to a file of its own, or write an `images:` entry"
)
_SIMPLE = re.compile(r"\^?(?P<start>\.\*)?(?P<text>[A-Za-z0-9-]*)(?P<end>\.\*)?\$?")


@dataclass(frozen=True)
class Operation:
    """One operation of a JSON patch (RFC 6902); name and version are of the image it writes."""

    path: str
    name: str = ""
    version: str = ""

    def touches(self, pointer: str) -> bool:
        """Tell whether the operation changes what stands at a pointer."""
        return pointer == self.path or pointer.startswith(f"{self.path}/")


def operations_of(files: Mapping[str, ParsedFile], patch: Patch) -> tuple[Operation, ...]:
    """Return the operations of a JSON patch that may set images; none for a merge patch.

    Raises `ManifestError` for an inline patch that cannot be read.
    """
    root = _root(files, patch)
    return tuple(
        _operation(item)
        for item in items_of(root)
        if text_of(lookup(item, "op")) not in (None, "test")
    )


def fields_of_patch(
    fields: Mapping[str, tuple[ImageField, ...]],
    patch: Patch,
    path: str,
) -> tuple[ImageField, ...]:
    """Return the image fields of a strategic merge patch; inline ones must not be edited."""
    if patch.path is not None:
        return fields.get(patch.path, ())
    parsed = _inline(patch)
    if parsed is None:
        return ()
    return tuple(_inline_field(field, patch, path) for field in find_fields(parsed))


def selects(pattern: str | None, text: str) -> bool:
    """Tell whether a target's regular expression may choose a name; if in doubt, it does.

    Only names, and names with `.*` before or behind, are judged: a repository could hold an
    expression that never ends.
    """
    if pattern is None:
        return True
    return any(_chooses(part, text) for part in pattern.split("|"))


def _chooses(pattern: str, text: str) -> bool:
    match = _SIMPLE.fullmatch(pattern)
    if match is None:
        return True
    if match["start"]:
        return match["text"] in text if match["end"] else text.endswith(match["text"])
    return text.startswith(match["text"]) if match["end"] else text == match["text"]


def _operation(item: yaml.Node) -> Operation:
    path = text_of(lookup(item, "path")) or ""
    value = lookup(item, "value")
    image = text_of(value) if path.endswith(("/image", "/reference")) else None
    if image is None:
        return Operation(path)
    return Operation(path, *split_version(image))


def _root(files: Mapping[str, ParsedFile], patch: Patch) -> yaml.Node | None:
    parsed = files.get(patch.path) if patch.path is not None else _inline(patch)
    return parsed.documents[0] if parsed and parsed.documents else None


def _inline(patch: Patch) -> ParsedFile | None:
    if "image" not in patch.text:
        return None
    return parse("inline patch", patch.text.encode())


def _inline_field(field: ImageField, patch: Patch, path: str) -> ImageField:
    """Return the field of an inline patch with its line in the kustomization."""
    parts = tuple(
        replace(part, scalar=replace(part.scalar, line=part.scalar.line + patch.line))
        for part in field.parts
    )
    return replace(field, path=path, parts=parts, problem=INLINE_PROBLEM)
