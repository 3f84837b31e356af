"""What a deploy and a rollback cost, beside the usual ways: `make bench`.

One generated repository of 100 services and one of 10,000, each served over smart HTTP from this
machine, then the same with servers that are 40 ms away (`far`). The ways take turns, so that a slow
moment of the machine meets all of them. The registry is a stand-in, and as far away as Git.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "python"))
sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "demo"))

from far import Far
from machine import describe_machine, print_table
from servers.git_http import GitHttpServer
from standin import RegistryStandIn

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (100, 10_000)
ROUNDS = {0.0: 7, 0.04: 3}  # by the seconds of a round trip
COMMAND = Path(sys.executable).with_name("gitops-rollback")

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
        - name: server
          image: acme/{name}:1.0.0@sha256:{digest}
"""

# The floor: the same work by hand with git's plumbing, and nothing checked.
FLOOR = """\
set -e
git init --quiet --bare floor.git && cd floor.git
git remote add origin "$URL"
git fetch --quiet --no-tags --depth=1 --filter=blob:none origin main
tip=$(git rev-parse FETCH_HEAD)
git cat-file blob "$tip:$FILE" | sed "s|image: .*|image: $IMAGE|" > manifest
blob=$(git hash-object -w manifest)
export GIT_INDEX_FILE=index
git read-tree "$tip"
git update-index --cacheinfo "100644,$blob,$FILE"
commit=$(git commit-tree -p "$tip" -m deploy "$(git write-tree --missing-ok)")
git push --quiet origin "$commit:refs/heads/main"
"""
CLONE = """\
set -e
git clone --quiet $DEPTH "$URL" work && cd work
sed -i "s|image: .*|image: $IMAGE|" "$FILE"
git commit --quiet --all --message=deploy
git push --quiet origin main
"""
OURS = """\
exec "$COMMAND" deploy --repository "$URL" --service "$NAME" --image "$IMAGE" \
  --release --store directory:../records $CACHE
"""
BACK = """\
exec "$COMMAND" rollback --repository "$URL" --service "$NAME" --reason bench --again \
  --accept bad,never-ran,unproven --store directory:../records $CACHE
"""


@dataclass
class Measured:
    """What the runs of one way cost: seconds and bytes of each, requests of the last."""

    seconds: list[float] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    requests: int = 0
    asked: int = 0  # requests to the registry
    memory: int = 0  # bytes at the peak, all processes together


WAYS = {
    "git clone, sed, push": (CLONE, {"DEPTH": ""}),
    "git clone --depth 1, sed, push": (CLONE, {"DEPTH": "--depth=1"}),
    "git plumbing by hand (the floor)": (FLOOR, {}),
    "gitops-rollback deploy": (OURS, {"CACHE": ""}),
    "gitops-rollback deploy --cache": (OURS, {"CACHE": "--cache ../cache"}),
    "gitops-rollback rollback": (BACK, {"CACHE": ""}),
    "gitops-rollback rollback --cache": (BACK, {"CACHE": "--cache ../cache"}),
}


