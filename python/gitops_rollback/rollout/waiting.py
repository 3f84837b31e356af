"""Wait for a change, by whatever shows it: clusters that were asked for, else commit statuses.

Where a cluster was asked for, that it cannot be seen is a failure; only where nobody asked for one
may a wait end without having seen anything.
"""

from __future__ import annotations

import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self

from gitops_rollback.errors import ClusterError, GitopsRollbackError
from gitops_rollback.late import dataclass, field
from gitops_rollback.rollout.access import Asked, asked
from gitops_rollback.rollout.follow import (
    NotHereError,
    Relations,
    connect,
    disconnect,
    follow,
    settle,
)
from gitops_rollback.rollout.judge import StatusReader
from gitops_rollback.rollout.standing import State
from gitops_rollback.rollout.track import Track, are_over

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from concurrent.futures import Future

    from gitops_rollback.rollout.follow import Follower, Git
    from gitops_rollback.rollout.judge import Statuses
    from gitops_rollback.rollout.standing import Failure
    from gitops_rollback.rollout.target import Target

_COMING = 20.0  # seconds for what applies a change to be made by that change or one before
_LOOK_AGAIN = 1.0  # seconds between two looks for it
_PAUSE = 3.0  # seconds between two looks at commit statuses
_GRACE = 30.0  # seconds for a first status, where none was ever seen here


@dataclass(frozen=True)
class Wish:
    """What a wait is to look at: the repository's URL, and contexts of the kubeconfig.

    `kustomizations` are those whose commit status counts. `hasten` lets it set a live image to what
    stands at the tip of Git, where that ends a health check that is waited for.
    """

    url: str
    environment: Mapping[str, str]
    contexts: tuple[str, ...] = ()
    kustomizations: tuple[str, ...] = ()
    hasten: bool = False


@dataclass(frozen=True)
class Lost:
    """A cluster that was asked for and cannot be seen; `cluster` is its context."""

    cluster: str
    error: ClusterError


@dataclass(frozen=True)
class Seen:
    """What was seen of a change: in clusters, or by commit statuses.

    `why_not` says why nothing was seen, where nothing was; `may_be_unseen` that nobody had asked
    for a cluster. `now` is the moment it ended, by the clock that was given.
    """

    tracks: tuple[Track, ...] = ()
    lost: tuple[Lost, ...] = ()
    by: str = "nothing"
    why_not: tuple[str, ...] = ()
    hint: str = ""
    may_be_unseen: bool = True
    now: float = 0.0
    _followers: tuple[Follower, ...] = field(default=(), repr=False)

    def explain(self, track: Track, failure: Failure) -> Failure:
        """Return a failure with what the cluster can add to it: last words, warnings."""
        for follower in self._followers:
            if track in follower.tracks:
                return follower.explain(track.target, failure)
        return failure


