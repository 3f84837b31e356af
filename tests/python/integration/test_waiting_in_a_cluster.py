"""The command waits in a cluster: a recording of a real one, played by a server on loopback."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from integration.shop import Shop
from servers.git_http import GitHttpServer
from servers.kubernetes_api import KubernetesApi
from unit.recordings import load

if TYPE_CHECKING:
    from collections.abc import Mapping
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


def with_another(kubeconfig: str) -> str:
    """Return a kubeconfig with one more context: `gone`, of a cluster that nothing answers for."""
    document = json.loads(kubeconfig)
    document["clusters"].append({"name": "gone", "cluster": {"server": "http://127.0.0.1:1"}})
    document["contexts"].append({"name": "gone", "context": {"cluster": "gone", "user": "waiter"}})
    return json.dumps(document)


def wait(
    tmp_path: Path,
    name: str,
    *arguments: str,
    fetched_before: str = "",
    beside: str = "",
    said: Mapping[str, str] | None = None,
    **api: Any,  # noqa: ANN401 - attributes of the server
) -> tuple[Run, KubernetesApi]:
    """Deploy what was deployed when a recording was made, and wait for it as it is played.

    Flux has fetched the commit before, or another one; `beside` is the text of a manifest beside,
    `said` what the cluster says instead of what was recorded, `api` are attributes of the server.
    """
    recording = load(name)
    first, last = recording["commits"][0], recording["commits"][-1]
    text = json.dumps(MANIFEST, indent=1).replace('"image": ""', f'"image": "{first["image"]}"')
    files = {"apps/cart.yaml": text + "\n"} | ({"apps/beside.yaml": beside} if beside else {})
    shop = Shop(tmp_path / "shop").open(files)
    with GitHttpServer(shop.root) as git:
        url = f"{git.url}/manifests.git"
        before = shop.tip() or ""
        deployed = ("--service", "cart", "--image", last["image"])
        change = shop.ok("deploy", *deployed, repository=url).result
        result = shop.root / "change.json"
        result.write_text(json.dumps(change), encoding="utf-8")
        told = json.dumps(recording["steps"]).replace(last["commit"], change["commit"])
        told = told.replace(first["commit"], fetched_before or before)
        told = told.replace(recording["url"], url)
        for one, instead in (said or {}).items():
            assert one in told
            told = told.replace(one, instead)
        steps: list[dict[str, Any]] = json.loads(told)
        with KubernetesApi(steps, *api.pop("forbidden", ())) as server:
            vars(server).update(api)
            config = shop.root / "kubeconfig"
            config.write_text(with_another(server.kubeconfig), encoding="utf-8")
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
            return run, server


def test_two_clusters_with_an_overlay_each_of_one_base_are_proven_by_both(tmp_path: Path) -> None:
    recording = load("ready")
    first, last = recording["commits"][0], recording["commits"][-1]
    text = json.dumps(MANIFEST, indent=1).replace('"image": ""', f'"image": "{first["image"]}"')
    files = {
        "base/cart.yaml": text + "\n",
        "base/kustomization.yaml": "resources: [cart.yaml]\n",
        **{f"{one}/kustomization.yaml": "resources: [../base]\n" for one in ("east", "west")},
    }
    shop = Shop(tmp_path / "shop").open(files)
    with GitHttpServer(shop.root) as git, ExitStack() as stack:
        url = f"{git.url}/manifests.git"
        before = shop.tip() or ""
        deployed = ("--service", "cart", "--image", last["image"])
        change = shop.ok("deploy", *deployed, repository=url).result
        result = shop.root / "change.json"
        result.write_text(json.dumps(change), encoding="utf-8")
        told = json.dumps(recording["steps"]).replace(last["commit"], change["commit"])
        told = told.replace(first["commit"], before).replace(recording["url"], url)
        config: dict[str, Any] = {}
        for one in ("east", "west"):
            steps = json.loads(told.replace('"./apps"', f'"./{one}"'))
            server = stack.enter_context(KubernetesApi(steps))
            document = json.loads(server.kubeconfig.replace('"played"', f'"{one}"'))
            for key, value in document.items():
                both = isinstance(value, list) and key != "users"
                config[key] = [*config.get(key, []), *value] if both else value
        path = shop.root / "kubeconfig"
        path.write_text(json.dumps(config), encoding="utf-8")

        def wait_for(*contexts: str) -> Run:
            named = [part for one in contexts for part in ("--kube-context", one)]
            return shop.run(
                *("wait", "--timeout", "60", "--change", str(result), *named),
                repository=url,
                environment={"KUBECONFIG": str(path), "NO_PROXY": "127.0.0.1"},
            )

        run = wait_for("east", "west")
        assert (run.code, run.result["state"]) == (0, "ready"), run.stderr
        assert [one["state"] for one in run.result["rollouts"]] == ["ready", "ready"]
        alone = wait_for("east")
        assert (alone.code, alone.result["state"]) == (0, "applied"), alone.stderr
        assert "nothing here applies west/kustomization.yaml" in alone.stderr


@pytest.mark.parametrize("arguments", [(), ("--kube-context", "played")])
def test_a_deploy_is_nudged_and_followed_to_its_pods(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    run, api = wait(tmp_path, "ready", *arguments)
    assert run.code == 0, run.stderr
    assert len(api.nudges) == 1
    assert (run.result["state"], run.result["verifiedBy"]) == ("ready", "cluster")
    assert "2 pods run 3.9 (sha256:7031c1b28338)" in run.stderr
    seconds = run.result["seconds"]
    order = [seconds[name] for name in ("decide", "commit", "fetched", "applied", "ready")]
    assert order == sorted(order)
    applied = datetime.fromisoformat(run.result["rollouts"][0]["appliedAt"])
    assert timedelta() <= datetime.now(UTC) - applied < timedelta(seconds=seconds["total"])


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
    run, _api = wait(tmp_path, name)
    assert (run.code, run.error["category"]) == (1, "cluster"), run.stderr
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["code"], failure["byImage"]) == (code, by_image)
    assert run.result["state"] == "failed"


@pytest.mark.parametrize(
    ("refused", "whose", "by_image"),
    [
        ("Deployment/shop/cart", "ours", True),
        ("Deployment/team-b/cart", "other", False),
        ("Service/team-b/cart", "other", False),
        ("ServiceMonitor/team-b/cart", "other", False),
    ],
)
def test_another_teams_object_of_the_same_name_is_not_blamed_on_the_service(
    tmp_path: Path,
    refused: str,
    whose: str,
    by_image: bool,  # noqa: FBT001 - of a table
) -> None:
    said = {
        '"targetNamespace": "shop"': '"wait": true',
        "Deployment/shop/other dry-run": f"{refused} dry-run",
        "spec.template.spec.containers[0].ports[0].containerPort": "spec.containers[0].image",
    }
    monitor = "kind: ServiceMonitor\nmetadata: {name: cart, namespace: team-b}\n"
    run, _api = wait(tmp_path, "invalid-port", beside=monitor, said=said)
    failure = run.result["rollouts"][0]["failure"]
    assert (failure["object"], failure["code"]) == (refused, "invalid"), failure
    assert (failure["whose"], failure["byImage"]) == (whose, by_image), failure


def test_a_commit_that_flux_has_and_the_repository_has_no_more_ends_no_wait(tmp_path: Path) -> None:
    run, _api = wait(tmp_path, "ready", fetched_before="d" * 40)
    assert run.code == 0, run.stderr
    assert "2 pods run 3.9" in run.stderr


def test_what_is_no_date_and_no_number_in_a_file_beside_ends_no_wait(tmp_path: Path) -> None:
    beside = "kind: Note\nmetadata: [cart]\nspec: {since: 2026-02-30, size: !!int large}\n"
    run, _api = wait(tmp_path, "ready", beside=beside)
    assert run.code == 0, run.stderr
    assert "2 pods run 3.9" in run.stderr


def test_a_crash_is_told_with_the_last_words_of_the_container(tmp_path: Path) -> None:
    run, _api = wait(tmp_path, "crash", logs={True: ["starting", "fatal: no database"], False: []})
    assert "its last words: starting | fatal: no database" in run.error["message"]


def test_a_pull_that_fails_is_told_with_what_kubernetes_says(tmp_path: Path) -> None:
    events = [{"reason": "Failed", "message": "manifest unknown"}]
    run, _api = wait(tmp_path, "image-pull", "--timeout", "20", events=events)
    assert "Kubernetes says: Failed: manifest unknown" in run.error["message"]


def test_without_the_right_to_read_logs_the_crash_is_named_all_the_same(tmp_path: Path) -> None:
    run, _api = wait(tmp_path, "crash", forbidden=["GET .*/log", "GET .*/events"])
    assert run.result["rollouts"][0]["failure"]["code"] == "crash"
    assert "last words" not in run.error["message"]


def test_without_the_right_to_list_everywhere_the_usual_namespace_is_asked(tmp_path: Path) -> None:
    everywhere = "GET /apis/[^/]+toolkit.fluxcd.io/v1/[a-z]+"
    run, api = wait(tmp_path, "ready", forbidden=[everywhere])
    assert any("/namespaces/flux-system/gitrepositories" in one for one in api.requests)
    assert (run.code, run.error["category"]) == (1, "cluster")
    assert "not verified: no GitRepository in this cluster has the URL" in run.error["message"]


def test_one_cluster_of_several_that_is_gone_is_said_and_the_other_is_followed(
    tmp_path: Path,
) -> None:
    contexts = ("--kube-context", "played", "--kube-context", "gone")
    run, _api = wait(tmp_path, "ready", *contexts)
    assert (run.code, run.error["category"]) == (1, "cluster")
    assert "the cluster gone at http://127.0.0.1:1" in run.error["message"]
    assert "the connection was refused" in run.error["message"]
    assert "played: ready" in run.error["message"]
    states = {one["cluster"]: one["state"] for one in run.result["rollouts"]}
    assert states == {"played": "ready", "gone": "unverified"}
    assert run.result["state"] == "unverified"


def test_a_bad_image_is_told_first_where_another_cluster_is_gone_too(tmp_path: Path) -> None:
    contexts = ("--kube-context", "gone", "--kube-context", "played")
    run, _api = wait(tmp_path, "crash", *contexts)
    assert run.code == 1
    assert "crashes" in run.error["message"].partition("; and ")[0]
    assert "the cluster gone" in run.error["message"].partition("; and ")[2]
    assert run.result["state"] == "failed"


def test_a_token_that_is_no_longer_good_is_said_with_what_to_do(tmp_path: Path) -> None:
    run, _api = wait(tmp_path, "ready", unauthorized=True)
    assert (run.code, run.error["category"]) == (1, "cluster")
    assert "does not know who asks: 401" in run.error["message"]
    assert "renew it, or name another one" in run.error["hint"]
