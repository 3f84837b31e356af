"""Where candidates come from, and what refuses them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_rollback import query
from gitops_rollback.errors import ConfigError, UsageError
from gitops_rollback.image import ImageReference, InvalidImageError, is_digest, is_tag, parse_image
from gitops_rollback.plan.facts import Candidate, MissingRecord
from gitops_rollback.timeline import ARTIFACT, GIT

if TYPE_CHECKING:
    from gitops_rollback.plan.facts import Check, Choice, Facts
    from gitops_rollback.timeline import Event, Timeline


_MUTABLE = "only its tag is known, and the tag was used again since"


def pointer(event: Event) -> str:
    """Return the key by which a record that an event names is kept in the facts."""
    return event.record or str(event.build or "")


def from_timeline(timeline: Timeline, strategy: str) -> tuple[Candidate, ...]:
    """Return the images below the top of the stack, newest first, each once."""
    found: list[Candidate] = []
    for level in reversed(timeline.levels[:-1]):
        if any(candidate.image.is_same_image(level.image) for candidate in found):
            continue
        if strategy == GIT and level.replaced and GIT not in level.replaced.proofs:
            continue
        found.append(_of_level(level.image, level.placed, level.replaced, timeline))
    found += [
        Candidate(image, frozenset({ARTIFACT})).refused(
            "never-deployed", "recorded by a build, but never committed"
        )
        for image in timeline.never_deployed
    ]
    return tuple(found)


def from_registry(facts: Facts, choice: Choice, timeline: Timeline) -> tuple[Candidate, ...]:
    """Return the tags the query prefers, in its order."""
    tags = facts.tags or ()
    document = query.prepare(tags, facts.running)
    names = query.run(choice.query or facts.settings.query, document)
    by_name = {tag.name: tag for tag in tags}
    found = []
    for name in names:
        tag = by_name.get(name)
        image = facts.running.with_version(name, tag.digest if tag else None)
        candidate = Candidate(image, frozenset({"registry"}))
        if any(image.may_be(never) for never in timeline.never_deployed):
            candidate = candidate.refused(
                "never-deployed", "recorded by a build, but never committed"
            )
        found.append(candidate)
    return tuple(found)


def named(to: str, facts: Facts, timeline: Timeline) -> Candidate:
    """Return the candidate that `--to` names: a build, a digest, an image or a tag."""
    if "#" in to:
        return _of_build(to, facts, timeline)
    if is_digest(to):
        wanted = facts.running.with_version(None, to)
    elif "/" in to:
        wanted = _image(to, facts)
    elif is_tag(to):
        wanted = facts.running.with_version(to, None)
    else:
        raise UsageError(
            f"--to {to} is no tag, digest, image or build",
            "write 1.4.2, sha256:…, acme/cart:1.4.2, #41 or JOB#41",
        )
    for level in reversed(timeline.levels):
        if _is_meant(wanted, level.image):
            return _of_level(level.image, level.placed, level.replaced, timeline)
    for event in reversed(timeline.events):
        if _is_meant(wanted, event.image):
            return _of_level(event.image, event, None, timeline)
    return Candidate(wanted, frozenset({"registry"}))


def judge_known(candidate: Candidate, facts: Facts, accept: frozenset[str]) -> Candidate:
    """Refuse a candidate for what is known without asking anybody."""
    if candidate.verdict == "refused" and candidate.reason not in accept:
        return candidate
    candidate = replace(candidate, verdict="acceptable", reason=None)
    if candidate.image.is_same_image(facts.running):
        return candidate.refused("running", "it runs now")
    bad = facts.state.find_bad(candidate.image) if facts.state else None
    if bad is not None and "bad" not in accept:
        by = f" by {bad.by}" if bad.by else ""
        why = f": {bad.reason}" if bad.reason else ""
        return candidate.refused("bad", f"it was rolled back from on {bad.at}{by}{why}")
    return candidate


def with_record(
    candidate: Candidate, facts: Facts, strategy: str, accept: frozenset[str]
) -> Candidate:
    """Add the record that belongs to a candidate, or what is wrong with it."""
    event = candidate.replaced
    stored = facts.stored.get(pointer(event)) if event else None
    if event is None or stored is None or isinstance(stored, MissingRecord):
        if strategy != ARTIFACT:
            return candidate
        reason = stored.reason if isinstance(stored, MissingRecord) else "no build is named"
        return candidate.refused(None, f"its record is not in the archive: {reason}")
    is_other = event.record is not None and stored.sha256 != event.record
    is_other = is_other or not stored.record.image.may_be(candidate.image)
    if is_other and "tampered" not in accept:
        return candidate.refused(
            "tampered", f"the record in {stored.location} is not the one that was archived"
        )
    if is_other:
        return candidate
    is_moved = candidate.image.digest is None and stored.record.digest_from == "moved"
    if is_moved and "mutable-tag" not in accept:
        return candidate.refused("mutable-tag", _MUTABLE)
    image = candidate.image if candidate.image.digest else stored.record.image
    return replace(candidate, image=image, stored=stored, sources=candidate.sources | {ARTIFACT})


def with_check(
    candidate: Candidate, check: Check, facts: Facts, accept: frozenset[str]
) -> Candidate:
    """Add what the registry says of a candidate."""
    image = candidate.image
    if (
        image.digest is None
        and check.digest is not None
        and not candidate.sources & {GIT, ARTIFACT}
    ):
        image = image.with_version(image.tag, check.digest)
    candidate = replace(candidate, check=check, image=image)
    if check.status == "gone" and "gone" not in accept:
        return candidate.refused("gone", check.message)
    if image.is_same_image(facts.running):
        return candidate.refused("running", "it has the digest that runs now")
    bad = facts.state.find_bad(image) if facts.state else None
    if bad is not None and "bad" not in accept:
        return candidate.refused("bad", f"it was rolled back from on {bad.at}")
    return candidate


def _of_level(
    image: ImageReference, placed: Event | None, replaced: Event | None, timeline: Timeline
) -> Candidate:
    proofs = frozenset(p for event in (placed, replaced) if event for p in event.proofs)
    candidate = Candidate(
        image=image,
        sources=proofs or frozenset({GIT}),
        deployed_at=placed.at if placed and placed.at else None,
        placed=placed,
        replaced=replaced,
        stored=replaced.stored if replaced else None,
    )
    if _is_mutable(candidate, timeline):
        return candidate.refused("mutable-tag", _MUTABLE)
    return candidate


def _of_build(to: str, facts: Facts, timeline: Timeline) -> Candidate:
    job, _, number = to.rpartition("#")
    for level in reversed(timeline.levels):
        if level.placed and _is_build(level.placed, job, number):
            return _of_level(level.image, level.placed, level.replaced, timeline)
    for event in reversed(timeline.events):
        if _is_build(event, job, number):
            return _of_level(event.image, event, None, timeline)
    known = [str(event.build) for event in reversed(timeline.events) if event.build]
    raise ConfigError(
        f"no deployment of {facts.title} is known from build {to}",
        f"known builds: {', '.join(known[:5])}" if known else "give a tag, digest or image",
    )


def _is_build(event: Event, job: str, number: str) -> bool:
    build = event.build
    return build is not None and str(build.number) == number and job in ("", build.job)


def _image(to: str, facts: Facts) -> ImageReference:
    try:
        image = parse_image(to)
    except InvalidImageError as error:
        raise UsageError(f"--to: {error}", "write acme/cart:1.4.2 or acme/cart@sha256:…") from error
    if image.full_repository != facts.running.full_repository:
        raise ConfigError(
            f"--to {to} is of another repository than {facts.title}, which runs "
            f"{facts.running.canonical}",
            "a rollback changes the version, never the repository",
        )
    return image


def _is_meant(wanted: ImageReference, image: ImageReference) -> bool:
    if wanted.full_repository != image.full_repository:
        return False
    if wanted.digest is not None:
        return wanted.digest == image.digest
    return wanted.tag == image.tag


def _is_mutable(candidate: Candidate, timeline: Timeline) -> bool:
    """Tell whether a tag without a digest can mean something else by now."""
    if candidate.image.digest is not None:
        return False
    if candidate.stored is not None and candidate.stored.record.digest_from == "moved":
        return True
    tag = candidate.image.tag or "latest"
    events = list(timeline.events)
    first = events.index(candidate.placed) + 1 if candidate.placed in events else 0
    return any((event.image.tag or "latest") == tag for event in events[first:])
