"""How waiting goes: what is waited for, what is told of it, and how a run that waits ends.

The same for `wait` and for what waits after its push. Whether the change runs, `rollout` tells.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from gitops_rollback import clock
from gitops_rollback.alarm import lasting
from gitops_rollback.clock import Deadline
from gitops_rollback.commands.wishes import request_of
from gitops_rollback.effective.appliers import LEFT_ALONE
from gitops_rollback.errors import (
    ClusterError,
    ConfigError,
    Exit,
    GitopsRollbackError,
    Interrupted,
    InterruptedRunError,
    ManifestError,
    MovedError,
    ResourceError,
    UsageError,
    WaitingError,
)
from gitops_rollback.forges.address import address_of
from gitops_rollback.forges.statuses import CommitStatuses
from gitops_rollback.image import parse_image
from gitops_rollback.late import replace
from gitops_rollback.ledger.events import is_named
from gitops_rollback.look.snapshot import read_snapshot
from gitops_rollback.manifest.document import parse_once
from gitops_rollback.options import repeated
from gitops_rollback.outlet import one as one_line
from gitops_rollback.rollout import (
    InGit,
    Place,
    Rollout,
    Stand,
    State,
    Target,
    Wish,
    about,
    belongings_of,
    told_first,
)
from gitops_rollback.tell.output import write_result
from gitops_rollback.tell.terminal import is_terminal, say, show_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.rollout import Failure, Lost, Seen, Track
    from gitops_rollback.session import Session
    from gitops_rollback.storage import KubernetesObject

_MOMENTS = ("fetched", "applied", "ready")
_SETTLING = 10.0  # seconds after the wait, to look at the branch once more and to tell
_LONGEST_TIP = 5.0  # seconds for the server to say what a branch is at


def wait(session: Session, change: dict[str, Any] | None) -> int:
    """Wait for a change; `change` is the result of what made it, if that is known.

    Writes the result; raises `ClusterError` where the change does not get through or cannot be seen
    though a cluster was asked for, `MovedError` where it was replaced.
    """
    result, error = watch(session, change, session.options.timeout)
    if error is not None:
        error.found = result
        raise error
    write_result(result, session.options.output)
    return Exit.DONE


def watch(
    session: Session, change: dict[str, Any] | None, seconds: float
) -> tuple[dict[str, Any], GitopsRollbackError | None]:
    """Wait for a change for some seconds; return the result, and what it ends with if not well.

    It has a deadline of its own, and so a repository of its own, which git opens once more.
    Raises `InterruptedRunError` where a person or a build ends the wait, which ends nothing else.
    """
    began = session.watch.elapsed()
    session = replace(session, deadline=Deadline(seconds + _SETTLING))
    targets: list[Target] = []
    try:
        with (
            lasting(seconds + _SETTLING),
            Rollout(_wish(session), session.watch.elapsed, say, _looked_on()) as rollout,
            session.open_repository() as repository,
        ):
            tip = session.open_tip(repository)
            commit = (change or {}).get("commit") or getattr(session.options, "commit", None)
            targets += _targets(session, repository, tip, commit)
            if change is not None and commit is None:
                _refuse_others(change, targets)
            git = _Git(session, repository, tip)

            def statuses() -> CommitStatuses:
                return _statuses(session)

            seen = rollout.see(targets, git, statuses, began + seconds)
            return _told(session, targets, seen, change, seconds)
    except (Interrupted, KeyboardInterrupt) as error:
        raise _interrupted(session, targets, change) from error


def _looked_on() -> Callable[[str], None] | None:
    """Return what shows on a terminal what is waited for, in one line; None in a log."""
    if not is_terminal(sys.stderr):
        return None
    width = shutil.get_terminal_size().columns - 4
    return lambda text: show_progress(one_line(text)[:width])


def _wish(session: Session) -> Wish:
    options = session.options
    return Wish(
        session.url,
        session.environment,
        repeated(options, "kube_context"),
        repeated(options, "kustomization"),
        options.hasten,
    )


def _statuses(session: Session) -> CommitStatuses:
    """Return the reader of commit statuses; raise `UsageError` where the repository has none."""
    try:
        address = address_of(session.remote, session.options.forge, session.options.forge_url)
    except UsageError as error:
        raise UsageError(
            "the repository is on no GitHub or GitLab whose commit statuses could be read",
            error.hint,
        ) from error
    return CommitStatuses(address, session.environment, session.deadline)


class _Git:
    """Reads what stands about a service at another commit, and what a branch is at by now."""

    def __init__(self, session: Session, repository: Repository, tip: Tip) -> None:
        self._session = session
        self._repository = repository
        self._tip = tip

    def stand(self, target: Target, commit: str) -> Stand | None:
        """Return what stands about a target at a commit; None where that cannot be read.

        A commit in whose configuration the service is no longer found has taken it out, and so has
        one whose fields disagree. The digest is the state file's where the fields name none.
        """
        try:
            snapshot = read_snapshot(
                self._repository, request_of(self._session.options), self._tip, commit
            )
            at = next((one for one in snapshot.services if one.service == target.service), None)
            image = at.read.image if at else None
        except ConfigError:
            return Stand(None)
        except GitopsRollbackError as error:
            say(f"{commit[:12]} cannot be read: {error.message}")
            return None
        entries = tuple(entry.id for entry in at.state.deployed) if at and at.state else ()
        return Stand(image, entries)

    def tip(self, branch: str) -> str:
        """Return the commit that a branch is at by now; empty where the server does not say."""
        return self._repository.remote_tip(branch, _LONGEST_TIP) or ""


def _targets(
    session: Session, repository: Repository, tip: Tip, commit: str | None
) -> Iterator[Target]:
    with session.watch.phase("fetch"):
        snapshot = read_snapshot(repository, request_of(session.options), tip, commit)
    read = cache(_objects)
    for at in snapshot.services:
        yield _target(session, at, cache(partial(_belongings, at, read)))


def _target(session: Session, at: ServiceAtTip, in_git: Callable[[], InGit]) -> Target:
    """Return what is waited for, with the digest where the state file knows it."""
    image = at.read.image
    newest = at.state.newest if at.state else None
    return Target(
        service=at.service,
        environment=at.environment,
        image=image,
        commit=at.tip.commit,
        branch=at.tip.branch,
        places=tuple(
            Place(one.path, one.kind, one.name, one.overlay, one.container, one.effective)
            for one in at.found.fields
        ),
        entry=newest.id if newest and is_named(newest.image, image) else "",
        lands=_lands(at),
        in_git=in_git,
        given=_given(session, at.environment),
        contexts=_contexts(session),
    )


def _lands(at: ServiceAtTip) -> tuple[Place, ...]:
    """Return the objects to which the service's fields come, as each root is applied.

    None where that is not known of all.
    """
    effect = at.found.effective_in(at.found.manifests).effect
    landed = effect.decided_by(one.key for one in at.found.fields)
    known = {one.decider for one in landed}
    if any(one.key not in known for one in at.found.fields):
        return ()
    return tuple(
        Place(
            one.paths[0] if one.paths else one.applied,
            one.kind,
            one.workload,
            one.applied,
            one.container,
            "" if one.unknowns or "${" in one.image else one.image,
            "" if "${" in one.namespace else one.namespace,
            is_sure=not one.unknowns,
            left_alone=next((u.text for u in one.unknowns if u.construct in LEFT_ALONE), ""),
        )
        for one in landed
    )


def _refuse_others(change: Mapping[str, Any], targets: Sequence[Target]) -> None:
    """Refuse to wait for what a change without a commit is not: another image at the tip.

    It found its image there, or proposed it. Raises `WaitingError`, `MovedError`.
    """
    meant = {one["service"]: parse_image(one["to"]) for one in change["services"]}
    for target in targets:
        image = meant[target.service]
        if is_named(target.image, image):
            continue
        has = f"{target.branch}@{target.commit[:12]} has {target.image.label}"
        proposed = change.get("pullRequest")
        if proposed:
            raise WaitingError(
                f"{target.title}: {has}: pull request #{proposed['number']}, which proposes "
                f"{image.label}, is not merged, or another change came after it",
                f"see {proposed['url']}, and wait again once it is merged",
            )
        raise MovedError(
            f"{target.title}: overtaken: {has}, and no longer {image.label}: a newer change of the "
            "service was pushed",
            f"look at what runs now: {target.look_on()}",
        )


def _belongings(at: ServiceAtTip, read: Callable[[str, bytes], list[KubernetesObject]]) -> InGit:
    """Return what is the service's own, and what is not; `read` gives the objects of a file.

    Its own is what its files have, what its pods take, and what is about its workloads in other
    files. Not its own are workloads of its names that other fields decide, and what any file has
    in another namespace than is written in its workloads.
    """
    fields = at.found.fields
    keys, paths = {(one.kind, one.name) for one in fields}, {one.path for one in fields}
    documents = {one.key[:2] for one in fields}
    names = {name.encode() for _kind, name in keys}
    own: list[KubernetesObject] = []
    others: list[KubernetesObject] = []
    for path, data in at.found.manifests.raw.items():
        if path in paths:
            own += read(path, data)
        elif any(name in data for name in names):
            others += read(path, data)
    workloads = [
        one for one in own if (one.kind, one.name) in keys and (one.path, one.document) in documents
    ]
    spaces = {_space_of(one) for one in workloads}
    apart = [one for one in (*own, *others) if _space_of(one) not in {"", *spaces}]
    near = [one.value for one in others if one not in apart]
    found = {(one.kind, one.name) for one in own}.union(*(belongings_of(one.value) for one in own))
    return InGit(
        about((one.value for one in workloads), near).union(found),
        _elsewhere(at, own, spaces),
        frozenset((one.kind, one.name) for one in apart).union(_namesakes(at, keys)),
    )


def _elsewhere(
    at: ServiceAtTip, own: Sequence[KubernetesObject], spaces: set[str]
) -> frozenset[str]:
    """Return what of a service's files lies in another namespace than its workloads (`spaces`).

    Nothing where an overlay or Flux may give all of them another one than is written. Where a
    workload that is not the service's has the namespace, what is there is that one's.
    """
    if {one.namespace if one.is_sure else None for one in _lands(at)} != spaces:
        return frozenset()
    taken = {_space_of(one) for one in own if Place(one.path, one.kind, one.name).is_workload} | {
        "",
        *spaces,
    }
    apart = [(one.kind, _space_of(one), one.name) for one in own]
    return frozenset("/".join(one) for one in apart if one[1] not in taken)


def _namesakes(at: ServiceAtTip, keys: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of a service's workloads (kind and name) that other fields decide, too."""
    effect = at.found.effective_in(at.found.manifests).effect
    own = effect.decided_by(one.key for one in at.found.fields)
    mine = {(one.kind, one.namespace, one.workload) for one in own}
    return {
        (one.kind, one.workload)
        for one in effect.landed
        if (one.kind, one.workload) in keys and (one.kind, one.namespace, one.workload) not in mine
    }


