"""Choose the image to go back to: the plan, with every candidate and what refuses it. Pure."""

from __future__ import annotations

from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

from gitops_rollback import clock
from gitops_rollback.decide import candidates, holds, judge
from gitops_rollback.decide.change import nameless, told_restored
from gitops_rollback.decide.facts import (
    BEGINNING,
    History,
    NeedCheck,
    NeedHistory,
    NeedLog,
    NeedPlatforms,
    NeedRecords,
    NeedTags,
    Records,
    Tags,
    Unanswered,
)
from gitops_rollback.decide.judge import Account
from gitops_rollback.decide.plan import Candidate, Plan
from gitops_rollback.decide.standing import names_of
from gitops_rollback.errors import ConfigError, UsageError, did_you_mean
from gitops_rollback.image import step
from gitops_rollback.late import replace
from gitops_rollback.ledger.events import ARTIFACT, GIT, agree, is_unchanged
from gitops_rollback.ledger.message import find_revert
from gitops_rollback.ledger.records import MissingRecord, StoredRecord
from gitops_rollback.ledger.stack import build_timeline, state_explains
from gitops_rollback.model import by_whom, one_line, some
from gitops_rollback.query.choose import RUNNING as RUNS
from gitops_rollback.query.choose import choose as select
from gitops_rollback.refusals import RUNNING, Place, Refusal, refusal
from gitops_rollback.services.config import FILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gitops_rollback.decide.facts import Check, Facts
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.ledger.events import Event
    from gitops_rollback.ledger.stack import Timeline
    from gitops_rollback.model import LogEntry
    from gitops_rollback.query.choose import Selection

REGISTRY = "registry"
# What it means for the choice that a source did not answer.
_MEANING = {
    ARTIFACT: "the choice rests on what Git tells, not on archived records",
    REGISTRY: "no tag of it is offered",
    "records": "these were passed over",
}
_MOST_RECORDS = 40  # of one service, each a download, to find an image that may be chosen
# What makes a rollback go further back than to the image that ran before.
LOST = ("gone", "platform", "tampered", "mutable-tag", "not-an-image")
_MOST_SHOWN = 3  # tags that are named for each reason
NO_TAG = "not taken: "  # begins the findings that say why tags are not
BY_LEDGER = "what ran before is known: "  # begins the finding that says which source knows it
ALL_THE_SAME = "to take one all the same: "  # begins the finding that says how
UNKNOWN_TIME = "what ran at "  # begins the finding that nothing tells what ran at a time


def choose(wish: Wish, facts: Facts) -> Plan:
    """Return the plan for one service; its edits and what storage means are not in it yet.

    Raises `UsageError` or `ConfigError` if `to` cannot be meant, and what a source that was named
    by `strategy` failed with.
    """
    wish = _by_query(wish)
    account = _account(wish, facts, 1)
    while wish.is_named and account.records.has_more:
        account = _account(wish, facts, len(account.records.found) + 1)
    if wish.to is not None or wish.planned is not None:
        return _by_name(_named(account), account)
    if wish.as_of is not None:
        found = candidates.as_of(wish.as_of, facts, account.timeline, account.history)
        return _by_name(found, account) if found is not None else _plan(account, ())
    return _by_registry(account) if wish.strategy == REGISTRY else _by_ledger(account)


def _by_query(wish: Wish) -> Wish:
    """Return the wish with the strategy that a query means: what is asked for is never ignored.

    Raises `UsageError` if it cannot be read, if another source than the registry was named, or if
    one image is.
    """
    if wish.query is None:
        return wish
    from gitops_rollback.query.search import read_query  # noqa: PLC0415 - slow, and few ask one

    read_query(wish.query)  # what cannot be read is refused before a registry is asked
    if wish.strategy == REGISTRY:
        return wish
    if wish.strategy != "auto" or wish.is_named:
        other = f"--strategy {wish.strategy}" if wish.strategy != "auto" else "a named image"
        raise UsageError(
            f"--query chooses among the registry's tags, and {other} does not",
            "give --query alone, or without it the other",
        )
    return replace(wish, strategy=REGISTRY)


