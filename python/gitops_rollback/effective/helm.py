"""The values of a Helm release, from all its layers, and what is not known of them. Pure.

Later layers win (fluxcd.io/flux/components/helm/helmreleases, values): those of the charts that
the chart takes, its own `values.yaml` or `valuesFiles`, then `valuesFrom` in their order, then
`values`. Mappings are merged, lists are not; null removes (helm, pkg/chart/common/util).
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.charts import VALUES_FILE, merged
from gitops_rollback.effective.grammar import HELM_RELEASE, POST_RENDERER, odd_fields
from gitops_rollback.effective.images import TO_PODS
from gitops_rollback.effective.objects import ACCEPT, LOOK, Resource, Unknown
from gitops_rollback.effective.sources import Whose, doubts_of
from gitops_rollback.effective.tree import TreeError, entries, find, opaque_node, with_path
from gitops_rollback.errors import ManifestError
from gitops_rollback.late import dataclass, field, regex, replace
from gitops_rollback.manifest.document import (
    is_null,
    items_of,
    line_of,
    lookup,
    parse,
    root_of,
    text_of,
    walk,
)
from gitops_rollback.manifest.flux import HELM_GROUP, Source, read_sources
from gitops_rollback.manifest.helm import CHART_FILE, is_of_image
from gitops_rollback.manifest.objects import folder_of
from gitops_rollback.manifest.scalars import block_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gitops_rollback.effective.charts import Charts
    from gitops_rollback.effective.sources import Sources
    from gitops_rollback.manifest.document import ParsedFile

_PLAIN_TARGET = regex(r"[\w-]+(?:\.[\w-]+)*")
_KEYS = regex(rf"{_PLAIN_TARGET.pattern}(?=[.\[]|$)")
_AFTER = "this patch may set an image of what the chart makes, and comes after values"
_IN_VALUES = f"take the image out of the patch and set it in values, {ACCEPT}"
_IMAGE_KEYS = frozenset({"image", "reference", "containers", "initContainers", "volumes"})


@dataclass(frozen=True)
class Embedded:
    """A text that holds values: what it is called, whose it is, and it as a file of its own."""

    title: str
    kind: str
    name: str
    block: ParsedFile


@dataclass(frozen=True)
class Layers:
    """The values of a release: `values` is what the chart gets, None where nothing is known.

    `chart` are the files of the chart in this repository that gave values, `of_chart` why what they
    say may have no effect; `unread` is what may set values below some keys that the release itself
    does not, and `over` what may set them whatever the release says; `folder` is the chart's in
    this repository, None for one that is elsewhere.
    """

    values: yaml.Node | None
    chart: tuple[str, ...] = ()
    of_chart: tuple[Unknown, ...] = ()
    unread: tuple[tuple[tuple[str, ...], Unknown], ...] = ()
    over: tuple[tuple[tuple[str, ...], Unknown], ...] = ()
    unknowns: tuple[Unknown, ...] = ()
    paths: tuple[str, ...] = ()
    embedded: dict[int, Embedded] = field(default_factory=dict)
    folder: str | None = None


def is_release(resource: Resource) -> bool:
    """Tell whether an object is a HelmRelease of Flux."""
    identity = resource.identity
    return identity.kind == "HelmRelease" and identity.group in ("", HELM_GROUP)


def layers_of(
    resource: Resource, among: Iterable[Resource], charts: Charts, sources: Sources
) -> Layers:
    """Return the values that a release gives to its chart.

    `among` are the objects that are applied with it.
    """
    spec = lookup(resource.node, "spec")
    teller, chart = _chart_of(resource, among)
    folder, files, of_chart = _chart_files(teller, chart, charts, sources)
    values, paths = charts.of_taken(folder)
    for path in files:
        root = charts.root(path)
        if root is not None:
            values = merged(values, root)
            paths.append(path)
    values = charts.with_imports(folder, values)
    embedded: dict[int, Embedded] = {}
    taken: list[str] = []
    layers = [
        (source, _layer(source, resource, among, charts, embedded, taken))
        for source in read_sources(find(spec, "valuesFrom"))
    ]
    given, over = _laid(layers, lookup(spec, "values"), resource)
    unread = [(_steps(one), layer) for one, layer in layers if isinstance(layer, Unknown)]
    return Layers(
        values=merged(values, given) if given is not None else values,
        chart=tuple(paths),
        of_chart=of_chart if paths else (),
        unread=tuple(unread),
        over=tuple(over),
        unknowns=(
            *_doubts(resource, spec),
            *_gone(teller, chart, files, charts),
            *_no_chart(teller, chart, charts, sources),
        ),
        paths=(*paths, *taken),
        embedded=embedded,
        folder=folder,
    )


def _doubts(resource: Resource, spec: yaml.Node | None) -> Iterator[Unknown]:
    """Yield what is not known of a release, whatever its values are."""
    yield from odd_fields(resource.path, spec, HELM_RELEASE, "a HelmRelease")
    suspend = lookup(spec, "suspend")
    if suspend is not None and text_of(suspend) == "true":
        why = "the release is suspended: nothing is applied until somebody resumes it"
        hint = f"take it out, {ACCEPT}"
        yield Unknown(resource.path, line_of(suspend), "suspend", why, hint)
    yield from _post_rendered(resource, spec)


def _laid(
    layers: Iterable[tuple[Source, yaml.Node | Unknown | None]],
    own: yaml.Node | None,
    resource: Resource,
) -> tuple[yaml.Node | None, list[tuple[tuple[str, ...], Unknown]]]:
    """Return what Flux makes of the layers of a release and its own values, for Helm to take.

    A layer with a `targetPath` is put into what all before it and the own values make, without a
    copy of these (fluxcd/pkg, chartutil/values.go): so it is over them, and over all later layers,
    where they bring the mapping that it stands in. Those that are so and not known come with it.
    """
    found: yaml.Node | None = None
    over = []
    for source, layer in layers:
        steps = _steps(source)
        is_over = bool(steps) and _brings(own, found, steps)
        if isinstance(layer, Unknown):
            hint = f"take it out there, {ACCEPT}"
            over += [(steps, replace(layer, hint=hint))] if is_over else []
            layer = opaque_node(resource.node) if is_no_image(steps) else None  # noqa: PLW2901
        if steps and layer is not None:
            try:
                found = with_path(_over(found, own), steps, layer)
                own = with_path(own, steps, layer) if is_over else own
            except TreeError as error:
                doubt = Unknown(resource.path, source.line, "targetPath", str(error), LOOK)
                over.append((steps, doubt))
        else:
            found = _over(found, layer)
    return _over(found, own), over


def _steps(source: Source) -> tuple[str, ...]:
    """Return the keys below which a source puts its value, as far as they are plain."""
    plain = _KEYS.match(source.target)
    return tuple(plain[0].split(".")) if plain is not None else ()


def is_no_image(steps: tuple[str, ...]) -> bool:
    """Tell whether what stands at a place of the values is surely no part of an image."""
    return bool(steps) and not any(map(is_of_image, steps))


def _over(under: yaml.Node | None, over: yaml.Node | None) -> yaml.Node | None:
    return under if is_null(over) or over is None else merged(under, over, keeps_null=True)


def _brings(own: yaml.Node | None, found: yaml.Node | None, steps: tuple[str, ...]) -> bool:
    """Tell whether the outermost mapping on the way to a place that others lack is of `own`."""
    above = (steps[:number] for number in range(1, len(steps)))
    first = next((one for one in above if not isinstance(find(found, *one), yaml.MappingNode)), ())
    return bool(first) and isinstance(find(own, *first), yaml.MappingNode)


def _chart_files(
    resource: Resource,
    chart: yaml.Node | None,
    charts: Charts,
    sources: Sources,
) -> tuple[str | None, tuple[str, ...], tuple[Unknown, ...]]:
    """Return the folder of a chart in this repository, its value files, and doubts about these."""
    source = lookup(chart, "sourceRef")
    folder = folder_of(text_of(lookup(chart, "chart")) or "?")
    is_git = text_of(lookup(source, "kind")) in ("GitRepository", None)
    if not is_git or not charts.has(folder):
        return None, (), ()
    namespace = resource.identity.namespace
    pointing = sources.of_flux(source, namespace, resource.path)
    if pointing.whose is Whose.ANOTHERS:
        return None, (), ()
    listed = [text_of(one) or "" for one in items_of(lookup(chart, "valuesFiles"))]
    old = text_of(lookup(chart, "valuesFile"))
    files = [posixpath.normpath(one) for one in (*listed, *([old] if old else ()))]
    if not files:
        files = [posixpath.join(folder, VALUES_FILE)]
    chart_file = posixpath.join(folder, CHART_FILE)
    line = line_of(chart) if chart is not None else 1
    doubts = [doubt for one in pointing.sources for doubt in doubts_of(one)]
    left = (sources.left_out(path, pointing.sources) for path in (chart_file, *files))
    doubts += [one for one in left if one is not None]
    if pointing.whose is not Whose.OURS:
        why, hint = pointing.why, pointing.hint
        doubts.append(Unknown(resource.path, line, "the chart's sourceRef", why, hint))
    if text_of(find(chart, "reconcileStrategy")) != "Revision":
        doubts.append(_waits(resource.path, line, chart_file))
    return folder, tuple(files), tuple(doubts)


def _no_chart(
    resource: Resource, chart: yaml.Node | None, charts: Charts, sources: Sources
) -> Iterator[Unknown]:
    """Yield that the chart is to be in this repository, and is not: no release is made of it."""
    source = lookup(chart, "sourceRef")
    written = text_of(lookup(chart, "chart")) or "?"
    if (
        chart is not None
        and text_of(lookup(source, "kind")) == "GitRepository"
        and folder_of(written) in charts.absent
        and sources.of_flux(source, resource.identity.namespace, resource.path).whose is Whose.OURS
    ):
        why, hint = "it is not there: the release fails", f"mend the path, {ACCEPT}"
        yield Unknown(resource.path, line_of(chart), f"chart {written}", why, hint)


def _gone(
    resource: Resource,
    chart: yaml.Node | None,
    files: Iterable[str],
    charts: Charts,
) -> Iterator[Unknown]:
    """Yield the listed files of values that are not there: Flux makes no chart without them."""
    listed = lookup(chart, "valuesFiles")
    if listed is None or text_of(lookup(chart, "ignoreMissingValuesFiles")) == "true":
        return
    for path in files:
        if charts.parsed(path) is None:
            why = "it is not there, or cannot be read"
            hint = f"take it out, or set ignoreMissingValuesFiles, {ACCEPT}"
            yield Unknown(resource.path, line_of(listed), f"valuesFiles {path}", why, hint)


def doubts_of_template(
    resource: Resource, among: Iterable[Resource], folder: str, charts: Charts, sources: Sources
) -> tuple[Unknown, ...]:
    """Return why a release may not take a changed file of the chart in a folder."""
    own, _files, doubts = _chart_files(*_chart_of(resource, among), charts, sources)
    return doubts if own == folder else ()


def _chart_of(resource: Resource, among: Iterable[Resource]) -> tuple[Resource, yaml.Node | None]:
    """Return what says which chart a release has, and the object that it stands in.

    That is the release, or the HelmChart that its `chartRef` names, which has the same fields.
    """
    spec = lookup(resource.node, "spec")
    own = find(spec, "chart", "spec")
    if own is not None or text_of(find(spec, "chartRef", "kind")) != "HelmChart":
        return resource, own
    name = text_of(find(spec, "chartRef", "name"))
    wanted = text_of(find(spec, "chartRef", "namespace")) or resource.identity.namespace
    for one in among:
        identity = one.identity
        is_it = identity.kind == "HelmChart" and identity.name == name
        if is_it and identity.namespace in (wanted, ""):
            return one, lookup(one.node, "spec")
    return resource, None


def _waits(path: str, line: int, chart_file: str) -> Unknown:
    return Unknown(
        path,
        line,
        "reconcileStrategy: ChartVersion",
        f"Flux takes a changed file of the chart only with a new version in {chart_file}",
        f"set reconcileStrategy: Revision in {path}, set the tag in the release's values, "
        "or raise the chart's version in the same change (--accept effect)",
    )


def _layer(
    source: Source,
    resource: Resource,
    among: Iterable[Resource],
    charts: Charts,
    embedded: dict[int, Embedded],
    taken: list[str],
) -> yaml.Node | Unknown | None:
    """Return the values of one source; Unknown where they are not known.

    The file that it stands in is put into `taken`.
    """
    name = f"valuesFrom {source.kind} {source.name}"
    hint = f"set the image in `values` of the release, which count, {ACCEPT}"
    doubt = Unknown(resource.path, source.line, name, "it is not read", hint)
    namespace = resource.identity.namespace
    for one in among:
        identity = one.first
        is_it = identity.kind == "ConfigMap" == source.kind and identity.name == source.name
        if not is_it or one.identity.namespace not in (namespace, ""):
            continue
        value = find(one.node, "data", source.key)
        if not isinstance(value, yaml.ScalarNode):
            return doubt
        taken.append(one.path)
        if source.target:
            is_plain = _PLAIN_TARGET.fullmatch(source.target)
            return value if is_plain else replace(doubt, why="its targetPath is not followed")
        title = f"a text of ConfigMap {source.name} ({one.path}:{line_of(value)})"
        layer = embedded_in(one, value, title, charts, embedded)
        return layer if layer is not None or not str(value.value).strip() else doubt
    return None if source.optional and source.kind == "ConfigMap" else doubt


def embedded_in(
    resource: Resource,
    text: yaml.ScalarNode,
    title: str,
    charts: Charts,
    embedded: dict[int, Embedded],
) -> yaml.Node | None:
    """Return the values that stand in a text of an object, and note where each scalar stands.

    The text stands in one of the files that made the object. None where it is no YAML.
    """
    files = (charts.parsed(path) for path in dict.fromkeys((resource.path, *resource.by)))
    try:
        blocks = [block_of(file, text) for file in files if file is not None]
        block = next((one for one in blocks if one.host is not None), None)
        block = block or parse(title, str(text.value).encode())
    except ManifestError:
        return None
    identity = resource.first
    one = Embedded(title, identity.kind, identity.name, block)
    root = root_of(block)
    embedded.update({id(node): one for node in walk(root)})
    return root


def _post_rendered(resource: Resource, spec: yaml.Node | None) -> list[Unknown]:
    """Return the patches of post-renderers that may set an image of whatever the chart makes."""
    found: list[Unknown] = []
    for renderer in items_of(find(spec, "postRenderers")):
        rendered = lookup(renderer, "kustomize")
        found += odd_fields(resource.path, rendered, POST_RENDERER, "a post-renderer")
        for key in ("patches", "patchesStrategicMerge", "patchesJson6902"):
            for item in items_of(lookup(rendered, key)):
                patch = item if key == "patchesStrategicMerge" else lookup(item, "patch")
                if patch is not None and _may_set_image(patch):
                    name = f"postRenderers {key}"
                    found.append(Unknown(resource.path, line_of(patch), name, _AFTER, _IN_VALUES))
    return found


def _may_set_image(patch: yaml.Node) -> bool:
    """Tell whether a patch, an object or its text, may set an image: by what it touches."""
    if not isinstance(patch, yaml.ScalarNode):
        return _touches(patch)
    try:
        file = parse("patch", str(patch.value).encode())
    except ManifestError:
        return True
    return any(_touches(root) for root in file.trees)


def _touches(root: yaml.Node | None) -> bool:
    if isinstance(root, yaml.SequenceNode):
        return any(_operation_touches(item) for item in root.value)
    if isinstance(root, yaml.MappingNode):
        return any(_says_image(node) for node in walk(root))
    return not is_null(root)


def _operation_touches(item: yaml.Node) -> bool:
    if text_of(lookup(item, "op")) == "test":
        return False
    steps = (text_of(lookup(item, "path")) or "").split("/")
    last = [step for step in steps if step and not step.isdecimal() and step != "-"]
    if any(_says_image(node) for node in walk(lookup(item, "value"))):
        return True
    return bool(last) and (
        last[-1] in ("image", "reference") or (TO_PODS | _IMAGE_KEYS).issuperset(last)
    )


def _says_image(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode) and (
        "image" in entries(node)
        or lookup(node, "$patch") is not None
        or any(is_null(value) for key, value in entries(node).items() if key in _IMAGE_KEYS)
    )
