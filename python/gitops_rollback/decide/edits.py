"""The exact text each image field gets, and which markers of its policies stand where. Pure.

A rollback writes the recorded text where that is surely the image meant, else name, tag and
digest; a digest that is not the target's is never left behind.

Markers of a service's policies stand behind its images, and anywhere else: Flux rewrites every
value that a policy marks, of whatever kind. While one of them is in action, the image that was
rolled back from comes back there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.change import MarkerSplice
from gitops_rollback.errors import ManifestError
from gitops_rollback.image import find_image, parse_image, same
from gitops_rollback.late import dataclass, regex
from gitops_rollback.ledger.fields import noted_of
from gitops_rollback.manifest.edit import (
    FieldEdit,
    Splice,
    can_stand,
    restoring_edit,
    value_of,
)
from gitops_rollback.manifest.image_field import (
    ACTIVE_KEY,
    HELD_KEY,
    REFERENCE,
    markers_in,
    policy_of,
    split_version,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.decide.plan import Candidate
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.holds import HeldMarker
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField, Marker

_KEY = regex(r"^[\s-]*(?:['\"]?(?P<key>[^'\":#]{1,100}?)['\"]?\s*:)?")


def deploy_edits(
    fields: Iterable[ImageField], image: ImageReference, accept: frozenset[str], pin: str
) -> tuple[FieldEdit, ...]:
    """Return the edits of a deploy: tag and digest are replaced, and the name if it is another."""
    return _changed(_deploy_edit(field, image, accept, pin) for field in fields)


def _deploy_edit(
    field: ImageField, image: ImageReference, accept: frozenset[str], pin: str
) -> FieldEdit:
    digest = _digest(field, image, accept, pin)
    if _is_renamed(field, image):
        return FieldEdit(field, str(image.with_version(image.tag, digest)))
    return FieldEdit(field, value_of(field, image.tag, digest))


def rollback_edits(
    fields: Iterable[ImageField], candidate: Candidate, accept: frozenset[str], pin: str
) -> tuple[FieldEdit, ...]:
    """Return the edits of a rollback to a candidate."""
    edits = tuple(rollback_edit(field, candidate, accept, pin) for field in fields)
    # A mistake of this tool's own, which nothing may be written with.
    assert all(_becomes(edit, candidate.image) for edit in edits)  # noqa: S101
    return _changed(edits)


def rollback_edit(
    field: ImageField, candidate: Candidate, accept: frozenset[str], pin: str
) -> FieldEdit:
    """Return the edit of one field by a rollback to a candidate."""
    image = candidate.image
    is_renamed = _is_renamed(field, image)
    tag_is_proven = image.digest is None or (
        candidate.check is not None and candidate.check.has_tag
    )
    recorded = _recorded(field, candidate)
    if recorded is not None:
        before, parts = recorded
        names_digest = before.digest is not None and before.digest == image.digest
        if names_digest or (before.digest is None and tag_is_proven):
            return _recorded_edit(field, before, parts)
    if is_renamed:
        return FieldEdit(field, str(image))
    if recorded is None and pin == "tag" and tag_is_proven and image.tag is not None:
        return FieldEdit(field, value_of(field, image.tag, None))
    can_hold = not field.tag_only or "tag" not in accept or image.tag is None
    return FieldEdit(field, value_of(field, image.tag, image.digest if can_hold else None))


def _is_renamed(field: ImageField, image: ImageReference) -> bool:
    """Tell whether an image has another name than a field by now, as one that ran here before.

    Raises `ManifestError` where the field does not hold the name.
    """
    if field.image is None or field.image.full_repository == image.full_repository:
        return False
    if field.part(REFERENCE) is None or field.shown_name is not None:
        raise ManifestError(
            f"{field.place}: {image.canonical} ran here under the name of another repository, and "
            "this field does not hold the name",
            f"write the repository {image.full_repository} by hand first, then run this again",
        )
    return True


def _digest(
    field: ImageField, image: ImageReference, accept: frozenset[str], pin: str
) -> str | None:
    if image.tag is None:
        return image.digest
    is_tag_accepted = "tag" in accept and field.tag_only
    return None if pin == "tag" or is_tag_accepted else image.digest


def _recorded(
    field: ImageField, candidate: Candidate
) -> tuple[ImageReference, Mapping[str, str]] | None:
    """Return the recorded text of a field as an image, and its parts, if it is of this image."""
    recorded = noted_of(candidate.stored.record.fields if candidate.stored else (), field)
    if recorded is None:
        return None
    name, version = split_version(recorded.value)
    image = find_image((field.shown_name or name) + version)
    if image is None:
        return None
    of_it = image.tag == candidate.image.tag or bool(same(image, candidate.image))
    is_its = of_it and image.full_repository == candidate.image.full_repository
    return (image, recorded.parts) if is_its else None


def _recorded_edit(
    field: ImageField, before: ImageReference, parts: Mapping[str, str]
) -> FieldEdit:
    """Return the edit that writes the recorded text: its name too, where the field has its own."""
    if field.recorded_parts:
        kept = {key: raw for key, raw in parts.items() if can_stand(field, raw)}
        return restoring_edit(field, value_of(field, before.tag, before.digest), kept)
    if field.shown_name is not None:
        return FieldEdit(field, value_of(field, before.tag, before.digest))
    return FieldEdit(field, str(before))


def _becomes(edit: FieldEdit, target: ImageReference) -> bool:
    """Tell whether the effective reference of an edit is the target."""
    name, version = split_version(edit.value)
    image = parse_image((edit.field.shown_name or name) + version)
    same_digest = image.digest in {target.digest, None}
    same_tag = image.tag == target.tag or image.digest is not None
    return image.full_repository == target.full_repository and same_tag and same_digest


def _changed(edits: Iterable[FieldEdit]) -> tuple[FieldEdit, ...]:
    return tuple(edit for edit in edits if edit.value != edit.field.value)


@dataclass(frozen=True)
class MarkerPlace:
    """A marker, and where it stands: behind a field of the service, or at another key.

    `container` is the field's, else the key in whose line the marker is.
    """

    path: str
    line: int
    container: str
    marker: Marker
    field: ImageField | None = None

    def fits(self, held: HeldMarker) -> bool:
        """Tell whether this stands where a held marker stood."""
        return (self.path, self.container) == (held.path, held.container)

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.path}:{self.line}"


def places_of(at: ServiceAtTip) -> tuple[MarkerPlace, ...]:
    """Return the markers behind the service's images, then all others of the same policies."""
    own = [
        MarkerPlace(field.path, field.scalar.line, field.container, marker, field)
        for field in at.found.fields
        for marker in field.markers
    ]
    policies = {policy_of(place.marker) for place in own}
    known = {(place.path, place.marker.key_start) for place in own}
    elsewhere = [
        MarkerPlace(path, *_line_of(file, marker), marker)
        for path, file in at.found.manifests.files.items()
        if policies and ACTIVE_KEY in file.text and at.found.environment.holds(path)
        for marker in markers_in(file)
        if policy_of(marker) in policies and (path, marker.key_start) not in known
    ]
    return (*own, *elsewhere)


