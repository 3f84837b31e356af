"""How waiting goes without a cluster: by the commit statuses that Flux posts to the Git host."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gitops_rollback.errors import GitopsRollbackError, UsageError
from gitops_rollback.forges.address import address_of
from gitops_rollback.forges.statuses import CommitStatuses
from gitops_rollback.options import repeated
from gitops_rollback.rollout.standing import Standing, State
from gitops_rollback.rollout.statuses import judge_statuses, names_of
from gitops_rollback.rollout.target import Relation
from gitops_rollback.rollout.track import Track

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gitops_rollback.commands.session import Session
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.rollout.follow import Relations
    from gitops_rollback.rollout.target import Target

_PAUSE = 3.0  # seconds between two looks
_GRACE = 30.0  # seconds for a first status, where none was ever seen here


def follow_statuses(
    session: Session,
    repository: Repository,
    targets: Sequence[Target],
    relations: Relations,
    tell: Callable[[Track, str], None],
) -> tuple[list[Track], str]:
    """Follow until Flux has reported; return the tracks, or none and why nothing can be seen."""
    try:
        address = address_of(session.remote, session.options.forge, session.options.forge_url)
        statuses = CommitStatuses(address, session.environment, session.deadline)
        reader = _Reader(session, repository, statuses, relations)
        expected = set(repeated(session.options, "kustomization")) or reader.seen_before(targets[0])
        tracks = [Track(target, "") for target in targets]
        while not _is_over(tracks) and session.deadline.remaining > 0:
            now = session.watch.elapsed()
            for track in tracks:
                line = track.take(reader.judge(track.target, expected), now)
                if line:
                    tell(track, line)
            if not expected and not reader.has_seen_any and now > _GRACE:
                return [], (
                    f"Flux has posted no commit status for {targets[0].commit[:12]}, nor for the "
                    f"commits before"
                )
            if not _is_over(tracks):
                time.sleep(min(_PAUSE, session.deadline.remaining))
    except UsageError:
        return [], "the repository is on no GitHub or GitLab whose commit statuses could be read"
    except GitopsRollbackError as error:
        return [], f"no commit status can be read: {error.message}"
    return tracks, ""


class _Reader:
    """Reads the statuses of a change's commit, or of a later one that still holds it."""

    def __init__(
        self,
        session: Session,
        repository: Repository,
        statuses: CommitStatuses,
        relations: Relations,
    ) -> None:
        self._session = session
        self._repository = repository
        self._statuses = statuses
        self._relations = relations
        self.has_seen_any = False

    def seen_before(self, target: Target) -> set[str]:
        """Return the names that Flux has posted for the commits before."""
        names: set[str] = set()
        for commit in self._statuses.before(target.commit):
            names |= names_of(self._statuses.of(commit))
        return names

    def judge(self, target: Target, expected: set[str]) -> Standing:
        """Judge by the commit's statuses; where it has none, by those of the branch's tip."""
        found = self._statuses.of(target.commit)
        if not names_of(found):
            tip = self._repository.remote_tip(target.branch)
            if tip and tip != target.commit:
                relation = self._relation(target, tip)
                if relation is Relation.REPLACED:
                    text = f"{target.branch}@{tip[:12]} has replaced {target.image.label}"
                    return Standing(State.REPLACED, text)
                if relation is Relation.HOLDS:
                    found = self._statuses.of(tip)
        self.has_seen_any = self.has_seen_any or bool(names_of(found))
        return judge_statuses(target, found, expected)

    def _relation(self, target: Target, commit: str) -> Relation:
        if commit not in self._relations.of(target):
            self._relations.learn(target, [commit])
        return self._relations.of(target)[commit]


def _is_over(tracks: Sequence[Track]) -> bool:
    states = [track.standing.state for track in tracks if track.standing]
    return State.FAILED in states or all(track.is_over for track in tracks)
