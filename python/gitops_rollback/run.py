"""The loop: decide, look up what is missing, write; again where the branch moved meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gitops_rollback.decide import decide, holds, record
from gitops_rollback.decide.change import Change, Refused, together
from gitops_rollback.decide.facts import Facts, FirstTry, Need
from gitops_rollback.errors import GitopsRollbackError, UsageError
from gitops_rollback.late import replace
from gitops_rollback.model import ROLLBACK
from gitops_rollback.repo.repository import PushLostError
from gitops_rollback.write.commit import Outcome, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.records import MadeRecord, StoredRecord
    from gitops_rollback.look.looker import Looker
    from gitops_rollback.look.snapshot import Snapshot
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session
    from gitops_rollback.write.commit import Committer

    Decided = Sequence[Change | Refused]


def settle(looker: Looker, asked: Sequence[tuple[Wish, Facts]]) -> list[Change | Refused]:
    """Decide for each service; what several miss is looked up for all of them at once.

    Raises what a source that nothing can be decided without failed with.
    """
    known = [replace(facts, among=len(asked) > 1) for _wish, facts in asked]
    decided: dict[int, Change | Refused] = {}
    while len(decided) < len(asked):
        missing: list[tuple[int, Need[Any]]] = []
        for place, (wish, _facts) in enumerate(asked):
            if place in decided:
                continue
            answer = decide(wish, known[place])
            while isinstance(answer, Need) and not (answer.together and len(asked) > 1):
                known[place] = known[place].knowing({answer: looker.answer(answer, known[place])})
                answer = decide(wish, known[place])
            if isinstance(answer, Need):
                missing.append((place, answer))
            else:
                decided[place] = answer
        answers = looker.answer_together([(need, known[place]) for place, need in missing])
        for number, found in answers.items():
            place, need = missing[number]
            known[place] = known[place].knowing({need: found})
    return [decided[place] for place in range(len(asked))]


def look_only(
    session: Session, repository: Repository, snapshot: Snapshot, wishes: Sequence[Wish]
) -> list[Change | Refused]:
    """Return what would be done to each service, and write nothing."""
    facts = [Facts(at, session.url) for at in snapshot.services]
    looking = [replace(wish, only_looks=True) for wish in wishes]
    return _settled(session, repository, snapshot, looking, facts)


def _settled(
    session: Session,
    repository: Repository,
    snapshot: Snapshot,
    wishes: Sequence[Wish],
    facts: Sequence[Facts],
) -> list[Change | Refused]:
    with session.watch.phase("decide"):
        looker = session.looker(repository, snapshot)
        return settle(looker, list(zip(wishes, facts, strict=True)))


def record_all(
    session: Session,
    repository: Repository,
    snapshot: Snapshot,
    wish: Wish,
    action: str,
    replacing: Sequence[ImageReference | None],
) -> list[MadeRecord]:
    """Return the record of each service, which something is about to replace."""
    looker = session.looker(repository, snapshot)
    made = []
    for at, image in zip(snapshot.services, replacing, strict=True):
        facts = Facts(at, session.url)
        answer = record(wish, facts, action, image)
        while isinstance(answer, Need):
            facts = facts.knowing({answer: looker.answer(answer, facts)})
            answer = record(wish, facts, action, image)
        made.append(answer)
    return made


def carry_out(
    session: Session,
    committer: Committer,
    tip: Tip,
    read: Callable[[Tip], Snapshot],
    wishes: Callable[[Snapshot], Sequence[Wish]],
    tell: Callable[[Snapshot, Decided], None],
) -> Outcome:
    """Do what is wished for in one commit; on a moved branch, decide and commit again.

    `tip` is the tip of the configuration's branch; `read` reads the services that are meant at one.
    `tell` is called with each decision before anything is written or refused. Nothing but a lost
    race is retried, and that until the deadline.
    """
    first: dict[str, FirstTry] = {}
    filed: dict[str, StoredRecord] = {}
    lost = 0
    while True:
        began = time.monotonic()
        committer.begin()
        try:
            snapshot = read(tip)
            facts = [_facts(at, session.url, first, filed) for at in snapshot.services]
            meant = wishes(snapshot)
            decided = _settled(session, committer.repository, snapshot, meant, facts)
        except GitopsRollbackError:
            if (confirmed := committer.confirmed(tip)) == tip:
                raise
            tip = confirmed
            continue
        if not all(map(_writes, decided)) and (confirmed := committer.confirmed(tip)) != tip:
            tip = confirmed
            continue
        tell(snapshot, decided)
        commit = together(decided, skip=session.skips_blocked)
        for one in (one for one in decided if one.at.found.fields):  # not of what is gone
            first.setdefault(one.at.service, _seen(one))
        changes = tuple(_filing(session, change, filed) for change in commit.changes)
        commit = replace(commit, changes=changes)
        target = commit.changes[0].at.tip
        if not commit.files or committer.dry_run:
            changed = bool(commit.files) and commit.changes_what_runs
            return Outcome(
                target.branch, commit.changes, changed, None, commit.diff, blocked=commit.blocked
            )
        hurries = any(wish.action == ROLLBACK for wish in meant)
        try:
            if committer.may_push(target.branch, time.monotonic() - began, hurries=hurries):
                return committer.deliver(Work(target, commit))
        except PushLostError:
            lost += 1
            committer.pause(lost, time.monotonic() - began, target.branch, hurries=hurries)
        with session.watch.phase("fetch"):
            tip = committer.next_tip(tip.branch)


def _writes(decided: Change | Refused) -> bool:
    return isinstance(decided, Change) and decided.changes_anything


def _filing(session: Session, change: Change, filed: dict[str, StoredRecord]) -> Change:
    """File the record of what a change replaces, once; return the change, with what to warn of.

    A rollback goes on where that fails: the state file holds the same facts. The sha256 that it and
    the commit name then says what the record is, and not that there is one: whoever looks for it
    finds it missing. What is wrong with the command line is no failure of the archive.
    """
    if change.record is None or change.at.service in filed:
        return change
    try:
        session.file_record(change.record)
    except GitopsRollbackError as error:
        if change.summary.action != ROLLBACK or isinstance(error, UsageError):
            raise
        told = f"{change.at.title}: what it replaced is in no archive: {error.message}"
        return replace(change, warnings=(*change.warnings, told))
    filed[change.at.service] = change.record.stored
    return change


def _facts(
    at: ServiceAtTip, url: str, first: dict[str, FirstTry], filed: dict[str, StoredRecord]
) -> Facts:
    return Facts(at, url, first=first.get(at.service), filed=filed.get(at.service))


def _seen(decided: Change | Refused) -> FirstTry:
    """Return what was read and decided, so that a later tip does not change it unnoticed."""
    facts = Facts(decided.at, "")
    plan = decided.plan
    target = plan.chosen.image if plan is not None and plan.chosen is not None else None
    return FirstTry(facts.running, target, holds.to_end(facts))