def _space_of(found: KubernetesObject) -> str:
    """Return the namespace that an object says itself; empty where it says none that is known."""
    space = found.namespace or ""
    return "" if "${" in space else space


def _objects(path: str, data: bytes) -> list[KubernetesObject]:
    """Return the objects of a file; none where it is no YAML, or more than is ever read."""
    from gitops_rollback.storage import find_objects  # noqa: PLC0415 - many modules

    try:
        return list(find_objects(parse_once(path, data)))
    except (ManifestError, ResourceError):
        return []


def _given(session: Session, environment: str) -> str:
    """Return the options that a command about the service has to repeat, as a shell reads them."""
    options = session.options
    given = [("--repository", options.repository), ("--branch", options.branch)]
    if options.environment or environment not in ("", "default"):
        given.insert(1, ("--environment", environment))
    return shlex.join(part for name, value in given if value for part in (name, str(value)))


def _contexts(session: Session) -> str:
    """Return the contexts that were given, as a shell reads them."""
    contexts = repeated(session.options, "kube_context")
    return shlex.join(part for one in contexts for part in ("--kube-context", one))


# What is told


def _told(
    session: Session,
    targets: Sequence[Target],
    seen: Seen,
    change: dict[str, Any] | None,
    seconds: float,
) -> tuple[dict[str, Any], GitopsRollbackError | None]:
    """Return the result of a wait, and the error that it ends with, if it does."""
    before = _before(session, change)
    failures, rollouts = [], []
    for track in seen.tracks:
        failure = _failure(seen, track, seconds)
        failure = seen.explain(track, failure) if failure else None
        rollouts.append(_rollout(session, track, failure, before))
        failures += [failure] if failure else []
    rollouts += [_lost(target, one) for one in seen.lost for target in targets]
    warnings = [w for track in seen.tracks if track.standing for w in track.standing.warnings]
    if not rollouts:
        rollouts = [_named(target) | {"state": _UNSEEN} for target in targets]
        warnings = [f"nothing was verified: {'; '.join(seen.why_not)}"]
    result = {
        "commit": targets[0].commit,
        "branch": targets[0].branch,
        "state": _overall(seen),
        "verifiedBy": seen.by,
        "rollouts": rollouts,
        "warnings": list(dict.fromkeys(warnings)),
        "seconds": _seconds(session, seen.tracks, change, before),
    }
    for warning in result["warnings"]:
        say(f"warning: {warning}")
    return result, _error(seen, failures)


