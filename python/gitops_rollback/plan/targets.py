"""The exact text each image field gets. Pure.

A rollback writes the recorded text where that is surely the image meant, else name, tag and
digest; a digest that is not the target's is never left behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import ManifestError
from gitops_rollback.image import InvalidImageError, parse_image
from gitops_rollback.manifest.edit import FieldEdit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.image import ImageReference
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.plan.facts import Candidate


def deploy_edits(
    fields: Iterable[ImageField], image: ImageReference, pin: str
) -> tuple[FieldEdit, ...]:
    """Return the edits of a deploy: the name's text stays, tag and digest are replaced."""
    digest = image.digest if pin == "digest" or image.tag is None else None
    return _changed(FieldEdit(field, _text(field, image.tag, digest)) for field in fields)


def rollback_edits(
    fields: Iterable[ImageField], candidate: Candidate, pin: str
) -> tuple[FieldEdit, ...]:
    """Return the edits of a rollback to a candidate."""
    edits = tuple(FieldEdit(field, rollback_text(field, candidate, pin)) for field in fields)
    for edit in edits:
        _prove(edit, candidate.image)
    return _changed(edits)


def rollback_text(field: ImageField, candidate: Candidate, pin: str) -> str:
    """Return the text of one field after a rollback to a candidate."""
    image = candidate.image
    tag_is_proven = image.digest is None or (
        candidate.check is not None and candidate.check.has_tag
    )
    recorded = _recorded(field, candidate)
    if recorded is not None:
        names_digest = recorded.digest is not None and recorded.digest == image.digest
        if names_digest or (recorded.digest is None and tag_is_proven):
            return str(recorded)
    elif pin == "tag" and tag_is_proven and image.tag is not None:
        return _text(field, image.tag, None)
    return _text(field, image.tag, image.digest)


def _recorded(field: ImageField, candidate: Candidate) -> ImageReference | None:
    """Return the recorded text of a field, if its record has one and it is of this image."""
    for recorded in candidate.stored.record.fields if candidate.stored else ():
        if recorded.key != field.key:
            continue
        try:
            image = parse_image(recorded.value)
        except InvalidImageError:
            return None
        same = image.full_repository == candidate.image.full_repository
        return image if same and image.tag == candidate.image.tag else None
    return None


def _text(field: ImageField, tag: str | None, digest: str | None) -> str:
    if field.image is None:
        raise ManifestError(
            f"{field.place}: '{field.value}' is no image reference", "write a plain image there"
        )
    return str(field.image.with_version(tag, digest))


def _prove(edit: FieldEdit, target: ImageReference) -> None:
    """Refuse an edit whose effective reference is not the target."""
    image = parse_image(edit.value)
    same_digest = image.digest == target.digest or image.digest is None
    if image.full_repository == target.full_repository and image.tag == target.tag and same_digest:
        return
    raise ManifestError(
        f"{edit.field.place}: '{edit.value}' would not be {target.canonical}",
        "nothing was written; please report this",
    )


def _changed(edits: Iterable[FieldEdit]) -> tuple[FieldEdit, ...]:
    return tuple(edit for edit in edits if edit.value != edit.field.value)
