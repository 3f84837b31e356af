"""One cluster: list, watch, nudge, logs, events.

What it gives is JSON as the API server sent it; `rollout` reads it.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from gitops_rollback.model import one_line
from gitops_rollback.rollout.access import RESOURCES, TIMES, open_access, reason_of
from gitops_rollback.rollout.appliers import REQUESTED
from gitops_rollback.rollout.lists import Lists, Watches
from gitops_rollback.rollout.objects import Query
from gitops_rollback.rollout.raw import items, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gitops_rollback.rollout.lists import Sink
    from gitops_rollback.rollout.raw import Json, Name
    from gitops_rollback.rollout.standing import SetImage

_LOG = logging.getLogger("gitops_rollback")
_MOST_LOG_LINES = 8


class Cluster:
    """One cluster; `context` is a kubeconfig's, or empty for its current one or the own account.

    Raises `NoAccessError` if the client library is missing or the kubeconfig is not usable, and
    `ClusterError` where the API server does not answer.
    """

    def __init__(self, context: str, environment: Mapping[str, str]) -> None:
        self.context = context
        self._access = open_access(context, environment)
        self._lists = Lists(self._access, context)
        self._watches = Watches(self._access, self._lists)

    def close(self) -> None:
        """End the watches."""
        self._watches.close()

    def prepare(self) -> None:
        """Load what pods are read with: that takes time, which Flux can use to fetch."""
        _LOG.info("pods are read by %s", type(self._access.core).__name__)

    def list(self, query: Query) -> tuple[Json, ...]:
        """List the objects of a query; raise `ClusterError` where that is not possible."""
        return self._lists.all_of(query)

    def knows(self, kind: str) -> bool:
        """Tell whether the cluster has a kind that it was asked for."""
        return self._lists.knows(kind)

    def watch(self, query: Query, sink: Sink) -> None:
        """List and then watch a query in a thread; every change goes to `sink`."""
        self._watches.begin(query, sink)

    @property
    def namespace(self) -> str:
        """The namespace of the context or of the own pod; empty where none is said."""
        return self._access.namespace

    def listen(self, query: Query, sink: Callable[[str], None]) -> None:
        """Ask for a query every few seconds; tell `sink` why no answer came, or "" if one did."""
        self._watches.listen(query, sink)

    def set_image(self, one: SetImage) -> str:
        """Set the image of a live container, if it is still the one that was seen.

        Returns why that was not possible, or "". The writer's name begins with `kubectl`: what such
        writers own, kustomize-controller takes over when it applies the object next (the field
        managers that it cleans up), so that nothing of ours is left in it.
        """
        resource = RESOURCES[one.workload.kind]
        at = one.pointer
        body = [
            {"op": "test", "path": f"{at}/name", "value": one.container},
            {"op": "test", "path": f"{at}/image", "value": one.instead_of},
            {"op": "replace", "path": f"{at}/image", "value": one.value},
        ]
        try:
            self._access.custom.patch_namespaced_custom_object(
                resource.group,
                resource.versions[0],
                one.workload.namespace,
                resource.plural,
                one.workload.name,
                body,
                field_manager="kubectl-gitops-rollback",
                _content_type="application/json-patch+json",
                _request_timeout=TIMES,
            )
        except Exception as error:  # noqa: BLE001 - the client's errors have no common base
            return reason_of(error)
        return ""

    def nudge(self, name: Name, token: str) -> bool:
        """Ask Flux to reconcile an object now; tell whether that was allowed.

        Only a value that differs from the last one counts (fluxcd/pkg:apis/meta/annotations.go).
        """
        resource = RESOURCES[name.kind]
        body = {"metadata": {"annotations": {REQUESTED: token}}}
        try:
            self._access.custom.patch_namespaced_custom_object(
                resource.group,
                self._lists.version(name.kind),
                name.namespace,
                resource.plural,
                name.name,
                body,
                _request_timeout=TIMES,
            )
        except Exception as error:  # noqa: BLE001 - the client's errors have no common base
            _LOG.info("%s cannot be nudged: %s", name, reason_of(error))
            return False
        return True

    def last_words(self, pod: Name, container: str) -> tuple[str, ...]:
        """Return the last log lines of a container that ended; none where that is not allowed."""
        for previous in (True, False):
            try:
                answer: Any = self._access.core.read_namespaced_pod_log(
                    pod.name,
                    pod.namespace,
                    container=container,
                    previous=previous,
                    tail_lines=_MOST_LOG_LINES,
                    limit_bytes=4096,
                    _preload_content=False,
                    _request_timeout=TIMES,
                )
            except Exception as error:  # noqa: BLE001 - as above; a log is only an extra
                _LOG.info("the log of %s cannot be read: %s", pod, reason_of(error))
                continue
            lines = bytes(answer.data).decode(errors="replace").splitlines()
            if lines:
                return tuple(one_line(line, 200) for line in lines)
        return ()

    def warnings(self, name: Name) -> tuple[str, ...]:
        """Return what Kubernetes warned of about an object, newest last; none if not allowed."""
        try:
            answer: Any = self._access.core.list_namespaced_event(
                name.namespace,
                field_selector=f"involvedObject.kind={name.kind},"
                f"involvedObject.name={name.name},type=Warning",
                limit=50,
                _preload_content=False,
                _request_timeout=TIMES,
            )
            events = items(json.loads(answer.data), "items")
        except Exception as error:  # noqa: BLE001 - as above; an event is only an extra
            _LOG.info("the events of %s cannot be read: %s", name, reason_of(error))
            return ()
        said = [f"{text(one, 'reason')}: {text(one, 'message')}" for one in events]
        return tuple(dict.fromkeys(one_line(text, 300) for text in said))


def kustomizations(environment: Mapping[str, str]) -> tuple[Json, ...]:
    """Return the Kustomizations of the cluster at hand, as JSON; raises `ClusterError`."""
    cluster = Cluster("", environment)
    try:
        return cluster.list(Query("Kustomization"))
    finally:
        cluster.close()
