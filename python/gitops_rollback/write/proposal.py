"""Propose a change instead of making it: a branch of its own, a pull request, and its merge.

Nothing is forced. Run again, the same change finds the same branch: where that still says what is
to be done, it stays; else the new commit has it and the base's tip as parents, so that it follows
on what is there and merges without conflict.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from gitops_rollback.errors import RepositoryError
from gitops_rollback.forges.client import ForgeError, ForgeUnavailableError
from gitops_rollback.forges.pulls import CLOSED, MERGED, PullRequest, PullRequestExistsError
from gitops_rollback.late import replace
from gitops_rollback.ledger.holds import parse_held, path_of_hold, render_held
from gitops_rollback.ledger.state import State, parse_state, path_of
from gitops_rollback.repo.process import TimeIsUpError
from gitops_rollback.write.commit import Committer
from gitops_rollback.write.proposal_text import body_of, branch_of, title_of

if TYPE_CHECKING:
    from gitops_rollback.clock import Deadline, Stopwatch
    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.forges.pulls import PullRequests
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.write.commit import Outcome, Work

    _Brought = tuple[ServiceAtTip, State]

_LOG = logging.getLogger("gitops_rollback")
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0  # seconds between two looks at a pull request
_DEEPEST = 50  # commits in which a merge is looked for


class Proposer(Committer):
    """Pushes to a branch of its own, and asks for its merge; `waits` for that where asked to."""

    takes_turns = False  # on a branch of its own nobody is in its way

    def __init__(
        self,
        repository: Repository,
        deadline: Deadline,
        watch: Stopwatch,
        *,
        forge: PullRequests,
        waits: bool,
    ) -> None:
        super().__init__(repository, deadline, watch, dry_run=False)
        self._forge = forge
        self._waits = waits

    def deliver(self, work: Work) -> Outcome:
        """Push the branch and open its pull request; raises `PushLostError` where it moved."""
        branch = branch_of(work.commit.changes)
        with self.watch.phase("push"):
            states = self._push_branch(work, branch)
            found = self._pull_request(work, branch)
        _LOG.info("pull request %d: %s", found.number, found.url)
        outcome = work.outcome(None, found)
        if not self._waits:
            return outcome
        with self.watch.phase("merge"):
            return self._wait(outcome, states)

    def _push_branch(self, work: Work, branch: str) -> list[_Brought]:
        """Bring the branch up to date; return the states that it will bring."""
        head = self.repository.remote_tip(branch)
        if head is not None:
            there = self.repository.fetch(branch)
            states = self._states_to_keep(work, there)
            if states is not None:
                return states
            head = there.commit
        commit = self.repository.write(work.tip, work.commit.files, work.commit.message, onto=head)
        self.repository.push(commit, branch, head)
        return [
            (change.at, change.state) for change in work.commit.changes if change.state is not None
        ]

    def _states_to_keep(self, work: Work, there: Tip) -> list[_Brought] | None:
        """Return the states on a branch that says already what is to be done; else None."""
        states: list[_Brought] = []
        expected = dict(work.commit.files)
        for change in work.commit.changes:
            if change.state is None:
                continue
            state = self._state_at(there, change.at)
            if state is None or _intent(state) != _intent(change.state):
                return None
            states.append((change.at, state))
            _expect_its_own_ledger(expected, change.state, state)
        entries = {e.path: e.oid for e in self.repository.list_files(there.commit, expected)}
        blobs = self.repository.read(entries.values())
        found = {path: blobs[entries[path]] if path in entries else None for path in expected}
        return states if found == expected else None

    def _pull_request(self, work: Work, branch: str) -> PullRequest:
        """Find the open pull request of the branch, or open one."""
        base = work.tip.branch
        try:
            found = self._forge.find(branch, base)
            if found is None:
                try:
                    title, body = (
                        title_of(work.commit.changes),
                        body_of(work.commit.changes, work.commit.diff),
                    )
                    found = self._forge.create(branch, base, title, body)
                except PullRequestExistsError:
                    found = self._forge.find(branch, base)
                    if found is None:
                        raise
        except ForgeError as error:
            page = self._forge.address.new_page(branch)
            raise RepositoryError(
                f"{branch} is pushed, but it has no pull request yet: {error.message}",
                f"{error.hint}; then run this again, or open it by hand: {page}",
            ) from error
        return found

    def _wait(self, outcome: Outcome, states: list[_Brought]) -> Outcome:
        """Wait until the pull request is merged, however; at the deadline, return as it was."""
        pause = _FIRST_PAUSE
        opened = outcome.pull_request
        while opened is not None:
            now = self._look(opened)
            commit = self._arrived(outcome, states) if now.state in (MERGED, CLOSED) else None
            if commit is not None:
                return replace(outcome, commit=commit)
            if now.state == CLOSED:
                raise _closed(now, outcome.branch)
            if self.deadline.remaining <= pause:
                if now.state == MERGED:
                    raise _taken_back(now, outcome.branch)
                break
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 1.5)
        return outcome

    def _look(self, opened: PullRequest) -> PullRequest:
        try:
            return self._forge.read(opened.number)
        except ForgeUnavailableError as error:
            _LOG.warning("warning: %s", error.message)
            return opened  # there will be another look

    def _arrived(self, outcome: Outcome, states: list[_Brought]) -> str | None:
        """Return the commit that brought the change to the base; None if it is not there.

        A squash or a rebase makes other commits of it: what is looked for is the entry's id in
        the state files.
        """
        try:
            tip = self.repository.fetch(outcome.branch)
        except TimeIsUpError:
            return None
        for at, state in states:
            now = self._state_at(tip, at)
            if now is None or not _holds(now, state):
                return None
        at, state = states[0]
        bringing = tip.commit
        for past in self.repository.history(tip, path_of(at.environment, at.service), _DEEPEST):
            data = self.repository.read([past.oid])[past.oid]
            if not _holds(parse_state(data, at.environment, at.service), state):
                break
            bringing = past.commit
        return bringing

    def _state_at(self, tip: Tip, at: ServiceAtTip) -> State | None:
        data = self.repository.read_file(tip.commit, path_of(at.environment, at.service))
        return parse_state(data, at.environment, at.service) if data is not None else None


def _closed(found: PullRequest, base: str) -> RepositoryError:
    return RepositoryError(
        f"pull request {found.number} was closed and not merged: {found.url}",
        f"{base} is as it was; open it again, or run this again",
        {"pullRequest": found.to_json()},
    )


def _taken_back(found: PullRequest, base: str) -> RepositoryError:
    return RepositoryError(
        f"pull request {found.number} is merged, but {base} does not have what it was to bring: "
        f"{found.url}",
        f"look at {base}: somebody may have taken it back",
        {"pullRequest": found.to_json()},
    )


def _expect_its_own_ledger(expected: dict[str, bytes | None], wanted: State, there: State) -> None:
    """Expect of a branch the ledger as its own run wrote it: the same, but for who and when.

    The state file was compared by what it means. The file of its hold has the id of that run, so
    it stands at another path, and says what that state says.
    """
    expected.pop(path_of(wanted.environment, wanted.service), None)
    if wanted.hold is None or there.hold is None:
        return
    path = path_of_hold(wanted.hold.id)
    data = expected.pop(path, None)
    if data is None:
        return  # the hold that stands at the base, with its file, stays
    file = replace(parse_held(data, path), hold=there.hold, bad=there.bad)
    expected[file.path] = render_held(file)


def _intent(state: State) -> tuple[object, ...]:
    """Return what two runs of the same change have in common: not who and when."""
    newest, hold = state.newest, state.hold
    origin = newest.from_image if newest else None
    return (
        newest and (newest.action, newest.image.canonical, origin and origin.canonical),
        tuple(entry.id for entry in state.deployed[1:]),
        tuple(bad.image.canonical for bad in state.bad),
        hold and (hold.from_image.canonical, hold.to.canonical, hold.markers),
    )


def _holds(now: State, wanted: State) -> bool:
    """Tell whether a state has come to have what a change brings."""
    newest = wanted.newest
    has_entry = newest is None or newest.id in {entry.id for entry in now.deployed}
    return has_entry and (wanted.hold is not None or now.hold is None)
