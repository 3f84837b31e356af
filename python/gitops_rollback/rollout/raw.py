"""Read the objects of a Kubernetes API: JSON from outside, of which nothing is taken for granted.

A key that is missing or of another type reads as empty: a controller fills a status bit by bit.
"""

from __future__ import annotations

from typing import Any

from gitops_rollback.late import dataclass

Json = dict[str, Any]


@dataclass(frozen=True)
class Name:
    """Kind, namespace and name of an object; `str` gives it as Flux writes it."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


@dataclass(frozen=True)
class Condition:
    """One condition of a status; `status` is True, False or Unknown, as text."""

    status: str = ""
    reason: str = ""
    message: str = ""
    generation: int = 0


def mapping(value: Any, *keys: str) -> Json:  # noqa: ANN401 - JSON
    """Return the mapping below some keys; an empty one if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def items(value: Any, *keys: str) -> list[Json]:  # noqa: ANN401 - JSON
    """Return the mappings of the list below some keys; an empty list if there is none."""
    last = mapping(value, *keys[:-1]).get(keys[-1])
    return [one for one in last if isinstance(one, dict)] if isinstance(last, list) else []


def text(value: Any, *keys: str) -> str:  # noqa: ANN401 - JSON
    """Return the text below some keys; an empty one if there is none."""
    found = mapping(value, *keys[:-1]).get(keys[-1])
    return found if isinstance(found, str) else ""


def texts(value: Any, *keys: str) -> tuple[str, ...]:  # noqa: ANN401 - JSON
    """Return the texts of the list below some keys; none if there is no list."""
    last = mapping(value, *keys[:-1]).get(keys[-1])
    return tuple(one for one in last if isinstance(one, str)) if isinstance(last, list) else ()


def number(value: Any, *keys: str, default: int = 0) -> int:  # noqa: ANN401 - JSON
    """Return the whole number below some keys; a default if there is none."""
    found = mapping(value, *keys[:-1]).get(keys[-1])
    return found if isinstance(found, int) and not isinstance(found, bool) else default


def truth(value: Any, *keys: str) -> bool:  # noqa: ANN401 - JSON
    """Tell whether what is below some keys is `true`."""
    return mapping(value, *keys[:-1]).get(keys[-1]) is True


def name_of(found: Json, kind: str = "") -> Name:
    """Return the name of an object; `kind` where the object does not say it (as in lists)."""
    return Name(
        text(found, "kind") or kind,
        text(found, "metadata", "namespace"),
        text(found, "metadata", "name"),
    )


def conditions_of(found: Json) -> dict[str, Condition]:
    """Return the conditions of an object's status by their types."""
    return {
        text(one, "type"): Condition(
            text(one, "status"),
            text(one, "reason"),
            " ".join(text(one, "message").split()),
            number(one, "observedGeneration"),
        )
        for one in items(found, "status", "conditions")
    }
