"""Fields that were written down are found again, or are lost: never taken for another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gitops_rollback.image import find_image
from gitops_rollback.late import dataclass, replace
from gitops_rollback.ledger import fields
from gitops_rollback.ledger.fields import (
    LOST,
    MOVED,
    THERE,
    Likeness,
    NotedField,
    field_from_json,
    find_field,
    find_fields,
    meant_by,
    note,
    note_written,
    noted_of,
    once,
)
from gitops_rollback.manifest.image_field import ImageField, Part
from unit.builders import digest, image, service_at_tip

if TYPE_CHECKING:
    from pytest_mock import MockerFixture

POINTER = "/spec/template/spec/containers/0/image"
NOTED = NotedField(
    "a.yaml", 0, "Deployment", "cart", "server", POINTER,
    f"docker.io/acme/cart:1@{digest('1')}", "acme/cart:1", namespace="shop",
)  # fmt: skip


@dataclass(frozen=True)
class Place(ImageField):
    """A field of the branch, whose text is given without a file that it stands in."""

    path: str = "a.yaml"
    document: int = 0
    kind: str = "Deployment"
    name: str = "cart"
    container: str = "server"
    pointer: str = POINTER
    parts: tuple[Part, ...] = ()
    namespace: str = "shop"
    value: str = "acme/cart:1"

    @property
    def effective(self) -> str:
        return self.value


HERE = Place()


@pytest.mark.parametrize(
    ("noted", "branch", "how", "found"),
    [
        pytest.param(NOTED, [HERE], THERE, HERE, id="where it stood"),
        pytest.param(NOTED, [replace(HERE, value="acme/cart:2")], THERE, 0, id="with another text"),
        pytest.param(
            NOTED, [replace(HERE, value="ghcr.io/acme/basket:9")], THERE, 0,
            id="with another image repository",
        ),
        pytest.param(NOTED, [replace(HERE, value="{{ x }}")], THERE, 0, id="with no image at all"),
        pytest.param(NOTED, [replace(HERE, path="b.yaml")], MOVED, 0, id="in another file"),
        pytest.param(NOTED, [replace(HERE, document=3)], MOVED, 0, id="in another document"),
        pytest.param(NOTED, [replace(HERE, pointer="/x")], MOVED, 0, id="at another place in it"),
        pytest.param(
            NOTED, [replace(HERE, path="b.yaml"), replace(HERE, path="c.yaml", name="x")], MOVED, 0,
            id="in another file, beside another workload",
        ),
        pytest.param(
            NOTED, [replace(HERE, path="b.yaml"), replace(HERE, path="c.yaml", value="x/y:1")],
            MOVED, 0, id="in another file, beside its like with another image",
        ),
        pytest.param(
            NOTED, [replace(HERE, path="b.yaml", value="ghcr.io/acme/cart:1")], LOST, None,
            id="moved, and its image repository moved",
        ),
        pytest.param(
            NOTED, [replace(HERE, path="b.yaml"), replace(HERE, path="c.yaml")], LOST, None,
            id="in one of two places",
        ),
        pytest.param(NOTED, [replace(HERE, container="app")], LOST, None, id="renamed container"),
        pytest.param(NOTED, [replace(HERE, name="basket")], LOST, None, id="renamed workload"),
        pytest.param(NOTED, [replace(HERE, kind="StatefulSet")], LOST, None, id="another kind"),
        pytest.param(NOTED, [replace(HERE, namespace="x")], LOST, None, id="another namespace"),
        pytest.param(NOTED, [], LOST, None, id="no fields"),
        pytest.param(
            replace(NOTED, namespace=None), [replace(HERE, namespace="x")], THERE, 0,
            id="a namespace that was not written down",
        ),
        pytest.param(
            replace(NOTED, image="{{ x }}"), [replace(HERE, path="b.yaml")], LOST, None,
            id="moved, and written down with no image",
        ),
    ],
)  # fmt: skip
def test_a_noted_field_is_found_where_it_stood_or_where_exactly_one_is_like_it(
    noted: NotedField, branch: list[Place], how: str, found: Place | int | None
) -> None:
    match = find_field(noted, branch)
    wanted = branch[found] if isinstance(found, int) else found
    assert (match.how, match.field) == (how, wanted)


def test_a_field_is_found_for_one_that_was_written_down_only() -> None:
    moved = replace(NOTED, path="old.yaml")
    match = find_fields([NOTED, moved], [HERE])
    assert [one.how for one in match] == [THERE, LOST]
    assert match[1].field is None
    other = replace(NOTED, path="older.yaml")
    assert [one.how for one in find_fields([moved, other], [HERE])] == [LOST, LOST]


def test_what_was_written_down_of_a_field() -> None:
    other = replace(NOTED, container="worker")
    assert noted_of([other, NOTED], HERE) == NOTED
    assert noted_of([other], HERE) is None


def test_a_text_means_the_image_that_it_was_written_with_while_it_stands_there() -> None:
    assert meant_by([NOTED], HERE) == find_image(NOTED.image)
    assert meant_by([NOTED], replace(HERE, value=f"acme/cart:1@{digest('1')}")) is None
    assert meant_by([NOTED], replace(HERE, path="b.yaml")) == find_image(NOTED.image)
    assert meant_by([NOTED], replace(HERE, container="b")) is None
    assert meant_by([], HERE) is None


def test_a_field_is_written_down_as_it_stands_and_as_a_change_leaves_it() -> None:
    [present] = service_at_tip("acme/cart:1").found.fields
    noted = note(present)
    assert (noted.value, noted.image) == ("acme/cart:1", "docker.io/acme/cart:1")
    assert noted.key == (present.path, 0, POINTER)
    assert noted.likeness == Likeness("Deployment", "", "cart", "server")
    assert noted.place == "Deployment cart, container server (apps/cart/deployment.yaml)"
    written = note_written(present, "acme/cart:2", image("2"))
    assert (written.value, written.image) == ("acme/cart:2", image("2").canonical)
    assert note(replace(HERE, value="{{ x }}")).image == "{{ x }}"


def test_a_field_is_read_as_it_was_written() -> None:
    full = replace(NOTED, parts={"tag": '"1"'}, more={"later": None})
    for noted in (full, NOTED, replace(NOTED, namespace=None)):
        assert field_from_json(noted.to_json()) == noted
    document = NOTED.to_json()
    del document["value"]
    assert field_from_json(document).value == NOTED.image


def test_of_many_services_a_field_is_held_against_those_of_its_name_alone(
    mocker: MockerFixture,
) -> None:
    looked_at = mocker.spy(fields, "likeness_of")
    others = [Place(path=f"{number}.yaml", name=f"svc-{number}") for number in range(100)]
    assert find_field(NOTED, [*others, HERE]).field == HERE
    assert looked_at.call_count == 1


def test_of_fields_at_one_place_the_last_counts() -> None:
    newer = replace(HERE, value="acme/cart:2")
    assert once([HERE, Place(path="b.yaml"), newer]) == (newer, Place(path="b.yaml"))
