"""Lists of a cluster's objects, as JSON as the API server sent it; `rollout` reads it."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import ClusterError
from gitops_rollback.model import one_line
from gitops_rollback.rollout.access import RESOURCES, TIMES, reason_of, unreachable
from gitops_rollback.rollout.objects import Query
from gitops_rollback.rollout.raw import items, text

if TYPE_CHECKING:
    from gitops_rollback.rollout.access import Access
    from gitops_rollback.rollout.raw import Json


class DeniedError(ClusterError):
    """Raised where the account may not read something."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the cluster refused: {reason}", "give the account the rights of docs/flux.md"
        )


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
        if query.namespace or not query.instead:
            return self.once(query)[0]
        try:
            return self.once(query)[0]
        except DeniedError as error:
            parts = self.apart(query)
            if not parts:
                raise error from None
            return tuple(one for found in parts.values() for one in found)

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
                    said = "".join(f" ({one})" for one in self._access.said[:1])
                    raise DeniedError(reason_of(error) + said) from error
                what = f"its {query.kind} objects"
                raise unreachable(self._access, self._context, what, error) from error
            self._versions[query.kind] = version
            return self._read(query, data)
        return (), ""

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