def _error(seen: Seen, failures: Sequence[Failure]) -> GitopsRollbackError | None:
    """Return what the worst of all is: a failure, a cluster that was not seen, a replacement."""
    lost = "; ".join(one.error.message for one in seen.lost)
    if failures:
        titles = {track.target.title for track in seen.tracks}
        who = f"{next(iter(titles))}: " if len(titles) == 1 else ""
        worst = told_first(failures)
        said = worst.sentence if worst.sentence.startswith(who) else who + worst.sentence
        return ClusterError(f"{said}; and {lost}" if lost else said, worst.hint)
    if seen.lost:
        known = ", ".join(
            f"{track.cluster or 'the cluster'}: {track.standing.state.value}"
            for track in seen.tracks
            if track.standing
        )
        beside = f" (seen elsewhere: {known})" if known else ""
        return ClusterError(f"not verified: {lost}{beside}", seen.lost[0].error.hint)
    for track in seen.tracks:
        if track.standing and track.standing.state is State.REPLACED:
            return MovedError(
                f"{track.target.title}: overtaken: {track.standing.message}",
                f"look at what runs now: {track.target.look_on()}",
            )
    if not seen.tracks and not seen.may_be_unseen:
        return ClusterError(f"nothing was verified: {'; '.join(seen.why_not)}", seen.hint)
    return None


