"""What git's failures mean for people: one error each, with what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import RepositoryError, nearest
from gitops_rollback.model import one_line, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.repo.process import GitFailedError

_ACCESS_HINT = (
    "set GIT_USERNAME and GIT_PASSWORD (a token), or set up git itself (ssh key, helper); "
    "Jenkins: gitCredentialsId"
)

_MISSING_PROGRAM = (
    "install what it names, here (apt-get install openssh-client) or, if it is git-upload-pack or "
    "the like, on the server; or mend what names it (GIT_SSH_COMMAND, core.sshCommand)"
)
_MOVED = (
    "name it by its new address (curl -I URL/info/refs?service=git-upload-pack tells that), or set "
    "GIT_USERNAME and GIT_PASSWORD in the place of http.extraHeader, or of `default` in ~/.netrc"
)
_STRANGER = "check --repository: a proxy or a login page may have answered in its place"

# Words of git and of common hosts (measured with git 2.39 over http, ssh and file).
_MEANINGS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("error: cannot run ", "command not found", ": 1: "),  # git's own words, bash's and dash's
        "cannot be asked, for a program is not there",
        _MISSING_PROGRAM,
    ),
    (
        ("error: 429", "too many requests", "rate limit", "rate-limit"),
        "is busy, or limits requests from here",
        "wait as long as it says, then run this again; with a login limits are higher",
    ),
    (
        ("error: 500", "error: 502", "error: 503", "error: 504", "maintenance mode"),
        "is out of order",
        "the host itself failed: look at its status page, then run this again",
    ),
    (
        ("SAML SSO", "enforced SAML"),
        "wants this token to be authorised for the organisation's single sign-on",
        "authorise the token in its settings on the host (Configure SSO)",
    ),
    (
        ("marked as read only", "has been marked as read-only"),
        "gives this key the right to read only",
        "give the deploy key write access, or use another key",
    ),
    (
        ("ip allow list", "your ip ", "not permitted to access this repository"),
        "does not let the address of this machine in",
        "let it in (the host's list of allowed addresses), or run this where that is done",
    ),
    (
        ("write access to repository not granted", "denied to ", "not allowed to push code",
         "permission denied for writing", "not have write access", "required privilege scopes"),
        "lets this account read, and not write",
        "give the account, its token or its key the right to; a pull request needs it, too",
    ),
    (
        ("HTTP 413", "error: 413", "HTTP 507", "error: 507"),
        "takes nothing so large, or has no room",
        "some kB were sent: ask whoever runs the server, or a proxy before it, for its limits",
    ),
    (
        ("was archived", "is archived", "account is suspended", "repository is disabled",
         "repository is locked"),
        "takes no requests of this kind",
        "ask whoever runs the repository",
    ),
    (
        ("HOST IDENTIFICATION HAS CHANGED", "Host key verification failed"),
        "is on a host whose key is not the known one",
        "make sure that it is the right host, then renew its line in ~/.ssh/known_hosts",
    ),
    (
        ("Could not resolve host", "Failed to connect", "Connection refused", "timed out",
         "Couldn't connect", "Network is unreachable", "Connection reset"),
        "cannot be reached",
        "look at the network, the URL and the host's status; then run this again",
    ),
    (
        ("could not read Username", "could not read Password", "Authentication failed",
         "Permission denied", "terminal prompts disabled", "returned error: 401",
         "returned error: 403", "Access denied"),
        "does not let us in",
        _ACCESS_HINT,
    ),
    (
        ("error: 301", "error: 302", "error: 303", "error: 307", "error: 308"),
        "has moved, and is not followed there with a login that git sends to whatever host answers",
        _MOVED,
    ),
    (
        ("error: 407", "CONNECT tunnel failed"),
        "is behind a proxy that does not let us through",
        "look at https_proxy, at http.proxy of git, and at the login that the proxy wants",
    ),
    (
        ("dumb http transport",),
        "is served as plain files there, and not by Git's own protocol",
        "give the address that one can push to",
    ),
    (
        ("' not allowed",),
        "is reached in a way that git is told not to go",
        "name its transport in GIT_ALLOW_PROTOCOL, or give another address of the repository",
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
    (
        ("redirects followed", "protocol error", "not valid: is this a git", "support 'ls-refs'",
         "': The requested URL returned error: 4"),
        "is not there: what answers is no Git server",
        _STRANGER,
    ),
)  # fmt: skip

# What git says of settings that it cannot, or may not, read, in files and in variables.
_OF_SETTINGS = (
    "bad config", "bad zlib", "bad numeric", "bad boolean", "bogus config", "bogus count in",
    "bogus format in", "missing config", "fatal: unable to access '/",
    "error occurred while reading the configuration",
)  # fmt: skip
_OF_A_FOLDER = "warning: unable to access '/"
# git, and hosts that give out only what a branch or tag leads to.
_UNKNOWN_COMMIT = ("not our ref", "unadvertised object")
# What git cannot do with files of its own, where it does not say that the disk is why.
_OF_OUR_COPY = ("could not set '", "could not write '", "could not create ", "unable to write ")
_DISK_IS_FULL = ("no space left on device", "out of diskspace", "disk quota exceeded")


_LONGEST_NAME, _LONGEST_REASON = 100, 300  # characters
_MOST_BRANCHES = 5  # that an error names

_NO_FILES = "let the server allow it: git config uploadpack.allowAnySHA1InWant true"


class UnknownCommitError(RepositoryError):
    """Raised when a repository does not have a commit, or has it no more."""


class UnknownBranchError(RepositoryError):
    """Raised when a repository answers, and has no such branch: somebody named another one."""


def explain_settings(words: str) -> RepositoryError | None:
    """Return the error for settings of git that it cannot read, if its words are of such."""
    lines = [one_line(line, 200) for line in words.splitlines() if not line.startswith("remote:")]
    said = next((line for line in lines if any(w in line.lower() for w in _OF_SETTINGS)), None)
    if said is None:
        return None
    # Of a folder in a file's place it is a warning before that names it.
    said = next((line for line in lines if line.startswith(_OF_A_FOLDER)), said)
    return RepositoryError(
        f"git cannot read its own configuration: {said}",
        "mend that line, or the rights of that file, or the variables GIT_CONFIG_…: no git command"
        " works before",
    )


def explain_fetch(failure: GitFailedError, url: str) -> RepositoryError:
    """Return the error for a fetch that failed."""
    settings = explain_settings(failure.stderr)
    if settings is not None:
        return settings
    unknown = failure.line_with(_UNKNOWN_COMMIT)
    if unknown:
        return UnknownCommitError(
            f"the repository {url} does not have the commit: {unknown}",
            "was the branch pushed by force, or is the commit of another repository?",
        )
    full = _explain_full_disk(failure)
    if full is not None:
        return full
    ours = failure.line_with(_OF_OUR_COPY)
    if ours and not ours.startswith("remote:"):
        return _explain_machine(failure)
    for words, meaning, hint in _MEANINGS:
        said = failure.line_with([word.lower() for word in words])
        if said:
            also = failure.remote_words if failure.remote_words not in said else ""
            words_of_host = f" ({also})" if also and not said.startswith("remote:") else ""
            return RepositoryError(f"the repository {url} {meaning}: {said}{words_of_host}", hint)
    also = f" ({failure.remote_words})" if failure.remote_words else ""
    way = "to" if failure.command == "push" else "from"
    return RepositoryError(
        f"git {failure.command} {way} {url} failed: {failure.reason}{also}",
        "`gitops-rollback -v …` shows each git call, `git ls-remote` with that URL what git meets",
    )


def explain_local(failure: GitFailedError) -> RepositoryError:
    """Return the error for a git process that works on our own copy and failed."""
    settings = explain_settings(failure.stderr)
    if settings is not None:
        return settings
    unknown = failure.line_with(_UNKNOWN_COMMIT)
    if unknown:  # git fetches by itself what is missing
        return UnknownCommitError(f"the server gives out no single files: {unknown}", _NO_FILES)
    full = _explain_full_disk(failure)
    if full is not None:
        return full
    if failure.command == "commit-tree":
        return RepositoryError(
            f"git could not make the commit: {failure.reason}",
            "nothing was changed; look at user.name, user.email, GIT_AUTHOR_… and GIT_COMMITTER_… "
            "and, if commits are to be signed, user.signingkey and gpg.format",
        )
    return _explain_machine(failure)


def _explain_machine(failure: GitFailedError) -> RepositoryError:
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


def explain_push(
    failure: GitFailedError, url: str, branch: str, *, is_proposal: bool = False
) -> RepositoryError:
    """Return the error for a push that was refused for another reason than a moved branch."""
    rejection = rejection_reason(failure)
    if not rejection:
        return explain_fetch(failure, url)
    from gitops_rollback.repo.rejections import hint_for  # noqa: PLC0415 - where a host refused

    said = f": {failure.remote_words}" if failure.remote_words else ""
    hint = hint_for(f"{rejection} {failure.remote_words}", branch, is_proposal=is_proposal)
    return RepositoryError(
        f"{url} rejected the push to {branch} ({rejection}){said}", f"nothing was changed; {hint}"
    )


def in_the_way(url: str, branch: str, other: str) -> RepositoryError:
    """Return the error for a branch whose name leaves no room for another's."""
    from shlex import quote  # noqa: PLC0415 - only for errors

    return RepositoryError(
        f"{url} has a branch refs/heads/{other}: beside it there can be no {branch}, for Git keeps "
        "branches as files and folders",
        f"nothing was changed; rename the branch {other} (git push origin {quote(other)}:NAME"
        f" :{quote(other)})",
    )


