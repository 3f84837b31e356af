"""Where a registry and its Hub API are reached, and which hosts are a registry's own."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from gitops_rollback.errors import ConfigError
from gitops_rollback.image import DOCKER_HUB

_DOCKER_REGISTRY = "https://registry-1.docker.io"
_DOCKER_HUB_API = "https://hub.docker.com"
# Hosts of Docker's own that may see a Docker Hub credential.
_DOCKER_HOSTS = frozenset(
    {"hub.docker.com", "registry.hub.docker.com", "registry-1.docker.io", "index.docker.io"}
)
MOST_AT_ONCE = 16  # requests to one host at the same time, each on a connection that is kept
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class RegistryEndpoint:
    """How one registry is reached.

    `registry` is the name in image references; `url` and `hub_url` are what was configured.
    `trusted` is True when the environment or an option named the URLs, not only a file of the
    repository: only then do the registry's credentials go to hosts that are not its own.
    """

    registry: str
    url: str | None = None
    hub_url: str | None = None
    trusted: bool = False

    @property
    def registry_url(self) -> str:
        """The address of the OCI interface, without a slash at its end."""
        if self.url:
            return _checked(self.url, "registry-url", self.registry)
        if self.registry == DOCKER_HUB:
            return _DOCKER_REGISTRY
        scheme = "http" if is_loopback(f"//{self.registry}") else "https"
        return f"{scheme}://{self.registry}"

    @property
    def hub_api_url(self) -> str | None:
        """The address of the Hub API, or None where the registry has none."""
        if self.hub_url:
            return _checked(self.hub_url, "hub-url", self.registry)
        return _DOCKER_HUB_API if self.registry == DOCKER_HUB else None

    def owns(self, url: str) -> bool:
        """Tell whether a URL is on a host of the registry's own."""
        if self.registry == DOCKER_HUB:
            return host_of(url) in _DOCKER_HOSTS
        return host_of(url) == host_of(f"{urlsplit(url).scheme}://{self.registry}")


def host_of(url: str) -> str:
    """Return host and port of a URL, in small letters, without the scheme's own port."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    name = f"[{name}]" if ":" in name else name
    if parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return name
    return f"{name}:{parts.port}"


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL: within one origin a credential may be sent again."""
    return f"{urlsplit(url).scheme}://{host_of(url)}"


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
        usable = parts.scheme in _DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return usable and "@" not in parts.netloc and url.isprintable() and " " not in url


def _checked(url: str, key: str, registry: str) -> str:
    parts = url.partition("?")[0].partition("#")[0].rstrip("/")
    if parts == url.rstrip("/") and is_web_address(url):
        return parts
    # The URL is not repeated: it may hold a password.
    raise ConfigError(
        f"the {key} of {registry} is no address that can be asked",
        f'write it as {key} = "https://host[:port]", without user, password or query',
    )
