"""Image fields of `images:` entries: of kustomizations, and of Flux objects that have the same.

An entry's `name` chooses images by their name as written; `newTag` or `digest` replace both of
the image's own, `newName` only the name (kustomize, api/filters/imagetag/updater.go).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.image import InvalidImageError, is_tag, parse_image
from gitops_rollback.manifest.document import items_of, lookup, text_of
from gitops_rollback.manifest.image_field import (
    DIGEST,
    KUSTOMIZE,
    NAME,
    TAG,
    VARIABLE_PROBLEM,
    ImageField,
    Part,
)
from gitops_rollback.manifest.scalars import read_scalar, refuse_duplicate_keys, spelling_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.manifest.document import ParsedFile

_ROLES = {"newName": NAME, "newTag": TAG, "digest": DIGEST}
_WILD = frozenset("*+?()[]{}|^$\\")
_QUANTIFIERS = frozenset("*+?{")  # what stands before one may be missing
# What kustomize lets follow the name, api/internal/image/image.go: no variable, no other digest.
_VERSION = re.compile(r"(:[a-zA-Z0-9_.{}-]*)?(@sha256:[a-zA-Z0-9_.{}-]*)?")
NO_VERSION = "it sets no tag or digest: the image it renames keeps its own"


@dataclass(frozen=True)
class ImageEntry:
    """An `images:` entry: the image name it is for, and the field it is.

    `new_name` is absent where the name stays; `suffix` is kustomize's `tagSuffix`.
    """

    name: str
    new_name: str | None
    suffix: str
    field: ImageField

    @property
    def sets_version(self) -> bool:
        """Whether the entry replaces tag and digest."""
        return bool(self.field.version)

    @property
    def is_pattern(self) -> bool:
        """Whether kustomize reads the name as more than a name: it is a regular expression."""
        return not _WILD.isdisjoint(self.name)

    def matches(self, name: str, version: str) -> bool:
        """Tell whether the entry is for an image; a dot stands for any character.

        A version with a Flux variable in it is none to kustomize, which runs before Flux fills it.
        """
        is_named = len(name) == len(self.name) and _is_alike(self.name, name)
        return is_named and _VERSION.fullmatch(version) is not None

    def may_match(self, name: str) -> bool:
        """Tell whether the entry, whose name is a pattern, can be for an image of this name.

        Only what stands before the first sign of a pattern is judged: a repository could hold an
        expression that never ends.
        """
        if "|" in self.name:
            return True
        pattern = self.name.removeprefix("^")
        end = next((n for n, sign in enumerate(pattern) if sign in _WILD), len(pattern))
        if pattern[end : end + 1] in _QUANTIFIERS:
            end -= 1
        return len(name) >= end and _is_alike(pattern[:end], name[:end])


@dataclass(frozen=True)
class EntryList:
    """Where a list of entries stands, and whose it is."""

    file: ParsedFile
    document: int
    kind: str
    name: str
    pointer: str
    namespace: str = ""


def read_entries(place: EntryList, images: yaml.Node | None) -> Iterator[ImageEntry]:
    """Yield the entries of an `images:` list in their order.

    Raises `ManifestError` where a key stands twice in one.
    """
    for index, node in enumerate(items_of(images)):
        refuse_duplicate_keys(place.file.path, [node])
        name = lookup(node, "name")
        text = text_of(name)
        if not isinstance(name, yaml.ScalarNode) or not text:
            continue
        parts = tuple(_parts(place.file, node))
        field = ImageField(
            path=place.file.path,
            document=place.document,
            kind=place.kind,
            name=place.name,
            container=text,
            pointer=f"{place.pointer}/{index}",
            parts=parts or (Part(NAME, "name", read_scalar(place.file, name)),),
            namespace=place.namespace,
            form=KUSTOMIZE,
            containers=frozenset((text,)),
            shown_name=None if any(p.role == NAME and p.text for p in parts) else text,
            problem=_problem(parts, text),
        )
        new_name = next((p.text for p in parts if p.role == NAME and p.text), None)
        yield ImageEntry(text, new_name, text_of(lookup(node, "tagSuffix")) or "", field)


def _is_alike(pattern: str, name: str) -> bool:
    return all(wanted in (".", sign) for wanted, sign in zip(pattern, name, strict=True))


def _parts(file: ParsedFile, node: yaml.Node) -> Iterator[Part]:
    for key, role in _ROLES.items():
        value = lookup(node, key)
        if isinstance(value, yaml.ScalarNode):
            yield Part(role, key, read_scalar(file, value))


def _problem(parts: tuple[Part, ...], name: str) -> str:
    texts = {part.role: part.text for part in parts}
    if not texts.get(TAG) and not texts.get(DIGEST):
        return NO_VERSION
    for part in parts:
        problem = spelling_problem(part.scalar)
        if problem:
            return problem
    return version_problem(texts.get(NAME) or name, texts.get(TAG, ""), texts.get(DIGEST, ""))


def version_problem(name: str, tag: str, digest: str) -> str:
    """Return why name, tag and digest make no image, or none that can be edited."""
    if "${" in name + tag + digest:
        return VARIABLE_PROBLEM
    if "@" in tag and digest:
        return "it names two digests"
    if tag and not is_tag(tag.partition("@")[0]):
        return f"'{tag}' is no tag"
    text = name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    try:
        parse_image(text)
    except InvalidImageError as error:
        return str(error)
    return ""
