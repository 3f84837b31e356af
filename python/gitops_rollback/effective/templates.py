"""What the templates of a chart in the repository make of its values. Pure.

They are not rendered: it is looked for what reads a value, and for labels and names that a tag is
written into. A value that no template reads changes nothing, whatever is deployed there; one that
may be read in a way that is not followed (`tpl`, values that are passed on as a whole), of which
the template makes another text, or before which another value comes, is not proven.
"""

from __future__ import annotations

import posixpath
from functools import cached_property
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.helm import merged
from gitops_rollback.effective.objects import ACCEPT, Unknown
from gitops_rollback.effective.raw import Raw, is_ignore_file
from gitops_rollback.effective.stacks import by_place, declared_of, dependencies_of, parents_of
from gitops_rollback.effective.template_texts import ANY_NAME, GLOBAL, Texts, Use, plain
from gitops_rollback.effective.tree import find, mapping, with_path
from gitops_rollback.image import HUB_NAMES, find_image, may_be
from gitops_rollback.late import dataclass, field, regex
from gitops_rollback.manifest.document import items_of, lookup, root_of, text_of, truth_of
from gitops_rollback.manifest.helm import CHART_FILE, NO_NAME, OTHER_REGISTRY, TAG_KEYS
from gitops_rollback.manifest.image_field import DIGEST, REFERENCE, REGISTRY, TAG, split_version
from gitops_rollback.manifest.patterns import go_glob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gitops_rollback.effective.template_texts import Keys
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField, Part

# What is no template in the folder of templates, or nothing that is applied (helm.sh, "Charts").
_NOTES = "NOTES.txt"
_OWN_WORDS = regex(r"\btpl\b")
_IGNORED = ".helmignore"
_FILES = (CHART_FILE, "values.yaml")
OF_CHART = ("templates", "charts", _IGNORED)  # what belongs to a chart and is read with it
_LIBRARY = "library"
_AS_IT_IS = "let the template write it as it is"
_UNCHANGED = "let the template set and merge nothing but what it made itself (dict)"
_OWN_TAGS = "give each image a tag of its own"
_SEVERAL = "makes images of several names of it"


def is_beside(path: str) -> bool:
    """Tell whether a file is no YAML, and says what becomes of others: a chart's, or a list."""
    return is_of_chart(path) or is_ignore_file(path)


def is_of_chart(path: str) -> bool:
    """Tell whether a file is one of those of a chart that are no YAML, or of a helmfile."""
    *folders, name = path.split("/")
    is_template = name.endswith(".tpl") and "templates" in folders
    return is_template or name == _IGNORED or name.endswith((".yaml.gotmpl", ".yml.gotmpl"))


@dataclass(frozen=True)
class _Reader:
    """A chart that gets a value below some keys, among all `values` that it gets.

    `written` is where these stand; of a chart that nothing here gives any, what files say of them.
    """

    chart: Texts
    keys: Keys
    folder: str
    written: tuple[yaml.Node | None, ...]

    def otherwise(self, image: ImageField) -> tuple[str, str] | None:
        """Return why a template makes something else of the value, and what to do about it."""
        for place, key in self.chart.mutations:
            if key in ("", "Values", *self.keys):
                return f"{place} may change it before it is read", _UNCHANGED
        exact = self.chart.exact(self.keys)
        for place, text in exact:
            if not _is(image, text):
                why, hint = _otherwise(image, text)
                return f"{place} {why}", hint
        if exact:
            is_several = len(self.names()) > 1 and image.problem == NO_NAME
            return (f"{exact[-1][0]} {_SEVERAL}", _OWN_TAGS) if is_several else None
        above = [self.keys[:n] for n in range(len(self.keys) + 1)]
        names: dict[str, str] = {}
        for keys in (*above, (f".{self.keys[-1]}",)):
            for use in self.chart.changed.get(keys, ()):
                why, hint = self._why(use, image)
                if why:
                    return f"{use.place} {why}", hint
                name = use.name or self._said(use.named)
                names[name.rpartition("/")[2]] = use.place
        names.pop("", None)
        several = names.get(ANY_NAME, "") or (list(names.values())[-1] if len(names) > 1 else "")
        return (f"{several} {_SEVERAL}", _OWN_TAGS) if several else None

    def names(self) -> set[str]:
        """Return the names of the images that are made of the value, as far as they are known."""
        exact = self.chart.exact(self.keys)
        uses = self.chart.changed.get(self.keys, ())
        return {split_version(text)[0] for _place, text in exact} or {
            use.name or self._said(use.named) for use in uses if use.name or use.named
        }

    def _said(self, keys: Keys) -> str:
        """Return what a value is set to; empty for none."""
        return next((said for one in self.written if (said := text_of(find(one, *keys)))), "")

    def _why(self, use: Use, image: ImageField) -> tuple[str, str]:
        """Return why a use makes something else of the value, empty where it does not."""
        if use.other:
            is_set = self._said(use.other)
            why = f"takes .Values.{'.'.join(use.other)} too, which is set"
            return (why if is_set else "", _AS_IT_IS)
        if use.name or use.named:
            name, own = use.name or self._said(use.named), image.name_text
            is_own = name in ("", ANY_NAME) or own.endswith(f"/{name}") or name.endswith(own)
            return ("", "") if is_own else _another(name)
        return use.why, _AS_IT_IS


