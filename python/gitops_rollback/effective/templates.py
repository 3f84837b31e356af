"""What the templates of a chart in the repository make of its values. Pure.

They are not rendered: it is looked for what reads a value, and for labels that a tag is written
into. A value that no template reads changes nothing, whatever is deployed there; one that may be
read in a way that is not followed (`tpl`, values that are passed on as a whole) is not proven.
"""

from __future__ import annotations

import posixpath
import re
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
# `index .Values.a "b" "c"` and `(.Values.a).b` are other words for `.Values.a.b.c`.
_INDEXED = regex(r'\bindex\s+(\$?(?:\.\w+)*\.Values(?:\.\w+)*)((?:\s+"[\w.-]*")+)')
_IN_BRACKETS = regex(r"\(\s*(\$?(?:\.\w+)*\.Values(?:\.\w+)*)\s*\)(?=\.)")
_READ = regex(r"\.Values\b((?:\.\w+)*)")
_MOST_LEVELS = 3  # of brackets and `index` within each other
_OWN_WORDS = regex(r"\btpl\b")
_DEPENDS = regex(rb"^dependencies:(?!\s*\[\s*\])", re.MULTILINE)
_DOCKER = ("docker.io", "index.docker.io", "registry-1.docker.io")


def is_template(path: str) -> bool:
    """Tell whether a file is one of the templates of a chart that are no YAML at all."""
    return path.endswith(".tpl") and "templates" in path.split("/")[:-1]


@dataclass(frozen=True)
class _Chart:
    """The templates of a chart by their paths, without comments, and the values that they read."""

    texts: Mapping[str, str]
    read: frozenset[tuple[str, ...]]

    def names(self, keys: tuple[str, ...]) -> bool:
        """Tell whether all of some keys are named: `.key`, or in quotes."""
        patterns = (rf'\.{re.escape(key)}\b|["`]{re.escape(key)}["`]' for key in keys)
        return all(any(re.search(one, text) for text in self.texts.values()) for one in patterns)


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
        if not chart.texts or self._has_others(folder):
            return None
        unread = {part.role: part for part in image.parts if not self._is_read(chart, image, part)}
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
        if part is None or not part.text or not chart.texts or self._has_others(folder):
            return ""
        if self._is_read(chart, image, part):
            return ""
        return f"no template of {folder} reads .Values.{'.'.join(_keys(image, part))}: its tag runs"

    def label_with(self, folder: str, container: str) -> str:
        """Return the place in a chart's templates where an image's tag is a label; empty for none.

        `container` are the keys of the image in the values: `image`, `web.image`.
        """
        value = re.compile(rf"\.Values\.{re.escape(container)}\.(?:tag|imageTag)\b")
        for path in self._chart(folder).texts:
            for line in _labels_with(self.raw[path].decode(errors="replace"), value):
                return f"{path}:{line}"
        return ""

    def _chart(self, folder: str) -> _Chart:
        if folder not in self._charts:
            prefix = posixpath.join(folder, "templates/")
            texts = {
                path: _without_comments(data.decode(errors="replace"))
                for path, data in self.raw.items()
                if path.startswith(prefix) and posixpath.basename(path) != _NOTES
            }
            read = {one for text in texts.values() for one in _values_in(text)}
            self._charts[folder] = _Chart(texts, frozenset(read))
        return self._charts[folder]

    def _has_others(self, folder: str) -> bool:
        """Tell whether a chart has dependencies: what these read is not looked into."""
        files = (posixpath.join(folder, name) for name in ("Chart.yaml", "requirements.yaml"))
        below = posixpath.join(folder, "charts/")
        return any(_DEPENDS.search(self.raw.get(path, b"")) for path in files) or any(
            path.startswith(below) for path in self.raw
        )

    def _is_read(self, chart: _Chart, image: ImageField, part: Part) -> bool:
        keys = _keys(image, part)
        return any(
            one[: len(keys)] == keys
            or (keys[: len(one)] == one and chart.names(_words(keys[len(one) :])))
            for one in chart.read
        )

    def _unread(self, folder: str, image: ImageField, part: Part) -> Unknown:
        chart, keys = self._chart(folder), _keys(image, part)
        name = f".Values.{'.'.join(keys)}"
        place = (image.path, part.scalar.line)
        hint = f"set what the templates read, {ACCEPT}"
        if any(keys[: len(one)] == one for one in chart.read):
            why = f"whether a template of {folder} reads {name} is not known: it is passed on whole"
        elif any(_OWN_WORDS.search(text) for text in chart.texts.values()):
            why = f"no template of {folder} reads {name}, unless a text that `tpl` runs does"
        else:
            why = f"no template of {folder} reads {name}: it changes nothing"
        return Unknown(*place, name, why, hint)


def _keys(image: ImageField, part: Part) -> tuple[str, ...]:
    """Return the keys below which a part of an image stands in the values."""
    keys = tuple(image.container.split("."))
    if part.role == REFERENCE:
        return keys
    return (*(() if keys == ("values",) else keys), part.key)


def _words(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys that a template has to name: not those of the items of a list."""
    return tuple(key for key in keys if not key.isdecimal())


def _values_in(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the values that a template reads, as keys; nothing for all of them at once."""
    for _level in range(_MOST_LEVELS):
        text = _IN_BRACKETS.sub(r"\1", _INDEXED.sub(_dotted, text))
    for found in _READ.finditer(text):
        yield tuple(found[1].split("."))[1:]


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


def _labels_with(text: str, value: re.Pattern[str]) -> Iterator[int]:
    """Yield the lines, counted from 1, in which a label has a value."""
    above: list[tuple[int, str]] = []  # indentation and key of what a line stands in
    for number, line in enumerate(text.splitlines(), start=1):
        match = _KEY.match(line)
        if match is None:
            continue
        indent = len(match["indent"])
        while above and above[-1][0] >= indent:
            above.pop()
        if value.search(line) and any(key in _LABELS for _indent, key in above):
            yield number
        above.append((indent, match["key"]))
