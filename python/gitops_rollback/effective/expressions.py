"""What expressions of a chart's templates make of its values, as far as that is followed. Pure.

pkg.go.dev/text/template, masterminds.github.io/sprig, helm.sh/docs/chart_template_guide. What is
not followed is not known (`UNKNOWN`), and so is all that is made of it; on what Helm fails, it
fails whatever else stands there, and so is told (`FailsError`).
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.tree import OPAQUE, entries, is_null
from gitops_rollback.late import dataclass, field, regex
from gitops_rollback.manifest.document import items_of, truth_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

UNKNOWN = object()
SET = regex(r"\s*(\$\w+)\s*(?:,\s*\$\w+\s*)?:?=(?!=)")
TOKEN = regex(r"\)(?:\.[\w-]+)*|[(|]|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|[^\s()|\"`]+")
_PATH = regex(r"\$?\.Values((?:\??\.[\w-]+)*)")
_WORD = regex(r"[A-Za-z]\w*")
_ZERO = regex(r"[-+]?0*\.?0*")
_WHOLE = regex(r"[-+]?(?:0|[1-9]\d{0,14})")
_VERB = regex(r"%(.?)")
# What changes a mapping for all that reads it later, and what makes one that is nobody else's.
MUTATES = frozenset({"set", "unset", "merge", "mergeOverwrite", "mustMerge", "mustMergeOverwrite"})
_MAKES = frozenset({"dict", "deepCopy", "mustDeepCopy", "pick", "omit", "fromYaml", "fromJson"})
ACTION = regex(
    r"(?:\s*\{\{-(?=\s)|\{\{)((?:\"(?:[^\"\\\n]|\\.)*\"|`[^`]*`|[^{}\"`])*?)(?:(?<=\s)-\}\}\s*|\}\})"
)
_BLOCK = regex(r"(?:if|with)\b")  # of which that is left which is surely made
_OTHER_BLOCK = regex(r"(?:range|block|define|template|break|continue)\b")
_CONTEXTS = (".", "$")
_DEEPEST = 20  # templates within each other
_LONGEST = 5_000  # characters of a text: templates that include one another may make any number


class NotFollowedError(Exception):
    """Raised for what is not followed."""


class FailsError(NotFollowedError):
    """Raised for that on which Helm fails."""


@dataclass(frozen=True)
class Scope:
    """What expressions can refer to: the values, and the templates that make one text for sure."""

    values: yaml.Node | None
    templates: Mapping[str, str] = field(default_factory=dict)
    depth: int = 0
    made: dict[str, object] = field(default_factory=dict)

    def rendered(self, text: str) -> str:
        """Return the text that one with actions makes; raise `NotFollowedError` if unsure."""
        if self.depth > _DEEPEST:
            raise NotFollowedError
        out: list[str] = []
        variables: dict[str, object] = {}
        position = length = 0
        for found in ACTION.finditer(text):
            out.append(text[position : found.start()])
            position = found.end()
            action = found[1].strip()
            if _OTHER_BLOCK.match(action):
                raise NotFollowedError
            if _BLOCK.match(action):
                continue
            value, assigned = self.value_of(action, variables), SET.match(action)
            if assigned is not None:
                variables[assigned[1]] = value
            elif isinstance(value, str) and length + len(value) <= _LONGEST:
                out.append(value)
                length += len(value)
            else:
                raise NotFollowedError
        return "".join((*out, text[position:]))

    def value_of(self, text: str, variables: Mapping[str, object] | None = None) -> object:
        """Return what an expression makes, `UNKNOWN` where that is not followed."""
        tokens = TOKEN.findall(SET.sub("", text.strip(), count=1))[::-1]
        try:
            value = _Reading(self, variables or {}, tokens).pipeline()
        except RecursionError as error:  # brackets within each other
            raise NotFollowedError from error
        return value if not tokens else UNKNOWN

    def included(self, name: object, context: str) -> object:
        """Return what a template makes that is included."""
        if name not in self.templates or context not in _CONTEXTS:
            return UNKNOWN
        assert isinstance(name, str)  # noqa: S101 - it is one of the names
        if name not in self.made:
            self.made[name] = UNKNOWN  # for one that includes itself
            below = Scope(self.values, self.templates, self.depth + 1, self.made)
            try:
                self.made[name] = below.rendered(self.templates[name])
            except FailsError:
                del self.made[name]
                raise
            except NotFollowedError:
                pass
        return self.made[name]


class _Reading:
    """An expression that is read, whose `tokens` are taken from behind."""

    def __init__(self, scope: Scope, variables: Mapping[str, object], tokens: list[str]) -> None:
        self._scope, self._variables, self._tokens = scope, variables, tokens

    def pipeline(self) -> object:
        value = self._command([])
        while self._tokens[-1:] == ["|"]:
            self._tokens.pop()
            value = self._command([value])
        return value

    def _command(self, piped: list[object]) -> object:
        """Read a function with what it is given, or one value."""
        name = self._tokens[-1] if self._tokens else ""
        if not _WORD.fullmatch(name) or name in _WORDS:
            if piped:
                raise NotFollowedError
            return self._operand()
        self._tokens.pop()
        second = self._tokens[-2] if len(self._tokens) > 1 else ""
        given: list[object] = []
        while self._tokens and self._tokens[-1][0] not in ")|":
            if given and name in ("and", "or") and self._is_decided(name, given[-1]):
                self._skip()  # as Go does: what comes behind is not looked at
            else:
                given.append(self._operand())
        return self._called(name, [*given, *piped], second)

    def _called(self, name: str, given: list[object], second: str) -> object:
        if name == "include":
            return self._scope.included(given[0] if given else None, second)
        function = _FUNCTIONS.get(name)
        is_unknown = name not in _LAZY and any(one is UNKNOWN for one in given)
        if function is None or is_unknown or any(map(_is_long, given)):
            return UNKNOWN
        try:
            value = function(*given)
        except (TypeError, IndexError) as error:
            raise NotFollowedError from error
        return UNKNOWN if _is_long(value) else value

    @staticmethod
    def _is_decided(name: str, value: object) -> bool:
        return value is UNKNOWN or bool(value) is (name == "or")

    def _skip(self) -> None:
        """Leave out one operand."""
        depth = 0
        while self._tokens:
            first = self._tokens.pop()[0]
            depth += (first == "(") - (first == ")")
            if depth <= 0:
                return
        raise NotFollowedError

    def _operand(self) -> object:
        if not self._tokens:
            raise NotFollowedError
        token = self._tokens.pop()
        path = _PATH.fullmatch(token)
        if path is not None:
            return _value(self._scope.values, path[1].split(".")[1:], ".Values")
        if token == "(":  # noqa: S105 - no password
            value = self.pipeline()
            if not self._tokens or self._tokens[-1][0] != ")":
                raise NotFollowedError
            return _below(value, self._tokens.pop().split(".")[1:])
        if token[0] in '"`' and "\\" not in token:
            return token[1:-1]
        if _WHOLE.fullmatch(token):
            return int(token)
        return self._variables.get(token, _WORDS.get(token, UNKNOWN))


def changed_in(text: str) -> Iterator[tuple[int, str]]:
    """Yield where a template may change values by another name than `.Values`: line, and key.

    The key is empty where it may be any. What such a call changes is unknown but for a mapping that
    the template has made itself, and keeps in a variable.
    """
    actions = [(found.start(1), found[1].strip()) for found in ACTION.finditer(text)]
    made: dict[str, bool] = {}
    for _place, action in actions:
        assigned = SET.match(action)
        if assigned is not None:
            is_own = _is_made(TOKEN.findall(action[assigned.end() :]))
            made[assigned[1]] = made.get(assigned[1], True) and is_own
    own = {name for name, is_own in made.items() if is_own}
    for place, action in actions:
        tokens = TOKEN.findall(action)
        for number, token in enumerate(tokens):
            key = _changed_by(token, tokens[number + 1 :], own) if token in MUTATES else None
            if key is not None:
                yield text.count("\n", 0, place) + 1, key


def _changed_by(function: str, given: list[str], own: Collection[str]) -> str | None:
    """Return the key that a call may change, empty for any; None where its mapping is known."""
    target, rest = (given[0], given[1:]) if given else ("", [])
    if target in own or ".Values" in target or (target == "(" and _is_made(rest)):
        return None
    key = rest[0] if rest and target != "(" and function in ("set", "unset") else ""
    return key[1:-1] if key[:1] in ('"', "`") else ""


def _is_made(tokens: list[str]) -> bool:
    """Tell whether a pipeline, to its end or its closing bracket, makes a mapping of its own.

    What changes one returns it: whether that is its own is asked of the call itself.
    """
    depth, last = 0, tokens[:1]
    for number, token in enumerate(tokens):
        depth += (token == "(") - (token[0] == ")")  # noqa: S105 - no password
        if depth < 0 and token != ")":  # noqa: S105 - as above
            return False  # what stands below it
        if depth < 0:
            break
        if token == "|" and not depth:  # noqa: S105 - as above
            last = tokens[number + 1 : number + 2]
    return bool(last) and last[0] in _MAKES | MUTATES


def _below(value: object, keys: list[str]) -> object:
    """Return what stands below some keys of a value in brackets: of nothing it is nothing."""
    if not keys or value is None or value is UNKNOWN:
        return value
    if not isinstance(value, dict):
        raise NotFollowedError
    return _value(value.get(keys[0]), keys[1:], f"(...).{keys[0]}")


def _value(node: yaml.Node | None, keys: list[str], name: str) -> object:
    """Return what stands below some keys; Helm fails on those of an object that is not there.

    Behind a question mark nothing is below nothing: that is written in brackets, or a variable.
    """
    for written in keys:
        key, is_safe, _ = written.partition("?")
        if node is None or is_null(node):
            why = f"there is no {name}, and so Helm fails on {name}.{key}"
            raise FailsError(why)
        if not isinstance(node, yaml.MappingNode):
            if isinstance(_plain(node), str):
                why = f"{name} is a text, and so Helm fails on {name}.{key}"
                raise FailsError(why)
            return UNKNOWN
        node, name = entries(node).get(key), f"{name}.{key}"
        if is_safe and (node is None or is_null(node)):
            return None
    return _plain(node)


def _plain(node: yaml.Node | None) -> object:
    """Return a value of a file as templates get it, without what stands below it."""
    if not isinstance(node, yaml.ScalarNode):
        return entries(node) or items_of(node) if node is not None else None
    kind, text = node.tag.rpartition(":")[2], str(node.value)
    if node.tag == OPAQUE or "${" in text:  # which Flux may make anything of
        return UNKNOWN
    truth = None if is_null(node) else truth_of(node)
    if truth is not None or is_null(node):
        return truth
    if kind in ("int", "float"):  # to a template each is a float
        if _WHOLE.fullmatch(text):
            return float(text)
        return 0.0 if _ZERO.fullmatch(text) else math.nan  # which one it is, is not compared
    return text


def _is_long(value: object) -> bool:
    return isinstance(value, str) and len(value) > _LONGEST


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


def _has_key(value: object, key: object) -> bool:
    if not isinstance(value, dict) or (key in value and is_null(value[key])):
        raise NotFollowedError
    return key in value


def _index(value: object, *keys: object) -> object:
    for key in keys:
        if value is None:
            why = f"Helm fails on index ... {key}: nothing is there"
            raise FailsError(why)
        if isinstance(value, list) and type(key) is int:
            if not 0 <= key < len(value):
                why = f"Helm fails on index ... {key}: the list has {len(value)} items"
                raise FailsError(why)
            value = _plain(value[key])
        elif isinstance(value, dict) and isinstance(key, str):
            value = _plain(value.get(key))
        else:
            raise NotFollowedError
    return value


def _required(message: object, value: object) -> object:
    if value is None or value == "":
        why = f"Helm fails with '{message}'"
        raise FailsError(why)
    return value


def _fail(message: object) -> object:
    return _required(message, None)


def _ternary(yes: object, no: object, condition: object) -> object:
    if condition is UNKNOWN:
        return UNKNOWN
    if not isinstance(condition, bool):
        why = "Helm fails on `ternary`: what it asks for is neither true nor false"
        raise FailsError(why)
    return yes if condition else no


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


_WORDS = {"true": True, "false": False, "nil": None}
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
    "index": _index,
    "required": _required,
    "fail": _fail,
    "ternary": _ternary,
    "print": lambda *given: "".join(_texts(given)),
    "printf": _printf,
    "quote": _of_text('"{}"'.format),
    "squote": _of_text("'{}'".format),
    "toString": _of_text(str),
    "trim": _of_text(str.strip),
    "lower": _of_text(str.lower),
    "trunc": lambda most, text: str.__getitem__(text, slice(most)) if most >= 0 else UNKNOWN,
    "replace": lambda old, new, text: str.replace(text, old, new),
    "trimPrefix": lambda part, text: str.removeprefix(text, part),
    "trimSuffix": lambda part, text: str.removesuffix(text, part),
    "tpl": lambda text, _context: text if "{{" not in _texts((text,))[0] else UNKNOWN,
}
_LAZY = frozenset({"and", "or", "default", "coalesce", "ternary", "tpl"})
