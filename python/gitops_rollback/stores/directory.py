"""What both stores of records do alike, and the directory store, with nothing installed.

Every record that a store returns was checked; those that are not sound are passed over and named in
its `problems`. `JenkinsError` or `ConfigError` is raised where the store itself does not answer.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from errno import ELOOP, ENOTDIR
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from gitops_rollback import scratch
from gitops_rollback.errors import ConfigError
from gitops_rollback.late import regex
from gitops_rollback.ledger.records import (
    COPIES,
    LARGEST_RECORD,
    RECORD_FILE,
    RECORD_FOLDER,
    MadeRecord,
    MissingRecord,
    StoredRecord,
    digest_of_bytes,
    parse_record,
)
from gitops_rollback.manifest.document import LARGEST_MANIFEST
from gitops_rollback.model import title
from gitops_rollback.reading import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from gitops_rollback.model import Build
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
        with scratch.below(top, (RECORD_FOLDER, record.environment)) as at:
            with suppress(FileNotFoundError):
                shutil.rmtree(record.service, dir_fd=at)
            with scratch.below(at, (record.service,)) as fresh:
                for path, content in made.manifests.items():
                    *folders, name = path.split("/")
                    with scratch.below(fresh, (COPIES, *folders)) as beside:
                        scratch.write_new(beside, name, content)
                scratch.write_new(fresh, RECORD_FILE, made.data)
    except OSError as error:
        is_in_the_way = error.errno in (ELOOP, ENOTDIR) or os.path.islink(folder)  # noqa: PTH114 - which fails for a name that is too long
        reason = "a link, or what is no folder, is in its way"
        raise ConfigError(
            f"the record cannot be written to {folder}:"
            f" {reason if is_in_the_way else error.strerror or error}",
            "remove it, or give another directory, which one can write to, with --record-dir",
        ) from error
    return folder / RECORD_FILE


MOST_NUMBERS = 1000  # newest first; as many as builds of a Jenkins job are looked at
_INDEX = ".records"
_NEW = ".new-"  # what a folder begins with until it has its number
_LONGEST_NUMBER = 20
_NUMBER = regex(rf"[0-9]{{1,{_LONGEST_NUMBER - 1}}}")


class DirectoryStore:
    """Records in `PATH/<n>/gitops-rollback/<environment>/<service>/record.json`.

    `PATH/.records/<sha256>` holds the number under which a record was filed, so that it is found
    without a search, and missed where it was changed. A missing directory is an empty store; of
    one that is not known (None) each use says so. Records that are not sound are passed over and
    named in `problems`.
    """

    def __init__(self, path: Path | None, *, is_own: bool = False) -> None:
        self._path = path
        self._is_own = is_own  # nobody named it: it is this account's alone
        self.problems: list[str] = []
        self._listed: dict[tuple[int, str], frozenset[str]] = {}
        self._newest = 0  # the highest number that is known to be taken

    @property
    def path(self) -> Path:
        """Where it is; raises `ConfigError` where nothing says that."""
        if self._path is None:
            raise ConfigError(
                "there is no HOME to keep records in", "name a store: --store directory:PATH"
            )
        return self._path

    def file(self, made: MadeRecord) -> Path:
        """File a record under the next free number; return the path of its `record.json`.

        It is written under a temporary name and renamed, so that it is there whole or not at all.
        """
        is_first = not self._newest  # of this run
        try:
            if self._is_own:
                scratch.private(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
            with scratch.folder(self.path, _NEW) as own:
                os.fchmod(own.descriptor, 0o755)
                inside = write_record(made, own.path, own.descriptor).relative_to(own.path)
                filed = self._rename(own.path)
            if is_first:
                scratch.sweep(self.path, _NEW)
        except OSError as error:
            raise self._unusable(error) from error
        self._remember(made.stored.sha256, filed.name, sweeps=is_first)
        return filed / inside

    def find(
        self, environment: str, service: str, build: Build | None, sha256: str | None
    ) -> StoredRecord | MissingRecord:
        """Return the record with a sha256, or what stands in its place; builds are not known here.

        Where no number is remembered for it, as in an archive copied from elsewhere, the newest
        `MOST_NUMBERS` are looked through.
        """
        del build
        number = self._remembered(sha256)
        if number is not None:
            file = self._file(number, environment, service)
            data = self._read(file)
            if data is not None:
                return read_named(data, file, sha256)
        for stored in self._records(environment, service):
            if stored.sha256 == sha256:
                return stored
        return MissingRecord(f"{self.path} has no record {sha256} of {title(service, environment)}")

    def newest(self, environment: str, service: str) -> Iterator[StoredRecord]:
        """Yield the newest records of a service, newest first."""
        return islice(self._records(environment, service), NEWEST_RECORDS)

    def manifest(self, stored: StoredRecord, path: str) -> bytes | None:
        """Return the copy of a manifest beside a record, None if there is none that fits it."""
        data = self._read(Path(stored.location).parent / COPIES / path, LARGEST_MANIFEST)
        return fitting_copy(data, stored, path) if data is not None else None

    def _records(self, environment: str, service: str) -> Iterator[StoredRecord]:
        for number in sorted(self._numbers(), reverse=True)[:MOST_NUMBERS]:
            if service not in self._services(number, environment):
                continue
            file = self._file(number, environment, service)
            data = self._read(file)
            if data is None:
                continue
            try:
                yield parse_record(data, file)
            except ConfigError as error:
                self.problems.append(error.message)

    def _services(self, number: int, environment: str) -> frozenset[str]:
        """Return the services that have something under a number: looked up once for all."""
        key = (number, environment)
        if key not in self._listed:
            folder = f"{self.path}/{number}/{RECORD_FOLDER}/{environment}"
            try:
                self._listed[key] = frozenset(os.listdir(folder))  # noqa: PTH208 - only names
            except (FileNotFoundError, NotADirectoryError):
                self._listed[key] = frozenset()
            except OSError as error:
                self.problems.append(f"{folder}: {error.strerror}")
                self._listed[key] = frozenset()
        return self._listed[key]

    def _file(self, number: int, environment: str, service: str) -> str:
        return f"{self.path}/{number}/{RECORD_FOLDER}/{environment}/{service}/record.json"

    def _read(self, file: str | Path, largest: int = LARGEST_RECORD) -> bytes | None:
        try:
            return read_file(file, largest)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.problems.append(f"{file}: {error.strerror or error}")
            return None

    def _remember(self, sha256: str, number: str, *, sweeps: bool) -> None:
        """Note a record's number; without the note, as after a full disk, it is searched for."""
        folder = self.path / _INDEX
        with suppress(OSError):
            folder.mkdir(exist_ok=True)
            scratch.write_whole(folder / sha256.removeprefix("sha256:"), number, sweeps=sweeps)

    def _remembered(self, sha256: str | None) -> int | None:
        try:
            note = self.path / _INDEX / (sha256 or "").removeprefix("sha256:")
            text = read_file(note, _LONGEST_NUMBER).decode("ascii").strip()
        except (OSError, ValueError):
            return None  # no note, or none that can be read: the records themselves are looked at
        return int(text) if _NUMBER.fullmatch(text) else None

    def _numbers(self) -> list[int]:
        try:
            return [int(name) for name in os.listdir(self.path) if _NUMBER.fullmatch(name)]  # noqa: PTH208
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error) from error

    def _rename(self, folder: Path) -> Path:
        number = self._newest or max(self._numbers(), default=0)
        while True:
            number += 1
            target = self.path / str(number)
            try:
                # A rename onto a folder that is not empty fails: the number is taken.
                folder.rename(target)
            except OSError:
                if not target.exists():
                    raise
                continue
            self._newest = number
            return target

    def _unusable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"the store {self.path} cannot be used: {error.strerror or error}",
            "give another with --store directory:PATH",
        )
