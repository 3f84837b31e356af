"""What one commit does to services: edits, markers, state, record, and the words for it. Pure."""

from __future__ import annotations

from collections import Counter
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from gitops_rollback.decide.effect import blocks_of, findings_between
from gitops_rollback.decide.plan import edits_to_json
from gitops_rollback.errors import ConfigError, NotFoundError, RefusedError
from gitops_rollback.late import dataclass, replace
from gitops_rollback.ledger import message
from gitops_rollback.ledger.fields import note, note_written
from gitops_rollback.ledger.holds import HeldFile, joined_bad, render_held
from gitops_rollback.ledger.message import Told
from gitops_rollback.ledger.state import LONGEST_BAD_LIST, State, path_of, render_state
from gitops_rollback.manifest.edit import rewritten
from gitops_rollback.model import RECORDED, Deed
from gitops_rollback.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.decide.plan import Candidate, Plan
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.effective.proof import Proof
    from gitops_rollback.errors import GitopsRollbackError
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.fields import NotedField
    from gitops_rollback.ledger.holds import Bad, Hold
    from gitops_rollback.ledger.records import MadeRecord
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.edit import FieldEdit, Splice
    from gitops_rollback.manifest.image_field import FieldKey
    from gitops_rollback.refusals import Refusal


@dataclass(frozen=True)
class MarkerSplice:
    """A marker put out of action or back into it, and the file it stands in."""

    path: str
    splice: Splice


@dataclass(frozen=True)
class Change:
    """What one commit does to one service; `state` is None where the state file stays.

    `plan` is the plan of a rollback, `record` what has to be archived before the commit, `deleted`
    the files of the ledger that end with it. `ends` are the ids of the holds that a release ends,
    or that a deploy would end once its image is built; None where no release was asked for. `proof`
    is what proves that the edits take effect; `before` is the image that the record deployed
    already, where another one runs since.
    """

    at: ServiceAtTip
    summary: Told
    edits: tuple[FieldEdit, ...] = ()
    markers: tuple[MarkerSplice, ...] = ()
    state: State | None = None
    warnings: tuple[str, ...] = ()
    plan: Plan | None = None
    record: MadeRecord | None = None
    deleted: tuple[str, ...] = ()
    ends: tuple[str, ...] | None = None
    proof: Proof | None = None
    before: ImageReference | None = None

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What a rollback chose from."""
        return self.plan.candidates if self.plan else ()

    @property
    def changes_anything(self) -> bool:
        """Whether a file gets other bytes by this."""
        if self.deleted:
            return True
        return bool(self.edits or self.markers) or self.writes_state

    @property
    def writes_state(self) -> bool:
        """Whether the state file gets other bytes by this, or comes back."""
        if self.state is None:
            return False
        return bool(self.at.restored) or self.state != self.at.state

    @property
    def changes_what_runs(self) -> bool:
        """Whether it does more than to write down an image whose tag stood there already."""
        return self.changes_anything and self.summary.action != RECORDED

    def to_json(self) -> dict[str, Any]:
        """Return the service's part of a result."""
        return {
            "service": self.at.service,
            "environment": self.at.environment,
            "from": self.summary.from_image.canonical,
            "to": self.summary.to.canonical,
            "edits": edits_to_json(self.edits),
            "warnings": list(self.warnings),
            **({"holds": list(self.ends)} if self.ends is not None else {}),
            **({"effectProof": self.proof.to_json()} if self.proof else {}),
            **({"action": RECORDED} if self.summary.action == RECORDED else {}),
            **({"deployedBefore": self.before.canonical} if self.before else {}),
        }


@dataclass(frozen=True)
class Refused:
    """Why a wish is not done; `plan` is what a rollback would have been, where there is one."""

    at: ServiceAtTip
    error: GitopsRollbackError
    plan: Plan | None = None

    @property
    def code(self) -> str:
        """What refuses it: the refusal's code, else the category of the error."""
        return self.error.code or self.error.category

    @property
    def concerns_it_alone(self) -> bool:
        """Whether the other services of a run could be done without this one."""
        return isinstance(self.error, RefusedError | NotFoundError)

    def to_json(self) -> dict[str, Any]:
        """Return the service's part of a result."""
        return {
            "service": self.at.service,
            "environment": self.at.environment,
            "code": self.code,
            "message": self.error.message,
            "hint": self.error.hint,
        }


