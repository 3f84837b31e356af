"""What a state file says is of its fields: under other names, after exchanged names, deleted."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from integration.shop import CART_STATE, Shop, digest, image

if TYPE_CHECKING:
    from pathlib import Path

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      containers:
      - name: server
        image: acme/cart:1.4.1
"""
PATH = "apps/x/web.yaml"
ONE = '[services.{}]\nmanifests = ["apps/x/*.yaml"]\n'
TWO = ONE + '[services.{}]\nmanifests = ["apps/y/*.yaml"]\n'
CONFIG = ".gitops-rollback.toml"
WHY = ("--reason", "why")


def deploy(shop: Shop, service: str, tag: str, *more: str) -> None:
    shop.ok("deploy", "--service", service, "--image", image(tag), *more)


def roll_back(shop: Shop, service: str, *more: str) -> None:
    shop.ok("rollback", "--service", service, *WHY, *more)


def release(shop: Shop, service: str, *more: str) -> None:
    shop.ok("release", "--service", service, *WHY, *more)


def refused(shop: Shop, service: str, tag: str, *more: str) -> str:
    """The code that refuses the deploy of an image."""
    wanted = ("--service", service, "--image", image(tag), *more)
    return shop.refused(6, "refused", "deploy", *wanted).error["code"]


def runs(shop: Shop, path: str = PATH) -> str:
    found = re.search(r"image: (\S+)", shop.text(path))
    assert found
    return found[1]


def opened(root: Path, service: str = "shop", config: str | None = None) -> Shop:
    """A service that was rolled back from 1.6.0 to 1.5.0 and released."""
    files = {PATH: WEB, CONFIG: config or ONE.format(service)}
    shop = Shop(root).open(files)
    for tag in ("1.5.0", "1.6.0"):
        deploy(shop, service, tag)
    roll_back(shop, service)
    release(shop, service)
    return shop


@pytest.mark.parametrize("accepts", [False, True], ids=["forgive", "accept"])
def test_what_is_forgiven_under_one_name_is_forgiven_under_all(
    tmp_path: Path, *, accepts: bool
) -> None:
    shop = opened(tmp_path, "web", '[services.web]\nmanifests = ["apps/x/*.yaml"]\n')
    assert refused(shop, "cart", "1.6.0") == "bad"
    if accepts:
        deploy(shop, "cart", "1.6.0", "--accept", "bad")
        deploy(shop, "cart", "1.7.0")
    else:
        release(shop, "cart", "--forgive", "1.6.0")
    deploy(shop, "cart", "1.6.0")
    deploy(shop, "web", "1.7.0")
    deploy(shop, "web", "1.6.0")


def test_a_service_that_got_another_name_in_the_configuration_takes_its_bad_list_along(
    tmp_path: Path,
) -> None:
    shop = opened(tmp_path)
    shop.commit({CONFIG: ONE.format("kiosk")})
    assert refused(shop, "kiosk", "1.6.0") == "bad"
    deploy(shop, "kiosk", "1.7.0")
    roll_back(shop, "kiosk")
    assert runs(shop) == image("1.5.0")
    # Its records were archived under the old name, and are those of the field all the same.
    run = shop.ok("plan", "--service", "kiosk", "--again", "--strategy", "artifact")
    assert run.service()["to"]["source"] == "artifact"
    roll_back(shop, "kiosk", "--again", "--strategy", "artifact")
    assert runs(shop) == "acme/cart:1.4.1"


def test_a_name_that_comes_back_knows_what_was_done_under_the_other(tmp_path: Path) -> None:
    shop = Shop(tmp_path).open({PATH: WEB, CONFIG: ONE.format("shop")})
    deploy(shop, "shop", "1.5.0")
    shop.commit({CONFIG: ONE.format("kiosk")})
    deploy(shop, "kiosk", "1.6.0")
    roll_back(shop, "kiosk")
    release(shop, "kiosk")
    deploy(shop, "kiosk", "1.7.0")
    shop.commit({CONFIG: ONE.format("shop")})
    assert refused(shop, "shop", "1.6.0") == "bad"
    roll_back(shop, "shop")
    assert runs(shop) == image("1.5.0")


