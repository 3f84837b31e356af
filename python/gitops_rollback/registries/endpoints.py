"""Where a registry and its Hub API are reached, and which hosts are a registry's own."""

from __future__ import annotations

from urllib.parse import urlsplit

from gitops_rollback.errors import ConfigError
from gitops_rollback.image import DOCKER_HUB
from gitops_rollback.late import dataclass
from gitops_rollback.web.hosts import host_of, is_base_address, is_loopback

_DOCKER_REGISTRY = "https://registry-1.docker.io"
_DOCKER_HUB_API = "https://hub.docker.com"
# Hosts of Docker's own that may see a Docker Hub credential.
_DOCKER_HOSTS = frozenset(
    {"hub.docker.com", "registry.hub.docker.com", "registry-1.docker.io", "index.docker.io"}
)


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
        """The address of the Hub API, or None where the registry has none.

        A mirror that is named without a Hub API stands for Docker Hub alone: whoever has one has
        reasons not to ask Docker itself.
        """
        if self.hub_url:
            return _checked(self.hub_url, "hub-url", self.registry)
        return _DOCKER_HUB_API if self.registry == DOCKER_HUB and not self.url else None

    def owns(self, url: str) -> bool:
        """Tell whether a URL is on a host of the registry's own."""
        if self.registry == DOCKER_HUB:
            return host_of(url) in _DOCKER_HOSTS
        return host_of(url) == host_of(f"{urlsplit(url).scheme}://{self.registry}")


def _checked(url: str, key: str, registry: str) -> str:
    if is_base_address(url):
        return url.rstrip("/")
    # The URL is not repeated: it may hold a password.
    raise ConfigError(
        f"the {key} of {registry} is no address that can be asked",
        f'write it as {key} = "https://host[:port]", without user, password or query',
    )
