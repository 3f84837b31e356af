"""What expressions of a chart's templates make of its values. Pure.

pkg.go.dev/text/template, masterminds.github.io/sprig, helm.sh/docs/chart_template_guide. Of all
that is made it is kept which values it is made of. What is not followed is not known (`What`), and
so is all that is made of it; that on which Helm fails is told (`FailsError`).
"""

from __future__ import annotations

import json
import math
import operator
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import yaml

from gitops_rollback.effective.tree import OPAQUE, entries
from gitops_rollback.late import regex
from gitops_rollback.manifest.document import is_null, truth_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from gitops_rollback.effective.rendering import Chart

Keys = tuple[str, ...]  # of a value: `.Values.image.tag` is ("image", "tag")
Of = frozenset[Keys]
NONE: Of = frozenset()
ALL: Of = frozenset([()])  # any of the values
TOKEN = regex(r"\)(?:\.[\w-]+)*|[(|]|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|[^\s()|\"`]+")
_WORD = regex(r"[A-Za-z]\w*")
_ZERO = regex(r"[-+]?0*\.?0*")
_WHOLE = regex(r"[-+]?(?:0|[1-9]\d{0,14})")
_VERB = regex(r"%(.?)")
_SAFE = regex(r"[A-Za-z/][\w./@-]*(?::[\w./@-]+)*")
_LONGEST = 5_000  # characters of a text that is made
_BIGGEST = 1_000_000  # of numbers that Go writes out


class NotFollowedError(Exception):
    """Raised for what is not followed."""


class FailsError(NotFollowedError):
    """Raised for that on which Helm fails."""


class What(Enum):
    """What is not known: at all, because it is not read here, or but for that it is its own."""

    UNKNOWN = "unknown"
    UNREAD = "unread"
    OWN = "own"


class Made(NamedTuple):
    """Something that is made, and the values that it is made of."""

    data: object = None
    of: Of = NONE


class Piece(NamedTuple):
    """A part of a text, None where it is not known, with its place: a file, and a line.

    `guards` are the conditions that it stands under and that are not followed, the outermost first.
    """

    text: str | None
    of: Of
    place: tuple[str, int]
    guards: tuple[tuple[Block, int], ...] = ()
    is_read: bool = True


class Block:
    """A condition that is not followed; `is_whole` tells that one of its branches is made."""

    def __init__(self, title: str, *, is_whole: bool) -> None:
        self.title, self.is_whole = title, is_whole


class Rope(NamedTuple):
    """A text in pieces; one that is not exact says the same in other words."""

    pieces: tuple[Piece, ...]
    is_exact: bool = True


class Table:
    """A mapping or a list of what is made; `of` is where it stands in the values, if it does.

    `rest` is what any other key may have.
    """

    def __init__(
        self,
        items: Mapping[str, Made | yaml.Node],
        of: Keys | None = None,
        *,
        is_list: bool = False,
    ) -> None:
        self._items, self.of, self.is_list = dict(items), of, is_list
        self.is_root = False
        self.rest: Made | None = None

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> Made:
        """Return what a key has; nothing where it is not there."""
        found = self._items.get(key)
        if isinstance(found, yaml.Node):
            found = self._items[key] = made_of(found, (*(self.of or ()), key))
        if found is None:
            found = self.rest or Made(
                None, NONE if self.of is None else frozenset([(*self.of, key)])
            )
        return found

    def has(self, key: str) -> bool:
        """Tell whether a key is there."""
        return key in self._items

    def put(self, key: str, value: Made) -> None:
        """Set what a key has."""
        self._items[key] = value

    def items(self) -> Iterator[tuple[str, Made]]:
        """Yield the entries as Go has them, by their keys."""
        for key in self._items if self.is_list else sorted(self._items):
            yield key, self.get(key)

    def spoil(self, of: Of) -> None:
        """Let any key have anything."""
        for key in self._items:
            self._items[key] = Made(What.UNKNOWN, of | flow([self.get(key)]))
        self.rest = Made(What.UNKNOWN, of)


def made_of(node: yaml.Node | None, of: Keys) -> Made:
    """Return a value of a file as templates get it."""
    where = frozenset([of])
    if isinstance(node, yaml.MappingNode):
        return Made(Table(entries(node), of), where)
    if isinstance(node, yaml.SequenceNode):
        items = {str(number): one for number, one in enumerate(node.value)}
        return Made(Table(items, of, is_list=True), where)
    return Made(_plain(node), where)


