"""What the templates of a chart in the repository make of its values. Pure.

They are not rendered: it is looked for what reads a value, and for labels and names that a tag is
written into. A value that no template reads changes nothing, whatever is deployed there; one that
may be read in a way that is not followed (`tpl`, values that are passed on as a whole), of which
the template makes another text, or before which another value comes, is not proven.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.charts import VALUES_FILE, merged, name_of
from gitops_rollback.effective.objects import ACCEPT, Unknown
from gitops_rollback.effective.raw import decoded, is_ignore_file
from gitops_rollback.effective.rendering import GLOBAL, Texts, covered
from gitops_rollback.effective.tree import OPAQUE, TreeError, find, mapping, with_path
from gitops_rollback.image import HUB_NAMES, find_image, may_be
from gitops_rollback.late import dataclass
from gitops_rollback.manifest.document import (
    is_null,
    items_of,
    line_of,
    lookup,
    text_of,
    truth_of,
)
from gitops_rollback.manifest.helm import CHART_FILE, NO_NAME, OTHER_REGISTRY, TAG_KEYS
from gitops_rollback.manifest.image_field import DIGEST, REFERENCE, REGISTRY, TAG, split_version
from gitops_rollback.manifest.patterns import go_glob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gitops_rollback.effective.charts import Charts
    from gitops_rollback.effective.expressions import Keys
    from gitops_rollback.effective.rendering import Image
    from gitops_rollback.manifest.image_field import ImageField, Part

# What is no template in the folder of templates, or nothing that is applied (helm.sh, "Charts").
_NOTES = "NOTES.txt"
_IGNORED = ".helmignore"
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
    """A chart that gets a value below some keys; `values` are all that it gets, if known."""

    chart: Texts
    keys: Keys
    folder: str
    values: yaml.Node | None

    def otherwise(self, image: ImageField) -> tuple[str, str] | None:
        """Return why a template makes something else of an image, and what to do about it."""
        ways = []
        found = self._images(image)
        read = {self.keys}.union(*(one.of for one in found))
        for place, keys, key in self.chart.made.mutated:
            if any(_meets(one, keys, key) for one in read):
                return f"{place} may change it before it is read", _UNCHANGED
        for one in found:
            if one.text is None and one.is_read:
                return f"{one.place} makes a text of it that is not followed", _AS_IT_IS
            if one.text is not None and not _is(image, one.text):
                why, hint = _otherwise(image, one.text)
                return f"{one.place} {why}", hint
            ways.append(one.guards)
        if ways and not covered(ways):
            place, title = found[-1].place, next(way for way in ways if way)[-1][0].title
            return f"{place} stands under a condition that is not followed ({title})", _AS_IT_IS
        full = {named.full_repository for name in self.names(image) if (named := find_image(name))}
        if image.problem == NO_NAME and len(full) > 1:
            return f"{found[-1].place} makes images of several names of it", _OWN_TAGS
        return None

    def _images(self, image: ImageField) -> list[Image]:
        """Return the images that are made of a value: of a name alone, those that have it."""
        own = {self.keys[:number] for number in range(len(self.keys) + 1)}
        found = [one for one in self.chart.images if not own.isdisjoint(one.of)]
        return [
            one
            for one in found
            if self.keys[-1] != REGISTRY
            or one.text is None
            or split_version(one.text)[0].endswith(image.name_text)
        ]

    def names(self, image: ImageField) -> set[str]:
        """Return the names of the images that are made of the value, as far as they are known."""
        return {split_version(one.text)[0] for one in self._images(image) if one.text}


class Templates:
    """The templates of all charts among some files."""

    def __init__(self, charts: Charts) -> None:
        self._charts, self._raw = charts, charts.raw
        self._texts_of: dict[tuple[str, str, int], tuple[yaml.Node | None, Texts]] = {}
        self._worlds: dict[tuple[str, ...], list[yaml.Node | None]] = {}
        self._given: dict[tuple[str, str, int], yaml.Node | None] = {}

    def doubt(
        self, folder: str, image: ImageField, values: yaml.Node | None = None
    ) -> Unknown | None:
        """Return why a chart's templates may not make an image of values; None where they do.

        `values` are all that the chart gets. What a chart does that was not read, and one of which
        no template was read, is not judged.
        """
        stopped = self._stopped(folder, image, values)
        if stopped is not None:
            return stopped
        unread = {p.role: p for p in image.parts if self._is_unread(folder, image, p, values)}
        for role, part in unread.items():
            is_default = role == REGISTRY and part.text.strip("/") in ("", *HUB_NAMES)
            # Of tag and digest one is enough: that the digest does not count is said (`warning`).
            other = {TAG: DIGEST, DIGEST: TAG}.get(role, "")
            has_other = image.part(other) is not None and other not in unread
            if part.text and not is_default and not has_other:
                return self._unread(folder, image, part, values)
        for part in (one for one in image.parts if one.text):
            for reader in self._readers(folder, image, part, values):
                found = reader.otherwise(image)
                if found is not None:
                    why, hint = found
                    name = f".Values.{'.'.join(_keys(image, part))}"
                    return Unknown(*_place(part), name, why, f"{hint}, {ACCEPT}")
        return self._written_out(folder, image, values)

    def name(self, folder: str, image: ImageField, values: yaml.Node | None = None) -> str:
        """Return the name that templates give to an image of which it is theirs; else empty."""
        if image.problem not in (NO_NAME, OTHER_REGISTRY):
            return ""
        part = image.parts[-1]
        found: set[str] = set()
        for reader in self._readers(folder, image, part, values):
            found |= reader.names(image)
        is_one = len(found) == 1 and find_image(min(found)) is not None
        return min(found) if is_one else ""

    def _stopped(self, folder: str, image: ImageField, values: yaml.Node | None) -> Unknown | None:
        """Return why a chart may make nothing at all, whatever the image is."""
        first = self._charts.unfollowed or self._ignored(folder)
        first = first or self._without_values(folder, image, values)
        if first is not None:
            return first
        for reader in self._readers(folder, image, image.parts[0], values):
            stopped = self._switched(reader)
            if stopped is not None:
                return stopped
        for chart in self._installed(folder, values, "") if values is not None else ():
            if chart.made.failing is not None:
                place, why = chart.made.failing
                hint = f"set it in the values, or mend the template, {ACCEPT}"
                return Unknown(image.scalar.path, image.scalar.line, place, why, hint)
        return None

    def _without_values(
        self, folder: str, image: ImageField, values: yaml.Node | None
    ) -> Unknown | None:
        """Return that Helm fails on values that are no mapping, of a chart or of one below it.

        Of what is given to one below by others `type mismatch` is told (helm, chartutil/coalesce).
        """
        path = posixpath.join(folder, VALUES_FILE)
        root = self._charts.values(folder)
        hint = f"make it a mapping, {ACCEPT}"
        if root is not None and not isinstance(root, yaml.MappingNode) and not is_null(root):
            return Unknown(path, line_of(root), "values.yaml", "Helm reads mappings alone", hint)
        for name, below in self._charts.taken_by(folder):
            own = lookup(root, name)
            given = own or find(values, name)
            if (
                given is not None
                and not isinstance(given, yaml.MappingNode)
                and given.tag != OPAQUE
            ):
                why = "Helm fails where a chart below gets anything but a mapping"
                of_image = (image.scalar.path, image.scalar.line)
                place = of_image if own is None else (path, line_of(own))
                return Unknown(*place, f"values of {name}", why, hint)
            found = self._without_values(below, image, given) if below else None
            if found is not None:
                return found
        return None

    def _installed(self, folder: str, values: yaml.Node | None, key: str) -> Iterator[Texts]:
        """Yield a chart, and all that are installed with it: Helm fails on all if on one.

        Not those that get values of others, or give them some, in a way that is not followed.
        """
        declared = [one for _path, one in self._charts.declared(folder)]
        if any(lookup(one, "import-values") is not None for one in declared):
            return
        chart = self._chart(folder, values, key, is_open=False)
        yield chart
        off = {name_of(one) for one in declared if _is_off(one, values)}
        libraries = self._libraries(folder, {})
        for name, below in chart.below.items():
            if below and name not in off and below not in libraries:
                given = self._given_to(below, name, values)
                yield from self._installed(below, given, name)

    def _given_to(self, folder: str, key: str, values: yaml.Node | None) -> yaml.Node | None:
        """Return all values of a chart below another one, of those that this gets."""
        place = (folder, key, id(values))  # as of a chart: it is asked for each of its parts
        if place not in self._given:
            self._given[place] = self._with_own(folder, find(values, key), values)
        return self._given[place]

    def _written_out(
        self, folder: str, image: ImageField, values: yaml.Node | None
    ) -> Unknown | None:
        """Return that a template has an image of this name beside, which no value changes."""
        part = image.parts[-1]
        for reader in self._readers(folder, image, part, values):
            for one in reader.chart.images:
                fixed = find_image(one.name) if not one.of else None
                if fixed and image.named and fixed.full_repository == image.named.full_repository:
                    hint = f"read it from the values there, too, {ACCEPT}"
                    why = f"{one.place} writes {one.text or one.name} out, which no value changes"
                    return Unknown(*_place(part), one.name, why, hint)
        return None

    def warnings(
        self, folder: str, image: ImageField, values: yaml.Node | None = None
    ) -> Iterator[str]:
        """Yield what is to be said of an image: that its digest is not read, what moves with it."""
        part = image.part(DIGEST)
        if part is not None and part.text and self._is_unread(folder, image, part, values):
            name = f".Values.{'.'.join(_keys(image, part))}"
            yield f"no template of {folder or '.'} reads {name}: its tag runs"
        for reader in self._below(
            folder, _above(image.container), self._world(folder, image, values)[0], values
        ):
            tags = _tags(reader.keys)
            places = [one for one, read in reader.chart.beside if not read.isdisjoint(tags)]
            if places:
                yield f"the chart writes its tag to what is no image, too: {', '.join(places[:3])}"

    def no_digest(self, folder: str, container: str, values: yaml.Node | None = None) -> str:
        """Return why no digest can stand in an image's tag: where it is a label, or in a name.

        `container` are the keys of the image in the values: `image`, `web.image`. Empty for none.
        """
        world = values if values is not None else self._charts.values(folder)
        for reader in self._below(folder, _above(container), world, values):
            for why, read in reader.chart.narrow:
                if not read.isdisjoint(_tags(reader.keys)):
                    return why
        return ""

    def _readers(
        self, folder: str, image: ImageField, part: Part, values: yaml.Node | None
    ) -> Iterator[_Reader]:
        """Yield a chart with the keys of a value, and those below it that get the value too."""
        for world in self._world(folder, image, values):
            yield from self._below(folder, _keys(image, part), world, values)

    def _below(
        self,
        folder: str,
        keys: Keys,
        world: yaml.Node | None,
        values: yaml.Node | None,
        key: str = "",
    ) -> Iterator[_Reader]:
        chart = self._chart(folder, world, key, is_open=values is None)
        yield _Reader(chart, keys, folder, values)
        below = chart.below.get(keys[0], "") if keys else ""
        if below:
            given = self._given_to(below, keys[0], world)
            yield from self._below(below, keys[1:], given, values and given, keys[0])

    def _world(
        self, folder: str, image: ImageField, values: yaml.Node | None
    ) -> list[yaml.Node | None]:
        """Return the values that a chart gets with an image; without any, as far as files say.

        These are its own, and those of each chart that takes it.
        """
        if values is not None:
            return [values]
        key = (folder, image.path)
        if key not in self._worlds:
            own = self._charts.values(folder)
            above, name = posixpath.split(image.path)
            if above == folder and name != VALUES_FILE:
                own = _over(own, self._charts.root(image.path))
            found = [own]
            for parent, name in self._charts.parents.get(folder, ()):
                root = self._charts.values(parent)
                everywhere = find(root, GLOBAL)
                given = _over(own, find(root, name))
                if everywhere is not None:
                    given = _over(given, with_path(None, (GLOBAL,), everywhere))
                found.append(given)
            self._worlds[key] = found
        place = (*key, image.container)
        if place not in self._worlds:
            self._worlds[place] = [_with_image(one, image) for one in self._worlds[key]]
        return self._worlds[place]

    def _switched(self, reader: _Reader) -> Unknown | None:
        """Return that a chart does not take the one below it that gets a value, or gives it others.

        helm.sh/docs/topics/charts, "Tags and Condition fields", "Importing Child Values".
        """
        values = reader.values
        for path, one in self._charts.declared(reader.folder):
            name = name_of(one)
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
        own = self._charts.values(folder)
        if above is None:
            return own
        values = merged(own, given) if given is not None else own or mapping((), above)
        everywhere = find(above, GLOBAL) or mapping((), above)  # it always has some
        return merged(values, with_path(None, (GLOBAL,), everywhere))

    def _is_unread(
        self, folder: str, image: ImageField, part: Part, values: yaml.Node | None
    ) -> bool:
        """Tell whether surely no template reads a value."""
        return any(
            all(
                one.chart.is_judged(one.keys) and not one.chart.reads(one.keys)
                for one in self._below(folder, _keys(image, part), world, values)
            )
            for world in self._world(folder, image, values)
        )

    def _ignored(self, folder: str) -> Unknown | None:
        """Return that a file of a chart is left out of it, by its `.helmignore`."""
        path = posixpath.join(folder, _IGNORED)
        lines = decoded(self._raw.get(path, b"")).splitlines()
        own = [posixpath.join(folder, name) for name in (CHART_FILE, VALUES_FILE)]
        own += self._raw.of_charts.get(posixpath.join(folder, "templates"), ())
        names = [one.removeprefix(f"{folder}/") for one in own if one in self._raw]
        for number, line in enumerate(lines, start=1):
            found = next((name for name in names if _leaves_out(line.strip(), name)), None)
            if found is not None:
                why = f"it leaves {found} out of the chart, as far as is known"
                return Unknown(path, number, line.strip(), why, f"take it out, {ACCEPT}")
        return None

    def _chart(self, folder: str, values: yaml.Node | None, key: str, *, is_open: bool) -> Texts:
        place = (folder, key, id(values))  # which is kept
        if place not in self._texts_of:
            self._texts_of[place] = (values, self._read(folder, values, key, is_open=is_open))
        return self._texts_of[place][1]

    def _read(self, folder: str, values: yaml.Node | None, key: str, *, is_open: bool) -> Texts:
        own = self._texts(folder)
        texts = {
            path: text
            for one in self._libraries(folder, {})
            for path, text in self._texts(one).items()
        }
        root = self._charts.about(folder)
        version = text_of(lookup(root, "appVersion")) or ""
        known = {"Name": key or text_of(lookup(root, "name")) or "", "AppVersion": version}
        known = {} if root is None else known
        below = dict(self._charts.taken_by(folder))
        return Texts({**texts, **own}, [*own], values, below, known, is_open=is_open)

    def _texts(self, folder: str) -> dict[str, str]:
        return {
            path: decoded(self._raw[path])
            for path in self._raw.of_charts.get(posixpath.join(folder, "templates"), ())
            if posixpath.basename(path) != _NOTES
        }

    def _libraries(self, folder: str, found: dict[str, None]) -> Iterable[str]:
        """Return the charts below one that only have templates for others, in `found`."""
        for _key, one in self._charts.taken_by(folder):
            root = self._charts.about(one)
            if one not in found and text_of(lookup(root, "type")) == _LIBRARY:
                found[one] = None
                self._libraries(one, found)
        return found

    def _unread(
        self, folder: str, image: ImageField, part: Part, values: yaml.Node | None
    ) -> Unknown:
        chart = next(self._readers(folder, image, part, values)).chart
        keys = _keys(image, part)
        name = f".Values.{'.'.join(keys)}"
        where = folder or "."
        hint = f"set what the templates read, {ACCEPT}"
        if chart.passes(keys):
            why = f"whether a template of {where} reads {name} is not known: it is passed on whole"
        elif chart.has_tpl:
            why = f"no template of {where} reads {name}, unless a text that `tpl` runs does"
        else:
            why = f"no template of {where} reads {name}: it changes nothing"
        return Unknown(*_place(part), name, why, hint)


def _meets(value: Keys, changed: Keys | None, key: str) -> bool:
    """Tell whether what is changed is a value, in it, or has it in itself."""
    if changed is None:
        return key in ("", "Values", *value)
    return changed[: len(value)] == value[: len(changed)]


def _over(under: yaml.Node | None, over: yaml.Node | None) -> yaml.Node | None:
    return under if over is None else merged(under, over)


def _with_image(values: yaml.Node | None, image: ImageField) -> yaml.Node | None:
    """Return values that have the parts of an image."""
    for part in image.parts:
        keys = _keys(image, part)
        try:
            if text_of(find(values, *keys)) != part.text:
                values = with_path(values, keys, part.scalar.node)
        except TreeError:
            continue
    return values


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
    hubs = (name.partition("/") for name in names)
    names += [name for registry, _slash, name in hubs if registry in HUB_NAMES]
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


def _place(part: Part) -> tuple[str, int]:
    """Return where a part of an image stands, which may be another file than that of its user."""
    return part.scalar.path, part.scalar.line


def _tags(keys: Keys) -> set[Keys]:
    """Return what the tag of an image below some keys is called."""
    return {(*keys, name) for name in TAG_KEYS} | {(".tag",), (".imageTag",)}
