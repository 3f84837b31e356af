"""What both stores of records do alike, and how a record and its copies are written.

Every record that a store returns was checked; those that are not sound are passed over and named in
its `problems`. `JenkinsError` or `ConfigError` is raised where the store itself does not answer.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

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
    from pathlib import Path
    from typing import TypeAlias

    from gitops_rollback.ledger.records import MadeRecord
    from gitops_rollback.stores.directory import DirectoryStore
    from gitops_rollback.stores.jenkins import JenkinsStore

    RecordStore: TypeAlias = "DirectoryStore | JenkinsStore"

NEWEST_RECORDS = 50  # how many records of a service are looked at where no state file names one


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
