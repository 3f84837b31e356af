"""Every way of failing that is known, provoked on a real Flux, and named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flux.fleet import CART, Fleet, deployment, image
from flux.kubelet_logs import KubeletLogs

if TYPE_CHECKING:
    from collections.abc import Callable

CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: %s
  resources: {requests: {storage: %s}}
"""
OTHER = deployment("other", image("3.8"))


def broken(**spec: Any) -> str:  # noqa: ANN401 - fields of a spec
    return deployment("other", image("3.8"), **spec)


BY_OTHERS = {
    "a port out of range": (
        broken(container={"ports": [{"containerPort": 99999}]}),
        "spec.template.spec.containers[0].ports[0].containerPort: Invalid value",
    ),
    "a quantity that is none": (
        broken(container={"resources": {"limits": {"memory": "lots"}}}),
        "quantities must match",
    ),
    "text that is no YAML": ("{[", "apps/other.yaml"),
    "an immutable selector": (
        deployment("other", image("3.8")).replace('"app": "other"', '"app": "changed"'),
        "spec.selector: field is immutable",
    ),
    "a field of the wrong type": (broken(replicas="two"), "spec.replicas: expected numeric"),
    "a kind that nobody knows": (
        "apiVersion: example.com/v1\nkind: Nope\nmetadata: {name: other}\n",
        "the cluster knows no kind Nope in example.com/v1",
    ),
    "an unknown field of a custom resource": (
        (
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: other}"
            "\nspec: {url: 'https://example.com/x', interval: 10m, nosuch: 1}\n"
        ),
        "spec.nosuch: field not declared in schema",
    ),
}


@pytest.mark.parametrize("case", BY_OTHERS)
def test_what_another_service_broke_is_named_and_not_called_ours(
    open_fleet: Callable[[dict[str, str]], Fleet], case: str
) -> None:
    fleet = open_fleet({CART: deployment("cart", image("3.8")), "apps/other.yaml": OTHER})
    fleet.follow(wait=False).ready()
    text, expected = BY_OTHERS[case]
    fleet.shop.commit({"apps/other.yaml": text}, case)
    run = fleet.wait("--change", str(fleet.deploy("3.9")))
    failure = run.result["rollouts"][0]["failure"]
    assert (run.code, run.result["state"]) == (1, "failed")
    assert expected in failure["message"]
    assert (failure["whose"], failure["byImage"]) == ("other", False)
    assert "not ours but another service's" in run.error["message"]
    assert "what ran before goes on running" in run.error["message"]
    assert "Flux tries again by itself" in run.error["message"]


def test_a_namespace_that_is_not_there_is_named_until_somebody_creates_it(
    open_fleet: Callable[[dict[str, str]], Fleet],
) -> None:
    fleet = open_fleet({CART: deployment("cart", image("3.8"))})
    nowhere = f"{fleet.namespace}-lost"
    lost = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x, namespace: {nowhere}}}\n"
    fleet.shop.edit(
        '"name": "cart"\n', f'"name": "cart",\n  "namespace": "{fleet.namespace}"\n', CART
    )
    fleet.follow(targetNamespace=None, wait=False, retryInterval="10m").ready()
    fleet.shop.commit({"apps/lost.yaml": lost}, "Lose one")
    change = fleet.deploy("3.9")
    run = fleet.wait("--change", str(change))
    assert run.code == 1, run.stderr
    said = f"ConfigMap/{nowhere}/x: metadata.namespace: the namespace {nowhere}"
    assert said in run.error["message"]
    fleet.kubectl("create", "namespace", nowhere)
    again = fleet.wait("--change", str(change))
    fleet.kubectl("delete", "namespace", nowhere, "--wait=false")
    assert again.code == 0, again.stderr
    assert "once more" in again.stderr


def test_a_claim_that_shrinks_stops_the_services_beside_it(
    open_fleet: Callable[[dict[str, str]], Fleet],
) -> None:
    files = {CART: deployment("cart", image("3.8"))}
    fleet = open_fleet(files)
    volume = fleet.namespace
    fleet.apply(_volume(volume))
    fleet.shop.commit({"apps/claim.yaml": CLAIM % (volume, "10Gi")}, "Claim")
    fleet.follow(wait=False).ready()
    fleet.until(lambda: fleet.get("pvc/data")["status"]["phase"] == "Bound")
    fleet.shop.commit({"apps/claim.yaml": CLAIM % (volume, "5Gi")}, "Shrink")
    run = fleet.wait("--change", str(fleet.deploy("3.9")))
    fleet.kubectl("delete", "pv", volume, "--wait=false")
    failure = run.result["rollouts"][0]["failure"]
    assert failure["object"] == f"PersistentVolumeClaim/{fleet.namespace}/data"
    assert failure["field"] == "spec.resources.requests.storage"
    assert failure["whose"] == "other"  # no pod of the cart mounts it
    assert "cannot shrink" in failure["hint"]


