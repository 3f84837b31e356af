"""Push what was decided as one commit: a compare-and-swap on the branch, all or nothing.

After a lost race all wait for so long that a crowd gets through soon. Of the attempts that overlap,
the first to arrive wins, and all others were for nothing: so the measure of a pause is how long an
attempt takes, here and now. It doubles while a crowd has to spread, and is halved again for those
who have lost often, so that who came first is not overtaken for ever.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from gitops_rollback.errors import Interrupted, InterruptedRunError, RepositoryError
from gitops_rollback.late import dataclass
from gitops_rollback.repo.process import TimeIsUpError

if TYPE_CHECKING:
    from gitops_rollback.clock import Deadline, Stopwatch
    from gitops_rollback.decide.change import Change, Commit, Refused
    from gitops_rollback.forges.client import PullRequest
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository

_LOG = logging.getLogger("gitops_rollback")
_LOOK = "look at the branch, then run the same command again: it is safe"
_DOUBLED = 3  # how often, before it is halved


@dataclass(frozen=True)
class Outcome:
    """What became of a change: its commit, or None where there was nothing to do or a dry run.

    None, too, while a pull request waits for its merge. `blocked` are the services that were left.
    """

    branch: str
    changes: tuple[Change, ...]
    changed: bool
    commit: str | None
    diff: str = ""
    pull_request: PullRequest | None = None
    blocked: tuple[Refused, ...] = ()

    @property
    def is_waiting(self) -> bool:
        """Whether a pull request has to be merged before anything is done."""
        return self.pull_request is not None and self.commit is None


@dataclass(frozen=True)
class Work:
    """What is to be written on a tip."""

    tip: Tip
    commit: Commit

    def outcome(self, commit: str | None, pull_request: PullRequest | None = None) -> Outcome:
        """Return what became of it."""
        done = self.commit
        return Outcome(
            self.tip.branch,
            done.changes,
            done.changes_what_runs,
            commit,
            done.diff,
            pull_request,
            done.blocked,
        )


class Committer:
    """Writes and pushes, as a compare-and-swap on the branch."""

    def __init__(
        self, repository: Repository, deadline: Deadline, watch: Stopwatch, *, dry_run: bool
    ) -> None:
        self.repository = repository
        self.deadline = deadline
        self.watch = watch
        self.dry_run = dry_run

    def deliver(self, work: Work) -> Outcome:
        """Commit and push what was prepared; raises `PushLostError` where the branch moved."""
        with self.watch.phase("edit"):
            commit = self.repository.write(work.tip, work.commit.files, work.commit.message)
        with self.watch.phase("push"):
            self._push(commit, work.tip)
        return work.outcome(commit)

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
            self.repository.push(commit, tip.branch, tip.commit)
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

    def pause(self, lost: int, seconds: float, branch: str) -> None:
        """Wait after a lost race, but not for so long that there is no time for the next one."""
        from random import uniform  # noqa: PLC0415 - only where a race was lost

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


def longest_pause(lost: int, seconds: float) -> float:
    """Return the longest pause after `lost` races, the last of which took so many seconds.

    The pause itself is to be drawn, evenly, between nothing and this.
    """
    doubled = min(lost - 1, _DOUBLED)
    halved = min(max(0, lost - 1 - _DOUBLED), _DOUBLED)
    return seconds * 2.0 ** (doubled - halved)
