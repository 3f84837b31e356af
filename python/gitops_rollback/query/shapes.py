"""What a tag is made of: a version, a date, a number, a commit id, and the text around them. Pure.

A tag is read in the company of the others, for alone it can be ambiguous: `1932033` is a commit id
among commit ids and a number among numbers, and `-17` after a version is a build where it counts
builds and a base image where it names one. What stands around the ordered parts is the variant and
is compared exactly, as Renovate's docker versioning does (renovatebot/renovate,
lib/modules/versioning/docker): digits in it (`-alpine3.18`, `python3.12-`, `-cuda12.4`) are no
version. `v` before a version is no variant. Where two tags have no order, the reason is said.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass, regex, replace
from gitops_rollback.query.pieces import (
    AFTER,
    BASES,
    COMMIT,
    COUNTED,
    DATE,
    DAY,
    LEAST_RELEASE,
    MACHINES,
    NAMED,
    NUMBER,
    TIME,
    VERSION,
    Piece,
    letter_rank,
    may_be_base,
    pieces_of,
    settled,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OLDER, NEWER, SAME, UNORDERED, OTHER = "older", "newer", "same", "unordered", "other"
DOUBTFUL = "doubtful"  # it may be the one before, and may be another thing
IS_NEWER = "it is a newer "  # begins the reason of what no rollback leads to

_NAMES = {
    VERSION: "a version",
    DATE: "a date",
    TIME: "a time",
    NUMBER: "a number",
    COMMIT: "a commit id",
    DAY: "a date",
}
_NO_ORDER = {
    COMMIT: "commit ids have no order",
    DAY: "which number of its date is the day, and which the month, nothing tells",
}

_LEAST_COMMIT = 7  # digits of a short commit id
_LEAST_COUNTED = 3  # tags whose numbers go up with their versions, to be taken for a count
_WORDED = regex(r"((?:[A-Za-z0-9]*[A-Za-z])?)(\d{1,9}(?:\.\d{1,9})*)", re.ASCII)
_FIGURES = "0123456789."
_PATCH_LETTERS = regex(r"[a-z]|z[a-z]", re.ASCII)
_DATE_DIGITS = 8
_DAY_FORMATS = ("%d%m%Y", "%m%d%Y", "%d%m%y", "%m%d%y")
_SHORT_DAY = regex(r"\d\d([-_.]?)\d\d\1\d\d", re.ASCII)
_PIECES_OF_DAY = 5  # three numbers, and what stands between them
_YEARS = range(1990, 2100)
_SHORT_YEARS = range(2013, 2050)  # since there are images

Order = tuple[Any, ...]  # parts of one template are of the same kinds, and compare


@dataclass(frozen=True)
class Relation:
    """How a tag stands to the running one, and why where that is not plain."""

    kind: str
    reason: str = ""


@dataclass(frozen=True)
class Shape:
    """A tag taken apart. Tags whose `template` is the same are tags of one kind of image."""

    name: str
    pieces: tuple[Piece, ...]

    @cached_property
    def template(self) -> tuple[str, ...]:
        """The text as it stands, and the kinds of what varies; compared exactly."""
        parts: list[str] = []
        for piece in self.pieces:
            if not piece.kind:
                parts.append(piece.text)
            elif piece.kind == VERSION:
                parts.append(f"<{VERSION} of {len(piece.numbers)}>")
            else:
                parts.append(f"<{piece.kind}>")
        return tuple(parts)

    @cached_property
    def order(self) -> Order:
        """What tags of one template are ordered by; empty where nothing orders them.

        The version first, wherever it stands: a hotfix may be built after a newer version.
        """
        version = self.version
        rest = [piece.numbers for piece in self.pieces if piece.kind in (DATE, TIME, NUMBER)]
        if version is None:
            return tuple(rest)
        release = (1,) if version.pre is None else (0, *version.pre)
        return (version.numbers, release, version.letters, version.distance, *rest)

    @property
    def kind(self) -> str:
        """What orders it: the first of version, date, time, number; else day or commit; else ""."""
        kinds = [piece.kind for piece in self.pieces]
        return next((k for k in (VERSION, DATE, TIME, NUMBER, DAY, COMMIT) if k in kinds), "")

    @property
    def version(self) -> Piece | None:
        """The version in it, if there is one."""
        return next((piece for piece in self.pieces if piece.kind == VERSION), None)

    @property
    def words(self) -> list[str]:
        """The text that is no number and says of none what it counts."""
        texts = [piece.text for piece in self.pieces if not piece.kind]
        return [text for text in texts if text.isalnum() and text.lower() not in COUNTED]

    @property
    def is_pre_release(self) -> bool:
        """Whether it is a pre-release, or a commit after a release."""
        version = self.version
        return version is not None and (version.pre is not None or version.distance > 0)

    @property
    def doubt(self) -> str:
        """Why nothing tells its version: `1.4` and `3.7.0` stand in it, with a word between."""
        version = self.version
        if version is None or len(version.numbers) >= LEAST_RELEASE:
            return ""
        other = next(
            (p for p in self.pieces if not p.kind and len(p.numbers) >= LEAST_RELEASE), None
        )
        return (
            f"nothing tells which is the release, {version.text} or {other.text}" if other else ""
        )

    def is_finer(self, other: Shape) -> bool:
        """Whether it is `1.4.1` where that is `1.5`: what came between 1.4 and 1.5, if it did."""
        versions = [shape.version for shape in (self, other)]
        around = [
            [
                part
                for piece, part in zip(shape.pieces, shape.template, strict=True)
                if piece is not version
            ]
            for shape, version in zip((self, other), versions, strict=True)
        ]
        is_longer = len(self.version_numbers) > len(other.version_numbers)
        return other.version is not None and is_longer and around[0] == around[1]

    def is_release_of(self, floating: Shape) -> bool:
        """Whether it is `1.4.2-alpine` where that is `1.4-alpine`."""
        own, other = self.version_numbers, floating.version_numbers
        texts = [
            [piece.text for piece in shape.pieces if piece.numbers != shape.version_numbers]
            for shape in (self, floating)
        ]
        is_longer = 0 < len(other) < len(own)
        return is_longer and own[: len(other)] == other and texts[0] == texts[1]

    @property
    def version_numbers(self) -> tuple[int, ...]:
        """The numbers of its version, or the one number it is; else none."""
        if self.version is not None:
            return self.version.numbers
        return self.pieces[0].numbers if [p.kind for p in self.pieces] == [NUMBER] else ()

    @property
    def form(self) -> str:
        """The tag with names for what varies, for people: `VERSION-alpine3.18`."""
        return "".join(
            piece.text if not piece.kind else piece.kind.upper() for piece in self.pieces
        )


class Shapes:
    """The shapes of all tags of a repository."""

    def __init__(self, names: Iterable[str]) -> None:
        shapes = [Shape(name, tuple(pieces_of(name))) for name in dict.fromkeys(names)]
        self._commits = _commit_forms(shapes)
        shapes = [self._settle(shape) for shape in shapes]
        self._days = _day_formats(shapes)
        self._counters = _counters(shapes)
        self._lettered = _lettered(shapes)
        shapes = [self._in_company(shape) for shape in shapes]
        self._named = _named_numbers(shapes)
        self._shapes = {shape.name: _with_named(shape, self._named) for shape in shapes}
        self._variants = _variants(self._shapes.values())

    def of(self, name: str) -> Shape:
        """Return the shape of a tag, among the others or not."""
        if name not in self._shapes:
            shape = self._in_company(self._settle(Shape(name, tuple(pieces_of(name)))))
            self._shapes[name] = _with_named(shape, self._named)
        return self._shapes[name]

    def _settle(self, shape: Shape) -> Shape:
        told = _with_commits(shape, self._commits)
        return Shape(shape.name, tuple(settled(shape.name, told.pieces)))

    def _in_company(self, shape: Shape) -> Shape:
        read = _with_counters(_with_days(shape, self._days), self._counters)
        return _with_patches(_with_letters(read, self._lettered))

    def compare(self, name: str, running: str) -> Relation:
        """Tell whether a tag is of the running tag's kind, and before or after it."""
        one, other = self.of(name), self.of(running)
        if one.template != other.template and not one.is_finer(other):
            return Relation(OTHER, _why_other(one, other))
        if one.is_pre_release and not other.is_pre_release:
            return Relation(OTHER, "it is a pre-release, and the running one is a release")
        doubt = self._doubt(one, other)
        if doubt:
            return Relation(DOUBTFUL, doubt)
        if not other.order:
            return Relation(UNORDERED, _NO_ORDER.get(other.kind, "words have no order"))
        if one.order == other.order:
            return Relation(SAME, f"it is of the same {_plain(other.kind)} as the running one")
        newer = Relation(NEWER, f"{IS_NEWER}{_plain(other.kind)} than the running one")
        return Relation(OLDER) if one.order < other.order else newer

    def _doubt(self, one: Shape, other: Shape) -> str:
        """Say why a tag of the running tag's form may be no release to go back to.

        `-acme1` and `-acme2` of one version may be its builds: as names of variants they should
        both be there of the running version, too.
        """
        for place, _word, number in _worded(one):
            by_version = self._variants.get((_open_template(one, place), place), {})
            mine = by_version.get(_company(one), {number})
            if max(mine) > number and not mine <= by_version.get(_company(other), set()):
                shown = ", ".join(".".join(map(str, count)) for count in sorted(mine))
                return f"nothing tells whether {shown} behind its version count builds"
        return other.doubt

    def may_be_commits(self, name: str) -> bool:
        """Tell whether a tag's only number could as well be a commit id that has no letter."""
        ordered = [piece for piece in self.of(name).pieces if piece.kind]
        kinds = [piece.kind for piece in ordered]
        return (
            kinds == [NUMBER]
            and not ordered[0].is_counter
            and len(ordered[0].text) >= _LEAST_COMMIT
        )

    def is_version_tag(self, name: str) -> bool:
        """Tell whether a tag names one build: a version, date, number or commit id.

        Words alone are none, nor is what moves on: `v1`, and `1.4` where there is a 1.4.2.
        """
        shape = self.of(name)
        return bool(shape.kind) and not self.is_floating(name)

    def releases_of(self, name: str) -> list[str]:
        """Return the releases of a tag that is shorter, 1.4.1 and 1.4.2 of 1.4: it may be any."""
        shape = self.of(name)
        return [other.name for other in self._shapes.values() if other.is_release_of(shape)]

    def is_floating(self, name: str) -> bool:
        """Tell whether a tag is moved from release to release, as `1.4` is where 1.4.2 exists."""
        shape = self.of(name)
        is_lone = shape.version is not None and len(shape.version_numbers) == 1
        return is_lone or shape.version_numbers in self._beginnings

    def exact(self, name: str, aliases: Iterable[str]) -> str:
        """Return which of some names for the same image is the release that `1.4` moved on to.

        That is the name itself where it moves on to none.
        """
        floating = self.of(name)
        exact = [shape for shape in map(self.of, aliases) if shape.is_release_of(floating)]
        return max(exact, key=lambda shape: len(shape.version_numbers), default=floating).name

    @cached_property
    def _beginnings(self) -> frozenset[tuple[int, ...]]:
        found = set()
        for shape in self._shapes.values():
            version = shape.version
            if version is not None:
                found |= {version.numbers[:end] for end in range(1, len(version.numbers))}
        return frozenset(found)


