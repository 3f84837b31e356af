"""Addresses: which host one is of, which may be asked, where a redirect may lead. Pure."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urljoin, urlsplit

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
