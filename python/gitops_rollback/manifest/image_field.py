"""An image field: one place in a manifest that names an image, with all that is known of it.

It is one scalar (`image: acme/cart:1.4.2`), or several that belong together (`newName`, `newTag`
and `digest` of a kustomize entry; `registry`, `repository`, `tag` and `digest` of Helm values).

Behind its scalars there may be the markers that let Flux rewrite a value:
`# {"$imagepolicy": "flux-system:cart"}`, or above one that begins its own line, with `:tag`,
`:name` or `:digest` where only a part is meant (fluxcd.io, guides/image-update). The comment is a
JSON object of texts that has this key, and may have others (kyaml/fieldmeta). Under another key
the comment stays readable, and automation leaves the value alone.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, Any

import yaml

from gitops_rollback.errors import ManifestError
from gitops_rollback.image import ImageReference, find_image
from gitops_rollback.late import dataclass, field, regex, replace
from gitops_rollback.manifest.scan import NULL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from gitops_rollback.manifest.document import ParsedFile

ACTIVE_KEY = "$imagepolicy"
HELD_KEY = "$imagepolicy-held"
_COMMENT = regex(
    r"#+[ \t]*(?P<text>\{[^\r\n\x85\u2028\u2029]*\})[ \t]*(?=[\r\n\x85\u2028\u2029]|\Z)"
)
_COMMENT_SIGN = regex("#")
_BEHIND = regex(r"[ \t]*,?[ \t]*")
_ABOVE = regex(r"[ \t-]*(?=#)")
_KEY = regex(r'"(?P<key>\$imagepolicy(?:-held)?)"[ \t]*:')
_LINE_END = regex(r"[\r\n\x85\u2028\u2029]|\Z")
_LINE_SIGNS = "\r\n\x85\u2028\u2029"
_LARGEST_MARKER = 2_000  # characters


@dataclass(frozen=True)
class Marker:
    """A marker: its `text` as it stands, its policy, and the offsets of the key in the file."""

    text: str
    policy: str
    key_start: int
    key_end: int

    @property
    def is_held(self) -> bool:
        """Whether a rollback put the marker out of action."""
        return self.key_end - self.key_start == len(HELD_KEY)

    @property
    def active_text(self) -> str:
        """The marker as Flux reads it, held or not."""
        return self.text.replace(f'"{HELD_KEY}"', f'"{ACTIVE_KEY}"', 1)


def find_marker(text: str, start: int, end: int) -> Marker | None:
    """Return the marker of the value that stands between two offsets.

    It is the comment behind the value; where there is none, that above one that begins its line.
    """
    behind = _BEHIND.match(text, end)
    offset = behind.end() if behind else end
    if text.startswith("#", offset):
        return _marker_at(text, offset)
    line_start = _line_start(text, start)
    if text[line_start:start].strip(" \t-"):
        return None
    before = text[:line_start].rstrip()
    above = _ABOVE.match(before, _line_start(before, len(before)))
    return _marker_at(text, above.end()) if above else None


def markers_in(file: ParsedFile) -> list[Marker]:
    """Return the markers of a file that Flux reads: in comments, and not inside of texts."""
    if ACTIVE_KEY not in file.text:
        return []
    spans = sorted(_spans(file))
    starts = [start for start, _end in spans]
    found = []
    line_end = 0
    for start in (sign.start() for sign in _COMMENT_SIGN.finditer(file.text)):
        index = bisect_right(starts, start) - 1
        if start < line_end or (index >= 0 and start < spans[index][1]):
            continue  # it stands in a comment, or in a text
        line_end = _line_end(file.text, start)
        marker = _marker_at(file.text, start)
        if marker is not None:
            found.append(marker)
    return found


def policy_of(marker: Marker) -> str:
    """Return the policy that a marker names, without what it says of parts: `flux-system:cart`."""
    return ":".join(marker.policy.split(":")[:2])


def _spans(file: ParsedFile) -> Iterator[tuple[int, int]]:
    """Yield where the texts of a file stand; behind the sign of a block there may be a comment."""
    for node in file.nodes:
        if isinstance(node, yaml.ScalarNode):
            start = node.start_mark.index
            is_block = node.style in ("|", ">")
            yield _line_end(file.text, start) if is_block else start, node.end_mark.index


def _line_end(text: str, offset: int) -> int:
    found = _LINE_END.search(text, offset)
    return found.start() if found else len(text)


def _line_start(text: str, offset: int) -> int:
    return max(text.rfind(sign, None, offset) for sign in _LINE_SIGNS) + 1


def _marker_at(file_text: str, offset: int) -> Marker | None:
    """Return the marker that a comment is: a JSON object of texts with the key."""
    match = _COMMENT.match(file_text, offset)
    text = match["text"] if match else ""
    if match is None or len(text) > _LARGEST_MARKER:
        return None
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    key = _KEY.search(text)
    if key is None or not all(isinstance(value, str | None) for value in said.values()):
        return None
    start = match.start("text")
    policy = said.get(key["key"])
    if not isinstance(policy, str):
        return None
    return Marker(text, policy, start + key.start("key"), start + key.end("key"))


REFERENCE = "reference"
REGISTRY = "registry"
NAME = "name"
TAG = "tag"
DIGEST = "digest"
FieldKey = tuple[str, int, str]
_VARIABLE = regex(r"\$\{[^{}]*\}")

# The forms of fields: how the scalars make the image.
CONTAINER = "container"
VOLUME = "volume"
KUSTOMIZE = "kustomize"
HELM = "helm"
SUBSTITUTION = "substitution"
POINTED = "pointed"  # a scalar at a pointer that the configuration names
PATCH = "patch"  # the value of a JSON patch


class Problem(str):
    """Why a field must not be edited, empty where it may be; `remedy` is what to do about it.

    A remedy of the problem's own is the end of its text, too.
    """

    __slots__ = ("remedy",)
    remedy: str

    def __new__(cls, why: str = "", remedy: str = "") -> Self:
        """Make a problem of why it is one and, if it has its own, the remedy."""
        made = super().__new__(cls, f"{why} {remedy}" if remedy else why)
        made.remedy = remedy or "write the image as a plain one-line value"
        return made


EDITABLE = Problem()
NO_IMAGE = "write an image that can be pulled"  # the remedy for a text that no registry knows
VARIABLE_PROBLEM = Problem("it has a Flux variable that nothing in these files defines")


@dataclass(frozen=True)
class Scalar:
    """One scalar of the file at `path`.

    `line` and `column` count from 1; `start` and `end` are offsets of the scalar (quotes included)
    in the file's text, `raw` is the text between them; `marker` is the Flux marker behind it;
    `block` is the text that it stands in, where that is written into the file as a string.
    """

    path: str
    value: str
    line: int
    column: int
    start: int
    end: int
    raw: str
    marker: Marker | None
    node: yaml.ScalarNode = field(repr=False, compare=False)
    block: ParsedFile | None = field(default=None, repr=False, compare=False)

    @property
    def is_null(self) -> bool:
        """Whether YAML reads the scalar as null: `null`, `~`, or nothing at all."""
        return bool(self.node.tag == NULL)


@dataclass(frozen=True)
class Part:
    """One scalar of a field.

    `role` is reference, registry, name, tag or digest; `key` is what the file calls it. `before`
    and `after` are what stands around a Flux variable in the tag, and is no part of the scalar;
    `printed` is what a chart prints where YAML reads the scalar as a number.
    """

    role: str
    key: str
    scalar: Scalar
    before: str = ""
    after: str = ""
    printed: str = ""

    @property
    def text(self) -> str:
        """What the part says; empty where the scalar is null."""
        if self.scalar.is_null:
            return ""
        return f"{self.before}{self.printed or self.scalar.value}{self.after}"

    @property
    def can_be_filled(self) -> bool:
        """Whether a text can be written there, and taken back, without another character."""
        return bool(self.text) or self.scalar.raw == "null" or self.scalar.raw[:1] in ("'", '"')


@dataclass(frozen=True)
class ImageField:
    """One place in a file that names an image.

    `document` counts from 0; `namespace` is the one its object names; `labels` are the names
    the workload goes by, `containers` the containers that get the image; `shown_name` is the
    image's name as it takes effect where the parts do not say it, or an overlay says otherwise;
    `users` is how often aliases make the scalar part of the document; `problem` says why the
    field must not be edited, and is empty where it may; `reported_only` marks kinds that are
    left alone unless the configuration lists them; `overrides` are the places whose images this
    one replaces; `tag_only` says why no digest can stand there; `overlay` is the outermost
    kustomization that takes the image.
    """

    path: str
    document: int
    kind: str
    name: str
    container: str
    pointer: str
    parts: tuple[Part, ...]
    namespace: str = ""
    form: str = CONTAINER
    labels: frozenset[str] = frozenset()
    containers: frozenset[str] = frozenset()
    shown_name: str | None = None
    users: int = 1
    problem: Problem = EDITABLE
    reported_only: bool = False
    overrides: tuple[str, ...] = ()
    tag_only: str = ""
    overlay: str = ""
    other_name: str = ""

    def part(self, role: str) -> Part | None:
        """Return the part with a role, if the field has it."""
        return next((part for part in self.parts if part.role == role), None)

    @property
    def scalar(self) -> Scalar:
        """The scalar that says the version, which is where people look."""
        for role in (REFERENCE, TAG, DIGEST):
            part = self.part(role)
            if part is not None and part.text:
                return part.scalar
        return self.parts[0].scalar

    @property
    def name_text(self) -> str:
        """The image's name as its parts say it; empty where they do not."""
        reference = self.part(REFERENCE)
        if reference is not None:
            return split_version(reference.text)[0]
        texts = (part.text for role in (REGISTRY, NAME) if (part := self.part(role)))
        return "/".join(text.strip("/") for text in texts if text)

    @property
    def version(self) -> str:
        """Tag and digest as they follow the name: `:1.4.2`, `@sha256:…`, both, or nothing."""
        reference = self.part(REFERENCE)
        if reference is not None:
            return split_version(reference.text)[1]
        tag, digest = self.part(TAG), self.part(DIGEST)
        text = f":{tag.text}" if tag and tag.text else ""
        return f"{text}@{digest.text}" if digest and digest.text else text

    @property
    def value(self) -> str:
        """The text as it stands, without quotes; of a split field, what its parts make."""
        reference = self.part(REFERENCE)
        if reference is not None:
            return reference.text
        return (self.name_text or self.shown_name or "") + self.version

    @property
    def effective(self) -> str:
        """The text of the image as it takes effect."""
        return (self.shown_name or self.name_text) + self.version

    @property
    def markers(self) -> tuple[Marker, ...]:
        """The Flux markers behind the parts, each once."""
        found = {
            part.scalar.marker.key_start: part.scalar.marker
            for part in self.parts
            if part.scalar.marker is not None
        }
        return tuple(found.values())

    @cached_property
    def image(self) -> ImageReference | None:
        """The image reference that takes effect; None where the text is none."""
        return find_image(self.effective)

    @cached_property
    def named(self) -> ImageReference | None:
        """The image, or where its version is not known its name alone; None without one."""
        return self.image or find_image(self.shown_name or self.name_text)

    @property
    def key(self) -> FieldKey:
        """What the field is at one tip: path, document index and JSON pointer."""
        return (self.path, self.document, self.pointer)

    @property
    def recorded_key(self) -> tuple[str, str, str, str]:
        """Path, kind, name and container: how a record finds the field again at another tip."""
        return (self.path, self.kind, self.name, self.container)

    @property
    def place(self) -> str:
        """Where the field stands, for people: `path:line`."""
        return f"{self.path}:{self.scalar.line}"

    @property
    def position(self) -> str:
        """Where exactly the field stands, for errors: `path:line:column`."""
        return f"{self.place}:{self.scalar.column}"

    @property
    def recorded_parts(self) -> dict[str, str]:
        """The raw text of each part, by its key, as records keep it; empty for one reference."""
        if self.part(REFERENCE) is not None:
            return {}
        return {part.key: part.scalar.raw for part in self.parts}

    def uneditable(self, whose: str = "") -> ManifestError:
        """Return the error of an edit that the field's problem forbids; `whose` image it is."""
        container = f"container '{self.container}'"
        what = f"'{whose}' ({container})" if whose else container
        return ManifestError(
            f"{self.position}: the image of {what} cannot be edited safely: {self.problem}",
            f"{self.problem.remedy}, then run this again",
        )

    def to_json(self) -> dict[str, Any]:
        """Return the field as it stands in results."""
        optional = {"problem": str(self.problem), "overrides": list(self.overrides)}
        return {
            "path": self.path,
            "line": self.scalar.line,
            "column": self.scalar.column,
            "document": self.document,
            "kind": self.kind,
            "name": self.name,
            "container": self.container,
            "value": self.value,
            "form": self.form,
            **{key: value for key, value in optional.items() if value},
        }


