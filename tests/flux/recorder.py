"""Record what a cluster says while a test runs: the ordinary tests are driven by it afterwards.

Used with GITOPS_RECORD=FOLDER. A recording holds what the client brought, in the order it came,
trimmed of what no judgement reads.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gitops_rollback.manifest.document import parse
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.rollout.appliers import REQUESTED
from gitops_rollback.rollout.cluster import Cluster
from gitops_rollback.rollout.objects import Change, Query
from gitops_rollback.rollout.target import KINDS

if TYPE_CHECKING:
    from types import TracebackType

    from flux.fleet import Fleet

_METADATA = dict.fromkeys(
    ("name", "namespace", "generation", "labels", "creationTimestamp", "deletionTimestamp")
)
_CONTAINERS = {
    "containers": {"name": None, "image": None},
    "initContainers": {"name": None, "image": None},
}
_STATUSES = dict.fromkeys(
    ("name", "image", "imageID", "ready", "restartCount", "state", "lastState")
)
_CONDITIONS = dict.fromkeys(("type", "status", "reason", "message", "observedGeneration"))
_FLUX = ("kustomize-controller", "helm-controller")
# What is kept of each kind: keys, and what is kept below them (None: everything).
_WANTED: dict[str, Any] = {
    "GitRepository": {
        "metadata": {**_METADATA, "annotations": {REQUESTED: None}},
        "spec": None,
        "status": {
            "artifact": {"revision": None},
            "conditions": _CONDITIONS,
            "lastHandledReconcileAt": None,
            "observedGeneration": None,
        },
    },
    "Kustomization": {
        "metadata": {**_METADATA, "annotations": {REQUESTED: None}},
        "spec": None,
        "status": None,
    },
    "HelmRelease": {
        "metadata": _METADATA,
        "spec": None,
        "status": {
            "conditions": _CONDITIONS,
            "inventory": None,
            "lastAttemptedGeneration": None,
            "lastAttemptedRevision": None,
            "observedGeneration": None,
        },
    },
    "Deployment": {
        "metadata": _METADATA,
        "spec": {
            "replicas": None,
            "paused": None,
            "suspend": None,
            "selector": None,
            "updateStrategy": None,
            "template": {"spec": _CONTAINERS},
            "jobTemplate": {"spec": {"template": {"spec": _CONTAINERS}}},
        },
        "status": None,
    },
    "Pod": {
        "metadata": _METADATA,
        "spec": _CONTAINERS,
        "status": {
            "phase": None,
            "conditions": _CONDITIONS,
            "containerStatuses": _STATUSES,
            "initContainerStatuses": _STATUSES,
        },
    },
}


class Recorder:
    """Watches everything in a fleet's namespace and writes it to a file at the end."""

    def __init__(self, fleet: Fleet, folder: str, name: str) -> None:
        self._fleet = fleet
        self._path = Path(folder) / f"{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.json"
        self._cluster = Cluster("", {"KUBECONFIG": fleet.kubeconfig})
        self._begun = time.monotonic()
        self._steps: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        for kind in ("GitRepository", "Kustomization", "HelmRelease", "Pod", *KINDS):
            self._cluster.watch(Query(kind, self._fleet.namespace), self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cluster.close()
        commits = self._fleet.shop.git("rev-list", "--reverse", "main").split()
        place = self._fleet.place
        head = {
            "url": self._fleet.url,
            "place": [place.path, place.kind, place.name],
            "commits": [self._commit(commit) for commit in commits],
        }
        steps = ",\n".join(json.dumps(step) for step in shortened(self._steps, commits[0]))
        text = json.dumps(head, indent=1)[:-2] + f',\n "steps": [\n{steps}\n]\n}}\n'
        text = text.replace(self._fleet.namespace, "shop")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(text, encoding="utf-8")

    def _take(self, change: Change) -> None:
        step = {
            "at": round(time.monotonic() - self._begun, 2),
            "kind": change.query.kind,
            "objects": [_trimmed({**one, "kind": change.query.kind}) for one in change.objects],
            **({"whole": True} if change.whole else {}),
            **({"deleted": True} if change.deleted else {}),
        }
        if not self._steps or {**self._steps[-1], "at": 0} != {**step, "at": 0}:
            self._steps.append(step)

    def _commit(self, commit: str) -> dict[str, Any]:
        """Return what stands about the cart at a commit, by which commits are related."""
        listed = self._fleet.shop.git("ls-tree", "-r", "--name-only", commit).split()
        state = ".gitops-rollback/default/cart.json"
        place = self._fleet.place
        text = self._fleet.shop.git("show", f"{commit}:{place.path}")
        field = find_fields(parse(place.path, text.encode()))[0]
        entries = []
        if state in listed:
            deployed = json.loads(self._fleet.shop.git("show", f"{commit}:{state}"))["deployed"]
            entries = [one["id"] for one in deployed]
        return {"commit": commit, "image": field.value, "entries": entries}


def shortened(steps: list[dict[str, Any]], first: str) -> list[dict[str, Any]]:
    """Return the steps of a recording from the first change on, before it only what there was.

    `first` is the commit that stands before any change: the last time that the source had it.
    """
    held = [
        number
        for number, step in enumerate(steps)
        if step["kind"] == "GitRepository"
        and any(first in json.dumps(one.get("status", {})) for one in step["objects"])
    ]
    begin = held[-1] if held else 0
    found: dict[str, dict[str, Any]] = {step["kind"]: {} for step in steps}
    for step in steps[:begin]:
        if step.get("whole"):
            found[step["kind"]].clear()
        for one in step["objects"]:
            found[step["kind"]].pop(one["metadata"]["name"], None)
            if not step.get("deleted"):
                found[step["kind"]][one["metadata"]["name"]] = one
    at = steps[begin]["at"]
    listed = [
        {"at": 0.0, "kind": kind, "objects": [*there.values()], "whole": True}
        for kind, there in sorted(found.items())
    ]
    return [*listed, *({**step, "at": round(step["at"] - at, 2)} for step in steps[begin:])]


def _trimmed(found: dict[str, Any]) -> dict[str, Any]:
    """Return an object with what judgements read, and what it is known by."""
    wanted = _WANTED.get(found["kind"], _WANTED["Deployment"])
    trimmed: dict[str, Any] = _only(found, wanted)
    fields = [
        entry
        for entry in found.get("metadata", {}).get("managedFields", ())
        if "f:image" in json.dumps(entry.get("fieldsV1", {})) and not entry.get("subresource")
    ]
    if any(entry.get("manager") not in _FLUX for entry in fields):
        trimmed["metadata"]["managedFields"] = fields  # somebody else than Flux has set an image
    return trimmed


def _only(value: Any, wanted: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return [_only(one, wanted) for one in value]
    if not isinstance(value, dict) or wanted is None:
        return value
    return {key: _only(value[key], below) for key, below in wanted.items() if key in value}
