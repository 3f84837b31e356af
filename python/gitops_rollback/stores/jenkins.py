"""The Jenkins store: records in the archives of builds, read only; the job itself archives them.

One query lists 100 builds of a job and what each archived, whatever is looked for.

A build can be kept, and let go again: what `Keep this build forever` does, by REST.
`toggleLogKeep` turns the mark over, whatever it is (hudson.model.Run.doToggleLogKeep), so it is
looked at before and after. Setting it needs Run/Update, lifting it Run/Delete.
"""

from __future__ import annotations

import time
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING

from gitops_rollback.errors import ConfigError, JenkinsError
from gitops_rollback.late import dataclass, replace
from gitops_rollback.ledger.records import (
    COPIES,
    LARGEST_RECORD,
    RECORD_FOLDER,
    MissingRecord,
    StoredRecord,
    parse_record,
)
from gitops_rollback.manifest.document import LARGEST_MANIFEST
from gitops_rollback.model import Build, one_line
from gitops_rollback.stores.directory import fitting_copy, read_named
from gitops_rollback.stores.jenkins_failures import (
    AbsentError,
    UnusableArtifactError,
    missing_job,
    no_builds,
    nonsense,
    refusal,
    wants_crumb,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gitops_rollback.clock import Deadline
    from gitops_rollback.stores.jenkins_http import JenkinsHttp
    from gitops_rollback.web.answers import Answer

_MOST_TRIES = 30  # where records cannot be used
_ENOUGH = 3  # changes that explain a rollback: no further window is asked for
_LARGEST_ANSWER = 100_000
_WINDOW = 100  # builds that one query lists
_MOST_WINDOWS = 10
_LARGEST_LIST = 16_000_000
_BUILDS = "allBuilds[number,keepLog,artifacts[relativePath]]"
_DISCARDER = "jenkins.model.BuildDiscarderProperty"
_LARGEST_BUILD = 4_000_000
_DONE = frozenset({HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.FOUND, HTTPStatus.SEE_OTHER})
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, 502, HTTPStatus.SERVICE_UNAVAILABLE, 504})
_PAUSES = (0.5, 2.0)  # seconds, before it is tried again where Jenkins was busy
_PARTS = 4  # of gitops-rollback/ENVIRONMENT/SERVICE/record.json


