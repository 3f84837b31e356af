"""What refuses a candidate, by what is known, by its record, and by the registry. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.candidates import MUTABLE, PINNED
from gitops_rollback.decide.holds import why_bad
from gitops_rollback.image import may_be, same, same_reference
from gitops_rollback.late import dataclass, replace
from gitops_rollback.ledger.events import ARTIFACT, agree, is_named, is_of_another_deed
from gitops_rollback.ledger.records import MissingRecord
from gitops_rollback.model import by_whom, told_why
from gitops_rollback.query.tags import named_no_image, normalised_time
from gitops_rollback.refusals import RUNNING

if TYPE_CHECKING:
    from gitops_rollback.decide.facts import Check, Facts, History, Platforms, Records
    from gitops_rollback.decide.plan import Candidate
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.ledger.stack import Timeline


@dataclass(frozen=True)
class Account:
    """What is wished for, and what the ledger tells of it.

    The timeline, and the archive and history where they were asked.
    """

    wish: Wish
    facts: Facts
    timeline: Timeline
    records: Records
    history: History

    @property
    def accept(self) -> frozenset[str]:
        """The refusals that are accepted: only of an image that is named."""
        return self.wish.accept if self.wish.is_named else frozenset()

    @property
    def is_asked_for(self) -> bool:
        """Whether a person named the image, now or when the plan was made that is followed."""
        wish, at = self.wish, self.facts.at
        if wish.planned is not None and wish.to is None and wish.as_of is None:
            return wish.planned.planned(at.service, at.environment).is_named
        return wish.to is not None or wish.as_of is not None

    def accepts(self, code: str) -> bool:
        """Whether a refusal is accepted."""
        return code in self.accept


def judge_known(candidate: Candidate, account: Account) -> Candidate:
    """Refuse a candidate for what is known without asking anybody."""
    if candidate.is_refused and candidate.reason not in account.accept:
        return candidate
    candidate = replace(candidate, verdict="acceptable", reason=None)
    if is_named(candidate.image, account.facts.running):
        return candidate.refused(RUNNING, "it runs now")
    what = named_no_image(candidate.image.tag or "")
    if what and not account.accepts("not-an-image"):
        return candidate.refused("not-an-image", f"its tag is that of {what}")
    return refused_if_bad(candidate, candidate.image, account)


def with_record(
    candidate: Candidate, stored: StoredRecord | MissingRecord, account: Account
) -> Candidate:
    """Add the record that belongs to a candidate, or what is wrong with it.

    A digest that only the record names, as it was resolved then, becomes the candidate's.
    """
    if isinstance(stored, MissingRecord):
        return _without_record(candidate, stored, account)
    deed = candidate.replaced.deed if candidate.replaced else None
    is_other = deed is not None and deed.record not in (None, stored.sha256)
    if deed is not None and is_other and is_of_another_deed(stored.record, deed):
        missing = MissingRecord(f"{stored.location} is a later build of that number")
        return _without_record(candidate, missing, account)
    is_other = is_other or not agree(stored.record.image, candidate.image)
    if is_other and not account.accepts("tampered"):
        return candidate.refused(
            "tampered", f"the record in {stored.location} is not the one that was archived"
        )
    return candidate if is_other else _with_own_record(candidate, stored, account)


def _without_record(candidate: Candidate, missing: MissingRecord, account: Account) -> Candidate:
    if missing.is_tampered and not account.accepts("tampered"):
        return candidate.refused("tampered", f"its record was changed: {missing.reason}")
    if account.wish.strategy != ARTIFACT:
        return candidate
    return candidate.refused(None, f"its record is not in the archive: {missing.reason}")


def _with_own_record(candidate: Candidate, stored: StoredRecord, account: Account) -> Candidate:
    is_moved = candidate.image.digest is None and stored.record.digest_from == "moved"
    if is_moved and not account.accepts("mutable-tag"):
        return candidate.refused("mutable-tag", MUTABLE)
    candidate = replace(candidate, stored=stored, sources=candidate.sources | {ARTIFACT})
    if candidate.image.digest is not None or stored.record.image.digest is None:
        return candidate
    return replace(
        candidate, image=stored.record.image, verdict="acceptable", reason=None, message=""
    )


def with_check(candidate: Candidate, check: Check, account: Account) -> Candidate:
    """Add what the registry says of a candidate."""
    image = candidate.image
    resolved = image.with_version(image.tag, check.digest) if image.digest is None else image
    if not candidate.is_told:
        image = resolved
    candidate = replace(candidate, check=check, image=image)
    if check.status == "gone" and not account.accepts("gone"):
        return candidate.refused("gone", check.message)
    if same(resolved, account.facts.running):
        return candidate.refused(RUNNING, "it has the digest that runs now")
    if _is_pinned_since(candidate.image, account) and not account.accepts("mutable-tag"):
        return candidate.refused("mutable-tag", PINNED)
    return refused_if_bad(candidate, resolved, account)


def _is_pinned_since(image: ImageReference, account: Account) -> bool:
    """Tell whether only an image's tag is known, and that tag runs, with a digest of its own.

    It may be the same image, or one that the tag no longer leads to: back is neither.
    """
    running = account.facts.running
    return image.digest is None and running.digest is not None and may_be(image, running)


def with_platforms(candidate: Candidate, platforms: Platforms, account: Account) -> Candidate:
    """Refuse what is no image, what runs already, and what cannot run where that does.

    What a tag is now need not be what runs under it: where the ledger offers an image that has the
    digest of the running tag, that is said and no more.
    """
    candidate = replace(candidate, built_at=platforms.built, revision=platforms.revision)
    if platforms.no_image and not account.accepts("not-an-image"):
        return candidate.refused("not-an-image", f"it is {platforms.no_image}")
    if platforms.is_same:
        told = "it has the digest that the running tag has now"
        if not candidate.is_told:
            return candidate.refused(RUNNING, told)
        note = f"{candidate.image.label}: {told}: if that is what runs, nothing changes"
        candidate = replace(candidate, notes=(*candidate.notes, note))
    lacking = ", ".join(name.replace("@", " ") for name in platforms.lacking)
    if not lacking or account.accepts("platform"):
        return candidate
    return candidate.refused("platform", f"it is not there for {lacking}, as the running image is")


def with_proof(
    candidate: Candidate, account: Account, history: History, pushed: str | None
) -> Candidate:
    """Refuse an image that no ledger shows to have run here, or say so.

    Where a person named it, nothing else speaks for it. `pushed` is when it was, if that is known.
    """
    since, is_all = _reach(account, history)
    shown = f"they go back to {since[:19]}" if since else "they go back to nothing"
    message = f"no commit, record or state file shows that it ran here, and {shown}"
    is_shown = since <= pushed if since and pushed else is_all
    if is_shown and not account.accepts("never-ran"):
        return candidate.refused("never-ran", message)
    if account.is_asked_for and not is_shown and not account.accepts("unproven"):
        return candidate.refused("unproven", message)
    label = candidate.image.label
    return replace(candidate, notes=(*candidate.notes, f"{label}: nothing shows that it ran here"))


def _reach(account: Account, history: History) -> tuple[str | None, bool]:
    """Return since when is known what ran, with the history that was walked, and whether it is all.

    Where the registry tells no time, all has to be known of fields that had another image before.
    """
    timeline, running = account.timeline, account.facts.running
    times = [event.at for event in timeline.events if event.at]
    times += [entry.at for entry in history.entries if entry.at]
    others = [level.image for level in timeline.levels[:-1]]
    others += [entry.image for entry in history.entries]
    is_all = history.begins and any(same_reference(i, running) is False for i in others)
    return normalised_time(min(times, default=None)), is_all


def refused_if_bad(
    candidate: Candidate, image: ImageReference, account: Account, revision: str | None = None
) -> Candidate:
    """Refuse what was rolled back from; `revision` is the commit that it was built from."""
    if account.accepts("bad"):
        return candidate
    timeline = account.timeline
    found = why_bad(account.facts, timeline.bad, image, timeline.ran, revision)
    if found is None:
        return candidate
    deed = found.entry.deed
    other = f"{found.entry.image.label}, which has its {found.by}, was"
    what = "it was" if found.by == "digest" else other
    when = f" on {deed.at}" if deed.at else ""
    told = f"{by_whom(deed.by)}{told_why(deed.reason)}"
    return candidate.refused("bad", f"{what} rolled back from{when}{told}")
