"""The text an image field gets (design 8), and that it is the target."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitops_rollback.decide.edits import deploy_edits, rollback_edits
from gitops_rollback.decide.facts import Check
from gitops_rollback.decide.plan import Candidate
from gitops_rollback.errors import ManifestError
from gitops_rollback.image import parse_image
from gitops_rollback.ledger.fields import NotedField
from gitops_rollback.manifest.image_field import HELM, KUSTOMIZE, SUBSTITUTION
from unit.builders import digest, found_service, image, service_at_tip, stored

NOTHING: frozenset[str] = frozenset()  # accepted
ONE, TWO = digest("1"), digest("2")
THERE = Check("there", ONE, has_tag=True)
TAG_MOVED = Check("there", ONE, has_tag=False)
UNKNOWN = Check("unknown")


def candidate(to: str, recorded: str | None = None, check: Check | None = None) -> Candidate:
    """A candidate, with the text its record has for the field."""
    record = stored(to, "2", value=recorded) if recorded is not None else None
    return Candidate(image(to), frozenset({"git"}), stored=record, check=check)


@pytest.mark.parametrize(
    ("present", "to", "recorded", "check", "pin", "expected"),
    [
        pytest.param("acme/cart:2", "1", f"acme/cart:1@{ONE}", UNKNOWN, "digest",
                     f"acme/cart:1@{ONE}", id="the recorded text names the digest"),
        pytest.param("acme/cart:2", "1", f"docker.io/acme/cart:1@{ONE}", UNKNOWN, "tag",
                     f"docker.io/acme/cart:1@{ONE}", id="and is written exactly, name and pin too"),
        pytest.param("acme/cart:2", "1", f"acme/cart:stable@{ONE}", UNKNOWN, "digest",
                     f"acme/cart:stable@{ONE}", id="also one that has another tag with it"),
        pytest.param("acme/cart:2", "~1", "acme/cart:1", UNKNOWN, "digest",
                     "acme/cart:1", id="no digest is known"),
        pytest.param("acme/cart:2", "1", "acme/cart:1", THERE, "digest",
                     "acme/cart:1", id="the registry confirms the recorded tag"),
        pytest.param("acme/cart:2", "1", "acme/cart:1", TAG_MOVED, "digest",
                     f"acme/cart:1@{ONE}", id="the recorded tag moved"),
        pytest.param("acme/cart:2", "1", "acme/cart:1", UNKNOWN, "digest",
                     f"acme/cart:1@{ONE}", id="nobody confirms the recorded tag"),
        pytest.param("acme/cart:2", "1", "acme/cart:1", None, "tag",
                     f"acme/cart:1@{ONE}", id="nobody was asked"),
        pytest.param(f"acme/cart:2@{TWO}", "~1", None, UNKNOWN, "digest",
                     "acme/cart:1", id="a digest that is not the target's is not left behind"),
        pytest.param(f"acme/cart:2@{TWO}", "1", None, THERE, "digest",
                     f"acme/cart:1@{ONE}", id="without a record: name, tag, digest"),
        pytest.param("index.docker.io/acme/cart", "1", None, THERE, "digest",
                     f"index.docker.io/acme/cart:1@{ONE}", id="the name's text stays"),
        pytest.param(f"acme/cart@{TWO}", "1", None, THERE, "tag",
                     "acme/cart:1", id="pin = tag, and the tag is proven"),
        pytest.param("acme/cart:2", "1", None, TAG_MOVED, "tag",
                     f"acme/cart:1@{ONE}", id="pin = tag, and the tag moved"),
        pytest.param("acme/cart:2", "1", "acme/cart:0", THERE, "digest",
                     f"acme/cart:1@{ONE}", id="a recorded text of another tag is no evidence"),
        pytest.param("acme/cart:2", "1", "acme/shop:1", THERE, "digest",
                     f"acme/cart:1@{ONE}", id="nor one of another repository"),
        pytest.param("acme/cart:2", "1", "{{ image }}", THERE, "digest",
                     f"acme/cart:1@{ONE}", id="nor one that is no image"),
        pytest.param("acme/cart:2", "1", f"acme/cart:1@{TWO}", THERE, "digest",
                     f"acme/cart:1@{ONE}", id="nor one of another digest"),
    ],
)  # fmt: skip
def test_the_text_after_a_rollback(
    present: str, to: str, recorded: str | None, check: Check | None, pin: str, expected: str
) -> None:
    fields = service_at_tip(present).found.fields
    [edit] = rollback_edits(fields, candidate(to, recorded, check), NOTHING, pin)
    assert edit.value == expected
    effective = parse_image(edit.value)
    assert effective.digest in (image(to).digest, None)


def test_a_field_that_is_right_already_is_not_edited() -> None:
    fields = service_at_tip("acme/cart:1").found.fields
    assert rollback_edits(fields, candidate("~1"), NOTHING, "digest") == ()


def test_a_record_of_another_field_is_not_looked_at() -> None:
    fields = service_at_tip("acme/cart:2", template=(
        "kind: Pod\nmetadata: {name: cart}\nspec: {containers: [{name: x, image: '{image}'}]}\n"
    )).found.fields  # fmt: skip
    [edit] = rollback_edits(
        fields, candidate("1", "docker.io/acme/cart:1", THERE), NOTHING, "digest"
    )
    assert edit.value == f"acme/cart:1@{ONE}"


def test_an_image_of_another_repository_is_written_under_its_own_name_or_not_at_all() -> None:
    other = Candidate(parse_image(f"acme/shop:1@{ONE}"), frozenset({"git"}))
    fields = service_at_tip("acme/cart:2").found.fields
    [edit] = rollback_edits(fields, other, NOTHING, "digest")
    assert edit.value == f"acme/shop:1@{ONE}"
    entry = "resources: []\nimages:\n- name: acme/cart\n  newTag: '2'\n"
    fields = found_service({"kustomization.yaml": entry.encode()}).fields
    renamed = [replace(service_at_tip("acme/cart:2").found.fields[0], shown_name="acme/cart")]
    for held_elsewhere in (fields, renamed):
        with pytest.raises(ManifestError, match="under the name of another repository"):
            rollback_edits(held_elsewhere, other, NOTHING, "digest")


@pytest.mark.parametrize(
    ("to", "accept", "written"),
    [
        ("1", {"tag"}, "acme/cart:1"),
        ("1", {"effect"}, None),
        (f"@{ONE}", {"tag"}, None),
    ],
)
def test_where_no_digest_can_stand_a_tag_alone_is_written_if_that_is_accepted(
    to: str, accept: set[str], written: str | None
) -> None:
    image = parse_image(f"acme/cart:{to}@{ONE}" if to == "1" else f"acme/cart{to}")
    found = Candidate(image, frozenset({"git"}))
    fields = [replace(f, tag_only="a chart") for f in service_at_tip("acme/cart:2").found.fields]
    if written is None:
        with pytest.raises(ManifestError, match="no digest can stand there: a chart"):
            rollback_edits(fields, found, frozenset(accept), "digest")
        return
    [edit] = rollback_edits(fields, found, frozenset(accept), "digest")
    assert edit.value == written


ENTRY = f"resources: []\nimages:\n- name: acme/cart\n  newTag: '2'\n  digest: {TWO}\n"


@pytest.mark.parametrize(
    ("recorded", "form", "written"),
    [
        ('"1"', KUSTOMIZE, '"1"'),
        ("'1'", SUBSTITUTION, "'1'"),
        ("1", KUSTOMIZE, None),  # to kustomize it would be a number, which it does not take
        ("1", SUBSTITUTION, None),
        ("1", HELM, "1"),
    ],
)
def test_a_split_field_gets_its_recorded_texts_back_quotes_included(
    recorded: str, form: str, written: str | None
) -> None:
    fields = [
        replace(field, form=form)
        for field in found_service({"kustomization.yaml": ENTRY.encode()}).fields
    ]
    noted = NotedField(
        *("kustomization.yaml", 0, fields[0].kind, fields[0].name, "acme/cart", fields[0].pointer),
        image=image("1").canonical, value=f"acme/cart:1@{ONE}",
        parts={"newTag": recorded, "digest": ONE},
    )  # fmt: skip
    found = replace(candidate("1"), stored=stored("1", "2", fields=(noted,)))
    [edit] = rollback_edits(fields, found, NOTHING, "digest")
    assert (edit.value, edit.raw.get("newTag")) == (f"acme/cart:1@{ONE}", written)
    assert edit.texts["newTag"] == "1"


def test_where_an_overlay_says_the_name_the_text_s_own_name_stays() -> None:
    [field] = service_at_tip("acme/cart:2").found.fields
    shown = replace(field, shown_name="docker.io/acme/cart")
    recorded = candidate("1", f"index.docker.io/acme/cart:1@{ONE}")
    [edit] = rollback_edits((shown,), recorded, NOTHING, "digest")
    assert edit.value == f"acme/cart:1@{ONE}"


@pytest.mark.parametrize(
    ("present", "to", "pin", "expected"),
    [
        ("acme/cart:1", f"docker.io/acme/cart:2@{TWO}", "digest", f"acme/cart:2@{TWO}"),
        (f"acme/cart@{ONE}", f"acme/cart:2@{TWO}", "digest", f"acme/cart:2@{TWO}"),
        ("docker.io/acme/cart", f"acme/cart@{TWO}", "digest", f"docker.io/acme/cart@{TWO}"),
        (f"acme/cart:1@{ONE}", f"acme/cart:2@{TWO}", "tag", "acme/cart:2"),
        ("acme/cart:1", f"acme/cart@{TWO}", "tag", f"acme/cart@{TWO}"),
        (f"acme/cart:1@{ONE}", "acme/cart:2", "digest", "acme/cart:2"),
    ],
)
def test_a_deploy_keeps_the_name_and_replaces_tag_and_digest(
    present: str, to: str, pin: str, expected: str
) -> None:
    fields = service_at_tip(present).found.fields
    assert [edit.value for edit in deploy_edits(fields, parse_image(to), NOTHING, pin)] == [
        expected
    ]
    again = service_at_tip(expected).found.fields
    assert deploy_edits(again, parse_image(to), NOTHING, pin) == ()
