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

from lab import COMMAND, Far, make_repository, print_heading, print_table, servers, services, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab import Servers

SIZES = (100, 10_000)
DISTANCES = {0.0: 90, 0.04: 60}  # seconds of a round trip, and about that one size may take
ROUNDS = 9
SELDOM = 6  # what is slow takes part in the first round that counts, and in every sixth after it

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

    is_slow: bool = False

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
    "the same, where nobody pushed": (OURS, {"CACHE": "--cache ../cache"}),
    "gitops-rollback rollback": (BACK, {"CACHE": ""}),
    "gitops-rollback rollback --cache": (BACK, {"CACHE": "--cache ../cache"}),
}


def main() -> None:
    """Measure all ways on all sizes, near and far, and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each way, at most")
    rounds = parser.parse_args().rounds
    for seconds, longest in DISTANCES.items():
        with servers() as there:
            results = {
                size: measure(there, size, seconds, turns(rounds, longest)) for size in SIZES
            }
        done = max(len(one.seconds) for ways in results.values() for one in ways.values())
        away = f", {seconds * 1000:.0f} ms away" if seconds else ""
        print_heading(f"A deploy over HTTP{away}, up to {done} rounds, median")
        print_results(results)


def print_results(results: dict[int, dict[str, Measured]]) -> None:
    """Print one table, and how the sizes compare."""
    rows = [
        ("services", "way", "rounds", "seconds", "x floor", "kB received", "requests",
         "to the registry", "peak MB")
    ]  # fmt: skip
    for size, ways in results.items():
        floor = statistics.median(ways["git plumbing by hand (the floor)"].seconds)
        for name, measured in ways.items():
            seconds = statistics.median(measured.seconds)
            received = f"{statistics.median(measured.received) / 1000:,.0f}"
            rows.append((f"{size:,}", name, str(len(measured.seconds)), f"{seconds:.2f}",
                         f"{seconds / floor:.2f}", received, str(measured.requests),
                         str(measured.asked), f"{measured.memory / 1e6:.0f}"))  # fmt: skip
    print_table(rows)
    ours = [statistics.median(results[size]["gitops-rollback deploy"].seconds) for size in SIZES]
    print(
        f"\nFrom {SIZES[0]:,} to {SIZES[1]:,} services: gitops-rollback x {ours[1] / ours[0]:.2f}"
    )


def measure(
    there: Servers, size: int, round_trip: float, rounds: Iterator[int]
) -> dict[str, Measured]:
    """Run every way, in turns, on a repository of `size` services.

    What takes more than 5 s when it warms up takes part in fewer rounds.
    """
    root = there.root
    make_repository(root / f"{size}.git", services(size))
    ways = {name: Measured() for name in WAYS}
    with Far(there.git.url, round_trip) as git, Far(there.hub.url, round_trip) as registry:
        for number in rounds:
            for place, (name, (script, extra)) in enumerate(WAYS.items()):
                if ways[name].is_slow and number % SELDOM != 1:
                    continue
                work = Path(tempfile.mkdtemp(dir=root))
                service, version = f"svc-{size // 2:05}", f"1.{number}.{place}"
                image = f"acme/{service}:{version}@{there.hub.push(f'acme/{service}', version)}"
                environment = {
                    **_environment(work, f"{git.url}/{size}.git", service, image),
                    "GITOPS_REGISTRY_URL": registry.url,
                    "GITOPS_HUB_URL": registry.url,
                    **extra,
                }
                there.reset()
                start = time.perf_counter()
                peak = run(script, work, environment, watch=number == 0)
                seconds = time.perf_counter() - start
                shutil.rmtree(work)
                if number == 0:  # the warm-up, in which memory is watched
                    ways[name].memory = peak
                    ways[name].is_slow = seconds > 5  # noqa: PLR2004
                    continue
                ways[name].seconds.append(seconds)
                ways[name].received.append(there.git.traffic.sent)
                ways[name].requests = len(there.git.traffic.requests)
                ways[name].asked = len(there.hub.requests)
    return ways


def run(script: str, work: Path, environment: dict[str, str], *, watch: bool) -> int:
    """Run a script; return the peak memory of all its processes in bytes, if that is watched."""
    process = subprocess.Popen(
        ["sh", "-c", script],
        cwd=work,
        env=environment,
        process_group=0,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
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
        "COMMAND": COMMAND,
        "URL": url,
        "NAME": name,
        "FILE": f"apps/{name}/deployment.yaml",
        "IMAGE": image,
        "CACHE": "",
    }


if __name__ == "__main__":
    main()
