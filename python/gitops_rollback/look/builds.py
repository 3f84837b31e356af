"""Which builds of Jenkins with records that a rollback would need are lost, or may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.drill import (
    RECORDS_WANTED,
    advice_on_builds,
    build_to_keep,
    builds_lost,
)
from gitops_rollback.errors import JenkinsError, RepositoryError
from gitops_rollback.ledger.state import FOLDER, parse_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gitops_rollback import storage
    from gitops_rollback.ledger.state import State
    from gitops_rollback.look.snapshot import EnvironmentFiles
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.stores.jenkins import JenkinsStore

_MOST_SERVICES = 50  # whose builds are asked for, each by one request


def lost_builds(
    store: JenkinsStore | None,
    repository: Repository,
    read: EnvironmentFiles,
    services: Sequence[str],
) -> tuple[storage.Finding, ...]:
    """Return warnings of services whose deploy job has lost records, or may lose the one needed.

    `services` are those meant, all where it is empty. Nothing is asked where no Jenkins holds the
    records (no store); of whom it could not be asked is a note.
    """
    if store is None:
        return ()
    from gitops_rollback.stores.jenkins_failures import AbsentError  # noqa: PLC0415 - slow import

    found: list[storage.Finding] = []
    states = _states(repository, read, services)
    for number, (path, data) in enumerate(states):
        name, left = path.rpartition("/")[2].removesuffix(".json"), len(states) - number
        if number == _MOST_SERVICES:
            why = f"{left} more services: {number} are asked at once"
            return (*found, _unasked(path, name, why, "name them: --service NAME"))
        try:
            state = parse_state(data, read.environment.name, name)
            found += _lost(store, path, state)
            found += _at_risk(store, path, state)
        except (RepositoryError, AbsentError) as error:
            found.append(_unasked(path, name, f"{name}: {error.message}", error.hint))
        except JenkinsError as error:  # the next would wait for it as long
            who = name if left == 1 else f"{left} services"
            return (*found, _unasked(path, name, f"{who}: {error.message}", error.hint))
    return tuple(found)


def _states(
    repository: Repository, read: EnvironmentFiles, services: Sequence[str]
) -> list[tuple[str, bytes]]:
    """Return path and bytes of the state files that are meant, by their paths."""
    folder = f"{FOLDER}/{read.environment.name}"
    entries = repository.list_files(read.tip.commit, [folder])
    meant = {f"{folder}/{service}.json" for service in services}
    wanted = [entry for entry in entries if not services or entry.path in meant]
    blobs = repository.read(entry.oid for entry in wanted)
    return [(entry.path, blobs[entry.oid]) for entry in wanted]


def _lost(store: JenkinsStore, path: str, state: State) -> Iterator[storage.Finding]:
    job = next((entry.build.job for entry in state.deployed if entry.build), None)
    if job is None:
        return
    listed = store.archived(job, state.environment, state.service)
    lost = builds_lost(state, job, listed)
    if not lost:
        return
    numbers = ", ".join(f"#{build.number}" for build in lost)
    yield _finding(
        *("warning", "builds-lost", path, state.service),
        f"the deploy job {job} keeps too few builds: of the last {RECORDS_WANTED} deployments of "
        f"{state.title}, the records of {numbers} are gone",
        "a rollback to what ran before them has no record to go by, only what Git tells",
        advice_on_builds(listed),
    )


def _at_risk(store: JenkinsStore, path: str, state: State) -> Iterator[storage.Finding]:
    """Tell of the record that a rollback would go by, where a discarder may take its build."""
    build = build_to_keep(state)
    if build is None or build.number not in store.passing(build.job):
        return
    if not store.archived(build.job, state.environment, state.service).get(build.number):
        return
    yield _finding(
        *("warning", "build-not-kept", path, state.service),
        f"{build} has the record by which {state.title} would go back, is not kept, and "
        f"{build.job} discards old builds",
        "a rollback would have no record to go by then, only what Git tells",
        'press "Keep this build forever" on its page, and deploy with keep: true',
    )


def _unasked(path: str, service: str, why: str, mend: str) -> storage.Finding:
    return _finding(
        *("note", "builds-not-asked", path, service),
        f"the builds of the deploy jobs were not looked at, of {why}",
        "whether a rollback has its record is not known",
        mend,
    )


def _finding(
    severity: str, code: str, path: str, service: str, message: str, effect: str, mend: str
) -> storage.Finding:
    from gitops_rollback import storage  # noqa: PLC0415 - many modules

    about = f"service {service}"
    return storage.Finding(
        severity, code, path, 1, 1, message, effect=effect, mend=mend, subject=about
    )
