"""Choose the client of the host that a repository is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gitops_rollback.forges.address import GITLAB, address_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.clock import Deadline
    from gitops_rollback.forges.address import Address
    from gitops_rollback.forges.client import PullRequest


class Forge(Protocol):
    """What every Git host offers; each method raises `ForgeError` where it is refused."""

    address: Address

    def find(self, head: str, base: str) -> PullRequest | None:
        """Return the open pull request of a branch, if there is one."""
        ...

    def create(self, head: str, base: str, title: str, body: str) -> PullRequest:
        """Open a pull request; raises `PullRequestExistsError` if one is open already."""
        ...

    def read(self, number: int) -> PullRequest:
        """Return a pull request as it is now."""
        ...


def connect(
    remote: str,
    environment: Mapping[str, str],
    deadline: Deadline,
    *,
    kind: str = "auto",
    api: str | None = None,
) -> Forge:
    """Return the client for a remote's host; raises `UsageError` or `ForgeError`."""
    address = address_of(remote, kind, api)
    if address.kind == GITLAB:
        from gitops_rollback.forges.gitlab import GitLab  # noqa: PLC0415 - one of two

        return GitLab(address, environment, deadline)
    from gitops_rollback.forges.github import GitHub  # noqa: PLC0415 - one of two

    return GitHub(address, environment, deadline)
