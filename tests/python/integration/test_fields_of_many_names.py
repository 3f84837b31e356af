"""What is held is the field: other names, renamed environments, moved and deleted files."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from gitops_rollback.commands import drilling
from gitops_rollback.services import inventory
from integration.shop import CART, CART_PATH, CART_STATE, Shop, canonical, digest, image

if TYPE_CHECKING:
    from pathlib import Path

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: cart-web
spec:
  template:
    spec:
      containers:
      - name: server
        image: acme/cart:1.4.1
"""
REASON = ("--reason", "calm again", "--accept", "automation")
PRODUCTION = '[environments.production]\npath = "apps"\n'


@pytest.fixture
def two_names(tmp_path: Path) -> Shop:
    """Workload cart-web runs image cart: people say either."""
    shop = Shop(tmp_path).open({CART_PATH: WEB})
    shop.deploy("1.4.2")
    shop.deploy("1.5.0")
    shop.ok("rollback", "--service", "cart-web", "--reason", "carts are empty")
    return shop


def held_files(shop: Shop) -> list[str]:
    listed = shop.git("ls-tree", "-r", "--name-only", "main", ".gitops-rollback/.held")
    return listed.split()


def test_a_hold_under_one_name_refuses_a_deploy_under_the_other(two_names: Shop) -> None:
    assert len(held_files(two_names)) == 1
    run = two_names.refused(6, "refused", "deploy", "--service", "cart", "--image", image("1.5.1"))
    assert run.error["code"] == "held"
    assert "carts are empty" in run.error["message"]


def test_a_release_under_either_name_ends_the_hold_for_both_in_one_commit(two_names: Shop) -> None:
    before = len(two_names.log())
    two_names.ok("release", "--service", "cart", *REASON)
    assert len(two_names.log()) == before + 1
    assert held_files(two_names) == []
    assert "hold" not in two_names.state("cart-web")
    two_names.deploy("1.5.1")
    run = two_names.refused(
        6, "refused", "deploy", "--service", "cart-web", "--image", image("1.5.0")
    )
    assert run.error["code"] == "bad"


def test_history_tells_by_either_name_what_was_done_by_the_other(two_names: Shop) -> None:
    two_names.edit(image("1.4.2"), "acme/cart:1.6.0")
    for name in ("cart", "cart-web"):
        [_edit, newest, *_older] = two_names.ok("history", "--service", name).service()["entries"]
        assert (newest["action"], newest["reason"]) == ("rollback", "carts are empty")
        assert newest["commit"] == two_names.git("rev-parse", "main~1")
    states = [path for path in two_names.git("ls-tree", "-r", "--name-only", "main").splitlines()
              if path.startswith(".gitops-rollback/")]  # fmt: skip
    two_names.commit(dict.fromkeys(states), 'Revert "it"\n\nThis reverts commit 0.\n')
    for name in ("cart", "cart-web"):
        entries = two_names.ok("history", "--service", name).service()["entries"]
        assert [one["action"] for one in entries[:4]] == ["edit", "rollback", "deploy", "deploy"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, PRODUCTION),
        (PRODUCTION, PRODUCTION.replace("production", "prod")),
        (PRODUCTION, None),
    ],
    ids=["the first one", "renamed", "none any more"],
)
def test_a_hold_and_the_bad_list_stay_when_environments_get_other_names(
    tmp_path: Path, before: str | None, after: str | None
) -> None:
    config = ".gitops-rollback.toml"
    shop = Shop(tmp_path).open({CART_PATH: CART, **({config: before} if before else {})})
    shop.deploy("1.4.2")
    shop.deploy("1.5.0")
    shop.ok("rollback", "--service", "cart", "--reason", "carts are empty")
    shop.commit({config: after})
    again = ("deploy", "--service", "cart", "--image", image("1.5.0"))
    assert shop.refused(6, "refused", *again).error["code"] == "held"
    shop.ok("release", "--service", "cart", *REASON)
    assert shop.refused(6, "refused", *again).error["code"] == "bad"


def test_a_hold_stays_where_the_state_file_is_deleted_by_hand(held: Shop) -> None:
    held.commit({CART_STATE: None})
    run = held.refused(6, "refused", "deploy", "--service", "cart", "--image", image("1.5.0"))
    assert run.error["code"] == "held"
    held.ok("release", "--service", "cart", *REASON)
    assert held_files(held) == []


