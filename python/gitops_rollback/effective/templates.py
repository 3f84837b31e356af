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

from gitops_rollback.effective.left_out import is_ignore_file
from gitops_rollback.effective.objects import ACCEPT, Unknown
from gitops_rollback.effective.stacks import by_place, dependencies_of
from gitops_rollback.effective.template_texts import DOCKER, ITEMS, READ, WRITTEN, Texts, plain
from gitops_rollback.effective.tree import find
from gitops_rollback.late import dataclass, field, regex
from gitops_rollback.manifest.document import lookup, root_of, text_of
from gitops_rollback.manifest.helm import TAG_KEYS
from gitops_rollback.manifest.image_field import DIGEST, REFERENCE, REGISTRY, TAG
from gitops_rollback.manifest.patterns import go_glob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import yaml

    from gitops_rollback.effective.template_texts import Keys
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField, Part

# What is no template in the folder of templates, or nothing that is applied (helm.sh, "Charts").
_NOTES = "NOTES.txt"
_OWN_WORDS = regex(r"\btpl\b")
_IGNORED = ".helmignore"
_FILES = ("Chart.yaml", "values.yaml")
OF_CHART = ("templates", "charts", _IGNORED)  # what belongs to a chart and is read with it
_GLOBAL = "global"  # values that a chart's dependencies get too
_LIBRARY = "library"


def is_chart_file(path: str) -> bool:
    """Tell whether a file says that its folder is a chart."""
    return posixpath.basename(path) == _FILES[0]


def is_beside(path: str) -> bool:
    """Tell whether a file is no YAML, and says what becomes of others: a chart's, or a list."""
    return is_of_chart(path) or is_ignore_file(path)


def is_of_chart(path: str) -> bool:
    """Tell whether a file is one of those of a chart that are no YAML at all."""
    *folders, name = path.split("/")
    return (name.endswith(".tpl") and "templates" in folders) or name == _IGNORED


@dataclass(frozen=True)
class _Chart:
    """The templates of a chart, without comments, and the values that they read, as keys.

    Of `items` they read each item, `written` is written out as it is; `labels` are the values in
    labels and names, by their places; `changed` the values that an image is made of, and not as
    they are: where, and by which other one if that is set. `below` are the charts that it takes, by
    the keys of their values; `has_unread` tells that it includes what is in none of the texts.
    """

    texts: tuple[str, ...]
    read: frozenset[Keys]
    items: frozenset[Keys]
    written: frozenset[Keys]
    labels: Mapping[str, frozenset[Keys]]
    changed: Mapping[Keys, list[tuple[str, Keys]]]
    below: Mapping[str, str]
    has_unread: bool

    def is_judged(self, keys: Keys) -> bool:
        """Tell whether it changes nothing if it does not read a value."""
        if self.below and (self.has_unread or keys[0] == _GLOBAL):
            return False
        return bool(self.texts) and self.below.get(keys[0], keys[0]) != ""

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
class _Reader:
    """A chart that gets a value below some keys, among all `values` that it gets."""

    chart: _Chart
    keys: Keys
    values: yaml.Node | None

    @property
    def otherwise(self) -> str:
        """Why a template makes something else of the value; empty where none does."""
        changed = self.chart.changed
        for place, other in (*changed.get(self.keys, ()), *changed.get((f".{self.keys[-1]}",), ())):
            if not other:
                return f"{place} makes another text of it"
            if text_of(find(self.values, *other)):
                return f"{place} takes .Values.{'.'.join(other)} too, which is set"
        return ""


