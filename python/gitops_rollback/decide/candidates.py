"""Where candidates come from: the ledger, the registry, a name or a time. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from gitops_rollback.decide.facts import (
    BEGINNING,
    History,
    NeedHistory,
    NeedRecord,
    NeedTags,
    Platforms,
)
from gitops_rollback.decide.plan import Candidate
from gitops_rollback.errors import SPELT_NEARLY, ConfigError, UsageError, did_you_mean, nearest
from gitops_rollback.image import (
    ImageReference,
    InvalidImageError,
    is_digest,
    is_tag,
    parse_image,
    same_reference,
)
from gitops_rollback.late import regex, replace
from gitops_rollback.ledger.events import ARTIFACT, GIT, Event, agree, is_named, is_unchanged
from gitops_rollback.ledger.stack import Level
from gitops_rollback.model import DEPLOY, RECORDED, some
from gitops_rollback.query.shapes import is_version_tag
from gitops_rollback.query.tags import Ran

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gitops_rollback.decide.facts import Facts
    from gitops_rollback.ledger.events import HistoryEntry
    from gitops_rollback.ledger.stack import Timeline
    from gitops_rollback.model import OfDeed
    from gitops_rollback.query.tags import Tag

    T = TypeVar("T", Event, HistoryEntry)
    Matcher = Callable[[ImageReference, ImageReference], bool]


_REGISTRY = frozenset({"registry"})
_GIT = frozenset({GIT})
_MOST_BUILDS = 5  # that a hint names
_SHORT_DIGEST = regex(r"sha256:[0-9a-f]{7,63}")
_DIGITS = regex(r"(?:sha256:)?([0-9a-z]{7,64})")  # of a digest, as somebody types them
_SHOWN_DIGITS = 19  # characters of a digest, as commits and messages print it
_MOST_NEAR = 3
MOST_TAGS = 100  # of a registry, that are looked at
TEXT_OF_BAD = "it is what was rolled back from, word for word: whether it is that is not known"
MUTABLE = "only its tag is known, and the tag was used again since"
PINNED = "only its tag is known, which runs with a digest now: it leads to no other image that ran"


def record_of(event: Event) -> NeedRecord:
    """Return the need for the record that an event names."""
    return NeedRecord(event.build, event.record, event.deed)


def from_timeline(timeline: Timeline) -> tuple[Candidate, ...]:
    """Return the images below the top of the stack, newest first, each once."""
    found: list[Candidate] = []
    for level in reversed(timeline.levels[:-1]):
        if any(is_named(candidate.image, level.image) for candidate in found):
            continue
        found.append(_of_level(level, timeline))
    found += [
        _unless_never_deployed(Candidate(image, frozenset({ARTIFACT})), timeline)
        for image in timeline.never_deployed
    ]
    return tuple(found)


def from_registry(names: Sequence[str], facts: Facts, timeline: Timeline) -> tuple[Candidate, ...]:
    """Return the candidates of the first tags that were selected, in their order."""
    by_name = {tag.name: tag for tag in told_tags(facts)}
    found = []
    for name in names[:MOST_TAGS]:
        tag = by_name.get(name)
        image = facts.running.with_version(name, tag.digest if tag else None)
        found.append(_unless_never_deployed(Candidate(image, _REGISTRY), timeline))
    return tuple(found)


def is_meant(wanted: ImageReference, image: ImageReference) -> bool:
    """Tell whether an image is the one that a person named: by digest, else by its tag."""
    if wanted.full_repository != image.full_repository:
        return False
    if wanted.digest is not None:
        return wanted.digest == image.digest
    return wanted.effective_tag == image.effective_tag


def from_history(
    to: str, facts: Facts, timeline: Timeline, history: History, is_it: Matcher
) -> Candidate | None:
    """Return what `--to` names as the commits tell of it: the digest that ran, the last time."""
    wanted = _wanted(to, facts, timeline)
    entry = next((e for e in history.entries if is_it(wanted, e.ran)), None)
    return _of_entry(entry) if entry is not None else None


def _of_entry(entry: HistoryEntry) -> Candidate:
    placed = Event(entry.told.deed, entry.commit, proofs=_GIT) if entry.told else None
    return Candidate(entry.ran, _GIT, deployed_at=entry.at, placed=placed)


def has_run(
    image: ImageReference, timeline: Timeline, history: History, *, is_by_tag: bool = True
) -> bool:
    """Tell whether the ledger shows that an image ran here: by digest, or by its version tag.

    A tag counts only where nobody knows with which digest it ran, and only if it names one build.
    Of an image with a digest it does not count where not `is_by_tag`: whose word that digest is.
    """
    known = [*timeline.images, *(level.image for level in timeline.levels)]
    known += [entry.ran for entry in history.entries]
    known = [one for one in known if one.full_repository == image.full_repository]
    has_version = image.tag is not None and is_version_tag(image.tag)
    of_tag = [one.digest for one in known if has_version and one.tag == image.tag]
    if image.digest is None:
        return bool(of_tag)
    if any(one.digest == image.digest for one in known):
        return True
    return is_by_tag and bool(of_tag) and not any(of_tag)


def ran(timeline: Timeline) -> tuple[Ran, ...]:
    """Return the stack, the oldest first: what ran before what runs, in the branch's order."""
    return tuple(
        Ran(level.image.digest, level.placed.at if level.placed else None)
        for level in timeline.levels
        if level.image.digest
    )


