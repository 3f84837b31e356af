"""What GitHub and GitLab say of pushes to a branch: a rehearsed push runs no hooks and no rules.

docs.github.com: REST API, rules for a branch, branches; docs.gitlab.com: branches API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from gitops_rollback.forges.address import GITLAB
from gitops_rollback.forges.client import ForgeHttp, mappings
from gitops_rollback.model import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.clock import Deadline
    from gitops_rollback.forges.address import Address

_HINT = "it needs to read the repository (GitHub: metadata and contents, GitLab: read_api)"
# Those of GitHub's rules that a plain push does not meet, unless its account may pass them by.
_AGAINST = frozenset({"pull_request", "update", "required_status_checks", "merge_queue"})


class BranchRules:
    """The rules of a repository's branches; raises `ForgeError` where they cannot be read."""

    def __init__(
        self, address: Address, environment: Mapping[str, str], deadline: Deadline
    ) -> None:
        self._is_gitlab = address.kind == GITLAB
        self._http = ForgeHttp(address, environment, deadline, _HINT)
        self._root = f"{address.path}/repository" if self._is_gitlab else address.path

    def against_push(self, branch: str) -> str:
        """Return what stands against a push to a branch; an empty text if nothing does."""
        what = f"the rules of {branch}"
        found = self._http.read(f"{self._root}/branches/{quote(branch, safe='')}", what)
        if self._is_gitlab:
            is_refused = isinstance(found, dict) and found.get("can_push") is False
            return f"{branch} is protected: it takes no push from this token" if is_refused else ""
        rules = self._http.read(f"{self._root}/rules/branches/{quote(branch, safe='')}", what)
        types = {rule.get("type") for rule in mappings(rules)}
        names = ", ".join(sorted(one_line(str(kind), 50) for kind in types & _AGAINST))
        if names:
            return f"{branch} has rules that a push does not meet: {names}"
        is_protected = isinstance(found, dict) and found.get("protected") is True
        return f"{branch} is protected: pushes may have to meet conditions" if is_protected else ""
