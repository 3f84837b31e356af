"""Files of Helm values that no release of these files takes: what else sets the same. Pure.

kustomize (`helmCharts`), helmfile, Rancher's Fleet, Kluctl and Skaffold give a chart several layers
of values, of which later ones win; so does a release whose ConfigMap is generated from a file, and
a chart whose dependency another one is. Their charts are not rendered: a value that a later layer
sets as well is not known to have effect.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.build import names_values
from gitops_rollback.effective.charts import VALUES_FILE
from gitops_rollback.effective.objects import ACCEPT, Unknown
from gitops_rollback.effective.tree import entries, find, mapping, with_path
from gitops_rollback.late import dataclass, regex, replace
from gitops_rollback.manifest.document import (
    is_null,
    items_of,
    line_of,
    lookup,
    text_of,
    walk,
)
from gitops_rollback.manifest.flux import HELM_GROUP, read_sources
from gitops_rollback.manifest.helm import (
    NAME_KEYS,
    is_chart_file,
    is_of_image,
    is_values_file,
)
from gitops_rollback.manifest.objects import objects_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.effective.charts import Charts
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.manifest.kustomize import Kustomization

# The keys that every helmfile with a release has, also where they are quoted.
_HELMFILES = [(key, regex(rb"\b%s[\"']?[ \t]*:" % key)) for key in (b"releases", b"chart")]
_FLEET = "fleet.yaml"
_KLUCTL = ("helm-chart.yaml", "helm-chart.yml")
_SKAFFOLD = "skaffold/"  # the group of its configuration, whatever the file is called
_NO_HASH = "disableNameSuffixHash"
_NOWHERE = "-"  # the pointer of a layer of which nothing is edited
_WRITE = "write the image's name there beside its tag, and it is edited there, or take it out there"
_FOLLOW = (
    "let the release follow it by a `nameReference` of `configurations`, or set "
    "disableNameSuffixHash"
)


def gives_values(path: str, data: bytes) -> bool:
    """Tell cheaply whether a file may say which values a chart gets, though it names no image."""
    is_given = is_chart_file(path) or posixpath.basename(path) in (_FLEET, *_KLUCTL)
    return is_given or is_helmfile(path, data) or _SKAFFOLD.encode() in data


def is_helmfile(path: str, data: bytes) -> bool:
    """Tell cheaply whether a file may be a helmfile."""
    is_template = "templates" in path.split("/")
    return not is_template and all(key in data and sign.search(data) for key, sign in _HELMFILES)


@dataclass(frozen=True)
class Layer:
    """One layer of a chart's values: what stands at a pointer of a file; None if it is not read.

    `why` says what keeps the ones before it from the chart, if that is not what it sets itself.
    """

    path: str
    pointer: str
    node: yaml.Node | None
    title: str
    line: int = 1
    why: str = ""

    def replaces(self, keys: Iterable[str], parts: Iterable[str]) -> bool:
        """Tell whether it surely sets all that an image below some keys has."""
        node = find(self.node, *keys)
        if isinstance(node, yaml.MappingNode):
            return all(text_of(lookup(node, part)) for part in parts)
        return node is not None and _is_image(node)

    def says(self, keys: Iterable[str], parts: Iterable[str]) -> bool:
        """Tell whether it sets, or may set, what stands below some keys: one of the parts there."""
        node = self.node
        if node is None:
            return True
        for key in keys:
            if not isinstance(node, yaml.MappingNode):
                return True
            node = lookup(node, key)
            if node is None:
                return False
        return not isinstance(node, yaml.MappingNode) or any(
            lookup(node, part) is not None for part in parts
        )


def _layer(path: str, pointer: str, node: yaml.Node, title: str) -> Layer:
    return Layer(path, pointer, node, title, line_of(node))


def stacks_of(
    kustomizations: Iterable[Kustomization],
    files: Sequence[ParsedFile],
    charts: Charts,
) -> list[tuple[Layer, ...]]:
    """Return the layers that charts get from these files, the winning one last."""
    found: list[tuple[Layer, ...]] = []
    generated: dict[tuple[str, str], Layer] = {}
    every = tuple(kustomizations)
    named = (one.path or "" for kustomization in every for one in kustomization.configurations)
    follow = any(names_values(charts.root(path)) for path in named)
    for one in every:
        found += _of_kustomize(one, charts)
        generated.update(_generated(one, charts, follow=follow))
    beside: dict[str, list[ParsedFile]] = {}
    for file in files:
        beside.setdefault(posixpath.dirname(file.path), []).append(file)
    for folder in map(posixpath.dirname, charts.raw.charts):
        found += _of_parents(folder, charts)
        found += _of_stages(folder, beside.get(folder, ()))
    for file in files:
        for root in file.trees:
            found += _of_helmfile(file, root, charts)
            found += _of_fleet(file, root, charts)
            found += _of_kluctl(file, root, charts)
            found += _of_skaffold(file, root, charts)
        found += _of_releases(file, generated)
    return found


def _of_parents(folder: str, charts: Charts) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers of a chart that others take, whose own come after (helm.sh, Subcharts)."""
    own = _file(posixpath.join(folder, VALUES_FILE), charts)
    for parent, key in dict.fromkeys(charts.parents.get(folder, ())):
        layers = [own]
        node = lookup(charts.values(parent), key)
        if node is not None:
            path = posixpath.join(parent, VALUES_FILE)
            layers.append(_layer(path, f"/{key}", node, f"{key} in {path}"))
        yield tuple(layers)


