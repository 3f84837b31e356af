"""Many services at once: one table, one commit, all or nothing, or all that nothing blocks."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from integration.shop import CART, CART_PATH, PAYMENT, PAYMENT_PATH, Shop, canonical, image, names

if TYPE_CHECKING:
    from integration.conftest import Workshop

TOML = """
[defaults]
manifests = ["apps/{service}/*.yaml"]
image = "docker.io/acme/{service}"
[services.cart]
[services.payment]
[sets]
checkout = ["cart", "payment"]
"""
BOTH = ("--image", f"cart={image('1.5.0')}", "--image", f"payment={image('2.1.0', 'payment')}")
REASON = ("--reason", "checkout fails", "--by", "jane")


@pytest.fixture
def checkout(shop: Shop) -> Shop:
    shop.commit({".gitops-rollback.toml": TOML})
    return shop


@pytest.fixture
def deployed(workshop: Workshop) -> Shop:
    """A set that was deployed in one commit."""

    def make(shop: Shop) -> Shop:
        shop.open({CART_PATH: CART, PAYMENT_PATH: PAYMENT, ".gitops-rollback.toml": TOML})
        shop.ok("deploy", *BOTH)
        return shop

    return workshop.shop("deployed set", make)


def test_what_is_printed_of_the_holds_of_several_services_ends_them_all(deployed: Shop) -> None:
    deployed.ok("rollback", "--set", "checkout", *REASON)
    release = ("release", "--set", "checkout", *REASON, "--hold")
    run = deployed.refused(5, "moved", *release, deployed.state()["hold"]["id"])
    deployed.ok(
        *release[:-1],
        "--accept",
        "automation",
        "--hold",
        run.error["hint"].rpartition("--hold ")[2],
    )
    assert "hold" not in deployed.state()


def test_what_refuses_each_of_several_services_is_accepted_for_that_one(deployed: Shop) -> None:
    deployed.ok("deploy", "--image", f"cart={image('1.6.0')}")
    deployed.ok("rollback", "--set", "checkout", *REASON)
    bad = ("--image", f"cart={image('1.6.0')}", "--image", f"payment={image('2.1.0', 'payment')}")
    deploy = ("deploy", *bad, "--release", "--accept", "automation")
    run = deployed.refused(6, "refused", *deploy, "--accept", "payment=bad")
    assert run.error["code"] == "bad"
    assert run.error["message"].startswith("1 of 2")
    run = deployed.refused(2, "usage", *deploy, "--accept", "shop=bad")
    assert "names shop, which is none of the services" in run.error["message"]
    deployed.ok(*deploy, "--accept", "cart=bad", "--accept", "payment=bad")


def test_a_map_of_images_is_deployed_in_one_commit(checkout: Shop) -> None:
    before = len(checkout.log())
    run = checkout.ok("deploy", *BOTH)
    assert names(run.result["services"], "to") == [
        canonical("1.5.0"),
        canonical("2.1.0", "payment"),
    ]
    assert len(checkout.log()) == before + 1
    assert checkout.log()[0] == "cart, payment: deploy"
    assert checkout.records.read(1)["replacedBy"] == canonical("1.5.0")
    assert checkout.records.read(2, "payment")["replacedBy"] == canonical("2.1.0", "payment")
    assert set(run.result["seconds"]) == {"total", "fetch", "decide", "edit", "push"}
    by_variable = {"GITOPS_IMAGE": f"cart={image('1.6.0')},payment={image('2.2.0', 'payment')}"}
    checkout.ok("deploy", "--set", "checkout", environment=by_variable)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set", "checkout", "--image", image("1.5.0")), "names no service, and there are 2"),
        (("--set", "checkout", *BOTH[:2]), "no image is named for payment"),
        (("--service", "cart", *BOTH), "names payment, which is none of the services: cart"),
        ((*BOTH, "--image", f"cart={image('1.6.0')}"), "cart is named twice"),
        (("--image", f"={image('1.6.0')}"), "no service is named"),
        (("--image", "cart=", "--service", "cart"), "names no repository"),
        ((*BOTH, "--from", image("1.4.1")), "--from acme/cart:1.4.1"),
        ((*BOTH, "--from", f"mail={image('1.4.1')}"), "--from names mail, which is none of"),
        ((*BOTH, "--from", "cart=:::"), "--from: "),
        ((*BOTH, "--all", "--service", "cart"), "--all and cart are named"),
    ],
)
def test_a_map_that_does_not_fit_the_services_is_a_usage_error(
    checkout: Shop, arguments: tuple[str, ...], words: str
) -> None:
    run = checkout.refused(2, "usage", "deploy", *arguments)
    assert words in run.error["message"]


def test_what_must_run_now_is_said_for_each_of_several_services(deployed: Shop) -> None:
    cart, payment = canonical("1.5.0"), canonical("2.1.0", "payment")
    other = canonical("2.0.0", "payment")
    undo = ("rollback", "--set", "checkout", *REASON, "--from", f"cart={cart}")
    run = deployed.refused(5, "moved", *undo, "--from", f"payment={other}")
    assert f"payment runs {payment}, not {other} as --from says" in run.error["message"]
    assert run.error["hint"].endswith(f"run this again with --from payment={payment}")
    deployed.ok("plan", "--set", "checkout", "--from", f"cart={cart}")
    run = deployed.ok(*undo, "--from", f"payment={payment}")
    assert names(run.result["services"], "from") == [cart, payment]
    run = deployed.refused(5, "moved", "deploy", *BOTH, "--release", "--from", f"payment={payment}")
    assert "as --from says" in run.error["message"]


def test_records_of_a_set_are_made_for_its_images_and_given_to_the_deploy(checkout: Shop) -> None:
    run = checkout.ok("record", *BOTH, "--record-dir", str(checkout.root / "with blank"))
    files = [entry["file"] for entry in run.result["records"]]
    assert len(files) == 2
    given = {"GITOPS_RECORD": "\n".join(files)}
    checkout.refused(2, "usage", "deploy", *BOTH, "--record", files[0], "--record", files[0])
    checkout.ok("deploy", *BOTH, environment=given)
    for entry, service in zip(run.result["records"], ("cart", "payment"), strict=True):
        assert checkout.state(service)["deployed"][0]["record"] == entry["sha256"]
    assert checkout.ok("deploy", *BOTH, environment=given).result["changed"] is False


def test_one_refused_member_refuses_the_deploy_of_all_and_files_no_record(deployed: Shop) -> None:
    deployed.ok("rollback", "--service", "cart", *REASON)
    further = ("--image", f"cart={image('1.6.0')},payment={image('2.2.0', 'payment')}")
    run = deployed.refused(6, "refused", "deploy", *further)
    assert run.error["code"] == "held"
    assert run.error["message"].startswith("1 of 2 services cannot be done, so none was: cart")
    assert "--skip-blocked" in run.error["hint"]
    assert names(run.result["blocked"], "service") == ["cart"]
    assert "held" in run.stdout
    run = deployed.ok("deploy", *further, "--skip-blocked")
    assert names(run.result["services"], "service") == ["payment"]
    [left] = run.result["blocked"]
    assert (left["service"], left["code"]) == ("cart", "held")
    assert "left as they are: 1 of 2 services" in run.stdout
    assert image("2.2.0", "payment") in deployed.text(PAYMENT_PATH)
    assert deployed.log()[0] == "payment: 2.1.0 → 2.2.0 (deploy)"


def test_where_every_member_is_refused_skipping_them_is_a_refusal_too(deployed: Shop) -> None:
    deployed.ok("rollback", "--set", "checkout", *REASON)
    run = deployed.refused(6, "refused", "rollback", "--set", "checkout", *REASON, "--skip-blocked")
    assert run.error["message"].startswith("2 of 2 services")
    assert "--skip-blocked" not in run.error["hint"]


def test_a_rollback_of_a_set_shows_one_table_of_80_columns(deployed: Shop) -> None:
    run = deployed.ok("plan", "--set", "checkout")
    table = run.stdout.splitlines()
    assert table[0] == "2 services:"
    assert table[1].split() == ["service", "runs", "back", "to", "because"]
    assert [line.split()[:3] for line in table[2:4]] == [
        ["cart", "1.5.0", "1.4.1"],
        ["payment", "2.1.0", "2.0.0"],
    ]
    assert max(map(len, table[:4])) <= 80
    assert re.search(r"rollback --set checkout --repository \S+ --reason TEXT\n", run.stderr)
    deployed.ok("rollback", "--set", "checkout", *REASON)
    assert deployed.text(PAYMENT_PATH) == PAYMENT


def test_skip_blocked_rolls_back_the_rest_of_a_set_by_its_plan_too(deployed: Shop) -> None:
    deployed.ok("rollback", "--service", "cart", *REASON)
    run = deployed.ok("plan", "--set", "checkout", "--skip-blocked")
    assert "REFUSED: already" in run.stdout
    plan = deployed.root / "plan.json"
    (deployed.root / "result.json").rename(plan)
    refused = deployed.refused(4, "not-found", "rollback", "--plan", str(plan), *REASON)
    assert "the plan found no image to go back to for cart" in refused.error["message"]
    run = deployed.ok("rollback", "--plan", str(plan), *REASON, "--skip-blocked")
    assert names(run.result["blocked"], "code") == ["not-found"]
    assert deployed.text(PAYMENT_PATH) == PAYMENT


def test_a_member_without_an_image_is_skipped_where_that_is_asked_for(deployed: Shop) -> None:
    deployed.ok("rollback", "--service", "payment", *REASON)
    again = ("--set", "checkout", *REASON, "--again")
    run = deployed.refused(4, "not-found", "rollback", *again)
    assert run.error["message"].startswith("1 of 2 services")
    run = deployed.ok("rollback", *again, "--skip-blocked")
    assert names(run.result["services"], "service") == ["cart"]
    assert names(run.result["blocked"], "code") == ["not-found"]


def test_a_plan_counts_the_refused_beside_those_without_an_image(deployed: Shop) -> None:
    deployed.commit({"apps/mail/deployment.yaml": PAYMENT.replace("payment", "mail")})
    deployed.ok("rollback", "--service", "cart", *REASON)
    three = ("--service", "cart", "--service", "mail", "--service", "payment")
    run = deployed.refused(4, "not-found", "plan", *three)
    assert run.error["message"].startswith("2 of 3 services cannot be rolled back: there is no")
    assert deployed.ok("plan", *three, "--skip-blocked").result["services"][2]["to"]
    run = deployed.refused(4, "not-found", "plan", *three[:4], "--skip-blocked")
    assert "--skip-blocked" not in run.error["hint"]


def test_of_many_that_are_refused_ten_are_told_in_full(shop: Shop) -> None:
    folders = [f"apps/s{number:02}/deployment.yaml" for number in range(12)]
    services = {path: PAYMENT.replace("payment", path.split("/")[1]) for path in folders}
    shop.commit({".gitops-rollback.toml": TOML, **services})
    named = [f"--service=s{number:02}" for number in range(12)]
    run = shop.refused(4, "not-found", "plan", *named, "--strategy", "git")
    assert run.stdout.count("NO IMAGE to go back to") == 12
    assert run.stdout.count(": no image to go back to") == 10
    assert "  … 2 more: --limit 0\n" in run.stdout
    whole = shop.refused(4, "not-found", "plan", *named, "--strategy", "git", "--limit", "0")
    assert whole.stdout.count(": no image to go back to") == 12


def test_all_means_what_is_configured_or_was_deployed(deployed: Shop) -> None:
    run = deployed.ok("plan", "--all")
    assert names(run.result["services"], "service") == ["cart", "payment"]
    deployed.ok("rollback", "--all", *REASON)
    run = deployed.ok("release", "--all", "--reason", "calm", "--accept", "automation")
    assert names(run.result["services"], "service") == ["cart", "payment"]
    assert deployed.log()[0] == "cart, payment: release"


def test_all_of_a_repository_that_nobody_configured_is_what_was_deployed(shop: Shop) -> None:
    listed = shop.ok("services")
    found = {one["service"] for one in listed.result["services"] if one["inAll"]}
    assert "only found" not in listed.said
    run = shop.run("plan", "--all")
    assert {one["service"] for one in run.result["services"]} == found, "else all that are found"
    shop.deploy("1.5.0")
    run = shop.ok("record", "--all")
    assert [entry["record"]["service"] for entry in run.result["records"]] == ["cart"]
    run = shop.ok("services")
    assert [one["service"] for one in run.result["services"] if one["inAll"]] == ["cart"]
    left = ", ".join(sorted(found - {"cart"}))
    assert f"only found, so left out by --all and the drill: {left} (" in " ".join(run.said.split())


def test_a_folder_that_only_looks_like_a_service_is_left_out_of_all_and_named(shop: Shop) -> None:
    toml = '[defaults]\nmanifests = ["apps/{service}/*.yaml"]\n'
    shop.commit({".gitops-rollback.toml": toml, "apps/common/settings.yaml": "kind: ConfigMap\n"})
    run = shop.ok("record", "--all")
    found = [entry["record"]["service"] for entry in run.result["records"]]
    assert found == ["cart", "ledger", "payment"]
    assert "left out: common" in run.stderr


def test_all_is_bounded_by_what_a_folder_s_jobs_may_touch(deployed: Shop) -> None:
    run = deployed.ok("plan", "--all", "--allowed-services", "cart")
    assert names(run.result["services"], "service") == ["cart"]


def test_as_of_brings_back_what_ran_then_for_each_service(deployed: Shop) -> None:
    time.sleep(1.1)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    time.sleep(1.1)
    deployed.deploy("1.6.0")
    deployed.deploy("1.7.0")
    run = deployed.ok("plan", "--all", "--as-of", moment)
    assert names([s["to"] for s in run.result["services"] if "to" in s], "image") == [
        canonical("1.5.0")
    ]
    assert "payment  2.1.0  -        runs already" in run.stdout
    run = deployed.ok("rollback", "--all", "--as-of", moment, *REASON)
    assert deployed.text().count(image("1.5.0")) == 1
    held, *others = deployed.changed()
    assert held.startswith(".gitops-rollback/.held/"), "one hold: what runs already gets none"
    assert others == [".gitops-rollback/default/cart.json", CART_PATH]
    assert names(run.result["services"], "to") == [
        canonical("1.5.0"),
        canonical("2.1.0", "payment"),
    ]
    run = deployed.ok("rollback", "--all", "--as-of", moment, *REASON)
    assert run.result["changed"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--as-of", "yesterday"), "neither an age nor a time"),
        (("--as-of", "2026-01-31T02:00:00"), "no offset"),
        (("--as-of", "2h", "--to", "1.4.1"), "--as-of and --to are two ways"),
        (("--as-of", "2h", "--strategy", "registry"), "--as-of and --strategy registry"),
    ],
)
def test_a_wrong_time_is_a_usage_error(shop: Shop, arguments: tuple[str, ...], words: str) -> None:
    run = shop.refused(2, "usage", "plan", "--service", "cart", *arguments)
    assert words in run.error["message"]
    nowhere = {"repository": "http://127.0.0.1:1/manifests.git"}
    run = shop.refused(2, "usage", "plan", "--service", "cart", *arguments, **nowhere)
    assert words in run.error["message"], "what is typed wrong is said before a server is asked"


def test_a_time_before_anything_is_known_is_4(deployed: Shop) -> None:
    old = ("--service", "cart", "--as-of", "2001-01-31T02:00:00Z")
    run = deployed.refused(4, "not-found", "plan", *old)
    assert "what ran at 2001-01-31T02:00:00Z is not known" in run.error["message"]


def test_the_record_of_another_service_or_of_what_was_before_is_no_record_of_a_rollback(
    deployed: Shop,
) -> None:
    records = [entry["file"] for entry in deployed.ok("record", "--all").result["records"]]
    rollback = ("rollback", "--service", "cart", *REASON)
    run = deployed.refused(1, "config", *rollback, "--record", records[1])
    assert "it is for service 'payment', not 'cart'" in run.error["message"]
    deployed.deploy("1.6.0")
    run = deployed.refused(5, "moved", *rollback, "--record", records[0])
    assert f"recorded {image('1.5.0')}, now {image('1.6.0')}" in run.error["message"]
    plan = deployed.root / "plan.json"
    deployed.ok("plan", "--set", "checkout")
    (deployed.root / "result.json").rename(plan)
    made = deployed.ok("record", "--plan", str(plan)).result["records"]
    given = [part for entry in made for part in ("--record", entry["file"])]
    deployed.ok("rollback", "--plan", str(plan), *REASON, *given)
    for entry, service in zip(made, ("cart", "payment"), strict=True):
        assert deployed.state(service)["deployed"][0]["record"] == entry["sha256"]
