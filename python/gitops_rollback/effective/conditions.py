"""Which parts of a chart's template count, by the conditions that they stand in. Pure.

`{{ if .Values.enabled }}` is judged by the values that the chart gets (pkg.go.dev/text/template):
what is surely not made is taken out, and what stands under a condition that is not followed is in
doubt.
"""

from __future__ import annotations

import math
import operator
import re
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

import yaml

from gitops_rollback.effective.tree import entries, is_null
from gitops_rollback.late import dataclass, field, regex
from gitops_rollback.manifest.document import items_of, truth_of
from gitops_rollback.manifest.helm import NAME_KEYS, TAG_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

_WORDS = r"\{\{-?\s*(?P<word>if|with|range|define|block|else|end)\b"
_BEGIN = regex(_WORDS)
_BLOCK = regex(rf"{_WORDS}(?P<rest>(?:\"(?:[^\"\\\n]|\\.)*\"|`[^`]*`|[^{{}}\"`])*)\}}\}}")
_NAME = regex(r"\s*[\"`]([^\"`]+)[\"`]")
_ELSE = regex(r"\s*(?:if|with)\b(?P<rest>.*)", re.DOTALL)
_SET = regex(r"\s*\$\w+\s*(?:,\s*\$\w+\s*)?:?=")
_TOKEN = regex(r"\)(?:\.[\w-]+)*|[(|]|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|[^\s()|\"`]+")
_PATH = regex(r"\$?\.Values((?:\.[\w-]+)*)")
_FIELD = regex(r"(?:\$\w*)?(?:\.[\w-]+)+")
# Conditions on these tell how an image is written, and both ways are looked at.
_OF_IMAGES = frozenset((*NAME_KEYS, *TAG_KEYS, "registry", "digest", "global", "imageRegistry"))
_PLAIN_WORDS = frozenset({"and", "or", "not", "empty", "(", ")"})
_IMAGES = regex(r"image|\b(?:include|template)\b", re.IGNORECASE)
_DEEPEST = 100  # blocks within each other
_ZERO = regex(r"[-+]?0*\.?0*")
_WHOLE = regex(r"[-+]?(?:0|[1-9]\d{0,14})")


class _NotKnownError(Exception):
    """Raised for a condition that is not followed."""


class _FailsError(_NotKnownError):
    """Raised for one on which Helm fails."""


@dataclass(frozen=True)
class Guard:
    """A condition that is not followed, of one branch of a block; `title` names it."""

    block: _Frame
    branch: int
    title: str

    def others(self) -> Iterator[tuple[_Frame, int]]:
        """Yield the other branches that may make an image."""
        yield from ((self.block, one) for one in self.block.of_images if one != self.branch)


Guards = tuple[Guard, ...]  # the outermost first


@dataclass(frozen=True)
class Parts:
    """What counts of a template: all of it line by line, and what it says where.

    `top` is what stands in no definition, `defined` the texts of these by their names, `owners` the
    definition that a line stands in; `doubts` are the conditions of lines that are not followed.
    """

    text: str
    top: str
    defined: dict[str, str] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    doubts: dict[int, Guards] = field(default_factory=dict)


class State(Enum):
    """Whether what stands under a condition is made; `EITHER` where both ways are looked at."""

    MADE = "made"
    NOT_MADE = "not made"
    EITHER = "either"
    DOUBT = "in doubt"


class _Frame:
    """A block that is open: whether it is made, and whether something of it was before."""

    def __init__(self, state: State, *, title: str = "", name: str = "") -> None:
        self.title, self.name = title, name
        self.state = self._taken = state
        self.branch = 0
        self.branches = {0} if state is not State.NOT_MADE else set()
        self.of_images: set[int] = set()

    @property
    def is_whole(self) -> bool:
        """Whether one of its branches is made, whatever its conditions say."""
        return self._taken is State.MADE

    def turn(self, state: State, title: str) -> None:
        """Go on with an `else`, which is made where nothing before it was."""
        taken = self._taken
        self.branch += 1
        maybe = State.DOUBT if State.DOUBT in (taken, state) else State.EITHER
        if state is State.DOUBT:
            self.title = title
        if taken is State.MADE or state is State.NOT_MADE:
            self.state = State.NOT_MADE
        else:
            self.state = state if taken is State.NOT_MADE else maybe
        if State.MADE in (taken, state):
            self._taken = State.MADE
        elif state is not State.NOT_MADE:
            self._taken = maybe
        if self.state is not State.NOT_MADE:
            self.branches.add(self.branch)


