"""State files: what is written is read again, and what others wrote is not trusted."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import pytest

from gitops_rollback.errors import RepositoryError, UnwritableError
from gitops_rollback.ledger.fields import note
from gitops_rollback.ledger.holds import HeldMarker
from gitops_rollback.ledger.state import (
    State,
    joined,
    named_at,
    parse_state,
    path_of,
    render_state,
)
from gitops_rollback.model import Deed
from unit.builders import at, bad_entry, deployment, hold_of, image, service_at_tip, state
from unit.test_config import STATE

HOLD = hold_of("2", "1", "😀 crashed", at(2), "jane", markers=(HeldMarker("a", "b", "{}"),))
FIELDS = tuple(note(field) for field in service_at_tip("acme/cart:1").found.fields)
FULL = replace(
    state("1>2", "2<1", "1>~3", bad=(bad_entry("2", at(2), "why", "jane", tag="2"),), hold=HOLD),
    fields=FIELDS,
)


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


def test_what_a_newer_version_adds_is_kept_and_written_back() -> None:
    document = json.loads(render_state(FULL))
    document["later"] = {"a": [1]}
    document["deployed"][0]["later"] = "b"
    document["deployed"][0]["build"]["later"] = 1.5
    document["bad"][0]["later"] = None
    document["hold"]["later"] = "c"
    document["hold"]["markers"][0]["later"] = True
    document["fields"][0]["later"] = []
    read = parse_state(json.dumps(document).encode(), "production", "cart")
    assert json.loads(render_state(read)) == document
    pushed_down = read.with_deed(deployment("deploy", 9, "~3", "4"))
    assert json.loads(render_state(pushed_down))["deployed"][1]["later"] == "b"


def test_the_newest_twenty_deployments_are_kept() -> None:
    whole = State("cart", "production")
    for number in range(1, 26):
        whole = whole.with_deed(deployment("deploy", number, "0", str(number)))
    assert [entry.image.tag for entry in whole.deployed] == [str(n) for n in range(25, 5, -1)]
    assert parse_state(render_state(whole), "production", "cart") == whole


def test_the_bad_list_never_makes_the_file_unreadable() -> None:
    whole = State("cart", "production")
    for number in range(1200):
        whole = whole.with_bad(bad_entry(str(number), at(number % 60), "ä" * 2000, "j" * 200))
    assert whole.bad[0].image.tag == "1199"
    assert parse_state(render_state(whole), "production", "cart") == whole


def test_an_image_is_on_the_bad_list_once_and_leaves_it_when_it_is_deployed_or_forgiven() -> None:
    again = bad_entry("2", at(2))
    whole = State("cart", "production").with_bad(bad_entry("2", at(1))).with_bad(again)
    assert whole.bad == (again,)
    assert whole.with_deed(deployment("deploy", 1, "1", "2")).bad == ()
    assert whole.with_deed(deployment("deploy", 1, "1", "other@2")).bad == ()
    assert whole.with_deed(deployment("deploy", 1, "1", "3")).bad == (again,)
    assert whole.without_bad(image("other@2")).bad == ()
    assert whole.without_bad(image("~2")).bad == (again,)


def test_an_image_without_a_digest_is_on_the_bad_list_once_and_leaves_it_by_its_text() -> None:
    again = bad_entry("~dev", at(2))
    whole = State("cart", "production").with_bad(bad_entry("~dev", at(1))).with_bad(again)
    assert whole.bad == (again,)
    assert whole.with_deed(deployment("deploy", 1, "1", "~dev")).bad == ()
    assert whole.with_deed(deployment("deploy", 1, "1", "dev")).bad == (again,)


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
        pytest.param(b" " * 4_000_001, "it has 4000001 bytes", id="over 4 MB"),
        pytest.param(b"[]", "is broken", id="a list"),
        pytest.param(b"{}", "is broken", id="nothing"),
        pytest.param(changed(schemaVersion=0), "schemaVersion", id="version 0"),
        pytest.param(changed(schemaVersion="1"), "schemaVersion", id="version as text"),
        pytest.param(changed(deployed={}), "deployed", id="deployed is no list"),
        pytest.param(changed(deployed=[{}]), "deployed", id="an empty entry"),
        pytest.param(changed(deployed=[STATE] * 21), "deployed", id="too many"),
        pytest.param(changed(hold={"from": "a"}), "hold", id="half a hold"),
        pytest.param(
            changed(hold={**STATE["hold"], "id": "../x"}),  # type: ignore[dict-item]
            "hold.id",
            id="a hold whose file would stand elsewhere",
        ),
        pytest.param(changed(bad=[{"image": "A", "at": at(1)}]), "lower case", id="bad image"),
        pytest.param(changed(bad=[{"image": "a", "at": "now"}]), "bad", id="bad time"),
        pytest.param(
            changed(bad=[{"image": "a", "at": "2026-02-30T25:61:61Z"}]), "bad", id="no such time"
        ),
        pytest.param(changed(fields=[{"path": "a"}]), "fields", id="half a field"),
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
    with pytest.raises(RepositoryError, match=r"by a newer gitops-rollback \(schema 3\)") as caught:
        parse_state(changed(schemaVersion=3, unheard=True), "production", "cart")
    assert caught.value.hint == "use that version here too"


@pytest.mark.parametrize(
    ("whole", "reason"),
    [
        pytest.param(
            state("1>2", bad=(bad_entry("1", at(1), "x" * 2001),)),
            "bad[0].reason must be shorter than or equal to 2000 characters",
            id="a long reason",
        ),
        pytest.param(
            state("1>2", bad=(bad_entry("1", at(1), "\ud83d"),)),
            "it has half of a surrogate pair, which is no text",
            id="no text",
        ),
        pytest.param(
            state("1>2", bad=tuple(bad_entry(str(n), at(1), "\0" * 2000, "\0" * 2000)
                                   for n in range(200))),
            "it has 4",
            id="too much of everything",
        ),
    ],
)  # fmt: skip
def test_what_could_not_be_read_again_is_refused_before_it_is_written(
    whole: State, reason: str
) -> None:
    with pytest.raises(UnwritableError) as caught:
        render_state(whole)
    expected = "the state file .gitops-rollback/production/cart.json could not be read again: "
    assert caught.value.message.startswith(expected + reason)
    assert caught.value.hint.startswith("nothing was written; give a shorter reason")
    assert caught.value.category == "config"


def test_a_whole_number_is_one_however_it_is_written() -> None:
    data = changed().replace(b'"number": 7', b'"number": 7.0')
    entry = parse_state(data, "production", "cart").newest
    assert isinstance(entry, Deed)
    assert str(entry.build) == "shop/rollback #7"


def test_what_ran_and_was_not_rolled_back_from() -> None:
    whole = state("1>2", "2<1", "1>~3", bad=(bad_entry("2", at(2)),))
    assert whole.ran == {image("1").digest}


def test_what_a_bad_tag_meant_when_it_was_replaced_may_be_the_bad_image() -> None:
    by_name = bad_entry("~2", at(1), tag="2")
    assert state("2>3", bad=(by_name,)).ran == {image("3").digest}
    assert state("2>3").ran == {image("2").digest, image("3").digest}
    assert image("2").digest in state("1>2", "2>3", bad=(by_name,)).ran, "it was deployed"


def named(name: str, *numbers: int) -> State:
    entries = tuple(deployment("deploy", n, str(n - 1), str(n)) for n in sorted(numbers)[::-1])
    return State(name, "production", entries)


def test_what_all_names_of_a_field_tell_is_one_account() -> None:
    one = replace(named("cart", 1, 2, 3, 5), bad=(bad_entry("9", at(1)),))
    other = replace(
        named("cart-web", 2, 3, 4, 6),
        bad=(bad_entry("9", at(1)), bad_entry("8", at(1))),
        hold=HOLD,
        fields=FIELDS,
    )
    both = joined([one, other])
    assert (both.service, both.environment) == ("cart", "production")
    assert [deed.image.tag for deed in both.deployed] == ["6", "5", "4", "3", "2", "1"]
    assert [entry.image.tag for entry in both.bad] == ["9", "8"]
    assert both.hold == HOLD
    assert both.fields == FIELDS
    assert joined([other, one]).fields == FIELDS
    assert joined([one]) == one


@pytest.mark.parametrize("is_one_second", [False, True])
def test_accounts_of_parts_of_what_was_done_are_joined_in_its_order(*, is_one_second: bool) -> None:
    """Times tell the order, and where they do not, the account that has both deeds."""
    deeds = named("shop", 1, 2, 3, 4).deployed
    if is_one_second:
        deeds = tuple(replace(deed, at=at(1)) for deed in deeds)
    parts = [part for number in range(5) for part in combinations(deeds, number)]
    for one, other in product(parts, repeat=2):
        both = joined([State("shop", "production", one), State("kiosk", "production", other)])
        assert {*both.deployed} == {*one, *other}
        assert tuple(deed for deed in both.deployed if deed in one) == one
        assert tuple(deed for deed in both.deployed if deed in other) == other
        if not is_one_second or deeds in (one, other):
            assert both.deployed == tuple(deed for deed in deeds if deed in {*one, *other})


def test_the_newest_hold_of_all_names_is_the_one_that_a_state_tells() -> None:
    older = replace(named("cart"), hold=hold_of("2", "1", "old", at(1)))
    newer = replace(named("shop"), hold=hold_of("3", "1", "new", at(9)))
    for states in ([older, newer], [newer, older]):
        found = joined(states)
        assert found.hold == newer.hold
        assert found.deployed == ()


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (".gitops-rollback/production/cart.json", ("production", "cart")),
        (".gitops-rollback/production/cart.v2.json", ("production", "cart.v2")),
        (".gitops-rollback/production/README.md", None),
        (".gitops-rollback/production/cart.json/x.json", None),
        (".gitops-rollback/.held/b403afc56669.json", None),
        (".gitops-rollback/cart.json", None),
        ("apps/production/cart.json", None),
    ],
)
def test_a_path_names_the_service_whose_state_stands_there(
    path: str, named: tuple[str, str] | None
) -> None:
    assert named_at(path) == named
