"""Create and update Jenkins jobs, and look whether what they need is there (`jobs check`).

Only what differs is changed. What the user of the token may not see is unknown, never missing: each
answer says where in Jenkins a person sees or mends it. The addresses are those of Jenkins' own JSON
interface, of the plugin manager and of the Credentials plugin's stores.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gitops_rollback.errors import JenkinsError
from gitops_rollback.jobs import config_xml
from gitops_rollback.late import dataclass
from gitops_rollback.model import one_line, without_none
from gitops_rollback.stores.jenkins_failures import AbsentError, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from xml.etree.ElementTree import Element

    from gitops_rollback.jobs.wanted import Job
    from gitops_rollback.stores.jenkins_failures import Access
    from gitops_rollback.stores.jenkins_http import JenkinsHttp
    from gitops_rollback.web.answers import Answer

_LONGEST_REASON = 200
CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"
_LARGEST = 4_000_000  # bytes of an answer
FOUND, MISSING, UNKNOWN = "found", "missing", "unknown"
# Short names of plugins, and what they are for.
PLUGINS = {
    "workflow-cps": "Pipeline: Groovy",
    "workflow-job": "Pipeline: Job",
    "pipeline-groovy-lib": "Pipeline: Groovy Libraries",
    "pipeline-model-definition": "Pipeline: Declarative",
    "pipeline-input-step": "Pipeline: Input Step",
    "pipeline-utility-steps": "Pipeline Utility Steps",
    "credentials-binding": "Credentials Binding",
    "git": "Git",
    "cloudbees-folder": "Folders",
}
_LIBRARIES = "org.jenkinsci.plugins.workflow.libs.FolderLibraries"


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
        return without_none({**found, "diff": self.diff or None})


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
        there = _config(self._http, name)
        if there is None:
            return Change(name, "folder", CREATED, url), config_xml.FOLDER_XML
        if not config_xml.is_folder(there):
            raise JenkinsError(
                f"{name} is no folder in Jenkins, so no job can be created in it",
                "choose another folder (deploy-job, --folder), or rename what is there",
            )
        return Change(name, "folder", UNCHANGED, url), b""

    def _plan_job(self, job: Job) -> tuple[Change, bytes]:
        root = _config(self._http, job.name)
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


@dataclass(frozen=True)
class Seen:
    """One thing that the jobs need: whether it is there, and where one mends it."""

    kind: str
    name: str
    state: str
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in results."""
        found = {"kind": self.kind, "name": self.name, "state": self.state}
        return without_none({**found, "hint": self.hint or None})