def is_version_tag(name: str, others: Iterable[str] = ()) -> bool:
    """Tell whether a tag names one build, in the company of others: see `Shapes`."""
    return Shapes([name, *others]).is_version_tag(name)


def _plain(kind: str) -> str:
    return _NAMES[kind].partition(" ")[2]


def _why_other(one: Shape, other: Shape) -> str:
    """Say in what a tag is of another kind than the running one."""
    if one.kind != other.kind:
        if not one.kind:
            return f"it names no {_plain(other.kind)}" if other.kind else "it is another word"
        runs = _NAMES.get(other.kind, "a word")
        return f"it is {_NAMES[one.kind]}, and what runs is {runs}"
    one_version, other_version = one.version, other.version
    if one_version and other_version:
        lengths = len(one_version.numbers), len(other_version.numbers)
        if lengths[0] != lengths[1]:
            return f"its version has {_count(lengths[0])}, the running one {lengths[1]}"
    return f"it is of another form, {one.form}, than the running tag, {other.form}"


def _count(number: int) -> str:
    return f"{number} number{'s' if number > 1 else ''}"


def _commit_forms(shapes: Iterable[Shape]) -> frozenset[tuple[tuple[str, ...], int, int]]:
    """Return where commit ids stand that have a letter: template, place, and length."""
    return frozenset(
        (shape.template, place, len(piece.commit))
        for shape in shapes
        for place, piece in enumerate(shape.pieces)
        if piece.kind == COMMIT
    )


