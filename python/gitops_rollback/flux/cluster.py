"""One cluster, through the official Kubernetes client: list, watch, nudge, logs, events.

The client is an optional extra, and heavy: it is imported here alone, when a cluster is asked for.
What it gives is JSON as the API server sent it; `rollout` reads it.
"""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import ClusterError
from gitops_rollback.flux.resources import RESOURCES
from gitops_rollback.model import one_line
from gitops_rollback.rollout.objects import Change, Query
from gitops_rollback.rollout.reconcilers import REQUESTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gitops_rollback.rollout.raw import Json, Name

    Sink = Callable[[Change], None]

_LOG = logging.getLogger("gitops_rollback")
_CONNECT, _READ = 3.05, 10.0  # seconds for one answer
_WATCH = 240  # seconds until the API server ends a watch, which then begins anew
_LONGEST_END = 2.0  # seconds for a watch to end
_PAUSE = 1.0  # seconds before a watch that broke is begun again
_HIDDEN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_MOST_LOG_LINES = 8


class NoAccessError(Exception):
    """Raised where there is no cluster to ask; its message says in one line why."""


def has_access(environment: Mapping[str, str]) -> bool:
    """Tell whether a kubeconfig or an in-cluster account is there to be used."""
    named = environment.get("KUBECONFIG")
    if named:
        return any(Path(path).is_file() for path in named.split(":") if path)
    home = environment.get("HOME")
    if home and (Path(home) / ".kube" / "config").is_file():
        return True
    return bool(environment.get("KUBERNETES_SERVICE_HOST")) and _IN_CLUSTER.is_file()