def rejection_reason(failure: GitFailedError) -> str:
    """Return the reason on the `!` line of `git push --porcelain`, or an empty text.

    A server that reported nothing (`[remote failure]`) may have taken the push.
    """
    for line in failure.stdout.decode(errors="replace").splitlines():
        if line.startswith("!") and "\t[remote failure]" not in line:
            return one_line(line.rpartition("\t")[2], _LONGEST_REASON)
    return ""


def is_moved(failure: GitFailedError) -> bool:
    """Tell whether a push failed because somebody else pushed first."""
    reason = rejection_reason(failure)
    if reason.startswith("[rejected]"):
        return True
    lost_race = ("failed to update ref", "cannot lock ref", "incorrect old value")
    return reason.startswith("[remote rejected]") and any(word in reason for word in lost_race)


def is_cut_off(failure: GitFailedError) -> bool:
    """Tell whether a server's branches have no longer what a push without history builds on."""
    return "shallow update not allowed" in rejection_reason(failure)


def has_answer(stdout: bytes) -> bool:
    """Tell whether `git push --porcelain` says what became of the branch."""
    return any(line[:1] in (b" ", b"*", b"+") and b"\t" in line for line in stdout.splitlines())


def is_there_already(stdout: bytes) -> bool:
    """Tell whether a push had nothing to do, by what `git push --porcelain` says of the branch."""
    return any(line.startswith(b"=") for line in stdout.splitlines())


