"""Ask every source what ran before, and merge their answers: commits, state file, records.

Records are found whatever the service was called when they were archived.
"""

from __future__ import annotations

import heapq
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gitops_rollback.decide.facts import Records, Unanswered
from gitops_rollback.decide.recording import not_of
from gitops_rollback.errors import ConfigError, GitopsRollbackError
from gitops_rollback.late import dataclass, field
from gitops_rollback.ledger.merge import Ledger, entry_to_json, merge, proves, with_commits
from gitops_rollback.ledger.records import MissingRecord, StoredRecord
from gitops_rollback.ledger.state import FOLDER, named_at
from gitops_rollback.look import git_history
from gitops_rollback.model import DEPLOY, ROLLBACK, identified, some
from gitops_rollback.repo.repository import LAST_LOOK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.events import Event, HistoryEntry
    from gitops_rollback.look.snapshot import Snapshot
    from gitops_rollback.model import Deed
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.stores.directory import RecordStore

_MOST_PROBLEMS = 3  # of the archive, in the findings


@dataclass(frozen=True)
class Retraced:
    """What ran, newest first, and what could not be found out."""

    at: ServiceAtTip
    running: ImageReference
    events: tuple[Event, ...]
    findings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the service as it stands in the result of `history`."""
        return {
            "service": self.at.service,
            "environment": self.at.environment,
            "running": self.running.canonical,
            "entries": [entry_to_json(event) for event in self.events],
            "findings": list(self.findings),
        }


@dataclass
class Archive:
    """What the store has of one service; once it did not answer, it is not asked again.

    Where nothing says which job to list, builds that are named can still be looked into.
    """

    repository: Repository
    store: RecordStore
    at: ServiceAtTip
    failure: GitopsRollbackError | None = None
    _found: list[StoredRecord] = field(default_factory=list)
    _is_over: bool = False

    @cached_property
    def _unread(self) -> Iterator[StoredRecord]:
        """The records of the service's fields, under all of their names, newest first."""
        names = _names(self.at)
        if len(names) == 1:
            return self.store.newest(*names[0])
        return heapq.merge(
            *(self.store.newest(*name) for name in names),
            key=lambda stored: stored.record.recorded_at,
            reverse=True,
        )

    @property
    def problems(self) -> str:
        """What could not be read, in short."""
        return some(self.store.problems, _MOST_PROBLEMS, "; ")

    def newest(self, count: int) -> Records:
        """Return the newest records of the service's fields: each may cost a download."""
        try:
            while len(self._found) < count and not self._is_over:
                stored = next((s for s in self._unread if self._unfit(s) is None), None)
                self._is_over = stored is None
                self._found += [stored] if stored is not None else []
        except GitopsRollbackError as error:
            self._is_over, self.failure = True, error
        unread = self.problems if self._is_over else ""
        return Records(tuple(self._found[:count]), not self._is_over, self.failure, unread)

    def named(self, deed: Deed) -> StoredRecord | MissingRecord | Unanswered:
        """Return what the archive has where the build and the hash of a deed name a record."""
        if self.failure is not None and not isinstance(self.failure, ConfigError):
            return Unanswered(self.failure)
        try:
            found = self._find(deed)
        except GitopsRollbackError as error:
            self.failure = error
            return Unanswered(error)
        if isinstance(found, MissingRecord):
            return found
        reason = self._unfit(found)
        return MissingRecord(f"{found.location}: {reason}") if reason else found

    def _find(self, deed: Deed) -> StoredRecord | MissingRecord:
        """Return the record that a deed names, or what stands in its place.

        An archive files records by names. A deed's id tells under which it was done: one of the
        names that the fields have, or one of which a state file is left, or was. Where it has none,
        all that the fields have are tried.
        """
        names = _names(self.at)
        if deed.id:
            names = _done_as(deed, names) or _done_as(deed, self._left()) or names
        missing: MissingRecord | None = None
        for environment, service in names:
            found = self.store.find(environment, service, deed.build, deed.record)
            if not isinstance(found, MissingRecord) or found.is_tampered:
                return found
            missing = missing or found
        assert missing is not None  # noqa: S101 - a service has a name
        return missing

    def _left(self) -> Iterator[tuple[str, str]]:
        """Yield the environments and services of all state files that are there, or were."""
        tip = self.at.tip
        for entry in self.repository.list_files(tip.commit, [FOLDER]):
            yield from _named(entry.path)
        for path, _change in self.repository.removals(tip, FOLDER, LAST_LOOK):
            yield from _named(path)

    def _unfit(self, stored: StoredRecord) -> str | None:
        return not_of(self.at, stored, self.repository.url)


def retrace_all(
    repository: Repository, store: RecordStore, snapshot: Snapshot, limit: int
) -> list[Retraced]:
    """Return what is known of each service's newest `limit` changes; what fails is a finding.

    The commits are walked once for all services.
    """

    def is_enough(entries: Sequence[HistoryEntry]) -> bool:
        return len(with_commits(None, entries)) > limit

    wanted = [(at, is_enough) for at in snapshot.services]
    histories = git_history.walk_all(repository, snapshot.config, wanted)
    pairs = zip(snapshot.services, histories, strict=True)
    return [_retraced(Archive(repository, store, at), history, limit) for at, history in pairs]


def _retraced(archive: Archive, history: git_history.Entries, limit: int) -> Retraced:
    at = archive.at
    running = at.read.image
    records = archive.newest(limit).found
    here = {stored.sha256 for stored in records}
    named = {}
    for event in with_commits(at.state, history)[:limit]:
        if event.record is not None and event.record not in here:
            found = archive.named(event.deed)
            # Builds are deleted in time: the other sources still tell.
            is_missing = isinstance(found, MissingRecord) and not found.is_tampered
            if not (is_missing or isinstance(found, Unanswered)):
                named[event.record] = found
    ledger = merge(running, at.state, history, records, named)
    problem = archive.failure.message if archive.failure else archive.problems
    findings = [f"artifact: {problem}"] if problem else []
    return Retraced(
        at, running, ledger.events[:limit], (*findings, *_findings(ledger, running, at))
    )


def _findings(ledger: Ledger, running: ImageReference, at: ServiceAtTip) -> list[str]:
    findings = []
    is_used = any(event.action in (DEPLOY, ROLLBACK) for event in ledger.events)
    if at.state is None and is_used:
        findings.append(
            "there is no state file any more: where somebody deleted it, hold and bad list count "
            "as they stood before (a plan tells them)"
        )
    elif at.state is None:
        findings.append("there is no state file yet: what is bad or held is not known")
    elif not at.state.deployed and not at.aliases:
        findings.append("there is no state file: the hold in force alone tells what is bad")
    if not proves(ledger.events, running):
        findings.append(f"nothing tells how {running.canonical} came to run")
    for stored in ledger.never_deployed:
        image, build = stored.record.replaced_by, stored.record.build
        what = image.label if image else stored.location
        findings.append(f"{what} was archived by {build or 'somebody'} and never deployed")
    return findings


def _names(at: ServiceAtTip) -> list[tuple[str, str]]:
    """Return the environments and services that the fields are called by, its own first."""
    others = ((state.environment, state.service) for state in at.aliases)
    return list(dict.fromkeys([(at.environment, at.service), *others]))


def _done_as(deed: Deed, names: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the name under which a deed was done, if it is one of these."""
    return [(e, s) for e, s in names if identified(deed, s, e).id == deed.id]


def _named(path: str) -> Iterator[tuple[str, str]]:
    name = named_at(path)
    if name is not None:
        yield name