@dataclass(frozen=True)
class Commit:
    """All that one commit writes: the new bytes of each file, its message, the diff for people.

    A file without bytes (None) is deleted.

    `blocked` are the services that were left because something stands in their way.
    """

    changes: tuple[Change, ...]
    blocked: tuple[Refused, ...]
    files: Mapping[str, bytes | None]
    message: str
    diff: str

    @property
    def changes_what_runs(self) -> bool:
        """Whether it does so for any service."""
        return any(change.changes_what_runs for change in self.changes)


SKIP = "--skip-blocked does the others"


def together(decided: Sequence[Change | Refused], *, skip: bool) -> Commit:
    """Return the one commit of a run: all or nothing, or with `skip` all but what is blocked.

    Raises the error that stands for the run where it cannot be done.
    """
    for one in decided:
        if isinstance(one, Refused) and not one.concerns_it_alone:
            raise one.error
    blocked = tuple(one for one in decided if isinstance(one, Refused))
    if blocked and not (skip and len(blocked) < len(decided)):
        found = {"blocked": [one.to_json() for one in blocked]}
        error = whole_error([one.error for one in blocked], len(decided))
        error.found = found
        raise error
    changes = _held_once([one for one in decided if isinstance(one, Change)])
    files = _files(changes)
    text = message.render([change.summary for change in changes])
    return Commit(changes, blocked, files, text, _diff(changes, files))


def whole_error(
    errors: Sequence[GitopsRollbackError], number: int, said: str = "done, so none was"
) -> GitopsRollbackError:
    """Return the error that stands for a run of `number` services, with how many are blocked.

    It is the first one, but that a service without an image to go back to counts before refused.
    `said` is what cannot be.
    """
    first = next((e for e in errors if isinstance(e, NotFoundError)), errors[0])
    if number == 1:
        return first
    others = f"; {SKIP}" if len(errors) < number else ""
    message = f"{len(errors)} of {number} services cannot be {said}: {first.message}"
    return first.reworded(message, f"{first.hint}{others}")


def refuse(blocks: Iterable[Refusal], wish: Wish) -> None:
    """Raise `RefusedError` for the first block that was not accepted."""
    for block in blocks:
        if block.code not in wish.accept:
            raise block.error()


def nameless(image: ImageReference, reason: str) -> Refusal:
    """Return what refuses an image whose digest nobody knows; `reason` says why it is not told."""
    return refusal("tag", f"{image.canonical} names no digest, and it is not found out: {reason}")


def deed_of(
    wish: Wish,
    running: ImageReference,
    image: ImageReference,
    record: str | None = None,
    *,
    action: str = "",
) -> Deed:
    """Return what a wish does to what runs, as state file and commit keep it; `action` if other."""
    return Deed(
        action=action or wish.action,
        image=image,
        at=wish.present,
        from_image=running,
        by=wish.by,
        reason=wish.reason,
        build=wish.build,
        record=record,
    )


def unchanged(wish: Wish, at: ServiceAtTip, running: ImageReference, action: str = "") -> Told:
    """Return what is told of a service in which another image than runs does not come."""
    return Told(at.service, at.environment, deed_of(wish, running, running, action=action))


def noted_fields(
    at: ServiceAtTip, edits: Iterable[FieldEdit], image: ImageReference
) -> tuple[NotedField, ...]:
    """Write down the fields of the service as the edits leave them."""
    texts = {edit.field.key: edit.value for edit in edits}
    return tuple(
        note_written(field, texts.get(field.key, field.value), image) for field in at.found.fields
    )


