"""State files: what is written is read again, and what others wrote is not trusted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_rollback.errors import RepositoryError
from gitops_rollback.ledger.state import (
    BadImage,
    Deployment,
    HeldMarker,
    Hold,
    State,
    parse_state,
    path_of,
    render_state,
)
from unit.builders import at, deployment, image, state
from unit.test_config import STATE

HOLD = Hold(
    image("2"), image("1"), "😀 crashed", at(2), "jane", markers=(HeldMarker("a", "b", "{}"),)
)
FULL = state("1>2", "2<1", "1>~3", bad=(BadImage(image("2"), at(2), "why", "jane"),), hold=HOLD)


@pytest.mark.parametrize(
    "whole",
    [FULL, state(), state(">1"), replace(FULL, hold=None), replace(FULL, bad=())],
    ids=["full", "empty", "first", "without a hold", "nothing bad"],
)
def test_a_state_is_read_as_it_was_written(whole: State) -> None:
    data = render_state(whole)
    assert parse_state(data, "production", "cart") == whole
    assert render_state(parse_state(data, "production", "cart")) == data
    assert b"null" not in data


_texts = st.text(st.characters(codec="utf-8"), max_size=50)


@given(_texts, _texts | st.none())
def test_any_reason_and_person_survive(reason: str, by: str | None) -> None:
    whole = state("1>2", bad=(BadImage(image("1"), at(1), reason, by),))
    assert parse_state(render_state(whole), "production", "cart") == whole


def test_the_newest_twenty_deployments_are_kept() -> None:
    whole = State("cart", "production")
    for number in range(1, 26):
        whole = whole.with_deployment(deployment("deploy", number, "0", str(number)))
    assert [entry.image.tag for entry in whole.deployed] == [str(n) for n in range(25, 5, -1)]
    assert parse_state(render_state(whole), "production", "cart") == whole


def test_the_bad_list_never_makes_the_file_unreadable() -> None:
    whole = State("cart", "production")
    for number in range(1200):
        bad = BadImage(image(str(number)), at(number % 60), "ä" * 500, "j" * 200)
        whole = whole.with_bad(bad)
    assert whole.bad[0].image.tag == "1199"
    assert parse_state(render_state(whole), "production", "cart") == whole


def test_an_image_is_on_the_bad_list_once_and_leaves_it_when_it_is_deployed_or_forgiven() -> None:
    bad = BadImage(image("2"), at(1))
    again = replace(bad, at=at(2))
    whole = State("cart", "production").with_bad(bad).with_bad(again)
    assert whole.bad == (again,)
    assert whole.with_deployment(deployment("deploy", 1, "1", "2")).bad == ()
    assert whole.with_deployment(deployment("deploy", 1, "1", "3")).bad == (again,)
    assert whole.without_bad(image("~2")).bad == ()
    assert whole.without_bad(image("3")).bad == (again,)


def test_a_bad_image_is_found_by_digest_or_by_its_tag_where_one_has_no_digest() -> None:
    whole = State("cart", "production", bad=(BadImage(image("2"), at(1)),))
    assert whole.find_bad(image("other@2"))
    assert whole.find_bad(image("~2"))
    assert not whole.find_bad(image("2@other"))
    assert not whole.find_bad(image("~1"))


def test_where_a_state_file_stands() -> None:
    assert path_of("production", "cart") == ".gitops-rollback/production/cart.json"


def changed(**changes: Any) -> bytes:  # noqa: ANN401
    return json.dumps({**STATE, **changes}).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "is no complete JSON", id="empty"),
        pytest.param(render_state(FULL)[:-20], "is no complete JSON", id="truncated"),
        pytest.param(
            b"<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> x\n",
            "it holds the marks of a merge conflict",
            id="unmerged",
        ),
        pytest.param(b"[" * 200_000, "is no complete JSON", id="deep"),
        pytest.param(b"1" * 10_000, "is no complete JSON", id="a huge number"),
        pytest.param(b'"\xff"', "is no complete JSON", id="no UTF-8"),
        pytest.param(changed(service="x\ud800"), "is no complete JSON", id="half a surrogate pair"),
        pytest.param(b" " * 1_000_001, "it has 1000001 bytes", id="over 1 MB"),
        pytest.param(b"[]", "is broken", id="a list"),
        pytest.param(b"{}", "is broken", id="nothing"),
        pytest.param(changed(schemaVersion=0), "schemaVersion", id="version 0"),
        pytest.param(changed(schemaVersion="1"), "schemaVersion", id="version as text"),
        pytest.param(changed(extra=1), "unknown key extra", id="unknown key"),
        pytest.param(changed(deployed={}), "deployed", id="deployed is no list"),
        pytest.param(changed(deployed=[{}]), "deployed", id="an empty entry"),
        pytest.param(changed(deployed=[STATE] * 21), "deployed", id="too many"),
        pytest.param(changed(hold={"from": "a"}), "hold", id="half a hold"),
        pytest.param(changed(bad=[{"image": "A", "at": at(1)}]), "lower case", id="bad image"),
        pytest.param(changed(bad=[{"image": "a", "at": "now"}]), "bad", id="bad time"),
        pytest.param(changed(service="shop"), "it is of shop in production", id="another service"),
        pytest.param(changed(environment="x"), "it is of cart in x", id="another environment"),
    ],
)
def test_a_broken_state_file_is_an_error_with_its_path_and_how_to_mend_it(
    data: bytes, message: str
) -> None:
    with pytest.raises(RepositoryError) as caught:
        parse_state(data, "production", "cart")
    assert caught.value.message.startswith("the state file .gitops-rollback/production/cart.json")
    assert message in caught.value.message
    assert "git log -- .gitops-rollback/production/cart.json" in caught.value.hint
    assert len(caught.value.message) < 600


def test_a_newer_state_file_asks_for_the_newer_version() -> None:
    with pytest.raises(RepositoryError, match=r"by a newer gitops-rollback \(schema 2\)") as caught:
        parse_state(changed(schemaVersion=2, unheard=True), "production", "cart")
    assert caught.value.hint == "use that version here too"


def test_a_whole_number_is_one_however_it_is_written() -> None:
    data = changed().replace(b'"number": 7', b'"number": 7.0')
    entry = parse_state(data, "production", "cart").newest
    assert isinstance(entry, Deployment)
    assert str(entry.build) == "shop/rollback #7"
