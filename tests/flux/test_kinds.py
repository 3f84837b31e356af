"""Every kind of workload, and those whose pods stay as they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flux.fleet import CART, Fleet, deployment, image
from gitops_rollback.rollout.target import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[[dict[str, str]], Fleet]


def manifest(kind: str, **spec: Any) -> str:  # noqa: ANN401 - fields of a spec
    """Return a workload of a kind; `spec` goes into its spec, None takes a field away."""
    document = json.loads(deployment("cart", image("3.8"), **spec))
    found = {key: value for key, value in document["spec"].items() if value is not None}
    if kind == "CronJob":
        pod = found["template"]["spec"] | {"restartPolicy": "Never"}
        job = {"spec": {"template": {"spec": pod}}}
        found = {"schedule": "0 3 1 1 *", "jobTemplate": job}
    group = "batch/v1" if kind == "CronJob" else "apps/v1"
    return json.dumps({**document, "apiVersion": group, "kind": kind, "spec": found}) + "\n"


WORKLOADS = {
    "a stateful set": (manifest("StatefulSet", serviceName="cart"), "2 pods run 3.9"),
    "a stateful set by parts": (
        manifest(
            "StatefulSet",
            serviceName="cart",
            updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
        ),
        "cart-0 still run another image: its partition keeps 1",
    ),
    "a daemon set": (manifest("DaemonSet", replicas=None), "3.9"),
    "a cron job": (manifest("CronJob"), "3.9 is what the next pods run (none is wanted now)"),
    "none wanted": (
        manifest("Deployment", replicas=0),
        "3.9 is what the next pods run (none is wanted now)",
    ),
}


def opened(open_fleet: Open, text: str) -> Fleet:
    """Return a fleet with a cart of this manifest, which is applied and may run."""
    fleet = open_fleet({CART: text})
    fleet.place = Place(CART, json.loads(text)["kind"], "cart")
    return fleet.follow(wait=False).ready()


def ids(fleet: Fleet) -> set[str]:
    """Return what tells the pods that are there from others of their names."""
    return {one["metadata"]["uid"] for one in fleet.get("pods")["items"]}


@pytest.mark.parametrize("case", WORKLOADS)
def test_a_workload_is_followed_until_what_it_wants_runs_the_image(
    open_fleet: Open, case: str
) -> None:
    text, said = WORKLOADS[case]
    fleet = opened(open_fleet, text)
    run = fleet.wait("--change", str(fleet.deploy("3.9")))
    assert run.code == 0, run.stderr
    assert said in run.stderr
    keeps_old = "still run another image" in said
    assert run.result["state"] == ("applied" if keeps_old else "ready")
    assert ("warning" in run.stderr) == keeps_old


def test_pods_that_somebody_has_to_delete_are_named_and_only_applied(open_fleet: Open) -> None:
    text = manifest("StatefulSet", serviceName="cart", updateStrategy={"type": "OnDelete"})
    fleet = opened(open_fleet, text)
    run = fleet.wait("--change", str(fleet.deploy("3.9")))
    assert (run.code, run.result["state"]) == (0, "applied"), run.stderr
    assert "cart-0, cart-1 still run another image: somebody has to delete them" in run.stderr
    old = ids(fleet)
    fleet.kubectl("delete", "pod", "cart-0", "cart-1", "--wait=false")
    fleet.until(lambda: len(ids(fleet)) == len(old) and not ids(fleet) & old)
    again = fleet.wait()
    assert (again.code, again.result["state"]) == (0, "ready"), again.stderr


def test_a_pod_of_a_bad_image_that_stops_a_stateful_set_is_named_with_what_frees_it(
    open_fleet: Open,
) -> None:
    fleet = opened(open_fleet, manifest("StatefulSet", serviceName="cart"))
    if not fleet.has_fakelet():
        pytest.skip("only a kubelet that pretends fails an image by its name")
    bad = fleet.wait("--change", str(fleet.deploy("does-not-exist")))
    assert bad.result["rollouts"][0]["failure"]["code"] == "pull"
    change = fleet.roll_back("cannot be pulled")
    run = fleet.wait("--change", str(change))
    failure = run.result["rollouts"][0]["failure"]
    assert (run.code, failure["code"], failure["byImage"]) == (1, "stuck", False), run.stderr
    assert (
        f"waits for Pod/{fleet.namespace}/cart-1, which has {image('does-not-exist')}"
        in (failure["message"])
    )
    command = failure["hint"].partition("delete that pod: ")[2].partition(";")[0]
    assert command == f"kubectl --namespace {fleet.namespace} delete pod cart-1"
    fleet.kubectl(*command.split()[3:], "--wait=false")
    again = fleet.wait("--change", str(change))
    assert (again.code, again.result["state"]) == (0, "ready"), again.stderr


def test_a_deployment_that_is_paused_is_named_with_how_to_resume_it(open_fleet: Open) -> None:
    fleet = opened(open_fleet, manifest("Deployment"))
    fleet.shop.edit('"replicas": 2', '"replicas": 2, "paused": true', CART)
    run = fleet.wait("--change", str(fleet.deploy("3.9")))
    failure = run.result["rollouts"][0]["failure"]
    assert (run.code, failure["code"], failure["byImage"]) == (1, "paused", False)
    assert "rollout resume deployment cart" in run.error["hint"]
    assert "2 old pods still serve" in run.error["message"]


def test_a_source_whose_secret_is_lost_is_named(quick_fleet: Fleet) -> None:
    spec = '{"spec": {"secretRef": {"name": "lost"}}}'
    quick_fleet.kubectl("patch", "gitrepository/shop", "--type", "merge", "-p", spec)
    run = quick_fleet.wait("--change", str(quick_fleet.deploy("3.9")), "--timeout", "10")
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["byImage"]) == ("source", False)
    assert 'secrets "lost" not found' in failure["message"]


def test_a_dependency_that_is_not_ready_is_waited_for_to_the_end(quick_fleet: Fleet) -> None:
    spec = '{"spec": {"dependsOn": [{"name": "infrastructure"}]}}'
    quick_fleet.kubectl("patch", "kustomization/apps", "--type", "merge", "-p", spec)
    run = quick_fleet.wait("--change", str(quick_fleet.deploy("3.9")), "--timeout", "8")
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["byImage"]) == ("dependency", False)
    assert "not done after 8 s: waiting for Kustomization/" in run.error["message"]
    assert "infrastructure" in run.error["message"]