@dataclass(frozen=True)
class Templates:
    """The templates of all charts among some files, of which `raw` has the bytes."""

    raw: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    parsed: Callable[[str], ParsedFile | None] = field(default=lambda _path: None, repr=False)
    _charts: dict[str, _Chart] = field(default_factory=dict, repr=False, compare=False)

    def doubt(
        self, folder: str, image: ImageField, values: yaml.Node | None = None
    ) -> Unknown | None:
        """Return why a chart's templates may not make an image of values; None where they do.

        `values` are all that the chart gets. What a chart does that was not read, and one of which
        no template was read, is not judged.
        """
        ignored = self._ignored(folder)
        if ignored is not None:
            return ignored
        for part in (one for one in image.parts if one.text):
            for reader in self._readers(folder, _keys(image, part), values):
                why = reader.otherwise
                if why:
                    name = f".Values.{'.'.join(_keys(image, part))}"
                    hint = f"let the template write it as it is, {ACCEPT}"
                    return Unknown(image.path, part.scalar.line, name, why, hint)
        unread = {p.role: p for p in image.parts if self._is_unread(folder, _keys(image, p))}
        for role, part in unread.items():
            is_default = role == REGISTRY and part.text.strip("/") in ("", *DOCKER)
            # Of tag and digest one is enough: that the digest does not count is said (`warning`).
            other = {TAG: DIGEST, DIGEST: TAG}.get(role, "")
            has_other = image.part(other) is not None and other not in unread
            if part.text and not is_default and not has_other:
                return self._unread(folder, image, part)
        return None

    def warning(self, folder: str, image: ImageField) -> str:
        """Return that a digest of values is read by no template; empty where it is."""
        part = image.part(DIGEST)
        if part is None or not part.text or not self._is_unread(folder, _keys(image, part)):
            return ""
        name = f".Values.{'.'.join(_keys(image, part))}"
        return f"no template of {folder or '.'} reads {name}: its tag runs"

    def label_with(self, folder: str, container: str) -> str:
        """Return the place in a chart's templates where an image's tag is a label, or in a name.

        `container` are the keys of the image in the values: `image`, `web.image`. Empty for none.
        """
        for reader in self._readers(folder, _above(container)):
            tags = {(*reader.keys, name) for name in TAG_KEYS} | {(".tag",), (".imageTag",)}
            for place, read in reader.chart.labels.items():
                if not read.isdisjoint(tags):
                    return place
        return ""

    def _readers(
        self, folder: str, keys: Keys, values: yaml.Node | None = None
    ) -> Iterator[_Reader]:
        """Yield a chart with the keys of a value, and those below it that get the value too."""
        chart = self._chart(folder)
        yield _Reader(chart, keys, values)
        below = chart.below.get(keys[0], "") if keys else ""
        if below:
            yield from self._readers(below, keys[1:], find(values, keys[0]))

    def _is_unread(self, folder: str, keys: Keys) -> bool:
        """Tell whether surely no template reads a value."""
        return all(
            one.chart.is_judged(one.keys) and not one.chart.reads(one.keys)
            for one in self._readers(folder, keys)
        )

    def _ignored(self, folder: str) -> Unknown | None:
        """Return that a file of a chart is left out of it, by its `.helmignore`."""
        path = posixpath.join(folder, _IGNORED)
        lines = self.raw.get(path, b"").decode(errors="replace").splitlines()
        own = [posixpath.join(folder, name) for name in _FILES]
        own += self._below.get(posixpath.join(folder, "templates"), ())
        names = [one.removeprefix(f"{folder}/") for one in own if one in self.raw]
        for number, line in enumerate(lines, start=1):
            found = next((name for name in names if _leaves_out(line.strip(), name)), None)
            if found is not None:
                why = f"it leaves {found} out of the chart, as far as is known"
                return Unknown(path, number, line.strip(), why, f"take it out, {ACCEPT}")
        return None

    def _chart(self, folder: str) -> _Chart:
        if folder not in self._charts:
            self._charts[folder] = self._read(folder)
        return self._charts[folder]

    def _read(self, folder: str) -> _Chart:
        written = {
            path: self.raw[path].decode(errors="replace")
            for one in (folder, *self._libraries(folder, {}))
            for path in self._below.get(posixpath.join(one, "templates"), ())
            if posixpath.basename(path) != _NOTES
        }
        texts = Texts({path: plain(text) for path, text in written.items()})
        return _Chart(
            tuple(texts.by_path.values()),
            texts.values(READ),
            texts.values(ITEMS),
            texts.values(WRITTEN),
            texts.labels(),
            texts.changed(),
            dict(self._taken(folder)),
            texts.unread(),
        )

    def _taken(self, folder: str) -> list[tuple[str, str]]:
        return dependencies_of(folder, self._known, self.parsed)

    def _libraries(self, folder: str, found: dict[str, None]) -> Iterable[str]:
        """Return the charts below one that only have templates for others, in `found`."""
        for _key, one in self._taken(folder):
            root = root_of(self.parsed(posixpath.join(one, _FILES[0])))
            if one not in found and text_of(lookup(root, "type")) == _LIBRARY:
                found[one] = None
                self._libraries(one, found)
        return found

    @cached_property
    def _known(self) -> dict[str, list[str]]:
        """The folders of the charts, by the folders that they stand in."""
        return by_place(posixpath.dirname(path) for path in self.raw if is_chart_file(path))

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


def _leaves_out(pattern: str, path: str) -> bool:
    """Tell whether a line of `.helmignore` may be about a file of a chart (helm, pkg/ignore).

    A pattern without a slash is about a name, also that of a folder above; one with `!` is about
    all that it does not name. What is no pattern, on which helm fails, is about every file.
    """
    text = pattern.removeprefix("!").strip("/")
    if not pattern or pattern.startswith("#"):
        return False
    if "**" in pattern or go_glob(text) is None:
        return True
    steps = path.split("/")
    wanted = text.split("/")
    is_whole = "/" in pattern.removeprefix("!").removesuffix("/")
    several = [steps[: len(wanted)]] if is_whole else [[step] for step in steps]
    fits = any(
        len(one) == len(wanted) and all(map(_is_name, wanted, one))
        for one in several
        if not pattern.endswith("/") or one[-1:] != steps[-1:]
    )
    return fits is not pattern.startswith("!")


def _is_name(pattern: str, name: str) -> bool:
    glob = go_glob(pattern)
    return glob is None or glob.fullmatch(name) is not None


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