def _failure(seen: Seen, track: Track, seconds: float) -> Failure | None:
    if track.standing is not None and track.standing.failure is not None:
        return track.standing.failure
    others = [one.standing.state for one in seen.tracks if one.standing]
    if track.is_over or State.FAILED in others:
        return None
    return track.time_is_up(seconds, seen.now)


_UNSEEN = "unverified"


def _overall(seen: Seen) -> str:
    if not seen.tracks:
        return _UNSEEN
    states = [one.standing.state if one.standing else State.FETCHING for one in seen.tracks]
    order = (State.FAILED, State.REPLACED, State.FETCHING, State.APPLYING, State.ROLLING,
             State.APPLIED, State.READY)  # fmt: skip
    worst = next(state for state in order if state in states)
    is_well = worst in (State.APPLIED, State.READY)
    return _UNSEEN if seen.lost and is_well else worst.value


def _rollout(
    session: Session, track: Track, failure: Failure | None, before: float
) -> dict[str, Any]:
    standing = track.standing
    cluster = {"cluster": track.cluster} if track.cluster else {}
    applied = track.moments.get("applied")
    now = session.watch.seconds()["total"]
    return {
        **_named(track.target),
        **cluster,
        "state": standing.state.value if standing else State.FETCHING.value,
        "message": standing.message if standing else "nothing was seen",
        **({"failure": failure.to_json()} if failure else {}),
        **({} if applied is None else {"appliedAt": clock.moment(now - applied)}),
        "seconds": {name: round(at + before, 3) for name, at in track.moments.items()},
    }


def _lost(target: Target, lost: Lost) -> dict[str, Any]:
    cluster = {"cluster": lost.cluster} if lost.cluster else {}
    return {
        **_named(target),
        **cluster,
        "state": _UNSEEN,
        "message": f"{lost.error.message}; {lost.error.hint}",
    }


def _named(target: Target) -> dict[str, Any]:
    return {
        "service": target.service,
        "environment": target.environment,
        "image": target.image.canonical,
    }


def _interrupted(
    session: Session, targets: Sequence[Target], change: dict[str, Any] | None
) -> InterruptedRunError:
    """Return the error of a wait that was ended: what was pushed stays, and how to look on."""
    commit = targets[0].commit if targets else (change or {}).get("commit", "")
    services = [one.service for one in targets] or list(request_of(session.options).names)
    names = " ".join(f"--service {shlex.quote(one)}" for one in services)
    given = targets[0].given if targets else _given(session, session.options.environment or "")
    where = f"--commit {commit}" if commit else ""
    look_on = " ".join(part for part in (names, where, given, _contexts(session)) if part)
    pushed = f"commit {commit[:12]} is pushed" if commit else "what was pushed stays pushed"
    return InterruptedRunError(
        f"interrupted while waiting: {pushed}, and Flux applies it whether anybody looks or not",
        f"look on: gitops-rollback wait {look_on}",
        {"commit": commit} if commit else {},
    )


def _before(session: Session, change: dict[str, Any] | None) -> float:
    """Return how long before this run the change began; 0 where that is not known."""
    started = (change or {}).get("startedAt")
    if not started:
        return 0.0
    waited = session.watch.seconds()["total"]
    return max(0.0, time.time() - waited - datetime.fromisoformat(started).timestamp())


def _seconds(
    session: Session, tracks: Sequence[Track], change: dict[str, Any] | None, before: float
) -> dict[str, float]:
    """Return the moments of the whole change, in seconds since it began."""
    spent = (change or {}).get("seconds", {})
    found = {"total": round(before + session.watch.seconds()["total"], 3)}
    if "total" in spent:
        found["decide"] = round(spent.get("fetch", 0.0) + spent.get("decide", 0.0), 3)
        found["commit"] = spent["total"]
    for name in _MOMENTS:
        reached = [track.moments[name] for track in tracks if name in track.moments]
        if tracks and len(reached) == len(tracks):
            found[name] = round(max(reached) + before, 3)
    return found
