"""ConfigMaps and Secrets that kustomize generates, as far as they are known. Pure.

api/internal/generators, api/resource (MergeDataMapFrom).
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.objects import outline
from gitops_rollback.effective.tree import entries, opaque_node, text_node, with_path
from gitops_rollback.manifest.document import items_of, lookup, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_KINDS = {"configMapGenerator": "ConfigMap", "secretGenerator": "Secret"}


def generated(root: yaml.Node | None) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Yield what a kustomization generates: the field, the item that says it, and the object."""
    options = lookup(root, "generatorOptions")
    for key, kind in _KINDS.items():
        for by in items_of(lookup(root, key)):
            name = text_of(lookup(by, "name"))
            if name:
                node = outline("v1", kind, text_of(lookup(by, "namespace")) or "", name)
                yield key, by, _filled(_marked(node, options, lookup(by, "options")), by)


def _marked(node: yaml.Node, *options: yaml.Node | None) -> yaml.Node:
    for where in ("labels", "annotations"):
        for given in options:
            for key, value in entries(lookup(given, where)).items():
                node = with_path(node, ("metadata", where, key), value)
    return node


def _filled(node: yaml.Node, by: yaml.Node) -> yaml.Node:
    """Return an object with its data: files are not read, and those of variables name its keys."""
    unknown = opaque_node(by)
    if text_of(lookup(by, "env")) or items_of(lookup(by, "envs")):
        return with_path(node, ("data",), unknown)
    is_clear = text_of(lookup(node, "kind")) == "ConfigMap"
    for one in items_of(lookup(by, "files")):
        key, is_given, _path = (text_of(one) or "").partition("=")
        node = with_path(node, ("data", key if is_given else posixpath.basename(key)), unknown)
    for one in items_of(lookup(by, "literals")):
        key, _, value = (text_of(one) or "").partition("=")
        node = with_path(node, ("data", key), text_node(value, by) if is_clear else unknown)
    return node


def refilled(old: yaml.Node, made: yaml.Node, behavior: str) -> yaml.Node:
    """Return an object with the data of what is generated: merged into its own, or for them."""
    data, was = lookup(made, "data"), lookup(old, "data")
    if data is None:
        return old
    if behavior != "merge" or not isinstance(was, yaml.MappingNode):
        return with_path(old, ("data",), data)
    if not isinstance(data, yaml.MappingNode):
        return with_path(old, ("data",), opaque_node(data))
    for key, value in entries(data).items():
        old = with_path(old, ("data", key), value)
    return old
