"""Read the tip of a branch, write one commit on it, push it as a compare-and-swap.

Who commits is whom git is set up with, else this tool.
"""

from __future__ import annotations

from bisect import bisect_left
from posixpath import commonpath
from typing import TYPE_CHECKING, Self

from gitops_rollback.errors import RepositoryError
from gitops_rollback.late import dataclass
from gitops_rollback.repo.copy import Copy
from gitops_rollback.repo.location import without_user
from gitops_rollback.repo.messages import UnknownCommitError, explain_local
from gitops_rollback.repo.objects import (
    LOG_FORMAT,
    MESSAGE_FORMAT,
    Tip,
    between,
    garbled,
    import_stream,
    read_batch,
    read_changes,
    read_log,
    read_logs,
    read_oid,
    read_removals,
    read_tree,
)
from gitops_rollback.repo.process import ALONE, GitFailedError
from gitops_rollback.repo.remote import PushLostError, Remote

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

    from gitops_rollback.clock import Deadline
    from gitops_rollback.model import LogEntry
    from gitops_rollback.repo.objects import Entry, PathChange
    from gitops_rollback.repo.process import Git

__all__ = ["PushLostError", "Repository"]

FIRST_LOOK = 50  # commits that whoever reads the history of a branch looks at first
_TREE = "refs/gitops-rollback/tree"
MOST_FILES = 500_000  # of one listing: a commit of 3 kB can name a billion
_MOST_REMEMBERED = 16_000_000  # bytes of blobs
_SETTINGS = r"^(user|author|committer|commit)\."
_NAME = "gitops-rollback"
_EMAIL = "gitops-rollback@localhost"


