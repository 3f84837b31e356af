"""Access to a cluster: a kubeconfig's context, else the account of the pod this runs in.

The official client is an optional extra, and heavy: it is imported here alone, when a cluster is
asked for.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from contextlib import contextmanager
from enum import Enum
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import ClusterError
from gitops_rollback.late import dataclass, regex
from gitops_rollback.model import one_line
from gitops_rollback.rollout.target import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

TIMES = (3.05, 10.0)  # seconds to connect, and for one answer
LARGEST_ANSWER = 40_000_000  # bytes: of a list, whose objects take six times as much here
_PIECE = 4096  # bytes
_NO_PROVIDERS = ("azure", "gcp")
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


@dataclass(frozen=True)
class Access:
    """The functions of the client for one cluster (it is published without types).

    `namespace` is the one of the context or of the own pod: what an account that may not look
    everywhere may look at. `said` is what the client said while it was loaded.
    """

    custom: Any
    make_watch: Callable[[], Any]
    host: str
    make_core: Callable[[], Any]
    namespace: str = ""
    said: Sequence[str] = ()

    @cached_property
    def core(self) -> Any:  # noqa: ANN401 - an untyped library
        """The functions for pods, logs and events.

        They take longer to load than all else (half a second of processor time).
        """
        return self.make_core()


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
        from kubernetes.watch import Watch  # noqa: PLC0415 - the same
    except ImportError as error:
        raise NoAccessError(
            "this machine's python3 lacks the Kubernetes client",
            "install it: pip install 'gitops-rollback[cluster]', on Debian "
            "apt-get install python3-kubernetes",
        ) from error
    path = environment.get("KUBECONFIG") or _default_config(environment)
    with _listening() as said:
        try:
            api, namespace = _configured(config, client, context, path)
        except (
            config.ConfigException, yaml.YAMLError, OSError, ValueError, KeyError, TypeError,
            AttributeError,
        ) as error:  # fmt: skip
            raise _no_config(path, context, error) from error
    # A server that cannot be reached is said so at once; what is watched is begun anew anyway.
    pool: Any = api.rest_client.pool_manager
    pool.connection_pool_kw["retries"] = 0
    pool.request = bounded(pool.request)
    make: Any = Watch
    return Access(
        custom=client.CustomObjectsApi(api),
        make_watch=lambda: make("object"),
        host=str(api.configuration.host),
        make_core=lambda: client.CoreV1Api(api),
        namespace=namespace,
        said=tuple(said),
    )


class TooLargeError(Exception):
    """Raised when an API server says more than is ever read."""

    def __init__(self) -> None:
        super().__init__(f"its answer is larger than {LARGEST_ANSWER // 1_000_000} MB")


class _Answer:
    """An answer of urllib3's, of which no more than `LARGEST_ANSWER` bytes are ever held at once.

    The client reads whole bodies, and of watches whole lines, however long those are.
    """

    def __init__(self, answer: Any) -> None:  # noqa: ANN401 - the client has no types
        self._answer = answer

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as above
        return getattr(self._answer, name)

    @cached_property
    def data(self) -> bytes:
        """The whole body."""
        body = bytearray()
        if "," in self._answer.headers.get("Content-Encoding", ""):
            raise TooLargeError  # packed twice, 2 kB are a gigabyte
        for part in self._answer.stream(_PIECE, decode_content=True):
            body += part
            if len(body) > LARGEST_ANSWER:
                self._answer.close()
                raise TooLargeError
        return bytes(body)

    def stream(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:  # noqa: FBT001 - urllib3's
        """Yield the body piece by piece."""
        line = 0
        for part in self._answer.stream(amt or _PIECE, decode_content=decode_content):
            end = part.rfind(b"\n")
            line = len(part) - end - 1 if end >= 0 else line + len(part)
            if line > LARGEST_ANSWER:
                raise TooLargeError
            yield part


def bounded(request: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that sends requests, with answers that are read within a limit."""

    def send(*arguments: Any, **settings: Any) -> _Answer:  # noqa: ANN401 - urllib3's
        return _Answer(request(*arguments, **{**settings, "preload_content": False}))

    return send


def reason_of(error: Exception) -> str:
    """Return what went wrong in one line, without headers or tokens of a request."""
    status = getattr(error, "status", None)
    if status is None:
        return one_line(f"{type(error).__name__}: {error}", 300)
    try:
        message = str(json.loads(getattr(error, "body", "") or "{}").get("message", ""))
    except (ValueError, AttributeError):
        message = ""
    return one_line(f"{status} {message or getattr(error, 'reason', '')}", 300)


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
        document = yaml.safe_load(Path(one).read_text(encoding="utf-8")) or {}
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
    `ValueError` of what Kubernetes 1.26 has taken out (gcp, azure), and wants a program for.
    """
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
