"""How a state file is repaired: from its versions in Git, else from commits and records."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_rollback.commands.results import report_change
from gitops_rollback.decide import transitions
from gitops_rollback.decide.acts import Act
from gitops_rollback.decide.repair import Version, from_events, newest_written
from gitops_rollback.errors import NotFoundError, RepositoryError
from gitops_rollback.ledger.stack import running_image
from gitops_rollback.ledger.state import LONGEST_HISTORY, parse_state, path_of
from gitops_rollback.look.git_history import DEPTHS
from gitops_rollback.look.retrace import retrace
from gitops_rollback.output import say
from gitops_rollback.write.commit import Committer

if TYPE_CHECKING:
    from gitops_rollback.commands.session import Session
    from gitops_rollback.decide.service import ServiceChange
    from gitops_rollback.ledger.state import State
    from gitops_rollback.look.snapshot import ServiceAtTip, Snapshot
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository


def repair(session: Session, repository: Repository) -> None:
    """Rebuild the state files of the services and commit those that were not as they should be."""
    options = session.options
    committer = Committer(repository, session.deadline, session.watch, dry_run=options.dry_run)

    def prepare(tip: Tip) -> tuple[ServiceChange, ...]:
        snapshot = session.read(repository, tip)
        with session.watch.phase("decide"):
            return tuple(_change(session, repository, snapshot, at) for at in snapshot.services)

    outcome = committer.commit(session.open_tip(repository), prepare)
    report_change(session, outcome, "repaired", idle="has a sound state file")


def _change(
    session: Session, repository: Repository, snapshot: Snapshot, at: ServiceAtTip
) -> ServiceChange:
    """Return the change to the state file, if it is not what it has to be."""
    present = _present(repository, at)
    state = _rebuilt(session, repository, snapshot, at)
    running, _source = running_image(at.found.image, state)
    act = Act(session.present, build=session.build, by=session.by, reason=session.reason)
    return transitions.repaired(replace(at, state=present), running, state, act)


def _present(repository: Repository, at: ServiceAtTip) -> State | None:
    """Return the state file as it stands, None if there is none that is sound."""
    data = repository.read_file(at.tip.commit, path_of(at.environment, at.service))
    try:
        return parse_state(data, at.environment, at.service) if data is not None else None
    except RepositoryError as error:
        say(f"{at.title}: {error.message}")
        return None


def _rebuilt(
    session: Session, repository: Repository, snapshot: Snapshot, at: ServiceAtTip
) -> State:
    """Return what the state file has to be; raise `NotFoundError` if nothing tells."""
    path = path_of(at.environment, at.service)
    changes = repository.history(at.tip, path, DEPTHS[-1])
    blobs = repository.read(change.oid for change in changes)
    versions = [Version(c.commit, c.message, blobs[c.oid]) for c in changes]
    written = newest_written(versions, at.environment, at.service)
    if written is not None:
        return written
    retraced = retrace(repository, session.store(snapshot), at, LONGEST_HISTORY)
    state = from_events(at, retraced.events, versions)
    if state is None:
        raise NotFoundError(
            f"neither commits nor records tell of a deployment of {at.title}, so there is nothing "
            f"to rebuild {path} from",
            "delete the file: then it begins with the next deploy, and history counts until then",
        )
    say(f"{at.title}: no sound version of {path} is in reach; rebuilt from commits and records")
    return state
