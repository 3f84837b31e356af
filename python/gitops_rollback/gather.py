"""Gather the facts that the rules of choosing ask for, one by one, until there is a plan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gitops_rollback.errors import GitopsRollbackError, ManifestError
from gitops_rollback.events import HistoryEntry
from gitops_rollback.manifest.document import parse
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.plan.acts import MissingRecord
from gitops_rollback.plan.candidates import pointer
from gitops_rollback.plan.choose import decide
from gitops_rollback.plan.facts import (
    Choice,
    Facts,
    NeedCheck,
    NeedHistory,
    NeedRecord,
    NeedRecords,
    NeedTags,
    Plan,
)
from gitops_rollback.records import mismatch
from gitops_rollback.timeline import running_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.image import ImageReference
    from gitops_rollback.plan.facts import Need
    from gitops_rollback.records import StoredRecord
    from gitops_rollback.registry_facts import RegistryFacts
    from gitops_rollback.repo.objects import PathChange
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.snapshot import ServiceAtTip
    from gitops_rollback.stores.base import RecordStore

# How many commits are looked at where no state file explains the running image: few first.
HISTORY_DEPTHS = (50, 1000)
_ENOUGH_IMAGES = 3
_MOST_PROBLEMS = 3  # of the archive, in a plan's findings


@dataclass(frozen=True)
class Gatherer:
    """Answers needs from the repository, the store and the registry."""

    repository: Repository
    store: RecordStore
    registry: RegistryFacts
    present: str
    unread: dict[tuple[str, str], Iterator[StoredRecord]] = field(default_factory=dict)

    def plan(self, at: ServiceAtTip, choice: Choice) -> Plan:
        """Plan for one service; raises what `decide` and a named source raise."""
        running, _source = running_image(at.found.image, at.state)
        facts = Facts(
            service=at.service,
            environment=at.environment,
            settings=at.found.settings,
            running=running,
            value=at.found.fields[0].value,
            state=at.state,
            present=self.present,
        )
        self.unread.clear()  # a moved tip is planned anew, from the newest record
        while True:
            answer = decide(facts, choice)
            if isinstance(answer, Plan):
                return answer
            facts = self._answer(answer, facts, at, choice)

    def _answer(self, need: Need, facts: Facts, at: ServiceAtTip, choice: Choice) -> Facts:
        match need:
            case NeedCheck(image=image):
                check = self.registry.check(image, facts.running)
                return replace(facts, checks={**facts.checks, image.canonical: check})
            case NeedRecord(event=event):
                found = self._find_record(need, facts, at, choice)
                return replace(facts, stored={**facts.stored, pointer(event): found})
            case NeedRecords():
                return self._with_records(facts, at, choice)
            case NeedTags(required=required):
                return self._with_tags(facts, required=required)
            case NeedHistory():
                history = self._history(at)
                return replace(facts, history=tuple(history))

    def _find_record(
        self, need: NeedRecord, facts: Facts, at: ServiceAtTip, choice: Choice
    ) -> StoredRecord | MissingRecord:
        event = need.event
        try:
            found = self.store.find(at.environment, at.service, event.build, event.record)
        except GitopsRollbackError as error:
            if choice.strategy == "artifact":
                raise
            return MissingRecord(f"the archive does not answer: {error.message}")
        if isinstance(found, MissingRecord):
            return found
        reason = self._mismatch(found, facts, at)
        return MissingRecord(f"{found.location}: {reason}") if reason else found

    def _with_records(self, facts: Facts, at: ServiceAtTip, choice: Choice) -> Facts:
        """Take one more record: each may cost a download, and most often the first one does."""
        key = (at.environment, at.service)
        if key not in self.unread:
            self.unread[key] = self.store.newest(at.environment, at.service)
        taken = facts.records or ()
        try:
            stored = next((s for s in self.unread[key] if not self._mismatch(s, facts, at)), None)
        except GitopsRollbackError as error:
            if choice.strategy == "artifact":
                raise
            problems = {**facts.problems, "artifact": error.message}
            return replace(facts, records=taken, has_more_records=False, problems=problems)
        if stored is not None:
            return replace(facts, records=(*taken, stored), has_more_records=True)
        problems = dict(facts.problems)
        if self.store.problems:
            problems["artifact"] = "; ".join(self.store.problems[:_MOST_PROBLEMS])
        return replace(facts, records=taken, has_more_records=False, problems=problems)

    def _mismatch(self, stored: StoredRecord, facts: Facts, at: ServiceAtTip) -> str | None:
        return mismatch(
            stored.record,
            service=facts.service,
            environment=facts.environment,
            repository=self.repository.url,
            branch=at.tip.branch,
        )

    def _with_tags(self, facts: Facts, *, required: bool) -> Facts:
        try:
            tags = self.registry.tags(facts.running, required=required)
        except GitopsRollbackError as error:
            if required:
                raise
            problems = {**facts.problems, "registry": error.message}
            return replace(facts, tags=(), problems=problems)
        return replace(facts, tags=tags)

    def _history(self, at: ServiceAtTip) -> list[HistoryEntry]:
        """Walk back only as far as needed: to the state's newest image, or to a few images."""
        entries: list[HistoryEntry] = []
        for depth in HISTORY_DEPTHS:
            changes = self.repository.history(at.tip, at.found.fields[0].path, depth)
            entries = list(self._entries(changes, at))
            newest = at.state.newest if at.state else None
            images = {entry.image.canonical for entry in entries}
            if newest is not None and newest.image.canonical in images:
                break
            if newest is None and len(images) >= _ENOUGH_IMAGES:
                break
        return entries

    def _entries(self, changes: list[PathChange], at: ServiceAtTip) -> Iterator[HistoryEntry]:
        field_now = at.found.fields[0]
        blobs = self.repository.read(change.oid for change in changes)
        for change in changes:
            image = _image_in(field_now.path, blobs[change.oid], at)
            if image is not None:
                yield HistoryEntry(change.commit, change.at, change.by, image)


def _image_in(path: str, data: bytes, at: ServiceAtTip) -> ImageReference | None:
    """Return the service's image in an earlier version of its first file, if it has one."""
    wanted = at.found.fields[0]
    try:
        fields = find_fields(parse(path, data), at.found.settings.kinds)
    except ManifestError:
        return None  # a version that nobody could deploy is no deployment
    for candidate in fields:
        image = candidate.image
        same_place = candidate.key == wanted.key
        if same_place and image and image.full_repository == at.found.image.full_repository:
            return image
    return None
