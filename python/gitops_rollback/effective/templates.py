"""What the templates of a chart in the repository make of its values. Pure.

They are not rendered: it is looked for what reads a value, and for labels and names that a tag is
written into. A value that no template reads changes nothing, whatever is deployed there; one that
may be read in a way that is not followed (`tpl`, values that are passed on as a whole), of which
the template makes another text, or before which another value comes, is not proven.
"""

from __future__ import annotations

import posixpath
import re
from functools import cached_property
from typing import TYPE_CHECKING

from gitops_rollback.effective.objects import ACCEPT, Unknown
from gitops_rollback.effective.template_texts import DOCKER, ITEMS, READ, WRITTEN, Texts, plain
from gitops_rollback.effective.tree import find
from gitops_rollback.late import dataclass, field, regex
from gitops_rollback.manifest.document import text_of
from gitops_rollback.manifest.helm import TAG_KEYS
from gitops_rollback.manifest.image_field import DIGEST, REFERENCE, REGISTRY, TAG

if TYPE_CHECKING:
    from collections.abc import Mapping

    import yaml

    from gitops_rollback.effective.template_texts import Keys
    from gitops_rollback.manifest.image_field import ImageField, Part

# What is no template in the folder of templates, or nothing that is applied (helm.sh, "Charts").
_NOTES = "NOTES.txt"
_OWN_WORDS = regex(r"\btpl\b")
_DEPENDS = regex(rb"^dependencies:(?!\s*\[\s*\])", re.MULTILINE)


def is_template(path: str) -> bool:
    """Tell whether a file is one of the templates of a chart that are no YAML at all."""
    return path.endswith(".tpl") and "templates" in path.split("/")[:-1]


@dataclass(frozen=True)
class _Chart:
    """The templates of a chart, without comments, and the values that they read, as keys.

    Of `items` they read each item, `written` is written out as it is; `labels` are the values in
    labels and names, by their places; `changed` the values that an image is made of, and not as
    they are: where, and by which other one if that is set. One that has others in it (`has_others`)
    is not judged.
    """

    texts: tuple[str, ...]
    read: frozenset[Keys]
    items: frozenset[Keys]
    written: frozenset[Keys]
    labels: Mapping[str, frozenset[Keys]]
    changed: Mapping[Keys, list[tuple[str, Keys]]]
    has_others: bool

    @property
    def is_judged(self) -> bool:
        """Whether what it does not read changes nothing."""
        return bool(self.texts) and not self.has_others

    def reads(self, keys: Keys) -> bool:
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

    def _reads_items(self, keys: Keys, over: Keys) -> bool:
        """Tell whether the items of a value are read by the keys that stand in each."""
        inside = _words(keys[len(over) + 1 :])
        return keys[: len(over)] == over and bool(inside) and self._names(inside)

    def _names(self, keys: Keys) -> bool:
        """Tell whether all of some keys are named: `.key`, or in quotes."""
        patterns = (rf'\.{re.escape(key)}\b|["`]{re.escape(key)}["`]' for key in keys)
        return all(any(re.search(one, text) for text in self.texts) for one in patterns)


@dataclass(frozen=True)
class Templates:
    """The templates of all charts among some files, of which `raw` has the bytes."""

    raw: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    _charts: dict[str, _Chart] = field(default_factory=dict, repr=False, compare=False)

    def doubt(
        self, folder: str, image: ImageField, values: yaml.Node | None = None
    ) -> Unknown | None:
        """Return why a chart's templates may not make an image of values; None where they do.

        `values` are all that the chart gets. A chart that has others in it, or of which no template
        was read, is not judged by what it does not read.
        """
        chart = self._chart(folder)
        for part in image.parts:
            why = self._otherwise(chart, _keys(image, part), values) if part.text else ""
            if why:
                name = f".Values.{'.'.join(_keys(image, part))}"
                hint = f"let the template write it as it is, {ACCEPT}"
                return Unknown(image.path, part.scalar.line, name, why, hint)
        if not chart.is_judged:
            return None
        unread = {p.role: p for p in image.parts if not chart.reads(_keys(image, p))}
        for role, part in unread.items():
            is_default = role == REGISTRY and part.text.strip("/") in ("", *DOCKER)
            # Of tag and digest one is enough: that the digest does not count is said (`warning`).
            other = {TAG: DIGEST, DIGEST: TAG}.get(role, "")
            has_other = image.part(other) is not None and other not in unread
            if part.text and not is_default and not has_other:
                return self._unread(folder, image, part)
        return None

    def _otherwise(self, chart: _Chart, keys: Keys, values: yaml.Node | None) -> str:
        """Return why a template makes something else of a value; empty where none does."""
        below = chart.changed.get((f".{keys[-1]}",), [])
        for place, other in (*chart.changed.get(keys, ()), *below):
            if not other:
                return f"{place} makes another text of it"
            if text_of(find(values, *other)):
                return f"{place} takes .Values.{'.'.join(other)} too, which is set"
        return ""

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
        """Return the place in a chart's templates where an image's tag is a label, or in a name.

        `container` are the keys of the image in the values: `image`, `web.image`. Empty for none.
        """
        tags = {(*_above(container), name) for name in TAG_KEYS} | {(".tag",), (".imageTag",)}
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
        texts = Texts({path: plain(text) for path, text in written.items()})
        return _Chart(
            tuple(texts.by_path.values()),
            texts.values(READ),
            texts.values(ITEMS),
            texts.values(WRITTEN),
            texts.labels(),
            texts.changed(),
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


def _above(container: str) -> Keys:
    """Return the keys below which the parts of an image stand in the values."""
    return () if container == "values" else tuple(container.split("."))


def _keys(image: ImageField, part: Part) -> Keys:
    """Return the keys below which a part of an image stands in the values."""
    if part.role == REFERENCE:
        return tuple(image.container.split("."))
    return (*_above(image.container), part.key)


def _words(keys: Keys) -> Keys:
    """Return the keys that a template has to name: not those of the items of a list."""
    return tuple(key for key in keys if not key.isdecimal())
