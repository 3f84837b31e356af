"""Expected failures and exit codes, the same for people, for programs and for Jenkins.

Every failure a user can meet is a `GitopsRollbackError`: what was tried and what answered in the
message, what to do next in the hint. Anything else that reaches `cli` is a bug.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Iterable


SPELT_NEARLY = 0.75  # how much of two names is the same where one may be meant by the other


def nearest(name: str, known: Iterable[str], likeness: float = 0.5) -> list[str]:
    """Return up to three known names that look like a name."""
    from difflib import get_close_matches  # noqa: PLC0415 - only errors need it

    # What was given is no other than it; capitals are no other letters to who types them.
    others = {one.casefold(): one for one in known if one != name}
    return [others[one] for one in get_close_matches(name.casefold(), others, 3, likeness)]


def did_you_mean(names: Iterable[str]) -> str:
    """Return `did you mean …?`, or an empty text if there is nothing to name."""
    found = " or ".join(names)
    return f"did you mean {found}?" if found else ""


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """Return `did you mean …?`, or an empty text if nothing is near."""
    return did_you_mean(nearest(name, known))


class Exit(IntEnum):
    """Exit codes of the command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    BUG = 3
    NOT_FOUND = 4
    MOVED = 5
    REFUSED = 6
    WAITING = 7
    WARNINGS = 8
    INTERRUPTED = 130


class GitopsRollbackError(Exception):
    """Base of all expected failures; `found` is what a result file shows beside the error.

    `jenkins_hint` is the hint in Jenkins' words, where the error has one of its own.
    """

    category: ClassVar[str]
    exit_code: ClassVar[Exit] = Exit.FAILED
    code: str | None = None
    jenkins_hint: str | None = None

    def __init__(self, message: str, hint: str, found: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.found = found or {}

    def reworded(self, message: str, hint: str) -> Self:
        """Return the same error in other words."""
        error = self.__class__.__new__(self.__class__, message)
        error.__dict__.update({**self.__dict__, "message": message, "hint": hint})
        if self.jenkins_hint and hint.startswith(self.hint):
            error.jenkins_hint = self.jenkins_hint + hint.removeprefix(self.hint)
        return error


class ConfigError(GitopsRollbackError):
    """The configuration, or what it says of a service or an environment, is not usable."""

    category = "config"


class UnwritableError(ConfigError):
    """What would be written could not be read back: it is too long, or no text; see the message."""


class RepositoryError(GitopsRollbackError):
    """Git could not read or write the manifests repository."""

    category = "repository"


class ManifestError(GitopsRollbackError):
    """A manifest cannot be read, or not be edited safely; `line` and `column` count from 1."""

    category = "manifest"
    line: int | None = None
    column: int | None = None

    def at(self, line: int, column: int) -> Self:
        """Return the error with the place it is about."""
        self.line, self.column = line, column
        return self


class TemplateFileError(ManifestError):
    """A manifest is a template of Helm: somebody else makes of it what is applied."""


class RegistryError(GitopsRollbackError):
    """Docker Hub or a registry did not give the answer that was needed."""

    category = "registry"


class JenkinsError(GitopsRollbackError):
    """Jenkins did not give the answer that was needed."""

    category = "jenkins"


class ClusterError(GitopsRollbackError):
    """A change did not get through to the pods, or a cluster did not give the needed answer."""

    category = "cluster"


class ResourceError(GitopsRollbackError):
    """What a run may spend on this machine does not suffice: time, memory, its disk."""

    category = "repository"


class UsageError(GitopsRollbackError):
    """The command line asks for something that is not offered."""

    category = "usage"
    exit_code = Exit.USAGE


class NotFoundError(GitopsRollbackError):
    """There is no image to go back to."""

    category = "not-found"
    exit_code = Exit.NOT_FOUND


class MovedError(GitopsRollbackError):
    """The repository is not what a record, a plan or `--from` says."""

    category = "moved"
    exit_code = Exit.MOVED


class RefusedError(GitopsRollbackError):
    """A hold, a guard or a fence stands in the way; `code` names it."""

    category = "refused"
    exit_code = Exit.REFUSED

    def __init__(
        self, code: str, message: str, hint: str, found: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message, hint, found)
        self.code = code


class WaitingError(GitopsRollbackError):
    """A pull request is open and not merged."""

    category = "waiting"
    exit_code = Exit.WAITING


class InterruptedRunError(GitopsRollbackError):
    """SIGINT or SIGTERM arrived; the message says where the run stood."""

    category = "interrupted"
    exit_code = Exit.INTERRUPTED


class BugError(GitopsRollbackError):
    """Something no user can cause went wrong; the only error with exit code 3."""

    category = "bug"
    exit_code = Exit.BUG


class Interrupted(BaseException):
    """Raised by the signal handler when SIGINT or SIGTERM arrives."""


class OutOfTime(BaseException):
    """Raised by the timer when the run has lasted for longer than `--timeout` allows."""

    told: GitopsRollbackError | None = None  # what is said of it where it waited for others
