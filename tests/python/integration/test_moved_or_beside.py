"""A field that left its place, and the twin of one that is gone: told apart by commits, or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.shop import CART, Shop, image

if TYPE_CHECKING:
    from pathlib import Path

PAY = CART.replace("cart", "pay")
LIVE = "live/cart.yaml"
ROLLOUT = CART.replace("kind: Deployment", "kind: Rollout")
KINDS = '[services.cart]\nkinds = { Rollout = "/spec/template/spec" }\n'
GONE = None


def environments(*names: str, more: str = "") -> dict[str, str]:
    text = "".join(f'[environments.{one}]\npath = "{one}"\n' for one in names)
    return {".gitops-rollback.toml": text + more}


def both(*texts: str) -> str:
    return "---\n".join(texts)


def held(tmp_path: Path, files: dict[str, str], *names: str, more: str = "") -> tuple[Shop, str]:
    """Return a shop where cart is held in the environment `old`, and the text of cart there."""
    shop = Shop(tmp_path).open({**files, **environments("old", *names, more=more)})
    old = ("--environment", "old")
    shop.deploy("1.5.0", *old)
    shop.roll_back(*old)
    path = next(path for path in files if path.startswith("old/"))
    return shop, shop.text(path)


def refused(shop: Shop, code: str) -> None:
    """Deploy where `old` was moved to, or beside it; what is lost is tied as it is said."""
    deploy = ("deploy", "--service", "cart", "--environment", "live", "--image", image("1.5.1"))
    run = shop.refused(6, "refused", *deploy)
    assert run.error["code"] == code
    if code == "lost-hold":
        tie = run.error["hint"].partition("tie the hold to it: ")[2].partition(";")[0]
        shop.ok(*tie.replace("TEXT", "moved").split()[1:])
        assert shop.refused(6, "refused", *deploy).error["code"] == "held"


@pytest.mark.parametrize(("moves", "code"), [(5, "held"), (6, "lost-hold")])
def test_a_hold_follows_its_file_through_five_moves_and_then_nothing_is_guessed(
    tmp_path: Path, moves: int, code: str
) -> None:
    shop, text = held(tmp_path, {"old/cart.yaml": CART})
    path = "old/cart.yaml"
    for number in range(1, moves):
        shop.commit({path: GONE, f"old/{number}.yaml": text})
        path = f"old/{number}.yaml"
    shop.commit({path: GONE, LIVE: text, **environments("live")})
    refused(shop, code)


def test_a_move_of_more_commits_ago_than_are_looked_at_is_not_guessed(tmp_path: Path) -> None:
    shop, text = held(tmp_path, {"old/cart.yaml": CART})
    shop.commit({"old/cart.yaml": GONE, LIVE: text, **environments("live")})
    refused(shop, "held")
    shop.commit_many(1001)
    refused(shop, "lost-hold")


def test_a_field_that_a_commit_took_out_of_a_file_is_followed(tmp_path: Path) -> None:
    shop, text = held(tmp_path, {"old/all.yaml": both(CART, PAY)})
    cart = text.removesuffix(PAY)
    shop.commit({"old/all.yaml": PAY, LIVE: cart, **environments("live")})
    refused(shop, "held")


def test_a_twin_whose_field_was_taken_out_of_its_file_is_no_move(tmp_path: Path) -> None:
    files = {"old/all.yaml": both(CART, PAY), LIVE: CART}
    shop, _text = held(tmp_path, files, "live")
    shop.commit({"old/all.yaml": PAY, **environments("live")})
    refused(shop, "lost-hold")


def test_a_field_that_a_commit_put_into_a_file_is_followed(tmp_path: Path) -> None:
    shop, text = held(tmp_path, {"old/cart.yaml": CART, "live/all.yaml": PAY})
    shop.commit({"old/cart.yaml": GONE, "live/all.yaml": both(PAY, text), **environments("live")})
    refused(shop, "held")


def test_of_two_fields_that_one_commit_took_away_it_is_not_guessed_which_moved(
    tmp_path: Path,
) -> None:
    shop, text = held(tmp_path, {"old/cart.yaml": CART, "older/cart.yaml": CART}, "older")
    gone = {"old/cart.yaml": GONE, "older/cart.yaml": GONE}
    shop.commit({**gone, LIVE: text, **environments("live")})
    refused(shop, "lost-hold")


def test_a_field_of_a_kind_that_is_configured_is_followed(tmp_path: Path) -> None:
    shop, text = held(tmp_path, {"old/cart.yaml": ROLLOUT}, more=KINDS)
    shop.commit({"old/cart.yaml": GONE, LIVE: text, **environments("live", more=KINDS)})
    refused(shop, "held")


def test_what_a_version_had_that_nobody_can_read_is_not_guessed(tmp_path: Path) -> None:
    shop, text = held(tmp_path, {"old/cart.yaml": CART})
    shop.commit({"old/cart.yaml": f"{text}<<<<<<< ours\n"})
    shop.commit({"old/cart.yaml": GONE, LIVE: text, **environments("live")})
    refused(shop, "lost-hold")


def test_a_move_beside_a_template_is_followed(tmp_path: Path) -> None:
    shop, text = held(tmp_path, {"old/cart.yaml": CART})
    shop.commit({"old/cart.yaml": GONE, LIVE: text, "a.yaml": "{{ x", **environments("live")})
    refused(shop, "held")
