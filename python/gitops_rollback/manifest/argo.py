"""Image fields of Argo CD's Applications: in the values that they give to charts. Pure.

argo-cd.readthedocs.io, user guide, Helm: `valuesObject`, or else `values` (a text that is YAML),
of `spec.source` or of each of `spec.sources`.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.late import regex, replace
from gitops_rollback.manifest.document import items_of, lookup, root_of, text_of
from gitops_rollback.manifest.helm import values_fields
from gitops_rollback.manifest.image_field import (
    KUSTOMIZE,
    REFERENCE,
    Part,
    Problem,
    split_version,
)
from gitops_rollback.manifest.kustomize import ImageEntry
from gitops_rollback.manifest.objects import ManifestObject, folder_of
from gitops_rollback.manifest.scalars import fields_in, read_scalar, spelling_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField, Place

RENAMES = Problem(
    "its text renames the image:", "take it out, and write an `images:` entry in the kustomization"
)
ARGO_GROUP = "argoproj.io"
_OVERRIDE = regex(r"\.argocd-source(?:-(?P<name>.+))?\.yaml")


def chart_sources(application: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the sources of an Application with their pointers; `sources` count, else `source`."""
    spec = lookup(application, "spec")
    several = items_of(lookup(spec, "sources"))
    for index, source in enumerate(several):
        yield f"/spec/sources/{index}", source
    one = lookup(spec, "source")
    if one is not None and not several:
        yield "/spec/source", one


def is_application(item: ManifestObject) -> bool:
    """Tell whether an object is an Application of Argo CD."""
    return item.kind == "Application" and item.api_group == ARGO_GROUP


def override_of(path: str) -> str | None:
    """Return of which Application a file holds overrides: empty for any; None for another file.

    `.argocd-source.yaml` and `.argocd-source-NAME.yaml` in the folder of an Application's source,
    as Argo CD's Image Updater writes them (argo-cd.readthedocs.io, Parameter Overrides).
    """
    match = _OVERRIDE.fullmatch(posixpath.basename(path))
    return (match["name"] or "") if match is not None else None


def override_names(application: str) -> tuple[str, str]:
    """Return what files are called that override the sources of an Application."""
    return ".argocd-source.yaml", f".argocd-source-{application}.yaml"


def override_fields(file: ParsedFile) -> Iterator[ImageField]:
    """Yield the image fields of a file of overrides."""
    name = override_of(file.path)
    root = root_of(file)
    if name is None or root is None:
        return
    item = ManifestObject(file, 0, "", root, "Application")
    yield from (entry.field for entry in kustomize_images(item, "", root))


def folders_of(item: ManifestObject) -> Iterator[str]:
    """Yield the folders of a repository that an Application names, of charts and of values."""
    for _pointer, source in chart_sources(item.node):
        folder = text_of(lookup(source, "path"))
        if folder is not None:
            yield folder_of(folder)
        for listed in items_of(lookup(lookup(source, "helm"), "valueFiles")):
            name, slash, path = (text_of(listed) or "").partition("/")
            if name.startswith("$") and slash:
                yield posixpath.dirname(posixpath.normpath(path))


def application_fields(item: ManifestObject) -> Iterator[ImageField]:
    """Yield the image fields in the values of an Application, as far as they stand in it."""
    if not is_application(item):
        return
    for pointer, source in chart_sources(item.node):
        yield from (entry.field for entry in kustomize_images(item, pointer, source))
        helm = lookup(source, "helm")
        written = lookup(helm, "valuesObject")
        text = lookup(helm, "values")
        if isinstance(written, yaml.MappingNode):
            yield from values_fields(item.place.below(f"{pointer}/helm/valuesObject"), written)
        elif isinstance(text, yaml.ScalarNode):
            yield from text_fields(item.place, text)


def kustomize_images(item: ManifestObject, pointer: str, source: yaml.Node) -> Iterator[ImageEntry]:
    """Yield the `kustomize.images` of a source as `images:` entries: `name:tag`, `name=other:tag`.

    They are texts as `kustomize edit set image` takes them.
    """
    for index, node in enumerate(items_of(lookup(lookup(source, "kustomize"), "images"))):
        if not isinstance(node, yaml.ScalarNode):
            continue
        scalar = read_scalar(item.file, node)
        name, other = "", scalar.value
        if "=" in scalar.value:
            name, _, other = scalar.value.partition("=")
        own, version = split_version(other)
        place = item.place.below(f"{pointer}/kustomize/images/{index}")
        parts = (Part(REFERENCE, "image", scalar),)
        problem = RENAMES if name else spelling_problem(scalar)
        field = place.field(name or own, parts, KUSTOMIZE, problem)
        field = replace(field, shown_name=own if name else None)
        yield ImageEntry(name or own, own if name else None, "", field, version)


def text_fields(place: Place, text: yaml.ScalarNode) -> Iterator[ImageField]:
    """Yield the image fields of values in a text; none where it cannot be edited in its file."""

    def in_values(block: ParsedFile) -> Iterable[ImageField]:
        return values_fields(replace(place, file=block, document=0, pointer=""), root_of(block))

    return fields_in(place.file, text, in_values)
