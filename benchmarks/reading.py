"""Discovery over 2,000 files beside the least it can cost: parsing those that hold an image."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.services.config import Environment
from gitops_rollback.services.inventory import read_manifests
from machine import describe_machine, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = 2_000
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
    print(f"{FILES} files, half of them with an image; {describe_machine()}\n")
    rows = [("what", "milliseconds"), ("parsing the files with an image", f"{parsing * 1e3:.0f}")]
    print_table([*rows, ("discovery: every field that takes effect", f"{all_of_it * 1e3:.0f}")])


def _best(act: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
