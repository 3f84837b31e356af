"""The values that an Argo CD Application gives to its charts, from all their layers. Pure.

Later layers win (argo-cd.readthedocs.io, user guide, Helm): the chart's `values.yaml`, then
`valueFiles` in their order, then `valuesObject` or else `values`, then `parameters`.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.build import Addition
from gitops_rollback.effective.helm import Embedded, Layers, embedded_in, merged
from gitops_rollback.effective.objects import Unknown
from gitops_rollback.effective.tree import entries, find, with_path
from gitops_rollback.manifest.argo import chart_sources, kustomize_images
from gitops_rollback.manifest.document import items_of, lookup, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gitops_rollback.effective.objects import Resource
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.objects import ManifestObject

# What an Application says of kustomize that cannot touch an image.
_HARMLESS = frozenset(
    {
        "version",
        "namePrefix",
        "nameSuffix",
        "commonLabels",
        "commonAnnotations",
        "commonAnnotationsEnvsubst",
        "forceCommonLabels",
        "forceCommonAnnotations",
        "labelWithoutSelector",
        "labelIncludeTemplates",
        "replicas",
        "namespace",
    }
)
_ACCEPT = "look at what it does to the image, then deploy with --accept effect"


def application_layers(
    resource: Resource, parsed: Callable[[str], ParsedFile | None]
) -> list[Layers]:
    """Return the values that an Application gives to the chart of each of its sources.

    `parsed` reads a file of the repository.
    """
    return [_layers(resource, source, parsed) for _pointer, source in chart_sources(resource.node)]


def argo_additions(
    application: ManifestObject,
) -> Iterator[tuple[str, Addition, tuple[Unknown, ...]]]:
    """Yield the folders whose kustomization an Application changes, how, and what is unknown of it.

    Argo CD sets its images as `kustomize edit set image` does: an entry of that name is another one
    (argo-cd.readthedocs.io, user guide, Kustomize).
    """
    for pointer, source in chart_sources(application.node):
        options = lookup(source, "kustomize")
        folder = text_of(lookup(source, "path"))
        if folder is None or not entries(options).keys() - _HARMLESS:
            continue
        path, line = application.file.path, source.start_mark.line + 1
        images = kustomize_images(application, pointer, source)
        addition = Addition(path, line, entries=tuple(images))
        doubts = tuple(
            Unknown(path, value.start_mark.line + 1, f"kustomize.{key}", "not followed", _ACCEPT)
            for key, value in entries(options).items()
            if key not in _HARMLESS and key != "images"
        )
        where = posixpath.normpath(folder.strip("/") or ".")
        yield "" if where == "." else where, addition, doubts


def directories(application: yaml.Node | None) -> Iterator[tuple[str, bool]]:
    """Yield the folders that an Application takes, each with whether all below it is taken too."""
    for _pointer, source in chart_sources(application):
        folder = text_of(lookup(source, "path"))
        if folder is not None:
            below = text_of(find(source, "directory", "recurse")) == "true"
            path = posixpath.normpath(folder.strip("/") or ".")
            yield "" if path == "." else path, below


def _layers(
    resource: Resource, source: yaml.Node, parsed: Callable[[str], ParsedFile | None]
) -> Layers:
    helm = lookup(source, "helm")
    values: yaml.Node | None = None
    unread: list[Unknown] = []
    paths: list[str] = []
    for path, listed in _files(source, helm):
        file = parsed(path)
        if file is not None and file.trees and file.trees[0] is not None:
            values = merged(values, file.trees[0])
            paths.append(path)
        elif listed is not None and text_of(lookup(helm, "ignoreMissingValueFiles")) != "true":
            unread.append(_unknown(resource, listed, "valueFiles", f"{path} is not read"))
    embedded: dict[int, Embedded] = {}
    own = lookup(helm, "valuesObject")
    text = lookup(helm, "values")
    if not isinstance(own, yaml.MappingNode) and isinstance(text, yaml.ScalarNode):
        where = f"the text of helm.values ({resource.path}:{text.start_mark.line + 1})"
        own = embedded_in(resource, text, where, parsed, embedded)
        if own is None and text.value.strip():
            unread.append(_unknown(resource, text, "helm.values", "it cannot be read"))
    if isinstance(own, yaml.MappingNode):
        values = merged(values, own)
    for parameter in items_of(lookup(helm, "parameters")):
        name, value = text_of(lookup(parameter, "name")) or "", lookup(parameter, "value")
        if not name or set(name) & set("[]\\,") or not isinstance(value, yaml.ScalarNode):
            unread.append(_unknown(resource, parameter, "parameters", f"{name} is not followed"))
        else:
            values = merged(values, with_path(None, tuple(name.split(".")), value))
    files = items_of(lookup(helm, "fileParameters"))
    unread += [_unknown(resource, one, "fileParameters", "the file is not read") for one in files]
    return Layers(
        values=values,
        chart=tuple(paths),
        unknowns=tuple(unread),
        paths=tuple(paths),
        embedded=embedded,
    )


def _files(source: yaml.Node, helm: yaml.Node | None) -> list[tuple[str, yaml.Node | None]]:
    """Return the files of values: of a chart in this repository, and those that are listed."""
    folder = text_of(lookup(source, "path"))
    found: list[tuple[str, yaml.Node | None]] = []
    if folder is not None:
        found.append((posixpath.normpath(f"{folder}/values.yaml"), None))
    for listed in items_of(lookup(helm, "valueFiles")):
        written = text_of(listed) or ""
        if written.startswith("$"):  # another source's name, which is a repository
            found.append((posixpath.normpath(written.partition("/")[2]), listed))
        elif "://" not in written:
            base = "" if written.startswith("/") else f"{folder or '?'}/"
            found.append((posixpath.normpath(f"{base}{written.lstrip('/')}"), listed))
        else:
            found.append((written, listed))
    return found


def _unknown(resource: Resource, node: yaml.Node, construct: str, why: str) -> Unknown:
    return Unknown(resource.path, node.start_mark.line + 1, construct, why, _ACCEPT)
