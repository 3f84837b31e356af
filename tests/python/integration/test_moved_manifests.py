"""A manifest that was moved keeps its history, and a service that changed its repository, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from integration.shop import CART_PATH, digest

if TYPE_CHECKING:
    from integration.shop import Shop

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


def test_an_image_of_the_repository_before_is_written_under_its_own_name(shop: Shop) -> None:
    old, new = "acme/cart", "ghcr.io/acme/cart"
    shop.ok("deploy", "--service", "cart", "--image", f"{old}:1.4.2@{digest('1.4.2')}")
    shop.edit(f"{old}:1.4.2@{digest('1.4.2')}", f"{new}:1.5.0@{digest('1.5.0')}")
    shop.ok("deploy", "--service", "cart", "--image", f"{new}:1.6.0@{digest('1.6.0')}")
    shop.roll_back()
    shop.roll_back("--again")
    assert f'image: "docker.io/{old}:1.4.2@{digest("1.4.2")}"' in shop.text()
