"""Read the tip of a branch, write one commit on it, push it as a compare-and-swap.

Who commits is whom git is set up with, else this tool.
"""

from __future__ import annotations

from bisect import bisect_left
from posixpath import commonpath
from typing import TYPE_CHECKING

from gitops_rollback.errors import RepositoryError
from gitops_rollback.late import dataclass
from gitops_rollback.repo.messages import UnknownCommitError, explain_local
from gitops_rollback.repo.objects import (
    LOG_FORMAT,
    MESSAGE_FORMAT,
    Tip,
    between,
    check_ways,
    garbled,
    import_stream,
    read_batch,
    read_changes,
    read_log,
    read_oid,
    read_others,
    read_tree,
    ways_to,
)
from gitops_rollback.repo.process import ALONE, GitFailedError
from gitops_rollback.repo.remote import PushLostError, Remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from gitops_rollback.clock import Deadline
    from gitops_rollback.model import LogEntry
    from gitops_rollback.repo.objects import Entry, PathChange

__all__ = ["PushLostError", "Repository"]

FIRST_LOOK = 50  # commits that whoever reads the history of a branch looks at first
LAST_LOOK = 1000  # and at most
MOST_MOVES = 5  # of a file, that are followed back
_TREE = "refs/gitops-rollback/tree"
MOST_FILES = 500_000  # of one listing: a commit of 3 kB can name a billion
# What `git fast-import` writes stays in its pack: to take it out again is a process more, and makes
# of two files one for each object, which each run with a cache would read and link. It is
# compressed as loose objects are: of a folder of 10,000, that takes long, a difference is sent.
_QUICK_IMPORT = {"fastimport.unpackLimit": "0", "pack.compression": "1"}
_MOST_REMEMBERED = 16_000_000  # bytes of blobs
_NAME = "gitops-rollback"
_EMAIL = "gitops-rollback@localhost"


