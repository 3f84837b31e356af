"""Change image fields and markers byte for byte, and prove that nothing else changed. Pure.

Every edit is read back and compared with what was meant; `prove` does so for the fields of a file
that is only looked at.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.errors import ManifestError
from gitops_rollback.late import dataclass
from gitops_rollback.manifest.document import children, parse, reads_as_string
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.forms import FieldEdit, part_texts, restoring_edit, value_of
from gitops_rollback.manifest.image_field import split_version
from gitops_rollback.manifest.scan import STRING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField, Scalar

__all__ = ["FieldEdit", "Splice", "rewrite", "rewritten"]

_NULL = "tag:yaml.org,2002:null"
# Another version of whatever image stands there; nothing is fetched or deployed.
_TAG = "0.0.0-proof"
_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Splice:
    """New text for the characters `start` to `end` of a file."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class _ScalarEdit:
    """The new text of one scalar, and what YAML has to read there."""

    scalar: Scalar
    raw: str
    intended: Intended

    @property
    def splice(self) -> Splice:
        """What is put into the file."""
        block = self.scalar.block
        written = block.host.written(self.raw) if block and block.host else self.raw
        return Splice(self.scalar.start, self.scalar.end, written)

    @property
    def inward(self) -> Splice:
        """What is put into the text that the scalar stands in."""
        mark = self.scalar.node.end_mark.index
        return Splice(mark - len(self.scalar.raw), mark, self.raw)


def rewrite(
    file: ParsedFile, edits: Iterable[FieldEdit], marker_splices: Iterable[Splice] = ()
) -> bytes:
    """Return the bytes of `rewritten`."""
    after = rewritten(file, edits, marker_splices)
    return after.encode(after.text)


def rewritten(
    file: ParsedFile, edits: Iterable[FieldEdit], marker_splices: Iterable[Splice] = ()
) -> ParsedFile:
    """Return the file with the edits made, and nothing else changed.

    The result is parsed again and compared with the intended tree. Raises `ManifestError` where
    a field must not be edited, or where the comparison fails.
    """
    scalars = [scalar for edit in edits for scalar in _scalar_edits(file, edit)]
    data = _spliced(file, {*(scalar.splice for scalar in scalars), *marker_splices})
    after = parse(file.path, data)
    _prove(file, after, _intended(scalars))
    return after


def rewrite_to_compare(file: ParsedFile, edits: Iterable[FieldEdit]) -> bytes:
    """Return the file with the edits made, for a comparison only: nothing proves what it means.

    Raises `ManifestError` where a field must not be edited.
    """
    scalars = [scalar for edit in edits for scalar in _scalar_edits(file, edit)]
    return _spliced(file, {scalar.splice for scalar in scalars})


def _intended(edits: Sequence[_ScalarEdit]) -> dict[int, Intended]:
    """Return what YAML has to read, by the `id` of a scalar of the file.

    Where scalars stand in a text within the file it is the whole text that is another one; inside
    it, nothing else may be.
    """
    wanted = {id(one.scalar.node): one.intended for one in edits if one.scalar.block is None}
    blocks = {id(one.scalar.block): one.scalar.block for one in edits if one.scalar.block}
    for block in blocks.values():
        assert block.host is not None  # noqa: S101 - scalars have their block for its host
        own = [one for one in edits if one.scalar.block is block]
        text = _with_splices(block.text, {one.inward for one in own})
        inner = {id(one.scalar.node): one.intended for one in own}
        _prove(block, parse(block.path, text.encode()), inner)
        wanted[id(block.host.node)] = Intended(text)
    return wanted


def _spliced(file: ParsedFile, splices: Iterable[Splice]) -> bytes:
    return file.encode(_with_splices(file.text, splices))


def _with_splices(text: str, splices: Iterable[Splice]) -> str:
    for splice in sorted(splices, key=lambda splice: splice.start, reverse=True):
        text = text[: splice.start] + splice.text + text[splice.end :]
    return text


def _scalar_edits(file: ParsedFile, edit: FieldEdit) -> Iterator[_ScalarEdit]:
    field = edit.field
    if field.problem:
        raise field.uneditable()
    parts = {part.key: part for part in field.parts}
    texts = edit.texts
    for key in dict.fromkeys((*texts, *edit.raw)):
        scalar = parts[key].scalar
        recorded = edit.raw.get(key)
        raw = recorded if recorded is not None else _written(file, scalar, texts[key])
        value = raw[1:-1] if raw[:1] in ("'", '"') else raw
        intended = Intended(value, as_recorded=recorded is not None)
        yield _ScalarEdit(scalar, raw, intended)


