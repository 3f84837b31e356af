"""What a job is allowed holds for the fields that would change, whatever they are called."""

from __future__ import annotations

import pytest

from integration.shop import CART, CART_PATH, PAYMENT_PATH, Shop, image

ALLOWED = {"GITOPS_ALLOWED_SERVICES": "cart"}
UNDO = ("--reason", "no sales")


@pytest.fixture
def paid(released: Shop) -> Shop:
    """A shop in which the payment was deployed twice, too."""
    for tag in ("2.1.0", "2.2.0"):
        released.deploy(tag, name="payment")
    return released


def refused(shop: Shop, *arguments: str, words: str, allowed: str = "cart") -> None:
    """The payment and the cart stay as they are, and the error says why."""
    before = shop.text(PAYMENT_PATH), shop.text(CART_PATH)
    environment = {"GITOPS_ALLOWED_SERVICES": allowed}
    run = shop.run(*arguments, environment=environment)
    assert run.code in (1, 2), run.stderr
    assert words in run.error["message"]
    assert (shop.text(PAYMENT_PATH), shop.text(CART_PATH)) == before


def test_what_is_not_allowed_is_refused_and_what_is_goes_on(paid: Shop) -> None:
    refused(paid, "rollback", "--service", "payment", *UNDO, words="may not touch payment")
    paid.ok("rollback", "--service", "cart", *UNDO, environment=ALLOWED)


@pytest.mark.parametrize("option", ["--service", "--set"])
@pytest.mark.parametrize("members", ['["payment"]', '["cart", "payment"]'])
def test_a_set_that_bears_the_name_of_a_service_means_nothing(
    paid: Shop, option: str, members: str
) -> None:
    paid.commit({".gitops-rollback.toml": f"[sets]\ncart = {members}\n"})
    for command in ("rollback", "release"):
        refused(paid, command, option, "cart", *UNDO, words="name of a set")
    refused(paid, "rollback", option, "cart", *UNDO, words="name of a set", allowed="")


def test_a_set_under_the_name_of_an_allowed_service_lets_nobody_else_in(paid: Shop) -> None:
    paid.commit({".gitops-rollback.toml": '[sets]\ncart = ["payment"]\n'})
    refused(paid, "rollback", "--service", "payment", *UNDO, words="name of a set")
    refused(paid, "rollback", "--all", *UNDO, words="name of a set")


def test_a_set_that_is_allowed_by_its_name_lets_its_members_in(paid: Shop) -> None:
    paid.commit({".gitops-rollback.toml": '[sets]\ncheckout = ["cart", "payment"]\n'})
    allowed = {"GITOPS_ALLOWED_SERVICES": "checkout"}
    paid.ok("rollback", "--set", "checkout", *UNDO, environment=allowed)


def test_a_second_name_of_a_field_is_no_way_round(paid: Shop) -> None:
    paid.commit(
        {
            ".gitops-rollback.toml": (
                "[services.payment]\n"
                '[services.cart]\nimage = "docker.io/acme/payment"\n'
                'manifests = ["apps/payment/*.yaml"]\n'
            )
        }
    )
    words = "those of payment, too"
    refused(paid, "rollback", "--service", "cart", *UNDO, words=words)
    deploy = ("deploy", "--service", "cart", "--image", image("2.3.0", "payment"))
    refused(paid, *deploy, words=words)
    paid.ok("plan", "--service", "cart")  # where all are allowed, a second name is one


def test_a_name_that_only_a_state_file_knows_is_no_way_round_either(paid: Shop) -> None:
    table = (
        '[services.checkout]\nimage = "docker.io/acme/payment"\nmanifests = ["apps/payment/*"]\n'
    )
    paid.commit({".gitops-rollback.toml": table})
    words = "those of payment, too"
    refused(paid, "rollback", "--service", "checkout", *UNDO, words=words, allowed="checkout")


def test_a_service_beside_it_in_the_same_file_is_not_in_the_way(shop: Shop) -> None:
    two = CART.replace("envoyproxy/envoy:v1.29.0", "acme/proxy:1.0")
    shop.commit({CART_PATH: two, ".gitops-rollback.toml": "[services.cart]\n[services.proxy]\n"})
    named = ("--service", "cart", "--image", image("1.4.2"))
    shop.ok("deploy", *named, environment=ALLOWED)


def test_a_drill_looks_at_what_is_allowed_and_at_nothing_else(paid: Shop) -> None:
    for named in (("payment",), ("cart", "payment")):
        refused(paid, "check", *named, words="may not touch payment")
    checked = paid.run("check", environment=ALLOWED)
    assert checked.code in (0, 8), checked.stderr
    assert [plan["service"] for plan in checked.result["plans"]] == ["cart"]
    nobody = paid.run("check", environment={"GITOPS_ALLOWED_SERVICES": "basket"})
    assert "no service that may be named here" in nobody.error["message"]
    toml = '[services.payment]\n[services.cart]\nimage = "docker.io/acme/payment"\n'
    paid.commit({".gitops-rollback.toml": toml})
    checked = paid.run("check", "cart", environment=ALLOWED)
    assert checked.code == 1
    assert "those of payment, too" in checked.said
