"""What goes between the server and our own copy of its repository: fetches, and the push."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING, Self

from gitops_rollback.alarm import seen_through
from gitops_rollback.errors import RepositoryError
from gitops_rollback.late import regex
from gitops_rollback.repo import early_push
from gitops_rollback.repo.copy import CONFIG, PACKED_REFS, TELL_WHAT_IS_HERE, TRANSFER, Copy
from gitops_rollback.repo.location import without_user
from gitops_rollback.repo.messages import (
    UnknownCommitError,
    explain_fetch,
    explain_push,
    has_answer,
    in_the_way,
    is_cut_off,
    is_moved,
    is_there_already,
    no_branch,
    no_branch_name,
    no_server,
    no_tip,
    rejection_reason,
)
from gitops_rollback.repo.objects import Tip, garbled, head_in, read_heads, read_oid
from gitops_rollback.repo.process import REMOTE, GitFailedError, stop
from gitops_rollback.repo.turn import Turn

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

    from gitops_rollback.clock import Deadline

    _Running = subprocess.Popen[bytes]

PROPOSALS = "gitops-rollback/"  # what the branches of pull requests begin with
_LOG = logging.getLogger("gitops_rollback")
# What git says where not the copy is at fault, but the server or the way to it.
_OF_THE_SERVER = (
    "unable to access '",
    "fatal: repository '",
    "dumb http transport",
    "authentication failed",
    "could not read from remote",
    "could not read username",
    "could not read password",
)
_LONGEST_BEGINNING = 1_000_000  # characters of an answer: HEAD is told before all branches
_LONGEST_BRANCH = 1000  # characters: as a file's path, the name has to fit on a disk
# What no branch's name may have (git help check-ref-format), beside what is no character.
_NO_BRANCH = regex(
    r"[\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]|\.\.|@\{|//|^[/-]|[/.]$|(?:^|/)\.|\.lock(?:/|$)|^@$"
)


def check_branch(name: str) -> None:
    """Raise `RepositoryError` for what cannot name a branch, or is no UTF-8.

    A name comes from outside: from the repository's file, from its HEAD, from a job's parameter.
    """
    if len(name) > _LONGEST_BRANCH or _NO_BRANCH.search(name):
        raise no_branch_name(name)


class PushLostError(Exception):
    """Raised when the branch moved before the push arrived; nothing was written."""


class Remote:
    """A repository's server, asked for what our copy lacks; raises `RepositoryError`.

    A context manager, since the copy is in a folder of its own. `url` is for people and records: a
    user in a web address, who may be a token, is left out of it. With `cache`, a directory, it
    begins with what earlier runs fetched.
    """

    def __init__(
        self,
        url: str,
        environment: Mapping[str, str],
        deadline: Deadline,
        cache: Path | None = None,
    ) -> None:
        self.url = without_user(url)
        self._copy = Copy(url, environment, deadline, cache)
        self._git = self._copy.git
        self.turn = Turn(self._copy.turn)
        self._beginning: _Running | None = None
        self._early: _Running | None = None
        self._packets = self._copy.root / "packets"
        self._commits = 1  # that come with the tip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.turn.end()
        # A signal ends the run at once; an error does not spoil what was fetched before it.
        self._copy.close(keep=kind is None or issubclass(kind, Exception))

    def begin(self, branch: str | None, commits: int = 1) -> _Running:
        """Let git begin to fetch the tip of a branch, and do not wait for it.

        Who will read the last `commits` of it says so: where the repository is not known to be
        large, they come with the tip.
        """
        self._commits = commits
        if branch is not None:
            check_branch(branch)
        taken = self._copy.take()
        self._beginning = self._begin_on_cached(branch) if taken else self._begin_anew(branch)
        return self._beginning

    def _begin_anew(self, branch: str | None) -> _Running:
        self._git.directory = self._copy.root
        shutil.rmtree(self._copy.path, ignore_errors=True)
        chosen = ("--branch", branch) if branch else ()
        is_bounded = self._copy.first.is_bounded
        self._commits = self._commits if is_bounded else 1
        running = self._git.start(
            "clone", "--bare", "--template=", "--no-local", "--single-branch",
            f"--depth={self._commits}", *TRANSFER, self._copy.first.option, *chosen, "--",
            self.url, str(self._copy.path), environment=self._telling_head(),
        )  # fmt: skip
        if is_bounded:
            self._copy.first.watch(running, self._copy.path)
        return running

    def open(self, branch: str | None) -> Tip:
        """Fetch the tip of a branch (the remote's default where None) and return it."""
        running = self._beginning or self.begin(branch, self._commits)
        if self._copy.cached:
            tip = self._end_on_cached(running, branch)
            if tip is not None:
                return tip
            self._copy.drop_cache()
            running = self._beginning = self._begin_anew(branch)
        try:
            done = self._git.finish(running)
        except GitFailedError as failure:
            if self._copy.first.gave_up() or self._copy.first.is_refused(failure.stderr):
                self._beginning = self._begin_anew(branch)
                return self.open(branch)
            if branch and f"Remote branch {branch} not found" in failure.stderr:
                raise self._no_branch(branch) from failure
            raise explain_fetch(failure, self.url) from failure
        tip = self._copy.settle(self._tip_of_clone(branch))
        self._copy.heard(done.stderr)
        self._copy.depths[tip.branch] = self._commits
        return tip

    def fetch(self, branch: str) -> Tip:
        """Fetch the present tip of a branch."""
        check_branch(branch)
        if self._copy.tip(branch) is not None:
            self._end_early()  # what it was told is older
        elif branch in self._copy.cached:
            tip = self._end_on_cached(self._begin_on_cached(branch), branch)
            if tip is not None:
                return tip
            self._copy.build_anew(f"nothing of {branch} can be added to it")
        try:
            self._git.run(
                "fetch", "--depth=1", *self._copy.transfer(is_tip=True), REMOTE,
                f"+refs/heads/{branch}:refs/heads/{branch}",
                environment=self._git.with_settings(TELL_WHAT_IS_HERE),
            )  # fmt: skip
        except GitFailedError as failure:
            if "couldn't find remote ref" in failure.stderr:
                raise self._no_branch(branch) from failure
            raise explain_fetch(failure, self.url) from failure
        return self._copy.know(Tip(branch, self._copy.fetched_tip()))

    def is_past(self, branch: str) -> bool:
        """Tell whether another commit was handed on than the tip that is here."""
        known = self._copy.tip(branch)
        return known is not None and self.turn.handover.is_elsewhere(branch, known)

    def take_over(self, branch: str) -> Tip | None:
        """Return the tip that was handed on, with what is new with it; None where none was."""
        known, packs = self._copy.tip(branch), self._copy.path / "objects" / "pack"
        handed = self.turn.handover.take(branch, known, packs) if known else None
        return self._copy.know(Tip(branch, handed)) if handed is not None else None

    def hand_on(self, tip: Tip, commit: str) -> None:
        """Hand on a commit that was pushed upon a tip, with all that it brings, if a run waits.

        Where that fails, it reads the branch.
        """
        handover = self.turn.handover
        handover.end()  # for who pushed by his turn waits no more
        if not handover.is_wanted():
            return
        folder = self._copy.root / "new"
        try:
            folder.mkdir(exist_ok=True)
            output = self._copy.run(
                "pack-objects", "--quiet", "--revs", str(folder / "pack"),
                stdin=f"{commit}\n^{tip.commit}\n".encode(),
                environment=self._git.fetching_nothing,
            )  # fmt: skip
            pack = folder / f"pack-{read_oid(output, 'pack-objects')}"
            handover.leave(tip.branch, tip.commit, commit, pack)
        except (OSError, RepositoryError) as error:
            _LOG.info("nothing is handed on: %s", error)

    def fetch_blobs(self, oids: Iterable[str]) -> None:
        """Fetch blobs that are not here, all in one."""
        feed = "".join(f"{oid}\n" for oid in oids).encode()
        try:
            self._copy.fetch("--no-write-fetch-head", "--stdin", REMOTE, stdin=feed)
        except UnknownCommitError:
            # A server that filters, but gives out only what a branch or tag leads to, as by
            # protocol v0 without allowAnySHA1InWant: then all is fetched.
            self._copy.fetch_whole()

    def fetch_commit(self, commit: str) -> None:
        """Fetch a commit by its id, with its trees; a server may refuse one that is no tip."""
        self._copy.sound(lambda: self._copy.fetch_commits(commit))

    def deepen(self, branch: str, depth: int) -> None:
        """Fetch the last `depth` commits of a branch, but where as many are here."""
        if not self._copy.are_known(branch, depth):
            self._copy.fetch_depth(branch, depth)
        self._copy.depths[branch] = max(depth, self._copy.depths.get(branch, 0))

    def begin_push(self) -> None:
        """Take the turn if nobody has it, and let git ask ahead what each push asks first.

        It is not waited for. Who finds another run at it says that he will take what is handed on:
        he goes on from another tip, and asks then.
        """
        if self.turn.wait(0.0, 0.0):
            self._early = self._early or early_push.begin(self._git, self.url, self._copy.path)
        else:
            self.turn.handover.wait()

    def _end_early(self) -> None:
        if self._early is not None:
            stop(self._early)
        self._early = None

    def push(self, commit: str, branch: str, expected: str | None) -> None:
        """Push a commit; raise `PushLostError` if the branch is not at the expected one.

        The server compares and swaps: what was fetched meanwhile makes no difference, and a branch
        that was set back does not get again what was dropped. `expected` None: there is no such
        branch yet.

        Where git ended without an answer, the branch is asked. Where it is as it was, what was
        cached may be why: then that is left, and the push counts as lost. So it does where the
        branch has the commit already: another run, in the same second, did the same.
        """
        try:
            with seen_through():
                done = self._push(commit, branch, expected)
        except GitFailedError as failure:
            if is_moved(failure):
                if expected is None:  # else there is room: it was there
                    self._check_room(failure, branch)
                raise PushLostError from failure
            if is_cut_off(failure) and self.remote_tip(branch) != expected:
                raise PushLostError from failure  # it was set back
            is_proposal = branch.startswith(PROPOSALS)
            error = explain_push(failure, self.url, branch, is_proposal=is_proposal)
            stand = None if rejection_reason(failure) else self.remote_tip(branch)
            if stand != commit and (stand is None or not self._copy.cached):
                raise error from failure
            if stand != commit:
                self._copy.build_anew(failure.reason)
                raise PushLostError from failure
        else:
            if is_there_already(done.stdout):
                raise PushLostError
            if not has_answer(done.stdout) and self.remote_tip(branch) != commit:
                raise garbled("push")
        self._copy.know(Tip(branch, commit))

    def _push(
        self, commit: str, branch: str, expected: str | None
    ) -> subprocess.CompletedProcess[bytes]:
        early = self._early
        if early is None or early.poll() is not None or expected is None:
            self._end_early()
            return self._git.run(*self._swap(commit, branch, expected))
        self._early = None
        try:
            return early_push.finish(self._git, early, commit, f"refs/heads/{branch}", expected)
        except GitFailedError as failure:
            if not early_push.has_sent_nothing(failure):
                raise
        return self._git.run(*self._swap(commit, branch, expected))  # what it was told is older

    def rehearse_push(self, tip: Tip) -> None:
        """Ask whether one may push to a branch, and push nothing; raise `RepositoryError` if not.

        The server is asked as for a push: it wants the right to write, but runs no hooks.
        """
        try:
            self._git.run(*self._swap(tip.commit, tip.branch, tip.commit), "--dry-run")
        except GitFailedError as failure:
            if not is_moved(failure):
                raise explain_push(failure, self.url, tip.branch) from failure

    def _swap(self, commit: str, branch: str, expected: str | None) -> tuple[str, ...]:
        """Return the push that the server takes only while the branch is at the expected commit."""
        reference = f"refs/heads/{branch}"
        lease = f"--force-with-lease={reference}:{expected or ''}"
        return ("push", "--porcelain", lease, REMOTE, f"{commit}:{reference}")

    def _check_room(self, failure: GitFailedError, branch: str) -> None:
        """Raise where another branch has a name that leaves no room for this one's."""
        if rejection_reason(failure).startswith("[rejected]"):
            return
        parts = branch.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts))]
        wanted = [f"refs/heads/{name}" for name in (*above, f"{branch}/*")]
        try:
            listed = self._git.run("ls-remote", REMOTE, *wanted).stdout
        except GitFailedError:
            return
        for other in read_heads(listed):
            raise in_the_way(self.url, branch, other) from failure

    def remote_tip(self, branch: str, seconds: float | None = None) -> str | None:
        """Ask the server for the tip of a branch; None if it has none or does not answer.

        `seconds` bounds the wait, where less than the run's deadline is wanted.
        """
        try:
            done = self._git.run("ls-remote", REMOTE, f"refs/heads/{branch}", seconds=seconds)
        except (GitFailedError, RepositoryError):
            return None
        # git lists `refs/backup/refs/heads/main` for `refs/heads/main`, too.
        return read_heads(done.stdout).get(branch)

    def _begin_on_cached(self, branch: str | None) -> _Running:
        """Let git ask for a tip, and at once for what is not cached of it.

        It tells what is cached, and gets what was pushed since: most often little. Where that is a
        whole history, since the branch was rewritten, the fetch is given up.
        """
        self._git.directory = self._copy.path
        wanted = "HEAD" if branch is None else f"refs/heads/{branch}"
        is_enough = self._is_cached(branch)
        running = self._git.start(
            "fetch", *self._copy.transfer(is_tip=True),
            *(() if is_enough else (f"--depth={self._commits}",)), REMOTE, wanted,
            environment={**self._git.with_settings(TELL_WHAT_IS_HERE), **self._telling_head()},
        )  # fmt: skip
        self._copy.first.watch(running, self._copy.path)
        return running

    def _is_cached(self, branch: str | None) -> bool:
        """Tell whether the commits that are wanted of a branch, or of any, are cached."""
        tips = [tip for name, tip in self._copy.cached.items() if branch in (None, name)]
        try:
            return any(
                self._commits == 1 or self._copy.leads_back(tip, self._commits) for tip in tips
            )
        except RepositoryError:  # it came to harm: whoever works with it will meet that
            return False

    def _end_on_cached(self, running: _Running, branch: str | None) -> Tip | None:
        """Return the tip that was asked for; None where what is cached may be why it failed."""
        try:
            done = self._git.finish(running)
        except GitFailedError as failure:
            if branch is not None and "couldn't find remote ref" in failure.stderr:
                raise self._no_branch(branch) from failure
            if failure.line_with(_OF_THE_SERVER):
                raise explain_fetch(failure, self.url) from failure
            _LOG.info("cache: built anew: %s", failure.reason)
            return None
        commit = self._copy.fetched_tip()
        name = branch or self._head(commit)
        if name is None:
            return None
        check_branch(name)
        self._copy.heard(done.stderr)
        return self._copy.know_cached(Tip(name, commit))

    def _telling_head(self) -> dict[str, str]:
        """Return the variable for a git that writes down which branch HEAD is.

        The server tells that with the tip, and git says it nowhere else.
        """
        self._packets.unlink(missing_ok=True)
        return {"GIT_TRACE_PACKET": str(self._packets)}

    def _head(self, commit: str) -> str | None:
        """Return the branch that HEAD is, at a commit; None where the server did not say."""
        if not self._packets.exists():
            return None
        with self._packets.open(errors="replace") as packets:
            return head_in(packets.read(_LONGEST_BEGINNING), commit)

    def _tip_of_clone(self, branch: str | None) -> Tip:
        """Return the one branch that the clone has; it has none of a tag, or if nothing is there.

        `git clone --branch` takes the name of a tag, too. Without it, and where HEAD is a commit
        and no branch, git takes one that is at that commit: which one is meant, nothing tells then.
        """
        if not (self._copy.path / CONFIG).exists():
            raise garbled("clone")
        refs = self._copy.path / PACKED_REFS
        text = refs.read_text(errors="surrogateescape") if refs.exists() else ""
        lines = (line.partition(" refs/heads/") for line in text.split("\n"))
        commit, _, name = next((line for line in lines if line[2]), ("", "", ""))
        if not commit or (branch is None and name != self._head(commit)):
            raise self._no_branch(branch)
        check_branch(name)
        return Tip(name, read_oid(commit, "clone"))

    def _no_branch(self, branch: str | None) -> RepositoryError:
        """Return the error for a branch, or a HEAD, that is not there, with those that are.

        What is no Git server, such as a login page, has no branches either, says git.
        """
        try:
            done = self._git.run(
                "ls-remote", "--heads", "--", self.url, environment={"GIT_TRACE_PACKET": "2"}
            )
        except GitFailedError as failure:
            return explain_fetch(failure, self.url)
        if b"packet:" not in done.stderr:
            return no_server(self.url)
        names = [*read_heads(done.stdout)]
        return no_branch(self.url, branch, names) if branch else no_tip(self.url, names)