def _named(account: Account) -> Candidate:
    """Return the image that is meant; history is walked to its bound before none is known of it."""
    wish, facts, timeline = account.wish, account.facts, account.timeline
    name, is_it = _name(wish, facts), is_unchanged if wish.planned else candidates.is_meant
    found = candidates.named(name, facts, timeline, is_it)
    if found.is_told or found.is_refused:
        return candidates.with_others(found, name, timeline)
    history = facts.ask(NeedHistory(BEGINNING))
    return candidates.from_history(name, facts, timeline, history, is_it) or found


def _name(wish: Wish, facts: Facts) -> str:
    """Return the one image that is meant."""
    if wish.planned is None:
        return wish.to or ""
    return wish.planned.target(facts.at.service, facts.at.environment).canonical


def _account(wish: Wish, facts: Facts, count: int, *, below: bool = False) -> Account:
    """Ask for as much of the ledger as explains the running image, with at most `count` records.

    Where the state file does, history and records are asked for only to go on `below` it.
    """
    records, history = Records(), History()
    is_explained = facts.at.read.is_explained
    explains = state_explains(facts.state, facts.running, is_explained=is_explained)
    if (below or not explains) and count and wish.strategy in ("auto", ARTIFACT):
        records = facts.ask(NeedRecords(count))
        if records.failure is not None and wish.strategy == ARTIFACT:
            raise records.failure
    if not explains or (below and wish.strategy in ("auto", GIT)):
        history = facts.ask(NeedHistory(below=below and explains))
    if wish.as_of is not None:  # what was walked further back for a time counts for all
        history = facts.has(NeedHistory(wish.as_of)) or history
    timeline = build_timeline(
        facts.running, facts.state, records.found, history.entries, is_explained=is_explained
    )
    return Account(wish, facts, timeline, records, history)


def _by_ledger(account: Account) -> Plan:
    """Go by what ran: what the state file tells, then history and records on below it."""
    wish, facts, below = account.wish, account.facts, False
    while True:
        found = candidates.from_timeline(account.timeline)
        judged = _judged(found, account)
        if any(candidate.is_chosen for candidate in judged):
            return _plan(account, judged)
        if not below and facts.state is not None:
            below = True
            account = _account(wish, facts, len(account.records.found), below=True)
        elif account.records.has_more or (below and not account.records.found):
            if len(account.records.found) >= _MOST_RECORDS:
                break
            account = _account(wish, facts, len(account.records.found) + 1, below=below)
            if not account.records.found:
                break
        else:
            break
    if wish.strategy != "auto":
        return _plan(account, judged)
    help_, selection = _registry_help(account, judged)
    judged = (*judged, *help_)
    plan = _plan(account, judged, _told_of(selection, judged, account))
    return replace(plan, left=selection.left)


def _by_registry(account: Account) -> Plan:
    tags, selection, found = _of_registry(account, patient=True)
    if tags.failure is not None:
        raise tags.failure
    judged = _judged(found, account)
    told = _told_of(selection, judged, account)
    before = candidates.from_timeline(account.timeline)
    if before and not any(candidate.is_chosen for candidate in judged):
        told += (f"{BY_LEDGER}{before[0].image.label}; --strategy auto goes by it",)
    return replace(_plan(account, judged, told), left=selection.left)


def _registry_help(
    account: Account, judged: Sequence[Candidate]
) -> tuple[tuple[Candidate, ...], Selection]:
    """Show the registry's candidates where the ledger has none; take one only by a query."""
    _tags, selection, found = _of_registry(account, patient=False)
    known = {candidate.image.canonical for candidate in judged}
    found = tuple(c for c in found if c.image.canonical not in known)
    if _query(account) is not None:
        return _judged(found, account), selection
    shown = (judge.judge_known(c, account) for c in found)
    message = "take it with --strategy registry"
    told = (c if c.is_refused else replace(c, message=message) for c in shown)
    return tuple(told), selection


def _of_registry(
    account: Account, *, patient: bool
) -> tuple[Tags, Selection, tuple[Candidate, ...]]:
    """Return the registry's tags, which of them come into question, and these as candidates."""
    query, ran = _query(account), candidates.ran(account.timeline)
    tags = account.facts.ask(NeedTags(patient, query, ran if patient else ()))
    try:
        selection = select(tags.found, account.facts.running, query, ran)
    except UsageError as error:
        if account.wish.query is not None:
            raise
        raise ConfigError(f"{FILE}: {error.message}", error.hint) from error
    found = candidates.from_registry(selection.names, account.facts, account.timeline)
    return tags, selection, found


