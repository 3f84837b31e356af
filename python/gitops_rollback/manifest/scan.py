"""Read the plain part of YAML fast, where there is no parser in C.

Almost every manifest is block mappings and sequences of scalars on one line, literal blocks and
flow collections. `compose` makes the nodes of these, with the marks and tags of PyYAML, some five
times faster than PyYAML does in Python. It says of everything else, and of all that is no YAML,
that it is not plain: a tag, a scalar of several lines, an escape it does not know, a tab. PyYAML
has the word then, on what the text is and on what is wrong with it.

Rules are those of PyYAML 6.0's `scanner.py` and `parser.py`; the tests compare node by node.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

import yaml
from yaml.reader import Reader

from gitops_rollback.late import regex

if TYPE_CHECKING:
    import re

NULL = "tag:yaml.org,2002:null"
STRING = "tag:yaml.org,2002:str"
MAP = "tag:yaml.org,2002:map"
SEQUENCE = "tag:yaml.org,2002:seq"
_RESOLVER = yaml.resolver.Resolver()
_DEEPEST = 60  # levels; what is deeper is left to PyYAML
_LONGEST_KEY = 1_000  # characters; PyYAML refuses longer ones than 1,024
_NO_TOKEN = -1  # the column where a document ends
# A line ends otherwise than by `\n`, or has what YAML does not allow.
_UNUSUAL = regex(r"[\r\x85\u2028\u2029\ufeff]")
_REST = regex(r" *(?:(?<= )#.*)?$")  # of a line, behind a value
_START = regex(r"--- *(?: #.*)?$")
_KEY = regex(
    r"(?:(?P<plain><<|[A-Za-z0-9_./$][A-Za-z0-9_./$@()+~-]*)"
    r"|\"(?P<double>[^\"\\]*)\"|'(?P<single>[^']*)') *:(?= |$)"
)
_PLAIN = regex(
    r"(?:[^\s\-?:,\[\]{}#&*!|>'\"%@`]|[-?:](?=[^\s]))"
    r"(?:[^\s:#]|:(?=[^\s])|(?<=[^\s])#| +(?=[^\s#:])| +:(?=[^\s]))*"
)
_DOUBLE_QUOTED = regex(r"\"(?P<text>(?:[^\"\\\n]|\\[\"\\/nt])*)\"")
_SINGLE_QUOTED = regex(r"'(?P<text>(?:[^'\n]|'')*)'")
_QUOTED = {'"': _DOUBLE_QUOTED, "'": _SINGLE_QUOTED}
_ESCAPE = regex(r"\\(.)")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "n": "\n", "t": "\t"}
_LITERAL = regex(r"\|(?P<chomping>[-+]?) *$")
_ANCHOR = regex(r"&(?P<name>[0-9A-Za-z_-]+)(?: +|$)")
_ALIAS = regex(r"\*(?P<name>[0-9A-Za-z_-]+)(?= |$)")
_FLOW_SPACES = regex(r"[ \n]*")
_FLOW_PLAIN = regex(
    r"(?:[\w./+$()=~<^;]|-(?=[\w.]))(?:[\w./+$()=~<^;@*&%!|>-]|:(?=[\w./])| +(?=[\w./+$()=~<^;]))*"
)
_FLOW_COLON = regex(r" *:(?=[ \n])[ \n]*")
_FLOW_COLON_QUOTED = regex(r" *:[ \n]*")


class _NotPlain(Exception):  # noqa: N818 - no error: PyYAML reads it
    """Raised where a text has something that is not read here."""


def compose(text: str) -> tuple[yaml.Node, ...] | None:
    """Return the root node of each document, or None for a text that is not plain."""
    if _UNUSUAL.search(text) or Reader.NON_PRINTABLE.search(text):
        return None
    try:
        return tuple(_Scanner(text).documents())
    except _NotPlain:
        return None


@lru_cache(maxsize=4_096)
def tag_of(value: str) -> str:
    """Return the tag of a plain scalar, as YAML 1.1 and PyYAML read it."""
    return str(_RESOLVER.resolve(yaml.ScalarNode, value, (True, None)))  # type: ignore[no-untyped-call]


class _Scanner:
    """Reads a text from its begin to its end; `column` is where the next token stands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = text.split("\n")
        self._starts = [0, *accumulate(len(line) + 1 for line in self._lines)]
        self._depth = 0
        self._number = 0
        self._line = ""
        self._column = 0
        self._anchors: dict[str, yaml.Node] = {}

    def documents(self) -> list[yaml.Node]:
        """Return the root of each document; raise `_NotPlain`."""
        self._go_to(0)
        roots = []
        while not self._is_at_end:
            if self._column == _NO_TOKEN:
                self._go_to(self._number + 1)
            self._anchors = {}
            here = self._here()
            is_empty = self._column == _NO_TOKEN
            roots.append(_scalar("", here, here, None) if is_empty else self._block())
            if self._column != _NO_TOKEN:
                raise _NotPlain
        return roots

    @property
    def _is_at_end(self) -> bool:
        return self._number == len(self._lines)

    def _go_to(self, number: int) -> None:
        """Go to the first line, from one on, that has a token."""
        lines = self._lines
        for at in range(number, len(lines)):
            line = lines[at]
            column = _first(line)
            if column == len(line) or line[column] == "#":
                continue
            self._number, self._line, self._column = at, line, column
            if column == 0 and line[0] in "-.%":
                self._look_for_marker(line)
            return
        self._number, self._line, self._column = len(lines), "", _NO_TOKEN

    def _look_for_marker(self, line: str) -> None:
        if line.startswith(("...", "%")):
            raise _NotPlain
        if line.startswith("---"):
            if not _START.match(line):
                raise _NotPlain
            self._column = _NO_TOKEN

    def _mark(self, column: int) -> yaml.Mark:
        """Return the mark of a column of this line."""
        return _mark(self._starts[self._number] + column, self._number, column)

    def _here(self) -> yaml.Mark:
        """Return the mark of the next token."""
        if self._is_at_end:
            return _mark(len(self._text), len(self._lines) - 1, len(self._lines[-1]))
        return self._mark(max(self._column, 0))

    def _block(self) -> yaml.Node:
        """Read a block collection, up to what stands in no column of it."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _NotPlain
        node = self._sequence() if self._is_item(self._column) else self._mapping()
        self._depth -= 1
        return node

    def _is_item(self, column: int) -> bool:
        return self._line[column] == "-" and self._line[column + 1 : column + 2] in ("", " ")

    def _mapping(self) -> yaml.MappingNode:
        column = self._column
        start = self._mark(column)
        pairs = []
        while self._column == column:
            match = _KEY.match(self._line, column)
            if match is None or match.end() > _LONGEST_KEY:  # where it ends: one does not begin far
                raise _NotPlain
            key = self._key(match)
            pairs.append((key, self._value(column, match.end(), may_be_level=True)))
        return yaml.MappingNode(MAP, pairs, start, self._here(), flow_style=False)

    def _key(self, match: re.Match[str]) -> yaml.ScalarNode:
        kind = str(match.lastgroup)
        value = match[kind]
        if "\t" in value:
            raise _NotPlain
        quote = {"plain": None, "double": '"', "single": "'"}[kind]
        start = match.start()
        end = match.end(kind) + (quote is not None)
        return _scalar(value, self._mark(start), self._mark(end), quote)

    def _sequence(self) -> yaml.SequenceNode:
        column = self._column
        start = self._mark(column)
        items = []
        while self._column == column and self._is_item(column):
            items.append(self._value(column, column + 1, may_be_level=False))
        return yaml.SequenceNode(SEQUENCE, items, start, self._here(), flow_style=False)

    def _value(self, column: int, at: int, *, may_be_level: bool) -> yaml.Node:
        """Read what stands behind a key or a dash, which stands in `column`, and go on.

        Items may stand in the column of the key that has them.
        """
        first = _first(self._line, at)
        anchor = _ANCHOR.match(self._line, first)
        if anchor is None:
            return self._bare_value(column, at, may_be_level=may_be_level)
        start, name = self._mark(first), anchor["name"]
        if name in self._anchors or _KEY.match(self._line, anchor.end()):
            raise _NotPlain
        node = self._bare_value(column, anchor.end(), may_be_level=may_be_level)
        if node.start_mark.index < start.index or node.value == "":
            raise _NotPlain  # an alias, or nothing, which stands elsewhere
        node.start_mark = start
        self._anchors[name] = node
        return node

    def _bare_value(self, column: int, at: int, *, may_be_level: bool) -> yaml.Node:
        line = self._line
        first = _first(line, at)
        if first == len(line) or (line[first] == "#" and line[first - 1] == " "):
            return self._below(column, at, may_be_level=may_be_level)
        if not may_be_level and (self._is_item(first) or _KEY.match(line, first)):
            self._column = first
            return self._block()
        return self._inline(column, first)

    def _inline(self, column: int, first: int) -> yaml.Node:
        """Read what begins in this line and is no block collection, and go on."""
        sign = self._line[first]
        node: yaml.Node
        if sign == "|":
            node, number = self._literal(column, first)
        elif sign in "{[":
            node, number = self._flow_value(first)
        else:
            node, number = self._scalar(first), self._number + 1
        self._go_to(number)
        if self._column > column:
            raise _NotPlain  # it may go on there
        return node

    def _below(self, column: int, at: int, *, may_be_level: bool) -> yaml.Node:
        """Read what stands in the next lines; that may be nothing, which is null."""
        empty = self._mark(at)
        self._go_to(self._number + 1)
        if self._column > column:
            is_flow = self._line[self._column] in "{["
            return self._inline(column, self._column) if is_flow else self._block()
        if may_be_level and self._column == column and self._is_item(column):
            return self._block()
        return _scalar("", empty, empty, None)

    def _scalar(self, first: int) -> yaml.Node:
        line = self._line
        if line[first] == "*":
            return self._alias(first)
        quote = line[first] if line[first] in "\"'" else None
        match = (_QUOTED[quote] if quote else _PLAIN).match(line, first)
        if match is None or not _REST.match(line, match.end()):
            raise _NotPlain
        value = match[0] if quote is None else _unquoted(match["text"], quote)
        return _scalar(value, self._mark(first), self._mark(match.end()), quote)

    def _alias(self, first: int) -> yaml.Node:
        match = _ALIAS.match(self._line, first)
        if match is None or not _REST.match(self._line, match.end()):
            raise _NotPlain
        if match["name"] not in self._anchors:
            raise _NotPlain
        return self._anchors[match["name"]]

    def _literal(self, column: int, first: int) -> tuple[yaml.ScalarNode, int]:
        """Read a literal block; return it and the number of the line behind it."""
        header = _LITERAL.match(self._line, first)
        if header is None:
            raise _NotPlain
        lines = self._lines
        begin = self._number + 1
        most = len(lines) - 1
        at = begin
        while at < most and not lines[at]:
            at += 1
        if at >= most:
            raise _NotPlain
        indent = _first(lines[at])
        if indent <= column or indent == len(lines[at]):
            raise _NotPlain
        end = at  # behind the last line that is not blank
        prefix = " " * indent
        while at < most and (lines[at].startswith(prefix) or not lines[at].strip(" ")):
            at += 1
            if len(lines[at - 1]) > indent:
                end = at
        if at == most and lines[at]:
            raise _NotPlain
        kept = {"-": "", "": "\n", "+": "\n" * (1 + at - end)}[header["chomping"]]
        value = "\n".join(line[indent:] for line in lines[begin:end]) + kept
        stop = _mark(self._starts[at], at, 0)
        return _node(STRING, value, self._mark(first), stop, "|"), at

    def _flow_value(self, first: int) -> tuple[yaml.Node, int]:
        """Read a flow collection; return it and the number of the line behind it."""
        node, end = self._flow(self._starts[self._number] + first)
        number = bisect_right(self._starts, end) - 1
        if not _REST.match(self._lines[number], end - self._starts[number]):
            raise _NotPlain
        return node, number + 1

    def _flow(self, at: int) -> tuple[yaml.Node, int]:
        """Read what stands at an index of the text, within a flow collection."""
        sign = self._text[at : at + 1]
        if sign in ("{", "["):
            return self._flow_collection(at, sign)
        return self._flow_scalar(at)

    def _flow_scalar(self, at: int) -> tuple[yaml.ScalarNode, int]:
        quote = self._text[at] if self._text[at : at + 1] in ("'", '"') else None
        match = (_QUOTED[quote] if quote else _FLOW_PLAIN).match(self._text, at)
        if match is None or (quote is None and match[0].startswith("...")):
            raise _NotPlain
        value = match[0] if quote is None else _unquoted(match["text"], quote)
        end = match.end()
        return _scalar(value, self._mark_of(at), self._mark_of(end), quote), end

    def _flow_collection(self, at: int, sign: str) -> tuple[yaml.Node, int]:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _NotPlain
        start = self._mark_of(at)
        close = "}" if sign == "{" else "]"
        found: list[yaml.Node | tuple[yaml.Node, yaml.Node]] = []
        at = self._behind_spaces(at + 1)
        while self._text[at : at + 1] != close:
            if found:
                at = self._behind_spaces(self._behind(",", at))
                if self._text[at : at + 1] == close:
                    break  # behind the last comma
            item, at = self._pair(at) if sign == "{" else self._flow(at)
            found.append(item)
            at = self._behind_spaces(at)
        self._depth -= 1
        tag, kind = (MAP, yaml.MappingNode) if sign == "{" else (SEQUENCE, yaml.SequenceNode)
        return kind(tag, found, start, self._mark_of(at + 1), flow_style=True), at + 1

    def _pair(self, at: int) -> tuple[tuple[yaml.Node, yaml.Node], int]:
        key, end = self._flow_scalar(at)
        colon = (_FLOW_COLON if key.style is None else _FLOW_COLON_QUOTED).match(self._text, end)
        if colon is None or end - at > _LONGEST_KEY:
            raise _NotPlain
        value, end = self._flow(colon.end())
        return (key, value), end

    def _behind(self, sign: str, at: int) -> int:
        if self._text[at : at + 1] != sign:
            raise _NotPlain
        return at + 1

    def _behind_spaces(self, at: int) -> int:
        match = _FLOW_SPACES.match(self._text, at)
        return match.end() if match else at

    def _mark_of(self, index: int) -> yaml.Mark:
        number = bisect_right(self._starts, index) - 1
        return _mark(index, number, index - self._starts[number])


def _first(line: str, at: int = 0) -> int:
    """Return the column of the first character from one on that is no space."""
    return len(line) - len(line[at:].lstrip(" "))


def _unquoted(text: str, quote: str) -> str:
    if "\t" in text:
        raise _NotPlain
    if quote == "'":
        return text.replace("''", "'")
    return _ESCAPE.sub(lambda match: _ESCAPES[match[1]], text) if "\\" in text else text


def _scalar(value: str, start: yaml.Mark, end: yaml.Mark, quote: str | None) -> yaml.ScalarNode:
    return _node(STRING if quote else tag_of(value), value, start, end, quote)


def _node(
    tag: str, value: str, start: yaml.Mark, end: yaml.Mark, style: str | None
) -> yaml.ScalarNode:
    return yaml.ScalarNode(tag, value, start, end, style)


def _mark(index: int, line: int, column: int) -> yaml.Mark:
    return yaml.Mark("", index, line, column, None, 0)
