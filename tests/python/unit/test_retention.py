"""Whether a deploy job keeps enough builds for the records of the last deployments."""

from __future__ import annotations

import pytest

from gitops_rollback.decide.drill import advice_on_builds, build_to_keep, builds_lost
from gitops_rollback.image import parse_image
from gitops_rollback.ledger.state import State
from gitops_rollback.model import Build, Deed
from unit.builders import at, bad_entry, state


def deployed(*numbers: int | None) -> State:
    entries = tuple(
        Deed(
            id=f"{index}",
            action="deploy",
            image=parse_image(f"acme/cart:{index}"),
            at="2026-01-31T02:03:04Z",
            build=Build("shop/cart", number) if number else None,
        )
        for index, number in enumerate(numbers)
    )
    return State("cart", "default", deployed=entries)


@pytest.mark.parametrize(
    ("state", "listed", "lost"),
    [
        (deployed(41, 38, 30), {41: True, 38: True, 30: True}, ()),
        (deployed(41, 38, 30), {41: True, 40: False, 38: True}, (30,)),
        (deployed(41, 38), {41: True, 38: False}, (38,)),  # its artifacts were deleted
        (deployed(None, 41), {41: True}, ()),  # a rollback by hand
        (deployed(9, 8, 7, 6, 5, 4), {9: True, 8: True, 7: True, 6: True, 5: True}, ()),
        (deployed(900, 10), dict.fromkeys(range(801, 901), True), ()),  # more than is listed
        (deployed(), {}, ()),
    ],
)
def test_a_build_that_is_gone_takes_its_record_with_it(
    state: State, listed: dict[int, bool], lost: tuple[int, ...]
) -> None:
    assert tuple(b.number for b in builds_lost(state, "shop/cart", listed)) == lost


def test_builds_of_another_job_are_not_counted() -> None:
    assert builds_lost(deployed(41), "shop/other", {}) == ()


def test_the_advice_goes_by_how_many_builds_deploy() -> None:
    assert "at least 30 builds" in advice_on_builds({41: True, 40: True})
    assert "at least 100 builds" in advice_on_builds(dict.fromkeys(range(9), False) | {9: True})
    assert "at least 30 builds" in advice_on_builds({})


@pytest.mark.parametrize(
    ("found", "number"),
    [
        pytest.param(State("cart", "default"), None, id="one that tells of no deployment"),
        pytest.param(state(">1"), None, id="nothing ran before"),
        pytest.param(state("1>2"), 1, id="what the last deploy replaced"),
        pytest.param(state("1>2", "2>3"), 2, id="and not what was before that"),
        pytest.param(
            state("1>2", "2>3", bad=(bad_entry("2", at(1)),)), 1, id="but what is not bad"
        ),
    ],
)
def test_the_build_to_keep_has_the_record_of_what_a_rollback_would_go_to(
    found: State, number: int | None
) -> None:
    build = build_to_keep(found)
    assert (build.number if build else None) == number