def told_tags(facts: Facts) -> Sequence[Tag]:
    """Return the tags that a registry told of, if it was asked."""
    answers = (answer.found for need, answer in facts.known.items() if isinstance(need, NeedTags))
    return next(answers, ())


def pushed_at(image: ImageReference, facts: Facts) -> str | None:
    """Return when an image was pushed, if the registry tells; it is asked once."""
    if not told_tags(facts):
        facts.ask(NeedTags(patient=False))
    return next((tag.time for tag in told_tags(facts) if _has(tag, image)), None)


def told_platforms(image: ImageReference, facts: Facts) -> Platforms | None:
    """Return the platforms that the tags tell of an image and of the running one, if they do."""
    tags = told_tags(facts)
    of_image = next((tag for tag in tags if _has(tag, image)), None)
    of_running = next((tag for tag in tags if _has(tag, facts.running)), None)
    if of_image is not None and of_image.no_image:
        return Platforms(no_image=of_image.no_image)
    if of_image is None or of_running is None or not of_image.images or not of_running.images:
        return None
    ours, theirs = (frozenset(name for name, _ in tag.images) for tag in (of_image, of_running))
    return Platforms(ours, theirs)


def _has(tag: Tag, image: ImageReference) -> bool:
    if tag.digest is None or image.digest is None:
        return tag.name == image.tag
    return tag.digest == image.digest


def named(to: str, facts: Facts, timeline: Timeline, is_it: Matcher = is_meant) -> Candidate:
    """Return the candidate that `--to` names: a build, a digest, an image or a tag.

    A person who names a tag means what ran under it last. Where the ledger or a plan told the image
    (`is_unchanged`), what ran under that tag at another time, with a digest, is another image.
    """
    if "#" in to:
        return _of_build(to, facts, timeline)
    if _SHORT_DIGEST.fullmatch(to):
        return _of_short_digest(to, facts, timeline)
    wanted = _wanted(to, facts, timeline)
    for level in reversed(timeline.levels):
        if is_it(wanted, level.image):
            return _of_level(level, timeline)
    found = _of_event(wanted, timeline, is_it)
    return found or _unless_never_deployed(Candidate(wanted, _REGISTRY), timeline)


def near(named: str, facts: Facts, timeline: Timeline) -> list[str]:
    """Return what ran here and is spelt nearly as a digest, or a tag: it is said, never taken.

    So are the digest whose digits alone were written, the build of a number without `#`, and the
    tag with its `v`, or without.
    """
    history = facts.has(NeedHistory(BEGINNING)) or History()
    ran = [*timeline.images, *(entry.ran for entry in history.entries)]
    ran = [one for one in ran if not same_reference(one, facts.running)]
    digits = _DIGITS.fullmatch(named.casefold())
    if digits:
        told = {one.digest for one in ran if one.digest}
        begun = {digest[7:][: len(digits[1])]: digest[:_SHOWN_DIGITS] for digest in sorted(told)}
        found = [begun.get(digits[1]), *map(begun.get, nearest(digits[1], begun, SPELT_NEARLY))]
        if any(found):
            return [one for one in found if one]
    if any(_is_build(event, "", named) for event in timeline.events):
        return [f"#{named}"]
    tags = {_plain(one.tag): one.tag for one in ran if one.tag}
    plain = _plain(named)
    if plain in tags:
        return [tags[plain]]
    longer = [one for one in tags if one.startswith(f"{plain}.")]
    alike = dict.fromkeys([*longer, *nearest(plain, tags, SPELT_NEARLY)])
    return [tags[one] for one in alike][:_MOST_NEAR]


def _plain(tag: str) -> str:
    """Return a tag without what people leave out, or add: `V1.4.2` is 1.4.2 to them."""
    return tag.casefold().removeprefix("v")


