"""Which parts of a chart's template count, by the conditions that they stand in. Pure.

`{{ if .Values.enabled }}` is judged by the values that the chart gets (pkg.go.dev/text/template):
what is surely not made is taken out, and what stands under a condition that is not followed is in
doubt.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from gitops_rollback.effective.expressions import (
    SET,
    TOKEN,
    UNKNOWN,
    FailsError,
    NotFollowedError,
    Scope,
)
from gitops_rollback.late import dataclass, field, regex, replace
from gitops_rollback.manifest.helm import NAME_KEYS, TAG_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import yaml

T = TypeVar("T")

_WORDS = r"\{\{-?\s*(?P<word>if|with|range|define|block|else|end)\b"
_BEGIN = regex(_WORDS)
_BLOCK = regex(rf"{_WORDS}(?P<rest>(?:\"(?:[^\"\\\n]|\\.)*\"|`[^`]*`|[^{{}}\"`])*)\}}\}}")
_NAME = regex(r"\s*[\"`]([^\"`]+)[\"`]")
_ELSE = regex(r"\s*(?P<word>if|with)\b(?P<rest>.*)", re.DOTALL)
_FIELD = regex(r"(?:\$\w*)?(?:\??\.[\w-]+)+")
_ACTION = regex(r"\{\{-?[ \t]*([^{}]*?)-?\}\}")
_FIELDS = regex(r"(?P<text>\"(?:[^\"\\]|\\.)*\"|`[^`]*`)|(?<![\w$?.)])\.(?P<key>\w?)", re.DOTALL)
_VALUE = regex(r"\$?\.Values(?:\??\.[\w-]+)*")
# Conditions on these tell how an image is written, and both ways are looked at.
_OF_IMAGES = frozenset((*NAME_KEYS, *TAG_KEYS, "registry", "digest", "global", "imageRegistry"))
_PLAIN_WORDS = frozenset({"and", "or", "not", "empty", "(", ")"})
_IMAGES = regex(r"image|\b(?:include|template)\b", re.IGNORECASE)
_DEEPEST = 100  # blocks within each other


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
    `unsure` are the lines that may not be made, or where the dot is not all that a chart gets, and
    `partial` the definitions with such; `sure` are the expressions that are surely evaluated.
    """

    text: str
    top: str
    defined: dict[str, str] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    doubts: dict[int, Guards] = field(default_factory=dict)
    unsure: set[int] = field(default_factory=set)
    partial: set[str] = field(default_factory=set)
    sure: list[tuple[int, str]] = field(default_factory=list)


class State(Enum):
    """Whether what stands under a condition is made; `EITHER` where both ways are looked at."""

    MADE = "made"
    NOT_MADE = "not made"
    EITHER = "either"
    DOUBT = "in doubt"


class _Frame:
    """A block that is open: whether it is made, and whether something of it was before."""

    def __init__(
        self, state: State, *, title: str = "", name: str = "", dot: str | None = None
    ) -> None:
        self.title, self.name = title, name
        self.dot = dot  # what it is within; empty for what is not followed, None as outside
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
        piece = _ACTION.sub(lambda one: _located(one[0], frames), piece)
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
            if found["word"] in ("if", "with", "range") and not owner:
                _note_sure(made, frames, line, _located(found["rest"].strip("- \t\n"), frames))
            _step(frames, found, values)
            line += found[0].count("\n")
    return replace(made, text="".join(out), top="".join(top))


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
    lines = range(1, text.count("\n") + 2)
    return Parts(text, text, doubts=dict.fromkeys(lines, guards), unsure=set(lines))


