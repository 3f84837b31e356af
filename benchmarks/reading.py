"""Discovery over 2,000 files, and `fields --prove` of 20,000: what is read, and edited and back.

Beside discovery the least it can cost: parsing those files that hold an image.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.services.config import Environment
from gitops_rollback.services.inventory import read_manifests
from lab import COMMAND, print_heading, print_table, run

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = 2_000
PROVEN = 20_000
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: s{number}, labels: {{app: s{number}}}}}
spec:
  template:
    spec:
      containers:
        - name: server
          image: acme/s{number}:1.4.2
          env: [{{name: A, value: b}}]
"""
_SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {{name: s{number}}}\nspec: {{ports: []}}\n"


def main() -> None:
    """Print the table."""
    files = {
        f"apps/s{number}/{kind}.yaml": text.format(number=number).encode()
        for number in range(FILES // 2)
        for kind, text in (("deployment", _DEPLOYMENT), ("service", _SERVICE))
    }
    holding = [data.decode() for data in files.values() if b"image" in data]
    parsing = _best(lambda: [list(yaml.compose_all(text, Loader=_LOADER)) for text in holding])
    all_of_it = _best(
        lambda: read_manifests(files).effective({}, Environment("default"))  # what takes effect
    )
    print_heading(f"Discovery over {FILES:,} files, half of them with an image")
    rows = [("what", "milliseconds"), ("parsing the files with an image", f"{parsing * 1e3:.0f}")]
    print_table([*rows, ("discovery: every field that takes effect", f"{all_of_it * 1e3:.0f}")])

    _prove()


def _prove() -> None:
    """Edit every field of many small files in memory and back.

    They are read in parts, so that memory grows with what is said alone.
    """
    with tempfile.TemporaryDirectory(prefix="gitops-prove-") as folder:
        for number in range(PROVEN):
            path = Path(folder) / "fleet" / f"s{number}" / "deployment.yaml"
            path.parent.mkdir(parents=True)
            path.write_text(_DEPLOYMENT.format(number=number))
        proving = [COMMAND, "fields", "--prove", "--output", "result.json", "fleet"]
        done = run(proving, folder=Path(folder))
    print_heading(f"`fields --prove` of {PROVEN:,} files of {_DEPLOYMENT.count(chr(10))} lines")
    what = next(line for line in done.said.splitlines() if "image fields" in line)
    row = (what, f"{done.seconds:.1f}", f"{done.cpu:.1f}", f"{done.megabytes:.0f}")
    print_table([("read and proven", "seconds", "CPU, s", "MB"), row])


def _best(act: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
