"""HelmReleases on a real helm-controller: followed to their pods, and failures named.

They want a cluster with helm-controller in it (`flux install` brings it).
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from flux.account import documented
from flux.charts import VALUES, chart, release, released
from flux.fleet import CART, Fleet, image
from gitops_rollback.rollout.target import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from flux.account import Account

    Open = Callable[[dict[str, str]], Fleet]

NAMED = Place(CART, "HelmRelease", "cart")
BY_VALUES = Place(VALUES, "Values", "values")
PATIENT, HASTY = '"timeout": "30s"', '"timeout": "8s"'
IN_VALUES = '[services.cart]\nimage = "registry.k8s.io/pause"\nmanifests = ["%s"]\n'


@pytest.fixture(autouse=True)
def _has_helm(kubeconfig: str) -> None:
    name = "helmreleases.helm.toolkit.fluxcd.io"
    done = subprocess.run(
        ["kubectl", "--kubeconfig", kubeconfig, "get", "crd", name],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("the cluster of KUBECONFIG has no helm-controller: no HelmRelease is known")


@pytest.fixture
def fleet(open_fleet: Open) -> Fleet:
    """A cart that runs 3.8, by a HelmRelease that names it in its values."""
    fleet = open_fleet(released())
    fleet.place = NAMED
    return fleet.follow(wait=False).ready()


def test_a_deploy_and_a_rollback_of_a_release_are_followed_to_the_pods(fleet: Fleet) -> None:
    run = fleet.wait("--change", str(fleet.deploy("3.9")))
    assert run.code == 0, run.stderr
    assert f"cart is applied by HelmRelease/{fleet.namespace}/cart" in run.stderr
    assert "2 pods run 3.9 (sha256:7031c1b28338)" in run.stderr
    assert "edit by hand" not in run.stderr
    run = fleet.wait("--change", str(fleet.roll_back("checkout fails")))
    assert run.code == 0, run.stderr
    assert "2 pods run 3.8" in run.stderr
    seconds = run.result["seconds"]
    order = [seconds[name] for name in ("decide", "commit", "fetched", "applied", "ready")]
    assert order == sorted(order)


def test_values_in_a_config_map_are_followed_to_the_pods(open_fleet: Open) -> None:
    generator = {
        "resources": ["cart.yaml"],
        "configMapGenerator": [{"name": "cart", "files": ["values.yaml=cart-values.yaml"]}],
        "generatorOptions": {
            "disableNameSuffixHash": True,
            "labels": {"reconcile.fluxcd.io/watch": "Enabled"},
        },
    }
    files = {
        CART: release({}, valuesFrom=[{"kind": "ConfigMap", "name": "cart"}]),
        "apps/cart-values.yaml": chart("3.8")[VALUES],
        "apps/kustomization.yaml": json.dumps(generator) + "\n",
        ".gitops-rollback.toml": IN_VALUES % "apps/cart-values.yaml",
        **chart("3.8"),
        VALUES: chart()[VALUES],
    }
    fleet = open_fleet(files)
    fleet.place = Place("apps/cart-values.yaml", "Values", "cart-values")
    fleet.follow(wait=False).ready()
    run = fleet.wait("--change", str(fleet.deploy("3.9")))
    assert run.code == 0, run.stderr
    assert "2 pods run 3.9" in run.stderr


def test_a_release_whose_image_cannot_be_pulled_is_named_by_its_pods(fleet: Fleet) -> None:
    run = fleet.wait("--change", str(fleet.deploy("does-not-exist")))
    failure = run.result["rollouts"][0]["failure"]
    assert (run.code, failure["code"], failure["byImage"]) == (1, "pull", True)
    assert "2 old pods still serve" in run.error["message"]


def has_undone(fleet: Fleet) -> bool:
    """Tell whether Helm went back with the newest chart, and is at rest.

    A later chart makes it upgrade anew; while it does, it still tells of the rollback before.
    """
    status = fleet.get("helmrelease/cart")["status"]
    told = {one["type"]: one for one in status["conditions"]}
    undone = told.get("Remediated", {}).get("reason") == "RollbackSucceeded"
    rests = told.get("Reconciling", {}).get("status") != "True"
    newest = str(fleet.shop.tip())[:12]
    return undone and rests and newest in status["lastAttemptedRevision"]


def test_an_upgrade_that_helm_undid_is_named_with_what_runs_now(open_fleet: Open) -> None:
    fleet = open_fleet(released(upgrade={"remediation": {"remediateLastFailure": True}}))
    fleet.place = NAMED
    fleet.follow(wait=False).ready()
    fleet.shop.edit(PATIENT, HASTY, CART)
    change = fleet.deploy("does-not-exist")
    first = fleet.wait("--change", str(change))
    assert first.code == 1, first.stderr
    fleet.until(lambda: has_undone(fleet))
    run = fleet.wait("--change", str(change))
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["whose"], failure["byImage"]) == ("helm", "ours", True)
    assert "UpgradeFailed" in failure["message"]
    assert "Helm went back to the release before; does-not-exist" in run.error["message"]


def test_where_pods_may_not_be_read_helm_itself_tells_that_time_ran_out(
    account: Account, fleet: Fleet
) -> None:
    fleet.shop.edit(PATIENT, HASTY, CART)
    rules = [rule for rule in documented()["rules"] if "toolkit" in rule["apiGroups"][0]]
    path = account.may(rules)
    run = fleet.wait("--change", str(fleet.deploy("does-not-exist")), KUBECONFIG=path)
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["whose"], failure["byImage"]) == ("helm", "ours", True)
    assert failure["object"] == f"HelmRelease/{fleet.namespace}/cart"


def test_a_chart_that_does_not_render_is_not_the_images_fault(fleet: Fleet) -> None:
    fleet.shop.edit('"mode": "fine"', '"mode": "broken"', CART)
    # By day it is refused, for Helm fails on it already; by night somebody may know better.
    run = fleet.wait("--change", str(fleet.deploy("3.9", "--accept", "effect")))
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["whose"], failure["byImage"]) == ("helm", "ours", False)
    assert "the mode broken is not known" in failure["message"]
    assert "mend the chart or the values" in run.error["hint"]


def test_a_chart_that_is_not_there_is_named(fleet: Fleet) -> None:
    fleet.shop.edit('"./charts/cart"', '"./charts/lost"', CART)
    run = fleet.wait("--change", str(fleet.deploy("3.9")), "--timeout", "45")
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["whose"], failure["byImage"]) == ("helm", "cluster", False)
    assert "charts/lost" in failure["message"]


@pytest.mark.parametrize("mode", ["enabled", "disabled"])
def test_an_edit_by_kubectl_is_undone_where_helm_looks_for_drift(
    open_fleet: Open, mode: str
) -> None:
    fleet = open_fleet(released(driftDetection={"mode": mode}))
    fleet.place = NAMED
    fleet.follow(wait=False).ready()
    fleet.until(lambda: fleet.ask("get", "deployment/cart").returncode == 0)  # by Helm, later
    fleet.kubectl("set", "image", "deployment/cart", f"server={image('3.10')}")
    run = fleet.wait("--timeout", "60" if mode == "enabled" else "15")
    if mode == "enabled":
        assert run.code == 0, run.stderr
        assert "2 pods run 3.8" in run.stderr
        assert "Flux to undo an edit by hand: Deployment/" in run.stderr
    else:
        assert run.code == 1, run.stderr
        assert "Helm to undo an edit by hand" in run.error["message"]
        assert "only with driftDetection" in run.error["message"]
