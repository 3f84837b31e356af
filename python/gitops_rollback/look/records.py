"""Find the records of a service's fields, whatever it was called when they were archived."""

from __future__ import annotations

from heapq import merge
from typing import TYPE_CHECKING

from gitops_rollback.ledger.records import MissingRecord
from gitops_rollback.ledger.state import FOLDER
from gitops_rollback.model import identified

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.model import Build, Deed
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.stores.base import RecordStore


def find_record(
    repository: Repository,
    store: RecordStore,
    at: ServiceAtTip,
    build: Build | None,
    sha256: str | None,
) -> StoredRecord | MissingRecord:
    """Return the record that an event names, or what stands in its place.

    An archive files records by names. A deed's id tells under which it was done: one of the names
    that the fields have, or one of which a state file is left. Only where no deed of the state file
    names the record, all that the fields have are tried.
    """
    deeds = at.state.deployed if at.state else ()
    deed = next((one for one in deeds if sha256 and one.record == sha256), None)
    names = _names(at)
    if deed is not None:
        names = _done_as(deed, names) or _done_as(deed, _left(repository, at)) or names
    missing: MissingRecord | None = None
    for environment, service in names:
        found = store.find(environment, service, build, sha256)
        if not isinstance(found, MissingRecord) or found.is_tampered:
            return found
        missing = missing or found
    assert missing is not None  # noqa: S101 - a service has a name
    return missing


def newest_records(store: RecordStore, at: ServiceAtTip) -> Iterator[StoredRecord]:
    """Yield the records of a service's fields, under all of their names, newest first."""
    names = _names(at)
    if len(names) == 1:
        return store.newest(*names[0])
    return merge(
        *(store.newest(*name) for name in names),
        key=lambda stored: stored.record.recorded_at,
        reverse=True,
    )


def _names(at: ServiceAtTip) -> list[tuple[str, str]]:
    """Return the environments and services that the fields are called by, its own first."""
    others = ((state.environment, state.service) for state in at.aliases)
    return list(dict.fromkeys([(at.environment, at.service), *others]))


def _done_as(deed: Deed, names: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the name under which a deed was done, if it is one of these."""
    return [(e, s) for e, s in names if identified(deed, s, e).id == deed.id]


def _left(repository: Repository, at: ServiceAtTip) -> Iterator[tuple[str, str]]:
    """Yield the environments and services of all state files that there are: names, not files."""
    for entry in repository.list_files(at.tip.commit, [FOLDER]):
        environment, _slash, name = entry.path.removeprefix(f"{FOLDER}/").partition("/")
        if name.endswith(".json"):
            yield environment, name.removesuffix(".json")