def test_what_was_bad_for_a_workload_is_bad_for_the_one_that_may_be_it(tmp_path: Path) -> None:
    cart = WEB.replace("name: web", "name: cart")
    shop = Shop(tmp_path).open({"cart.yaml": cart})
    for tag in ("1.5.0", "1.6.0"):
        deploy(shop, "cart", tag)
    roll_back(shop, "cart")
    release(shop, "cart")
    shop.edit("name: cart", "name: basket", "cart.yaml")
    assert refused(shop, "basket", "1.6.0") == "bad"
    release(shop, "basket", "--forgive", "1.6.0")
    deploy(shop, "basket", "1.6.0")
    assert shop.state("cart")["bad"] == []


def test_exchanged_names_of_services_exchange_their_state_files(tmp_path: Path) -> None:
    other = "apps/y/web.yaml"
    files = {PATH: WEB, other: WEB.replace("name: web", "name: desk")}
    shop = Shop(tmp_path).open({**files, CONFIG: TWO.format("one", "two")})
    for tag in ("1.5.0", "1.6.0"):
        deploy(shop, "one", tag)
        deploy(shop, "two", tag.replace("1.", "2."))
    roll_back(shop, "two")
    shop.commit({CONFIG: TWO.format("two", "one")})
    assert refused(shop, "one", "2.7.0") == "held", "the field in apps/y"
    deploy(shop, "two", "1.7.0")
    moved, kept = shop.state("one"), shop.state("two")
    assert moved["hold"]["to"].endswith(image("2.5.0"))
    assert [noted["path"] for noted in moved["fields"]] == [other]
    shop.commit({CART_STATE.replace("cart", "two"): None})
    plan = shop.ok("plan", "--service", "two").service()
    known = [candidate["image"] for candidate in plan["candidates"]]
    assert not any(":2." in name for name in known), "records of the other field are not its own"
    shop.commit({CART_STATE.replace("cart", "two"): json.dumps(kept)})
    roll_back(shop, "two")
    assert runs(shop) == image("1.6.0")
    roll_back(shop, "one", "--again")
    assert runs(shop, other) == "acme/cart:1.4.1"
    release(shop, "one")
    assert "hold" in shop.state("two"), "the other's hold stands"


def test_exchanged_names_of_environments_leave_each_field_its_hold(tmp_path: Path) -> None:
    config = '[environments.{}]\npath = "a"\n[environments.{}]\npath = "b"\n'
    files = {"a/cart.yaml": WEB, "b/cart.yaml": WEB, CONFIG: config.format("live", "test")}
    shop = Shop(tmp_path).open(files)
    for name in ("live", "test"):
        for tag in ("1.5.0", "1.6.0"):
            deploy(shop, "cart", tag, "--environment", name)
    roll_back(shop, "cart", "--environment", "test")
    shop.commit({CONFIG: config.format("test", "live")})
    deploy(shop, "cart", "1.7.0", "--environment", "test")
    assert refused(shop, "cart", "1.7.0", "--environment", "live") == "held"
    release(shop, "cart", "--environment", "live")
    deploy(shop, "cart", "1.7.0", "--environment", "live")
    assert shop.holds() == []


def test_three_names_that_went_round_are_an_error_that_says_whose_file_is_whose(
    tmp_path: Path,
) -> None:
    three = '[services.{}]\nmanifests = ["{}.yaml"]\n'
    files = {f"{name}.yaml": WEB.replace("name: web", f"name: w{name}") for name in "xyz"}
    config = "".join(three.format(*pair) for pair in ("ax", "by", "cz"))
    shop = Shop(tmp_path).open({**files, CONFIG: config})
    for name in "abc":
        deploy(shop, name, "1.5.0")
    shop.commit({CONFIG: "".join(three.format(*pair) for pair in ("ay", "bz", "cx"))})
    wanted = ("--service", "a", "--image", image("1.6.0"))
    run = shop.refused(1, "config", "deploy", *wanted)
    assert ".gitops-rollback/default/a.json is of Deployment wx" in run.error["message"]
    assert "called c" in run.error["message"]
    shop.commit({CONFIG: config})
    shop.ok("deploy", *wanted)


