"""Archive a service's present image and manifests, before a deploy or a rollback replaces them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gitops_rollback.commands.given import plan_of
from gitops_rollback.commands.wishes import assign_images, plain_wish, request_of
from gitops_rollback.errors import Exit
from gitops_rollback.options import images_by_service
from gitops_rollback.repo.location import is_work_tree_of
from gitops_rollback.session import start
from gitops_rollback.stores.directory import write_record
from gitops_rollback.tell.output import write_result
from gitops_rollback.tell.terminal import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.records import MadeRecord
    from gitops_rollback.look.snapshot import Snapshot
    from gitops_rollback.session import Session


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Write the records, file them in a directory store, and tell where they are."""
    session = start(options, environment)
    with session.open_repository() as repository:
        from gitops_rollback.run import record_all  # noqa: PLC0415 - see open_repository

        tip = session.open_tip(repository)
        snapshot = session.read(repository, request_of(options), tip)
        action, replacing = _replacing(session, snapshot)
        wish = plain_wish(session, "record")
        made = record_all(session, repository, snapshot, wish, action, replacing)
        directory = _directory(session)
        records = [_record(session, one, directory) for one in made]
    write_result({"records": records}, options.output)
    return Exit.DONE


def _replacing(session: Session, snapshot: Snapshot) -> tuple[str, list[ImageReference | None]]:
    """Return what is about to be done, and what replaces each image: `--image`, or `--plan`."""
    plan = plan_of(session.options)
    if plan is None:
        wanted = images_by_service(session.options, "image")
        images = assign_images(wanted, snapshot.services) if wanted else {}
        return "deploy", [images.get(at.service) for at in snapshot.services]
    return "rollback", [plan.target(at.service, at.environment) for at in snapshot.services]


def _record(session: Session, made: MadeRecord, directory: Path | None) -> dict[str, object]:
    written = write_record(made, directory) if directory is not None else None
    filed = _file(session, made)
    record = made.stored.record
    file = written or filed
    return {
        **({"file": str(file)} if file is not None else {}),
        "sha256": made.stored.sha256,
        "unchanged": record.unchanged,
        "record": record.to_json(),
    }


def _directory(session: Session) -> Path | None:
    """Return where to write; None in a clone of the manifests repository, unless it is named.

    A copy of a manifest there would be committed with the next `git add`, and applied by Flux.
    """
    given = session.options.record_dir
    if given is not None:
        return Path(given)
    here = Path()
    return None if is_work_tree_of(session.remote, here, session.environment) else here


def _file(session: Session, made: MadeRecord) -> Path | None:
    store = session.filing_store
    if store is None or made.stored.record.unchanged:
        return None
    location = store.file(made)
    say(f"filed as {location}")
    return location
