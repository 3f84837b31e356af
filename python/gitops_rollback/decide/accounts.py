"""What a state file said that somebody deleted or broke. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide import holds
from gitops_rollback.decide.facts import (
    NeedAccount,
    NeedBeside,
    NeedLog,
    NeedRemoved,
    NeedStateVersions,
)
from gitops_rollback.decide.standing import names_of, one_account
from gitops_rollback.errors import NotFoundError, RepositoryError
from gitops_rollback.late import dataclass, replace
from gitops_rollback.ledger.fields import THERE, find_fields
from gitops_rollback.ledger.holds import (
    BAD,
    Bad,
    BrokenHoldError,
    HeldFile,
    Hold,
    may_be_of,
    parse_held,
)
from gitops_rollback.ledger.message import (
    action_of,
    is_own,
    is_revert,
    reverted_of,
    trailers_of,
)
from gitops_rollback.ledger.state import (
    LONGEST_HISTORY,
    BrokenStateError,
    State,
    joined,
    parse_state,
    path_of,
)
from gitops_rollback.model import DEPLOY, ROLLBACK, identified

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gitops_rollback.decide.facts import Facts, Removed, ServiceAtTip, Version
    from gitops_rollback.ledger.events import Event
    from gitops_rollback.model import Deed, LogEntry

_ENDING = ("release", DEPLOY, ROLLBACK)  # what may come after a rollback, and end its hold or not


def restored(facts: Facts) -> Facts:
    """Return the facts with the files of the service's fields, and holds, that somebody deleted.

    As they stood before: what was held and bad does not end with a file, and neither does what ran.
    Every hold counts that one of them names or is of: merged rollbacks have one each.
    What this tool took away itself (moved, or retired), or a revert of its commit, is over. Raises
    `RepositoryError` where one of another name cannot be read.

    Nobody is asked where a state file tells how what runs came: whoever wrote it last knew all.
    """
    at = facts.at
    told = at.account
    if told.deployed and at.read.is_explained:
        return facts
    removed = facts.ask(NeedRemoved(frozenset({at.service, *names_of(at.found.fields)})))
    # An older file may name a hold that ended since: with it, this tool took the hold's own file.
    ended = {one.service for one in removed if one.is_hold and is_own(one.message)}
    gone: list[tuple[str, State]] = []
    held: list[HeldFile] = []
    for one in _by_hand(removed):
        if one.is_hold:
            # What was written after it was deleted knew it: a state file that was deleted later.
            is_known = bool(gone) and gone[0][0] != one.commit
            found = [] if is_known else _deleted_hold(one, facts)
            held += [file for file in found if not _knows(told, file.hold.deed)]
            continue
        state = _deleted(one, facts)
        # Files that one commit deleted stood side by side: each told what was so under its name.
        later = [told] if told.deployed else []
        later += [other for commit, other in gone if commit != one.commit]
        if state is not None and not any(has_all_of(other, state) for other in later):
            hold = state.hold
            is_over = hold is not None and (
                hold.id in ended or any(_ended(other, hold) for other in later)
            )
            gone.append((one.commit, replace(state, hold=None) if is_over else state))
    if not gone and not held:
        return facts
    states = [told, *(state for _commit, state in gone)]
    there = replace(at.holds, ours=(*at.holds.ours, *held))
    bad = [entry for file in held for entry in file.bad]
    whole, counted = one_account(joined(states), states, there, bad)
    paths = {path_of(state.environment, state.service): state.environment for state in states[1:]}
    paths |= {file.path: file.environment for file in held}
    return replace(facts, at=replace(at, state=whole, holds=counted, restored=paths))


def _by_hand(removed: Sequence[Removed]) -> Iterator[Removed]:
    """Yield of each file the removal that counts: by hand, and not before this tool's own.

    A revert takes back what wrote the file: then counts what was removed before that.
    """
    over: set[tuple[str, str]] = set()
    for one in removed:
        name = (one.environment, one.service)
        if name in over or is_revert(one.message):
            continue
        over.add(name)
        if not is_own(one.message):
            yield one


def _deleted(one: Removed, facts: Facts) -> State | None:
    """Return a state file that was deleted by hand, if it is of the service's fields.

    One that was broken counts as this tool wrote it last.
    """
    at = facts.at
    if one.environment in at.elsewhere or (one.service, one.environment) in at.named:
        return None
    is_own_name = (one.service, one.environment) == (at.service, at.environment)
    path = path_of(one.environment, one.service)
    commit = one.commit[:12]
    back = f"put it back: git checkout {commit}~1 -- {path}, then commit and push it"
    try:
        state = parse_state(one.data, one.environment, one.service)
    except RepositoryError as error:
        if is_own_name and isinstance(error, BrokenStateError):
            versions = facts.ask(NeedStateVersions()).versions
            stood = newest_sound(versions, at.environment, at.service)
            return mended(stood, newest_written(versions, at.environment, at.service))[0]
        raise RepositoryError(f"{error.message}; commit {commit} deleted it", back) from error
    return state if is_own_name or _is_of(state, facts) else None


def _deleted_hold(one: Removed, facts: Facts) -> list[HeldFile]:
    """Return the file of a hold that was deleted by hand, if it holds one of the service's fields.

    One that was broken has ended: to delete it then is what the error about it says. Raises
    `RepositoryError` for a newer version's.
    """
    try:
        file = parse_held(one.data, one.path)
    except BrokenHoldError:
        return []
    return [file] if _is_of(file, facts) else []


def _is_of(file: State | HeldFile, facts: Facts) -> bool:
    """Tell whether a deleted file of another name is of one of a service's fields.

    One that stands where it was written down is, or is like one and of its environment. What has
    left its place under a name that the service may have had counts, too, unless the service's file
    stood beside it: then it is of an environment, or a service, that is gone. Where nobody knows,
    it counts: no hold ends for want of history.
    """
    at = facts.at
    fields = at.found.fields
    if file.environment in at.elsewhere:
        return False
    found = find_fields(file.fields, fields)
    is_here = file.environment == at.environment
    if any(one.field is not None and (is_here or one.how == THERE) for one in found):
        return True
    if file.service not in {at.service, *names_of(fields)}:
        return False
    lost = (noted for noted in file.fields if may_be_of(noted, fields))
    doubts = (NeedBeside.of(noted, fields) for noted in lost)
    return any(doubt is None or not facts.ask(doubt) for doubt in doubts)


def has_all_of(later: State, earlier: State) -> bool:
    """Tell whether a state file was written when an earlier one of other names was known."""
    newest = earlier.newest or (earlier.hold.deed if earlier.hold else None)
    return newest is None or _knows(later, newest)


def _ended(later: State, hold: Hold) -> bool:
    """Tell whether a state file was written when a hold, whose mark it has, was over."""
    return later.hold is None and any(entry.deed.id == hold.id for entry in later.bad)


def _knows(state: State, deed: Deed) -> bool:
    """Tell whether a state file has a deed, or had it before newer ones took its place."""
    is_past = len(state.deployed) >= LONGEST_HISTORY
    oldest = state.deployed[-1].at if is_past else None
    is_there = any(one.id == deed.id for one in state.deployed)
    return is_there or (oldest is not None and (deed.at or "") < oldest)


def newest_written(versions: Sequence[Version], environment: str, service: str) -> State | None:
    """Return the newest sound version that this tool committed and nobody reverted, if any.

    `versions` are newest first.
    """
    for message, state in _sound(versions, environment, service):
        if action_of(message, service, environment) is not None:
            return state
    return None


def _sound(
    versions: Sequence[Version], environment: str, service: str
) -> Iterator[tuple[str, State]]:
    """Yield what can be read and nobody reverted, with the message of its commit, newest first.

    A revert of a revert brings its commit back. Raises `RepositoryError` for a newer version's.
    """
    reverted: set[str] = set()
    for number, version in enumerate(versions):
        if version.commit in reverted:
            continue
        reverted |= {one.commit for one in reverted_of(version.message, versions[number + 1 :])}
        try:
            yield version.message, parse_state(version.data, environment, service)
        except BrokenStateError:
            continue  # an older version of the file may be sound


def newest_sound(versions: Sequence[Version], environment: str, service: str) -> State | None:
    """Return what a file said before it was broken, by whatever commit; None if nothing tells.

    A merge or a squash may have brought it, whose message does not say that it is this tool's.
    """
    return next((state for _message, state in _sound(versions, environment, service)), None)


@dataclass(frozen=True)
class Rebuilt:
    """A state file as it is to be; `present` is what stands there, None if that cannot be read."""

    state: State
    present: State | None
    said: tuple[str, ...]


def rebuilt(facts: Facts) -> Rebuilt:
    """Rebuild the state file of a service, and say what is not proven.

    From what stands there, or stood there before it was broken, and from what this tool wrote last;
    where no version is in reach, from commits and records. No hold is removed, and no bad mark,
    that the file of the hold or another name's file has. Raises `NotFoundError` if nothing tells,
    and `RepositoryError` where a newer version wrote it: that is not broken.
    """
    at, said = facts.at, []
    versions = facts.ask(NeedStateVersions())
    present = None
    if versions.present is not None:
        try:
            present = parse_state(versions.present, at.environment, at.service)
        except BrokenStateError as error:
            said.append(error.message)
    older = versions.versions
    stood = present or newest_sound(older, at.environment, at.service)
    state, kept = mended(stood, newest_written(older, at.environment, at.service))
    said += kept
    if state is None:
        path = path_of(at.environment, at.service)
        said.append(f"no sound version of {path} is in reach; rebuilt from commits and records")
        account: tuple[Event, ...] = facts.ask(NeedAccount())
        state = from_events(at, account, older, facts.ask(NeedLog()))
    if state is None and (at.state is None or not (at.state.bad or at.state.hold)):
        raise NotFoundError(
            f"neither commits nor records tell of a deployment of {at.title}, so there is nothing "
            f"to rebuild {path} from",
            "delete the file: then it begins with the next deploy, and history counts until then",
        )
    state = state or State(at.service, at.environment)
    if at.state is not None:
        state, kept = _keeping(state, at.state)
        said += kept
    return Rebuilt(state, present, tuple(f"{at.title}: {text}" for text in said))


def mended(present: State | None, written: State | None) -> tuple[State | None, tuple[str, ...]]:
    """Return what is right of a state file as it stands and as this tool wrote it last.

    A sound file that goes on where the written one ends came by a merge or a squash, and is right.
    Else what was written counts. No hold and no bad mark that either has is removed; what is kept
    although the other does not have it is said.
    """
    if present is None or written is None:
        return written or present, ()
    own = [deed.id for deed in present.deployed]
    if written.newest is not None and written.newest.id in own[1:]:
        return present, ()
    return _keeping(written, present)


def _keeping(state: State, other: State) -> tuple[State, tuple[str, ...]]:
    """Return a state with the hold and the bad marks of another account, and what is kept so."""
    kept: list[str] = []
    hold = state.hold or other.hold
    both = state.hold is not None and other.hold is not None and state.hold.id == other.hold.id
    if hold is not None and not both:
        kept.append(f"the hold since {hold.at} stands: nothing proves that it has ended")
    known = {entry.deed.id for entry in state.bad} | {e.image.canonical for e in state.bad}
    more = [e for e in other.bad if not known & {e.deed.id or "-", e.image.canonical}]
    kept += [f"{entry.image.label} stays bad: nothing proves that it is not" for entry in more]
    return replace(state, hold=hold, bad=(*state.bad, *more)), tuple(kept)


def from_events(
    at: ServiceAtTip,
    events: Iterable[Event],
    versions: Sequence[Version],
    log: tuple[LogEntry, ...] = (),
) -> State | None:
    """Return a state from what commits and records tell, newest first; None if they tell nothing.

    A service whose newest deployment is a rollback that no release followed is held; that may have
    been under another name of its fields, as the newest commits (`log`) tell.
    """
    told = [event for event in events if event.action in ("deploy", "rollback") and event.at]
    if not told:
        return None
    state = State(at.service, at.environment)
    for event in reversed(told):
        deed = identified(event.deed, at.service, at.environment)
        state = state.with_deed(deed)
        if event.action == "rollback" and event.from_image is not None:
            bad = replace(deed, action=BAD, image=event.from_image, from_image=None, record=None)
            state = state.with_bad(Bad(bad))
    actions = (action_of(version.message, at.service, at.environment) for version in versions)
    last = next((action for action in actions if action is not None), None)
    names = {at.service, *names_of(at.found.fields)}
    ours = (one for e in log for one in trailers_of(e.message, names, *_ENDING))
    last = last or next((one.action for one in ours if one.environment not in at.elsewhere), None)
    newest = told[0]
    if newest.action != "rollback" or newest.from_image is None or last == "release":
        return state
    return replace(state, hold=Hold(state.deployed[0], holds.markers_to_hold(at)))