def _with_commits(shape: Shape, forms: frozenset[tuple[tuple[str, ...], int, int]]) -> Shape:
    """Read digits as a commit id where the others of its length there are commit ids."""
    for place, piece in enumerate(shape.pieces):
        parts = _ending_in_commit(piece)
        if not parts:
            continue
        other = _replaced(shape, place, parts)
        here = place + len(parts) - 1
        if (other.template, here, len(parts[-1].commit)) in forms:
            return _with_commits(other, forms)
    return shape


def _ending_in_commit(piece: Piece) -> tuple[Piece, ...]:
    """Return what a piece is if its last digits are a commit id; () if they are too few."""
    before, dot, last = piece.text.rpartition(".")
    is_whole = piece.pre is None and not piece.distance
    if piece.kind not in (NUMBER, TIME, VERSION) or not is_whole or len(last) < _LEAST_COMMIT:
        return ()
    commit = Piece(COMMIT, last, commit=last)
    return (*pieces_of(before), Piece("", dot), commit) if dot else (commit,)


def _replaced(shape: Shape, place: int, parts: Iterable[Piece]) -> Shape:
    return replace(shape, pieces=(*shape.pieces[:place], *parts, *shape.pieces[place + 1 :]))


_Place = tuple[tuple[str, ...], int]  # the template of tags, and a place in it


