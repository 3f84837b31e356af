r"""Any order of deeds by several people, judged by a model written from design 7 and 8 alone.

    HYPOTHESIS_PROFILE=long GITOPS_JUDGE=10000 \
      .venv/bin/python -m pytest -q -s -n 0 tests/python/unit/test_judge.py --hypothesis-seed=1

plays 10,000 sequences of 30 deeds on the pure core and prints the table of docs/choosing.md.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from unit.judge import COUNTS, Judge

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = bool(os.environ.get("GITOPS_LONG_TESTS"))

TestJudge = Judge.TestCase
TestJudge.settings = settings(
    max_examples=int(os.environ.get("GITOPS_JUDGE", "10000" if LONG else "40")),
    stateful_step_count=30,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="module", autouse=True)
def _table_of_what_was_judged() -> Iterator[None]:
    """Say at the end how often what was done and refused, for docs/choosing.md."""
    yield
    for what, number in sorted(COUNTS.items()):
        print(f"{number:8} {what}")  # noqa: T201 - asked for by running with -s
    assert COUNTS["rollback"] > 0
