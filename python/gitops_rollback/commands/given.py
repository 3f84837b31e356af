"""Read the files that options name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gitops_rollback.errors import UsageError
from gitops_rollback.plan.files import HINT, LARGEST_PLAN, parse_plan
from gitops_rollback.records import LARGEST_RECORD, parse_record

if TYPE_CHECKING:
    from gitops_rollback.plan.files import PlanFile
    from gitops_rollback.records import StoredRecord


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


def read_plan(path: str) -> PlanFile:
    """Read the plan of `--plan`; raise `UsageError` if it is none, or chose no image."""
    try:
        with Path(path).open("rb") as stream:
            return parse_plan(stream.read(LARGEST_PLAN + 1), path)
    except OSError as error:
        raise UsageError(f"the plan {path} cannot be read: {error.strerror}", HINT) from error
