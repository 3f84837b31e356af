"""The rule of a deploy. Pure."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from gitops_rollback import clock
from gitops_rollback.decide import accounts, effect, holds
from gitops_rollback.decide.change import (
    Change,
    deed_of,
    nameless,
    noted_fields,
    refuse,
    unchanged,
    warnings_of,
)
from gitops_rollback.decide.edits import deploy_edits, restoring
from gitops_rollback.decide.facts import NeedAuthor, NeedCheck, NeedDigest, NeedPlatforms
from gitops_rollback.decide.recording import make_record, moved_since, refuse_other_record
from gitops_rollback.decide.release import released
from gitops_rollback.errors import SPELT_NEARLY, ConfigError, MovedError, did_you_mean, nearest
from gitops_rollback.image import same
from gitops_rollback.late import replace
from gitops_rollback.ledger.events import agree, is_unchanged
from gitops_rollback.ledger.message import Told
from gitops_rollback.model import DEPLOY, RECORDED, ROLLBACK, by_whom, identified
from gitops_rollback.refusals import Refusal, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.decide.facts import Facts, FirstTry, Platforms
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.ledger.state import State
    from gitops_rollback.manifest.edit import FieldEdit
    from gitops_rollback.model import Deed

_ANY_CONTENTS = {"not-an-image", "platform"}  # accepted, it does not matter what an image is
_DONE = {DEPLOY: "deployed", ROLLBACK: "rolled back", RECORDED: "written down"}


def deploy(wish: Wish, facts: Facts) -> Change:
    """Return the change that puts an image into the fields; raise what refuses it.

    In this order: another repository, what must run now, an image that is still to be built (then
    hold, bad list, fence, a tag that was deployed; nothing is changed), the digest, an own commit
    that is on the branch already, what runs already, the record, hold and bad list and fence,
    whether the registry has it, as an image and for every platform, policies, whether any field
    gets another text.
    """
    facts = accounts.restored(facts)
    assert wish.image is not None  # noqa: S101 - a deploy's wish names one
    refuse_other_repository(facts, wish.image)
    refuse_unexpected(wish, facts)
    if wish.record is None and facts.first is not None:
        refuse_moved_since(wish, facts, facts.first, "as when this began")
    if wish.before_build:
        return _judged_before_build(wish, facts, wish.image)
    image = _resolved(wish, facts, wish.image)
    own = _own_deed(facts.account, wish.record)
    if own is not None:
        _refuse_other_deed(facts, own, image)
        return _done_before(wish, facts, own)
    if is_unchanged(facts.running, image):
        return _redeployed(wish, facts)
    if wish.record is not None:
        _check_record(wish, facts, wish.record, image)
    refuse(holds.deploy_blocks(wish, facts, image), wish)
    fitness = _refuse_unfit(wish, facts, image)
    if _ends_hold(wish, facts):
        holds.refuse_other_hold(wish, facts)
        refuse(holds.release_blocks(facts, _account(wish, facts, image), image), wish)
    pin, told = _pin(wish, facts, image)
    edits = deploy_edits(facts.at.found.fields, image, wish.accept, pin)
    refuse(effect.unwritten(facts, edits, image), wish)
    judged = effect.judged(wish, facts, edits, image)
    refuse(effect.blocks_of(facts.at, judged.findings), wish)
    return _changed(wish, facts, image, edits, judged, (*fitness, *told))


def _changed(
    wish: Wish,
    facts: Facts,
    image: ImageReference,
    edits: tuple[FieldEdit, ...],
    judged: effect.Judged,
    fitness: tuple[str, ...],
) -> Change:
    """Return the change that makes the edits, which nothing refuses."""
    at, running, ends = facts.at, facts.running, _ends_hold(wish, facts)
    action = DEPLOY if edits else RECORDED
    stored = wish.record or facts.filed
    made = None if stored else make_record(wish, facts, "deploy", image)
    record = stored or (made.stored if made else None)
    assert record is not None  # noqa: S101 - one of the two is there
    # The record may know a digest that the field does not: resolved before it was replaced.
    replaced = record.record.image if running.digest is None else running
    deed = deed_of(wish, replaced, image, record.sha256, action=action)
    named = identified(deed, at.service, at.environment)
    state = _account(wish, facts, image).with_deed(named, noted_fields(at, edits, image))
    told = holds.lost_markers(at) if ends else holds.markers_without_hold(at)
    return Change(
        at=at,
        summary=Told(at.service, at.environment, deed),
        edits=edits,
        markers=restoring(at) if ends else (),
        state=replace(state, hold=None) if ends else state,
        warnings=warnings_of(at)
        + fitness
        + effect.warnings_of(judged.findings)
        + told
        + holds.unread_revision(facts, image),
        record=made,
        ends=holds.in_force(facts) if wish.releases else None,
        proof=judged.proof,
    )


def _account(wish: Wish, facts: Facts, image: ImageReference) -> State:
    """Return the service's account, in which an image is good if that was accepted."""
    state = facts.account
    return holds.forgiven(facts, state, image) if "bad" in wish.accept else state


