"""The exact text each image field gets. Pure.

A rollback writes the recorded text where that is surely the image meant, else name, tag and
digest; a digest that is not the target's is never left behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import ManifestError
from gitops_rollback.image import find_image, parse_image
from gitops_rollback.ledger.fields import noted_of
from gitops_rollback.manifest.forms import (
    FieldEdit,
    can_hold_digest,
    restoring_edit,
    value_of,
)
from gitops_rollback.manifest.image_field import REFERENCE, split_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gitops_rollback.decide.plan import Candidate
    from gitops_rollback.image import ImageReference
    from gitops_rollback.manifest.image_field import ImageField


def deploy_edits(
    fields: Iterable[ImageField], image: ImageReference, accept: frozenset[str], pin: str
) -> tuple[FieldEdit, ...]:
    """Return the edits of a deploy: the name's text stays, tag and digest are replaced."""
    return _changed(
        FieldEdit(field, value_of(field, image.tag, _digest(field, image, accept, pin)))
        for field in fields
    )


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
    is_renamed = field.image is not None and field.image.full_repository != image.full_repository
    if is_renamed:
        _refuse_fixed_name(field, image)
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
    can_hold = can_hold_digest(field) or "tag" not in accept or image.tag is None
    return FieldEdit(field, value_of(field, image.tag, image.digest if can_hold else None))


def _refuse_fixed_name(field: ImageField, image: ImageReference) -> None:
    """Refuse an image of another repository, which ran here, where the field holds no name.

    Raises `ManifestError`.
    """
    if field.part(REFERENCE) is None or field.shown_name is not None:
        raise ManifestError(
            f"{field.place}: {image.canonical} ran here under the name of another repository, and "
            "this field does not hold the name",
            f"write the repository {image.full_repository} by hand first, then run this again",
        )


def _digest(
    field: ImageField, image: ImageReference, accept: frozenset[str], pin: str
) -> str | None:
    if image.tag is None:
        return image.digest
    is_tag_accepted = "tag" in accept and not can_hold_digest(field)
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
    same = image.full_repository == candidate.image.full_repository
    return (image, recorded.parts) if same and image.tag == candidate.image.tag else None


def _recorded_edit(
    field: ImageField, before: ImageReference, parts: Mapping[str, str]
) -> FieldEdit:
    """Return the edit that writes the recorded text: its name too, where the field has its own."""
    if field.recorded_parts:
        return restoring_edit(field, value_of(field, before.tag, before.digest), parts)
    if field.shown_name is not None:
        return FieldEdit(field, value_of(field, before.tag, before.digest))
    return FieldEdit(field, str(before))


def _becomes(edit: FieldEdit, target: ImageReference) -> bool:
    """Tell whether the effective reference of an edit is the target."""
    name, version = split_version(edit.value)
    image = parse_image((edit.field.shown_name or name) + version)
    same_digest = image.digest == target.digest or image.digest is None
    same_tag = image.tag == target.tag or (image.tag is None and image.digest is not None)
    return image.full_repository == target.full_repository and same_tag and same_digest


def _changed(edits: Iterable[FieldEdit]) -> tuple[FieldEdit, ...]:
    return tuple(edit for edit in edits if edit.value != edit.field.value)
