"""What 100 services at once cost beside one, in a repository of 1,000: `make bench`.

Over smart HTTP from this machine, with a registry that answers. One and many take turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "python"))
sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "demo"))

from deploy import COMMAND, make_repository
from machine import describe_machine, print_table
from servers.git_http import GitHttpServer
from standin import RegistryStandIn

MANY = 100
ROUNDS = 5
SERVICES = {"one": ["svc-00500"], "many": [f"svc-{number:05}" for number in range(MANY)]}


class Bench:
    """One repository, one registry, one store of records."""

    def __init__(self, root: Path, git: GitHttpServer, hub: RegistryStandIn) -> None:
        self._git = git
        self._hub = hub
        self._environment = {
            **os.environ,
            "HOME": str(root),
            "XDG_STATE_HOME": str(root / "state"),
            "USER": "bench",
            "GITOPS_REPOSITORY": f"{git.url}/m.git",
            "GITOPS_REGISTRY_URL": hub.url,
            "GITOPS_HUB_URL": hub.url,
            "GITOPS_REASON": "bench",
        }
        self.seconds: dict[tuple[str, str], list[float]] = {}
        self.requests: dict[tuple[str, str], tuple[int, int]] = {}

    def round(self, number: int) -> None:
        """Deploy twice, plan, roll back and release, with one service and with many."""
        for version in (f"2.{number}.0", f"2.{number}.1"):
            for size in SERVICES:
                self._deploy(size, version)
        for command in ("plan", "rollback", "release"):
            for size, services in SERVICES.items():
                self._run(command, size, *(f"--service={name}" for name in services))

    def _deploy(self, size: str, version: str) -> None:
        images = [
            f"--image={name}=acme/{name}:{version}@{self._hub.push(f'acme/{name}', version)}"
            for name in SERVICES[size]
        ]
        self._run("deploy", size, *images)

    def _run(self, command: str, size: str, *arguments: str) -> None:
        self._git.traffic.reset()
        self._hub.requests.clear()
        start = time.perf_counter()
        done = subprocess.run(
            [COMMAND, command, *arguments], env=self._environment, capture_output=True, check=False
        )
        seconds = time.perf_counter() - start
        if done.returncode != 0:
            sys.exit(f"bench: {command} failed:\n{done.stderr.decode()}")
        self.seconds.setdefault((command, size), []).append(seconds)
        counted = (len(self._git.traffic.requests), len(self._hub.requests))
        self.requests[command, size] = counted


def main() -> None:
    """Measure and print one table; the first round warms up."""
    with tempfile.TemporaryDirectory(prefix="gitops-bench-") as folder:
        root = Path(folder)
        make_repository(root / "m.git", 1_000)
        with GitHttpServer(root) as git, RegistryStandIn() as hub:
            bench = Bench(root, git, hub)
            bench.round(0)
            bench.seconds.clear()
            for number in range(1, ROUNDS + 1):
                bench.round(number)
    print(f"\n### {MANY} services at once, {ROUNDS} rounds, median ({describe_machine()})\n")
    rows = [("command", "one, s", f"{MANY}, s", "x", "to Git", "to the registry")]
    for command in ("deploy", "plan", "rollback", "release"):
        one, many = (statistics.median(bench.seconds[command, size]) for size in SERVICES)
        counts = [bench.requests[command, size] for size in SERVICES]
        git_requests, registry = (" / ".join(map(str, pair)) for pair in zip(*counts, strict=True))
        row = (command, f"{one:.2f}", f"{many:.2f}", f"{many / one:.2f}", git_requests, registry)
        rows.append(row)
    print_table(rows)


if __name__ == "__main__":
    main()
