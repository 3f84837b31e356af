"""Follow a change through clusters: connect, nudge Flux, watch, judge at every change, say so.

What comes in is judged by `rollout`; the clock and the waiting are given, so that tests can set
them.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from gitops_rollback.rollout.cluster import Cluster
from gitops_rollback.rollout.judge import judge
from gitops_rollback.rollout.objects import Change, Objects, Query
from gitops_rollback.rollout.owners import other_sources
from gitops_rollback.rollout.raw import Name
from gitops_rollback.rollout.standing import State
from gitops_rollback.rollout.target import Relation, relation
from gitops_rollback.rollout.track import Track

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gitops_rollback.rollout.failure import Failure
    from gitops_rollback.rollout.target import Stand, Target

_LOG = logging.getLogger("gitops_rollback")
_LONGEST_END = 2.0  # seconds
_LONGEST_LOOK = 30.0  # seconds; what is judged changes only by what comes in, and by patience
# Where Flux's objects usually are, for accounts that may not look everywhere.
_USUAL = ("flux-system",)


class NotHereError(Exception):
    """Raised where a cluster does not apply the change at all; its message says why."""


class Relations:
    """How commits that are met stand to targets; each is looked up once."""

    def __init__(self, read: Callable[[Target, str], Stand]) -> None:
        self._read = read
        self._known: dict[str, dict[str, Relation]] = {}

    def of(self, target: Target) -> Mapping[str, Relation]:
        """Return what is known for a target."""
        return self._known.setdefault(target.title, {})

    def learn(self, target: Target, commits: Iterable[str]) -> None:
        """Look commits up."""
        known = self._known.setdefault(target.title, {})
        for commit in commits:
            known[commit] = relation(target, self._read(target, commit))


class Follower:
    """One cluster in which targets are followed; `token` is what marks our nudge."""

    def __init__(self, cluster: Cluster, url: str, token: str) -> None:
        self.cluster = cluster
        self.tracks: list[Track] = []
        self._url = url
        self._token = token
        self._nudged_sources: set[Name] = set()
        self._nudged = False
        self._watched: set[Query] = set()
        self._objects = Objects(url)

    def discover(self) -> None:
        """List Flux's objects, and nudge every source of the repository.

        This needs no knowledge of the change, so that Flux fetches while Git is still read.
        """
        for kind in ("GitRepository", "Kustomization", "HelmRelease"):
            query = Query(kind, instead=_USUAL)
            self.take(Change(query, self.cluster.list(query), whole=True))
            if kind == "GitRepository":
                for source in other_sources(self._objects.sources(), self._url):
                    if not source.suspended and self.cluster.nudge(source.name, self._token):
                        self._nudged_sources.add(source.name)

    def expect(self, targets: Sequence[Target]) -> list[str]:
        """Begin to follow targets; return what applies them, for people.

        Raises `NotHereError` if nothing in this cluster applies one of them.
        """
        applied_by = []
        for target in targets:
            found = [*self._objects.owners(target), *self._objects.releases(target)]
            if not found:
                raise NotHereError(self._why_not(target))
            for one in found:
                off = "" if one.checks_health else ", health checks are off: pods are looked at"
                applied_by.append(f"{target.service} is applied by {one.name}{off}")
            self.tracks.append(Track(target, self.cluster.context))
            self._nudge_again_if_failed(target)
        return applied_by

    def watch(self, sink: Callable[[Follower, Change], None]) -> None:
        """Begin the watches that are needed and do not run yet."""
        for track in self.tracks:
            for query in self._objects.queries(track.target):
                if query not in self._watched:
                    self._watched.add(query)
                    self.cluster.watch(query, lambda change: sink(self, change))

    def take(self, change: Change) -> None:
        """Take in what a watch has brought."""
        self._objects.take(change)

    def look(self, track: Track, relations: Relations, now: float) -> str:
        """Judge a target by what is known now; return a progress line if something is new."""
        view = self._objects.view(
            track.target, relations.of(track.target), self._token, nudged=self._nudged
        )
        if view is None:
            return ""
        if view.source.name not in self._nudged_sources:
            view = replace(view, token="")
        standing = judge(track.target, view)
        while standing.asks:
            relations.learn(track.target, standing.asks)
            standing = judge(track.target, replace(view, relations=relations.of(track.target)))
        if standing.nudge and not self._nudged:
            self._nudge_appliers(track.target)
        return track.take(standing, now)

    def explain(self, failure: Failure) -> Failure:
        """Return a failure with a pod's last words or Kubernetes' warnings in its hint."""
        kind, _, rest = failure.object.partition("/")
        if kind != "Pod":
            return failure
        namespace, _, name = rest.partition("/")
        pod = Name("Pod", namespace, name)
        if failure.code == "crash":
            said = self.cluster.last_words(pod, failure.field)
            added = f"its last words: {' | '.join(said)}" if said else ""
        else:
            said = self.cluster.warnings(pod)
            added = f"Kubernetes says: {said[-1]}" if said else ""
        return replace(failure, message=f"{failure.message}; {added}") if added else failure

    def _why_not(self, target: Target) -> str:
        here = f" in {self.cluster.context}" if self.cluster.context else ""
        sources = other_sources(self._objects.sources(), self._url)
        if not sources:
            return f"no GitRepository{here} has the URL {self._url}"
        if not self._objects.own_sources(target.branch):
            names = ", ".join(f"{one.name} ({one.branch})" for one in sources)
            return f"no GitRepository{here} follows the branch {target.branch}: there is {names}"
        return f"no Kustomization{here} applies {', '.join(target.paths)}"

    def _nudge_again_if_failed(self, target: Target) -> None:
        """Let Flux try again what failed before this wait began: else an old failure is told."""
        for one in self._objects.owners(target):
            if one.attempted == target.commit and one.ready.status == "False":
                self._nudge_appliers(target)

    def _nudge_appliers(self, target: Target) -> None:
        for one in (*self._objects.owners(target), *self._objects.releases(target)):
            self._nudged = self.cluster.nudge(one.name, self._token) or self._nudged


class Inbox:
    """What the watches of all clusters bring, in the order it arrives."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Follower, Change]] = SimpleQueue()

    def put(self, follower: Follower, change: Change) -> None:
        """Take a change from a watch's thread."""
        self._queue.put((follower, change))

    def get(self, seconds: float) -> bool:
        """Wait for changes and hand all there are to their followers; tell whether any came."""
        try:
            follower, change = self._queue.get(timeout=max(0.0, seconds))
        except Empty:
            return False
        follower.take(change)
        while not self._queue.empty():
            follower, change = self._queue.get()
            follower.take(change)
        return True


