"""Watches on a cluster's objects, each in its thread; what they bring goes into a sink."""

from __future__ import annotations

import logging
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import ClusterError
from gitops_rollback.rollout.access import TIMES, reason_of
from gitops_rollback.rollout.lists import DeniedError, within
from gitops_rollback.rollout.objects import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gitops_rollback.rollout.access import Access
    from gitops_rollback.rollout.lists import Lists
    from gitops_rollback.rollout.objects import Query
    from gitops_rollback.rollout.raw import Json

    Sink = Callable[[Change], None]

_LOG = logging.getLogger("gitops_rollback")
_WATCH = 240  # seconds until the API server ends a watch, which then begins anew
_LONGEST_END = 2.0  # seconds for a watch to end
_PULSE = 5.0  # seconds between two questions whether the API server still answers
_PULSE_TIMES = (3.05, 5.0)  # seconds to connect, and to answer
_PAUSE = 1.0  # seconds before a watch that broke is begun again


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
