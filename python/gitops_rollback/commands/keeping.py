"""Keep the build of Jenkins that holds the record which a rollback would need, and no other.

The change has been made whatever becomes of this: what fails is a warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.drill import OK, WARNING, Finding, build_to_keep
from gitops_rollback.errors import GitopsRollbackError
from gitops_rollback.late import replace
from gitops_rollback.ledger.state import parse_state, path_of
from gitops_rollback.model import title
from gitops_rollback.tell.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.decide.change import Change
    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.ledger.state import State
    from gitops_rollback.model import Build
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session
    from gitops_rollback.stores.jenkins import Keeper, KeptBuild
    from gitops_rollback.write.commit import Outcome


def keep_builds(session: Session, repository: Repository, outcome: Outcome) -> Outcome:
    """Keep and let go what the changes of an outcome ask for; return it with what to warn of."""
    if session.options.dry_run or not outcome.changes:
        return outcome
    store = session.jenkins_store()
    if store is None:
        say("nothing to keep: a directory deletes no records")
        return outcome
    keeping = _Keeping(store.keeper(), repository, outcome)
    changes = tuple(
        replace(change, warnings=(*change.warnings, *keeping.keep(change)))
        for change in outcome.changes
    )
    return replace(outcome, changes=changes)


def kept_now(session: Session, at: ServiceAtTip) -> Iterator[Finding]:
    """Keep the build whose record a rollback of a service would go by, if it is not; tell of it.

    What a run could not keep (Jenkins was busy, or the token lacked a right) is done again here.
    """
    store, wanted = session.jenkins_store(), build_to_keep(at.account)
    if store is None or wanted is None:
        return
    keeper = store.keeper()
    try:
        found = keeper.look(wanted)
        if found.is_kept or (at.environment, at.service) not in found.records:
            return  # a record that is not there is told where it is looked for
        keeper.turn_over(found)
    except GitopsRollbackError as error:
        meaning = f"{wanted} has the record, and a discarder of builds may take it"
        yield Finding(
            *("record", at.title, WARNING),
            f"{meaning}: it is not kept: {error.message}",
            error.hint,
            "jenkins",
        )
        return
    yield Finding(
        "record", at.title, OK, f"{wanted}, which a discarder could have taken, is kept from now on"
    )


class _Keeping:
    def __init__(self, keeper: Keeper, repository: Repository, outcome: Outcome) -> None:
        self._keeper = keeper
        self._repository = repository
        self._changes = outcome.changes
        self._is_waiting = outcome.is_waiting

    def keep(self, change: Change) -> list[str]:
        """Keep the build that is needed after a change, let go the one that was before it."""
        wanted = build_to_keep(change.state or change.at.account)
        before = build_to_keep(change.at.account)
        warnings: list[str] = []
        try:
            if wanted is not None:
                self._keep(wanted)
        except GitopsRollbackError as error:
            return [f"{wanted} is not kept: {error.message} ({error.hint})"]
        if self._is_waiting:
            return []  # until the pull request is merged, the one before is needed too
        try:
            if before is not None and not _is_same(before, wanted):
                self._let_go(before, change)
        except GitopsRollbackError as error:
            warnings.append(f"{before} stays kept: {error.message} ({error.hint})")
        return warnings

    def _keep(self, build: Build) -> None:
        found = self._keeper.look(build)
        if not found.is_kept:
            self._keeper.turn_over(found)
            say(f"Jenkins keeps {build}: it has the record of what one would go back to")

    def _let_go(self, build: Build, change: Change) -> None:
        found = self._keeper.look(build)
        # Only what holds a record of this service was kept for it: a state file can be edited.
        if not found.is_kept or (change.at.environment, change.at.service) not in found.records:
            return
        user = self._user_of(found, change)
        if user is not None:
            say(f"Jenkins still keeps {build}: {user}")
            return
        self._keeper.turn_over(found)
        say(f"Jenkins no longer keeps {build}")

    def _user_of(self, found: KeptBuild, change: Change) -> str | None:
        """Tell which other service, of those the build archived, would go back by its record."""
        own = (change.at.environment, change.at.service)
        for environment, service in sorted(found.records - {own}):
            state = self._state(environment, service, change)
            if state is None:
                return f"what {title(service, environment)} would go back to is not known here"
            if _is_same(found.build, build_to_keep(state)):
                return f"{title(service, environment)} would go back by its record"
        return None

    def _state(self, environment: str, service: str, change: Change) -> State | None:
        for other in self._changes:
            if (other.at.environment, other.at.service) == (environment, service):
                return other.state or other.at.state
        data = self._repository.read_file(change.at.tip.commit, path_of(environment, service))
        return parse_state(data, environment, service) if data is not None else None


def _is_same(one: Build, other: Build | None) -> bool:
    return other is not None and (one.job, one.number) == (other.job, other.number)