def _judged_before_build(wish: Wish, facts: Facts, image: ImageReference) -> Change:
    """Judge an image that is still to be built, by its name and tag; nothing is changed.

    It will have another digest than every image that ran: a version tag that was deployed would
    be taken from the image that a rollback needs.
    """
    unbuilt = replace(image, digest=None)
    refuse(holds.deploy_blocks(wish, facts, unbuilt), wish)
    refuse(holds.retag_blocks(facts, unbuilt), wish)
    ends = holds.in_force(facts) if wish.releases else None
    told = Told(facts.at.service, facts.at.environment, deed_of(wish, facts.running, unbuilt))
    return Change(facts.at, told, ends=ends)


def refuse_unexpected(wish: Wish, facts: Facts) -> None:
    """Raise `MovedError` if another image runs than `--from` says."""
    again = f"run this again with --from {facts.at.service}={facts.running.canonical}"
    refuse_moved(wish, facts, wish.expected, "as --from says", again)


def refuse_moved(
    wish: Wish, facts: Facts, expected: ImageReference | None, source: str, again: str
) -> None:
    """Raise `MovedError` if another image runs than was expected; `source` says by what.

    The error tells who put the other image there, where the state file knows it; `again` is what to
    do once that was looked at.
    """
    running = facts.running
    if expected is None or _is_expected(expected, running):
        return
    error = MovedError(
        f"{facts.title} runs {running.canonical}, not {expected.canonical} "
        f"{source}{_meanwhile(wish, facts)}",
        f"look at what happened meanwhile (gitops-rollback plan), then {again}",
    )
    error.jenkins_hint = (
        "look at what happened meanwhile (ACTION plan of the rollback job); to go on from what "
        "runs now: build again with the same parameters"
    )
    raise error


def refuse_moved_since(wish: Wish, facts: Facts, first: FirstTry, source: str) -> None:
    """Raise `MovedError` if another image runs than at the first try; with whose commit is newest.

    Who that is, is asked only then.
    """
    if not _is_expected(first.running, facts.running):
        who = facts.ask(NeedAuthor())
        told = f"{source} (newest commit by {who})"
        refuse_moved(wish, facts, first.running, told, "run this again")


def _meanwhile(wish: Wish, facts: Facts) -> str:
    """Return who put there what runs, when and by which build; empty where nothing tells."""
    newest = facts.account.newest
    if newest is None or newest.at is None or not is_unchanged(newest.image, facts.running):
        return ""
    done = _DONE[newest.action]
    build = f", {newest.build}" if newest.build else ""
    ago = f"{clock.age(newest.at, wish.present)} ago{by_whom(newest.by)}"
    return f": {done} {ago} ({newest.versions}{build})"


def _is_expected(expected: ImageReference, running: ImageReference) -> bool:
    """Tell whether what runs is what was named: by digest, or by the tag if that is all it says."""
    by_tag = expected.digest is None and agree(expected, running)
    return by_tag or is_unchanged(expected, running)


