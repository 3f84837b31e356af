"""What 100 services at once cost beside one: `make bench`.

In a repository of 1,000, over smart HTTP from this machine, with a registry that answers; and at
the first contact with a repository of 100 that people edited by hand. One and many take turns.
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

from deploy import COMMAND, MANIFEST, make_repository
from machine import describe_machine, print_table
from servers.git_http import GitHttpServer
from standin import RegistryStandIn

MANY = 100
ROUNDS = 5
NAMES = [f"svc-{number:05}" for number in range(MANY)]
SERVICES = {"one": ["svc-00500"], "many": NAMES}
FIRST_CONTACT = "plan, no state file"
EDITS = 3  # of each service, one commit each
COMMANDS = ("deploy", "record", "plan", "check", "rollback", "history", "release", FIRST_CONTACT)


class Bench:
    """Two repositories, one registry, one store of records."""

    def __init__(self, root: Path, git: GitHttpServer, hub: RegistryStandIn) -> None:
        self._root = root
        self._git = git
        self._hub = hub
        self._environment = {
            **os.environ,
            "HOME": str(root),
            "XDG_STATE_HOME": str(root / "state"),
            "USER": "bench",
            "GITOPS_REGISTRY_URL": hub.url,
            "GITOPS_HUB_URL": hub.url,
            "GITOPS_REASON": "bench",
        }
        self.seconds: dict[tuple[str, str], list[float]] = {}
        self.requests: dict[tuple[str, str], tuple[int, int]] = {}

    def prepare(self) -> None:
        """Make the repositories."""
        make_repository(self._root / "m.git", 1_000)
        make_repository(self._root / "new.git", MANY)
        stream: list[str] = []
        for number in range(EDITS * MANY):
            name, version = NAMES[number % MANY], f"1.{number // MANY + 1}.0"
            digest = self._hub.push(f"acme/{name}", version).removeprefix("sha256:")
            text = MANIFEST.format(name=name, digest=digest).replace(":1.0.0@", f":{version}@")
            start = "from refs/heads/main^0\n" if not stream else ""
            stream.append(
                f"commit refs/heads/main\ncommitter jane <jane@localhost> {number} +0000\ndata 0\n"
                f"{start}M 100644 inline apps/{name}/deployment.yaml\n"
                f"data {len(text.encode())}\n{text}\n"
            )
        git = ["git", "-C", str(self._root / "new.git")]
        subprocess.run([*git, "fast-import", "--quiet"], input="".join(stream).encode(), check=True)
        subprocess.run([*git, "repack", "-adq"], check=True)

    def round(self, number: int) -> None:
        """Run every command with one service and with many."""
        for version in (f"2.{number}.0", f"2.{number}.1"):
            for size in SERVICES:
                self._deploy(size, version)
        for command in ("record", "plan", "check", "rollback", "history", "release"):
            for size, services in SERVICES.items():
                self._run(command, size, *(f"--service={name}" for name in services))
        for size, services in (("one", ["--service=svc-00050"]), ("many", ["--all"])):
            self._run(FIRST_CONTACT, size, *services, repository="new.git")

    def _deploy(self, size: str, version: str) -> None:
        images = [
            f"--image={name}=acme/{name}:{version}@{self._hub.push(f'acme/{name}', version)}"
            for name in SERVICES[size]
        ]
        self._run("deploy", size, *images)

    def _run(self, what: str, size: str, *arguments: str, repository: str = "m.git") -> None:
        self._git.traffic.reset()
        self._hub.requests.clear()
        command = what.partition(",")[0]
        with tempfile.TemporaryDirectory(dir=self._root) as folder:
            start = time.perf_counter()
            done = subprocess.run(
                [COMMAND, command, *arguments],
                env={**self._environment, "GITOPS_REPOSITORY": f"{self._git.url}/{repository}"},
                cwd=folder,
                capture_output=True,
                check=False,
            )
            seconds = time.perf_counter() - start
        if done.returncode not in ((0, 8) if command == "check" else (0,)):
            sys.exit(f"bench: {command} failed:\n{done.stderr.decode()}")
        self.seconds.setdefault((what, size), []).append(seconds)
        counted = (len(self._git.traffic.requests), len(self._hub.requests))
        self.requests[what, size] = counted


def main() -> None:
    """Measure and print one table; the first round warms up."""
    with tempfile.TemporaryDirectory(prefix="gitops-bench-") as folder:
        root = Path(folder)
        with GitHttpServer(root) as git, RegistryStandIn() as hub:
            bench = Bench(root, git, hub)
            bench.prepare()
            bench.round(0)
            bench.seconds.clear()
            start = time.process_time()
            for number in range(1, ROUNDS + 1):
                bench.round(number)
            servers = time.process_time() - start
    print(f"\n### {MANY} services at once, {ROUNDS} rounds, median ({describe_machine()})\n")
    rows = [("command", "one, s", f"{MANY}, s", "x", "to Git", "to the registry")]
    for command in COMMANDS:
        one, many = (statistics.median(bench.seconds[command, size]) for size in SERVICES)
        counts = [bench.requests[command, size] for size in SERVICES]
        git_requests, registry = (" / ".join(map(str, pair)) for pair in zip(*counts, strict=True))
        row = (command, f"{one:.2f}", f"{many:.2f}", f"{many / one:.2f}", git_requests, registry)
        rows.append(row)
    print_table(rows)
    seconds = sum(sum(times) for times in bench.seconds.values())
    print(f"\nThe two servers, in Python on the same machine: {servers / seconds:.0%} of the time.")


if __name__ == "__main__":
    main()