def _day_formats(shapes: Iterable[Shape]) -> dict[_Place, str]:
    """Return how dates that end in their year are read, by their places: "" where that is open.

    Digits are such dates only where all of them are that stand there. What reads as a date that
    begins with its year is one: its numbers order it. It is none where one year ends it always.
    """
    found: dict[_Place, set[str]] = {}
    for shape in shapes:
        for place in range(len(shape.pieces)):
            digits = _day_at(shape, place)[0]
            if digits is not None:
                found.setdefault((shape.template, place), set()).add(digits)
    return {key: form for key, texts in found.items() if (form := _day_format(texts)) is not None}


def _day_format(texts: set[str]) -> str | None:
    if all(_date(text, "%y%m%d") for text in texts):
        years, firsts = ({text[at : at + 2] for text in texts} for at in (4, 0))
        if len(years) > 1 or len(firsts) < _LEAST_COUNTED:
            return None
    if not any("0" in text[:3:2] for text in texts):
        return None  # the days and months of a year have a 0 before them, versions have not
    fitting = [form for form in _DAY_FORMATS if all(_date(text, form) for text in texts)]
    return (fitting[0] if len(fitting) == 1 else "") if fitting else None


def _day_at(shape: Shape, place: int) -> tuple[str | None, int]:
    """Return digits that may be a date that ends in its year, and of how many pieces they are.

    None where none can stand; "" where another number does: then none of that place is a date.
    """
    piece = shape.pieces[place]
    if piece.kind not in (DAY, NUMBER, VERSION):
        return None, 0
    five = shape.pieces[place : place + _PIECES_OF_DAY]
    if len(piece.text) == len("01") and _SHORT_DAY.fullmatch("".join(one.text for one in five)):
        return _digits(*five), len(five)
    digits = _digits(piece)
    is_short = _SHORT_DAY.fullmatch(piece.text) is not None and not (piece.pre or piece.distance)
    is_plain = piece.kind == NUMBER and len(digits) == _DATE_DIGITS
    return (digits if piece.kind == DAY or is_short or is_plain else ""), 1


