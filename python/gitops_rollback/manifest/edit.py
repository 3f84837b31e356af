"""Change image fields and markers byte for byte, and prove that nothing else changed. Pure.

Each form of field takes another version in its own scalars. Every edit is read back and compared
with what was meant; `prove` does so for the fields of a file that is only looked at.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.errors import ManifestError
from gitops_rollback.late import dataclass, regex
from gitops_rollback.late import field as attribute
from gitops_rollback.manifest.document import children, line_of, parse, reads_as_string
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.image_field import (
    DIGEST,
    KUSTOMIZE,
    REFERENCE,
    SUBSTITUTION,
    TAG,
    ImageField,
    Part,
    split_version,
)
from gitops_rollback.manifest.scan import STRING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import Scalar

# What a record may give back as the raw text of a scalar: a tag, a digest, quoted or not.
_RAW = regex(r"""(?P<quote>['"]?)[A-Za-z0-9_.@:+-]*(?P=quote)""")


@dataclass(frozen=True)
class FieldEdit:
    """The new value of one image field; `raw` are exact texts of its parts, where recorded."""

    field: ImageField
    value: str
    raw: Mapping[str, str] = attribute(default_factory=dict)

    @property
    def texts(self) -> dict[str, str]:
        """The new text of each part that changes, by its key, without quotes."""
        return part_texts(self.field, self.value)


def part_texts(field: ImageField, value: str) -> dict[str, str]:
    """Return the new text of each part that changes when a field gets a value, by its key.

    Raises `ManifestError` where the parts cannot say it.
    """
    reference = field.part(REFERENCE)
    if reference is not None:
        return {reference.key: value} if value != reference.text else {}
    tag, digest = _tag_and_digest(split_version(value)[1])
    texts = _split_texts(field, tag, digest)
    parts = {part.key: part for part in field.parts}
    changed = [key for key, text in texts.items() if text != parts[key].text]
    return {
        key: _without_surroundings(field, parts[key], text)
        for key, text in texts.items()
        if key in changed or (changed and _is_misread(parts[key]))
    }


def _is_misread(part: Part) -> bool:
    """Tell whether YAML reads a part as something else: a chart prints the tag 1.10 as 1.1."""
    scalar = part.scalar
    is_plain = scalar.raw[:1] not in ("'", '"')
    return is_plain and bool(part.text) and not reads_as_string(scalar.value)


def value_of(field: ImageField, tag: str | None, digest: str | None) -> str:
    """Return the value a field has with another tag and digest: its name's text stays.

    A field that only has a digest shows no tag. Raises `ManifestError` where the field cannot say
    it: no digest where only a tag can stand, no tag where only a digest can.
    """
    name = split_version(field.value)[0]
    if field.part(REFERENCE) is None:
        _split_texts(field, tag, digest)
        if digest is not None and not _shows_tag(field):
            tag = None
    if digest is not None and field.tag_only:
        raise ManifestError(
            f"{field.place}: no digest can stand there: {field.tag_only}",
            'deploy the tag alone: --accept tag, or pin = "tag" in the configuration',
        )
    return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def can_stand(field: ImageField, raw: str) -> bool:
    """Tell whether what takes a field reads a raw text at all: kustomize and Flux take no number.

    A chart prints one.
    """
    is_quoted = raw[:1] in ("'", '"')
    return field.form not in (KUSTOMIZE, SUBSTITUTION) or is_quoted or reads_as_string(raw)


def restoring_edit(field: ImageField, value: str, recorded: Mapping[str, str]) -> FieldEdit:
    """Return the edit that gives a split field its recorded texts back, quotes included.

    `recorded` comes from outside: what is no plain tag or digest is not taken as it is.
    """
    keys = {part.key for part in field.parts if part.role in (TAG, DIGEST)}
    raw = {key: text for key, text in recorded.items() if key in keys and _RAW.fullmatch(text)}
    return FieldEdit(field, value, raw)


def _split_texts(field: ImageField, tag: str | None, digest: str | None) -> dict[str, str]:
    """Return the texts of tag and digest part, what stands around variables included."""
    tag_part, digest_part = field.part(TAG), field.part(DIGEST)
    if digest is None:
        if tag_part is None or tag is None or not tag_part.can_be_filled:
            raise _cannot(field, "a tag" if digest_part else "a version")
        emptied = {digest_part.key: ""} if digest_part and digest_part.text else {}
        if emptied and field.form == SUBSTITUTION:  # the manifest writes the at-sign
            raise _cannot(field, "a tag alone")
        return {tag_part.key: tag, **emptied}
    inline = tag_part is not None and "@" in tag_part.text
    if digest_part is not None and digest_part.can_be_filled and not inline:
        shown = {tag_part.key: tag or ""} if tag_part and tag_part.text else {}
        return {**shown, digest_part.key: digest}
    if tag_part is None or tag is None or not tag_part.can_be_filled:
        raise _cannot(field, "a digest without a tag" if tag_part else "a digest")
    return {tag_part.key: f"{tag}@{digest}"}


def _shows_tag(field: ImageField) -> bool:
    part = field.part(TAG)
    return part is not None and bool(part.text)


def _without_surroundings(field: ImageField, part: Part, text: str) -> str:
    """Return the text of a Flux variable's scalar: without what stands around the variable."""
    is_within = len(text) >= len(part.before) + len(part.after)
    if text.startswith(part.before) and text.endswith(part.after) and is_within:
        return text[len(part.before) : len(text) - len(part.after)]
    raise ManifestError(
        f"{field.place}: '{text}' does not fit: the manifest writes {part.before}${{{part.key}}}"
        f"{part.after}",
        "choose a tag of that shape, or change the manifest",
    )


def _tag_and_digest(version: str) -> tuple[str | None, str | None]:
    tag, _, digest = version.partition("@")
    return tag.removeprefix(":") or None, digest or None


def _cannot(field: ImageField, what: str) -> ManifestError:
    keys = ", ".join(part.key for part in field.parts)
    return ManifestError(
        f"{field.place}: '{field.container}' has no place for {what}: there is only {keys}",
        "write a tag there once by hand (newTag in a kustomization, tag in Helm values)",
    )


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
    line = f":{line_of(node)}" if node is not None else ""
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
        is_read = intended.as_recorded or after.tag in (before.tag, STRING)
        return after.value == intended.value and is_read
    is_text = isinstance(before, yaml.ScalarNode)
    is_same = after.value == before.value if is_text else len(after.value) == len(before.value)
    return bool(is_same and before.tag == after.tag)


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
    before = file.data
    try:
        other = trial_value(field)
        lines = {part.scalar.line for part in field.parts if part.key in part_texts(field, other)}
        again = rewritten(file, [FieldEdit(field, other)])
        edited = again.data
        found = _same_field(find(again), field)
        if found is None or found.version != split_version(other)[1]:
            return "the edited value is not found again"
        after = rewritten(again, [restoring_edit(found, field.value, field.recorded_parts)]).data
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
