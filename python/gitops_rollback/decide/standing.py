"""What counts for a service: state and holds of its fields, whatever they are called. Pure.

State files bear the names that people gave. What they say is of fields: so those of all names that
a field has, and the files of holds in force, are one account. The own file is part of it, unless
its fields are all there and called otherwise by now, as after two names were exchanged: then it is
of those, and moves to their name when the service writes its own.

A state file whose fields are found no more may be of a service that has its image repository, or
its kind and names: nothing tells, so what is bad there is bad here too, until it is forgiven.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.facts import NeedBeside
from gitops_rollback.errors import ConfigError
from gitops_rollback.late import replace
from gitops_rollback.ledger.fields import MOVED, THERE, branch_of, find_fields, meant_by, once
from gitops_rollback.ledger.holds import (
    HeldFile,
    Holds,
    PlacedHold,
    find_holds,
    joined_bad,
    may_be_of,
)
from gitops_rollback.ledger.state import State, joined, path_of
from gitops_rollback.model import images_of
from gitops_rollback.refusals import typed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.ledger.holds import Bad, Hold
    from gitops_rollback.manifest.image_field import FieldKey, ImageField


def standing(
    at: ServiceAtTip,
    others: Iterable[State],
    held: Iterable[PlacedHold],
    branch: Sequence[ImageField],
    twins: Collection[State] = (),
) -> ServiceAtTip:
    """Return a service, of which only its own state file counts, with all that counts for it.

    `others` are state files of further names, `held` all holds in force, `branch` all fields that
    are known, each once. What is lost in another environment that there is, is lost to that one.
    `twins` are those of the others whose fields are gone, though they are like the service's.
    """
    fields, own = at.found.fields, at.state
    mine = {one.key for one in fields}
    known = tuple(others)
    aliases = tuple(one for one in known if one not in twins and _is_of(one, mine, branch))
    lost = tuple(
        state
        for state in known
        if state in twins
        or (state.environment not in at.elsewhere and _may_be_of(state, fields, branch))
    )
    placed = tuple(held)
    holds = _with_own(find_holds(placed, fields), own)
    theirs = tuple(file for file in holds.lost if file.environment in at.elsewhere)
    lost_here = tuple(file for file in holds.lost if file not in theirs)
    holds = Holds(holds.ours, lost_here, (*holds.retired, *theirs), dict(_like(placed, at)))
    states = [state for state in (own, *aliases) if state is not None]
    bad = [entry for file in holds.ours for entry in file.bad]
    bad += [entry for state in lost for entry in state.bad]
    if states or holds.ours or bad:
        own, holds = one_account(joined([at.account, *aliases]), states, holds, bad)
    return replace(at, state=own, aliases=aliases, holds=holds, lost=lost)


def _like(placed: Iterable[PlacedHold], at: ServiceAtTip) -> Iterator[tuple[str, ImageField]]:
    """Yield the holds, by id, whose lost field a field of their environment may be."""
    for one in placed:
        is_there = one.file.environment in at.elsewhere  # in another environment than this one
        fields = (field for field in one.like if at.found.environment.holds(field.path) != is_there)
        yield from ((one.file.hold.id, field) for field in fields)


def one_account(
    whole: State, states: Sequence[State], holds: Holds, bad: Iterable[Bad]
) -> tuple[State, Holds]:
    """Return one state with what is `bad` besides, and the newest of all holds in force; and these.

    `whole` is joined from `states`. A hold counts that one of them names and whose own file
    somebody deleted.
    """
    in_force = {file.hold.id: file.hold for file in holds.ours}
    in_force |= {state.hold.id: state.hold for state in states if state.hold is not None}
    newest = max(in_force.values(), key=lambda hold: hold.at, default=None)
    state = replace(whole, bad=joined_bad(whole.bad, bad), hold=newest)
    return state, _with_named(holds, states, newest)


def _with_named(holds: Holds, states: Iterable[State], newest: Hold | None) -> Holds:
    """Count the holds that state files name, but for the `newest`: the one state names that."""
    known = {file.hold.id for file in holds.ours} | ({newest.id} if newest else set())
    named = {
        state.hold.id: HeldFile(
            state.service, state.environment, state.hold, state.fields, state.bad
        )
        for state in states
        if state.hold is not None and state.hold.id not in known
    }
    return replace(holds, ours=(*holds.ours, *named.values()))


def all_there(noted: Iterable[HeldFile | State], branch: Iterable[ImageField]) -> bool:
    """Tell whether each field that was written down stands where it was."""
    everything = branch_of(branch)
    found = (match for one in noted for match in find_fields(one.fields, everything))
    return all(match.how == THERE for match in found)


def tells_what_stands(own: State | None, fields: Iterable[ImageField]) -> bool:
    """Tell whether a state file wrote what its fields hold: else another name may have been used.

    Then state files of names that are nobody's any more may be of these fields, too.
    """
    return own is not None and all(meant_by(own.fields, one) is not None for one in fields)


def doubt_of(
    file: State | HeldFile,
    own: State | None,
    fields: Sequence[ImageField],
    environments: Collection[str],
    branch: Iterable[ImageField],
) -> NeedBeside | None:
    """Return what tells whether a file that nobody's environment wrote is of a service at all.

    None where nothing has to. A field that left its place, and the twin of one that is gone, look
    alike; but only a twin stood beside it. What the service's `own` state file knows was settled
    when that was written.
    """
    if file.environment in environments:
        return None
    deed = file.hold.deed if isinstance(file, HeldFile) else file.newest
    if own is not None and deed is not None and any(one.id == deed.id for one in own.deployed):
        return None
    mine = {one.key for one in fields}
    found = find_fields(file.fields, branch)
    moved = (one.noted for one in found if one.how == MOVED and one.field and one.field.key in mine)
    noted = next(moved, None)
    if noted is None or any(one.how == THERE for one in found):
        return None
    return NeedBeside.of(noted, fields)


def belongs_to(
    own: State, fields: Iterable[ImageField], branch: Iterable[ImageField]
) -> ImageField | None:
    """Return whose field a state file is of, where that is none of its service's; else None.

    `branch` has each field once. All of its fields have to be there.
    """
    mine = {one.key for one in fields}
    found = [match.field for match in find_fields(own.fields, branch)]
    there = [one for one in found if one is not None]
    if not there or len(there) < len(found) or any(one.key in mine for one in there):
        return None
    return there[0]


def moved(
    own: State, name: State, there: State | None, branch: Iterable[ImageField], *, counted: bool
) -> State:
    """Return the state file of other fields as it stands under the name that these have today.

    `name` is an empty state with that name, `there` the state file which has it now. That is joined
    if it is of these fields, and goes if it is `counted` for those of the service that is written.
    Raises `ConfigError` if it is neither: then it would be lost.
    """
    everything = once(branch)
    found = (match.field for match in find_fields(own.fields, everything))
    theirs = {one.key for one in found if one is not None}
    whole = replace(own, service=name.service, environment=name.environment)
    if there is None or (counted and not _is_of(there, theirs, everything)):
        return whole
    if _is_of(there, theirs, everything):
        return joined([whole, there])
    old, new = (path_of(one.environment, one.service) for one in (own, name))
    raise ConfigError(
        f"the state file {old} is of {own.fields[0].place}, which is called {name.service} "
        f"{name.environment} by now, and {new} is of other fields, too",
        f"give each its fields' name by hand: first {new}, then {old} (with service and "
        "environment in it as in its path); or take the names back",
    )


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
    return any(match.field is not None and match.field.key in mine for match in found)


def _may_be_of(
    state: State, fields: Sequence[ImageField], everything: Sequence[ImageField]
) -> bool:
    """Tell whether a state file whose fields are all lost may be of some fields."""
    found = find_fields(state.fields, everything)
    is_lost = all(match.field is None for match in found)
    return is_lost and any(may_be_of(noted, fields) for noted in state.fields)


def retired_holds(services: Iterable[ServiceAtTip]) -> tuple[tuple[str, str], ...]:
    """Say which holds in force have lost their field and are nobody's, and how each is removed.

    One that may be of a service that is not among these is not removed: that service tells more.
    """
    every = tuple(services)
    found = []
    for file in every[0].holds.retired if every else ():
        if not all(file in at.holds.retired for at in every):
            continue
        first = every[0]
        here = first.environment
        where = file.fields[0].place if file.fields else "and none was written down"
        told = f"the hold {file.hold.id} of {file.title} (since {file.hold.at})"
        told += f": its field is found no more, {where}"
        like = first.holds.like.get(file.hold.id)
        if like is None:
            is_only = file.environment == here and not first.elsewhere
            command = retiring(file.service, file.environment, is_only=is_only)
            found.append((f"retired: {told}", f"if it is gone for good: {command}"))
        else:
            there = file.environment if file.environment in first.elsewhere else here
            name = typed(min(names_of([like])), there)
            way = f"gitops-rollback check {name} tells more"
            found.append((f"lost-hold: {told}, and may be {like.place}", way))
    return tuple(found)


def retiring(service: str, environment: str, *, is_only: bool) -> str:
    """Return the command that removes what is left of a service, also in an environment gone."""
    there = "" if is_only else f" --environment {environment}"
    return f"gitops-rollback history {service}{there} --retire --reason TEXT"


def are_of_others(services: Iterable[ServiceAtTip]) -> frozenset[tuple[str, str]]:
    """Return the services and environments whose files are, or may be, of some services."""
    every = tuple(services)
    states = (state for at in every for state in (*at.aliases, *at.lost))
    held = ((file.service, file.environment) for at in every for file in at.holds.lost)
    return frozenset({(state.service, state.environment) for state in states} | {*held})


def names_of(fields: Iterable[ImageField]) -> frozenset[str]:
    """Return the names by which people may have called the service of some fields."""
    names = set()
    for one in fields:
        names |= {one.name, *one.labels}
        if one.image is not None:
            names.add(one.image.repository.rpartition("/")[2])
    return frozenset(names)


def names_in(state: State) -> frozenset[str]:
    """Return the names that the repositories of a state file's images may have given a service."""
    deeds = [*state.deployed, *(entry.deed for entry in state.bad)]
    deeds += [state.hold.deed] if state.hold else []
    return frozenset(image.repository.rpartition("/")[2] for image in images_of(deeds))
