"""What a server answered, or why it did not, in words. Pure but for the clock.

`Retry-After`: RFC 9110, 10.2.3. Docker Hub's own headers: the part "Rate limiting" of its API's
description (docs.docker.com/reference/api/hub/latest/). Limits: Hub's API sends
`X-RateLimit-Limit` and `-Remaining`, its registry `ratelimit-limit: 100;w=21600` and
`ratelimit-remaining` (docs.docker.com, "Usage and limits"); others follow the draft of the IETF.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from time import time
from typing import TYPE_CHECKING

from gitops_rollback.late import dataclass, regex
from gitops_rollback.model import one_line
from gitops_rollback.reading import MOST_VALUES, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_QUOTE = 200
_STATUSES = frozenset(int(status) for status in HTTPStatus)
_NUMBER = regex(r"\s*(\d{1,9})\b")
_LIMITS = (
    ("X-RateLimit-Limit", "X-RateLimit-Remaining"),
    ("ratelimit-limit", "ratelimit-remaining"),
)
_NEAR = 10  # a tenth
_LONGEST_PAUSE = 86400.0  # seconds
_NO_PAUSE = 1_000_000_000  # a number above it is a time, of this century
_SECONDS = regex(r"-?[0-9]{1,100}(\.[0-9]*)?")  # the standard has no sign and no parts of seconds


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, read to its end; `url` is where it came from in the end."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> object:
        """The body as JSON; None if it is none."""
        return self.json_of(MOST_VALUES)

    def json_of(self, most: int) -> object:
        """Return the body as JSON of at most so many values; None if it is none."""
        try:
            return read_json(self.body, most)
        except ValueError:
            return None

    @property
    def first_error(self) -> Mapping[str, object] | None:
        """The first of the errors that a registry answers with; {} for an empty list."""
        document = self.json
        errors = document.get("errors") if isinstance(document, dict) else None
        if not isinstance(errors, list):
            return None
        return errors[0] if errors and isinstance(errors[0], Mapping) else {}

    @property
    def is_page(self) -> bool:
        """Whether it is a web page, whatever its type says; a job's config.xml is none."""
        start = self.body.lstrip()[:5]
        return start[:1] == b"<" and start != b"<?xml"

    @property
    def phrase(self) -> str:
        """The status, with its name where it has one: `404 Not Found`."""
        name = HTTPStatus(self.status).phrase if self.status in _STATUSES else ""
        return f"{self.status} {name}".rstrip()

    @property
    def words(self) -> str:
        """What the server says in its own words, short and clean; "" if nothing."""
        document = self.json
        if self.first_error:
            parts = [self.first_error.get("code"), self.first_error.get("message")]
        elif isinstance(document, dict):
            parts = [document.get("detail") or document.get("message") or document.get("error")]
        elif self.body.lstrip()[:1] == b"<":
            return "a web page"
        else:
            parts = [self.body[: 4 * LONGEST_QUOTE].decode(errors="replace")]
        return one_line(
            ": ".join(part for part in parts if isinstance(part, str) and part), LONGEST_QUOTE
        )

    def __str__(self) -> str:
        return self.phrase + (f" ({self.words})" if self.words else "")


@dataclass(frozen=True)
class NoAnswer:
    """Why no answer came, and what to do; `kind` is `unreachable`, or one of those below."""

    host: str
    what: str
    reason: str
    hint: str
    kind: str = "unreachable"


NO_TIME, TOO_LARGE, ASTRAY = "no-time", "too-large", "astray"


@dataclass(frozen=True)
class RateLimit:
    """How many requests a host still answers, and of how many."""

    host: str
    remaining: int
    limit: int

    @property
    def is_near(self) -> bool:
        """Whether less than a tenth is left."""
        return self.remaining * _NEAR < self.limit

    def __str__(self) -> str:
        return f"{self.host} allows {self.remaining} more requests of {self.limit}"