@pytest.mark.parametrize("after", [PRODUCTION, None], ids=["environment renamed", "as it was"])
def test_a_hold_stays_where_all_that_tells_of_it_was_deleted_long_ago(
    tmp_path: Path, after: str | None
) -> None:
    config = ".gitops-rollback.toml"
    shop = Shop(tmp_path).open({CART_PATH: CART})
    for tag in ("1.4.2", "1.5.0"):
        shop.deploy(tag)
    shop.ok("rollback", "--service", "cart", "--reason", "carts are empty")
    everything = dict.fromkeys([CART_STATE, *held_files(shop)])
    shop.commit({**everything, **({config: after} if after else {})}, "Tidy up")
    shop.commit_many(60)
    again = ("deploy", "--service", "cart", "--image", image("1.5.0"))
    assert shop.refused(6, "refused", *again).error["code"] == "held"
    run = shop.ok("release", "--service", "cart", *REASON)
    assert "was deleted, and counts as it stood before" in run.stderr
    assert shop.refused(6, "refused", *again).error["code"] == "bad"
    # What this tool takes away itself, or a revert of what it wrote, does not come back.
    name = shop.git("ls-tree", "-r", "--name-only", "main", ".gitops-rollback/").split()[0]
    shop.commit({name: None}, f'Revert "cart"\n\nThis reverts commit {shop.tip()}.\n')
    assert shop.refused(6, "refused", *again).error["code"] in {"held", "bad"}
    shop.ok("history", "--service", "cart", "--repair")


def test_the_archive_is_asked_by_the_names_that_deleted_state_files_had(tmp_path: Path) -> None:
    shop = Shop(tmp_path).open({CART_PATH: CART})
    for tag in ("1.4.2", "1.5.0"):
        shop.deploy(tag)
    shop.commit({CART_STATE: None, ".gitops-rollback.toml": PRODUCTION}, "Tidy up")
    plan = shop.ok("plan", "--service", "cart").service()
    assert (plan["to"]["image"], plan["to"]["source"]) == (canonical("1.4.2"), "artifact")


def test_a_state_file_that_a_revert_took_away_does_not_come_back(tmp_path: Path) -> None:
    shop = Shop(tmp_path).open({CART_PATH: CART})
    before = shop.text()
    shop.deploy("1.5.0")
    shop.commit(
        {CART_STATE: None, CART_PATH: before},
        f'Revert "cart"\n\nThis reverts commit {shop.tip()}.\n',
    )
    run = shop.deploy("1.5.1")
    assert "was deleted" not in run.stderr
    assert len(shop.state()["deployed"]) == 1


def test_a_broken_state_file_that_was_deleted_counts_as_this_tool_wrote_it_last(
    held: Shop,
) -> None:
    held.commit({CART_STATE: "{"})
    held.commit(dict.fromkeys([CART_STATE, *held_files(held)]))
    run = held.refused(6, "refused", "deploy", "--service", "cart", "--image", image("1.5.1"))
    assert run.error["code"] == "held"


def test_a_good_image_of_long_ago_is_not_bad_by_the_tag_of_a_bad_one(tmp_path: Path) -> None:
    """More deploys than a state file keeps; a tag that had several digests is none of a release."""
    shop = Shop(tmp_path).open({CART_PATH: CART})
    long_ago = image("1.5.0").replace("sha256:", "sha256:0000")[: len(image("1.5.0"))]
    shop.ok("deploy", "--service", "cart", "--image", long_ago)
    for number in range(25):
        shop.deploy(f"1.6.{number}")
    shop.deploy("1.5.0")
    shop.ok("rollback", "--service", "cart", "--reason", "carts are empty")
    shop.ok("release", "--service", "cart", *REASON)
    (bad,) = shop.state()["bad"]
    assert bad["tag"] == "1.5.0"
    shop.ok("deploy", "--service", "cart", "--image", long_ago)


def test_a_hold_follows_its_manifest_to_another_path(held: Shop) -> None:
    held.commit({CART_PATH: None, "shop/cart.yaml": held.text()})
    run = held.refused(6, "refused", "deploy", "--service", "cart", "--image", image("1.5.0"))
    assert run.error["code"] == "held"


