"""Pack the helper: two archives in `resources/` that run with nothing but an agent's `python3`.

`gitops-rollback.tar` has the package as it stands. It is no more than a tar, so that Git keeps the
few bytes by which one commit's differs from the next. `dependencies.tar.gz` has its run-time
dependencies and changes only when a pin does. The same sources give the same archives: entries are
sorted, times, owners and modes fixed. `helper.properties` names the sha256 of both.

Without an option the work tree is packed; `--staged` packs what the next commit will hold and
stages the archives beside it: for the pre-commit hook (`make hooks`) and for rebasing.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import helper_dependencies as dependencies

ROOT = Path(__file__).resolve().parents[1]
RESOURCES = ROOT / "resources" / "io" / "github" / "gitopsrollback"
ARCHIVE = "gitops-rollback.tar"
PROPERTIES = "helper.properties"
LARGEST = 10_000_000  # bytes, unpacked
_PACKAGE = "python/gitops_rollback"
# `python3 DIRECTORY` starts this; unlike `-m`, it works with -I, which ignores PYTHON* variables.
_MAIN = b"from gitops_rollback.cli import main\n\nmain()\n"


def main() -> int:
    """Build the archives and their properties; return 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--output", type=Path, default=RESOURCES, help="where to (default: %(default)s)"
    )
    parser.add_argument("--staged", action="store_true", help="pack the next commit, and stage it")
    parser.add_argument("--fresh", action="store_true", help="fetch the dependencies in any case")
    arguments = parser.parse_args()
    directory: Path = arguments.output
    sources = staged_sources() if arguments.staged else work_tree_sources()
    directory.mkdir(parents=True, exist_ok=True)
    requirements = sources[dependencies.REQUIREMENTS.relative_to(ROOT).as_posix()]
    packed = dependencies_archive(requirements, directory, fresh=arguments.fresh)
    own = own_files(sources)
    size = sum(map(len, own.values())) + sum(map(len, dependencies.unpack(packed).values()))
    if size > LARGEST:
        print(f"the helper has {size} bytes unpacked, {LARGEST} are allowed", file=sys.stderr)
        return 1
    refuse_half_an_edit(own, directory)
    write(directory, dependencies.pack(own), packed, sources)
    if arguments.staged:
        git("add", "--", str(directory))
    print(f"{directory / ARCHIVE}: {len(own)} files; with dependencies {size} bytes")
    return 0


def work_tree_sources() -> dict[str, bytes]:
    """Return the files to build from as they stand, by their path in the repository."""
    package = (path for path in (ROOT / _PACKAGE).rglob("*") if "__pycache__" not in path.parts)
    paths = [ROOT / "LICENSE", dependencies.REQUIREMENTS, *filter(Path.is_file, package)]
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}


def staged_sources() -> dict[str, bytes]:
    """Return the files to build from as the next commit will hold them."""
    wanted = (_PACKAGE, "LICENSE", dependencies.REQUIREMENTS.relative_to(ROOT).as_posix())
    listed = git("ls-files", "--stage", "-z", "--", *wanted).decode().split("\0")[:-1]
    entries = [line.split("\t", 1) for line in listed]
    ids = [about.split()[1] for about, _path in entries]
    answer = git("cat-file", "--batch", stdin="".join(f"{name}\n" for name in ids).encode())
    sources, at = {}, 0
    for _about, path in entries:
        end = answer.index(b"\n", at)
        size = int(answer[at:end].split()[2])
        sources[path] = answer[end + 1 : end + 1 + size]
        at = end + 1 + size + 1
    return sources


def own_files(sources: dict[str, bytes]) -> dict[str, bytes]:
    """Return the package, what starts it, and its licence, by their path in the archive."""
    files = {
        path.removeprefix("python/"): data
        for path, data in sources.items()
        if path.startswith(f"{_PACKAGE}/")
    }
    return {**files, "__main__.py": _MAIN, "LICENSE": sources["LICENSE"]}


def dependencies_archive(requirements: bytes, directory: Path, *, fresh: bool) -> bytes:
    """Return the archive that is there if its pins are the current ones, else a new one."""
    there = directory / dependencies.ARCHIVE
    known = read_properties(directory)
    if not fresh and there.exists() and known.get("pins") == dependencies.rules(requirements):
        data = there.read_bytes()
        if hashlib.sha256(data).hexdigest() == known.get("dependencies"):
            return data
    if requirements != dependencies.REQUIREMENTS.read_bytes():
        raise SystemExit(f"{dependencies.REQUIREMENTS} has changes that are not staged")
    return dependencies.build()


def refuse_half_an_edit(own: dict[str, bytes], directory: Path) -> None:
    """Compile what the archive that is there does not hold already."""
    there = directory / ARCHIVE
    known = dependencies.unpack(there.read_bytes()) if there.exists() else {}
    for name, data in own.items():
        if name.endswith(".py") and known.get(name) != data:
            compile(data, name, "exec")


def write(directory: Path, own: bytes, packed: bytes, sources: dict[str, bytes]) -> None:
    """Write both archives, the list of the dependencies, and the properties."""
    requirements = sources[dependencies.REQUIREMENTS.relative_to(ROOT).as_posix()]
    files = dependencies.unpack(packed)
    about = {
        "version": version(sources[f"{_PACKAGE}/__init__.py"].decode()),
        "package": hashlib.sha256(own).hexdigest(),
        "dependencies": hashlib.sha256(packed).hexdigest(),
        "contents": hashlib.sha256(dependencies.pack(files)).hexdigest(),
        "pins": dependencies.rules(requirements),
    }
    bill = dependencies.bill_of_materials(requirements.decode(), files)
    (directory / ARCHIVE).write_bytes(own)
    (directory / dependencies.ARCHIVE).write_bytes(packed)
    (directory / dependencies.LIST).write_text(bill, encoding="utf-8")
    text = "".join(f"{key}={value}\n" for key, value in about.items())
    (directory / PROPERTIES).write_text(text, encoding="ascii")


def read_properties(directory: Path) -> dict[str, str]:
    """Return `helper.properties`, empty where it is not there."""
    path = directory / PROPERTIES
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines)


def version(source: str) -> str:
    """Return the version that the package's `__init__.py` names."""
    found = re.search(r'^__version__ = "([^"]+)"', source, re.MULTILINE)
    if found is None:
        raise SystemExit(f"{_PACKAGE}/__init__.py names no version")
    return found[1]


def git(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run git in the repository and return what it says."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True).stdout


if __name__ == "__main__":
    raise SystemExit(main())
