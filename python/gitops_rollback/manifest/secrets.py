"""Recognise manifests that hold secrets in clear, of which no copy may be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from gitops_rollback.manifest.document import items_of, lookup, text_of

if TYPE_CHECKING:
    from gitops_rollback.manifest.document import ParsedFile


def holds_clear_secret(file: ParsedFile) -> bool:
    """Tell whether a file has a Secret with `data` or `stringData` that is not encrypted."""
    return any(_is_clear(root) for root in file.documents)


def _is_clear(node: yaml.Node | None) -> bool:
    if any(_is_clear(item) for item in items_of(lookup(node, "items"))):
        return True
    if text_of(lookup(node, "kind")) != "Secret" or lookup(node, "sops") is not None:
        return False
    contents = (lookup(node, "data"), lookup(node, "stringData"))
    return any(isinstance(c, yaml.MappingNode) and c.value for c in contents)
