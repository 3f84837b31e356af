"""Deploys and rollbacks on a real Flux, seen to the pods."""

from __future__ import annotations

import json

from flux.fleet import CART, Fleet, deployment, image


def test_a_deploy_is_seen_until_its_pods_run_the_image(fleet: Fleet) -> None:
    fleet.check_health()
    change = fleet.deploy("3.9")
    run = fleet.wait("--change", str(change))
    assert run.code == 0, run.stderr
    assert run.result["state"] == "ready"
    assert run.result["verifiedBy"] == "cluster"
    assert "2 pods run 3.9 (sha256:7031c1b28338)" in run.stderr
    seconds = run.result["seconds"]
    order = [seconds[name] for name in ("decide", "commit", "fetched", "applied", "ready")]
    assert order == sorted(order)
    fleet.says(f"Applied revision: main@sha1:{run.result['commit']}")
    template = fleet.get("deployment/cart")["spec"]["template"]["spec"]
    assert template["containers"][0]["image"] == image("3.9")


def test_a_rollback_is_seen_until_the_pods_run_the_earlier_image(fleet: Fleet) -> None:
    fleet.wait("--change", str(fleet.deploy("3.9")))
    run = fleet.wait("--change", str(fleet.roll_back("checkout fails")))
    assert run.code == 0, run.stderr
    assert "2 pods run 3.8" in run.stderr


def test_what_runs_already_is_ready_at_once(still_fleet: Fleet) -> None:
    run = still_fleet.wait()
    assert run.code == 0, run.stderr
    assert run.result["state"] == "ready"


def test_a_later_commit_that_still_holds_the_change_counts(fleet: Fleet) -> None:
    change = fleet.deploy("3.9")
    fleet.shop.commit({"apps/other.yaml": deployment("other", image("3.8"))}, "Add another")
    run = fleet.wait("--change", str(change))
    assert run.code == 0, run.stderr
    assert "2 pods run 3.9" in run.stderr


def test_a_newer_deploy_overtakes(fleet: Fleet) -> None:
    change = fleet.deploy("3.9")
    fleet.deploy("3.10")
    run = fleet.wait("--change", str(change))
    assert (run.code, run.error["category"]) == (5, "moved")
    assert "overtaken" in run.error["message"]
    assert run.result["state"] == "replaced"


def test_a_reverted_commit_is_no_longer_waited_for(fleet: Fleet) -> None:
    before = fleet.shop.text(CART)
    change = fleet.deploy("3.9")
    fleet.shop.commit({CART: before, ".gitops-rollback/default/cart.json": None}, "Revert")
    run = fleet.wait("--change", str(change))
    assert run.code == 5, run.stderr
    assert "was reverted" in run.error["message"]


def test_an_edit_by_kubectl_is_undone_first(fleet: Fleet) -> None:
    fleet.kubectl("set", "image", "deployment/cart", f"server={image('3.10')}")
    run = fleet.wait()
    assert run.code == 0, run.stderr
    assert "Flux to undo an edit by hand: Deployment/" in run.stderr
    assert "2 pods run 3.8" in run.stderr


def test_several_clusters_have_to_be_done_all(fleet: Fleet) -> None:
    config = json.loads(fleet.kubectl("config", "view", "--raw", "--output", "json"))
    context = config["contexts"][0]["context"]
    config["contexts"] = [{"name": name, "context": context} for name in ("east", "west")]
    path = fleet.shop.root / "kubeconfig"
    path.write_text(json.dumps(config), encoding="utf-8")
    run = fleet.wait(
        "--kube-context", "east", "--kube-context", "west",
        "--change", str(fleet.deploy("3.9")), KUBECONFIG=str(path),
    )  # fmt: skip
    assert run.code == 0, run.stderr
    assert [one["cluster"] for one in run.result["rollouts"]] == ["east", "west"]
    assert "[west] cart: ready" in run.stderr


def test_a_context_that_is_not_there_is_an_error(still_fleet: Fleet) -> None:
    run = still_fleet.wait("--kube-context", "north")
    assert (run.code, run.error["category"]) == (1, "cluster")
    assert "north" in run.error["message"]


def test_a_branch_that_flux_does_not_follow_is_said(still_fleet: Fleet) -> None:
    still_fleet.shop.git("branch", "next", "main")
    run = still_fleet.wait("--branch", "next")
    assert (run.code, run.error["category"]) == (1, "cluster")
    assert "no GitRepository in this cluster follows the branch next" in run.error["message"]
    assert "shop follows branch main" in run.error["message"]
