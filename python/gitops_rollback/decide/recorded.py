"""Does a record that was made before still fit what stands at the tip? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.guard import undone_by_deploy
from gitops_rollback.errors import ConfigError, MovedError, RefusedError
from gitops_rollback.ledger.fields import key_of
from gitops_rollback.ledger.records import mismatch

if TYPE_CHECKING:
    from gitops_rollback.decide.acts import Act
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.records import Record, StoredRecord
    from gitops_rollback.ledger.state import State
    from gitops_rollback.look.snapshot import ServiceAtTip


def is_committed(state: State | None, record: str) -> bool:
    """Tell whether a deploy with this record is on the branch already: its push had succeeded."""
    return state is not None and any(entry.record == record for entry in state.deployed)


def not_of(at: ServiceAtTip, stored: StoredRecord, url: str) -> str | None:
    """Return in what a record is not of a service in the repository of a URL; None if it is."""
    return mismatch(
        stored.record,
        service=at.service,
        environment=at.environment,
        repository=url,
        branch=at.tip.branch,
    )


def check_record(
    at: ServiceAtTip, stored: StoredRecord, image: ImageReference, url: str, act: Act
) -> None:
    """Refuse a record that is not of what stands at the tip.

    Raises `ConfigError` if it is for something else, `MovedError` if the repository changed since
    so that recording again is right, `RefusedError` if the deploy would undo what was done since.
    """
    _check_place(at, stored, image, url, "make the record again with --image, then deploy")
    difference = _difference(stored.record, at)
    if not difference:
        return
    block = undone_by_deploy(at.state, stored.record.image, act.build, act.present)
    if block is not None and block.code not in act.accept:
        raise RefusedError(block.code, block.message, block.hint)
    raise MovedError(
        f"{at.title} is not what the record says: {difference}", "record, archive and deploy again"
    )


def check_rollback_record(
    at: ServiceAtTip, stored: StoredRecord, image: ImageReference, url: str
) -> None:
    """Refuse a record that is not of what a rollback to an image is about to replace.

    Raises `ConfigError` if it is for something else, `MovedError` if the repository changed since.
    """
    again = "make the record again with --plan, then roll back"
    _check_place(at, stored, image, url, again)
    difference = _difference(stored.record, at)
    if difference:
        raise MovedError(f"{at.title} is not what the record says: {difference}", again)


def _check_place(
    at: ServiceAtTip, stored: StoredRecord, image: ImageReference, url: str, again: str
) -> None:
    """Refuse a record of another service or place, or of what another image was to replace."""
    record = stored.record
    reason = not_of(at, stored, url)
    if reason is not None:
        raise ConfigError(
            f"the record {stored.location} does not fit: {reason}",
            "give the record that this build made for this service",
        )
    if record.replaced_by is not None and not record.replaced_by.may_be(image):
        raise MovedError(
            f"the record {stored.location} was made for {record.replaced_by.canonical}, not "
            f"for {image.canonical}",
            again,
        )


def _difference(record: Record, at: ServiceAtTip) -> str:
    """Return in what a service's fields differ from what was recorded; empty if in nothing."""
    recorded = {field.key: field.value for field in record.fields}
    present = {key_of(field): field.value for field in at.found.fields}
    for key in (*recorded, *present):
        old, new = recorded.get(key, "absent"), present.get(key, "absent")
        if old != new:
            return f"{key.path}, {key.pointer}: recorded {old}, now {new}"
    return ""
