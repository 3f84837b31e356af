"""The texts of a chart's templates: which values they read, and what they make of them. Pure.

Nothing is rendered (pkg.go.dev/text/template, helm.sh/docs/chart_template_guide): actions are found
in lines, and values in actions, by the words in which charts write them.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from functools import cached_property, partial
from typing import TYPE_CHECKING

from gitops_rollback.effective.conditions import covered, parts_of
from gitops_rollback.effective.expressions import (
    MUTATES,
    FailsError,
    NotFollowedError,
    Scope,
    changed_in,
)
from gitops_rollback.effective.tree import find, mapping, opaque_node, with_path
from gitops_rollback.image import HUB_NAMES
from gitops_rollback.late import dataclass, regex
from gitops_rollback.manifest.helm import NAME_KEYS, TAG_KEYS
from gitops_rollback.manifest.image_field import DIGEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import yaml

    from gitops_rollback.effective.conditions import Guards

GLOBAL = "global"  # values that a chart's dependencies get too
ANY_NAME = "?"  # of an image: it is not known
Keys = tuple[str, ...]  # of a value: `.Values.image.tag` is ("image", "tag")

_KEY = regex(r"^(?P<indent>[ \t-]*)(?P<key>[\w./-]+):(?=\s|$)")
_LABELS = frozenset({"labels", "matchLabels", "selector", "commonLabels"})
_COMMENT = regex(r"\{\{-?\s*/\*")
_COMMENT_END = regex(r"\*/\s*-?(?:\}\})?")
_YAML_COMMENT = regex(r"^[ \t]*#[^\n]*$", re.MULTILINE)
# `index .Values "a-b" "c"` and `(.Values.a).b` are other words for `.Values.a-b.c`; so are those
# below a variable that is set once.
_VALUE = r"(\$?\w*(?:\.\w+)*\.Values\b(?:\??\.[\w-]+)*)"
_ONE = regex(_VALUE)
_INDEXED = regex(rf'\bindex\s+{_VALUE}((?:\s+"[\w.-]*")+)')
_IF = regex(r"\{\{-?\s*(?:else\s+)?if\b[^{}]*\}\}")
_IN_BRACKETS = regex(rf"\(\s*{_VALUE}\s*\)(?=\.)")
_SET = regex(rf"\{{\{{-?\s*(\$\w+)\s*:=\s*{_VALUE}\s*-?\}}\}}")
_ANY_SET = regex(r"(\$\w+)\s*(?:,\s*\$\w+\s*)?:?=")
_VARIABLE = regex(r"(\$\w+)(?!\w|\s*:?=)(\.(?=\w))?")
_MOST_LEVELS = 3  # of brackets, `index` and variables within each other
READ = regex(r"(\.Values\b(?:\??\.[\w-]+)*)")
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
_ACTION = regex(r"\{\{-?[ \t]*((?:\"(?:[^\"\\\n]|\\.)*\"|`[^`]*`|[^{}\"`])*)\}\}")
_CONTROL = regex(r"(?:if|else|with|range|end|define|block)\b|\$\w+\s*:?=")
_INCLUDED = regex(r"\b(?:include|template)\s+[\"`]([^\"`]+)[\"`]")
_COMPUTED = regex(r"\b(?:include|template)\s+[^\"`\s]")  # its name is not written out
_MOST_STEPS = 20_000  # from a template to one that it includes, of all lines of a chart
# What stands below the dot, or in a variable: the last of its keys.
_BELOW = regex(
    r"(?<![\w.)\]])(?:\$\w*)?\.(?!(?:Values|Chart|Release|Capabilities)\b)(?:\w+\.)*(\w+)"
)
# What a value may go through on its way into an image, and stays what it is.
_KEEPS = frozenset(
    {"default", "coalesce", "or", "and", "not", "quote", "squote", "print", "printf", "toString"}
    | {"include", "template", "required", "dict", "index", "get", "dig", "tpl", "trim", "with"}
)
_NO_WORD = regex(r"\"(?:[^\"\\]|\\.)*\"|`[^`]*`|[$.][\w.?-]*|\b\d[\w.]*")
_WORD = regex(r"[A-Za-z]\w*")
_ASSIGNS = regex(r"\s*(?:with\s+)?\$\w+\s*:?=|\s*with\b")
# What fails, or goes another way, where a digest stands behind the tag.
_COUNTS = regex(r"\b(?:semver\w*|int|int64|float64|atoi|toDecimal)\b")
_FIXED = regex(r"(?<!include )(?<!template )(?<!default )(?<!required )[\"`]([^\"`]*)[\"`]")
_AGAIN = regex(r"\{\{-?\s*(\$\w+)\s*=[^=]")
_WHERE_NONE = regex(  # `{{ if not .tag }}{{ $version = .Chart.AppVersion }}`
    r"\{\{-?\s*if\s+not\s+([$.?\w]+)\s*-?\}\}\s*(?:\{\{-?\s*if\b[^{}]*\}\}\s*)?"
    r"\{\{-?[ \t]*(\$\w+\s*=[^{}]*)\}\}"
)
_WRITTEN_OUT = regex(r"[ \t-]*image:[ \t]*[\"']?([\w./-]+[:@][\w.:@-]+)[\"']?[ \t]*(?:#.*)?")
_NAMED = regex(r"[:@]([\w./-]+)")  # backwards
_JOINED = regex(r"[/:@]?(?:%[sv][/:@]?)*")
_ANOTHER = "makes another text of it"
_TEXT = regex(r"[\w./+-]*")
_BLANK = regex(r"\s|\}\}")  # in what is no image: the rest of a block, of a line
_FAR = 300  # characters beside an action that are looked at
# One of several values is taken: what comes behind `default` stands where the first is empty.
_EITHER = regex(r"\b(?:default|coalesce|or)\b")
_OR_ELSE = regex(r"\bdefault\s+\([^()]*\)")
_FALLBACK = regex(r"\bdefault\s+[$\w.]*\.Values\.[\w.?-]+(?=\s+[($.])")
_NAMES = frozenset(NAME_KEYS)
_VERSIONS = frozenset(TAG_KEYS)
_ANYTHING: frozenset[Keys] = frozenset((f".{key}",) for key in (*NAME_KEYS, *TAG_KEYS, DIGEST))


@dataclass(frozen=True)
class Line:
    """A line that has an action: where it stands, its own key, and whether it makes a label.

    A name has to be like one: it has at most 63 characters, and no at-sign. `is_helper` tells that
    it stands in a definition.
    """

    place: str
    text: str
    key: str
    is_label: bool
    is_helper: bool


@dataclass(frozen=True)
class Use:
    """What a template makes of a value: where, and why an image is not made of it as it is.

    `other` is the value by which it is so, if that is set; `name` the name of the image that is
    made there, written out, or `named` the value that has it; `ANY_NAME` is one below the dot.
    """

    place: str
    why: str = ""
    other: Keys = ()
    name: str = ""
    named: Keys = ()


class Texts:
    """The templates of a chart by their paths, in plain words (`plain`), as `values` make them.

    `below` are the charts that it takes, by the keys of their values.
    """

    def __init__(
        self, by_path: Mapping[str, str], values: yaml.Node | None, below: Mapping[str, str]
    ) -> None:
        self.values = values
        self.below = below
        all_values = _with_below(values, below)
        parts = {path: parts_of(text, all_values) for path, text in by_path.items()}
        self.by_path = {path: one.text for path, one in parts.items()}
        self._owners = {path: one.owners for path, one in parts.items()}
        self._doubts = {path: one.doubts for path, one in parts.items()}
        self._unsure = {path: one.unsure for path, one in parts.items()}
        self._evaluated = [
            (f"{path}:{line}", text)
            for path, one in parts.items()
            if not posixpath.basename(path).startswith("_")
            for line, text in one.sure
        ]
        self._tops = [one.top for one in parts.values()]
        self._defined: dict[str, str] = {}
        partly: set[str] = set()
        for one in parts.values():
            partly |= one.partial | (self._defined.keys() & one.defined.keys())
            for name, text in one.defined.items():  # of two of a name each may count
                self._defined[name] = self._defined.get(name, "") + text
        whole = {name: text for name, text in self._defined.items() if name not in partly}
        self._scope = Scope(all_values, whole)
        self._known: dict[str, tuple[set[Keys], list[str]]] = {}
        self._sure: dict[tuple[str, bool], frozenset[Keys]] = {}
        self._steps = 0

    @cached_property
    def _reached(self) -> frozenset[str]:
        """The names of the definitions that are included; all, where that cannot be told."""
        if self.has_unread:
            return frozenset(self._defined)
        return frozenset(
            self._followed(name for text in self._tops for name in _INCLUDED.findall(text))
        )

    def _followed(self, names: Iterable[str]) -> Iterator[str]:
        """Yield the definitions of some names, and all that these include, each once."""
        waiting, found = [*names], set()
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                yield name
                waiting += self._definition(name)[1]

    def _definition(self, name: str) -> tuple[set[Keys], list[str]]:
        if name not in self._known:
            self._known[name] = _used_in(self._defined.get(name, ""))
        return self._known[name]

    @cached_property
    def made(self) -> tuple[str, ...]:
        """The texts of which something is made."""
        return (*self._tops, *(self._defined.get(name, "") for name in sorted(self._reached)))

    def _values(self, pattern: re.Pattern[str]) -> frozenset[Keys]:
        """Return the values that are read in some way; no keys for all of them.

        That a condition asks for one is no reading.
        """
        texts = (_IF.sub("", text) for text in self.made)
        return frozenset(one for text in texts for one in _values_in(pattern, text))

    @cached_property
    def read(self) -> frozenset[Keys]:
        """The values that are read."""
        return self._values(READ)

    def is_judged(self, keys: Keys) -> bool:
        """Tell whether it changes nothing if it does not read a value."""
        if self.below and (self.has_unread or keys[0] == GLOBAL):
            return False
        below = self.below.get(keys[0])  # of a chart below, one without templates reads nothing
        return below != "" and bool(self.made or below)

    def reads(self, keys: Keys) -> bool:
        """Tell whether the templates read a value, as far as they can be followed."""
        if any(one[: len(keys)] == keys for one in self.read):
            return True
        # An item of a list that has its image as Kubernetes has it: a container.
        is_container = keys[-1:] == ("image",) and any(key.isdecimal() for key in keys[-2:-1])
        if is_container and any(keys[: len(one)] == one for one in self._values(WRITTEN)):
            return True
        return any(
            (keys[: len(one)] == one and self._names(_words(keys[len(one) :])))
            or (one in self._items and self._reads_items(keys, one))
            for one in self.read
        )

    def _reads_items(self, keys: Keys, over: Keys) -> bool:
        """Tell whether the items of a value are read by the keys that stand in each."""
        inside = _words(keys[len(over) + 1 :])
        return keys[: len(over)] == over and bool(inside) and self._names(inside)

    def _names(self, keys: Keys) -> bool:
        """Tell whether all of some keys are named: `.key`, or in quotes."""
        patterns = (rf'\.{re.escape(key)}\b|["`]{re.escape(key)}["`]' for key in keys)
        return all(any(re.search(one, text) for text in self.made) for one in patterns)

    @cached_property
    def _items(self) -> frozenset[Keys]:
        return self._values(ITEMS)

    @cached_property
    def narrow(self) -> dict[str, frozenset[Keys]]:
        """Return the values that no digest can stand in, by the reasons for people."""
        found = {}
        for line in self._lines():
            counted = [one for one in _ACTION.findall(line.text) if _COUNTS.search(one)]
            if line.is_label:
                why = f"the chart writes the tag into a label or a name too ({line.place})"
                found[why] = self._used(line.text)
            elif counted:
                used = (self._used(f"{{{{ {one}}}}}") for one in counted)
                found[f"the chart computes with the tag ({line.place})"] = frozenset().union(*used)
        return found

    @cached_property
    def beside(self) -> dict[str, frozenset[Keys]]:
        """Return the values that are written to what is no image, by their places."""
        return {
            line.place: self._used("".join(f"{{{{{one}}}}}" for one in written))
            for line in self._lines()
            if not line.is_label and not _makes_image(line) and (line.key or not line.is_helper)
            if (written := [one for one in _ACTION.findall(line.text) if not _CONTROL.match(one)])
        }

    @cached_property
    def fixed(self) -> dict[str, str]:
        """The images that are written out, which no value changes, by their places."""
        return {
            f"{path}:{number}": found[1]
            for path, text in self.by_path.items()
            for number, line in enumerate(text.split("\n"), start=1)
            if (found := _WRITTEN_OUT.fullmatch(line.rstrip("\r")))
            if self._owners[path].get(number, "") in ("", *self._reached)
        }

    @cached_property
    def failing(self) -> tuple[str, str] | None:
        """Where Helm surely fails on these templates, and why; None where that is not known."""
        for place, text in self._evaluated if self.values is not None else ():
            try:
                self._scope.value_of(text)
            except FailsError as error:
                return place, str(error)
            except NotFollowedError:
                continue
        return None

    def exact(self, keys: Keys) -> list[tuple[str, str]]:
        """Return the images that are made of a value, with their places, if all are followed."""
        if self._is_mutated:
            return []
        wanted = {*(keys[:n] for n in range(len(keys) + 1)), (f".{keys[-1]}",)}
        found = [(place, text) for place, text, used in self._images if not wanted.isdisjoint(used)]
        known = [(place, text) for place, text in found if text is not None]
        return known if len(known) == len(found) else []

    @cached_property
    def _images(self) -> list[tuple[str, str | None, frozenset[Keys]]]:
        """The lines that make images: where, of which text if that is known, and of what."""
        lines = [one for one in self._lines() if one.key.lower().endswith("image")]
        made = [(line, self._rendered(line)) for line in lines]
        return [
            (line.place, text, self._used(line.text) | _any_of(line, text)) for line, text in made
        ]

    @cached_property
    def _is_mutated(self) -> bool:
        """Whether something may change values before they are read."""
        actions = (action for text in self.made for action in _ACTION.findall(text))
        return any(_words_of(one) & MUTATES and ".Values" in one for one in actions)

    @cached_property
    def mutations(self) -> list[tuple[str, str]]:
        """Where values may be changed that are not named there, and the key, empty for any."""
        return [
            (f"{path}:{number}", key)
            for path, text in self.by_path.items()
            for number, key in changed_in(text)
            if self._owners[path].get(number, "") in ("", *self._reached)
        ]

    def _rendered(self, line: Line) -> str | None:
        path, _, number = line.place.rpartition(":")
        if self.values is None or int(number) in self._unsure[path]:
            return None
        try:
            text = self._scope.rendered(line.text.partition(":")[2]).strip()
        except NotFollowedError:
            return None
        if text[:1] in ("'", '"') and text[-1] == text[0]:
            text = text[1:-1]
        return text if text and not _BLANK.search(text) else None

    @cached_property
    def changed(self) -> dict[Keys, list[Use]]:
        """Return the values of which an image is made otherwise than as they are."""
        found: dict[Keys, list[Use]] = {}
        for line in self._lines():
            for keys, use in (
                *self._set(line),
                *self._changed(line),
                *self._shared(line),
                *self._doubted(line),
            ):
                found.setdefault(keys, []).append(use)
        for keys, use in self._set_again():
            found.setdefault(keys, []).append(use)
        return found

    def _set(self, line: Line) -> Iterator[tuple[Keys, Use]]:
        """Yield the values that a line changes before they are written anywhere."""
        for action in _ACTION.findall(line.text):
            words = _words_of(action)
            if words & MUTATES or (_ASSIGNS.match(action) and words - _KEEPS):
                below = ((f".{key}",) for key in _BELOW.findall(action))
                read = (*_values_in(READ, action), *below)
                yield from ((keys, Use(line.place, _ANOTHER)) for keys in read)

    def _set_again(self) -> Iterator[tuple[Keys, Use]]:
        """Yield the values in variables that are set more than once.

        That a digest takes the place of the tag, where there is one, is how an image is written;
        what does so where there is no tag, changes none.
        """
        for path, text in self.by_path.items():
            actions = [one for one in _ACTION.findall(text) if _ANY_SET.search(one)]
            for name in dict.fromkeys(_AGAIN.findall(text)):
                own = [one for one in actions if name in _ANY_SET.findall(one)]
                values = (one.partition(":=")[2].strip() for one in own if ":=" in one)
                first = {one.partition(" ")[0] for one in values}
                spare = {one[2] for one in _WHERE_NONE.finditer(text) if {one[1]} == first}
                again = [_read_in(one) for one in own if ":=" not in one and one not in spare]
                if all(read and all(k[-1].lstrip(".") == DIGEST for k in read) for read in again):
                    continue
                use = Use(path, f"sets {name} anew")
                yield from ((keys, use) for one in own for keys in _read_in(one))

    def _doubted(self, line: Line) -> Iterator[tuple[Keys, Use]]:
        """Yield the values of an image that is made under a condition that is not followed.

        None where another one is surely made of them, and in all branches that one may be made in.
        """
        guards = self._guards(line)
        if not guards or not _makes_image(line):
            return
        own = _whole_keys(line)
        others = (self._branch(line, *one) for guard in guards for one in guard.others())
        if own and own <= self._certain("", is_image=True) and all(own <= one for one in others):
            return
        use = Use(line.place, f"stands under a condition that is not followed ({guards[0].title})")
        yield from ((keys, use) for keys in self._used(line.text))

    def _guards(self, line: Line) -> Guards:
        path, _, number = line.place.rpartition(":")
        return self._doubts[path].get(int(number), ())

    def _branch(self, line: Line, block: object, branch: int) -> frozenset[Keys]:
        """Return the values that an image is surely made of in some branch beside a line."""
        ways = [
            (tuple(inner), self._used_surely(one, is_image=True))
            for one in self._by_owner[self._owner(line)][line.place.rpartition(":")[0]]
            for number, guard in enumerate(self._guards(one))
            if (guard.block, guard.branch) == (block, branch)
            for inner in [self._guards(one)[number + 1 :]]
        ]
        return covered(ways)

    def _owner(self, line: Line) -> str:
        path, _, number = line.place.rpartition(":")
        return self._owners[path].get(int(number), "")

    @cached_property
    def _by_owner(self) -> dict[str, dict[str, list[Line]]]:
        """The lines by the definitions that they stand in, and by their files."""
        found: dict[str, dict[str, list[Line]]] = {}
        for line in self._lines():
            by_file = found.setdefault(self._owner(line), {})
            by_file.setdefault(line.place.rpartition(":")[0], []).append(line)
        return found

    def _certain(self, name: str, *, is_image: bool) -> frozenset[Keys]:
        """Return the values that a definition surely uses, or an image is surely made of there.

        Of two definitions of one name each may count. Without a name it is what stands in none.
        """
        if (name, is_image) not in self._sure:
            self._sure[name, is_image] = frozenset()  # for one that includes itself
            each = [
                covered(
                    [
                        (self._guards(one), self._used_surely(one, is_image=is_image))
                        for one in lines
                    ]
                )
                for lines in self._by_owner.get(name, {}).values()
            ]
            whole = frozenset.union if not name else frozenset.intersection
            self._sure[name, is_image] = whole(*each) if each else frozenset()
        return self._sure[name, is_image]

    def _used_surely(self, line: Line, *, is_image: bool) -> frozenset[Keys]:
        """Return the values that a line uses, or makes an image of, also by what it includes."""
        is_made = not is_image or _makes_image(line)
        if not is_made and line.key:
            return frozenset()
        names = _INCLUDED.findall(line.text)
        below = (self._certain(one, is_image=not is_made) for one in names)
        return (_whole_keys(line) if is_made else frozenset()).union(*below)

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
                owner = self._owners[path].get(number, "")
                if "{{" in line and (not owner or owner in self._reached):
                    key = match["key"] if match is not None else ""
                    yield Line(f"{path}:{number}", line, key, above[-1][2], bool(owner))

    def _used(self, text: str) -> frozenset[Keys]:
        """Return the values that a text uses, also by the templates that it includes.

        What is read below the dot is its last key, with a dot before it.
        """
        used, names = _used_in(text)
        for name in self._followed(names):
            more, further = self._definition(name)
            used |= more
            self._steps += 1 + len(further)
            if self._steps > _MOST_STEPS:
                return _ANYTHING
        return frozenset(used)

    @cached_property
    def has_unread(self) -> bool:
        """Tell whether a template is included that stands in none of these texts."""
        texts = self.by_path.values()
        named = {name for text in texts for name in _INCLUDED.findall(text)}
        is_computed = any(_COMPUTED.search(text) for text in texts)
        return is_computed or not named <= self._defined.keys()

    def _changed(self, line: Line) -> Iterator[tuple[Keys, Use]]:
        """Yield the values that an image is not made of as they are, or that others share."""
        if not _makes_image(line):
            return
        another = Use(line.place, _ANOTHER)
        actions = list(_ACTION.finditer(line.text))
        earlier: dict[str, Keys] = {}  # by their last keys
        before: list[Keys] = []  # those of the action that ends where the next one begins
        end = -1
        for found in actions:
            action = _OR_ELSE.sub("", found[1])
            is_written = not _CONTROL.match(action)
            if is_written and _is_changed(line.text, found, action):
                yield from ((keys, another) for keys in self._used(found[0]))
            values = [keys for keys in _values_in(READ, _FALLBACK.sub("", action)) if keys]
            if values and _EITHER.search(action) and "print" not in action:
                first = Use(line.place, other=values[0])
                yield from ((keys, first) for keys in values[1:] if keys != values[0])
            for keys in values:
                other = earlier.get(_part(keys), keys)
                if other != keys:
                    yield keys, Use(line.place, other=other)
            if is_written and found.start() == end:
                pairs = [(one, two) for one in before for two in values if DIGEST not in two]
                yield from ((one, Use(line.place, other=two)) for one, two in pairs)
                yield from ((two, Use(line.place, other=one)) for one, two in pairs)
            for keys in values:
                earlier.setdefault(_part(keys), keys)
            before, end = (values, found.end()) if is_written else ([], -1)

    def _shared(self, line: Line) -> Iterator[tuple[Keys, Use]]:
        """Yield the versions of images whose name is written out, or that of another value."""
        actions = [one for one in _ACTION.finditer(line.text) if not _CONTROL.match(one[1])]
        names = [one for found in actions for one in _values_in(READ, found[1]) if _is_name(one)]
        texts = (_ONE.sub("", one[1]) for one in actions)
        is_any = any(key in _NAMES for text in texts for key in _BELOW.findall(text))
        for found in actions if _makes_image(line) else ():
            named = _NAMED.match(line.text[max(found.start() - _FAR, 0) : found.start()][::-1])
            for keys in _values_in(READ, found[1]):
                if not keys or _part(keys) not in ("tag", DIGEST):
                    continue
                if named is not None or is_any:
                    yield keys, Use(line.place, name=named[1][::-1] if named else ANY_NAME)
                yield from ((keys, Use(line.place, named=o)) for o in names if o[:-1] != keys[:-1])


def _with_below(values: yaml.Node | None, below: Mapping[str, str]) -> yaml.Node | None:
    """Return values with what Helm makes sure of: each chart that is taken has some."""
    for key, folder in below.items():
        if values is not None and find(values, key) is None:
            some = mapping((), values) if folder else opaque_node(values)
            values = with_path(values, (key,), some)
    return values


def _any_of(line: Line, text: str | None) -> frozenset[Keys]:
    """Return what reads any value, where a line of no known text has a variable."""
    return frozenset([()]) if text is None and "$" in line.text else frozenset()


def _words(keys: Keys) -> Keys:
    """Return the keys that a template has to name: not those of the items of a list."""
    return tuple(key for key in keys if not key.isdecimal())


def _used_in(text: str) -> tuple[set[Keys], list[str]]:
    """Return the values that a text reads, and the names of the templates that it includes."""
    read = {key for action in _ACTION.findall(text) for key in _read_in(action)}
    return read, list(dict.fromkeys(_INCLUDED.findall(text)))


def _makes_image(line: Line) -> bool:
    """Tell whether a line makes an image: by its key, or where a helper reads a name."""
    if line.key:
        return line.key.lower().endswith("image")
    read = (one[-1].lstrip(".") for text in _ACTION.findall(line.text) for one in _read_in(text))
    return any(key in _NAMES for key in read)


def _whole_keys(line: Line) -> frozenset[Keys]:
    """Return the values that a line itself reads, but for those below the dot."""
    texts = _ACTION.findall(line.text)
    return frozenset(keys for text in texts for keys in _values_in(READ, text) if keys)


def _is_name(keys: Keys) -> bool:
    return bool(keys) and keys[-1] in _NAMES


def _words_of(action: str) -> set[str]:
    """Return the functions and keywords of an action."""
    return set(_WORD.findall(_NO_WORD.sub(" ", action)))


def _is_changed(line: str, found: re.Match[str], action: str) -> bool:
    """Tell whether an action of a line changes what it reads, or has other text beside it."""
    before = _TEXT.match(line[max(found.start() - _FAR, 0) : found.start()][::-1])
    behind = _TEXT.match(line, found.end(), found.end() + _FAR)
    return (
        bool(_words_of(action) - _KEEPS)
        or ("print" in action and not all(map(_JOINED.fullmatch, _FIXED.findall(action))))
        or (before is not None and before[0][::-1].strip("/") not in ("", *HUB_NAMES))
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
        yield tuple(value.partition(".Values")[2].replace("?", "").split("."))[1:]


def plain(text: str) -> str:
    """Return a template without comments, with every value written in one way: `.Values.a.b`.

    What stands below brackets or a variable, of which nothing is below nothing, has a question mark
    before its dot.
    """
    text = _without_comments(text)
    for _level in range(_MOST_LEVELS):
        text = _IN_BRACKETS.sub(r"\1?", _INDEXED.sub(_dotted, text))
        times = Counter(_ANY_SET.findall(text))
        known = {name: value for name, value in _SET.findall(text) if times[name] == 1}
        if known:
            text = _VARIABLE.sub(partial(_of_variable, known), text)
    return text


def _without_comments(text: str) -> str:
    """Return a template without its comments, and without what it makes comments of."""
    out, position = [], 0
    for found in _COMMENT.finditer(text):
        end = _COMMENT_END.search(text, found.end())
        if end is None:
            break
        if found.start() >= position:
            gone = text.count("\n", found.start(), end.end())
            out += [text[position : found.start()], "\n" * gone]
            position = end.end()
    return _YAML_COMMENT.sub("", "".join((*out, text[position:])))


def _of_variable(known: Mapping[str, str], found: re.Match[str]) -> str:
    value = known.get(found[1])
    return found[0] if value is None else value + ("?." if found[2] else "")


def _dotted(found: re.Match[str]) -> str:
    return found[1] + "".join(f".{key}" for key in found[2].replace('"', " ").split())
