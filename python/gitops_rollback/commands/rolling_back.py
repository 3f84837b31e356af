"""How a rollback goes: read the tip, plan, refuse or commit; again where the branch moved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_rollback.commands.committing import committer_of
from gitops_rollback.commands.given import read_plan, read_records, record_of
from gitops_rollback.commands.many import Blocked, whole_error
from gitops_rollback.commands.plan_table import show_plans
from gitops_rollback.commands.planning import (
    choice_of,
    choices_of,
    edits_of,
    gatherer_of,
    plans_to_json,
)
from gitops_rollback.decide import guard, recorded, transitions
from gitops_rollback.decide.recording import make_record
from gitops_rollback.decide.verdicts import obstacle, runs_already
from gitops_rollback.errors import (
    ConfigError,
    GitopsRollbackError,
    MovedError,
    NotFoundError,
    RepositoryError,
)
from gitops_rollback.ledger.records import repository_key
from gitops_rollback.look.together import plan_all

if TYPE_CHECKING:
    from gitops_rollback.commands.session import Session
    from gitops_rollback.decide.facts import Candidate, Choice, Plan
    from gitops_rollback.decide.plan_file import PlanFile
    from gitops_rollback.decide.service import ServiceChange
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.look.gather import Gatherer
    from gitops_rollback.look.snapshot import ServiceAtTip, Snapshot
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.write.commit import Outcome


def roll_back(session: Session, repository: Repository) -> tuple[Outcome, tuple[Blocked, ...]]:
    """Roll back the services that are meant.

    Returns what became of it and which services were left; raises what refuses it.
    """
    options = session.options
    followed = read_plan(options.plan) if options.plan else None
    records = read_records(options.record)
    try:
        tip = session.open_tip(repository)
    except RepositoryError as error:
        error.hint += "; gitops-rollback plan shows what the archive alone knows"
        raise
    job = _Rollback(session, repository, followed, records)
    committer = committer_of(session, repository)
    return committer.commit(tip, job.prepare), job.blocked


class _Rollback:
    """One rollback of one or more services, which is prepared anew on every tip it meets."""

    def __init__(
        self,
        session: Session,
        repository: Repository,
        followed: PlanFile | None,
        records: tuple[StoredRecord, ...],
    ) -> None:
        self._session = session
        self._repository = repository
        self._followed = followed
        self._given = records
        self._records: dict[str, StoredRecord] = {}
        self._gatherer: Gatherer | None = None
        self._first: dict[str, Plan] = {}
        self.blocked: tuple[Blocked, ...] = ()

    def prepare(self, tip: Tip) -> tuple[ServiceChange, ...]:
        """Read the tip, plan, and decide; raise what refuses the rollback.

        All services are judged before the first record is filed.
        """
        snapshot = self._session.read(self._repository, tip)
        with self._session.watch.phase("decide"):
            plans = self._plans(snapshot)
            todo = self._unblocked(snapshot, plans)
            for at, plan in todo:
                self._check(at, plan)
            return tuple(self._change(at, plan) for at, plan in todo)

    def _plans(self, snapshot: Snapshot) -> list[Plan]:
        if self._gatherer is None:
            self._gatherer = gatherer_of(self._session, self._repository, snapshot)
        choices = choices_of(self._session, choice_of(self._session), snapshot.services)
        return plan_all(self._gatherer, [(at, self._as_planned(at, own)) for at, own in choices])

    def _unblocked(self, snapshot: Snapshot, plans: list[Plan]) -> list[tuple[ServiceAtTip, Plan]]:
        """Return what can be done; raise if that is not what was asked for."""
        pairs = list(zip(snapshot.services, plans, strict=True))
        errors = {at.service: self._obstacle(at, plan) for at, plan in pairs}
        found = [(at, errors[at.service]) for at in snapshot.services]
        blocked = tuple(Blocked(at, error) for at, error in found if error is not None)
        if len(pairs) > 1 and not self._first:
            show_plans(self._session, plans, snapshot.services)
        if blocked and not (self._session.options.skip_blocked and len(blocked) < len(pairs)):
            if len(pairs) == 1:
                show_plans(self._session, plans, snapshot.services)
            whole = whole_error([one.error for one in blocked], len(pairs))
            whole.found = plans_to_json(self._session, snapshot, plans)
            raise whole
        self.blocked = blocked
        return [(at, plan) for at, plan in pairs if errors[at.service] is None]

    def _obstacle(self, at: ServiceAtTip, plan: Plan) -> GitopsRollbackError | None:
        """Return what stands in the way: of the plan as it is now, or as the file says."""
        if self._followed is not None:
            try:
                self._followed.target(at.service, at.environment)
            except NotFoundError as error:
                return error
        return obstacle(plan)

    def _as_planned(self, at: ServiceAtTip, choice: Choice) -> Choice:
        """Return what is asked for of a service, as the plan says that is followed."""
        if self._followed is None:
            return choice
        self._refuse_other_place(self._followed, at)
        planned = self._followed.planned(at.service, at.environment)
        return replace(
            choice,
            strategy=planned.strategy,
            planned=planned.to,
            from_image=choice.from_image or planned.running,
        )

    def _refuse_other_place(self, plan: PlanFile, at: ServiceAtTip) -> None:
        """Refuse a plan that was made for another repository or branch."""
        url, branch = self._session.url, at.tip.branch
        if repository_key(plan.repository) == repository_key(url) and plan.branch == branch:
            return
        raise ConfigError(
            f"the plan {self._session.options.plan} is for {plan.repository}, branch "
            f"{plan.branch}, not for {url}, branch {branch}",
            "make it again with gitops-rollback plan --output FILE",
        )

    def _check(self, at: ServiceAtTip, plan: Plan) -> None:
        """Refuse what is no longer what was planned on the first tip, or what was recorded."""
        before = self._first.setdefault(at.service, plan)
        if before is not plan:
            self._refuse_changed(before, plan, at)
        edits_of(self._session, plan, at)  # what cannot be written, before it is recorded
        given = record_of(at, self._given)
        if given is not None and plan.chosen is not None:
            recorded.check_rollback_record(at, given, plan.chosen.image, self._session.url)

    def _refuse_changed(self, before: Plan, plan: Plan, at: ServiceAtTip) -> None:
        """Refuse to go on where the branch moved and the service changed meanwhile."""
        who = self._repository.author(at.tip.commit)
        guard.refuse_moved(
            at.title, before.running, plan.running, f"as the plan says (newest commit by {who})"
        )
        meant = [one.chosen.image if one.chosen else None for one in (before, plan)]
        if meant[0] != meant[1]:  # None: the image that is named runs already
            raise MovedError(
                f"{at.title}: what it would go back to changed while this was being pushed "
                f"(newest commit by {who})",
                "look at the new plan (gitops-rollback plan), then run this again",
            )

    def _change(self, at: ServiceAtTip, plan: Plan) -> ServiceChange:
        act = self._session.act(at)
        if plan.chosen is None or runs_already(plan):
            return transitions.unchanged(at, plan.running, act)
        record = record_of(at, self._given) or self._record(at, plan.chosen)
        change = transitions.rolled_back(at, plan.running, plan.chosen, act, record.sha256)
        return replace(
            change,
            warnings=change.warnings + plan.warnings,
            candidates=plan.candidates,
            summary=replace(change.summary, storage=plan.storage_changes),
        )

    def _record(self, at: ServiceAtTip, chosen: Candidate) -> StoredRecord:
        """Make the record of what is replaced, and file it: once for each service."""
        if at.service not in self._records:
            occasion = self._session.occasion("rollback", chosen.image)
            made = make_record(at, occasion, lambda _image: None)
            self._session.file_record(made)
            self._records[at.service] = made.stored
        return self._records[at.service]
