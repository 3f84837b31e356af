"""Where a registry and its Hub API are reached, and by which user name and password.

Those come from the environment only, each for its own host. A URL that only a file of the
repository names is asked anonymously: whoever may write that file must not learn the password of
the one who runs this.

Docker's `config.json` has logins, too, or names credential helpers. A helper is a program
`docker-credential-NAME` that is given an address and answers a user name and a secret
(github.com/docker/docker-credential-helpers); it is asked for nothing but the host whose turn it
is. `credHelpers` names one for a host, `credsStore` one for all others
(docs.docker.com/reference/cli/docker/login/#credential-stores).
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gitops_rollback.errors import ConfigError
from gitops_rollback.image import DOCKER_HUB, HUB_NAMES
from gitops_rollback.late import dataclass, field, regex
from gitops_rollback.reading import read_file
from gitops_rollback.web.hosts import basic, host_of, is_base_address, is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DOCKER_VARIABLES = "DOCKERHUB_USERNAME and DOCKERHUB_TOKEN"
_VARIABLES = "REGISTRY_HOST, REGISTRY_USERNAME and REGISTRY_PASSWORD"
_DOCKER_REGISTRY = "https://registry-1.docker.io"
_DOCKER_HUB_API = "https://hub.docker.com"
# Hosts of Docker's own that may see a Docker Hub credential.
_DOCKER_HOSTS = frozenset(
    {"hub.docker.com", "registry.hub.docker.com", "registry-1.docker.io", "index.docker.io"}
)
# What Docker itself calls Docker Hub, in its configuration and to helpers.
HUB_ADDRESS = "https://index.docker.io/v1/"
_HELPER = regex(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LONGEST_WAIT = 10.0  # seconds; a helper may ask a cloud for a token
_LARGEST_ANSWER = 65_536  # bytes
_LARGEST_FILE = 10_000_000  # bytes
_IDENTITY_TOKEN = "<token>"  # noqa: S105 - a user name that says what the secret is
_NOT_FOUND = b"credentials not found"


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
        names += HUB_NAMES
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


def find_login(
    names: list[str], environment: Mapping[str, str], seconds: float
) -> tuple[Credential | None, str]:
    """Return the login that Docker would use for a host, and why a helper gave none.

    The host may have any of these names; `seconds` bounds the wait for a helper. A file or an entry
    that cannot be read is as none.
    """
    path = _path(environment)
    document = _read(path) if path is not None else {}
    problem = ""
    for address, helper in _helpers(names, document):
        found = _ask(helper, address, environment, min(seconds, _LONGEST_WAIT))
        if isinstance(found, Credential):
            return found, ""
        problem = found or problem
    # Docker keeps other things of a host beside its login: `.../v1/refresh-token`. So roots win.
    auths = sorted(_mapping(document.get("auths")).items(), key=lambda entry: _is_root(entry[0]))
    by_host = {host_key(key): entry for key, entry in auths}
    for name in names:
        login = _decoded(by_host.get(name), str(path))
        if login is not None:
            return login, ""
    return None, problem


def host_key(key: str) -> str:
    """Return the host of `https://index.docker.io/v1/`, `ghcr.io` or `https://host:5000/v2/`."""
    try:
        return host_of(key if "://" in key else f"https://{key}")
    except ValueError:
        return ""


def _is_root(key: str) -> bool:
    """Tell whether a key of `auths` is of a host as a whole, and not of a path below."""
    path = key.partition("://")[2] or key
    return path.partition("/")[2].strip("/") in ("", "v1", "v2")


def _path(environment: Mapping[str, str]) -> Path | None:
    if environment.get("DOCKER_CONFIG"):
        return Path(environment["DOCKER_CONFIG"], "config.json")
    if environment.get("HOME"):
        return Path(environment["HOME"], ".docker", "config.json")
    return None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(read_file(path, _LARGEST_FILE)))
    except (OSError, ValueError, RecursionError):
        return {}  # Docker's file is not ours to judge; a login that is missed will be said


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _helpers(names: list[str], document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what helpers are asked: the address, and the helper's name."""
    own = {
        host_key(key): (key, name) for key, name in _mapping(document.get("credHelpers")).items()
    }
    for name in names:
        if name in own:
            yield own[name]
            return
    store = document.get("credsStore")
    if isinstance(store, str) and store:
        addresses = [HUB_ADDRESS] if DOCKER_HUB in names else list(dict.fromkeys(names))
        yield from ((address, store) for address in addresses)


def _ask(
    helper: object, address: str, environment: Mapping[str, str], seconds: float
) -> Credential | str:
    """Return what a helper answers, else what went wrong; "" where it knows none."""
    from gitops_rollback.repo.talk import TooMuchError, ask  # noqa: PLC0415 - few have a helper

    if not isinstance(helper, str) or not _HELPER.fullmatch(helper):
        return ""
    program = f"docker-credential-{helper}"
    try:
        code, said = ask(
            [program, "get"],
            address.encode(),
            environment,
            seconds=max(0.1, seconds),
            most=_LARGEST_ANSWER,
        )
    except TimeoutError:
        return f"{program} did not answer within {seconds:.0f} s"
    except TooMuchError:
        return f"{program} answered more than {_LARGEST_ANSWER // 1024} kB"
    except OSError as error:
        return f"{program} cannot be run: {error.strerror}"
    if code != 0:
        # Its words are not repeated: they could hold a secret.
        return "" if _NOT_FOUND in said.stdout else f"{program} failed ({code})"
    return _answered(said.stdout, program)


def _answered(output: bytes, program: str) -> Credential | str:
    try:
        answer = _mapping(json.loads(output))
    except (ValueError, RecursionError):
        answer = {}
    username, secret = _text(answer, "Username"), _text(answer, "Secret")
    if username is None or not secret:
        return f"{program} answered no user name and secret"
    return Credential(username, secret, program, is_identity_token=username == _IDENTITY_TOKEN)


def _decoded(entry: object, source: str) -> Credential | None:
    """Return the login of an entry of `auths`; an identity token counts before a password.

    What `az acr login` and others write: the user name is then a placeholder
    (github.com/docker/cli, cli/config/types/authconfig.go).
    """
    fields = _mapping(entry)
    username, password = _text(fields, "username"), _text(fields, "password")
    if isinstance(fields.get("auth"), str) and fields["auth"]:
        try:
            pair = base64.b64decode(fields["auth"], validate=True).decode()
        except ValueError:  # no base64, no ASCII, or no UTF-8 in it
            return None
        username, _, password = pair.partition(":")
    token = _text(fields, "identitytoken")
    if token:
        return Credential(username or _IDENTITY_TOKEN, token, source, is_identity_token=True)
    return Credential(username, password.rstrip("\0"), source) if username and password else None


def _text(fields: Mapping[str, Any], key: str) -> str | None:
    """Return a text; None for what is none: JSON can name half a character, which no header can."""
    value = fields.get(key)
    is_text = isinstance(value, str) and value.encode(errors="ignore").decode() == value
    return value if is_text else None
