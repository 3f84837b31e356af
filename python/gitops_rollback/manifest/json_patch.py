"""Image fields of JSON patches (RFC 6902): what operations write to places of images. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from gitops_rollback.image import InvalidImageError, parse_image
from gitops_rollback.late import dataclass, regex, replace
from gitops_rollback.manifest.document import lookup, pointer_to, text_of
from gitops_rollback.manifest.helm import NO_NAME, ValuesPlace, values_fields
from gitops_rollback.manifest.image_field import (
    DIGEST,
    EDITABLE,
    PATCH,
    REFERENCE,
    TAG,
    VARIABLE_PROBLEM,
    ImageField,
    Part,
    Problem,
)
from gitops_rollback.manifest.scalars import read_scalar, spelling_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.manifest.document import ParsedFile

_IMAGE = regex(r"/(image|reference|[A-Za-z]*Image)$")
_ITEM = regex(r"/(initC|c)ontainers/(-|[0-9]+)$")
_VALUE = regex(r"^/spec/values/(?P<keys>.*)$")
_KIND = "Patch"
_NAME = "patch"


@dataclass(frozen=True)
class PatchPlace:
    """Where the value of an operation stands, and the place that it writes to."""

    file: ParsedFile
    document: int
    pointer: str
    target: str


def patch_fields(place: PatchPlace, value: yaml.Node | None) -> Iterator[ImageField]:
    """Yield the image fields of an operation's value."""
    values = _VALUE.match(place.target)
    if isinstance(value, yaml.ScalarNode):
        if values and place.target.rpartition("/")[2] in ("tag", "imageTag", "image_tag"):
            yield _part(place, value, TAG)
        elif values and place.target.endswith("/digest"):
            yield _part(place, value, DIGEST)
        elif _IMAGE.search(place.target) and not _is_switch(value):
            yield _part(place, value, REFERENCE)
    elif values is not None and value is not None:
        keys = values["keys"].split("/")
        found = values_fields(
            ValuesPlace(place.file, place.document, _KIND, _NAME, frozenset()),
            _below(value, keys[-1]),
            place.pointer.rpartition("/")[0],
        )
        for field in found:
            own = field.pointer.removeprefix(place.pointer.rpartition("/")[0])
            inner = own.removeprefix(f"/{keys[-1]}")
            yield replace(field, form=PATCH, pointer=place.pointer + inner)
    elif _ITEM.search(place.target):
        image = lookup(value, "image")
        if isinstance(image, yaml.ScalarNode):
            of_image = replace(place, pointer=pointer_to(place.pointer, "image"))
            name = text_of(lookup(value, "name")) or ""
            yield replace(_part(of_image, image, REFERENCE), container=name or place.target)


def _below(value: yaml.Node, key: str) -> yaml.Node:
    """Return a mapping with the value under the key that it gets."""
    name = yaml.ScalarNode("tag:yaml.org,2002:str", key, value.start_mark, value.start_mark)
    return yaml.MappingNode(
        "tag:yaml.org,2002:map", [(name, value)], value.start_mark, value.end_mark
    )


def _is_switch(value: yaml.ScalarNode) -> bool:
    return ":" not in value.value and "/" not in value.value and "$" not in value.value


def _part(place: PatchPlace, node: yaml.ScalarNode, role: str) -> ImageField:
    scalar = read_scalar(place.file, node)
    key = "value"
    problem = spelling_problem(scalar)
    if not problem and "${" in scalar.value:
        problem = VARIABLE_PROBLEM
    if not problem and role == REFERENCE:
        try:
            parse_image(scalar.value)
        except InvalidImageError as error:
            problem = Problem(str(error))
    return ImageField(
        path=place.file.path,
        document=place.document,
        kind=_KIND,
        name=_NAME,
        container=place.target,
        pointer=place.pointer,
        parts=(Part(role, key, scalar),),
        form=PATCH,
        containers=frozenset((place.target,)),
        problem=problem or (NO_NAME if role != REFERENCE else EDITABLE),
    )
