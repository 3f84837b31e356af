"""User names and passwords for registries, from the environment only, each for its own host.

A URL that only a file of the repository names is asked anonymously: whoever may write that file
must not learn the password of the one who runs this. No credential helpers yet.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gitops_rollback.image import DOCKER_HUB
from gitops_rollback.registries.endpoints import host_of, is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gitops_rollback.registries.endpoints import RegistryEndpoint

_DOCKER_VARIABLES = "DOCKERHUB_USERNAME and DOCKERHUB_TOKEN"
_VARIABLES = "REGISTRY_HOST, REGISTRY_USERNAME and REGISTRY_PASSWORD"
# What Docker itself calls Docker Hub in its configuration is the first of these.
_DOCKER_NAMES = ("index.docker.io", DOCKER_HUB, "registry-1.docker.io")


@dataclass(frozen=True)
class Credential:
    """A user name and a password, and where they were found."""

    username: str
    password: str = field(repr=False)
    source: str

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

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


def find_access(endpoint: RegistryEndpoint, url: str, environment: Mapping[str, str]) -> Access:
    """Return the access to `url`, which is the registry's interface or its Hub API."""
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
    return Access(_find(names, environment), sign_in)


def _find(names: list[str], environment: Mapping[str, str]) -> Credential | None:
    if DOCKER_HUB in names:
        found = _pair(environment, "DOCKERHUB_USERNAME", "DOCKERHUB_TOKEN")
        if found is not None:
            return found
    if _host_key(environment.get("REGISTRY_HOST", "")) in names:
        found = _pair(environment, "REGISTRY_USERNAME", "REGISTRY_PASSWORD")
        if found is not None:
            return found
    return _from_docker(names, environment)


def _pair(environment: Mapping[str, str], user: str, secret: str) -> Credential | None:
    username, password = environment.get(user), environment.get(secret)
    if not username or not password:
        return None
    return Credential(username, password, f"{user} and {secret}")


def _from_docker(names: list[str], environment: Mapping[str, str]) -> Credential | None:
    path = _docker_config(environment)
    if path is None:
        return None
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None  # Docker's file is not ours to judge; a login that is missed will be said
    auths = document.get("auths") if isinstance(document, dict) else None
    entries = auths.items() if isinstance(auths, dict) else ()
    by_host = {_host_key(key): entry for key, entry in entries}
    for name in names:
        for username, password in _decoded(by_host.get(name)):
            return Credential(username, password, str(path))
    return None


def _docker_config(environment: Mapping[str, str]) -> Path | None:
    if environment.get("DOCKER_CONFIG"):
        return Path(environment["DOCKER_CONFIG"], "config.json")
    if environment.get("HOME"):
        return Path(environment["HOME"], ".docker", "config.json")
    return None


def _host_key(key: str) -> str:
    """Return the host of `https://index.docker.io/v1/`, `ghcr.io` or `https://host:5000/v2/`."""
    try:
        return host_of(key if "://" in key else f"https://{key}")
    except ValueError:
        return ""


def _decoded(entry: object) -> Iterator[tuple[str, str]]:
    if not isinstance(entry, dict):
        return
    username, password = entry.get("username"), entry.get("password")
    if isinstance(entry.get("auth"), str) and entry["auth"]:
        try:
            pair = base64.b64decode(entry["auth"], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return
        username, _, password = pair.partition(":")
    if isinstance(username, str) and isinstance(password, str) and username and password:
        yield username, password.rstrip("\0")
