"""Merge requests of GitLab, its own or self-hosted (docs.gitlab.com, REST API v4)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from gitops_rollback.forges.client import (
    CLOSED,
    MERGED,
    OPEN,
    ForgeHttp,
    PullRequest,
    PullRequestExistsError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.clock import Deadline
    from gitops_rollback.forges.address import Address
    from gitops_rollback.web.answers import Answer

_HINT = "it needs the scope api, and the role Developer or more"

_KEYS = ("iid", "web_url")  # of the number, and of the page


class GitLab:
    """The merge requests of one project, which may lie in groups and subgroups."""

    def __init__(
        self, address: Address, environment: Mapping[str, str], deadline: Deadline
    ) -> None:
        self.address = address
        self._http = ForgeHttp(address, environment, deadline, _HINT)
        self._requests = f"{address.path}/merge_requests"

    def find(self, head: str, base: str) -> PullRequest | None:
        """Return the open merge request of a branch, if there is one."""
        query = urlencode({"state": "opened", "source_branch": head, "target_branch": base})
        what = f"the merge request of {head}"
        answer = self._http.ask("GET", f"{self._requests}?{query}", what)
        ours = (one for one in self._http.listed(answer, what) if _is_of(one, head, base))
        return next((self._read(answer, one, what) for one in ours), None)

    def create(self, head: str, base: str, title: str, body: str) -> PullRequest:
        """Open a merge request; raises `PullRequestExistsError` if one is open already."""
        what = f"a merge request of {head}"
        json = {
            "source_branch": head,
            "target_branch": base,
            "title": title,
            "description": body,
            "remove_source_branch": "true",
        }
        answer = self._http.ask("POST", self._requests, what, json=json)
        if answer.status != HTTPStatus.CREATED:
            error = self._http.refused(answer, what)
            if answer.status == HTTPStatus.CONFLICT:
                raise PullRequestExistsError(error.message, error.hint)
            raise error
        return self._read(answer, answer.json, what)

    def read(self, number: int) -> PullRequest:
        """Return a merge request as it is now."""
        what = f"merge request {number}"
        answer = self._http.ask("GET", f"{self._requests}/{number}", what)
        return self._read(answer, answer.json, what)

    def _read(self, answer: Answer, document: object, what: str) -> PullRequest:
        said = document.get("state") if isinstance(document, dict) else None
        # `locked` is a merge under way.
        state = {"merged": MERGED, "closed": CLOSED}.get(str(said), OPEN)
        return self._http.pull_request(answer, document, what, _KEYS, state)


def _is_of(found: Mapping[str, object], head: str, base: str) -> bool:
    """Tell whether a merge request is of a branch of the project itself.

    A fork's branch may have the same name: the list has its merge requests, too.
    """
    is_own = found.get("source_project_id") == found.get("target_project_id")
    return is_own and (found.get("source_branch"), found.get("target_branch")) == (head, base)
