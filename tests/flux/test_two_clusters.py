"""Two environments in two clusters, each a real API server: what each of them shows is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flux.fleet import Fleet, deployment, image
from flux.second import SecondCluster
from gitops_rollback.rollout.target import Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.shop import Run

FILES = {
    "base/cart.yaml": deployment("cart", image("3.8")),
    "base/kustomization.yaml": "resources: [cart.yaml]\n",
    "east/kustomization.yaml": "resources: [../base]\n",
    "west/kustomization.yaml": "resources: [../base]\n",
}


def kubeconfig(fleet: Fleet, second: SecondCluster, path: Path) -> str:
    """Write a kubeconfig with both clusters, as `east` and `west`; return its path."""
    one = json.loads(fleet.kubectl("config", "view", "--raw", "--output", "json"))
    one["contexts"][0]["name"] = "east"
    other = json.loads(second.kubeconfig.read_text(encoding="utf-8"))
    for key in ("clusters", "users", "contexts"):
        one[key] += other[key]
    path.write_text(json.dumps(one), encoding="utf-8")
    return str(path)


def of_west(found: dict[str, Any]) -> None:
    """Let the Kustomization be the one that applies the overlay of the second cluster."""
    if found["kind"] == "Kustomization":
        found["spec"]["path"] = "./west"


def broken(found: dict[str, Any]) -> None:
    """Let the pods be such as cannot pull their image."""
    of_west(found)
    if found["kind"] == "Deployment":
        found["status"].update(availableReplicas=0, readyReplicas=0)
    if found["kind"] == "Pod":
        said = {"reason": "ErrImagePull", "message": "manifest unknown"}
        found["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
        for one in found["status"]["containerStatuses"]:
            one.update(ready=False, state={"waiting": said})


def test_of_two_clusters_one_is_missing_then_well_then_failing_and_each_is_told(
    open_fleet: Callable[[dict[str, str]], Fleet], tmp_path: Path
) -> None:
    fleet = open_fleet(FILES)
    fleet.place = Place("base/cart.yaml", "Deployment", "cart")
    folder = tmp_path / "second"
    folder.mkdir()
    with SecondCluster(folder) as second:
        path = kubeconfig(fleet, second, tmp_path / "both")
        fleet.follow(path="./east", wait=False)
        change = fleet.deploy("3.9")

        def wait(*contexts: str) -> tuple[Run, list[tuple[str, str]]]:
            named = [part for one in contexts for part in ("--kube-context", one)]
            run = fleet.wait("--change", str(change), *named, KUBECONFIG=path)
            return run, [(one.get("cluster"), one["state"]) for one in run.result["rollouts"]]

        missing, told = wait("east", "west")
        assert (missing.code, missing.error["category"]) == (1, "cluster"), missing.stderr
        assert told == [("east", "applied"), ("west", "unverified")]
        assert f"no GitRepository in west has the URL {fleet.url}" in missing.error["message"]
        assert "(seen elsewhere: east: applied)" in missing.error["message"]

        second.copy(fleet, of_west)
        well, told = wait("east", "west")
        assert (well.code, well.result["state"]) == (0, "ready"), well.stderr
        assert told == [("east", "ready"), ("west", "ready")]
        alone, told = wait("east")
        assert (alone.code, told) == (0, [("east", "applied")])
        assert "nothing here applies west/kustomization.yaml" in alone.stderr

        second.copy(fleet, broken)
        failing, told = wait("east", "west")
        assert (failing.code, failing.result["state"]) == (1, "failed"), failing.stderr
        assert ("west", "failed") in told
        failure = next(one["failure"] for one in failing.result["rollouts"] if "failure" in one)
        assert (failure["code"], failure["byImage"]) == ("pull", True)

    gone, told = wait("east", "west")
    assert (gone.code, told[-1]) == (1, ("west", "unverified")), gone.stderr
    assert "the cluster west at https://127.0.0.1:" in gone.error["message"]
    assert "the connection was refused" in gone.error["message"]