def warnings_of(at: ServiceAtTip) -> tuple[str, ...]:
    """Return what has to be said of a service's manifests whatever is done."""
    reported = tuple(
        f"{field.kind} {field.name} ({field.place}) names {field.value} too and is left alone: "
        "its template is immutable"
        for field in at.found.reported
    )
    skipped = tuple(f"not looked into: {skip.reason}" for skip in at.found.manifests.skipped)
    return (
        at.found.notes
        + reported
        + (skipped if at.found.settings.manifests else ())
        + told_restored(at)
    )


def told_restored(at: ServiceAtTip) -> tuple[str, ...]:
    """Say which files of the ledger are gone or broken at the tip, and count all the same."""
    gone = tuple(f"{path} was deleted, and counts as it stood before" for path in at.restored)
    return gone + tuple(
        f"{file.path} is broken, and counts as it stood before; to put it back: git checkout "
        f"{file.stood[:12]} -- {file.path}, then commit and push it"
        for file in (*at.holds.ours, *at.holds.lost)
        if file.stood
    )


def _held_once(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return changes of which those of the same fields, by several names, hold them by one hold.

    Two would be ended by one release, and who looks at them would take them for two.
    """
    found: list[Change] = []
    begun: dict[frozenset[FieldKey], Hold] = {}
    for change in changes:
        state = change.state
        if state is not None and state.hold is not None:
            keys = frozenset(field.key for field in change.at.found.fields)
            held = replace(state, hold=begun.setdefault(keys, state.hold))
            found.append(replace(change, state=held))
        else:
            found.append(change)
    return tuple(found)


def _files(changes: Sequence[Change]) -> dict[str, bytes | None]:
    """Return the new bytes of every file the changes touch."""
    parsed = _parsed(changes)
    edits: dict[str, list[FieldEdit]] = {}
    splices: dict[str, list[Splice]] = {}
    for change in changes:
        _refuse_other_images(change, edits)
        for edit in change.edits:
            edits.setdefault(edit.field.path, []).append(edit)
        for marker in change.markers:
            splices.setdefault(marker.path, []).append(marker.splice)
    after = {
        path: rewritten(parsed[path], edits.get(path, ()), splices.get(path, ()))
        for path in dict.fromkeys([*edits, *splices])
    }
    _refuse_other_effects(changes, after)
    files: dict[str, bytes | None]
    files = {path: file.data for path, file in after.items()}
    written = [(one.at, one.state) for one in changes if one.state and one.writes_state]
    own: dict[str, bytes] = {}
    for at, state in written:
        own |= (rendered := _rendered(state))
        files |= rendered | _ledger_files(at, state)
    files |= own  # what is said of one name by another one's change is less
    for change in changes:
        files |= dict.fromkeys(change.deleted)
        if change.state is None:  # a hold ends whose field is lost, wherever it is named
            for lost in change.at.lost:
                files |= _where_changed(lost, _without_holds(lost, change.ends or ()))
    return files


def _refuse_other_images(change: Change, edits: Mapping[str, Sequence[FieldEdit]]) -> None:
    """Raise `ConfigError` where a change before this one writes another image into a field of it.

    They are of two names of that field.
    """
    for edit in change.edits:
        for other in edits.get(edit.field.path, ()):
            if other.field.key == edit.field.key and other.value != edit.value:
                raise ConfigError(
                    f"{edit.field.place} is the field of {change.at.title}, and of another service "
                    f"of this run: {other.value} and {edit.value} cannot both stand there",
                    "name one of them, or give both the same image",
                )


def _ledger_files(at: ServiceAtTip, state: State) -> dict[str, bytes | None]:
    """Return what follows from a state file: a hold is in force for all names or none.

    So is a bad mark, and what the texts of the fields mean. They stand in the state files of all
    names: where somebody deletes one of them, with the file of the hold, nothing tells of it but
    what another one says; and a text that was written again since means what it meant the last.
    Each hold in force has a file of its own, which the next hold of the same fields replaces.
    """
    in_force = state.hold.id if state.hold else None
    over = [file for file in at.holds.ours if file.hold.id != in_force]
    files: dict[str, bytes | None] = {file.path: None for file in over}
    forgiven = _forgiven(at, state)
    for alias in at.aliases:
        bad = _with_bad(_without(alias, forgiven), state.bad)
        fields = _as_written(alias.fields, state.fields)
        files |= _where_changed(alias, replace(alias, hold=state.hold, bad=bad, fields=fields))
    for lost in at.lost:
        after = _without_holds(lost, [file.hold.id for file in over])
        files |= _where_changed(lost, replace(after, bad=_without(lost, forgiven)))
    if at.displaced is not None:
        files |= _rendered(at.displaced)
    if state.hold is not None:
        fields = state.fields or tuple(note(field) for field in at.found.fields)
        held = HeldFile(state.service, state.environment, state.hold, fields, state.bad)
        files[held.path] = render_held(held)
    return files


def _as_written(
    noted: Sequence[NotedField], written: Sequence[NotedField]
) -> tuple[NotedField, ...]:
    """Return fields of another name's state file, of those that were written now as they are."""
    there = {one.key: one for one in written}
    alike = Counter(one.likeness for one in noted)
    moved = {one.likeness: one for one in written if alike[one.likeness] == 1}
    return tuple(there.get(one.key) or moved.get(one.likeness, one) for one in noted)


def _forgiven(at: ServiceAtTip, state: State) -> frozenset[str]:
    """Return the images that a change takes off the bad list; a full list forgives nothing."""
    if at.state is None or len(state.bad) >= LONGEST_BAD_LIST:
        return frozenset()
    kept = {entry.image.canonical for entry in state.bad}
    return frozenset(e.image.canonical for e in at.state.bad) - kept


def _without_holds(state: State, ended: Collection[str]) -> State:
    """Return a state file without the hold that it names, if that has ended."""
    return replace(state, hold=None) if state.hold and state.hold.id in ended else state


def _without(state: State, images: Collection[str]) -> tuple[Bad, ...]:
    return tuple(entry for entry in state.bad if entry.image.canonical not in images)


def _with_bad(known: tuple[Bad, ...], bad: Iterable[Bad]) -> tuple[Bad, ...]:
    """Return a bad list with the marks of another one that it lacks, the newest first."""
    whole = joined_bad(known, bad)
    if len(whole) == len(known):
        return known
    newest_first = sorted(whole, key=lambda one: one.deed.at or "", reverse=True)
    return tuple(newest_first[:LONGEST_BAD_LIST])


def _where_changed(before: State, after: State) -> dict[str, bytes]:
    return _rendered(after) if after != before else {}


def _rendered(state: State) -> dict[str, bytes]:
    return {path_of(state.environment, state.service): render_state(state)}


def _refuse_other_effects(changes: Sequence[Change], after: Mapping[str, ParsedFile]) -> None:
    """Refuse changes that together have another effect than each was judged by alone."""
    shared: dict[int, list[Change]] = {}
    for change in changes:
        if change.edits:
            shared.setdefault(id(change.at.found.manifests), []).append(change)
    for together_ in (one for one in shared.values() if len(one) > 1):  # one alone was judged
        at = together_[0].at
        before = at.found.manifests
        own = {path: file for path, file in after.items() if path in before.files}
        meant = {e.field.key: one.summary.to for one in together_ for e in one.edits}
        found = findings_between(at, before.with_files(own), meant)
        blocks_of(at, [one for one in found if one.recipe is None])  # builds have judged the rest


def _diff(changes: Iterable[Change], files: Mapping[str, bytes | None]) -> str:
    """Return the unified diff of the manifests, without context."""
    parsed = _parsed(changes)
    lines: list[str] = []
    for path, data in files.items():
        if path in parsed and data is not None:
            old = parsed[path].text.splitlines()
            new = data.decode().removeprefix("\ufeff").splitlines()
            lines += unified_diff(old, new, f"a/{path}", f"b/{path}", n=0, lineterm="")
    return "\n".join(lines)


def _parsed(changes: Iterable[Change]) -> dict[str, ParsedFile]:
    """Return the files of all services; those that share them are looked at once."""
    shared = {id(change.at.found.manifests): change.at.found.manifests for change in changes}
    return {path: file for manifests in shared.values() for path, file in manifests.files.items()}