def refuse_other_repository(facts: Facts, image: ImageReference) -> None:
    """Raise `ConfigError` if an image is of another repository than the service.

    Where rollbacks alone went back past a move of the repository, it is of that one, too.
    """
    present = facts.at.found.image
    deeds = facts.account.deployed
    left = [deed.from_image for deed in takewhile(lambda deed: deed.action == ROLLBACK, deeds)]
    is_explained = not left or is_unchanged(deeds[0].image, facts.running)
    before = [one for one in left if one is not None and is_explained]
    if image.full_repository in {one.full_repository for one in (present, *before)}:
        return
    raise ConfigError(
        f"{image.canonical} is of another repository than {facts.title}, which runs "
        f"{present.canonical}",
        _whole(image, present)
        or f"{_near(image, present)}only the version changes: give an image of the same "
        "repository, or another service",
    )


def _near(image: ImageReference, present: ImageReference) -> str:
    """Return the beginning of a hint where a repository's name is nearly, or ends, the right one.

    Such is `cart:1.5.0` where acme/cart runs; else it is empty.
    """
    has_its_end = f"/{present.repository}".endswith(f"/{image.repository.removeprefix('library/')}")
    if not has_its_end and not nearest(image.name, [present.name], SPELT_NEARLY):
        return ""
    return f"{did_you_mean([present.name])} "


def _whole(image: ImageReference, present: ImageReference) -> str | None:
    """Return the hint for who gave a tag or a digest alone; None where that was not it."""
    text = str(image)
    if "/" in text or text == present.repository.rpartition("/")[2]:
        return None
    if image.name == "sha256" and image.tag is not None:
        return f"give the whole image, not its digest alone: {present.name}@{text}"
    return (
        f"give the whole image, not its tag alone: {present.name}:{text}"
        if image.tag is None
        else None
    )


def _redeployed(wish: Wish, facts: Facts) -> Change:
    """Return the change of deploying what runs: nothing, but that a hold may end."""
    at, running = facts.at, facts.running
    if not wish.releases:
        return Change(at, unchanged(wish, at, running), warnings=warnings_of(at))
    holds.refuse_other_hold(wish, facts)
    refuse(holds.release_blocks(facts, facts.state, running), wish)
    return released(wish, facts, facts.state)


def _ends_hold(wish: Wish, facts: Facts) -> bool:
    return bool(holds.in_force(facts)) and (wish.releases or facts.settings.hold == "image")


def _own_deed(state: State, stored: StoredRecord | None) -> Deed | None:
    """Return the deploy with this record that is on the branch: its push had succeeded."""
    if stored is None:
        return None
    return next((deed for deed in state.deployed if deed.record == stored.sha256), None)


def _refuse_other_deed(facts: Facts, own: Deed, image: ImageReference) -> None:
    """Refuse a record with which another image was deployed: it is of what ran before that one."""
    known = same(own.image, image)
    if known is False or (known is None and own.image.effective_tag != image.effective_tag):
        raise MovedError(
            f"the record was used to deploy {own.image.canonical} to {facts.title}, and is not of "
            f"what {image.canonical} would replace",
            "make the record again with --image, then deploy",
        )


def _done_before(wish: Wish, facts: Facts, own: Deed) -> Change:
    """Return the change of a deploy that was done before: nothing, and what runs since is said."""
    at, running = facts.at, facts.running
    summary, told = unchanged(wish, at, running), warnings_of(at)
    if same(running, own.image) is True:
        return Change(at, summary, warnings=told)
    when = f" at {own.at}" if own.at else ""
    since = (
        f"{own.image.label} was deployed with this record{when}; {running.label} runs now: "
        f"nothing is done. To deploy {own.image.label} again, make a record anew"
    )
    return Change(at, summary, warnings=(*told, since), before=own.image)


def _check_record(wish: Wish, facts: Facts, stored: StoredRecord, image: ImageReference) -> None:
    """Refuse a record that is not of what stands at the tip.

    Raises `ConfigError` if it is for something else, `MovedError` if the repository changed since
    so that recording again is right, `RefusedError` if the deploy would undo what was done since.
    """
    refuse_other_record(facts, stored, image, "make the record again with --image, then deploy")
    moved = moved_since(facts, stored, "record, archive and deploy again")
    if moved is None:
        return
    block = holds.undone_by_deploy(wish, facts, stored.record.image)
    refuse([block] if block else (), wish)
    raise moved


