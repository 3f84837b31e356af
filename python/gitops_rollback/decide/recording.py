"""Make records of what is about to be replaced. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_rollback.ledger.fields import note
from gitops_rollback.ledger.records import (
    MadeRecord,
    ManifestCopy,
    Record,
    StoredRecord,
    digest_of_bytes,
    render_record,
)
from gitops_rollback.ledger.stack import running_image
from gitops_rollback.manifest.secrets import holds_clear_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitops_rollback.image import ImageReference
    from gitops_rollback.look.snapshot import ServiceAtTip
    from gitops_rollback.model import Build


@dataclass(frozen=True)
class Occasion:
    """Why a record is made: what replaces the image, by whose act, in which build."""

    repository: str
    action: str
    present: str
    replaced_by: ImageReference | None = None
    build: Build | None = None
    by: str | None = None


def make_record(
    at: ServiceAtTip,
    occasion: Occasion,
    resolve: Callable[[ImageReference], str | None],
) -> MadeRecord:
    """Make the record of a service's present image.

    `resolve` asks the registry for the digest a tag has now; it is called only where nothing else
    proves the digest, and where the new image is known.
    """
    image, digest_from = _recorded_image(at, occasion, resolve)
    files = {field.path: at.found.manifests.files[field.path] for field in at.found.fields}
    contents = {path: file.encode(file.text) for path, file in files.items()}
    copied = {path: data for path, data in contents.items() if not holds_clear_secret(files[path])}
    record = Record(
        service=at.service,
        environment=at.environment,
        repository=occasion.repository,
        branch=at.tip.branch,
        commit=at.tip.commit,
        image=image,
        digest_from=digest_from,
        action=occasion.action,
        fields=tuple(note(field) for field in at.found.fields),
        manifests=tuple(
            ManifestCopy(path, digest_of_bytes(data), path in copied)
            for path, data in contents.items()
        ),
        replaced_by=occasion.replaced_by,
        unchanged=occasion.replaced_by is not None and image.is_same_image(occasion.replaced_by),
        build=occasion.build,
        recorded_at=occasion.present,
        by=occasion.by,
    )
    data = render_record(record)
    return MadeRecord(StoredRecord(record, digest_of_bytes(data), ""), data, copied)


def _recorded_image(
    at: ServiceAtTip, occasion: Occasion, resolve: Callable[[ImageReference], str | None]
) -> tuple[ImageReference, str | None]:
    """Return the present image, with its digest if one is proven or resolved, and its source.

    The new image is pushed already when a record is made: if it took the same tag, or if the tag
    has its digest by now, what the tag means is no proof of what ran (`moved`).
    """
    image, source = running_image(at.found.image, at.state)
    if source or occasion.replaced_by is None:
        return image, source or None
    new = occasion.replaced_by
    same_tag = image.effective_tag is not None and image.effective_tag == new.effective_tag
    if same_tag and image.full_repository == new.full_repository:
        return image, "moved"
    digest = resolve(image)
    if digest is None:
        return image, None
    if digest == new.digest:
        return image, "moved"
    return image.with_version(image.tag, digest), "registry"
