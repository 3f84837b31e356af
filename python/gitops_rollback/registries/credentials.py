"""Where a registry and its Hub API are reached, and by which user name and password.

Those come from the environment only, each for its own host. A URL that only a file of the
repository names is asked anonymously: whoever may write that file must not learn the password of
the one who runs this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gitops_rollback.errors import ConfigError
from gitops_rollback.image import DOCKER_HUB
from gitops_rollback.late import dataclass
from gitops_rollback.registries.docker_config import Credential, find_login, host_key
from gitops_rollback.web.hosts import host_of, is_base_address, is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

_DOCKER_VARIABLES = "DOCKERHUB_USERNAME and DOCKERHUB_TOKEN"
_VARIABLES = "REGISTRY_HOST, REGISTRY_USERNAME and REGISTRY_PASSWORD"
# What Docker itself calls Docker Hub in its configuration is the first of these.
_DOCKER_NAMES = ("index.docker.io", DOCKER_HUB, "registry-1.docker.io")
_DOCKER_REGISTRY = "https://registry-1.docker.io"
_DOCKER_HUB_API = "https://hub.docker.com"
# Hosts of Docker's own that may see a Docker Hub credential.
_DOCKER_HOSTS = frozenset(
    {"hub.docker.com", "registry.hub.docker.com", "registry-1.docker.io", "index.docker.io"}
)


@dataclass(frozen=True)
class Access:
    """Who we are to one host, and what a user can do to be somebody else."""

    credential: Credential | None
    how_to_sign_in: str

    @property
    def hint(self) -> str:
        """What to do when the host refuses."""
        if self.credential is None:
            return f"private images need a login: {self.how_to_sign_in}"
        return (
            f"the login of {self.credential.source} was refused, or may not read this:"
            " check that it is right, is not expired, and has permission to pull"
        )


def find_access(
    endpoint: RegistryEndpoint, url: str, environment: Mapping[str, str], seconds: float = 3.0
) -> Access:
    """Return the access to `url`, which is the registry's interface or its Hub API.

    `seconds` bounds the wait for one of Docker's credential helpers.
    """
    host = host_of(url)
    entitled = endpoint.trusted or endpoint.owns(url)
    names = [host, endpoint.registry] if entitled else [host]
    variables = _VARIABLES
    if endpoint.registry == DOCKER_HUB and entitled:
        names += _DOCKER_NAMES
        variables = _DOCKER_VARIABLES
    where = f" (for {host})" if variables == _VARIABLES else ""
    sign_in = f"set {variables}{where}"
    if urlsplit(url).scheme == "http" and not is_loopback(url) and not endpoint.trusted:
        return Access(None, "no password is sent without TLS: use an https URL")
    if not entitled:
        sign_in += (
            f"; the login of {endpoint.registry} goes to no host that only a file names: name it"
            " with --registry-url or --hub-url, too"
        )
    found = _from_variables(names, environment)
    if found is not None:
        return Access(found, sign_in)
    found, problem = find_login(names, environment, seconds)
    return Access(found, f"{sign_in}; {problem}" if problem else sign_in)


def _from_variables(names: list[str], environment: Mapping[str, str]) -> Credential | None:
    if DOCKER_HUB in names:
        found = _pair(environment, "DOCKERHUB_USERNAME", "DOCKERHUB_TOKEN")
        if found is not None:
            return found
    if host_key(environment.get("REGISTRY_HOST", "")) in names:
        return _pair(environment, "REGISTRY_USERNAME", "REGISTRY_PASSWORD")
    return None


def _pair(environment: Mapping[str, str], user: str, secret: str) -> Credential | None:
    username, password = environment.get(user), environment.get(secret)
    if not username or not password:
        return None
    return Credential(username, password, f"{user} and {secret}")


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
