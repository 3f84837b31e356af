"""Lists and watches of a cluster's objects, as JSON as the API server sent it.

Each watch runs in a thread of its own; what it brings goes into a sink.
"""

from __future__ import annotations

import json
import logging
import time
from http import HTTPStatus
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import ClusterError
from gitops_rollback.model import one_line
from gitops_rollback.rollout.access import RENEW, RESOURCES, TIMES, reason_of, unreachable
from gitops_rollback.rollout.objects import Change, Query
from gitops_rollback.rollout.raw import items, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gitops_rollback.rollout.access import Access
    from gitops_rollback.rollout.raw import Json

    Sink = Callable[[Change], None]

_LOG = logging.getLogger("gitops_rollback")
_WATCH = 240  # seconds until the API server ends a watch, which then begins anew
_LONGEST_END = 2.0  # seconds for a watch to end
_PULSE = 5.0  # seconds between two questions whether the API server still answers
_PULSE_TIMES = (3.05, 5.0)  # seconds to connect, and to answer
_PAUSE = 1.0  # seconds before a watch that broke is begun again


# What an API server answers that has too much to do, or is not done with starting.
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE,
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


class Lists:
    """Lists objects, and knows in which version the cluster has each kind."""

    def __init__(self, access: Access, context: str) -> None:
        self._access = access
        self._context = context
        self._versions: dict[str, str] = {}

    def all_of(self, query: Query) -> tuple[Json, ...]:
        """List the objects of a query; raise `ClusterError` where that is not possible.

        A kind that the cluster does not have is an empty list.
        """
        try:
            return self._patiently(query)
        except DeniedError as error:
            parts = {} if query.namespace or not query.instead else self.apart(query)
            if not parts:
                raise error from None
            return tuple(one for found in parts.values() for one in found)

    def _patiently(self, query: Query) -> tuple[Json, ...]:
        """List once more, and again, where the API server is busy or only starts."""
        for pause in _BUSY_PAUSES:
            try:
                return self.once(query)[0]
            except BusyError as error:
                _LOG.info("listing %s again in %s s: %s", query.kind, pause, error.message)
            time.sleep(pause)
        return self.once(query)[0]

    def apart(self, query: Query) -> dict[str, tuple[Json, ...]]:
        """List the objects of a query in the namespaces that may be read of those it names."""
        found = {}
        for namespace in query.instead:
            try:
                found[namespace] = self.once(within(query, namespace))[0]
            except DeniedError:
                continue  # whoever asks learns which namespaces answered
        return found

    def once(
        self, query: Query, times: tuple[float, float] = TIMES
    ) -> tuple[tuple[Json, ...], str]:
        """Return the objects of one query in one namespace, and the version they are of.

        `times` are the seconds to connect and to answer. Raises `DeniedError`, `ClusterError`.
        """
        for version in self._candidates(query.kind):
            try:
                call, arguments = self._call(query, version)
                answer = call(*arguments, **_selectors(query), _preload_content=False,
                              _request_timeout=times)  # fmt: skip
                data = bytes(answer.data)  # which is read only now
            except Exception as error:  # the client's errors have no common base
                status = getattr(error, "status", None)
                if status == HTTPStatus.NOT_FOUND and query.kind in RESOURCES:
                    continue
                if status == HTTPStatus.FORBIDDEN:
                    plugin = "".join(self._access.said[:1])
                    raise DeniedError(reason_of(error), plugin) from error
                raise self._no_answer(query, error) from error
            self._versions[query.kind] = version
            return self._read(query, data)
        return (), ""

    def _no_answer(self, query: Query, error: Exception) -> ClusterError:
        failure = unreachable(self._access, self._context, f"its {query.kind} objects", error)
        is_busy = getattr(error, "status", None) in _BUSY
        return BusyError(failure.message, failure.hint) if is_busy else failure

    def _read(self, query: Query, data: bytes) -> tuple[tuple[Json, ...], str]:
        """Return the objects of an answer, and its version; raise `ClusterError` if it is none."""
        try:
            document = json.loads(data)
        except ValueError:
            document = None
        if not isinstance(document, dict) or not isinstance(document.get("items") or [], list):
            where = f"the cluster {self._context}" if self._context else "the cluster"
            raise ClusterError(
                f"{where} at {self._access.host} was asked for its {query.kind} objects and gave "
                f"no list of Kubernetes: {one_line(data[:80].decode(errors='replace'), 80)}",
                "what answers there is no API server: a login page, a proxy? See the address in "
                "the kubeconfig",
            )
        return tuple(items(document, "items")), text(document, "metadata", "resourceVersion")

    def call(self, query: Query) -> tuple[Any, tuple[str, ...], dict[str, str]]:
        """Return the client's function that lists a query, and what to give it."""
        return *self._call(query, self.version(query.kind)), _selectors(query)

    def knows(self, kind: str) -> bool:
        """Tell whether the cluster has a kind, as far as it was asked for it."""
        return kind in self._versions

    def version(self, kind: str) -> str:
        """Return the version in which the cluster has a kind, as far as it was asked for it."""
        return self._candidates(kind)[0]

    def _call(self, query: Query, version: str) -> tuple[Any, tuple[str, ...]]:
        resource = RESOURCES[query.kind]
        if not resource.group:
            return self._access.core.list_namespaced_pod, (query.namespace,)
        custom = self._access.custom
        if query.namespace:
            place = (resource.group, version, query.namespace, resource.plural)
            return custom.list_namespaced_custom_object, place
        return custom.list_cluster_custom_object, (resource.group, version, resource.plural)

    def _candidates(self, kind: str) -> tuple[str, ...]:
        known = self._versions.get(kind)
        return (known,) if known else RESOURCES[kind].versions


