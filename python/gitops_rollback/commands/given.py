"""Read the files that options name, and find the manifests in folders that they name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_rollback import schema
from gitops_rollback.decide.plan import HINT, LARGEST_PLAN, parse_plan
from gitops_rollback.effective.templates import is_beside
from gitops_rollback.errors import OutOfTime, UsageError
from gitops_rollback.image import find_image
from gitops_rollback.ledger.records import LARGEST_RECORD, RECORD_FILE, is_copy, parse_record
from gitops_rollback.manifest.document import LARGEST_MANIFEST
from gitops_rollback.manifest.kustomize import is_kustomization
from gitops_rollback.model import one_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.decide.plan import PlanFile
    from gitops_rollback.ledger.records import StoredRecord

_LARGEST_CHANGE, _LARGEST_RESULT = 1_000_000, 10_000_000  # bytes
_SUFFIXES = (".yaml", ".yml", ".json")


def read_record(path: str) -> StoredRecord:
    """Read the record of `--record`; raise `UsageError` or `ConfigError` if it is not sound."""
    hint = "give the record.json that gitops-rollback record wrote"
    return parse_record(_bytes_of(path, LARGEST_RECORD, f"the record {path}", hint), path)


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


def plan_of(options: argparse.Namespace) -> PlanFile | None:
    """Read the plan of `--plan` once: a pipe gives it once, and a file may change meanwhile."""
    followed: str | None = getattr(options, "plan", None)
    if not followed:
        return None
    if not hasattr(options, "followed"):
        options.followed = read_plan(followed)
    plan: PlanFile = options.followed
    return plan


def read_plan(path: str) -> PlanFile:
    """Read a plan; raise `UsageError` if it is none, or chose no image."""
    return parse_plan(_bytes_of(path, LARGEST_PLAN, f"the plan {path}", HINT), path)


def read_change(path: str) -> dict[str, Any]:
    """Read the result of a deploy or rollback; raise `UsageError` if it is none, or failed."""
    hint = "give the file that deploy or rollback wrote with --output"
    data = _bytes_of(path, _LARGEST_CHANGE, f"the change {path}", hint)
    unsound = f"the change {path} is not sound"
    change = _sound(data, ("result-change",), _LARGEST_CHANGE, unsound, hint)
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
    hint = "give what gitops-rollback check -o FILE wrote"
    found = (read_result(path, ("result-check",), "result of a drill", hint) for path in paths)
    return tuple(str(document["verdict"]) for document in found)


def read_waits(paths: Iterable[str]) -> dict[tuple[str, str, str], str]:
    """Read when clusters had a change: by its commit, environment and service.

    The files are what `wait -o FILE` wrote, or `rollback --wait`, or `deploy --auto-rollback`. Of
    several clusters the last counts; a change that one of them was not seen to have is left out.
    Raises `UsageError` for other files.
    """
    hint = "give what gitops-rollback wait -o FILE wrote, or rollback --wait -o FILE"
    found: dict[tuple[str, str, str], str] = {}
    for path in paths:
        told = read_result(path, ("result-wait", "result-change"), "result of a wait", hint)
        for one in (told, told.get("rollout", {}), told.get("rolledBack", {}).get("rollout", {})):
            for key, moment in _applied(one).items():
                # Who looks later sees it later: the first look tells best.
                found[key] = min(moment, found.get(key, moment))
    return found


def _applied(told: Mapping[str, Any]) -> dict[tuple[str, str, str], str]:
    seen: dict[tuple[str, str, str], list[str]] = {}
    for one in told.get("rollouts", ()):
        key = (told.get("commit", ""), one["environment"], one["service"])
        seen.setdefault(key, []).append(one.get("appliedAt", ""))
    return {key: max(moments) for key, moments in seen.items() if all(moments)}


def read_result(path: str, schemas: Sequence[str], what: str, hint: str) -> Mapping[str, Any]:
    """Read a result of one of some kinds; what is wrong is told of the first."""
    data = _bytes_of(path, _LARGEST_RESULT, path, hint)
    return _sound(data, schemas, _LARGEST_RESULT, f"{path} is no {what}", hint)


def _bytes_of(path: str, most: int, told: str, hint: str) -> bytes:
    """Read a file, and a byte more than it may have, by which whoever parses it knows that."""
    try:
        with Path(path).open("rb") as stream:
            return stream.read(most + 1)
    except OSError as error:
        raise UsageError(f"{told} cannot be read: {error.strerror}", hint) from error
    except OutOfTime as silence:  # a pipe that nobody writes to, or closes
        raise UsageError(
            f"{told} was not there in whole when the time of --timeout was up: who writes it?", hint
        ) from silence


def _sound(data: bytes, schemas: Sequence[str], most: int, told: str, hint: str) -> dict[str, Any]:
    wrong = []
    for name in schemas:
        try:
            return schema.read(data, name, most)
        except schema.InvalidDocumentError as error:
            wrong.append(error)
    raise UsageError(f"{told}: {wrong[0]}", hint) from wrong[0]


def read_manifest(path: Path) -> bytes:
    """Read a file that `walk` found; of one that is too large, what shows that it is."""
    return _bytes_of(str(path), LARGEST_MANIFEST, str(path), "name files that this account reads")


def walk(paths: Iterable[str]) -> Iterator[Path]:
    """Yield the files that are named, and the manifests in the folders that are.

    Raises `UsageError` for a path where nothing is, or what is read only once.
    """
    for text in paths:
        path = Path(text)
        # These tell of a name that is too long, too, that nothing is there.
        if os.path.isfile(text):  # noqa: PTH113
            yield path
        elif os.path.isdir(text):  # noqa: PTH112
            found = (p for p in sorted(path.rglob("*")) if _is_manifest(p) and p.is_file())
            yield from (p for p in found if ".git" not in p.parts and not _is_copy(p))
        elif os.path.exists(text):  # noqa: PTH110 - as above
            hint = "write what it gives into a file, and name that"
            raise UsageError(f"{text} is neither a file nor a folder", hint)
        else:
            raise UsageError(f"there is no file or folder {text}", "name one that is there")


def _is_copy(path: Path) -> bool:
    """Tell whether a file is the copy of a manifest that a record brought with it."""
    above = (parent / RECORD_FILE for parent in path.parents)
    return is_copy(path.as_posix(), [file.as_posix() for file in above if file.exists()])


def _is_manifest(path: Path) -> bool:
    is_one = path.suffix in _SUFFIXES or is_kustomization(path.name)
    return is_one or is_beside(path.as_posix())
