"""Send requests: bounded in time and size, redirects followed, secrets to their own host only.

Every request runs in another thread that is left behind when time is up: only so does the bound
holds for name look-ups and for servers that send a byte at a time. No `requests.Session` is used:
it reads ~/.netrc for passwords, keeps cookies, and reads redirects to their end. What is left of
`requests` then is urllib3, which is asked itself: to import `requests` takes half as long again.
"""

from __future__ import annotations

import json
import logging
from concurrent.futures import Future
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from threading import Lock, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlencode, urlsplit

from urllib3 import PoolManager, ProxyManager
from urllib3.exceptions import DecodeError, HTTPError

from gitops_rollback import __version__
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.redaction import know
from gitops_rollback.web.answers import (
    ASTRAY,
    NO_TIME,
    TOO_LARGE,
    Answer,
    NoAnswer,
    RateLimit,
    read_limit,
    retry_after,
    why_no_answer,
)
from gitops_rollback.web.hosts import (
    MOST_AT_ONCE,
    NOBODY,
    basic,
    host_of,
    is_loopback,
    is_proxy,
    origin_of,
    target_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gitops_rollback.errors import GitopsRollbackError
    from gitops_rollback.web.hosts import Keyring


T = TypeVar("T")


class Patience:
    """A number of seconds; those in which several calls wait at once count once."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._left = seconds
        self._lock = Lock()
        self._waiting = 0
        self._since = 0.0

    @property
    def left(self) -> float:
        """The seconds that are left; less than zero where a call took longer than it had."""
        with self._lock:
            return self._left - (monotonic() - self._since if self._waiting else 0.0)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the time of a `with` block."""
        with self._lock:
            if not self._waiting:
                self._since = monotonic()
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1
                if not self._waiting:
                    self._left -= monotonic() - self._since

    def spend(self, seconds: float) -> None:
        """Count seconds that are about to be slept."""
        with self._lock:
            self._left -= seconds


def in_background(work: Callable[[], T]) -> Future[T]:
    """Do work in a thread of its own, which is left behind where nobody waits for it any more.

    It is a daemon: while it still waits for a server it does not keep the program from ending, as
    those of a `ThreadPoolExecutor` would.
    """
    future: Future[T] = Future()

    def serve() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
            future.set_exception(error)

    Thread(target=serve, daemon=True).start()
    return future


_LOG = logging.getLogger("gitops_rollback")

CHECKING_PATIENCE = 3.0  # seconds; with no more than that, nothing is waited for
LARGEST_BODY = 10_000_000
_LARGEST_COMPLAINT = 65_536
_CHUNK = 4096
_HEADERS = {"User-Agent": f"gitops-rollback/{__version__}", "Accept-Encoding": "gzip, deflate"}
_UNWANTED = (",", "br", "zst")  # packed twice, or as nobody asked for
_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_OUT_OF_ORDER = frozenset({502, 503, 504})
_PASSING = _OUT_OF_ORDER | {429}
_SAFE = ("GET", "HEAD")  # may be repeated
_FIRST_PAUSE = 0.2  # seconds before a request is repeated; twice as long before the next


@dataclass(frozen=True)
class Manners:
    """How one service is asked.

    `explain` makes the error that is raised where no answer came. `retries` is how often a GET or
    HEAD is repeated, shortly after a failure that passes (502, 503, 504, a broken connection, and
    429 unless `waits`); `waits` whether a busy host is waited for as long as it says. `longest`
    bounds one request with its redirects, in seconds.
    """

    explain: Callable[[NoAnswer], GitopsRollbackError]
    retries: int = 0
    waits: bool = True
    longest: float = float("inf")


@dataclass(frozen=True)
class Sent:
    """The body of a request, and its media type."""

    data: bytes
    kind: str


def as_json(document: Mapping[str, str]) -> Sent:
    """Return a document as the body of a request."""
    return Sent(json.dumps(document).encode(), "application/json")


def as_form(fields: Mapping[str, str]) -> Sent:
    """Return the fields of a form as the body of a request."""
    return Sent(urlencode(fields).encode(), "application/x-www-form-urlencoded")


@dataclass
class _Request:
    """One question on its way, redirects included."""

    method: str
    url: str
    what: str
    headers: Mapping[str, str]
    who: Keyring
    largest: int
    sent: Sent | None = None
    end: float = field(default=float("inf"))


class Http:
    """Sends requests within `patience` seconds in all; a host that failed is not asked again."""

    def __init__(
        self, environment: Mapping[str, str], patience: Patience | float, manners: Manners
    ) -> None:
        self.limits: dict[str, RateLimit] = {}
        self._environment = environment
        self._patience = patience if isinstance(patience, Patience) else Patience(patience)
        self._manners = manners
        self._failed: dict[str, GitopsRollbackError | NoAnswer] = {}
        self._secrets: set[str] = set()
        self._connections: dict[str, PoolManager] = {}  # by proxy

    @property
    def left(self) -> float:
        """The seconds of patience that are left, never less than zero."""
        return max(0.0, self._patience.left)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the time of a `with` block to what all calls together may take."""
        with self._patience.counting():
            yield

    def hide(self, *secrets: str) -> None:
        """Keep these texts out of every message, should a server repeat them."""
        self._secrets.update(secret for secret in secrets if secret)
        know(*secrets)

    def give_up(self, url: str, failure: GitopsRollbackError) -> GitopsRollbackError:
        """Ask the origin of an address no more: the same failure is raised for it from now on."""
        self._failed[origin_of(url)] = failure
        return failure

    def send(
        self,
        method: str,
        url: str,
        *,
        what: str,
        headers: Mapping[str, str] | None = None,
        who: Keyring = NOBODY,
        sent: Sent | None = None,
        largest: int = LARGEST_BODY,
    ) -> Answer:
        """Return the answer to one request, whatever its status; `what` is for messages.

        Redirects are followed, but not by a POST: it carries a password or a document, and goes
        nowhere else. Raises what `Manners.explain` makes of it where no answer came.
        """
        self.hide(*who.secrets)
        request = _Request(method, url, what, headers or {}, who, largest, sent)
        request.end = monotonic() + self._manners.longest
        pause = _FIRST_PAUSE
        for tries_left in range(self._manners.retries, -1, -1):
            answer = self._patiently(request, is_last=tries_left == 0 or method not in _SAFE)
            if answer is not None:
                return answer
            self._patience.spend(pause)
            sleep(max(0.0, min(pause, self._patience.left)))
            pause *= 2
        raise AssertionError  # the last try returns or raises

    def _patiently(self, request: _Request, *, is_last: bool) -> Answer | None:
        """Return an answer, waiting for a busy host; None where one more try is worth it."""
        while True:
            try:
                answer = self._follow(request, is_last=is_last)
            except ConnectionResetError:
                return None
            pause = retry_after(answer.headers)
            if pause is not None and self._may_wait(answer.status, pause):
                self._wait(answer, request.what, pause)
                continue
            passing = _OUT_OF_ORDER if self._manners.waits else _PASSING
            return None if answer.status in passing and not is_last else answer

    def _may_wait(self, status: int, pause: float) -> bool:
        patient = self._manners.waits and self._patience.seconds > CHECKING_PATIENCE
        return patient and status in _BUSY and pause < self._patience.left

    def _wait(self, answer: Answer, what: str, pause: float) -> None:
        host = host_of(answer.url)
        _LOG.warning("%s answered %d for %s: waiting %.0f s", host, answer.status, what, pause)
        self._patience.spend(pause)
        sleep(pause)

    def _follow(self, request: _Request, *, is_last: bool) -> Answer:
        url = request.url
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._exchange(request, url, is_last=is_last)
            if answer.status not in _REDIRECTS or request.method == "POST":
                return answer
            target = target_of(url, answer.headers.get("Location", ""))
            if target is None:
                reason = "it redirects to an address that is not safe to ask"
                raise self._explained(url, request.what, reason, ASTRAY)
            url = target
        reason = f"more than {_MOST_REDIRECTS} redirects"
        raise self._explained(url, request.what, reason, ASTRAY)

    def _exchange(self, request: _Request, url: str, *, is_last: bool) -> Answer:
        seconds = self._time_for(url, request)
        headers = {**_HEADERS, **request.headers, **request.who.headers_for(url)}
        if request.sent is not None:
            headers["Content-Type"] = request.sent.kind
        # The last of a name, in whatever letters.
        headers = dict({name.lower(): (name, text) for name, text in headers.items()}.values())
        try:
            with self._patience.counting():
                answer = in_background(
                    lambda: self._perform(url, headers, request, seconds)
                ).result(timeout=seconds)
        except _TooLargeError as error:
            reason = f"the answer is larger than {request.largest / 1_000_000:g} MB"
            raise self._explained(url, request.what, reason, TOO_LARGE) from error
        except (HTTPError, OSError, ValueError) as error:
            reason, hint = why_no_answer(error, seconds)
            if not is_last and "broke off" in reason:
                raise ConnectionResetError from error
            unheard = NoAnswer(host_of(url), request.what, reason, hint)
            self._failed[origin_of(url)] = unheard
            raise self._manners.explain(unheard) from error
        limit = read_limit(host_of(url), answer.headers)
        if limit is not None:
            self.limits[limit.host] = limit
        return self._discreet(answer)

    def _time_for(self, url: str, request: _Request) -> float:
        """Return the seconds that a request may take; raise where it must not be sent at all."""
        known = self._failed.get(origin_of(url))
        if isinstance(known, NoAnswer):  # told of what is asked: another thread may have been first
            raise self._manners.explain(replace(known, what=request.what))
        if known is not None:
            raise type(known)(known.message, known.hint)
        seconds = min(self._patience.left, request.end - monotonic())
        if seconds <= 0:
            reason = f"the {self._patience.seconds:g} s for waiting are used up"
            raise self._explained(url, request.what, reason, NO_TIME)
        return seconds

    def _explained(self, url: str, what: str, reason: str, kind: str) -> GitopsRollbackError:
        return self._manners.explain(NoAnswer(host_of(url), what, reason, "", kind))

    def _perform(
        self, url: str, headers: Mapping[str, str], request: _Request, seconds: float
    ) -> Answer:
        end = monotonic() + seconds
        with self._connected(url).urlopen(
            request.method,
            url,
            body=request.sent.data if request.sent else None,
            headers=headers,
            timeout=seconds,
            retries=False,
            redirect=False,
            preload_content=False,
        ) as response:
            packed = response.headers.get("Content-Encoding", "").lower()
            if any(mark in packed for mark in _UNWANTED):
                # 2 kB may be a gigabyte, which some versions of urllib3 unpack at once.
                raise DecodeError
            is_data = response.status < HTTPStatus.MULTIPLE_CHOICES
            most = request.largest if is_data else min(_LARGEST_COMPLAINT, request.largest)
            body = bytearray()
            for chunk in response.stream(_CHUNK, decode_content=True):
                body += chunk
                if len(body) > most:
                    if is_data:
                        raise _TooLargeError
                    break
                if monotonic() > end:
                    raise TimeoutError
            else:
                response.release_conn()  # read to its end: the next one goes over it
            return Answer(url, response.status, response.headers, bytes(body[:most]))

    def _connected(self, url: str) -> PoolManager:
        """Return what keeps connections, to the proxy that the environment names if it does.

        This machine is never behind one.
        """
        scheme = urlsplit(url).scheme
        proxy = self._variable(f"{scheme}_proxy") or self._variable("all_proxy") or ""
        if proxy and (is_loopback(url) or self._goes_past(url)):
            proxy = ""
        key = f"{scheme} {proxy}"
        if key not in self._connections:
            more = self._trusting() if scheme == "https" else {}
            made = _through(proxy, more) if proxy else PoolManager(maxsize=MOST_AT_ONCE, **more)
            self._connections.setdefault(key, made)  # another thread may have been first
        return self._connections[key]

    def _goes_past(self, url: str) -> bool:
        from requests.utils import should_bypass_proxies  # noqa: PLC0415 - slow, and seldom needed

        return bool(should_bypass_proxies(url, self._variable("no_proxy") or ""))

    def _trusting(self) -> dict[str, Any]:
        """Return whose certificates count."""
        from certifi import where  # noqa: PLC0415 - slow

        variables = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
        named = (self._environment.get(name) for name in variables)
        bundle = Path(next((one for one in named if one), None) or where())
        if not bundle.exists():
            raise OSError(f"no CA certificate bundle: {bundle}")
        kind = "ca_cert_dir" if bundle.is_dir() else "ca_certs"
        return {"cert_reqs": "CERT_REQUIRED", kind: str(bundle)}

    def _variable(self, name: str) -> str | None:
        return self._environment.get(name) or self._environment.get(name.upper())

    def _discreet(self, answer: Answer) -> Answer:
        if answer.status < HTTPStatus.BAD_REQUEST:
            return answer
        body = answer.body
        for secret in self._secrets:
            body = body.replace(secret.encode(errors="surrogateescape"), b"***")
        return replace(answer, body=body)


class _TooLargeError(Exception):
    pass


class InvalidProxyURL(ValueError):  # noqa: N818 - as `requests` calls it
    """Raised for a proxy that is no address."""


def _through(proxy: str, more: Mapping[str, Any]) -> ProxyManager:
    """Return what connects through a proxy, with the user that its address names."""
    if not is_proxy(proxy):
        raise InvalidProxyURL
    address = proxy if "://" in proxy else f"http://{proxy}"
    parts = urlsplit(address)
    headers = None
    if parts.username and parts.password is not None:
        who = basic(unquote(parts.username), unquote(parts.password))
        headers = {"Proxy-Authorization": who}
    return ProxyManager(address, maxsize=MOST_AT_ONCE, proxy_headers=headers, **more)
