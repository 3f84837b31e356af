"""What a drill says in one line: of how many services, and never more than is so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.decide.drill import FAILED, OK, WARNING, Finding, judge_service, summary
from unit.test_plan_files import BLOCK, GOOD, plan
from unit.test_transitions import HOLD

if TYPE_CHECKING:
    from gitops_rollback.decide.plan import Plan

WAY, NEW = replace(plan(GOOD), strategy="git"), plan(service="new")
BACK = replace(plan(service="back", blocks=(BLOCK,)), hold=HOLD)
GONE = Finding("record", WAY.title, WARNING, "is gone")
NO_PUSH = Finding("push", "branch main", FAILED, "may not push")
GHOST = Finding("service", "ghost", FAILED, "is not there")
BROKEN = Finding("marker", WAY.title, FAILED, "is in action")


@pytest.mark.parametrize(
    ("plans", "more", "said"),
    [
        ([WAY], [], "work: 1 service could go back"),
        ([WAY, WAY], [GONE], "work: 2 services could go back, with warnings"),
        ([NEW], [], "not work yet: 1 service has nothing to go back to yet"),
        ([NEW, NEW], [], "not work yet: 2 services have nothing to go back to yet"),
        ([WAY, NEW], [], "work: 1 service could go back; 1 has nothing to go back to yet"),
        ([BACK], [], "work: 1 service is back as far as anybody knows, and held"),
        (
            [WAY, BACK],
            [],
            "work: 1 service could go back; 1 is back as far as anybody knows, and held",
        ),
        ([WAY], [NO_PUSH, BROKEN], "fail: branch main: may not push"),
        ([WAY, NEW], [GHOST], "fail: 1 of 3 services could not go back"),
        ([WAY, NEW], [BROKEN, GONE], "fail: 1 of 2 services could not go back"),
    ],
)  # fmt: skip
def test_the_sum_of_a_drill_promises_no_more_than_its_findings(
    plans: list[Plan], more: list[Finding], said: str
) -> None:
    answers = Finding("jenkins", "store", OK, "answers")
    found = [one for each in plans for one in judge_service(each, None, (), "2026-01-01T00:00:00Z")]
    wanted = f"a rollback would {said}"
    assert summary([*found, *more, answers], plans) == wanted