@dataclass(frozen=True)
class Templates:
    """The templates of all charts among some files, of which `raw` has the bytes."""

    raw: Raw = field(default_factory=Raw, repr=False)
    parsed: Callable[[str], ParsedFile | None] = field(default=lambda _path: None, repr=False)
    _charts: dict[tuple[str, int], Texts] = field(default_factory=dict, repr=False, compare=False)
    _files: dict[str, tuple[yaml.Node | None, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _given: dict[tuple[str, str, int], yaml.Node | None] = field(
        default_factory=dict, repr=False, compare=False
    )

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
        for reader in self._readers(folder, _keys(image, image.parts[0]), values):
            stopped = self._switched(reader) or self._failing(reader, image)
            if stopped is not None:
                return stopped
        for part in (one for one in image.parts if one.text):
            for reader in self._readers(folder, _keys(image, part), values):
                found = reader.otherwise(image)
                if found is not None:
                    why, hint = found
                    name = f".Values.{'.'.join(_keys(image, part))}"
                    return Unknown(image.path, part.scalar.line, name, why, f"{hint}, {ACCEPT}")
        unread = {
            p.role: p for p in image.parts if self._is_unread(folder, _keys(image, p), values)
        }
        for role, part in unread.items():
            is_default = role == REGISTRY and part.text.strip("/") in ("", *HUB_NAMES)
            # Of tag and digest one is enough: that the digest does not count is said (`warning`).
            other = {TAG: DIGEST, DIGEST: TAG}.get(role, "")
            has_other = image.part(other) is not None and other not in unread
            if part.text and not is_default and not has_other:
                return self._unread(folder, image, part, values)
        return self._written_out(folder, image, values)

    def name(self, folder: str, image: ImageField, values: yaml.Node | None = None) -> str:
        """Return the name that templates give to an image of which it is theirs; else empty."""
        if image.problem not in (NO_NAME, OTHER_REGISTRY):
            return ""
        part = image.parts[-1]
        found: set[str] = set()
        for reader in self._readers(folder, _keys(image, part), values):
            found |= reader.names()
        is_one = len(found) == 1 and find_image(min(found)) is not None
        return min(found) if is_one else ""

    def _failing(self, reader: _Reader, image: ImageField) -> Unknown | None:
        """Return that Helm surely fails on a chart, whatever the image is."""
        found = reader.chart.failing
        imports = (
            lookup(one, "import-values") for _p, one in declared_of(reader.folder, self.parsed)
        )
        if found is None or any(one is not None for one in imports):
            return None
        place, why = found
        hint = f"set it in the values, or mend the template, {ACCEPT}"
        return Unknown(image.path, image.scalar.line, place, why, hint)

    def _written_out(
        self, folder: str, image: ImageField, values: yaml.Node | None
    ) -> Unknown | None:
        """Return that a template has an image of this name beside, which no value changes."""
        part = image.parts[-1]
        for reader in self._readers(folder, _keys(image, part), values):
            for place, text in reader.chart.fixed.items():
                fixed = find_image(text)
                if fixed and image.named and fixed.full_repository == image.named.full_repository:
                    hint = f"read it from the values there, too, {ACCEPT}"
                    why = f"{place} writes {text} out, which no value changes"
                    return Unknown(image.path, part.scalar.line, text, why, hint)
        return None

    def warnings(
        self, folder: str, image: ImageField, values: yaml.Node | None = None
    ) -> Iterator[str]:
        """Yield what is to be said of an image: that its digest is not read, what moves with it."""
        part = image.part(DIGEST)
        if part is not None and part.text and self._is_unread(folder, _keys(image, part), values):
            name = f".Values.{'.'.join(_keys(image, part))}"
            yield f"no template of {folder or '.'} reads {name}: its tag runs"
        for reader in self._readers(folder, _above(image.container), values):
            tags = _tags(reader.keys)
            places = [one for one, read in reader.chart.beside.items() if not read.isdisjoint(tags)]
            if places:
                yield f"the chart writes its tag to what is no image, too: {', '.join(places[:3])}"

    def no_digest(self, folder: str, container: str, values: yaml.Node | None = None) -> str:
        """Return why no digest can stand in an image's tag: where it is a label, or in a name.

        `container` are the keys of the image in the values: `image`, `web.image`. Empty for none.
        """
        for reader in self._readers(folder, _above(container), values):
            for why, read in reader.chart.narrow.items():
                if not read.isdisjoint(_tags(reader.keys)):
                    return why
        return ""

    def _readers(
        self, folder: str, keys: Keys, values: yaml.Node | None = None
    ) -> Iterator[_Reader]:
        """Yield a chart with the keys of a value, and those below it that get the value too."""
        chart = self._chart(folder, values)
        written = (values,) if values is not None else self._written(folder)
        yield _Reader(chart, keys, folder, written)
        below = chart.below.get(keys[0], "") if keys else ""
        if below:
            place = (below, keys[0], id(values))  # as of a chart: it is asked for each of its parts
            if place not in self._given:
                own = find(values, keys[0]) if values is not None else None
                self._given[place] = self._with_own(below, own, values)
            yield from self._readers(below, keys[1:], self._given[place])

    def _written(self, folder: str) -> tuple[yaml.Node | None, ...]:
        """Return the values that the files of a chart, and of those that take it, give to it."""
        if folder not in self._files:
            found = [root_of(self.parsed(posixpath.join(folder, _FILES[1])))]
            for parent, key in self._parents.get(folder, ()):
                root = root_of(self.parsed(posixpath.join(parent, _FILES[1])))
                everywhere = find(root, GLOBAL)
                found.append(find(root, key))
                if everywhere is not None:
                    found.append(with_path(None, (GLOBAL,), everywhere))
            self._files[folder] = tuple(found)
        return self._files[folder]

    @cached_property
    def _parents(self) -> dict[str, list[tuple[str, str]]]:
        """The charts that take each one."""
        return parents_of([one for some in self._known.values() for one in some], self.parsed)

    def _switched(self, reader: _Reader) -> Unknown | None:
        """Return that a chart does not take the one below it that gets a value, or gives it others.

        helm.sh/docs/topics/charts, "Tags and Condition fields", "Importing Child Values".
        """
        values = reader.chart.values
        for path, one in declared_of(reader.folder, self.parsed):
            name = text_of(lookup(one, "alias")) or text_of(lookup(one, "name")) or ""
            is_known = values is not None and reader.chart.below.get(name)
            is_asked = lookup(one, "condition") is not None or lookup(one, "tags") is not None
            is_followed = is_known and not is_asked
            for item in items_of(lookup(one, "import-values")) if not is_followed else ():
                parent = text_of(lookup(item, "parent")) or ""
                to = tuple(key for key in parent.split(".") if key)  # "." are all values
                if isinstance(item, yaml.ScalarNode) or reader.keys[: len(to)] == to:
                    why = f"values of {name} may be put in their place"
                    hint = f"take it out, {ACCEPT}"
                    return Unknown(path, item.start_mark.line + 1, "import-values", why, hint)
            if reader.keys[:1] == (name,) and _is_off(one, values):
                line, why = one.start_mark.line + 1, "its condition or its tags switch it off"
                hint = f"switch it on in the values, {ACCEPT}"
                return Unknown(path, line, f"dependency {name}", why, hint)
        return None

    def _with_own(
        self, folder: str, given: yaml.Node | None, above: yaml.Node | None
    ) -> yaml.Node | None:
        """Return the values of a chart below another one: its own, and those given over them."""
        if above is None:
            return None
        own = root_of(self.parsed(posixpath.join(folder, _FILES[1])))
        values = merged(own, given) if given is not None else own or mapping((), above)
        everywhere = find(above, GLOBAL) or mapping((), above)  # it always has some
        return merged(values, with_path(None, (GLOBAL,), everywhere))

    def _is_unread(self, folder: str, keys: Keys, values: yaml.Node | None) -> bool:
        """Tell whether surely no template reads a value."""
        return all(
            one.chart.is_judged(one.keys) and not one.chart.reads(one.keys)
            for one in self._readers(folder, keys, values)
        )

    def _ignored(self, folder: str) -> Unknown | None:
        """Return that a file of a chart is left out of it, by its `.helmignore`."""
        path = posixpath.join(folder, _IGNORED)
        lines = self.raw.get(path, b"").decode(errors="replace").splitlines()
        own = [posixpath.join(folder, name) for name in _FILES]
        own += self.raw.of_charts.get(posixpath.join(folder, "templates"), ())
        names = [one.removeprefix(f"{folder}/") for one in own if one in self.raw]
        for number, line in enumerate(lines, start=1):
            found = next((name for name in names if _leaves_out(line.strip(), name)), None)
            if found is not None:
                why = f"it leaves {found} out of the chart, as far as is known"
                return Unknown(path, number, line.strip(), why, f"take it out, {ACCEPT}")
        return None

    def _chart(self, folder: str, values: yaml.Node | None) -> Texts:
        key = (folder, id(values))  # which its chart keeps
        if key not in self._charts:
            self._charts[key] = self._read(folder, values)
        return self._charts[key]

    def _read(self, folder: str, values: yaml.Node | None) -> Texts:
        written = {
            path: self.raw[path].decode(errors="replace")
            for one in (folder, *self._libraries(folder, {}))
            for path in self.raw.of_charts.get(posixpath.join(one, "templates"), ())
            if posixpath.basename(path) != _NOTES
        }
        texts = {path: plain(text) for path, text in written.items()}
        return Texts(texts, values, dict(self.taken_by(folder)))

    def taken_by(self, folder: str) -> list[tuple[str, str]]:
        """Return the charts that one takes, with the keys of their values there."""
        return dependencies_of(folder, self._known, self.parsed)

    def _libraries(self, folder: str, found: dict[str, None]) -> Iterable[str]:
        """Return the charts below one that only have templates for others, in `found`."""
        for _key, one in self.taken_by(folder):
            root = root_of(self.parsed(posixpath.join(one, _FILES[0])))
            if one not in found and text_of(lookup(root, "type")) == _LIBRARY:
                found[one] = None
                self._libraries(one, found)
        return found

    @cached_property
    def _known(self) -> dict[str, list[str]]:
        """The folders of the charts, by the folders that they stand in."""
        return by_place(map(posixpath.dirname, self.raw.charts))

    def _unread(
        self, folder: str, image: ImageField, part: Part, values: yaml.Node | None
    ) -> Unknown:
        chart, keys = self._chart(folder, values), _keys(image, part)
        name = f".Values.{'.'.join(keys)}"
        place, where = (image.path, part.scalar.line), folder or "."
        hint = f"set what the templates read, {ACCEPT}"
        if any(keys[: len(one)] == one for one in chart.read):
            why = f"whether a template of {where} reads {name} is not known: it is passed on whole"
        elif any(_OWN_WORDS.search(text) for text in chart.made):
            why = f"no template of {where} reads {name}, unless a text that `tpl` runs does"
        else:
            why = f"no template of {where} reads {name}: it changes nothing"
        return Unknown(*place, name, why, hint)


def _otherwise(image: ImageField, text: str) -> tuple[str, str]:
    name = split_version(text)[0]
    is_own = name.endswith(image.name_text) or image.name_text.endswith(name)
    return (f"makes another text of it: {text}", _AS_IT_IS) if is_own else _another(name)


def _another(name: str) -> tuple[str, str]:
    return f"makes an image of {name} of it, too", _OWN_TAGS


def _is(image: ImageField, text: str) -> bool:
    """Tell whether a text is an image of values; of one without a name, of its version."""
    made = find_image(text)
    names = [one for one in (image.name_text, image.other_name) if one] or [split_version(text)[0]]
    known = (find_image(name + image.version) for name in names)
    return made is not None and any(one is not None and may_be(made, one) for one in known)


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


def _is_off(dependency: yaml.Node, values: yaml.Node | None) -> bool:
    """Tell whether values switch a chart off: by its condition, else by all of its tags."""
    paths = (text_of(lookup(dependency, "condition")) or "").split(",")
    said = (truth_of(find(values, *path.strip().split("."))) for path in paths)
    decided = next((one for one in said if one is not None), None)
    if decided is not None:
        return not decided
    tags = (text_of(one) or "" for one in items_of(lookup(dependency, "tags")))
    found = [truth_of(find(values, "tags", tag)) for tag in tags]
    return False in found and True not in found


def _tags(keys: Keys) -> set[Keys]:
    """Return what the tag of an image below some keys is called."""
    return {(*keys, name) for name in TAG_KEYS} | {(".tag",), (".imageTag",)}