def holding(at: ServiceAtTip) -> tuple[MarkerSplice, ...]:
    """Put every marker of the service's policies out of action."""
    return tuple(_splice(place, HELD_KEY) for place in places_of(at) if not place.marker.is_held)


def restoring(at: ServiceAtTip) -> tuple[MarkerSplice, ...]:
    """Put markers back into action: those behind the service's images, and those of its hold."""
    hold = at.account.hold
    listed = [(held.path, held.marker) for held in hold.markers] if hold else []
    found = []
    for place in places_of(at):
        key = (place.path, place.marker.active_text)
        if not place.marker.is_held:
            continue
        if place.field is None and key not in listed:
            continue
        if key in listed:
            listed.remove(key)
        found.append(_splice(place, ACTIVE_KEY))
    return tuple(found)


def elsewhere_warnings(at: ServiceAtTip) -> tuple[str, ...]:
    """Return what a hold does to markers that stand behind none of the service's images."""
    return tuple(
        f"{place.place}: the marker of the policy {place.marker.policy} at '{place.container}', "
        f"which is no image of {at.service}, is put out of action too: Flux would go on writing "
        "the bad image there"
        for place in places_of(at)
        if place.field is None and not place.marker.is_held
    )


def _splice(place: MarkerPlace, key: str) -> MarkerSplice:
    marker = place.marker
    return MarkerSplice(place.path, Splice(marker.key_start, marker.key_end, key))


def _line_of(file: ParsedFile, marker: Marker) -> tuple[int, str]:
    """Return the line of a marker, counted from 1, and the key that it stands at."""
    lines = file.text[: marker.key_start].splitlines()
    number = len(lines)
    line = lines[-1] if lines else ""
    if line.lstrip().startswith("#"):  # it stands above its value
        line = next(iter(file.text[marker.key_end :].splitlines()[1:]), "")
    match = _KEY.match(line)
    key = (match["key"] if match else None) or f"line {number}"
    return number, key.strip()
