"""One way to ask a Git host: with its own token, in time, and with failures in words."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import RepositoryError
from gitops_rollback.model import one_line
from gitops_rollback.web.answers import retry_after, told_pause
from gitops_rollback.web.hosts import bound_to, host_of
from gitops_rollback.web.http import Http, Manners, as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.clock import Deadline
    from gitops_rollback.forges.address import Address
    from gitops_rollback.web.answers import Answer, NoAnswer

_LONGEST_QUOTE = 300
_FAILING = 500
_USUAL_PAUSE = 60  # seconds


class ForgeError(RepositoryError):
    """Raised when a Git host does not do what it was asked."""


class ForgeUnavailableError(ForgeError):
    """Raised when it gave no answer, or wants to be asked later: that says nothing of its data."""


class ForgeMissingError(ForgeError):
    """Raised when it has nothing of the kind, or does not show it."""


class ForgeHttp:
    """Asks the API of one host; `hint` says what a token needs there."""

    def __init__(
        self, address: Address, environment: Mapping[str, str], deadline: Deadline, hint: str
    ) -> None:
        self._address = address
        self._environment = environment
        self._deadline = deadline
        self._hint = hint
        self._token = address.token(environment)
        if not self._token:
            remedy = f"set {address.variable}, or GIT_PASSWORD to a token of that host"
            if not address.is_safe:
                remedy = (
                    "give the repository's https URL, or set GIT_PASSWORD to a token of that host:"
                    f" {address.variable} is not sent without TLS"
                )
            raise ForgeError(
                f"there is no token to ask {host_of(address.api)} with", f"{remedy}; {hint}"
            )

    def ask(
        self,
        method: str,
        path: str,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the answer to a request; raises `ForgeError` where it is no success.

        422 and 409 are returned: what they mean is the host's own affair.
        """
        # A new client for each: it asks a host that has failed no more, and we wait for ours.
        http = Http(self._environment, self._deadline.remaining, Manners(_explained))
        url = f"{self._address.api}{path}"
        who = bound_to(self._address.api, f"Bearer {self._token}")
        sent = as_json(json) if json is not None else None
        answer = http.send(method, url, what=what, headers=headers, who=who, sent=sent)
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= _FAILING:
            raise _busy(answer, what)
        if answer.status < HTTPStatus.MULTIPLE_CHOICES or answer.status in (
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.CONFLICT,
        ):
            return answer
        raise self.refused(answer, what)

    def document(self, path: str, what: str, *flags: str) -> dict[str, Any]:
        """Return the object at a path, in which `flags` are true or false; raises `ForgeError`."""
        answer = self.ask("GET", path, what)
        found = answer.json
        if answer.status != HTTPStatus.OK or not isinstance(found, dict):
            raise self.refused(answer, what)
        if not all(isinstance(found.get(flag), bool) for flag in flags):
            raise self.refused(answer, what)
        return found

    def documents(self, path: str, what: str, key: str | None = None) -> list[dict[str, Any]]:
        """Return the objects of the list at a path, or below a key of what is there."""
        return self.listed(self.ask("GET", path, what), what, key)

    def listed(self, answer: Answer, what: str, key: str | None = None) -> list[dict[str, Any]]:
        """Return the objects of an answer's list; raises `ForgeError` where it is none."""
        found = answer.json
        if key is not None and isinstance(found, dict):
            found = found.get(key)
        if answer.status != HTTPStatus.OK or not isinstance(found, list):
            raise self.refused(answer, what)
        if not all(isinstance(one, dict) for one in found):
            raise self.refused(answer, what)
        return found

    def refused(self, answer: Answer, what: str) -> ForgeError:
        """Return the error for an answer that is no success, or none that can be read."""
        host = host_of(self._address.api)
        said = f"asked {host} for {what}: it answered {answer.status}"
        words = words_of(answer)
        message = f"{said} ({words})" if words else said
        until = _limited_until(answer, words)
        if until is not None:
            return ForgeUnavailableError(
                f"{message}; too many requests came from this account", f"try again {until}"
            )
        if answer.status == HTTPStatus.NOT_FOUND:
            return ForgeMissingError(
                message, f"is {self._address.project} right, and may the token see it? {self._hint}"
            )
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return ForgeError(message, f"look at {self._address.variable}: {self._hint}")
        if answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return ForgeError(
                f"{message}, but not as such a host does",
                "a proxy or a login page may have answered; look at --forge and --forge-url",
            )
        if answer.status < HTTPStatus.BAD_REQUEST:
            return ForgeError(message, "the repository has moved: use its new URL")
        return ForgeError(message, f"look at {self._address.web}, then run this again")


def _explained(none: NoAnswer) -> ForgeUnavailableError:
    """Explain why no answer came."""
    hint = none.hint or "a proxy or a login page may have answered; look at --forge and --forge-url"
    return ForgeUnavailableError(f"asked {none.host} for {none.what}: {none.reason}", hint)


def _busy(answer: Answer, what: str) -> ForgeUnavailableError:
    when, wait = told_pause(retry_after(answer.headers))
    message = f"asked {host_of(answer.url)} for {what}: it answered {answer}{when}"
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return ForgeUnavailableError(message, f"too many requests came from here: {wait}")
    return ForgeUnavailableError(message, "the host itself failed: look at its status page")


def inner(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return an object within another; {} where there is none."""
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def words_of(answer: Answer) -> str:
    """Return what a host says of a failure: text, a list of texts, or texts by field."""
    document = answer.json
    if not isinstance(document, dict):
        return ""
    found = [*_texts(document.get("message")), *_texts(document.get("errors"))]
    found = found or [*_texts(document.get("error")), *_texts(document.get("error_description"))]
    return one_line("; ".join(dict.fromkeys(found)), _LONGEST_QUOTE)


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, dict):
        if "code" in value and isinstance(value.get("message"), str):
            return [value["message"]]
        return [text for item in value.values() for text in _texts(item)]
    return []


def _limited_until(answer: Answer, words: str) -> str | None:
    """Return when a host wants to be asked again; None if that is not why it refused.

    GitHub answers 403 as often as 429 (docs.github.com: Rate limits for the REST API).
    """
    spent = answer.headers.get("X-RateLimit-Remaining") == "0"
    if answer.status != HTTPStatus.FORBIDDEN or not (spent or "rate limit" in words.lower()):
        return None
    return f"in {retry_after(answer.headers) or _USUAL_PAUSE:.0f} s"