class Repository(Remote):
    """One manifests repository, read and written.

    Only the commits and trees of the tip are fetched; blobs come in batches when they are read.
    """

    def __init__(
        self,
        url: str,
        environment: Mapping[str, str],
        deadline: Deadline,
        cache: Path | None = None,
    ) -> None:
        super().__init__(url, environment, deadline, cache)
        self._environment = environment
        self._whole: dict[str, _Listing] = {}  # by commit, where all its files were listed
        self._others: dict[str, frozenset[str]] = {}  # the same, where it has links or submodules
        self._blobs: dict[str, bytes] = {}
        self._likely: Callable[[], Iterable[Entry]] = tuple
        self._room = _MOST_REMEMBERED

    def list_files(self, commit: str, paths: Iterable[str]) -> list[Entry]:
        """List the regular files that are, or lie below, one of the paths; "" is everything.

        Where all files of the commit were listed before, git is not asked again.
        """
        given = list(paths)
        wanted = [] if "" in given else given
        whole = self._whole.get(commit)
        if whole is not None:
            return whole.of(wanted) if wanted else whole.entries
        listed = self._copy.sound(lambda: self._list(commit, wanted))
        if not wanted:
            self._whole[commit] = _Listing(listed)
            self._copy.files = len(listed)
        return listed

    def in_the_way(self, commit: str, path: str) -> str:
        """Return what is in the way of a file, of a commit all of whose files were listed, or "".

        That is a link or a submodule at its path or above, a file above, or the path of a folder.
        """
        ways = ways_to([path])
        found = {one.path for one in self.list_files(commit, ways)} - {path}
        others = self._others.get(commit, frozenset())
        way = next((way for way in ways if way in found or way in others), "")
        return way or (path if any(one.startswith(f"{path}/") for one in found) else "")

    def list_folders(self, commit: str, path: str) -> list[str]:
        """List the names of the folders right below a folder, none if it is not there."""
        if commit in self._whole:
            start = len(path) + 1
            below = (one.path[start:].partition("/") for one in self.list_files(commit, [path]))
            return list(dict.fromkeys(name for name, slash, _rest in below if slash))
        output = self._copy.sound(
            lambda: self._copy.run(
                *("--literal-pathspecs", "ls-tree", "-d", "-z", "--full-tree", "--name-only"),
                *(commit, "--", f"{path}/"),
            )
        )
        names = (name.decode(errors="surrogateescape") for name in output.split(b"\0") if name)
        return [name.removeprefix(f"{path}/") for name in names]

    def read_file(self, commit: str, path: str) -> bytes | None:
        """Read one file of a commit; None if it is not there.

        Where not all files were listed before, git finds it, and fetches the blob, by itself.
        """
        if commit in self._whole:
            entry = next((one for one in self.list_files(commit, [path]) if one.path == path), None)
            return self.read([entry.oid])[entry.oid] if entry is not None else None
        feed = f"{commit}:{path}\n".encode()
        try:
            output = self._copy.sound(lambda: self._copy.run("cat-file", "--batch", stdin=feed))
        except UnknownCommitError:
            self._copy.fetch_whole()
            output = self._copy.run("cat-file", "--batch", stdin=feed)
        if output.endswith(b" missing\n"):
            return None
        found = read_batch(output)
        if len(found) != 1:
            raise garbled("cat-file")
        return found[0][1]

    def read(self, oids: Iterable[str]) -> dict[str, bytes]:
        """Read blobs by object id, in one fetch and one process.

        What was read is remembered, up to a bound: a second try asks for what changed meanwhile.
        """
        wanted = dict.fromkeys(oids)
        known = {oid: self._blobs[oid] for oid in wanted if oid in self._blobs}
        rest = [oid for oid in wanted if oid not in known]
        self._copy.files_read += len(rest)
        found = self._copy.sound(lambda: self._read(rest)) if rest else {}
        self._room -= sum(map(len, found.values()))
        if self._room > 0:
            self._blobs.update(found)
        return {**known, **found}

    def expect(self, likely: Callable[[], Iterable[Entry]]) -> None:
        """Say which files will likely be read: they come with the first that are fetched apart."""
        self._likely = likely

    def write(
        self, tip: Tip, files: Mapping[str, bytes | None], message: str, *, onto: str | None = None
    ) -> str:
        """Write a commit on the tip in which the files have the given bytes; return its id.

        A file without bytes (None) is deleted, others keep their mode. Identity and signing are as
        git is set up. `onto` is the tip of another branch, which the commit then merges the first
        one into: the files are as on `tip`.
        """
        modes = {entry.path: entry.mode for entry in self.list_files(tip.commit, files)}
        stream = import_stream(_TREE, tip.commit, files, modes)
        quick = self._git.with_settings(_QUICK_IMPORT)
        answers = self._copy.sound(
            lambda: self._copy.run(
                "fast-import", "--quiet", "--force", stdin=stream, environment=quick
            )
        )
        check_ways(answers, files)
        identity = self.identity()
        parents = ("-p", onto, "-p", tip.commit) if onto else ("-p", tip.commit)
        output = self._copy.run(
            "commit-tree", *identity.options, *parents, f"{_TREE}^{{tree}}",
            stdin=message.encode(errors="replace"), environment=identity.variables,
        )  # fmt: skip
        return read_oid(output, "commit-tree")

    def identity(self) -> Identity:
        """Return who commits here, and whether commits are signed."""
        try:
            return identity_of(self._git.configured(), self._environment)
        except GitFailedError as failure:
            raise explain_local(failure) from failure

    def history(self, tip: Tip, path: str, depth: int) -> list[PathChange]:
        """List the commits, newest first, that changed a file; see `histories`."""
        return self.histories(tip, [path], depth)[path]

    def histories(self, tip: Tip, paths: Iterable[str], depth: int) -> dict[str, list[PathChange]]:
        """List the commits, newest first, that changed each of some files: one walk for all.

        They are looked for in the last `depth` commits, in more where more were fetched before.
        Along first parents: what a merge brought counts when it was merged. The oldest commit in
        reach counts as a change, since what was before it is not known.
        """
        changes: dict[str, list[PathChange]] = {path: [] for path in paths}
        # git holds each path of a commit against all that it is given: one folder is less work
        for path, is_there, change in self._walk(tip, depth, commonpath(changes)):
            if path in changes and is_there:
                changes[path].append(change)
        return changes

    def removals(self, tip: Tip, folder: str, depth: int) -> list[tuple[str, PathChange]]:
        """List the files that the last `depth` commits took away below a folder, newest first.

        Each with the commit that did, and the object with what the file held.
        """
        walked = self._walk(tip, depth, folder, "--diff-filter=D")
        return [(path, change) for path, _is_there, change in walked]

    def versions(self, tip: Tip, path: str, depth: int) -> list[tuple[bool, PathChange]]:
        """List what the last `depth` commits made of a file, newest first: whether it is there."""
        walked = self._walk(tip, depth, path)
        return [(is_there, change) for name, is_there, change in walked if name == path]

    def changes(self, tip: Tip, depth: int) -> list[tuple[str, bool, PathChange]]:
        """List what the last `depth` commits, of those that were fetched, changed, newest first."""
        return self._changes("", f"--max-count={depth}", tip.commit)

    def _walk(
        self, tip: Tip, depth: int, folder: str, *options: str
    ) -> list[tuple[str, bool, PathChange]]:
        self._copy.sound(lambda: self.deepen(tip.branch, depth))
        return self._changes(folder, *options, tip.commit)

    def _changes(self, folder: str, *options: str) -> list[tuple[str, bool, PathChange]]:
        output = self._copy.run(
            "--literal-pathspecs", "log", "--first-parent", "-m", "--raw", "-z", "--no-abbrev",
            "--no-renames", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", f"--format={LOG_FORMAT}",
            *options, "--", *([folder] if folder else []), environment={"TZ": "UTC"},
        )  # fmt: skip
        return read_changes(output)

    def log(self, tip: Tip, depth: int) -> list[LogEntry]:
        """List the newest `depth` commits of a branch with their messages.

        What a merge brought comes right after it.
        """
        self._copy.sound(lambda: self.deepen(tip.branch, depth))
        output = self._copy.run(
            "log", "--topo-order", "-z", f"--max-count={depth}",
            "--date=format-local:%Y-%m-%dT%H:%M:%SZ", f"--format={MESSAGE_FORMAT}", tip.commit,
            environment={"TZ": "UTC"},
        )  # fmt: skip
        return read_log(output)

    def removed_in(self, commit: str, endings: tuple[str, ...]) -> dict[str, str]:
        """Return the files that a commit took away, of some endings, with their object ids."""
        removals = self._changes("", "--no-walk", "--diff-filter=D", commit)
        return {path: change.oid for path, _, change in removals if path.endswith(endings)}

    def author(self, commit: str) -> str:
        """Return who made a commit and when, for people."""
        output = self._copy.run("log", "-1", "--format=%an, %cI", commit)
        return output.decode(errors="replace").strip()

    def _list(self, commit: str, paths: list[str]) -> list[Entry]:
        output = self._copy.run(
            "--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths
        )
        if output.count(b"\0") > MOST_FILES:
            raise RepositoryError(
                f"commit {commit[:12]} names more than {MOST_FILES} files below "
                f"{', '.join(paths) or 'its root'}: it is not read",
                ALONE,
            )
        entries = read_tree(output)
        if not paths and len(entries) < output.count(b"\0"):
            self._others[commit] = read_others(output)
        return entries

    def _read(self, oids: list[str]) -> dict[str, bytes]:
        found = dict(read_batch(self._copy.batch(oids)))
        missing = [oid for oid in oids if oid not in found]
        if missing:
            likely = (entry.oid for entry in self._likely())
            self._likely = tuple
            self.fetch_blobs(dict.fromkeys((*missing, *likely)))
            found.update(read_batch(self._copy.batch(missing)))
        if not found.keys() >= {*oids}:
            raise garbled("cat-file")
        return found


