"""How waiting goes: what is waited for, by which means it is seen, and what is told of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gitops_rollback.commands.wait_results import report, unverified
from gitops_rollback.errors import ClusterError, ConfigError, ManifestError
from gitops_rollback.ledger.stack import running_image
from gitops_rollback.look.snapshot import read_snapshot
from gitops_rollback.options import repeated
from gitops_rollback.output import say
from gitops_rollback.repo.messages import UnknownCommitError
from gitops_rollback.rollout.access import NoAccessError, has_access
from gitops_rollback.rollout.follow import (
    Inbox,
    NotHereError,
    Relations,
    connect,
    disconnect,
    follow,
)
from gitops_rollback.rollout.target import Place, Stand, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from gitops_rollback.commands.session import Session
    from gitops_rollback.look.snapshot import ServiceAtTip
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.rollout.failure import Failure
    from gitops_rollback.rollout.follow import Follower
    from gitops_rollback.rollout.track import Track


def wait(session: Session, repository: Repository, change: dict[str, Any] | None) -> int:
    """Wait for a change; `change` is the result of what made it, if that is known."""
    connections, reasons = _connect(session)
    try:
        tip = session.open_tip(repository)
        targets = _targets(session, repository, tip)
        reader = _Reader(session, repository, tip)
        followers = _followers(session, connections, targets, reasons)
        if followers:
            _follow(session, followers, reader)
            seen = [(track, one.explain) for one in followers for track in one.tracks]
            return report(session, seen, change, "cluster")
        return _wait_elsewhere(session, repository, targets, reader, change, reasons)
    finally:
        disconnect(connections)


def _wait_elsewhere(
    session: Session,
    repository: Repository,
    targets: list[Target],
    reader: _Reader,
    change: dict[str, Any] | None,
    reasons: list[str],
) -> int:
    """Wait by what Flux tells the Git host; without that too, nothing is verified."""
    from gitops_rollback.commands.waiting_elsewhere import (  # noqa: PLC0415 - one of two ways
        follow_statuses,
    )

    for reason in reasons:
        say(f"{reason}: looking at commit statuses instead")
    tell = _teller(session.watch.elapsed)
    relations = Relations(reader.stand)
    tracks, why_not = follow_statuses(session, repository, targets, relations, tell)
    if not tracks:
        return unverified(session, targets, [*reasons, why_not])
    return report(session, [(track, _as_it_is) for track in tracks], change, "commit-status")


def _as_it_is(failure: Failure) -> Failure:
    return failure


class _Reader:
    """Reads what stands about a service at another commit."""

    def __init__(self, session: Session, repository: Repository, tip: Tip) -> None:
        self._session = session
        self._repository = repository
        self._tip = tip

    def stand(self, target: Target, commit: str) -> Stand:
        """Return what stands about a target at a commit; nothing, where that cannot be read."""
        try:
            snapshot = read_snapshot(self._repository, self._session.request, self._tip, commit)
        except (ConfigError, ManifestError, UnknownCommitError):
            return Stand(None)
        at = next(one for one in snapshot.services if one.service == target.service)
        entries = tuple(entry.id for entry in at.state.deployed) if at.state else ()
        return Stand(at.found.image, entries)


def _targets(session: Session, repository: Repository, tip: Tip) -> list[Target]:
    with session.watch.phase("fetch"):
        snapshot = read_snapshot(repository, session.request, tip, session.options.commit)
    return [_target(at) for at in snapshot.services]


def _target(at: ServiceAtTip) -> Target:
    """Return what is waited for, with the digest where the state file knows it."""
    image, _source = running_image(at.found.image, at.state)
    newest = at.state.newest if at.state else None
    return Target(
        service=at.service,
        environment=at.environment,
        image=image,
        commit=at.tip.commit,
        branch=at.tip.branch,
        places=tuple(Place(one.path, one.kind, one.name, one.overlay) for one in at.found.fields),
        entry=newest.id if newest and newest.image.may_be(image) else "",
    )


def _connect(session: Session) -> tuple[list[Future[Follower]], list[str]]:
    """Begin to connect to the clusters that are named, else to the one at hand."""
    contexts = repeated(session.options, "kube_context")
    if not contexts and not has_access(session.environment):
        return [], ["there is no kubeconfig and no account of a cluster here"]
    token = f"{time.time():.6f}"
    return [
        connect(context, session.environment, session.url, token) for context in contexts or ("",)
    ], []


def _followers(
    session: Session,
    connections: Sequence[Future[Follower]],
    targets: Sequence[Target],
    reasons: list[str],
) -> list[Follower]:
    """Return the clusters that apply the change.

    One that was named has to; the one at hand need not be the right one: `reasons` says why.
    """
    named = bool(repeated(session.options, "kube_context"))
    found = []
    for connection in connections:
        try:
            follower = connection.result(timeout=session.deadline.remaining)
            for line in follower.expect(targets):
                say(line)
        except (NoAccessError, NotHereError, ClusterError, TimeoutError) as error:
            reason = str(error) or "the cluster did not answer in time"
            if named:
                hint = getattr(error, "hint", "") or "see docs/flux.md"
                raise ClusterError(reason, hint) from error
            reasons.append(reason)
        else:
            found.append(follower)
    return found


def _follow(session: Session, followers: Sequence[Follower], reader: _Reader) -> None:
    clock = session.watch.elapsed
    limit = clock() + session.deadline.remaining
    follow(followers, Relations(reader.stand), Inbox(), clock, limit, _teller(clock))


def _teller(clock: Callable[[], float]) -> Callable[[Track, str], None]:
    def tell(track: Track, line: str) -> None:
        where = f"[{track.cluster}] " if track.cluster else ""
        say(f"{clock():6.1f} s  {where}{track.target.title}: {line}")

    return tell
