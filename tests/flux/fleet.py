"""A real cluster with Flux, and manifests repositories that it applies: one for each test.

KUBECONFIG names any cluster with Flux in it. The repositories are served from this machine:
where the cluster is not on it, GITOPS_TEST_HOST is an address by which it reaches this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from gitops_rollback.rollout.target import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from integration.shop import Run, Shop

# An image that every cluster can pull and that runs without anything, in three versions.
REPOSITORY = "registry.k8s.io/pause"
VERSIONS = {
    "3.8": "sha256:9001185023633d17a2f98ff69b6ff2615b8ea02a825adffa40422f51dfdcde9d",
    "3.9": "sha256:7031c1b283388d2c2e09b57badb803c05ebed362dc88d84b480cc47f72a21097",
    "3.10": "sha256:ee6521f290b2168b6e0935a181d4cff9be1ac3f505666ef0e3c98fae8199917a",
}
CART = "apps/cart.yaml"


def image(tag: str) -> str:
    """Return an image with its digest; a tag that is no version gets one that nothing has."""
    return f"{REPOSITORY}:{tag}@{VERSIONS.get(tag, 'sha256:' + '0' * 64)}"


def deployment(name: str, reference: str, **more: Any) -> str:  # noqa: ANN401 - fields of a spec
    """Return a Deployment's manifest as JSON, which is YAML; `more` goes into its spec."""
    pod = more.pop("pod", {})
    container = more.pop("container", {})
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "server", "image": reference, **container}], **pod},
    }
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": {"app": name}},
        "template": template,
        **more,
    }
    document = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": spec,
    }
    return json.dumps(document, indent=1) + "\n"


