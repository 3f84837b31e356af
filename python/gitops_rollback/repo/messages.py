"""What git's failures mean for people: one error each, with what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import RepositoryError

if TYPE_CHECKING:
    from gitops_rollback.repo.process import GitFailedError

_ACCESS_HINT = (
    "set GIT_USERNAME and GIT_PASSWORD (a token), or set up git itself (ssh key, helper); "
    "Jenkins: gitCredentialsId"
)

# Words of git and of common hosts (measured with git 2.39 over http, ssh and file).
_MEANINGS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("Could not resolve host", "Failed to connect", "Connection refused", "timed out",
         "Couldn't connect", "Network is unreachable", "Connection reset"),
        "cannot be reached",
        "look at the network, the URL and the host's status; then run this again",
    ),
    (
        ("could not read Username", "could not read Password", "Authentication failed",
         "Permission denied", "terminal prompts disabled", "returned error: 401",
         "returned error: 403", "Host key verification failed", "Access denied"),
        "does not let us in",
        _ACCESS_HINT,
    ),
    (
        ("dumb http transport",),
        "is served as plain files there, and not by Git's own protocol",
        "give the address that one can push to",
    ),
    (
        ("dubious ownership",),
        "belongs to another user of this machine",
        "run as its owner, or: git config --global --add safe.directory PATH",
    ),
    (
        ("not found", "does not exist", "does not appear to be a git repository",
         "Repository not found", "No such file or directory", "not a git repository"),
        "is not there, or this account may not see it",
        "check --repository; private repositories answer so without credentials",
    ),
)  # fmt: skip

# git, and hosts that give out only what a branch or tag leads to.
_UNKNOWN_COMMIT = ("not our ref", "unadvertised object")
_DISK_IS_FULL = ("no space left on device", "out of diskspace", "disk quota exceeded")

# How hosts say that a branch is protected: GitHub's protected branches and rulesets, GitLab.
_PROTECTED = (
    "GH006",
    "GH013",
    "protected branch",
    "repository rule violations",
    "You are not allowed to push code to",
)


class UnknownCommitError(RepositoryError):
    """Raised when a repository does not have a commit, or has it no more."""


def explain_fetch(failure: GitFailedError, url: str) -> RepositoryError:
    """Return the error for a fetch that failed."""
    unknown = failure.line_with(_UNKNOWN_COMMIT)
    if unknown:
        return UnknownCommitError(
            f"the repository {url} does not have the commit: {unknown}",
            "was the branch pushed by force, or is the commit of another repository?",
        )
    full = _explain_full_disk(failure)
    if full is not None:
        return full
    for words, meaning, hint in _MEANINGS:
        said = failure.line_with([word.lower() for word in words])
        if said:
            return RepositoryError(f"the repository {url} {meaning}: {said}", hint)
    return RepositoryError(
        f"git {failure.command} from {url} failed: {failure.reason}",
        "run with -v to see each git call, and look at the space in TMPDIR",
    )


def explain_local(failure: GitFailedError) -> RepositoryError:
    """Return the error for a git process that works on our own copy and failed."""
    full = _explain_full_disk(failure)
    if full is not None:
        return full
    if failure.command == "commit-tree":
        return RepositoryError(
            f"git could not make the commit: {failure.reason}",
            "nothing was changed; look at user.name, user.email and, if commits are to be signed, "
            "user.signingkey and gpg.format",
        )
    return RepositoryError(
        f"git {failure.command} failed on this machine: {failure.reason}",
        "nothing was changed; look at the space in TMPDIR and at `git --version` (2.31 or newer)",
    )


def _explain_full_disk(failure: GitFailedError) -> RepositoryError | None:
    said = failure.line_with(_DISK_IS_FULL)
    if not said or said.startswith("remote:"):
        return None
    return RepositoryError(
        f"git {failure.command} failed, because a disk of this machine is full: {said}",
        "nothing was changed; make room in TMPDIR, then run this again",
    )


def explain_push(failure: GitFailedError, url: str, branch: str) -> RepositoryError:
    """Return the error for a push that was refused for another reason than a moved branch."""
    rejection = rejection_reason(failure)
    if rejection:
        said = f": {failure.remote_words}" if failure.remote_words else ""
        words = f"{rejection} {failure.remote_words}"
        protected = any(word in words for word in _PROTECTED)
        return RepositoryError(
            f"{url} rejected the push to {branch} ({rejection}){said}",
            "nothing was changed; run this again with --pull-request, or let this account push"
            if protected
            else "nothing was changed; if the branch is protected, run this again with "
            "--pull-request, or let this account push to it",
        )
    return explain_fetch(failure, url)


def rejection_reason(failure: GitFailedError) -> str:
    """Return the reason on the `!` line of `git push --porcelain`, or an empty text."""
    for line in failure.stdout.decode(errors="replace").splitlines():
        if line.startswith("!"):
            return line.rpartition("\t")[2]
    return ""


def is_moved(failure: GitFailedError) -> bool:
    """Tell whether a push failed because somebody else pushed first."""
    reason = rejection_reason(failure)
    if reason.startswith("[rejected]"):
        return True
    lost_race = ("failed to update ref", "cannot lock ref", "incorrect old value")
    return reason.startswith("[remote rejected]") and any(word in reason for word in lost_race)


def is_there_already(stdout: bytes) -> bool:
    """Tell whether a push had nothing to do, by what `git push --porcelain` says of the branch."""
    return any(line.startswith(b"=") for line in stdout.splitlines())


def no_branch(url: str, branch: str) -> RepositoryError:
    """Return the error for a branch that is not there."""
    return RepositoryError(
        f"the repository {url} has no branch '{branch}'",
        "check --branch, and `branch` in .gitops-rollback.toml",
    )


def no_tip(url: str, listed: str) -> RepositoryError:
    """Tell an empty repository from one whose HEAD names no branch, by `git ls-remote --heads`."""
    branches = [line.partition("refs/heads/")[2] for line in listed.splitlines()]
    if not branches:
        return RepositoryError(
            f"the repository {url} is empty: it has no commit yet", "push the manifests first"
        )
    return RepositoryError(
        f"the HEAD of the repository {url} names no branch that is there",
        f"give the branch with --branch: {', '.join(branches[:5])}",
    )