def read_limit(host: str, headers: Mapping[str, str]) -> RateLimit | None:
    """Return the limit that an answer's headers tell, if they do."""
    for limit_name, remaining_name in _LIMITS:
        limit = _NUMBER.match(headers.get(limit_name, ""))
        remaining = _NUMBER.match(headers.get(remaining_name, ""))
        if limit and remaining:
            return RateLimit(host, int(remaining[1]), int(limit[1]))
    return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until a host wants to be asked again; None where it does not say.

    `Retry-After` is a number of seconds or a date, Hub's `X-Retry-After` a Unix time, as which some
    write the first, too; where a limit is used up, `X-RateLimit-Reset` is that of the next one.
    """
    text = headers.get("Retry-After", "").strip()
    until = headers.get("X-Retry-After", "").strip()
    if not until and headers.get("X-RateLimit-Remaining", "").strip() == "0":
        until = headers.get("X-RateLimit-Reset", "").strip()
    try:
        if _SECONDS.fullmatch(text):
            seconds = float(text)
            seconds -= time() if seconds > _NO_PAUSE else 0
        elif text:
            seconds = parsedate_to_datetime(text).timestamp() - time()
        elif until:
            seconds = float(until) - time()
        else:
            return None
    except (ValueError, OverflowError):
        return None
    # Not at once, or a host that says 0 each time would be asked without end; NaN is no time.
    return min(max(1.0, seconds), _LONGEST_PAUSE) if seconds == seconds else None  # noqa: PLR0124


def told_pause(seconds: float | None) -> tuple[str, str]:
    """Say when a host may be asked again, as the end of a sentence; and how long to wait."""
    if seconds is None:
        return "", "wait a while"
    if seconds >= _LONGEST_PAUSE:
        return "; it may not be asked again for a day or more", "wait until then"
    end = datetime.fromtimestamp(time() + seconds, UTC)
    return f"; it may be asked again in {seconds:.0f} s, at {end:%H:%M:%S} UTC", "wait until then"


def why_no_answer(error: Exception, seconds: float) -> tuple[str, str]:
    """Return why no answer came (name, connection, TLS, time), and what to do."""
    causes = list(_causes(error))
    kind = type(error).__name__
    reason = f"it could not be asked, or its answer could not be read ({kind})"
    hint = "look at its address, at the proxy, and at the login: each may have a character too much"
    for cause in causes:
        found = _why(cause, seconds)
        if found is not None:
            reason, hint = found
            break
    if any(type(cause).__name__ == "ProxyError" for cause in causes):
        reason = f"through the proxy: {reason}"
    return reason, hint


def _why(cause: BaseException, seconds: float) -> tuple[str, str] | None:
    if isinstance(cause, ssl.SSLError):
        detail = getattr(cause, "verify_message", "") or cause.reason or "no TLS"
        return (
            f"no trusted TLS connection: {one_line(str(detail), LONGEST_QUOTE)}",
            "for a certificate of your own set REQUESTS_CA_BUNDLE to the file of its CA",
        )
    if "CA certificate bundle" in str(cause):
        return "REQUESTS_CA_BUNDLE names no file", "correct or unset it"
    if isinstance(cause, TimeoutError):
        return (
            f"no complete answer within {max(seconds, 0.1):.1f} s",
            "check the network and the proxy; --timeout allows more time",
        )
    if type(cause).__name__ in _WHY_BY_NAME:
        return _WHY_BY_NAME[type(cause).__name__]
    for kind, words in _WHY.items():
        if isinstance(cause, kind):
            return words
    return None


_IN_BETWEEN = "look at the address, and at the proxy: something else may have answered"
_NO_ADDRESS = ("that is no address to ask", "correct the address, or the proxy's in https_proxy")
# Of libraries that are not imported for that.
_WHY_BY_NAME = {
    "DecodeError": ("its answer is packed as nobody asked for, or damaged", _IN_BETWEEN),
    "InvalidHeader": ("the headers of its answer contradict each other", _IN_BETWEEN),
    **dict.fromkeys(("LocationParseError", "LocationValueError", "URLSchemeUnknown"), _NO_ADDRESS),
    "IncompleteRead": ("the answer broke off before its end", "try again"),
    "InvalidProxyURL": ("the environment's proxy is no address", "correct or unset https_proxy"),
    "ProxySchemeUnknown": (
        "the environment's proxy speaks no HTTP",
        "name one that does in https_proxy (SOCKS is not spoken), or unset it",
    ),
}
_WHY = {
    socket.gaierror: ("no address is known for that name", "check the name, DNS and proxy"),
    ConnectionRefusedError: (
        "connection refused",
        "check that it runs, the port, and the proxy",
    ),
    ConnectionError: ("the connection broke off", "try again"),
    HTTPException: ("what it answered is no HTTP", _IN_BETWEEN),
}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from, or what it holds, the innermost first."""
    held = (value for value in error.args if isinstance(value, BaseException))
    inner = error.__cause__ or error.__context__ or next(held, None)
    if inner is not None:
        yield from _causes(inner)
    yield error