class Checker:
    """Looks at one Jenkins for what jobs need."""

    def __init__(self, http: JenkinsHttp) -> None:
        self._http = http
        self._url = http.access.url

    def check(self, jobs: Sequence[Job]) -> list[Seen]:
        """Return what the jobs need, in the order in which one sets it up.

        Raises `JenkinsError` only where Jenkins does not answer at all.
        """
        self._http.get_tree(self._url, "mode", "whether it is there", _LARGEST)
        folders = list(dict.fromkeys(folder for job in jobs for folder in job.folders))
        return [
            *self._plugins(),
            *(self._folder(folder) for folder in folders),
            *self._credentials(jobs),
            *self._libraries(jobs),
            *self._agents(jobs),
        ]

    def _plugins(self) -> Iterator[Seen]:
        page = f"{self._url}manage/pluginManager/"
        tree = "plugins[shortName,active]"
        document = self._ask(f"{self._url}pluginManager/", tree, "its plugins")
        if document is None:
            yield Seen("plugins", ", ".join(PLUGINS), UNKNOWN, f"see who may look: {page}")
            return
        there = {one.get("shortName") for one in document.get("plugins", []) if one.get("active")}
        for name, title in PLUGINS.items():
            state = FOUND if name in there else MISSING
            yield Seen("plugin", name, state, "" if name in there else f"install {title}: {page}")

    def _folder(self, name: str) -> Seen:
        try:
            there = _config(self._http, name)
        except JenkinsError as error:
            return Seen("folder", name, UNKNOWN, error.hint)
        if there is None:
            return Seen("folder", name, MISSING, f"jobs install makes it; or {self._url}newJob")
        return Seen("folder", name, FOUND)

    def _credentials(self, jobs: Sequence[Job]) -> Iterator[Seen]:
        wanted: dict[str, set[str]] = {}
        for job in jobs:
            if job.scm.credentials_id:
                wanted.setdefault(job.scm.credentials_id, set()).add(job.folder)
            for name, value in job.fixed.items():
                if name.endswith("_CREDENTIALS_ID"):
                    wanted.setdefault(value, set()).add(job.folder)
        for identity, folders in wanted.items():
            for folder in sorted(folders):
                yield self._credential(identity, folder)

    def _credential(self, identity: str, folder: str) -> Seen:
        """Look in the folder of the jobs and in those above it, then in Jenkins' own store."""
        name = f"{identity} (of {folder})" if folder else identity
        is_sure = True
        for place in [*_upwards(folder), ""]:
            found = self._holds(self._store(place), identity)
            if found:
                return Seen("credentials", name, FOUND)
            is_sure = is_sure and found is False
        page = f"{self._store(folder)}domain/_/"
        if not is_sure:
            return Seen("credentials", name, UNKNOWN, f"see them yourself: {page}")
        return Seen("credentials", name, MISSING, f"add them: {page}newCredentials")

    def _store(self, folder: str) -> str:
        """Return the address of a folder's own credentials; without a folder of Jenkins' own."""
        base = self._http.address(folder) if folder else self._url
        return f"{base}credentials/store/{'folder' if folder else 'system'}/"

    def _holds(self, store: str, identity: str) -> bool | None:
        """Tell whether a store has credentials, in whichever domain; None: one may not see."""
        path = f"credential/{quote(identity, safe='')}/"
        found = self._is_there(f"{store}domain/_/{path}")
        if found is not False:
            return found
        domains = (self._ask(store, "domains", "domains of credentials") or {}).get("domains")
        others = [name for name in domains if name != "_"] if isinstance(domains, dict) else []
        seen = [self._is_there(f"{store}domain/{quote(name, safe='')}/{path}") for name in others]
        if True in seen:
            return True
        return None if None in seen else False

    def _is_there(self, address: str) -> bool | None:
        """Tell whether Jenkins has something at an address; None: it does not say."""
        try:
            self._http.get_tree(address, "id", "a credential", _LARGEST)
        except AbsentError as error:
            return False if error.is_from_jenkins else None
        except JenkinsError:
            return None
        return True

    def _libraries(self, jobs: Sequence[Job]) -> Iterator[Seen]:
        """Look at folders; what is configured for all of Jenkins, no interface tells."""
        wanted = {
            (job.fixed.get("GITOPS_LIBRARY", "gitops-rollback").partition("@")[0], job.folder)
            for job in jobs
        }
        for library, folder in sorted(wanted):
            if any(self._has_library(place, library) for place in _upwards(folder)):
                yield Seen("library", library, FOUND)
                continue
            hint = (
                f"see that it is among the Global Trusted Pipeline Libraries: {self._url}manage/"
                "configure"
            )
            yield Seen("library", library, UNKNOWN, hint)

    def _has_library(self, folder: str, library: str) -> bool:
        try:
            root = _config(self._http, folder)
        except JenkinsError:
            return False
        found = root.find(f"properties/{_LIBRARIES}") if root is not None else None
        return found is not None and any(name.text == library for name in found.iter("name"))

    def _agents(self, jobs: Iterable[Job]) -> Iterator[Seen]:
        for label in dict.fromkeys(job.fixed.get("GITOPS_AGENT", "") for job in jobs):
            if not label:
                continue
            page = f"{self._url}label/{quote(label, safe='')}/"
            document = self._ask(page, "nodes[nodeName],clouds[name]", "an agent's label")
            if document is None:
                yield Seen("agents", label, UNKNOWN, f"see them yourself: {page}")
            elif document.get("nodes") or document.get("clouds"):
                yield Seen("agents", label, FOUND)
            else:
                yield Seen(
                    "agents", label, MISSING, f"no agent has it: {self._url}manage/computer/"
                )

    def _ask(self, address: str, tree: str, what: str) -> dict[str, Any] | None:
        """Return what Jenkins tells; None where this user may not see it."""
        try:
            return self._http.get_tree(address, tree, what, _LARGEST)
        except JenkinsError:
            return None


def _config(http: JenkinsHttp, name: str) -> Element | None:
    """Return what stands at a name; None only if Jenkins itself says that nothing does."""
    try:
        url = f"{http.address(name)}config.xml"
        answer = http.get(url, f"the configuration of {name}", _LARGEST)
    except AbsentError as error:
        if not error.is_from_jenkins:
            raise
        return None
    return config_xml.parse(answer.body, name)


def _upwards(folder: str) -> list[str]:
    """Return a folder and those above it, the innermost first."""
    parts = folder.split("/") if folder else []
    return ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]
