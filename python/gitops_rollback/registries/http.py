"""One HTTP session for all registries: bounded in time and size, and discreet.

Every request runs in another thread that is left behind when time is up: only so does the bound
hold for name look-ups and for servers that send a byte at a time.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from time import monotonic, sleep
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import should_bypass_proxies

from gitops_rollback import __version__
from gitops_rollback.registries.busy import retry_after
from gitops_rollback.registries.endpoints import (
    MOST_AT_ONCE,
    host_of,
    is_loopback,
    is_web_address,
    origin_of,
)
from gitops_rollback.registries.failures import (
    Answer,
    RegistryUnavailableError,
    nonsense,
    try_later,
    unreachable,
)
from gitops_rollback.registries.helpers import Helpers
from gitops_rollback.registries.limits import RateLimit, read_limit
from gitops_rollback.registries.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LOG = logging.getLogger("gitops_rollback")

CHECKING_PATIENCE = 3.0  # seconds; with no more than that, nothing is waited for
LARGEST_BODY = 10 * 1024 * 1024
_CHUNK = 4096
_HEADERS = {"User-Agent": f"gitops-rollback/{__version__}", "Accept-Encoding": "gzip, deflate"}
_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OVERLOADED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class Http:
    """Send requests within `patience` seconds in all; a host that failed is not asked again."""

    def __init__(self, environment: Mapping[str, str], patience: float) -> None:
        self.requests = 0
        self.limits: dict[str, RateLimit] = {}
        self._environment = environment
        self._patience = Patience(patience)
        self._failed: dict[str, RegistryUnavailableError] = {}
        self._secrets: set[str] = set()
        # Not a requests.Session: that reads ~/.netrc for passwords, and redirects to their end.
        self._helpers = Helpers[Answer]()
        self._adapter = HTTPAdapter(pool_maxsize=MOST_AT_ONCE)

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

    def send(
        self,
        method: str,
        url: str,
        *,
        what: str,
        headers: Mapping[str, str] | None = None,
        json: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the answer to one request, redirects followed; `what` is for messages.

        Raises `RegistryUnavailableError` where no answer came, or only 429 or 5xx: that is waited
        out if the host says until when and there is time for it.
        """
        while True:
            answer = self._follow(method, url, dict(headers or {}), json, what)
            if answer.status != HTTPStatus.TOO_MANY_REQUESTS and answer.status < 500:  # noqa: PLR2004 - 5xx
                return answer
            pause = retry_after(answer.headers)
            if not self._may_wait(answer.status, pause):
                raise self._remember(answer.url, try_later(answer, what, pause))
            self._wait(host_of(answer.url), answer.status, what, pause or 0.0)

    def _may_wait(self, status: int, pause: float | None) -> bool:
        patient = self._patience.seconds > CHECKING_PATIENCE and status in _OVERLOADED
        return patient and pause is not None and pause < self._patience.left

    def _wait(self, host: str, status: int, what: str, pause: float) -> None:
        _LOG.warning("%s answered %d for %s: waiting %.0f s", host, status, what, pause)
        self._patience.spend(pause)
        sleep(pause)

    def _follow(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        json: Mapping[str, str] | None,
        what: str,
    ) -> Answer:
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._exchange(method, url, headers, json, what)
            # A POST carries a password: it goes nowhere else.
            if answer.status not in _REDIRECTS or method == "POST":
                return answer
            target = _target(url, answer.headers.get("Location", ""))
            if target is None:
                raise nonsense(answer, what, "it redirects to an address that is not safe to ask")
            if origin_of(target) != origin_of(url):
                headers.pop("Authorization", None)
            url = target
        raise nonsense(answer, what, f"more than {_MOST_REDIRECTS} redirects")

    def _exchange(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        json: Mapping[str, str] | None,
        what: str,
    ) -> Answer:
        self._check(url, what)
        self.requests += 1
        seconds = self._patience.left
        try:
            request = requests.Request(method, url, {**_HEADERS, **headers}, json=json).prepare()
            with self._patience.counting():
                answer = self._helpers.run(lambda: self._perform(request, what, seconds), seconds)
        except (requests.RequestException, OSError, ValueError) as error:
            failure = unreachable(host_of(url), what, error, seconds)
            raise self._remember(url, failure) from error
        limit = read_limit(host_of(url), answer.headers)
        if limit is not None:
            self.limits[limit.host] = limit
        return self._discreet(answer)

    def _check(self, url: str, what: str) -> None:
        known = self._failed.get(origin_of(url))
        if known is not None:
            raise RegistryUnavailableError(known.message, known.hint)
        if self._patience.left <= 0:
            raise RegistryUnavailableError(
                f"{host_of(url)} was not asked for {what}:"
                f" the {self._patience.seconds:g} s for registries are used up",
                "check what was slow before; --timeout allows more time",
            )

    def _perform(self, request: requests.PreparedRequest, what: str, seconds: float) -> Answer:
        end = monotonic() + seconds
        variables = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
        bundle = next((self._environment[v] for v in variables if self._environment.get(v)), None)
        url = request.url or ""
        with self._adapter.send(
            request,
            timeout=seconds,
            stream=True,
            verify=bundle or True,
            proxies=self._proxies(url),
        ) as response:
            answer = Answer(url, response.status_code, response.headers, b"")
            body = bytearray()
            for chunk in response.iter_content(_CHUNK):
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise nonsense(answer, what, "the answer is larger than 10 MB")
                if monotonic() > end:
                    raise TimeoutError
            return replace(answer, body=bytes(body))

    def _proxies(self, url: str) -> dict[str, str]:
        """Return the proxy that the environment names; this machine is never behind one."""
        scheme = urlsplit(url).scheme
        no_proxy = self._variable("no_proxy") or ""
        proxy = self._variable(f"{scheme}_proxy") or self._variable("all_proxy")
        if not proxy or is_loopback(url) or should_bypass_proxies(url, no_proxy):
            return {}
        return {scheme: proxy}

    def _variable(self, name: str) -> str | None:
        return self._environment.get(name) or self._environment.get(name.upper())

    def _discreet(self, answer: Answer) -> Answer:
        if answer.status < HTTPStatus.BAD_REQUEST:
            return answer
        body = answer.body
        for secret in self._secrets:
            body = body.replace(secret.encode(), b"***")
        return replace(answer, body=body)

    def _remember(self, url: str, failure: RegistryUnavailableError) -> RegistryUnavailableError:
        self._failed[origin_of(url)] = failure
        return failure


def _target(url: str, location: str) -> str | None:
    """Return where a redirect leads; None for nowhere, and for giving up TLS."""
    try:
        target = urljoin(url, location)
    except ValueError:
        return None
    insecure = urlsplit(url).scheme == "https" and not target.startswith("https://")
    return target if location and is_web_address(target) and not insecure else None