def _of_stages(folder: str, files: Iterable[ParsedFile]) -> Iterator[tuple[Layer, ...]]:
    """Yield a chart's values with those of its folder's files: `values-prod.yaml` of a stage.

    Who installs the chart may give them after its own.
    """
    beside = {
        file.path: root
        for file in files
        for root in file.trees[:1]
        if root is not None and not is_null(root) and is_values_file(file.path)
    }
    values = posixpath.join(folder, VALUES_FILE)
    own = beside.pop(values, None)
    if own is None:
        return
    for path, root in beside.items():
        first = Layer(values, "", own, VALUES_FILE)
        yield first, Layer(path, "", _nameless(root), f"the values file {path}")


def _nameless(root: yaml.Node) -> yaml.Node:
    """Return values without the images that bear a name: these are fields of their own."""
    if not isinstance(root, yaml.MappingNode):
        return root
    named = any(isinstance(entries(root).get(key), yaml.ScalarNode) for key in NAME_KEYS)
    kept = (
        (key, value)
        for key, value in root.value
        if not isinstance(value, yaml.ScalarNode)
        or not (_is_image(value) or (named and is_of_image(text_of(key) or "")))
    )
    return mapping(((key, _nameless(value)) for key, value in kept), root)


def _is_image(node: yaml.Node) -> bool:
    """Tell whether a text is a whole image: a name with a version."""
    text = text_of(node)
    return text is not None and "/" in text and ":" in text


def overridden(field: ImageField, stacks: Iterable[tuple[Layer, ...]]) -> Iterator[Unknown]:
    """Yield the later layers that set what a field of values sets, or may do so.

    None of those that one replaces: what that says is a field of its own.
    """
    for keys, parts, later in _later(field, stacks):
        if any(one.replaces(keys, parts) for one in later):
            continue
        for one in later:
            if one.says(keys, parts):
                is_read = one.node is not None
                sets = f"it comes later and {'sets' if is_read else 'may set'} the same value"
                is_edited = not one.why and one.pointer != _NOWHERE
                hint = _FOLLOW if one.why else _WRITE if is_edited else "take it out there"
                hint = f"{hint}, {ACCEPT}"
                yield Unknown(one.path, one.line, one.title, one.why or sets, hint)


def is_replaced(field: ImageField, stacks: Iterable[tuple[Layer, ...]]) -> bool:
    """Tell whether later layers say all that a field of values says, wherever its file is one."""
    ways = list(_later(field, stacks))
    return bool(ways) and all(
        any(one.replaces(keys, parts) for one in later) for keys, parts, later in ways
    )


def _later(
    field: ImageField, stacks: Iterable[tuple[Layer, ...]]
) -> Iterator[tuple[list[str], list[str], tuple[Layer, ...]]]:
    """Yield the layers that come after that of a field, with its keys and those of its parts."""
    parts = [part.key for part in field.parts if part.text]
    for stack in stacks:
        index = next((n for n, layer in enumerate(stack) if _holds(layer, field)), None)
        if index is not None:
            below = field.pointer.removeprefix(stack[index].pointer)
            yield [key for key in below.split("/") if key], parts, stack[index + 1 :]