def _plain(node: yaml.Node | None) -> object:
    if node is None or is_null(node):
        return None
    kind, text = node.tag.rpartition(":")[2], str(node.value)
    if node.tag == OPAQUE or "${" in text:  # which Flux may make anything of
        return What.UNKNOWN
    truth = truth_of(node)
    if truth is not None:
        return truth
    if kind in ("int", "float"):  # to a template each is a float
        if _WHOLE.fullmatch(text):
            return float(text)
        return 0.0 if _ZERO.fullmatch(text) else math.nan  # which one it is, is not compared
    return text


def flow(given: Iterable[Made], above: frozenset[int] = frozenset()) -> Of:
    """Return the values that something is made of."""
    found: set[Keys] = set()
    for one in given:
        data = one.data
        found |= one.of
        if isinstance(data, Rope):
            found = found.union(*(piece.of for piece in data.pieces))
        elif (
            isinstance(data, Table)
            and data.of is None
            and not data.is_root
            and id(data) not in above
        ):
            below = (value for _key, value in data.items())
            found |= flow(below, above | {id(data)})
            found |= data.rest.of if data.rest is not None else NONE
    return frozenset(found)


def truth(value: Made) -> bool | None:
    """Tell whether something counts as true; None where that is not known."""
    data = value.data
    if isinstance(data, Rope):
        if any(piece.text for piece in data.pieces):
            return True
        return None if any(piece.text is None for piece in data.pieces) else False
    if isinstance(data, Table):
        return True if len(data) or data.is_root else None if data.rest is not None else False
    return None if isinstance(data, What) else bool(data)


def flat(value: Made) -> Made:
    """Return something as it is handed to a function: a text in one piece."""
    if not isinstance(value.data, Rope):
        return value
    pieces, of = value.data.pieces, value.of or flow([value])  # of another text: of all of it
    if all(piece.text is not None for piece in pieces) and value.data.is_exact:
        return Made("".join(piece.text or "" for piece in pieces), of)
    is_unread = not any(piece.text is None and piece.is_read for piece in pieces)
    return Made(What.UNREAD if is_unread and value.data.is_exact else What.UNKNOWN, of)


class Reading:
    """An expression that is read, whose tokens are taken from behind; `of` is what it looked at."""

    def __init__(self, scope: Chart, dot: Made, cells: Mapping[str, list[Made]], text: str) -> None:
        self._scope, self._dot, self._cells = scope, dot, cells
        self._tokens = TOKEN.findall(text)[::-1]
        self.of = NONE

    def value(self) -> Made:
        """Return what the expression makes."""
        found = self._pipeline()
        if self._tokens:
            raise NotFollowedError
        return found

    def _pipeline(self) -> Made:
        value = self._command([])
        while self._tokens[-1:] == ["|"]:
            self._tokens.pop()
            value = self._command([value])
        return value

    def _command(self, piped: list[Made]) -> Made:
        """Read a function with what it is given, or one value."""
        name = self._tokens[-1] if self._tokens else ""
        if not _WORD.fullmatch(name) or name in _WORDS:
            return self._method(self._operand(), piped)
        self._tokens.pop()
        return self._called(name, [*self._arguments(name), *piped])

    def _arguments(self, name: str) -> Iterator[Made]:
        is_over = False
        while self._tokens and self._tokens[-1][0] not in ")|":
            if is_over:
                self._skip()  # as Go does: what comes behind is not looked at
                continue
            value = self._operand()
            is_over = name in ("and", "or") and truth(value) in (None, name == "or")
            yield value

    def _method(self, value: Made, piped: list[Made]) -> Made:
        given = [*self._arguments(""), *piped]
        if not given:
            return value
        if not isinstance(value.data, What):
            raise NotFollowedError
        return Made(value.data, flow([value, *given]))

    def _skip(self) -> None:
        """Leave out one operand."""
        depth = 0
        while self._tokens:
            first = self._tokens.pop()[0]
            depth += (first == "(") - (first == ")")
            if depth <= 0:
                return
        raise NotFollowedError

    def _operand(self) -> Made:
        if not self._tokens:
            raise NotFollowedError
        token = self._tokens.pop()
        if token == "(":  # noqa: S105 - no password
            value = self._pipeline()
            if not self._tokens or self._tokens[-1][0] != ")":
                raise NotFollowedError
            value = self._below(value, self._tokens.pop()[1:], "(...)")
        elif token[0] == ".":
            value = self._below(self._dot, token, "")
        elif token[0] == "$":
            name, _, keys = token.partition(".")
            if name not in self._cells:
                raise NotFollowedError
            value = self._below(self._cells[name][0], f".{keys}", name)
        else:
            value = self._word(token)
        self.of |= flow([value])
        return value

    def _word(self, token: str) -> Made:
        if token[0] == "`":
            return Made(token[1:-1])
        if token[0] == '"':
            try:
                return Made(json.loads(token))
            except ValueError:
                raise NotFollowedError from None
        if _WHOLE.fullmatch(token):
            return Made(int(token))
        if _WORD.fullmatch(token) and token not in _WORDS:
            return self._called(token, [])
        if token not in _WORDS:
            raise NotFollowedError
        return Made(_WORDS[token])

    def _below(self, value: Made, path: str, name: str) -> Made:
        """Return what stands below some keys.

        Of nothing it is nothing; but Helm fails on those of an object that is not there.
        """
        is_nothing = value.data is None
        for key in (key for key in path.split(".") if key):
            data, [*places] = value.data, value.of
            title = f".Values.{'.'.join(places[0])}" if len(places) == 1 else name
            of = frozenset((*one, key) for one in value.of)
            if isinstance(data, Table) and not data.is_list:
                value = data.get(key)
            elif isinstance(data, What):
                value = Made(What.UNKNOWN if data is What.OWN else data, of)
            elif data is None and (is_nothing or self._scope.is_open):
                value = Made(None, of)
            elif self._scope.is_open:
                value = Made(What.UNKNOWN, of)
            else:
                what = _KINDS.get(type(data), "no object")
                said = f"there is no {title}" if data is None else f"{title} is {what}"
                why = f"{said}, and so Helm fails on {title}.{key}"
                raise FailsError(why)
            name = f"{name}.{key}"
        return value

    def _called(self, name: str, given: list[Made]) -> Made:
        of_made, function = _OF_MADE.get(name), _FUNCTIONS.get(name)
        of = flow(map(flat, given))
        if name in _COUNTS and of:
            self._scope.counted.append((self._scope.at, of))
        try:
            if of_made is not None:
                return of_made(self._scope, given)
            plain = [flat(one) for one in given]
            unknown = [one.data for one in plain if isinstance(one.data, What)]
            if function is None or unknown or any(map(_is_long, plain)):
                is_unread = function is not None and {*unknown} == {What.UNREAD}
                what = What.OWN if name in _MAKES else What.UNREAD if is_unread else What.UNKNOWN
                return Made(what, of)
            made = Made(function(*(one.data for one in plain)), of)
        except (TypeError, IndexError, ValueError, AttributeError) as error:
            raise NotFollowedError from error
        return Made(What.UNKNOWN, of) if _is_long(made) else made


