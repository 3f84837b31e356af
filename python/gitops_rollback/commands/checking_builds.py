"""Ask Jenkins whether the builds are still there that hold the records of the last deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.keeping import WANTED, advice, builds_lost
from gitops_rollback.errors import GitopsRollbackError
from gitops_rollback.ledger.state import FOLDER, parse_state
from gitops_rollback.look.snapshot import EnvironmentFiles, Snapshot
from gitops_rollback.model import title
from gitops_rollback.storage import WARNING, Finding
from gitops_rollback.stores.jenkins import JenkinsStore
from gitops_rollback.tell.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gitops_rollback.ledger.state import State
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session

_MOST_SERVICES = 50  # whose builds are asked for, each by one request


def lost_builds(
    session: Session, repository: Repository, read: EnvironmentFiles, services: Sequence[str]
) -> tuple[Finding, ...]:
    """Return a warning for each service whose deploy job keeps too few builds.

    `services` are those meant, all where it is empty. Nothing is asked where no Jenkins holds the
    records; one that does not answer is said and left.
    """
    if not session.is_archived_by_jenkins:
        return ()
    store = session.store(Snapshot(read.tip, read.config, read.environment, ()))
    if not isinstance(store, JenkinsStore):
        return ()
    found = []
    try:
        for path, state in _states(repository, read, services):
            finding = _lost(store, path, state)
            if finding is not None:
                found.append(finding)
    except GitopsRollbackError as error:
        say(f"the builds of the deploy jobs were not looked at: {error.message}")
    return tuple(found)


def _states(
    repository: Repository, read: EnvironmentFiles, services: Sequence[str]
) -> Iterator[tuple[str, State]]:
    folder = f"{FOLDER}/{read.environment.name}"
    entries = repository.list_files(read.tip.commit, [folder])
    names = {e.path: e.path.removeprefix(f"{folder}/").removesuffix(".json") for e in entries}
    wanted = [e for e in entries if not services or names[e.path] in services][:_MOST_SERVICES]
    blobs = repository.read(entry.oid for entry in wanted)
    for entry in wanted:
        yield (
            entry.path,
            parse_state(blobs[entry.oid], read.environment.name, names[entry.path]),
        )


def _lost(store: JenkinsStore, path: str, state: State) -> Finding | None:
    job = next((entry.build.job for entry in state.deployed if entry.build), None)
    if job is None:
        return None
    listed = store.archived(job, state.environment, state.service)
    lost = builds_lost(state, job, listed)
    if not lost:
        return None
    numbers = ", ".join(f"#{build.number}" for build in lost)
    return Finding(
        WARNING,
        "builds-lost",
        path,
        1,
        1,
        f"the deploy job {job} keeps too few builds: of the last {WANTED} deployments of "
        f"{title(state.service, state.environment)}, the records of {numbers} are gone",
        effect="a rollback to what ran before them has no record to go by, only what Git tells",
        mend=advice(listed),
        subject=f"service {state.service}",
    )
