"""Plans as a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.decide.change import Change, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops_rollback.decide.plan import Plan
    from gitops_rollback.look.snapshot import Snapshot
    from gitops_rollback.session import Session


def plans_of(decided: Sequence[Change | Refused]) -> list[Plan]:
    """Return the plans; raise the error of a service that has none."""
    for one in decided:
        if one.plan is None:
            assert isinstance(one, Refused)  # noqa: S101 - a change of a rollback has its plan
            raise one.error
    return [one.plan for one in decided if one.plan is not None]


def plans_to_json(
    session: Session, snapshot: Snapshot, decided: Iterable[Change | Refused]
) -> dict[str, Any]:
    """Return plans as a result; a service that has none is left out."""
    tip = snapshot.services[0].tip
    return {
        "repository": session.url,
        "branch": tip.branch,
        "commit": tip.commit,
        "services": [one.plan.to_json() for one in decided if one.plan is not None],
        "seconds": session.watch.seconds(),
    }