@pytest.mark.parametrize("repository", ["ghcr.io/acme/cart", "ghcr.io/acme/basket"])
def test_what_ran_under_another_repository_comes_back_as_it_stood(
    tmp_path: Path, repository: str
) -> None:
    shop = Shop(tmp_path).open({"cart.yaml": WEB.replace("name: web", "name: cart")})
    deploy(shop, "cart", "1.5.0")
    deploy(shop, "cart", "1.6.0")
    shop.edit("acme/cart", repository, "cart.yaml")
    roll_back(shop, "cart")
    assert runs(shop, "cart.yaml") == image("1.5.0")
    roll_back(shop, "cart", "--again")
    assert runs(shop, "cart.yaml") == "acme/cart:1.4.1", "not docker.io/acme/cart"
    fixed = f"{repository}:1.7.0@{digest('1.7.0')}"
    shop.ok("deploy", "--service", "cart", "--image", fixed, "--release")
    assert runs(shop, "cart.yaml") == fixed, "rollbacks alone went back past the move"
    shop.refused(1, "config", "deploy", "--service", "cart", "--image", image("1.8.0"))


def test_what_was_done_by_the_name_of_another_repository_counts_where_that_is_no_name_any_more(
    tmp_path: Path,
) -> None:
    """A rollback past the move of the repository takes the name of the service back, too."""
    shop = Shop(tmp_path).open({PATH: WEB})
    for tag in ("1.5.0", "1.6.0"):
        deploy(shop, "cart", tag)
    shop.edit(image("1.6.0"), image("2.0.0", "basket"), PATH)
    shop.ok("deploy", "--service", "basket", "--image", image("2.1.0", "basket"))
    roll_back(shop, "basket")
    roll_back(shop, "basket", "--again")
    assert runs(shop).strip('"').endswith(image("1.6.0"))
    assert "retired" not in shop.ok("plan", "--all").said
    run = shop.refused(6, "refused", "rollback", "--service", "cart", *WHY)
    assert "2.0.0 → 1.6.0" in run.error["message"]
    # Whose job is called so goes on: it meets the hold, and its next image comes under its name.
    fixed = ("deploy", "--service", "basket", "--image", image("2.2.0", "basket"))
    assert shop.refused(6, "refused", *fixed).error["code"] == "held"
    shop.ok(*fixed, "--release")
    assert runs(shop) == image("2.2.0", "basket")


def test_a_rollback_past_a_move_leaves_a_service_that_the_configured_repository_named(
    tmp_path: Path,
) -> None:
    old, new = 'image = "acme/cart"\n', 'image = "ghcr.io/acme/basket"\n'
    shop = Shop(tmp_path).open({"cart.yaml": WEB, CONFIG: f"[services.cart]\n{old}"})
    deploy(shop, "cart", "1.5.0")
    shop.edit("acme/cart", "ghcr.io/acme/basket", "cart.yaml")
    shop.edit(old, new, CONFIG)
    roll_back(shop, "cart")
    assert runs(shop, "cart.yaml") == "acme/cart:1.4.1"
    assert shop.run("plan", "--service", "cart").service()["hold"]
    release(shop, "cart")
    shop.edit("acme/cart:1.4.1", "acme/cart:1.4.0", "cart.yaml")
    shop.refused(1, "config", "release", "--service", "cart", *WHY)


@pytest.fixture
def cart(tmp_path: Path) -> Shop:
    """A cart that was rolled back from 1.6.0, and is held."""
    shop = Shop(tmp_path).open({"cart.yaml": WEB.replace("name: web", "name: cart")})
    for tag in ("1.5.0", "1.6.0"):
        deploy(shop, "cart", tag)
    roll_back(shop, "cart")
    return shop