def _query(account: Account) -> str | None:
    return account.wish.query or account.facts.settings.query


def _told_of(
    selection: Selection, judged: Sequence[Candidate], account: Account
) -> tuple[str, ...]:
    """Return what there is to know of a selection: all reasons where no tag is chosen."""
    if any(candidate.is_chosen for candidate in judged):
        return selection.notes
    query, lines = _query(account), list(selection.notes)
    if query is not None and not selection.names:
        lines.append(f"{NO_TAG}the query '{one_line(query, 100)}' gives none that could be taken")
        lines += selection.sample
    by_reason: dict[str, list[str]] = {}
    for name, reason in selection.reasons.items():
        if reason != RUNS:
            by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        lines.append(f"{NO_TAG}{some(names, _MOST_SHOWN)}: {reason}")
    if selection.left is not None:
        lines.append(all_the_same(selection.left))
    return tuple(lines)


def all_the_same(tag: str, place: Place = Place.SHELL) -> str:
    """Return how a tag is taken that the order of the registry's tags does not give.

    In the field of a form a query stands without a shell's quotes.
    """
    query = f"tags[?name=='{tag}']"
    if place is Place.JENKINS:
        return f"{ALL_THE_SAME}QUERY {query}, or TO {tag}"
    return f'{ALL_THE_SAME}--query "{query}", or --to {tag}'


def _by_name(named: Candidate, account: Account) -> Plan:
    judged = _judged([named], account)
    only = judged[0]
    unresolved = only.image.digest is None and not only.is_told and not only.verified
    may_be_tag = account.accepts("tag") or account.facts.settings.pin == "tag"
    is_open = only.is_chosen or only.reason in ("never-ran", "unproven")
    plan = _plan(account, judged)
    if not is_open or not unresolved or may_be_tag:
        return plan
    block = nameless(only.image, only.check.message if only.check else "nobody was asked")
    return replace(plan, blocks=(block, *plan.blocks))


def _judged(found: Sequence[Candidate], account: Account) -> tuple[Candidate, ...]:
    """Judge candidates in order; the first that nothing refuses is chosen, the rest are left.

    Where archived records were asked for and the one of the next image is missing, nothing is
    chosen: an older image is not what anybody means by that.
    """
    judged: list[Candidate] = []
    is_over = False
    for candidate in found:
        verdict = judge.judge_known(candidate, account)
        if is_over or (verdict.is_refused and verdict.reason != "mutable-tag"):
            judged.append(verdict)
            continue
        looked_up = _looked_up(verdict, account)
        is_chosen = not looked_up.is_refused
        is_over = is_chosen or looked_up.reason is None
        judged.append(replace(looked_up, verdict="chosen") if is_chosen else looked_up)
    return tuple(judged)


def _looked_up(candidate: Candidate, account: Account) -> Candidate:
    """Complete a candidate by its record and by what the registry says of it.

    A tag that was used again is refused only here: its record may know the digest.
    """
    facts, timeline, event = account.facts, account.timeline, candidate.replaced
    if event is not None and account.wish.strategy in ("auto", ARTIFACT) and event.stored is None:
        candidate = judge.with_record(candidate, _record(event, account), account)
    if candidate.is_refused:
        return candidate
    platforms = candidates.told_platforms(candidate.image, facts)
    looks = platforms is None and candidate.is_told
    check = facts.ask(NeedCheck(candidate.image, looks))
    candidate = judge.with_check(candidate, check, account)
    if candidate.is_refused:
        return candidate
    if not candidate.is_told:
        revision = holds.revision_of(facts, timeline.bad, candidate.image, timeline.ran)
        candidate = judge.refused_if_bad(candidate, candidate.image, account, revision)
        if candidate.is_refused:
            return candidate
    candidate = _proven(candidate, check, account)
    if candidate.is_refused or not candidate.verified:
        return candidate
    platforms = platforms or facts.ask(NeedPlatforms(candidate.image))
    return judge.with_platforms(candidate, platforms, account)