class Repository:
    """One manifests repository; a context manager, since it works in a folder of its own.

    Only the commits and trees of the tip are fetched; blobs come in batches when they are read.
    With `cache`, a directory, it begins with what earlier runs fetched. Raises `RepositoryError`
    whenever git fails. `url` is for people and records: a user in a web address, who may be a
    token, is left out of it.
    """

    def __init__(
        self,
        url: str,
        environment: Mapping[str, str],
        deadline: Deadline,
        cache: Path | None = None,
    ) -> None:
        self.url = without_user(url)
        self._environment = environment
        self._copy = Copy(url, environment, deadline, cache)
        self._remote = Remote(self.url, self._copy)
        self._whole: dict[str, _Listing] = {}  # by commit, where all its files were listed
        self._blobs: dict[str, bytes] = {}
        self._room = _MOST_REMEMBERED
        self._identity: Identity | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remote.end()
        # A signal ends the run at once; an error does not spoil what was fetched before it.
        self._copy.close(keep=kind is None or issubclass(kind, Exception))

    def begin(self, branch: str | None, commits: int = 1) -> subprocess.Popen[bytes]:
        """Let git begin to fetch the tip of a branch, and do not wait for it.

        Who will read the last `commits` of it says so: where the repository is not known to be
        large, they come with the tip.
        """
        return self._remote.begin(branch, commits)

    @property
    def is_coming(self) -> bool:
        """Whether git still waits for what it began to fetch."""
        return self._remote.is_waiting

    def open(self, branch: str | None) -> Tip:
        """Fetch the tip of a branch (the remote's default where None) and return it."""
        return self._remote.open(branch)

    def fetch(self, branch: str) -> Tip:
        """Fetch the present tip of a branch."""
        return self._remote.fetch(branch)

    def fetch_commit(self, commit: str) -> None:
        """Fetch a commit by its id, with its trees; a server may refuse one that is no tip."""
        self._remote.fetch_commit(commit)

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
        return listed

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
        found = self._copy.sound(lambda: self._read(rest)) if rest else {}
        self._room -= sum(map(len, found.values()))
        if self._room > 0:
            self._blobs.update(found)
        return {**known, **found}

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
        quick = self._copy.git.with_settings(self._copy.quick_import)
        self._copy.sound(
            lambda: self._copy.run(
                "fast-import", "--quiet", "--force", stdin=stream, environment=quick
            )
        )
        identity = self.identity()
        parents = ("-p", onto, "-p", tip.commit) if onto else ("-p", tip.commit)
        output = self._copy.run(
            "commit-tree", *identity.options, *parents, f"{_TREE}^{{tree}}",
            stdin=message.encode(errors="replace"), environment=identity.variables,
        )  # fmt: skip
        return read_oid(output, "commit-tree")

    def identity(self) -> Identity:
        """Return who commits here, and whether commits are signed."""
        if self._identity is None:  # the same at each attempt
            self._identity = read_identity(self._copy.git, self._environment)
        return self._identity

    def turn(self, branch: str) -> Path:
        """Return the file that runs on this machine lock while they try, by turns, to push."""
        return self._copy.turn(branch)

    def rehearse_push(self, tip: Tip) -> None:
        """Push nothing to a branch; raise `RepositoryError` if one may not push there."""
        self._remote.rehearse_push(tip)

    def push(self, commit: str, branch: str, expected: str | None) -> None:
        """Push a commit; raise `PushLostError` if the branch is not at the expected one.

        `expected` None: there is no such branch yet. Where git ended without an answer, the branch
        is asked.
        """
        self._remote.push(commit, branch, expected)

    def remote_tip(self, branch: str, seconds: float | None = None) -> str | None:
        """Ask the server for the tip of a branch; None if it has none or does not answer.

        `seconds` bounds the wait, where less than the run's deadline is wanted.
        """
        return self._remote.tip(branch, seconds)

    def history(self, tip: Tip, path: str, depth: int) -> list[PathChange]:
        """List the commits, newest first, that changed a file; see `histories`."""
        return self.histories(tip, [path], depth)[path]

    def histories(self, tip: Tip, paths: Iterable[str], depth: int) -> dict[str, list[PathChange]]:
        """List the commits, newest first, that changed each of some files: one walk for all.

        They are looked for in the last `depth` commits, in more where more were fetched before.
        Along first parents: what a merge brought counts when it was merged. The oldest commit in
        reach counts as a change, since what was before it is not known.
        """
        wanted = list(paths)
        # git holds each path of a commit against all that it is given: one folder is less work
        return read_logs(self._raw_log(tip, depth, commonpath(wanted)), wanted)

    def removals(self, tip: Tip, folder: str, depth: int) -> list[tuple[str, PathChange]]:
        """List the files that the last `depth` commits took away below a folder, newest first.

        Each with the commit that did, and the object with what the file held.
        """
        return read_removals(self._raw_log(tip, depth, folder, "--diff-filter=D"))

    def changes(self, tip: Tip, depth: int) -> list[tuple[str, bool, PathChange]]:
        """List what the last `depth` commits, of those that were fetched, changed, newest first."""
        return read_changes(self._log("", f"--max-count={depth}", tip.commit))

    def _raw_log(self, tip: Tip, depth: int, folder: str, *options: str) -> bytes:
        self._copy.sound(lambda: self._remote.deepen(tip.branch, depth))
        return self._log(folder, *options, tip.commit)

    def _log(self, folder: str, *options: str) -> bytes:
        return self._copy.run(
            "--literal-pathspecs", "log", "--first-parent", "-m", "--raw", "-z", "--no-abbrev",
            "--no-renames", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", f"--format={LOG_FORMAT}",
            *options, "--", *([folder] if folder else []), environment={"TZ": "UTC"},
        )  # fmt: skip

    def log(self, tip: Tip, depth: int) -> list[LogEntry]:
        """List the newest `depth` commits of a branch with their messages.

        What a merge brought comes right after it.
        """
        self._copy.sound(lambda: self._remote.deepen(tip.branch, depth))
        output = self._copy.run(
            "log", "--topo-order", "-z", f"--max-count={depth}",
            "--date=format-local:%Y-%m-%dT%H:%M:%SZ", f"--format={MESSAGE_FORMAT}", tip.commit,
            environment={"TZ": "UTC"},
        )  # fmt: skip
        return read_log(output)

    def removed_in(self, commit: str, endings: tuple[str, ...]) -> dict[str, str]:
        """Return the files that a commit took away, of some endings, with their object ids."""
        removals = read_removals(self._log("", "--no-walk", "--diff-filter=D", commit))
        return {path: change.oid for path, change in removals if path.endswith(endings)}

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
        return read_tree(output)

    def _read(self, oids: list[str]) -> dict[str, bytes]:
        found = dict(read_batch(self._copy.batch(oids)))
        missing = [oid for oid in oids if oid not in found]
        if missing:
            self._remote.fetch_blobs(missing)
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


def read_identity(git: Git, environment: Mapping[str, str]) -> Identity:
    """Return who commits, by what git is set up with; raise `RepositoryError` if it fails."""
    try:
        configured = git.run("config", "--null", "--get-regexp", _SETTINGS).stdout
    except GitFailedError as failure:
        if failure.status != 1:
            raise explain_local(failure) from failure
        return identity_of(b"", environment)  # nothing is configured
    if not configured:
        raise garbled("config")
    return identity_of(configured, environment)


def identity_of(configured: bytes, environment: Mapping[str, str]) -> Identity:
    """Return the same from what git said.

    `configured` is what `git config --null --get-regexp` says; a name that git would make up from
    the machine's account does not count.
    """
    text = configured.decode(errors="replace")
    found = dict(item.partition("\n")[::2] for item in text.split("\0") if item)
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