def parts_of(text: str, values: yaml.Node | None) -> Parts:
    """Return what counts of a template; without values all of it may."""
    out: list[str] = []
    top: list[str] = []
    made = Parts("", "")
    frames: list[_Frame] = []
    position, line = 0, 1
    blocks = [*_BLOCK.finditer(text)]
    if len(blocks) != sum(1 for _begin in _BEGIN.finditer(text)):
        return _in_doubt(text, "blocks that are not read")
    for found in (*blocks, None):
        end = found.start() if found is not None else len(text)
        piece, position = text[position:end], found.end() if found is not None else end
        word = found[0] if found is not None and found["word"] not in ("else", "end") else ""
        is_dead = any(one.state is State.NOT_MADE for one in frames)
        kept = "\n" * piece.count("\n") if is_dead else piece
        owner = next((one.name for one in frames if one.name), "")
        if not is_dead:
            _note(made, frames, line, piece, owner)
        line += piece.count("\n")
        shown = kept + ("\n" * word.count("\n") if is_dead else word)
        out.append(shown)
        if owner:
            made.defined[owner] = made.defined.get(owner, "") + shown
        else:
            top.append(shown)
        if found is not None:
            out.append("\n" * found[0].count("\n") if not word else "")
            if len(frames) > _DEEPEST:
                return _in_doubt(text, "blocks that are too deep")
            _step(frames, found, values)
            line += found[0].count("\n")
    return Parts("".join(out), "".join(top), made.defined, made.owners, made.doubts)


def covered(uses: Sequence[tuple[Guards, frozenset[T]]]) -> frozenset[T]:
    """Return what is used under no condition that is not followed, or in all branches of one."""
    sure = frozenset[T]().union(*(used for guards, used in uses if not guards))
    for block in {guards[0].block for guards, _used in uses if guards}:
        inner = [
            [(g[1:], used) for g, used in uses if g and (g[0].block, g[0].branch) == (block, one)]
            for one in block.branches
        ]
        if block.is_whole:
            sure |= frozenset.intersection(*(covered(one) for one in inner))
    return sure


def _in_doubt(text: str, why: str) -> Parts:
    guards = (Guard(_Frame(State.DOUBT), 0, why),)
    return Parts(text, text, doubts=dict.fromkeys(range(1, text.count("\n") + 2), guards))


def _note(made: Parts, frames: list[_Frame], first: int, piece: str, owner: str) -> None:
    """Note of some lines in which definition they stand, and under what that is not followed."""
    doubtful = [one for one in frames if one.state is State.DOUBT]
    guards = tuple(Guard(one, one.branch, one.title) for one in doubtful)
    for number in range(first, first + piece.count("\n") + 1):
        if owner:
            made.owners[number] = owner
        if guards:
            made.doubts.setdefault(number, guards)
    if _IMAGES.search(piece):
        for one in doubtful:
            one.of_images.add(one.branch)


def _step(frames: list[_Frame], found: re.Match[str], values: yaml.Node | None) -> None:
    """Open a block, turn to its other side, or close it."""
    word, rest = found["word"], found["rest"].strip("- \t\n")
    if word == "end":
        del frames[-1:]
    elif word == "else":
        again = _ELSE.fullmatch(rest)
        if frames:
            state, why = _state(again["rest"], values) if again is not None else (State.MADE, "")
            frames[-1].turn(state, f"else {rest}{why}")
    elif word == "block":  # which is made where it stands
        frames.append(_Frame(State.MADE))
    elif word == "define":
        name = _NAME.match(rest)
        frames.append(_Frame(State.MADE, name=name[1] if name is not None else "?"))
    else:
        state, why = _state(rest, values)
        if word == "range" and state is State.DOUBT:  # what it goes over is looked for elsewhere
            state = State.EITHER
        frames.append(_Frame(state, title=f"{word} {rest}{why}"))


def _state(condition: str, values: yaml.Node | None) -> tuple[State, str]:
    """Return whether a condition holds, and why Helm fails on it."""
    text = _SET.sub("", condition.strip(), count=1)
    try:
        state = _judged(text, values) if values is not None else None
    except _FailsError as error:
        return State.DOUBT, f": {error}"
    except _NotKnownError:
        state = None
    if state is not None:
        return (State.MADE if state else State.NOT_MADE), ""
    return (State.EITHER if values is None or _is_of_image(text) else State.DOUBT), ""


def _is_of_image(text: str) -> bool:
    """Tell whether a condition asks for nothing but parts of an image."""
    tokens = _TOKEN.findall(text)
    fields = [one for one in tokens if _FIELD.fullmatch(one)]
    keys = (one.rpartition(".")[2] for one in fields)
    is_plain = all(one in _PLAIN_WORDS or one in fields for one in tokens)
    return bool(fields) and is_plain and all(key in _OF_IMAGES for key in keys)


def _judged(condition: str, values: yaml.Node | None) -> bool | None:
    """Tell whether a condition holds for some values; None where that is not followed."""
    tokens = _TOKEN.findall(condition)[::-1]
    value = _pipeline(tokens, values)
    return bool(value) if not tokens else None