def _proven(candidate: Candidate, check: Check, account: Account) -> Candidate:
    """Judge whether an image that the ledger did not offer ever ran here."""
    facts, timeline = account.facts, account.timeline
    image = candidate.image  # with the digest that the registry has under a tag
    # That a tag ran proves the digest that the registry has under it, and none that is only named.
    is_by_tag = check.has_tag or not account.wish.is_named
    has_run = partial(candidates.has_run, image, timeline, is_by_tag=is_by_tag)
    if candidate.is_told or has_run(History()):
        return candidate
    history = facts.ask(NeedHistory(BEGINNING))
    if has_run(history):
        return candidate
    return judge.with_proof(candidate, account, history, candidates.pushed_at(image, facts))


def _record(event: Event, account: Account) -> StoredRecord | MissingRecord:
    if not (event.record or event.build):
        return MissingRecord("no build is named")
    found = account.facts.ask(candidates.record_of(event))
    if not isinstance(found, Unanswered):
        return found
    if account.wish.strategy == ARTIFACT:
        raise found.error
    return MissingRecord(f"the archive does not answer: {found.error.message}")


def _plan(account: Account, judged: tuple[Candidate, ...], told: tuple[str, ...] = ()) -> Plan:
    """Return the plan for candidates that were judged; one of them is chosen, or none."""
    wish, facts = account.wish, account.facts
    chosen = next((c for c in judged if c.is_chosen), None)
    blocks = []
    if not (account.is_asked_for or wish.again):
        blocks += _already(wish, facts, account.timeline)
    if wish.is_named and judged and judged[0].is_refused and judged[0].reason:
        blocks.append(_refusal(account, judged[0]))
    passed = () if chosen is None or wish.is_named else _passed(judged, account.timeline)
    if passed and wish.unattended:
        named = {"service": facts.at.service, "environment": facts.at.environment}
        blocks.append(refusal("passed-over", _told(facts, passed), **named))
    return Plan(
        service=facts.at.service,
        environment=facts.at.environment,
        strategy=wish.strategy,
        running=facts.running,
        value=facts.at.found.fields[0].value,
        candidates=judged,
        chosen=chosen,
        source=_source(chosen),
        blocks=tuple(blocks),
        findings=(*_findings(account, judged), *told),
        warnings=(
            *([_told(facts, passed)] if passed else ()),
            *_doubts(facts, chosen),
            *(judged[0].notes if wish.is_named and judged and chosen is None else ()),
            *holds.told_lost(wish, facts),
        ),
        lost=tuple(holds.lost_holds(wish, facts)),
        passed_over=tuple(f"{c.image.label} ({c.reason})" for c in passed),
        is_named=account.is_asked_for,
        hold=facts.account.hold,
    )


def _passed(judged: Sequence[Candidate], timeline: Timeline) -> tuple[Candidate, ...]:
    """Return the images that ran after the chosen one and cannot be gone back to.

    What was rolled back from, or never ran, is not meant by "the one before".
    """
    before = takewhile(lambda candidate: not candidate.is_chosen, judged)
    return tuple(
        c
        for c in before
        if c.is_refused
        and c.reason in LOST
        and (c.is_told or candidates.has_run(c.image, timeline, History()))
    )


def _told(facts: Facts, passed: Sequence[Candidate]) -> str:
    names = "; ".join(f"{c.image.label} ({c.reason}: {c.message})" for c in passed)
    return f"{facts.title}: passed over what ran just before: {names}"


def _source(chosen: Candidate | None) -> str | None:
    """Name the best proof of the chosen image: its record, else Git, else the registry."""
    if chosen is None:
        return None
    return next((source for source in (ARTIFACT, GIT) if source in chosen.sources), REGISTRY)


def _already(wish: Wish, facts: Facts, timeline: Timeline) -> list[Refusal]:
    event = timeline.rolled_back
    if event is None:
        return _reverted(wish, facts)
    when = f" {clock.age(event.at, wish.present)} ago" if event.at else ""
    old, new = event.from_image, event.image
    labels = step(old, new) if old else f"? → {new.label}"
    return [refusal("already", f"{facts.title} was rolled back{when}{by_whom(event.by)}, {labels}")]


