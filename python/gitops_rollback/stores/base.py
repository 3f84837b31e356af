"""What every store of records offers, and how a record and its copies are written."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Protocol

from gitops_rollback.errors import ConfigError
from gitops_rollback.ledger.records import (
    COPIES,
    RECORD_FILE,
    RECORD_FOLDER,
    MissingRecord,
    StoredRecord,
    digest_of_bytes,
    parse_record,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gitops_rollback.ledger.records import MadeRecord
    from gitops_rollback.model import Build

NEWEST_RECORDS = 50  # how many records of a service are looked at where no state file names one


class RecordStore(Protocol):
    """Reads archived records; every record it returns was checked.

    `find` returns the record an event names, by the build whose archive holds it and by the
    sha256 the state file has of it. `newest` yields a service's records, newest first, and asks
    only as far as they are taken. Both raise `JenkinsError` or `ConfigError` if the store itself
    does not answer; records that are not sound are passed over and named in `problems`.
    """

    problems: list[str]

    def find(
        self, environment: str, service: str, build: Build | None, sha256: str | None
    ) -> StoredRecord | MissingRecord:
        """Return one record, or why it is not to be had."""
        ...

    def newest(self, environment: str, service: str) -> Iterator[StoredRecord]:
        """Yield the newest records of a service, newest first."""
        ...

    def manifest(self, stored: StoredRecord, path: str) -> bytes | None:
        """Return the copy of a manifest beside a record, None if there is none that fits it."""
        ...

    def forget(self) -> None:
        """Forget what was listed: there may be more by now."""
        ...


def fitting_copy(data: bytes, stored: StoredRecord, path: str) -> bytes | None:
    """Return the bytes of a manifest's copy if they are those that the record names."""
    named = {copy.path: copy.sha256 for copy in stored.record.manifests if copy.copied}
    return data if named.get(path) == digest_of_bytes(data) else None


def read_named(data: bytes, location: str, sha256: str | None) -> StoredRecord | MissingRecord:
    """Read what stands where a record was archived; the caller compares a sound one's sha256."""
    try:
        return parse_record(data, location)
    except ConfigError as error:
        is_other = sha256 is not None and digest_of_bytes(data) != sha256
        return MissingRecord(error.message, is_tampered=is_other)


def write_record(made: MadeRecord, directory: Path) -> Path:
    """Write a record and its copies below a directory; return the path of `record.json`.

    They are written to a fresh folder: what an earlier run left there is removed first.
    """
    record = made.stored.record
    folder = directory / RECORD_FOLDER / record.environment / record.service
    for link in (folder, folder.parent, folder.parent.parent):
        if link.is_symlink():  # what it leads to is somebody's, and would be removed
            raise ConfigError(
                f"the record cannot be written to {folder}: {link} is a link",
                "remove the link, or give another directory with --record-dir",
            )
    try:
        if folder.exists():
            shutil.rmtree(folder)
        # From the top down: pathlib tries the deepest first, which is a failure at each level.
        os.makedirs(folder)  # noqa: PTH103 - see above
        for path, content in made.manifests.items():
            target = folder / COPIES / path
            os.makedirs(target.parent, exist_ok=True)  # noqa: PTH103 - the same
            target.write_bytes(content)
        file = folder / RECORD_FILE
        file.write_bytes(made.data)
    except OSError as error:
        raise ConfigError(
            f"the record cannot be written to {folder}: {error.strerror or error}",
            "give a directory one can write to with --record-dir",
        ) from error
    return file
