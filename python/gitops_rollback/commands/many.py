"""Several services in one run: all or nothing, or all but those that are refused; and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import NotFoundError
from gitops_rollback.output import narrow_table, say, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops_rollback.errors import GitopsRollbackError
    from gitops_rollback.look.snapshot import ServiceAtTip

SKIP = "--skip-blocked does the others"
MOST_TOLD = 10  # of the services that are blocked, in full beside the table


@dataclass(frozen=True)
class Blocked:
    """A service that is refused, or has no image to go back to, and why."""

    at: ServiceAtTip
    error: GitopsRollbackError

    @property
    def code(self) -> str:
        """What refuses it: the refusal's code, else `not-found`."""
        return self.error.code or self.error.category

    def to_json(self) -> dict[str, Any]:
        """Return the service's part of a result."""
        return {
            "service": self.at.service,
            "environment": self.at.environment,
            "code": self.code,
            "message": self.error.message,
            "hint": self.error.hint,
        }


def refuse_partly(blocked: Sequence[Blocked], number: int, *, skip: bool) -> None:
    """Raise for `number` services of which some are blocked, unless the others are to be done.

    The error shows all that are blocked; of several services a table is printed too.
    """
    if not blocked or (skip and len(blocked) < number):
        return
    if number > 1:
        show_blocked(blocked)
    found = {"blocked": [one.to_json() for one in blocked]}
    error = whole_error([one.error for one in blocked], number)
    error.found = found
    raise error


def whole_error(
    errors: Sequence[GitopsRollbackError], number: int, said: str = "done, so none was"
) -> GitopsRollbackError:
    """Return the error that stands for a run of `number` services, with how many are blocked.

    It is the first one, but that a service without an image to go back to counts before refused.
    `said` is what cannot be.
    """
    first = next((error for error in errors if isinstance(error, NotFoundError)), errors[0])
    if number == 1:
        return first
    others = f"; {SKIP}" if len(errors) < number else ""
    first.message = f"{len(errors)} of {number} services cannot be {said}: {first.message}"
    first.hint = f"{first.hint}{others}"
    return first


def show_blocked(blocked: Iterable[Blocked]) -> None:
    """Print what is blocked, and why, for people."""
    blocked = tuple(blocked)
    rows = [
        ("service", "refused", "why"),
        *((b.at.service, b.code, b.error.message) for b in blocked),
    ]
    say(*narrow_table(rows))
    tell([f"{one.error.message} ({one.error.hint})" for one in blocked])


def tell(texts: Sequence[str]) -> None:
    """Print what has to be known beside a table, as long as somebody may read it."""
    for text in texts[:MOST_TOLD]:
        say(*wrapped(text, "  "))
    if len(texts) > MOST_TOLD:
        say(f"  and {len(texts) - MOST_TOLD} more: --output FILE has each in full")
