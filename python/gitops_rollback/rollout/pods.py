"""Pods: which image they run, and why they do not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_rollback.image import ImageReference, find_image
from gitops_rollback.rollout.raw import (
    Condition,
    Json,
    Name,
    conditions_of,
    items,
    mapping,
    name_of,
    number,
    text,
)

if TYPE_CHECKING:
    from gitops_rollback.rollout.target import Target


@dataclass(frozen=True)
class ContainerState:
    """One container of a pod: what it was told to run, and what became of it.

    `image_id` is what the runtime really took: its digest is the proof. `exit_code` is that of the
    last time it ended, None if it never did.
    """

    name: str
    image: str
    image_id: str = ""
    ready: bool = False
    running: bool = False
    restarts: int = 0
    waiting: str = ""
    message: str = ""
    exit_code: int | None = None
    ended: str = ""

    @property
    def reference(self) -> ImageReference | None:
        """The image it was told to run; None where the text is no image reference."""
        return find_image(self.image)

    @property
    def digest(self) -> str:
        """The digest that the runtime reports, `sha256:…`; empty where it reports none."""
        _, at, digest = self.image_id.rpartition("@")
        return digest if at else ""


@dataclass(frozen=True)
class Pod:
    """A pod; `ended` where it is being deleted or has run to its end."""

    name: Name
    labels: frozenset[tuple[str, str]]
    containers: tuple[ContainerState, ...]
    ready: bool
    ended: bool
    scheduled: Condition
    created: str = ""

    def of(self, target: Target) -> tuple[ContainerState, ...]:
        """Return the containers that are of the service's image repository."""
        wanted = target.image.full_repository
        return tuple(
            one
            for one in self.containers
            if one.reference is not None and one.reference.full_repository == wanted
        )

    def is_new(self, target: Target) -> bool:
        """Tell whether all its containers of the service were told to run the target's image."""
        own = self.of(target)
        return bool(own) and all(
            one.reference is not None and one.reference.may_be(target.image) for one in own
        )


def read_pod(found: Json) -> Pod:
    """Read a pod."""
    statuses = {
        text(one, "name"): one
        for key in ("initContainerStatuses", "containerStatuses")
        for one in items(found, "status", key)
    }
    spec = mapping(found, "spec")
    conditions = conditions_of(found)
    phase = text(found, "status", "phase")
    return Pod(
        name=name_of(found, "Pod"),
        labels=frozenset(
            (key, value)
            for key, value in mapping(found, "metadata", "labels").items()
            if isinstance(value, str)
        ),
        containers=tuple(
            _container(one, statuses.get(text(one, "name"), {}))
            for one in (*items(spec, "initContainers"), *items(spec, "containers"))
        ),
        ready=conditions.get("Ready", Condition()).status == "True",
        ended=bool(text(found, "metadata", "deletionTimestamp"))
        or phase in ("Succeeded", "Failed"),
        scheduled=conditions.get("PodScheduled", Condition()),
        created=text(found, "metadata", "creationTimestamp"),
    )


def _container(spec: Json, status: Json) -> ContainerState:
    waiting = mapping(status, "state", "waiting")
    ended = mapping(status, "state", "terminated") or mapping(status, "lastState", "terminated")
    return ContainerState(
        name=text(spec, "name"),
        image=text(spec, "image"),
        image_id=text(status, "imageID"),
        ready=mapping(status).get("ready") is True,
        running="running" in mapping(status, "state"),
        restarts=number(status, "restartCount"),
        waiting=text(waiting, "reason"),
        message=" ".join(text(waiting, "message").split()),
        exit_code=number(ended, "exitCode") if ended else None,
        ended=text(ended, "reason"),
    )
