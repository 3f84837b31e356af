"""What a person asks for, of one service: the meaning of the options. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gitops_rollback.late import dataclass

if TYPE_CHECKING:
    from gitops_rollback.decide.plan import PlanFile
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.model import Build

Action = Literal["record", "deploy", "rollback", "release", "repair", "retire"]


@dataclass(frozen=True)
class Wish:
    """What is to be done to a service, by whom, when and why, and which refusals are accepted.

    `present` is the time of the run. `expected` is what must run now (`--from`), `record` what was
    archived before this run, `holds` the ids of the holds that the person saw (empty: saw that
    nothing was held; None: nobody says). A deploy has an `image`; with `releases` it ends the hold;
    with `before_build` it is still to be built: its digest is not known, and nothing is changed. A
    rollback says how to choose: by `strategy` and `query`, as `planned`, or by name: `to`, `as_of`
    (a time). `unattended`: nobody reads the plan's warnings. `only_looks`: nothing will be written,
    so nothing is looked up that is only written. `effect_proof` is what the command line says of
    builds that prove an effect; None: as it is configured.
    """

    action: Action
    present: str
    by: str | None = None
    reason: str | None = None
    build: Build | None = None
    accept: frozenset[str] = frozenset()
    expected: ImageReference | None = None
    record: StoredRecord | None = None
    holds: tuple[str, ...] | None = None
    image: ImageReference | None = None
    releases: bool = False
    before_build: bool = False
    forgive: tuple[str, ...] = ()
    strategy: str = "auto"
    query: str | None = None
    to: str | None = None
    as_of: str | None = None
    planned: PlanFile | None = None
    again: bool = False
    unattended: bool = False
    only_looks: bool = False
    effect_proof: str | None = None

    @property
    def is_named(self) -> bool:
        """Whether one image is meant, and not the previous one."""
        return not (self.to is None and self.as_of is None and self.planned is None)