def test_a_state_file_that_was_deleted_after_a_release_counts_as_it_was(cart: Shop) -> None:
    release(cart, "cart")
    cart.commit({CART_STATE: None})
    rebuilt = f"acme/cart:1.6.0@{digest('1.6.0 again')}"
    for bad in (image("1.6.0"), rebuilt):
        run = cart.refused(6, "refused", "deploy", "--service", "cart", "--image", bad)
        assert run.error["code"] == "bad"
    run = cart.ok("deploy", "--service", "cart", "--image", image("1.7.0"))
    assert any("was deleted" in warning for warning in run.service()["warnings"])
    assert [deed["action"] for deed in cart.state()["deployed"]] == [
        *("deploy", "rollback", "deploy", "deploy"),
    ]
    roll_back(cart, "cart")
    assert runs(cart, "cart.yaml") == image("1.5.0")


def test_a_hold_of_which_all_files_were_deleted_stands(cart: Shop) -> None:
    cart.commit({CART_STATE: None, cart.holds()[0]: None})
    assert refused(cart, "cart", "1.6.1") == "held"
    again = ("rollback", "--service", "cart", *WHY)
    assert cart.refused(6, "refused", *again).error["code"] == "already"
    release(cart, "cart")
    assert refused(cart, "cart", "1.6.0") == "bad"
    deploy(cart, "cart", "1.6.1")


def test_of_two_merged_holds_of_which_all_files_were_deleted_both_stand(cart: Shop) -> None:
    """The state file names the one that was kept where the two pull requests were in conflict."""
    [first] = cart.holds()
    older = cart.bytes_of(first)
    cart.ok("rollback", "--service", "cart", "--again", *WHY)
    [second] = cart.holds()
    cart.commit({first: older})
    ids = [path.rpartition("/")[2].removesuffix(".json") for path in (second, first)]
    cart.commit({CART_STATE: None, first: None, second: None})
    wanted = ("release", "--service", "cart", *WHY, "--hold")
    run = cart.refused(5, "moved", *wanted, ids[0])
    assert f"{ids[0]} is not the only hold in force: {ids[1]}" in run.error["message"]
    assert set(cart.ok(*wanted, ",".join(ids)).service()["holds"]) == set(ids)
    deploy(cart, "cart", "1.6.1")


def test_what_was_retired_does_not_come_back(cart: Shop) -> None:
    manifest = cart.text("cart.yaml")
    cart.commit({"cart.yaml": None, "web.yaml": WEB.replace("acme/cart", "acme/web")})
    cart.ok("history", "--service", "cart", "--retire", *WHY)
    cart.commit({"cart.yaml": manifest})
    deploy(cart, "cart", "1.6.0")


ENVIRONMENT = '[environments.{}]\npath = "apps"\n'
TEST = '[environments.test]\npath = "b"\n'
OLD_STATE = CART_STATE.replace("default", "old")


def held_by_an_old_name(tmp_path: Path) -> Shop:
    """A shop whose one environment is called `old`, and whose cart was rolled back there."""
    cart = WEB.replace("name: web", "name: cart")
    shop = Shop(tmp_path).open({PATH: cart, CONFIG: ENVIRONMENT.format("old")})
    for tag in ("1.5.0", "1.6.0"):
        deploy(shop, "cart", tag)
    roll_back(shop, "cart")
    return shop


def test_a_state_file_that_was_deleted_under_an_older_name_counts(tmp_path: Path) -> None:
    shop = held_by_an_old_name(tmp_path)
    (held,) = shop.holds()
    shop.commit({OLD_STATE: None, held: None, CONFIG: ENVIRONMENT.format("new")})
    assert refused(shop, "cart", "1.6.0") == "held"
    release(shop, "cart")
    assert refused(shop, "cart", "1.6.0") == "bad"


def test_what_was_deleted_under_an_older_name_counts_where_its_manifest_moved_too(
    tmp_path: Path,
) -> None:
    shop = held_by_an_old_name(tmp_path)
    (held,) = shop.holds()
    text = shop.text(PATH).replace("name: server", "name: web")
    shop.commit({OLD_STATE: None, held: None, CONFIG: ENVIRONMENT.format("new")})
    shop.commit({PATH: None, "apps/moved/web.yaml": text})
    assert refused(shop, "cart", "1.6.0") == "held"
    release(shop, "cart")
    assert refused(shop, "cart", "1.6.0") == "bad"