def with_others(candidate: Candidate, to: str, timeline: Timeline) -> Candidate:
    """Say which other images ran under the tag that a person names: the last of them is meant."""
    image = candidate.image
    seen = [i for i in timeline.images if i.full_repository == image.full_repository]
    known = (None, image.digest)
    others = [i.digest[:19] for i in seen if i.digest and i.digest not in known and i.tag == to]
    if not others or image.digest is None:
        return candidate
    named_so = ", ".join(f"--to {digest}" for digest in dict.fromkeys(others))
    note = f"{to} ran as another image, too ({named_so}): the one that ran last is meant"
    return replace(candidate, notes=(*candidate.notes, note))


def _of_short_digest(to: str, facts: Facts, timeline: Timeline) -> Candidate:
    """Return the image that ran whose digest begins so, as commits and messages print it."""
    told = (i.digest for i in timeline.images if i.digest)
    meant = dict.fromkeys(digest for digest in told if digest.startswith(to))
    if len(meant) == 1:
        return named(next(iter(meant)), facts, timeline)
    history = facts.ask(NeedHistory(BEGINNING)).entries if not meant else ()
    older = {d: e for e in reversed(history) if (d := e.ran.digest or "").startswith(to)}
    if len(older) == 1:
        return _of_entry(next(iter(older.values())))
    meant |= dict.fromkeys(older)
    if meant:
        raise ConfigError(
            f"--to {to} can be any of {', '.join(meant)}", "give more of the digest that is meant"
        )
    raise ConfigError(
        f"no image of {facts.title} that is known has a digest that begins with {to}",
        did_you_mean(near(to, facts, timeline))
        or "give the whole digest, or a tag (gitops-rollback plan lists what ran)",
    )


def _wanted(to: str, facts: Facts, timeline: Timeline) -> ImageReference:
    """Return the image that a digest, an image or a tag means."""
    if is_digest(to):
        return facts.running.with_version(None, to)
    if "/" in to:
        return _image(to, facts, timeline)
    if is_tag(to):
        return facts.running.with_version(to, None)
    raise UsageError(
        f"--to {to} is no tag, digest, image or build",
        did_you_mean(near(to, facts, timeline))
        or "write 1.4.2, sha256:…, acme/cart:1.4.2, #41 or JOB#41",
    )


def is_never_deployed(image: ImageReference, timeline: Timeline) -> bool:
    """Tell whether an image was recorded by a build that never committed it."""
    return any(agree(image, never) for never in timeline.never_deployed)


def _unless_never_deployed(candidate: Candidate, timeline: Timeline) -> Candidate:
    if is_never_deployed(candidate.image, timeline):
        return candidate.refused("never-deployed", "recorded by a build, but never committed")
    return candidate


def _of_level(level: Level, timeline: Timeline) -> Candidate:
    placed, replaced = level.placed, level.replaced
    proofs = frozenset(p for event in (placed, replaced) if event for p in event.proofs)
    candidate = Candidate(
        image=level.image,
        sources=proofs or frozenset({GIT}),
        deployed_at=placed.at if placed and placed.at else None,
        placed=placed,
        replaced=replaced,
        stored=replaced.stored if replaced else None,
    )
    if any(is_named(one.image, level.image) for one in timeline.bad if not one.image.digest):
        return candidate.refused("bad", TEXT_OF_BAD)
    if _is_mutable(candidate, timeline):
        return candidate.refused("mutable-tag", MUTABLE)
    return candidate


def _of_event(wanted: ImageReference, timeline: Timeline, is_it: Matcher) -> Candidate | None:
    """Return an image that ran and is not on the stack any more: it was rolled back from."""
    events = timeline.events
    for index in range(len(events) - 1, -1, -1):
        event = events[index]
        if is_it(wanted, event.image):
            return _of_level(Level(event.image, event), timeline)
        before = event.from_image
        if before is not None and is_it(wanted, before):
            earlier = reversed(events[:index])
            placed = next((e for e in earlier if is_unchanged(e.image, before)), None)
            return _of_level(Level(before, placed, event), timeline)
    return None


