"""The texts of a chart's templates: which values they read, and what they make of them. Pure.

Nothing is rendered (pkg.go.dev/text/template, helm.sh/docs/chart_template_guide): actions are found
in lines, and values in actions, by the words in which charts write them.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING

from gitops_rollback.late import dataclass, field, regex
from gitops_rollback.manifest.helm import NAME_KEYS, TAG_KEYS
from gitops_rollback.manifest.image_field import DIGEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Keys = tuple[str, ...]  # of a value: `.Values.image.tag` is ("image", "tag")

DOCKER = ("docker.io", "index.docker.io", "registry-1.docker.io")
_KEY = regex(r"^(?P<indent>[ \t-]*)(?P<key>[\w./-]+):")
_LABELS = frozenset({"labels", "matchLabels", "selector", "commonLabels"})
_COMMENT = regex(r"\{\{-?\s*/\*")
_YAML_COMMENT = regex(r"^[ \t]*#[^\n]*$", re.MULTILINE)
# `index .Values "a-b" "c"` and `(.Values.a).b` are other words for `.Values.a-b.c`; so are those
# below a variable that is set once.
_VALUE = r"(\$?\w*(?:\.\w+)*\.Values\b(?:\.[\w-]+)*)"
_INDEXED = regex(rf'\bindex\s+{_VALUE}((?:\s+"[\w.-]*")+)')
_IN_BRACKETS = regex(rf"\(\s*{_VALUE}\s*\)(?=\.)")
_SET = regex(rf"\{{\{{-?\s*(\$\w+)\s*:=\s*{_VALUE}\s*-?\}}\}}")
_ANY_SET = regex(r"(\$\w+)\s*(?:,\s*\$\w+\s*)?:?=")
_VARIABLE = regex(r"\$\w+(?!\s*:?=)")
_MOST_LEVELS = 3  # of brackets, `index` and variables within each other
READ = regex(r"(\.Values\b(?:\.[\w-]+)*)")
# Each item of a mapping, whose keys are then named nowhere.
ITEMS = regex(
    rf"\b(?:range\s+(?:\$\w+\s*(?:,\s*\$\w+\s*)?:?=\s*)?{_VALUE}"
    rf"|(?:index|get)\s+{_VALUE}\s+[$.(])"
)
# A value that is written out as it is, also `with` it, or each item of it.
_WHOLE = r"(?:\|\s*n?indent\s+\d+\s*)?-?\}\}"
WRITTEN = regex(
    rf"\btoYaml\s+{_VALUE}\s*{_WHOLE}"
    rf"|\{{\{{-?[ \t]*{_VALUE}\s*\|\s*toYaml\s*{_WHOLE}"
    rf"|\btpl\s+\(\s*toYaml\s+{_VALUE}\s*\)\s+[.$]\s*{_WHOLE}"
    rf"|\b(?:with|range)\s+{_VALUE}\s*-?\}}\}}[^{{]*\{{\{{-?\s*toYaml\s+\.\s*{_WHOLE}"
)
_ACTION = regex(r"\{\{-?[ \t]*([^{}]*)\}\}")
_CONTROL = regex(r"(?:if|else|with|range|end|define|block)\b|\$\w+\s*:?=")
_DEFINED = regex(r"\{\{-?\s*define\s+[\"`]([^\"`]+)[\"`]\s*-?\}\}")
_INCLUDED = regex(r"\b(?:include|template)\s+[\"`]([^\"`]+)[\"`]")
_COMPUTED = regex(r"\b(?:include|template)\s+[^\"`\s]")  # its name is not written out
_MOST_NAMES = 20  # of templates that one line includes
_MOST_CHARACTERS = 5_000  # of each
# What stands below the dot, or in a variable: the last of its keys.
_BELOW = regex(
    r"(?<![\w.)\]])(?:\$\w*)?\.(?!(?:Values|Chart|Release|Capabilities)\b)(?:\w+\.)*(\w+)"
)
# What makes another text of a tag, in which no digest survives.
_CHANGES = regex(
    r"\b(?:trunc|substr|abbrev\w*|replace|regex\w+|split\w*|upper|title|\w+case|int|int64|float64"
    r"|\w+sum|b64enc)\b"
)
_FORMAT = regex(r"\bprintf\s+[\"`]([^\"`]*)[\"`]")
_JOINED = regex(r"(?:%[sv][/:@]?)*")
_TEXT = regex(r"[\w./+-]*")
_FAR = 300  # characters beside an action that are looked at
# One of several values is taken: what comes behind `default` stands where the first is empty.
_EITHER = regex(r"\b(?:default|coalesce|or)\b")
_OR_ELSE = regex(r"\bdefault\s+\([^()]*\)")
_FALLBACK = regex(r"\bdefault\s+[$\w.]*\.Values\.[\w.-]+(?=\s+[($.])")
_NAMES = frozenset(NAME_KEYS)
_VERSIONS = frozenset(TAG_KEYS)


@dataclass(frozen=True)
class Line:
    """A line that has an action: where it stands, its own key, and whether it makes a label.

    A name has to be like one: it has at most 63 characters, and no at-sign.
    """

    place: str
    text: str
    key: str
    is_label: bool


@dataclass(frozen=True)
class Texts:
    """The templates of a chart by their paths, in plain words (`plain`)."""

    by_path: Mapping[str, str]
    _known: dict[str, tuple[set[Keys], list[str]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def values(self, pattern: re.Pattern[str]) -> frozenset[Keys]:
        """Return the values that are read in some way; no keys for all of them."""
        return frozenset(one for text in self.by_path.values() for one in _values_in(pattern, text))

    def labels(self) -> dict[str, frozenset[Keys]]:
        """Return the values in labels and names, by their places."""
        return {line.place: self._used(line.text) for line in self._lines() if line.is_label}

    def changed(self) -> dict[Keys, list[tuple[str, Keys]]]:
        """Return the values of which an image is made otherwise than as they are.

        Each with the places, and the value by which it is so there if that is set; no keys where it
        is so in any case.
        """
        found: dict[Keys, list[tuple[str, Keys]]] = {}
        for line in self._lines():
            for keys, other in self._changed(line):
                found.setdefault(keys, []).append((line.place, other))
        return found

    def _lines(self) -> Iterator[Line]:
        for path, text in self.by_path.items():
            above = [(-1, "", False)]  # indentation and key of what a line stands in; is it a label
            for number, line in enumerate(text.split("\n"), start=1):
                match = _KEY.match(line)
                if match is not None:
                    indent, key = len(match["indent"]), match["key"]
                    while above[-1][0] >= indent:
                        above.pop()
                    is_name = (above[-1][1], key) == ("metadata", "name")
                    above.append((indent, key, above[-1][2] or key in _LABELS or is_name))
                if "{{" in line:
                    key = match["key"] if match is not None else ""
                    yield Line(f"{path}:{number}", line, key, above[-1][2])

    def _used(self, text: str) -> frozenset[Keys]:
        """Return the values that a text uses, also by the templates that it includes.

        What is read below the dot is its last key, with a dot before it.
        """
        used, names = _used_in(text)
        for name in names:  # those that it includes are put behind it
            if name not in self._known:
                self._known[name] = _used_in(self._defined.get(name, "")[:_MOST_CHARACTERS])
            more, further = self._known[name]
            used |= more
            names += [one for one in further if one not in names][: _MOST_NAMES - len(names)]
        return frozenset(used)

    def unread(self) -> bool:
        """Tell whether a template is included that stands in none of these texts."""
        texts = self.by_path.values()
        named = {name for text in texts for name in _INCLUDED.findall(text)}
        is_computed = any(_COMPUTED.search(text) for text in texts)
        return is_computed or not named <= self._defined.keys()

    @cached_property
    def _defined(self) -> dict[str, str]:
        """The templates that others include, by their names."""
        found: dict[str, str] = {}
        for text in self.by_path.values():
            parts = _DEFINED.split(text)
            found.update(zip(parts[1::2], parts[2::2], strict=True))
        return found

    def _changed(self, line: Line) -> Iterator[tuple[Keys, Keys]]:
        """Yield the values that a line changes, or beside which it writes something else.

        A line without a key is one of a template that others include: it makes an image where it
        reads a name.
        """
        actions = list(_ACTION.finditer(line.text))
        read = {one[-1].lstrip(".") for found in actions for one in _read_in(found[1])}
        is_helper = not line.key and not read.isdisjoint(_NAMES)
        if not is_helper and not line.key.lower().endswith("image"):
            return
        earlier: dict[str, Keys] = {}  # by their last keys
        before: list[Keys] = []  # those of the action that ends where the next one begins
        end = -1
        for found in actions:
            action = _OR_ELSE.sub("", found[1])
            is_written = not _CONTROL.match(action)
            if is_written and _is_changed(line.text, found, action):
                yield from ((keys, ()) for keys in self._used(found[0]))
            values = [keys for keys in _values_in(READ, _FALLBACK.sub("", action)) if keys]
            if _EITHER.search(action) and "print" not in action:
                yield from ((keys, values[0]) for keys in values[1:] if keys != values[0])
            for keys in values:
                other = earlier.get(_part(keys), keys)
                if other != keys:
                    yield keys, other
            if is_written and found.start() == end:
                yield from ((one, two) for one in before for two in values if DIGEST not in two)
                yield from ((two, one) for one in before for two in values if DIGEST not in two)
            for keys in values:
                earlier.setdefault(_part(keys), keys)
            before, end = (values, found.end()) if is_written else ([], -1)


def _used_in(text: str) -> tuple[set[Keys], list[str]]:
    """Return the values that a text reads, and the names of the templates that it includes."""
    read = {key for action in _ACTION.findall(text) for key in _read_in(action)}
    return read, list(dict.fromkeys(_INCLUDED.findall(text)))[:_MOST_NAMES]


def _is_changed(line: str, found: re.Match[str], action: str) -> bool:
    """Tell whether an action of a line changes what it reads, or has other text beside it."""
    before = _TEXT.match(line[max(found.start() - _FAR, 0) : found.start()][::-1])
    behind = _TEXT.match(line, found.end(), found.end() + _FAR)
    return (
        _CHANGES.search(action) is not None
        or not all(map(_JOINED.fullmatch, _FORMAT.findall(action)))
        or (before is not None and before[0][::-1].strip("/") not in ("", *DOCKER))
        or (behind is not None and behind[0] not in ("", "/"))
    )


def _part(keys: Keys) -> str:
    """Return which part of an image a value is, by its last key."""
    return "tag" if keys[-1] in _VERSIONS else keys[-1]


def _read_in(action: str) -> list[Keys]:
    """Return the values that an action reads, and the last keys of what it reads below the dot."""
    values = (keys for keys in _values_in(READ, action) if keys)
    return [*values, *((f".{key}",) for key in _BELOW.findall(action))]


def _values_in(pattern: re.Pattern[str], text: str) -> Iterator[Keys]:
    for found in pattern.finditer(text):
        value = found[found.lastindex or 0]
        yield tuple(value.partition(".Values")[2].split("."))[1:]


def plain(text: str) -> str:
    """Return a template without comments, with every value written in one way: `.Values.a.b`."""
    text = _without_comments(text)
    for _level in range(_MOST_LEVELS):
        text = _IN_BRACKETS.sub(r"\1", _INDEXED.sub(_dotted, text))
        times = Counter(_ANY_SET.findall(text))
        known = {name: value for name, value in _SET.findall(text) if times[name] == 1}
        if known:
            text = _VARIABLE.sub(lambda found: known.get(found[0], found[0]), text)  # noqa: B023
    return text


def _without_comments(text: str) -> str:
    """Return a template without its comments, and without what it makes comments of."""
    out, position = [], 0
    for found in _COMMENT.finditer(text):
        end = text.find("*/", found.end())
        if end < 0:
            break
        if found.start() >= position:
            gone = text.count("\n", found.start(), end)
            out += [text[position : found.start()], "\n" * gone]
            position = end + 2
    return _YAML_COMMENT.sub("", "".join((*out, text[position:])))


def _dotted(found: re.Match[str]) -> str:
    return found[1] + "".join(f".{key}" for key in found[2].replace('"', " ").split())
