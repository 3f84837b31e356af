"""Pull requests of GitHub and merge requests of GitLab, their own or self-hosted.

docs.github.com, REST API 2022-11-28; docs.gitlab.com, REST API v4.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from gitops_rollback.forges.address import GITHUB, GITLAB, address_of
from gitops_rollback.forges.client import ForgeError, ForgeHttp, inner, words_of
from gitops_rollback.late import dataclass, field
from gitops_rollback.web.hosts import is_web_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.clock import Deadline
    from gitops_rollback.forges.address import Address
    from gitops_rollback.web.answers import Answer

OPEN, MERGED, CLOSED = "open", "merged", "closed"


class PullRequestExistsError(ForgeError):
    """Raised when there is an open pull request of the branch already."""


@dataclass(frozen=True)
class PullRequest:
    """A pull request, or a merge request: `state` is `open`, `merged` or `closed`."""

    number: int
    url: str
    state: str = OPEN

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in results."""
        return {"url": self.url, "number": self.number}


@dataclass(frozen=True)
class _Words:
    """What a kind of host calls things: in paths, in questions and in answers."""

    path: str
    name: str
    number: str
    page: str
    head: str
    base: str
    body: str
    open: str
    hint: str
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)


_WORDS = {
    GITHUB: _Words(
        path="pulls", name="pull request", number="number", page="html_url",
        head="head", base="base", body="body", open="open",
        hint="it needs to write contents and pull requests (a classic token: repo)",
        headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"},
    ),
    GITLAB: _Words(
        path="merge_requests", name="merge request", number="iid", page="web_url",
        head="source_branch", base="target_branch", body="description", open="opened",
        hint="it needs the scope api, and the role Developer or more",
        more={"remove_source_branch": "true"},
    ),
}  # fmt: skip


class PullRequests:
    """The pull requests of one repository; each method raises `ForgeError` where it is refused."""

    def __init__(
        self, address: Address, environment: Mapping[str, str], deadline: Deadline
    ) -> None:
        self.address = address
        self._words = _WORDS[address.kind]
        self._http = ForgeHttp(address, environment, deadline, self._words.hint)
        self._path = f"{address.path}/{self._words.path}"

    def find(self, head: str, base: str) -> PullRequest | None:
        """Return the open pull request of a branch, if there is one."""
        words, what = self._words, f"the {self._words.name} of {head}"
        owner = f"{self.address.project.partition('/')[0]}:" if self._is_github else ""
        asked = {"state": words.open, words.head: f"{owner}{head}", words.base: base}
        answer = self._ask("GET", f"?{urlencode(asked)}", what)
        for one in self._http.listed(answer, what):
            if self._is_of(one, head, base):
                return self._read(answer, one, what)
        return None

    def create(self, head: str, base: str, title: str, body: str) -> PullRequest:
        """Open a pull request; raises `PullRequestExistsError` if one is open already."""
        words, what = self._words, f"a {self._words.name} of {head}"
        json = {"title": title, words.head: head, words.base: base, words.body: body, **words.more}
        answer = self._ask("POST", "", what, json)
        if answer.status == HTTPStatus.CREATED:
            return self._read(answer, answer.json, what)
        error = self._http.refused(answer, what)
        if answer.status == HTTPStatus.CONFLICT or "already exists" in words_of(answer):
            raise PullRequestExistsError(error.message, error.hint)
        raise error

    def read(self, number: int) -> PullRequest:
        """Return a pull request as it is now."""
        what = f"{self._words.name} {number}"
        answer = self._ask("GET", f"/{number}", what)
        return self._read(answer, answer.json, what)

    @property
    def _is_github(self) -> bool:
        return self.address.kind == GITHUB

    def _ask(
        self, method: str, path: str, what: str, json: Mapping[str, str] | None = None
    ) -> Answer:
        headers = self._words.headers
        return self._http.ask(method, f"{self._path}{path}", what, headers=headers, json=json)

    def _read(self, answer: Answer, document: object, what: str) -> PullRequest:
        """Read a pull request; what is none is refused."""
        found = document if isinstance(document, dict) else {}
        number, page = found.get(self._words.number), found.get(self._words.page)
        number = None if isinstance(number, bool) else number
        if not isinstance(number, int) or not isinstance(page, str) or not is_web_address(page):
            keys = f"no {self._words.number} or no {self._words.page}"
            lacking = f"it has {keys}" if isinstance(document, dict) else "it is no pull request"
            raise self._http.refused(answer, f"{what}, but {lacking}")
        return PullRequest(number, page, _state(found))

    def _is_of(self, found: Mapping[str, Any], head: str, base: str) -> bool:
        """Tell whether a pull request is of a branch of the repository itself.

        A fork, perhaps of the same owner, may have a branch of the same name.
        """
        words = self._words
        if not self._is_github:
            ids = [found.get("source_project_id"), found.get("target_project_id")]
            refs = [found.get(words.head), found.get(words.base)]
        else:
            ends = [inner(found, end) for end in (words.head, words.base)]
            ids = [inner(end, "repo").get("id") for end in ends]
            refs = [end.get("ref") for end in ends]
        return refs == [head, base] and ids[0] is not None and ids[0] == ids[1]


def _state(found: Mapping[str, Any]) -> str:
    """Return a state: GitHub calls closed what was merged, GitLab locked what is being merged."""
    if found.get("state") == "merged" or (
        found.get("state") == "closed" and found.get("merged_at")
    ):
        return MERGED
    return CLOSED if found.get("state") == "closed" else OPEN


def connect(
    remote: str,
    environment: Mapping[str, str],
    deadline: Deadline,
    *,
    kind: str = "auto",
    api: str | None = None,
) -> PullRequests:
    """Return the client for a remote's host; raises `UsageError` or `ForgeError`."""
    return PullRequests(address_of(remote, kind, api), environment, deadline)
