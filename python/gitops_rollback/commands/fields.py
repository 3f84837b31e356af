"""List the image fields of local files; --prove edits each in memory and back."""

from __future__ import annotations

from collections import Counter
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from gitops_rollback.commands.given import read_manifest, walk
from gitops_rollback.decide.effect import edited
from gitops_rollback.effective.effect import WARNING, judge
from gitops_rollback.errors import Exit, GitopsRollbackError
from gitops_rollback.image import parse_image
from gitops_rollback.late import dataclass
from gitops_rollback.late import field as field_of
from gitops_rollback.manifest.document import let_go
from gitops_rollback.manifest.edit import FieldEdit, prove, trial_value
from gitops_rollback.services import inventory
from gitops_rollback.services.config import DEFAULT_ENVIRONMENT, Environment
from gitops_rollback.tell.output import write_result
from gitops_rollback.tell.terminal import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from gitops_rollback.effective.roots import Skipped
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.services.inventory import Manifests

    _Place = tuple[str, int, int]

_ALL = Environment(DEFAULT_ENVIRONMENT)  # the whole of what was named


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """List the fields; with --prove exit 1 if an edit or its undo is not exact."""
    del environment
    paths = {str(path): path for path in walk(options.paths or ["."])}
    found = _Found()
    for data in inventory.parts_of(paths, lambda path: read_manifest(paths[path])):
        found.add(inventory.read_manifests(data), proves=options.prove)
        let_go()
    fields = [one for _place, one in sorted(found.fields, key=itemgetter(0))]
    skipped = sorted((one.to_json() for one in found.skipped), key=itemgetter("path"))
    say(f"{len(paths)} files, {len(fields)} image fields, {len(skipped)} files skipped")
    result: dict[str, Any] = {"fields": fields, "skipped": skipped}
    if options.prove:
        result["proof"] = {
            "edited": found.edited,
            "failed": found.failed,
            "effect": found.doubts,
        }
    write_result(result, options.output)
    return Exit.FAILED if found.failed else Exit.DONE


@dataclass
class _Found:
    """What was found in the parts of some files so far: of a part nothing else is kept."""

    fields: list[tuple[_Place, dict[str, Any]]] = field_of(default_factory=list)
    skipped: list[Skipped] = field_of(default_factory=list)
    edited: int = 0
    failed: list[dict[str, Any]] = field_of(default_factory=list)
    doubts: list[str] = field_of(default_factory=list)

    def add(self, manifests: Manifests, *, proves: bool) -> None:
        """List the fields of a part, and prove them."""
        listed = _list_fields(manifests)
        self.fields += [(_place(one.field), one.to_json()) for one in listed]
        self.skipped += manifests.skipped
        if not proves:
            return
        tried = [(one, _prove(one.field, manifests)) for one in listed if not one.field.problem]
        odd = {one.field.key for one, problem in tried if problem}
        self.edited += len(tried)
        self.failed += [
            {"path": one.field.path, "line": one.field.scalar.line, "problem": problem}
            for one, problem in tried
            if problem
        ]
        exact = [one for one, _problem in tried if one.field.key not in odd]
        self.doubts += _doubts(exact, manifests)


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


def _prove(field: ImageField, manifests: Manifests) -> str:
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


def _place(field: ImageField) -> _Place:
    return (field.path, field.parts[0].scalar.start, field.parts[0].scalar.end)