def test_a_hold_whose_manifest_moved_elsewhere_stops_no_other_environment(tmp_path: Path) -> None:
    both = "".join(f'[environments.{one}]\npath = "{one}"\n' for one in ("live", "test"))
    files = {f"{one}/cart.yaml": CART for one in ("live", "test")}
    shop = Shop(tmp_path).open({**files, ".gitops-rollback.toml": both})
    live, test = ("--environment", "live"), ("--environment", "test")
    shop.deploy("1.5.0", *live)
    shop.roll_back(*live)
    shop.commit({"live/web/cart.yaml": shop.text("live/cart.yaml"), "live/cart.yaml": None})
    shop.deploy("1.5.0", *test)
    refused = ("deploy", "--service", "cart", "--image", image("1.5.1"), *live)
    assert shop.refused(6, "refused", *refused).error["code"] == "held"


def test_a_hold_whose_container_was_renamed_is_lost_and_the_printed_commands_mend_it(
    held: Shop,
) -> None:
    held.commit({CART_STATE: None})
    held.edit("name: server", "name: app")
    deploy = ("deploy", "--service", "cart", "--image", image("1.5.1"))
    run = held.refused(6, "refused", *deploy)
    assert run.error["code"] == "lost-hold"
    tie = run.error["hint"].partition("tie the hold to it: ")[2].partition(";")[0]
    end = run.error["hint"].partition("else end it: ")[2]
    words = tie.replace("TEXT", "renamed").split()
    assert words[0] == "gitops-rollback"
    held.ok(words[1], *words[2:])
    assert held.refused(6, "refused", *deploy).error["code"] == "held"
    held.commit({CART_STATE: None})
    held.edit("name: app", "name: main")
    words = end.replace("TEXT", "renamed").split()
    assert words[:3] == ["gitops-rollback", "release", "cart"]
    held.ok("release", "--service", "cart", "--reason", "renamed", "--dry-run")
    held.ok(words[1], *words[2:])
    assert held_files(held) == []


@pytest.mark.parametrize("way", ["tie the hold to it", "else end it"])
def test_a_hold_that_lost_its_field_ends_under_all_names_of_the_one_that_it_was_tied_to(
    tmp_path: Path, way: str
) -> None:
    """The workload was renamed; the name of its image still leads to the state file of before."""
    shop = Shop(tmp_path).open({CART_PATH: WEB})
    shop.release_two()
    shop.roll_back()
    shop.edit("name: cart-web", "name: basket")
    basket = ("deploy", "--service", "basket", "--image", image("1.5.1"))
    run = shop.refused(6, "refused", *basket)
    assert run.error["code"] == "lost-hold"
    command = run.error["hint"].partition(f"{way}: ")[2].partition(";")[0]
    shop.ok(*command.replace("TEXT", "renamed").split()[1:])
    if way != "else end it":
        shop.ok("release", "--service", "basket", *REASON)
    assert held_files(shop) == []
    for name in ("cart", "basket"):
        bad = ("deploy", "--service", name, "--image", image("1.5.0"))
        assert shop.refused(6, "refused", *bad).error["code"] == "bad"


def test_a_lost_hold_is_not_tied_in_the_place_of_one_that_is_in_force(two_names: Shop) -> None:
    (lost,) = held_files(two_names)
    two_names.commit({CART_STATE: None, CART_STATE.replace("cart", "cart-web"): None})
    two_names.edit("name: server", "name: app")
    two_names.ok("rollback", "--service", "cart", "--again", "--to", "1.4.1", "--reason", "worse")
    (newer,) = {*held_files(two_names)} - {lost}
    older, present = (path.rpartition("/")[2].removesuffix(".json") for path in (lost, newer))
    tie = ("history", "--service", "cart", "--repair", "--hold", older, "--reason", "renamed")
    run = two_names.refused(5, "moved", *tie)
    assert f"--hold {present}" in run.error["hint"]
    two_names.ok("release", "--service", "cart", "--hold", present, *REASON)
    two_names.ok(*tie)
    assert held_files(two_names) == [lost]


