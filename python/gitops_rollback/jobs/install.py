"""Create and update Jenkins jobs: look at what is there, change only what differs."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gitops_rollback.errors import JenkinsError
from gitops_rollback.jobs import config_xml
from gitops_rollback.late import dataclass
from gitops_rollback.model import one_line
from gitops_rollback.stores.jenkins_failures import AbsentError, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from xml.etree.ElementTree import Element

    from gitops_rollback.jobs.wanted import Job
    from gitops_rollback.stores.jenkins_failures import Access
    from gitops_rollback.stores.jenkins_http import JenkinsHttp
    from gitops_rollback.web.answers import Answer

_LARGEST_CONFIG = 4_000_000
_LONGEST_REASON = 200
CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"


@dataclass(frozen=True)
class Change:
    """What was done, or in a dry run would be done, with one job or folder."""

    name: str
    kind: str
    action: str
    url: str
    diff: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the change as it stands in results."""
        found = {"job": self.name, "kind": self.kind, "action": self.action, "url": self.url}
        return {**found, **({"diff": self.diff} if self.diff else {})}


class Installer:
    """Installs jobs in one Jenkins; asks and compares only, where it is a rehearsal."""

    def __init__(self, http: JenkinsHttp, *, writes: bool) -> None:
        self._http = http
        self._writes = writes

    def install(self, jobs: Iterable[Job]) -> list[Change]:
        """Create what is missing and update what differs; everything is looked at first.

        Raises `JenkinsError` if Jenkins does not answer or refuses; what was done until then stays,
        and a second run goes on from there.
        """
        planned: list[tuple[Change, bytes]] = []
        for job in jobs:
            for folder in job.folders:
                if all(change.name != folder for change, _data in planned):
                    planned.append(self._plan_folder(folder))
            planned.append(self._plan_job(job))
        for change, data in planned:
            if self._writes and change.action != UNCHANGED:
                self._write(change, data)
        return [change for change, _data in planned]

    def _plan_folder(self, name: str) -> tuple[Change, bytes]:
        url = self._http.address(name)
        there = self._read(name)
        if there is None:
            return Change(name, "folder", CREATED, url), config_xml.FOLDER_XML
        if not config_xml.is_folder(there):
            raise JenkinsError(
                f"{name} is no folder in Jenkins, so no job can be created in it",
                "choose another folder (deploy-job, --folder), or rename what is there",
            )
        return Change(name, "folder", UNCHANGED, url), b""

    def _plan_job(self, job: Job) -> tuple[Change, bytes]:
        root = self._read(job.name)
        before = config_xml.lines(root) if root is not None else []
        action = UPDATED if root is not None else CREATED
        if root is None:
            root = config_xml.new(job)
        else:
            config_xml.put(root, job)
        diff = config_xml.difference(before, config_xml.lines(root), job.name)
        action = action if diff else UNCHANGED
        change = Change(job.name, job.kind, action, self._http.address(job.name), diff)
        return change, config_xml.render(root)

    def _read(self, name: str) -> Element | None:
        """Return what stands at a name; None only if Jenkins itself says that nothing does."""
        what = f"the configuration of {name}"
        url = f"{self._http.address(name)}config.xml"
        try:
            answer = self._http.get(url, what, _LARGEST_CONFIG)
        except AbsentError as error:
            if not error.is_from_jenkins:
                raise
            return None
        return config_xml.parse(answer.body, name)

    def _write(self, change: Change, data: bytes) -> None:
        if change.action == UPDATED:
            self._post(f"{change.url}config.xml", data, f"to update {change.name}")
            return
        folder, _, short = change.name.rpartition("/")
        above = self._http.address(folder) if folder else self._http.access.url
        url = f"{above}createItem?name={quote(short, safe='')}"
        self._post(url, data, f"to create {change.name}")

    def _post(self, url: str, data: bytes, what: str) -> None:
        answer = self._http.post(url, data, what)
        if answer.status != HTTPStatus.OK:
            raise _not_taken(answer, what, self._http.access)


def _not_taken(answer: Answer, what: str, access: Access) -> JenkinsError:
    """Explain why Jenkins did not take what was sent; with 400 it gives a reason in a header."""
    reason = one_line(answer.headers.get("X-Error", ""), _LONGEST_REASON)
    message = f"asked Jenkins at {access.host} {what}: it answered {answer.phrase}"
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        return JenkinsError(f"{message}, a redirect", "give the address that a browser ends up at")
    if answer.status == HTTPStatus.BAD_REQUEST:
        return JenkinsError(
            f"{message}{': ' if reason else ''}{reason}",
            "somebody may have made it meanwhile: run this again; else Jenkins' log says why",
        )
    return refusal(answer, what, access)
