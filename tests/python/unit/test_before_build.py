"""What refuses an image before it is built, when its name and tag are all that is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.decide.facts import History, NeedHistory, NeedRemoved
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import ConfigError, MovedError, RefusedError
from gitops_rollback.model import Build
from unit.builders import (
    PRESENT,
    at,
    bad_entry,
    changed,
    hold_of,
    image,
    service_at_tip,
    state,
)

if TYPE_CHECKING:
    from gitops_rollback.decide.facts import Facts, Need
    from gitops_rollback.ledger.state import State

WISH = Wish("deploy", PRESENT, build=Build("shop/cart", 9), before_build=True)
RUNS = image("1.5.0").canonical
STATE = state("1.3.0>1.4.2", "1.4.2>1.5.0")


def asks_nobody(need: Need[Any], _facts: Facts) -> object:
    if isinstance(need, NeedHistory):
        return History()
    if isinstance(need, NeedRemoved):  # the branch, which was fetched: no registry and no archive
        return ()
    raise AssertionError(f"{need} was asked for")


def judge(tag: str, found: State | None = STATE, **more: Any) -> str:  # noqa: ANN401
    """The code that refuses a build of a tag; empty if nothing does."""
    wish = replace(WISH, image=image(f"~{tag}"), **more)
    runs = service_at_tip(RUNS, found)
    try:
        change = changed(wish, runs, asks_nobody)
    except RefusedError as error:
        return error.code or ""
    assert not change.edits
    assert change.record is None
    assert change.state is None
    return ""


def test_a_new_version_may_be_built() -> None:
    assert judge("1.6.0") == ""
    assert judge("1.6.0", None) == ""


def test_a_version_that_was_deployed_is_not_built_over() -> None:
    assert judge("1.5.0") == "retag"
    assert judge("1.5.0", None) == "retag"
    assert judge("1.4.2") == "retag"
    assert judge("1.3.0") == "retag"
    assert judge("1.4.2", accept=frozenset({"retag"})) == ""


def test_a_tag_that_moves_is_built_over_each_time() -> None:
    moving = state("latest@a>latest@b", "main@a>main@b", "1.4.2@a>1.4.2@b")
    for tag in ("latest", "main", "1.4.2", "prod"):
        assert judge(tag, moving) == "", tag
    assert judge("v1", state("v1@a>v1.0.1")) == ""


def test_a_held_service_is_not_built_for_unless_the_hold_is_to_end() -> None:
    held = replace(STATE, hold=hold_of("1.5.0", "1.4.2", "broken", at(3), "jane"))
    assert judge("1.6.0", held) == "held"
    assert judge("1.6.0", held, accept=frozenset({"held"}), releases=True) == ""


def test_the_hold_that_a_deploy_would_end_is_told_where_that_was_asked_for() -> None:
    hold = hold_of("1.5.0", "1.4.2", "broken", at(3), "jane")
    wish = replace(WISH, image=image("~1.6.0"), accept=frozenset({"held"}), releases=True)
    for found, ends in ((replace(STATE, hold=hold), (hold.id,)), (STATE, ())):
        assert changed(wish, service_at_tip(RUNS, found), asks_nobody).ends == ends
    plain = replace(wish, releases=False, accept=frozenset())
    assert changed(plain, service_at_tip(RUNS, STATE), asks_nobody).ends is None


def test_a_bad_version_is_not_built_again() -> None:
    bad = replace(STATE, bad=(bad_entry("1.7.0", at(3), tag="1.7.0"),))
    assert judge("1.7.0", bad) == "bad"
    assert judge("1.7.0", bad, accept=frozenset({"bad"})) == ""
    assert judge("1.8.0", bad) == ""


def test_an_older_build_than_the_one_that_deployed_is_not_built() -> None:
    assert judge("1.6.0", build=Build("shop/cart", 1)) == "outdated"
    assert judge("1.6.0", build=Build("shop/other", 1)) == ""


def test_what_is_another_repository_or_another_image_than_expected_is_said_at_once() -> None:
    runs = service_at_tip(RUNS, STATE)
    with pytest.raises(ConfigError, match="another repository"):
        changed(replace(WISH, image=image("~1.6.0", "acme/other")), runs, asks_nobody)
    with pytest.raises(MovedError, match="as --from says"):
        changed(replace(WISH, image=image("~1.6.0"), expected=image("1.4.2")), runs, asks_nobody)