def _is_long(value: Made) -> bool:
    return isinstance(value.data, str) and len(value.data) > _LONGEST


# Functions of what is known -----------------------------------------------------------------------


def _fail(message: object) -> object:
    why = f"Helm fails with '{message}'"
    raise FailsError(why)


def _whole(value: object) -> int:
    """Return the whole number that `int` makes."""
    if value is None or (isinstance(value, float) and value.is_integer()):
        return int(value or 0)
    raise NotFollowedError


def _compared(is_it: Callable[[int, int], bool]) -> Callable[..., bool]:
    """Return the comparison of two whole numbers; Go compares none with a float."""

    def compare(one: object, other: object) -> bool:
        if type(one) is not int or type(other) is not int:
            raise NotFollowedError
        return is_it(one, other)

    return compare


def _equal(one: object, *others: object) -> bool:
    if [one, *others].count(None) == 1:  # nothing is no text
        others = tuple(other for other in others if other is not None and one is not None)
        return bool(others) and _equal(one, *others)
    if any(type(one) is not type(other) or type(one) not in (str, bool, int) for other in others):
        raise NotFollowedError
    return one in others


def _texts(given: tuple[object, ...]) -> tuple[str, ...]:
    texts = tuple(one for one in given if isinstance(one, str))
    if len(texts) != len(given):
        raise NotFollowedError
    return texts


def _printf(*given: object) -> str:
    form, *texts = _texts(given)
    verbs = _VERB.findall(form)
    if len(verbs) != len(texts) or not {"s", "v"}.issuperset(verbs):
        raise NotFollowedError
    return form.replace("%v", "%s") % tuple(texts)


def _of_text(change: Callable[[str], str]) -> Callable[[object], str]:
    return lambda value: change(*_texts((value,)))


def _truncated(most: int, text: str) -> str:
    (text,) = _texts((text,))
    return text[:most] if most >= 0 else text[max(len(text) + most, 0) :]


