"""What is known of a change in one cluster, where it stands, and why it fails. Pure."""

from __future__ import annotations

import shlex
from enum import Enum
from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass, field, regex, replace
from gitops_rollback.model import one_line
from gitops_rollback.rollout.target import Relation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops_rollback.rollout.appliers import Reconciler, Source
    from gitops_rollback.rollout.raw import Name
    from gitops_rollback.rollout.target import Target
    from gitops_rollback.rollout.workloads import Pod, Workload

FOREVER = float("inf")
IN_STEP = 5.0  # seconds: each kind is watched by itself, so of two one may be seen as it was
_LONGEST = 600
_SERVING = ("ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet")  # what makes pods
# A command that asks a cluster, and that names none.
_COMMAND = regex(r"\b(kubectl|flux) (?!--context )(?=[a-z-])")


class Whose(Enum):
    """Whose a failure is."""

    OURS = "ours"  # an object of the service
    OTHER = "other"  # another service's, in the same Kustomization
    CLUSTER = "cluster"  # the cluster's or Flux's own


@dataclass(frozen=True)
class Failure:
    """Why a change does not get through, or may not.

    `message` is one sentence that names who failed, object and field. `by_image` says that the
    image is to blame, so that going back to another one helps. `retries` says who tries again by
    itself. `serving` says what the old pods do. `patience` is for how many seconds it may last
    before it counts: 0 is at once, `FOREVER` only when time is up.
    """

    code: str
    message: str
    hint: str
    whose: Whose
    object: str = ""
    field: str = ""
    by_image: bool = False
    retries: str = ""
    serving: str = ""
    patience: float = 0.0

    @property
    def sentence(self) -> str:
        """The whole sentence: what failed, whose it is, what still serves, who tries again."""
        others = "this is not ours but another service's in the same Kustomization"
        theirs = others if self.whose is Whose.OTHER else ""
        parts = (self.message, theirs, self.serving, self.retries)
        return "; ".join(part for part in parts if part)

    def to_json(self) -> dict[str, Any]:
        """Return the failure as it stands in results."""
        optional = {
            "object": self.object,
            "field": self.field,
            "serving": self.serving,
            "retries": self.retries,
        }
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "whose": self.whose.value,
            "byImage": self.by_image,
            **{key: value for key, value in optional.items() if value},
        }


def short(text: str) -> str:
    """Return what a controller says as one line of bounded length."""
    return one_line(text, _LONGEST)


def in_context(text: str, context: str) -> str:
    """Return a text whose commands ask the cluster of a kubeconfig's context, where one is named.

    By the current one they may change another cluster.
    """
    named = f"--context {shlex.quote(context)} "
    return _COMMAND.sub(lambda found: found[0] + named, text) if context else text


def go_back(target: Target) -> str:
    """Return the hint that undoes the change."""
    given = f" {target.given}" if target.given else ""
    if not given and target.environment != "default":
        given = f" --environment {target.environment}"
    return f"to go back: gitops-rollback rollback --service {target.service}{given} --reason …"


def told_first(failures: Sequence[Failure]) -> Failure:
    """Return the failure of several that is told: one that another image mends, if there is one.

    Going back to another image is what people, and an automatic rollback, do about it.
    """
    return next((failure for failure in failures if failure.by_image), failures[0])


class State(Enum):
    """How far a change is; the first three are not the end."""

    FETCHING = "fetching"  # Flux has not fetched it
    APPLYING = "applying"  # fetched, not applied
    ROLLING = "rolling-out"  # the workloads were told; the pods are not there yet
    READY = "ready"  # proven: the pods run the digest
    APPLIED = "applied"  # applied, and it is not proven that pods run it
    REPLACED = "replaced"  # another change took its place before it was done
    FAILED = "failed"