def _holds(layer: Layer, field: ImageField) -> bool:
    is_there = layer.path == field.path and layer.node is not None
    return is_there and f"{field.pointer}/".startswith(f"{layer.pointer}/")


def _file(path: str, charts: Charts) -> Layer:
    return Layer(path, "", charts.root(path), f"the values file {path}")


def _files(folder: str, names: Iterable[yaml.Node | None], charts: Charts) -> list[Layer]:
    """Return the layers of files of values, whose paths are from a folder."""
    texts = (text for one in names if (text := text_of(one)))
    return [_file(posixpath.normpath(posixpath.join(folder, one)), charts) for one in texts]


def _of_chart(folder: str, chart: str | None, charts: Charts) -> list[Layer]:
    """Return the values of a chart itself, whose path is from a folder; none of one elsewhere."""
    own = _file(posixpath.normpath(posixpath.join(folder, chart or "?", VALUES_FILE)), charts)
    return [own] if own.node is not None else []


def _of_kustomize(one: Kustomization, charts: Charts) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers of `helmCharts` (kubectl.docs.kubernetes.io, builtins, Helm charts)."""
    home = text_of(find(one.root, "helmGlobals", "chartHome")) or "charts"
    for index, chart in enumerate(items_of(lookup(one.root, "helmCharts"))):
        more = items_of(lookup(chart, "additionalValuesFiles"))
        name = text_of(lookup(chart, "name"))
        layers = _of_chart(posixpath.join(one.folder, home), name, charts)
        layers += _files(one.folder, (lookup(chart, "valuesFile"), *more), charts)
        inline = lookup(chart, "valuesInline")
        if inline is not None:
            pointer = f"/helmCharts/{index}/valuesInline"
            layers.append(_layer(one.path, pointer, inline, "valuesInline"))
        yield tuple(layers)


def _generated(
    one: Kustomization, charts: Charts, *, follow: bool
) -> Iterator[tuple[tuple[str, str], Layer]]:
    """Yield the files that ConfigMaps are generated from, by name and key.

    Releases know them by their new names only where a configuration lets them `follow` these.
    """
    options = lookup(one.root, "generatorOptions")
    renamed = bool(one.prefix or one.suffix)
    for generator in items_of(lookup(one.root, "configMapGenerator")):
        name = text_of(lookup(generator, "name")) or ""
        hashed = (find(some, _NO_HASH) for some in (lookup(generator, "options"), options))
        is_plain = any(text_of(some) == "true" for some in hashed) and not renamed
        why = "" if follow or is_plain else f"kustomize gives the ConfigMap {name} another name"
        for item in items_of(lookup(generator, "files")):
            key, equals, path = (text_of(item) or "").partition("=")
            path = path if equals else key
            key = key if equals else posixpath.basename(path)
            path = posixpath.normpath(posixpath.join(one.folder, path))
            yield (name, key), replace(_file(path, charts), why=why)


def _of_releases(
    file: ParsedFile,
    generated: Mapping[tuple[str, str], Layer],
) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers of HelmReleases that take ConfigMaps which are generated from files."""
    for item in objects_of(file) if generated else ():
        if item.kind != "HelmRelease" or item.api_group != HELM_GROUP:
            continue
        sources = read_sources(item.find("spec", "valuesFrom"))
        taken = [(generated.get((one.name, one.key)), one.line) for one in sources]
        layers = [layer for layer, _line in taken if layer is not None]
        renamed = next(((one.why, at) for one, at in taken if one is not None and one.why), None)
        if renamed is not None:
            title = f"valuesFrom of HelmRelease {item.name}"
            layers.append(Layer(file.path, _NOWHERE, None, title, renamed[1], renamed[0]))
        values = item.find("spec", "values")
        if layers and values is not None:
            title = f"spec.values of HelmRelease {item.name}"
            layers.append(_layer(file.path, f"{item.pointer}/spec/values", values, title))
        yield tuple(layers)