def test_a_release_ends_no_hold_where_several_have_lost_their_field(tmp_path: Path) -> None:
    files = {f"{name}.yaml": WEB.replace("cart-web", name) for name in ("web", "worker", "api")}
    shop = Shop(tmp_path).open(files)
    for name in ("web", "worker"):
        shop.ok("deploy", "--service", name, "--image", image("1.5.0"))
        shop.ok("rollback", "--service", name, "--reason", f"{name} is slow")
    shop.commit({"web.yaml": None, "worker.yaml": None})
    release = ("release", "--service", "api", "--reason", "fine again")
    run = shop.refused(1, "config", *release)
    for path in held_files(shop):
        assert path.rpartition("/")[2].removesuffix(".json") in run.error["message"]
    hold = run.error["hint"].partition(": ")[2].split()
    shop.ok(*release, *hold)
    (left,) = held_files(shop)
    assert hold[1] not in left
    name = json.loads(shop.text(left))["service"]
    run = shop.refused(6, "refused", "history", name, "--retire", "--reason", "gone")
    assert run.error["code"] == "lost-hold", "of a service that is merely found, too"
    shop.ok(*release)
    assert held_files(shop) == []


def test_a_release_that_names_another_hold_than_the_one_in_force_is_moved(held: Shop) -> None:
    seen = held.state()["hold"]["id"]
    held.ok("rollback", "--service", "cart", "--again", "--reason", "still bad")
    run = held.refused(5, "moved", "release", "--service", "cart", "--hold", seen, *REASON)
    present = held.state()["hold"]["id"]
    assert present in run.error["message"]
    assert present in run.error["hint"]
    run = held.refused(5, "moved", "release", "--service", "cart", "--hold", "none", *REASON)
    assert run.error["message"].startswith("cart: nothing was held before: ")
    dry = held.ok("release", "--service", "cart", "--dry-run", *REASON).result
    assert dry["services"][0]["holds"] == [present]
    held.ok("release", "--service", "cart", "--hold", f"{seen},{present}", *REASON)
    assert "hold" not in held.state()


def test_what_is_left_of_a_service_that_is_gone_stops_nobody_and_is_removed(
    tmp_path: Path,
) -> None:
    cart = WEB.replace("cart-web", "cart")
    shop = Shop(tmp_path).open({CART_PATH: cart, "pay.yaml": cart.replace("cart", "pay")})
    shop.deploy("1.5.0")
    shop.roll_back()
    shop.deploy("2.0.0", name="pay")
    shop.commit({CART_PATH: None})
    run = shop.ok("plan", "--all")
    assert "retired: cart: there is no service 'cart'" in run.said
    assert "retired: the hold" in run.said
    drilled = shop.run("check", "--service", "pay").result["findings"]
    assert any("its field is found no more" in one["message"] for one in drilled)
    shop.refused(1, "config", "history", "--service", "pay", "--retire", "--reason", "gone")
    state = shop.text(CART_STATE)
    shop.commit({CART_STATE: "{"})
    run = shop.refused(1, "repository", "history", "cart", "--retire", "--reason", "gone")
    assert run.error["hint"].startswith(f"restore it from Git (git log -- {CART_STATE})")
    shop.commit({CART_STATE: state})
    run = shop.ok("history", "--service", "cart", "--retire", "--reason", "gone")
    assert "cart: 1.4.1 retired" in run.stdout
    assert CART_STATE in shop.changed()
    assert held_files(shop) == []
    assert "retired" not in shop.ok("plan", "--all").said


def test_what_is_left_is_removed_from_the_branch_of_its_environment(tmp_path: Path) -> None:
    config = PRODUCTION + 'branch = "live"\n'
    there = CART_STATE.replace("default", "production")
    shop = Shop(tmp_path).open({CART_PATH: WEB, ".gitops-rollback.toml": config})
    shop.git("branch", "live", "main")
    shop.deploy("1.5.0")
    shop.roll_back()
    shop.commit({there: shop.bytes_of(there, "live")})  # as a merge of the branches brings it
    shop.commit({CART_PATH: None}, branch="live")
    before = shop.tip()
    shop.ok("history", "--service", "cart", "--retire", "--reason", "gone")
    assert shop.tip() == before
    assert shop.git("ls-tree", "-r", "--name-only", "live").split() == [".gitops-rollback.toml"]


