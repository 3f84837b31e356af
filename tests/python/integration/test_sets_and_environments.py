"""Sets move in one commit; environments are deployed on their own."""

from __future__ import annotations

import pytest

from integration.shop import CART, PAYMENT, PAYMENT_PATH, Shop, canonical, image, names

SETS = """
[defaults]
manifests = ["apps/{service}/*.yaml"]
image = "docker.io/acme/{service}"
[services.cart]
[services.payment]
[sets]
checkout = ["cart", "payment"]
"""
ENVIRONMENTS = """
[defaults]
manifests = ["{service}.yaml"]
[environments.staging]
path = "clusters/staging"
[environments.production]
path = "clusters/production"
branch = "live"
"""


@pytest.fixture
def checkout(shop: Shop) -> Shop:
    shop.commit({".gitops-rollback.toml": SETS})
    return shop


@pytest.fixture
def clusters(shop: Shop) -> Shop:
    shop.commit(
        {
            ".gitops-rollback.toml": ENVIRONMENTS,
            "clusters/staging/cart.yaml": CART.replace("1.4.1", "2.0.0"),
            "clusters/staging/payment.yaml": PAYMENT,
        }
    )
    shop.commit({"clusters/production/cart.yaml": CART}, branch="live")
    return shop


def test_a_set_is_rolled_back_in_one_commit(checkout: Shop) -> None:
    checkout.deploy("1.5.0")
    checkout.deploy("2.1.0", name="payment")
    before = len(checkout.log())
    run = checkout.ok("rollback", "--service", "checkout", "--reason", "both")
    assert names(run.result["services"], "service") == ["cart", "payment"]
    assert len(checkout.log()) == before + 1
    assert checkout.text(PAYMENT_PATH) == PAYMENT
    assert checkout.log()[0] == "cart, payment: rollback"
    body = checkout.git("log", "-1", "--format=%B", "main")
    assert body.count("Gitops-Service: ") == 2
    assert checkout.state()["hold"]
    assert checkout.state("payment")["hold"]
    accept = ("--reason", "calm", "--accept", "automation")
    checkout.ok("release", "--set", "checkout", *accept)
    assert "hold" not in checkout.state("payment")


def test_a_set_without_an_image_for_one_member_is_4_before_6_and_changes_nothing(
    checkout: Shop,
) -> None:
    checkout.deploy("1.5.0")
    checkout.roll_back()
    run = checkout.refused(4, "not-found", "rollback", "--set", "checkout", "--reason", "both")
    assert "payment" in run.error["message"]
    assert names(run.result["services"], "service") == ["cart", "payment"]


def test_a_set_with_one_member_refused_changes_nothing(checkout: Shop) -> None:
    checkout.deploy("1.5.0")
    checkout.roll_back()
    checkout.deploy("2.1.0", name="payment")
    run = checkout.refused(6, "refused", "rollback", "--set", "checkout", "--reason", "both")
    assert run.error["code"] == "already"


def test_several_services_are_named_by_repetition_or_with_commas_and_blanks(
    checkout: Shop,
) -> None:
    expected = ["cart", "payment"]
    for arguments, variable in (
        (("--service", "cart", "--service", "payment"), ""),
        (("--service", "cart,payment"), ""),
        ((), "cart, payment"),
        ((), " cart payment,"),
        (("--service", "checkout", "--service", "cart"), "ledger"),
    ):
        run = checkout.ok("record", *arguments, environment={"GITOPS_SERVICE": variable})
        found = [entry["record"]["service"] for entry in run.result["records"]]
        assert found == expected


def test_an_unknown_set_is_an_error_with_the_nearest_name(checkout: Shop) -> None:
    run = checkout.refused(1, "config", "plan", "--set", "chekout")
    assert "checkout" in run.error["message"] + run.error["hint"]


def test_environments_have_paths_branches_and_states_of_their_own(clusters: Shop) -> None:
    production = ("--environment", "production")
    run = clusters.deploy("1.5.0", *production)
    assert run.result["branch"] == "live"
    assert run.service()["edits"][0]["path"] == "clusters/production/cart.yaml"
    assert clusters.text("clusters/production/cart.yaml", "live") == CART.replace(
        "acme/cart:1.4.1", image("1.5.0")
    )
    assert clusters.changed("live") == [
        ".gitops-rollback/production/cart.json",
        "clusters/production/cart.yaml",
    ]
    assert len(clusters.log()) == 2, "the configuration's branch is left alone"
    run = clusters.deploy("2.1.0", "--environment", "staging")
    assert run.result["branch"] == "main"
    assert clusters.ok("plan", "--service", "cart", *production).result["branch"] == "live"
    rollback = clusters.roll_back(environment={"GITOPS_ENVIRONMENT": "production"})
    assert rollback.service()["to"] == "docker.io/acme/cart:1.4.1"
    refused = clusters.refused(
        6, "refused", "deploy", "--service", "cart", "--image", image("1.5.1"), *production
    )
    assert refused.error["code"] == "held"
    clusters.deploy("2.2.0", "--environment", "staging")
    record = clusters.records.folder(1, environment="production") / "record.json"
    assert record.exists()