def _of_build(to: str, facts: Facts, timeline: Timeline) -> Candidate:
    job, _, number = to.rpartition("#")
    meant = [event for event in reversed(timeline.events) if _is_build(event, job, number)]
    older: list[HistoryEntry] = []
    if not meant:
        history = facts.ask(NeedHistory(BEGINNING)).entries
        older = [e for e in history if e.told and _is_build(e.told, job, number)]
    told = [(str(event.build), event.image) for event in meant]
    told += [(str(e.told.build), e.ran) for e in older if e.told]
    builds = {build: image.canonical for build, image in told}
    if len(builds) > 1:
        choice = ", ".join(f"{build} ({image})" for build, image in builds.items())
        raise ConfigError(
            f"build {to} of {facts.title} can be any of {choice}", "name the job too: --to JOB#41"
        )
    images = dict.fromkeys(image.canonical for _build, image in told)
    if len(images) > 1:
        raise ConfigError(
            f"build {to} of {facts.title} put more than one image there: {', '.join(images)}",
            "name the one that is meant instead of the build: --to IMAGE",
        )
    for event in meant:
        level = next((level for level in timeline.levels if level.placed is event), None)
        return _of_level(Level(event.image, event, level.replaced if level else None), timeline)
    if older:
        return _of_entry(older[0])
    told_by = (str(event.build) for event in reversed(timeline.events) if event.build)
    known = list(dict.fromkeys(told_by))
    raise ConfigError(
        f"no deployment of {facts.title} is known from build {to}",
        f"known builds: {some(known, _MOST_BUILDS)}" if known else "give a tag, digest or image",
    )


def _is_build(event: OfDeed, job: str, number: str) -> bool:
    build = event.build
    return build is not None and str(build.number) == number and job in ("", build.job)


def _image(to: str, facts: Facts, timeline: Timeline) -> ImageReference:
    try:
        image = parse_image(to)
    except InvalidImageError as error:
        raise UsageError(f"--to: {error}", "write acme/cart:1.4.2 or acme/cart@sha256:…") from error
    ran = {one.full_repository for one in timeline.images}
    if image.full_repository not in {facts.running.full_repository, *ran}:
        raise ConfigError(
            f"--to {to} is of another repository than {facts.title}, which runs "
            f"{facts.running.canonical}",
            "name an image of the same repository, or one that ran here before it was moved",
        )
    return image


def _is_mutable(candidate: Candidate, timeline: Timeline) -> bool:
    """Tell whether a tag without a digest can mean something else by now."""
    if candidate.image.digest is not None:
        return False
    if candidate.stored is not None and candidate.stored.record.digest_from == "moved":
        return True
    events = list(timeline.events)
    first = events.index(candidate.placed) + 1 if candidate.placed in events else 0
    if not first and candidate.replaced in events:  # what came by hand is known by what followed
        first = events.index(candidate.replaced)
    # Going back to an image, by a rollback or by hand, is no new use of its tag.
    later = [event.image for event in events[first:] if event.action in (DEPLOY, RECORDED)]
    return any(image.effective_tag == candidate.image.effective_tag for image in later)


def as_of(moment: str, facts: Facts, timeline: Timeline, history: History) -> Candidate | None:
    """Return the image that ran at a time; None if nothing tells, or if times contradict the order.

    An event counts from its time to the next one, if no commit in between changed the manifest: one
    that was reverted with its state file is in no account. Else the commits have to tell.
    """
    if not reaches(history.entries, moment) and not history.is_whole:
        history = facts.ask(NeedHistory(moment))
    entry, is_sure = _standing_at(moment, history.entries)
    event, is_told = _standing_at(moment, timeline.events[::-1])
    if not (is_sure and is_told):
        return None
    if event is not None and (entry is None or _counts(event, entry, timeline)):
        return named(event.image.canonical, facts, timeline, is_unchanged)
    if entry is None:
        return None
    found = named(entry.ran.canonical, facts, timeline, is_unchanged)
    if found.sources & {GIT}:
        return found
    return replace(found, sources=found.sources | {GIT}, deployed_at=entry.at)


def _standing_at(moment: str, told: Sequence[T]) -> tuple[T | None, bool]:
    """Return what stood at a time, of what is told newest first; and whether the times are sure.

    They are not where something older is dated after that time: then a clock was wrong.
    """
    place = next((n for n, one in enumerate(told) if one.at and one.at <= moment), None)
    if place is None:
        return None, True
    return told[place], all((one.at or "") <= moment for one in told[place:])


def _counts(event: Event, entry: HistoryEntry, timeline: Timeline) -> bool:
    """Tell whether an event left what a commit, the newest until a time, left in the manifest."""
    following = timeline.events[timeline.events.index(event) + 1 :]
    before = following[0].from_image if following else None
    if before is not None and not is_unchanged(before, event.image):
        return False  # somebody edited the manifest in between
    return (event.at or "") > entry.at or agree(entry.ran, event.image)


def reaches(entries: Sequence[HistoryEntry], moment: str) -> bool:
    """Tell whether history, newest first, goes back to a time."""
    return any(entry.at <= moment for entry in entries)