class Cluster:
    """One cluster; `context` is a kubeconfig's, or empty for its current one or the own account.

    Raises `NoAccessError` if the client library is missing or the kubeconfig is not usable, and
    `ClusterError` where the API server does not answer.
    """

    def __init__(self, context: str, environment: Mapping[str, str]) -> None:
        self.context = context
        self._versions: dict[str, str] = {}
        self._closed = Event()
        self._lock = Lock()
        self._streams: list[Any] = []
        self._threads: list[Thread] = []
        try:
            from kubernetes import client, config  # noqa: PLC0415 - heavy, and an optional extra
        except ImportError as error:
            raise NoAccessError(
                "this machine's python3 lacks the Kubernetes client (pip install "
                "'gitops-rollback[cluster]', Debian: apt-get install python3-kubernetes)"
            ) from error
        try:
            api = _configured(config, client, context, environment)
        except (config.ConfigException, OSError, ValueError, KeyError, TypeError) as error:
            raise NoAccessError(f"the kubeconfig cannot be used: {one_line(str(error))}") from error
        self._custom = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)
        self._host = str(api.configuration.host)

    def close(self) -> None:
        """End the watches and wait for their threads.

        A thread that still reads from TLS while the interpreter ends can take the process with it.
        """
        with self._lock:
            self._closed.set()
            for stream in self._streams:
                stream.stop()
        for thread in list(self._threads):
            thread.join(_LONGEST_END)

    def list(self, query: Query) -> tuple[Json, ...]:
        """List the objects of a query; raise `ClusterError` where that is not possible.

        A kind that the cluster does not have is an empty list.
        """
        if query.namespace or not query.instead:
            return self._list(query)[0]
        try:
            return self._list(query)[0]
        except _DeniedError:
            found: list[Json] = []
            for namespace in query.instead:
                found += self._list(_within(query, namespace))[0]
            return tuple(found)

    def watch(self, query: Query, sink: Sink) -> None:
        """List and then watch a query in a thread; every change goes to `sink`."""
        thread = Thread(target=self._watch, args=(query, sink), daemon=True)
        self._threads.append(thread)
        thread.start()

    def nudge(self, name: Name, token: str) -> bool:
        """Ask Flux to reconcile an object now; tell whether that was allowed.

        Only a value that differs from the last one counts (fluxcd/pkg:apis/meta/annotations.go).
        """
        resource = RESOURCES[name.kind]
        body = {"metadata": {"annotations": {REQUESTED: token}}}
        try:
            self._custom.patch_namespaced_custom_object(
                resource.group,
                self._version(name.kind),
                name.namespace,
                resource.plural,
                name.name,
                body,
                _request_timeout=(_CONNECT, _READ),
            )
        except Exception as error:  # noqa: BLE001 - the client's errors have no common base
            _LOG.info("%s cannot be nudged: %s", name, _reason(error))
            return False
        return True

    def last_words(self, pod: Name, container: str) -> tuple[str, ...]:
        """Return the last log lines of a container that ended; none where that is not allowed."""
        for previous in (True, False):
            try:
                answer: Any = self._core.read_namespaced_pod_log(
                    pod.name,
                    pod.namespace,
                    container=container,
                    previous=previous,
                    tail_lines=_MOST_LOG_LINES,
                    limit_bytes=4096,
                    _preload_content=False,
                    _request_timeout=(_CONNECT, _READ),
                )
            except Exception as error:  # noqa: BLE001 - as above; a log is only an extra
                _LOG.info("the log of %s cannot be read: %s", pod, _reason(error))
                continue
            lines = bytes(answer.data).decode(errors="replace").splitlines()
            if lines:
                return tuple(one_line(line, 200) for line in lines)
        return ()

    def warnings(self, pod: Name) -> tuple[str, ...]:
        """Return what Kubernetes warned of about a pod, newest last; none if not allowed."""
        try:
            answer: Any = self._core.list_namespaced_event(
                pod.namespace,
                field_selector=f"involvedObject.name={pod.name},type=Warning",
                limit=50,
                _preload_content=False,
                _request_timeout=(_CONNECT, _READ),
            )
        except Exception as error:  # noqa: BLE001 - as above; an event is only an extra
            _LOG.info("the events of %s cannot be read: %s", pod, _reason(error))
            return ()
        events = json.loads(answer.data).get("items") or []
        said = [f"{one.get('reason', '')}: {one.get('message', '')}" for one in events]
        return tuple(dict.fromkeys(one_line(text, 300) for text in said))

    def _list(self, query: Query) -> tuple[tuple[Json, ...], str]:
        """Return the objects of one query in one namespace, and the version they are of."""
        for version in self._candidates(query.kind):
            try:
                call, arguments = self._call(query, version)
                answer = call(*arguments, **_selectors(query), _preload_content=False,
                              _request_timeout=(_CONNECT, _READ))  # fmt: skip
            except Exception as error:  # as above
                status = getattr(error, "status", None)
                if status == HTTPStatus.NOT_FOUND and query.kind in RESOURCES:
                    continue
                if status in _HIDDEN:
                    raise _DeniedError(_reason(error)) from error
                raise self._unreachable(query, error) from error
            self._versions[query.kind] = version
            document = json.loads(answer.data)
            metadata = document.get("metadata") or {}
            return tuple(document.get("items") or ()), str(metadata.get("resourceVersion", ""))
        return (), ""

    def _watch(self, query: Query, sink: Sink) -> None:
        while not self._closed.is_set():
            try:
                self._watch_once(query, sink)
            except _DeniedError:
                if query.namespace or not query.instead:
                    sink(Change(query, denied=True))
                    return
                self._watch_apart(query, sink)
                return
            except Exception as error:  # noqa: BLE001 - as above; it is begun anew
                _LOG.info("watching %s: %s", query, _reason(error))
                self._closed.wait(_PAUSE)

    def _watch_apart(self, query: Query, sink: Sink) -> None:
        """Watch namespace by namespace what may not be watched in all of them at once."""
        try:
            sink(Change(query, self.list(query), whole=True))
        except _DeniedError:
            sink(Change(query, denied=True))
            return
        for namespace in query.instead:
            self.watch(_within(query, namespace), sink)

    def _watch_once(self, query: Query, sink: Sink) -> None:
        objects, version = self._list(query)
        sink(Change(query, objects, whole=True))
        if not version:
            raise ClusterError(f"the cluster has no {query.kind}", "")
        for kind, found in self._stream(query, version):
            if kind in ("ADDED", "MODIFIED", "DELETED"):
                sink(Change(query, (found,), deleted=kind == "DELETED"))

    def _stream(self, query: Query, version: str) -> Iterator[tuple[str, Json]]:
        from kubernetes.watch import Watch  # noqa: PLC0415 - see __init__

        call, arguments = self._call(query, self._version(query.kind))
        make: Any = Watch  # published without types
        watch = make("object")
        with self._lock:
            if self._closed.is_set():
                return
            self._streams.append(watch)
        events = watch.stream(
            call,
            *arguments,
            **_selectors(query),
            resource_version=version,
            timeout_seconds=_WATCH,
            _request_timeout=(_CONNECT, _WATCH + _READ),
        )
        for event in events:
            yield event["type"], event["raw_object"]

    def _call(self, query: Query, version: str) -> tuple[Any, tuple[str, ...]]:
        """Return the client's function for a query and its arguments."""
        resource = RESOURCES[query.kind]
        if not resource.group:
            return self._core.list_namespaced_pod, (query.namespace,)
        if query.namespace:
            place = (resource.group, version, query.namespace, resource.plural)
            return self._custom.list_namespaced_custom_object, place
        return self._custom.list_cluster_custom_object, (resource.group, version, resource.plural)

    def _candidates(self, kind: str) -> tuple[str, ...]:
        known = self._versions.get(kind)
        return (known,) if known else RESOURCES[kind].versions

    def _version(self, kind: str) -> str:
        return self._candidates(kind)[0]

    def _unreachable(self, query: Query, error: Exception) -> ClusterError:
        where = f"the cluster {self.context}" if self.context else "the cluster"
        return ClusterError(
            f"{where} at {self._host} was asked for its {query.kind} objects and did not answer: "
            f"{_reason(error)}",
            "see whether it is reachable from here and the kubeconfig is of today",
        )


class _DeniedError(ClusterError):
    """The account may not read something."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the cluster refused: {reason}", "give the account the rights of docs/flux.md"
        )


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


def _selectors(query: Query) -> dict[str, str]:
    found = {}
    if query.labels:
        found["label_selector"] = ",".join(f"{key}={value}" for key, value in query.labels)
    if query.name:
        found["field_selector"] = f"metadata.name={query.name}"
    return found


def _within(query: Query, namespace: str) -> Query:
    return Query(query.kind, namespace, query.labels, query.name)


def _reason(error: Exception) -> str:
    """Return what went wrong in one line, without headers or tokens of a request."""
    status = getattr(error, "status", None)
    if status is None:
        return one_line(f"{type(error).__name__}: {error}", 300)
    try:
        message = str(json.loads(getattr(error, "body", "") or "{}").get("message", ""))
    except (ValueError, AttributeError):
        message = ""
    return one_line(f"{status} {message or getattr(error, 'reason', '')}", 300)
