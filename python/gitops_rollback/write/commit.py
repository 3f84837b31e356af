"""Push what was decided as one commit: a compare-and-swap on the branch, all or nothing.

Of the tries that overlap, the first to arrive wins, and all others were for nothing. So runs of
one machine push by turns (`repo/turn.py`): who waited for his goes on from what the one before him
pushed and handed on, else he reads the branch again. Those of several machines cannot see each
other: who has lost a race there pauses, for so long that a crowd gets through soon. The measure of
that pause is how long a try takes, here and now: a crowd makes it long by itself. A rollback waits
for nobody's turn, least of all for that of the deploy that it is to undo, and pauses less.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from gitops_rollback.alarm import seen_through
from gitops_rollback.errors import Interrupted, InterruptedRunError, RepositoryError
from gitops_rollback.late import dataclass
from gitops_rollback.repo.process import TimeIsUpError

if TYPE_CHECKING:
    from gitops_rollback.clock import Deadline, Stopwatch
    from gitops_rollback.decide.change import Change, Commit, Refused
    from gitops_rollback.forges.pulls import PullRequest
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository

_LOG = logging.getLogger("gitops_rollback")
_LOOK = "look at the branch, then run the same command again: it is safe"
_SPREAD = 4  # times as long as a try takes: in simulations the best for crowds of 5 to 100
_STUCK = 8  # times as long as a try takes: after that, whoever has the turn counts for nothing


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
    """Writes and pushes, as a compare-and-swap on the branch; to be closed."""

    takes_turns = True

    def __init__(
        self, repository: Repository, deadline: Deadline, watch: Stopwatch, *, dry_run: bool
    ) -> None:
        self.repository = repository
        self.deadline = deadline
        self.watch = watch
        self.dry_run = dry_run
        self._turn = repository.turn
        self._was_handed_on = False  # the tip that is worked on

    def close(self) -> None:
        """Give on the turn, where this run has it."""
        self._turn.end()

    def begin(self) -> None:
        """Take the turn if nobody has it, and let git ask ahead what each push asks first."""
        if self.takes_turns and not self.dry_run:
            self.repository.begin_push()

    def next_tip(self, branch: str) -> Tip:
        """Return the tip to decide on anew: what was handed on with the turn, else the server's."""
        handed = self.repository.take_over(branch) if self._turn.is_ours else None
        self._was_handed_on = handed is not None
        return handed or self.repository.fetch(branch)

    def confirmed(self, tip: Tip) -> Tip:
        """Return the tip to refuse something on, or to leave all as it is: the server's word.

        What was handed on is the branch's only if a push upon it arrives.
        """
        if not self._was_handed_on:
            return tip
        self._was_handed_on = False
        with self.watch.phase("fetch"):
            return self.repository.fetch(tip.branch)

    def may_push(self, branch: str, seconds: float, *, hurries: bool = False) -> bool:
        """Tell whether to push now; else another run of this machine did meanwhile.

        Where one is about to, it is waited for, and a try to push is spared. `seconds` is how long
        the decision took. Who `hurries` waits for nobody's turn.
        """
        if hurries or not self.takes_turns:
            return True
        if self._turn.wait(0.0, 0.0):
            return not self.repository.is_past(branch)
        _LOG.info("another run of this machine pushes to %s: it is waited for", branch)
        return not self._turn.wait(self._time_for_another(seconds), seconds * _STUCK)

    def _time_for_another(self, seconds: float) -> float:
        return max(0.0, self.deadline.remaining - seconds)

    def deliver(self, work: Work) -> Outcome:
        """Commit and push what was prepared; raises `PushLostError` where the branch moved."""
        with self.watch.phase("edit"):
            commit = self.repository.write(work.tip, work.commit.files, work.commit.message)
        with self.watch.phase("push"):
            self._push(commit, work.tip)
        if self._turn.is_ours:
            self.repository.hand_on(work.tip, commit)
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
        with seen_through():
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

    def pause(self, lost: int, seconds: float, branch: str, *, hurries: bool = False) -> None:
        """Wait after a lost race, but not for so long that there is no time for the next one.

        `seconds` is how long the last try took. Who `hurries` waits for nobody's turn.
        """
        from random import uniform  # noqa: PLC0415 - only where a race was lost

        if self.deadline.remaining <= 0:
            raise RepositoryError(
                f"{branch} moved {lost} times while this was being pushed, until --timeout "
                f"{self.deadline.seconds:g} s were over",
                "nothing was changed; run this again, or give a longer --timeout",
            )
        _LOG.info("%s moved meanwhile: the edit is made again on its new tip", branch)
        if self._was_handed_on:  # somebody pushed out of turn: nothing tells of a crowd of them
            return
        most = self._time_for_another(seconds)
        is_in_turn = self.takes_turns and not hurries and not self._turn.is_ours
        if is_in_turn and self._turn.wait(most, seconds * _STUCK):
            return
        longest = seconds if hurries else seconds * _SPREAD
        time.sleep(min(uniform(0, longest), most))  # noqa: S311 - no secret


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
