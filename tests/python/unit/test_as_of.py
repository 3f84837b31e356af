"""What ran at a time is gone back to; what nothing tells of is never guessed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitops_rollback.decide.rollback import obstacle
from unit.builders import (
    at,
    bad_entry,
    history,
    image,
    state,
)
from unit.test_plan import World, outcome, planned

THREE = state("0>1", "1>2", "2>3")  # at minutes 1, 2, 3


@pytest.mark.parametrize(
    ("minute", "wanted"),
    [(1, "1"), (2, "2"), (100, None)],
    ids=["after the first", "after the second", "what runs now"],
)
def test_the_newest_deployment_until_a_time_counts(minute: int, wanted: str | None) -> None:
    world = World("3", THREE)
    plan = world.plan(as_of=at(minute))
    if wanted is None:
        assert plan.runs_already
        return
    assert plan.chosen is not None
    assert plan.chosen.image == image(wanted)
    assert plan.chosen.deployed_at == at(minute)
    assert plan.blocks == ()


def test_a_second_time_is_no_second_rollback() -> None:
    plan = World("2", state("0>1", "1>2", "2>3", "3<2")).plan(as_of=at(2))
    assert plan.runs_already


def test_an_image_rolled_back_from_since_is_refused_until_it_is_accepted() -> None:
    bad = (bad_entry(image("2"), at(4), "it crashed", "joe"),)
    world = World("1", state("0>1", "1>2", "2<1", bad=bad))
    [block] = world.plan(as_of=at(2)).blocks
    assert block.code == "bad"
    assert "it crashed" in block.message
    accepted = world.plan(as_of=at(2), accept=frozenset({"bad"})).chosen
    assert accepted is not None
    assert accepted.image == image("2")


def test_before_the_first_deployment_commits_tell() -> None:
    world = World("2", state("1>2"), history("0", "1", "2"))  # at minutes 1, 2, 3
    later = replace(world.state.deployed[0], at=at(30)) if world.state else None
    assert later is not None
    world.state = replace(world.state, deployed=(later,))  # type: ignore[type-var]
    plan = world.plan(as_of=at(1))
    assert world.asked[0] == "NeedHistory"
    assert plan.chosen is not None
    assert plan.chosen.image == image("0")
    assert plan.chosen.sources == {"git"}


def test_an_edit_between_two_deployments_is_told_by_commits_alone() -> None:
    found = state("0>1", "2>3")  # somebody wrote 2 in between
    entries = tuple(
        replace(entry, at=moment)
        for entry, moment in zip(history("1", "2", "3"), (at(3), at(2), at(1)), strict=True)
    )
    found = replace(
        found,
        deployed=tuple(
            replace(e, at=m) for e, m in zip(found.deployed, (at(3), at(1)), strict=True)
        ),
    )
    plan = World("3", found, entries).plan(as_of=at(2))
    assert plan.chosen is not None
    assert plan.chosen.image == image("2")


def test_what_was_reverted_with_its_state_file_is_told_by_commits() -> None:
    dated = zip(history("1", "2", "1", "3"), (at(9), at(6), at(4), at(1)), strict=True)
    entries = tuple(replace(entry, at=moment) for entry, moment in dated)  # 1 at 1, 2 at 4, 1 at 6
    found = state("0>1", "1>3")
    deeds = zip(found.deployed, (at(9), at(1)), strict=True)
    found = replace(found, deployed=tuple(replace(deed, at=moment) for deed, moment in deeds))
    for minute, ran in ((2, "1"), (5, "2"), (7, "1")):
        plan = World("3", found, entries).plan(as_of=at(minute))
        assert plan.chosen is not None
        assert plan.chosen.image == image(ran)


@pytest.mark.parametrize("by_state", [True, False])
def test_where_a_clock_was_wrong_nobody_knows_what_ran_meanwhile(by_state: bool) -> None:  # noqa: FBT001
    times = (at(9), at(3), at(6))  # the second is dated before the first
    deeds = zip(THREE.deployed, times, strict=True)
    found = replace(THREE, deployed=tuple(replace(deed, at=when) for deed, when in deeds))
    entries = zip(history("1", "2", "3"), times, strict=True)
    told = tuple(replace(entry, at=when) for entry, when in entries)
    world = World("3", found) if by_state else World("3", None, told)
    plan = world.plan(as_of=at(4))
    assert plan.chosen is None
    after = world.plan(as_of=at(7))
    assert after.chosen is not None
    assert after.chosen.image == image("2")


def test_what_ran_before_anything_is_known_is_not_guessed() -> None:
    plan = World("2", state("1>2"), history("1", "2")).plan(as_of="2020-01-01T00:00:00Z")
    assert plan.chosen is None
    [finding] = plan.findings
    assert finding == (
        "what ran at 2020-01-01T00:00:00Z is not known: the oldest commit that is known is of "
        f"{at(1)}"
    )
    error = obstacle(plan)
    assert error is not None
    assert "is not known" in error.message
    assert "later time with --as-of" in error.hint
    plan = World("2", state("1>2")).plan(as_of="2020-01-01T00:00:00Z")
    assert "no commit tells" in plan.findings[0]


def test_a_tag_that_stood_there_then_is_not_what_was_deployed_under_it_later() -> None:
    world = World("3", state("~dev>dev@A", "dev@A>3"), history("~dev", "dev@A", "3"))
    later = (replace(deed, at=at(20 - n)) for n, deed in enumerate(world.state.deployed))  # type: ignore[union-attr]
    world.state = replace(world.state, deployed=tuple(later))  # type: ignore[type-var]
    plan = world.plan(as_of=at(1))
    assert plan.chosen is None
    assert [block.code for block in plan.blocks] == ["mutable-tag"]
    assert plan.candidates[0].image == image("~dev")


def test_a_tag_that_a_plan_named_is_not_what_was_deployed_under_it_later() -> None:
    world = World("3", state("~1>2", "2>1@A", "1@A>3"))
    assert outcome(world.plan(to="1")) == ("1", [], {}), "a person means the newest of a tag"
    chosen = world.plan(to="1").chosen
    assert chosen is not None
    assert chosen.image == image("1@A")
    plan = world.plan(planned=planned("~1"))
    assert outcome(plan) == (None, ["mutable-tag"], {"1": "mutable-tag"})


def test_what_a_squash_left_no_commit_of_is_told_by_the_state_file() -> None:
    deeds = zip(THREE.deployed, (at(9), at(5), at(1)), strict=True)
    found = replace(THREE, deployed=tuple(replace(deed, at=moment) for deed, moment in deeds))
    dated = zip(history("1", "3"), (at(9), at(1)), strict=True)
    plan = World("3", found, tuple(replace(one, at=moment) for one, moment in dated)).plan(
        as_of=at(6)
    )
    assert plan.chosen is not None
    assert plan.chosen.image == image("2")


def test_of_an_edit_in_the_second_of_a_deployment_the_commit_tells() -> None:
    found = state("0>1", "1>2", "1>3")  # somebody put 1 back at once
    deeds = zip(found.deployed, (at(9), at(2), at(1)), strict=True)
    found = replace(found, deployed=tuple(replace(deed, at=moment) for deed, moment in deeds))
    dated = zip(history("1", "2", "1", "3"), (at(9), at(2), at(2), at(1)), strict=True)
    entries = tuple(replace(entry, at=moment) for entry, moment in dated)
    plan = World("3", found, entries).plan(as_of=at(2))
    assert plan.chosen is not None
    assert plan.chosen.image == image("1")


@pytest.mark.parametrize(
    ("moment", "times"),
    [
        pytest.param(at(2), 1, id="the commits that are known go back to it"),
        pytest.param(at(1), 1, id="to the very second"),
        pytest.param("2020-01-01T00:00:00Z", 2, id="it is before all of them"),
    ],
)
def test_commits_are_walked_on_only_where_they_do_not_go_back_to_the_time(
    moment: str, times: int
) -> None:
    world = World("3", None, history("1", "2", "3"))
    world.plan(as_of=moment)
    assert world.asked.count("NeedHistory") == times
