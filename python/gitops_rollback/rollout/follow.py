"""Follow a change through one cluster: connect, nudge Flux, watch, judge at every change, say so.

What comes in is judged by `judge`; the clock and the waiting are given, so that tests can set them.
"""

from __future__ import annotations

from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Protocol

from gitops_rollback.errors import ClusterError
from gitops_rollback.late import replace
from gitops_rollback.model import repository_key, some
from gitops_rollback.rollout.cluster import Cluster, DeniedError
from gitops_rollback.rollout.judge import judge
from gitops_rollback.rollout.objects import Change, Objects, Query
from gitops_rollback.rollout.pod_failures import MAKERS, NOT_MADE, refusal
from gitops_rollback.rollout.raw import Name
from gitops_rollback.rollout.standing import (
    FOREVER,
    Failure,
    Standing,
    State,
    Whose,
    suspect,
)
from gitops_rollback.rollout.target import THERE, Relation, relation
from gitops_rollback.rollout.track import Track, are_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gitops_rollback.rollout.appliers import Reconciler
    from gitops_rollback.rollout.target import Stand, Target

_LONGEST_LOOK = 30.0  # seconds; what is judged changes only by what comes in, and by patience
_MOST_SOURCES = 5  # that are named
_TELL_AGAIN = 10.0  # seconds: what is edited by hand once more, Flux is told once more
# Where Flux's objects usually are, for accounts that may not look everywhere.
_USUAL = "flux-system"
_OF_HELM = ("HelmRelease", "HelmChart")


class NotHereError(ClusterError):
    """Raised where a cluster does not apply the change at all; its message says why."""


class Git(Protocol):
    """What a wait asks of the manifests repository."""

    def stand(self, target: Target, commit: str) -> Stand | None:
        """Return what stands about a target at a commit; None where that cannot be read."""

    def tip(self, branch: str) -> str:
        """Return the commit that a branch is at by now; empty where that cannot be read."""


