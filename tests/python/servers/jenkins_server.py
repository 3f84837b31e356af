"""A Jenkins stand-in on loopback: jobs, builds and artifacts by REST, as a real controller answers.

It imitates what was measured on Jenkins 2.426: folders, crumbs, the texts of 401, 403 and 404, a
web page for a folder of artifacts, compressed answers, ranges of `allBuilds`. Every request is
kept in `requests`; `force` puts any answer in front of a path.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import sys
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from servers.jenkins_answer import PAGE, Answer, Request, missing
from servers.jenkins_configs import JobConfigs
from servers.serving import Serving

_PROPERTIES = "property[_class],"
_RANGE = re.compile(r"\{(\d+),(\d+)\}$")
LOGIN_PAGE = PAGE % b'<form action="login"><input type="password"></form>'


@dataclass
class JenkinsBuild:
    """One build and what it archived, by relative path."""

    artifacts: dict[str, bytes] = field(default_factory=dict)
    result: str | None = "SUCCESS"
    building: bool = False
    is_kept: bool = False
    listed: dict[str, bytes] | None = None  # what the list shows, where it differs


class JenkinsServer(Serving):
    """Serve `jobs` (full name → number → build); `credentials` is (user, token) or None.

    `anonymous` is what nobody may do: `none`, `overall` (see that Jenkins is there) or `read`.
    """

    def __init__(
        self, credentials: tuple[str, str] | None = None, *, anonymous: str = "read"
    ) -> None:
        self.jobs: dict[str, dict[int, JenkinsBuild]] = {}
        self.folders: set[str] = set()
        self.discards: set[str] = set()  # jobs with a discarder of old builds
        self.configs = JobConfigs()
        self.credentials = credentials
        self.anonymous = anonymous
        self.compresses = False
        self.forbidden: frozenset[str] = frozenset()  # `keep`, `let go`
        self.requests: list[Request] = []
        self._forced: dict[str, list[Answer]] = {}
        super().__init__(_Server(("127.0.0.1", 0), _handler(self)))

    @property
    def url(self) -> str:
        """The address as JENKINS_URL holds it."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    @property
    def paths(self) -> list[str]:
        """Method and path of every request, without the query."""
        return [f"{asked.method} {asked.path.partition('?')[0]}" for asked in self.requests]

    def add(self, job: str, number: int, artifacts: dict[str, bytes], **more: Any) -> None:  # noqa: ANN401 - fields of JenkinsBuild
        """Add a build."""
        self.jobs.setdefault(job, {})[number] = JenkinsBuild(artifacts, **more)

    def force(self, path: str, *answers: Answer) -> None:
        """Answer the next requests whose path begins so with these; the last one stays."""
        self._forced[path] = list(answers)

    def unforce(self) -> None:
        """Answer everything as always again."""
        self._forced.clear()

    def answer(self, asked: Request) -> Answer:
        """Return what a request is answered."""
        for path, answers in self._forced.items():
            if asked.path.startswith(path):
                return answers.pop(0) if len(answers) > 1 else answers[0]
        refused = self._refusal(asked)
        if refused is not None:
            return refused
        parts = urlsplit(asked.path)
        names = [unquote(name) for name in parts.path.split("/")[1:]]
        if names[0] == "crumbIssuer":
            return _json({"crumb": "0123", "crumbRequestField": "Jenkins-Crumb"})
        job: list[str] = []
        while len(names) >= 2 and names[0] == "job":
            job.append(names[1])
            names = names[2:]
        query = parse_qs(parts.query)
        if names in (["config.xml"], ["createItem"]):
            name = "/".join([*job, *query.get("name", [])])
            return self.configs.answer(asked, name)
        return self._of_job("/".join(job), names, query.get("tree", [""])[0])

    def _refusal(self, asked: Request) -> Answer | None:
        given = asked.headers.get("Authorization")
        if given is None:
            if self.anonymous == "none":
                return Answer(403, PAGE % b"Authentication required")
            return missing() if self.anonymous == "overall" else None
        if self.credentials is None:
            return Answer(401, PAGE % b"Invalid password/token for user")
        wanted = base64.b64encode(":".join(self.credentials).encode()).decode()
        is_right = given == f"Basic {wanted}"
        return None if is_right else Answer(401, PAGE % b"Invalid password/token for user")

    def _of_job(self, job: str, names: list[str], tree: str) -> Answer:
        if job in self.folders and names == ["api", "json"]:
            return _json({"_class": "com.cloudbees.hudson.plugins.folder.Folder"})
        if names == ["api", "json"] and "[" not in tree and (not job or job in self.jobs):
            return _json({"_class": "hudson.model.Hudson", "name": job.rpartition("/")[2]})
        builds = self.jobs.get(job)
        if builds is None:
            return missing()
        if names == ["api", "json"]:
            return _listed(builds, tree, discards=job in self.discards)
        build = builds.get(int(names[0])) if names[0].isdecimal() else None
        if build and names[1:] == ["toggleLogKeep"]:
            return self._toggle(build)
        return _of_build(build, names[1:]) if build else missing()

    def _toggle(self, build: JenkinsBuild) -> Answer:
        """Turn over whether a build is kept, as `hudson.model.Run.doToggleLogKeep` does."""
        if ("let go" if build.is_kept else "keep") in self.forbidden:
            right = b"Run/Delete" if build.is_kept else b"Run/Update"
            return Answer(403, PAGE % b"jane is missing the %b permission" % right)
        build.is_kept = not build.is_kept
        return Answer(302, headers=(("Location", "."),))


