"""What went wrong between us and a registry, in words. Pure: no client is needed to explain."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING

from gitops_rollback.errors import RegistryError
from gitops_rollback.model import one_line
from gitops_rollback.registries.endpoints import host_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.registries.credentials import Access

_LONGEST_QUOTE = 200
_OFFSET_CAP = "pagination offset too large"


class ManifestMissingError(RegistryError):
    """The registry knows no such tag or digest."""


class RepositoryMissingError(ManifestMissingError):
    """The registry knows no such repository, or does not show it to us."""


class RegistryUnavailableError(RegistryError):
    """The registry could or would not answer: that proves nothing about any image."""


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, read to its end."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> object:
        """The body as JSON; None if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def first_error(self) -> Mapping[str, object] | None:
        """The first of the errors that a registry answers with; {} for an empty list."""
        document = self.json
        errors = document.get("errors") if isinstance(document, dict) else None
        if not isinstance(errors, list):
            return None
        return errors[0] if errors and isinstance(errors[0], Mapping) else {}

    def __str__(self) -> str:
        name = HTTPStatus(self.status).phrase if self.status in _STATUSES else ""
        words = self._words()
        return f"{self.status} {name}".rstrip() + (f" ({words})" if words else "")

    def _words(self) -> str:
        document = self.json
        if self.first_error:
            parts = [self.first_error.get("code"), self.first_error.get("message")]
        elif isinstance(document, dict):
            parts = [document.get("detail") or document.get("message") or document.get("error")]
        elif self.body.lstrip()[:1] == b"<":
            return "a web page"
        else:
            parts = [self.body[: 4 * _LONGEST_QUOTE].decode(errors="replace")]
        return one_line(
            ": ".join(part for part in parts if isinstance(part, str) and part), _LONGEST_QUOTE
        )


_STATUSES = frozenset(int(status) for status in HTTPStatus)


def nonsense(answer: Answer, what: str, reason: str) -> RegistryUnavailableError:
    """Explain an answer that cannot be one of a registry."""
    return RegistryUnavailableError(
        f"asked {host_of(answer.url)} for {what}: {reason}",
        "a proxy or a login page may have answered, or the configured URL is of something else;"
        f" look at {one_line(answer.url.partition('?')[0], _LONGEST_QUOTE)}",
    )


def unexpected(answer: Answer, what: str, access: Access) -> RegistryUnavailableError:
    """Explain a status that is no success: no access, or one that does not belong here."""
    message = f"asked {host_of(answer.url)} for {what}: it answered {answer}"
    if _OFFSET_CAP in str(answer):
        return RegistryUnavailableError(
            f"{message}: without a login it shows only the newest tags",
            f"{access.how_to_sign_in}, or name the image to go back to with --to",
        )
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return RegistryUnavailableError(message, access.hint)
    if answer.status == HTTPStatus.FORBIDDEN:
        return RegistryUnavailableError(f"{message}: no permission", access.hint)
    if answer.status == HTTPStatus.OK:
        return nonsense(answer, what, "it answered 200, but not as a registry does")
    return nonsense(answer, what, f"it answered {answer}, as no registry should")


def second_factor(answer: Answer, what: str) -> RegistryUnavailableError:
    """Explain that Hub wants a second factor, which only a person can give."""
    return RegistryUnavailableError(
        f"asked {host_of(answer.url)} for {what}: it wants a second factor of that user",
        "set DOCKERHUB_TOKEN to a personal access token (or an organization's, with the "
        "organization as DOCKERHUB_USERNAME): it needs none",
    )


def try_later(answer: Answer, what: str, seconds: float | None) -> RegistryUnavailableError:
    """Explain 429 and 5xx; `seconds` is when it may be asked again, if it says so."""
    message = f"asked {host_of(answer.url)} for {what}: it answered {answer}"
    if seconds is not None:
        end = datetime.fromtimestamp(datetime.now(UTC).timestamp() + seconds, UTC)
        message += f"; it may be asked again in {seconds:.0f} s, at {end:%H:%M:%S} UTC"
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        hint = "too many requests came from here: wait until then, or sign in for a higher limit"
        return RegistryUnavailableError(message, hint)
    hint = "the service itself has failed: look at its status page and try again"
    return RegistryUnavailableError(message, hint)


def unreachable(host: str, what: str, error: Exception, seconds: float) -> RegistryUnavailableError:
    """Explain why no answer came: name, connection, TLS, or time."""
    causes = list(_causes(error))
    reason, hint = f"failed ({type(error).__name__})", "check the network, then try again"
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            detail = getattr(cause, "verify_message", "") or cause.reason or "no TLS"
            reason = f"no trusted TLS connection: {one_line(str(detail), _LONGEST_QUOTE)}"
            hint = "for a certificate of your own set REQUESTS_CA_BUNDLE to the file of its CA"
        elif isinstance(cause, socket.gaierror):
            reason, hint = "no address is known for that name", "check the name, DNS and proxy"
        elif isinstance(cause, ConnectionRefusedError):
            reason, hint = "connection refused", "check that it runs, the port, and the proxy"
        elif isinstance(cause, TimeoutError):
            reason = f"no answer within {max(seconds, 0.1):.1f} s"
            hint = "check the network and the proxy; --timeout allows more time"
        elif isinstance(cause, (ConnectionError, HTTPException)):
            reason, hint = "the connection broke off", "try again"
        elif "CA certificate bundle" in str(cause):
            reason, hint = "REQUESTS_CA_BUNDLE names no file", "correct or unset it"
        else:
            continue
        break
    if any(type(cause).__name__ == "ProxyError" for cause in causes):
        reason = f"through the proxy: {reason}"
    return RegistryUnavailableError(f"asked {host} for {what}: {reason}", hint)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from, the innermost first."""
    inner = error.__cause__ or error.__context__
    if inner is not None:
        yield from _causes(inner)
    yield error
