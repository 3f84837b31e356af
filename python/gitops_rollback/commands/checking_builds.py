"""Ask Jenkins whether the builds are still there that hold the records of the last deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.drill import (
    RECORDS_WANTED,
    advice_on_builds,
    build_to_keep,
    builds_lost,
)
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
    """Return warnings of services whose deploy job has lost records, or may lose the one needed.

    `services` are those meant, all where it is empty. Nothing is asked where no Jenkins holds the
    records; one that does not answer is said and left.
    """
    if not session.is_archived_by_jenkins:
        return ()
    store = session.store(Snapshot(read.tip, read.config, read.environment, ()))
    if not isinstance(store, JenkinsStore):
        return ()
    found: list[Finding] = []
    try:
        for path, state in _states(repository, read, services):
            found += _lost(store, path, state)
            found += _at_risk(store, path, state)
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


def _lost(store: JenkinsStore, path: str, state: State) -> Iterator[Finding]:
    job = next((entry.build.job for entry in state.deployed if entry.build), None)
    if job is None:
        return
    listed = store.archived(job, state.environment, state.service)
    lost = builds_lost(state, job, listed)
    if not lost:
        return
    numbers = ", ".join(f"#{build.number}" for build in lost)
    yield _finding(
        "builds-lost",
        path,
        state,
        f"the deploy job {job} keeps too few builds: of the last {RECORDS_WANTED} deployments of "
        f"{title(state.service, state.environment)}, the records of {numbers} are gone",
        "a rollback to what ran before them has no record to go by, only what Git tells",
        advice_on_builds(listed),
    )


def _at_risk(store: JenkinsStore, path: str, state: State) -> Iterator[Finding]:
    """Tell of the record that a rollback would go by, where a discarder may take its build."""
    build = build_to_keep(state)
    if build is None or build.number not in store.passing(build.job):
        return
    if not store.archived(build.job, state.environment, state.service).get(build.number):
        return
    yield _finding(
        "build-not-kept",
        path,
        state,
        f"{build} has the record by which {title(state.service, state.environment)} would go back, "
        f"is not kept, and {build.job} discards old builds",
        "a rollback would have no record to go by then, only what Git tells",
        'press "Keep this build forever" on its page, and deploy with keep: true',
    )


def _finding(code: str, path: str, state: State, message: str, effect: str, mend: str) -> Finding:
    subject = f"service {state.service}"
    return Finding(WARNING, code, path, 1, 1, message, effect=effect, mend=mend, subject=subject)
