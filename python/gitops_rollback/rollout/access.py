"""Access to a cluster: a kubeconfig's context, else the account of the pod this runs in.

The official client is an optional extra, and heavy: it is imported here alone, when a cluster is
asked for.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from contextlib import contextmanager
from enum import Enum
from functools import partial
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from gitops_rollback.errors import ClusterError
from gitops_rollback.late import dataclass, regex
from gitops_rollback.model import one_line
from gitops_rollback.reading import read_file, read_json
from gitops_rollback.rollout.target import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_LOG = logging.getLogger("gitops_rollback")
TIMES = (3.05, 10.0)  # seconds to connect, and for one answer
LARGEST_ANSWER = 40_000_000  # bytes: of a list, whose objects take six times as much here
_PIECE = 4096  # bytes
_RENEWAL = 10.0  # seconds between two readings of a kubeconfig whose account is refused
_NO_PROVIDERS = ("azure", "gcp")
_LARGEST_CONFIG = 10_000_000  # bytes
_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
RENEW = "renew it, or name another one with KUBECONFIG or --kube-context"
_REASONS = (
    (
        regex(r"PEM lib|no start line|bad base64|key values mismatch", re.IGNORECASE),
        "the certificate or the key with which it is asked is none",
        f"see client-certificate and client-key in the kubeconfig: {RENEW}",
    ),
    (
        regex(r"certificate|x509|self.signed|hostname mismatch", re.IGNORECASE),
        "its certificate is not the one that the kubeconfig trusts",
        f"see certificate-authority in the kubeconfig: {RENEW}",
    ),
    (
        regex(r"Connection refused|Errno 111", re.IGNORECASE),
        "the connection was refused: nothing listens there",
        "see whether the API server runs, and its address in the kubeconfig",
    ),
    (
        regex(r"Name or service not known|nodename nor servname|Temporary failure in name|"
                   r"getaddrinfo|NameResolution", re.IGNORECASE),
        "its name is not known here",
        "see the address in the kubeconfig, and whether this machine is in the right network (VPN)",
    ),
    (
        regex(r"timed? ?out", re.IGNORECASE),
        "it did not answer in time",
        "see whether this machine reaches it: network, VPN, firewall, proxy (NO_PROXY)",
    ),
)  # fmt: skip


class NoAccessError(ClusterError):
    """Raised where there is no cluster to ask: the client is missing, the kubeconfig no good."""


class Asked(Enum):
    """Whether somebody asked for a cluster: then that it was not seen is a failure."""

    NAMED = "named"  # by KUBECONFIG or --kube-context
    AT_HAND = "at hand"  # ~/.kube/config is there
    ACCOUNT = "account"  # this runs in a pod, which has an account, whatever for
    NO = "no"


class AnswerError(Exception):
    """Raised where an API server answers with an error: `status` is HTTP's, and what it said."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status} {said}")
        self.status = status


class TooLargeError(Exception):
    """Raised when an API server says more than is ever read."""

    def __init__(self) -> None:
        super().__init__(f"its answer is larger than {LARGEST_ANSWER // 1_000_000} MB")