def _written(file: ParsedFile, scalar: Scalar, value: str) -> str:
    """Return the text for a value: in the quotes there were, else plain where that is safe."""
    quote = scalar.raw[0] if scalar.raw[:1] in ("'", '"') else ""
    if quote or (value and reads_as_string(value)):
        return f"{quote}{value}{quote}"
    quote = "'" if file.text.count(": '") > file.text.count(': "') else '"'
    return f"{quote}{value}{quote}"


def _prove(file: ParsedFile, after: ParsedFile, wanted: dict[int, Intended]) -> None:
    if len(after.documents) == len(file.documents):
        pairs = zip(file.documents, after.documents, strict=True)
        odd = [first_difference(old, new, wanted) for old, new in pairs]
        if not any(odd):
            return
    else:
        odd = []
    node = next((node for node in odd if node is not None), None)
    line = f":{node.start_mark.line + 1}" if node is not None else ""
    raise ManifestError(
        f"{file.path}{line}: the edit would change more than the image, so nothing was written",
        "please report the file: the edited text did not read back as intended",
    )


@dataclass(frozen=True)
class Intended:
    """What an edit wants of a scalar: its value, and whether it is written as it was recorded.

    What was recorded may read as a number, as it did before.
    """

    value: str
    as_recorded: bool = False


def first_difference(
    old: yaml.Node, new: yaml.Node, wanted: Mapping[int, Intended]
) -> yaml.Node | None:
    """Return the first node of `old` that is not in `new` as intended, or None if all are.

    `wanted` maps the `id` of an old scalar to what is intended; every other node has to be the
    same in structure, tag and value.
    """
    compared: set[tuple[int, int]] = set()
    waiting = [(old, new)]
    while waiting:
        before, after = waiting.pop()
        if (id(before), id(after)) in compared:
            continue
        compared.add((id(before), id(after)))
        if type(before) is not type(after) or not _same_node(before, after, wanted):
            return before
        waiting.extend(zip(children(before), children(after), strict=True))
    return None


def _same_node(before: yaml.Node, after: yaml.Node, wanted: Mapping[int, Intended]) -> bool:
    intended = wanted.get(id(before))
    if intended is not None:  # what read as a number or as null before may be a text now
        tags = (before.tag, STRING, _NULL) if after.value == "null" else (before.tag, STRING)
        return after.value == intended.value and (intended.as_recorded or after.tag in tags)
    if before.tag != after.tag:
        return False
    if isinstance(before, yaml.ScalarNode):
        return bool(after.value == before.value)
    return len(before.value) == len(after.value)


def trial_value(field: ImageField) -> str:
    """Return the value of a field with a version that nobody deploys.

    Raises `ManifestError` where the field cannot say one.
    """
    return value_of(field, _TAG, None if field.tag_only else _DIGEST)


def prove(
    file: ParsedFile,
    field: ImageField,
    find: Callable[[ParsedFile], Iterable[ImageField]] = find_fields,
) -> str:
    """Edit a field in memory to another image and back; return what is not exact, to the byte.

    `find` finds the fields of the file after the edit.
    """
    before = file.encode(file.text)
    try:
        other = trial_value(field)
        lines = {part.scalar.line for part in field.parts if part.key in part_texts(field, other)}
        again = rewritten(file, [FieldEdit(field, other)])
        edited = again.encode(again.text)
        found = _same_field(find(again), field)
        if found is None or found.version != split_version(other)[1]:
            return "the edited value is not found again"
        after = rewrite(again, [restoring_edit(found, field.value, field.recorded_parts)])
    except ManifestError as error:
        return error.message
    changed = _differing(before.split(b"\n"), edited.split(b"\n"))
    if changed == len(lines) and after == before:
        return ""
    more = _differing(before, after)
    return f"{changed} lines differ after the edit, {more} bytes after undo"


def _same_field(fields: Iterable[ImageField], field: ImageField) -> ImageField | None:
    for found in fields:
        if (found.document, found.pointer) == (field.document, field.pointer):
            return found
    return None


def _differing(before: Iterable[object], after: Iterable[object]) -> int:
    return sum(one != other for one, other in zip_longest(before, after))
