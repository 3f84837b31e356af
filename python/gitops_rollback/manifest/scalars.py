"""Scalars with their place, raw text and marker; texts that are YAML themselves. Pure.

`patches: - patch: |`, `values: |`: such a text is parsed as a file of its own whose scalars know
their place in the outer one, however it is written there: as a literal or a folded block, in
quotes with escapes, over several lines (yaml.org/spec/1.2.2, 7.3 and 8.1). An edit replaces what
stands for the characters of the text; that it reads back as meant is proven as of any edit.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.errors import ManifestError
from gitops_rollback.image import InvalidImageError, parse_image
from gitops_rollback.late import dataclass, field, regex, replace
from gitops_rollback.manifest.document import duplicate_key, line_of, parse, template_error
from gitops_rollback.manifest.image_field import (
    EDITABLE,
    NO_IMAGE,
    VARIABLE_PROBLEM,
    Problem,
    Scalar,
    find_marker,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField

_LINE_BREAK = regex("\r\n|[\r\n\x85\u2028\u2029]")  # as YAML 1.1 has them
_NODE_PROPERTIES = regex(r"(?:[&!]\S*\s+)*")


def read_scalar(file: ParsedFile, node: yaml.ScalarNode) -> Scalar:
    """Return a scalar node with its place; anchors and tags before it are no part of it."""
    start, end = node.start_mark.index, node.end_mark.index
    properties = _NODE_PROPERTIES.match(file.text, start, end)
    skipped = properties[0] if properties else ""
    *above, last = _LINE_BREAK.split(skipped)
    if file.host is not None:
        return _in_block(file, node, file.host, start + len(skipped))
    return Scalar(
        path=file.path,
        value=str(node.value),
        line=node.start_mark.line + 1 + len(above),
        column=len(last) + 1 + (0 if above else node.start_mark.column),
        start=start + len(skipped),
        end=end,
        raw=file.text[start + len(skipped) : end],
        marker=find_marker(file.text, start, end),
        node=node,
    )


def _in_block(file: ParsedFile, node: yaml.ScalarNode, host: Host, start: int) -> Scalar:
    """Return a scalar of a text within a file: its place is that in the file.

    A comment behind it is a part of the text, which is no marker to Flux.
    """
    end = node.end_mark.index
    run = host.run_at(start)
    return Scalar(
        path=file.path,
        value=str(node.value),
        line=run.line,
        column=run.column + start - run.inner,
        start=host.outer(start),
        end=host.outer_end(end) if end > start else host.outer(start),
        raw=file.text[start:end],
        marker=None,
        node=node,
        block=file,
    )


def spelling_problem(scalar: Scalar) -> Problem:
    """Return why the characters of a scalar cannot be replaced one for one; empty if they can."""
    raw = scalar.raw
    style = scalar.node.style
    if style in ("|", ">") or "\n" in raw or "\r" in raw:
        return Problem("the value spans several lines")
    inside = raw[1:-1] if style else raw
    if inside != scalar.value:
        return Problem("the value is written with escapes")
    return EDITABLE


def reference_problem(scalar: Scalar) -> Problem:
    """Return why a scalar is no image reference that can be edited; empty if it is one."""
    problem = spelling_problem(scalar)
    if problem:
        return problem
    if scalar.is_null:
        return Problem("the value is empty")
    if "${" in scalar.value:
        return VARIABLE_PROBLEM
    try:
        parse_image(scalar.value)
    except InvalidImageError as error:
        return Problem(f"{error}:", NO_IMAGE)
    return EDITABLE


def refuse_duplicate_keys(path: str, nodes: Iterable[yaml.Node]) -> None:
    """Raise `ManifestError` with the place of a key that stands twice in one of the nodes."""
    for node in nodes:
        key = duplicate_key(node)
        if key is not None:
            mark = key.start_mark
            first = next(one for one, _value in node.value if one.value == key.value)
            raise ManifestError(
                f"{path}:{mark.line + 1}:{mark.column + 1}: the key '{key.value}' stands twice "
                f"(first in line {line_of(first)})",
                "remove one of them: which one counts differs between tools",
            )


def refuse_template(file: ParsedFile, image: yaml.Node) -> None:
    """Refuse a file whose image is `{{ … }}`: to YAML a mapping, to Helm a value."""
    mark = image.start_mark
    is_text = isinstance(image, yaml.ScalarNode)
    has_braces = "{{" in image.value if is_text else file.text.startswith("{{", mark.index)
    if not has_braces:
        return
    raise template_error(file.path, mark, "image: {{ … }}")


def refuse_template_file(file: ParsedFile) -> None:
    """Refuse a file in which some value is `{{ … }}`: to YAML a mapping whose key is a mapping.

    No Kubernetes object has that, so nothing can apply the file as it stands.
    """
    for node in file.nodes if "{{" in file.text else ():
        entries = node.value if isinstance(node, yaml.MappingNode) else ()
        if any(isinstance(key, yaml.MappingNode) for key, _value in entries):
            raise template_error(file.path, node.start_mark, "{{ … }}")


_SPACE = " \t\r\n"
_GAP = regex(r"[ \t\r\n]*")
_PLAIN = regex(r"[^ \t\r\n]+|[ \t\r\n]+")
_TOKENS = {
    "'": regex(r"''|[^' \t\r\n]+|[ \t\r\n]+"),
    '"': regex(
        r"\\(?:\r?\n|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)"
        r"|[^\\ \t\r\n]+|[ \t\r\n]+"
    ),
}
# yaml.org/spec/1.2.2, 5.7; what is longer is a number.
_ESCAPED = '0abtnvfre "/\\N_LP\t'
_MEANT = '\0\a\b\t\n\v\f\r\x1b "/\\\x85\xa0\u2028\u2029\t'
_ESCAPES = dict(zip(_ESCAPED, _MEANT, strict=True))
_SHORT = 3  # characters of an escape that is no number, a line break of Windows included
_MOST_RUNS = 100_000


@dataclass(frozen=True)
class Run:
    """Characters of a text that stand side by side in the outer file: where they begin in each.

    `line` and `column` are those in the outer file, counted from 1; `width` is how many characters
    stand there for one of the text: 1 but for an escape, which is a run by itself.
    """

    inner: int
    outer: int
    line: int
    column: int
    width: int = 1

    def goes_on_in(self, other: Run) -> bool:
        """Tell whether characters behind it on the line stand as far from it here as there."""
        is_one = self.width == other.width == 1 and self.line == other.line
        return is_one and other.outer - self.outer == other.inner - self.inner


@dataclass(frozen=True)
class Host:
    """Where a text stands that is a file of its own: a scalar of another file.

    `document` and `pointer` are the scalar's; `runs` say for each character where it stands in the
    outer file.
    """

    node: yaml.ScalarNode = field(repr=False, compare=False)
    document: int
    pointer: str
    runs: tuple[Run, ...] = field(repr=False)

    def run_at(self, offset: int) -> Run:
        """Return the run that a character of the text is in."""
        return self.runs[max(bisect_right(self.runs, offset, key=lambda run: run.inner) - 1, 0)]

    def outer(self, offset: int) -> int:
        """Return the offset in the outer file of one in the text."""
        run = self.run_at(offset)
        return run.outer + offset - run.inner

    def outer_end(self, offset: int) -> int:
        """Return where in the outer file the characters before an offset of the text end."""
        return self.outer(offset - 1) + self.run_at(offset - 1).width

    def written(self, text: str) -> str:
        """Return characters of the text as they are written in the outer file."""
        if self.node.style == '"':
            return text.replace("\\", "\\\\").replace('"', '\\"')
        return text.replace("'", "''") if self.node.style == "'" else text

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


def fields_in(
    file: ParsedFile, text: yaml.ScalarNode, find: Callable[[ParsedFile], Iterable[ImageField]]
) -> Iterator[ImageField]:
    """Yield what is found in a text within a file that is YAML itself, and can be edited there.

    Of one that is no YAML nothing: whoever builds with the text says so, with its place.
    """
    try:
        block = block_of(file, text)
    except ManifestError:
        return
    if block.host is not None:
        for field in find(block):
            yield in_host(field, block.host)


def in_host(field: ImageField, host: Host) -> ImageField:
    """Return an image field of a text within a file as one of the file."""
    pointer = host.pointer_to(field.document, field.pointer)
    return replace(field, document=host.document, pointer=pointer)


def _host(file: ParsedFile, node: yaml.ScalarNode) -> Host | None:
    place = file.places.get(id(node))
    runs = _runs(file, node) if place is not None else ()
    return Host(node, *place, runs) if place is not None and runs else None


def _runs(file: ParsedFile, node: yaml.ScalarNode) -> tuple[Run, ...]:
    """Return where the characters of a scalar stand; nothing where that is not sure.

    White space may be written otherwise than it reads; what is between is found in its order.
    """
    start, end = node.start_mark.index, node.end_mark.index
    if node.style in ("|", ">"):
        start = file.text.find("\n", start)
    elif node.style:
        start, end = file.text.index(node.style, start) + 1, end - 1
    text, at = str(node.value), 0
    line, begin = file.text.count("\n", None, start), file.text.rfind("\n", None, start) + 1
    runs: list[Run] = []
    for token in _TOKENS.get(node.style or "", _PLAIN).finditer(file.text, start, end):
        written, offset = token[0], token.start()
        word = _read(written, node.style)
        if word.strip(_SPACE):
            at = _next_word(text, at)
            if not text.startswith(word, at) or len(runs) == _MOST_RUNS:
                return ()
            width = len(written) if len(word) == 1 else 1
            run = Run(at, offset, line + 1, offset - begin + 1, width)
            if not runs or not runs[-1].goes_on_in(run):
                runs.append(run)
            at += len(word)
        elif "\n" in written:
            line, begin = line + written.count("\n"), offset + written.rfind("\n") + 1
    return tuple(runs) if _next_word(text, at) == len(text) else ()


def _next_word(text: str, at: int) -> int:
    """Return where white space that begins there ends."""
    gap = _GAP.match(text, at)
    return gap.end() if gap is not None else at


def _read(written: str, style: str | None) -> str:
    """Return what some characters of a scalar are read as; nothing of a line that goes on."""
    if style == "'":
        return written.replace("''", "'")
    if style != '"' or written[:1] != "\\":
        return written
    if len(written) > _SHORT:
        digits = written[2:]
        return chr(int(digits, 16))
    return _ESCAPES.get(written[1], "")