def test_without_an_environment_several_are_an_error_that_lists_the_holders(
    clusters: Shop,
) -> None:
    run = clusters.refused(1, "config", "plan", "--service", "cart")
    assert "staging, production" in run.error["message"]
    run = clusters.refused(1, "config", "plan", "--service", "payment")
    assert "staging" in run.error["message"]
    assert "production" not in run.error["message"]


def test_an_unknown_environment_is_an_error_with_the_nearest_name(clusters: Shop) -> None:
    run = clusters.refused(1, "config", "plan", "--service", "cart", "--environment", "productoin")
    assert "did you mean production?" in run.error["hint"]


def test_what_is_spelt_wrong_where_no_environment_is_named_is_answered_with_what_is_near(
    clusters: Shop,
) -> None:
    run = clusters.refused(1, "config", "plan", "--service", "crat")
    assert "none of them holds crat" in run.error["message"]
    assert run.error["hint"] == "did you mean cart?"
    capital = ("plan", "--service", "cart", "--environment", "Staging")
    run = clusters.refused(2, "usage", *capital)
    assert run.error["hint"].endswith("did you mean staging?")


def test_an_environment_in_which_nobody_can_tell_is_named_with_the_reason(clusters: Shop) -> None:
    broken = CART.replace("spec:\n  replicas", "spec:\n\treplicas")
    clusters.commit({"clusters/staging/cart.yaml": broken})
    run = clusters.refused(1, "config", "plan", "--service", "cart")
    assert "production of them holds cart; in staging: " in run.error["message"]
    assert "clusters/staging/cart.yaml" in run.error["message"]
    assert run.error["hint"] == "choose one with --environment: staging, production"


@pytest.mark.parametrize(
    ("right", "wrong", "hint"),
    [
        (
            'path = "clusters/staging"',
            'path = "clusters/stagin"',
            "clusters/stagin; did you mean clusters/staging?",
        ),
        (
            'manifests = ["{service}.yaml"]',
            'manifests = ["{service}.yml"]',
            "clusters/staging/cart.yml; did you mean clusters/staging/cart.yaml?",
        ),
        (
            'manifests = ["{service}.yaml"]',
            'manifests = ["quite/elsewhere/*.yaml"]',
            "clusters/staging/quite/elsewhere",
        ),
        (
            'manifests = ["{service}.yaml"]',
            'manifests = ["*-{service}.yaml"]',
            "",
        ),
    ],
)
def test_a_place_at_which_nothing_is_is_told_with_what_is_near(
    clusters: Shop, right: str, wrong: str, hint: str
) -> None:
    assert right in ENVIRONMENTS
    clusters.commit({".gitops-rollback.toml": ENVIRONMENTS.replace(right, wrong)})
    run = clusters.refused(1, "config", "plan", "--service", "cart", "--environment", "staging")
    key = "`path`" if right.startswith("path") else "`manifests`"
    assert run.error["hint"].startswith(f"check {key} in .gitops-rollback.toml")
    assert run.error["hint"].partition("nothing is at ")[2] == hint


def test_the_drill_tells_of_a_set_that_names_a_service_which_is_not_there(clusters: Shop) -> None:
    """Nobody but who rolls the set back at night would find it out."""
    sets = '[sets]\nboth = ["cart", "payment"]\nall = ["cart", "paymet"]\nfar = ["x", "y"]\n'
    clusters.commit({".gitops-rollback.toml": ENVIRONMENTS + sets})
    run = clusters.run("check", "--environment", "staging")
    told = [one for one in run.result["findings"] if one["subject"].startswith("set ")]
    assert [(one["subject"], one["level"]) for one in told] == [("set all", "warning")]
    assert "service 'paymet' in environment 'staging'" in told[0]["message"]
    assert "did you mean payment?" in told[0]["hint"]
    named = clusters.run("check", "--service", "cart", "--environment", "staging")
    assert not [one for one in named.result["findings"] if one["subject"].startswith("set ")]


