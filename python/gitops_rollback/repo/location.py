"""Where the manifests repository is: a URL, a bare repository's path, or a work tree's origin."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gitops_rollback.errors import OutOfTime, RepositoryError, UsageError
from gitops_rollback.late import regex
from gitops_rollback.model import one_line
from gitops_rollback.redaction import know, know_address
from gitops_rollback.repo.messages import explain_settings
from gitops_rollback.repo.objects import garbled
from gitops_rollback.repo.process import not_started, without_foreign_variables
from gitops_rollback.repo.talk import TooMuchError, ask

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

_SCHEMES = ("http", "https", "ssh", "git+ssh", "ssh+git", "file")
_HINT = "give an https or ssh URL, or a path"
_LONGEST_COMPLAINT = 400  # characters; git tells in three lines what to do
_LONGEST, _LARGEST = 30.0, 1_000_000  # seconds and bytes of an answer
_REMOTES = ("remote",)  # the one question to which nothing is an answer
_HELPER = regex(r"[A-Za-z0-9+.-]*::")  # `ext::COMMAND` and its like run a program


def repository_url(text: str | None, environment: Mapping[str, str]) -> str:
    """Return the URL of the manifests repository; a work tree's path means its `origin`.

    Raises `UsageError` for a URL with a password in it, or in a form that could run commands.
    """
    # `Path` fails for a name that is too long; this one says that nothing is there.
    if text is not None and ("://" in text or not os.path.exists(text)):  # noqa: PTH110
        return _checked_url(_short_for(text, environment))
    directory = _absolute(text or ".")
    if text is not None and _ask(directory, environment, "--is-bare-repository") == "true":
        return str(directory.resolve())
    top = _ask(directory, environment, "--show-toplevel")
    origin = _origin(directory, environment)
    if not top or not origin:
        raise UsageError(
            f"{directory} is no Git work tree with an `origin`{_complaint(directory, environment)}",
            f"name the manifests repository with --repository URL{_others(directory, environment)}",
        )
    if "://" not in origin and os.path.exists(Path(top) / origin):  # noqa: PTH110 - as above
        return str((Path(top) / origin).resolve())
    return _checked_url(origin)


def _short_for(text: str, environment: Mapping[str, str]) -> str:
    """Return the address that a short one stands for, as git's `url.….insteadOf` has it.

    So the host is known that credentials are for. What brings a password stays git's own affair.
    """
    if text.startswith(("-", "http:", "https:", "file:")) or _HELPER.match(text):
        return text
    return _without_password(_git(Path(), environment, "ls-remote", "--get-url", text)) or text


def _origin(directory: Path, environment: Mapping[str, str]) -> str | None:
    """Return the address of `origin`, as `_short_for` does."""
    found = _without_password(_git(directory, environment, "remote", "get-url", "origin"))
    return found or _git(directory, environment, "config", "remote.origin.url")


def _without_password(url: str | None) -> str | None:
    parts = _split(url) if url and "://" in url else None
    return None if parts is not None and parts.password is not None else url


def _absolute(text: str) -> Path:
    try:
        return Path(text).absolute()
    except FileNotFoundError as error:
        raise UsageError(
            "the folder that this runs in is not there any more",
            "change to one that is, or name the manifests repository with --repository URL",
        ) from error


def person(environment: Mapping[str, str]) -> str:
    """Return who sits at this machine: whom git is set up for, else the account; never nobody."""
    for role in ("AUTHOR", "COMMITTER"):
        if environment.get(f"GIT_{role}_NAME"):
            return environment[f"GIT_{role}_NAME"]
    name = _git(Path(), environment, "config", "user.name")
    if name:
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return f"uid {os.getuid()}"


def is_work_tree_of(url: str, directory: Path, environment: Mapping[str, str]) -> bool:
    """Tell whether a directory is in a work tree of the repository of a URL."""
    if _ask(directory, environment, "--is-inside-work-tree") != "true":
        return False
    try:
        return repository_url(str(directory), environment) == url
    except UsageError:
        return False  # a work tree without an `origin` is of another repository


def without_user(url: str) -> str:
    """Return a web address without the user in it, who may be a token; others stay."""
    parts = _split(url) if "://" in url else None
    if parts is None or parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _checked_url(url: str) -> str:
    know_address(url)
    unusable = UsageError(f"'{one_line(url, 100)}' is no repository", _HINT)
    if url.startswith("-") or _HELPER.match(url) or not url.isprintable():
        raise unusable
    if "://" not in url:
        return url
    parts = _split(url)
    if parts is not None and parts.password is not None:
        host = parts.hostname or ""
        raise UsageError(
            f"the repository URL for {host} has a password in it",
            "leave it out, and set GIT_USERNAME and GIT_PASSWORD",
        )
    if parts is None or parts.scheme not in _SCHEMES or not url.startswith(parts.scheme):
        raise unusable  # git knows schemes in small letters alone
    if parts.scheme in ("http", "https") and ("?" in url or "#" in url):
        know(parts.query, parts.fragment)
        raise UsageError(
            f"the repository URL for {parts.hostname} has a `?` or a `#` in it",
            "leave out what follows it: git adds a path there; if it is a token, set GIT_PASSWORD",
        )
    return url


def _split(url: str) -> SplitResult | None:
    """Take a URL apart; None where it is malformed."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return parts if port != 0 else None


