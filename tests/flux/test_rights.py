"""What an account may not see costs what docs/flux.md says, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from flux.account import documented
from flux.kubelet_logs import KubeletLogs

if TYPE_CHECKING:
    from flux.account import Account
    from flux.fleet import Fleet


def test_the_documented_rights_are_enough(fleet: Fleet, account: Account) -> None:
    path = account.may(documented()["rules"])
    run = fleet.wait("--change", str(fleet.deploy("3.9")), KUBECONFIG=path)
    assert run.code == 0, run.stderr
    assert "2 pods run 3.9 (sha256:" in run.stderr


def test_an_account_of_one_namespace_is_enough_where_flux_is_in_it(
    fleet: Fleet, account: Account
) -> None:
    path = account.may(documented()["rules"], everywhere=False)
    run = fleet.wait("--change", str(fleet.deploy("3.9")), KUBECONFIG=path)
    assert (run.code, run.result["state"]) == (0, "ready"), run.stderr
    assert "2 pods run 3.9 (sha256:" in run.stderr


def test_without_rights_on_workloads_flux_alone_is_heard_and_no_pod_is_proven(
    fleet: Fleet, account: Account
) -> None:
    fleet.check_health()
    rules = [rule for rule in documented()["rules"] if "toolkit" in rule["apiGroups"][0]]
    path = account.may(rules)
    run = fleet.wait("--change", str(fleet.deploy("3.9")), KUBECONFIG=path)
    assert (run.code, run.result["state"]) == (0, "applied"), run.stderr
    assert "its workloads may not be read here; Kustomization/" in run.stderr


def test_without_rights_on_workloads_a_failed_health_check_is_ours_by_its_object(
    fleet: Fleet, account: Account
) -> None:
    fleet.check_health()
    rules = [rule for rule in documented()["rules"] if "toolkit" in rule["apiGroups"][0]]
    path = account.may(rules)
    run = fleet.wait("--change", str(fleet.deploy("does-not-exist")), KUBECONFIG=path)
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["whose"]) == ("health", "ours")
    assert failure["object"] == f"Deployment/{fleet.namespace}/cart"


def test_without_the_right_to_logs_a_crash_is_named_without_its_last_words(
    fleet: Fleet, account: Account
) -> None:
    if not fleet.has_fakelet():
        pytest.skip("only a kubelet that pretends crashes an image by its name")
    rules = [rule for rule in documented()["rules"] if "pods/log" not in rule["resources"]]
    path = account.may(rules)
    with KubeletLogs(fleet, previous=["fatal: no database"]) as logs:
        run = fleet.wait("--change", str(fleet.deploy("crash")), KUBECONFIG=path)
    assert run.result["rollouts"][0]["failure"]["code"] == "crash"
    assert "last words" not in run.error["message"]
    assert logs.asked == []


def test_without_the_right_to_nudge_it_waits_for_the_interval(
    fleet: Fleet, account: Account
) -> None:
    rules = documented()["rules"]
    for rule in rules:
        rule["verbs"] = [verb for verb in rule["verbs"] if verb != "patch"]
    path = account.may(rules)
    spec = '{"spec": {"interval": "3s"}}'
    fleet.kubectl("patch", "gitrepository/shop", "--type", "merge", "-p", spec)
    run = fleet.wait("--change", str(fleet.deploy("3.9")), KUBECONFIG=path)
    assert run.code == 0, run.stderr


def test_without_any_rights_nothing_is_verified_which_is_a_failure_and_the_right_is_named(
    still_fleet: Fleet, still_account: Account
) -> None:
    path = still_account.may([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}])
    run = still_fleet.wait(KUBECONFIG=path)
    assert (run.code, run.error["category"]) == (1, "cluster"), run.stderr
    assert run.result["verifiedBy"] == "nothing"
    assert "cannot list resource" in run.stderr
    assert "gitrepositories" in run.stderr


def test_without_a_kubeconfig_nothing_is_verified(still_fleet: Fleet) -> None:
    run = still_fleet.wait(KUBECONFIG="")
    assert run.code == 0, run.stderr
    assert "warning: nothing was verified: there is no kubeconfig" in run.stderr


def test_a_cluster_that_does_not_answer_is_said(still_fleet: Fleet) -> None:
    config = json.loads(still_fleet.kubectl("config", "view", "--raw", "--output", "json"))
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = still_fleet.shop.root / "away.kubeconfig"
    path.write_text(json.dumps(config), encoding="utf-8")
    run = still_fleet.wait(KUBECONFIG=str(path))
    assert (run.code, run.error["category"]) == (1, "cluster")
    assert "did not answer: the connection was refused" in run.error["message"]
    named = still_fleet.wait("--kube-context", config["contexts"][0]["name"], KUBECONFIG=str(path))
    assert (named.code, named.error["category"]) == (1, "cluster")
