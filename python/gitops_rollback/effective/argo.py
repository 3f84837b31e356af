"""The values that an Argo CD Application gives to its charts, from all their layers. Pure.

Later layers win (argo-cd.readthedocs.io, user guide, Helm): the chart's `values.yaml`, then
`valueFiles` in their order, then `valuesObject` or else `values`, then `parameters`.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.charts import VALUES_FILE, merged
from gitops_rollback.effective.grammar import ARGO_HELM, ARGO_KUSTOMIZE, Touch
from gitops_rollback.effective.helm import Embedded, Layers, embedded_in
from gitops_rollback.effective.objects import ACCEPT, LOOK, Unknown
from gitops_rollback.effective.sources import Pointing, Whose
from gitops_rollback.effective.tree import entries, find, mapping, opaque_node, text_node, with_path
from gitops_rollback.late import dataclass, regex, replace
from gitops_rollback.manifest.argo import (
    ARGO_GROUP,
    chart_sources,
    kustomize_images,
    override_names,
    override_of,
)
from gitops_rollback.manifest.document import items_of, line_of, lookup, root_of, text_of
from gitops_rollback.manifest.helm import is_of_image
from gitops_rollback.manifest.kustomize import Addition, is_kustomization
from gitops_rollback.manifest.objects import ManifestObject, folder_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gitops_rollback.effective.charts import Charts
    from gitops_rollback.effective.objects import Resource
    from gitops_rollback.effective.sources import Sources
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.kustomize import ImageEntry

# What of a glob is followed: stars, question marks, and braces that are not nested.
_PLAIN_GLOB = regex(r"(?:[^{}\[\]\\,]|\{[^{}\[\]\\]*\})*")
_GLOB_SIGN = regex(r"([*?{},])")
_GLOB_SIGNS = {"*": ".*", "?": ".", "{": "(?:", "}": ")", ",": "|"}
_MOST_STARS = 6  # each is tried at each character


def application_layers(resource: Resource, charts: Charts, sources: Sources) -> list[Layers]:
    """Return the values that an Application gives to the chart of each of its sources."""
    name = resource.first.name
    found = [_overridden(one, name, charts) for _pointer, one in chart_sources(resource.node)]
    several = [source for source, _files in found]
    named = {text_of(lookup(one, "ref")) or "": _pointing(one, sources) for one in several}
    return [
        _Chart(resource, one, _pointing(one, sources), named, charts, paths).layers
        for one, paths in found
    ]


def overriding(path: str, file: ParsedFile) -> ManifestObject | None:
    """Return the Application that a file of overrides is for, as far as the file tells of it.

    Its source is the file's folder, of the repository that the file is of. None for another file.
    """
    name = override_of(path)
    root = root_of(file)
    if name is None or not isinstance(root, yaml.MappingNode):
        return None
    source = with_path(root, ("path",), text_node(posixpath.dirname(path) or ".", root))
    texts = {
        ("apiVersion",): f"{ARGO_GROUP}/v1alpha1",
        ("kind",): "Application",
        ("metadata", "name"): name or posixpath.basename(posixpath.dirname(path)),
    }
    node: yaml.Node = mapping((), root)
    for keys, text in texts.items():
        node = with_path(node, keys, text_node(text, root))
    return ManifestObject(file, 0, "", with_path(node, ("spec", "source"), source), "Application")


def _overridden(source: yaml.Node, name: str, charts: Charts) -> tuple[yaml.Node, tuple[str, ...]]:
    """Return a source of an Application with what files in its folder override, and these files.

    Argo CD merges them as JSON merge patches (reposerver/repository, mergeSourceParameters).
    """
    folder = text_of(lookup(source, "path"))
    paths = []
    for own in override_names(name) if folder is not None else ():
        path = posixpath.normpath(f"{(folder or '').strip('/') or '.'}/{own}")
        root = charts.root(path)
        if isinstance(root, yaml.MappingNode):
            source = merged(source, root)
            paths.append(path)
    return source, tuple(paths)


def argo_additions(
    application: ManifestObject, sources: Sources, charts: Charts
) -> Iterator[tuple[str, Addition, tuple[Unknown, ...], Pointing]]:
    """Yield the folders whose kustomization an Application changes, how, and what is unknown of it.

    Says of each too whose folder it is.

    Argo CD sets its images as `kustomize edit set image` does: an entry of that name is another one
    (argo-cd.readthedocs.io, user guide, Kustomize).
    """
    for pointer, written in chart_sources(application.node):
        source, overrides = _overridden(written, application.name, charts)
        options = lookup(source, "kustomize")
        folder = text_of(lookup(source, "path"))
        if folder is None or not _changing(options, ARGO_KUSTOMIZE):
            continue
        path, line = application.file.path, line_of(source)
        images = _images(application, pointer, written, overrides, charts)
        addition = Addition(path, line, entries=tuple(images))
        doubts = tuple(
            Unknown(path, line_of(value), f"kustomize.{key}", "not followed", LOOK)
            for key, value in entries(options).items()
            if key not in ARGO_KUSTOMIZE
        )
        pointing = _pointing(source, sources)
        if pointing.whose in (Whose.UNKNOWN, Whose.OTHER_REVISION):
            why, hint = pointing.why, pointing.hint
            doubts += (Unknown(path, line, f"Application {application.name}", why, hint),)
        yield folder_of(folder), addition, doubts, pointing


def _images(
    application: ManifestObject,
    pointer: str,
    source: yaml.Node,
    overrides: Iterable[str],
    charts: Charts,
) -> list[ImageEntry]:
    """Return the images that a source sets: those of the last file that overrides them, if any."""
    found = list(kustomize_images(application, pointer, source))
    for path in overrides:
        file = charts.parsed(path)
        root = root_of(file)
        if file is not None and root is not None and find(root, "kustomize", "images") is not None:
            item = ManifestObject(file, 0, "", root, "Application")
            found = list(kustomize_images(item, "", root))
    return found


def changes_of(source: yaml.Node) -> set[str]:
    """Return what a source says that may change an image: of kustomize, of a chart."""
    tables = {"kustomize": ARGO_KUSTOMIZE, "helm": ARGO_HELM}
    return {
        f"{tool}.{key}"
        for tool, table in tables.items()
        for key in _changing(lookup(source, tool), table)
    }


def _changing(options: yaml.Node | None, table: Mapping[str, Touch]) -> list[str]:
    return [key for key in entries(options) if table.get(key) is not Touch.NEVER]


@dataclass(frozen=True)
class Directory:
    """A folder of this repository whose files an Application takes.

    `below` tells that it takes those of all folders below it, too; `include` and `exclude` are its
    patterns, empty for none. `path` and `line` are where the Application stands; `other` says that
    it takes them of another branch, `is_said` that the files are taken as they are, whatever a
    kustomization among them says.
    """

    folder: str
    name: str
    path: str
    line: int
    below: bool = False
    include: str = ""
    exclude: str = ""
    other: Pointing | None = None
    is_said: bool = False

    def has(self, path: str) -> bool:
        """Tell whether it surely takes a file."""
        if self.other is not None or (self.is_said and is_kustomization(path)):
            return False
        above = f"{self.folder}/" if self.folder else ""
        inside = path.removeprefix(above)
        included, excluded = _glob(self.include or "*"), _glob(self.exclude)
        if included is None or excluded is None or not path.startswith(above):
            return False
        is_meant = (self.below or "/" not in inside) and included.fullmatch(inside)
        return bool(is_meant) and not excluded.fullmatch(inside)

    def leaves(self, path: str) -> Unknown:
        """Return that it does not take a file, as far as that is known."""
        title = f"Application {self.name}"
        if self.is_said and is_kustomization(path):
            why = "its `directory` takes the files as they are, without the kustomization"
            return Unknown(self.path, self.line, title, why, f"take `directory` out, {ACCEPT}")
        if self.other is not None:
            return Unknown(self.path, self.line, title, self.other.why, self.other.hint)
        said = ", ".join(one for one in (self.include, self.exclude) if one)
        why = f"it does not take {path}, as far as is known (directory: {said or 'no recurse'})"
        hint = f"let its `directory` take the file, {ACCEPT}"
        return Unknown(self.path, self.line, title, why, hint)


def _glob(pattern: str) -> re.Pattern[str] | None:
    """Return a pattern of `directory`, whose star crosses folders; None where it is not followed.

    argo-cd.readthedocs.io, user guide, Directory; the syntax is that of github.com/gobwas/glob.
    """
    if not _PLAIN_GLOB.fullmatch(pattern) or pattern.count("*") > _MOST_STARS:
        return None
    parts = _GLOB_SIGN.split(pattern)
    return re.compile("".join(_GLOB_SIGNS.get(one) or re.escape(one) for one in parts), re.DOTALL)


def directories(application: ManifestObject, sources: Sources) -> Iterator[Directory]:
    """Yield the folders of this repository that an Application takes."""
    for _pointer, source in chart_sources(application.node):
        folder = text_of(lookup(source, "path"))
        to = _pointing(source, sources)
        if folder is None or to.whose not in (Whose.OURS, Whose.OTHER_REVISION):
            continue
        directory = lookup(source, "directory")
        yield Directory(
            folder_of(folder),
            application.name,
            application.file.path,
            line_of(source),
            text_of(lookup(directory, "recurse")) == "true",
            text_of(lookup(directory, "include")) or "",
            text_of(lookup(directory, "exclude")) or "",
            to if to.whose is Whose.OTHER_REVISION else None,
            bool(entries(directory)),
        )


def _pointing(source: yaml.Node, sources: Sources) -> Pointing:
    """Return whose files a source means; a chart of a Helm repository is nobody's here."""
    if lookup(source, "chart") is not None:
        return Pointing(Whose.ANOTHERS, "its chart is of a Helm repository")
    url, revision = text_of(lookup(source, "repoURL")), text_of(lookup(source, "targetRevision"))
    return sources.of_url(url or "", revision or "")


