"""How a rollback goes: read the tip, plan, refuse or commit; again where the branch moved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_rollback import transitions
from gitops_rollback.change import Committer, Outcome
from gitops_rollback.commands.given import read_plan, read_record
from gitops_rollback.commands.planning import choice_of, gatherer_of, plans_to_json, show_plan
from gitops_rollback.errors import ConfigError, MovedError
from gitops_rollback.plan import guard
from gitops_rollback.plan.verdicts import none_to_go_back_to, refusal, runs_already
from gitops_rollback.recording import make_record
from gitops_rollback.records import repository_key

if TYPE_CHECKING:
    from gitops_rollback.commands.session import Session
    from gitops_rollback.gather import Gatherer
    from gitops_rollback.plan.facts import Candidate, Choice, Plan
    from gitops_rollback.plan.files import PlanFile
    from gitops_rollback.records import StoredRecord
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.service_change import ServiceChange
    from gitops_rollback.snapshot import ServiceAtTip, Snapshot


def roll_back(session: Session, repository: Repository) -> Outcome:
    """Roll back the services that are meant; raise what refuses it."""
    options = session.options
    followed = read_plan(options.plan) if options.plan else None
    record = read_record(options.record) if options.record else None
    tip = session.open_tip(repository)
    job = _Rollback(session, repository, followed, record)
    committer = Committer(repository, session.deadline, session.watch, dry_run=options.dry_run)
    return committer.commit(tip, job.prepare)


class _Rollback:
    """One rollback of one or more services, which is prepared anew on every tip it meets."""

    def __init__(
        self,
        session: Session,
        repository: Repository,
        followed: PlanFile | None,
        record: StoredRecord | None,
    ) -> None:
        self._session = session
        self._repository = repository
        self._followed = followed
        self._given = record
        self._records: dict[str, StoredRecord] = {}
        self._gatherer: Gatherer | None = None
        self._first: list[Plan] = []

    def prepare(self, tip: Tip) -> tuple[ServiceChange, ...]:
        """Read the tip, plan, and decide; raise what refuses the rollback."""
        snapshot = self._session.read(self._repository, tip)
        with self._session.watch.phase("decide"):
            plans = self._plans(snapshot)
            if all(runs_already(plan) for plan in plans):
                pairs = zip(snapshot.services, plans, strict=True)
                return tuple(
                    transitions.unchanged(at, plan.running, self._session.act(at))
                    for at, plan in pairs
                )
            self._refuse(snapshot, plans)
            self._first = self._first or plans
            return tuple(
                self._change(at, plan, plan.chosen)
                for at, plan in zip(snapshot.services, plans, strict=True)
                if plan.chosen is not None
            )

    def _plans(self, snapshot: Snapshot) -> list[Plan]:
        if self._gatherer is None:
            self._gatherer = gatherer_of(self._session, self._repository, snapshot)
        return [self._gatherer.plan(at, self._choice(at)) for at in snapshot.services]

    def _choice(self, at: ServiceAtTip) -> Choice:
        choice = choice_of(self._session)
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

    def _refuse(self, snapshot: Snapshot, plans: list[Plan]) -> None:
        error = none_to_go_back_to(plans) or refusal(plans)
        if error is not None:
            for at, plan in zip(snapshot.services, plans, strict=True):
                show_plan(self._session, plan, at)
            error.found = plans_to_json(self._session, snapshot, plans)
            raise error
        for before, plan, at in zip(self._first, plans, snapshot.services, strict=False):
            self._refuse_changed(before, plan, at)

    def _refuse_changed(self, before: Plan, plan: Plan, at: ServiceAtTip) -> None:
        """Refuse to go on where the branch moved and the service changed meanwhile."""
        who = self._repository.author(at.tip.commit)
        guard.refuse_moved(
            at.title, before.running, plan.running, f"as the plan says (newest commit by {who})"
        )
        same = before.chosen and plan.chosen and before.chosen.image == plan.chosen.image
        if not same:
            raise MovedError(
                f"{at.title}: what it would go back to changed while this was being pushed "
                f"(newest commit by {who})",
                "look at the new plan (gitops-rollback plan), then run this again",
            )

    def _change(self, at: ServiceAtTip, plan: Plan, chosen: Candidate) -> ServiceChange:
        record = self._given or self._record(at, chosen)
        act = self._session.act(at)
        return transitions.rolled_back(at, plan.running, chosen, act, record.sha256)

    def _record(self, at: ServiceAtTip, chosen: Candidate) -> StoredRecord:
        """Make the record of what is replaced, and file it: once for each service."""
        if at.service not in self._records:
            occasion = self._session.occasion("rollback", chosen.image)
            made = make_record(at, occasion, lambda _image: None)
            self._session.file_record(made)
            self._records[at.service] = made.stored
        return self._records[at.service]
