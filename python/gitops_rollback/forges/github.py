"""Pull requests of GitHub and GitHub Enterprise (docs.github.com, REST API 2022-11-28)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from gitops_rollback.forges.client import (
    CLOSED,
    MERGED,
    OPEN,
    ForgeHttp,
    PullRequest,
    PullRequestExistsError,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.clock import Deadline
    from gitops_rollback.forges.address import Address
    from gitops_rollback.web.answers import Answer

_HINT = "it needs to write contents and pull requests (a classic token: repo)"
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}

_KEYS = ("number", "html_url")  # of the number, and of the page


class GitHub:
    """The pull requests of one repository."""

    def __init__(
        self, address: Address, environment: Mapping[str, str], deadline: Deadline
    ) -> None:
        self.address = address
        self._http = ForgeHttp(address, environment, deadline, _HINT)
        self._pulls = f"{address.path}/pulls"

    def find(self, head: str, base: str) -> PullRequest | None:
        """Return the open pull request of a branch, if there is one."""
        owner = self.address.project.partition("/")[0]
        query = urlencode({"state": "open", "head": f"{owner}:{head}", "base": base})
        what = f"the pull request of {head}"
        answer = self._http.ask("GET", f"{self._pulls}?{query}", what, headers=_HEADERS)
        ours = (one for one in self._http.listed(answer, what) if _is_of(one, head, base))
        return next((self._read(answer, one, what) for one in ours), None)

    def create(self, head: str, base: str, title: str, body: str) -> PullRequest:
        """Open a pull request; raises `PullRequestExistsError` if one is open already."""
        what = f"a pull request of {head}"
        json = {"title": title, "head": head, "base": base, "body": body}
        answer = self._http.ask("POST", self._pulls, what, headers=_HEADERS, json=json)
        if answer.status != HTTPStatus.CREATED:
            error = self._http.refused(answer, what)
            if "already exists" in words_of(answer):
                raise PullRequestExistsError(error.message, error.hint)
            raise error
        return self._read(answer, answer.json, what)

    def read(self, number: int) -> PullRequest:
        """Return a pull request as it is now."""
        what = f"pull request {number}"
        answer = self._http.ask("GET", f"{self._pulls}/{number}", what, headers=_HEADERS)
        return self._read(answer, answer.json, what)

    def _read(self, answer: Answer, document: object, what: str) -> PullRequest:
        state = OPEN
        if isinstance(document, dict) and document.get("state") == "closed":
            state = MERGED if document.get("merged_at") else CLOSED
        return self._http.pull_request(answer, document, what, _KEYS, state)


def _is_of(found: Mapping[str, Any], head: str, base: str) -> bool:
    """Tell whether a pull request is of a branch of the repository itself.

    A fork of the same owner may have a branch of the same name.
    """
    ends = [found.get(end) for end in ("head", "base")]
    refs = [end.get("ref") if isinstance(end, dict) else None for end in ends]
    repositories = [end.get("repo") if isinstance(end, dict) else None for end in ends]
    ids = [one.get("id") if isinstance(one, dict) else None for one in repositories]
    return refs == [head, base] and ids[0] == ids[1]