@dataclass(frozen=True)
class View:
    """What one cluster shows of one target.

    `workloads` are those of the service that its appliers have in their inventories, and `missing`
    those that Git holds and of which none was found; None where they may not be read. `rivals` are
    the Kustomizations that have applied one of them beside those of the service. `unseen` says what
    of them may not be read where others may, one text each. `pods` are None where they may
    not be read. `relations` says how commits that were met stand to the change. `token` is the
    value that our nudge has set on the source, empty if none, `told` the last one on each object
    that applies the service. `listed` says that workloads and pods were listed: before that, those
    that are missing mean nothing.
    """

    source: Source
    kustomizations: tuple[Reconciler, ...]
    releases: tuple[Reconciler, ...] = ()
    workloads: tuple[Workload, ...] | None = ()
    missing: tuple[str, ...] = ()
    rivals: tuple[Reconciler, ...] = ()
    unseen: tuple[str, ...] = ()
    pods: tuple[Pod, ...] | None = ()
    relations: Mapping[str, Relation] = field(default_factory=dict)
    token: str = ""
    told: Mapping[Name, str] = field(default_factory=dict)
    listed: bool = True
    context: str = ""

    def relation(self, target: Target, commit: str) -> Relation | None:
        """Return how a commit stands to the change; None where that is not known yet."""
        if not commit:
            return Relation.BEFORE
        return Relation.OURS if commit == target.commit else self.relations.get(commit)

    def has_told(self, target: Target) -> bool:
        """Tell whether the service's workloads were all told the target's image."""
        found = self.workloads or ()
        return bool(found) and all(one.is_told(target) for one in found)

    def pods_of(self, workload: Workload) -> list[Pod]:
        """Return the pods that a workload has made; where none says who did, those it selects."""
        selected = self._selected(workload)
        return [one for one in selected if one.is_owned] or selected

    def strangers_of(self, target: Target, workload: Workload) -> list[Pod]:
        """Return the pods that a workload selects beside those of the service: nobody owns them.

        Or what serves as it does has made them of the same image repository: a workload that was
        called otherwise, and is still there.
        """
        known = [one for each in self.workloads or () for one in self.pods_of(each)]
        return [
            one
            for one in self.pods or ()
            if one.is_selected(workload.name, workload.selector)
            and not one.ended
            and one not in known
            and (
                not one.is_owned
                or (
                    one.owner[0] in _SERVING
                    and any(target.is_of_repository(box.image) for box in one.containers)
                )
            )
        ]

    def _selected(self, workload: Workload) -> list[Pod]:
        return [one for one in self.pods or () if one.is_of(workload.name, workload.selector)]


@dataclass(frozen=True)
class SetImage:
    """The live image that is to become what Git holds: that ends a health check of a bad one.

    `pointer` is the container's place in the object, `instead_of` its image by now.
    """

    workload: Name
    container: str
    value: str
    pointer: str
    instead_of: str
    context: str = ""

    @property
    def command(self) -> str:
        """The command by which a person does it."""
        name = self.workload
        return in_context(
            f"kubectl --namespace {name.namespace} set image "
            f"{name.kind.lower()}/{name.name} {self.container}={self.value}",
            self.context,
        )


@dataclass(frozen=True)
class Standing:
    """Where a change stands: `message` says what it waits for, or how it ended.

    `failure` is certain; `suspicion` is one that may pass. `asks` names commits whose relation has
    to be looked up first, `nudge` tells after how many seconds of this what applies it has to be
    told to look again.
    `hastens` are live images that would end what it waits for.
    """

    state: State
    message: str
    failure: Failure | None = None
    suspicion: Failure | None = None
    asks: tuple[str, ...] = ()
    nudge: float = FOREVER
    warnings: tuple[str, ...] = ()
    hastens: tuple[SetImage, ...] = ()

    def in_context(self, context: str) -> Standing:
        """Return it with hints whose commands ask the cluster of a context."""
        failure, suspicion = (
            one and replace(one, hint=in_context(one.hint, context))
            for one in (self.failure, self.suspicion)
        )
        return replace(self, failure=failure, suspicion=suspicion)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to wait for."""
        return self.state not in (State.FETCHING, State.APPLYING, State.ROLLING)


# Before that, what is not there means nothing.
LISTING = Standing(State.APPLYING, "the cluster to list the workloads")


def failed(failure: Failure) -> Standing:
    """Return the standing of a change that failed for sure."""
    return Standing(State.FAILED, failure.sentence, failure=failure)


def suspect(state: State, waits: str, failure: Failure, *, nudge: float = FOREVER) -> Standing:
    """Return the standing of a change that seems to fail: for sure, where nothing can mend it."""
    if not failure.patience:
        return failed(failure)
    return Standing(state, f"{waits}: {failure.message}", suspicion=failure, nudge=nudge)


def urgency(standing: Standing) -> tuple[int, float]:
    """Return by what one of several standings is told: one that failed, then one that may fail."""
    if standing.suspicion is None:
        return (0 if standing.failure else 2, 0.0)
    return (1, standing.suspicion.patience)