def _of_helmfile(
    file: ParsedFile, root: yaml.Node | None, charts: Charts
) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers of a helmfile's releases (helmfile.readthedocs.io, Configuration)."""
    if lookup(root, "kind") is not None:
        return
    folder = posixpath.dirname(file.path)
    for index, release in enumerate(items_of(lookup(root, "releases"))):
        layers = _of_chart(folder, text_of(lookup(release, "chart")), charts)
        for key in ("inherit", "valuesTemplate"):
            more = lookup(release, key)
            if more is not None:
                layers.append(Layer(file.path, _NOWHERE, None, key, line_of(more)))
        for number, item in enumerate(items_of(lookup(release, "values"))):
            if isinstance(item, yaml.ScalarNode):
                layers += _files(folder, [item], charts)
            else:
                pointer = f"/releases/{index}/values/{number}"
                layers.append(_layer(file.path, pointer, item, "values"))
        layers += _files(folder, items_of(lookup(release, "secrets")), charts)
        for key in ("set", "setString", "setTemplate"):
            for item in items_of(lookup(release, key)):
                name, value = text_of(lookup(item, "name")) or "", lookup(item, "value")
                node = with_path(None, tuple(name.split(".")), value) if value is not None else None
                layers.append(Layer(file.path, _NOWHERE, node, key, line_of(item)))
        for one in _templates(release):
            title = f"{{{{ {text_of(one)} }}}}"
            layers.append(Layer(file.path, _NOWHERE, None, title, line_of(one)))
        yield tuple(layers)


def _templates(node: yaml.Node) -> Iterator[yaml.Node]:
    """Yield what stands in `{{ … }}`: to YAML a key of a mapping that is a key itself."""
    mappings = [one for one in walk(node) if isinstance(one, yaml.MappingNode)]
    keys = [key for one in mappings for key, _value in one.value]
    for key in (key for key in keys if isinstance(key, yaml.MappingNode)):
        yield from (inner for inner, _none in key.value)


def _of_fleet(
    file: ParsedFile, root: yaml.Node | None, charts: Charts
) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers of a `fleet.yaml` (fleet.rancher.io, ref-fleet-yaml)."""
    if posixpath.basename(file.path) != _FLEET:
        return
    chart = text_of(find(root, "helm", "chart")) or "."
    layers = _of_chart(posixpath.dirname(file.path), chart, charts)
    layers += _of_fleet_helm(file, lookup(root, "helm"), "/helm", charts)
    yield tuple(layers)
    for index, custom in enumerate(items_of(lookup(root, "targetCustomizations"))):
        pointer = f"/targetCustomizations/{index}/helm"
        yield (*layers, *_of_fleet_helm(file, lookup(custom, "helm"), pointer, charts))


def _of_fleet_helm(
    file: ParsedFile,
    helm: yaml.Node | None,
    pointer: str,
    charts: Charts,
) -> Iterator[Layer]:
    folder = posixpath.dirname(file.path)
    yield from _files(folder, items_of(lookup(helm, "valuesFiles")), charts)
    values = lookup(helm, "values")
    if values is not None:
        yield _layer(file.path, f"{pointer}/values", values, f"values at {pointer}")


def _of_kluctl(
    file: ParsedFile, root: yaml.Node | None, charts: Charts
) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers of a chart that Kluctl takes: its values stand beside (kluctl.io, Helm)."""
    folder, name = posixpath.split(file.path)
    if name in _KLUCTL:
        layers = _of_chart(folder, text_of(find(root, "helmChart", "path")), charts)
        beside = (posixpath.join(folder, one.replace("chart", "values")) for one in _KLUCTL)
        yield (*layers, *(_file(one, charts) for one in beside if charts.parsed(one) is not None))


def _of_skaffold(
    file: ParsedFile, root: yaml.Node | None, charts: Charts
) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers of a Skaffold configuration's releases (skaffold.dev, skaffold.yaml)."""
    if not (text_of(lookup(root, "apiVersion")) or "").startswith(_SKAFFOLD):
        return
    folder = posixpath.dirname(file.path)
    for one in (root, *items_of(lookup(root, "profiles"))):
        for release in (
            *items_of(find(one, "deploy", "helm", "releases")),
            *items_of(find(one, "manifests", "helm", "releases")),
        ):
            layers = _of_chart(folder, text_of(lookup(release, "chartPath")), charts)
            layers += _files(folder, items_of(lookup(release, "valuesFiles")), charts)
            over = lookup(release, "overrides")
            if over is not None:
                layers.append(Layer(file.path, _NOWHERE, over, "overrides", line_of(over)))
            for key in ("setValues", "setValueTemplates", "setFiles"):
                for name, value in entries(lookup(release, key)).items():
                    node = with_path(None, tuple(name.split(".")), value)
                    layers.append(Layer(file.path, _NOWHERE, node, key, line_of(value)))
            yield tuple(layers)
