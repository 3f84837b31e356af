"""What one commit does to one service: edits, markers, state, and the words for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gitops_rollback.decide.facts import Candidate
    from gitops_rollback.ledger.message import Told
    from gitops_rollback.ledger.state import State
    from gitops_rollback.look.snapshot import ServiceAtTip
    from gitops_rollback.manifest.edit import FieldEdit, Splice
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.services.inventory import Manifests


@dataclass(frozen=True)
class MarkerSplice:
    """A marker put out of action or back into it, and the file it stands in."""

    path: str
    splice: Splice


@dataclass(frozen=True)
class ServiceChange:
    """What one commit does to one service; `state` is None where the state file stays.

    `candidates` are what a rollback chose from.
    """

    at: ServiceAtTip
    edits: tuple[FieldEdit, ...]
    markers: tuple[MarkerSplice, ...]
    state: State | None
    summary: Told
    warnings: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    @property
    def changes_anything(self) -> bool:
        """Whether a file gets other bytes by this."""
        return bool(self.edits or self.markers) or self.state not in (None, self.at.state)

    def to_json(self) -> dict[str, Any]:
        """Return the service's part of a result."""
        return {
            "service": self.at.service,
            "environment": self.at.environment,
            "from": self.summary.from_image.canonical,
            "to": self.summary.to.canonical,
            "edits": edits_to_json(self.edits),
            "warnings": list(self.warnings),
        }


def refuse_other_effect(change: ServiceChange, manifests: Manifests) -> None:
    """Refuse a change after which anything but its image would take effect in its fields.

    `manifests` are those of the service as they would be. Overlays are run again on them. Raises
    `ManifestError`.
    """
    found, target = change.at.found, change.summary.to
    live = {
        field.key: field.image
        for field in manifests.effective(found.settings.kinds, found.environment).live
    }
    for field in (edit.field for edit in change.edits):
        image = live.get(field.key, target)
        if image is None or not image.may_be(target):
            raise ManifestError(
                f"{field.place}: after the edit {image.canonical if image else 'nothing'} would "
                f"take effect, not {target.canonical}",
                "nothing was written; please report this",
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
        }
        for edit in edits
    ]


def marker_splices(
    fields: Iterable[ImageField], act: Callable[[ImageField], list[Splice]]
) -> tuple[MarkerSplice, ...]:
    """Hold or restore the markers of fields, as `act` does with one."""
    return tuple(MarkerSplice(field.path, splice) for field in fields for splice in act(field))
