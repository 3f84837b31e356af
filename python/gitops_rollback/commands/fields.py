"""List the image fields of local files; --prove edits each in memory and back."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from gitops_rollback.commands.given import walk
from gitops_rollback.decide.effect import edited
from gitops_rollback.effective.effect import WARNING, judge
from gitops_rollback.errors import Exit, GitopsRollbackError
from gitops_rollback.image import parse_image
from gitops_rollback.late import dataclass
from gitops_rollback.manifest.edit import Proof, prove, trial_value
from gitops_rollback.manifest.forms import FieldEdit
from gitops_rollback.services import inventory
from gitops_rollback.services.config import DEFAULT_ENVIRONMENT, Environment
from gitops_rollback.tell.output import write_result
from gitops_rollback.tell.terminal import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.services.inventory import Manifests

_ALL = Environment(DEFAULT_ENVIRONMENT)  # the whole of what was named


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """List the fields; with --prove exit 1 if an edit or its undo is not exact."""
    del environment
    data = {str(path): path.read_bytes() for path in walk(options.paths or ["."])}
    manifests = inventory.read_manifests(data)
    listed = _list_fields(manifests)
    skipped = [vars(skip) for skip in manifests.skipped]
    say(f"{len(data)} files, {len(listed)} image fields, {len(skipped)} files skipped")
    result: dict[str, Any] = {"fields": [e.to_json() for e in listed], "skipped": skipped}
    failed: list[Proof] = []
    if options.prove:
        proofs = [_prove(e.field, manifests) for e in listed if not e.field.problem]
        failed = [proof for proof in proofs if proof.problem]
        exact = {proof.field.key for proof in proofs} - {proof.field.key for proof in failed}
        result["proof"] = {
            "edited": len(proofs),
            "failed": [
                {"path": one.field.path, "line": one.field.scalar.line, "problem": one.problem}
                for one in failed
            ],
            "effect": _doubts([e for e in listed if e.field.key in exact], manifests),
        }
    write_result(result, options.output)
    return Exit.FAILED if failed else Exit.DONE


@dataclass(frozen=True)
class _Listed:
    """A field, and the place of what decides instead of it, where that is so."""

    field: ImageField
    overridden_by: str = ""

    def to_json(self) -> dict[str, Any]:
        overridden = {"overriddenBy": self.overridden_by} if self.overridden_by else {}
        return {**self.field.to_json(), **overridden}


def _list_fields(manifests: Manifests) -> list[_Listed]:
    """Return every field of the files, as overlays among these files let it be."""
    live = {_place(field): field for field in manifests.effective({}, _ALL).live}
    overridden = {place: field.place for field in live.values() for place in field.overrides}
    found = {_place(field): field for fields in manifests.fields.values() for field in fields}
    everything = {**found, **live}
    return [
        _Listed(field, "" if place in live else overridden.get(field.place, ""))
        for place, field in sorted(everything.items())
    ]


def _prove(field: ImageField, manifests: Manifests) -> Proof:
    file = manifests.files[field.path]
    if any(one.key == field.key for one in manifests.fields[field.path]):
        return prove(file, field)
    return prove(
        file, field, lambda new: manifests.with_files({new.path: new}).effective({}, _ALL).live
    )


def _doubts(listed: Iterable[_Listed], manifests: Manifests) -> list[str]:
    """Return of which edits no effect is known: all are made together, each of another image.

    What another field overrides is not edited, and of what decides images of several names it is
    not told.
    """
    fields = [one.field for one in listed if not one.overridden_by and one.field.image is not None]
    times = Counter(field.key for field in fields)
    single = [field for field in fields if times[field.key] == 1]
    edits = [FieldEdit(field, trial_value(field)) for field in single]
    meant = {edit.field.key: parse_image(edit.value) for edit in edits}
    try:
        after = manifests.with_files(edited(manifests.files, edits)).effective({}, _ALL)
    except GitopsRollbackError as error:
        return [f"not looked at: {error.message}"]
    found = judge(manifests.effective({}, _ALL).effect, after.effect, meant)
    return [one.message for one in found if one.code != WARNING]


def _place(field: ImageField) -> tuple[str, int, int]:
    return (field.path, field.parts[0].scalar.start, field.parts[0].scalar.end)
