"""Whether a change really runs: this is the door, by which the rest of the house comes in.

`Rollout` waits for a change; `kustomizations` lists what Flux applies in the cluster at hand.
"""

from gitops_rollback.rollout.access import Asked, NoAccessError, asked
from gitops_rollback.rollout.cluster import kustomizations
from gitops_rollback.rollout.standing import Failure, State
from gitops_rollback.rollout.target import InGit, Place, Stand, Target, about, belongings_of
from gitops_rollback.rollout.track import (
    UNSEEN,
    Track,
    error_of,
    failures_of,
    overall,
    refuse_others,
)
from gitops_rollback.rollout.waiting import Lost, Rollout, Seen, Wish

__all__ = [
    "UNSEEN",
    "Asked",
    "Failure",
    "InGit",
    "Lost",
    "NoAccessError",
    "Place",
    "Rollout",
    "Seen",
    "Stand",
    "State",
    "Target",
    "Track",
    "Wish",
    "about",
    "asked",
    "belongings_of",
    "error_of",
    "failures_of",
    "kustomizations",
    "overall",
    "refuse_others",
]
