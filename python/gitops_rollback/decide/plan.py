"""The plan: from, to, why, the exact edits, what stands in the way; as a value and as a file.

What `plan` writes is what `rollback --plan` takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback import schema
from gitops_rollback.effective.proof import Proof, read_proof
from gitops_rollback.errors import NotFoundError, UsageError
from gitops_rollback.image import ImageReference, parse_image
from gitops_rollback.late import dataclass, replace
from gitops_rollback.ledger.events import ARTIFACT, GIT
from gitops_rollback.model import title, without_none

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.decide.facts import Check
    from gitops_rollback.ledger.events import Event
    from gitops_rollback.ledger.holds import Hold
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.manifest.edit import FieldEdit
    from gitops_rollback.model import Build
    from gitops_rollback.refusals import Refusal

LARGEST_PLAN = 10_000_000  # bytes
HINT = "make it with gitops-rollback plan --output FILE"


@dataclass(frozen=True)
class Candidate:
    """An image a rollback could go to, with a verdict and a reason.

    `notes` are what to know of it if it is chosen.
    """

    image: ImageReference
    sources: frozenset[str]
    deployed_at: str | None = None
    placed: Event | None = None
    replaced: Event | None = None
    stored: StoredRecord | None = None
    verdict: str = "acceptable"
    reason: str | None = None
    message: str = ""
    check: Check | None = None
    notes: tuple[str, ...] = ()
    built_at: str | None = None
    revision: str | None = None

    @property
    def is_refused(self) -> bool:
        """Whether something refuses it."""
        return self.verdict == "refused"

    @property
    def is_chosen(self) -> bool:
        """Whether it is the one to go back to."""
        return self.verdict == "chosen"

    @property
    def verified(self) -> bool:
        """Whether the registry confirmed that the image is there."""
        return self.check is not None and self.check.status == "there"

    @property
    def is_told(self) -> bool:
        """Whether the ledger tells of it: a record, or Git."""
        return not self.sources.isdisjoint((ARTIFACT, GIT))

    @property
    def build(self) -> Build | None:
        """The build that deployed this image: what `--to '#41'` means."""
        return self.placed.build if self.placed else None

    @property
    def archived_by(self) -> Build | None:
        """The build whose archive holds the record of this image: the one that replaced it."""
        return self.replaced.build if self.replaced else None

    def refused(self, reason: str | None, message: str) -> Candidate:
        """Return the candidate as refused."""
        return replace(self, verdict="refused", reason=reason, message=message)

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as it stands in plans."""
        return without_none(
            {
                "image": self.image.canonical,
                "sources": sorted(self.sources),
                "deployedAt": self.deployed_at,
                "builtAt": self.built_at,
                "revision": self.revision,
                "by": self.placed.by if self.placed else None,
                "build": self.build.to_json() if self.build else None,
                "archivedBy": self.archived_by.to_json() if self.archived_by else None,
                "commit": self.placed.commit if self.placed else None,
                "verdict": self.verdict,
                "reason": self.reason,
                "message": self.message,
                "verified": self.verified,
            }
        )


@dataclass(frozen=True)
class Plan:
    """The decision of a rollback for one service: from, to, why, and what stands in the way.

    `findings` are for who reads the plan; `warnings` go into a rollback's result too, and
    `storage_changes` and `passed_over`, which are among them, into its commit. `is_named`: a person
    named the image, so that going back is no accident. `proof` is what proves that it takes effect.
    """

    service: str
    environment: str
    strategy: str
    running: ImageReference
    value: str
    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    source: str | None = None
    blocks: tuple[Refusal, ...] = ()
    findings: tuple[str, ...] = ()
    hold: Hold | None = None
    lost: tuple[Refusal, ...] = ()  # holds that may be of the service, as they refuse a deploy
    warnings: tuple[str, ...] = ()
    storage_changes: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    left: str | None = None  # a tag that could be taken by name, where the order gives none
    is_named: bool = False
    edits: tuple[FieldEdit, ...] = ()
    proof: Proof | None = None

    @property
    def title(self) -> str:
        """Service and environment, as people read them."""
        return title(self.service, self.environment)

    @property
    def runs_already(self) -> bool:
        """Whether the image that was named is the one that runs: nothing to do."""
        return bool(self.blocks) and self.blocks[0].code == "running"

    def to_json(self) -> dict[str, Any]:
        """Return the service's part of a plan."""
        chosen = self.chosen
        to = None
        if chosen is not None:
            to = without_none(
                {
                    "image": chosen.image.canonical,
                    "value": self.edits[0].value if self.edits else None,
                    "source": self.source,
                    "build": chosen.build.to_json() if chosen.build else None,
                    "archivedBy": chosen.archived_by.to_json() if chosen.archived_by else None,
                    "record": chosen.stored.sha256 if chosen.stored else None,
                    "verified": chosen.verified,
                }
            )
        return without_none(
            {
                "service": self.service,
                "environment": self.environment,
                "strategy": self.strategy,
                "current": {"image": self.running.canonical, "value": self.value},
                "to": to,
                "named": self.is_named or None,
                "passedOver": list(self.passed_over) or None,
                "edits": edits_to_json(self.edits),
                "effectProof": self.proof.to_json() if self.proof else None,
                "candidates": [candidate.to_json() for candidate in self.candidates],
                "hold": self.hold.to_json() if self.hold else None,
                "findings": [*self.findings, *self.warnings],
                "blockedBy": [block.to_json() for block in self.blocks],
            }
        )


def edits_to_json(edits: Iterable[FieldEdit]) -> list[dict[str, Any]]:
    """Return edits as they stand in results and plans."""
    return [
        {
            "path": edit.field.path,
            "line": edit.field.scalar.line,
            "container": edit.field.container,
            "old": edit.field.value,
            "new": edit.value,
            **({"overrides": list(edit.field.overrides)} if edit.field.overrides else {}),
        }
        for edit in edits
    ]


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
        blocks = [block for one in document["services"] for block in one.get("blockedBy", ())]
        refused = f" (refused: {blocks[0]['code']})" if blocks else ""
        hint = f"{HINT}; {blocks[0]['hint']}" if blocks else HINT
        raise UsageError(f"{path} is no plan to follow: it {what}{refused}", hint)
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