def test_a_hold_is_not_removed_with_a_name_while_its_field_is_there_under_another(
    tmp_path: Path,
) -> None:
    config = '[services.shop]\nmanifests = ["apps/cart/*.yaml"]\n'
    shop = Shop(tmp_path).open({CART_PATH: WEB, ".gitops-rollback.toml": config})
    for tag in ("1.4.2", "1.5.0"):
        shop.ok("deploy", "--service", "shop", "--image", image(tag))
    shop.ok("rollback", "--service", "shop", "--reason", "carts are empty")
    shop.commit({".gitops-rollback.toml": None, CART_PATH: None, "web.yaml": shop.text()})
    retire = ("history", "--service", "shop", "--retire", "--reason", "renamed")
    run = shop.refused(1, "config", *retire)
    assert "still there under another name" in run.error["message"]
    command = run.error["hint"].rpartition(": ")[2].replace("NAME", "cart").split()
    assert command[:2] == ["gitops-rollback", "release"]
    again = ("deploy", "--service", "cart", "--image", image("1.5.0"))
    assert shop.refused(6, "refused", *again).error["code"] == "held"
    shop.ok(*command[1:])
    shop.ok(*retire)
    assert held_files(shop) == []


def test_a_hold_is_retired_whose_state_file_was_deleted_by_hand(tmp_path: Path) -> None:
    cart = WEB.replace("cart-web", "cart")
    shop = Shop(tmp_path).open({CART_PATH: cart, "pay.yaml": cart.replace("cart", "pay")})
    shop.deploy("1.5.0")
    shop.roll_back()
    shop.commit({CART_PATH: None, CART_STATE: None})
    findings = shop.run("check", "--service", "pay").result["findings"]
    assert any("its field is found no more" in one["message"] for one in findings)
    shop.ok("history", "--service", "cart", "--retire", "--reason", "gone")
    assert held_files(shop) == []
    shop.refused(4, "not-found", "history", "--service", "cart", "--retire", "--reason", "gone")


def test_a_hold_that_may_be_of_a_service_that_is_merely_found_is_not_retired(
    tmp_path: Path,
) -> None:
    cart = WEB.replace("cart-web", "cart")
    shop = Shop(tmp_path).open({CART_PATH: cart, "pay.yaml": cart.replace("cart", "pay")})
    shop.deploy("1.5.0")
    shop.roll_back()
    shop.deploy("2.0.0", name="pay")
    shop.commit({CART_PATH: shop.text().replace("server", "web"), CART_STATE: None})
    for command in ("plan", "check"):
        run = shop.run(command, "--all")
        text = run.said + json.dumps(run.result)
        assert "its field is found no more" in text
        assert "retired" not in text
        assert "gitops-rollback check cart tells more" in text
    assert "history cart --repair --hold" in json.dumps(shop.run("check", "cart").result)


def test_a_renamed_service_is_not_retired_and_its_bad_image_stays_bad(tmp_path: Path) -> None:
    config = '[defaults]\nmanifests = ["apps/{{service}}/*.yaml"]\n'
    config += '[services.{}]\nmanifests = ["apps/cart/*.yaml"]\n'
    shop = Shop(tmp_path).open({CART_PATH: WEB, ".gitops-rollback.toml": config.format("bag")})
    for tag in ("1.4.2", "1.5.0"):
        shop.ok("deploy", "--service", "bag", "--image", image(tag))
    shop.ok("rollback", "--service", "bag", "--reason", "carts are empty")
    shop.ok("release", "--service", "bag", "--reason", "over")
    shop.commit({".gitops-rollback.toml": config.format("shop")})
    assert "retired" not in shop.run("plan", "--all").said
    assert "retired" not in shop.run("check", "--all").said
    many = patch.object(inventory, "MOST_DISCOVERED_FILES", 0)  # then they are looked at in parts
    with many, patch.object(drilling, "_FILES_AT_ONCE", 1):
        assert "retired" not in shop.run("check", "--all").said
    retire = ("history", "--service", "bag", "--retire", "--reason", "renamed")
    run = shop.refused(1, "config", *retire)
    assert "still there under another name" in run.error["message"]
    bad = ("deploy", "--service", "shop", "--image", image("1.5.0"))
    assert shop.refused(6, "refused", *bad).error["code"] == "bad"
    shop.ok("deploy", "--service", "shop", "--image", image("2.0.0"))
    shop.ok(*retire)
    assert shop.refused(6, "refused", *bad).error["code"] == "bad"


