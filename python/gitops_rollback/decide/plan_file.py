"""Plans as files: what `plan --output` writes and `rollback --plan` takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gitops_rollback import schema
from gitops_rollback.errors import NotFoundError, UsageError
from gitops_rollback.image import ImageReference, parse_image
from gitops_rollback.model import without_none

if TYPE_CHECKING:
    from gitops_rollback.decide.facts import Plan

LARGEST_PLAN = 10_000_000  # bytes
HINT = "make it with gitops-rollback plan --output FILE"


@dataclass(frozen=True)
class PlannedService:
    """From and to of one service, as a plan file fixes them; `to` is None where it found none."""

    service: str
    environment: str
    strategy: str
    running: ImageReference
    to: ImageReference | None


@dataclass(frozen=True)
class PlanFile:
    """A plan that was made before."""

    repository: str
    branch: str
    services: tuple[PlannedService, ...]

    def planned(self, service: str, environment: str) -> PlannedService:
        """Return the plan of a service; raise `UsageError` if there is none."""
        for planned in self.services:
            if (planned.service, planned.environment) == (service, environment):
                return planned
        raise UsageError(f"the plan does not name {service} {environment}", HINT)

    def target(self, service: str, environment: str) -> ImageReference:
        """Return the image that is planned for a service; raise `NotFoundError` if it has none."""
        to = self.planned(service, environment).to
        if to is None:
            raise NotFoundError(
                f"the plan found no image to go back to for {service} {environment}",
                "plan again with --to or --as-of, or without this service",
            )
        return to


def plan_to_json(plan: Plan, edits: list[dict[str, Any]], value: str | None) -> dict[str, Any]:
    """Return a service's part of a plan; `value` is the text its first field would get."""
    chosen = plan.chosen
    to = None
    if chosen is not None:
        to = without_none(
            {
                "image": chosen.image.canonical,
                "value": value,
                "source": plan.source,
                "build": chosen.build.to_json() if chosen.build else None,
                "record": chosen.stored.sha256 if chosen.stored else None,
                "verified": chosen.verified,
            }
        )
    return without_none(
        {
            "service": plan.service,
            "environment": plan.environment,
            "strategy": plan.strategy,
            "current": {"image": plan.running.canonical, "value": plan.value},
            "to": to,
            "edits": edits,
            "candidates": [candidate.to_json() for candidate in plan.candidates],
            "hold": plan.hold.to_json() if plan.hold else None,
            "findings": [*plan.findings, *plan.warnings],
            "blockedBy": [block.to_json() for block in plan.blocks],
        }
    )


def parse_plan(data: bytes, path: str) -> PlanFile:
    """Read a plan; raise `UsageError` naming `path` if it is none, or chose no image."""
    try:
        document = schema.read(data, "plan", LARGEST_PLAN)
        services = tuple(_planned(entry) for entry in document["services"])
        plan = PlanFile(document["repository"], document["branch"], services)
    except (ValueError, KeyError) as error:
        raise UsageError(f"{path} is no plan to follow: {error}", HINT) from error
    if not any(service.to for service in services):
        names = ", ".join(service.service for service in services[:3])
        what = f"found no image to go back to for {names}" if services else "names no service"
        raise UsageError(f"{path} is no plan to follow: it {what}", HINT)
    return plan


def _planned(entry: dict[str, Any]) -> PlannedService:
    return PlannedService(
        service=entry["service"],
        environment=entry["environment"],
        strategy=entry["strategy"],
        running=parse_image(entry["current"]["image"]),
        to=parse_image(entry["to"]["image"]) if "to" in entry else None,
    )
