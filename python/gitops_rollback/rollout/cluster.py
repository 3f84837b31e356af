"""One cluster: list, watch, nudge, logs, events.

What it gives is JSON as the API server sent it; `objects` reads it. Each watch runs in a thread of
its own; what it brings goes into a sink.
"""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from gitops_rollback.errors import ClusterError
from gitops_rollback.model import one_line
from gitops_rollback.reading import read_json
from gitops_rollback.rollout.access import (
    RENEW,
    RESOURCES,
    TIMES,
    AnswerError,
    lines_of,
    open_access,
    read_all,
    reason_of,
    unreachable,
)
from gitops_rollback.rollout.appliers import REQUESTED
from gitops_rollback.rollout.objects import Change, Query
from gitops_rollback.rollout.raw import items, mapping, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gitops_rollback.rollout.raw import Json, Name
    from gitops_rollback.rollout.standing import SetImage

    Sink = Callable[[Change], None]

T = TypeVar("T")
_LOG = logging.getLogger("gitops_rollback")
# Seconds until the API server ends a watch, which then begins anew: one whose connection was cut
# without a word brings nothing, and looks like one of a quiet cluster.
_WATCH = 30
_MOST_VALUES = 2_000_000  # of a list: of some thousand pods
_LONGEST_END = 2.0  # seconds for a watch to end
_PULSE = 5.0  # seconds between two questions whether the API server still answers
_PULSE_TIMES = (3.05, 5.0)  # seconds to connect, and to answer
_PAUSE = 1.0  # seconds before a watch that broke is begun again
_MOST_LOG_LINES = 8
_BOTH_WAYS = 2  # socket.SHUT_RDWR, of the client's own socket

# What an API server answers that has too much to do, is not done with starting, or has just lost
# what it keeps all in (etcd's leader changes: 500), or what stands before one that is gone (502).
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR,
                   HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE,
                   HTTPStatus.GATEWAY_TIMEOUT})  # fmt: skip
_BUSY_PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds


class BusyError(ClusterError):
    """Raised where the API server asks to come again later."""


class DeniedError(ClusterError):
    """Raised where the account may not read something."""

    def __init__(self, reason: str, plugin: str = "") -> None:
        """`plugin` is what was said of the kubeconfig's plugin, which gave no account then."""
        said, hint = "", "give the account the rights of docs/flux.md"
        if "system:anonymous" in reason:
            hint = f"the kubeconfig gives no credentials that count there: {RENEW}"
        if plugin:
            said = f" ({plugin})"
            hint = f"the kubeconfig's plugin gave no credentials: {RENEW}"
        super().__init__(f"the cluster refused: {reason}{said}", hint)


