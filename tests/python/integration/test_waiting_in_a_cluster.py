"""The command waits in a cluster: a recording of a real one, played by a server on loopback."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from integration.shop import Shop
from servers.git_http import GitHttpServer
from servers.kubernetes_api import KubernetesApi
from unit.recordings import load

if TYPE_CHECKING:
    from pathlib import Path

    from integration.shop import Run

MANIFEST = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "cart"},
    "spec": {
        "selector": {"matchLabels": {"app": "cart"}},
        "template": {
            "metadata": {"labels": {"app": "cart"}},
            "spec": {"containers": [{"name": "server", "image": ""}]},
        },
    },
}


def wait(tmp_path: Path, name: str, *arguments: str) -> tuple[Run, list[str]]:
    """Deploy what was deployed when a recording was made, and wait for it as it is played."""
    recording = load(name)
    first, last = recording["commits"][0], recording["commits"][-1]
    text = json.dumps(MANIFEST, indent=1).replace('"image": ""', f'"image": "{first["image"]}"')
    shop = Shop(tmp_path / "shop").open({"apps/cart.yaml": text + "\n"})
    with GitHttpServer(shop.root) as git:
        url = f"{git.url}/manifests.git"
        before = shop.tip() or ""
        deployed = ("--service", "cart", "--image", last["image"])
        change = shop.ok("deploy", *deployed, repository=url).result
        result = shop.root / "change.json"
        result.write_text(json.dumps(change), encoding="utf-8")
        told = json.dumps(recording["steps"]).replace(last["commit"], change["commit"])
        told = told.replace(first["commit"], before).replace(recording["url"], url)
        steps: list[dict[str, Any]] = json.loads(told)
        with KubernetesApi(steps) as api:
            config = shop.root / "kubeconfig"
            config.write_text(api.kubeconfig, encoding="utf-8")
            environment = {"KUBECONFIG": str(config), "NO_PROXY": "127.0.0.1"}
            run = shop.run(
                "wait",
                "--timeout",
                "15",
                "--change",
                str(result),
                *arguments,
                repository=url,
                environment=environment,
            )
            return run, api.nudges


@pytest.mark.parametrize("arguments", [(), ("--kube-context", "played")])
def test_a_deploy_is_nudged_and_followed_to_its_pods(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    run, nudges = wait(tmp_path, "ready", *arguments)
    assert run.code == 0, run.stderr
    assert len(nudges) == 1
    assert (run.result["state"], run.result["verifiedBy"]) == ("ready", "cluster")
    assert "2 pods run 3.9 (sha256:7031c1b28338)" in run.stderr
    seconds = run.result["seconds"]
    order = [seconds[name] for name in ("decide", "commit", "fetched", "applied", "ready")]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("name", "code", "by_image"),
    [("crash", "crash", True), ("suspended", "suspended", False)],
)
def test_a_failure_is_an_error_of_the_cluster_with_its_name(
    tmp_path: Path,
    name: str,
    code: str,
    by_image: bool,  # noqa: FBT001 - of a table
) -> None:
    run, _nudges = wait(tmp_path, name)
    assert (run.code, run.error["category"]) == (1, "cluster"), run.stderr
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["byImage"]) == (code, by_image)
    assert run.result["state"] == "failed"
