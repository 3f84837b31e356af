"""Whether a manifest changed in more than its image, told without fetching the archived copy."""

from __future__ import annotations

import pytest

from gitops_rollback.decide.facts import Facts, ServiceAtTip
from gitops_rollback.decide.recording import has_storage, is_as_recorded, make_record
from gitops_rollback.decide.wish import Wish
from gitops_rollback.repo.objects import Tip
from unit.builders import DEPLOYMENT, PRESENT, URL, digest, found_service

ENTRY = "resources: [base.yaml]\nimages:\n- name: acme/cart\n  newTag: VERSION\n"
VALUES = "image:\n  repository: acme/cart\n  tag: VERSION\n"
BASE = DEPLOYMENT.replace("{image}", "acme/cart:1")
PLAIN = DEPLOYMENT.replace("{image}", "acme/cart:VERSION")
OVERLAID = {"kustomization.yaml": ENTRY, "base.yaml": BASE}


def at_tip(files: dict[str, str]) -> ServiceAtTip:
    found = found_service({path: text.encode() for path, text in files.items()})
    return ServiceAtTip(Tip("main", "1" * 40), found, None)


@pytest.mark.parametrize(
    ("path", "text", "others"),
    [
        ("kustomization.yaml", ENTRY, {"base.yaml": BASE}),
        ("values.yaml", VALUES, {}),
        ("deployment.yaml", PLAIN, {}),
    ],
)
def test_another_image_is_no_other_change_in_any_form_of_field(
    path: str, text: str, others: dict[str, str]
) -> None:
    before = at_tip({path: text.replace("VERSION", "1.36"), **others})
    stored = make_record(Wish("deploy", PRESENT), Facts(before, URL), "deploy", None).stored
    after = text.replace("VERSION", f"1.37@{digest('new')}")
    assert is_as_recorded(at_tip({path: after, **others}), stored)
    assert not is_as_recorded(at_tip({path: f"{after}# more\n", **others}), stored)


def test_a_recorded_text_for_which_the_field_has_no_place_any_more_is_another_change() -> None:
    only = f"images:\n- name: acme/cart\n  digest: {digest('1')}\n"
    before = at_tip({"kustomization.yaml": f"resources: [base.yaml]\n{only}", "base.yaml": BASE})
    stored = make_record(Wish("deploy", PRESENT), Facts(before, URL), "deploy", None).stored
    assert is_as_recorded(before, stored)
    after = {"kustomization.yaml": ENTRY.replace("VERSION", "'2'"), "base.yaml": BASE}
    assert not is_as_recorded(at_tip(after), stored)


@pytest.mark.parametrize(
    ("files", "is_told"),
    [
        ({"deployment.yaml": PLAIN}, False),
        ({"deployment.yaml": f"{PLAIN}      volumes: [{{hostPath: {{path: /a}}}}]\n"}, True),
        ({"deployment.yaml": PLAIN, "b.yaml": "image: x/cart\nclaimName: x\n"}, False),
        ({**OVERLAID, "b.yaml": "image: x/cart\nclaimName: x\n"}, True),
        ({**OVERLAID, "b.yaml": "image: x/shop\nclaimName: x\n"}, False),
    ],
)
def test_storage_is_mentioned_in_the_service_s_own_files(
    files: dict[str, str],
    is_told: bool,  # noqa: FBT001
) -> None:
    whole = {path: text.replace("VERSION", "'1'") for path, text in files.items()}
    whole = {path: text.replace("acme/cart:'1'", "acme/cart:1") for path, text in whole.items()}
    assert has_storage(at_tip(whole)) == is_told
