"""Times for people and programs, deadlines, and seconds by phase."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.clock import Deadline, Stopwatch, age, instant, now

if TYPE_CHECKING:
    from pytest_mock import MockerFixture

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
    assert list(seconds) == ["total", "fetch", "decide", "edit", "push"]
    assert seconds["total"] >= 0
    assert seconds["push"] == 0


def test_a_phase_within_another_counts_once(mocker: MockerFixture) -> None:
    clock = mocker.patch("gitops_rollback.clock.time.monotonic")
    clock.return_value = 0.0
    watch = Stopwatch()
    with watch.phase("decide"):
        clock.return_value = 1.0
        with watch.phase("fetch"):
            clock.return_value = 4.0
        with watch.phase("fetch"):
            clock.return_value = 5.0
        clock.return_value = 7.0
    wanted = {"total": 7.0, "fetch": 4.0, "decide": 3.0, "edit": 0.0, "push": 0.0}
    assert watch.seconds() == wanted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", "2026-01-31T10:00:00Z"),
        ("90 s", "2026-01-31T11:58:30Z"),
        ("1d12h", "2026-01-30T00:00:00Z"),
        ("45min", "2026-01-31T11:15:00Z"),
        (" 1h 30m ", "2026-01-31T10:30:00Z"),
        ("0s", PRESENT),
        ("2026-01-31T11:00:00+01:00", "2026-01-31T10:00:00Z"),
        ("2026-01-31 10:00Z", "2026-01-31T10:00:00Z"),
        ("2026-01-31T12:00:00Z", PRESENT),
    ],
)
def test_a_time_is_an_age_or_has_an_offset(text: str, expected: str) -> None:
    assert instant(text, PRESENT) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-01-31T10:00:00", "no offset"),
        ("2026-01-31", "no offset"),
        ("yesterday", "neither an age nor a time"),
        ("", "neither an age nor a time"),
        ("h", "neither an age nor a time"),
        ("-2h", "neither an age nor a time"),
        ("2026-01-31T13:00:00Z", "in the future"),
        ("999999d", "older than time"),
    ],
)
def test_what_is_no_past_time_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        instant(text, PRESENT)
