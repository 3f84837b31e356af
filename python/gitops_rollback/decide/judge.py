"""What refuses a candidate, by what is known, by its record, and by the registry. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.candidates import MUTABLE
from gitops_rollback.decide.holds import why_bad
from gitops_rollback.image import same, same_reference
from gitops_rollback.late import dataclass, replace
from gitops_rollback.ledger.events import ARTIFACT, GIT, agree, is_named, is_of_another_deed
from gitops_rollback.ledger.records import MissingRecord
from gitops_rollback.query.tags import named_no_image, normalised_time
from gitops_rollback.refusals import RUNNING

if TYPE_CHECKING:
    from gitops_rollback.decide.facts import Check, Facts, History, Platforms
    from gitops_rollback.decide.plan import Candidate
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.ledger.stack import Timeline


def judge_known(
    candidate: Candidate, facts: Facts, timeline: Timeline, accept: frozenset[str]
) -> Candidate:
    """Refuse a candidate for what is known without asking anybody."""
    if candidate.verdict == "refused" and candidate.reason not in accept:
        return candidate
    candidate = replace(candidate, verdict="acceptable", reason=None)
    if is_named(candidate.image, facts.running):
        return candidate.refused(RUNNING, "it runs now")
    what = named_no_image(candidate.image.tag or "")
    if what and "not-an-image" not in accept:
        return candidate.refused("not-an-image", f"its tag is that of {what}")
    if "bad" in accept:
        return candidate
    return _refused_if_bad(candidate, candidate.image, facts, timeline)


def with_record(
    candidate: Candidate,
    stored: StoredRecord | MissingRecord,
    strategy: str,
    accept: frozenset[str],
) -> Candidate:
    """Add the record that belongs to a candidate, or what is wrong with it.

    A digest that only the record names, as it was resolved then, becomes the candidate's.
    """
    if isinstance(stored, MissingRecord):
        return _without_record(candidate, stored, strategy, accept)
    deed = candidate.replaced.deed if candidate.replaced else None
    is_other = deed is not None and deed.record not in (None, stored.sha256)
    if deed is not None and is_other and is_of_another_deed(stored.record, deed):
        missing = MissingRecord(f"{stored.location} is a later build of that number")
        return _without_record(candidate, missing, strategy, accept)
    is_other = is_other or not agree(stored.record.image, candidate.image)
    if is_other and "tampered" not in accept:
        return candidate.refused(
            "tampered", f"the record in {stored.location} is not the one that was archived"
        )
    return candidate if is_other else _with_own_record(candidate, stored, accept)


def _without_record(
    candidate: Candidate, missing: MissingRecord, strategy: str, accept: frozenset[str]
) -> Candidate:
    if missing.is_tampered and "tampered" not in accept:
        return candidate.refused("tampered", f"its record was changed: {missing.reason}")
    if strategy != ARTIFACT:
        return candidate
    return candidate.refused(None, f"its record is not in the archive: {missing.reason}")


def _with_own_record(
    candidate: Candidate, stored: StoredRecord, accept: frozenset[str]
) -> Candidate:
    is_moved = candidate.image.digest is None and stored.record.digest_from == "moved"
    if is_moved and "mutable-tag" not in accept:
        return candidate.refused("mutable-tag", MUTABLE)
    candidate = replace(candidate, stored=stored, sources=candidate.sources | {ARTIFACT})
    if candidate.image.digest is not None or stored.record.image.digest is None:
        return candidate
    return replace(
        candidate, image=stored.record.image, verdict="acceptable", reason=None, message=""
    )


def with_check(
    candidate: Candidate,
    check: Check,
    facts: Facts,
    timeline: Timeline,
    accept: frozenset[str],
) -> Candidate:
    """Add what the registry says of a candidate."""
    image = candidate.image
    resolved = image.with_version(image.tag, check.digest) if image.digest is None else image
    if not candidate.sources & {GIT, ARTIFACT}:
        image = resolved
    candidate = replace(candidate, check=check, image=image)
    if check.status == "gone" and "gone" not in accept:
        return candidate.refused("gone", check.message)
    if same(resolved, facts.running):
        return candidate.refused(RUNNING, "it has the digest that runs now")
    return candidate if "bad" in accept else _refused_if_bad(candidate, resolved, facts, timeline)


def with_platforms(candidate: Candidate, platforms: Platforms, accept: frozenset[str]) -> Candidate:
    """Refuse what is no image, what runs already, and what cannot run where that does.

    What a tag is now need not be what runs under it: where the ledger offers an image that has the
    digest of the running tag, that is said and no more.
    """
    candidate = replace(candidate, built_at=platforms.built, revision=platforms.revision)
    if platforms.no_image and "not-an-image" not in accept:
        return candidate.refused("not-an-image", f"it is {platforms.no_image}")
    if platforms.is_same:
        told = "it has the digest that the running tag has now"
        if not candidate.sources & {GIT, ARTIFACT}:
            return candidate.refused(RUNNING, told)
        note = f"{candidate.image.label}: {told}: if that is what runs, nothing changes"
        candidate = replace(candidate, notes=(*candidate.notes, note))
    lacking = ", ".join(name.replace("@", " ") for name in platforms.lacking)
    if not lacking or "platform" in accept:
        return candidate
    return candidate.refused("platform", f"it is not there for {lacking}, as the running image is")


@dataclass(frozen=True)
class Reach:
    """How far back is known what ran: since when, and whether that is all there ever was."""

    since: str | None
    is_all: bool

    def covers(self, pushed: str | None) -> bool:
        """Tell whether what ran is known from before an image was pushed.

        Where the registry tells no time, all has to be known of fields that had another image
        before.
        """
        if pushed is not None and self.since is not None:
            return self.since <= pushed
        return self.is_all


def reach_of(timeline: Timeline, history: History, running: ImageReference) -> Reach:
    """Return how far back the ledger goes, with the history that was walked."""
    times = [event.at for event in timeline.events if event.at]
    times += [entry.at for entry in history.entries if entry.at]
    others = [level.image for level in timeline.levels[:-1]]
    others += [entry.image for entry in history.entries]
    is_all = history.begins and any(same_reference(i, running) is False for i in others)
    return Reach(normalised_time(min(times, default=None)), is_all)


def with_proof(
    candidate: Candidate,
    reach: Reach,
    pushed: str | None,
    accept: frozenset[str],
    *,
    is_named: bool,
) -> Candidate:
    """Refuse an image that no ledger shows to have run here, or say so.

    `is_named`: a person named it, so that nothing else speaks for it.
    """
    shown = f"they go back to {reach.since[:19]}" if reach.since else "they go back to nothing"
    message = f"no commit, record or state file shows that it ran here, and {shown}"
    is_shown = reach.covers(pushed)
    if is_shown and "never-ran" not in accept:
        return candidate.refused("never-ran", message)
    if is_named and not is_shown and "unproven" not in accept:
        return candidate.refused("unproven", message)
    label = candidate.image.label
    return replace(candidate, notes=(*candidate.notes, f"{label}: nothing shows that it ran here"))


def with_revision(
    candidate: Candidate,
    revision: str | None,
    facts: Facts,
    timeline: Timeline,
    accept: frozenset[str],
) -> Candidate:
    """Refuse an image that is built from a commit that was rolled back from."""
    if "bad" in accept:
        return candidate
    return _refused_if_bad(candidate, candidate.image, facts, timeline, revision)


def _refused_if_bad(
    candidate: Candidate,
    image: ImageReference,
    facts: Facts,
    timeline: Timeline,
    revision: str | None = None,
) -> Candidate:
    found = why_bad(facts, timeline.bad, image, timeline.ran, revision)
    if found is None:
        return candidate
    deed = found.entry.deed
    other = f"{found.entry.image.label}, which has its {found.by}, was"
    what = "it was" if found.by == "digest" else other
    when = f" on {deed.at}" if deed.at else ""
    by = f" by {deed.by}" if deed.by else ""
    why = f": {deed.reason}" if deed.reason else ""
    return candidate.refused("bad", f"{what} rolled back from{when}{by}{why}")
