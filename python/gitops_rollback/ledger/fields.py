"""Image fields as they are written down, and how they are found again. Pure.

At one tip a field is its path, its document's index and its pointer. Over time it is found there
only if kind, namespace, name and container are those written down; else where exactly one field of
the branch has these and the image repository; else it is lost. What is found by chance would tie a
hold to a stranger, so nothing else is tried.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from gitops_rollback.image import find_image
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.model import unknown_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gitops_rollback.image import ImageReference
    from gitops_rollback.manifest.image_field import FieldKey, ImageField

THERE = "there"
MOVED = "moved"
LOST = "lost"
_KEYS = (
    *("path", "document", "kind", "namespace", "name", "container", "pointer", "image", "value"),
    "parts",
)


@dataclass(frozen=True)
class Likeness:
    """What a field is over time; a namespace of None was not written down."""

    kind: str
    namespace: str | None
    name: str
    container: str

    def fits(self, other: Likeness) -> bool:
        """Tell whether both are of one field; a namespace that was not written down fits any."""
        unsaid = self.namespace is None or other.namespace is None
        return (unsaid or self.namespace == other.namespace) and (
            (self.kind, self.name, self.container) == (other.kind, other.name, other.container)
        )


@dataclass(frozen=True)
class NotedField:
    """A field as a record, a state file or a hold writes it down.

    `value` is its text as it stood or was written, `image` the canonical reference that this text
    meant, with the digest if that was known. Of a split field, `parts` are the raw texts of its
    scalars, by key, quotes included. `more` are keys of a newer version's.
    """

    path: str
    document: int
    kind: str
    name: str
    container: str
    pointer: str
    image: str
    value: str
    parts: Mapping[str, str] = field(default_factory=dict)
    namespace: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> FieldKey:
        """Where it stood."""
        return (self.path, self.document, self.pointer)

    @property
    def likeness(self) -> Likeness:
        """What it is over time."""
        return Likeness(self.kind, self.namespace, self.name, self.container)

    @property
    def reference(self) -> ImageReference | None:
        """The image that its text meant; None where it is no reference, as some records may say."""
        return find_image(self.image)

    @property
    def place(self) -> str:
        """What people know it by: `Deployment cart, container server (apps/cart.yaml)`."""
        return f"{self.kind} {self.name}, container {self.container} ({self.path})"

    def to_json(self) -> dict[str, Any]:
        """Return the field as it is written down."""
        document = {key: getattr(self, key) for key in _KEYS}
        if not self.parts:
            del document["parts"]
        else:
            document["parts"] = dict(self.parts)
        if self.namespace is None:
            del document["namespace"]
        return {**document, **self.more}


@dataclass(frozen=True)
class Match:
    """Where a noted field is now: `there`, `moved` to another place, or `lost` (None)."""

    noted: NotedField
    field: ImageField | None
    how: str


def note(present: ImageField) -> NotedField:
    """Write down a field as it stands."""
    image = present.image
    return NotedField(
        path=present.path,
        document=present.document,
        kind=present.kind,
        name=present.name,
        container=present.container,
        pointer=present.pointer,
        image=image.canonical if image else present.value,
        value=present.value,
        parts=present.recorded_parts,
        namespace=present.namespace,
    )


def note_written(present: ImageField, value: str, image: ImageReference) -> NotedField:
    """Write down a field as a change leaves it: the text, and the image that is meant by it."""
    return replace(note(present), value=value, image=image.canonical, parts={})


def field_from_json(document: Mapping[str, Any]) -> NotedField:
    """Return a field of a checked document; its text is its image where none was written down."""
    known = {key: document[key] for key in _KEYS if key in document}
    known["document"] = int(known["document"])
    return NotedField(**{"value": document["image"], **known}, more=unknown_keys(document, _KEYS))


class Branch(tuple["ImageField", ...]):  # noqa: SLOT001 - it keeps what it was asked for
    """All fields of a branch that are known: of many services each looks for its own among them."""

    @cached_property
    def by_name(self) -> Mapping[str, Sequence[ImageField]]:
        """The fields by the names of their objects."""
        found: dict[str, list[ImageField]] = {}
        for one in self:
            found.setdefault(one.name, []).append(one)
        return found


def branch_of(fields: Iterable[ImageField]) -> Branch:
    """Return fields as those of a branch; those that are it already as they are."""
    return fields if isinstance(fields, Branch) else Branch(fields)


def once(fields: Iterable[ImageField]) -> Branch:
    """Return fields of the branch, of those at one place the last."""
    return Branch({one.key: one for one in fields}.values())


def likeness_of(present: ImageField) -> Likeness:
    """Return what a field of the branch is over time."""
    return Likeness(present.kind, present.namespace, present.name, present.container)


def find_field(noted: NotedField, branch: Iterable[ImageField]) -> Match:
    """Find a noted field among all fields of the branch."""
    named = branch_of(branch).by_name.get(noted.name, ())
    alike = [one for one in named if noted.likeness.fits(likeness_of(one))]
    for present in alike:
        if present.key == noted.key:
            return Match(noted, present, THERE)
    before = noted.reference
    alike = [
        field
        for field in alike
        if before and field.image and field.image.full_repository == before.full_repository
    ]
    if len(alike) == 1:
        return Match(noted, alike[0], MOVED)
    return Match(noted, None, LOST)


def find_fields(noted: Iterable[NotedField], branch: Iterable[ImageField]) -> tuple[Match, ...]:
    """Find noted fields among all fields of the branch; a field is found for one of them only.

    Where two of them would be the same field, nothing tells whose it is: both are lost.
    """
    fields = branch_of(branch)
    found = [find_field(one, fields) for one in noted]
    there = {match.field.key for match in found if match.field and match.how == THERE}
    moved = [match.field.key for match in found if match.field and match.how == MOVED]
    return tuple(
        Match(match.noted, None, LOST)
        if match.how == MOVED
        and match.field is not None
        and (match.field.key in there or moved.count(match.field.key) > 1)
        else match
        for match in found
    )


def noted_of(noted: Iterable[NotedField], present: ImageField) -> NotedField | None:
    """Return what was written down of a field that is known to be there; None if nothing was."""
    return next((match.noted for match in find_fields(noted, (present,)) if match.field), None)


def meant_by(noted: Iterable[NotedField], present: ImageField) -> ImageReference | None:
    """Return the image that a field's text means, because it was written there with that image.

    None where another text stands there by now, or where nothing was written down: a tag alone
    tells no digest, whatever ran under it once.
    """
    one = noted_of(noted, present)
    return one.reference if one is not None and one.value == present.value else None
