"""What commands cost on repositories in the shape of public ones: part of `make bench`.

Five are made, the same for the same seed: overlays of a small team, vendored charts, definitions of
kinds of 2 MB, 20,000 files, and 5,000 commits beside generated JSON. Each command runs over smart
HTTP from this machine, once as it is installed and once as the packed helper that an agent gets,
which has no libyaml. Counted are seconds, CPU and the largest process's memory with git's, requests
and what was received.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tarfile
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lab import (
    AGENT,
    ARCHIVES,
    COMMAND,
    Run,
    make_repository,
    print_heading,
    print_table,
    put,
    run,
)
from servers.git_http import GitHttpServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SEED = 24
NAMES = ("overlays", "charts", "definitions", "wide", "long")
SERVICE = "cart"
WORKLOAD = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app.kubernetes.io/name: {name}, team: {team}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
        - name: server
          image: acme/{name}:1.0.0@sha256:{digest}
          env:
{env}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}
"""
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {{name: {name}, namespace: {team}}}
spec:
  chart: {{spec: {{chart: ./charts/{name}, sourceRef: {{kind: GitRepository, name: fleet}}}}}}
  values: {{replicaCount: 2}}
"""
GLOBS = '[defaults]\nmanifests = ["{where}"]\n'


class Cost(NamedTuple):
    """What one run of a command took, and how many requests and bytes it was told by."""

    run: Run
    requests: int
    received: int


class Generator:
    """Makes the files of repositories by chance, the same for the same seed."""

    def __init__(self, scale: float) -> None:
        self._chance = random.Random(SEED)
        self._scale = scale

    def repositories(self) -> dict[str, tuple[dict[str, str], int]]:
        """Return for each name its files, and how many commits were before the newest."""
        return {
            "overlays": (self._overlays(), 40),
            "charts": (self._charts(), 100),
            "definitions": (self._definitions(), 60),
            "wide": (self._wide(), 20),
            "long": (self._long(), self._some(5000)),
        }

    def _some(self, number: int) -> int:
        return max(2, int(number * self._scale))

    def _workload(self, name: str) -> str:
        lines = self._chance.randint(2, 40)
        env = "".join(
            f"            - {{name: SETTING_{n}, value: '{self._word()}'}}\n" for n in range(lines)
        )
        digest = sha256(name.encode()).hexdigest()
        return WORKLOAD.format(name=name, team=self._team(), digest=digest, env=env.rstrip("\n"))

    def _word(self) -> str:
        return "".join(self._chance.choices("abcdefghijklmnopqrstuvwxyz", k=12))

    def _team(self) -> str:
        return self._chance.choice(("checkout", "search", "platform"))

    def _names(self, count: int) -> list[str]:
        return [SERVICE, *(f"{self._word()}-{n}" for n in range(self._some(count) - 1))]

    def _overlays(self) -> dict[str, str]:
        files = {"README.md": "# Manifests\n"}
        names = self._names(40)
        for name in names:
            files[f"base/{name}/deployment.yaml"] = self._workload(name)
            files[f"base/{name}/kustomization.yaml"] = "resources: [deployment.yaml]\n"
        bases = "".join(f"- ../../base/{name}\n" for name in names)
        files["clusters/production/kustomization.yaml"] = f"resources:\n{bases}"
        return files

    def _charts(self) -> dict[str, str]:
        files = {}
        for name in self._names(60):
            folder = f"clusters/production/europe-west/{self._team()}/applications/{name}"
            files[f"{folder}/release.yaml"] = RELEASE.format(name=name, team=self._team())
            if name == SERVICE:
                files[f"{folder}/deployment.yaml"] = self._workload(name)
            for number in range(12):
                template = self._workload(name).replace("replicas: 2", "replicas: {{ .Values.n }}")
                files[f"charts/{name}/templates/{self._word()}-{number}.yaml"] = template
            files[f"charts/{name}/values.yaml"] = (
                f"image: {{repository: vendor/{name}, tag: '1'}}\n"
            )
            files[f"charts/{name}/Chart.yaml"] = f"apiVersion: v2\nname: {name}\nversion: 1.0.0\n"
        where = "clusters/production/europe-west/*/applications/{service}/deployment.yaml"
        return {**files, ".gitops-rollback.toml": GLOBS.format(where=where)}

    def _definitions(self) -> dict[str, str]:
        files = {f"apps/{name}/deployment.yaml": self._workload(name) for name in self._names(200)}
        for number in range(self._some(8)):
            described = "".join(
                f"            field{n}:\n              type: string\n"
                f"              description: the image of {self._word()}, with its tag\n"
                for n in range(self._some(18_000))
            )
            files[f"infrastructure/crds/{number}.yaml"] = (
                "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
                f"metadata:\n  name: kinds{number}.acme.example\n"
                "spec:\n  versions:\n    - schema:\n"
                f"        properties:\n          spec:\n{described}"
            )
        return files

    def _wide(self) -> dict[str, str]:
        files = {
            f"fleet/{self._team()}/{name}/{part}.yaml": self._workload(name)
            for name in self._names(4000)
            for part in ("deployment", "worker", "cron", "migrations", "canary")
        }
        where = "fleet/*/{service}/*.yaml"
        return {**files, ".gitops-rollback.toml": GLOBS.format(where=where)}

    def _long(self) -> dict[str, str]:
        files = {f"apps/{name}/deployment.yaml": self._workload(name) for name in self._names(120)}
        for number in range(self._some(40)):
            panels = [{"title": self._word(), "image": self._word()} for _ in range(2000)]
            files[f"dashboards/{number}.json"] = json.dumps({"panels": panels})
        return files


def history(commits: int) -> Iterator[str]:
    """Yield so many commits after the first, each of a note."""
    for number in range(1, commits):
        yield f"commit refs/heads/main\ncommitter bench <bench@localhost> {number * 60} +0000\n"
        yield "data 0\n" + put(f"notes/{number % 50}.txt", f"{number}\n")


def commands(version: str) -> dict[str, list[str]]:
    """Return the commands in the order of a day: each needs what was done before it."""
    named = ["--service", SERVICE]
    digest = sha256(version.encode()).hexdigest()
    image = f"acme/{SERVICE}:{version}@sha256:{digest}"
    return {
        "services": ["services"],
        "deploy": ["deploy", *named, "--image", image],
        "plan": ["plan", *named, "--strategy", "git"],
        "rollback": ["rollback", *named, "--strategy", "git", "--reason", "bench", "--by", "jane"],
        "history": ["history", *named],
        "check": ["check", *named],
        "release": ["release", *named, "--reason", "bench"],
    }


def measured(
    program: Sequence[str], arguments: Sequence[str], home: Path, server: GitHttpServer
) -> Cost:
    """Run a command and return what it cost; what git took counts, too."""
    server.traffic.reset()
    nowhere = "http://127.0.0.1:1"
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8",
        "GITOPS_STORE": "directory:records", "GIT_CONFIG_NOSYSTEM": "1",
        "GITOPS_HUB_URL": nowhere, "GITOPS_REGISTRY_URL": nowhere,
    }  # fmt: skip
    fine = (0, 1) if arguments[0] == "services" else (0, 8)
    done = run([*program, *arguments], environment, home, fine)
    return Cost(done, len(server.traffic.requests), server.traffic.sent)


def measure(root: Path, name: str, helper: Path) -> Iterator[tuple[str, Cost, Cost]]:
    """Yield each command with its cost as it is installed, and as the packed helper."""
    with GitHttpServer(root) as server:
        costs: list[dict[str, Cost]] = []
        for number, program in enumerate(([COMMAND], [*AGENT, str(helper)])):
            home = root / f"{name}-home-{number}"
            home.mkdir()
            where = ["--repository", f"{server.url}/{name}.git"]
            # The first deploy is what the second is rolled back to; it also warms up.
            first = commands(f"2.{number}.0")["deploy"]
            measured(program, [*first, *where], home, server)
            costs.append({
                command: measured(program, [*line, *where], home, server)
                for command, line in commands(f"2.{number}.1").items()
            })  # fmt: skip
    for command in costs[0]:
        yield command, costs[0][command], costs[1][command]


def main() -> int:
    """Make the repositories, run every command on each, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the repositories' sizes")
    parser.add_argument("--only", action="append", help="one repository (default: all)")
    parser.add_argument("--build", nargs=2, metavar=("FOLDER", "NAME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        folder, name = options.build
        files, commits = Generator(options.scale).repositories()[name]
        make_repository(Path(folder) / f"{name}.git", files, history(commits))
        print(f"{name}: {len(files):,} files, {commits:,} commits")
        return 0
    rows: list[tuple[str, ...]] = [
        ("repository", "command", "seconds", "CPU, s", "MB", "packed: seconds", "CPU, s", "MB",
         "requests", "kB received"),
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="gitops-real-") as folder:
        root = Path(folder)
        for archive in ARCHIVES:
            with tarfile.open(archive) as tar:
                tar.extractall(root / "helper", filter="data")
        # In a process of its own: the memory of who starts a command counts as the command's.
        for name in options.only or NAMES:
            line = [sys.executable, __file__, f"--scale={options.scale}", "--build", folder, name]
            title = run(line).said.strip()
            for command, one, other in measure(root, name, root / "helper"):
                cells = (f"{value:.2f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004
                         for cost in (one, other)
                         for value in cost.run[1:4])  # fmt: skip
                what = f"{command} (refused)" if one.run.code == 1 else command
                rows.append((title, what, *cells, str(one.requests), f"{one.received / 1000:,.0f}"))
                title = ""
    print_heading("Repositories in the shape of public ones")
    print_table(rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
