"""What both stores of records do alike, and how a record and its copies are written.

Every record that a store returns was checked; those that are not sound are passed over and named in
its `problems`. `JenkinsError` or `ConfigError` is raised where the store itself does not answer.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from errno import ELOOP, ENOTDIR
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
from gitops_rollback.scratch import below, write_new

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


def write_record(made: MadeRecord, directory: Path, opened: int | None = None) -> Path:
    """Write a record and its copies below a directory; return the path of `record.json`.

    They are written to a fresh folder: what an earlier run left there is removed first. `opened` is
    a descriptor of the directory, where there is one.
    """
    record = made.stored.record
    folder = directory / RECORD_FOLDER / record.environment / record.service
    try:
        if opened is None:
            directory.mkdir(parents=True, exist_ok=True)
        top = directory if opened is None else opened
        with below(top, (RECORD_FOLDER, record.environment)) as at:
            with suppress(FileNotFoundError):
                shutil.rmtree(record.service, dir_fd=at)
            with below(at, (record.service,)) as fresh:
                for path, content in made.manifests.items():
                    *folders, name = path.split("/")
                    with below(fresh, (COPIES, *folders)) as beside:
                        write_new(beside, name, content)
                write_new(fresh, RECORD_FILE, made.data)
    except OSError as error:
        is_in_the_way = error.errno in (ELOOP, ENOTDIR) or folder.is_symlink()
        reason = "a link, or what is no folder, is in its way"
        raise ConfigError(
            f"the record cannot be written to {folder}:"
            f" {reason if is_in_the_way else error.strerror or error}",
            "remove it, or give another directory, which one can write to, with --record-dir",
        ) from error
    return folder / RECORD_FILE
