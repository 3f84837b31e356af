"""Who commits: what git is set up with, else this tool; and whether commits are signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.late import dataclass
from gitops_rollback.repo.process import GitFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.repo.process import Git

_SETTINGS = r"^(user|author|committer|commit)\."
_NAME = "gitops-rollback"
_EMAIL = "gitops-rollback@localhost"


@dataclass(frozen=True)
class Identity:
    """Who commits: `variables` are added to git's where it knows of nobody.

    `author` and `committer` are the e-mail addresses that commits will have.
    """

    variables: Mapping[str, str]
    is_signed: bool
    author: str
    committer: str

    @property
    def options(self) -> tuple[str, ...]:
        """The option of `git commit-tree` to sign with."""
        return ("-S",) if self.is_signed else ()


def read_identity(git: Git, environment: Mapping[str, str]) -> Identity:
    """Return who commits, by what git is set up with."""
    try:
        configured = git.run("config", "--null", "--get-regexp", _SETTINGS).stdout
    except GitFailedError:
        configured = b""  # exit 1: nothing is configured
    return identity_of(configured, environment)


def identity_of(configured: bytes, environment: Mapping[str, str]) -> Identity:
    """Return the same from what git said.

    `configured` is what `git config --null --get-regexp` says; a name that git would make up from
    the machine's account does not count.
    """
    text = configured.decode(errors="replace")
    found = dict(item.partition("\n")[::2] for item in text.split("\0") if item)
    variables: dict[str, str] = {}
    addresses = []
    for role in ("author", "committer"):
        for part, fallback in (("name", _NAME), ("email", _EMAIL)):
            variable = f"GIT_{role.upper()}_{part.upper()}"
            known = environment.get(variable) or found.get(f"{role}.{part}")
            known = known or found.get(f"user.{part}")
            if not known:
                variables[variable] = fallback
            if part == "email":
                addresses.append(known or fallback)
    signs = found.get("commit.gpgsign", "false").lower() in ("true", "yes", "on", "1", "")
    return Identity(variables, signs, *addresses)