def within(query: Query, namespace: str) -> Query:
    """Return a query in one namespace only."""
    return Query(query.kind, namespace, query.labels, query.name)


def _selectors(query: Query) -> dict[str, str]:
    found = {}
    if query.labels:
        found["label_selector"] = query.labels
    if query.name:
        found["field_selector"] = f"metadata.name={query.name}"
    return found


class Watches:
    """All watches on one cluster."""

    def __init__(self, access: Access, lists: Lists) -> None:
        self._access = access
        self._lists = lists
        self._closed = Event()
        self._lock = Lock()
        self._streams: list[Any] = []
        self._threads: list[Thread] = []

    def begin(self, query: Query, sink: Sink) -> None:
        """List and then watch a query in a thread; every change goes to `sink`."""
        thread = Thread(target=self._run, args=(query, sink), daemon=True)
        self._threads.append(thread)
        thread.start()

    def listen(self, query: Query, sink: Callable[[str], None]) -> None:
        """Ask for a query again and again, in a thread; tell `sink` why no answer came, or "".

        A watch of a server that has fallen silent tells nothing: it only brings no more.
        """
        thread = Thread(target=self._listen, args=(query, sink), daemon=True)
        self._threads.append(thread)
        thread.start()

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

    def _listen(self, query: Query, sink: Callable[[str], None]) -> None:
        was = ""
        while not self._closed.wait(_PULSE):
            try:
                self._lists.once(query, _PULSE_TIMES)
            except DeniedError:
                said = ""  # that is an answer, too
            except ClusterError as error:
                said = error.message
            else:
                said = ""
            if bool(said) != bool(was):
                sink(said)
            was = said

    def _run(self, query: Query, sink: Sink) -> None:
        while not self._closed.is_set():
            try:
                self._once(query, sink)
            except DeniedError:
                if query.namespace or not query.instead:
                    sink(Change(query, denied=True))
                    return
                self._apart(query, sink)
                return
            except Exception as error:  # noqa: BLE001 - the client's errors have no common base
                _LOG.info("watching %s: %s", query, reason_of(error))
                self._closed.wait(_PAUSE)

    def _apart(self, query: Query, sink: Sink) -> None:
        """Watch namespace by namespace what may not be watched in all of them at once."""
        parts = self._lists.apart(query)
        if not parts:
            sink(Change(query, denied=True))
            return
        found = tuple(one for listed in parts.values() for one in listed)
        left_out = tuple(name for name in query.instead if name not in parts)
        sink(Change(query, found, whole=True, left_out=left_out))
        for namespace in parts:
            self.begin(within(query, namespace), sink)

    def _once(self, query: Query, sink: Sink) -> None:
        objects, version = self._lists.once(query)
        sink(Change(query, objects, whole=True))
        if not version:
            raise ClusterError(f"the cluster has no {query.kind}", "")
        for kind, found in self._stream(query, version):
            if kind in ("ADDED", "MODIFIED", "DELETED"):
                sink(Change(query, (found,), deleted=kind == "DELETED"))

    def _stream(self, query: Query, version: str) -> Iterator[tuple[str, Json]]:
        call, arguments, selectors = self._lists.call(query)
        watch = self._access.make_watch()
        with self._lock:
            if self._closed.is_set():
                return
            self._streams.append(watch)
        connecting, answering = TIMES
        events = watch.stream(
            call,
            *arguments,
            **selectors,
            resource_version=version,
            timeout_seconds=_WATCH,
            _request_timeout=(connecting, _WATCH + answering),
        )
        for event in events:
            yield event["type"], event["raw_object"]
