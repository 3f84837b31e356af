"""A Git host on loopback: Git over HTTP, and the pull requests of GitHub or of GitLab.

The Git side is git's own. The API answers as the documented ones do (docs.github.com REST API
2022-11-28 below `/api/v3`, as on GitHub Enterprise; docs.gitlab.com REST API v4), error bodies
included, and `merge` does to the repository what the button does. Every API request is kept in
`requests`; `force` puts an answer in front of the next one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

sys.path.insert(0, str(Path(__file__).parents[1]))  # where this is run as a program

from servers.git_http import GitHttpServer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.server import BaseHTTPRequestHandler

_DOCS = "https://docs.github.com/rest"


@dataclass
class Proposal:
    """One pull request; `state` is open, merged or closed."""

    number: int
    head: str
    base: str
    title: str
    body: str
    state: str = "open"
    is_of_fork: bool = False
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request to the API."""

    line: str
    authorization: str
    document: Any


Reply = tuple[int, Any, dict[str, str]]


class Forge(GitHttpServer):
    """Serve one bare repository below `root` as `project`, and its pull requests."""

    kind = ""
    api = ""

    def __init__(
        self, root: Path, project: str, token: str, credentials: tuple[str, str] | None = None
    ) -> None:
        self.project = project
        self.token = token
        self.bare = root / f"{project}.git"
        self.proposals: list[Proposal] = []
        self.requests: list[Asked] = []
        self._forced: list[Reply] = []
        super().__init__(root, credentials)

    @property
    def remote(self) -> str:
        """The URL of the repository."""
        return f"{self.url}/{self.project}.git"

    def force(self, status: int, document: Any, **headers: str) -> None:  # noqa: ANN401 - JSON
        """Answer the next request with this."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._forced.append((status, document, named))

    def merge(self, number: int, how: str = "merge") -> str:
        """Merge, squash or rebase a pull request onto its base; return the base's new tip."""
        proposal = self.proposals[number - 1]
        base, head = self.git("rev-parse", proposal.base), self.git("rev-parse", proposal.head)
        tree = self.git("merge-tree", "--write-tree", base, head).splitlines()[0]
        parents = ["-p", base, "-p", head] if how == "merge" else ["-p", base]
        title = proposal.title if how == "squash" else f"Merge {proposal.head}"
        commit = self.git("commit-tree", tree, *parents, "-m", f"{title} (#{number})")
        self.git("update-ref", f"refs/heads/{proposal.base}", commit, base)
        proposal.state = "merged"
        return commit

    def close(self, number: int) -> None:
        """Close a pull request without a merge."""
        self.proposals[number - 1].state = "closed"

    def git(self, *arguments: str) -> str:
        """Run git in the repository."""
        who = {"GIT_AUTHOR_NAME": "Forge", "GIT_AUTHOR_EMAIL": "forge@localhost"}
        who |= {"GIT_COMMITTER_NAME": "Forge", "GIT_COMMITTER_EMAIL": "forge@localhost"}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.bare,
            env={**os.environ, **who},
            capture_output=True,
            check=True,
            text=True,
        )
        return done.stdout.strip()

    def extend(self, handler: type[BaseHTTPRequestHandler]) -> type[BaseHTTPRequestHandler]:
        """Put the API before Git."""
        git: Any = handler

        def serve(request: Any) -> None:  # noqa: ANN401 - a handler made for one server
            if request.path.startswith("/api/"):
                self._serve(request)
            else:
                git._serve(request)  # noqa: SLF001 - the same

        return type("Handler", (handler,), {"_serve": serve})

    def _serve(self, request: Any) -> None:  # noqa: ANN401 - as above
        body = request._body()  # noqa: SLF001 - as above
        # GitLab takes a token in a header of its own too.
        private = request.headers.get("PRIVATE-TOKEN")
        authorization = f"Bearer {private}" if private else request.headers.get("Authorization", "")
        document = json.loads(body) if body else None
        self.requests.append(Asked(f"{request.command} {request.path}", authorization, document))
        if self._forced:
            status, answer, headers = self._forced.pop(0)
        elif authorization != f"Bearer {self.token}":
            status, answer, headers = self.unauthorized()
        else:
            status, answer, headers = self._reply(request.command, request.path, document)
        pairs = [("Content-Type", "application/json"), *headers.items()]
        request._answer(HTTPStatus(status), pairs, json.dumps(answer).encode())  # noqa: SLF001

    def _reply(self, method: str, target: str, document: Any) -> Reply:  # noqa: ANN401 - JSON
        path, _, query = target.partition("?")
        root = f"{self.api}{self.root_of_project()}/{self.collection()}"
        if path == root and method == "POST":
            return self.create(document)
        if path == root:
            asked = {name: values[0] for name, values in parse_qs(query).items()}
            return 200, [self.show(one) for one in self.proposals if self.matches(one, asked)], {}
        number = path.removeprefix(f"{root}/")
        known = number.isdecimal() and int(number) <= len(self.proposals)
        return (200, self.show(self.proposals[int(number) - 1]), {}) if known else self.missing()

    def has_branch(self, name: str) -> bool:
        """Tell whether the repository has a branch."""
        return bool(self.git("for-each-ref", f"refs/heads/{name}"))

    def open_one(self, head: str, base: str) -> Proposal | None:
        """Return the open pull request of a branch."""
        own = (p for p in self.proposals if not p.is_of_fork)
        same = (p for p in own if (p.head, p.base, p.state) == (head, base, "open"))
        return next(same, None)

    def add(self, head: str, base: str, title: str, body: str) -> Proposal:
        """Keep a new pull request."""
        self.proposals.append(Proposal(len(self.proposals) + 1, head, base, title, body))
        return self.proposals[-1]

    def unauthorized(self) -> Reply:
        raise NotImplementedError

    def missing(self) -> Reply:
        raise NotImplementedError

    def root_of_project(self) -> str:
        raise NotImplementedError

    def collection(self) -> str:
        raise NotImplementedError

    def show(self, proposal: Proposal) -> dict[str, Any]:
        raise NotImplementedError

    def matches(self, proposal: Proposal, asked: Mapping[str, str]) -> bool:
        raise NotImplementedError

    def create(self, document: Any) -> Reply:  # noqa: ANN401 - JSON
        raise NotImplementedError


