"""Image fields of Helm values: of `spec.values` in a HelmRelease, and of values files. Pure.

There is no schema for a chart's values; these are the forms charts use: `image: name:tag`, a
mapping of `registry`, `repository` (or `name`), `tag` and `digest` under any key, and a name with
its tag beside it. A tag may bear the digest: `v1@sha256:…` (helm.sh/docs/chart_best_practices).
"""

from __future__ import annotations

import posixpath
from functools import partial
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.image import find_image, has_registry
from gitops_rollback.late import replace
from gitops_rollback.manifest.document import items_of, lookup, pointer_to, printed, text_of
from gitops_rollback.manifest.image_field import (
    DIGEST,
    EDITABLE,
    HELM,
    NAME,
    REFERENCE,
    REGISTRY,
    TAG,
    Part,
    Problem,
    split_version,
)
from gitops_rollback.manifest.kustomize import version_problem
from gitops_rollback.manifest.scalars import read_scalar, reference_problem, spelling_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gitops_rollback.manifest.image_field import ImageField, Place, Scalar

CHART_FILE = "Chart.yaml"  # which makes its folder a chart
NO_NAME = Problem(
    "the image's name is the chart's:", "say it as `image` of the service in the configuration"
)
OTHER_REGISTRY = Problem(
    "global.imageRegistry may stand in the place of its registry, as the chart has it:",
    "say the image that really runs as `image` of the service in the configuration",
)
NO_VERSION = Problem(
    "its tag is the chart's:",
    "set one in the last layer of its values: a release's own `values`, where there is one",
)
_NAMES_BY_THEMSELVES = (
    "repository",
    "repo",
    "imageRepository",
    "image_repository",
    "imageName",
    "image_name",
)
NAME_KEYS = (*_NAMES_BY_THEMSELVES, "name", "image")
_IMAGE_TAGS = ("imageTag", "image_tag")
TAG_KEYS = ("tag", *_IMAGE_TAGS, "version")


def is_chart_file(path: str) -> bool:
    """Tell whether a file says that its folder is a chart."""
    return posixpath.basename(path) == CHART_FILE


def is_values_file(path: str) -> bool:
    """Tell by its name whether a YAML file holds Helm values: `values.yaml`, `cart-values.yml`."""
    folder, name = posixpath.split(path)
    stem = posixpath.splitext(name)[0]
    return "values" in stem.lower().replace(".", "-").split("-") or (
        posixpath.basename(folder) == "values"
    )


def is_of_image(key: str) -> bool:
    """Tell whether a value of such a key may be an image, or a part of one."""
    return _is_image_key(key) or key in (*NAME_KEYS, *TAG_KEYS, "registry", "digest")


def values_fields(
    place: Place,
    values: yaml.Node | None,
    read: Callable[[yaml.ScalarNode], Scalar] | None = None,
    *,
    only_split: bool = False,
) -> list[ImageField]:
    """Return the image fields of some values.

    `read` reads scalars of values that were merged from several files; `only_split` takes none but
    a name with its tag beside it: of a file that is not sure to hold values. Raises `ManifestError`
    where a key stands twice on the way to a field.
    """
    found = list(_Values(read or partial(read_scalar, place.file), only_split).walk(place, values))
    registry = _global_registry(values)
    return [_elsewhere(field, registry) for field in found] if registry else found


def _global_registry(values: yaml.Node | None) -> str:
    """Return the registry that many charts put in the place of each image's own."""
    everywhere = lookup(values, "global")
    found = (text_of(lookup(everywhere, key)) for key in ("imageRegistry", "registry"))
    image = text_of(lookup(lookup(everywhere, "image"), "registry"))
    return next((text.strip("/") for text in (*found, image) if text), "")


def _elsewhere(field: ImageField, registry: str) -> ImageField:
    """Return a field of which it is the chart's to say whether the global registry counts."""
    part, own = field.part(NAME), field.part(REGISTRY)
    is_that = own is not None and own.text.strip("/") == registry
    name = part.text.strip("/") if part is not None else ""
    if field.part(REFERENCE) is not None:  # of one with a registry no other stands before it
        name = "" if has_registry(field.name_text) else field.name_text
    if not name or is_that or field.problem:
        return field
    return replace(field, other_name=f"{registry}/{name}", problem=OTHER_REGISTRY)


