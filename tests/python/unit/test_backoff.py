"""Pauses after lost races: as long as attempts take, longer for a crowd, shorter for the oldest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gitops_rollback.write.commit import longest_pause


def test_it_doubles_three_times_and_is_halved_again_for_who_lost_often() -> None:
    assert [longest_pause(lost, 0.5) for lost in range(1, 10)] == [
        0.5,
        1,
        2,
        4,
        2,
        1,
        0.5,
        0.5,
        0.5,
    ]


@given(st.integers(1, 1000), st.floats(0.01, 100))
def test_it_is_measured_by_how_long_an_attempt_takes(lost: int, seconds: float) -> None:
    pause = longest_pause(lost, seconds)
    assert seconds <= pause <= 8 * seconds
    assert longest_pause(lost, 2 * seconds) == 2 * pause