class JenkinsStore:
    """Records at `gitops-rollback/<environment>/<service>/record.json` of a job's builds.

    The job is the explicit one, else the one the state file names, else the service's
    `deploy-job`. Records that cannot be used are passed over and named in `problems`.
    """

    def __init__(
        self,
        url: str,
        environment: Mapping[str, str],
        deadline: Deadline,
        *,
        job: str | None,
        jobs: Mapping[str, str | None],
    ) -> None:
        self.problems: list[str] = []
        self._opening = (url, environment, deadline)
        self._opened: JenkinsHttp | None = None
        self._job = job
        self._jobs = jobs

    def find(
        self, environment: str, service: str, build: Build | None, sha256: str | None
    ) -> StoredRecord | MissingRecord:
        """Return the record in a build's archive, by one GET; the caller compares its sha256."""
        if build is None:
            return MissingRecord("no build is named that could hold it")
        there = self._there(build)
        path = _path(environment, service)
        try:
            data = self._download(there, path)
        except AbsentError:
            return MissingRecord(self._why_absent(there, path))
        found = read_named(data, _location(there, path), sha256)
        if isinstance(found, MissingRecord):
            return found
        return _archived_by(there, found)

    def newest(self, environment: str, service: str) -> Iterator[StoredRecord]:
        """Yield a service's records, newest first; Jenkins is asked only as far as they are taken.

        One query lists 100 builds; further ones follow while too few records have been found.
        """
        job = self._deploy_job(service)
        path = _path(environment, service)
        changes = tries = 0
        for numbers in self._builds.windows(job, path):
            for number in numbers:
                tries += 1
                if tries > _MOST_TRIES:
                    return
                stored = self._usable(self._build(job, number), path)
                if stored is not None:
                    changes += not stored.record.unchanged
                    yield stored
            if changes >= _ENOUGH:
                return

    def manifest(self, stored: StoredRecord, path: str) -> bytes | None:
        """Return the copy of a manifest beside a record, by one GET; None if none fits it."""
        record = stored.record
        if record.build is None:
            return None
        artifact = f"{RECORD_FOLDER}/{record.environment}/{record.service}/{COPIES}/{path}"
        try:
            data = self._download(record.build, artifact, LARGEST_MANIFEST)
        except AbsentError:
            return None
        return fitting_copy(data, stored, path)

    def archived(self, job: str, environment: str, service: str) -> dict[int, bool]:
        """Return the newest builds of a job, and which archived a record of a service: one GET."""
        return self._builds.archived(_checked(self._job or job), _path(environment, service))

    def passing(self, job: str) -> frozenset[int]:
        """Return the newest builds of a job that its discarder may take; from the same GET."""
        return self._builds.passing(_checked(self._job or job))

    def keeper(self) -> Keeper:
        """Return what marks builds of this Jenkins."""
        return Keeper(self._http, self._place)

    @property
    def _http(self) -> JenkinsHttp:
        if self._opened is None:
            from gitops_rollback.stores.jenkins_http import JenkinsHttp  # noqa: PLC0415 - slow import

            self._opened = JenkinsHttp(*self._opening)
        return self._opened

    @cached_property
    def _builds(self) -> Builds:
        return Builds(self._http)

    def _there(self, build: Build) -> Build:
        """Return a build that the state file names where it is looked for: an explicit job wins."""
        return self._build(_checked(self._job or build.job), build.number)

    def _place(self, build: Build) -> str:
        return self._there(build).url or ""

    def _deploy_job(self, service: str) -> str:
        job = self._job or self._jobs.get(service)
        if not job:
            raise ConfigError(
                f"nothing says which Jenkins job holds the records of {service}",
                'name it with --store jenkins:JOB, or write deploy-job = "FOLDER/JOB" '
                "into .gitops-rollback.toml",
            )
        return _checked(job)

    def _build(self, job: str, number: int) -> Build:
        return Build(job, number, self._http.address(job, number=number))

    def _usable(self, build: Build, path: str) -> StoredRecord | None:
        """Return the record of a listed build, or note why it is passed over."""
        try:
            data = self._download(build, path)
            return _archived_by(build, parse_record(data, _location(build, path)))
        except AbsentError:
            self.problems.append(f"{build} or its record was deleted while it was looked at")
        except (UnusableArtifactError, ConfigError) as error:
            self.problems.append(error.message)
        return None

    def _download(self, build: Build, path: str, largest: int = LARGEST_RECORD) -> bytes:
        url = self._http.address(build.job, number=build.number, artifact=path)
        return self._http.get(url, f"{path} of {build}", largest).body

    def _why_absent(self, build: Build, path: str) -> str:
        what = f"what became of {build}"
        try:
            found = self._http.get_tree(
                build.url or "", "keepLog,building,result", what, _LARGEST_ANSWER
            )
        except AbsentError as error:
            if not error.is_from_jenkins:
                return f"{error.message}; {error.hint}"
            return (
                f"Jenkins has no build {build}: it was deleted (the job's discarder does that), "
                f"or {self._http.access.person} may not read the job"
            )
        except JenkinsError as error:
            return f"{build} has no {path} to read; {error.message}"
        if found.get("building") is True:
            return f"{build} still runs and has not archived {path}"
        result = one_line(str(found.get("result")), 40)
        return f"{build} ({result}) has no {path}: it archived none, or its artifacts were deleted"


def _location(build: Build, path: str) -> str:
    return f"{build.url}artifact/{path}"


def _archived_by(build: Build, stored: StoredRecord) -> StoredRecord:
    """Return a record as that of the build it was found in, whatever it says itself."""
    return replace(stored, record=replace(stored.record, build=build))


def _path(environment: str, service: str) -> str:
    return f"{RECORD_FOLDER}/{environment}/{service}/record.json"


def _checked(job: str) -> str:
    names = job.split("/")
    if not job.isprintable() or any(name in ("", ".", "..") for name in names):
        raise ConfigError(
            f"'{one_line(job, 100)}' cannot be a Jenkins job",
            "write its full name, FOLDER/JOB, with --store jenkins:JOB or as deploy-job",
        )
    return job


