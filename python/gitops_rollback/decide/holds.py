"""What keeps a rolled-back image from coming back: hold, fence, bad list, held markers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from gitops_rollback import clock
from gitops_rollback.decide.edits import MarkerPlace, places_of
from gitops_rollback.decide.facts import (
    BEGINNING,
    NeedHistory,
    NeedPolicies,
    NeedRevision,
)
from gitops_rollback.errors import MovedError
from gitops_rollback.image import same, same_reference, step
from gitops_rollback.late import replace
from gitops_rollback.ledger.events import HistoryEntry, is_named
from gitops_rollback.ledger.holds import (
    BadMatch,
    HeldMarker,
    bad_match,
    version_tag,
    wants_revision,
)
from gitops_rollback.manifest.image_field import markers_in
from gitops_rollback.model import DEPLOY, RECORDED, ROLLBACK, by_whom, images_of, title, told_why
from gitops_rollback.policies import automation_blocks
from gitops_rollback.query.shapes import is_version_tag
from gitops_rollback.refusals import Place, Refusal, refusal, released_with

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from gitops_rollback.decide.facts import Facts, ServiceAtTip
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.holds import Bad, Hold
    from gitops_rollback.ledger.state import State
    from gitops_rollback.model import Build, Deed

    D = TypeVar("D", Deed, HistoryEntry)


_NEW_BUILD = "deploy a fixed image by a new build"


def deploy_blocks(wish: Wish, facts: Facts, image: ImageReference) -> Iterator[Refusal]:
    """Yield what stands in the way of deploying an image.

    `held`: a rollback holds the service; `bad`: it was rolled back from; `outdated`: a later build
    of the same job deployed already.
    """
    yield from lost_holds(wish, facts)
    state = facts.account
    revision = revision_of(facts, state.bad, image, state.ran)
    match = why_bad(facts, state.bad, image, state.ran, revision)
    bad = match.entry if match else None
    if state.hold is not None and facts.settings.hold == "service":
        is_bad = bad is not None and not wish.accept & {"held", "bad"}
        yield (
            _held_and_bad(wish, facts, image) if is_bad else _held(state, state.hold, wish.present)
        )
    if match is not None and bad is not None:
        yield refusal(
            "bad",
            f"{facts.title}: {_badness(match, image)} rolled back from on {bad.deed.at}"
            f"{by_whom(bad.deed.by)}{_why(bad.deed.reason)}",
        )
    yield from _outdated(state, wish.build)


def why_bad(
    facts: Facts,
    bad: Sequence[Bad],
    image: ImageReference,
    ran: Collection[str],
    revision: str | None = None,
) -> BadMatch | None:
    """Return why an image is bad, or None; see `ledger.holds.bad_match`.

    The state file tells of the newest deeds only. So before an image is bad by tag or revision,
    history is asked: none is that ran here and was good, nor by a tag that had several digests.
    """
    match = bad_match(bad, image, ran, revision)
    if match is None or match.by == "digest":
        return match
    entries = facts.ask(NeedHistory(BEGINNING)).entries
    if _ran_well(image, entries):
        return None
    while match is not None and match.by == "tag" and not _had_version(match.entry, facts, entries):
        bad = [replace(one, tag=None) if one is match.entry else one for one in bad]
        revision = revision or revision_of(facts, bad, image, ran)
        match = bad_match(bad, image, ran, revision)
    return match


def _ran_well(image: ImageReference, entries: Sequence[HistoryEntry]) -> bool:
    """Tell whether commits show that an image ran, and none that it was rolled back from."""
    left = (e.told.from_image for e in entries if e.told and e.told.action == ROLLBACK)
    return any(same(image, e.ran) for e in entries) and not any(same(image, one) for one in left)


def _had_version(bad: Bad, facts: Facts, entries: Sequence[HistoryEntry]) -> bool:
    """Tell whether the tag of a bad image had one digest until that was rolled back from.

    What was built under it since, and put there all the same, makes no other tag of it.
    """
    deeds = facts.account.deployed
    seen = [*images_of(_until(bad, deeds)), *(entry.ran for entry in _until(bad, entries))]
    return version_tag(bad.image, seen) is not None


def _until(bad: Bad, told: Sequence[D]) -> Sequence[D]:
    """Return the part of deeds or commits, newest first, up to the rollback from an image.

    Where none of them tells of that rollback, their times tell what came before it.
    """
    for number, one in enumerate(told):
        deed = one.told if isinstance(one, HistoryEntry) else one
        left = deed.from_image if deed is not None and deed.action == ROLLBACK else None
        if left is not None and same(left, bad.image):
            return told[number:]
    return [one for one in told if (one.at or "") <= (bad.deed.at or "")]


def forgiven(facts: Facts, state: State, image: ImageReference) -> State:
    """Return a state in which nothing says that an image is bad any more.

    What says so goes whole: digest, version tag and revision are forgiven together.
    """
    while True:
        revision = revision_of(facts, state.bad, image, state.ran)
        match = why_bad(facts, state.bad, image, state.ran, revision)
        if match is None:
            return state
        bad = tuple(e for e in state.bad if not same_reference(e.image, match.entry.image))
        state = replace(state, bad=bad)


def revision_of(
    facts: Facts, bad: Sequence[Bad], image: ImageReference, ran: Collection[str]
) -> str | None:
    """Return the commit that an image was built from, where it alone could make the image bad."""
    if image.digest is None or not wants_revision(bad, image, ran):
        return None
    return facts.ask(NeedRevision(image)).commit


def unread_revision(facts: Facts, image: ImageReference) -> tuple[str, ...]:
    """Say that nobody told whether an image is what was rolled back from, built again."""
    found = facts.has(NeedRevision(image))
    if found is None or not found.problem:
        return ()
    told = "is built from a commit that was rolled back from is not known"
    return (f"{facts.title}: whether {image.label} {told}: {found.problem}",)


def retag_blocks(facts: Facts, image: ImageReference) -> Iterator[Refusal]:
    """Yield that a version tag was deployed already: to build it again takes it from that image.

    Tags that are meant to move are none: words alone (`main`, `latest`), and one that was deployed
    with more than one digest.
    """
    deeds = facts.account.deployed
    every = [facts.running, *images_of(deeds)]
    others = [one.tag for one in every if one.tag]
    digests = {one.digest for one in every if one.tag == image.tag and one.digest}
    if image.tag not in others or len(digests) > 1 or not is_version_tag(image.tag or "", others):
        return
    yield refusal(
        "retag",
        f"{facts.title}: {image.label} was deployed already; a build under that tag would take it "
        f"from the image that ran",
    )


def lost_holds(wish: Wish, facts: Facts, of: tuple[str, str] | None = None) -> Iterator[Refusal]:
    """Yield the holds in force whose field is lost, and which may be of the service.

    Or `of` another service and environment.
    """
    service, environment = of or (facts.at.service, facts.at.environment)
    for file in facts.at.holds.lost:
        hold, noted = file.hold, file.fields[0]
        yield refusal(
            "lost-hold",
            f"{title(service, environment)}: {file.title} has been held for "
            f"{clock.age(hold.at, wish.present)}{by_whom(hold.by)} "
            f"({step(hold.from_image, hold.to)}{told_why(hold.reason)}), "
            f"and its field is found no more: {noted.place}",
            service=service,
            environment=environment,
            hold=hold.id,
        )


def told_lost(wish: Wish, facts: Facts) -> tuple[str, ...]:
    """Return warnings of holds whose field is lost, and which may be of the service."""
    return tuple(f"{block.message}; {block.hint}" for block in lost_holds(wish, facts))


def refuse_other_hold(wish: Wish, facts: Facts) -> None:
    """Raise `MovedError` if a hold is in force that the person did not see."""
    seen = meant(wish, facts)
    hold = next((hold for hold in _every_hold(facts) if hold.id not in seen), None)
    if hold is None:
        return
    told = f"{', '.join(seen)} is not the hold in force" if seen else "nothing was held before"
    if any(one in seen for one in in_force(facts)):
        told = f"{', '.join(seen)} is not the only hold in force"
    # Of several services each has its own: what was named stays named.
    named = wish.holds if wish.holds and wish.action != "repair" else ()
    every = ",".join(dict.fromkeys((*in_force(facts), *named)))
    error = MovedError(
        f"{facts.title}: {told}: {hold.id} is, for "
        f"{clock.age(hold.at, wish.present)}{by_whom(hold.by)}, "
        f"{step(hold.from_image, hold.to)}{_why(hold.reason)}",
        "look at it (gitops-rollback plan), then end what is in force if that is meant: "
        f"--hold {every}",
    )
    error.jenkins_hint = (
        "look at it (ACTION plan of the rollback job), then start this job again with the same "
        "parameters: that ends the hold which is in force then"
    )
    raise error


def meant(wish: Wish, facts: Facts) -> tuple[str, ...]:
    """Return the ids of the holds that the person saw: those named, else what this run read."""
    if wish.holds is not None:
        return wish.holds
    return facts.first.holds if facts.first is not None else to_end(facts)


def to_end(facts: Facts) -> tuple[str, ...]:
    """Return the ids of what a release ends that names none: all holds in force, else lost ones."""
    return in_force(facts) or tuple(file.hold.id for file in facts.at.holds.lost)


def in_force(facts: Facts) -> tuple[str, ...]:
    """Return the ids of the holds in force, the one that counts first; empty if nothing is held."""
    return tuple(hold.id for hold in _every_hold(facts))


def _every_hold(facts: Facts) -> tuple[Hold, ...]:
    """Return the holds in force of the service's fields, the newest first.

    A rollback takes the place of the hold before it. Where two were merged, both are in force.
    """
    newest = facts.account.hold
    files = sorted((f.hold for f in facts.at.holds.ours), key=lambda hold: hold.at, reverse=True)
    every = {hold.id: hold for hold in (newest, *files) if hold is not None}
    return tuple(every.values())


def _badness(match: BadMatch, image: ImageReference) -> str:
    """Return what was rolled back from, in a sentence about an image to deploy."""
    if match.by == "digest":
        return f"{image.label} was"
    bad = match.entry.image
    return (
        f"{image.label}@{image.short_digest or '?'} has the {match.by} of "
        f"{bad.label}@{bad.short_digest or '?'}, which was"
    )


def undone_by_deploy(wish: Wish, facts: Facts, recorded: ImageReference) -> Refusal | None:
    """Return what a deploy would undo if its record, which no longer fits, were made again.

    A hold, a rollback away from the `recorded` image, or a later build's deploy. Without one of
    them the fields were changed by somebody else, and recording again is right.
    """
    state = facts.account
    newest = state.newest
    if newest is None:
        return None
    if state.hold is not None:
        return _held(state, state.hold, wish.present)
    if newest.action == "rollback" and not is_named(newest.image, recorded):
        ago = clock.age(newest.at or wish.present, wish.present)
        return refusal(
            "held",
            f"{facts.title} was rolled back {ago} ago"
            f"{by_whom(newest.by)}{_why(newest.reason)}, after this deploy had begun",
            shell=_NEW_BUILD,
            jenkins=_NEW_BUILD,
        )
    return next(_outdated(state, wish.build), None)


def release_blocks(facts: Facts, state: State | None, after: ImageReference) -> tuple[Refusal, ...]:
    """Return what stands in the way of ending a hold, where `after` will run then.

    `state` is the state file, without the images that are forgiven. A held marker that goes back
    into action lets Flux write whatever its policy takes; as long as an image is on the bad list,
    that may be the bad one.
    """
    held = [m.policy for field in facts.at.found.fields for m in field.markers if m.is_held]
    if state is None or not state.bad or not held:
        return ()
    bad = (entry.image for entry in state.bad if not is_named(entry.image, after))
    return automation_blocks(facts.title, held, bad, after, facts.ask(NeedPolicies()))


def _held(state: State, hold: Hold, present: str, **hints: str) -> Refusal:
    """Return the refusal by a hold; `hints` where its row does not know how to go on."""
    return refusal(
        "held",
        f"{state.title} has been held for {clock.age(hold.at, present)}"
        f"{by_whom(hold.by)}: {step(hold.from_image, hold.to)}{_why(hold.reason)}",
        service=state.service,
        environment=state.environment,
        **hints,
    )


def _held_and_bad(wish: Wish, facts: Facts, image: ImageReference) -> Refusal:
    """Return the refusal by a hold of an image that is bad itself, with all that accepts it."""
    state = facts.account
    assert state.hold is not None  # noqa: S101 - it refuses
    told = release_blocks(facts, forgiven(facts, state, image), image)
    codes = ("bad", *(block.code for block in told))
    why = "".join(f" ({block.code}: {block.message})" for block in told)
    fixed = "{bad} is on the bad list itself: deploy a fixed image with {accept}; if it is good "
    shell, jenkins = (f"{fixed}after all: {released_with(codes, p)}{{why}}" for p in Place)
    more = {"bad": image.label, "why": why}
    return _held(state, state.hold, wish.present, shell=shell, jenkins=jenkins, **more)


def _outdated(state: State, build: Build | None) -> Iterator[Refusal]:
    newest = next((entry for entry in state.deployed if entry.action in (DEPLOY, RECORDED)), None)
    theirs = newest.build if newest else None
    if build is None or theirs is None or theirs.job != build.job or theirs.number <= build.number:
        return
    done = "deployed" if newest and newest.action == DEPLOY else "wrote down"
    yield refusal(
        "outdated",
        f"{state.title}: {theirs} {done} "
        f"{newest.image.label if newest else ''} already, and this is {build}",
    )


def _why(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def markers_to_hold(at: ServiceAtTip) -> tuple[HeldMarker, ...]:
    """Return the markers that a hold lists: all of its policies, also if they are held already.

    What an earlier hold lists and is not there any more stays on the list, so that its end tells.
    """
    now = [
        HeldMarker(place.path, place.container, place.marker.active_text) for place in places_of(at)
    ]
    hold = at.account.hold
    spare = list(now)
    lost = []
    for earlier in hold.markers if hold else ():
        if earlier in spare:
            spare.remove(earlier)
        else:
            lost.append(earlier)
    return (*lost, *now)


def markers_without_hold(at: ServiceAtTip) -> tuple[str, ...]:
    """Return warnings of markers that are out of action although nothing is held."""
    if at.account.hold is not None:
        return ()
    return tuple(
        f"{field.place}: the marker {marker.active_text} is out of action although nothing is "
        "held: gitops-rollback release puts it back"
        for field in at.found.fields
        for marker in field.markers
        if marker.is_held
    )


def lost_markers(at: ServiceAtTip) -> tuple[str, ...]:
    """Return warnings of markers that ending the hold cannot put back as they were.

    People may have removed, moved or renamed them meanwhile, or the file they stood in.
    """
    hold = at.account.hold
    waiting = list(hold.markers) if hold else []
    there = list(places_of(at))
    for is_same in (_is_same, _is_moved):
        for held in tuple(waiting):
            place = next((place for place in there if is_same(place, held)), None)
            if place is not None:
                there.remove(place)
                waiting.remove(held)
    return tuple(_warning(held, at, there) for held in waiting)


def _is_same(place: MarkerPlace, held: HeldMarker) -> bool:
    return place.fits(held) and place.marker.active_text == held.marker


def _is_moved(place: MarkerPlace, held: HeldMarker) -> bool:
    """Tell whether a marker stands behind another field of the service, as after a renaming."""
    return place.marker.active_text == held.marker


def _warning(held: HeldMarker, at: ServiceAtTip, there: Iterable[MarkerPlace]) -> str:
    renamed = next((place for place in there if place.fits(held)), None)
    if renamed is not None:
        now = renamed.marker
        what = "is put back as it stands now" if now.is_held else "is another by now"
        return (
            f"{renamed.place}: the marker was {held.marker} when it was held, and {what}: "
            f"{now.active_text}"
        )
    stray = next(_strays(held, at), None)
    if stray is not None:
        return (
            f"{stray}: the held marker {held.marker} stands behind no image of {at.service} any "
            "more, so it was not put back: write $imagepolicy for $imagepolicy-held there by hand"
        )
    same = (f for f in at.found.fields if (f.path, f.container) == (held.path, held.container))
    field = next(same, None)
    if field is not None:
        return (
            f"{field.place}: the marker of container '{held.container}' was removed while it was "
            "held, so it was not put back: if automation is to act there, add by hand: "
            f"# {held.marker}"
        )
    places = ", ".join(field.place for field in at.found.fields)
    return (
        f"{held.path} no longer has the container '{held.container}' whose marker was held, so it "
        f"was not put back: if automation is to act on {at.service} again, add by hand behind its "
        f"image ({places}): # {held.marker}"
    )


def _strays(held: HeldMarker, at: ServiceAtTip) -> Iterator[str]:
    """Yield where the held marker stands in the service's files behind none of its images."""
    fields = at.found.fields
    known = {(field.path, marker.key_start) for field in fields for marker in field.markers}
    for path in dict.fromkeys([held.path, *(field.path for field in fields)]):
        file = at.found.manifests.files.get(path)
        for marker in markers_in(file) if file is not None else ():
            is_it = marker.is_held and marker.active_text == held.marker
            if file is not None and is_it and (path, marker.key_start) not in known:
                yield f"{path}:{file.text.count(chr(10), 0, marker.key_start) + 1}"