_WORDS = {"true": True, "false": False, "nil": None}
_KINDS = {str: "a text", Rope: "a text"}
_FUNCTIONS: dict[str, Callable[..., object]] = {
    "eq": _equal,
    "ne": lambda one, other: not _equal(one, other),
    "gt": _compared(operator.gt),
    "ge": _compared(operator.ge),
    "lt": _compared(operator.lt),
    "le": _compared(operator.le),
    "int": _whole,
    "print": lambda *given: "".join(_texts(given)),
    "printf": _printf,
    "quote": _of_text('"{}"'.format),
    "squote": _of_text("'{}'".format),
    "lower": _of_text(str.lower),
    "toString": _of_text(str),
    "trim": _of_text(str.strip),
    "contains": lambda part, text: str.__contains__(text, part),
    "hasPrefix": lambda part, text: str.startswith(text, part),
    "hasSuffix": lambda part, text: str.endswith(text, part),
    "trunc": _truncated,
    "fail": _fail,
    "replace": lambda old, new, text: str.replace(text, old, new),
    "trimPrefix": lambda part, text: str.removeprefix(text, part),
    "trimSuffix": lambda part, text: str.removesuffix(text, part),
}
_COUNTS = frozenset({"semver", "semverCompare", "int", "int64", "float64", "atoi", "toDecimal"})
_MAKES = frozenset({"deepCopy", "mustDeepCopy", "pick", "omit", "fromYaml", "fromJson"})


# Functions that hand on what they are given -------------------------------------------------------


def _unknown(given: Iterable[Made]) -> Made:
    return Made(What.UNKNOWN, flow(given))


def _first(given: list[Made], wanted: bool) -> Made:  # noqa: FBT001 - as the tables call it
    """Return the first that counts as wanted, else the last."""
    for number, one in enumerate(given):
        is_true = truth(one)
        if is_true is None and number < len(given) - 1:
            return _unknown(given)
        if is_true is wanted:
            return one
    return given[-1]


def _default(_scope: Chart, given: list[Made]) -> Made:
    other, value = given
    return _first([value, other], wanted=True)


def _coalesce(_scope: Chart, given: list[Made]) -> Made:
    return _first([*given, Made()], wanted=True)


def _not(_scope: Chart, given: list[Made]) -> Made:
    [one] = given
    is_true = truth(one)
    return _unknown(given) if is_true is None else Made(not is_true, flow(given))


def _ternary(_scope: Chart, given: list[Made]) -> Made:
    yes, no, condition = given
    if isinstance(condition.data, What):
        return _unknown(given)
    if not isinstance(condition.data, bool):
        why = "Helm fails on `ternary`: what it asks for is neither true nor false"
        raise FailsError(why)
    return yes if condition.data else no


def _required(scope: Chart, given: list[Made]) -> Made:
    message, value = (flat(one) for one in given)
    if value.data in (None, "") and not scope.is_open:
        _fail(message.data)
    return given[1]


def _dict(_scope: Chart, given: list[Made]) -> Made:
    keys = _texts(tuple(flat(one).data for one in given[::2]))
    return Made(Table(dict(zip(keys, given[1::2], strict=True))))


def _list(_scope: Chart, given: list[Made]) -> Made:
    return Made(Table({str(n): one for n, one in enumerate(given)}, is_list=True))


def _index(scope: Chart, given: list[Made]) -> Made:
    value = given[0]
    for one in given[1:]:
        key, data = flat(one).data, value.data
        if data is None and not scope.is_open:
            why = f"Helm fails on index ... {key}: nothing is there"
            raise FailsError(why)
        if isinstance(data, Table) and data.is_list and type(key) is int:
            if not 0 <= key < len(data):
                why = f"Helm fails on index ... {key}: the list has {len(data)} items"
                raise FailsError(why)
            value = data.get(str(key))
        elif isinstance(data, Table) and not data.is_list and isinstance(key, str):
            value = data.get(key)
        elif isinstance(data, What) and isinstance(key, str):
            value = Made(data, frozenset((*place, key) for place in value.of))
        else:
            return _unknown(given)
    return value


def _has_key(_scope: Chart, given: list[Made]) -> Made:
    table, key = given
    if not isinstance(table.data, Table) or not isinstance(key.data, str):
        return _unknown(given)
    is_there = table.data.has(key.data)
    if table.data.rest is not None or (is_there and table.data.get(key.data).data is None):
        return _unknown(given)  # whether a null stays is not followed
    return Made(is_there, flow(given))


def _set(scope: Chart, given: list[Made]) -> Made:
    target, key, *value = given
    _change(scope, target, key.data, value[0] if value else Made())
    return target


