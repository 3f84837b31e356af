"""The main job on a directory store: deploy, plan, roll back, hold, release."""

from __future__ import annotations

import json
import subprocess
from hashlib import sha256
from typing import TYPE_CHECKING

from integration.shop import (
    CART,
    CART_PATH,
    CART_STATE,
    PAYMENT,
    PAYMENT_PATH,
    Shop,
    canonical,
    digest,
    image,
    names,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_deploy_changes_the_image_text_and_the_state_file_and_nothing_else(shop: Shop) -> None:
    run = shop.deploy("1.4.2", "--by", "jane")
    assert shop.text() == CART.replace("acme/cart:1.4.1", image("1.4.2"))
    assert shop.changed() == [CART_STATE, CART_PATH]
    assert run.result["changed"] is True
    assert run.result["commit"] == shop.tip()
    assert run.result["branch"] == "main"
    assert run.service() == {
        "service": "cart",
        "environment": "default",
        "from": "docker.io/acme/cart:1.4.1",
        "to": canonical("1.4.2"),
        "edits": [
            {
                "path": CART_PATH,
                "line": 23,
                "container": "server",
                "old": "acme/cart:1.4.1",
                "new": image("1.4.2"),
            }
        ],
        "warnings": [],
        "effectProof": {"by": "model"},
    }
    assert {"total", "fetch", "decide", "edit", "push"} == set(run.result["seconds"])
    entry = shop.state()["deployed"][0]
    assert entry["record"] == "sha256:" + _sha256_of(shop.records.folder(1) / "record.json")
    assert (entry["action"], entry["image"], entry["by"]) == ("deploy", canonical("1.4.2"), "jane")


def test_the_commit_message_has_a_subject_for_people_and_a_trailer_for_each_fact(
    shop: Shop,
) -> None:
    build = {"JOB_NAME": "shop/cart", "BUILD_NUMBER": "41", "BUILD_URL": "https://ci.example/41/"}
    shop.deploy("1.4.2", "--reason", "two\nlines\x07", environment={**build, "GITOPS_BY": "jane"})
    message = shop.git("log", "-1", "--format=%B", "main")
    record = shop.state()["deployed"][0]["record"]
    assert message.splitlines() == [
        "cart: 1.4.1 → 1.4.2 (deploy)",
        "",
        "Gitops-Action: deploy",
        "Gitops-Service: cart",
        "Gitops-Environment: default",
        "Gitops-From: docker.io/acme/cart:1.4.1",
        f"Gitops-To: {canonical('1.4.2')}",
        f"Gitops-Record: {record}",
        "Gitops-Build: shop/cart #41",
        "Gitops-By: jane",
        "Gitops-Reason: two lines",
    ]
    trailers = shop.git("log", "-1", "--format=%(trailers:key=Gitops-Build,valueonly)", "main")
    assert trailers == "shop/cart #41"
    assert shop.state()["deployed"][0]["build"] == {
        "job": "shop/cart",
        "number": 41,
        "url": "https://ci.example/41/",
    }


def test_every_field_of_a_service_moves_in_one_commit(shop: Shop) -> None:
    run = shop.deploy("2.1.0", name="payment")
    assert shop.text(PAYMENT_PATH) == PAYMENT.replace(
        "acme/payment:2.0.0", image("2.1.0", "payment")
    )
    assert names(run.service()["edits"], "container") == ["migrate", "server", "report"]


def test_two_deploys_are_rolled_back_from_the_archived_record(released: Shop) -> None:
    plan = released.ok("plan", "--service", "cart").service()
    assert plan["current"] == {"image": canonical("1.5.0"), "value": image("1.5.0")}
    assert plan["to"]["image"] == canonical("1.4.2")
    assert plan["to"]["source"] == "artifact"
    assert plan["to"]["verified"] is False
    assert plan["candidates"][0]["sources"] == ["artifact", "git"]
    assert [(c["image"], c["verdict"]) for c in plan["candidates"]] == [
        (canonical("1.4.2"), "chosen"),
        ("docker.io/acme/cart:1.4.1", "acceptable"),
    ]
    run = released.roll_back()
    assert run.service()["to"] == canonical("1.4.2")
    assert run.service()["edits"] == plan["edits"]
    held = CART.replace("acme/cart:1.4.1", image("1.4.2")).replace(
        '{"$imagepolicy"', '{"$imagepolicy-held"'
    )
    assert released.text() == held
    [hold] = released.holds()
    assert released.changed() == [hold, CART_STATE, CART_PATH]
    state = released.state()
    assert names(state["deployed"], "action") == ["rollback", "deploy", "deploy"]
    assert state["bad"][0]["image"] == canonical("1.5.0")
    assert state["bad"][0]["reason"] == "checkout fails"
    assert state["hold"]["from"] == canonical("1.5.0")
    assert state["hold"]["to"] == canonical("1.4.2")
    assert state["hold"]["markers"] == [
        {
            "path": CART_PATH,
            "container": "server",
            "marker": '{"$imagepolicy": "flux-system:cart"}',
        }
    ]
    assert released.log()[0] == "cart: 1.5.0 → 1.4.2 (rollback)"


def test_the_rollback_restores_the_recorded_text_even_without_a_digest(shop: Shop) -> None:
    shop.deploy("1.5.0")
    run = shop.roll_back()
    assert run.service()["to"] == "docker.io/acme/cart:1.4.1"
    assert shop.text() == CART.replace('{"$imagepolicy"', '{"$imagepolicy-held"')


def test_the_record_of_a_rollback_is_filed_too(held: Shop) -> None:
    assert held.records.numbers() == [1, 2, 3]
    record = held.records.read(3)
    assert record["action"] == "rollback"
    assert record["image"] == canonical("1.5.0")
    assert record["digestFrom"] == "manifest"
    assert record["replacedBy"] == canonical("1.4.2")
    copy = held.records.folder(3) / "manifests" / CART_PATH
    assert copy.read_text(encoding="utf-8") == CART.replace("acme/cart:1.4.1", image("1.5.0"))


def test_a_second_rollback_is_refused_with_when_and_by_whom(held: Shop) -> None:
    again = ("--service", "cart", "--reason", "me too")
    run = held.refused(6, "refused", "rollback", *again)
    assert run.error["code"] == "already"
    assert "ago by jane, 1.5.0 → 1.4.2" in run.error["message"]
    assert "--again" in run.error["hint"]
    assert run.service()["blockedBy"][0]["code"] == "already"


def test_again_goes_one_further(shop: Shop) -> None:
    for tag in ("1.4.2", "1.4.3", "1.5.0"):
        shop.deploy(tag)
    shop.roll_back()
    run = shop.roll_back("--again")
    assert run.service()["to"] == canonical("1.4.2")
    assert names(shop.state()["bad"], "image") == [canonical("1.4.3"), canonical("1.5.0")]
    # The markers are held already, and the hold still knows them.
    assert len(shop.state()["hold"]["markers"]) == 1
    assert shop.text().count("$imagepolicy-held") == 1


def test_a_plan_of_a_service_rolled_back_shows_hold_and_block_and_ends_with_0(shop: Shop) -> None:
    shop.deploy("1.4.2")
    shop.roll_back()
    plan = shop.ok("plan", "--service", "cart").service()
    assert names(plan["blockedBy"], "code") == ["already"]
    assert plan["hold"]["by"] == "jane"


def test_while_held_a_deploy_is_refused_by_whom_when_and_why(held: Shop) -> None:
    run = held.refused(6, "refused", "deploy", "--service", "cart", "--image", image("1.5.1"))
    assert run.error["code"] == "held"
    assert "by jane" in run.error["message"]
    assert "checkout fails" in run.error["message"]
    assert "--release" in run.error["hint"]


def test_the_bad_image_is_refused_after_the_hold_too(held: Shop) -> None:
    accept = ("--reason", "calm again", "--accept", "automation")
    held.ok("release", "--service", "cart", *accept)
    run = held.refused(6, "refused", "deploy", "--service", "cart", "--image", image("1.5.0"))
    assert run.error["code"] == "bad"
    # The same image under another tag is the same image.
    other = f"acme/cart:1.5.0-again@{digest('cart:1.5.0')}"
    run = held.refused(6, "refused", "deploy", "--service", "cart", "--image", other)
    assert run.error["code"] == "bad"
    held.deploy("1.5.0", "--accept", "bad")
    assert held.state()["bad"] == []


def test_deploy_release_ends_the_hold_with_the_fix_in_one_commit(held: Shop) -> None:
    before = len(held.log())
    fix = ("--service", "cart", "--image", image("1.5.1"), "--release")
    refused = held.refused(6, "refused", "deploy", *fix)
    assert refused.error["code"] == "automation"
    held.ok("deploy", *fix, "--accept", "automation")
    assert len(held.log()) == before + 1
    assert held.text() == CART.replace("acme/cart:1.4.1", image("1.5.1"))
    state = held.state()
    assert "hold" not in state
    assert names(state["bad"], "image") == [canonical("1.5.0")]
    # What follows is as if nothing had been: the next rollback goes to what ran before the fix.
    assert held.roll_back().service()["to"] == canonical("1.4.2")


def test_release_ends_the_hold_alone_restores_markers_and_keeps_the_bad_list(held: Shop) -> None:
    release = ("--service", "cart", "--reason", "policy narrowed")
    [hold] = held.holds()
    assert held.refused(6, "refused", "release", *release).error["code"] == "automation"
    run = held.ok("release", *release, "--accept", "automation")
    assert run.result["changed"] is True
    assert held.text() == CART.replace("acme/cart:1.4.1", image("1.4.2"))
    assert "hold" not in held.state()
    assert names(held.state()["bad"], "image") == [canonical("1.5.0")]
    assert held.log()[0] == "cart: 1.4.2 (release)"
    assert held.holds() == []
    assert held.changed() == [hold, CART_STATE, CART_PATH]


def test_a_release_where_nothing_is_held_changes_nothing(shop: Shop) -> None:
    tip = shop.tip()
    run = shop.ok("release", "--service", "cart", "--reason", "just in case")
    assert run.result["changed"] is False
    assert "commit" not in run.result
    assert shop.tip() == tip
    assert "held" in run.stdout


def test_release_forgives_a_bad_image_by_tag_or_in_full(held: Shop) -> None:
    release = ("--service", "cart", "--reason", "it was the network")
    run = held.refused(2, "usage", "release", *release, "--forgive", "9.9")
    assert "1.5.0" in run.error["message"]
    held.ok("release", *release, "--forgive", "1.5.0")
    assert held.state()["bad"] == []
    assert "$imagepolicy-held" not in held.text()
    held.deploy("1.5.0")


def test_redeploying_what_runs_is_done_and_commits_nothing_even_while_held(held: Shop) -> None:
    tip, records = held.tip(), held.records.numbers()
    run = held.deploy("1.4.2")
    assert run.result["changed"] is False
    assert "commit" not in run.result
    assert run.service()["edits"] == []
    assert (held.tip(), held.records.numbers()) == (tip, records)
    assert "nothing to do" in run.stdout


def test_redeploying_what_runs_with_release_commits_the_release(held: Shop) -> None:
    fix = ("--service", "cart", "--image", image("1.4.2"), "--release")
    assert held.refused(6, "refused", "deploy", *fix).error["code"] == "automation"
    run = held.ok("deploy", *fix, "--accept", "automation")
    assert run.result["changed"] is True
    assert "hold" not in held.state()
    assert held.text() == CART.replace("acme/cart:1.4.1", image("1.4.2"))


def test_a_dry_run_changes_nothing_anywhere(released: Shop) -> None:
    before = released.everything()
    deploy = released.deploy("1.6.0", "--dry-run")
    rollback = released.roll_back("--dry-run", "--record-dir", "records")
    assert released.everything() == before
    assert deploy.service()["edits"][0]["new"] == image("1.6.0")
    assert rollback.service()["to"] == canonical("1.4.2")
    for run in (deploy, rollback):
        assert run.result["dryRun"] is True
        assert "commit" not in run.result
        assert run.result["changed"] is True
        assert "dry run" in run.stdout
    released.roll_back()
    before = released.everything()
    release = ("--service", "cart", "--reason", "test", "--accept", "automation", "--dry-run")
    assert released.ok("release", *release).result["dryRun"] is True
    assert released.everything() == before


def test_a_hold_of_the_image_refuses_only_the_bad_one(shop: Shop) -> None:
    shop.commit({".gitops-rollback.toml": '[services.cart]\nhold = "image"\n'})
    shop.deploy("1.4.2", name="cart")
    shop.deploy("1.5.0")
    shop.roll_back()
    bad = ("--service", "cart", "--image", image("1.5.0"))
    assert shop.refused(6, "refused", "deploy", *bad).error["code"] == "bad"
    shop.deploy("1.5.1", "--accept", "automation")
    assert "hold" not in shop.state()
    assert '{"$imagepolicy":' in shop.text()


def test_pin_tag_writes_only_the_tag_and_keeps_the_digest_in_the_state(shop: Shop) -> None:
    shop.commit({".gitops-rollback.toml": '[defaults]\npin = "tag"\n'})
    shop.deploy("1.4.2")
    assert shop.text() == CART.replace("1.4.1", "1.4.2")
    assert shop.state()["deployed"][0]["image"] == canonical("1.4.2")
    shop.deploy("1.5.0")
    assert shop.records.read(2)["digestFrom"] == "state"
    assert shop.records.read(2)["image"] == canonical("1.4.2")
    # Nobody can confirm that the tag still has its digest, so the digest is written.
    shop.roll_back()
    assert image("1.4.2") in shop.text()


def test_another_digest_under_the_tag_that_stands_there_is_never_called_deployed(
    shop: Shop,
) -> None:
    shop.commit({".gitops-rollback.toml": '[defaults]\npin = "tag"\n'})
    shop.deploy("1.4.2")
    before, log = shop.text(), shop.log()
    again = ("--service", "cart", "--image", f"acme/cart:1.4.2@sha256:{'9' * 64}")
    run = shop.refused(6, "refused", "deploy", *again)
    assert run.error["code"] == "same-tag"
    assert canonical("1.4.2")[-64:-52] in run.error["message"]
    assert "--accept same-tag" in run.error["hint"]
    assert shop.log() == log
    tried = shop.ok("deploy", *again, "--accept", "same-tag", "--dry-run")
    assert (tried.result["changed"], shop.log()) == (False, log)
    done = shop.ok("deploy", *again, "--accept", "same-tag")
    assert (done.result["changed"], done.service()["action"]) == (False, "recorded")
    assert done.result["commit"]
    told = f"→ 1.4.2@sha256:{'9' * 12} written down; what runs is not changed"
    assert told in " ".join(done.stdout.split())
    assert "deployed" not in done.stdout + done.stderr
    assert shop.text() == before
    newest, older = shop.state()["deployed"]
    assert (newest["action"], newest["image"][-64:]) == ("recorded", "9" * 64)
    assert (older["action"], older["image"]) == ("deploy", canonical("1.4.2"))
    # From then on that image runs, as far as the state file tells: nothing is to do.
    assert shop.ok("deploy", *again).result["changed"] is False


def test_without_a_digest_and_without_a_registry_a_deploy_is_refused_or_the_tag_accepted(
    shop: Shop,
) -> None:
    deploy = ("--service", "cart", "--image", "acme/cart:1.5.0")
    run = shop.refused(6, "refused", "deploy", *deploy)
    assert run.error["code"] == "tag"
    assert "it is not found out: asked" in run.error["message"]
    assert "--accept tag" in run.error["hint"]
    shop.ok("deploy", *deploy, "--accept", "tag")
    assert shop.text() == CART.replace("1.4.1", "1.5.0")


def test_a_plan_file_is_followed_as_it_was_shown(released: Shop) -> None:
    plan = released.root / "plan.json"
    released.deploy("1.6.0")
    released.ok("plan", "--service", "cart", "--to", "1.4.2")
    (released.root / "result.json").rename(plan)
    run = released.ok("rollback", "--plan", str(plan), "--reason", "as discussed")
    assert run.service()["to"] == canonical("1.4.2")
    # The plan names what has to run: followed twice, it finds the work done by itself.
    again = released.run("rollback", "--plan", str(plan), "--reason", "as discussed")
    assert again.code in (5, 6)
    assert len(released.log()) == 5


def test_a_plan_is_refused_where_something_else_runs_by_now(released: Shop) -> None:
    plan = released.root / "plan.json"
    released.ok("plan", "--service", "cart")
    (released.root / "result.json").rename(plan)
    released.deploy("1.6.0")
    run = released.refused(5, "moved", "rollback", "--plan", str(plan), "--reason", "late")
    assert canonical("1.6.0") in run.error["message"]
    assert canonical("1.5.0") in run.error["message"]
    assert run.error["hint"].endswith("make the plan again with gitops-rollback plan --output FILE")


def test_the_result_goes_to_stdout_where_the_output_is_a_dash(shop: Shop) -> None:
    line = shop.line("plan", "--service", "cart", "--strategy", "git")
    shop.commit({CART_PATH: CART.replace("1.4.1", "1.4.2")})
    done = subprocess.run(
        [*line[:-1], "-"], env=shop.environment, cwd=shop.root, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["services"][0]["service"] == "cart"


def test_services_lists_what_is_configured_and_what_is_discovered(shop: Shop) -> None:
    run = shop.ok("services")
    found = {entry["service"]: entry for entry in run.result["services"]}
    assert {"cart", "payment", "ledger"} <= set(found)
    assert found["cart"]["image"] == "docker.io/acme/cart:1.4.1"
    assert found["cart"]["source"] == "discovery"
    assert found["cart"]["fields"][0]["line"] == 23
    assert names(found["payment"]["fields"], "kind") == ["Deployment", "Deployment", "CronJob"]
    assert run.result["skipped"] == []
    shop.commit(
        {
            ".gitops-rollback.toml": '[services.cart]\nmanifests = ["apps/cart/*.yaml"]\n',
            "apps/chart/templates/deployment.yaml": "image: {{ .image }}\n{{- end }}\n",
        }
    )
    run = shop.ok("services")
    found = {entry["service"]: entry for entry in run.result["services"]}
    assert found["cart"]["source"] == "config"
    assert found["payment"]["source"] == "discovery"
    assert names(run.result["skipped"], "path") == ["apps/chart/templates/deployment.yaml"]


def test_a_stateful_set_is_deployed_without_touching_its_claims(shop: Shop) -> None:
    before = shop.text("apps/ledger/statefulset.yaml")
    shop.deploy("3.2", name="ledger")
    assert shop.text("apps/ledger/statefulset.yaml") == before.replace(
        "acme/ledger:3.1", image("3.2", "ledger")
    )


def _sha256_of(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def test_a_service_of_one_moving_tag_is_told_by_digests_everywhere(shop: Shop) -> None:
    cart = ("--service", "cart")
    old, new = (f"acme/cart:main@{digest(name)}" for name in ("one", "two"))
    for wanted in (old, new):
        shop.ok("deploy", *cart, "--image", wanted)
    step = f"main@{digest('two')[:19]} → main@{digest('one')[:19]}"
    assert f"cart: {step}\n" in shop.ok("plan", *cart).stdout
    rolled = shop.ok("rollback", *cart, "--reason", "x")
    assert f"cart: {step} rolled back, held\n" in rolled.stdout
    again = shop.refused(6, "refused", "deploy", *cart, "--image", f"{new[:-3]}abc")
    assert f": {step} (x)" in again.error["message"]
    back = shop.refused(6, "refused", "rollback", *cart, "--reason", "y")
    assert back.error["message"].endswith(f", {step}")
    assert f"rollback {step}" in " ".join(shop.ok("history", *cart).stdout.split())
    assert shop.log()[0] == f"cart: {step} (rollback)"
