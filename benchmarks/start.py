"""What starting costs, beside Python alone: the installed command, and the helper of an agent."""

from __future__ import annotations

import statistics
import sys
import tarfile
import tempfile
import time

from lab import AGENT, ARCHIVES, COMMAND, print_heading, print_table, run

ROUNDS = 30
ASKED = (["--version"], ["--help"], ["plan", "--help"])


def main() -> None:
    """Start every way in turns and print the medians."""
    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        for archive in ARCHIVES:
            with tarfile.open(archive) as tar:
                tar.extractall(directory, filter="data")
        unpacked = time.perf_counter() - start
        packed = [*AGENT, directory]
        first = run([*packed, "plan", "--help"]).seconds
        ways = {
            "python3 -c ''": [sys.executable, "-c", ""],
            "python3 -c '', as an agent's": [*AGENT, "-c", ""],
            "python3 -c 'import requests'": [sys.executable, "-c", "import requests"],
            **{f"gitops-rollback {' '.join(words)}": [COMMAND, *words] for words in ASKED},
            **{f"the helper, {' '.join(words)}": [*packed, *words] for words in ASKED},
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(ROUNDS + 1):
            for name, command in ways.items():
                value = run(command).seconds
                if number:  # the first round warms up
                    seconds[name].append(value)
    print_heading(f"Starting, {ROUNDS} rounds, median")
    base = statistics.median(seconds["python3 -c ''"])
    rows = [("command", "ms", "more than python3")]
    for name, values in seconds.items():
        median = statistics.median(values)
        rows.append((name, f"{median * 1000:.0f}", f"{(median - base) * 1000:+.0f}"))
    print_table(rows)
    print(
        f"\nOnce per agent: unpack {unpacked * 1000:.0f} ms, "
        f"first `plan --help` {first * 1000:.0f} ms."
    )


if __name__ == "__main__":
    main()
