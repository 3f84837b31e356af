"""What the templates of a chart in the repository make of its values. Pure.

They are not rendered: it is looked for what reads a value, and for labels that a tag is written
into. A value that no template reads changes nothing, whatever is deployed there; one that may be
read in a way that is not followed (`tpl`, values that are passed on as a whole) is not proven.
"""

from __future__ import annotations

import posixpath
import re
from functools import cached_property
from typing import TYPE_CHECKING

from gitops_rollback.effective.objects import ACCEPT, Unknown
from gitops_rollback.late import dataclass, field, regex
from gitops_rollback.manifest.image_field import DIGEST, REFERENCE, REGISTRY, TAG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gitops_rollback.manifest.image_field import ImageField, Part

_KEY = regex(r"^(?P<indent>[ \t-]*)(?P<key>[\w./-]+):")
_LABELS = frozenset({"labels", "matchLabels", "selector", "commonLabels"})
# What is no template in the folder of templates, or nothing that is applied (helm.sh, "Charts").
_NOTES = "NOTES.txt"
_COMMENT = regex(r"\{\{-?\s*/\*")
_YAML_COMMENT = regex(r"^[ \t]*#[^\n]*$", re.MULTILINE)
# `index .Values "a-b" "c"` and `(.Values.a).b` are other words for `.Values.a-b.c`.
_VALUE = r"(\$?\w*(?:\.\w+)*\.Values\b(?:\.[\w-]+)*)"
_INDEXED = regex(rf'\bindex\s+{_VALUE}((?:\s+"[\w.-]*")+)')
_IN_BRACKETS = regex(rf"\(\s*{_VALUE}\s*\)(?=\.)")
_READ = regex(r"(\.Values\b(?:\.[\w-]+)*)")
# Each item of a mapping, whose keys are then named nowhere.
_ITEMS = regex(
    rf"\b(?:range\s+(?:\$\w+\s*(?:,\s*\$\w+\s*)?:?=\s*)?{_VALUE}"
    rf"|(?:index|get)\s+{_VALUE}\s+[$.(])"
)
# A value that is written out as it is, also `with` it.
_WHOLE = r"(?:\|\s*n?indent\s+\d+\s*)?-?\}\}"
_WRITTEN = regex(
    rf"\btoYaml\s+{_VALUE}\s*{_WHOLE}"
    rf"|\bwith\s+{_VALUE}\s*-?\}}\}}[^{{]*\{{\{{-?\s*toYaml\s+\.\s*{_WHOLE}"
)
_MOST_LEVELS = 3  # of brackets and `index` within each other
_OWN_WORDS = regex(r"\btpl\b")
_DEPENDS = regex(rb"^dependencies:(?!\s*\[\s*\])", re.MULTILINE)
_DOCKER = ("docker.io", "index.docker.io", "registry-1.docker.io")


def is_template(path: str) -> bool:
    """Tell whether a file is one of the templates of a chart that are no YAML at all."""
    return path.endswith(".tpl") and "templates" in path.split("/")[:-1]


@dataclass(frozen=True)
class _Chart:
    """The templates of a chart, without comments, and the values that they read, as keys.

    Of `items` they read each item, `written` is written out as it is; `labels` are the values in
    labels, by their places. One that has others in it (`has_others`) is not judged.
    """

    texts: tuple[str, ...]
    read: frozenset[tuple[str, ...]]
    items: frozenset[tuple[str, ...]]
    written: frozenset[tuple[str, ...]]
    labels: Mapping[str, frozenset[tuple[str, ...]]]
    has_others: bool

    @property
    def is_judged(self) -> bool:
        """Whether what it does not read changes nothing."""
        return bool(self.texts) and not self.has_others

    def reads(self, keys: tuple[str, ...]) -> bool:
        """Tell whether the templates read a value, as far as they can be followed."""
        if any(one[: len(keys)] == keys for one in self.read):
            return True
        # An item of a list that has its image as Kubernetes has it: a container.
        is_container = keys[-1:] == ("image",) and any(key.isdecimal() for key in keys[-2:-1])
        if is_container and any(keys[: len(one)] == one for one in self.written):
            return True
        return any(
            (keys[: len(one)] == one and self._names(_words(keys[len(one) :])))
            or (one in self.items and self._reads_items(keys, one))
            for one in self.read
        )

    def _reads_items(self, keys: tuple[str, ...], over: tuple[str, ...]) -> bool:
        """Tell whether the items of a value are read by the keys that stand in each."""
        inside = _words(keys[len(over) + 1 :])
        return keys[: len(over)] == over and bool(inside) and self._names(inside)

    def _names(self, keys: tuple[str, ...]) -> bool:
        """Tell whether all of some keys are named: `.key`, or in quotes."""
        patterns = (rf'\.{re.escape(key)}\b|["`]{re.escape(key)}["`]' for key in keys)
        return all(any(re.search(one, text) for text in self.texts) for one in patterns)