class _Values:
    """Finds the fields of values; what aliases repeat is looked at once."""

    def __init__(self, read: Callable[[yaml.ScalarNode], Scalar], only_split: bool) -> None:  # noqa: FBT001
        self._read = read
        self._only_split = only_split
        self._seen: set[int] = set()

    def walk(
        self, place: Place, node: yaml.Node | None, keys: tuple[str, ...] = ()
    ) -> Iterator[ImageField]:
        """Yield the fields at a place of the values, and below it."""
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        for index, item in enumerate(items_of(node)):
            yield from self.walk(place.below(f"/{index}"), item, (*keys, str(index)))
        if not isinstance(node, yaml.MappingNode):
            return
        found = self._mapping_field(place, node, keys)
        if found is not None:
            yield found
        for key_node, value in node.value:
            key = text_of(key_node)
            if key is None:
                continue
            below = place.below(pointer_to("", key))
            if not isinstance(value, yaml.ScalarNode):
                yield from self.walk(below, value, (*keys, key))
            elif found is not None or self._only_split:
                continue
            elif _is_image_key(key) or (_is_of_images(keys) and _is_whole(value.value)):
                yield from self._scalar_field(below, value, (*keys, key))

    def _mapping_field(
        self, place: Place, node: yaml.MappingNode, keys: tuple[str, ...]
    ) -> ImageField | None:
        """Return the field that a mapping is: with a name, or called image, and with a version."""
        is_image = _is_of_images(keys)
        tag_key = next((k for k in _tag_keys(is_image=is_image) if _scalar(node, k)), "tag")
        tag, digest = _scalar(node, tag_key), _scalar(node, "digest")
        has_version = tag is not None or digest is not None
        name_key = _name_key(node, is_image=is_image, has_version=has_version)
        says_image = is_image or tag_key in _IMAGE_TAGS or not keys
        if name_key is None and not (says_image and has_version):
            return None
        if self._only_split and (name_key is None or tag is None):
            return None
        candidates = (
            (REGISTRY, "registry" if name_key else ""),
            (NAME, name_key or ""),
            (TAG, tag_key),
            (DIGEST, "digest"),
        )
        parts = tuple(
            Part(role, key, self._read(value), printed=printed(value))
            for role, key in candidates
            if (value := _scalar(node, key)) is not None
        )
        return _field(place, parts, keys or ("values",), _problem(parts))

    def _scalar_field(
        self, place: Place, node: yaml.ScalarNode, keys: tuple[str, ...]
    ) -> Iterator[ImageField]:
        scalar = self._read(node)
        text = scalar.value
        if scalar.is_null or not text or "{{" in text:
            return
        if find_image(text) is None and not any(sign in text for sign in (":", "/", "${")):
            return  # a switch, a file: charts call many things image
        parts = (Part(REFERENCE, "image", scalar),)
        yield _field(place, parts, keys, reference_problem(scalar))


def _is_whole(text: str) -> bool:
    """Tell whether a text is surely an image: one with a version."""
    return find_image(text) is not None and not _is_bare_name(text)


def _is_image_key(key: str) -> bool:
    return key == "image" or key.endswith("Image")


def _is_of_images(keys: tuple[str, ...]) -> bool:
    """Tell whether a mapping is called image, or is in a list or a mapping of images."""
    named = [key for key in keys if not key.isdecimal()]
    return bool(named) and (_is_image_key(named[-1]) or named[-1].lower().endswith("images"))


def _tag_keys(*, is_image: bool) -> tuple[str, ...]:
    """Return the keys a tag has; `version` is one only of what is called image."""
    return TAG_KEYS if is_image else TAG_KEYS[:-1]


def _name_key(node: yaml.MappingNode, *, is_image: bool, has_version: bool) -> str | None:
    for key in NAME_KEYS:
        value = _scalar(node, key)
        if value is None or not value.value:
            continue
        if key in _NAMES_BY_THEMSELVES and (has_version or is_image):
            return key
        if key == "name" and is_image and has_version:
            return key
        if key == "image" and has_version and _is_bare_name(value.value):
            return key
    return None


def _is_bare_name(text: str) -> bool:
    image = find_image(text)
    return image is not None and image.tag is None and image.digest is None


def _field(
    place: Place, parts: tuple[Part, ...], keys: tuple[str, ...], problem: Problem
) -> ImageField:
    field = place.field(".".join(keys), parts, HELM, problem)
    return replace(field, containers=frozenset((field.container, keys[-1])))


def _problem(parts: tuple[Part, ...]) -> Problem:
    texts = {part.role: part.text for part in parts}
    for part in parts:
        problem = spelling_problem(part.scalar)
        if problem:
            return problem
    if any("{{" in text for text in texts.values()):
        return Problem("it is a template")
    tag, digest = texts.get(TAG, ""), texts.get(DIGEST, "")
    if not tag and not digest:
        return NO_VERSION
    if split_version(texts.get(NAME, ""))[1]:
        return Problem(
            f"its name has a version in it ('{texts[NAME]}'):", "write that as tag or digest"
        )
    names = [texts[role].strip("/") for role in (REGISTRY, NAME) if texts.get(role)]
    problem = version_problem("/".join(names) or "chart", tag, digest)
    return problem or (EDITABLE if names else NO_NAME)


def _scalar(node: yaml.Node, key: str) -> yaml.ScalarNode | None:
    value = lookup(node, key) if key else None
    return value if isinstance(value, yaml.ScalarNode) else None
