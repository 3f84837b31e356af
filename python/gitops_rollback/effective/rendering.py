"""What the templates of a chart make, as far as their values are known: texts, images. Pure.

pkg.go.dev/text/template: blocks, variables, and templates that are included. Under a condition that
is not followed (`Block`) both ways are gone. Of the lines that are made it is kept which are images
or labels, and of which values.
"""

from __future__ import annotations

import posixpath
from functools import cached_property
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.expressions import (
    ALL,
    NONE,
    Block,
    FailsError,
    Made,
    NotFollowedError,
    Piece,
    Reading,
    Rope,
    Table,
    What,
    flat,
    flow,
    made_of,
    rope_of,
    truth,
)
from gitops_rollback.effective.tree import find, mapping, opaque_node, with_path
from gitops_rollback.late import dataclass, field, regex
from gitops_rollback.manifest.helm import NAME_KEYS, TAG_KEYS
from gitops_rollback.manifest.image_field import split_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gitops_rollback.effective.expressions import Keys, Of


_BLOCKS = frozenset({"if", "with", "range", "define", "block"})
_COMMENT = regex(r"\{\{(-?)\s*/\*")
_COMMENT_END = regex(r"\*/\s*(-?)\}\}")
_ACTION = regex(r"\{\{(-(?=\s))?((?:\"(?:[^\"\\\n]|\\.)*\"|`[^`]*`|[^{}\"`])*?)((?<=\s)-)?\}\}")
_BEGIN = regex(r"\{\{-?\s*(?:if|with|range|define|block|else|end)\b")
_WORDS = regex(r"(if|with|range|define|block|else|end|break|continue)\b\s*(.*)", 16)
_SET = regex(r"(\$\w+)\s*(?:,\s*(\$\w+)\s*)?(:?=)(?!=)\s*")
_NAME = regex(r"[\"`]([^\"`]+)[\"`]\s*")
# Conditions on these tell how an image is written, whoever gives values.
_OF_IMAGES = frozenset((*NAME_KEYS, *TAG_KEYS, "registry", "digest", "global", "imageRegistry"))
_DEEPEST = 20  # templates within each other
_MOST_BLOCKS = 100  # within each other
_MOST_STEPS = 40_000  # of a chart


@dataclass(frozen=True)
class Node:
    """A part of a template: text, or an action with what stands in it and behind its `else`."""

    word: str
    text: str
    place: tuple[str, int]
    body: list[Node] = field(default_factory=list)
    other: list[Node] = field(default_factory=list)
    is_else: bool = False


class _LeaveError(Exception):
    """Raised by `break` and `continue`."""


class _TooMuchError(Exception):
    """Raised where a chart makes more than is looked at."""


def without_comments(text: str) -> str:
    """Return a template with nothing in the place of its comments, in the same lines."""
    out, position = [], 0
    for found in _COMMENT.finditer(text):
        end = _COMMENT_END.search(text, found.end())
        if end is None:
            break
        if found.start() >= position:
            gone = "\n" * text.count("\n", found.start(), end.end())
            out += [text[position : found.start()], f'{{{{{found[1]} ""{gone} {end[1]}}}}}']
            position = end.end()
    return "".join((*out, text[position:]))


def _parts(path: str, text: str, line: int) -> Iterator[Node]:
    """Yield the texts and actions of a template, one after the other."""
    position, is_trimmed = 0, False
    for found in (*_ACTION.finditer(text), None):
        piece = text[position : found.start() if found is not None else len(text)]
        gone = len(piece) - len(piece.lstrip()) if is_trimmed else 0
        line += piece[:gone].count("\n")
        shown = piece[gone:].rstrip() if found is not None and found[1] else piece[gone:]
        if shown:
            yield Node("text", shown, (path, line))
        line += piece[gone:].count("\n")
        if found is not None:
            position, is_trimmed = found.end(), bool(found[3])
            words = _WORDS.match(found[2].strip())
            word, rest = words.groups() if words is not None else ("", found[2].strip())
            yield Node(word, rest, (path, line))
            line += found[0].count("\n")


