"""Holds and bad images, and the small file in which each hold in force stands. Pure.

What is held is the field, whatever service and environment are called: so a hold, with the images
that were bad then, stands in `.gitops-rollback/.held/<id>.json` too, with the fields it holds.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, Any

from gitops_rollback import schema
from gitops_rollback.errors import RepositoryError
from gitops_rollback.image import InvalidImageError, same, same_reference
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.ledger.fields import (
    NotedField,
    branch_of,
    field_from_json,
    find_fields,
    likeness_of,
)
from gitops_rollback.model import (
    ROLLBACK,
    Deed,
    OfDeed,
    deed_from_json,
    title,
    unknown_keys,
    without_none,
)
from gitops_rollback.query.shapes import is_version_tag

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from gitops_rollback.image import ImageReference
    from gitops_rollback.manifest.image_field import FieldKey, ImageField

FOLDER = ".gitops-rollback/.held"
LARGEST = 4_000_000  # bytes
BAD = "bad"  # the action of a mark on the bad list
_MARKER_KEYS = ("path", "container", "marker")
_FILE_KEYS = ("schemaVersion", "service", "environment", "hold", "fields", "bad")


@dataclass(frozen=True)
class Bad:
    """An image that was rolled back from: by whom, when and why.

    `tag` is its version tag, if it had one that was deployed with one digest, and `revision` what
    its build was made of, if that is known: they tell the same release built again.
    """

    deed: Deed
    tag: str | None = None
    revision: str | None = None

    @property
    def image(self) -> ImageReference:
        """The image that is bad."""
        return self.deed.image

    def to_json(self) -> dict[str, Any]:
        """Return the entry as it stands in a bad list."""
        known = self.deed.to_json()
        del known["action"]
        first = {"id": known.pop("id", None), "image": known.pop("image")}
        kept = without_none({"tag": self.tag, "revision": self.revision})
        return {**without_none(first), **kept, **known}


@dataclass(frozen=True)
class BadMatch:
    """Why an image is bad: an entry of the list, and by what it is that (digest, tag, revision)."""

    entry: Bad
    by: str


@dataclass(frozen=True)
class HeldMarker:
    """A Flux marker that a rollback put out of action; `marker` is its text in action."""

    path: str
    container: str
    marker: str
    more: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the marker as it stands in a hold."""
        return {
            "path": self.path,
            "container": self.container,
            "marker": self.marker,
            **self.more,
        }


@dataclass(frozen=True)
class Hold(OfDeed):
    """What keeps a rolled-back image from coming back: the rollback that began it, and markers."""

    deed: Deed
    markers: tuple[HeldMarker, ...] = ()

    @property
    def id(self) -> str:
        """What names this hold and no other: the id of its rollback."""
        return self.deed.id

    @property
    def from_image(self) -> ImageReference:
        """The image that was rolled back from."""
        return self.deed.from_image or self.deed.image

    @property
    def to(self) -> ImageReference:
        """The image that was gone back to."""
        return self.deed.image

    @property
    def reason(self) -> str:
        """Why."""
        return self.deed.reason or ""

    @property
    def at(self) -> str:
        """When."""
        return self.deed.at or ""

    def to_json(self) -> dict[str, Any]:
        """Return the hold as it stands in state files, held files and plans."""
        deed = self.deed
        known = without_none(
            {
                "id": deed.id or None,
                "from": self.from_image.canonical,
                "to": self.to.canonical,
                "by": deed.by,
                "reason": self.reason,
                "at": deed.at,
                "build": deed.build.to_json() if deed.build else None,
                "record": deed.record,
                "markers": [marker.to_json() for marker in self.markers],
            }
        )
        return {**known, **deed.more}


