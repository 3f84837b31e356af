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


def opened(open_fleet: Open, text: str) -> Fleet:
    """Return a fleet with a cart of this manifest, which is applied and may run."""
    fleet = open_fleet({CART: text})
    fleet.place = Place(CART, json.loads(text)["kind"], "cart")
    return fleet.follow(wait=False).ready()


def ids(fleet: Fleet) -> set[str]:
    """Return what tells the pods that are there from others of their names."""
    return {one["metadata"]["uid"] for one in fleet.get("pods")["items"]}


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


def test_a_pod_that_git_holds_is_ready_once_its_kubelet_has_restarted_it(open_fleet: Open) -> None:
    pod = json.loads(deployment("cart", image("3.8")))["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **pod}
    pod["metadata"]["name"] = "cart"
    fleet = opened(open_fleet, json.dumps(pod, indent=1) + "\n")
    if not fleet.has_fakelet():
        pytest.skip("only a kubelet that pretends lets a test say when it restarts a container")
    change = fleet.deploy("3.9")
    fleet.fetch()
    fleet.until(lambda: image("3.9") in json.dumps(fleet.get("pod/cart")["spec"]))
    early = fleet.wait("--change", str(change), "--timeout", "15")
    assert early.code == 1, early.stderr
    assert "still runs server with an earlier image" in early.error["message"]
    statuses = fleet.get("pod/cart")["status"]["containerStatuses"]
    statuses[0]["imageID"] = f"fake://{image('3.9')}"
    body = json.dumps({"status": {"containerStatuses": statuses}})
    fleet.kubectl("patch", "pod", "cart", "--subresource", "status", "--patch", body)
    run = fleet.wait("--change", str(change))
    assert (run.code, run.result["state"]) == (0, "ready"), run.stderr
    assert "1 pod runs 3.9" in run.stderr


def test_a_source_whose_secret_is_lost_is_named(fleet: Fleet) -> None:
    fleet.change("gitrepository/shop", secretRef={"name": "lost"})
    change = fleet.deploy("3.9")
    fleet.until(lambda: 'secrets \\"lost' in json.dumps(fleet.get("gitrepository/shop")))
    run = fleet.wait("--change", str(change), "--timeout", "15")
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["byImage"]) == ("source", False)
    assert 'secrets "lost" not found' in failure["message"]
