"""Plan for several services, and ask for all of them at once what can be asked so.

Registries are asked by several threads, and one walk of Git's history serves every service that
needs it: what a service costs alone does not add up.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from gitops_rollback.decide.choose import decide
from gitops_rollback.decide.facts import NeedCheck, NeedHistory, NeedPlatforms, Plan
from gitops_rollback.look.gather import is_enough, with_history
from gitops_rollback.look.git_history import walk_all
from gitops_rollback.web.hosts import MOST_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.decide.facts import Choice, Facts
    from gitops_rollback.look.gather import Gatherer
    from gitops_rollback.look.snapshot import ServiceAtTip

    Asked = Sequence[tuple[ServiceAtTip, Choice]]


class _Question(NamedTuple):
    """What is missing for one service."""

    need: NeedCheck | NeedPlatforms | NeedHistory
    facts: Facts
    at: ServiceAtTip
    choice: Choice


def plan_all(gatherer: Gatherer, choices: Asked) -> list[Plan]:
    """Return a plan for each service; raises what `decide` and a named source raise."""
    if len(choices) == 1:
        return [gatherer.plan(at, choice) for at, choice in choices]
    known = {at.service: gatherer.begin(at) for at, _choice in choices}
    waiting = list(choices)
    while waiting:
        found = [_until_shared(gatherer, known[at.service], at, choice) for at, choice in waiting]
        for facts, (at, _choice) in zip(found, waiting, strict=True):
            known[at.service] = facts.facts if isinstance(facts, _Question) else facts
        questions = [question for question in found if isinstance(question, _Question)]
        known |= _answers(gatherer, questions)
        waiting = [(question.at, question.choice) for question in questions]
    return [gatherer.finish(known[at.service], at, choice) for at, choice in choices]


def _until_shared(
    gatherer: Gatherer, facts: Facts, at: ServiceAtTip, choice: Choice
) -> _Question | Facts:
    """Answer needs until one comes that is asked for all services; the facts if none does."""
    while True:
        answer = decide(facts, choice)
        if isinstance(answer, Plan):
            return facts
        if isinstance(answer, NeedCheck | NeedPlatforms | NeedHistory):
            return _Question(answer, facts, at, choice)
        facts = gatherer.answer(answer, facts, at, choice)


def _answers(gatherer: Gatherer, questions: Sequence[_Question]) -> dict[str, Facts]:
    """Answer questions; where history is missing, that first: it may change what is asked next.

    The first question to a registry is asked alone: it opens the connection, and tells if nobody
    is there.
    """
    past = [(one, one.need.until) for one in questions if isinstance(one.need, NeedHistory)]
    if past:
        histories = walk_all(
            gatherer.repository, [(one.at, is_enough(one.at, until)) for one, until in past]
        )
        return {
            one.at.service: with_history(one.facts, history, until)
            for (one, until), history in zip(past, histories, strict=True)
        }
    answers = [gatherer.answer(*question) for question in questions[:1]]
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        answers += pool.map(lambda question: gatherer.answer(*question), questions[1:])
    return {one.at.service: facts for one, facts in zip(questions, answers, strict=True)}