def no_branch(url: str, branch: str, others: Sequence[str]) -> RepositoryError:
    """Return the error for a branch that is not there, with those that are."""
    meant = [name for name in others if branch.endswith(f"/{name}")]
    near = meant or nearest(branch, others) or others
    there = _some(near) or "none"
    return UnknownBranchError(
        f"the repository {url} has no branch '{branch}'; there is: {there}",
        "check --branch, and `branch` in .gitops-rollback.toml",
    )


def no_server(url: str) -> RepositoryError:
    """Return the error for what answers, and not as a Git server does."""
    return RepositoryError(
        f"the repository {url} is not there: what answers is no Git server", _STRANGER
    )


def no_branch_name(name: str) -> RepositoryError:
    """Return the error for what cannot be the name of a branch."""
    return UnknownBranchError(
        f"'{one_line(name, _LONGEST_NAME)}' is no name of a branch, or is not written in UTF-8",
        "check --branch, and `branch` in .gitops-rollback.toml; a branch of another name is made "
        "with: git branch NAME",
    )


def no_tip(url: str, branches: Sequence[str]) -> RepositoryError:
    """Tell an empty repository from one whose HEAD names no branch, by its branches."""
    if not branches:
        return RepositoryError(
            f"the repository {url} is empty: it has no commit yet", "push the manifests first"
        )
    there = _some(branches)
    return UnknownBranchError(
        f"the HEAD of the repository {url} names no branch that is there",
        f"give the branch with --branch: {there}",
    )


def _some(branches: Sequence[str]) -> str:
    return some([one_line(name, _LONGEST_NAME) for name in branches], _MOST_BRANCHES)
