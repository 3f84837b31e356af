"""Archive a service's present image and manifests, before a deploy or a rollback replaces them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gitops_rollback.commands.given import read_plan
from gitops_rollback.commands.meant import assign_images
from gitops_rollback.commands.session import Session, start
from gitops_rollback.decide.guard import refuse_other_repository
from gitops_rollback.decide.recording import Occasion, make_record
from gitops_rollback.errors import Exit
from gitops_rollback.options import images_by_service
from gitops_rollback.output import say, write_result
from gitops_rollback.stores.layout import write_record

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.ledger.records import MadeRecord
    from gitops_rollback.look.registry import RegistryFacts
    from gitops_rollback.look.snapshot import ServiceAtTip, Snapshot


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Write the records, file them in a directory store, and tell where they are."""
    session = start(options, environment)
    with session.open_repository() as repository:
        snapshot = session.read(repository, session.open_tip(repository))
        registry = session.registry(snapshot.config)
        pairs = list(zip(snapshot.services, _occasions(session, snapshot), strict=True))
        for at, occasion in pairs:
            if occasion.replaced_by is not None:
                refuse_other_repository(at.title, at.found.image, occasion.replaced_by)
        records = [_record(session, at, occasion, registry) for at, occasion in pairs]
    write_result({"records": records}, options.output)
    return Exit.DONE


def _occasions(session: Session, snapshot: Snapshot) -> list[Occasion]:
    """Return why each record is made: a deploy of `--image`, or the rollback of `--plan`."""
    wanted = images_by_service(session.options, "image")
    if session.options.plan is None:
        images = assign_images(wanted, snapshot.services) if wanted else {}
        return [session.occasion("deploy", images.get(at.service)) for at in snapshot.services]
    plan = read_plan(session.options.plan)
    return [
        session.occasion("rollback", plan.target(at.service, at.environment))
        for at in snapshot.services
    ]


def _record(
    session: Session, at: ServiceAtTip, occasion: Occasion, registry: RegistryFacts
) -> dict[str, object]:
    made = make_record(at, occasion, registry.digest_or_none)
    file = write_record(made, Path(session.options.record_dir))
    _file(session, made)
    record = made.stored.record
    state = "runs already, recorded as unchanged" if record.unchanged else "recorded"
    say(f"{at.title}: {record.image.canonical} {state} in {file}")
    return {
        "file": str(file),
        "sha256": made.stored.sha256,
        "unchanged": record.unchanged,
        "record": record.to_json(),
    }


def _file(session: Session, made: MadeRecord) -> None:
    store = session.filing_store
    if store is not None and not made.stored.record.unchanged:
        say(f"filed as {store.file(made)}")
