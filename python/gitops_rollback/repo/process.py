"""Run git: its environment, its credentials, and its failures in words."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from contextlib import suppress
from errno import EFBIG
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from gitops_rollback.alarm import undisturbed
from gitops_rollback.errors import OutOfTime, RepositoryError
from gitops_rollback.late import regex
from gitops_rollback.reading import read_file
from gitops_rollback.redaction import HEADERS, VARIABLES, hide
from gitops_rollback.repo.objects import garbled
from gitops_rollback.repo.talk import LARGEST_ANSWER, TooMuchError, bound_memory, talk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from gitops_rollback.clock import Deadline

_LOG = logging.getLogger("gitops_rollback")

# Variables that would make git work on another repository than ours (a hook or a surrounding
# work tree sets them); credentials and configuration of the caller stay.
_FOREIGN = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_DEFAULT_HASH",
    "GIT_DEFAULT_REF_FORMAT",
    "GIT_SHALLOW_FILE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_NO_LAZY_FETCH",
)
# The secrets that are git's, or of the helpers that it starts. It is told no other one: hooks of a
# repository on this disk are told what git is told.
_SECRETS = frozenset({"GIT_PASSWORD", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN"})
_OTHERS_SECRETS = frozenset(VARIABLES) - _SECRETS | {HEADERS}
# Traces in the midst of the words that are read below; into files they go on.
_TRACES = ("GIT_TRACE", "GIT_CURL_VERBOSE")
_TO_STDERR = ("1", "2", "true")
# What the server is called in our own copy: not `origin`, of which people's own configuration may
# say where and how to push.
REMOTE = "gitops-rollback"
# One short run in a repository of its own: no hooks of the user, no housekeeping afterwards.
_SETTINGS = {
    "core.hooksPath": os.devnull,
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.version": "2",
    "submodule.recurse": "false",
    "color.ui": "false",
    # How people set up git for their own work, where it would break or change ours.
    "advice.pushUpdateRejected": "false",
    "clone.defaultRemoteName": REMOTE,
    "clone.filterSubmodules": "false",
    "clone.rejectShallow": "false",
    "core.fsmonitor": "false",
    "core.fsync": "none",  # it is gone with the run; a cache is looked at before it is used
    "credential.interactive": "false",
    "diff.orderFile": os.devnull,
    "fetch.fsckObjects": "false",
    "fetch.negotiationAlgorithm": "noop",
    "fetch.parallel": "1",
    "fetch.prune": "false",
    "fetch.pruneTags": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.writeCommitGraph": "false",
    "i18n.commitEncoding": "UTF-8",
    "i18n.logOutputEncoding": "UTF-8",
    "init.defaultBranch": "main",
    "init.defaultRefFormat": "files",
    "log.follow": "false",
    "log.mailmap": "false",  # of any size, and the names of people as they were written are read
    "log.showSignature": "false",
    "push.followTags": "false",
    "push.negotiate": "false",
    "push.pushOption": "",
    "push.recurseSubmodules": "no",
    "push.useForceIfIncludes": "false",
    "safe.bareRepository": "all",
    "transfer.bundleURI": "false",
    "transfer.fsckObjects": "false",
}
# Objects may be missing, and are fetched when they are needed: but not to push, for which all that
# is needed is here (see `copy`).
_PARTIAL = {
    f"remote.{REMOTE}.promisor": "true",
    f"remote.{REMOTE}.partialclonefilter": "blob:none",
}
# Who commits, what is sent with each request, and what becomes of an address and of a push.
_ASKED = (
    r"^((user|author|committer|commit)\.|(http|url)\..*(extraheader|insteadof)$|push\.gpgsign$)"
)
_LONGEST_COUNT = 9  # digits
# How git tells programs that it runs what `git -c` was given: 'key'='value' or 'key=value', where
# a quote or an exclamation mark stands outside the quotes.
_QUOTED = r"'((?:[^']|'\\['!]')*)'"
_PARAMETER = regex(rf"{_QUOTED}(?:(=)(?:{_QUOTED})?)?(?:\s+|\Z)")
_UNQUOTED = regex(r"'\\(['!])'")
# Bytes of memory that a git may have. Of a commit, whatever its size, git holds all at once; `log`
# twice: it needs more only to say more than `LARGEST_ANSWER`. What pushes is seen through, and
# hooks of a repository on this disk run in it.
_MOST_MEMORY = 480_000_000
_MOST_OF_LOG = 400_000_000
_PUSHES = ("push", "remote-")
_PATIENCE = 0.5  # seconds for git to end by itself
_SSH = ("git+ssh", "ssh+git")  # other names of ssh
_LARGEST_NETRC = 1_000_000  # bytes
_CHILDREN = 2  # seconds for the processes that an ended git leaves behind
# What to do where a commit names too much: all that it names is listed, and less of it is read.
ALONE = (
    "keep the manifests in a repository, or on a branch, that has them alone (--repository,"
    " --branch): all files of a commit are listed, to find what applies them"
)
LESS = "give the environment a `path` or the service `manifests`, so that less is read"
SHORTER = (
    "one of the last commits has a message of that size: deploy the image to go back to"
    " (gitops-rollback deploy --image …), which reads no messages"
)
_AFTERMATH = "the remote end hung up"  # what git says last, whatever the matter was


class GitFailedError(Exception):
    """Raised when a git process fails; `stderr` and `stdout` are its words, without secrets."""

    def __init__(self, command: str, status: int, stdout: bytes, stderr: bytes) -> None:
        how = f"ended with {status}" if status >= 0 else f"was ended by signal {-status}"
        super().__init__(f"git {command} {how}")
        self.command = command
        self.status = status
        self.stdout = stdout
        self.stderr = hide(stderr.decode(errors="replace"))

    @property
    def reason(self) -> str:
        """The line that says why, cut to a readable length."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip()]
        telling = [line for line in lines if line.startswith(("fatal:", "error:", "ERROR:"))]
        causes = [line for line in telling if _AFTERMATH not in line]
        return " ".join((causes or telling or lines or [str(self)])[-1].split())[:300]

    def line_with(self, words: Iterable[str]) -> str:
        """Return the first line that has one of some words (in small letters), or an empty text."""
        lines = self.stderr.splitlines()
        found = (line for line in lines if any(word in line.lower() for word in words))
        return " ".join(next(found, "").split())[:300]

    @property
    def remote_words(self) -> str:
        """What the server said to people: its `remote:` lines in one."""
        words = [
            line.removeprefix("remote:").strip()
            for line in self.stderr.splitlines()
            if line.startswith("remote:")
        ]
        return " ".join(word for word in words if word)[:500]


