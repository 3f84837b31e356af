"""What starting the command costs, beside Python alone: part of `make bench`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import describe_machine, print_table

ROUNDS = 30
COMMAND = str(Path(sys.executable).with_name("gitops-rollback"))
WAYS = {
    "python3 -c ''": [sys.executable, "-c", ""],
    "gitops-rollback --version": [COMMAND, "--version"],
    "gitops-rollback --help": [COMMAND, "--help"],
    "gitops-rollback plan --help": [COMMAND, "plan", "--help"],
    "python3 -c 'import requests'": [sys.executable, "-c", "import requests"],
}


def main() -> None:
    """Start every way in turns and print the medians."""
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(ROUNDS + 1):
        for name, command in WAYS.items():
            start = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    print(f"\n### Starting the command, {ROUNDS} rounds, median ({describe_machine()})\n")
    base = statistics.median(seconds["python3 -c ''"])
    rows = [("command", "ms", "x python3")]
    for name, values in seconds.items():
        median = statistics.median(values)
        rows.append((name, f"{median * 1000:.0f}", f"{median / base:.2f}"))
    print_table(rows)


if __name__ == "__main__":
    main()
