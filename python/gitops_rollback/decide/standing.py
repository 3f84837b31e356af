"""What counts for a service: state and holds of its fields, whatever they are called. Pure.

State files bear the names that people gave. What they say is of fields: so those of all names that
a field has, and the files of holds in force, are one account. The own file is part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.ledger.fields import find_fields, key_of
from gitops_rollback.ledger.holds import HeldFile, Holds, find_holds
from gitops_rollback.ledger.state import State, joined

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.ledger.fields import FieldKey
    from gitops_rollback.manifest.image_field import ImageField


@dataclass(frozen=True)
class Standing:
    """The one state of a service's fields, the state files of their other names, and the holds."""

    state: State | None
    aliases: tuple[State, ...] = ()
    holds: Holds = field(default_factory=Holds)


def standing(
    name: State,
    own: State | None,
    others: Iterable[State],
    held: Iterable[HeldFile],
    fields: Sequence[ImageField],
    branch: Iterable[ImageField],
) -> Standing:
    """Return what counts for the fields of a service.

    `name` is an empty state with the service's name, `own` its state file; `others` are state files
    of further names, `held` the files of all holds in force, `branch` all fields that are known.
    """
    everything = tuple({key_of(one): one for one in (*fields, *branch)}.values())
    mine = {key_of(one) for one in fields}
    aliases = tuple(state for state in others if _is_of(state, mine, everything))
    holds = _with_own(find_holds(held, fields, everything), own)
    states = [state for state in (own, *aliases) if state is not None]
    if not states and not holds.ours:
        return Standing(None, (), holds)
    whole = joined([own or name, *aliases])
    known = {entry.image.canonical for entry in whole.bad}
    more = (entry for file in holds.ours for entry in file.bad)
    bad = (*whole.bad, *(entry for entry in more if entry.image.canonical not in known))
    in_force = {file.hold.id: file.hold for file in holds.ours}
    in_force |= {state.hold.id: state.hold for state in states if state.hold is not None}
    newest = max(in_force.values(), key=lambda hold: hold.at, default=None)
    return Standing(replace(whole, bad=bad, hold=newest), aliases, holds)


def _with_own(holds: Holds, own: State | None) -> Holds:
    """Count the hold that the service's own state file names, also where its field was renamed."""
    identity = own.hold.id if own is not None and own.hold is not None else None
    found = tuple(f for f in (*holds.lost, *holds.retired) if f.hold.id == identity)
    return Holds(
        (*holds.ours, *found),
        tuple(file for file in holds.lost if file not in found),
        tuple(file for file in holds.retired if file not in found),
    )


def _is_of(state: State, mine: Collection[FieldKey], everything: Sequence[ImageField]) -> bool:
    """Tell whether a state file of another name is of one of the service's fields."""
    found = find_fields(state.fields, everything)
    return any(match.field is not None and key_of(match.field) in mine for match in found)


def retired_holds(services: Iterable[ServiceAtTip]) -> tuple[str, ...]:
    """Say which holds in force have lost their field, and are nobody's of some services."""
    every = [at.holds for at in services]
    some = every[0].retired if every else ()
    nobodys = (file for file in some if all(file in one.retired for one in every))
    return tuple(
        f"the hold {file.hold.id} of {file.title} (since {file.hold.at}): its field is found no "
        f"more, {file.fields[0].place if file.fields else 'and none was written down'}"
        for file in nobodys
    )


def names_of(fields: Iterable[ImageField]) -> frozenset[str]:
    """Return the names by which people may have called the service of some fields."""
    names = set()
    for one in fields:
        names |= {one.name, *one.labels}
        if one.image is not None:
            names.add(one.image.repository.rpartition("/")[2])
    return frozenset(names)
