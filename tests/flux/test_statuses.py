"""What a real notification-controller posts to a Git host is what `wait` reads without a cluster.

They want a cluster with notification-controller in it (`flux install` brings it), to which
kustomize-controller sends its events. The host is a stand-in on this machine.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import yaml

from flux.account import PAGE
from flux.fleet import CART, Fleet, deployment, image
from integration.shop import Shop
from servers.commit_statuses import reporting
from servers.forge import GitHubServer, GitLabServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "secret-token-4711"
PROJECTS = {GitHubServer: "acme/manifests", GitLabServer: "acme/platform/manifests"}


class Reported:
    """A fleet whose Flux reports to a Git host, seen by a machine without access to the cluster."""

    def __init__(self, fleet: Fleet, forge: Any) -> None:  # noqa: ANN401 - made for one test
        self.fleet = fleet
        self.forge = forge

    def follow(self) -> None:
        """Let Flux apply the repository, and report as docs/flux.md shows it."""
        match = re.search(
            r"<!-- notifications -->\n```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL
        )
        assert match
        provider, alert = yaml.safe_load_all(match[1])
        for one in (provider, alert):
            one["metadata"]["namespace"] = self.fleet.namespace
        provider["spec"].update(type=self.forge.kind, address=self.forge.remote[: -len(".git")])
        name = provider["spec"]["secretRef"]["name"]
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
        self.fleet.apply({**secret, "stringData": {"token": TOKEN}}, provider, alert)
        self.fleet.follow()
        interval = '{"spec": {"interval": "2s"}}'
        patch = ("patch", "gitrepository/shop", "--type", "merge", "-p", interval)
        self.fleet.kubectl(*patch)

    def deploy(self, tag: str) -> str:
        """Deploy a version; return the path of the result."""
        done = self._run("deploy", "--service", "cart", "--image", image(tag))
        assert done.code == 0, done.stderr
        path = self.fleet.shop.root / "change.json"
        path.write_text(json.dumps(done.result), encoding="utf-8")
        return str(path)

    def wait(self, *arguments: str) -> Any:  # noqa: ANN401 - a Run
        """Wait for the cart."""
        return self._run("wait", "--service", "cart", "--timeout", "40", *arguments)

    def _run(self, *arguments: str) -> Any:  # noqa: ANN401 - a Run
        known = {"GIT_USERNAME": "bot", "GIT_PASSWORD": TOKEN, "GITOPS_FORGE": self.forge.kind}
        return self.fleet.shop.run(*arguments, repository=self.forge.remote, environment=known)


@pytest.fixture(params=[GitHubServer, GitLabServer], ids=["github", "gitlab"])
def reported(request: pytest.FixtureRequest, kubeconfig: str, tmp_path: Path) -> Iterator[Reported]:
    name = "alerts.notification.toolkit.fluxcd.io"
    done = subprocess.run(["kubectl", "get", "crd", name], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("the cluster of KUBECONFIG has no notification-controller: no Alert is known")
    host = os.environ.get("GITOPS_TEST_HOST", "127.0.0.1")
    if host != "127.0.0.1":
        pytest.skip("the stand-in for a Git host listens on this machine alone")
    namespace = f"gitops-test-{uuid4().hex[:8]}"
    shop = Shop(tmp_path / "shop").open({CART: deployment("cart", image("3.8"))})
    project = f"{PROJECTS[request.param]}-{namespace}"
    place = tmp_path / "host" / f"{project}.git"
    place.parent.mkdir(parents=True)
    place.symlink_to(shop.bare)
    with reporting(request.param)(tmp_path / "host", project, TOKEN) as forge:
        fleet = Fleet(shop, forge.remote, namespace, kubeconfig)
        fleet.kubectl("create", "namespace", namespace)
        try:
            made = Reported(fleet, forge)
            made.follow()
            yield made
        finally:
            fleet.remove()


def test_what_flux_reports_is_read_for_the_commit(reported: Reported) -> None:
    first = reported.wait()
    assert first.code == 0, first.stderr
    assert first.result["verifiedBy"] == "commit-status"
    run = reported.wait("--change", reported.deploy("3.9"))
    assert run.code == 0, run.stderr
    assert (run.result["state"], run.result["verifiedBy"]) == ("applied", "commit-status")
    assert "Flux reports apps: reconciliation succeeded" in run.stderr
    template = reported.fleet.get("deployment/cart")["spec"]["template"]["spec"]
    assert template["containers"][0]["image"] == image("3.9")


def test_a_failed_health_check_is_reported_for_the_commit_and_blames_no_image(
    reported: Reported,
) -> None:
    first = reported.wait()
    assert first.code == 0, first.stderr
    run = reported.wait("--change", reported.deploy("does-not-exist"))
    failure = run.result["rollouts"][0]["failure"]
    assert (run.code, failure["code"], failure["byImage"]) == (1, "reported", False)
    assert "Flux reports apps: health check failed" in run.error["message"]
