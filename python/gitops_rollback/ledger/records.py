"""Records: what a deploy or a rollback is about to replace, archived before it does. Pure."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from gitops_rollback import schema
from gitops_rollback.errors import ConfigError, UnwritableError
from gitops_rollback.image import ImageReference, InvalidImageError, parse_image
from gitops_rollback.late import dataclass, field
from gitops_rollback.ledger.fields import NotedField, field_from_json
from gitops_rollback.model import (
    Build,
    build_from_json,
    image_from_json,
    is_safe_path,
    repository_key,
    unknown_keys,
    without_none,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

RECORD_FOLDER = "gitops-rollback"  # in it a folder for each environment, in that for each service
RECORD_FILE = "record.json"
COPIES = "manifests"  # the folder beside a record
LARGEST_RECORD = 1_000_000  # bytes
_KEYS = (
    *("schemaVersion", "service", "environment", "repository", "branch", "commit", "image"),
    *("digestFrom", "action", "fields", "manifests", "replacedBy", "unchanged", "build"),
    *("recordedAt", "by"),
)
_HINT = "use the record that the record step of this build wrote"


@dataclass(frozen=True)
class ManifestCopy:
    """A manifest the record belongs to; `copied` tells whether a copy lies beside the record."""

    path: str
    sha256: str
    copied: bool
    more: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the copy as it stands in a record."""
        known = {"path": self.path, "sha256": self.sha256, "copied": self.copied}
        return {**known, **self.more}


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
    fields: tuple[NotedField, ...]
    manifests: tuple[ManifestCopy, ...]
    unchanged: bool
    recorded_at: str
    digest_from: str | None = None
    replaced_by: ImageReference | None = None
    build: Build | None = None
    by: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that it names."""
        return (*(noted.path for noted in self.fields), *(copy.path for copy in self.manifests))

    def to_json(self) -> dict[str, Any]:
        """Return the record as it is written to `record.json`."""
        known = without_none(
            {
                "schemaVersion": 2,
                "service": self.service,
                "environment": self.environment,
                "repository": self.repository,
                "branch": self.branch,
                "commit": self.commit,
                "image": self.image.canonical,
                "digestFrom": self.digest_from,
                "action": self.action,
                "fields": [recorded.to_json() for recorded in self.fields],
                "manifests": [copy.to_json() for copy in self.manifests],
                "replacedBy": self.replaced_by.canonical if self.replaced_by else None,
                "unchanged": self.unchanged,
                "build": self.build.to_json() if self.build else None,
                "recordedAt": self.recorded_at,
                "by": self.by,
            }
        )
        return {**known, **self.more}


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
    """Return the bytes of a `record.json`; raise `UnwritableError` where they could not be read."""
    what = f"the record of {record.service} in {record.environment}"
    for path in record.paths:
        if not is_safe_path(path):
            raise UnwritableError(
                f"{what} could not be read again: the path {path!r} is no plain path",
                "give the folder or file a name without control characters and backslashes, and"
                " none that is `.git` or `..`",
            )
    return schema.write(record.to_json(), "record", LARGEST_RECORD, what)


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
    for path in record.paths:
        if not is_safe_path(path):
            raise _unsound(location, f"the path '{path}' leads out of the repository")
    return StoredRecord(record, digest_of_bytes(data), location)


def elsewhere_from(record: Record, repository: str, branch: str | None) -> str | None:
    """Return in what a record is of another place than a branch of a repository, else None.

    No branch is any.
    """
    if branch not in (None, record.branch):
        return f"it is for branch '{record.branch}', not '{branch}'"
    if repository_key(record.repository) != repository_key(repository):
        return f"it is for the repository {record.repository}, not {repository}"
    return None


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
        fields=tuple(field_from_json(entry) for entry in document["fields"]),
        manifests=tuple(_copy_from_json(copy) for copy in document["manifests"]),
        unchanged=document["unchanged"],
        recorded_at=document["recordedAt"],
        digest_from=document.get("digestFrom"),
        replaced_by=image_from_json(document.get("replacedBy")),
        build=build_from_json(document.get("build")),
        by=document.get("by"),
        more=unknown_keys(document, _KEYS),
    )


def _copy_from_json(document: dict[str, Any]) -> ManifestCopy:
    more = unknown_keys(document, ("path", "sha256", "copied"))
    return ManifestCopy(document["path"], document["sha256"], document["copied"], more)


def is_copy(path: str, records: Collection[str]) -> bool:
    """Tell whether a file is the copy of a manifest beside one of the record files that are there.

    What `record` wrote below a folder is no manifest of that folder, wherever it was put.
    """
    head, found, _rest = path.rpartition(f"/{COPIES}/")
    while found:
        parts = head.split("/")
        if parts[-3:-2] == [RECORD_FOLDER] and f"{head}/{RECORD_FILE}" in records:
            return True
        head, found, _rest = head.rpartition(f"/{COPIES}/")
    return False
