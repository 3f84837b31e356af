"""Measure everything, print the tables, and put them into docs/performance.md: `make bench`.

    python benchmarks/bench.py [--write] [--only NAME]…

Each part is a program of its own, which prints its tables in Markdown. With --write a part's tables
replace what stands between its marks in the page, where it ended well. On two cores that do nothing
else all parts take less than 20 minutes together; a busy machine is told of.
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
PARTS = ("start", "deploy", "many", "at_once", "real", "reading", "other_tools", "waiting")
BUSY = 0.5  # processes that others have at work when this begins


def main() -> int:
    """Run the parts one after the other; return 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    parser.add_argument("--only", action="append", choices=PARTS, help="one part (default: all)")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    if load > BUSY:
        print(f"bench: others are at work here (a load of {load:.1f})", file=sys.stderr)
    # As it is installed: what Python makes of its source is there, whatever this shell forbids.
    compileall.compile_dir(ROOT / "python", quiet=1)
    began = time.monotonic()
    failed = [name for name in options.only or PARTS if not run(name, is_written=options.write)]
    print(f"\nbench: {(time.monotonic() - began) / 60:.1f} minutes in all", file=sys.stderr)
    for name in failed:
        print(f"bench: {name} failed", file=sys.stderr)
    return 1 if failed else 0


def run(name: str, *, is_written: bool) -> bool:
    """Run a part, print what it says, and tell whether it ended well."""
    began = time.monotonic()
    program = [sys.executable, str(Path(__file__).with_name(f"{name}.py"))]
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, flush=True)
    print(f"bench: {name}: {(time.monotonic() - began) / 60:.1f} minutes", file=sys.stderr)
    if done.returncode == 0 and is_written and done.stdout.strip():
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(replaced(page, name, done.stdout.strip()), encoding="utf-8")
    return done.returncode == 0


def replaced(page: str, name: str, tables: str) -> str:
    """Return the page with a part's tables between its marks; as it is where it has none."""
    marks = re.compile(f"(<!-- bench: {name} -->\n).*?(\n<!-- bench: end -->)", re.DOTALL)
    return marks.sub(lambda found: f"{found[1]}\n{tables}\n{found[2]}", page)


if __name__ == "__main__":
    raise SystemExit(main())