def _with_days(shape: Shape, formats: dict[_Place, str]) -> Shape:
    read = shape
    for place in reversed(range(len(shape.pieces))):
        form = formats.get((shape.template, place))
        digits, count = _day_at(shape, place)
        numbers = _date(digits, form) if form and digits else ()
        if digits and form is not None and (numbers or not form):
            text = "".join(one.text for one in shape.pieces[place : place + count])
            told = Piece(DATE if numbers else DAY, text, numbers)
            read = replace(read, pieces=(*read.pieces[:place], told, *read.pieces[place + count :]))
    return read


def _digits(*pieces: Piece) -> str:
    return re.sub(r"[^0-9]", "", "".join(piece.text for piece in pieces))


def _date(text: str, form: str) -> tuple[int, ...]:
    """Return a date as `DATE` has it, (20260131, 0); () where the text is none of that form."""
    try:
        moment = datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return ()
    years = _YEARS if "%Y" in form else _SHORT_YEARS
    return (int(f"{moment:%Y%m%d}"), 0) if moment.year in years else ()


def _counters(shapes: Iterable[Shape]) -> frozenset[_Place]:
    """Return where a word's number counts builds: `4.0.1-qx31`, `-qx-31`, `1.4.2-alpine-41`.

    What names a base stands behind several versions with the same number, or with another one
    behind the same version; a few tags prove nothing. Behind the word of a base it counts where it
    is never the same, and one of them cannot be a version of that base.
    """
    found: dict[_Place, list[tuple[Order, tuple[int, ...]]]] = {}
    bases: dict[_Place, list[tuple[str, str, Order]]] = {}
    for shape in shapes:
        for place, _word, number in _worded(shape):
            key = _open_template(shape, place), place
            found.setdefault(key, []).append((shape.order, number))
        for place, base in _based(shape):
            key = _open_template(shape, place), place
            bases.setdefault(key, []).append((base, shape.pieces[place].text, shape.order))
    return frozenset(
        [key for key, pairs in found.items() if _goes_up(pairs) or _begins_anew(pairs)]
        + [key for key, numbers in bases.items() if _is_no_base(numbers)]
    )


def _is_no_base(numbers: list[tuple[str, str, Order]]) -> bool:
    doubts = [may_be_base(base, number) for base, number, _order in numbers]
    is_alone = len({number for _base, number, _order in numbers}) == len({*numbers})
    if not is_alone or all(doubts):
        return False
    return not any(doubts) or _goes_up([(order, (int(text),)) for _base, text, order in numbers])


def _begins_anew(pairs: list[tuple[Order, tuple[int, ...]]]) -> bool:
    """Tell whether numbers begin with 1 behind each version: some with fewer than those around.

    Variants are there for each version; one may come or go, but does not come back.
    """
    by_version: dict[Order, set[int]] = {}
    for order, number in pairs:
        by_version.setdefault(order, set()).add(number[0] if len(number) == 1 else 0)
    counts = [by_version[order] for order in sorted(by_version)]
    sizes = [len(count) for count in counts]
    inner = range(1, len(sizes) - 1)
    dips = (max(sizes[:at]) > sizes[at] < max(sizes[at + 1 :]) for at in inner)
    return all(count == {*range(1, len(count) + 1)} for count in counts) and any(dips)


