"""Texts that are YAML themselves, written into a file: inline patches, values of a chart. Pure.

`patches: - patch: |`, `values: |`. Such a text is parsed as a file of its own whose scalars know
their place in the outer one. Only where each of its characters stands there as it is can an edit
of the text be one of the file: in a literal block (yaml.org/spec/1.2.2, 8.1.2), and in quotes on
one line without an escape.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.manifest.document import parse, paths_to_nodes, scalars_of

if TYPE_CHECKING:
    import yaml

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField


@dataclass(frozen=True)
class Host:
    """Where a text stands that is a file of its own: a scalar of another file.

    `document` and `pointer` are the scalar's; `offsets` say for each line of the text where its
    first character stands in the outer file's text, `starts` the same in the text itself; `line`
    (from 0) and `column` are those of the text's first character.
    """

    node: yaml.ScalarNode = field(repr=False, compare=False)
    document: int
    pointer: str
    offsets: tuple[int, ...]
    starts: tuple[int, ...]
    line: int
    column: int

    def outer(self, line: int, column: int) -> int:
        """Return the offset in the outer file of a place in the text, both counted from 0."""
        return self.offsets[line] + column

    def inner(self, offset: int) -> int:
        """Return the offset in the text of one in the outer file."""
        line = bisect_right(self.offsets, offset) - 1
        return self.starts[line] + offset - self.offsets[line]

    def pointer_to(self, document: int, pointer: str) -> str:
        """Return what a place inside is called: the scalar's pointer, `#`, the pointer inside."""
        return f"{self.pointer}#{document or ''}{pointer}"


def block_of(file: ParsedFile, node: yaml.ScalarNode) -> ParsedFile:
    """Return a scalar's text as a file of its own; without a `host` where it cannot be edited.

    The same scalar gives the same file. Raises `ManifestError` where the text is no YAML.
    """
    known = file.blocks.get(id(node))
    if known is not None:
        return known
    inner = parse(file.path, str(node.value).encode())
    host = None if file.host is not None or inner.text != node.value else _host(file, node)
    if host is None:
        return inner
    file.blocks[id(node)] = replace(inner, host=host)
    return file.blocks[id(node)]


def in_host(field: ImageField, host: Host) -> ImageField:
    """Return an image field of a text within a file as one of the file."""
    pointer = host.pointer_to(field.document, field.pointer)
    return replace(field, document=host.document, pointer=pointer)


def _host(file: ParsedFile, node: yaml.ScalarNode) -> Host | None:
    place = _place_of(file, node)
    if place is None:
        return None
    lines = _literal(file, node) if node.style == "|" else _quoted(file, node)
    if lines is None:
        return None
    line, column, offsets = lines
    lengths = (len(one) + 1 for one in str(node.value).split("\n"))
    starts = (0, *accumulate(lengths))
    return Host(node, *place, offsets, starts[: len(offsets)], line, column)


def _literal(file: ParsedFile, node: yaml.ScalarNode) -> tuple[int, int, tuple[int, ...]] | None:
    """Return line, column and offsets of a literal block's text, whose lines are indented alike."""
    begin = file.text.find("\n", node.start_mark.index) + 1
    written = file.text[begin : node.end_mark.index].split("\n")
    offsets: list[int] = []
    indents: set[int] = set()
    for text, outer in zip(str(node.value).split("\n"), written, strict=False):
        shown = outer.removesuffix("\r")
        indent = len(shown) - len(text) if text else 0
        if indent < 0 or shown[indent:].rstrip(" " if not text else "") != text:
            return None
        if text:
            indents.add(indent)
        offsets.append(begin + indent)
        begin += len(outer) + 1
    if len(indents) != 1:
        return None
    return node.start_mark.line + 1, indents.pop(), tuple(offsets)


def _quoted(file: ParsedFile, node: yaml.ScalarNode) -> tuple[int, int, tuple[int, ...]] | None:
    """Return the same of a quoted text that stands on one line without an escape."""
    start, end = node.start_mark.index, node.end_mark.index
    raw = file.text[start:end]
    if not node.style or raw[:1] != node.style or raw[1:-1] != node.value or "\n" in raw:
        return None
    return node.start_mark.line, node.start_mark.column + 1, (start + 1,)


def _place_of(file: ParsedFile, node: yaml.ScalarNode) -> tuple[int, str] | None:
    """Return document and pointer of a scalar that stands in one place and in no other."""
    for number, root in enumerate(file.documents):
        pointer = next((pointer for pointer, one in scalars_of(root) if one is node), None)
        if pointer is not None:
            is_alone = "*" not in file.text or paths_to_nodes(root).get(id(node), 1) == 1
            return (number, pointer) if is_alone else None
    return None