class Rollout:
    """A change on its way to its pods; connections are made while Git is still read.

    `clock` tells the seconds since the run began; `tell` is given progress lines, and `show` every
    second a text that the next one takes the place of, where somebody looks on.
    """

    def __init__(
        self,
        wish: Wish,
        clock: Callable[[], float],
        tell: Callable[[str], None],
        show: Callable[[str], None] | None = None,
    ) -> None:
        self._wish = wish
        self._clock = clock
        self._tell = tell
        self._show = show
        self._asked = asked(wish.contexts, wish.environment)
        self._connections: list[Future[Follower]] = []

    def __enter__(self) -> Self:
        if self._asked is not Asked.NO:
            token = f"{time.time():.6f}"
            self._connections = [
                connect(one, self._wish.environment, self._wish.url, token,
                        hasten=self._wish.hasten)
                for one in self._wish.contexts or ("",)
            ]  # fmt: skip
        return self

    def __exit__(self, *_error: object) -> None:
        disconnect(self._connections)

    def see(
        self,
        targets: Sequence[Target],
        git: Git,
        statuses: Callable[[], Statuses],
        limit: float,
    ) -> Seen:
        """Follow the targets until all are done, one has failed, or the clock is at `limit`.

        `statuses` makes the reader of commit statuses, and raises `GitopsRollbackError` where there
        is none; it is asked only where no cluster was named.
        """
        relations = Relations(git)
        followers, lost = self._followers(targets, limit)
        if followers:
            follow(followers, relations, SimpleQueue(), self._clock, limit, self._say, self._show)
            tracks = tuple(track for one in followers for track in one.tracks)
            named = lost if self._asked is Asked.NAMED else ()
            return Seen(tracks, tuple(named), "cluster", now=self._clock(),
                        _followers=tuple(followers))  # fmt: skip
        if self._asked is Asked.NAMED:
            return Seen(lost=tuple(lost), may_be_unseen=False, now=self._clock())
        return self._by_statuses(targets, relations, statuses, limit, lost)

    def _followers(
        self, targets: Sequence[Target], limit: float
    ) -> tuple[list[Follower], list[Lost]]:
        """Return the clusters that apply the change, and those in which it cannot be seen."""
        found, lost = [], []
        for context, connection in zip(
            self._wish.contexts or ("",), self._connections, strict=False
        ):
            try:
                follower = connection.result(timeout=max(0.0, limit - self._clock()))
                for line in self._expect(follower, targets, limit):
                    self._tell(line)
            except TimeoutError:
                where = f"the cluster {context}" if context else "the cluster"
                error = ClusterError(
                    f"{where} did not answer within {limit:.0f} s",
                    "see whether this machine reaches it, and what the kubeconfig's plugin does",
                )
                lost.append(Lost(context, error))
            except ClusterError as error:
                lost.append(Lost(context, error))
            else:
                found.append(follower)
        for follower in found:
            follower.share(targets, [one for one in found if one is not follower])
        for one in lost:
            self._tell(f"{one.error.message} ({one.error.hint})")
        return found, lost

    def _expect(self, follower: Follower, targets: Sequence[Target], limit: float) -> list[str]:
        """Begin to follow the targets; give what applies them a moment to be made itself."""
        end = min(limit, self._clock() + _COMING)
        while True:
            try:
                return follower.expect(targets)
            except NotHereError:
                if self._clock() >= end or not follower.may_come(targets):
                    raise
            time.sleep(_LOOK_AGAIN)
            follower.discover()

    def _by_statuses(
        self,
        targets: Sequence[Target],
        relations: Relations,
        make: Callable[[], Statuses],
        limit: float,
        lost: Sequence[Lost],
    ) -> Seen:
        reasons = [one.error.message for one in lost]
        if self._asked is Asked.NO:
            reasons = ["there is no kubeconfig and no account of a cluster here"]
        else:
            self._tell("looking at commit statuses instead")
        may_be_unseen = self._asked is not Asked.AT_HAND
        hint = lost[0].error.hint if lost else ""
        try:
            reader = StatusReader(make(), relations)
            expected = set(self._wish.kustomizations) or reader.seen_before(targets[0])
            tracks = self._follow_statuses(targets, reader, expected, limit)
        except GitopsRollbackError as error:
            reasons.append(f"no commit status can be read: {error.message}")
            tracks = None
        else:
            if tracks is None:
                first = targets[0].commit[:12]
                reasons.append(f"Flux has posted no commit status for {first}, nor before")
        if tracks is None:
            return Seen(why_not=tuple(reasons), hint=hint, may_be_unseen=may_be_unseen,
                        now=self._clock())  # fmt: skip
        return Seen(tuple(tracks), by="commit-status", now=self._clock())

    def _follow_statuses(
        self,
        targets: Sequence[Target],
        reader: StatusReader,
        expected: Collection[str],
        limit: float,
    ) -> list[Track] | None:
        """Follow until Flux has reported; None where it never has, here or before."""
        tracks = [Track(target, "") for target in targets]
        while not are_over(tracks) and self._clock() < limit:
            now = self._clock()
            for track in tracks:
                line = track.take(reader.judge(track.target, expected), now)
                if track.standing is not None and track.standing.state is State.FAILED:
                    line = settle(track, reader.relations) or line
                if line:
                    self._say(track, line)
            if not expected and not reader.has_seen_any and now > _GRACE:
                return None
            if not are_over(tracks):
                time.sleep(max(0.0, min(_PAUSE, limit - self._clock())))
        return tracks if expected or reader.has_seen_any else None

    def _say(self, track: Track, line: str) -> None:
        where = f"[{track.cluster}] " if track.cluster else ""
        self._tell(f"{self._clock():6.1f} s  {where}{track.target.title}: {line}")