class Relations:
    """How commits that are met stand to targets; each is looked up once."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._known: dict[str, dict[str, Relation]] = {}

    def of(self, target: Target) -> Mapping[str, Relation]:
        """Return what is known for a target."""
        return self._known.setdefault(target.title, {})

    def learn(self, target: Target, commits: Iterable[str]) -> None:
        """Look commits up."""
        known = self._known.setdefault(target.title, {})
        for commit in commits:
            known[commit] = relation(target, self._git.stand(target, commit))

    def at_tip(self, target: Target) -> tuple[str, Relation]:
        """Look up what the branch is at by now, and how that stands to a target."""
        commit = self._git.tip(target.branch)
        if not commit:
            return "", Relation.UNKNOWN
        if commit == target.commit:
            return commit, Relation.OURS
        if commit not in self.of(target):
            self.learn(target, [commit])
        return commit, self.of(target)[commit]


class Follower:
    """One cluster in which targets are followed; `token` is what marks our nudge.

    `hasten` lets it set a live image to what stands at the tip of Git, where that ends what Flux
    waits for.
    """

    def __init__(self, cluster: Cluster, url: str, token: str, *, hasten: bool = False) -> None:
        self.cluster = cluster
        self.tracks: list[Track] = []
        self._url = url
        self._token = token
        self._hasten = hasten
        self._hastened: set[tuple[Name, str]] = set()
        self._nudged_sources: set[Name] = set()
        self._told: dict[Name, str] = {}  # the last value that was set on what applies the targets
        self._told_at = -_TELL_AGAIN
        self._tellings = 0
        self._watched: set[Query] = set()
        self.objects = Objects(url)
        self._silence = ""

    def discover(self) -> None:
        """List Flux's objects, and nudge every source of the repository.

        This needs no knowledge of the change, so that Flux fetches while Git is still read. Without
        GitRepositories and Kustomizations nothing can be followed; HelmReleases that may not be
        read cost no more than these. Raises `ClusterError`.
        """
        spaces = tuple(dict.fromkeys(one for one in (_USUAL, self.cluster.namespace) if one))
        for kind in ("GitRepository", "Kustomization", *_OF_HELM):
            if kind == "HelmChart" and not self.objects.names_charts():
                continue
            query = Query(kind, instead=spaces)
            try:
                found = self.cluster.list(query)
            except DeniedError:
                if kind not in _OF_HELM:
                    raise
                self.take(Change(query, denied=True))
                continue
            self.take(Change(query, found, whole=True))
            if kind == "GitRepository":
                self._nudge_sources()

    def expect(self, targets: Sequence[Target]) -> list[str]:
        """Begin to follow targets; return what applies them, for people.

        Raises `NotHereError` if nothing in this cluster applies one of them.
        """
        for target in targets:
            if not self._appliers(target):
                raise NotHereError(*self._why_not(target))
        applied_by = []
        for target in targets:
            for one in self._appliers(target):
                off = "" if one.checks_health else ", health checks are off: pods are looked at"
                applied_by.append(f"{target.service} is applied by {one.name}{off}")
            self.tracks.append(Track(target, self.cluster.context))
            self._nudge_again_if_failed(target)
        return applied_by

    def share(self, targets: Sequence[Target], others: Sequence[Follower]) -> None:
        """Leave to others what only they apply of the targets: all have to be done."""
        theirs = (one.objects.applied(target) for one in others for target in targets)
        self.objects.elsewhere = frozenset[str]().union(*theirs)

    def may_come(self, targets: Sequence[Target]) -> bool:
        """Tell whether what applies the targets may still be made, by a commit on its way.

        It may as long as a source has not fetched what is waited for, or a Kustomization has not
        applied what its source has fetched.
        """
        commits = {target.commit for target in targets}
        sources = {
            one.name: one
            for target in targets
            for one in self.objects.repositories(target.branch)
            if not one.suspended
        }
        if any(one.commit not in commits for one in sources.values()):
            return True
        return any(
            one.source in sources
            and not one.suspended
            and one.applied != sources[one.source].commit
            for one in self.objects.kustomizations()
        )

    def watch(self, inbox: SimpleQueue[tuple[Follower, Change]]) -> None:
        """Begin the watches that are needed and do not run yet."""
        for track in self.tracks:
            for query in self.objects.queries(track.target):
                if query not in self._watched:
                    self._watched.add(query)
                    self.cluster.watch(query, lambda change: inbox.put((self, change)))

    def listen(self, inbox: SimpleQueue[tuple[Follower, Change]]) -> None:
        """Begin to ask whether the cluster still answers."""
        source = next(iter(self.objects.sources()), None)
        if source is not None:
            query = Query("GitRepository", source.name.namespace, name=source.name.name)
            self.cluster.listen(query, lambda why: inbox.put((self, Change(query, silence=why))))

    def take(self, change: Change) -> None:
        """Take in what a watch has brought, or that the cluster is silent, or no longer."""
        if change.silence is not None:
            self._silence = change.silence
        else:
            self.objects.take(change)

    def look(self, track: Track, relations: Relations, now: float) -> list[str]:
        """Judge a target by what is known now; return progress lines if something is new."""
        if self._silence:
            line = track.fall_silent(self._silence, now)
            return [line] if line else []
        view = self.objects.view(
            track.target, relations.of(track.target), self._token, told=self._told
        )
        if view is None:  # what applied it is gone
            reason, hint = self._why_not(track.target)
            gone = Failure("missing", reason, hint, Whose.CLUSTER, patience=FOREVER)
            line = track.take(suspect(State.APPLYING, track.target.title, gone), now)
            return [line] if line else []
        if view.source.name not in self._nudged_sources:
            view = replace(view, token="")
        view = replace(view, context=self.cluster.context)
        standing = judge(track.target, view)
        while standing.asks:
            relations.learn(track.target, standing.asks)
            standing = judge(track.target, replace(view, relations=relations.of(track.target)))
        hastened = self._set_images(track, standing, relations)
        line = track.take(standing, now)
        if track.wants_nudge(now) and now - self._told_at >= _TELL_AGAIN:
            self._told_at = now
            self._nudge_appliers(track.target)
        if track.standing is not None and track.standing.state is State.FAILED:
            line = settle(track, relations) or line
        return [*hastened, *([line] if line else [])]

    def explain(self, target: Target, failure: Failure) -> Failure:
        """Return a failure with a pod's last words or Kubernetes' warnings in its message."""
        kind, _, rest = failure.object.partition("/")
        namespace, _, named = rest.partition("/")
        name = Name(kind, namespace, named)
        if self._silence or kind not in ("Pod", *MAKERS):
            return failure
        if kind in MAKERS:
            said = self.cluster.warnings(name) if failure.code == "create" else ()
            why = next((one for one in reversed(said) if one.startswith(NOT_MADE)), "")
            return refusal(target, name, why, failure.serving) if why else failure
        if failure.code == "crash":
            last = self.cluster.last_words(name, failure.field)
            added = f"its last words: {' | '.join(last)}" if last else ""
        else:
            said = self.cluster.warnings(name)
            added = f"Kubernetes says: {said[-1]}" if said else ""
        return replace(failure, message=f"{failure.message}; {added}") if added else failure

    def _set_images(self, track: Track, standing: Standing, relations: Relations) -> list[str]:
        """Set live images to what stands at the tip of Git, each once, where that is wanted."""
        wanted = [
            one for one in standing.hastens if (one.workload, one.value) not in self._hastened
        ]
        if not self._hasten or not wanted:
            return []
        _tip, there = relations.at_tip(track.target)
        if there not in THERE:
            return []
        said = []
        for one in wanted:
            self._hastened.add((one.workload, one.value))
            why_not = self.cluster.set_image(one)
            what = f"{one.workload} {one.container} = {one.value}"
            said.append(
                f"could not set {what}: {why_not}; by hand: {one.command}"
                if why_not
                else f"set {what}, as Git holds it, to end the health check"
            )
        return said

    def _appliers(self, target: Target) -> list[Reconciler]:
        return [*self.objects.owners(target), *self.objects.releases(target)]

    def _why_not(self, target: Target) -> tuple[str, str]:
        """Say why nothing here applies a target, and what to do."""
        here = f" in {self.cluster.context}" if self.cluster.context else " in this cluster"
        sources = self.objects.repositories()
        another = "look into the cluster that runs it: KUBECONFIG, --kube-context"
        if not self.cluster.knows("GitRepository"):
            what = "Flux is not in it, or what answers is no API server"
            return f"no GitRepository is known{here}: {what}", another
        if not sources:
            has = [f"{one.name} has {repository_key(one.url)}" for one in self.objects.sources()]
            theirs = f": {some(has, _MOST_SOURCES)}" if has else ""
            return f"no GitRepository{here} has the URL {self._url}{theirs}", (
                f"{another}; where it is one of these by another name, give that: --repository"
                if has
                else another
            )
        own = self.objects.repositories(target.branch)
        names = ", ".join(str(one.name) for one in own)
        if not own:
            follow = ", ".join(f"{one.name} follows {one.follows}" for one in sources)
            reason = f"no GitRepository{here} follows the branch {target.branch}: {follow}"
            hint = (
                f"let it follow the branch (spec.ref.branch: {target.branch}), or move what it "
                f"follows to {target.commit[:12]}: as it is, it will not apply the change"
            )
            return reason, hint
        files = ", ".join(dict.fromkeys(place.applied for place in target.places))
        others = self.objects.other_ways(target)
        ways = "".join(f"; {one}" for one in others)
        return f"no Kustomization{here} applies {files} from {names}{ways}", another

    def _nudge_sources(self) -> None:
        for source in self.objects.repositories():
            if not source.suspended and self.cluster.nudge(source.name, self._token):
                self._nudged_sources.add(source.name)

    def _nudge_again_if_failed(self, target: Target) -> None:
        """Let Flux try again what failed before this wait began: else an old failure is told."""
        for one in self.objects.owners(target):
            if one.attempted == target.commit and one.ready.status == "False":
                self._nudge_appliers(target)

    def _nudge_appliers(self, target: Target) -> None:
        token = f"{self._token}.{self._tellings}" if self._tellings else self._token
        self._tellings += 1
        for one in self._appliers(target):
            if self.cluster.nudge(one.name, token):
                self._told[one.name] = token


def follow(
    followers: Sequence[Follower],
    relations: Relations,
    inbox: SimpleQueue[tuple[Follower, Change]],
    clock: Callable[[], float],
    limit: float,
    tell: Callable[[Track, str], None],
    show: Callable[[str], None] | None = None,
) -> None:
    """Follow until every target is done, one has failed, or `clock` has reached `limit`.

    `inbox` is what the watches of all clusters bring; `show` is given every second what is waited
    for, where somebody looks on.

    Before a change is said to have failed, or not to be done in time, the branch is looked at once
    more: what a newer change has replaced has not failed.
    """
    tracks = [(follower, track) for follower in followers for track in follower.tracks]
    for follower in followers:
        follower.listen(inbox)
    while True:
        now = clock()
        for follower, track in tracks:
            if not track.is_over:
                for line in follower.look(track, relations, now):
                    tell(track, line)
        if are_over([track for _, track in tracks]):
            return
        if now >= limit:
            _settle_all([track for _, track in tracks if not track.is_over], relations, tell)
            return
        for follower in followers:
            follower.watch(inbox)
        look = min((track.next_look(now) for _, track in tracks), default=limit)
        longest = _LONGEST_LOOK
        if show is not None:
            longest = 1.0
            show(_waited_for([track for _, track in tracks], now, limit))
        _take_in(inbox, min(look, limit - now, longest))


def _take_in(inbox: SimpleQueue[tuple[Follower, Change]], seconds: float) -> None:
    """Wait for a change, and give all there are to their followers."""
    try:
        follower, change = inbox.get(timeout=max(0.0, seconds))
        while True:
            follower.take(change)
            follower, change = inbox.get_nowait()
    except Empty:
        return


def _waited_for(tracks: Sequence[Track], now: float, limit: float) -> str:
    """Say in a few words what is waited for, of how many, and how long that may go on."""
    open_ones = [track for track in tracks if not track.is_over]
    first = open_ones[0] if open_ones else tracks[0]
    said = first.standing.message if first.standing else "the cluster to answer"
    more = f" and {len(open_ones) - 1} more" if len(open_ones) > 1 else ""
    return f"{now:.0f} s of {limit:.0f}: {first.target.title}{more}: waiting for {said}"


def settle(track: Track, relations: Relations) -> str:
    """Call a change replaced where the branch is at another one by now; return a progress line."""
    commit, there = relations.at_tip(track.target)
    if there not in (Relation.REPLACED, Relation.BEFORE):
        return ""
    target = track.target
    how = (
        "a newer change of the service was pushed"
        if there is Relation.REPLACED
        else "it was reverted, or the branch was forced to another commit"
    )
    said = f"{target.branch}@{commit[:12]} has replaced {target.image.label}: {how}"
    return track.replace_standing(Standing(State.REPLACED, said))


def connect(
    context: str, environment: Mapping[str, str], url: str, token: str, *, hasten: bool = False
) -> Future[Follower]:
    """Connect to a cluster and discover, in a thread; the future raises what that raised."""
    future: Future[Follower] = Future()

    def run() -> None:
        try:
            follower = Follower(Cluster(context, environment), url, token, hasten=hasten)
            follower.discover()
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            future.set_exception(error)
        else:
            future.set_result(follower)

    Thread(target=run, daemon=True).start()
    return future


def disconnect(connections: Sequence[Future[Follower]]) -> None:
    """Close what was connected; a connection that is still being made is not waited for."""
    for connection in connections:
        if connection.done() and connection.exception() is None:
            connection.result().cluster.close()


def _settle_all(
    tracks: Sequence[Track], relations: Relations, tell: Callable[[Track, str], None]
) -> None:
    for track in tracks:
        if line := settle(track, relations):
            tell(track, line)