class Access:
    """The API server of one cluster, by the client's own connections, sign-in and trust.

    Paths are asked directly, without the client's classes for them: those load for half a second.
    `connect` gives the client and the namespace of the context or of the own pod: what an account
    that may not look everywhere may look at. It is asked again where a token, a certificate or a
    plugin's word has run out meanwhile. `host` is the server's URL; `said` is what the client said
    while it was loaded.
    """

    def __init__(
        self,
        connect: Callable[[], tuple[Any, str]],
        timeout: Callable[..., Any],
        said: Sequence[str],
    ) -> None:
        self._connect = connect
        self._timeout = timeout
        self._api, self.namespace = connect()
        self._lock = Lock()
        self._renewed = time.monotonic()
        self.host = str(self._api.configuration.host)
        self.said = said

    def ask(
        self,
        method: str,
        path: Sequence[str],
        query: Mapping[str, str] | None = None,
        body: object = None,
        times: tuple[float, float] = TIMES,
    ) -> Any:  # noqa: ANN401 - urllib3's
        """Ask, and return the answer before its body is read; `times` to connect and to answer.

        `body` is JSON: a list is a JSON patch, a mapping one that is merged. Raises `AnswerError`,
        and what the client raises.
        """
        where = "/".join(quote(part, safe="") for part in path)
        kind = f"application/{'json' if isinstance(body, list) else 'merge'}-patch+json"
        connect, read = times

        def send(api: Any) -> Any:  # noqa: ANN401 - the client and its answer
            return api.rest_client.pool_manager.request(
                method,
                f"{self.host}/{where}" + (f"?{urlencode(query)}" if query else ""),
                body=json.dumps(body) if body else None,
                headers={**_headers(api), **({"Content-Type": kind} if body else {})},
                timeout=self._timeout(connect=connect, read=read),
                preload_content=False,
                redirect=False,
                retries=False,  # a server that cannot be reached is said so at once
            )

        api = self._api
        answer = send(api)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._renew(api):
            read_all(answer)
            answer = send(self._api)
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise AnswerError(answer.status, _told(read_all(answer)) or str(answer.reason))
        return answer

    def _renew(self, api: Any) -> bool:  # noqa: ANN401 - the client
        """Sign in anew, now and then; tell whether that was done since this client signed in."""
        with self._lock:
            if self._api is not api:
                return True
            if time.monotonic() - self._renewed < _RENEWAL:
                return False
            self._renewed = time.monotonic()
            try:
                found, _namespace = self._connect()
            except Exception as error:  # noqa: BLE001 - a kubeconfig that is being written, or gone
                _LOG.info("the kubeconfig gives no new account: %s", error)
                return False
            if str(found.configuration.host) != self.host:
                return False
            self._api = found
        api.rest_client.pool_manager.clear()
        return True

    def close(self) -> None:
        """Close the connections that are idle."""
        self._api.rest_client.pool_manager.clear()


def _headers(api: Any) -> dict[str, str]:  # noqa: ANN401 - the client
    """Return the headers of a request; the client renews a token of which it knows the end."""
    signs = api.configuration.auth_settings().values()
    own = {one["key"]: one["value"] for one in signs if one["in"] == "header" and one["value"]}
    return {"Accept": "application/json", **api.default_headers, **own}


def read_all(answer: Any) -> bytes:  # noqa: ANN401 - urllib3's
    """Return a whole body, of which no more than `LARGEST_ANSWER` bytes are ever held."""
    body = bytearray()
    for part in _parts_of(answer):
        body += part
        if len(body) > LARGEST_ANSWER:
            answer.close()
            raise TooLargeError
    answer.release_conn()
    return bytes(body)


def _parts_of(answer: Any) -> Iterator[bytes]:  # noqa: ANN401 - urllib3's
    """Yield a body as it comes; none that is packed twice, or as nobody asked for.

    2 kB of that can be a gigabyte, which some versions of urllib3 unpack at once.
    """
    packed = answer.headers.get("Content-Encoding", "").lower()
    if any(mark in packed for mark in (",", "br", "zst")):
        answer.close()
        raise TooLargeError
    yield from answer.stream(_PIECE, decode_content=True)


def lines_of(answer: Any) -> Iterator[bytes]:  # noqa: ANN401 - urllib3's
    """Yield the lines of a body that comes bit by bit, none of them longer than the limit."""
    rest = b""
    for part in _parts_of(answer):
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
        if len(rest) > LARGEST_ANSWER:
            raise TooLargeError


def _told(body: bytes) -> str:
    """Return the message of an API server's error."""
    try:
        return str(read_json(body).get("message", ""))
    except (ValueError, AttributeError):
        return ""


def asked(contexts: Sequence[str], environment: Mapping[str, str]) -> Asked:
    """Tell whether a cluster was asked for, and by what."""
    if contexts or environment.get("KUBECONFIG"):
        return Asked.NAMED
    if _default_config(environment) is not None:
        return Asked.AT_HAND
    in_pod = environment.get("KUBERNETES_SERVICE_HOST") and (_IN_CLUSTER / "token").is_file()
    return Asked.ACCOUNT if in_pod else Asked.NO


