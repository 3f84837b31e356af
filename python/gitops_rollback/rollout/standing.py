"""What is known of a change in one cluster, and where it stands. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from gitops_rollback.rollout.target import Relation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.rollout.failure import Failure
    from gitops_rollback.rollout.pods import Pod
    from gitops_rollback.rollout.reconcilers import Reconciler, Source
    from gitops_rollback.rollout.target import Target
    from gitops_rollback.rollout.workloads import Workload


class State(Enum):
    """How far a change is; the first three are not the end."""

    FETCHING = "fetching"  # Flux has not fetched it
    APPLYING = "applying"  # fetched, not applied
    ROLLING = "rolling-out"  # the workloads were told; the pods are not there yet
    READY = "ready"  # the pods run the image
    APPLIED = "applied"  # applied, and nothing tells whether pods run
    REPLACED = "replaced"  # another change took its place before it was done
    FAILED = "failed"


@dataclass(frozen=True)
class View:
    """What one cluster shows of one target.

    `workloads` and `pods` are None where they may not be read. `relations` says how commits that
    were met stand to the change. `token` is the value our nudge has set on the source, empty if it
    could not; `nudged` says that it was set on the Kustomizations too. `listed` says that workloads
    and pods were listed: before that, those that are missing mean nothing.
    """

    source: Source
    kustomizations: tuple[Reconciler, ...]
    releases: tuple[Reconciler, ...] = ()
    workloads: tuple[Workload, ...] | None = ()
    pods: tuple[Pod, ...] | None = ()
    relations: Mapping[str, Relation] = field(default_factory=dict)
    token: str = ""
    nudged: bool = False
    listed: bool = True

    def relation(self, target: Target, commit: str) -> Relation | None:
        """Return how a commit stands to the change; None where that is not known yet."""
        if not commit:
            return Relation.BEFORE
        return Relation.OURS if commit == target.commit else self.relations.get(commit)


@dataclass(frozen=True)
class Standing:
    """Where a change stands: `message` says what it waits for, or how it ended.

    `failure` is certain; `suspicion` is one that may pass. `asks` names commits whose relation has
    to be looked up first, `nudge` says that what applies it has to be told to look again.
    """

    state: State
    message: str
    failure: Failure | None = None
    suspicion: Failure | None = None
    asks: tuple[str, ...] = ()
    nudge: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to wait for."""
        return self.state not in (State.FETCHING, State.APPLYING, State.ROLLING)


def failed(failure: Failure) -> Standing:
    """Return the standing of a change that failed for sure."""
    return Standing(State.FAILED, failure.sentence, failure=failure)


def suspect(state: State, waits: str, failure: Failure) -> Standing:
    """Return the standing of a change that seems to fail: for sure, where nothing can mend it."""
    if not failure.patience:
        return failed(failure)
    return Standing(state, f"{waits}: {failure.message}", suspicion=failure)