@dataclass(frozen=True)
class HeldFile:
    """A hold in force as its own file tells it: for which fields, and what was bad then.

    Service and environment are what they were called then, for people. Where the file is broken,
    it is as it `stood` at a commit before.
    """

    service: str
    environment: str
    hold: Hold
    fields: tuple[NotedField, ...]
    bad: tuple[Bad, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    stood: str | None = None

    @property
    def path(self) -> str:
        """Where the file stands in the repository."""
        return path_of_hold(self.hold.id)

    @property
    def title(self) -> str:
        """Service and environment, as people read them."""
        return title(self.service, self.environment)


@dataclass(frozen=True)
class PlacedHold:
    """A hold in force, the places of its fields on the branch, and those that are found no more.

    Where none is found, they may be those of the branch that are `like` them.
    """

    file: HeldFile
    there: frozenset[FieldKey]
    missing: tuple[NotedField, ...]
    like: tuple[ImageField, ...] = ()

    @property
    def as_lost(self) -> PlacedHold:
        """The same hold, whose fields are found no more: what was found is only like them."""
        return PlacedHold(self.file, frozenset(), self.file.fields)


@dataclass(frozen=True)
class Holds:
    """The holds that count for a service.

    `ours` hold one of its fields, by whatever name; `lost` have lost their field, and it may be one
    of the service's; `retired` have lost it, and it is nobody's that is known here, though a field
    that is `like` it, by the hold's id, may be.
    """

    ours: tuple[HeldFile, ...] = ()
    lost: tuple[HeldFile, ...] = ()
    retired: tuple[HeldFile, ...] = ()
    like: Mapping[str, ImageField] = field(default_factory=dict)


def bad_match(
    bad: Iterable[Bad],
    image: ImageReference,
    ran: Collection[str] = (),
    revision: str | None = None,
) -> BadMatch | None:
    """Return why an image is bad; None if nothing says that it is.

    By digest, in any repository. A digest that has not run here is bad too by the version tag or
    the revision of what was rolled back from: that release, built again. `ran` are the digests that
    ran here and were not rolled back from: a good image may have the same revision.
    """
    entries = tuple(bad)
    for entry in entries:
        if same(entry.image, image):
            return BadMatch(entry, "digest")
    if image.digest in ran:
        return None
    for entry in entries:
        if entry.tag is not None and entry.tag == image.tag:
            return BadMatch(entry, "tag")
    for entry in entries:
        if revision is not None and entry.revision == revision:
            return BadMatch(entry, "revision")
    return None


def digests_that_ran(deeds: Iterable[Deed], bad: Iterable[Bad]) -> frozenset[str]:
    """Return the digests that deeds tell to have run, and that were not rolled back from.

    Where a tag alone is bad, whose digest nobody knows, the digest of what was replaced under that
    tag may be of the bad image: it may be what a registry said of the tag.
    """
    entries = tuple(bad)
    left = {entry.image.digest for entry in entries}
    unsure = {entry.image.tag for entry in entries if entry.image.digest is None}
    ran: set[str | None] = set()
    for deed in deeds:
        ran.add(deed.image.digest)
        before = deed.from_image
        if before is not None and before.tag not in unsure:
            ran.add(before.digest)
    return frozenset(digest for digest in ran if digest and digest not in left)


def version_tag(image: ImageReference, seen: Iterable[ImageReference]) -> str | None:
    """Return the tag by which a release is known again when it is built anew; None if it has none.

    It has the shape of a version, a date, a number or a commit id, and was deployed with one digest
    only, as far as the images that were `seen` here tell.
    """
    if image.tag is None:
        return None
    others = tuple(seen)
    digests = {one.digest for one in (image, *others) if one.tag == image.tag} - {None}
    company = (one.tag for one in others if one.tag)
    return image.tag if len(digests) <= 1 and is_version_tag(image.tag, company) else None


def wants_revision(bad: Iterable[Bad], image: ImageReference, ran: Collection[str] = ()) -> bool:
    """Tell whether an image's revision could make it bad, and nothing else does already."""
    entries = tuple(bad)
    return (
        image.digest not in ran
        and any(entry.revision is not None for entry in entries)
        and bad_match(entries, image, ran) is None
    )


def without_bad(bad: Iterable[Bad], image: ImageReference) -> tuple[Bad, ...]:
    """Return a bad list without an image: its digest, tag and revision are forgiven together."""
    return tuple(
        entry
        for entry in bad
        if bad_match([entry], image) is None and not same_reference(entry.image, image)
    )


def joined_bad(*lists: Iterable[Bad]) -> tuple[Bad, ...]:
    """Return one bad list of several: of two marks of an image the first counts."""
    found: dict[str, Bad] = {}
    for entry in chain(*lists):
        found.setdefault(entry.image.canonical, entry)
    return tuple(found.values())


def path_of_hold(identity: str) -> str:
    """Return where the file of a hold in force stands in the repository."""
    return f"{FOLDER}/{identity}.json"


def place_holds(held: Iterable[HeldFile], branch: Iterable[ImageField]) -> tuple[PlacedHold, ...]:
    """Find the fields of holds in force among all fields of the branch."""
    everything = branch_of(branch)
    placed = []
    for file in held:
        found = find_fields(file.fields, everything)
        there = frozenset(match.field.key for match in found if match.field is not None)
        missing = tuple(match.noted for match in found if match.field is None)
        like = () if there else (one for one in everything if _may_be(missing, one))
        placed.append(PlacedHold(file, there, missing, tuple(like)))
    return tuple(placed)


def find_holds(placed: Iterable[PlacedHold], own: Iterable[ImageField]) -> Holds:
    """Sort the holds in force by what they are for a service with the fields `own`.

    A hold with several fields is the service's if one of them is; if none is anybody's, the lost
    ones count.
    """
    mine = tuple(own)
    keys = {one.key for one in mine}
    ours, lost, retired = [], [], []
    for one in placed:
        if one.there & keys:
            ours.append(one.file)
        elif any(may_be_of(noted, mine) for noted in one.missing):
            lost.append(one.file)
        elif not one.there:
            retired.append(one.file)
    return Holds(tuple(ours), tuple(lost), tuple(retired))


def _may_be(missing: Iterable[NotedField], present: ImageField) -> bool:
    return any(may_be_of(noted, [present]) for noted in missing)


def may_be_of(noted: NotedField, fields: Iterable[ImageField]) -> bool:
    """Tell whether a lost field may be one of some: of its repository, or kind and names."""
    before = noted.reference
    like = noted.likeness
    for present in fields:
        now = likeness_of(present)
        if (like.kind, like.name, like.container) == (now.kind, now.name, now.container):
            return True
        image = present.image
        if before and image and before.full_repository == image.full_repository:
            return True
    return False


class BrokenHoldError(RepositoryError):
    """The file of a hold says nothing that can be read: what it said before may stand for it."""


def parse_held(data: bytes, path: str) -> HeldFile:
    """Read the file of a hold; raise `BrokenHoldError`, with the path and how to mend it.

    Raises `RepositoryError` if a newer version wrote it.
    """
    try:
        document = schema.read(data, "held", LARGEST)
        file = HeldFile(
            service=document["service"],
            environment=document["environment"],
            hold=hold_from_json(document["hold"]),
            fields=tuple(field_from_json(entry) for entry in document["fields"]),
            bad=tuple(bad_from_json(entry) for entry in document["bad"]),
            more=unknown_keys(document, _FILE_KEYS),
        )
    except schema.NewerDocumentError as error:
        raise RepositoryError(f"the hold {path} {error}", "use that version here too") from error
    except (schema.InvalidDocumentError, InvalidImageError) as error:
        raise _broken(path, str(error)) from error
    if file.path != path:
        raise _broken(path, f"it is of the hold {file.hold.id}")
    return file


def render_held(file: HeldFile) -> bytes:
    """Return the bytes of the file of a hold; raise `UnwritableError` where it cannot be read."""
    document = {
        "schemaVersion": 2,
        "service": file.service,
        "environment": file.environment,
        "hold": replace(file.hold, markers=()).to_json(),  # they stand in the state file
        "fields": [noted.to_json() for noted in file.fields],
        "bad": [entry.to_json() for entry in file.bad],
        **file.more,
    }
    return schema.write(document, "held", LARGEST, f"the hold of {file.title}")


def bad_from_json(document: Mapping[str, Any]) -> Bad:
    """Return the entry of a checked bad list; raise `InvalidImageError` for a malformed image."""
    deed = deed_from_json({**unknown_keys(document, ("tag", "revision")), "action": BAD})
    return Bad(deed, document.get("tag"), document.get("revision"))


def hold_from_json(document: Mapping[str, Any]) -> Hold:
    """Return the hold of a checked document; raise `InvalidImageError` for a malformed image.

    Holds of schema version 1 had no id: it is made of what they say, so it is always the same.
    """
    identity = document.get("id") or _made_id(document)
    known = {"action": ROLLBACK, "image": document["to"], "id": identity}
    deed = deed_from_json({**unknown_keys(document, ("to", "markers")), **known})
    return Hold(deed, tuple(_marker_from_json(marker) for marker in document["markers"]))


def _made_id(document: Mapping[str, Any]) -> str:
    told = [document.get(key) for key in ("from", "to", "at", "reason")]
    return sha256(repr(told).encode()).hexdigest()[:12]


def _marker_from_json(document: Mapping[str, Any]) -> HeldMarker:
    known = {key: document[key] for key in _MARKER_KEYS}
    return HeldMarker(**known, more=unknown_keys(document, _MARKER_KEYS))


def _broken(path: str, reason: str) -> BrokenHoldError:
    from shlex import quote  # noqa: PLC0415 - only for errors

    return BrokenHoldError(
        f"the hold {path} is broken: {reason}",
        f"no commit in reach has a sound one: delete it (git rm {quote(path)}, then commit and "
        "push it); a hold that a state file names stands without it",
    )
