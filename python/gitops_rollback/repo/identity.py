"""Who commits: what git is set up with, else this tool; and whether commits are signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.repo.process import GitFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.repo.process import Git

_SETTINGS = r"^(user|author|committer|commit)\."
_NAME = "gitops-rollback"
_EMAIL = "gitops-rollback@localhost"


def read_identity(
    git: Git, environment: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the variables to add where git has no identity, and the option to sign with."""
    try:
        configured = git.run("config", "--null", "--get-regexp", _SETTINGS).stdout
    except GitFailedError:
        configured = b""  # exit 1: nothing is configured
    return missing_identity(configured, environment)


def missing_identity(
    configured: bytes, environment: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the same from what git said.

    `configured` is what `git config --null --get-regexp` says; a name that git would make up from
    the machine's account does not count.
    """
    text = configured.decode(errors="replace")
    found = dict(item.partition("\n")[::2] for item in text.split("\0") if item)
    identity = {}
    for role in ("author", "committer"):
        for part, fallback in (("name", _NAME), ("email", _EMAIL)):
            variable = f"GIT_{role.upper()}_{part.upper()}"
            known = environment.get(variable)
            if not (known or found.get(f"{role}.{part}") or found.get(f"user.{part}")):
                identity[variable] = fallback
    signs = found.get("commit.gpgsign", "false").lower() in ("true", "yes", "on", "1", "")
    return identity, ("-S",) if signs else ()
