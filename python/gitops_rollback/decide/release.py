"""The rules of a release and of a repair. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide import accounts, holds
from gitops_rollback.decide.change import Change, refuse, unchanged, warnings_of
from gitops_rollback.decide.edits import restoring
from gitops_rollback.errors import ConfigError, NotFoundError, UsageError
from gitops_rollback.image import (
    ImageReference,
    InvalidImageError,
    is_digest,
    is_tag,
    parse_image,
    same,
)
from gitops_rollback.late import replace
from gitops_rollback.ledger.events import agree
from gitops_rollback.ledger.fields import note
from gitops_rollback.ledger.holds import joined_bad, without_bad
from gitops_rollback.ledger.state import State, joined, path_of
from gitops_rollback.model import title
from gitops_rollback.refusals import typed

if TYPE_CHECKING:
    from gitops_rollback.decide.facts import Facts
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.ledger.holds import HeldFile


def release(wish: Wish, facts: Facts) -> Change:
    """Return the change that ends a hold; raise `RefusedError` if automation could undo it.

    A hold whose field is lost ends if it is named, or if the service is not held otherwise.
    """
    facts = accounts.restored(facts)
    lost = _lost_meant(wish, facts)
    if lost:
        change = released(wish, facts, facts.state)
        deleted = tuple(file.path for file in lost)
        return replace(
            change,
            state=None,
            markers=(),
            warnings=warnings_of(facts.at),
            deleted=deleted,
            ends=tuple(file.hold.id for file in lost),
        )
    holds.refuse_other_hold(wish, facts)
    state = facts.state
    for image in [_forgiven(text, facts) for text in wish.forgive]:
        state = state.without_bad(image) if state else None
    refuse(holds.release_blocks(facts, state, facts.running), wish)
    return released(wish, facts, state)


def released(wish: Wish, facts: Facts, state: State | None) -> Change:
    """Return the change of a release: the hold ends, markers go back into action.

    Markers that are out of action without a hold, as after a state file was lost, go back too.
    """
    at, running = facts.at, facts.running
    return Change(
        at=at,
        summary=unchanged(wish, at, running, "release"),
        markers=restoring(at),
        state=replace(state, hold=None) if state else None,
        warnings=warnings_of(at) + holds.lost_markers(at) + holds.told_lost(wish, facts),
        ends=holds.in_force(facts),
    )


def retire(wish: Wish, facts: Facts) -> Change:
    """Return the change that removes what is left of a service without any image field.

    Raises `ConfigError` where a hold, or the state file, is of a field that is only called
    otherwise by now, and nothing else has what that says; `RefusedError` where a hold may be of one
    of the services that are `named`.
    """
    at = facts.at
    there = " --environment ENVIRONMENT" if at.elsewhere else ""
    for file in at.holds.ours:
        raise ConfigError(
            f"{at.title} is held ({file.hold.id}), and the field that is held is still there under "
            f"another name: {file.fields[0].place}",
            "only what is gone can be retired: end the hold first under the name that the field "
            f"has now (gitops-rollback services{there} tells it): gitops-rollback release NAME"
            f"{there} --hold {file.hold.id} --reason TEXT",
        )
    if at.displaced is not None:
        raise ConfigError(
            f"the state file of {at.title} is of a field that is still there under another name: "
            f"{at.displaced.fields[0].place}",
            "leave it: it counts for that field as it stands, and what it says goes to the name of "
            f"today (gitops-rollback services{there}) with the next deploy, rollback or release",
        )
    others = sorted(at.named)
    for one in others:
        refuse(holds.lost_holds(wish, facts, one), wish)
    for state in at.lost:
        raise ConfigError(
            f"the field of {at.title} is found no more, and may be of "
            f"{' or '.join(title(*one) for one in others)}, where what is bad counts by this state "
            f"file alone: {', '.join(entry.image.label for entry in state.bad)}",
            "write it down there first: "
            + "; ".join(f"gitops-rollback history {typed(*one)} --repair" for one in others),
        )
    newest = at.account.newest
    images = [file.hold.to for file in at.holds.retired]
    image = newest.image if newest else next(iter(images), None)
    if image is None:
        raise NotFoundError(
            f"there is neither a state file nor a hold of {at.title}", "there is nothing to retire"
        )
    own = (path_of(at.environment, at.service),) if at.state else ()
    deleted = (*own, *(file.path for file in at.holds.retired))
    return Change(at, unchanged(wish, at, image), deleted=deleted)


def repair(wish: Wish, facts: Facts) -> Change:
    """Return the change that puts a rebuilt state file in the place of what stands there."""
    if wish.holds is not None:
        return _tied(wish, facts, wish.holds)
    rebuilt = accounts.rebuilt(facts)
    # What holds by a file of its own, or of another name, goes on to do so: a repair ends nothing.
    there = replace(facts.at.holds, ours=())
    at = replace(facts.at, state=rebuilt.present, aliases=(), holds=there)
    running = replace(at, state=rebuilt.state).read.image
    summary = unchanged(wish, at, running)
    warnings = (*rebuilt.said, *warnings_of(at))
    return Change(at, summary, state=rebuilt.state, warnings=warnings)


def _tied(wish: Wish, facts: Facts, meant: tuple[str, ...]) -> Change:
    """Return the change that ties a hold, whose field is lost, to the fields of a service.

    Raises `MovedError` where another hold is in force there: it would end with that.
    """
    at = facts.at
    found = tuple(file for file in at.holds.lost if file.hold.id in meant)
    if len(found) != 1:
        known = ", ".join(file.hold.id for file in at.holds.lost) or "none"
        raise UsageError(
            f"{'more than one' if found else 'no'} hold of {', '.join(meant) or 'none'} has lost "
            f"its field and may be of {at.title} (there: {known})",
            "look at gitops-rollback check, which names the holds whose field is lost, and name "
            "one of them",
        )
    file = found[0]
    holds.refuse_other_hold(wish, facts)
    # With it comes what ran there: the state file that names the hold was of these fields, too.
    theirs = (one for one in at.lost if one.hold is not None and one.hold.id == file.hold.id)
    before = joined([facts.account, *theirs])
    fields = tuple(note(field) for field in at.found.fields)
    bad = joined_bad(before.bad, file.bad)
    state = replace(before, hold=file.hold, bad=bad, fields=fields)
    told = unchanged(wish, at, facts.running)
    return Change(at, told, state=state, warnings=warnings_of(at))


def _lost_meant(wish: Wish, facts: Facts) -> tuple[HeldFile, ...]:
    """Return the lost holds that are meant: those named or seen first, else the only one.

    None where the service is held otherwise and none is named. Raises `ConfigError` where there are
    several: nothing tells which of them is the service's.
    """
    lost = facts.at.holds.lost
    is_said = wish.holds is not None or facts.first is not None
    if is_said or holds.in_force(facts) or len(lost) == 1:
        meant = holds.meant(wish, facts)
        return tuple(file for file in lost if file.hold.id in meant)
    if not lost:
        return ()
    known = "; ".join(f"{file.hold.id} of {file.title}, since {file.hold.at}" for file in lost)
    error = ConfigError(
        f"{facts.title}: {len(lost)} holds have lost their field, and each may be of it: {known}",
        f"name the one that is meant: --hold {lost[0].hold.id}",
    )
    error.jenkins_hint = (
        "let a person with a shell end the one that is meant (docs/hold.md), such as "
        f"{lost[0].hold.id}"
    )
    raise error


def _forgiven(text: str, facts: Facts) -> ImageReference:
    """Return the bad image that `--forgive` names, by tag, by digest or in full."""
    try:
        image = facts.at.found.image
        if is_digest(text):
            wanted = image.with_version(None, text)
        else:
            wanted = image.with_version(text, None) if is_tag(text) else parse_image(text)
    except InvalidImageError as error:
        raise UsageError(f"--forgive: {error}", "write a tag or an image") from error
    bad = facts.account.bad
    meant = [entry for entry in bad if _is_meant(entry.image, wanted)]
    if not meant:
        known = ", ".join(entry.image.label for entry in bad) or "none"
        raise UsageError(
            f"{facts.title}: {text} is not on the bad list (there: {known})", "name one of it"
        )
    image = meant[0].image
    left = [entry.image for entry in without_bad(meant, image)]
    if left:
        each = ", ".join(one.digest or one.label for one in (image, *left))
        raise UsageError(
            f"{facts.title}: {text} is on the bad list with several digests: {each}",
            f"name the one that is meant: --forgive {image.digest or image.canonical}",
        )
    return image


def _is_meant(bad: ImageReference, wanted: ImageReference) -> bool:
    """Tell whether an image of the bad list is what was named, by tag, digest or in full."""
    if same(bad, wanted):
        return True
    if bad.full_repository != wanted.full_repository:
        return False
    return agree(bad, wanted) or (wanted.digest is None and bad.tag == wanted.tag)
