"""Read the tip of a branch, write one commit on it, push it as a compare-and-swap."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from gitops_rollback.errors import RepositoryError
from gitops_rollback.repo.identity import read_identity
from gitops_rollback.repo.location import without_user
from gitops_rollback.repo.messages import (
    explain_fetch,
    explain_local,
    explain_push,
    is_moved,
    no_branch,
    no_tip,
    rejection_reason,
)
from gitops_rollback.repo.objects import (
    LOG_FORMAT,
    Tip,
    import_stream,
    read_batch,
    read_log,
    read_tree,
)
from gitops_rollback.repo.process import Git, GitFailedError, stop

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from gitops_rollback.clock import Deadline
    from gitops_rollback.repo.objects import Entry, PathChange

_TRANSFER = ("--quiet", "--no-tags", "--filter=blob:none")
_DIRECTORY = "repository.git"
_TREE = "refs/gitops-rollback/tree"


class PushLostError(Exception):
    """Raised when the branch moved before the push arrived; nothing was written."""


class Repository:
    """One manifests repository; a context manager, since it works in a folder of its own.

    Only the commits and trees of the tip are fetched; blobs come in batches when they are read.
    Raises `RepositoryError` whenever git fails. `url` is for people and records: a user in a web
    address, who may be a token, is left out of it.
    """

    def __init__(self, url: str, environment: Mapping[str, str], deadline: Deadline) -> None:
        self.url = without_user(url)
        self._remote = url
        self._environment = environment
        self._root = Path(tempfile.mkdtemp(prefix="gitops-rollback-"))
        self._git = Git(self._root, url, environment, deadline)
        self._clone: subprocess.Popen[bytes] | None = None
        self._all_here = False
        self._present: set[str] = set()
        self._modes: dict[str, dict[str, str | None]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._clone is not None:
            stop(self._clone)
        shutil.rmtree(self._root, ignore_errors=True)

    def begin(self, branch: str | None) -> subprocess.Popen[bytes]:
        """Let git begin to fetch the tip of a branch, and do not wait for it."""
        chosen = ("--branch", branch) if branch else ()
        self._clone = self._git.start(
            "clone", "--bare", "--depth=1", "--template=", "--no-local", "--single-branch",
            *_TRANSFER, *chosen, "--", self._remote, str(self._root / _DIRECTORY),
        )  # fmt: skip
        return self._clone

    def open(self, branch: str | None) -> Tip:
        """Fetch the tip of a branch (the remote's default where None) and return it."""
        running = self._clone or self.begin(branch)
        try:
            done = self._git.finish(running)
        except GitFailedError as failure:
            if branch and f"Remote branch {branch} not found" in failure.stderr:
                raise no_branch(self.url, branch) from failure
            raise explain_fetch(failure, self.url) from failure
        self._all_here = b"filtering not recognized" in done.stderr
        self._git.directory = self._root / _DIRECTORY
        return self._tip_of_clone()

    def fetch(self, branch: str) -> Tip:
        """Fetch the present tip of a branch."""
        try:
            self._git.run(
                "fetch", "--depth=1", *_TRANSFER, "origin",
                f"+refs/heads/{branch}:refs/heads/{branch}",
            )  # fmt: skip
        except GitFailedError as failure:
            if "couldn't find remote ref" in failure.stderr:
                raise no_branch(self.url, branch) from failure
            raise explain_fetch(failure, self.url) from failure
        return Tip(branch, self._read_ref(f"refs/heads/{branch}"))

    def list_files(self, commit: str, paths: Iterable[str]) -> list[Entry]:
        """List the regular files that are, or lie below, one of the paths; "" is everything."""
        given = list(paths)
        wanted = [] if "" in given else given
        output = self._local(
            "--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", commit, "--", *wanted
        )
        entries = read_tree(output)
        # Remembered for `write`: which of these paths are there, and with which mode.
        modes = self._modes.setdefault(commit, dict.fromkeys(given))
        modes.update({entry.path: entry.mode for entry in entries})
        return entries

    def read_file(self, commit: str, path: str) -> bytes | None:
        """Read one file of a commit; None if it is not there.

        git fetches the blob by itself: for a single one that is the shortest way.
        """
        try:
            done = self._git.run("cat-file", "--batch", stdin=f"{commit}:{path}\n".encode())
        except GitFailedError as failure:
            raise explain_fetch(failure, self.url) from failure
        if done.stdout.endswith(b" missing\n"):
            return None
        return next(read_batch(done.stdout))[1]

    def read(self, oids: Iterable[str]) -> dict[str, bytes]:
        """Read blobs by object id, in one fetch and one process."""
        wanted = list(dict.fromkeys(oids))
        self._fetch_blobs([oid for oid in wanted if oid not in self._present])
        self._present.update(wanted)
        if not wanted:
            return {}
        feed = "".join(f"{oid}\n" for oid in wanted).encode()
        return dict(read_batch(self._local("cat-file", "--batch", stdin=feed)))

    def write(self, tip: Tip, files: Mapping[str, bytes], message: str) -> str:
        """Write a commit on the tip in which the files have the given bytes; return its id.

        A file keeps its mode. Identity and signing are as git is set up.
        """
        known = self._modes.get(tip.commit, {})
        if not known.keys() >= files.keys():
            self.list_files(tip.commit, files)
            known = self._modes[tip.commit]
        stream = import_stream(_TREE, tip.commit, files, known)
        self._local("fast-import", "--quiet", "--force", stdin=stream)
        identity, signing = read_identity(self._git, self._environment)
        output = self._local(
            "commit-tree", *signing, "-p", tip.commit, f"{_TREE}^{{tree}}",
            stdin=message.encode(errors="replace"), environment=identity,
        )  # fmt: skip
        return output.decode().strip()

    def push(self, commit: str, branch: str) -> None:
        """Push a commit; raise `PushLostError` if the branch moved meanwhile.

        Where git ended without an answer, the branch is asked.
        """
        try:
            self._git.run("push", "--porcelain", "origin", f"{commit}:refs/heads/{branch}")
        except GitFailedError as failure:
            if is_moved(failure):
                raise PushLostError from failure
            error = explain_push(failure, self.url, branch)
            if not rejection_reason(failure) and self.remote_tip(branch) == commit:
                return
            raise error from failure

    def remote_tip(self, branch: str, seconds: float | None = None) -> str | None:
        """Ask the server for the tip of a branch; None if it has none or does not answer.

        `seconds` bounds the wait, where less than the run's deadline is wanted.
        """
        try:
            done = self._git.run("ls-remote", "origin", f"refs/heads/{branch}", seconds=seconds)
        except (GitFailedError, RepositoryError):
            return None
        return done.stdout.decode().partition("\t")[0] or None

    def history(self, tip: Tip, path: str, depth: int) -> list[PathChange]:
        """List the commits, newest first, that changed a file, in the last `depth` commits.

        Along first parents: what a merge brought counts when it was merged. The oldest commit in
        reach counts as a change, since what was before it is not known.
        """
        try:
            self._git.run(
                "fetch", f"--depth={depth}", *_TRANSFER, "--no-write-fetch-head", "origin",
                f"refs/heads/{tip.branch}",
            )  # fmt: skip
        except GitFailedError as failure:
            raise explain_fetch(failure, self.url) from failure
        output = self._local(
            "--literal-pathspecs", "log", "--first-parent", "-m", "--raw", "--no-abbrev",
            "--no-renames", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", f"--format={LOG_FORMAT}",
            tip.commit, "--", path, environment={"TZ": "UTC"},
        )  # fmt: skip
        return read_log(output)

    def author(self, commit: str) -> str:
        """Return who made a commit and when, for people."""
        output = self._local("log", "-1", "--format=%an, %cI", commit)
        return output.decode(errors="replace").strip()

    def _tip_of_clone(self) -> Tip:
        """Return the one branch that the clone has; it has none of an empty repository."""
        output = self._local("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/")
        if not output:
            listed = self._local("ls-remote", "--heads", "origin").decode(errors="replace")
            raise no_tip(self.url, listed)
        commit, _, name = output.decode().strip().partition(" ")
        return Tip(name.removeprefix("refs/heads/"), commit)

    def _local(
        self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> bytes:
        """Run git on our own copy and return what it says."""
        try:
            return self._git.run(*arguments, stdin=stdin, environment=environment).stdout
        except GitFailedError as failure:
            raise explain_local(failure) from failure

    def _read_ref(self, name: str) -> str:
        return self._git.run("rev-parse", "--verify", f"{name}^{{commit}}").stdout.decode().strip()

    def _fetch_blobs(self, oids: list[str]) -> None:
        if not oids or self._all_here:
            return
        try:
            self._git.run(
                "fetch", *_TRANSFER, "--no-write-fetch-head", "--stdin", "origin",
                stdin="".join(f"{oid}\n" for oid in oids).encode(),
            )  # fmt: skip
        except GitFailedError as failure:
            raise explain_fetch(failure, self.url) from failure
