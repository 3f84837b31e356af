"""User names and passwords for registries, from the environment only, each for its own host.

A URL that only a file of the repository names is asked anonymously: whoever may write that file
must not learn the password of the one who runs this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gitops_rollback.image import DOCKER_HUB
from gitops_rollback.late import dataclass, field
from gitops_rollback.registries.docker_config import find_login, host_key
from gitops_rollback.web.credentials import basic
from gitops_rollback.web.hosts import host_of, is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.registries.endpoints import RegistryEndpoint

_DOCKER_VARIABLES = "DOCKERHUB_USERNAME and DOCKERHUB_TOKEN"
_VARIABLES = "REGISTRY_HOST, REGISTRY_USERNAME and REGISTRY_PASSWORD"
# What Docker itself calls Docker Hub in its configuration is the first of these.
_DOCKER_NAMES = ("index.docker.io", DOCKER_HUB, "registry-1.docker.io")


@dataclass(frozen=True)
class Credential:
    """A user name and a password, and where they were found.

    An identity token in the place of the password is exchanged for an access token.
    """

    username: str
    password: str = field(repr=False)
    source: str
    is_identity_token: bool = False

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        return basic(self.username, self.password)

    @property
    def secrets(self) -> tuple[str, str]:
        """What must never be seen: the password, and the header's form of it."""
        return (self.password, self.basic.removeprefix("Basic "))


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
    login = find_login(names, environment, seconds) if found is None else None
    if login is not None and login.problem:
        return Access(None, f"{sign_in}; {login.problem}")
    if login is not None:
        found = Credential(login.username, login.password, login.source, login.is_identity_token)
    return Access(found, sign_in)


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