def _refuse_unfit(wish: Wish, facts: Facts, image: ImageReference) -> tuple[str, ...]:
    """Refuse an image that is not there, is none, or is not for a platform that runs.

    A registry that does not answer proves none of it. A build that names the digest has pushed the
    image itself: nobody is asked. Returns what is told of the platforms where that refuses nothing.
    """
    if wish.image is not None and wish.image.digest is not None:
        if wish.build is not None:
            return ()
        refuse(_gone(wish, facts, image), wish)
    if image.digest is None or _status(facts, wish) == "unknown":
        return ()
    if wish.accept >= _ANY_CONTENTS:
        return ()
    platforms = facts.ask(NeedPlatforms(image))
    if platforms.no_image:
        what = f"{facts.title}: {image.canonical} is {platforms.no_image}"
        refuse([refusal("not-an-image", what)], wish)
    if not platforms.lacking or "platform" in wish.accept:
        return ()
    lacks = f"{image.canonical} is not there for {', '.join(platforms.lacking)}"
    doubt = _doubt_of_platforms(facts, platforms)
    if not doubt:
        raise refusal("platform", f"{facts.title}: {lacks}, as the running image is").error()
    return (f"{lacks}: {doubt}; where the cluster has only such nodes, its pods will not start",)


def _doubt_of_platforms(facts: Facts, platforms: Platforms) -> str:
    """Say why what the running image is there for does not tell on what it runs; "" if it does.

    Of a tag alone the registry tells what it means now. And an image that a deploy put in place of
    one for other platforms, and for no more of them, may be the very mistake that is to be mended.
    """
    running, newest = facts.running, facts.account.newest
    if running.digest is None:
        return f"{running.canonical} is, which is known by its tag only"
    if newest is None or newest.action != "deploy" or not is_unchanged(newest.image, running):
        return ""
    before = newest.from_image
    if before is None:
        return ""
    former = facts.ask(NeedPlatforms(before)).candidate
    if not platforms.is_in_place_of(former):
        return ""
    return f"{running.label} is, but {before.label}, which ran before it, was not"


def _pin(wish: Wish, facts: Facts, image: ImageReference) -> tuple[str, tuple[str, ...]]:
    """Return what is to be written of an image, its tag or its digest; and what is told of that.

    Where tags alone are written, and the registry says that this one has another digest than the
    one that was named, the tag would bring another image. Where nobody says, that is told.
    """
    pin = facts.settings.pin
    is_named = wish.image is not None and wish.image.digest is not None
    if pin != "tag" or not is_named or image.tag is None:
        return pin, ()
    check = facts.ask(NeedCheck(image))
    if check.status != "there":
        told = f"{image.label}: that its tag is {image.short_digest} is not verified"
        return pin, (f"{facts.title}: {told}: {check.message}; the tag alone is written",)
    if check.has_tag:
        return pin, ()
    told = f"{image.label} is another image at the registry by now: its digest is written, too"
    return "digest", (f"{facts.title}: {told}",)


def _gone(wish: Wish, facts: Facts, image: ImageReference) -> Iterator[Refusal]:
    if "gone" in wish.accept:
        return
    check = facts.ask(NeedCheck(image, looks=not wish.accept >= _ANY_CONTENTS))
    if check.status == "gone":
        yield refusal("gone", f"{facts.title}: the registry does not have {image.canonical}")


def _status(facts: Facts, wish: Wish) -> str:
    """Return what the registry said of the image that was named, if it was asked."""
    check = facts.has(NeedCheck(wish.image)) if wish.image is not None else None
    return check.status if check is not None else ""


def _resolved(wish: Wish, facts: Facts, image: ImageReference) -> ImageReference:
    """Return the image with its digest; without one only where that was accepted."""
    if image.digest is not None:
        return image
    found = facts.ask(NeedDigest(image, patient=True))
    if found.digest is not None:
        return image.with_version(image.tag or "latest", found.digest)
    refuse(_gone(wish, facts, image), wish)
    if facts.settings.pin == "tag" or "tag" in wish.accept:
        return image
    assert found.failure is not None  # noqa: S101 - what did not answer says why
    raise nameless(image, found.failure.message).error() from found.failure