class _Listing:
    """All files of a commit, of which some are found without a look at all others."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries
        self._sorted = sorted(entries)  # by path: as git lists them, but for what is no UTF-8
        self._paths = [entry.path for entry in self._sorted]

    def of(self, paths: Iterable[str]) -> list[Entry]:
        """Return the files that are, or lie below, one of the paths, each once."""
        places: set[int] = set()
        for path in paths:
            place = bisect_left(self._paths, path)
            places.update(range(place, place + (self._paths[place : place + 1] == [path])))
            places.update(between(self._paths, path))
        return [self._sorted[place] for place in sorted(places)]


@dataclass(frozen=True)
class Identity:
    """Who commits: `variables` are added to git's where it knows of nobody.

    `author` and `committer` are the e-mail addresses that commits will have.
    """

    variables: Mapping[str, str]
    is_signed: bool
    author: str
    committer: str

    @property
    def options(self) -> tuple[str, ...]:
        """The option of `git commit-tree` to sign with."""
        return ("-S",) if self.is_signed else ()


def identity_of(found: Mapping[str, str], environment: Mapping[str, str]) -> Identity:
    """Return who commits, by what git is set up with and its variables.

    A name that git would make up from the machine's account does not count.
    """
    variables: dict[str, str] = {}
    addresses = []
    for role in ("author", "committer"):
        for part, fallback in (("name", _NAME), ("email", _EMAIL)):
            variable = f"GIT_{role.upper()}_{part.upper()}"
            known = environment.get(variable) or found.get(f"{role}.{part}")
            known = known or found.get(f"user.{part}")
            if not known:
                variables[variable] = fallback
            if part == "email":
                addresses.append(known or fallback)
    signs = found.get("commit.gpgsign", "false").lower() in ("true", "yes", "on", "1", "")
    return Identity(variables, signs, *addresses)
