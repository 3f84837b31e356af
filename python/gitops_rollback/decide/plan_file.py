"""Plans as files: what `plan` writes is what `rollback --plan` takes. Pure."""

from __future__ import annotations

from typing import Any

from gitops_rollback import schema
from gitops_rollback.effective.proof import Proof, read_proof
from gitops_rollback.errors import NotFoundError, UsageError
from gitops_rollback.image import ImageReference, parse_image
from gitops_rollback.late import dataclass
from gitops_rollback.model import title

LARGEST_PLAN = 10_000_000  # bytes
HINT = "make it with gitops-rollback plan --output FILE"


@dataclass(frozen=True)
class PlannedService:
    """From and to of one service, as a plan file fixes them; `to` is None where it found none.

    `is_named`: a person named the image, by `--to` or `--as-of`. `proof` is what proved there that
    it takes effect.
    """

    service: str
    environment: str
    strategy: str
    running: ImageReference
    to: ImageReference | None
    is_named: bool = False
    proof: Proof | None = None


@dataclass(frozen=True)
class PlanFile:
    """A plan that was made before."""

    path: str
    repository: str
    branch: str
    services: tuple[PlannedService, ...]

    def planned(self, service: str, environment: str) -> PlannedService:
        """Return the plan of a service; raise `UsageError` if there is none."""
        for planned in self.services:
            if (planned.service, planned.environment) == (service, environment):
                return planned
        raise UsageError(f"the plan does not name {title(service, environment)}", HINT)

    def target(self, service: str, environment: str) -> ImageReference:
        """Return the image that is planned for a service; raise `NotFoundError` if it has none."""
        to = self.planned(service, environment).to
        if to is None:
            raise NotFoundError(
                f"the plan found no image to go back to for {title(service, environment)}",
                "plan again with --to or --as-of, or without this service",
            )
        return to


def parse_plan(data: bytes, path: str) -> PlanFile:
    """Read a plan; raise `UsageError` naming `path` if it is none, or chose no image."""
    try:
        document = schema.read(data, "plan", LARGEST_PLAN)
        services = tuple(_planned(entry) for entry in document["services"])
        plan = PlanFile(path, document["repository"], document["branch"], services)
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
        is_named=entry.get("named", False),
        proof=read_proof(entry["effectProof"]) if "effectProof" in entry else None,
    )
