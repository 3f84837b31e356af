"""What 100 services at once cost beside one: `make bench`.

In a repository of 1,000, over smart HTTP from this machine, with a registry that answers; and at
the first contact with a repository of 100 that people edited by hand. One and many take turns.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

from lab import (
    COMMAND,
    MANIFEST,
    Servers,
    make_repository,
    print_heading,
    print_table,
    put,
    run,
    servers,
    services,
    turns,
)

MANY = 100
ROUNDS, LONGEST = 5, 100  # seconds
NAMES = [f"svc-{number:05}" for number in range(MANY)]
SERVICES = {"one": ["svc-00500"], "many": NAMES}
FIRST_CONTACT = "plan, no state file"
EDITS = 3  # of each service, one commit each
COMMANDS = ("deploy", "record", "plan", "check", "rollback", "history", "release", FIRST_CONTACT)


class Bench:
    """Two repositories, one registry, one store of records."""

    def __init__(self, there: Servers) -> None:
        self._there = there
        self._root = root = there.root
        self._git = there.git
        self._hub = hub = there.hub
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
        make_repository(self._root / "m.git", services(1_000))
        history = []
        for number in range(EDITS * MANY):
            name, version = NAMES[number % MANY], f"1.{number // MANY + 1}.0"
            digest = self._hub.push(f"acme/{name}", version).removeprefix("sha256:")
            text = MANIFEST.format(name=name, digest=digest).replace(":1.0.0@", f":{version}@")
            history.append(
                f"commit refs/heads/main\ncommitter jane <jane@localhost> {number} +0000\ndata 0\n"
                + put(f"apps/{name}/deployment.yaml", text)
            )
        make_repository(self._root / "new.git", services(MANY), history)

    def round(self, number: int) -> None:
        """Run every command with one service and with many."""
        for version in (f"2.{number}.0", f"2.{number}.1"):
            for size in SERVICES:
                self._deploy(size, version)
        for command in ("record", "plan", "check", "rollback", "history", "release"):
            for size, names in SERVICES.items():
                self._run(command, size, *(f"--service={name}" for name in names))
        for size, names in (("one", ["--service=svc-00050"]), ("many", ["--all"])):
            self._run(FIRST_CONTACT, size, *names, repository="new.git")

    def _deploy(self, size: str, version: str) -> None:
        images = [
            f"--image={name}=acme/{name}:{version}@{self._hub.push(f'acme/{name}', version)}"
            for name in SERVICES[size]
        ]
        self._run("deploy", size, *images)

    def _run(self, what: str, size: str, *arguments: str, repository: str = "m.git") -> None:
        self._there.reset()
        command = what.partition(",")[0]
        environment = {**self._environment, "GITOPS_REPOSITORY": f"{self._git.url}/{repository}"}
        fine = (0, 8) if command == "check" else (0,)
        with tempfile.TemporaryDirectory(dir=self._root) as folder:
            done = run([COMMAND, command, *arguments], environment, Path(folder), fine)
        self.seconds.setdefault((what, size), []).append(done.seconds)
        counted = (len(self._git.traffic.requests), len(self._hub.requests))
        self.requests[what, size] = counted


def main() -> None:
    """Measure and print one table; the first round warms up."""
    with servers() as there:
        bench = Bench(there)
        bench.prepare()
        for number in turns(ROUNDS, LONGEST):
            if number == 1:
                bench.seconds.clear()
                start = time.process_time()
            bench.round(number)
        used = time.process_time() - start
    print_heading(f"{MANY} services at once, {number} rounds, median")
    rows = [("command", "one, s", f"{MANY}, s", "x", "to Git", "to the registry")]
    for command in COMMANDS:
        one, many = (statistics.median(bench.seconds[command, size]) for size in SERVICES)
        counts = [bench.requests[command, size] for size in SERVICES]
        git_requests, registry = (" / ".join(map(str, pair)) for pair in zip(*counts, strict=True))
        row = (command, f"{one:.2f}", f"{many:.2f}", f"{many / one:.2f}", git_requests, registry)
        rows.append(row)
    print_table(rows)
    seconds = sum(sum(times) for times in bench.seconds.values())
    print(f"\nThe two servers, in Python on the same machine: {used / seconds:.0%} of the time.")


if __name__ == "__main__":
    main()
