"""Gather the facts that the rules of choosing ask for, one by one, until there is a plan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gitops_rollback.decide.as_of import reaches
from gitops_rollback.decide.candidates import pointer
from gitops_rollback.decide.choose import decide
from gitops_rollback.decide.facts import (
    Choice,
    Facts,
    NeedCheck,
    NeedHistory,
    NeedPlatforms,
    NeedRecord,
    NeedRecords,
    NeedTags,
    Plan,
)
from gitops_rollback.decide.recorded import not_of
from gitops_rollback.decide.storage import with_schema, with_storage
from gitops_rollback.errors import GitopsRollbackError
from gitops_rollback.ledger.records import MissingRecord
from gitops_rollback.ledger.stack import running_image
from gitops_rollback.look import git_history
from gitops_rollback.look.since import changes_since
from gitops_rollback.look.storage_question import has_storage, storage_is_in_question
from gitops_rollback.query.tags import asks_for_created

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gitops_rollback.decide.facts import Need
    from gitops_rollback.ledger.events import Event, HistoryEntry
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.look.registry import RegistryFacts
    from gitops_rollback.look.snapshot import ServiceAtTip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.stores.base import RecordStore

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
        return self.finish(self.begin(at), at, choice)

    def finish(self, facts: Facts, at: ServiceAtTip, choice: Choice) -> Plan:
        """Ask for what is still missing, and plan."""
        while True:
            answer = decide(facts, choice)
            if isinstance(answer, Plan):
                return self._with_storage(self._with_changes(answer, at), at, choice)
            facts = self.answer(answer, facts, at, choice)

    def begin(self, at: ServiceAtTip) -> Facts:
        """Return what is known of a service before anybody was asked."""
        if self.unread.pop((at.environment, at.service), None) is not None:
            self.store.forget()  # a moved tip: from the newest record
        running, _source = running_image(at.found.image, at.state)
        return Facts(
            service=at.service,
            environment=at.environment,
            settings=at.found.settings,
            running=running,
            value=at.found.fields[0].value,
            state=at.state,
            present=self.present,
        )

    def _with_storage(self, plan: Plan, at: ServiceAtTip, choice: Choice) -> Plan:
        """Add what storage and schema mean for going back to the chosen image."""
        chosen = plan.chosen
        if chosen is None:
            return plan
        settings = at.found.settings
        if choice.unattended or storage_is_in_question(at, chosen):
            from gitops_rollback.look.storage import StorageReader  # noqa: PLC0415 - most have none

            # Nobody looks on: what was changed for the bad release counts, also before its image.
            when = StorageReader.release if choice.unattended else StorageReader.last_run
            facts = StorageReader(self.repository).facts(at, chosen, when)
            guard = "refuse" if choice.unattended else settings.storage_guard
            plan = with_storage(plan, facts, guard, choice.accept)
        compares = settings.schema_label or ("refuse" if has_storage(at) else "ignore")
        if compares == "ignore" or not chosen.verified:
            return plan
        labels = self.registry.schema_labels(plan.running, chosen.image)
        return with_schema(plan, labels, choice.accept)

    def _with_changes(self, plan: Plan, at: ServiceAtTip) -> Plan:
        """Add what else changed since the chosen image ran, as far as its record tells."""
        stored = plan.chosen.stored if plan.chosen else None
        if stored is None:
            return plan
        try:
            changed = changes_since(self.repository, self.store, at, stored)
        except GitopsRollbackError as error:
            changed = [f"what else changed is not known: {error.message}"]
        told = tuple(f"changed since it ran, and not undone by a rollback: {c}" for c in changed)
        return replace(plan, warnings=(*plan.warnings, *told))

    def answer(self, need: Need, facts: Facts, at: ServiceAtTip, choice: Choice) -> Facts:
        """Return the facts with what was missing."""
        match need:
            case NeedCheck(image=image):
                check = self.registry.check(image, facts.running)
                return replace(facts, checks={**facts.checks, image.canonical: check})
            case NeedPlatforms(image=image):
                platforms = self.registry.platforms(image, facts.running)
                return replace(facts, platforms={**facts.platforms, image.canonical: platforms})
            case NeedRecord(event=event):
                return self._with_record(event, facts, at, choice)
            case NeedRecords():
                return self._with_records(facts, at, choice)
            case NeedTags(required=required):
                query = choice.query or facts.settings.query
                return self._with_tags(facts, query, required=required)
            case NeedHistory(until=until):
                history = git_history.walk(self.repository, at, is_enough(at, until))
                return with_history(facts, history, until)

    def _with_record(self, event: Event, facts: Facts, at: ServiceAtTip, choice: Choice) -> Facts:
        found: StoredRecord | MissingRecord
        problems = facts.problems
        try:
            found = self.store.find(at.environment, at.service, event.build, event.record)
        except GitopsRollbackError as error:
            if choice.strategy == "artifact":
                raise
            found = MissingRecord(f"the archive does not answer: {error.message}")
            problems = {**problems, "artifact": error.message}
        if not isinstance(found, MissingRecord):
            reason = not_of(at, found, self.repository.url)
            found = MissingRecord(f"{found.location}: {reason}") if reason else found
        stored = {**facts.stored, pointer(event): found}
        return replace(facts, stored=stored, problems=problems)

    def _with_records(self, facts: Facts, at: ServiceAtTip, choice: Choice) -> Facts:
        """Take one more record: each may cost a download, and most often the first one does."""
        key = (at.environment, at.service)
        if key not in self.unread:
            self.unread[key] = self.store.newest(at.environment, at.service)
        taken = facts.records or ()
        try:
            fitting = (s for s in self.unread[key] if not not_of(at, s, self.repository.url))
            stored = next(fitting, None)
        except GitopsRollbackError as error:
            if choice.strategy == "artifact":
                raise
            problems = {**facts.problems, "artifact": error.message}
            return replace(facts, records=taken, has_more_records=False, problems=problems)
        if stored is not None:
            return replace(facts, records=(*taken, stored), has_more_records=True)
        problems = dict(facts.problems)
        if self.store.problems:
            problems["records"] = "; ".join(self.store.problems[:_MOST_PROBLEMS])
        return replace(facts, records=taken, has_more_records=False, problems=problems)

    def _with_tags(self, facts: Facts, query: str | None, *, required: bool) -> Facts:
        try:
            tags = self.registry.tags(facts.running, required=required)
            if asks_for_created(query):
                tags = self.registry.with_created(tags, facts.running, required=required)
        except GitopsRollbackError as error:
            if required:
                raise
            problems = {**facts.problems, "registry": error.message}
            return replace(facts, tags=(), problems=problems)
        return replace(facts, tags=tags)


def is_enough(at: ServiceAtTip, until: str | None) -> git_history.IsEnough:
    """Tell how far to walk back: to a time, the state's newest image, or a few images."""
    newest = at.state.newest if at.state else None

    def told(entries: Sequence[HistoryEntry]) -> bool:
        if until is not None and not reaches(entries, until):
            return False
        if newest is not None:
            return any(entry.image.may_be(newest.image) for entry in entries)
        return len({entry.image.canonical for entry in entries}) >= _ENOUGH_IMAGES

    return told


def with_history(facts: Facts, history: git_history.Entries, until: str | None) -> Facts:
    """Return the facts with what commits tell, which is all of it where a time was asked for."""
    return replace(facts, history=history, history_is_whole=until is not None)
