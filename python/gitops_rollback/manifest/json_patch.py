"""Image fields of JSON patches (RFC 6902): what operations write to places of images. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from gitops_rollback.late import regex, replace
from gitops_rollback.manifest.document import lookup, text_of
from gitops_rollback.manifest.helm import NO_NAME, values_fields
from gitops_rollback.manifest.image_field import (
    DIGEST,
    EDITABLE,
    PATCH,
    REFERENCE,
    TAG,
    VARIABLE_PROBLEM,
    Part,
)
from gitops_rollback.manifest.scalars import read_scalar, reference_problem, spelling_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.manifest.image_field import ImageField, Place

_IMAGE = regex(r"/(image|reference|[A-Za-z]*Image)$")
_ITEM = regex(r"/(initC|c)ontainers/(-|[0-9]+)$")
_VALUE = regex(r"^/spec/values/(?P<keys>.*)$")


def patch_fields(place: Place, target: str, value: yaml.Node | None) -> Iterator[ImageField]:
    """Yield the image fields of an operation's value, which is written to a place, `target`."""
    values = _VALUE.match(target)
    if isinstance(value, yaml.ScalarNode):
        if values and target.rpartition("/")[2] in ("tag", "imageTag", "image_tag"):
            yield _part(place, target, value, TAG)
        elif values and target.endswith("/digest"):
            yield _part(place, target, value, DIGEST)
        elif _IMAGE.search(target) and not _is_switch(value):
            yield _part(place, target, value, REFERENCE)
    elif values is not None and value is not None:
        key = values["keys"].rpartition("/")[2]
        above = place.pointer.rpartition("/")[0]
        for field in values_fields(replace(place, pointer=above), _below(value, key)):
            inner = field.pointer.removeprefix(above).removeprefix(f"/{key}")
            yield replace(field, form=PATCH, pointer=place.pointer + inner)
    elif _ITEM.search(target):
        image = lookup(value, "image")
        if isinstance(image, yaml.ScalarNode):
            name = text_of(lookup(value, "name")) or target
            field = _part(place.below("/image"), target, image, REFERENCE)
            yield replace(field, container=name)


def _below(value: yaml.Node, key: str) -> yaml.Node:
    """Return a mapping with the value under the key that it gets."""
    name = yaml.ScalarNode("tag:yaml.org,2002:str", key, value.start_mark, value.start_mark)
    return yaml.MappingNode(
        "tag:yaml.org,2002:map", [(name, value)], value.start_mark, value.end_mark
    )


def _is_switch(value: yaml.ScalarNode) -> bool:
    return ":" not in value.value and "/" not in value.value and "$" not in value.value


def _part(place: Place, target: str, node: yaml.ScalarNode, role: str) -> ImageField:
    scalar = read_scalar(place.file, node)
    problem = reference_problem(scalar)
    if role != REFERENCE:
        is_variable = VARIABLE_PROBLEM if "${" in scalar.value else EDITABLE
        problem = spelling_problem(scalar) or is_variable or NO_NAME
    return place.field(target, (Part(role, "value", scalar),), PATCH, problem)
