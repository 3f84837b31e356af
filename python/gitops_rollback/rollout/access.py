"""Access to a cluster: a kubeconfig's context, else the account of the pod this runs in.

The official client is an optional extra, and heavy: it is imported here alone, when a cluster is
asked for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_rollback.model import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TIMES = (3.05, 10.0)  # seconds to connect, and for one answer
_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class NoAccessError(Exception):
    """Raised where there is no cluster to ask; its message says in one line why."""


@dataclass(frozen=True)
class Access:
    """The functions of the client for one cluster (it is published without types)."""

    custom: Any
    make_watch: Callable[[], Any]
    host: str
    make_core: Callable[[], Any]

    @cached_property
    def core(self) -> Any:  # noqa: ANN401 - an untyped library
        """The functions for pods, logs and events.

        They take longer to load than all else (half a second of processor time).
        """
        return self.make_core()


def has_access(environment: Mapping[str, str]) -> bool:
    """Tell whether a kubeconfig or an in-cluster account is there to be used."""
    named = environment.get("KUBECONFIG")
    if named:
        return any(Path(path).is_file() for path in named.split(":") if path)
    home = environment.get("HOME")
    if home and (Path(home) / ".kube" / "config").is_file():
        return True
    return bool(environment.get("KUBERNETES_SERVICE_HOST")) and _IN_CLUSTER.is_file()


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
            "this machine's python3 lacks the Kubernetes client (pip install "
            "'gitops-rollback[cluster]', Debian: apt-get install python3-kubernetes)"
        ) from error
    try:
        api = _configured(config, client, context, environment)
    except (
        config.ConfigException, yaml.YAMLError, OSError, ValueError, KeyError, TypeError,
        AttributeError,
    ) as error:  # fmt: skip
        raise NoAccessError(f"the kubeconfig cannot be used: {one_line(str(error))}") from error
    make: Any = Watch
    return Access(
        custom=client.CustomObjectsApi(api),
        make_watch=lambda: make("object"),
        host=str(api.configuration.host),
        make_core=lambda: client.CoreV1Api(api),
    )


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


def _configured(config: Any, client: Any, context: str, environment: Mapping[str, str]) -> Any:  # noqa: ANN401 - an untyped library
    """Return the client of a kubeconfig's context, else of the account of the own pod."""
    named = environment.get("KUBECONFIG")
    home = environment.get("HOME")
    default = Path(home) / ".kube" / "config" if home else None
    if named or context or (default is not None and default.is_file()):
        path = named or (str(default) if default else None)
        return config.new_client_from_config(config_file=path, context=context or None)
    settings = client.Configuration()
    config.load_incluster_config(client_configuration=settings)
    return client.ApiClient(settings)