class TimeIsUpError(RepositoryError):
    """Raised when git did not end in time."""


class Git:
    """Runs git in one bare repository, for one remote URL, within a deadline."""

    def __init__(
        self, directory: Path, url: str, environment: Mapping[str, str], deadline: Deadline
    ) -> None:
        self.directory = directory
        self._deadline = deadline
        self._configured: dict[str, str] | None = None
        self._running: set[subprocess.Popen[bytes]] = set()
        self._whole = _environment(url, environment)
        self._partial = {**self._whole, **_settings(_PARTIAL, self._whole)}

    @property
    def fetching_nothing(self) -> dict[str, str]:
        """The variable for a git that is not to fetch what is missing (`_PARTIAL` stands last)."""
        return {"GIT_CONFIG_COUNT": self._whole["GIT_CONFIG_COUNT"]}

    def configured(self) -> dict[str, str]:
        """Return what git is set up with of `_ASKED`, asked once; raises `GitFailedError`.

        Names are in small letters but for the part in the middle, which may be an address.
        """
        if self._configured is None:
            try:
                said = self.run("config", "--null", "--get-regexp", _ASKED).stdout
            except GitFailedError as failure:
                if failure.status != 1:  # which says that there is none
                    raise
                said = b"\0"
            if not said:
                raise garbled("config")
            items = (item for item in said.decode(errors="replace").split("\0") if item)
            self._configured = dict(item.partition("\n")[::2] for item in items)
        return self._configured

    def guard_login(self) -> None:
        """Follow no redirect where git is set up to send a login to wherever one leads.

        CI systems give a token as a header (`http.extraHeader`), which goes along also where it is
        set up for one address; and `default` in ~/.netrc is for every host.
        """
        try:
            told = any(name.endswith("extraheader") for name in self.configured())
        except (GitFailedError, RepositoryError):
            told = True  # why git fails is said where it is needed
        if told or _has_default_login(self._whole):
            no_redirects = {"http.followRedirects": "false"}
            self._whole |= _settings(no_redirects, self._whole)
            self._partial = {**self._whole, **_settings(_PARTIAL, self._whole)}

    def with_settings(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that add settings to those git runs with."""
        return _settings(settings, self._partial)

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run git; raise `GitFailedError` if it fails, `TimeIsUpError` if time is up.

        Time is up after `seconds`, or at the deadline.
        """
        running = self.start(*arguments, environment=environment)
        return self.finish(running, stdin=stdin, seconds=seconds)

    def start(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start git without waiting for it, in a folder if one is given, else in the repository."""
        command = _command_of(arguments)
        pushes = command.startswith(_PUSHES)
        own = self._whole if pushes else self._partial
        with undisturbed():
            try:
                running = subprocess.Popen(
                    ["git", *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=folder or self.directory,
                    env={**own, **(environment or {})},
                )
            except OSError as error:
                raise not_started(arguments[0], error) from error
            self._running.add(running)
        if not pushes:
            bound_memory(running, _MOST_OF_LOG if command == "log" else _MOST_MEMORY)
        return running

    def end(self) -> None:
        """End what still runs."""
        for running in tuple(self._running):
            stop(running)
            self._running.discard(running)

    def finish(
        self,
        running: subprocess.Popen[bytes],
        *,
        stdin: bytes = b"",
        seconds: float | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Wait for a git that was started; raises as `run` does."""
        arguments = [str(argument) for argument in running.args[1:]]  # type: ignore[index]
        command = _command_of(arguments)
        if command.startswith("remote-"):  # what `git push` runs
            command = "push"
        start = time.monotonic()
        timeout = self._deadline.remaining if seconds is None else seconds
        try:
            try:
                stdout, stderr = talk(running, stdin, timeout)
            finally:
                stop(running)
                self._running.discard(running)
        except (subprocess.TimeoutExpired, OutOfTime) as error:
            late = TimeIsUpError(
                f"git {command} did not end within --timeout {self._deadline.seconds:g} s",
                "look whether the Git server answers, and whether `git config --list`, which asks"
                " none, ends here; or give a longer --timeout",
            )
            if isinstance(error, OutOfTime):  # while git was waited for, or being ended
                error.told = late
                raise
            raise late from error
        except TooMuchError as error:
            raise _too_much(command) from error
        except OSError as error:
            raise RepositoryError(
                f"git {command} was ended: it could not be talked with: {error.strerror}",
                "look at the disk and the memory of this machine, then run the same command again",
            ) from error
        done = subprocess.CompletedProcess(arguments, running.returncode, stdout, stderr)
        _LOG.debug("git %s: %.3f s", hide(" ".join(arguments[:6])), time.monotonic() - start)
        if done.returncode != 0:
            if b"Out of memory" in stderr and not command.startswith(_PUSHES):
                raise _too_much(command) if command == "log" else _too_large(command)
            raise GitFailedError(command, done.returncode, done.stdout, done.stderr)
        return done


def _command_of(arguments: Iterable[str]) -> str:
    return next(word for word in arguments if not word.startswith("-"))


def _too_much(command: str) -> RepositoryError:
    hints = {"ls-tree": ALONE, "log": SHORTER}
    return RepositoryError(
        f"git {command} says more than {LARGEST_ANSWER // 1_000_000} MB: no repository of manifests"
        " is that large",
        hints.get(command, LESS),
    )


def _too_large(command: str) -> RepositoryError:
    return RepositoryError(
        f"git {command} needs more than {_MOST_MEMORY // 1_000_000} MB of memory: a commit or a"
        " file of that repository is that large, which none of manifests has",
        "look in a clone of it what was pushed last; leave that out of the branch, or give another"
        " branch that never had it (--branch)",
    )


def not_started(command: str, error: OSError) -> RepositoryError:
    """Return the error for a git that did not even begin."""
    if isinstance(error, FileNotFoundError):
        return RepositoryError(
            "git is not on this machine", "install git 2.31 or newer (apt-get install git)"
        )
    return RepositoryError(
        f"git {command} could not be started: {error.strerror}",
        "look at git, and at the memory, the open files and the processes of this machine"
        " (ulimit -a)",
    )


def stop(running: subprocess.Popen[bytes]) -> None:
    """End a process that is still running, and wait until it has, with those that it started.

    git is asked first: then it ends the processes that it has started, too; but it waits for none,
    and they may still write into its repository. They speak through its pipes: where these end, so
    have they. What outlives git for good, as a master of ssh does, is not waited for to the end.
    """
    if running.poll() is None:
        running.terminate()
        with suppress(subprocess.TimeoutExpired):
            running.wait(_PATIENCE)
    if running.poll() is None:
        running.kill()
        running.wait()
    if running.stdout is not None and not running.stdout.closed:
        with suppress(subprocess.TimeoutExpired, TooMuchError, OSError):
            talk(running, b"", _CHILDREN)
    for stream in (running.stdin, running.stdout, running.stderr):
        if stream is not None:
            stream.close()


def without_foreign_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what would make git work on another repository."""
    return {name: value for name, value in environment.items() if name not in _FOREIGN}


def _environment(url: str, environment: Mapping[str, str]) -> dict[str, str]:
    clean = {
        name: value
        for name, value in without_foreign_variables(environment).items()
        if name not in _OTHERS_SECRETS
        and not (name.startswith(_TRACES) and value.lower() in _TO_STDERR)
    }
    _count_parameters(clean)
    clean["LC_ALL"] = "C"  # messages are read below
    clean.setdefault("GIT_TERMINAL_PROMPT", "0")
    clean.setdefault("GCM_INTERACTIVE", "never")
    count = str(_count_of_settings(clean))
    clean.update(_settings(_SETTINGS, clean))
    clean.update(_settings({**_user_settings(url), **_transport(url)}, clean))
    if urlsplit(url).scheme in ("http", "https"):
        _bind_credentials(url, clean, count)
    return clean


def may_be_web(url: str) -> bool:
    """Tell whether an address may lead to the web.

    `acme:shop.git` may be short for a web address (`url.….insteadOf`).
    """
    return ":" in url.partition("/")[0] and urlsplit(url).scheme not in (*_SSH, "ssh", "file")


def _has_default_login(environment: Mapping[str, str]) -> bool:
    """Tell whether ~/.netrc has a login for every host."""
    home = environment.get("HOME")
    try:
        return bool(home) and b"default" in read_file(f"{home}/.netrc", _LARGEST_NETRC).split()
    except OSError as error:
        return error.errno == EFBIG  # of what curl cannot read either, nothing is sent


def _settings(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that give git settings beside those an environment gives it."""
    count = _count_of_settings(environment)
    variables = {"GIT_CONFIG_COUNT": str(count + len(settings))}
    for offset, (key, value) in enumerate(settings.items(), start=count):
        variables[f"GIT_CONFIG_KEY_{offset}"] = key
        variables[f"GIT_CONFIG_VALUE_{offset}"] = value
    return variables


def _count_of_settings(environment: Mapping[str, str]) -> int:
    text = environment.get("GIT_CONFIG_COUNT", "")
    return int(text) if text.isdecimal() and len(text) <= _LONGEST_COUNT else 0


def _count_parameters(environment: dict[str, str]) -> None:
    """Let what `git -c` was given stand before our settings, which it would else win over."""
    text = environment.pop("GIT_CONFIG_PARAMETERS", "")
    at = 0
    while at < len(text):
        found = _PARAMETER.match(text, at)
        if found is None:
            environment["GIT_CONFIG_PARAMETERS"] = "'"  # of which git says that it is bogus
            return
        key, equals, value = found.groups()
        if not equals:
            key, equals, value = key.partition("=")
        said = value if equals and value is not None else "true"  # a key alone says yes
        setting = {_UNQUOTED.sub(r"\1", key): _UNQUOTED.sub(r"\1", said)}
        environment.update(_settings(setting, environment))
        at = found.end()


def _user_settings(url: str) -> dict[str, str]:
    """Name the user of a web address, who may be a token: in no argument, in no file."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.username:
        return {}
    host = parts.netloc.rpartition("@")[2]
    return {f"credential.{parts.scheme}://{host}.username": unquote(parts.username)}


def _transport(url: str) -> dict[str, str]:
    """Allow the transport of the address that was named, whatever `protocol.allow` says."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        scheme = "ssh" if ":" in url.partition("/")[0] else "file"
    plain = "ssh" if scheme in _SSH else scheme
    return {f"protocol.{plain}.allow": "always"}


# Gives git what the variables hold; else what git itself, as it is set up, finds or is answered.
_HELPER = (
    '!f() { if test -n "$GIT_PASSWORD"; then test "$1" = get || exit 0; '
    'printf "username=%s\\npassword=%s\\n" "$GIT_USERNAME" "$GIT_PASSWORD"; exit; fi; '
    "case $1 in get) a=fill;; store) a=approve;; erase) a=reject;; *) exit 0;; esac; "
    'export GIT_CONFIG_COUNT="$GITOPS_CONFIG_COUNT" GIT_ASKPASS="$GITOPS_ASKPASS"; '
    'test -n "$GIT_ASKPASS" || unset GIT_ASKPASS; git credential "$a"; }; f'
)
_NO_ANSWER = "false"  # the program that answers every question by failing


def _bind_credentials(url: str, environment: dict[str, str], count: str) -> None:
    """Hand out what is known of credentials for the remote's own host alone, or by TLS there.

    Programs that are asked (GIT_ASKPASS, which Jenkins' `gitUsernamePassword` sets, `core.askPass`,
    SSH_ASKPASS) and helpers that people write into their configuration answer whoever asks: also
    the host that a redirect leads to. So git asks nobody but a helper that is bound to scheme, host
    and port, and that one asks git as it is set up: with the caller's `count` of settings.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    environment["GITOPS_CONFIG_COUNT"] = count
    environment["GITOPS_ASKPASS"] = environment.get("GIT_ASKPASS", "")
    environment["GIT_ASKPASS"] = _NO_ANSWER
    origins = [f"{parts.scheme}://{host}"]
    if parts.scheme == "http" and ":" not in host:
        origins.append(f"https://{host}")
    helpers = {f"credential.{origin}.helper": _HELPER for origin in origins}
    environment.update(_settings({"credential.helper": "", **helpers}, environment))
