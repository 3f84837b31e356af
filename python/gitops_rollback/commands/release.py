"""Lift a hold and restore the Flux markers; the bad list stays, but for what is forgiven."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_rollback.commands.committing import committer_of
from gitops_rollback.commands.many import Blocked, refuse_partly
from gitops_rollback.commands.results import report_change, timed
from gitops_rollback.commands.session import Session, start
from gitops_rollback.decide import guard, transitions
from gitops_rollback.errors import RefusedError, UsageError
from gitops_rollback.image import ImageReference, InvalidImageError, is_tag, parse_image
from gitops_rollback.ledger.stack import running_image
from gitops_rollback.options import repeated

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.decide.service import ServiceChange
    from gitops_rollback.look.snapshot import ServiceAtTip, Snapshot
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Release the services."""
    session = start(options, environment)
    if not session.reason:
        raise UsageError("a release needs a reason", "say why with --reason TEXT")
    with timed(session), session.open_repository() as repository:
        tip = session.open_tip(repository)
        committer = committer_of(session, repository)
        blocked: list[Blocked] = []

        def prepare(tip: Tip) -> tuple[ServiceChange, ...]:
            snapshot = session.read(repository, tip)
            with session.watch.phase("decide"):
                changes, blocked[:] = _judge(session, repository, snapshot)
                refuse_partly(blocked, len(snapshot.services), skip=options.skip_blocked)
                return tuple(changes)

        outcome = committer.commit(tip, prepare)
    return report_change(session, outcome, "released", idle="is not held", blocked=blocked)


def _judge(
    session: Session, repository: Repository, snapshot: Snapshot
) -> tuple[list[ServiceChange], list[Blocked]]:
    """Return the changes of those that may be released, and those that may not."""
    changes = []
    blocked = []
    for at in snapshot.services:
        try:
            changes.append(_change(session, repository, snapshot, at))
        except RefusedError as error:
            blocked.append(Blocked(at, error))
    return changes, blocked


def _change(
    session: Session, repository: Repository, snapshot: Snapshot, at: ServiceAtTip
) -> ServiceChange:
    """Return the change of a release; raise `RefusedError` if automation could undo it."""
    act = session.act(at)
    running, _source = running_image(at.found.image, at.state)
    forgiven = tuple(_forgiven(text, at) for text in repeated(session.options, "forgive"))
    state = at.state
    for image in forgiven:
        state = state.without_bad(image) if state else None
    policies = session.policies(repository, snapshot, at)
    guard.refuse(guard.release_blocks(replace(at, state=state), running, policies), act.accept)
    return transitions.released(at, running, act, forgiven)


def _forgiven(text: str, at: ServiceAtTip) -> ImageReference:
    """Return the bad image that `--forgive` names, by tag or in full."""
    try:
        wanted = at.found.image.with_version(text, None) if is_tag(text) else parse_image(text)
    except InvalidImageError as error:
        raise UsageError(f"--forgive: {error}", "write a tag or an image") from error
    bad = at.state.bad if at.state else ()
    for entry in bad:
        same_tag = wanted.digest is None and entry.image.tag == wanted.tag
        same_name = entry.image.full_repository == wanted.full_repository
        if same_name and (same_tag or entry.image.may_be(wanted)):
            return entry.image
    known = ", ".join(entry.image.label for entry in bad) or "none"
    raise UsageError(
        f"{at.title}: {text} is not on the bad list (there: {known})", "name one of it"
    )
