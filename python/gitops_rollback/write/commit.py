"""Turn decisions into one commit, and push it: all or nothing, redone where the branch moved."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_rollback.decide.service import refuse_other_effect
from gitops_rollback.errors import Interrupted, InterruptedRunError, RepositoryError
from gitops_rollback.ledger import message
from gitops_rollback.ledger.state import path_of, render_state
from gitops_rollback.manifest.edit import rewritten
from gitops_rollback.repo.process import TimeIsUpError
from gitops_rollback.repo.repository import PushLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gitops_rollback.clock import Deadline, Stopwatch
    from gitops_rollback.decide.service import ServiceChange
    from gitops_rollback.forges.client import PullRequest
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.edit import FieldEdit, Splice
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.services.inventory import Manifests

_LOG = logging.getLogger("gitops_rollback")
_LOOK = "look at the branch, then run the same command again: it is safe"


@dataclass(frozen=True)
class Outcome:
    """What became of a change: its commit, or None where there was nothing to do or a dry run.

    None, too, while a pull request waits for its merge.
    """

    branch: str
    changes: tuple[ServiceChange, ...]
    changed: bool
    commit: str | None
    diff: str = ""
    pull_request: PullRequest | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a pull request has to be merged before anything is done."""
        return self.pull_request is not None and self.commit is None


@dataclass(frozen=True)
class Work:
    """What is to be written on a tip: the new bytes of each file, and the diff for people."""

    tip: Tip
    changes: tuple[ServiceChange, ...]
    files: Mapping[str, bytes]
    diff: str

    @property
    def message(self) -> str:
        """The message of the commit."""
        return message.render([change.summary for change in self.changes])


class Committer:
    """Writes and pushes, as a compare-and-swap on the branch."""

    def __init__(
        self, repository: Repository, deadline: Deadline, watch: Stopwatch, *, dry_run: bool
    ) -> None:
        self.repository = repository
        self.deadline = deadline
        self.watch = watch
        self._dry_run = dry_run

    def commit(self, tip: Tip, prepare: Callable[[Tip], tuple[ServiceChange, ...]]) -> Outcome:
        """Commit what `prepare` makes of the tip; on a moved branch, prepare and commit again.

        `tip` is the tip of the configuration's branch. Nothing but a lost race is retried, and
        that until the deadline.
        """
        lost = 0
        began = time.monotonic()
        while True:
            changes = prepare(tip)
            target = changes[0].at.tip
            with self.watch.phase("edit"):
                files = _files(changes)
                diff = _diff(changes, files)
            if not files or self._dry_run:
                return Outcome(target.branch, changes, bool(files), None, diff)
            try:
                return self.deliver(Work(target, changes, files, diff))
            except PushLostError:
                lost += 1
                self._pause(lost, time.monotonic() - began, target.branch)
                began = time.monotonic()
                with self.watch.phase("fetch"):
                    tip = self.repository.fetch(tip.branch)

    def deliver(self, work: Work) -> Outcome:
        """Commit and push what was prepared; raises `PushLostError` where the branch moved."""
        with self.watch.phase("edit"):
            commit = self.repository.write(work.tip, work.files, work.message)
        with self.watch.phase("push"):
            self._push(commit, work.tip)
        return Outcome(work.tip.branch, work.changes, True, commit, work.diff)

    def _push(self, commit: str, tip: Tip) -> None:
        try:
            self._push_to_the_end(commit, tip)
        except Interrupted as signal:
            stand = self.repository.remote_tip(tip.branch, seconds=0.7)
            raise InterruptedRunError(
                f"interrupted while pushing; {_said(stand, commit, tip)}", _LOOK
            ) from signal

    def _push_to_the_end(self, commit: str, tip: Tip) -> None:
        """Push; whatever came of it, what is left is to say so, and no signal may hinder that."""
        try:
            self.repository.push(commit, tip.branch)
            _finish_undisturbed()
        except TimeIsUpError as error:
            _finish_undisturbed()
            stand = self.repository.remote_tip(tip.branch, seconds=3)
            if stand != commit:
                raise RepositoryError(
                    f"{error.message}; {_said(stand, commit, tip)}", _LOOK
                ) from error
        except RepositoryError:
            _finish_undisturbed()
            raise

    def _pause(self, lost: int, seconds: float, branch: str) -> None:
        """Wait after a lost race, but not for so long that there is no time for the next one."""
        from random import uniform  # noqa: PLC0415 - only where a race was lost

        from gitops_rollback.write.backoff import longest_pause  # noqa: PLC0415 - the same

        if self.deadline.remaining <= 0:
            raise RepositoryError(
                f"{branch} moved {lost} times while this was being pushed, until --timeout "
                f"{self.deadline.seconds:g} s were over",
                "nothing was changed; run this again, or give a longer --timeout",
            )
        _LOG.info("%s moved meanwhile: the edit is made again on its new tip", branch)
        pause = uniform(0, longest_pause(lost, seconds))  # noqa: S311 - no secret
        time.sleep(max(0.0, min(pause, self.deadline.remaining - seconds)))