class Builds:
    """Lists builds; a list is asked for once, for services may share a job."""

    def __init__(self, http: JenkinsHttp) -> None:
        self._http = http
        self._listed: dict[tuple[str, int], dict[int, frozenset[str]]] = {}
        self._passing: dict[str, frozenset[int]] = {}

    def archived(self, job: str, path: str, start: int = 0) -> dict[int, bool]:
        """Return the numbers of the builds from the `start`th on, and which archived a path."""
        if (job, start) not in self._listed:
            self._listed[job, start] = self._list(job, start)
        return {number: path in paths for number, paths in self._listed[job, start].items()}

    def passing(self, job: str) -> frozenset[int]:
        """Return those of the newest builds that the job's discarder may take: they are not kept.

        Empty where the job has no discarder of its own.
        """
        self.archived(job, "")
        return self._passing[job]

    def windows(self, job: str, path: str) -> Iterator[list[int]]:
        """Yield the builds that archived a path, newest first, window by window."""
        seen: set[int] = set()
        for start in range(0, _WINDOW * _MOST_WINDOWS, _WINDOW):
            listed = self.archived(job, path, start)
            new = listed.keys() - seen
            yield sorted((number for number in new if listed[number]), reverse=True)
            if len(listed) < _WINDOW or not new:
                return
            seen |= new

    def _list(self, job: str, start: int) -> dict[int, frozenset[str]]:
        tree = f"property[_class],{_BUILDS}{{{start},{start + _WINDOW}}}"
        try:
            answer = self._http.get_tree(
                self._http.address(job), tree, f"the builds of {job}", _LARGEST_LIST
            )
        except AbsentError as error:
            raise missing_job(job, self._http.access, error) from error
        builds = answer.get("allBuilds")
        if not isinstance(builds, list):
            raise no_builds(job)
        known = [b for b in builds if isinstance(b, dict) and _is_number(b.get("number"))]
        if start == 0:
            loose = frozenset(b["number"] for b in known if b.get("keepLog") is False)
            self._passing[job] = loose if _has_discarder(answer) else frozenset()
        return {build["number"]: frozenset(_paths(build)) for build in known}


def _has_discarder(job: dict[str, object]) -> bool:
    properties = job.get("property")
    listed = properties if isinstance(properties, list) else ()
    return any(isinstance(one, dict) and one.get("_class") == _DISCARDER for one in listed)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _paths(build: dict[str, object]) -> Iterator[str]:
    artifacts = build.get("artifacts")
    for artifact in artifacts if isinstance(artifacts, list) else ():
        path = artifact.get("relativePath") if isinstance(artifact, dict) else None
        if isinstance(path, str):
            yield path


@dataclass(frozen=True)
class KeptBuild:
    """A build, whether Jenkins keeps it, and the (environment, service) of each record it holds."""

    build: Build
    is_kept: bool
    records: frozenset[tuple[str, str]]


class Keeper:
    """Marks builds of one Jenkins; `place` gives the address of a build."""

    def __init__(self, http: JenkinsHttp, place: Callable[[Build], str]) -> None:
        self._http = http
        self._address = place

    def look(self, build: Build) -> KeptBuild:
        """Return what Jenkins says of a build; raise `JenkinsError` if it does not tell."""
        found = self._http.get_tree(
            self._address(build), "keepLog,artifacts[relativePath]", str(build), _LARGEST_BUILD
        )
        is_kept, listed = found.get("keepLog"), found.get("artifacts")
        if not isinstance(is_kept, bool) or not isinstance(listed, list):
            reason = "it does not say whether it keeps that build, and what the build archived"
            raise nonsense(str(build), self._http.access, reason)
        records = frozenset(
            (parts[1], parts[2])
            for parts in (path.split("/") for path in _paths(found))
            if len(parts) == _PARTS and (parts[0], parts[3]) == (RECORD_FOLDER, "record.json")
        )
        return KeptBuild(build, is_kept, records)

    def _turned(self, kept: KeptBuild, what: str) -> Answer | None:
        """Ask to turn the mark over, again where Jenkins is busy; None: it was turned all the same.

        What answers 503 (a proxy, mostly) may have let the request through: it is looked at first,
        for another one would turn the mark back. Raises `JenkinsError` where that cannot be seen.
        """
        address = f"{self._address(kept.build)}toggleLogKeep"
        answer = self._http.post(address, b"", what)
        for pause in _PAUSES:
            if answer.status not in _BUSY:
                return answer
            time.sleep(pause)
            if self._has_turned(kept):
                return None
            answer = self._http.post(address, b"", what)
        return None if answer.status in _BUSY and self._has_turned(kept) else answer

    def _has_turned(self, kept: KeptBuild) -> bool:
        """Tell whether the mark is the other one by now; raise where Jenkins does not tell."""
        return self.look(kept.build).is_kept != kept.is_kept

    def turn_over(self, kept: KeptBuild) -> None:
        """Keep a build that is not kept, or let go one that is; raise `JenkinsError` if refused."""
        wanted = not kept.is_kept
        what = f"{'keeping' if wanted else 'letting go'} {kept.build}"
        answer = self._turned(kept, what)
        if answer is None:
            return
        if answer.status == HTTPStatus.FORBIDDEN and not wants_crumb(answer):
            error = refusal(answer, what, self._http.access)
            right = "Run/Update" if wanted else "Run/Delete"
            raise JenkinsError(error.message, f"give {self._http.access.person} {right} in Jenkins")
        if answer.status not in _DONE:
            raise refusal(answer, what, self._http.access)
        if self.look(kept.build).is_kept != wanted:
            raise JenkinsError(
                f"asked Jenkins at {self._http.access.host} for {what}: it did not do so",
                "somebody may have done the same at the same time: look at the build",
            )