def _ask(directory: Path, environment: Mapping[str, str], question: str) -> str | None:
    return _git(directory, environment, "rev-parse", question)


def _git(directory: Path, environment: Mapping[str, str], *arguments: str) -> str | None:
    done = _run(directory, environment, *arguments)
    unread = explain_settings(done.stderr) if done is not None and done.returncode else None
    if unread is not None:
        raise unread
    return done.stdout.strip() if done is not None and done.returncode == 0 else None


def _complaint(directory: Path, environment: Mapping[str, str]) -> str:
    """Return what git has against a directory, other than that it is none of its own.

    In a container the work tree often belongs to another user, which git does not trust.
    """
    done = _run(directory, environment, "rev-parse", "--git-dir")
    said = done.stderr.strip().removeprefix("fatal: ") if done is not None else ""
    if not said or said.startswith("not a git repository"):
        return ""
    return f": {one_line(said, _LONGEST_COMPLAINT)}"


def _others(directory: Path, environment: Mapping[str, str]) -> str:
    """Return how to see the URL of a remote that is not called `origin`, if there is one."""
    from shlex import quote  # noqa: PLC0415 - only for errors

    remotes = (_git(directory, environment, *_REMOTES) or "").splitlines()
    return f" (git remote get-url {quote(one_line(remotes[0], 80))} tells one)" if remotes else ""


def _run(
    directory: Path, environment: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str] | None:
    """Ask git; None where the directory is none, or is not to be entered by this account."""
    try:
        code, said = ask(
            ["git", "-c", "safe.bareRepository=all", *arguments],
            b"",
            {**without_foreign_variables(environment), "LC_ALL": "C"},
            seconds=_LONGEST,
            most=_LARGEST,
            folder=directory,
        )
    except TooMuchError as error:
        raise garbled(arguments[0]) from error
    except (TimeoutError, OutOfTime) as error:
        late = RepositoryError(
            f"git {arguments[0]}, which asks no server, did not end in time",
            "look what `git config --list --show-origin` waits for there: a file of git's"
            " configuration that is a pipe, or on a disk that does not answer",
        )
        if isinstance(error, OutOfTime):
            error.told = late
            raise
        raise late from error
    except OSError as error:
        if error.filename in (directory, str(directory)):
            return None
        raise not_started(arguments[0], error) from error
    # Paths and names need not be UTF-8.
    stdout, stderr = (data.decode(errors="surrogateescape") for data in said)
    if code < 0:
        raise RepositoryError(
            f"git {arguments[0]} was ended by signal {-code}",
            "nothing was pushed: look at the memory of this machine, then run this again",
        )
    is_answer = "\0" not in stdout and (stdout or arguments == _REMOTES)
    if code == 0 and not is_answer:
        raise garbled(arguments[0])
    return subprocess.CompletedProcess(arguments, code, stdout, stderr)
