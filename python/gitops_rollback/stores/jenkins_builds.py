"""The builds of jobs, and what each archived: one query lists 100, whatever is looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.stores.jenkins_failures import AbsentError, missing_job, no_builds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.stores.jenkins_http import JenkinsHttp

_WINDOW = 100  # builds that one query lists
_MOST_WINDOWS = 10
_LARGEST_LIST = 16_000_000
_BUILDS = "allBuilds[number,keepLog,artifacts[relativePath]]"
_DISCARDER = "jenkins.model.BuildDiscarderProperty"


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