def test_a_field_of_ours_that_is_not_the_image_is_ours_and_not_the_images_fault(
    fleet: Fleet,
) -> None:
    fleet.shop.edit('"replicas": 2', '"replicas": "two"', CART)
    run = fleet.wait("--change", str(fleet.deploy("3.9")))
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["whose"], failure["byImage"]) == ("ours", False)
    assert failure["field"] == "spec.replicas"


def test_an_image_that_cannot_be_pulled(fleet: Fleet) -> None:
    fleet.check_health()
    run = fleet.wait("--change", str(fleet.deploy("does-not-exist")))
    failure = run.result["rollouts"][0]["failure"]
    assert (run.code, failure["code"], failure["byImage"]) == (1, "pull", True)
    assert f"Deployment/{fleet.namespace}/cart: container server cannot pull" in failure["message"]
    assert "2 old pods still serve" in run.error["message"]
    assert "gitops-rollback rollback --service cart" in run.error["hint"]


def test_a_container_that_crashes_is_named_with_its_last_words(fleet: Fleet) -> None:
    if not fleet.has_fakelet():
        pytest.skip("only a kubelet that pretends crashes an image by its name")
    words = [f"line {number}" for number in range(20)] + ["fatal: no database at db:5432"]
    with KubeletLogs(fleet, previous=words) as logs:
        run = fleet.wait("--change", str(fleet.deploy("crash")))
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["byImage"]) == ("crash", True)
    assert "crashes: 3 restarts, exit code 1" in failure["message"]
    assert "its last words: line 13 | line 14" in failure["message"]
    assert failure["message"].endswith("line 19 | fatal: no database at db:5432")
    assert "2 old pods still serve" in run.error["message"]
    assert "previous=true" in logs.asked[0]


def test_the_log_of_the_container_that_runs_again_is_taken_where_no_other_is_left(
    fleet: Fleet,
) -> None:
    if not fleet.has_fakelet():
        pytest.skip("only a kubelet that pretends crashes an image by its name")
    with KubeletLogs(fleet, current=["starting"]) as logs:
        run = fleet.wait("--change", str(fleet.deploy("crash")))
    assert "its last words: starting" in run.error["message"]
    assert ["previous=true" in one for one in logs.asked] == [True, False]


def test_a_crash_is_named_where_no_log_can_be_had(fleet: Fleet) -> None:
    if not fleet.has_fakelet():
        pytest.skip("only a kubelet that pretends crashes an image by its name")
    run = fleet.wait("--change", str(fleet.deploy("crash")))
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["byImage"]) == ("crash", True)
    assert "last words" not in run.error["message"]


def test_a_readiness_probe_that_fails(fleet: Fleet) -> None:
    if not fleet.has_fakelet():
        pytest.skip("only a kubelet that pretends lets a test say what a probe found")
    change = fleet.deploy("3.9")
    fleet.fetch()
    fleet.until(lambda: _unready(fleet, image("3.9")))
    run = fleet.wait("--change", str(change), "--timeout", "15")
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["byImage"]) == ("probe", True)
    assert "container server runs but is not ready" in failure["message"]
    assert "Readiness probe failed: HTTP probe failed with statuscode: 503" in run.error["message"]


def test_a_pod_that_finds_no_node(fleet: Fleet) -> None:
    text = deployment("cart", image("3.8"), container={"resources": {"requests": {"cpu": "9000"}}})
    fleet.shop.commit({CART: text}, "Want much")
    change = fleet.deploy("3.9")
    fleet.fetch()
    fleet.until(lambda: "Insufficient cpu" in fleet.kubectl("get", "pods", "-o", "json"))
    run = fleet.wait("--change", str(change), "--timeout", "15")
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["byImage"]) == ("unschedulable", False)
    assert "Insufficient cpu" in failure["message"]


def test_a_claim_that_stays_pending(fleet: Fleet) -> None:
    claim = CLAIM % (fleet.namespace, "1Gi")
    volumes = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}
    text = deployment("cart", image("3.8"), pod=volumes)
    fleet.shop.commit({CART: text, "apps/claim.yaml": claim}, "Want a claim")
    change = fleet.deploy("3.9")
    fleet.fetch()
    fleet.until(lambda: "Unschedulable" in fleet.kubectl("get", "pods", "-o", "json"))
    run = fleet.wait("--change", str(change), "--timeout", "15")
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["byImage"]) == ("claim", False)
    assert "PersistentVolumeClaim" in failure["message"]