def _is_plain(name: str) -> bool:
    """Tell whether a parameter is named by keys alone: no item of a list, no escape, no list."""
    return bool(name) and not set(name) & set("[]\\,")


@dataclass(frozen=True)
class _Chart:
    """What one source of an Application gives to its chart.

    `pointing` says whose the source's files are, `named` the same of those that it can refer to.
    """

    resource: Resource
    source: yaml.Node
    pointing: Pointing
    named: Mapping[str, Pointing]
    charts: Charts
    overrides: tuple[str, ...] = ()

    @property
    def layers(self) -> Layers:
        """The values from all layers."""
        helm = lookup(self.source, "helm")
        under = self._of_files(helm)
        values, doubts, embedded = self._own(helm, under.values)
        values, more = self._set(helm, values)
        return replace(
            under,
            values=values,
            unknowns=(*under.unknowns, *doubts, *more),
            paths=(*under.paths, *self.overrides),
            embedded=embedded,
            folder=self._folder,
        )

    @property
    def _folder(self) -> str | None:
        """The folder of the chart in this repository; None for one that is elsewhere."""
        folder = folder_of(text_of(lookup(self.source, "path")) or "?")
        is_ours = self.pointing.whose is not Whose.ANOTHERS
        return folder if is_ours and self.charts.has(folder) else None

    def _of_files(self, helm: yaml.Node | None) -> Layers:
        """Return the values that files give, and what is not known of them."""
        values, paths = self.charts.of_taken(self._folder)
        unread: list[Unknown] = []
        missing: list[Unknown] = []
        doubts = self._doubts(None, self.pointing) if paths else []
        ignores = text_of(lookup(helm, "ignoreMissingValueFiles")) == "true"
        for path, listed, pointing in self._files(helm):
            is_ours = pointing.whose is not Whose.ANOTHERS
            root = self.charts.root(path) if is_ours else None
            if root is not None:
                values = merged(values, root)
                paths.append(path)
                doubts += self._doubts(listed, pointing)
            elif listed is not None and not is_ours:
                why = f"{path} is not read: {pointing.why}"
                unread.append(self._unknown(listed, "valueFiles", why))
            elif listed is not None and not ignores:
                missing.append(self._unknown(listed, "valueFiles", f"{path} is not read"))
            if listed is None:
                values = self.charts.with_imports(self._folder, values)
        return Layers(
            values=values,
            chart=tuple(paths),
            of_chart=tuple(doubts),
            unread=tuple(((), one) for one in unread),
            unknowns=tuple(missing),
            paths=tuple(paths),
        )

    def _own(
        self, helm: yaml.Node | None, values: yaml.Node | None
    ) -> tuple[yaml.Node | None, list[Unknown], dict[int, Embedded]]:
        """Put the values over others that the Application has itself: an object, or else a text."""
        embedded: dict[int, Embedded] = {}
        own, text = lookup(helm, "valuesObject"), lookup(helm, "values")
        doubts: list[Unknown] = []
        if not isinstance(own, yaml.MappingNode) and isinstance(text, yaml.ScalarNode):
            place = f"{self.resource.path}:{line_of(text)}"
            where = f"the text of helm.values ({place})"
            own = embedded_in(self.resource, text, where, self.charts, embedded)
            if own is None and text.value.strip():
                doubts.append(self._unknown(text, "helm.values", "it cannot be read"))
        if isinstance(own, yaml.MappingNode):
            values = merged(values, own)
        return values, doubts, embedded

    def _set(
        self, helm: yaml.Node | None, values: yaml.Node | None
    ) -> tuple[yaml.Node | None, list[Unknown]]:
        """Put single values over others; of those that a file has, the text is not read."""
        doubts: list[Unknown] = []
        for parameter in items_of(lookup(helm, "parameters")):
            name, value = text_of(lookup(parameter, "name")) or "", lookup(parameter, "value")
            if _is_plain(name) and isinstance(value, yaml.ScalarNode):
                values = merged(values, with_path(None, tuple(name.split(".")), value))
            else:
                doubts.append(self._unknown(parameter, "parameters", f"{name} is not followed"))
        for parameter in items_of(lookup(helm, "fileParameters")):
            name = text_of(lookup(parameter, "name")) or ""
            if _is_plain(name) and not is_of_image(name.split(".")[-1]):
                place = with_path(None, tuple(name.split(".")), opaque_node(parameter))
                values = merged(values, place)
            else:
                why = f"the file that {name} comes from is not read"
                doubts.append(self._unknown(parameter, "fileParameters", why))
        return values, doubts

    def _files(self, helm: yaml.Node | None) -> Iterator[tuple[str, yaml.Node | None, Pointing]]:
        """Yield the files of values: of a chart in a repository, and those that are listed."""
        folder = text_of(lookup(self.source, "path"))
        if folder is not None:
            yield posixpath.normpath(f"{folder}/{VALUES_FILE}"), None, self.pointing
        for listed in items_of(lookup(helm, "valueFiles")):
            written = text_of(listed) or ""
            if written.startswith("$"):  # another source's name, which is a repository
                name, _slash, path = written[1:].partition("/")
                unnamed = Pointing(Whose.ANOTHERS, f"no source is called {name}")
                yield posixpath.normpath(path), listed, self.named.get(name, unnamed)
            elif "://" not in written:
                base = "" if written.startswith("/") else f"{folder or '?'}/"
                path = posixpath.normpath(f"{base}{written.lstrip('/')}")
                yield path, listed, self.pointing
            else:
                yield written, listed, Pointing(Whose.ANOTHERS, "it is fetched from there")

    def _doubts(self, listed: yaml.Node | None, pointing: Pointing) -> list[Unknown]:
        if pointing.whose is Whose.OURS:
            return []
        doubt = self._unknown(listed or self.source, "Application's source", pointing.why)
        return [replace(doubt, hint=pointing.hint)]

    def _unknown(self, node: yaml.Node, construct: str, why: str) -> Unknown:
        return Unknown(self.resource.path, line_of(node), construct, why, LOOK)
