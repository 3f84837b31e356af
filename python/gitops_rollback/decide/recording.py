"""Records of what is about to be replaced: made, and held against what stands at the tip. Pure.

And what is as it was when an image ran, by its record: told without asking anybody.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops_rollback.decide.facts import NeedDigest
from gitops_rollback.errors import ConfigError, ManifestError, MovedError
from gitops_rollback.late import regex
from gitops_rollback.ledger.events import agree, is_unchanged
from gitops_rollback.ledger.fields import find_fields, note, noted_of
from gitops_rollback.ledger.records import (
    MadeRecord,
    ManifestCopy,
    Record,
    StoredRecord,
    digest_of_bytes,
    elsewhere_from,
    render_record,
)
from gitops_rollback.manifest.edit import restoring_edit, rewrite_to_compare
from gitops_rollback.manifest.objects import POD_SPECS, holds_clear_secret

if TYPE_CHECKING:
    from gitops_rollback.decide.facts import Facts, ServiceAtTip
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.image import ImageReference
    from gitops_rollback.manifest.document import ParsedFile

# What a manifest has whose storage may be wrong, or may have changed.
_STORAGE = regex(
    "persistent|claimtemplates|claimname|hostpath|storageclass|accessmodes", re.IGNORECASE
)


def make_record(
    wish: Wish, facts: Facts, action: str, replaced_by: ImageReference | None
) -> MadeRecord:
    """Make the record of a service's present image, which `replaced_by` is about to replace.

    The registry is asked for the digest a tag has now only where a deploy's new image is known and
    nothing else proves the digest.
    """
    at = facts.at
    image, digest_from = _recorded_image(facts, action, replaced_by)
    files = {field.path: at.found.manifests.files[field.path] for field in at.found.fields}
    contents = {path: file.data for path, file in files.items()}
    copied = {path: data for path, data in contents.items() if not holds_clear_secret(files[path])}
    record = Record(
        service=at.service,
        environment=at.environment,
        repository=facts.url,
        branch=at.tip.branch,
        commit=at.tip.commit,
        image=image,
        digest_from=digest_from,
        action=action,
        fields=tuple(note(field) for field in at.found.fields),
        manifests=tuple(
            ManifestCopy(path, digest_of_bytes(data), path in copied)
            for path, data in contents.items()
        ),
        replaced_by=replaced_by,
        unchanged=replaced_by is not None and is_unchanged(image, replaced_by),
        build=wish.build,
        recorded_at=wish.present,
        by=wish.by,
    )
    data = render_record(record)
    return MadeRecord(StoredRecord(record, digest_of_bytes(data), ""), data, copied)


def not_of(at: ServiceAtTip, stored: StoredRecord, url: str) -> str | None:
    """Return in what a record is not of a service in the repository of a URL; None if it is.

    It is of the service if one of its fields is, or where nothing tells whose they are by now, if
    it was made under one of the names that the service's fields have.
    """
    record = stored.record
    elsewhere = elsewhere_from(record, url, at.tip.branch)
    if elsewhere is not None:
        return elsewhere
    if any(match.field is not None for match in find_fields(record.fields, at.found.fields)):
        return None
    theirs = {noted.key for noted in at.displaced.fields} if at.displaced else set()
    if theirs & {noted.key for noted in record.fields}:
        return "its fields are those of another service by now"
    names = [(at.service, at.environment)]
    names += [(state.service, state.environment) for state in at.aliases]
    if (record.service, record.environment) in names:
        return None
    if record.service != at.service:
        return f"it is for service '{record.service}', not '{at.service}'"
    return f"it is for environment '{record.environment}', not '{at.environment}'"


def refuse_other_record(
    facts: Facts, stored: StoredRecord, image: ImageReference, again: str
) -> None:
    """Refuse a record of another service or place, or of what another image was to replace.

    `again` says how to make the right one. Raises `ConfigError` or `MovedError`.
    """
    record = stored.record
    reason = not_of(facts.at, stored, facts.url)
    if reason is not None:
        raise ConfigError(
            f"the record {stored.location} does not fit: {reason}",
            "give the record that this build made for this service",
        )
    if record.replaced_by is not None and not agree(record.replaced_by, image):
        raise MovedError(
            f"the record {stored.location} was made for {record.replaced_by.canonical}, not "
            f"for {image.canonical}",
            again,
        )


def moved_since(facts: Facts, stored: StoredRecord, again: str) -> MovedError | None:
    """Return the error if a service's fields are not what was recorded; None if they are."""
    recorded = {field.key: field.value for field in stored.record.fields}
    present = {field.key: field.value for field in facts.at.found.fields}
    for key in (*recorded, *present):
        old, new = recorded.get(key, "absent"), present.get(key, "absent")
        if old != new:
            return MovedError(
                f"{facts.title} is not what the record says: {key[0]}, {key[2]}: "
                f"recorded {old}, now {new}",
                again,
            )
    return None


def _recorded_image(
    facts: Facts, action: str, replaced_by: ImageReference | None
) -> tuple[ImageReference, str | None]:
    """Return the present image, with its digest if one is proven or resolved, and its source.

    The new image is pushed already when a record is made: if it took the same tag, or if the tag
    has its digest by now, what the tag means is no proof of what ran (`moved`).
    """
    image, source = facts.running, facts.at.read.digest_from
    if source or replaced_by is None:
        return image, source or None
    same_tag = image.effective_tag is not None and image.effective_tag == replaced_by.effective_tag
    if same_tag and image.full_repository == replaced_by.full_repository:
        return image, "moved"
    if action == "rollback":
        return image, None
    digest = facts.ask(NeedDigest(image, patient=False)).digest
    if digest is None:
        return image, None
    if digest == replaced_by.digest:
        return image, "moved"
    return image.with_version(image.tag, digest), "registry"


def has_storage(at: ServiceAtTip) -> bool:
    """Tell cheaply whether a service's manifests mention storage that lasts.

    Where an image stands outside of a workload (a kustomization's entry), every file counts that
    names the image.
    """
    paths = {field.path for field in at.found.fields}
    name = at.found.image.repository.rpartition("/")[2]
    is_apart = any(field.kind not in POD_SPECS for field in at.found.fields)
    return any(
        _STORAGE.search(file.text)
        for path, file in at.found.manifests.files.items()
        if path in paths or (is_apart and name in file.text)
    )


def is_as_recorded(at: ServiceAtTip, stored: StoredRecord) -> bool:
    """Tell, without asking anybody, whether a record's manifests changed in nothing but images."""
    files = at.found.manifests.files
    return all(
        copy.path in files
        and digest_of_bytes(as_recorded(files[copy.path], at, stored)) == copy.sha256
        for copy in stored.record.manifests
    )


def as_recorded(file: ParsedFile, at: ServiceAtTip, stored: StoredRecord) -> bytes:
    """Return the file with the recorded texts in its image fields, as far as they can stand there.

    What cannot be put back changed too, which the comparison then tells.
    """
    fields = [field for field in at.found.fields if field.path == file.path]
    recorded = [(field, noted_of(stored.record.fields, field)) for field in fields]
    try:
        return rewrite_to_compare(
            file, [restoring_edit(f, noted.value, noted.parts) for f, noted in recorded if noted]
        )
    except ManifestError:
        return file.data