def _goes_up(pairs: list[tuple[Order, tuple[int, ...]]]) -> bool:
    numbers = [number for _order, number in sorted(pairs)]
    versions = {order for order, _number in pairs}
    is_many = len(numbers) >= _LEAST_COUNTED and len(versions) > 1
    return is_many and all(one < other for one, other in pairwise(numbers))


def _with_counters(shape: Shape, counters: frozenset[_Place]) -> Shape:
    read = shape
    based = ((place, "", (int(shape.pieces[place].text),)) for place, _base in _based(shape))
    for place, word, number in sorted([*_worded(shape), *based], reverse=True):
        if (_open_template(shape, place), place) in counters:
            text = shape.pieces[place].text.removeprefix(word)
            counter = Piece(NUMBER, text, number, is_counter=True)
            read = _replaced(read, place, [Piece("", word), counter])
    return read


def _worded(shape: Shape) -> Iterator[tuple[int, str, tuple[int, ...]]]:
    """Yield the numbers behind a version and a word that is no base: place, their word, number.

    The word is empty where something stands between it and the number.
    """
    kinds = [piece.kind for piece in shape.pieces]
    version = kinds.index(VERSION) if VERSION in kinds else len(kinds)
    before = ""
    for place, piece in enumerate(shape.pieces[version + 1 :], version + 1):
        found = _WORDED.fullmatch(piece.text) if not piece.kind else None
        is_base = (found[1] or before).lower() in (*BASES, *NAMED) if found else True
        if found and not is_base and piece.text not in MACHINES:
            yield place, found[1], tuple(int(number) for number in found[2].split("."))
        if piece.text[-1:].isalnum():
            before = piece.text if piece.text[-1:].isalpha() else ""


def _based(shape: Shape) -> Iterator[tuple[int, str]]:
    """Yield the numbers behind a version and the word of a base, `-alpine-41`: place and word."""
    kinds = [piece.kind for piece in shape.pieces]
    version = kinds.index(VERSION) if VERSION in kinds else len(kinds)
    for place, piece in enumerate(shape.pieces[version + 3 :], version + 3):
        word = shape.pieces[place - 2].text.lower()
        is_apart = not piece.kind and piece.text.isdecimal() and shape.pieces[place - 1].text == "-"
        if is_apart and word in BASES:
            yield place, word


def _open_template(shape: Shape, place: int) -> tuple[str, ...]:
    """Return the template with a word's number, or what is no word but counts, left out."""
    template = shape.template
    word = "" if _PATCH_LETTERS.fullmatch(template[place]) else template[place].rstrip(_FIGURES)
    return (*template[:place], word, *template[place + 1 :])


def _lettered(shapes: Iterable[Shape]) -> frozenset[_Place]:
    """Return where letters directly behind a version count its patches: `1.1.1v`, `1.1.1w`.

    They do where they follow each other behind each version, and are three behind one of them, or
    not the same ones behind all: variants (`1.4.2g`, `1.4.2s`) are there for each version.
    """
    found: dict[_Place, dict[tuple[int, ...], set[int]]] = {}
    for shape in shapes:
        place, rank = _letters(shape)
        if rank:
            key = _open_template(shape, place), place
            numbers = shape.pieces[place - 1].numbers
            found.setdefault(key, {}).setdefault(numbers, set()).add(rank)
    return frozenset(key for key, ranks in found.items() if _count_patches([*ranks.values()]))


def _variants(shapes: Iterable[Shape]) -> dict[_Place, dict[object, set[tuple[int, ...]]]]:
    """Return the numbers behind words that may name a base or count builds, by their versions."""
    found: dict[_Place, dict[object, set[tuple[int, ...]]]] = {}
    for shape in shapes:
        for place, _word, number in _worded(shape):
            key = _open_template(shape, place), place
            found.setdefault(key, {}).setdefault(_company(shape), set()).add(number)
    return found


def _count_patches(ranks: list[set[int]]) -> bool:
    follow = all(max(one) - min(one) == len(one) - 1 for one in ranks)
    most = max(len(one) for one in ranks)
    return follow and (most >= _LEAST_COUNTED or (most > 1 and any(r != ranks[0] for r in ranks)))


