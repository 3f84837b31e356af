"""A manifest that was moved keeps its history, and a service that changed its repository, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.shop import CART_PATH, Shop, canonical, digest, image

if TYPE_CHECKING:
    from pathlib import Path

MOVED = "services/cart/deployment.yaml"


def test_history_goes_on_below_the_commit_that_moved_a_manifest(shop: Shop) -> None:
    before = shop.text()
    shop.edit("acme/cart:1.4.1", "acme/cart:1.5.0")
    after = shop.text()
    shop.commit({CART_PATH: None, MOVED: after.replace("replicas:", "# moved\n  replicas:")})
    assert "acme/cart:1.4.1" in before
    plan = shop.ok("plan", "--service", "cart").service()
    assert plan["to"]["image"] == "docker.io/acme/cart:1.4.1"


def test_a_file_that_came_from_nowhere_has_no_history_before(shop: Shop) -> None:
    text = shop.text()
    shop.commit({CART_PATH: None})
    shop.commit({MOVED: text.replace("1.4.1", "1.5.0")})
    shop.refused(4, "not-found", "plan", "--service", "cart", "--strategy", "git")


WORKLOAD = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  template:
    spec:
      containers:
      - name: {container}
        image: acme/cart:{tag}
"""


def written(tag: str, name: str = "cart", container: str = "server") -> str:
    return WORKLOAD.format(tag=tag, name=name, container=container)


@pytest.mark.parametrize(
    ("renamed", "to"),
    [
        pytest.param(written("1.1", container="web"), "1.0", id="a container"),
        pytest.param(written("1.1", name="cart-v2"), "1.0", id="a workload"),
        pytest.param(written("1.2", container="web"), "1.1", id="with the next version"),
        pytest.param(written("1.1", name="web", container="web"), None, id="both: who can tell"),
        pytest.param(
            f"{written('1.1', container='a')}---\n{written('1.1', container='b')}",
            None,
            id="two came for one",
        ),
        pytest.param(
            written("1.1", container="web").replace("Deployment", "StatefulSet"),
            None,
            id="another kind",
        ),
    ],
)
def test_a_renamed_field_is_followed_at_first_use_where_one_went_and_one_came(
    tmp_path: Path, renamed: str, to: str | None
) -> None:
    shop = Shop(tmp_path).open({"cart.yaml": written("1.0")})
    shop.commit({"cart.yaml": written("1.1")})
    shop.commit({"cart.yaml": renamed})
    plan = ("plan", "--service", "cart")
    if to is None:
        shop.refused(4, "not-found", *plan)
        return
    assert shop.ok(*plan).service()["to"]["image"] == f"docker.io/acme/cart:{to}"


def test_a_field_is_followed_through_one_renaming_after_the_other(tmp_path: Path) -> None:
    shop = Shop(tmp_path).open({"old.yaml": written("1.0")})
    shop.commit({"old.yaml": written("1.1")})
    shop.commit({"old.yaml": written("1.1", container="web")})
    shop.commit({"old.yaml": None, "cart.yaml": written("1.1", container="web")})
    shop.commit({"cart.yaml": written("1.2", name="shop", container="web")})
    for expected in ("1.1", "1.0"):
        shop.ok("rollback", "--service", "cart", "--reason", "slow", "--again")
        assert f"acme/cart:{expected}\n" in shop.text("cart.yaml")


def test_an_image_of_the_repository_before_is_written_under_its_own_name(shop: Shop) -> None:
    old, new = "acme/cart", "ghcr.io/acme/cart"
    shop.ok("deploy", "--service", "cart", "--image", f"{old}:1.4.2@{digest('1.4.2')}")
    shop.edit(f"{old}:1.4.2@{digest('1.4.2')}", f"{new}:1.5.0@{digest('1.5.0')}")
    shop.ok("deploy", "--service", "cart", "--image", f"{new}:1.6.0@{digest('1.6.0')}")
    shop.roll_back()
    shop.roll_back("--again")
    assert f'image: "docker.io/{old}:1.4.2@{digest("1.4.2")}"' in shop.text()


@pytest.mark.parametrize("held", [False, True])
def test_below_an_edit_to_another_repository_the_state_file_still_tells(
    shop: Shop,
    held: bool,  # noqa: FBT001 - a case
) -> None:
    shop.release_two()
    if held:
        shop.roll_back()
    running = "1.4.2" if held else "1.5.0"
    shop.edit(image(running), "ghcr.io/acme/cart:1.6.0")
    plan = shop.roll_back().service()
    assert plan["to"] == canonical(running)