class Cluster:
    """One cluster; `context` is a kubeconfig's, or empty for its current one or the own account.

    Raises `NoAccessError` if the client library is missing or the kubeconfig is not usable, and
    `ClusterError` where the API server does not answer.
    """

    def __init__(self, context: str, environment: Mapping[str, str]) -> None:
        self.context = context
        self._access = open_access(context, environment)
        self._versions: dict[str, str] = {}  # in which the cluster has each kind
        self._closed = Event()
        self._lock = Lock()
        self._streams: list[Any] = []
        self._threads: list[Thread] = []

    @property
    def namespace(self) -> str:
        """The namespace of the context or of the own pod; empty where none is said."""
        return self._access.namespace

    def knows(self, kind: str) -> bool:
        """Tell whether the cluster has a kind, as far as it was asked for it."""
        return kind in self._versions

    # Lists

    def list(self, query: Query) -> tuple[Json, ...]:
        """List the objects of a query; raise `ClusterError` where that is not possible.

        A kind that the cluster does not have is an empty list.
        """
        try:
            return _patiently(lambda: self._once(query)[0])
        except DeniedError as error:
            parts = {} if query.namespace or not query.instead else self._apart(query)
            if not parts:
                raise error from None
            return tuple(one for found in parts.values() for one in found)

    def _apart(self, query: Query) -> dict[str, tuple[Json, ...]]:
        """List the objects of a query in the namespaces that may be read of those it names."""
        found = {}
        for namespace in query.instead:
            try:
                found[namespace] = self._once(query.within(namespace))[0]
            except DeniedError:
                continue  # whoever asks learns which namespaces answered
        return found

    def _once(
        self, query: Query, times: tuple[float, float] = TIMES
    ) -> tuple[tuple[Json, ...], str]:
        """Return the objects of one query in one namespace, and the version they are of.

        `times` are the seconds to connect and to answer. Raises `DeniedError`, `ClusterError`.
        """
        known = self._versions.get(query.kind)
        for version in (known,) if known else RESOURCES[query.kind].versions:
            try:
                path = self._path(query.kind, query.namespace, version=version)
                data = read_all(self._access.ask("GET", path, query.selectors, times=times))
            except Exception as error:  # the client's errors have no common base
                status = error.status if isinstance(error, AnswerError) else None
                if status == HTTPStatus.NOT_FOUND and query.kind != "Pod":
                    continue
                if status == HTTPStatus.FORBIDDEN:
                    plugin = "".join(self._access.said[:1])
                    raise DeniedError(reason_of(error), plugin) from error
                what = f"its {query.kind} objects"
                failure = unreachable(self._access, self.context, what, error)
                if status in _BUSY:
                    raise BusyError(failure.message, failure.hint) from error
                raise failure from error
            self._versions[query.kind] = version
            return self._read(query, data)
        return (), ""

    def _read(self, query: Query, data: bytes) -> tuple[tuple[Json, ...], str]:
        """Return the objects of an answer, and its version; raise `ClusterError` if it is none."""
        try:
            document = read_json(data, _MOST_VALUES)
        except ValueError:
            document = None
        if not isinstance(document, dict) or not isinstance(document.get("items") or [], list):
            where = f"the cluster {self.context}" if self.context else "the cluster"
            raise ClusterError(
                f"{where} at {self._access.host} was asked for its {query.kind} objects and gave "
                f"no list of Kubernetes: {one_line(data[:80].decode(errors='replace'), 80)}",
                "what answers there is no API server: a login page, a proxy? See the address in "
                "the kubeconfig",
            )
        return tuple(items(document, "items")), text(document, "metadata", "resourceVersion")

    def _path(self, kind: str, namespace: str, *more: str, version: str = "") -> tuple[str, ...]:
        """Return where the API server has the objects of a kind, or one of them."""
        resource = RESOURCES[kind]
        version = version or self._versions.get(kind) or resource.versions[0]
        group = ("apis", resource.group) if resource.group else ("api",)
        space = ("namespaces", namespace) if namespace else ()
        return (*group, version, *space, resource.plural, *more)

    # Watches

    def watch(self, query: Query, sink: Sink) -> None:
        """List and then watch a query in a thread; every change goes to `sink`."""
        self._begin(self._run, query, sink)

    def listen(self, query: Query, sink: Callable[[str], None]) -> None:
        """Ask for a query again and again, in a thread; tell `sink` why no answer came, or "".

        A watch of a server that has fallen silent tells nothing: it only brings no more.
        """
        self._begin(self._listen, query, sink)

    def _begin(self, run: Callable[..., None], *arguments: object) -> None:
        thread = Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """End the watches and wait for their threads.

        A thread that still reads from TLS while the interpreter ends can take the process with it.
        """
        with self._lock:
            self._closed.set()
            for stream in self._streams:
                _stop(stream)
        for thread in [*self._threads]:
            thread.join(_LONGEST_END)
        self._access.close()

    def _listen(self, query: Query, sink: Callable[[str], None]) -> None:
        was = said = ""
        while not self._closed.wait(_PULSE):
            try:
                self._once(query, _PULSE_TIMES)
                said = ""
            except DeniedError:
                said = ""  # that is an answer, too
            except ClusterError as error:
                said = error.message
            if bool(said) != bool(was):
                sink(said)
            was = said

    def _run(self, query: Query, sink: Sink) -> None:
        while not self._closed.is_set():
            try:
                if self._follow(query, sink):
                    return
            except Exception as error:  # noqa: BLE001 - the client's errors have no common base
                _LOG.info("watching %s: %s", query, reason_of(error))
                self._closed.wait(_PAUSE)

    def _follow(self, query: Query, sink: Sink) -> bool:
        """Watch until that ends; tell whether it may not be watched, and nothing more will come."""
        try:
            objects, version = self._once(query)
        except DeniedError:
            self._follow_apart(query, sink)
            return True
        sink(Change(query, objects, whole=True))
        if not version:
            raise ClusterError(f"the cluster has no {query.kind}", "")
        for line in self._lines(query, version):
            event = read_json(line)
            kind, found = text(event, "type"), mapping(event, "object")
            if kind == "ERROR":
                raise ClusterError(f"the watch ended: {text(found, 'message')}", "")
            if kind in ("ADDED", "MODIFIED", "DELETED"):
                sink(Change(query, (found,), deleted=kind == "DELETED"))
        return False

    def _follow_apart(self, query: Query, sink: Sink) -> None:
        """Watch namespace by namespace what may not be watched in all of them at once."""
        parts = {} if query.namespace else self._apart(query)
        if not parts:
            sink(Change(query, denied=True))
            return
        found = tuple(one for listed in parts.values() for one in listed)
        left_out = tuple(name for name in query.instead if name not in parts)
        sink(Change(query, found, whole=True, left_out=left_out))
        for namespace in parts:
            self.watch(query.within(namespace), sink)

    def _lines(self, query: Query, version: str) -> Iterator[bytes]:
        connecting, answering = TIMES
        selectors = {"watch": "true", "resourceVersion": version, "timeoutSeconds": f"{_WATCH}"}
        answer = self._access.ask(
            "GET",
            self._path(query.kind, query.namespace),
            {**query.selectors, **selectors},
            times=(connecting, _WATCH + answering),
        )
        with self._lock:
            if self._closed.is_set():
                answer.close()
                return
            self._streams.append(answer)
        try:
            yield from lines_of(answer)
        finally:
            with self._lock:
                self._streams.remove(answer)
            answer.close()

    # What is changed

    def set_image(self, one: SetImage) -> str:
        """Set the image of a live container, if it is still the one that was seen.

        Returns why that was not possible, or "". The writer's name begins with `kubectl`: what such
        writers own, kustomize-controller takes over when it applies the object next (the field
        managers that it cleans up), so that nothing of ours is left in it.
        """
        at = one.pointer
        body = [
            {"op": "test", "path": f"{at}/name", "value": one.container},
            {"op": "test", "path": f"{at}/image", "value": one.instead_of},
            {"op": "replace", "path": f"{at}/image", "value": one.value},
        ]
        return self._patch(one.workload, body, {"fieldManager": "kubectl-gitops-rollback"})

    def nudge(self, name: Name, token: str) -> bool:
        """Ask Flux to reconcile an object now; tell whether that was allowed.

        Only a value that differs from the last one counts (fluxcd/pkg:apis/meta/annotations.go).
        """
        why_not = self._patch(name, {"metadata": {"annotations": {REQUESTED: token}}})
        if why_not:
            _LOG.info("%s cannot be nudged: %s", name, why_not)
        return not why_not

    def _patch(self, name: Name, body: object, query: Mapping[str, str] | None = None) -> str:
        """Change an object; return why that was not possible, or ""."""
        try:
            path = self._path(name.kind, name.namespace, name.name)
            _patiently(lambda: read_all(self._access.ask("PATCH", path, query, body)))
        except Exception as error:  # noqa: BLE001 - the client's errors have no common base
            return reason_of(error)
        return ""

    # What is told beside that

    def last_words(self, pod: Name, container: str) -> tuple[str, ...]:
        """Return the last log lines of a container that ended; none where that is not allowed."""
        for previous in ("true", "false"):
            wanted = {"container": container, "previous": previous, "limitBytes": "4096"}
            path = self._path("Pod", pod.namespace, pod.name, "log")
            data = self._extra(path, {**wanted, "tailLines": f"{_MOST_LOG_LINES}"})
            lines = data.decode(errors="replace").splitlines()
            if lines:
                return tuple(one_line(line, 200) for line in lines)
        return ()

    def warnings(self, name: Name) -> tuple[str, ...]:
        """Return what Kubernetes warned of about an object, newest last; none if not allowed."""
        about = f"involvedObject.kind={name.kind},involvedObject.name={name.name},type=Warning"
        path = ("api", "v1", "namespaces", name.namespace, "events")
        data = self._extra(path, {"fieldSelector": about, "limit": "50"})
        try:
            events = items(read_json(data or b"{}"), "items")
        except ValueError as error:
            _LOG.info("the events of %s cannot be read: %s", name, error)
            return ()
        said = [f"{text(one, 'reason')}: {text(one, 'message')}" for one in events]
        return tuple(dict.fromkeys(one_line(text, 300) for text in said))

    def _extra(self, path: tuple[str, ...], query: Mapping[str, str]) -> bytes:
        """Return an answer that is only an extra; nothing where it may not be read."""
        try:
            return read_all(self._access.ask("GET", path, query))
        except Exception as error:  # noqa: BLE001 - the client's errors have no common base
            _LOG.info("%s cannot be read: %s", "/".join(path), reason_of(error))
            return b""


def _patiently(ask: Callable[[], T]) -> T:
    """Ask once more, and again, where the API server is busy or only starts."""
    for pause in _BUSY_PAUSES:
        try:
            return ask()
        except (AnswerError, BusyError) as error:
            if isinstance(error, AnswerError) and error.status not in _BUSY:
                raise
            _LOG.info("asking again in %s s: %s", pause, error)
        time.sleep(pause)
    return ask()


def _stop(stream: Any) -> None:  # noqa: ANN401 - urllib3's
    """End a watch that a thread reads from: its socket alone, which no reader holds a lock of."""
    sock = getattr(stream.connection, "sock", None)
    if sock is None:
        return
    try:
        sock.shutdown(_BOTH_WAYS)
    except OSError as error:
        _LOG.info("a watch had ended already: %s", error)


def kustomizations(environment: Mapping[str, str]) -> tuple[Json, ...]:
    """Return the Kustomizations of the cluster at hand, as JSON; raises `ClusterError`."""
    cluster = Cluster("", environment)
    try:
        return cluster.list(Query("Kustomization"))
    finally:
        cluster.close()