def _said(stand: str | None, commit: str, tip: Tip) -> str:
    """Say where a branch stands after a push that did not come to its end."""
    if stand == commit:
        return f"the push had arrived: {tip.branch} is at {commit[:12]}"
    if stand == tip.commit:
        return (
            f"{tip.branch} is as before, at {tip.commit[:12]}, but a server that has "
            f"{commit[:12]} already may still take it"
        )
    return (
        f"the server did not say in time whether {commit[:12]} arrived on {tip.branch}; the "
        "branch is either before it or after it"
    )


def _finish_undisturbed() -> None:
    """Ignore signals from now on: the commit has arrived, and what is left is to say so."""
    import signal  # noqa: PLC0415 - not for runs that change nothing

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


def _files(changes: Iterable[ServiceChange]) -> dict[str, bytes]:
    """Return the new bytes of every file the changes touch."""
    changes = tuple(changes)
    parsed = _parsed(changes)
    edits: dict[str, list[FieldEdit]] = {}
    splices: dict[str, list[Splice]] = {}
    for change in changes:
        for edit in change.edits:
            edits.setdefault(edit.field.path, []).append(edit)
        for marker in change.markers:
            splices.setdefault(marker.path, []).append(marker.splice)
    after = {
        path: rewritten(parsed[path], edits.get(path, ()), splices.get(path, ()))
        for path in dict.fromkeys([*edits, *splices])
    }
    files = {path: file.encode(file.text) for path, file in after.items()}
    shared: dict[int, Manifests] = {}  # services that share their manifests share these too
    for change in changes:
        if change.edits:
            before = change.at.found.manifests
            if id(before) not in shared:
                own = {path: file for path, file in after.items() if path in before.files}
                shared[id(before)] = before.with_files(own)
            refuse_other_effect(change, shared[id(before)])
        if change.state is not None and change.state != change.at.state:
            files[path_of(change.at.environment, change.at.service)] = render_state(change.state)
    return files


def _diff(changes: Iterable[ServiceChange], files: dict[str, bytes]) -> str:
    """Return the unified diff of the manifests, without context."""
    from difflib import unified_diff  # noqa: PLC0415 - not for unchanged runs

    parsed = _parsed(changes)
    lines: list[str] = []
    for path, data in files.items():
        if path in parsed:
            old = parsed[path].text.splitlines()
            new = data.decode().removeprefix("\ufeff").splitlines()
            lines += unified_diff(old, new, f"a/{path}", f"b/{path}", n=0, lineterm="")
    return "\n".join(lines)


def _parsed(changes: Iterable[ServiceChange]) -> dict[str, ParsedFile]:
    """Return the files of all services; those that share them are looked at once."""
    shared = {id(change.at.found.manifests): change.at.found.manifests for change in changes}
    return {path: file for manifests in shared.values() for path, file in manifests.files.items()}
