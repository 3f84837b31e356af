"""Steps that wait on a real Flux, and undo what they deployed if its image is to blame."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from flux.fleet import CART, REPOSITORY, Fleet, deployment, image
from flux.jenkins import play

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.shop import Run

JOB = "shop/cart"
REPORT = "gitops-rollback/report/report.html"
PULL = "container server cannot pull"
ORDER = ("decide", "commit", "fetched", "applied", "ready")


def deploy(tag: str, more: str) -> tuple[str, str]:
    return (JOB, f"gitopsDeploy(service: 'cart', image: '{image(tag)}', {more})")


def runs(fleet: Fleet, tag: str) -> bool:
    """Whether each pod of the cart is ready and of this version."""
    pods = json.loads(fleet.kubectl("get", "pods", "--selector", "app=cart", "--output", "json"))
    kept = [pod for pod in pods["items"] if "deletionTimestamp" not in pod["metadata"]]
    images = {pod["spec"]["containers"][0]["image"] for pod in kept}
    return images == {image(tag)} and all(
        state["ready"] for pod in kept for state in pod["status"]["containerStatuses"]
    )


def deployed(fleet: Fleet, tag: str, *arguments: str) -> Run:
    """Deploy a version by the command, which is to roll it back where it is to blame."""
    named = ("--service", "cart", "--image", image(tag))
    return fleet.run("deploy", *named, "--auto-rollback", *arguments)


def is_left(fleet: Fleet, run: Run, tag: str) -> None:
    """The deploy failed, nothing was rolled back, and what was deployed stands."""
    assert (run.code, run.error["category"]) == (1, "cluster"), run.stderr
    assert "rolledBack" not in run.result
    assert f'"image": "{image(tag)}"' in fleet.shop.text(CART)
    assert fleet.shop.state()["deployed"][0]["action"] == "deploy"
    assert "hold" not in fleet.shop.state()


def test_a_bad_image_is_undone_and_held_for_its_failure_and_the_old_one_runs_again(
    fleet: Fleet,
) -> None:
    good, bad = play(
        fleet,
        deploy("3.9", "wait: true"),
        deploy("does-not-exist", "autoRollback: true"),
        GITOPS_REPORT="true",
    )
    assert (good.result, good.returned and good.returned["state"]) == ("SUCCESS", "ready"), good.log
    times = good.returned["times"] if good.returned else {}
    assert [times[name] for name in ORDER] == sorted(times[name] for name in ORDER)
    assert good.description.startswith("cart 3.8 → 3.9, running after ")
    named = re.findall(r"(\w+) \d+\.\d\b", good.description.partition("running")[2])
    assert named == ["after", *ORDER[:-1]]
    assert f"{times['ready']:.3f}" in good.archived(REPORT)

    assert bad.result == "FAILURE"
    hold = fleet.shop.state()["hold"]
    assert hold["reason"].startswith(f"cart: Deployment/{fleet.namespace}/cart: {PULL}")
    assert bad.error.startswith(f"gitopsDeploy: {hold['reason']} (rolled back to 3.9, and held) (")
    assert "cart does-not-exist → 3.9, held, running after " in bad.description
    assert PULL in bad.archived(REPORT)
    assert "until ready" in bad.archived(REPORT)
    assert bad.shells.count("gitops-rollback rollback") == 1
    assert runs(fleet, "3.9")


# The command itself, without Jenkins: the steps run it, and their own part is in tests/groovy.


def test_a_release_after_a_rollback_is_undone_to_the_image_of_that_rollback(fleet: Fleet) -> None:
    fleet.wait("--change", str(fleet.deploy("3.9")))
    back = fleet.run("rollback", "--service", "cart", "--reason", "checkout fails", "--wait")
    assert (back.code, back.result["rollout"]["state"]) == (0, "ready"), back.stderr
    bad = deployed(fleet, "does-not-exist", "--release")
    assert "(rolled back to 3.8, and held)" in bad.error["message"]
    actions = [entry["action"] for entry in fleet.shop.state()["deployed"]]
    assert actions[:3] == ["rollback", "deploy", "rollback"]
    assert runs(fleet, "3.8")


def test_a_rollback_that_fails_too_is_not_rolled_back(
    open_fleet: Callable[[dict[str, str]], Fleet],
) -> None:
    fleet = open_fleet({CART: deployment("cart", image("3.8"))}).follow(wait=False)
    ours = f"{REPOSITORY}:broken@sha256:{'1' * 64}"
    fleet.shop.commit({CART: deployment("cart", ours)}, "Break it")
    run = deployed(fleet, "does-not-exist")
    assert "(rolled back to broken, and held; but cart: Deployment/" in run.error["message"]
    assert run.error["message"].count(PULL) == 2
    assert fleet.shop.state()["deployed"][0]["action"] == "rollback"
    assert f'"image": "{ours}"' in fleet.shop.text(CART)


def test_a_failure_that_no_image_caused_is_left_as_it_is(fleet: Fleet) -> None:
    quota = {"kind": "ResourceQuota", "apiVersion": "v1", "metadata": {"name": "few"}}
    fleet.apply({**quota, "spec": {"hard": {"pods": "2"}}})
    fleet.until(lambda: "used" in fleet.get("resourcequota/few").get("status", {}))
    run = deployed(fleet, "3.9")
    is_left(fleet, run, "3.9")
    assert "exceeded quota: few" in run.error["message"]


def test_what_another_service_broke_is_left_as_it_is(
    open_fleet: Callable[[dict[str, str]], Fleet],
) -> None:
    other = deployment("other", image("3.8"))
    fleet = open_fleet({CART: deployment("cart", image("3.8")), "apps/other.yaml": other})
    fleet.follow(wait=False).ready()
    fleet.shop.commit({"apps/other.yaml": deployment("other", image("3.8"), replicas="two")}, "Two")
    run = deployed(fleet, "3.9")
    is_left(fleet, run, "3.9")
    assert "not ours but another service's" in run.error["message"]


def test_where_the_storage_changed_between_the_releases_nothing_is_undone(
    open_fleet: Callable[[dict[str, str]], Fleet],
) -> None:
    def stateful(reference: str, place: str) -> str:
        pod = {"volumes": [{"name": "data", "hostPath": {"path": place}}]}
        mounts = [{"name": "data", "mountPath": "/data"}]
        return deployment("cart", reference, pod=pod, container={"volumeMounts": mounts})

    fleet = open_fleet({CART: stateful(image("3.8"), "/tmp/one")}).follow(wait=False).ready()
    fleet.deploy("3.9")
    fleet.shop.commit({CART: stateful(image("3.9"), "/tmp/two")}, "Store elsewhere")
    run = deployed(fleet, "does-not-exist")
    is_left(fleet, run, "does-not-exist")
    assert "it could not be rolled back: " in run.error["message"]


def test_the_command_undoes_a_bad_image_once_holds_it_and_fails_all_the_same(fleet: Fleet) -> None:
    good = fleet.run("deploy", "--service", "cart", "--image", image("3.9"), "--wait")
    assert good.code == 0, good.stderr
    assert good.result["rollout"]["state"] == "ready"
    bad = deployed(fleet, "does-not-exist")
    assert (bad.code, bad.error["category"]) == (1, "cluster"), bad.stderr
    assert PULL in bad.error["message"]
    assert "(rolled back to 3.9, and held)" in bad.error["message"]
    back = bad.result["rolledBack"]
    assert back["rollout"]["state"] == "ready"
    assert fleet.shop.tip() == back["commit"]
    assert PULL in fleet.shop.state()["hold"]["reason"]
    assert runs(fleet, "3.9")


def test_a_rollback_that_waits_is_seen_to_its_pods_by_the_command(fleet: Fleet) -> None:
    fleet.wait("--change", str(fleet.deploy("3.9")))
    run = fleet.run("rollback", "--service", "cart", "--reason", "checkout fails", "--wait")
    assert run.code == 0, run.stderr
    assert run.result["rollout"]["state"] == "ready"
    assert runs(fleet, "3.8")


def test_a_rollback_of_a_bad_image_that_flux_still_checks_is_hastened(fleet: Fleet) -> None:
    fleet.check_health("10m")
    fleet.deploy("does-not-exist")
    fleet.fetch()
    fleet.until(lambda: image("does-not-exist") in json.dumps(fleet.get("deployment/cart")))
    fleet.says("Running health checks")
    arguments = ("--service", "cart", "--reason", "cannot be pulled", "--wait", "--hasten")
    run = fleet.run("rollback", *arguments)
    assert run.code == 0, run.stderr
    assert "as Git holds it, to end the health check" in run.stderr
    assert runs(fleet, "3.8")
    fleet.says(f"Applied revision: main@sha1:{run.result['commit']}")
    entries = json.loads(
        fleet.kubectl("get", "deployment/cart", "--show-managed-fields", "--output", "json")
    )["metadata"]["managedFields"]
    writers = {one["manager"] for one in entries if not one.get("subresource")}
    assert writers == {"kustomize-controller"}