def open_access(context: str, environment: Mapping[str, str]) -> Access:
    """Load the client for a kubeconfig's context; an empty one is its current, or the own account.

    Raises `NoAccessError` if the client library is missing or the kubeconfig is not usable.
    """
    try:
        import yaml  # noqa: PLC0415 - what the client reads a kubeconfig with
        from kubernetes import client, config  # noqa: PLC0415 - heavy, and an optional extra
        from kubernetes.client import rest  # noqa: PLC0415 - the same
    except ImportError as error:
        raise NoAccessError(
            "this machine's python3 lacks the Kubernetes client",
            "install it: pip install 'gitops-rollback[cluster]', on Debian "
            "apt-get install python3-kubernetes",
        ) from error
    path = environment.get("KUBECONFIG") or _default_config(environment)
    with _listening() as said:
        try:
            untyped: Any = rest
            connect = partial(_configured, config, client, context, path)
            return Access(connect, untyped.urllib3.Timeout, said)
        except (
            config.ConfigException, yaml.YAMLError, OSError, ValueError, KeyError, TypeError,
            AttributeError, RecursionError,
        ) as error:  # fmt: skip
            raise _no_config(path, context, error) from error


def reason_of(error: Exception) -> str:
    """Return what went wrong in one line, without headers or tokens of a request."""
    if isinstance(error, AnswerError):
        return one_line(str(error), 300)
    return one_line(f"{type(error).__name__}: {error}", 300)


def unreachable(access: Access, context: str, what: str, error: Exception) -> ClusterError:
    """Return the error for a cluster that gave no answer, or no good one, with what to do."""
    where = f"the cluster {context}" if context else "the cluster"
    if getattr(error, "status", None) == HTTPStatus.UNAUTHORIZED:
        said = f" ({access.said[0]})" if access.said else ""
        return ClusterError(
            f"{where} at {access.host} does not know who asks: {reason_of(error)}{said}",
            f"the kubeconfig's token, certificate or plugin is no longer good: {RENEW}",
        )
    told = reason_of(error)
    for pattern, reason, hint in _REASONS:
        if pattern.search(told):
            return ClusterError(
                f"{where} at {access.host} was asked for {what} and did not answer: {reason} "
                f"({told})",
                hint,
            )
    return ClusterError(
        f"{where} at {access.host} was asked for {what} and did not answer: {told}",
        f"see whether it is reachable from here, and whether the kubeconfig is of today: {RENEW}",
    )


def _configured(config: Any, client: Any, context: str, path: str | None) -> tuple[Any, str]:  # noqa: ANN401 - an untyped library
    """Return the client of a kubeconfig's context, else of the own pod's account; its namespace."""
    if path is None and not context:
        settings = client.Configuration()
        config.load_incluster_config(client_configuration=settings)
        space = _IN_CLUSTER / "namespace"
        return client.ApiClient(settings), space.read_text().strip() if space.is_file() else ""
    kubeconfig = _read_config(path)
    name = context or kubeconfig.current
    if context and context not in kubeconfig.contexts:
        names = ", ".join(kubeconfig.contexts) or "none"
        raise ValueError(f"it has no context {context}: there is {names}")
    chosen = kubeconfig.contexts.get(name, {})
    user = str(chosen.get("user") or "")
    if user and user not in kubeconfig.users:
        raise ValueError(f"its context {name} wants the user {user}, which it does not have")
    _check_plugin(kubeconfig.users.get(user, {}), user)
    api = config.new_client_from_config(config_file=path, context=context or None)
    return api, str(chosen.get("namespace") or "")


@dataclass(frozen=True)
class _Config:
    """What a kubeconfig, or several of them, says of contexts and users; the first one counts."""

    contexts: Mapping[str, Mapping[str, Any]]
    users: Mapping[str, Mapping[str, Any]]
    current: str