@pytest.mark.parametrize("way", ["tie the hold to it", "else end it"])
def test_what_has_lost_its_field_is_not_removed_while_it_may_be_a_service_s(
    tmp_path: Path, way: str
) -> None:
    """The service and its container were renamed; what is printed is followed to the letter."""
    config = '[services.{}]\nmanifests = ["apps/cart/*.yaml"]\n'
    shop = Shop(tmp_path).open({CART_PATH: WEB, ".gitops-rollback.toml": config.format("store")})
    for tag in ("1.4.2", "1.5.0"):
        shop.ok("deploy", "--service", "store", "--image", image(tag))
    shop.ok("rollback", "--service", "store", "--reason", "carts are empty")
    renamed = shop.text().replace("name: server", "name: app")
    shop.commit({".gitops-rollback.toml": config.format("shop"), CART_PATH: renamed})
    retire = ("history", "--service", "store", "--retire", "--reason", "renamed")
    run = shop.refused(6, "refused", *retire)
    assert run.error["code"] == "lost-hold"
    command = run.error["hint"].partition(f"{way}: ")[2].partition(";")[0]
    shop.ok(*command.replace("TEXT", "renamed").split()[1:])
    bad = ("deploy", "--service", "shop", "--image", image("1.5.0"))
    if way == "else end it":
        assert shop.refused(6, "refused", *bad).error["code"] == "bad"
        run = shop.refused(1, "config", *retire)
        assert "may be of shop, where what is bad counts by this state file" in run.error["message"]
        shop.ok(*run.error["hint"].partition("gitops-rollback ")[2].split())
    shop.ok(*retire)
    shop.ok("release", "--service", "shop", "--reason", "over")
    assert shop.refused(6, "refused", *bad).error["code"] == "bad"


def test_what_is_left_is_not_removed_while_nobody_can_tell_whose_it_is(tmp_path: Path) -> None:
    """By a name that nobody gave, in a service that is not sound or a file that is not."""
    config = '[services.store]\nmanifests = ["apps/cart/*.yaml"]\n'
    shop = Shop(tmp_path).open({CART_PATH: WEB, ".gitops-rollback.toml": config})
    shop.ok("deploy", "--service", "store", "--image", image("1.5.0"))
    shop.ok("rollback", "--service", "store", "--reason", "carts are empty")
    web = WEB.replace("cart-web", "web")
    two = web.replace("server", "app") + "      - name: job\n        image: acme/cart:1.4.0\n"
    shop.commit({CART_PATH: None, "web.yaml": f"{two}<<<<<<< HEAD\n"})
    retire = ("history", "--service", "store", "--retire", "--reason", "gone")
    assert "may have the field" in shop.refused(1, "manifest", *retire).error["message"]
    shop.commit({"web.yaml": two})
    hint = shop.refused(1, "config", *retire).error["hint"]
    line = hint.partition("choose: ")[2].replace("] ", "]\n")
    shop.commit({".gitops-rollback.toml": f"{config}{line}\n"})
    assert "tie the hold to it" in shop.run("check", "--service", "cart").stdout
    assert "tie the hold to it" in shop.run("plan", "--service", "cart").stdout
    hint = shop.refused(6, "refused", *retire).error["hint"]
    command = hint.partition("tie the hold to it: gitops-rollback ")[2].partition(";")[0]
    shop.ok(*command.replace("TEXT", "renamed").split())
    shop.ok(*retire)
    run = shop.refused(6, "refused", "deploy", "--service", "cart", "--image", image("1.5.0"))
    assert run.error["code"] == "held"


def test_the_hold_of_an_environment_that_is_gone_is_removed_as_it_is_said(tmp_path: Path) -> None:
    config = PRODUCTION + '[environments.staging]\npath = "staging"\n'
    pay = WEB.replace("cart", "pay")
    there = {"staging/cart.yaml": WEB, CART_PATH: pay, ".gitops-rollback.toml": config}
    shop = Shop(tmp_path).open(there)
    staging = ("--service", "cart", "--environment", "staging")
    shop.ok("deploy", *staging, "--image", image("1.5.0"))
    shop.ok("rollback", *staging, "--reason", "carts are empty")
    shop.commit({"staging/cart.yaml": None, ".gitops-rollback.toml": PRODUCTION})
    said = shop.run("plan", "--all").said
    printed, _dots, _rest = said.partition("gone for good: gitops-rollback ")[2].partition(" TEXT")
    command = (*printed.split(), "gone")
    shop.ok(*command)
    assert held_files(shop) == []
    shop.refused(4, "not-found", *command)