def test_what_another_repository_had_there_before_the_first_use_is_none_of_the_service(
    shop: Shop,
) -> None:
    shop.edit("acme/cart:1.4.1", "nginx:1.27")
    shop.edit("nginx:1.27", "acme/cart:1.4.2")
    plan = shop.ok("plan", "--service", "cart").service()
    assert [one["image"] for one in plan["candidates"]] == ["docker.io/acme/cart:1.4.1"]


OVERLAY = """\
resources: [cart.yaml]
images:
- {{name: acme/cart, newTag: "{tag}"}}
"""
PATCHED = """\
resources: [cart.yaml]
patches:
- patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: cart}
    spec: {template: {spec: {containers: [{name: server, image: "acme/cart:1.3"}]}}}
"""


@pytest.mark.parametrize("tag", ["1.1", "1.2"])
def test_below_the_commit_that_brought_an_entry_of_an_overlay_the_container_is_followed(
    tmp_path: Path, tag: str
) -> None:
    shop = Shop(tmp_path).open({"cart.yaml": written("1.0")})
    shop.commit({"cart.yaml": written("1.1"), "kustomization.yaml": "resources: [cart.yaml]\n"})
    shop.commit({"kustomization.yaml": OVERLAY.format(tag=tag)})
    plan = shop.ok("plan", "--service", "cart").service()
    before = {"1.1": "1.0", "1.2": "1.1"}[tag]
    assert plan["to"]["image"] == f"docker.io/acme/cart:{before}"
    assert [edit["path"] for edit in plan["edits"]] == ["kustomization.yaml"]


def test_below_the_commit_that_took_the_effect_from_another_field_that_one_is_followed(
    tmp_path: Path,
) -> None:
    """What the container's own history says to have run before had no effect then."""
    bare = "resources: [cart.yaml]\n"
    shop = Shop(tmp_path).open({"cart.yaml": written("1.0"), "kustomization.yaml": bare})
    steps: list[tuple[dict[str, str | bytes | None], str | None]] = [
        ({"kustomization.yaml": PATCHED}, None),  # of a patch nothing is known before
        ({"kustomization.yaml": OVERLAY.format(tag="1.4")}, "1.3"),
        ({"kustomization.yaml": bare, "cart.yaml": written("1.5")}, "1.4"),
        ({"cart.yaml": written("1.6")}, "1.5"),
        ({"kustomization.yaml": OVERLAY.format(tag="1.7")}, "1.6"),
        ({"kustomization.yaml": None, "cart.yaml": written("1.8")}, "1.7"),
    ]
    for files, before in steps:
        shop.commit(files)
        if before is None:
            shop.refused(4, "not-found", "plan", "--service", "cart")
            continue
        plan = shop.ok("plan", "--service", "cart").service()
        assert plan["to"]["image"] == f"docker.io/acme/cart:{before}"


BARE = "resources: [cart.yaml]\n"
CONFIG = '[environments.live]\npath = "live"\n[services.cart]\nmanifests = ["*.yaml"]\n'


@pytest.mark.parametrize(
    ("gone", "to"),
    [
        pytest.param({"kustomization.yaml": BARE}, "1.4", id="an entry"),
        pytest.param({"kustomization.yaml": None}, "1.4", id="the overlay"),
        pytest.param({"kustomization.yaml": f"{BARE}# tidy\n"}, "1.4", id="with a remark"),
        pytest.param({"other.yaml": None}, None, id="nothing of it"),
    ],
)
def test_an_entry_that_was_deleted_without_another_change_is_what_ran_before(
    tmp_path: Path, gone: dict[str, str | bytes | None], to: str | None
) -> None:
    other = {"other.yaml": written("9", name="shop").replace("acme/cart", "acme/shop")}
    overlay = {"kustomization.yaml": OVERLAY.format(tag="1.4")}
    shop = Shop(tmp_path).open({"cart.yaml": written("1.0"), **overlay, **other})
    shop.commit({"cart.yaml": written("1.1")})
    shop.commit({"other.yaml": other["other.yaml"] + "# a remark\n"})
    shop.commit(gone)
    shop.commit({"README.md": "words"})
    if to is None:
        shop.refused(4, "not-found", "plan", "--service", "cart")
        return
    plan = shop.ok("plan", "--service", "cart").service()
    assert plan["to"]["image"] == f"docker.io/acme/cart:{to}"
    entries = shop.ok("history", "--service", "cart").service()["entries"]
    assert [entry["to"].rpartition(":")[2] for entry in entries[:2]] == ["1.1", "1.4"]


