"""What an account may not see costs what docs/flux.md says, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flux.fleet import Fleet

PAGE = Path(__file__).parents[2] / "docs" / "flux.md"


def documented() -> dict[str, Any]:
    """Return the ClusterRole of the docs."""
    match = re.search(
        r"<!-- rbac -->\n```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert match
    role: dict[str, Any] = yaml.safe_load(match[1])
    return role


@pytest.fixture
def account(fleet: Fleet) -> Iterator[Account]:
    made = Account(fleet)
    yield made
    made.remove()


class Account:
    """A service account in a fleet's namespace, and its kubeconfig."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._name = f"waiter-{fleet.namespace}"

    def may(self, rules: list[dict[str, Any]], *, everywhere: bool = True) -> str:
        """Give the account these rights; return the path of its kubeconfig."""
        fleet, name = self._fleet, self._name
        kind = "ClusterRole" if everywhere else "Role"
        group = "rbac.authorization.k8s.io"
        fleet.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
            {
                "apiVersion": f"{group}/v1",
                "kind": kind,
                "metadata": {"name": name},
                "rules": rules,
            },
            {
                "apiVersion": f"{group}/v1",
                "kind": f"{kind}Binding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": group, "kind": kind, "name": name},
                "subjects": [
                    {"kind": "ServiceAccount", "name": name, "namespace": fleet.namespace}
                ],
            },
        )
        token = fleet.kubectl("create", "token", name).strip()
        config = json.loads(fleet.kubectl("config", "view", "--raw", "--output", "json"))
        config["users"] = [{"name": name, "user": {"token": token}}]
        config["contexts"][0]["context"].update(user=name, namespace=fleet.namespace)
        path = fleet.shop.root / "waiter.kubeconfig"
        path.write_text(json.dumps(config), encoding="utf-8")
        return str(path)

    def remove(self) -> None:
        """Take back what stands outside the namespace."""
        for kind in ("clusterrolebinding", "clusterrole"):
            self._fleet.kubectl("delete", kind, self._name, "--ignore-not-found")


def test_the_documented_rights_are_enough(fleet: Fleet, account: Account) -> None:
    path = account.may(documented()["rules"])
    run = fleet.wait("--change", str(fleet.deploy("3.9")), KUBECONFIG=path)
    assert run.code == 0, run.stderr
    assert "2 pods run 3.9 (sha256:" in run.stderr


def test_without_rights_on_workloads_the_health_checks_of_flux_decide(
    fleet: Fleet, account: Account
) -> None:
    rules = [rule for rule in documented()["rules"] if "toolkit" in rule["apiGroups"][0]]
    path = account.may(rules)
    run = fleet.wait("--change", str(fleet.deploy("3.9")), KUBECONFIG=path)
    assert run.code == 0, run.stderr
    assert "reports health (its workloads may not be read here)" in run.stderr


def test_without_rights_on_workloads_a_failed_health_check_is_ours_by_its_object(
    fleet: Fleet, account: Account
) -> None:
    rules = [rule for rule in documented()["rules"] if "toolkit" in rule["apiGroups"][0]]
    path = account.may(rules)
    run = fleet.wait("--change", str(fleet.deploy("does-not-exist")), KUBECONFIG=path)
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["whose"]) == ("health", "ours")
    assert failure["object"] == f"Deployment/{fleet.namespace}/cart"


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


def test_without_any_rights_nothing_is_verified_and_the_missing_right_is_named(
    fleet: Fleet, account: Account
) -> None:
    path = account.may([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}])
    run = fleet.wait(KUBECONFIG=path)
    assert run.code == 0, run.stderr
    assert run.result["verifiedBy"] == "nothing"
    assert "cannot list resource" in run.stderr
    assert "gitrepositories" in run.stderr


def test_without_a_kubeconfig_nothing_is_verified(fleet: Fleet) -> None:
    run = fleet.wait(KUBECONFIG="")
    assert run.code == 0, run.stderr
    assert "warning: nothing was verified: there is no kubeconfig" in run.stderr


def test_a_cluster_that_does_not_answer_is_said(fleet: Fleet) -> None:
    config = json.loads(fleet.kubectl("config", "view", "--raw", "--output", "json"))
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = fleet.shop.root / "away.kubeconfig"
    path.write_text(json.dumps(config), encoding="utf-8")
    run = fleet.wait(KUBECONFIG=str(path))
    assert run.code == 0, run.stderr
    assert "did not answer" in run.stderr
    named = fleet.wait("--kube-context", config["contexts"][0]["name"], KUBECONFIG=str(path))
    assert (named.code, named.error["category"]) == (1, "cluster")
