"""Choose the image to go back to, or say which fact is missing to do so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_rollback.decide import candidates, judge
from gitops_rollback.decide.as_of import candidate_as_of
from gitops_rollback.decide.explain import REGISTRY, make_plan
from gitops_rollback.decide.facts import (
    Candidate,
    Choice,
    Facts,
    Need,
    NeedCheck,
    NeedHistory,
    NeedPlatforms,
    NeedRecord,
    NeedRecords,
    NeedTags,
    Plan,
)
from gitops_rollback.errors import MovedError, RegistryError
from gitops_rollback.ledger.events import ARTIFACT, GIT
from gitops_rollback.ledger.stack import Timeline, build_timeline, state_explains

if TYPE_CHECKING:
    from collections.abc import Sequence


def decide(facts: Facts, choice: Choice) -> Plan | Need:
    """Return the plan, or the fact that has to be gathered first.

    Raises `MovedError` if `--from` names another image than the running one, `UsageError` or
    `ConfigError` if `--to` cannot be meant, `RegistryError` if `--to` cannot be resolved.
    """
    _check_from(facts, choice)
    need = _ledger_need(facts, choice)
    if need is not None:
        return need
    timeline = build_timeline(facts.running, facts.state, facts.records, facts.history)
    if choice.to is not None or choice.planned is not None:
        wanted = choice.planned.canonical if choice.planned is not None else choice.to
        named = candidates.named(wanted or "", facts, timeline)
        return _decide_named(named, facts, choice, timeline)
    if choice.as_of is not None:
        return _decide_as_of(choice.as_of, facts, choice, timeline)
    if choice.strategy == REGISTRY:
        return _decide_by_registry(facts, choice, timeline)
    return _decide_by_ledger(facts, choice, timeline)


def _decide_by_ledger(facts: Facts, choice: Choice, timeline: Timeline) -> Plan | Need:
    found = candidates.from_timeline(timeline, choice.strategy)
    judged = _judge_until_chosen(found, facts, timeline, choice.strategy)
    if not isinstance(judged, tuple):
        return judged
    is_chosen = any(candidate.verdict == "chosen" for candidate in judged)
    if not is_chosen and facts.has_more_records:
        return NeedRecords()
    if not is_chosen and choice.strategy == "auto":
        return _decide_with_registry_help(facts, choice, timeline, judged)
    return make_plan(facts, choice, timeline, judged)


def _check_from(facts: Facts, choice: Choice) -> None:
    wanted = choice.from_image
    if wanted is None or wanted.may_be(facts.running):
        return
    raise MovedError(
        f"{facts.title} runs {facts.running.canonical}, not {wanted.canonical} as --from says",
        "look at what happened meanwhile (gitops-rollback plan), then run this again",
    )


def _ledger_need(facts: Facts, choice: Choice) -> Need | None:
    """Return what is wanted to explain the running image; nothing if the state file does."""
    if state_explains(facts.state, facts.running):
        return None
    by_records = choice.strategy in ("auto", "artifact")
    by_history = choice.strategy in ("auto", "git") or facts.state is not None
    is_named = choice.is_named
    if by_records and (facts.records is None or (is_named and facts.has_more_records)):
        return NeedRecords()
    if by_history and facts.history is None:
        return NeedHistory()
    return None


def _judge_until_chosen(
    found: Sequence[Candidate],
    facts: Facts,
    timeline: Timeline,
    strategy: str,
    accept: frozenset[str] = frozenset(),
) -> tuple[Candidate, ...] | Need:
    """Judge candidates in order; the first that nothing refuses is chosen, the rest are left.

    Where archived records were asked for and the one of the next image is missing, nothing is
    chosen: an older image is not what anybody means by that.
    """
    judged: list[Candidate] = []
    is_over = False
    for candidate in found:
        verdict = judge.judge_known(candidate, facts, timeline, accept)
        if is_over or (verdict.verdict == "refused" and verdict.reason != "mutable-tag"):
            judged.append(verdict)
            continue
        looked_up = _look_up(verdict, facts, timeline, strategy, accept)
        if not isinstance(looked_up, Candidate):
            return looked_up
        is_chosen = looked_up.verdict != "refused"
        is_over = is_chosen or looked_up.reason is None
        judged.append(replace(looked_up, verdict="chosen") if is_chosen else looked_up)
    return tuple(judged)


def _look_up(
    candidate: Candidate,
    facts: Facts,
    timeline: Timeline,
    strategy: str,
    accept: frozenset[str],
) -> Candidate | Need:
    """Complete a candidate by its record and by what the registry says of it.

    A tag that was used again is refused only here: its record may know the digest.
    """
    event = candidate.replaced
    if event is not None and strategy in ("auto", "artifact") and event.stored is None:
        if candidates.pointer(event) not in facts.stored and (event.record or event.build):
            return NeedRecord(event)
        candidate = judge.with_record(candidate, facts, strategy, accept)
    if candidate.verdict == "refused":
        return candidate
    check = facts.checks.get(candidate.image.canonical)
    if check is None:
        return NeedCheck(candidate.image)
    candidate = judge.with_check(candidate, check, facts, timeline, accept)
    if candidate.verdict == "refused" or not candidate.verified or "platform" in accept:
        return candidate
    platforms = candidates.told_platforms(candidate.image, facts) or facts.platforms.get(
        candidate.image.canonical
    )
    if platforms is None:
        return NeedPlatforms(candidate.image)
    return judge.with_platforms(candidate, platforms, accept)


def _decide_as_of(moment: str, facts: Facts, choice: Choice, timeline: Timeline) -> Plan | Need:
    found = candidate_as_of(facts, timeline, moment)
    if isinstance(found, NeedHistory):
        return found
    if found is None:
        return make_plan(facts, choice, timeline, ())
    return _decide_named(found, facts, choice, timeline)


def _decide_named(
    named: Candidate, facts: Facts, choice: Choice, timeline: Timeline
) -> Plan | Need:
    judged = _judge_until_chosen([named], facts, timeline, choice.strategy, choice.accept)
    if not isinstance(judged, tuple):
        return judged
    only = judged[0]
    is_known = bool(only.sources & {ARTIFACT, GIT})
    unresolved = only.image.digest is None and not is_known and not only.verified
    if (
        only.verdict == "chosen"
        and unresolved
        and "tag" not in choice.accept
        and facts.settings.pin != "tag"
    ):
        raise RegistryError(
            f"{only.image.canonical} names no digest, and the registry did not tell it: "
            f"{only.check.message if only.check else ''}",
            "give the digest with --to NAME:TAG@sha256:…, or --accept tag",
        )
    return make_plan(facts, choice, timeline, judged)


def _decide_by_registry(facts: Facts, choice: Choice, timeline: Timeline) -> Plan | Need:
    if facts.tags is None:
        return NeedTags(required=True)
    found = candidates.from_registry(facts, choice, timeline)
    judged = _judge_until_chosen(found, facts, timeline, REGISTRY)
    if not isinstance(judged, tuple):
        return judged
    return make_plan(facts, choice, timeline, judged)


def _decide_with_registry_help(
    facts: Facts, choice: Choice, timeline: Timeline, judged: tuple[Candidate, ...]
) -> Plan | Need:
    """Show the registry's candidates where the ledger has none; take one only by a query."""
    if facts.tags is None and REGISTRY not in facts.problems:
        return NeedTags(required=False)
    found = candidates.from_registry(facts, choice, timeline)
    known = {candidate.image.canonical for candidate in judged}
    found = tuple(c for c in found if c.image.canonical not in known)
    if choice.query is not None or facts.settings.query is not None:
        further = _judge_until_chosen(found, facts, timeline, REGISTRY)
        if not isinstance(further, tuple):
            return further
    else:
        further = tuple(
            c if c.verdict == "refused" else replace(c, message="take it with --strategy registry")
            for c in (judge.judge_known(c, facts, timeline, frozenset()) for c in found)
        )
    return make_plan(facts, choice, timeline, (*judged, *further))