def nodes_of(path: str, text: str, line: int = 1) -> list[Node]:
    """Return the parts of a template; raise `NotFollowedError` where they are not read."""
    top: list[Node] = []
    into, blocks, read = [top], list[Node](), 0
    for part in _parts(path, text, line):
        node, again = part, _WORDS.match(part.text) if part.word == "else" else None
        read += node.word in _BLOCKS or node.word in ("else", "end")
        if node.word == "end":
            while blocks and blocks.pop().is_else:  # an `else if` has no end of its own
                pass
            del into[len(blocks) + 1 :]
        elif node.word == "else" and blocks:
            into[-1] = blocks[-1].other
        if again is not None and blocks:
            node = Node(again[1], again[2], part.place, is_else=True)
        if node.word not in ("else", "end"):
            into[-1].append(node)
        if node.word in _BLOCKS:
            blocks.append(node)
            into.append(node.body)
        if len(blocks) > _MOST_BLOCKS:
            raise NotFollowedError
    if read != sum(1 for _one in _BEGIN.finditer(text)):
        raise NotFollowedError
    return top


class Chart:
    """The texts that the templates of a chart make; `own` are those that are no library's.

    Of one that is open others may give other values: both ways of a condition may be gone then.
    `failing` is where Helm surely fails, and why; `counted` are the values that are computed with,
    `mutated` those that something else may be put in the place of, None for a key of any of them.
    """

    def __init__(
        self, texts: Mapping[str, str], own: Iterable[str], root: Table, *, is_open: bool
    ) -> None:
        self.is_open = is_open
        self.failing: tuple[str, str] | None = None
        self.counted: list[tuple[str, Of]] = []
        self.mutated: list[tuple[str, Keys | None, str]] = []
        self.has_unread = False
        self.place = ("", 0)
        self._doubts = self.forks = self._depth = self._steps = 0
        self._defined: dict[str, list[list[Node]]] = {}
        self._included: dict[str, tuple[Piece, ...]] = {}
        root.is_root = True
        self._root = Made(root)
        parsed: dict[str, list[Node]] = {}
        for path, text in texts.items():
            try:
                parsed[path] = nodes_of(path, without_comments(text))
            except NotFollowedError:
                self.has_unread = True
                parsed[path] = [Node("unread", "", (path, 1))]
            self._define(parsed[path])
        self.made = {path: self._file(parsed[path]) for path in own}
        if self.mutated:  # in which order files are made is not known
            self.failing, self._steps = None, 0
            self._included.clear()
            self.made = {path: self._file(parsed[path]) for path in own}

    def _define(self, nodes: list[Node]) -> None:
        for node in nodes:
            name = _NAME.match(node.text) if node.word in ("define", "block") else None
            if name is not None:
                self._defined.setdefault(name[1], []).append(node.body)
            self._define(node.body)
            self._define(node.other)

    def _file(self, nodes: list[Node]) -> list[Piece]:
        out: list[Piece] = []
        cells = {"$": [self._root]}
        try:
            self._run(nodes, self._root, cells, out)
        except (_LeaveError, _TooMuchError, RecursionError):
            out += self._anything(self.place)
        return out

    @staticmethod
    def _anything(place: tuple[str, int]) -> list[Piece]:
        """Return what is made by what is not read: it may be any image."""
        return [Piece("\nimage: ", NONE, place), Piece(None, ALL, place)]

    @property
    def at(self) -> str:
        """The line that is run, for people."""
        return f"{self.place[0]}:{self.place[1]}"

    def spend(self, steps: int) -> None:
        """Count what is done; raise `_TooMuchError` where it is too much."""
        self._steps += steps
        if self._steps > _MOST_STEPS:
            raise _TooMuchError

    def included(self, name: object, context: Made) -> Made:
        """Return what a template makes that is included."""
        bodies = self._defined.get(name, []) if isinstance(name, str) else []
        if not bodies:
            self.has_unread = True
            return Made(What.UNREAD, flow([context]))
        if self._depth > _DEEPEST:
            return Made(What.UNKNOWN, ALL)
        is_root = context.data is self._root.data
        if is_root and name in self._included:
            pieces = self._included[str(name)]
            self.spend(len(pieces))
            return Made(Rope(pieces))
        texts = [self._within(body, context) for body in bodies]
        made = texts[0]
        for one in texts[1:]:  # of two of a name each may count
            made = self._joined(made, one, Block(f"two templates of {name}", is_whole=True))
        if is_root and not self.forks:
            self._included[str(name)] = tuple(made)
        return Made(Rope(tuple(made)))

    def run_text(self, text: Made, context: Made) -> Made:
        """Return what a text makes that is a template."""
        rope = rope_of(text, self.place)
        out: list[Piece] = []
        for piece in rope.pieces:
            if piece.text is None or "{{" not in piece.text:
                of = piece.of if piece.text is not None else piece.of | ALL
                out.append(piece._replace(of=of))
                continue
            try:
                nodes = nodes_of(*self.place[:1], piece.text, self.place[1])
                out += [one._replace(of=one.of | piece.of) for one in self._within(nodes, context)]
            except NotFollowedError:
                out.append(piece._replace(text=None, of=piece.of | ALL))
        return Made(Rope(tuple(out), rope.is_exact))

    def _within(self, nodes: list[Node], context: Made) -> list[Piece]:
        place, self._depth = self.place, self._depth + 1
        out: list[Piece] = []
        try:
            self._run(nodes, context, {"$": [context]}, out)
        except _LeaveError as error:
            raise NotFollowedError from error
        finally:
            self.place, self._depth = place, self._depth - 1
        self.spend(len(out))
        return out

    def _value(self, text: str, dot: Made, cells: Mapping[str, list[Made]]) -> tuple[Made, str]:
        """Return what an expression makes, and why Helm may fail on it."""
        reading = Reading(self, dot, cells, text)
        try:
            return reading.value(), ""
        except FailsError as error:
            if not self._doubts and not self.is_open and self.failing is None:
                self.failing = (self.at, str(error))
            return Made(What.UNKNOWN, reading.of), f": {error}"
        except (NotFollowedError, RecursionError):
            return Made(What.UNKNOWN, reading.of), ""

    def _run(
        self, nodes: list[Node], dot: Made, outer: Mapping[str, list[Made]], out: list[Piece]
    ) -> None:
        cells = dict(outer)
        for node in nodes:
            self.place = node.place
            self.spend(1 + len(node.text) // 100)
            if node.word == "text":
                out.append(Piece(node.text, NONE, node.place))
            elif node.word == "unread":
                out += self._anything(node.place)
            elif node.word in ("if", "with"):
                self._branch(node, dot, cells, out)
            elif node.word == "range":
                self._range(node, dot, cells, out)
            elif node.word in ("break", "continue"):
                raise _LeaveError(node.word)
            elif node.word == "block":
                name = _NAME.match(node.text)
                text = f"include {node.text}" if name is not None else "?"
                out += rope_of(self._value(text, dot, cells)[0], node.place).pieces
            elif node.word == "":
                self._action(node, dot, cells, out)

    def _action(
        self, node: Node, dot: Made, cells: dict[str, list[Made]], out: list[Piece]
    ) -> None:
        assigned = _SET.match(node.text)
        if assigned is None:
            out += rope_of(self._value(node.text, dot, cells)[0], node.place).pieces
            return
        value, _why = self._value(node.text[assigned.end() :], dot, cells)
        if assigned[3] == ":=":
            cells[assigned[1]] = [value]
        else:
            cells.get(assigned[1], [value])[0] = value

    def _branch(
        self, node: Node, dot: Made, outer: Mapping[str, list[Made]], out: list[Piece]
    ) -> None:
        cells = dict(outer)
        assigned = _SET.match(node.text)
        text = node.text[assigned.end() :] if assigned is not None else node.text
        value, why = self._value(text, dot, cells)
        if assigned is not None:
            cells[assigned[1]] = [value]
        holds = truth(value)
        inner = value if node.word == "with" else dot
        is_either = self.is_open and holds is not None and not _is_of_image(flow([value]))
        if holds is not None and not is_either:
            self._run(node.body if holds else node.other, inner if holds else dot, cells, out)
            return
        if not holds and node.word == "with":
            inner = Made(What.UNKNOWN, value.of)
        title = f"{'else ' if node.is_else else ''}{node.word} {node.text}{why}"
        block = None if self.is_open else Block(title, is_whole=bool(node.other))
        before = [(cell, cell[0]) for cell in cells.values()]
        one = self._forked(node.body, inner, cells, block)
        after = [cell[0] for cell, _was in before]
        for cell, was in before:
            cell[0] = was
        other = self._forked(node.other, dot, cells, block)
        for (cell, _was), first in zip(before, after, strict=True):
            cell[0] = _either(first, cell[0])
        self.place = node.place
        out += self._joined(one, other, block)

    def _forked(
        self, nodes: list[Node], dot: Made, cells: Mapping[str, list[Made]], block: Block | None
    ) -> list[Piece]:
        """Return what one of two ways makes."""
        out: list[Piece] = []
        self.forks += 1
        self._doubts += block is not None
        try:
            self._run(nodes, dot, cells, out)
        except _LeaveError as error:
            raise _TooMuchError from error
        finally:
            self.forks -= 1
            self._doubts -= block is not None
        return out

    def _joined(self, one: list[Piece], other: list[Piece], block: Block | None) -> list[Piece]:
        """Return what one of two texts is: both in their lines, within a line what is not known."""
        first, second = _text(one), _text(other)
        if first == second and None not in (first, second):
            return one
        if None not in (first, second) and not f"{first}{second}".strip():
            return one or other
        if not any(piece.text and "\n" in piece.text for piece in (*one, *other)):
            of = frozenset[tuple[str, ...]]().union(*(piece.of for piece in (*one, *other)))
            return [Piece(None, of, self.place)]
        if block is None:
            return [*one, *other]
        return [
            piece._replace(guards=((block, number), *piece.guards))
            for number, pieces in enumerate((one, other))
            for piece in pieces
        ]

    def _range(
        self, node: Node, dot: Made, outer: Mapping[str, list[Made]], out: list[Piece]
    ) -> None:
        assigned = _SET.match(node.text)
        names = [name for name in assigned.groups()[:2] if name] if assigned is not None else []
        text = node.text[assigned.end() :] if assigned is not None else node.text
        value, why = self._value(text, dot, outer)
        data = value.data
        if data is None or (isinstance(data, Table) and not data.is_root and data.rest is None):
            made = data.items() if data is not None else ()
            is_list = data is not None and data.is_list
            items = [(Made(int(key) if is_list else key), one) for key, one in made]
            if not items and self.is_open and value.of:  # others may give some
                items = [(Made(What.UNKNOWN, value.of),) * 2]
            for index, one in items:
                cells = {**outer, **{name: [index] for name in names[:-1]}}
                cells |= {name: [one] for name in names[-1:]}
                try:
                    self._run(node.body, one, cells, out)
                except _LeaveError as error:
                    if str(error) == "break":
                        break
            if not items:
                self._run(node.other, dot, outer, out)
            return
        item = Made(What.UNKNOWN, flow([value]))
        cells = {**outer, **{name: [item] for name in names}}
        block = None if self.is_open else Block(f"range {node.text}{why}", is_whole=False)
        while True:
            before = [(cell, cell[0]) for cell in outer.values()]
            one_ = self._forked(node.body, item, cells, block)
            for cell, was in before:
                cell[0] = _either(was, cell[0])
            if all(cell[0].data is was.data for cell, was in before):
                break
        out += self._joined(one_, self._forked(node.other, dot, outer, block), block)


def _text(pieces: list[Piece]) -> str | None:
    if any(piece.text is None or piece.guards for piece in pieces):
        return None
    return "".join(piece.text or "" for piece in pieces)


def _either(one: Made, other: Made) -> Made:
    """Return what one of two is."""
    first, second = flat(one).data, flat(other).data
    is_same = first is second or (type(first) is type(second) is str and first == second)
    of = one.of | other.of
    return Made(one.data, of) if is_same else Made(What.UNKNOWN, of | flow([one, other]))


def _is_of_image(of: Of) -> bool:
    """Tell whether a condition asks for nothing but parts of an image."""
    return all(keys and keys[-1] in _OF_IMAGES for keys in of)


GLOBAL = "global"  # values that a chart's dependencies get too
_UNKNOWN = "\0"  # stands where a text is not known
_KEY = regex(r"^(?P<indent>[ \t-]*)[\"']?(?P<key>[\w./-]+)[\"']?[ \t]*:(?=\s|$)")
_TO_IMAGE = r"(?i)(?:^|[\s{,-])[\"']?[\w./-]*image[\"']?[ \t]*:(?:[ \t]+[&!]\S+)?"
_TEXT = r"(?P<text>\"[^\"]*\"|'[^']*'|[^\s\"',}][^\s,}]*)"
_IMAGE = regex(rf"{_TO_IMAGE}[ \t]+{_TEXT}")
_ALONE = regex(rf"[ \t]*{_TEXT}")
_NEXT = regex(rf"{_TO_IMAGE}[ \t]*(?:[>|][-+\d]*)?[ \t]*$")  # its text is in the next line
_LABELS = frozenset({"labels", "matchLabels", "selector", "commonLabels"})
_TPL = regex(r"\btpl\b")
_CONTEXT = ("Chart", "Release", "Capabilities", "Files", "Template", "Subcharts")


@dataclass(frozen=True)
class Image:
    """An image that is made: where, which, if that is known, of what, and under what conditions.

    `is_read` tells that all that makes it stands in the templates.
    """

    place: str
    text: str | None
    name: str
    of: Of
    guards: tuple[tuple[Block, int], ...]
    is_read: bool


@dataclass(frozen=True)
class Line:
    """A line that is made: its pieces, each with where it ends, and whether it makes a label.

    A name has to be like one: it has at most 63 characters, and no at-sign. `is_text` tells that it
    is the text of the image in the line above.
    """

    text: str
    pieces: list[tuple[int, Piece]]
    is_label: bool
    is_text: bool

    @property
    def place(self) -> str:
        """Where it begins, for people."""
        path, line = self.pieces[0][1].place
        return f"{path}:{line}"

    @cached_property
    def of(self) -> Of:
        """The values that it is made of."""
        return NONE.union(*(piece.of for _end, piece in self.pieces))

    def images(self) -> Iterator[Image]:
        """Yield the images in it."""
        is_open = _NEXT.search(self.text) is not None
        for found in () if is_open else (_ALONE if self.is_text else _IMAGE).finditer(self.text):
            first, last = found.span("text")
            starts = [0, *(end for end, _piece in self.pieces)]
            of_it = [
                piece
                for start, (end, piece) in zip(starts, self.pieces, strict=False)
                if start < last and end >= first
            ]
            text = found["text"]
            text = text[1:-1] if text[0] in "\"'" else text
            yield Image(
                self.place,
                text if _UNKNOWN not in text else None,
                split_version(text)[0],
                NONE.union(*(piece.of for piece in of_it)),
                max((piece.guards for piece in of_it), key=len),
                all(piece.is_read for piece in of_it),
            )


class Texts:
    """What the templates of a chart make of values; `texts` are its own and its libraries'.

    `below` are the charts that it takes, by the keys of their values, `name` is its own; one that
    is open may be given other values.
    """

    def __init__(
        self,
        texts: Mapping[str, str],
        own: Iterable[str],
        values: yaml.Node | None,
        below: Mapping[str, str],
        about: Mapping[str, str],
        *,
        is_open: bool,
    ) -> None:
        self.values, self.below, self.has_texts = values, below, bool(texts)
        self.has_tpl = any(_TPL.search(text) for text in texts.values())
        root = dict.fromkeys(_CONTEXT, Made(What.UNKNOWN))
        chart = Table({key: Made(text) for key, text in about.items()})
        chart.rest = Made(What.UNREAD)
        root["Chart"] = Made(chart)
        root["Values"] = made_of(_with_below(values, below), ())
        own = [path for path in own if not posixpath.basename(path).startswith("_")]
        self.made = Chart(texts, own, Table(root), is_open=is_open)
        self.lines = [line for path in own for line in _lines(self.made.made[path])]
        self.images = [image for line in self.lines for image in line.images()]
        # What is no image, nor the lines of a text of which nothing is known.
        self._labels = {
            f"the chart writes the tag into a label or a name too ({line.place})": line.of
            for line in self.lines
            if line.is_label
        }

    @cached_property
    def narrow(self) -> list[tuple[str, Of]]:
        """The values that no digest can stand in, by the reasons for people."""
        counted = (
            (f"the chart computes with the tag ({place})", of) for place, of in self.made.counted
        )
        return [*self._labels.items(), *counted]

    @cached_property
    def beside(self) -> list[tuple[str, Of]]:
        """The values that are written to what is no image, by their places."""
        return [
            (line.place, line.of)
            for line in self.lines
            if line.of and not line.is_label and not any(line.images())
        ]

    @cached_property
    def _read(self) -> Of:
        return NONE.union(*(line.of for line in self.lines))

    @cached_property
    def _unread(self) -> Of:
        """What is given to what is not read."""
        pieces = (piece for line in self.lines for _end, piece in line.pieces)
        return NONE.union(*(piece.of for piece in pieces if not piece.is_read))

    def is_judged(self, keys: Keys) -> bool:
        """Tell whether it changes nothing if it does not read a value."""
        if self.below and (self.made.has_unread or keys[0] == GLOBAL):
            return False
        below = self.below.get(keys[0])  # of a chart below, one without templates reads nothing
        return below != "" and bool(self.has_texts or below)

    def reads(self, keys: Keys) -> bool:
        """Tell whether the templates read a value, as far as they can be followed."""
        return keys in self._read or self._is_in(self._unread, keys)

    def passes(self, keys: Keys) -> bool:
        """Tell whether a value is in something that is passed on as a whole."""
        return self._is_in(self._read, keys)

    @staticmethod
    def _is_in(read: Of, keys: Keys) -> bool:
        return any(keys[:number] in read for number in range(len(keys)))


def covered(ways: list[tuple[tuple[Block, int], ...]]) -> bool:
    """Tell whether something is made whatever holds: under no condition, or both ways."""
    for block in {way[0][0] for way in ways if way}:
        each = [[way[1:] for way in ways if way[:1] == ((block, one),)] for one in (0, 1)]
        if block.is_whole and all(some and covered(some) for some in each):
            return True
    return () in ways


def _lines(pieces: list[Piece]) -> Iterator[Line]:
    above = [(-1, "", False)]  # indentation and key of what a line stands in; is it a label
    is_text = False
    for parts in _split(pieces):
        text, ends = "", []
        for piece in parts:
            text += _UNKNOWN if piece.text is None else piece.text
            ends.append((len(text), piece))
        found = _KEY.match(text)
        if found is not None:
            indent, key = len(found["indent"]), found["key"]
            while above[-1][0] >= indent:
                above.pop()
            is_name = (above[-1][1], key) == ("metadata", "name")
            above.append((indent, key, above[-1][2] or key in _LABELS or is_name))
        if not text.lstrip().startswith("#"):
            yield Line(text, ends, above[-1][2], is_text)
        is_text = _NEXT.search(text) is not None


def _split(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Yield the pieces of each line."""
    line: list[Piece] = []
    for piece in pieces:
        first, *rest = piece.text.split("\n") if piece.text is not None else [None]
        line.append(piece._replace(text=first))
        path, number = piece.place
        for ahead, text in enumerate(rest, start=1):
            yield line
            line = [piece._replace(text=text, place=(path, number + ahead))]
    yield line


def _with_below(values: yaml.Node | None, below: Mapping[str, str]) -> yaml.Node | None:
    """Return values with what Helm makes sure of: each chart that is taken has some."""
    if not isinstance(values, yaml.MappingNode):  # Helm fails, or there are none
        return values
    for key, folder in below.items():
        if find(values, key) is None:
            some = mapping((), values) if folder else opaque_node(values)
            values = with_path(values, (key,), some)
    return values
