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
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab import (
    COMMAND,
    Far,
    make_repository,
    print_heading,
    print_table,
    run,
    servers,
    services,
    turns,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab import Run, Servers

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
    """What the runs of one way cost: what was received by each, requests of the last."""

    is_slow: bool = False
    runs: list[Run] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    requests: int = 0
    asked: int = 0  # requests to the registry

    @property
    def seconds(self) -> float:
        """The median of what the runs took."""
        return statistics.median(one.seconds for one in self.runs)


WAYS = {
    "git clone, sed, push": (CLONE, {"DEPTH": ""}),
    "git clone --depth 1, sed, push": (CLONE, {"DEPTH": "--depth=1"}),
    "git plumbing by hand (the floor)": (FLOOR, {}),
    # Who put there what runs is looked for in the branch's history: no state file tells.
    "gitops-rollback deploy, after that by hand": (OURS, {"CACHE": ""}),
    "gitops-rollback deploy": (OURS, {"CACHE": ""}),
    # What a build has pushed it need not ask a registry for.
    "the same, in the build of the image": (
        OURS,
        {"CACHE": "", "JOB_NAME": "j", "BUILD_NUMBER": "1"},
    ),
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
        done = max(len(one.runs) for ways in results.values() for one in ways.values())
        away = f", {seconds * 1000:.0f} ms away" if seconds else ""
        print_heading(f"A deploy over HTTP{away}, up to {done} rounds, median")
        print_results(results)


def print_results(results: dict[int, dict[str, Measured]]) -> None:
    """Print one table, and how the sizes compare."""
    rows = [
        ("services", "way", "rounds", "seconds", "x floor", "CPU, s", "kB received", "requests",
         "to the registry", "MB")
    ]  # fmt: skip
    for size, ways in results.items():
        floor = ways["git plumbing by hand (the floor)"].seconds
        for name, measured in ways.items():
            received = f"{statistics.median(measured.received) / 1000:,.0f}"
            cpu = statistics.median(one.cpu for one in measured.runs)
            largest = max(one.megabytes for one in measured.runs)
            rows.append((f"{size:,}", name, str(len(measured.runs)), f"{measured.seconds:.2f}",
                         f"{measured.seconds / floor:.2f}", f"{cpu:.2f}", received,
                         str(measured.requests), str(measured.asked),
                         f"{largest:.0f}"))  # fmt: skip
    print_table(rows)
    ours, back = (
        [results[size][f"gitops-rollback {command}"].seconds for size in SIZES]
        for command in ("deploy", "rollback")
    )
    print(
        f"\nFrom {SIZES[0]:,} to {SIZES[1]:,} services: gitops-rollback x {ours[1] / ours[0]:.2f}; "
        f"a rollback is x {back[0] / ours[0]:.2f} and x {back[1] / ours[1]:.2f} of a deploy"
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
                done = run(["sh", "-c", script], environment, work)
                shutil.rmtree(work)
                if number == 0:  # the warm-up
                    ways[name].is_slow = done.seconds > 5  # noqa: PLR2004
                    continue
                ways[name].runs.append(done)
                ways[name].received.append(there.git.traffic.sent)
                ways[name].requests = len(there.git.traffic.requests)
                ways[name].asked = len(there.hub.requests)
    return ways


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
