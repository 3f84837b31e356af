"""Holds follow their field, and a bad release stays bad when it is built again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.errors import RepositoryError, UnwritableError
from gitops_rollback.ledger.holds import (
    HeldFile,
    HeldMarker,
    Holds,
    bad_match,
    find_holds,
    hold_from_json,
    parse_held,
    path_of_hold,
    place_holds,
    render_held,
    version_tag,
    wants_revision,
    without_bad,
)
from unit.builders import at, bad_entry, digest, hold_of, image
from unit.test_noted_fields import HERE, NOTED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.manifest.image_field import ImageField

HOLD = hold_of("2", "1", "it crashed", at(2), "jane")
HELD = HeldFile("cart", "production", HOLD, (NOTED,), (bad_entry("2", at(2), tag="2"),))
BAD = bad_entry("2", at(2), tag="2", revision="abc")
RAN = {digest("1")}


def held_of(
    held: Iterable[HeldFile], own: Iterable[ImageField], branch: Iterable[ImageField]
) -> Holds:
    return find_holds(place_holds(held, branch), own)


@pytest.mark.parametrize(
    ("candidate", "revision", "by"),
    [
        pytest.param("2", None, "digest", id="the very digest"),
        pytest.param("good@2", None, "digest", id="the digest under another tag"),
        pytest.param("2@again", None, "tag", id="its version, built again"),
        pytest.param("~2", None, "tag", id="its version, of which no digest is known"),
        pytest.param("3", "abc", "revision", id="its revision, under another version"),
        pytest.param("2@again", "abc", "tag", id="both"),
        pytest.param("3", "abd", None, id="another revision"),
        pytest.param("3", None, None, id="nothing in common"),
        pytest.param("2@1", "abc", None, id="what ran here before, whatever it is called"),
    ],
)
def test_an_image_is_bad_by_digest_and_if_it_is_new_here_by_version_or_revision(
    candidate: str, revision: str | None, by: str | None
) -> None:
    found = bad_match([bad_entry("9", at(1)), BAD], image(candidate), RAN, revision)
    assert (found.by if found else None) == by
    assert found is None or found.entry == BAD


def test_an_image_is_bad_by_its_digest_in_any_repository() -> None:
    moved = image("2", "ghcr.io/acme/basket")
    found = bad_match([BAD], moved)
    assert found is not None
    assert found.by == "digest"


def test_a_tag_that_is_no_version_makes_no_image_bad() -> None:
    for label in ("main@A", "~main"):
        assert (
            bad_match([bad_entry("main@B", at(1)), bad_entry("~main", at(1))], image(label)) is None
        )


@pytest.mark.parametrize(
    ("text", "seen", "is_one"),
    [
        ("1.2", (), True),
        ("1.2", ("1.2", "1.3"), True),
        ("1.2", ("1.2@another",), False),
        ("main", (), False),
        ("~1.2", ("1.2",), True),
    ],
)
def test_a_version_tag_has_the_shape_of_one_and_was_deployed_with_one_digest(
    text: str,
    seen: tuple[str, ...],
    is_one: bool,  # noqa: FBT001
) -> None:
    known = map(image, seen)
    assert version_tag(image(text), known) == (image(text).tag if is_one else None)
    assert version_tag(replace(image(text), tag=None), ()) is None


def test_the_revision_is_asked_for_only_where_it_could_tell() -> None:
    assert wants_revision([BAD], image("3"), RAN)
    assert not wants_revision([BAD], image("2"), RAN)
    assert not wants_revision([BAD], image("1"), RAN)
    assert not wants_revision([bad_entry("2", at(2))], image("3"), RAN)
    assert not wants_revision([], image("3"), RAN)


def test_digest_version_and_revision_are_forgiven_together() -> None:
    other = bad_entry("9", at(1))
    assert without_bad([BAD, other], image("2@again")) == (other,)
    assert without_bad([BAD, other], image("other@2")) == (other,)
    unknown = bad_entry("~dev", at(1))
    assert without_bad([unknown], image("~dev")) == ()
    assert without_bad([unknown], image("dev@A")) == (unknown,)


def test_a_hold_counts_for_its_field_by_whatever_name() -> None:
    found = held_of([HELD], [HERE], [HERE, replace(HERE, name="shop")])
    assert (found.ours, found.lost, found.retired) == ((HELD,), (), ())
    moved = replace(HERE, path="b.yaml", document=4)
    assert held_of([HELD], [moved], [moved]).ours == (HELD,)


def test_a_hold_of_somebody_else_s_field_counts_for_nobody_else() -> None:
    stranger = replace(HERE, path="b.yaml", name="basket")
    found = held_of([HELD], [stranger], [HERE, stranger])
    assert (found.ours, found.lost, found.retired) == ((), (), ())


@pytest.mark.parametrize(
    "like",
    [
        replace(HERE, container="app"),
        replace(HERE, name="basket", container="x"),
        replace(HERE, path="b.yaml", value="ghcr.io/acme/basket:1"),
        replace(HERE, namespace="x", value="ghcr.io/acme/basket:1"),
    ],
    ids=["renamed container", "renamed workload", "moved file and repository", "other namespace"],
)
def test_a_hold_that_lost_its_field_stops_what_may_be_it(like: ImageField) -> None:
    fields = [like]
    found = held_of([HELD], fields, fields)
    assert (found.ours, found.lost, found.retired) == ((), (HELD,), ())


def test_a_hold_that_lost_its_field_stops_nobody_else_and_is_retired() -> None:
    stranger = replace(HERE, name="shop", container="shop", value="acme/shop:1")
    found = held_of([HELD], [stranger], [stranger])
    assert (found.ours, found.lost, found.retired) == ((), (), (HELD,))
    nameless = replace(stranger, value="{{ x }}")
    assert held_of([HELD], [nameless], [nameless]).retired == (HELD,)
    unknown = replace(HELD, fields=(replace(NOTED, image="{{ x }}"),))
    assert held_of([unknown], [stranger], [stranger]).retired == (unknown,)


def test_a_hold_of_several_fields_is_not_lost_while_one_of_them_is_there() -> None:
    gone = replace(NOTED, container="worker")
    both = replace(HELD, fields=(NOTED, gone))
    worker = replace(HERE, path="b.yaml", container="worker", value="ghcr.io/acme/x:1")
    assert held_of([both], [HERE], [HERE, worker]).ours == (both,)
    found = held_of([both], [worker], [HERE, worker])
    assert (found.ours, found.lost) == ((), (both,))


def test_the_file_of_a_hold_is_read_as_it_was_written_and_keeps_what_it_does_not_know() -> None:
    assert HELD.path == ".gitops-rollback/.held/held1.json"
    assert parse_held(render_held(HELD), HELD.path) == HELD
    document = json.loads(render_held(HELD))
    document["later"] = [None]
    document["hold"]["later"] = {"a": 1}
    read = parse_held(json.dumps(document).encode(), HELD.path)
    assert json.loads(render_held(read)) == document


def test_markers_stand_in_the_state_file_alone() -> None:
    marked = replace(HELD, hold=replace(HOLD, markers=(HeldMarker("a", "b", "{}"),)))
    assert parse_held(render_held(marked), marked.path) == HELD


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "is no complete JSON"),
        (b'{"schemaVersion": 3}', r"was written by a newer gitops-rollback \(schema 3\)"),
        (b"{}", "is broken"),
        (render_held(HELD).replace(b"held1", b"other"), "is broken: it is of the hold other"),
        (render_held(HELD).replace(b"docker.io/acme/cart:1@", b"docker.io/Acme:1@"), "lower case"),
    ],
    ids=["no JSON", "newer", "nothing", "another hold", "no image"],
)
def test_a_broken_file_of_a_hold_is_an_error_with_its_path(data: bytes, message: str) -> None:
    with pytest.raises(RepositoryError, match=message) as caught:
        parse_held(data, HELD.path)
    assert HELD.path in caught.value.message


def test_a_hold_that_could_not_be_read_again_is_not_written() -> None:
    long = replace(HELD, hold=replace(HOLD, deed=replace(HOLD.deed, reason="x" * 2001)))
    with pytest.raises(UnwritableError, match="the hold of cart production could not be read"):
        render_held(long)


def test_a_hold_of_the_first_version_has_an_id_of_its_own_that_never_changes() -> None:
    document = {
        "from": "acme/cart:2",
        "to": "acme/cart:1",
        "reason": "x",
        "at": at(1),
        "markers": [],
    }
    one, again = hold_from_json(document), hold_from_json(document)
    other = hold_from_json({**document, "at": at(2)})
    assert one.id == again.id
    assert one.id != other.id
    assert path_of_hold(one.id) == f".gitops-rollback/.held/{one.id}.json"
    assert (one.by, one.build) == (None, None)