@pytest.mark.parametrize("is_tidy", [False, True], ids=["its state is left", "all of it"])
def test_an_environment_that_was_removed_leaves_its_twin_what_that_ran(
    tmp_path: Path, *, is_tidy: bool
) -> None:
    config = '[environments.live]\npath = "a"\n'
    files = {"a/cart.yaml": WEB, "b/cart.yaml": WEB, CONFIG: config + TEST}
    shop = Shop(tmp_path).open(files)
    for tag in ("1.5.0", "1.6.0", "1.7.0"):
        deploy(shop, "cart", tag, "--environment", "test")
    roll_back(shop, "cart", "--environment", "test")
    shop.commit({"a/cart.yaml": WEB.replace("acme/cart:1.4.1", image("1.6.0"))})
    gone = (CART_STATE.replace("default", "test"), *shop.holds()) if is_tidy else ()
    shop.commit({CONFIG: config, "b/cart.yaml": None, **dict.fromkeys(gone)})
    assert shop.ok("plan", "cart").service()["to"]["image"] == "docker.io/acme/cart:1.4.1"
    if is_tidy:
        deploy(shop, "cart", "1.7.0")
        return
    run = shop.refused(6, "refused", "deploy", "--service", "cart", "--image", image("1.8.0"))
    assert run.error["code"] == "lost-hold"
    assert "its field is found no more: Deployment web, container server (b/cart.yaml)" in run.said
    release(shop, "cart")
    deploy(shop, "cart", "1.8.0")
    assert refused(shop, "cart", "1.7.0") == "bad"


def test_a_state_file_that_was_broken_and_deleted_under_an_older_name_is_named(
    tmp_path: Path,
) -> None:
    shop = held_by_an_old_name(tmp_path)
    (held,) = shop.holds()
    sound = shop.bytes_of(OLD_STATE)
    shop.commit({OLD_STATE: "{"})
    shop.commit({OLD_STATE: None, held: None, CONFIG: ENVIRONMENT.format("new")})
    wanted = ("--service", "cart", "--image", image("1.6.0"))
    run = shop.refused(1, "repository", "deploy", *wanted)
    assert f"{OLD_STATE} is broken" in run.error["message"]
    assert f"git checkout {(shop.tip() or '')[:12]}~1 -- {OLD_STATE}" in run.error["hint"]
    shop.commit({OLD_STATE: sound})
    assert refused(shop, "cart", "1.6.0") == "held"


def test_a_rollback_elsewhere_is_not_taken_for_a_deleted_file(tmp_path: Path) -> None:
    config = '[environments.live]\npath = "a"\n[environments.test]\npath = "b"\n'
    shop = Shop(tmp_path).open({"a/cart.yaml": WEB, "b/cart.yaml": WEB, CONFIG: config})
    for tag in ("1.5.0", "1.6.0"):
        deploy(shop, "cart", tag, "--environment", "test")
    roll_back(shop, "cart", "--environment", "test")
    deploy(shop, "cart", "1.6.0", "--environment", "live")


def test_the_file_of_an_environment_that_was_renamed_is_no_deleted_one(tmp_path: Path) -> None:
    config = '[environments.live]\npath = "a"\n[environments.{}]\npath = "b"\n'
    files = {"a/cart.yaml": WEB, "b/cart.yaml": WEB, CONFIG: config.format("test")}
    shop = Shop(tmp_path).open(files)
    for tag in ("1.5.0", "1.6.0"):
        deploy(shop, "cart", tag, "--environment", "test")
    roll_back(shop, "cart", "--environment", "test")
    shop.commit({CONFIG: config.format("trial")})
    deploy(shop, "cart", "1.6.0", "--environment", "live")
    assert refused(shop, "cart", "1.6.0", "--environment", "trial") == "held"