def test_of_services_that_are_all_gone_it_is_said_how_what_is_left_is_removed(
    tmp_path: Path,
) -> None:
    shop = Shop(tmp_path).open({CART_PATH: WEB, "note.txt": "x"})
    shop.deploy("1.5.0")
    shop.commit({CART_PATH: None})
    run = shop.refused(1, "config", "plan", "--all")
    assert run.error["hint"].startswith(
        "if it is gone for good: gitops-rollback history cart --retire"
    )
    shop.ok(*run.error["hint"].partition("gitops-rollback ")[2].split())


def test_not_all_services_can_be_retired_at_once(held: Shop) -> None:
    held.refused(2, "usage", "history", "--all", "--retire", "--reason", "gone")


def test_a_hold_is_not_removed_with_a_name_while_its_field_is_there_in_another_environment(
    tmp_path: Path,
) -> None:
    config = PRODUCTION + '[environments.live]\npath = "live"\n'
    shop = Shop(tmp_path).open({CART_PATH: WEB, ".gitops-rollback.toml": config})
    production = ("--service", "cart", "--environment", "production")
    for tag in ("1.4.2", "1.5.0"):
        shop.ok("deploy", *production, "--image", image(tag))
    shop.ok("rollback", *production, "--reason", "carts are empty")
    shop.commit({CART_PATH: None, "live/cart.yaml": shop.text()})
    run = shop.refused(1, "config", "history", *production, "--retire", "--reason", "gone")
    assert "still there under another name" in run.error["message"]
    assert len(held_files(shop)) == 1
    command = run.error["hint"].rpartition(": ")[2].replace("NAME", "cart").split()
    shop.ok(*(word.replace("ENVIRONMENT", "live") for word in command[1:]))
    assert held_files(shop) == []
    shop.ok("history", *production, "--retire", "--reason", "gone")


def test_a_hold_that_was_merged_beside_another_name_s_file_and_deleted_by_hand_stays(
    tmp_path: Path,
) -> None:
    """The state file that is left was written before the merge, and knows of no hold."""
    shop = Shop(tmp_path).open({CART_PATH: WEB})
    shop.deploy("1.4.2")
    shop.deploy("1.5.0")
    before = shop.tip()
    shop.ok("rollback", "--service", "cart", "--reason", "carts are empty")
    held = held_files(shop)
    proposed = {path: shop.bytes_of(path) for path in (CART_PATH, CART_STATE, *held)}
    shop.git("update-ref", "refs/heads/main", str(before))
    shop.ok("deploy", "--service", "cart-web", "--image", image("1.6.0"))
    shop.edit(image("1.6.0"), image("1.5.0"))
    shop.commit(proposed, "Merge (#7)")
    shop.commit(dict.fromkeys([CART_STATE, *held]), "Tidy up")
    for name in ("cart", "cart-web"):
        run = shop.refused(6, "refused", "deploy", "--service", name, "--image", image("1.5.0"))
        assert run.error["code"] == "held"
    run = shop.ok("release", "--service", "cart-web", *REASON)
    assert f"{CART_STATE} was deleted, and counts as it stood before" in run.stderr
    again = ("deploy", "--service", "cart", "--image", image("1.5.0"))
    assert shop.refused(6, "refused", *again).error["code"] == "bad"


def test_a_hold_whose_file_is_broken_counts_as_it_stood_and_stops_nobody_else(held: Shop) -> None:
    [path] = held_files(held)
    sound = held.bytes_of(path)
    held.commit({path: b"{}", CART_STATE: None}, "Tidy up")
    held.ok("deploy", "--service", "payment", "--image", image("2.1.0", "payment"))
    told = f"{path} is broken, and counts as it stood before; to put it back: git checkout "
    run = held.refused(6, "refused", "deploy", "--service", "cart", "--image", image("1.6.0"))
    assert run.error["code"] == "held"
    run = held.ok("plan", "--service", "cart", "--again")
    commit = "".join(run.service()["findings"]).partition(told)[2].partition(" ")[0]
    assert held.git("show", f"{commit}:{path}").encode() == sound.strip()
    held.ok("release", "--service", "cart", *REASON)
    assert held_files(held) == []


def test_a_name_of_a_file_is_no_command_where_a_remedy_is_pasted(held: Shop) -> None:
    odd = ".gitops-rollback/.held/$(touch stolen);`touch stolen`'\"x.json"
    held.commit({odd: "{"})
    run = held.refused(1, "repository", "plan", "--service", "cart", "--again")
    pasted = run.error["hint"].partition("git rm ")[2].partition(", then")[0]
    assert shlex.split(pasted) == [odd]