def _letters(shape: Shape) -> tuple[int, int]:
    """Return the place of the letters directly behind a version, and what they count; 0 if none."""
    for place, (piece, after) in enumerate(pairwise(shape.pieces), 1):
        if piece.kind == VERSION:
            is_plain = piece.pre is None and not piece.distance and not after.kind
            found = is_plain and _PATCH_LETTERS.fullmatch(after.text)
            return place, letter_rank(after.text) if found else 0
    return 0, 0


def _with_letters(shape: Shape, lettered: frozenset[_Place]) -> Shape:
    place, rank = _letters(shape)
    if not rank or (_open_template(shape, place), place) not in lettered:
        return shape
    version, letters = shape.pieces[place - 1 : place + 1]
    whole = replace(version, text=version.text + letters.text, letters=rank)
    return replace(shape, pieces=(*shape.pieces[: place - 1], whole, *shape.pieces[place + 1 :]))


def _with_patches(shape: Shape) -> Shape:
    """Read `1.4.2-hotfix.1` as what came after 1.4.2: the first patch of it."""
    version = shape.version
    place = shape.pieces.index(version) if version is not None else 0
    tail = [one for one in enumerate(shape.pieces[place + 1 :], place + 1) if one[1].text.isalnum()]
    if version is None or version.pre or version.distance or version.letters or len(tail) <= 1:
        return shape
    (_, word), (end, number) = tail[:2]
    if word.text.lower() not in AFTER or number.kind != NUMBER:
        return shape
    text = "".join(piece.text for piece in shape.pieces[place : end + 1])
    whole = replace(version, text=text, letters=number.numbers[0] + 1)
    return replace(shape, pieces=(*shape.pieces[:place], whole, *shape.pieces[end + 1 :]))


_Named = frozenset[_Place]


def _named_numbers(shapes: Iterable[Shape]) -> _Named:
    """Return where numbers stand that name a thing and do not count builds.

    A build number belongs to one build. Where the same number stands beside several commit ids it
    is a branch's or an issue's; where it stands behind several versions it counts the revisions of
    each (1, 2, 3: some may be deleted) or names a base (8, 11, 17); as `v7` and `v8` behind each
    version do.
    """
    generations: set[_Place] = set()
    groups: dict[tuple[tuple[str, ...], int], dict[object, set[int]]] = {}
    beside: dict[tuple[tuple[str, ...], int], dict[int, set[object]]] = {}
    for shape in shapes:
        company = _company(shape)
        for place, piece in enumerate(shape.pieces):
            key = (shape.template, place)
            if place and shape.pieces[place - 1].text in ("v", "V"):
                generations.add(key)
            counts = piece.is_counter and key not in generations
            if piece.kind != NUMBER or counts or company is None:
                continue
            groups.setdefault(key, {}).setdefault(company, set()).add(piece.numbers[0])
            beside.setdefault(key, {}).setdefault(piece.numbers[0], set()).add(company)
    return frozenset(
        key
        for key, companies in beside.items()
        if any(len(with_it) > 1 for with_it in companies.values())
        and not all(min(numbers) <= 1 for numbers in groups[key].values())
        and (key not in generations or len({frozenset(one) for one in groups[key].values()}) == 1)
    )


def _company(shape: Shape) -> object | None:
    """Return what a number of a tag should belong to alone: its version, else its commit."""
    version = shape.version
    if version is not None:
        return version.numbers, version.pre
    return next((piece.commit for piece in shape.pieces if piece.kind == COMMIT), None)


def _with_named(shape: Shape, named: _Named) -> Shape:
    places = {place for template, place in named if template == shape.template}
    if not places:
        return shape
    pieces = (
        Piece("", piece.text) if place in places else piece
        for place, piece in enumerate(shape.pieces)
    )
    return replace(shape, pieces=tuple(pieces))
