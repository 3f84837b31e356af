"""Who changes something, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitops_rollback.model import Build


@dataclass(frozen=True)
class Act:
    """Who changes something, when, why, and which refusals that person accepts.

    `pin` and `hold_kind` are the service's settings; `releases` tells that a hold is to end.
    """

    present: str
    accept: frozenset[str] = frozenset()
    releases: bool = False
    pin: str = "digest"
    hold_kind: str = "service"
    build: Build | None = None
    by: str | None = None
    reason: str | None = None

    @property
    def ends_hold(self) -> bool:
        """Whether a deploy by this act ends a hold."""
        return self.releases or self.hold_kind == "image"
