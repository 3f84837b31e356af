"""Times for people and programs, deadlines, and seconds by phase."""

from __future__ import annotations

import re

import pytest

from gitops_rollback.clock import Deadline, Stopwatch, age, now

PRESENT = "2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-01-31T12:00:00Z", "0 s"),
        ("2026-01-31T11:59:20Z", "40 s"),
        ("2026-01-31T11:58:01Z", "119 s"),
        ("2026-01-31T11:58:00Z", "2 min"),
        ("2026-01-31T10:01:00Z", "119 min"),
        ("2026-01-31T10:00:00Z", "2 h"),
        ("2026-01-29T12:00:01Z", "47 h"),
        ("2026-01-29T12:00:00Z", "2 d"),
        ("2025-01-31T12:00:00Z", "365 d"),
        ("2026-01-31T12:00:05Z", "0 s"),
    ],
)
def test_an_age_is_told_in_the_unit_people_would_use(at: str, expected: str) -> None:
    assert age(at, PRESENT) == expected


def test_now_is_written_as_records_and_state_files_want_it() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", now())
    assert age(now(), now()) in {"0 s", "1 s"}


def test_a_deadline_never_has_less_than_nothing_left() -> None:
    assert Deadline(0).remaining == 0
    assert 0 < Deadline(60).remaining <= 60


def test_a_phase_that_is_entered_again_adds_up() -> None:
    watch = Stopwatch()
    with watch.phase("fetch"):
        pass
    with pytest.raises(ValueError, match="stop"), watch.phase("edit"):
        raise ValueError("stop")
    with watch.phase("fetch"):
        pass
    seconds = watch.seconds()
    assert list(seconds) == ["total", "fetch", "edit"]
    assert seconds["total"] >= 0