@dataclass(frozen=True)
class Place:
    """Where fields stand, and whose they are: an object of a file, a kustomization, values.

    `pointer` is where theirs begin; `labels` are the names that the object goes by.
    """

    file: ParsedFile
    document: int
    kind: str
    name: str
    pointer: str = ""
    namespace: str = ""
    labels: frozenset[str] = frozenset()

    def below(self, pointer: str) -> Place:
        """Return a place within it."""
        return replace(self, pointer=self.pointer + pointer)

    def field(
        self, container: str, parts: tuple[Part, ...], form: str, problem: Problem = EDITABLE
    ) -> ImageField:
        """Return the field that some scalars at the place are."""
        return ImageField(
            path=self.file.path,
            document=self.document,
            kind=self.kind,
            name=self.name,
            container=container,
            pointer=self.pointer,
            parts=parts,
            namespace=self.namespace,
            form=form,
            labels=self.labels,
            containers=frozenset((container,)),
            problem=problem,
        )


def split_version(text: str) -> tuple[str, str]:
    """Split an image text into its name and what follows it: `:tag`, `@digest`, or both.

    What stands in a Flux variable is no colon, slash or at-sign of the image.
    """
    masked = _VARIABLE.sub(lambda match: "v" * len(match[0]), text)
    head = masked.partition("@")[0]
    colon = head.rfind(":")
    end = colon if colon >= 0 and "/" not in head[colon:] else len(head)
    return text[:end], text[end:]
