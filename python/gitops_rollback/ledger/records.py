"""Records: what a deploy or a rollback is about to replace, archived before it does. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gitops_rollback import schema
from gitops_rollback.errors import ConfigError
from gitops_rollback.image import ImageReference, InvalidImageError, parse_image
from gitops_rollback.model import (
    Build,
    build_from_json,
    image_from_json,
    is_safe_path,
    without_none,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_RECORD = 1_000_000  # bytes
_HINT = "use the record that the record step of this build wrote"


@dataclass(frozen=True)
class RecordedField:
    """One image field as it stood: `value` is its text, `image` the canonical reference.

    Of a split field, `parts` are the raw texts of its scalars, by key, quotes included.
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

    def to_json(self) -> dict[str, Any]:
        """Return the field as it is written to `record.json`."""
        fields = {key: value for key, value in vars(self).items() if key != "parts"}
        return {**fields, "parts": dict(self.parts)} if self.parts else fields

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Path, kind, name and container: how the field is found again at another tip."""
        return (self.path, self.kind, self.name, self.container)


@dataclass(frozen=True)
class ManifestCopy:
    """A manifest the record belongs to; `copied` tells whether a copy lies beside the record."""

    path: str
    sha256: str
    copied: bool


@dataclass(frozen=True)
class Record:
    """What was there, where, and what was about to replace it."""

    service: str
    environment: str
    repository: str
    branch: str
    commit: str
    image: ImageReference
    action: str
    fields: tuple[RecordedField, ...]
    manifests: tuple[ManifestCopy, ...]
    unchanged: bool
    recorded_at: str
    digest_from: str | None = None
    replaced_by: ImageReference | None = None
    build: Build | None = None
    by: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the record as it is written to `record.json`."""
        return without_none(
            {
                "schemaVersion": 1,
                "service": self.service,
                "environment": self.environment,
                "repository": self.repository,
                "branch": self.branch,
                "commit": self.commit,
                "image": self.image.canonical,
                "digestFrom": self.digest_from,
                "action": self.action,
                "fields": [recorded.to_json() for recorded in self.fields],
                "manifests": [vars(copy) for copy in self.manifests],
                "replacedBy": self.replaced_by.canonical if self.replaced_by else None,
                "unchanged": self.unchanged,
                "build": self.build.to_json() if self.build else None,
                "recordedAt": self.recorded_at,
                "by": self.by,
            }
        )


@dataclass(frozen=True)
class StoredRecord:
    """A record with the sha256 of its bytes, and where it was found, for people."""

    record: Record
    sha256: str
    location: str


@dataclass(frozen=True)
class MadeRecord:
    """A record with the bytes of `record.json` and of the manifests that may be copied."""

    stored: StoredRecord
    data: bytes
    manifests: Mapping[str, bytes]


@dataclass(frozen=True)
class MissingRecord:
    """A record that was looked for and not found, with the reason for people.

    `is_tampered` tells that something else is where it was, which is no record at all.
    """

    reason: str
    is_tampered: bool = False


def render_record(record: Record) -> bytes:
    """Return the bytes of a `record.json`."""
    return (json.dumps(record.to_json(), indent=1, ensure_ascii=False) + "\n").encode()


def digest_of_bytes(data: bytes) -> str:
    """Return the sha256 of some bytes as records and state files write it."""
    return f"sha256:{sha256(data).hexdigest()}"


def parse_record(data: bytes, location: str) -> StoredRecord:
    """Read a record from outside; raise `ConfigError` naming `location` if it is not sound."""
    try:
        record = _from_json(schema.read(data, "record", LARGEST_RECORD))
    except schema.NewerDocumentError as error:
        raise ConfigError(f"the record {location} {error}", "use that version here too") from error
    except (schema.InvalidDocumentError, InvalidImageError) as error:
        raise _unsound(location, str(error)) from error
    for path in (*(f.path for f in record.fields), *(m.path for m in record.manifests)):
        if not is_safe_path(path):
            raise _unsound(location, f"the path '{path}' leads out of the repository")
    return StoredRecord(record, digest_of_bytes(data), location)


def mismatch(
    record: Record, *, service: str, environment: str, repository: str, branch: str
) -> str | None:
    """Return in what a record is for something else, or None if it is for this."""
    pairs = (
        ("service", record.service, service),
        ("environment", record.environment, environment),
        ("branch", record.branch, branch),
    )
    for what, has, wanted in pairs:
        if has != wanted:
            return f"it is for {what} '{has}', not '{wanted}'"
    if repository_key(record.repository) != repository_key(repository):
        return f"it is for the repository {record.repository}, not {repository}"
    return None


def repository_key(url: str) -> str:
    """Return host and path of a repository, without scheme, user, port and `.git`."""
    if "://" in url:
        try:
            parts = urlsplit(url)
        except ValueError:  # a record may name anything: it is no other repository's key
            return url
        host, path = parts.hostname or "", parts.path
    else:
        head, colon, tail = url.partition(":")
        is_scp = bool(colon) and "/" not in head
        host, path = (head.rpartition("@")[2], tail) if is_scp else ("", url)
    return f"{host.lower()}/{path.strip('/').removesuffix('.git').rstrip('/')}"


def _unsound(location: str, reason: str) -> ConfigError:
    return ConfigError(f"the record {location} is not sound: {reason}", _HINT)


def _from_json(document: dict[str, Any]) -> Record:
    return Record(
        service=document["service"],
        environment=document["environment"],
        repository=document["repository"],
        branch=document["branch"],
        commit=document["commit"],
        image=parse_image(document["image"]),
        action=document["action"],
        fields=tuple(_field_from_json(entry) for entry in document["fields"]),
        manifests=tuple(ManifestCopy(**copy) for copy in document["manifests"]),
        unchanged=document["unchanged"],
        recorded_at=document["recordedAt"],
        digest_from=document.get("digestFrom"),
        replaced_by=image_from_json(document.get("replacedBy")),
        build=build_from_json(document.get("build")),
        by=document.get("by"),
    )


def _field_from_json(document: dict[str, Any]) -> RecordedField:
    return RecordedField(**{"value": document["image"], **document})
