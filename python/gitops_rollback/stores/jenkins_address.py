"""Which addresses are those of Jenkins, and where a redirect may lead. Pure."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from gitops_rollback.errors import ConfigError

_PORTS = {"http": 80, "https": 443}


class AstrayError(Exception):
    """Raised when a redirect leads where it must not."""


def target_of(url: str, location: str) -> str:
    """Return where a redirect leads; never to a user in a URL, and never away from TLS."""
    try:
        target = urljoin(url, location)
        is_safe = _is_askable(target)
    except ValueError:
        is_safe = False
    if not is_safe:
        raise AstrayError("it redirects to an address that is not safe to ask")
    if url.startswith("https:") and not target.startswith("https:"):
        raise AstrayError("it redirects from https to http")
    return target


def is_own(url: str, base: str) -> bool:
    """Tell whether a URL is on the host of Jenkins, or on the same by TLS."""
    one, other = _origin(url), _origin(base)
    return one == other or (one[1] == other[1] and one[::2] == ("https", 443) and other[2] == 80)  # noqa: PLR2004 - http


def _is_askable(url: str) -> bool:
    """Tell whether a URL is http or https, with a host and without a user in it."""
    parts = urlsplit(url)
    known = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    return known and "@" not in parts.netloc and url.isprintable() and " " not in url


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0)


def checked_base(url: str) -> str:
    """Return JENKINS_URL with one slash at its end; raise `ConfigError` if it cannot be asked."""
    try:
        usable = _is_askable(url) and "?" not in url and "#" not in url
    except ValueError:
        usable = False
    if not usable:
        # The URL is not repeated: it may hold a password.
        raise ConfigError(
            "JENKINS_URL is no address that can be asked",
            "write it as https://host[:port][/path]/, without user, password or query",
        )
    return f"{url.rstrip('/')}/"