def _of_build(build: JenkinsBuild, names: list[str]) -> Answer:
    if names == ["api", "json"]:
        whole = {"building": build.building, "keepLog": build.is_kept, "result": build.result}
        return _json({**whole, "artifacts": [{"relativePath": path} for path in build.artifacts]})
    if names[0] == "artifact":
        return _artifact(build, "/".join(names[1:]))
    return missing()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as inherited
        """Stay quiet when a client had enough: that is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _listed(builds: dict[int, JenkinsBuild], tree: str, *, discards: bool) -> Answer:
    wants_properties = tree.startswith(_PROPERTIES)
    tree = tree.removeprefix(_PROPERTIES)
    window = _RANGE.search(tree)
    if not tree.startswith("allBuilds[") or window is None or tree.count("[") != tree.count("]"):
        return Answer(500, PAGE % b"Oops! A problem occurred while processing the request.")
    numbers = sorted(builds, reverse=True)[int(window[1]) : int(window[2])]
    properties = [{"_class": "hudson.model.ParametersDefinitionProperty"}]
    if discards:
        properties.append({"_class": "jenkins.model.BuildDiscarderProperty"})
    listed = [_summary(number, builds[number], tree) for number in numbers]
    shown = {"property": properties} if wants_properties else {}
    return _json({"allBuilds": listed, **shown})


def _summary(number: int, build: JenkinsBuild, tree: str) -> dict[str, Any]:
    shown = build.artifacts if build.listed is None else build.listed
    whole = {
        "number": number,
        "result": build.result,
        "building": build.building,
        "keepLog": build.is_kept,
        "timestamp": 1_700_000_000_000 + number,
        "artifacts": [{"relativePath": path} for path in shown],
    }
    asked = {"_class": "org.jenkinsci.plugins.workflow.job.WorkflowRun"}
    return asked | {key: value for key, value in whole.items() if key in tree}


def _artifact(build: JenkinsBuild, path: str) -> Answer:
    if path in build.artifacts:
        return Answer(200, build.artifacts[path], "application/json")
    if any(other.startswith(f"{path.rstrip('/')}/") for other in build.artifacts):
        if path.endswith("/"):
            return Answer(200, PAGE % b'<table class="fileList"></table>')
        return Answer(302, headers=(("Location", f"{path.rpartition('/')[2]}/"),))
    return missing()


def _json(document: object) -> Answer:
    return Answer(200, json.dumps(document).encode(), "application/json;charset=utf-8")


def _handler(server: JenkinsServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            asked = Request(self.command, self.path, self.headers, body)
            server.requests.append(asked)
            self._send(server.answer(asked))

        do_POST = do_GET  # noqa: N815 - the name that http.server calls

        def _send(self, answer: Answer) -> None:
            time.sleep(answer.delay)
            if answer.hangs_up:
                self.close_connection = True
                return
            body = answer.body
            self.send_response(answer.status)
            if answer.is_from_jenkins:
                self.send_header("X-Jenkins", "2.426.2")
            if server.compresses and "gzip" in self.headers.get("Accept-Encoding", ""):
                body = gzip.compress(body)
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Type", answer.type)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(answer.length or len(body)))
            self.close_connection = answer.length is not None
            self.end_headers()
            for index in range(len(body) if answer.drip else 0):
                self.wfile.write(body[index : index + 1])
                self.wfile.flush()
                time.sleep(answer.drip)
            self.wfile.write(b"" if answer.drip else body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay quiet: the requests are kept in `requests`."""

    return Handler
