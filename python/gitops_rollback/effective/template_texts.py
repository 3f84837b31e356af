"""The lines that a chart's templates make: images, labels, and of which values. Pure."""

from __future__ import annotations

import posixpath
from functools import cached_property
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.expressions import (
    NONE,
    Made,
    Table,
    What,
    made_of,
)
from gitops_rollback.effective.rendering import Chart
from gitops_rollback.effective.tree import find, mapping, opaque_node, with_path
from gitops_rollback.late import dataclass, regex
from gitops_rollback.manifest.image_field import split_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gitops_rollback.effective.expressions import Block, Keys, Of, Piece

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
