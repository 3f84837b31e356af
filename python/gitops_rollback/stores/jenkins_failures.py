"""What went wrong between us and Jenkins, in words. Pure: no client is needed to explain."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gitops_rollback.errors import JenkinsError
from gitops_rollback.late import dataclass, regex
from gitops_rollback.model import one_line
from gitops_rollback.web.answers import ASTRAY, NO_TIME, TOO_LARGE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gitops_rollback.web.answers import Answer, NoAnswer

_MISSING_PERMISSION = regex(rb"is missing the ([\w/ -]{1,80}) permission")
_TOKEN_HINT = "set JENKINS_USER and JENKINS_TOKEN (an API token, made in the user's settings)"  # noqa: S105 - names of variables


class AbsentError(JenkinsError):
    """It answered 404: it is not there, or not shown to this user."""

    is_from_jenkins = True


class UnusableArtifactError(JenkinsError):
    """The artifact is there, but it is nothing that could be a record."""


@dataclass(frozen=True)
class Access:
    """Who asks which Jenkins: its address, and the user or None for nobody."""

    url: str
    user: str | None

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.url).netloc

    @property
    def person(self) -> str:
        """The user, as messages name it."""
        return f"the user '{self.user}'" if self.user else "nobody (no user and token are set)"


def is_from_jenkins(answer: Answer) -> bool:
    """Tell whether an answer bears the header that every answer of Jenkins has."""
    return "X-Jenkins" in answer.headers


def wants_crumb(answer: Answer) -> bool:
    """Tell whether it was refused for want of a crumb: of passwords Jenkins asks one."""
    return answer.status == HTTPStatus.FORBIDDEN and b"No valid crumb" in answer.body


def refusal(answer: Answer, what: str, access: Access) -> JenkinsError:
    """Explain a status that is no success."""
    message = f"asked Jenkins at {access.host} for {what}: it answered {answer.phrase}"
    explain = _EXPLANATIONS.get(answer.status)
    if explain is not None:
        return explain(answer, message, access)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return JenkinsError(f"{message}: too many requests", "wait a minute and try again")
    if answer.status in (502, 503, 504):
        return JenkinsError(
            f"{message}: Jenkins is starting, or is down behind its proxy",
            f"open {access.url} in a browser; when it is up again, try again",
        )
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return JenkinsError(
            f"{message}: Jenkins itself failed", "its log (Manage Jenkins, System Log) says why"
        )
    return nonsense(what, access, f"it answered {answer.phrase}")


def missing_job(job: str, access: Access, absent: AbsentError) -> JenkinsError:
    """Explain a 404 where the builds of a job were asked for."""
    if not absent.is_from_jenkins:
        return JenkinsError(absent.message, absent.hint)
    right = _TOKEN_HINT if access.user is None else "give that user Job/Read"
    return JenkinsError(
        f"Jenkins at {access.host} has no job {job}, or does not show it to {access.person}",
        "check --store jenkins:JOB or deploy-job in .gitops-rollback.toml (a folder's job is "
        f"FOLDER/JOB, a branch with a slash feature%2Fx); or {right}",
    )


def no_builds(job: str) -> JenkinsError:
    """Explain a job that answers without builds."""
    return JenkinsError(
        f"{job} has no builds of its own in Jenkins: it is a folder or a multibranch project",
        f"name the job in it, such as {job}/main, with --store jenkins:JOB or deploy-job",
    )


def page_instead(answer: Answer, url: str, what: str, access: Access) -> JenkinsError:
    """Explain a web page where data was asked for: a login, or the listing of a folder."""
    is_login = b'type="password"' in answer.body or answer.url.rstrip("/") != url
    if is_login or not url.endswith("/record.json"):
        seen = f"it answered a web page ({one_line(answer.url.partition('?')[0], 200)})"
        return JenkinsError(
            f"asked Jenkins at {access.host} for {what}: {seen}",
            f"that is probably a login: {_TOKEN_HINT}, and check JENKINS_URL",
        )
    return UnusableArtifactError(
        f"asked Jenkins at {access.host} for {what}: the artifact is a folder, not a file",
        "what archived it did not use the record step; go back with --strategy git or --to",
    )


def nonsense(what: str, access: Access, reason: str) -> JenkinsError:
    """Explain an answer that cannot be one of Jenkins."""
    return JenkinsError(
        f"asked Jenkins at {access.host} for {what}: {reason}",
        f"a proxy may have answered, or JENKINS_URL is of something else; look at {access.url}",
    )


def explain(none: NoAnswer) -> JenkinsError:
    """Explain why no answer came."""
    message = f"asked Jenkins at {none.host} for {none.what}: {none.reason}"
    if none.kind == NO_TIME:
        return JenkinsError(
            f"Jenkins at {none.host} was not asked for {none.what}: {none.reason}",
            "check what was slow before; --timeout allows more time",
        )
    if none.kind == TOO_LARGE:
        return UnusableArtifactError(
            message,
            "a record is never that large, and a list only where builds archive thousands of files:"
            " go back with --strategy git or --to",
        )
    if none.kind == ASTRAY:
        hint = "a proxy may have answered, or JENKINS_URL is of something else; look at it"
        return JenkinsError(message, hint)
    is_passing = none.hint == "try again"
    return JenkinsError(message, none.hint if is_passing else f"check JENKINS_URL; {none.hint}")


def _forbidden(answer: Answer, message: str, access: Access) -> JenkinsError:
    named = _MISSING_PERMISSION.search(answer.body)
    if named:
        permission = named[1].decode()
        hint = f"give {access.person} {permission} in Jenkins"
        return JenkinsError(
            f"{message}: {access.person} is missing the {permission} permission",
            hint if access.user else f"{_TOKEN_HINT}, of a user with {permission}",
        )
    if access.user is None:
        return JenkinsError(f"{message}: nobody may read it without a login", _TOKEN_HINT)
    if wants_crumb(answer):
        return JenkinsError(
            f"{message}: it wants a crumb, because JENKINS_TOKEN is a password",
            f"make an API token for the user '{one_line(access.user, 80)}': it needs no crumb",
        )
    return JenkinsError(
        f"{message}: {access.person} may not read it",
        "give that user Overall/Read and Job/Read (and Run/Artifacts, where Jenkins has it)",
    )


def _unauthorized(_answer: Answer, message: str, access: Access) -> JenkinsError:
    if access.user is None:
        return JenkinsError(f"{message}: it wants to know who asks", _TOKEN_HINT)
    return JenkinsError(
        f"{message}: user or token is wrong",
        f"check JENKINS_USER ('{one_line(access.user, 80)}') and make a new API token for "
        "JENKINS_TOKEN; a password may not do",
    )


def _absent(answer: Answer, message: str, access: Access) -> AbsentError:
    if is_from_jenkins(answer):
        return AbsentError(
            f"{message}: it is not there, or not shown to {access.person}",
            "check the name; reading builds needs Job/Read",
        )
    error = AbsentError(
        f"{message}, and not as Jenkins does",
        f"check JENKINS_URL, with its path if it has one: {access.url}",
    )
    error.is_from_jenkins = False
    return error


_EXPLANATIONS: Mapping[int, Callable[[Answer, str, Access], JenkinsError]] = {
    HTTPStatus.UNAUTHORIZED: _unauthorized,
    HTTPStatus.FORBIDDEN: _forbidden,
    HTTPStatus.NOT_FOUND: _absent,
}