def _note(made: Parts, frames: list[_Frame], first: int, piece: str, owner: str) -> None:
    """Note of some lines in which definition they stand, and under what that is not followed."""
    doubtful = [one for one in frames if one.state is State.DOUBT]
    guards = tuple(Guard(one, one.branch, one.title) for one in doubtful)
    unsure = _dot(frames) == "" or any(one.state is not State.MADE for one in frames)
    for number in range(first, first + piece.count("\n") + 1):
        if owner:
            made.owners[number] = owner
        if guards:
            made.doubts.setdefault(number, guards)
        if unsure:
            made.unsure.add(number)
    if unsure and owner:
        made.partial.add(owner)
    if not owner:
        for found in _ACTION.finditer(piece):
            _note_sure(made, frames, first + piece.count("\n", 0, found.start()), found[1])
    if _IMAGES.search(piece):
        for one in doubtful:
            one.of_images.add(one.branch)


def _note_sure(made: Parts, frames: list[_Frame], line: int, expression: str) -> None:
    """Note an expression that is evaluated if all that it stands in is made."""
    if all(one.state is State.MADE for one in frames):
        unknown = _fields(expression, "$_") if _dot(frames) == "" else expression
        made.sure.append((line, unknown))


def _dot(frames: list[_Frame]) -> str | None:
    """Return what the dot is: a value, empty for what is not followed, None for all of them."""
    inner = (one for one in reversed(frames) if one.dot is not None or one.name)
    return next((one.dot for one in inner), None)


def _located(text: str, frames: list[_Frame]) -> str:
    """Return what stands in blocks as it would outside, where a value is the dot."""
    dot = _dot(frames)
    return _fields(text, dot) if dot else text


def _fields(text: str, dot: str) -> str:
    def field_of(found: re.Match[str]) -> str:
        return found[0] if found["text"] else f"{dot}.{found['key']}" if found["key"] else dot

    return _FIELDS.sub(field_of, text)


def _moved(word: str, rest: str) -> str | None:
    """Return what the dot is in a block."""
    value = SET.sub("", rest, count=1).strip()
    is_plain = word == "with" and _VALUE.fullmatch(value)
    return value if is_plain else "" if word in ("with", "range") else None


def _step(frames: list[_Frame], found: re.Match[str], values: yaml.Node | None) -> None:
    """Open a block, turn to its other side, or close it."""
    word, rest = found["word"], found["rest"].strip("- \t\n")
    if word == "end":
        del frames[-1:]
    elif word == "else":
        if frames:
            frames[-1].dot = None
            rest = _located(rest, frames)
            again = _ELSE.fullmatch(rest)
            state, why = _state(again["rest"], values) if again is not None else (State.MADE, "")
            frames[-1].turn(state, f"else {rest}{why}")
            frames[-1].dot = _moved(again["word"], again["rest"]) if again is not None else None
    elif word == "block":  # which is made where it stands
        frames.append(_Frame(State.MADE))
    elif word == "define":
        name = _NAME.match(rest)
        frames.append(_Frame(State.MADE, name=name[1] if name is not None else "?"))
    else:
        rest = _located(rest, frames)
        state, why = _state(rest, values)
        if word == "range" and state is State.DOUBT:  # what it goes over is looked for elsewhere
            state = State.EITHER
        title = f"{word} {rest}{why}".replace("?.", ".")
        frames.append(_Frame(state, title=title, dot=_moved(word, rest)))


def _state(condition: str, values: yaml.Node | None) -> tuple[State, str]:
    """Return whether a condition holds, and why Helm fails on it."""
    value = UNKNOWN
    try:
        value = Scope(values).value_of(condition) if values is not None else UNKNOWN
    except FailsError as error:
        return State.DOUBT, f": {error}"
    except NotFollowedError:
        pass
    if value is not UNKNOWN:
        return (State.MADE if value else State.NOT_MADE), ""
    return (State.EITHER if values is None or _is_of_image(condition) else State.DOUBT), ""


def _is_of_image(text: str) -> bool:
    """Tell whether a condition asks for nothing but parts of an image."""
    tokens = TOKEN.findall(SET.sub("", text, count=1))
    fields = [one for one in tokens if _FIELD.fullmatch(one)]
    keys = (one.rpartition(".")[2] for one in fields)
    is_plain = all(one in _PLAIN_WORDS or one in fields for one in tokens)
    return bool(fields) and is_plain and all(key in _OF_IMAGES for key in keys)