def _pipeline(tokens: list[str], values: yaml.Node | None) -> object:
    value = _command(tokens, values, [])
    while tokens[-1:] == ["|"]:
        tokens.pop()
        value = _command(tokens, values, [value])
    return value


def _command(tokens: list[str], values: yaml.Node | None, piped: list[object]) -> object:
    """Read a function with what it is given, or one value."""
    name = tokens[-1] if tokens else ""
    function = _FUNCTIONS.get(name)
    if function is None:
        if piped:
            raise _NotKnownError
        return _operand(tokens, values)
    tokens.pop()
    given: list[object] = []
    while tokens and tokens[-1][0] not in ")|":
        if given and name in ("and", "or") and bool(given[-1]) is (name == "or"):
            _skip(tokens)  # as Go does: what comes behind is not looked at
        else:
            given.append(_operand(tokens, values))
    try:
        return function(*given, *piped)
    except (TypeError, IndexError) as error:
        raise _NotKnownError from error


def _skip(tokens: list[str]) -> None:
    """Leave out one operand."""
    depth = 0
    while tokens:
        first = tokens.pop()[0]
        depth += (first == "(") - (first == ")")
        if depth <= 0:
            return
    raise _NotKnownError


def _operand(tokens: list[str], values: yaml.Node | None) -> object:
    if not tokens:
        raise _NotKnownError
    token = tokens.pop()
    path = _PATH.fullmatch(token)
    if path is not None:
        return _value(values, path[1].split(".")[1:], ".Values")
    if token == "(":  # noqa: S105 - no password
        value = _pipeline(tokens, values)
        if not tokens or tokens[-1][0] != ")":
            raise _NotKnownError
        return _below(value, tokens.pop().split(".")[1:])
    if token[0] in '"`' and "\\" not in token:
        return token[1:-1]
    if token in ("true", "false"):
        return token == "true"  # noqa: S105 - no password
    if _WHOLE.fullmatch(token):
        return int(token)
    raise _NotKnownError


def _below(value: object, keys: list[str]) -> object:
    """Return what stands below some keys of a value in brackets: of nothing it is nothing."""
    if not keys or value is None:
        return value
    if not isinstance(value, dict):
        raise _NotKnownError
    return _value(value.get(keys[0]), keys[1:], f"(...).{keys[0]}")


def _value(node: yaml.Node | None, keys: list[str], name: str) -> object:
    """Return what stands below some keys; Helm fails on those of an object that is not there."""
    for key in keys:
        if node is None or is_null(node):
            why = f"there is no {name}, and so Helm fails on {name}.{key}"
            raise _FailsError(why)
        if not isinstance(node, yaml.MappingNode):
            raise _NotKnownError
        node, name = entries(node).get(key), f"{name}.{key}"
    if node is None or is_null(node):
        return None
    if not isinstance(node, yaml.ScalarNode):
        return entries(node) or items_of(node)
    truth = truth_of(node)
    if truth is not None:
        return truth
    kind, text = node.tag.rpartition(":")[2], str(node.value)
    if kind in ("int", "float"):  # to a template each is a float
        if _WHOLE.fullmatch(text):
            return float(text)
        return 0.0 if _ZERO.fullmatch(text) else math.nan  # which one it is, is not compared
    return text


def _whole(value: object) -> int:
    """Return the whole number that `int` makes."""
    if value is None or (isinstance(value, float) and value.is_integer()):
        return int(value or 0)
    raise _NotKnownError


def _compared(is_it: Callable[[int, int], bool]) -> Callable[..., bool]:
    """Return the comparison of two whole numbers; Go compares none with a float."""

    def compare(one: object, other: object) -> bool:
        if type(one) is not int or type(other) is not int:
            raise _NotKnownError
        return is_it(one, other)

    return compare


def _equal(one: object, *others: object) -> bool:
    if [one, *others].count(None) == 1:  # nothing is no text
        others = tuple(other for other in others if other is not None and one is not None)
        return bool(others) and _equal(one, *others)
    if any(type(one) is not type(other) or type(one) not in (str, bool, int) for other in others):
        raise _NotKnownError
    return one in others


def _has_key(value: object, key: object) -> bool:
    if not isinstance(value, dict) or (key in value and is_null(value[key])):
        raise _NotKnownError
    return key in value


_FUNCTIONS: dict[str, Callable[..., object]] = {
    "and": lambda *given: next((one for one in given if not one), given[-1]),
    "or": lambda *given: next((one for one in given if one), given[-1]),
    "not": lambda value: not value,
    "empty": lambda value: not value,
    "eq": _equal,
    "ne": lambda one, other: not _equal(one, other),
    "gt": _compared(operator.gt),
    "ge": _compared(operator.ge),
    "lt": _compared(operator.lt),
    "le": _compared(operator.le),
    "int": _whole,
    "default": lambda other, value: value or other,
    "coalesce": lambda *given: next((one for one in given if one), None),
    "hasKey": _has_key,
}
