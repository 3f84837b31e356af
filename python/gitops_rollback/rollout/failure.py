"""A rollout that failed, or seems to: who, on which object and field, and what to do. Pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass
from gitops_rollback.model import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.rollout.target import Target

FOREVER = float("inf")
_LONGEST = 600


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
        ours = {
            Whose.OURS: "",
            Whose.OTHER: "this is not ours but another service's in the same Kustomization",
            Whose.CLUSTER: "",
        }[self.whose]
        parts = (self.message, ours, self.serving, self.retries)
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
