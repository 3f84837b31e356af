"""What starting the packed helper costs beside the installed command: part of `make bench`.

Both run from the same base interpreter; the ways take turns, so that a slow moment of the machine
meets all of them. Unpacked afresh it is slower once, while Python caches what it compiles.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from machine import describe_machine, print_table

ROUNDS = 30
ROOT = Path(__file__).parents[1]
RESOURCES = ROOT / "resources" / "io" / "github" / "gitopsrollback"
ARCHIVES = (RESOURCES / "gitops-rollback.tar", RESOURCES / "dependencies.tar.gz")
INSTALLED = [str(Path(sys.executable).with_name("gitops-rollback"))]
# The same Python, but not that of the virtual environment: as on an agent.
PYTHON = [str(Path(sys.executable).resolve()), "-I", "-S", "-X", "utf8"]
COMMANDS = (["--version"], ["--help"], ["plan", "--help"])


def main() -> int:
    """Print a table of medians."""
    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        for archive in ARCHIVES:
            with tarfile.open(archive) as tar:
                tar.extractall(directory, filter="data")
        unpacked = time.perf_counter() - start
        packed = [*PYTHON, directory]
        first = seconds_of([*packed, "plan", "--help"])
        rows = [measure(command, packed) for command in COMMANDS]
    print(f"\n### Starting the packed helper, {ROUNDS} rounds, median ({describe_machine()})\n")
    print_table([("command", "installed, ms", "packed, ms", "difference, ms"), *rows])
    once = f"unpack {unpacked * 1000:.0f} ms, first `plan --help` {first * 1000:.0f} ms"
    print(f"\nOnce per agent: {once}.")
    return 0


def measure(command: list[str], packed: list[str]) -> tuple[str, ...]:
    """Return a row for one command: both medians and what the packed one costs more."""
    ways = ([*INSTALLED, *command], [*packed, *command])
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS + 1):
        for way, values in zip(ways, seconds, strict=True):
            value = seconds_of(way)
            if number:  # the first round warms up
                values.append(value)
    installed, unpacked = (statistics.median(values) * 1000 for values in seconds)
    difference = f"{unpacked - installed:+.0f}"
    return (f"`{' '.join(command)}`", f"{installed:.0f}", f"{unpacked:.0f}", difference)


def seconds_of(command: list[str]) -> float:
    """Run a command and return its seconds."""
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    raise SystemExit(main())