class GitHubServer(Forge):
    """GitHub Enterprise: the API is below `/api/v3` of the same host."""

    kind = "github"
    api = "/api/v3"

    def unauthorized(self) -> Reply:
        return 401, {"message": "Bad credentials", "documentation_url": _DOCS}, {}

    def missing(self) -> Reply:
        return 404, {"message": "Not Found", "documentation_url": _DOCS}, {}

    def root_of_project(self) -> str:
        return f"/repos/{self.project}"

    def collection(self) -> str:
        return "pulls"

    def show(self, proposal: Proposal) -> dict[str, Any]:
        merged = proposal.state == "merged"
        return {
            "number": proposal.number,
            "html_url": f"{self.url}/{self.project}/pull/{proposal.number}",
            "state": "open" if proposal.state == "open" else "closed",
            "merged_at": "2026-01-31T02:03:04Z" if merged else None,
            "title": proposal.title,
            "body": proposal.body,
            "head": {"ref": proposal.head, "repo": {"id": 8 if proposal.is_of_fork else 7}},
            "base": {"ref": proposal.base, "repo": {"id": 7}},
        }

    def matches(self, proposal: Proposal, asked: Mapping[str, str]) -> bool:
        owner, _, head = asked.get("head", "").partition(":")
        return (
            asked.get("state", "open") in (proposal.state, "all")
            and owner == self.project.partition("/")[0]
            and head == proposal.head
            and asked.get("base") == proposal.base
        )

    def create(self, document: Any) -> Reply:  # noqa: ANN401 - JSON
        head, base = document["head"], document["base"]
        for name, branch in (("head", head), ("base", base)):
            if not self.has_branch(branch):
                return self._invalid({"resource": "PullRequest", "field": name, "code": "invalid"})
        if self.open_one(head, base):
            words = f"A pull request already exists for {self.project.partition('/')[0]}:{head}."
            return self._invalid({"resource": "PullRequest", "code": "custom", "message": words})
        if not self.git("log", "--format=%H", f"{base}..{head}"):
            words = f"No commits between {base} and {head}"
            return self._invalid({"resource": "PullRequest", "code": "custom", "message": words})
        return 201, self.show(self.add(head, base, document["title"], document["body"])), {}

    def _invalid(self, error: dict[str, str]) -> Reply:
        return 422, {"message": "Validation Failed", "errors": [error], "status": "422"}, {}


class GitLabServer(Forge):
    """A GitLab of one's own: the API is below `/api/v4` of the same host."""

    kind = "gitlab"
    api = "/api/v4"

    def unauthorized(self) -> Reply:
        return 401, {"message": "401 Unauthorized"}, {}

    def missing(self) -> Reply:
        return 404, {"message": "404 Project Not Found"}, {}

    def root_of_project(self) -> str:
        return f"/projects/{self.project.replace('/', '%2F')}"

    def collection(self) -> str:
        return "merge_requests"

    def show(self, proposal: Proposal) -> dict[str, Any]:
        return {
            "id": 1000 + proposal.number,
            "iid": proposal.number,
            "web_url": f"{self.url}/{self.project}/-/merge_requests/{proposal.number}",
            "state": "opened" if proposal.state == "open" else proposal.state,
            "title": proposal.title,
            "description": proposal.body,
            "source_branch": proposal.head,
            "target_branch": proposal.base,
            "source_project_id": 8 if proposal.is_of_fork else 7,
            "target_project_id": 7,
        }

    def matches(self, proposal: Proposal, asked: Mapping[str, str]) -> bool:
        return (
            asked.get("state") == ("opened" if proposal.state == "open" else proposal.state)
            and asked.get("source_branch") == proposal.head
            and asked.get("target_branch") == proposal.base
        )

    def create(self, document: Any) -> Reply:  # noqa: ANN401 - JSON
        head, base = document["source_branch"], document["target_branch"]
        if not self.has_branch(head) or not self.has_branch(base):
            return 422, {"message": {"base": ["Source or target branch does not exist"]}}, {}
        known = self.open_one(head, base)
        if known:
            words = "Another open merge request already exists for this source branch: "
            return 409, {"message": [f"{words}!{known.number}"]}, {}
        made = self.add(head, base, document["title"], document["description"])
        return 201, self.show(made), {}


if __name__ == "__main__":
    with GitHubServer(Path(sys.argv[1]), sys.argv[2], sys.argv[3]) as server:
        print(server.remote, flush=True)  # noqa: T201 - who started this reads it
        for line in sys.stdin:  # `merge 1`, until it is closed
            print(server.merge(int(line.split()[1])), flush=True)  # noqa: T201 - the same
