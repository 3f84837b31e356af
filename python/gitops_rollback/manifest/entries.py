"""Image fields of `images:` entries: of kustomizations, and of Flux objects that have the same.

An entry's `name` chooses images by their name as written; `newTag` or `digest` replace both of
the image's own, `newName` only the name (kustomize, api/filters/imagetag/updater.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from gitops_rollback.image import InvalidImageError, is_tag, parse_image
from gitops_rollback.late import dataclass, replace
from gitops_rollback.manifest.document import items_of, lookup, text_of
from gitops_rollback.manifest.image_field import (
    DIGEST,
    EDITABLE,
    KUSTOMIZE,
    NAME,
    TAG,
    VARIABLE_PROBLEM,
    Part,
    Problem,
    split_version,
)
from gitops_rollback.manifest.scalars import read_scalar, refuse_duplicate_keys, spelling_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField, Place

_ROLES = {"newName": NAME, "newTag": TAG, "digest": DIGEST}
_SIGNS = frozenset("*+?()[]{}|^$\\")  # of a name that is a regular expression, and none itself
NO_VERSION = Problem("it sets no tag or digest: the image it renames keeps its own")


@dataclass(frozen=True)
class ImageEntry:
    """An `images:` entry: the image name it is for, and the field it is.

    `new_name` is absent where the name stays; `suffix` is kustomize's `tagSuffix`; `version` is
    what one text says that is the whole entry (Argo CD's), tag and digest behind the name; `doubt`
    says why it may not count as it stands.
    """

    name: str
    new_name: str | None
    suffix: str
    field: ImageField
    version: str = ""
    doubt: str = ""

    @property
    def sets_version(self) -> bool:
        """Whether the entry replaces tag and digest."""
        return bool(self.version or self.field.version)

    @property
    def tag_and_digest(self) -> tuple[str, str]:
        """The tag and the digest that it sets; empty where it sets none."""
        if self.version:
            written, _, of_content = self.version.partition("@")
            return (written.removeprefix(":"), of_content)
        tag, digest = self.field.part(TAG), self.field.part(DIGEST)
        return (tag.text if tag else "", digest.text if digest else "")

    def under(self, other: ImageEntry) -> ImageEntry:
        """Return what Flux makes of the entry where its own has the same name: it is merged in.

        Tag and digest are one thing there (fluxcd/pkg, kustomize/kustomize_generator.go). Until
        July 2026 the whole entry was replaced: what Flux's own does not say is in doubt.
        """
        loses_name = self.new_name is not None and other.new_name is None
        loses_version = self.sets_version and not other.sets_version
        lost = "newName" if loses_name else "newTag or digest" if loses_version else ""
        doubt = f"releases of Flux differ in whether the {lost} of {self.field.place} counts"
        field = other.field if other.sets_version else self.field
        version = other.version if other.sets_version else self.version
        name = other.new_name or self.new_name
        doubt = doubt if lost else other.doubt
        return replace(self, new_name=name, field=field, version=version, doubt=doubt)


def read_entries(place: Place, images: yaml.Node | None) -> Iterator[ImageEntry]:
    """Yield the entries of an `images:` list in their order.

    Raises `ManifestError` where a key stands twice in one.
    """
    for index, node in enumerate(items_of(images)):
        entry = read_entry(place.below(f"/{index}"), node)
        if entry is not None:
            yield entry


def read_entry(place: Place, node: yaml.Node | None) -> ImageEntry | None:
    """Return one entry; None for what has no name. Raises `ManifestError` as `read_entries`.

    It bears no name of a workload, whosever it is.
    """
    name = lookup(node, "name")
    text = text_of(name)
    if node is None or not isinstance(name, yaml.ScalarNode) or not text:
        return None
    refuse_duplicate_keys(place.file.path, [node])
    parts = tuple(_parts(place.file, node))
    shown = split_version(text)[0] or text  # there may be a tag behind it
    new_name = next((p.text for p in parts if p.role == NAME and p.text), None)
    all_parts = parts or (Part(NAME, "name", read_scalar(place.file, name)),)
    field = replace(
        place.field(text, all_parts, KUSTOMIZE, _problem(parts, shown)),
        labels=frozenset(),
        shown_name=None if new_name else shown,
    )
    return ImageEntry(text, new_name, text_of(lookup(node, "tagSuffix")) or "", field)


def _parts(file: ParsedFile, node: yaml.Node) -> Iterator[Part]:
    known = {name.lower(): role for name, role in _ROLES.items()}  # kustomize takes any case
    found = {}
    for key, value in node.value:
        role = known.get((text_of(key) or "").lower())
        if role is not None and isinstance(value, yaml.ScalarNode):
            found[role] = Part(role, str(key.value), read_scalar(file, value))
    yield from (found[role] for role in _ROLES.values() if role in found)


def _problem(parts: tuple[Part, ...], name: str) -> Problem:
    texts = {part.role: part.text for part in parts}
    if not texts.get(TAG) and not texts.get(DIGEST):
        return NO_VERSION
    for part in parts:
        problem = spelling_problem(part.scalar)
        if problem:
            return problem
    own = texts.get(NAME) or ("image" if _SIGNS.intersection(name) else name)
    return version_problem(own, texts.get(TAG, ""), texts.get(DIGEST, ""))


def version_problem(name: str, tag: str, digest: str) -> Problem:
    """Return why name, tag and digest make no image, or none that can be edited."""
    if "${" in name + tag + digest:
        return VARIABLE_PROBLEM
    if "@" in tag and digest:
        return Problem("it names two digests")
    if tag and not is_tag(tag.partition("@")[0]):
        return Problem(f"'{tag}' is no tag")
    text = name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    try:
        parse_image(text)
    except InvalidImageError as error:
        return Problem(str(error))
    return EDITABLE