def test_the_drill_tells_of_a_set_of_which_nothing_is_where_there_is_no_other_environment(
    checkout: Shop,
) -> None:
    checkout.commit({".gitops-rollback.toml": SETS + 'far = ["x"]\n'})
    found = checkout.run("check").result["findings"]
    assert [one["subject"] for one in found if one["subject"].startswith("set ")] == ["set far"]


def test_the_only_environment_needs_no_choosing(shop: Shop) -> None:
    shop.commit({".gitops-rollback.toml": '[environments.production]\npath = "apps"\n'})
    run = shop.deploy("1.5.0")
    assert run.service()["environment"] == "production"
    assert shop.state(environment="production")["environment"] == "production"


def test_services_of_one_environment_are_listed(clusters: Shop) -> None:
    run = clusters.ok("services", "--environment", "staging")
    assert {"cart", "payment"} <= set(names(run.result["services"], "service"))
    run = clusters.ok("services", "--environment", "production")
    assert [s["service"] for s in run.result["services"] if s["fields"]] == ["cart"]


def test_the_configuration_is_read_where_the_branch_option_says(clusters: Shop) -> None:
    clusters.git("update-ref", "refs/heads/next", clusters.tip() or "")
    toml = ENVIRONMENTS.replace("[environments.staging]", "[environments.testing]")
    clusters.commit({".gitops-rollback.toml": toml}, branch="next")
    run = clusters.deploy("2.1.0", "--branch", "next", "--environment", "testing")
    assert run.result["branch"] == "next"


def test_the_plan_file_of_an_environment_is_followed_without_naming_it(clusters: Shop) -> None:
    clusters.deploy("1.5.0", "--environment", "production")
    clusters.ok("plan", "--service", "cart", "--environment", "production")
    plan = clusters.root / "plan.json"
    (clusters.root / "result.json").rename(plan)
    run = clusters.ok("rollback", "--plan", str(plan), "--reason", "as discussed")
    assert run.service()["environment"] == "production"
    assert canonical("1.5.0") == run.service()["from"]


def test_a_field_of_two_environments_on_one_branch_is_refused_although_only_one_names_it(
    shop: Shop,
) -> None:
    toml = '[environments.all]\npath = "apps"\n[environments.cart]\npath = "apps/cart"\n'
    shop.commit({".gitops-rollback.toml": toml + 'branch = "main"\n'})
    deploy = ("deploy", "--service", "cart", "--image", image("1.4.2"))
    run = shop.refused(1, "config", *deploy, "--environment", "all")
    assert "belongs to the environments 'all' and 'cart'" in run.error["message"]


def test_only_the_allowed_services_can_be_named_whatever_stands_in_the_way(shop: Shop) -> None:
    sets = '[sets]\ncheckout = ["cart", "payment"]\n[environments.a]\npath = "apps"\n'
    shop.commit({".gitops-rollback.toml": sets + '[environments.b]\npath = "b"\n'})
    deploy = ("--service", "ledger", "--image", image("3.2", "ledger"))
    run = shop.refused(1, "config", "deploy", *deploy, "--allowed-services", "checkout")
    assert run.error["message"] == "this job or folder may not touch ledger; allowed is checkout"
    run = shop.refused(
        *(1, "config", "plan", "--service", "ledger"),
        environment={"GITOPS_ALLOWED_SERVICES": "checkout cart"},
    )
    assert "may not touch ledger" in run.error["message"]
    options = ("--environment", "a", "--allowed-services", "checkout")
    shop.ok("deploy", "--service", "cart", "--image", image("1.4.2"), *options)


def test_what_is_printed_after_a_rollback_of_several_services_deploys_the_fix_of_each(
    checkout: Shop,
) -> None:
    checkout.deploy("1.5.0")
    checkout.deploy("2.1.0", name="payment")
    run = checkout.ok("rollback", "--service", "checkout", "--reason", "both")
    [line] = [one for one in run.stderr.splitlines() if "to deploy the fix: " in one]
    for name, tag in (("cart", "1.6.0"), ("payment", "2.2.0")):
        line = line.replace(f"{name}=IMAGE", f"{name}={image(tag, name)}")
    checkout.ok(*line.partition("gitops-rollback ")[2].split(), "--accept", "automation")
    assert canonical("1.6.0") in str(checkout.state()["deployed"][0])
    assert canonical("2.2.0", "payment") in str(checkout.state("payment")["deployed"][0])