class Fleet:
    """One namespace of a cluster, and the repository that Flux applies to it."""

    def __init__(self, shop: Shop, url: str, namespace: str, kubeconfig: str) -> None:
        self.shop = shop
        self.url = url
        self.namespace = namespace
        self.kubeconfig = kubeconfig
        self.closing = ExitStack()  # what a test has opened for it
        self.beyond: list[str] = []  # what else a test has made, outside of the namespace
        self.place = Place(CART, "Deployment", "cart")  # where the cart's image is named
        self.environment = {
            "KUBECONFIG": kubeconfig,
            "NO_PROXY": "127.0.0.1,localhost",
            "GITOPS_REPOSITORY": url,
            "GITOPS_STORE": f"directory:{shop.home}/records",
        }

    # The cluster

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl and return what it prints."""
        done = self.ask(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl and return how it ended."""
        return subprocess.run(
            ["kubectl", "--namespace", self.namespace, *arguments],
            input=stdin,
            env={**os.environ, "KUBECONFIG": self.kubeconfig},
            capture_output=True,
            check=False,
            text=True,
            timeout=180,
        )

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Create objects."""
        documents = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        quick = ("--server-side", "--force-conflicts", "--validate=ignore")
        self.kubectl("apply", *quick, "--filename", "-", stdin=documents)

    def get(self, what: str) -> dict[str, Any]:
        """Return an object: `deployment/cart`."""
        found: dict[str, Any] = json.loads(self.kubectl("get", what, "--output", "json"))
        return found

    def follow(self, **spec: Any) -> Fleet:  # noqa: ANN401 - fields of a spec
        """Let Flux apply the repository; `spec` goes into the Kustomization's."""
        self.source("GitRepository", "shop", url=self.url, ref={"branch": "main"})
        self.kustomization("apps", **spec)
        return self

    def source(self, kind: str, name: str, **spec: Any) -> None:  # noqa: ANN401 - fields of a spec
        """Make a source of Flux; `spec` goes into its spec."""
        self._make("source", kind, name, {"interval": "10m", **spec})

    def kustomization(self, name: str, **spec: Any) -> None:  # noqa: ANN401 - the same
        """Let Flux apply `./apps`; `spec` goes into the Kustomization's."""
        common = {
            "interval": "10m",
            "retryInterval": "5s",
            "timeout": "30s",  # less than that counts as 30 s
            "path": "./apps",
            "prune": True,
            "wait": True,
            "targetNamespace": self.namespace,
            "sourceRef": {"kind": "GitRepository", "name": "shop"},
        }
        self._make("kustomize", "Kustomization", name, common | spec)

    def _make(self, group: str, kind: str, name: str, spec: dict[str, Any]) -> None:
        self.apply(
            {
                "apiVersion": f"{group}.toolkit.fluxcd.io/v1",
                "kind": kind,
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {key: value for key, value in spec.items() if value is not None},
            }
        )

    def check_health(self, timeout: str = "30s") -> None:
        """Let Flux check from now on that what it applies becomes ready."""
        self.change("kustomization/apps", wait=True, timeout=timeout)

    def fetch(self) -> None:
        """Let Flux fetch what was pushed."""
        token = f"reconcile.fluxcd.io/requestedAt={time.time()}"
        self.kubectl("annotate", "--overwrite", "gitrepository/shop", token)

    def change(self, what: str, **spec: Any) -> None:  # noqa: ANN401 - fields of a spec
        """Change the spec of a live object."""
        # As `flux suspend` does: what a kubectl wrote, Flux takes back.
        named = ("--field-manager", "flux")
        body = json.dumps({"spec": spec})
        self.kubectl("patch", what, "--type", "merge", "-p", body, *named)

    def beside(self) -> str:
        """Return the name of a second namespace that is this fleet's, if a test creates it."""
        return f"{self.namespace}-beside"

    def remove(self) -> None:
        """Take the namespace away, and before it what Flux would apply to it."""
        self.closing.close()
        for one in self.beyond:
            self.kubectl("delete", one, "--ignore-not-found", "--wait=false")
        for kind in ("kustomizations.kustomize", "gitrepositories.source"):
            self.kubectl("delete", f"{kind}.toolkit.fluxcd.io", "--all", "--wait=false")
        spaces = (self.namespace, self.beside())
        self.kubectl("delete", "namespace", *spaces, "--ignore-not-found", "--wait=false")

    def until(self, holds: Callable[[], bool], seconds: float = 120) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "it never came"
            time.sleep(0.2)

    def ready(self) -> Fleet:
        """Wait until Flux has applied the tip and the cart runs."""
        run = self.wait()
        assert run.code == 0, (run.code, run.stderr)
        return self

    def says(self, words: str) -> None:
        """Wait until the Kustomization's status has some words in it."""
        self.until(lambda: words in json.dumps(self.get("kustomization/apps")["status"]))

    def has_fakelet(self) -> bool:
        """Whether the nodes only pretend to run pods, so that an image's name decides."""
        return "fakelet" in self.kubectl("get", "nodes", "--output", "json")

    # The command

    def run(self, command: str, *arguments: str, **environment: str) -> Run:
        """Run the command on the repository, as a machine with access to the cluster does."""
        return self.shop.run(
            command,
            *arguments,
            repository=self.url,
            environment={**self.environment, **environment},
        )

    def wait(self, *arguments: str, service: str = "cart", **environment: str) -> Run:
        """Wait for the service."""
        return self.run("wait", "--service", service, *arguments, **environment)

    def deploy(self, tag: str, *arguments: str) -> Path:
        """Deploy a version of the cart; return the file with the result."""
        run = self.run("deploy", "--service", "cart", "--image", image(tag), *arguments)
        assert run.code == 0, run.stderr
        return self._keep(run)

    def roll_back(self, reason: str) -> Path:
        """Roll the cart back; return the file with the result."""
        run = self.run("rollback", "--service", "cart", "--reason", reason)
        assert run.code == 0, run.stderr
        return self._keep(run)

    def _keep(self, run: Run) -> Path:
        path = self.shop.root / f"change-{run.result['commit'][:12]}.json"
        path.write_text(json.dumps(run.result), encoding="utf-8")
        return path
