"""Read the files that options name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_rollback import schema
from gitops_rollback.decide.plan_file import HINT, LARGEST_PLAN, parse_plan
from gitops_rollback.errors import UsageError
from gitops_rollback.image import find_image
from gitops_rollback.ledger.records import LARGEST_RECORD, parse_record
from gitops_rollback.model import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.decide.plan_file import PlanFile
    from gitops_rollback.ledger.records import StoredRecord

_LARGEST_CHANGE = 1_000_000  # bytes


def read_record(path: str) -> StoredRecord:
    """Read the record of `--record`; raise `UsageError` or `ConfigError` if it is not sound."""
    try:
        with Path(path).open("rb") as stream:
            return parse_record(stream.read(LARGEST_RECORD + 1), path)
    except OSError as error:
        raise UsageError(
            f"the record {path} cannot be read: {error.strerror}",
            "give the record.json that gitops-rollback record wrote",
        ) from error


def read_records(paths: Iterable[str]) -> tuple[StoredRecord, ...]:
    """Read the records of `--record`; raises as `read_record` does."""
    return tuple(read_record(path) for path in paths)


def record_of(at: ServiceAtTip, records: Sequence[StoredRecord]) -> StoredRecord | None:
    """Return the record that is given for a service, None where none are given.

    A single record is returned whatever it is of, so that it can be said what does not fit. Raises
    `UsageError` if there are several, and none or two of this service.
    """
    if len(records) < 2:  # noqa: PLR2004
        return records[0] if records else None
    own = [stored for stored in records if stored.record.service == at.service]
    if len(own) == 1:
        return own[0]
    raise UsageError(
        f"of the {len(records)} records, {'two are' if own else 'none is'} of {at.title}",
        "give one record for each service: --record FILE --record FILE",
    )


def read_plan(path: str) -> PlanFile:
    """Read the plan of `--plan`; raise `UsageError` if it is none, or chose no image."""
    try:
        with Path(path).open("rb") as stream:
            return parse_plan(stream.read(LARGEST_PLAN + 1), path)
    except OSError as error:
        raise UsageError(f"the plan {path} cannot be read: {error.strerror}", HINT) from error


def read_change(path: str) -> dict[str, Any]:
    """Read the result of a deploy or rollback; raise `UsageError` if it is none, or failed."""
    hint = "give the file that deploy or rollback wrote with --output"
    try:
        with Path(path).open("rb") as stream:
            change = schema.read(stream.read(_LARGEST_CHANGE + 1), "result-change", _LARGEST_CHANGE)
    except OSError as error:
        raise UsageError(f"the change {path} cannot be read: {error.strerror}", hint) from error
    except schema.InvalidDocumentError as error:
        raise UsageError(f"the change {path} is not sound: {error}", hint) from error
    strange = [one["to"] for one in change.get("services", ()) if find_image(one["to"]) is None]
    if strange:
        shown = one_line(strange[0], 80)
        raise UsageError(f"the change {path} is not sound: '{shown}' is no image", hint)
    if "error" in change or not change.get("services"):
        raise UsageError(f"the change {path} did not succeed: there is nothing to wait for", hint)
    if change.get("dryRun"):
        raise UsageError(
            f"the change {path} was a dry run: nothing was pushed, so there is nothing to wait for",
            "run it without --dry-run, and give the file that it writes then",
        )
    return change


def read_drills(paths: Iterable[str]) -> tuple[str, ...]:
    """Read the verdicts of drills, as `check -o FILE` wrote them; raise `UsageError` for others."""
    return tuple(_verdict(path) for path in paths)


def _verdict(path: str) -> str:
    hint = "give what gitops-rollback check -o FILE wrote"
    return str(_result(path, ("result-check",), "a drill", hint)["verdict"])


def read_waits(paths: Iterable[str]) -> dict[tuple[str, str, str], str]:
    """Read when clusters had a change: by its commit, environment and service.

    The files are what `wait -o FILE` wrote, or `rollback --wait`, or `deploy --auto-rollback`. Of
    several clusters the last counts; a change that one of them was not seen to have is left out.
    Raises `UsageError` for other files.
    """
    hint = "give what gitops-rollback wait -o FILE wrote, or rollback --wait -o FILE"
    found: dict[tuple[str, str, str], str] = {}
    for path in paths:
        told = _result(path, ("result-wait", "result-change"), "a wait", hint)
        for one in (told, told.get("rollout", {}), told.get("rolledBack", {}).get("rollout", {})):
            for key, moment in _applied(one).items():
                # Who looks later sees it later: the first look tells best.
                found[key] = min(moment, found.get(key, moment))
    return found


def _applied(told: dict[str, Any]) -> dict[tuple[str, str, str], str]:
    seen: dict[tuple[str, str, str], list[str]] = {}
    for one in told.get("rollouts", ()):
        key = (told.get("commit", ""), one["environment"], one["service"])
        seen.setdefault(key, []).append(one.get("appliedAt", ""))
    return {key: max(moments) for key, moments in seen.items() if all(moments)}


def _result(path: str, kinds: Sequence[str], what: str, hint: str) -> dict[str, Any]:
    """Read a result of one of some kinds; what is wrong is told of the first."""
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(LARGEST_PLAN + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint) from error
    wrong = []
    for kind in kinds:
        try:
            return schema.read(data, kind, LARGEST_PLAN)
        except schema.InvalidDocumentError as error:
            wrong.append(error)
    raise UsageError(f"{path} is no result of {what}: {wrong[0]}", hint) from wrong[0]