def _merge(scope: Chart, given: list[Made]) -> Made:
    """Return what is merged: what comes of that is not followed."""
    target, *others = given
    table = target.data
    if isinstance(table, Table) and table.of is None and not table.is_root:
        table.spoil(flow(others))
    else:
        _change(scope, target, "", _unknown(others))
    return target


def _change(scope: Chart, target: Made, key: object, value: Made) -> None:
    """Put something into a mapping; one of the values others may read later, or have before."""
    table, text = target.data, key if isinstance(key, str) else ""
    if table is What.OWN:
        return
    if not isinstance(table, (Table, What)):
        raise NotFollowedError
    if isinstance(table, What) or table.is_root:
        scope.mutated.append((scope.at, None, text))
    elif table.of is not None:
        place = (*table.of, text) if text else table.of
        scope.mutated.append((scope.at, place, text))
        value = Made(What.UNKNOWN, flow([value]) | {place})
        table.put(text, value) if text else table.spoil(value.of)
    elif not text:
        table.spoil(flow([value]))
    elif scope.forks:
        new = _unknown([table.get(text), value])
        table.put(text, new)
        table.rest = new
    else:
        table.put(text, value)


def _indented(first: str) -> Callable[[Chart, list[Made]], Made]:
    def indent(scope: Chart, given: list[Made]) -> Made:
        number, value = given
        if type(number.data) is not int:
            return _unknown(given)
        pad = " " * min(number.data, _LONGEST)
        text = rope_of(value, scope.place)
        pieces = (
            one if one.text is None else one._replace(text=one.text.replace("\n", f"\n{pad}"))
            for one in text.pieces
        )
        head = Piece(f"{first}{pad}", NONE, scope.place)
        return Made(Rope((head, *pieces), text.is_exact))

    return indent


def _to_yaml(scope: Chart, given: list[Made]) -> Made:
    [value] = given
    if isinstance(value.data, Table):
        return Made(Rope(tuple(_lines(scope, value, "", "")), is_exact=False), value.of)
    return value


def _lines(scope: Chart, value: Made, head: str, pad: str) -> Iterator[Piece]:
    """Yield what YAML makes of something: in other words, but line by line."""
    scope.spend(1)
    data, place = value.data, scope.place
    if not isinstance(data, Table) or data.rest is not None or data.is_root:
        yield Piece(head, NONE, place)
        if isinstance(data, str) and not _SAFE.fullmatch(data):
            value = Made(json.dumps(data), value.of)
        yield from rope_of(value, place).pieces
        return
    if not len(data):
        yield Piece(head + ("[]" if data.is_list else "{}"), value.of, place)
    for number, (key, one) in enumerate(data.items()):
        lead, below = f"\n{pad}" if number else head, one.data
        if data.is_list:
            yield from _lines(scope, one, f"{lead}- ", f"{pad}  ")
        elif isinstance(below, Table) and len(below):
            inner = pad if below.is_list else f"{pad}  "
            yield from _lines(scope, one, f"{lead}{key}:\n{inner}", inner)
        else:
            yield from _lines(scope, one, f"{lead}{key}: ", pad)


def rope_of(value: Made, place: tuple[str, int]) -> Rope:
    """Return something as it is written out."""
    data = value.data
    if isinstance(data, Rope):
        return data
    text = data if isinstance(data, str) else None
    if data is None:
        text = ""
    elif isinstance(data, bool):
        text = str(data).lower()
    elif isinstance(data, (int, float)) and data == data // 1 and abs(data) < _BIGGEST:
        text = str(int(data))
    return Rope((Piece(text, flow([value]), place, (), data is not What.UNREAD),))


def _tpl(scope: Chart, given: list[Made]) -> Made:
    return scope.run_text(*given)


def _include(scope: Chart, given: list[Made]) -> Made:
    name, context = given
    return scope.included(flat(name).data, context)


_OF_MADE: dict[str, Callable[[Chart, list[Made]], Made]] = {
    "and": lambda _scope, given: _first(given, wanted=False),
    "or": lambda _scope, given: _first(given, wanted=True),
    "not": _not,
    "empty": _not,
    "default": _default,
    "coalesce": _coalesce,
    "ternary": _ternary,
    "required": _required,
    "index": _index,
    "get": _index,
    "dict": _dict,
    "list": _list,
    "hasKey": _has_key,
    "set": _set,
    "unset": _set,
    "merge": _merge,
    "mustMerge": _merge,
    "mergeOverwrite": _merge,
    "mustMergeOverwrite": _merge,
    "indent": _indented(""),
    "nindent": _indented("\n"),
    "toYaml": _to_yaml,
    "tpl": _tpl,
    "include": _include,
    "template": _include,
}