def test_many_holds_whose_files_are_broken_cost_one_walk(held: Shop) -> None:
    [path] = held_files(held)
    text, name = held.text(path), path.rpartition("/")[2].removesuffix(".json")
    others = [f"{number:012x}" for number in range(9)]
    held.commit({path.replace(name, other): text.replace(name, other) for other in others})
    held.commit(dict.fromkeys([path, *(path.replace(name, other) for other in others)], "{"))
    run = held.refused(6, "refused", "deploy", "-v", "cart", "--image", image("1.6.0"))
    assert run.error["code"] == "held"
    assert run.stderr.count("git --literal-pathspecs log ") == 1


def test_a_file_among_holds_that_never_was_one_is_to_be_deleted(held: Shop) -> None:
    path = ".gitops-rollback/.held/notes.json"
    held.commit({path: b"[]"})
    run = held.refused(1, "repository", "plan", "--service", "cart")
    assert f"the hold {path} is broken" in run.error["message"]
    assert f"delete it (git rm {path}, then commit and push it)" in run.error["hint"]
    held.commit({path: None})
    held.ok("plan", "--service", "cart", "--again")


def test_a_tag_means_what_it_was_written_with_last_whatever_name_s_file_is_left(
    tmp_path: Path,
) -> None:
    config = '[defaults]\npin = "tag"\n'
    shop = Shop(tmp_path).open({CART_PATH: WEB, ".gitops-rollback.toml": config})
    again = f"acme/cart:1.1@{digest('1.1, built anew')}"
    for name, built in (("cart", image("1.1")), ("cart-web", image("1.2")), ("cart-web", again)):
        shop.ok("deploy", "--service", name, "--image", built)
    shop.commit({CART_STATE.replace("cart.json", "cart-web.json"): None}, "Tidy up")
    plan = shop.ok("plan", "--service", "cart").service()
    assert plan["current"]["image"] == f"docker.io/{again}"
    assert plan["to"]["image"] == f"docker.io/{image('1.2')}"


def test_of_very_many_lost_state_files_the_likely_ones_are_read_and_the_rest_counted(
    tmp_path: Path,
) -> None:
    config = '[services.z-cart]\nmanifests = ["apps/cart/*.yaml"]\n'
    shop = Shop(tmp_path).open({CART_PATH: WEB, ".gitops-rollback.toml": config})
    for tag in ("1.4.2", "1.5.0"):
        shop.ok("deploy", "--service", "z-cart", "--image", image(tag))
    shop.ok("rollback", "--service", "z-cart", "--reason", "carts are empty")
    shop.ok("release", "--service", "z-cart", *REASON)
    state = shop.text(CART_STATE.replace("cart.json", "z-cart.json"))
    gone = state.replace('"container": "server"', '"container": "gone"').replace(CART_PATH, "x")
    others = {
        CART_STATE.replace("cart.json", f"a-{number}.json"): gone.replace("z-cart", f"a-{number}")
        for number in range(120)
    }
    shop.commit({**others, ".gitops-rollback.toml": None})
    again = ("deploy", "--service", "cart", "--image", image("1.5.0"))
    assert shop.refused(6, "refused", *again).error["code"] == "bad"
    run = shop.deploy("1.6.0")
    assert "21 state files of names that no field has any more were not read" in run.stderr


def test_two_names_of_one_field_that_go_back_in_one_commit_tell_of_it_and_are_held_once(
    tmp_path: Path,
) -> None:
    shop = Shop(tmp_path).open({CART_PATH: WEB})
    for tag, name in (("1.4.2", "cart"), ("1.5.0", "cart-web")):
        shop.ok("deploy", "--service", name, "--image", image(tag))
    shop.ok("rollback", "--service", "cart", "--service", "cart-web", "--reason", "empty carts")
    for name in ("cart", "cart-web"):
        state = shop.state(name)
        assert state["deployed"][0]["action"] == "rollback"
        assert [f".gitops-rollback/.held/{state['hold']['id']}.json"] == held_files(shop)
    shop.ok("release", "--service", "cart", *REASON)
    assert held_files(shop) == []
    assert not any("hold" in shop.state(name) for name in ("cart", "cart-web"))