def test_a_progress_deadline_that_passes(open_fleet: Callable[[dict[str, str]], Fleet]) -> None:
    text = deployment("cart", image("3.8"), progressDeadlineSeconds=3)
    fleet = open_fleet({CART: text}).follow(timeout="60s").ready()
    run = fleet.wait("--change", str(fleet.deploy("does-not-exist")))
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["byImage"]) == ("pull", True)


def test_another_service_that_is_not_healthy_does_not_fail_ours(
    open_fleet: Callable[[dict[str, str]], Fleet],
) -> None:
    files = {CART: deployment("cart", image("3.8")), "apps/other.yaml": OTHER}
    fleet = open_fleet(files).follow().ready()
    fleet.shop.commit({"apps/other.yaml": deployment("other", image("broken"))}, "Break it")
    change = fleet.deploy("3.9")
    run = fleet.wait("--change", str(change))
    assert run.code == 0, run.stderr
    fleet.says("HealthCheckFailed")
    run = fleet.wait("--change", str(change))
    assert run.code == 0, run.stderr


def test_a_bad_image_is_undone_by_a_rollback_that_is_seen_through(fleet: Fleet) -> None:
    failed = fleet.wait("--change", str(fleet.deploy("does-not-exist")))
    assert failed.result["rollouts"][0]["failure"]["byImage"]
    change = fleet.roll_back(failed.error["message"])
    run = fleet.wait("--change", str(change))
    assert run.code == 0, run.stderr
    assert "2 pods run 3.8" in run.stderr
    assert fleet.shop.state()["hold"]["reason"].startswith("cart: Deployment/")


def test_a_suspension_amid_a_health_check_leaves_the_pods_to_be_judged(fleet: Fleet) -> None:
    fleet.check_health()
    change = fleet.deploy("does-not-exist")
    commit = json.loads(change.read_text())["commit"]
    fleet.fetch()
    fleet.says(f"Running health checks for revision main@sha1:{commit}")
    fleet.change("kustomization/apps", suspend=True)
    run = fleet.wait("--change", str(change))
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["byImage"]) == ("pull", True)


def test_an_image_set_by_hand_is_not_ready_where_flux_could_not_build_and_is_suspended(
    fleet: Fleet,
) -> None:
    fleet.shop.commit({"apps/other.yaml": "{["}, "Break it")
    change = fleet.deploy("3.9")
    commit = json.loads(change.read_text())["commit"]
    fleet.fetch()
    fleet.says(f'"lastAttemptedRevision": "main@sha1:{commit}"')
    fleet.says("BuildFailed")
    fleet.change("kustomization/apps", suspend=True)
    fleet.kubectl("set", "image", "deployment/cart", f"server={image('3.9')}")
    fleet.kubectl("rollout", "status", "deployment/cart", "--timeout", "60s")
    run = fleet.wait("--change", str(change))
    assert run.code == 1, run.stderr
    assert run.result["rollouts"][0]["failure"]["code"] == "suspended"


def _volume(name: str) -> dict[str, Any]:
    """Return a volume of a class that nobody else has: volumes are the whole cluster's."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": name,
            "capacity": {"storage": "10Gi"},
            "hostPath": {"path": "/tmp/data"},
        },
    }


def _unready(fleet: Fleet, reference: str) -> bool:
    """Make a pod with an image unready, as a failing probe does; tell whether there was one."""
    for pod in fleet.get("pods")["items"]:
        statuses = pod["status"].get("containerStatuses", [])
        if pod["spec"]["containers"][0]["image"] != reference or not statuses:
            continue
        name = pod["metadata"]["name"]
        statuses[0]["ready"] = False
        status = {
            "containerStatuses": statuses,
            "conditions": [
                {"type": kind, "status": "False", "reason": "ContainersNotReady"}
                for kind in ("Ready", "ContainersReady")
            ],
        }
        fleet.kubectl(
            "patch", "pod", name, "--subresource", "status", "-p", json.dumps({"status": status})
        )
        fleet.apply(_event(pod, fleet.namespace))
        return True
    return False


def _event(pod: dict[str, Any], namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{pod['metadata']['name']}.probe", "namespace": namespace},
        "involvedObject": {
            "kind": "Pod",
            "name": pod["metadata"]["name"],
            "namespace": namespace,
            "uid": pod["metadata"]["uid"],
        },
        "type": "Warning",
        "reason": "Unhealthy",
        "message": "Readiness probe failed: HTTP probe failed with statuscode: 503",
    }
