"""Addresses: which may be asked, where a redirect may lead, which credential each gets. Pure.

A credential is bound to the scheme, host and port it is for, and asked for by address alone.
"""

from __future__ import annotations

import base64
from ipaddress import ip_address
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORTS = {"http": 80, "https": 443}
MOST_AT_ONCE = 16  # requests to one host at the same time, each on a connection that is kept


def host_of(url: str) -> str:
    """Return host and port of a URL, in small letters, without the scheme's own port."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    name = f"[{name}]" if ":" in name else name
    if parts.port is None or parts.port == DEFAULT_PORTS.get(parts.scheme):
        return name
    return f"{name}:{parts.port}"


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL: what a credential is bound to."""
    return f"{urlsplit(url).scheme}://{host_of(url)}"


def belongs_to(url: str, origin: str) -> bool:
    """Tell whether a URL is of an origin, or of the same host by TLS at the usual ports."""
    host = origin.removeprefix("http://")
    by_tls = f"https://{host}" if host != origin and ":" not in host else origin
    return origin_of(url) in (origin, by_tls)


def is_loopback(url: str) -> bool:
    """Tell whether a URL stays on this machine; no name but `localhost` is looked up for that."""
    name = urlsplit(url).hostname or ""
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def is_web_address(url: str) -> bool:
    """Tell whether a text is an http or https URL with a host and without a user in it."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return usable and "@" not in parts.netloc and url.isprintable() and " " not in url


def is_proxy(text: str) -> bool:
    """Tell whether a text names a host to go through: `host:port`, or an address with a user."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        return bool(parts.hostname) and parts.port != 0 and text.isprintable()
    except ValueError:
        return False


def is_base_address(url: str) -> bool:
    """Tell whether a text is a web address to which a path can be added."""
    return is_web_address(url) and "?" not in url and "#" not in url


def target_of(url: str, location: str) -> str | None:
    """Return where a redirect leads; None for what is unsafe to ask, and for giving up TLS."""
    try:
        target = urljoin(url, location)
    except ValueError:
        return None
    insecure = urlsplit(url).scheme == "https" and not target.startswith("https://")
    return target if location and is_web_address(target) and not insecure else None


class Keyring:
    """Headers that say who asks, each shown to the host that it is for and to no other.

    What is for a host without TLS is shown to the same host with TLS, too. `lock` is for who gets
    something new, so that nobody else does at the same time; `kept` counts how often something was
    kept.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.kept = 0
        self._known: dict[str, dict[str, str]] = {}  # by origin

    @property
    def is_used(self) -> bool:
        """Whether there is anything on it."""
        return bool(self._known)

    def keep(
        self, url: str, authorization: str | None, more: Mapping[str, str] | None = None
    ) -> bool:
        """Keep what to show to the host of an address; tell whether that is new."""
        shown = {"Authorization": authorization} if authorization else {}
        shown |= more or {}
        is_new = self._known.get(origin_of(url)) != shown
        self._known[origin_of(url)] = shown
        self.kept += 1
        return is_new

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Return the headers for a request: none where nothing is for that host."""
        own = self._known.get(origin_of(url))
        # A copy, for others may keep something meanwhile.
        twins = (h for origin, h in [*self._known.items()] if belongs_to(url, origin))
        return own or next(twins, {})

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be seen: whole headers, and what follows `Basic` or `Bearer`."""
        values = [v for headers in [*self._known.values()] for v in headers.values() if v]
        return (*values, *(value.partition(" ")[2] for value in values if " " in value))


NOBODY = Keyring()  # nothing is ever kept on it


def basic(username: str, password: str) -> str:
    """Return the value of an Authorization header for a user name and a password."""
    pair = f"{username}:{password}".encode(errors="surrogateescape")  # as the variables hold it
    return f"Basic {base64.b64encode(pair).decode()}"


def bound_to(url: str, authorization: str | None, more: Mapping[str, str] | None = None) -> Keyring:
    """Return a keyring with what to show to the host of an address alone."""
    keyring = Keyring()
    keyring.keep(url, authorization, more)
    return keyring