@dataclass(frozen=True)
class Templates:
    """The templates of all charts among some files, of which `raw` has the bytes."""

    raw: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    _charts: dict[str, _Chart] = field(default_factory=dict, repr=False, compare=False)

    def doubt(self, folder: str, image: ImageField) -> Unknown | None:
        """Return why a chart's templates may not make an image of values; None where they do.

        A chart that has others in it, or of which no template was read, is not judged.
        """
        chart = self._chart(folder)
        if not chart.is_judged:
            return None
        unread = {p.role: p for p in image.parts if not chart.reads(_keys(image, p))}
        for role, part in unread.items():
            is_default = role == REGISTRY and part.text.strip("/") in ("", *_DOCKER)
            # Of tag and digest one is enough: that the digest does not count is said (`warning`).
            other = {TAG: DIGEST, DIGEST: TAG}.get(role, "")
            has_other = image.part(other) is not None and other not in unread
            if part.text and not is_default and not has_other:
                return self._unread(folder, image, part)
        return None

    def warning(self, folder: str, image: ImageField) -> str:
        """Return that a digest of values is read by no template; empty where it is."""
        chart, part = self._chart(folder), image.part(DIGEST)
        if part is None or not part.text or not chart.is_judged:
            return ""
        keys = _keys(image, part)
        if chart.reads(keys):
            return ""
        return f"no template of {folder or '.'} reads .Values.{'.'.join(keys)}: its tag runs"

    def label_with(self, folder: str, container: str) -> str:
        """Return the place in a chart's templates where an image's tag is a label; empty for none.

        `container` are the keys of the image in the values: `image`, `web.image`.
        """
        tags = {(*_above(container), name) for name in ("tag", "imageTag")}
        labels = self._chart(folder).labels
        return next((place for place, read in labels.items() if not read.isdisjoint(tags)), "")

    def _chart(self, folder: str) -> _Chart:
        if folder not in self._charts:
            self._charts[folder] = self._read(folder)
        return self._charts[folder]

    def _read(self, folder: str) -> _Chart:
        written = {
            path: self.raw[path].decode(errors="replace")
            for path in self._below.get(posixpath.join(folder, "templates"), ())
            if posixpath.basename(path) != _NOTES
        }
        # What dependencies of a chart read is not looked into.
        files = (posixpath.join(folder, name) for name in ("Chart.yaml", "requirements.yaml"))
        depends = any(_DEPENDS.search(self.raw.get(path, b"")) for path in files)
        texts = tuple(_plain(_without_comments(text)) for text in written.values())
        return _Chart(
            texts,
            frozenset(one for text in texts for one in _values_in(_READ, text)),
            frozenset(one for text in texts for one in _values_in(_ITEMS, text)),
            frozenset(one for text in texts for one in _values_in(_WRITTEN, text)),
            {f"{path}:{n}": read for path, text in written.items() for n, read in _labels(text)},
            depends or posixpath.join(folder, "charts") in self._below,
        )

    @cached_property
    def _below(self) -> dict[str, list[str]]:
        """The files below each folder of templates, or of charts within a chart."""
        found: dict[str, list[str]] = {}
        for path in self.raw:
            steps = path.split("/")[:-1]
            for number, step in enumerate(steps, start=1):
                if step in ("templates", "charts"):
                    found.setdefault("/".join(steps[:number]), []).append(path)
        return found

    def _unread(self, folder: str, image: ImageField, part: Part) -> Unknown:
        chart, keys = self._chart(folder), _keys(image, part)
        name = f".Values.{'.'.join(keys)}"
        place, where = (image.path, part.scalar.line), folder or "."
        hint = f"set what the templates read, {ACCEPT}"
        if any(keys[: len(one)] == one for one in chart.read):
            why = f"whether a template of {where} reads {name} is not known: it is passed on whole"
        elif any(_OWN_WORDS.search(text) for text in chart.texts):
            why = f"no template of {where} reads {name}, unless a text that `tpl` runs does"
        else:
            why = f"no template of {where} reads {name}: it changes nothing"
        return Unknown(*place, name, why, hint)


def _above(container: str) -> tuple[str, ...]:
    """Return the keys below which the parts of an image stand in the values."""
    return () if container == "values" else tuple(container.split("."))


def _keys(image: ImageField, part: Part) -> tuple[str, ...]:
    """Return the keys below which a part of an image stands in the values."""
    if part.role == REFERENCE:
        return tuple(image.container.split("."))
    return (*_above(image.container), part.key)


def _words(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys that a template has to name: not those of the items of a list."""
    return tuple(key for key in keys if not key.isdecimal())


def _plain(text: str) -> str:
    """Return a template with every value written in one way: `.Values.a.b`."""
    for _level in range(_MOST_LEVELS):
        text = _IN_BRACKETS.sub(r"\1", _INDEXED.sub(_dotted, text))
    return text


def _values_in(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, ...]]:
    """Yield the values that a plain template reads in some way, as keys; none for all of them."""
    for found in pattern.finditer(text):
        value = found[found.lastindex or 0]
        yield tuple(value.partition(".Values")[2].split("."))[1:]


def _without_comments(text: str) -> str:
    """Return a template without its comments, and without what it makes comments of."""
    out, position = [], 0
    for found in _COMMENT.finditer(text):
        end = text.find("*/", found.end())
        if end < 0:
            break
        if found.start() >= position:
            out.append(text[position : found.start()])
            position = end + 2
    return _YAML_COMMENT.sub("", "".join((*out, text[position:])))


def _dotted(found: re.Match[str]) -> str:
    return found[1] + "".join(f".{key}" for key in found[2].replace('"', " ").split())


def _labels(text: str) -> Iterator[tuple[int, frozenset[tuple[str, ...]]]]:
    """Yield the lines, counted from 1, in which a label has values, and these."""
    above: list[tuple[int, str]] = []  # indentation and key of what a line stands in
    for number, line in enumerate(text.splitlines(), start=1):
        match = _KEY.match(line)
        if match is None:
            continue
        indent = len(match["indent"])
        while above and above[-1][0] >= indent:
            above.pop()
        if ".Values" in line and any(key in _LABELS for _indent, key in above):
            yield number, frozenset(_values_in(_READ, _plain(line)))
        above.append((indent, match["key"]))
