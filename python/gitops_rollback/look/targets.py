"""What a wait is for, and what is its own, as Git tells at the commit that is waited for."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from gitops_rollback.effective.appliers import LEFT_ALONE
from gitops_rollback.errors import (
    ConfigError,
    GitopsRollbackError,
    ManifestError,
    ResourceError,
)
from gitops_rollback.ledger.events import is_named
from gitops_rollback.look.snapshot import read_snapshot
from gitops_rollback.manifest.document import parse_once
from gitops_rollback.rollout import InGit, Place, Stand, Target, about, belongings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.model import Request
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.storage import KubernetesObject


_LONGEST_TIP = 5.0  # seconds for the server to say what a branch is at


def find_targets(
    services: Sequence[ServiceAtTip], given: Callable[[str], str], contexts: str
) -> Iterator[Target]:
    """Yield what is waited for of services at a commit.

    `given` returns the options that a command about an environment has to repeat; `contexts` are
    the contexts of the kubeconfig that were given, as a shell reads them.
    """
    read = cache(_objects)
    for at in services:
        in_git = cache(partial(_belongings, at, read))
        yield _target(at, in_git, given(at.environment), contexts)


def _target(at: ServiceAtTip, in_git: Callable[[], InGit], given: str, contexts: str) -> Target:
    """Return what is waited for, with the digest where the state file knows it."""
    image = at.read.image
    newest = at.account.newest
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
        given=given,
        contexts=contexts,
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


class Branch:
    """Reads what stands about a service at another commit, and what a branch is at by now."""

    def __init__(
        self, repository: Repository, request: Request, tip: Tip, tell: Callable[[str], None]
    ) -> None:
        self._repository = repository
        self._request = request
        self._tip = tip
        self._tell = tell

    def stand(self, target: Target, commit: str) -> Stand | None:
        """Return what stands about a target at a commit; None where that cannot be read.

        A commit in whose configuration the service is no longer found has taken it out, and so has
        one whose fields disagree. The digest is the state file's where the fields name none.
        """
        try:
            snapshot = read_snapshot(self._repository, self._request, self._tip, commit)
            at = next((one for one in snapshot.services if one.service == target.service), None)
            image = at.read.image if at else None
        except ConfigError:
            return Stand(None)
        except GitopsRollbackError as error:
            self._tell(f"{commit[:12]} cannot be read: {error.message}")
            return None
        entries = tuple(entry.id for entry in at.state.deployed) if at and at.state else ()
        return Stand(image, entries)

    def tip(self, branch: str) -> str:
        """Return the commit that a branch is at by now; empty where the server does not say."""
        return self._repository.remote_tip(branch, _LONGEST_TIP) or ""