def _reverted(wish: Wish, facts: Facts) -> list[Refusal]:
    """Return the refusal if what was deployed last was taken back by hand: with the state file."""
    at = facts.at
    services = {at.service, *(alias.service for alias in at.aliases)}
    services |= names_of(at.found.fields)
    environments = {
        at.environment,
        *at.restored.values(),
        *(alias.environment for alias in at.aliases),
    }
    log: tuple[LogEntry, ...] = facts.ask(NeedLog())
    found = find_revert(log, services, environments, facts.account.newest)
    if found is None or not agree(found[0].from_image, facts.running):
        return []
    told, revert = found
    old, new = told.to, told.from_image
    ago = clock.age(revert.at, wish.present)
    return [
        refusal(
            "already",
            f"{facts.title}: {old.label} was reverted by hand {ago} ago by {revert.by}, "
            f"{step(old, new)}",
        )
    ]


def _refusal(account: Account, candidate: Candidate) -> Refusal:
    facts, image = account.facts, candidate.image
    message = f"{facts.title}: {image.label} is refused: {candidate.message}"
    if candidate.reason == RUNNING:
        return Refusal(RUNNING, message, "name another image")
    service = {"service": facts.at.service, "environment": facts.at.environment}
    found = refusal(candidate.reason or "", message, **service)
    if account.wish.to is None or candidate.is_told:
        return found
    near = candidates.near(image.digest or image.tag or "", facts, account.timeline)
    meant = f"{did_you_mean(near)} " if near else ""
    return replace(found, hint=meant + found.hint, jenkins=meant + found.jenkins)


def _findings(account: Account, judged: Sequence[Candidate]) -> Iterator[str]:
    wish, facts, problems = account.wish, account.facts, _problems(account)
    yield from told_restored(facts.at)
    for source, problem in problems.items():
        yield f"{source}: {problem}; {_MEANING[source]}"
    if not account.timeline.explains:
        yield f"no state file, record or commit explains how {facts.running.canonical} came to run"
    if not judged and wish.as_of is None and wish.strategy != REGISTRY:
        yield from _where_history_ends(account)
    for candidate in judged:
        if candidate.is_chosen and ARTIFACT not in problems:
            yield from _unproven(facts, candidate)
    if wish.as_of is not None and not judged:
        entries = account.history.entries
        reach = f"the oldest commit that is known is of {entries[-1].at}" if entries else ""
        if candidates.reaches(entries, wish.as_of):
            reach = "what was done before that is dated after it, so a clock was wrong"
        yield f"{UNKNOWN_TIME}{wish.as_of} is not known: {reach or 'no commit tells'}"


def _where_history_ends(account: Account) -> Iterator[str]:
    """Say of which commit nothing older is known, where no image was found to go back to."""
    history, [field, *_others] = account.history, account.facts.at.found.fields
    for first in history.entries[-1:]:
        what = f"{field.kind} {field.name}, container '{field.container}', with this repository"
        if history.begins:
            yield f"Git tells of no {what}, before {first.commit[:12]} of {first.at}"
        else:
            yield f"Git tells nothing of before {first.commit[:12]} of {first.at}"


def _problems(account: Account) -> dict[str, str]:
    """Return what the sources that were asked failed with, by source."""
    problems, known = {}, account.facts.known
    failures = [account.records.failure] if account.records.failure else []
    failures += [a.error for a in known.values() if isinstance(a, Unanswered)]
    if failures:
        problems[ARTIFACT] = failures[-1].message
    elif account.records.unread:
        problems["records"] = account.records.unread
    for answer in known.values():
        if isinstance(answer, Tags) and answer.failure is not None:
            problems[REGISTRY] = answer.failure.message
    return problems


def _unproven(facts: Facts, candidate: Candidate) -> Iterator[str]:
    event = candidate.replaced
    missing = facts.has(candidates.record_of(event)) if event else None
    if isinstance(missing, MissingRecord):
        yield f"{candidate.image.label}: no record proves it: {missing.reason}; Git alone does"


def _doubts(facts: Facts, chosen: Candidate | None) -> Iterator[str]:
    """Say what nobody confirmed of the image that is chosen: a rollback to it tells that, too."""
    if chosen is None:
        return
    yield from chosen.notes
    yield from holds.unread_revision(facts, chosen.image)
    label = chosen.image.label
    platforms = facts.has(NeedPlatforms(chosen.image))
    if platforms is not None and platforms.problem:
        yield (
            f"{label}: whether it is there for every platform of the running image is not known: "
            f"{platforms.problem}"
        )
    if chosen.check is not None and chosen.check.status == "unknown":
        message = chosen.check.message
        yield f"{label}: not verified: {message}; were it deleted, pods could not pull it"
