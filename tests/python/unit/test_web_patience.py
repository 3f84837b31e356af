"""The seconds that calls to registries may take together: what overlaps counts once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.web.http import Patience

if TYPE_CHECKING:
    from unittest.mock import MagicMock

    from pytest_mock import MockerFixture


@pytest.fixture
def clock(mocker: MockerFixture) -> MagicMock:
    made: MagicMock = mocker.patch("gitops_rollback.web.http.monotonic")
    made.return_value = 0.0
    return made


def test_calls_one_after_the_other_add_up(clock: MagicMock) -> None:
    patience = Patience(3)
    for moment in (1.0, 2.0):
        with patience.counting():
            clock.return_value += 1.0
            assert patience.left == 3 - moment
        clock.return_value += 10.0  # what is not waiting does not count
    assert patience.left == 1.0


def test_calls_at_once_count_once(clock: MagicMock) -> None:
    patience = Patience(3)
    with patience.counting():
        clock.return_value = 1.0
        with patience.counting():
            clock.return_value = 2.0
        assert patience.left == 1.0
    assert patience.left == 1.0


def test_a_call_that_fails_and_a_pause_count_too(clock: MagicMock) -> None:
    patience = Patience(3)
    with suppress(OSError), patience.counting():
        clock.return_value = 2.5
        raise OSError("reset")
    patience.spend(1.5)
    assert patience.left == -1.0
    assert patience.seconds == 3
