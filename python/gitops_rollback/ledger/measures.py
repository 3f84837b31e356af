"""Numbers from the ledger, as DORA defines them (https://dora.dev/guides/dora-metrics/). Pure.

Deployment frequency: deploys in the window, by day. Change failure rate: the share of these deploys
whose image was rolled back from, or stands on the bad list. Failed deployment recovery time: from
the deploy of the bad image to the push of the rollback, and to the moment a cluster had it, where a
wait saw that. A rollback holds: how long until a release or the next deploy is counted, too.
"""

from __future__ import annotations

from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass
from gitops_rollback.ledger.events import is_named
from gitops_rollback.model import DEPLOY, ROLLBACK, without_none

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops_rollback.image import ImageReference

RELEASE = "release"
_DAY = 86_400  # seconds


@dataclass(frozen=True)
class Happening:
    """A deploy, a rollback or a release, and when; `at` is UTC, as `clock.now` writes it.

    `applied_at` is when a wait saw that clusters have it, UTC too.
    """

    at: str
    action: str
    image: ImageReference
    from_image: ImageReference | None = None
    applied_at: str | None = None


@dataclass(frozen=True)
class Measures:
    """What one service, or several, came to in a window; times are seconds.

    `complete_since` is from when on everything is known; `open_holds` are in force at its end.
    """

    days: float
    complete_since: str
    deployments: int = 0
    failures: int = 0
    rollbacks: int = 0
    recoveries: tuple[float, ...] = ()
    live_recoveries: tuple[float, ...] = ()
    holds: tuple[float, ...] = ()
    open_holds: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the numbers; a rate or a median of nothing is left out."""
        return without_none(
            {
                "completeSince": self.complete_since,
                "deployments": self.deployments,
                "deploymentsPerDay": round(self.deployments / self.days, 3),
                "failedDeployments": self.failures,
                "changeFailureRate": _rate(self.failures, self.deployments),
                "rollbacks": self.rollbacks,
                "recoverySeconds": _spread(self.recoveries),
                "recoveryAppliedSeconds": _spread(self.live_recoveries),
                "holdSeconds": _spread(self.holds),
                "openHolds": self.open_holds,
            }
        )


def measure(
    happenings: Iterable[Happening],
    bad: Iterable[ImageReference],
    *,
    since: str,
    present: str,
    complete_since: str,
) -> Measures:
    """Measure one service from `since` to `present`; `bad` is its bad list.

    Of happenings of the same second, what is given first came first.
    """
    told = sorted(happenings, key=lambda one: one.at)
    failures = _failures(told)
    failed = {index for index, _rollback in failures}
    taken_back = [
        (told[deploy].at, told[rollback])
        for deploy, rollback in failures
        if told[rollback].at >= since
    ]
    marked = tuple(bad)
    deploys = [index for index, one in enumerate(told) if one.action == DEPLOY and one.at >= since]
    marks = {index for index in deploys if _is_newest_of_a_bad_image(told, index, marked)}
    rollbacks = [one for one in told if one.action == ROLLBACK and one.at >= since]
    holds, open_holds = _holds(told, since, present)
    return Measures(
        days=max(_seconds(since, present) / _DAY, 1 / _DAY),
        complete_since=complete_since,
        deployments=len(deploys),
        failures=len([index for index in deploys if index in failed | marks]),
        rollbacks=len(rollbacks),
        recoveries=tuple(_seconds(deployed, one.at) for deployed, one in taken_back),
        live_recoveries=tuple(
            _seconds(deployed, one.applied_at) for deployed, one in taken_back if one.applied_at
        ),
        holds=tuple(holds),
        open_holds=open_holds,
    )


def together(measures: Sequence[Measures]) -> Measures:
    """Return the measures of several services as those of one; times are pooled."""
    return Measures(
        days=measures[0].days,
        complete_since=max(one.complete_since for one in measures),
        deployments=sum(one.deployments for one in measures),
        failures=sum(one.failures for one in measures),
        rollbacks=sum(one.rollbacks for one in measures),
        recoveries=tuple(time for one in measures for time in one.recoveries),
        live_recoveries=tuple(time for one in measures for time in one.live_recoveries),
        holds=tuple(time for one in measures for time in one.holds),
        open_holds=sum(one.open_holds for one in measures),
    )


def _failures(told: Sequence[Happening]) -> list[tuple[int, int]]:
    """Return the places of each failed deploy and of the rollback that took it back."""
    found = []
    for place, one in enumerate(told):
        if one.action == ROLLBACK and one.from_image is not None:
            own = [
                number
                for number, earlier in enumerate(told[:place])
                if earlier.action == DEPLOY and is_named(earlier.image, one.from_image)
            ]
            found += [(number, place) for number in own[-1:]]
    return found


def _is_newest_of_a_bad_image(
    told: Sequence[Happening], place: int, bad: Sequence[ImageReference]
) -> bool:
    image = told[place].image
    if not any(is_named(image, one) for one in bad):
        return False
    later = told[place + 1 :]
    return not any(one.action == DEPLOY and is_named(one.image, image) for one in later)


def _holds(told: Sequence[Happening], since: str, present: str) -> tuple[list[float], int]:
    """Return how long each hold of the window lasted, and how many last still."""
    lasted: list[float] = []
    begun: str | None = None
    for one in told:
        if begun is not None and begun >= since:
            lasted.append(_seconds(begun, one.at))
        begun = one.at if one.action == ROLLBACK else None
    if begun is None:
        return lasted, 0
    return ([*lasted, _seconds(begun, present)] if begun >= since else lasted), 1


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _spread(times: Sequence[float]) -> dict[str, float] | None:
    if not times:
        return None
    return {"count": len(times), "median": round(median(times), 1), "longest": round(max(times), 1)}


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
