"""Commit statuses of GitHub and GitLab, by which Flux tells how it fared without being asked.

docs.github.com: REST API, commit statuses; docs.gitlab.com: commits API. Both answer with the
newest status of each context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.forges.address import GITLAB
from gitops_rollback.forges.client import ForgeHttp
from gitops_rollback.late import dataclass, regex
from gitops_rollback.model import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.clock import Deadline
    from gitops_rollback.forges.address import Address

_HINT = "it needs to read commit statuses (GitHub classic: repo, GitLab: read_api)"
_EARLIER = 3  # commits before


# notification-controller names a status by the object and the provider's uid
# (fluxcd/notification-controller:internal/notifier/github.go, gitlab.go, util.go).
_FLUX = regex(r"(?:.*/)?(?P<kind>kustomization|helmrelease)/(?P<name>[^/]+)/[0-9a-f]{8}$")


@dataclass(frozen=True)
class CommitStatus:
    """One status of a commit: the newest of its context."""

    context: str
    state: str
    description: str = ""

    @property
    def name(self) -> str:
        """The Kustomization's or HelmRelease's name; empty where Flux did not post it."""
        found = _FLUX.match(self.context)
        return found["name"] if found else ""


class CommitStatuses:
    """The commit statuses of one repository; raises `ForgeError` where they cannot be read."""

    def __init__(
        self, address: Address, environment: Mapping[str, str], deadline: Deadline
    ) -> None:
        self._is_gitlab = address.kind == GITLAB
        self._http = ForgeHttp(address, environment, deadline, _HINT)
        self._root = f"{address.git}/commits"

    def of(self, commit: str) -> list[CommitStatus]:
        """Return the statuses of a commit."""
        what = f"the statuses of {commit[:12]}"
        if self._is_gitlab:
            found = self._http.documents(f"{self._root}/{commit}/statuses?per_page=100", what)
            return [_status(one, "name", "status") for one in found]
        path = f"{self._root}/{commit}/status?per_page=100"
        found = self._http.documents(path, what, "statuses")
        return [_status(one, "context", "state") for one in found]

    def before(self, commit: str) -> list[str]:
        """Return a few commits before one, newest first."""
        which = "ref_name" if self._is_gitlab else "sha"
        path = f"{self._root}?{which}={commit}&per_page={_EARLIER + 1}"
        found = self._http.documents(path, f"the commits before {commit[:12]}")
        ids = [str(one.get("id" if self._is_gitlab else "sha", "")) for one in found]
        return [one for one in ids if one and one != commit]


def _status(found: dict[str, Any], context: str, state: str) -> CommitStatus:
    return CommitStatus(
        one_line(str(found.get(context) or ""), 300),
        str(found.get(state) or ""),
        one_line(str(found.get("description") or ""), 300),
    )