def _read_config(path: str | None) -> _Config:
    """Read the files of a kubeconfig; raise `OSError`, `yaml.YAMLError` or `AttributeError`."""
    import yaml  # noqa: PLC0415 - what the client brings

    found: dict[str, dict[str, Any]] = {"contexts": {}, "users": {}}
    current = ""
    for one in (path or "").split(":"):
        if not one or not Path(one).is_file():
            continue
        document = yaml.safe_load(read_file(one, _LARGEST_CONFIG)) or {}
        if not isinstance(document, dict):
            raise ValueError(f"{one} is no mapping, as a kubeconfig is")  # noqa: TRY004 - of a file
        for key, entries in found.items():
            for entry in document.get(key) or ():
                entries.setdefault(str(entry.get("name")), entry.get(key[:-1]) or {})
        current = current or str(document.get("current-context") or "")
    return _Config(found["contexts"], found["users"], current)


def _check_plugin(user: Mapping[str, Any], name: str) -> None:
    """Raise `OSError` if the program that is to give the credentials is not here.

    The client itself goes on without credentials then, and is refused by the API server. Raise
    `ValueError` of what Kubernetes 1.26 has taken out (gcp, azure), and wants a program for, and of
    an account that acts as another: the client would act as itself.
    """
    acts = [key for key in user if key == "as" or key.startswith("as-")]
    if acts:
        raise ValueError(
            f"its user {name} acts as another ({', '.join(acts)}), which the Kubernetes client "
            "does not do: name a context whose account has the rights itself"
        )
    provider = (user.get("auth-provider") or {}).get("name")
    if provider in _NO_PROVIDERS:
        raise ValueError(
            f"its user {name} wants the auth provider {provider}, which Kubernetes no longer has: "
            "kubelogin (azure) or gke-gcloud-auth-plugin (gcp) is its plugin now"
        )
    command = (user.get("exec") or {}).get("command")
    if command and shutil.which(str(command)) is None:
        raise OSError(
            f"its user {name} wants the program {command}, which is not here "
            f"(exec: executable {command} not found)"
        )


def _default_config(environment: Mapping[str, str]) -> str | None:
    home = environment.get("HOME")
    path = Path(home) / ".kube" / "config" if home else None
    try:
        return str(path) if path is not None and path.is_file() else None
    except PermissionError:  # in the home of somebody else: who opens it says so
        return str(path)


def _no_config(path: str | None, context: str, error: Exception) -> NoAccessError:
    """Return the error for a kubeconfig that cannot be used."""
    files = "" if isinstance(error, PermissionError) else path or ""
    missing = [one for one in files.split(":") if one and not Path(one).is_file()]
    if missing:
        return NoAccessError(
            f"the kubeconfig {', '.join(missing)} is not there",
            "see KUBECONFIG: it names the file by which the cluster is reached",
        )
    where = f"the kubeconfig {path}" if path else "the account of this pod"
    asked_for = f" (context {context})" if context else ""
    return NoAccessError(
        f"{where}{asked_for} cannot be used: {one_line(str(error), 300)}",
        "see kubectl config view, and kubectl config get-contexts",
    )


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect what the client logs while it is loaded: of a plugin that failed it says no more."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(one_line(record.getMessage(), 300))

    listener = Listener(logging.ERROR)
    root = logging.getLogger()
    root.addHandler(listener)
    try:
        yield said
    finally:
        root.removeHandler(listener)


@dataclass(frozen=True)
class Resource:
    """Where the API server has a kind of object: its versions newest first, core without group."""

    group: str
    versions: tuple[str, ...]
    plural: str


RESOURCES = {
    "GitRepository": Resource(
        "source.toolkit.fluxcd.io", ("v1", "v1beta2", "v1beta1"), "gitrepositories"
    ),
    "HelmChart": Resource("source.toolkit.fluxcd.io", ("v1", "v1beta2", "v1beta1"), "helmcharts"),
    "Kustomization": Resource(
        "kustomize.toolkit.fluxcd.io", ("v1", "v1beta2", "v1beta1"), "kustomizations"
    ),
    "HelmRelease": Resource("helm.toolkit.fluxcd.io", ("v2", "v2beta2", "v2beta1"), "helmreleases"),
    "Pod": Resource("", ("v1",), "pods"),
    **{
        kind: Resource(group, (version,), plural)
        for kind, (group, version, plural) in KINDS.items()
    },
}