def main() -> None:
    """Measure all ways on all sizes, near and far, and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, help="of each way (default: 7 near, 3 far)")
    options = parser.parse_args()
    for seconds, usual in ROUNDS.items():
        rounds = options.rounds or usual
        with tempfile.TemporaryDirectory(prefix="gitops-bench-") as folder:
            root = Path(folder)
            results = {size: measure(root, size, seconds, rounds) for size in SIZES}
        far = f", {seconds * 1000:.0f} ms away" if seconds else ""
        print(f"\n### A deploy over HTTP{far}, {rounds} rounds, median ({describe_machine()})\n")
        print_results(results)


def print_results(results: dict[int, dict[str, Measured]]) -> None:
    """Print one table, and how the sizes compare."""
    rows = [
        ("services", "way", "seconds", "x floor", "kB received", "requests", "to the registry",
         "peak MB")
    ]  # fmt: skip
    for size, ways in results.items():
        floor = statistics.median(ways["git plumbing by hand (the floor)"].seconds)
        for name, measured in ways.items():
            seconds = statistics.median(measured.seconds)
            received = f"{statistics.median(measured.received) / 1000:,.0f}"
            rows.append((f"{size:,}", name, f"{seconds:.2f}", f"{seconds / floor:.2f}", received,
                         str(measured.requests), str(measured.asked),
                         f"{measured.memory / 1e6:.0f}"))  # fmt: skip
    print_table(rows)
    ours = [statistics.median(results[size]["gitops-rollback deploy"].seconds) for size in SIZES]
    print(
        f"\nFrom {SIZES[0]:,} to {SIZES[1]:,} services: gitops-rollback x {ours[1] / ours[0]:.2f}"
    )


def measure(root: Path, size: int, round_trip: float, rounds: int) -> dict[str, Measured]:
    """Run every way so many times on a repository of `size` services, in turns."""
    make_repository(root / f"{size}.git", size)
    ways = {name: Measured() for name in WAYS}
    with (
        GitHttpServer(root) as server,
        RegistryStandIn() as hub,
        Far(server.url, round_trip) as git,
        Far(hub.url, round_trip) as registry,
    ):
        for number in range(rounds + 1):
            for place, (name, (script, extra)) in enumerate(WAYS.items()):
                work = Path(tempfile.mkdtemp(dir=root))
                service, version = f"svc-{size // 2:05}", f"1.{number}.{place}"
                image = f"acme/{service}:{version}@{hub.push(f'acme/{service}', version)}"
                environment = {
                    **_environment(work, f"{git.url}/{size}.git", service, image),
                    "GITOPS_REGISTRY_URL": registry.url,
                    "GITOPS_HUB_URL": registry.url,
                    **extra,
                }
                server.traffic.reset()
                hub.requests.clear()
                start = time.perf_counter()
                peak = run(script, work, environment, watch=number == 0)
                seconds = time.perf_counter() - start
                shutil.rmtree(work)
                if number == 0:  # the warm-up, in which memory is watched
                    ways[name].memory = peak
                    continue
                ways[name].seconds.append(seconds)
                ways[name].received.append(server.traffic.sent)
                ways[name].requests = len(server.traffic.requests)
                ways[name].asked = len(hub.requests)
    return ways


def make_repository(path: Path, size: int) -> None:
    """Make a bare repository of `size` services, packed as a server keeps it."""
    stream = ["commit refs/heads/main\n", "committer bench <bench@localhost> 0 +0000\n", "data 0\n"]
    files = {".gitops-rollback.toml": '[defaults]\nmanifests = ["apps/{service}/*.yaml"]\n'}
    for number in range(size):
        name = f"svc-{number:05}"
        text = MANIFEST.format(name=name, digest=f"{number:064x}")
        files[f"apps/{name}/deployment.yaml"] = text
    for name, text in files.items():
        stream.append(f"M 100644 inline {name}\ndata {len(text.encode())}\n{text}\n")
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True)
    git = ["git", "-C", str(path)]
    subprocess.run([*git, "fast-import", "--quiet"], input="".join(stream).encode(), check=True)
    subprocess.run([*git, "config", "uploadpack.allowFilter", "true"], check=True)
    subprocess.run([*git, "config", "receive.autogc", "false"], check=True)
    subprocess.run([*git, "repack", "-adq"], check=True)


def run(script: str, work: Path, environment: dict[str, str], *, watch: bool) -> int:
    """Run a script; return the peak memory of all its processes in bytes, if that is watched."""
    process = subprocess.Popen(
        ["sh", "-c", script], cwd=work, env=environment, stderr=subprocess.PIPE, process_group=0
    )
    peaks = [0]
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks, done.is_set))
    if watch:
        watcher.start()
    _, errors = process.communicate()
    done.set()
    if watch:
        watcher.join()
    if process.returncode != 0:
        sys.exit(f"bench: a way failed:\n{errors.decode()}")
    return peaks[0]


def _watch(group: int, peaks: list[int], is_done: Callable[[], bool]) -> None:
    while not is_done():
        peaks[0] = max(peaks[0], _memory_of_group(group))
        time.sleep(0.002)


def _memory_of_group(group: int) -> int:
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return total


def _environment(work: Path, url: str, name: str, image: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(work.parent),
        "GIT_AUTHOR_NAME": "bench",
        "GIT_AUTHOR_EMAIL": "bench@localhost",
        "GIT_COMMITTER_NAME": "bench",
        "GIT_COMMITTER_EMAIL": "bench@localhost",
        "GIT_CONFIG_NOSYSTEM": "1",
        "COMMAND": str(COMMAND),
        "URL": url,
        "NAME": name,
        "FILE": f"apps/{name}/deployment.yaml",
        "IMAGE": image,
        "CACHE": "",
    }


if __name__ == "__main__":
    main()
