"""What is waited for: one service's image, as one commit put it into the manifests. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitops_rollback.image import ImageReference


class Relation(Enum):
    """How another commit stands to the change that is waited for."""

    OURS = "ours"  # it is the change itself
    HOLDS = "holds"  # a later one, in which the change still stands
    BEFORE = "before"  # the change is not in it, and nothing shows that it was taken out
    REPLACED = "replaced"  # a later one, in which another change has replaced ours


@dataclass(frozen=True)
class Place:
    """Where a manifest names the image; `kind` and `name` are those of the object.

    `overlay` is the kustomization elsewhere that takes the file, if there is one: what is applied.
    """

    path: str
    kind: str
    name: str
    overlay: str = ""

    @property
    def applied(self) -> str:
        """The file that Flux is told to apply."""
        return self.overlay or self.path


@dataclass(frozen=True)
class Target:
    """One service of a change: `entry` is the id of its newest deployment in the state file."""

    service: str
    environment: str
    image: ImageReference
    commit: str
    branch: str
    places: tuple[Place, ...]
    entry: str = ""

    @property
    def title(self) -> str:
        """Service and environment, as people read them: `cart production`."""
        return f"{self.service} {self.environment}"

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that name the image."""
        return tuple(dict.fromkeys(place.path for place in self.places))

    @property
    def is_by_values(self) -> bool:
        """Whether files with Helm values name it: what applies them is not to be seen in them."""
        return any(place.kind == "Values" for place in self.places)


@dataclass(frozen=True)
class Stand:
    """What stands about the service at another commit: its image, and its deployments' ids."""

    image: ImageReference | None
    entries: tuple[str, ...] = ()
    who: str = ""


def relation(target: Target, stand: Stand) -> Relation:
    """Tell how a commit with this stand relates to the change.

    A state file that begins with our entry, and a field with our image: the change still stands.
    Ours among the older entries, or another image under our entry: it was replaced.
    """
    same_image = stand.image is not None and stand.image.is_same_image(target.image)
    if not target.entry:
        return Relation.HOLDS if same_image else Relation.BEFORE
    if stand.entries[:1] == (target.entry,):
        return Relation.HOLDS if same_image else Relation.REPLACED
    return Relation.REPLACED if target.entry in stand.entries else Relation.BEFORE
