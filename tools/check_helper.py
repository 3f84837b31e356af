"""Prove that each commit carries the helper of its own source: a library pinned there works.

Looked at is every commit after the one that `.ci/helper-proven` names, or from the commit on that
added that file. Nothing is built: the files of a commit's `gitops-rollback.tar` must be those of
its `python/gitops_rollback`, byte for byte (by Git's own ids of contents), its `helper.properties`
must name the sums of both archives, and its pins those of the dependencies.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import helper_dependencies as dependencies
from build_helper import ARCHIVE, PROPERTIES, RESOURCES, ROOT, own_files

PROVEN = ".ci/helper-proven"
_ABOUT = (
    "# The newest commit whose helper is proven; without one, that which added this file begins."
)
_FOLDER = RESOURCES.relative_to(ROOT).as_posix()
_PINS = dependencies.REQUIREMENTS.relative_to(ROOT).as_posix()


def main() -> int:
    """Check each commit; print those that are wrong, and return 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repository", type=Path, default=ROOT, help="(default: this one)")
    parser.add_argument("--proven", action="store_true", help=f"then write HEAD into {PROVEN}")
    arguments = parser.parse_args()
    history = History(arguments.repository)
    commits = history.since(history.begin())
    wrong = {commit: fault for commit in commits if (fault := history.fault(commit))}
    for commit, fault in wrong.items():
        print(f"{commit}: {fault}; build it again in that commit: make helper", file=sys.stderr)
    print(f"the helper of {len(commits)} commits: {len(commits) - len(wrong)} are of their source")
    if wrong:
        return 1
    if arguments.proven and commits:
        (arguments.repository / PROVEN).write_text(f"{_ABOUT}\n{commits[0]}\n", encoding="ascii")
    return 0


class History:
    """The commits of a repository, read by git."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._archive = cache(self._read_archive)
        self._pinned = cache(self._read_pinned)

    def begin(self) -> str | None:
        """Return the newest commit whose helper is proven; None: the first of all that is there."""
        lines = (self._repository / PROVEN).read_text(encoding="ascii").splitlines()
        if named := [line for line in lines if not line.startswith("#")]:
            return self._known(named[0])
        adding = ("log", "--diff-filter=A", "--format=%H", "--", PROVEN)
        added = self._git(*adding).decode().split()
        parents = self._git("rev-list", "--max-count=1", "--parents", added[-1]).decode().split()
        return parents[1] if len(parents) > 1 else None

    def _known(self, commit: str) -> str:
        if self._run("cat-file", "-e", f"{commit}^{{commit}}").returncode:
            raise SystemExit(
                f"{commit}, named by {PROVEN}, is not in this history: fetch all of it"
                " (git fetch --unshallow)"
            )
        return commit

    def since(self, begin: str | None) -> list[str]:
        """Return the commits after one, newest first."""
        span = ["HEAD"] if begin is None else [f"{begin}..HEAD"]
        return self._git("rev-list", *span).decode().split()

    def fault(self, commit: str) -> str:
        """Return what is wrong with a commit's helper, empty if nothing is."""
        tree = self._tree(commit)
        own, packed, properties = (
            tree.get(f"{_FOLDER}/{name}") for name in (ARCHIVE, dependencies.ARCHIVE, PROPERTIES)
        )
        if own is None or packed is None or properties is None:
            return f"{_FOLDER} lacks {ARCHIVE}, {dependencies.ARCHIVE} or {PROPERTIES}"
        lines = self._blob(properties).decode().splitlines()
        named = dict(line.split("=", 1) for line in lines)
        own_sum, held = self._archive(own)
        packed_sum, _files = self._archive(packed)
        if (named.get("package"), named.get("dependencies")) != (own_sum, packed_sum):
            return f"{PROPERTIES} does not name the sums of the archives"
        if different := held.items() ^ self._source(tree).items():
            return (
                f"{ARCHIVE} is not the source: {', '.join(sorted({n for n, _ in different})[:3])}"
            )
        if lacking := self._pinned(tree[_PINS], packed):
            return f"{dependencies.ARCHIVE} does not hold {lacking}"
        return ""

    def _source(self, tree: dict[str, str]) -> dict[str, str]:
        """Return the ids of the contents that the archive of a tree must have."""
        paths = {path: path.encode() for path in tree}
        # Each path stands for its contents; what is written into every archive has its own.
        return {
            name: tree.get(data.decode(), "") or blob_id(data)
            for name, data in own_files(paths).items()
        }

    def _read_archive(self, blob: str) -> tuple[str, dict[str, str]]:
        """Return the sha256 of an archive, and the ids of the contents of its files."""
        data = self._blob(blob)
        files = dependencies.unpack(data)
        return hashlib.sha256(data).hexdigest(), {n: blob_id(d) for n, d in files.items()}

    def _read_pinned(self, requirements: str, archive: str) -> str:
        """Return the pins that an archive of dependencies does not hold, empty if none."""
        text = self._blob(requirements).decode()
        wanted = {f"{pin.normal} {pin.version}" for pin in dependencies.pins(text)}
        held = dependencies.held(dependencies.unpack(self._blob(archive)))
        return ", ".join(sorted(wanted ^ held))

    def _tree(self, commit: str) -> dict[str, str]:
        paths = ("python/gitops_rollback", "LICENSE", _PINS, _FOLDER)
        listed = self._git("ls-tree", "-r", "-z", commit, "--", *paths).decode().split("\0")[:-1]
        entries = (line.split("\t", 1) for line in listed)
        return {path: about.split()[2] for about, path in entries}

    def _blob(self, name: str) -> bytes:
        return self._git("cat-file", "blob", name)

    def _git(self, *arguments: str) -> bytes:
        done = self._run(*arguments)
        if done.returncode:
            raise SystemExit(f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = ["git", "-C", str(self._repository), *arguments]
        return subprocess.run(command, capture_output=True, check=False)


def blob_id(data: bytes) -> str:
    """Return the id that Git gives to a file's contents."""
    return hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
