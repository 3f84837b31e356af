"""How long a rollback takes until pods run, on a real Flux: part of `make bench`.

KUBECONFIG names the cluster. Every round deploys, and then rolls back and waits, as a shell does it
with two commands. What the cluster did is seen by watches of kubectl, not by the command that is
measured. All seconds are counted from the start of `gitops-rollback rollback`.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "python"))

from flux.fleet import CART, Fleet, deployment, image
from integration.shop import COMMAND, Shop
from lab import print_heading, print_table
from servers.git_http import GitHttpServer

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 10
PODS = 2
BOTH = """\
"$0" rollback --service cart --reason "round $1" --output "$2" && "$0" wait --change "$2"
"""
# What is watched: kind, and what is printed of each object at each change.
WATCHED = {
    "gitrepositories.source.toolkit.fluxcd.io": "{.status.artifact.revision}",
    "deployments": (
        "{.spec.template.spec.containers[0].image} {.metadata.generation} "
        "{.status.observedGeneration} {.status.updatedReplicas} {.status.availableReplicas} "
        "{.status.replicas}"
    ),
    "pods": (
        "{.metadata.name} {.spec.containers[0].image} "
        '{.status.conditions[?(@.type=="Ready")].status}'
    ),
}
MOMENTS = {
    "the change is decided": "decide",
    "committed and pushed": "commit",
    "fetched by Flux": "fetched",
    "applied: the Deployment names the image": "applied",
    "the last pod is Ready": "pods",
    "rolled out: the old pods are gone": "rolled out",
    "`wait` says ready": "told",
    "from the last pod's Ready to `wait` saying so": "lag of pods",
    "from rolled out to `wait` saying so": "lag",
}


class Lines:
    """Lines of a process, with the time at which each came."""

    def __init__(self, *command: str, env: dict[str, str] | None = None) -> None:
        self.found: list[tuple[float, str]] = []
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait()
        self._thread.join()

    def first(self, since: float, holds: Callable[[str], bool]) -> float:
        """Return when the first line came for which something holds, after a time."""
        return next(at for at, line in list(self.found) if at >= since and holds(line))

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.found.append((time.monotonic(), line.strip()))


class Bench:
    """A fleet on a cluster, and watches on it."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.watches = {
            kind: Lines("kubectl", "--namespace", fleet.namespace, "get", kind, "--watch",
                        "--output", f"jsonpath={form}{{'\\n'}}")
            for kind, form in WATCHED.items()
        }  # fmt: skip

    def round(self, number: int) -> dict[str, float]:
        """Deploy; then roll back and wait, measured."""
        fleet = self.fleet
        change = fleet.deploy("3.9", "--release", "--accept", "bad")
        deployed = fleet.wait("--change", str(change))
        assert deployed.code == 0, deployed.stderr
        # A health check that still runs would be waited for by Flux first.
        fleet.says(f"Applied revision: main@sha1:{deployed.result['commit']}")
        path = fleet.shop.root / "change.json"
        begun = time.monotonic()
        done = Lines(
            "sh", "-c", BOTH, str(COMMAND), str(number), str(path), env=self._environment()
        )
        assert done.process.wait(120) == 0, done.found
        done.close()
        told = done.first(begun, lambda text: ": ready:" in text)
        return self._moments(begun, told, path)

    def close(self) -> None:
        """End the watches."""
        for one in self.watches.values():
            one.close()

    def _environment(self) -> dict[str, str]:
        return {**self.fleet.shop.environment, **self.fleet.environment}

    def _moments(self, begun: float, told: float, change: Path) -> dict[str, float]:
        made = json.loads(change.read_text(encoding="utf-8"))
        source, deployments, pods = self.watches.values()
        full = " ".join(str(PODS) for _ in range(3))
        seen = {
            "fetched": source.first(begun, lambda text: made["commit"] in text),
            "applied": deployments.first(begun, lambda text: text.startswith(image("3.8"))),
            "pods": self._all_ready(pods, begun),
            "rolled out": deployments.first(
                begun, lambda text: _is_rolled_out(text, image("3.8"), full)
            ),
            "told": told,
        }
        spent = made["seconds"]
        return {
            "decide": spent["fetch"] + spent["decide"],
            "commit": spent["total"],
            **{name: at - begun for name, at in seen.items()},
            "lag of pods": told - seen["pods"],
            "lag": told - seen["rolled out"],
        }

    def _all_ready(self, pods: Lines, begun: float) -> float:
        ready: set[str] = set()
        for at, line in list(pods.found):
            name, _, rest = line.partition(" ")
            if at >= begun and rest == f"{image('3.8')} True":
                ready.add(name)
                if len(ready) == PODS:
                    return at
        raise AssertionError(pods.found)


def _is_rolled_out(text: str, reference: str, full: str) -> bool:
    found, generation, observed, counts = [*text.split(" ", 3), "", "", ""][:4]
    return (found, generation, counts) == (reference, observed, full)


def main() -> None:
    """Measure on the cluster of KUBECONFIG, or say that there is none."""
    kubeconfig = os.environ.get("KUBECONFIG", "")
    if not kubeconfig or not shutil.which("kubectl"):
        print("\n### A rollback on a real Flux: not measured: set KUBECONFIG, and have kubectl\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        namespace = f"gitops-bench-{uuid4().hex[:8]}"
        shop = Shop(Path(folder) / "shop").open({CART: deployment("cart", image("3.8"))})
        host = os.environ.get("GITOPS_TEST_HOST", "127.0.0.1")
        with GitHttpServer(shop.root, host=host) as server:
            fleet = Fleet(shop, f"{server.url}/manifests.git", namespace, kubeconfig)
            fleet.kubectl("create", "namespace", namespace)
            try:
                fleet.follow().ready()
                bench = Bench(fleet)
                rounds = [bench.round(number) for number in range(ROUNDS)]
                bench.close()
            finally:
                fleet.remove()
    print_heading(f"A rollback on a real Flux, {ROUNDS} rounds, {PODS} pods")
    rows = [("seconds from the start of the rollback", "fastest", "median", "slowest")]
    for title, name in MOMENTS.items():
        values = [one[name] for one in rounds]
        low, middle, high = min(values), statistics.median(values), max(values)
        rows.append((title, f"{low:.2f}", f"{middle:.2f}", f"{high:.2f}"))
    print_table(rows)


if __name__ == "__main__":
    main()