def follow(
    followers: Sequence[Follower],
    relations: Relations,
    inbox: Inbox,
    clock: Callable[[], float],
    limit: float,
    tell: Callable[[Track, str], None],
) -> None:
    """Follow until every target is done, one has failed, or `clock` has reached `limit`."""
    tracks = [(follower, track) for follower in followers for track in follower.tracks]
    while True:
        now = clock()
        for follower, track in tracks:
            if not track.is_over:
                line = follower.look(track, relations, now)
                if line:
                    tell(track, line)
        if _is_over([track for _, track in tracks]) or now >= limit:
            return
        for follower in followers:
            follower.watch(inbox.put)
        look = min((track.next_look(now) for _, track in tracks), default=limit)
        inbox.get(min(look, limit - now, _LONGEST_LOOK))


def connect(context: str, environment: Mapping[str, str], url: str, token: str) -> Future[Follower]:
    """Connect to a cluster and discover, in a thread; the future raises what that raised."""
    future: Future[Follower] = Future()

    def run() -> None:
        try:
            follower = Follower(Cluster(context, environment), url, token)
            follower.discover()
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            future.set_exception(error)
        else:
            future.set_result(follower)
            follower.cluster.prepare()

    Thread(target=run, daemon=True).start()
    return future


def disconnect(connections: Sequence[Future[Follower]]) -> None:
    """Close what was connected; a connection that is still being made is waited for a little."""
    for connection in connections:
        try:
            connection.result(timeout=_LONGEST_END).cluster.close()
        except Exception as error:  # noqa: BLE001 - why it failed was told where it was wanted
            _LOG.info("not connected: %s", error)


def _is_over(tracks: Sequence[Track]) -> bool:
    states = [track.standing.state for track in tracks if track.standing]
    return State.FAILED in states or all(track.is_over for track in tracks)
