"""What the rules of choosing work on, what they may still ask for, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gitops_rollback.model import without_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.events import Event, HistoryEntry
    from gitops_rollback.ledger.holds import Hold
    from gitops_rollback.ledger.records import MissingRecord, StoredRecord
    from gitops_rollback.ledger.state import State
    from gitops_rollback.model import Build
    from gitops_rollback.query.tags import Tag
    from gitops_rollback.refusals import Block
    from gitops_rollback.services.config import Settings


@dataclass(frozen=True)
class Choice:
    """What the person asks for.

    `planned` is the image a plan file fixed, `as_of` the time whose image is meant; `unattended`
    says that nobody reads the plan's warnings.
    """

    strategy: str = "auto"
    to: str | None = None
    as_of: str | None = None
    planned: ImageReference | None = None
    query: str | None = None
    again: bool = False
    accept: frozenset[str] = frozenset()
    from_image: ImageReference | None = None
    unattended: bool = False

    @property
    def is_named(self) -> bool:
        """Whether one image is meant, and not the previous one."""
        return not (self.to is None and self.as_of is None and self.planned is None)


@dataclass(frozen=True)
class Check:
    """What the registry says of an image: `there`, `gone` or `unknown`.

    `digest` is what it has now under the reference; `has_tag` tells whether the reference's tag
    still has the reference's digest.
    """

    status: str
    digest: str | None = None
    has_tag: bool = False
    message: str = ""


@dataclass(frozen=True)
class Platforms:
    """The platforms of a candidate and of the running image; empty where they are not known.

    `problem` says why nobody told, where they were asked for.
    """

    candidate: frozenset[str] = frozenset()
    running: frozenset[str] = frozenset()
    problem: str = ""

    @property
    def lacking(self) -> tuple[str, ...]:
        """What the running image has and the candidate has not, if both are known."""
        if not self.candidate or not self.running:
            return ()
        return tuple(sorted(self.running - self.candidate))


@dataclass(frozen=True)
class Facts:
    """All that is known about one service; None is "not asked yet".

    `running` has its digest if it is proven; `value` is the text of its field; `present` is the
    time of the run. `history_is_whole` tells that no more of it is to be had. Records are taken
    newest first, and no more of them than are needed: there are further ones where
    `has_more_records`. Sources that failed are in `problems`, by name.
    """

    service: str
    environment: str
    settings: Settings
    running: ImageReference
    value: str
    state: State | None
    present: str
    history: tuple[HistoryEntry, ...] | None = None
    history_is_whole: bool = False
    records: tuple[StoredRecord, ...] | None = None
    has_more_records: bool = False
    tags: tuple[Tag, ...] | None = None
    stored: Mapping[str, StoredRecord | MissingRecord] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    platforms: Mapping[str, Platforms] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Service and environment, as people read them."""
        return f"{self.service} {self.environment}"


@dataclass(frozen=True)
class NeedHistory:
    """The bounded history of the service's fields is wanted; if possible, back to a time."""

    until: str | None = None


@dataclass(frozen=True)
class NeedRecords:
    """The newest record of the service is wanted, or the next older one."""


@dataclass(frozen=True)
class NeedRecord:
    """The record that an event names is wanted."""

    event: Event


@dataclass(frozen=True)
class NeedTags:
    """The registry's tags are wanted; `required` if nothing else can choose."""

    required: bool


@dataclass(frozen=True)
class NeedCheck:
    """It is wanted whether the registry still has an image."""

    image: ImageReference


@dataclass(frozen=True)
class NeedPlatforms:
    """It is wanted whether an image is there for every platform of the running one."""

    image: ImageReference


Need = NeedHistory | NeedRecords | NeedRecord | NeedTags | NeedCheck | NeedPlatforms


@dataclass(frozen=True)
class Candidate:
    """An image a rollback could go to, with a verdict and a reason."""

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

    @property
    def verified(self) -> bool:
        """Whether the registry confirmed that the image is there."""
        return self.check is not None and self.check.status == "there"

    @property
    def build(self) -> Build | None:
        """The build whose archive holds the record of this image."""
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
                "build": self.build.to_json() if self.build else None,
                "commit": self.placed.commit if self.placed else None,
                "verdict": self.verdict,
                "reason": self.reason,
                "message": self.message,
                "verified": self.verified,
            }
        )


@dataclass(frozen=True)
class Plan:
    """The decision for one service: from, to, why, and what stands in the way.

    `findings` are for who reads the plan; `warnings` go into a rollback's result too, and
    `storage_changes`, which are among them, into its commit.
    """

    service: str
    environment: str
    strategy: str
    running: ImageReference
    value: str
    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    source: str | None = None
    blocks: tuple[Block, ...] = ()
    findings: tuple[str, ...] = ()
    hold: Hold | None = None
    warnings: tuple[str, ...] = ()
    storage_changes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Service and environment, as people read them."""
        return f"{self.service} {self.environment}"