def test_further_back_too_what_took_effect_then_is_what_ran(tmp_path: Path) -> None:
    shop = Shop(tmp_path).open({"cart.yaml": written("1.0"), "kustomization.yaml": BARE})
    shop.commit({"kustomization.yaml": OVERLAY.format(tag="1.4"), "cart.yaml": written("1.1")})
    shop.commit({"kustomization.yaml": BARE, "cart.yaml": written("1.5")})
    shop.commit({"cart.yaml": written("1.6")})
    plan = shop.ok("plan", "--service", "cart", "--explain").service()
    images = [one["image"].rpartition(":")[2] for one in plan["candidates"]]
    assert images == ["1.5", "1.4", "1.0"]


@pytest.mark.parametrize("step", ["the same commit", "a commit of its own"])
def test_manifests_of_then_are_read_with_a_configuration_that_came_later(
    tmp_path: Path, step: str
) -> None:
    path, overlay = "live/cart.yaml", "live/kustomization.yaml"
    shop = Shop(tmp_path).open({path: written("1.0"), overlay: OVERLAY.format(tag="1.4")})
    shop.commit({path: written("1.1")})
    last = {path: written("1.5")} if step == "the same commit" else {}
    shop.commit({overlay: BARE, **last})
    shop.commit({".gitops-rollback.toml": CONFIG})
    plan = shop.ok("plan", "--service", "cart").service()
    assert plan["to"]["image"] == "docker.io/acme/cart:1.4"


def test_where_manifests_name_another_image_and_its_effect_was_not_sure_nothing_is_told(
    tmp_path: Path,
) -> None:
    custom = "apiVersion: example.com/v1\nkind: Tagger\nmetadata: {name: tags}\n"
    overlay = OVERLAY.format(tag="1.4") + "transformers: [tags.yaml]\n"
    files = {"cart.yaml": written("1.0"), "kustomization.yaml": overlay, "tags.yaml": custom}
    shop = Shop(tmp_path).open(files)
    shop.commit({"cart.yaml": written("1.1")})
    bare = {"kustomization.yaml": "resources: [cart.yaml]\n", "tags.yaml": None}
    shop.commit({"cart.yaml": written("1.5"), **bare})
    shop.refused(4, "not-found", "plan", "--service", "cart")


def images_of(shop: Shop) -> list[str]:
    entries = shop.ok("history", "--service", "cart").service()["entries"]
    return [entry["to"].rpartition(":")[2] for entry in entries]


def test_an_overlay_that_came_and_went_between_two_images_is_seen(tmp_path: Path) -> None:
    shop = Shop(tmp_path).open({"cart.yaml": written("1.0"), "kustomization.yaml": BARE})
    shop.commit({"cart.yaml": written("1.1")})
    shop.commit({"kustomization.yaml": OVERLAY.format(tag="1.4")})
    shop.commit({"kustomization.yaml": BARE})
    assert images_of(shop) == ["1.1", "1.4", "1.1", "1.0"]
    plan = shop.ok("plan", "--service", "cart").service()
    assert [block["code"] for block in plan["blockedBy"]] == ["already"]
    shop.commit({"cart.yaml": written("1.5")})
    assert images_of(shop) == ["1.5", "1.1", "1.4", "1.1", "1.0"]
    plan = shop.ok("plan", "--service", "cart", "--to", "1.4").service()
    assert plan["to"]["image"] == "docker.io/acme/cart:1.4"


@pytest.mark.parametrize("path", ["a.yaml", "z.yaml"])
def test_before_a_field_came_the_others_tell_what_ran(tmp_path: Path, path: str) -> None:
    shop = Shop(tmp_path).open({"cart.yaml": written("1.0")})
    shop.commit({"cart.yaml": written("1.1")})
    shop.commit({path: written("1.1", name="cart-worker")})
    plan = shop.ok("plan", "--service", "cart").service()
    assert plan["to"]["image"] == "docker.io/acme/cart:1.0"
    assert len(plan["edits"]) == 2


@pytest.mark.parametrize("late", ["a.yaml", "cart.yaml"])
def test_an_image_that_not_all_fields_had_is_none_that_ran(tmp_path: Path, late: str) -> None:
    files = {"cart.yaml": "cart", "a.yaml": "cart-worker"}
    shop = Shop(tmp_path).open({path: written("1.0", name) for path, name in files.items()})
    shop.commit({path: written("1.1", name) for path, name in files.items()})
    shop.commit({late: written("1.2", files[late])})  # the other one was forgotten
    shop.commit({path: written("1.3", name) for path, name in files.items()})
    assert images_of(shop) == ["1.3", "1.1", "1.0"]
