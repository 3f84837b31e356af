"""Prove on a file that its image fields can be edited and undone without a stray byte. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import ManifestError
from gitops_rollback.late import dataclass
from gitops_rollback.manifest.edit import rewrite, rewritten
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.forms import FieldEdit, part_texts, restoring_edit, value_of
from gitops_rollback.manifest.image_field import split_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField

# Another version of whatever image stands there; nothing is fetched or deployed.
_TAG = "0.0.0-proof"
_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Proof:
    """What came of editing one field to another image and back; `problem` is empty if exact."""

    field: ImageField
    lines_changed: int
    problem: str


def prove(
    file: ParsedFile,
    field: ImageField,
    find: Callable[[ParsedFile], Iterable[ImageField]] = find_fields,
) -> Proof:
    """Edit a field in memory to another image and back, and compare byte by byte.

    `find` finds the fields of the file after the edit.
    """
    before = file.encode(file.text)
    try:
        other = value_of(field, _TAG, None if field.tag_only else _DIGEST)
        lines = {part.scalar.line for part in field.parts if part.key in part_texts(field, other)}
        again = rewritten(file, [FieldEdit(field, other)])
        edited = again.encode(again.text)
        found = _same_field(find(again), field)
        if found is None or found.version != split_version(other)[1]:
            return Proof(field, 0, "the edited value is not found again")
        after = rewrite(again, [restoring_edit(found, field.value, field.recorded_parts)])
    except ManifestError as error:
        return Proof(field, 0, error.message)
    changed = _lines_changed(before, edited)
    if changed != len(lines):
        return Proof(field, changed, f"{changed} lines differ after the edit")
    if after != before:
        return Proof(field, changed, f"{_bytes_differing(before, after)} bytes differ after undo")
    return Proof(field, changed, "")


def _same_field(fields: Iterable[ImageField], field: ImageField) -> ImageField | None:
    for found in fields:
        if (found.document, found.pointer) == (field.document, field.pointer):
            return found
    return None


def _lines_changed(before: bytes, after: bytes) -> int:
    old, new = before.split(b"\n"), after.split(b"\n")
    if len(old) != len(new):
        return max(len(old), len(new))
    return sum(one != other for one, other in zip(old, new, strict=True))


def _bytes_differing(before: bytes, after: bytes) -> int:
    differing = sum(one != other for one, other in zip(before, after, strict=False))
    return differing + abs(len(before) - len(after))
