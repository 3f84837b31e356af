"""What Flux objects say about images: Kustomizations and HelmReleases. Pure.

fluxcd.io/flux/components/kustomize/kustomizations (path, images, patches, postBuild) and
fluxcd.io/flux/components/helm/helmreleases (values, postRenderers).
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.late import dataclass, field
from gitops_rollback.manifest.document import items_of, line_of, lookup, pointer_to, text_of
from gitops_rollback.manifest.helm import values_fields
from gitops_rollback.manifest.kustomize import (
    Addition,
    ImageEntry,
    Patch,
    read_entries,
    read_patches,
)
from gitops_rollback.manifest.objects import folder_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.manifest.image_field import ImageField, Place
    from gitops_rollback.manifest.objects import ManifestObject

KUSTOMIZE_GROUP = "kustomize.toolkit.fluxcd.io"
HELM_GROUP = "helm.toolkit.fluxcd.io"
# Annotations and labels by which Flux leaves an object as it is, with the values that do it, in
# whatever case (kustomize-controller:docs/spec/v1/kustomizations.md, "Controlling the apply
# behavior of resources"; fluxcd/pkg:ssa/utils, `AnyInMetadata`).
LEAVES_ALONE = {
    f"{KUSTOMIZE_GROUP}/reconcile": ("disabled",),
    f"{KUSTOMIZE_GROUP}/ssa": ("ifnotpresent", "ignore"),
}


@dataclass(frozen=True)
class Definition:
    """The scalar that gives a Flux variable its value, and where it stands."""

    place: Place
    node: yaml.ScalarNode


@dataclass(frozen=True)
class Source:
    """An object that values or variables come from; `key` and `target` are those of values."""

    kind: str
    name: str
    line: int
    key: str = ""
    target: str = ""
    optional: bool = False


@dataclass(frozen=True)
class FluxKustomization:
    """A Flux Kustomization: the folder it applies, and how it changes what is in there.

    `sources` are what variables come from too, later ones first; `path` and the components of what
    is `added` are from the root of the repository.
    """

    name: str
    namespace: str
    file_path: str
    line: int
    path: str
    added: Addition
    is_suspended: bool
    definitions: dict[str, Definition]
    sources: tuple[Source, ...]
    spec: yaml.Node | None = field(default=None, repr=False, compare=False)

    @property
    def changes_images(self) -> bool:
        """Whether it could make other images of the files that it applies."""
        return bool(self.added.changes_images or self.definitions or self.sources)


def flux_kustomization(item: ManifestObject) -> FluxKustomization | None:
    """Return an object as the Flux Kustomization it is, or None if it is another."""
    if not _is_flux_kustomization(item):
        return None
    spec, by = item.find("spec"), item.file.path
    path = folder_of(text_of(lookup(spec, "path")) or "")
    components = (text_of(one) or "" for one in items_of(lookup(spec, "components")))
    # Flux takes these as objects: they cannot be followed as texts.
    merges = items_of(lookup(spec, "patchesStrategicMerge"))
    added = Addition(
        path=by,
        line=item.line,
        patches=(
            *(Patch(by, line_of(one)) for one in merges),
            *read_patches(by, lookup(spec, "patches")),
        ),
        json_patches=tuple(read_patches(by, lookup(spec, "patchesJson6902"))),
        entries=kustomization_entries(item),
        components=tuple(posixpath.normpath(posixpath.join(path, one)) for one in components),
        namespace=text_of(lookup(spec, "targetNamespace")) or "",
        prefix=text_of(lookup(spec, "namePrefix")) or "",
        suffix=text_of(lookup(spec, "nameSuffix")) or "",
    )
    return FluxKustomization(
        name=item.name,
        namespace=item.namespace or "",
        file_path=by,
        line=item.line,
        path=path,
        added=added,
        is_suspended=text_of(item.find("spec", "suspend")) == "true",
        definitions=definitions(
            item, item.find("spec", "postBuild", "substitute"), "/spec/postBuild/substitute"
        ),
        sources=tuple(reversed(read_sources(item.find("spec", "postBuild", "substituteFrom")))),
        spec=spec,
    )


def inline_patches(item: ManifestObject) -> Iterator[yaml.ScalarNode]:
    """Yield the texts of the patches that are written into a Flux Kustomization."""
    for key in ("patches", "patchesJson6902") if _is_flux_kustomization(item) else ():
        for patch in read_patches("", item.find("spec", key)):
            if patch.inline is not None:
                yield patch.inline


def read_sources(node: yaml.Node | None) -> list[Source]:
    """Return what `substituteFrom` or `valuesFrom` names, in its order."""
    return [
        Source(
            kind=text_of(lookup(one, "kind")) or "",
            name=text_of(lookup(one, "name")) or "",
            line=line_of(one),
            key=text_of(lookup(one, "valuesKey")) or "values.yaml",
            target=text_of(lookup(one, "targetPath")) or "",
            optional=text_of(lookup(one, "optional")) == "true",
        )
        for one in items_of(node)
    ]


def kustomization_entries(item: ManifestObject) -> tuple[ImageEntry, ...]:
    """Return the `spec.images` of a Flux Kustomization."""
    if not _is_flux_kustomization(item):
        return ()
    return tuple(read_entries(item.place.below("/spec/images"), item.find("spec", "images")))


def release_fields(item: ManifestObject) -> list[ImageField]:
    """Return the image fields in the values of a HelmRelease."""
    if item.kind != "HelmRelease" or item.api_group not in ("", HELM_GROUP):
        return []
    return values_fields(item.place.below("/spec/values"), item.find("spec", "values"))


def release_entries(item: ManifestObject) -> tuple[ImageEntry, ...]:
    """Return the `images` of a HelmRelease's post-renderers, in their order."""
    if item.kind != "HelmRelease" or item.api_group not in ("", HELM_GROUP):
        return ()
    found: list[ImageEntry] = []
    for index, renderer in enumerate(items_of(item.find("spec", "postRenderers"))):
        images = lookup(lookup(renderer, "kustomize"), "images")
        place = item.place.below(f"/spec/postRenderers/{index}/kustomize/images")
        found.extend(read_entries(place, images))
    return tuple(found)


def definitions(
    item: ManifestObject, mapping: yaml.Node | None, pointer: str
) -> dict[str, Definition]:
    """Return the variables that a mapping of an object defines."""
    if not isinstance(mapping, yaml.MappingNode):
        return {}
    return {
        str(key.value): Definition(item.place.below(pointer_to(pointer, str(key.value))), value)
        for key, value in mapping.value
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
    }


def _is_flux_kustomization(item: ManifestObject) -> bool:
    return item.kind == "Kustomization" and item.api_group in ("", KUSTOMIZE_GROUP)
