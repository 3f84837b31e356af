"""What changed in a service's storage between two commits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gitops_rollback.storage.quantity import parse_quantity
from gitops_rollback.storage.suggest import written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gitops_rollback.storage.service import Part
    from gitops_rollback.storage.values import Steps

_MOST_FIELDS = 4  # of one part, in a message
_SIZE = ("resources", "requests", "storage")


@dataclass(frozen=True)
class StorageChange:
    """One part of the storage that is another now than it was.

    `what` is for people; `effect` what it means for the older image; `path` where it stands, or
    stood: `commit` tells who changed it when, where that was found.
    """

    title: str
    what: str
    effect: str
    path: str
    commit: str = ""

    @property
    def sentence(self) -> str:
        """The change as one line, for plans, commits and results."""
        by = f", {self.commit}" if self.commit else ""
        return f"{self.title}: {self.what} ({self.path}{by}); {self.effect}"


def changes_between(then: Mapping[str, Part], now: Mapping[str, Part]) -> tuple[StorageChange, ...]:
    """Return what is other now than it was then, by part."""
    found = []
    for title in dict.fromkeys((*then, *now)):
        before, after = then.get(title), now.get(title)
        if before is None and after is not None:
            found.append(_added(after))
        elif after is None and before is not None:
            found.append(_removed(before))
        elif before is not None and after is not None and before.value != after.value:
            found.append(_changed(before, after, now))
    return tuple(found)


def _added(part: Part) -> StorageChange:
    return StorageChange(
        part.title,
        "it is new",
        "the older image gets it too, and may not know it; its data stay as they are",
        part.path,
    )


def _removed(part: Part) -> StorageChange:
    gone = "where Flux prunes, its data went with it" if part.title.startswith("claim ") else ""
    return StorageChange(
        part.title,
        "it is no longer there",
        "the older image had it, and a rollback of the image does not bring it back"
        + (f"; {gone}" if gone else ""),
        part.path,
    )


def _changed(before: Part, after: Part, now: Mapping[str, Part]) -> StorageChange:
    fields = list(_differences((), before.value, after.value))
    told = [f"{written(steps) or 'all'} {old} → {new}" for steps, old, new in fields]
    more = f" and {len(told) - _MOST_FIELDS} more" if len(told) > _MOST_FIELDS else ""
    effect = "it stays as it is now, and so do its data"
    if any(_is_growth(steps, old, new) for steps, old, new in fields):
        effect += "; taking it back in Git would stop Flux: a claim never shrinks"
        effect += _unexpandable(after, now)
    return StorageChange(after.title, ", ".join(told[:_MOST_FIELDS]) + more, effect, after.path)


def _unexpandable(part: Part, now: Mapping[str, Part]) -> str:
    """Say what stops a claim that grew, where its class is known not to let it."""
    spec = part.value.get("spec") if isinstance(part.value, dict) else None
    name = spec.get("storageClassName") if isinstance(spec, dict) else None
    found = now.get(f"class {name}")
    if found is None or found.value.get("allowVolumeExpansion") is True:
        return ""
    return (
        f"; class {name} has no allowVolumeExpansion: the API server refuses the larger claim, "
        "and Flux stops at it"
    )


def _is_growth(steps: Steps, old: str, new: str) -> bool:
    sizes = parse_quantity(old), parse_quantity(new)
    return steps[-3:] == _SIZE and None not in sizes and sizes[1] > sizes[0]  # type: ignore[operator]


def _differences(steps: Steps, old: Any, new: Any) -> Iterator[tuple[Steps, str, str]]:  # noqa: ANN401
    """Yield the smallest fields that differ, with what they were and are."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _differences((*steps, key), old.get(key), new.get(key))
    elif old != new:
        yield steps, _text(old), _text(new)


def _text(value: object) -> str:
    if value is None:
        return "(none)"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return " ".join(str(value).split())[:60]
