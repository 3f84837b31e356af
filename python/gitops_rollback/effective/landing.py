"""Images where they land: those of a built object, and which place in a file decides each. Pure.

A scalar keeps its identity through all overlays, so what decides an image is found by it; what an
`images:` entry, a patch or another layer of values made is known by what it was made from.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.argo import application_layers
from gitops_rollback.effective.build import is_local
from gitops_rollback.effective.helm import is_no_image, is_release, layers_of
from gitops_rollback.effective.images import DoubtfulEntryError, is_for
from gitops_rollback.effective.objects import LOOK, Resource, Unknown
from gitops_rollback.effective.sources import Sources
from gitops_rollback.effective.templates import Templates
from gitops_rollback.effective.tree import find
from gitops_rollback.late import dataclass, replace
from gitops_rollback.manifest.argo import is_application
from gitops_rollback.manifest.document import (
    is_null,
    items_of,
    line_of,
    lookup,
    root_of,
    scalars_of,
    text_of,
    values_of,
)
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.helm import NO_NAME, OTHER_REGISTRY, values_fields
from gitops_rollback.manifest.image_field import (
    CONTAINER,
    DIGEST,
    EDITABLE,
    HELM,
    KUSTOMIZE,
    PATCH,
    POINTED,
    REFERENCE,
    SUBSTITUTION,
    TAG,
    VARIABLE_PROBLEM,
    VOLUME,
    ImageField,
    Part,
    Place,
    Problem,
    Scalar,
    split_version,
)
from gitops_rollback.manifest.kustomize import ImageEntry, read_entries
from gitops_rollback.manifest.objects import (
    REPORTED_POD_SPECS,
    ImageNode,
    ManifestObject,
    image_nodes,
)
from gitops_rollback.manifest.scalars import in_host, read_scalar, spelling_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.effective.build import Builder
    from gitops_rollback.effective.charts import Charts
    from gitops_rollback.effective.helm import Embedded, Layers
    from gitops_rollback.effective.objects import Inline
    from gitops_rollback.manifest.document import ParsedFile

INLINE_PROBLEM = Problem(
    "an inline patch sets it, in a text that stands within another or that an alias repeats;",
    "write it out, or move the patch to a file",
)
# A field that is surely of an image: what is copied from it is decided there.
_OF_IMAGES = frozenset({CONTAINER, VOLUME, POINTED, KUSTOMIZE, PATCH})
NO_SOURCES = Sources()
_MADE = Problem("its text is made of several, and stands nowhere by itself")


@dataclass(frozen=True)
class Origin:
    """Where a scalar comes from: the field that decides it, and what it was put in place of.

    `made` says why it is not edited there, though the field itself could be.
    """

    field: ImageField
    over: tuple[str, ...] = ()
    made: Problem = EDITABLE


@dataclass(frozen=True)
class Landing:
    """An image where it lands: who uses it, what decides its version, what is not known of it.

    `use` is the workload's own field, `decider` the field whose version counts; `name` and
    `version` are the texts they make together; `over` are the places that were overridden,
    `overlay` the outermost kustomization, `made` why the decider is not edited though it could be.
    `paths` are the files that it rests on, `charts` those of its chart that gave values, `folder`
    is the chart's in this repository, `values` all that it gets, where that is known.
    """

    use: ImageField
    decider: ImageField
    name: str
    version: str
    over: tuple[str, ...] = ()
    overlay: str = ""
    made: Problem = EDITABLE
    unknowns: tuple[Unknown, ...] = ()
    warnings: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()
    folder: str | None = None
    values: yaml.Node | None = None

    @property
    def text(self) -> str:
        """The text of the image."""
        return self.name + self.version

    def decided_by(self, field: ImageField, name: str, version: str) -> Landing:
        """Return the image after another field took over its version."""
        over = (*self.over, self.decider.place)
        return replace(self, decider=field, name=name, version=version, over=over, made=EDITABLE)

    def blocked(self, problem: Problem) -> Landing:
        """Return the image after something took over that cannot be edited."""
        return replace(self, decider=replace(self.decider, problem=problem))

    def doubted(self, *unknowns: Unknown) -> Landing:
        """Return the image with more that is not known of it."""
        return replace(self, unknowns=(*self.unknowns, *unknowns))

    @property
    def field(self) -> ImageField:
        """The field to edit, with what it takes effect on."""
        decider = self.decider
        return replace(
            decider,
            labels=decider.labels | self.use.labels,
            containers=decider.containers | self.use.containers,
            shown_name=self.name if self.name != decider.name_text else decider.shown_name,
            overrides=tuple(dict.fromkeys((*decider.overrides, *self.over))),
            problem=self._problem(),
            overlay=self.overlay,
        )

    def _problem(self) -> Problem:
        decider = self.decider
        if self.made:
            return self.made
        if self.use.reported_only and decider.key != self.use.key:
            return Problem(
                f"it decides the image of {self.use.kind} {self.use.name} ({self.use.place}) too, "
                "whose template is immutable:",
                "where something makes it anew (a hook, `force`), let it be edited by `kinds` of "
                f'the service: {{ {self.use.kind} = "{REPORTED_POD_SPECS[self.use.kind]}" }}',
            )
        is_named = self.name and "${" not in self.text
        named = is_named and decider.problem in (NO_NAME, VARIABLE_PROBLEM)
        return EDITABLE if named else decider.problem


def begin(field: ImageField) -> Landing:
    """Return a field's image before any overlay."""
    return Landing(field, field, field.shown_name or field.name_text, field.version)


class Lander:
    """Finds the images of objects, and what decides them."""

    def __init__(
        self,
        builder: Builder,
        charts: Charts,
        fields: Mapping[str, tuple[ImageField, ...]],
        kinds: Mapping[str, str],
        pointers: tuple[str, ...] = (),
        sources: Sources = NO_SOURCES,
    ) -> None:
        self._builder = builder
        self._charts, self.templates = charts, Templates(charts)
        self._kinds = kinds
        self._pointers = pointers
        self._git = sources
        self._sources: dict[int, ImageField] = {}
        self._shared: dict[tuple[object, ...], ImageField] = {}  # those that aliases repeat
        self._places: dict[int, tuple[ParsedFile, int, str]] = {}
        self._walked: dict[int, ParsedFile] = {}
        self._known_inline: set[int] = set()
        for found in fields.values():
            self._know(found)

    def land(self, resource: Resource, among: Sequence[Resource]) -> list[Landing]:
        """Return the images of an object; `among` are those that are applied with it."""
        self._know_inline()
        file = self._builder.parsed(resource.path)
        assert file is not None  # noqa: S101 - what is applied was read from one
        kind = resource.identity.kind
        item = ManifestObject(file, resource.document, "", resource.node, kind)
        if is_release(resource):
            layers = layers_of(resource, among, self._charts, self._git)
            return self._of_values(resource, item, layers)
        if is_application(item):
            several = application_layers(resource, self._charts, self._git)
            return [one for layers in several for one in self._of_values(resource, item, layers)]
        images = [
            image
            for image in image_nodes(item, self._kinds, self._pointers)
            if isinstance(image.node, yaml.ScalarNode)
        ]
        return [
            self._landing(resource, image, item)
            for image in (*images, *self._entered(resource, images))
        ]

    def _entered(self, resource: Resource, known: Iterable[ImageNode]) -> Iterator[ImageNode]:
        """Yield the images of an object at other places that an `images:` entry reached, or means.

        kustomize finds containers in any kind, and where `configurations` say.
        """
        near = self._builder.near
        if not near and not any(path != resource.path for path in resource.by):
            return
        there = {id(image.node) for image in known}
        for pointer, node in scalars_of(resource.node):
            made = self._builder.renewed.get(id(node))
            is_reached = made is not None and made.entry is not None
            if (is_reached or id(node) in near) and id(node) not in there:
                container = pointer.strip("/").replace("/", ".")
                yield ImageNode(container, node, pointer, POINTED, (resource.node,))

    def post_rendered(self, resource: Resource, found: list[Landing]) -> list[Landing]:
        """Apply the `images` of a release's post-renderers to whatever its chart makes.

        An entry that meets no image of the values may meet one that only the chart names.
        """
        out = list(found)
        for entry in self._release_entries(resource):
            made = [_rendered(one, entry) for one in out]
            met = any(new is not old for new, old in zip(made, out, strict=True))
            out = made
            if not met and entry.sets_version:
                place = entry.field
                doubt = Unknown(
                    place.path,
                    place.scalar.line,
                    f"postRenderers images {entry.name}",
                    "whether the chart makes an image of that name is not known",
                    "name the image in the release's values too, or --accept effect",
                )
                image = replace(begin(entry.field), paths=(resource.path,))
                out.append(image.doubted(*resource.unknowns, doubt))
        return out

    def _release_entries(self, resource: Resource) -> list[ImageEntry]:
        if not is_release(resource):
            return []
        found: list[ImageEntry] = []
        for renderer in items_of(find(resource.node, "spec", "postRenderers")):
            images = find(renderer, "kustomize", "images")
            place = self._place_of(resource, images) if images is not None else None
            if place is not None:
                file, document, pointer = place
                kind, name = resource.identity.kind, resource.identity.name
                found += read_entries(Place(file, document, kind, name, pointer), images)
        return found

    def origin(self, resource: Resource, node: yaml.Node) -> Origin:
        """Return what decides a scalar of an object."""
        found = self._origin(resource, node)
        return replace(found, field=self.narrowed(found.field, node))

    def narrowed(self, field: ImageField, *nodes: yaml.Node) -> ImageField:
        """Return a field that takes no digest where a replacement copies it to what takes none."""
        every = (*nodes, *(part.scalar.node for part in field.parts))
        by = next((by for one in every if (by := self._builder.shared.get(id(one)))), "")
        return replace(field, tag_only=f"{by} writes it to other places too") if by else field

    def _origin(self, resource: Resource, node: yaml.Node) -> Origin:
        made = self._builder.renewed.get(id(node))
        if made is None:
            return Origin(self._field_of(resource, node), resource.over.get(id(node), ()))
        was = self.origin(resource, made.was)
        if made.entry is not None:
            return Origin(made.entry.field, (*was.over, was.field.place))
        if made.origin is not None and made.source is not None:
            source = self.origin(made.origin, made.source)
            over = (*was.over, was.field.place)
            if source.field.form in _OF_IMAGES and not made.is_tag:
                return Origin(source.field, over)
            if is_local(made.origin):  # it is built from, and nothing else has it
                return Origin(_as_copied(source.field, is_tag=made.is_tag), over)
        return replace(was, made=made.problem or was.made)

    def _landing(self, resource: Resource, image: ImageNode, item: ManifestObject) -> Landing:
        assert isinstance(image.node, yaml.ScalarNode)  # noqa: S101 - the caller looked
        origin = self.origin(resource, image.node)
        name, version = split_version("" if is_null(image.node) else str(image.node.value))
        if origin.field.form == POINTED and origin.field.part(TAG) is not None:
            name, version = "", origin.field.version
        use = replace(
            self._field_of(resource, self._first(image.node)),
            path=resource.path,
            document=resource.document,
            pointer=image.pointer,
            kind=item.kind,
            name=item.name,
            namespace=item.namespace or "",
            container=image.container,
            labels=item.names | self._first_names(resource),
            containers=frozenset((image.container,)),
            reported_only=image.reported_only,
            form=image.form,
        )
        field, first = origin.field, resource.first
        own = self._shared.get(_use_of(field.scalar, first.kind, first.name, image.container))
        decider = field if own is None else replace(own, tag_only=field.tag_only)
        return Landing(
            use,
            decider,
            name,
            version,
            origin.over,
            made=origin.made,
            unknowns=resource.unknowns,
            paths=(resource.path,),
        )

    def _first(self, node: yaml.Node) -> yaml.Node:
        """Return the scalar that stood in a file before any entry made another of it."""
        while (made := self._builder.renewed.get(id(node))) is not None:
            node = made.was
        return node

    def _first_names(self, resource: Resource) -> frozenset[str]:
        return frozenset(one.name for one in (*resource.earlier, resource.identity) if one.name)

    def _of_values(self, resource: Resource, item: ManifestObject, layers: Layers) -> list[Landing]:
        """Return the images of the values that an object gives to a chart."""
        self._know_embedded(layers.embedded)
        scalar = partial(self._scalar, resource, layers.paths)
        place = replace(item.place, namespace="").below("/spec/values")
        fields = values_fields(place, layers.values, scalar)
        return [self._of_value(resource, item, layers, one) for one in fields]

    def _of_value(
        self, resource: Resource, item: ManifestObject, layers: Layers, field: ImageField
    ) -> Landing:
        is_whole = all(is_no_image(steps) for steps, _doubt in layers.unread)
        whole = layers.values if is_whole else None  # of all that the chart gets
        named = "" if layers.folder is None else self.templates.name(layers.folder, field, whole)
        decider, over = self._decider(resource, field, layers.embedded)
        if named and decider.problem == OTHER_REGISTRY:
            decider = replace(decider, problem=EDITABLE, other_name="")
        is_own = decider.path in (resource.path, *resource.by)  # its version, if nothing else
        unread = [one for steps, one in layers.unread if _may_set(steps, field)]
        doubt, said = self._of_templates(layers.folder, field, whole)
        of_chart = layers.of_chart if decider.path in layers.chart else ()
        more = (f"{one.text}; a digest or registry in it counts" for one in unread)
        use = replace(
            field,
            path=resource.path,
            labels=item.names | self._first_names(resource),
            namespace=item.namespace or "",
        )
        return Landing(
            use,
            decider,
            named or field.name_text,
            field.version,
            over,
            unknowns=(
                *(*resource.unknowns, *layers.unknowns, *doubt, *of_chart),
                *(one for steps, one in layers.over if _may_set(steps, field)),
                *(() if is_own else unread),
            ),
            warnings=(*said, *(more if is_own else ())),
            paths=(resource.path, *resource.by, *layers.paths),
            charts=layers.chart,
            folder=layers.folder,
            values=whole,
        )

    def _of_templates(
        self, folder: str | None, field: ImageField, values: yaml.Node | None
    ) -> tuple[tuple[Unknown, ...], tuple[str, ...]]:
        """Return what a chart's templates leave unproven of an image, and what is said of it."""
        if folder is None:
            return (), ()
        doubt = self.templates.doubt(folder, field, values)
        said = tuple(self.templates.warnings(folder, field, values))
        return (doubt,) if doubt is not None else (), said

    def _decider(
        self, resource: Resource, field: ImageField, embedded: Mapping[int, Embedded]
    ) -> tuple[ImageField, tuple[str, ...]]:
        """Return the field whose version counts in values that come from several files."""
        node = field.scalar.node
        origin = self.origin(resource, node)
        own = replace(origin.field, problem=origin.made or origin.field.problem)
        if own.form != HELM or {id(p.scalar.node) for p in own.parts} != {
            id(p.scalar.node) for p in field.parts
        }:
            own = self._partly(resource, field, own)
        if field.other_name:  # by a value that may stand in another file
            problem = own.problem or field.problem
            own = replace(own, other_name=field.other_name, problem=problem)
        where = embedded.get(id(node))
        if where is not None and where.block.host is None:
            own = replace(own, problem=Problem(f"it stands in {where.title}, which is not edited"))
        return own, origin.over

    def _partly(self, resource: Resource, field: ImageField, base: ImageField) -> ImageField:
        """Return a field of those parts of an image that stand beside its version, `base`."""
        if id(field.scalar.node) in self._builder.renewed:
            return base
        parts = [
            part
            for part in field.parts
            if self.origin(resource, part.scalar.node).field.path == base.path
        ]
        digest = field.part(DIGEST)
        problem = EDITABLE if field.problem == NO_NAME else field.problem
        if base.problem not in (NO_NAME, VARIABLE_PROBLEM):
            problem = problem or base.problem
        if digest is not None and digest.text and digest not in parts:
            place = self.origin(resource, digest.scalar.node).field.path
            why = f"the digest in {place}:{digest.scalar.line} counts;"
            problem = Problem(why, "take it out there")
        is_helm = base.form == HELM
        return replace(
            base,
            kind=base.kind if is_helm else field.kind,
            name=base.name if is_helm else field.name,
            container=field.container,
            containers=field.containers,
            parts=tuple(parts),
            pointer=base.pointer if is_helm else base.pointer.rpartition("/")[0],
            form=HELM if is_helm else SUBSTITUTION,
            problem=problem or (EDITABLE if field.name_text else NO_NAME),
            tag_only="",
        )

    def _field_of(self, resource: Resource, node: yaml.Node) -> ImageField:
        """Return the field of a scalar: as it was found in its file, else by its place there."""
        known = self._sources.get(id(node))
        if known is not None:
            return known
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - images and values are scalars
        known_place = self._place_of(resource, node)
        if known_place is None:
            return self._placeless(resource, node)
        file, document, pointer = known_place
        root = file.trees[document]
        metadata = lookup(root, "metadata")
        if file.host is not None:
            place = Place(file, document, "Patch", "patch", pointer)
            return in_host(_of_no_form(place, node), file.host)
        place = Place(
            file,
            document,
            text_of(lookup(root, "kind")) or "",
            text_of(lookup(metadata, "name")) or "",
            pointer,
            text_of(lookup(metadata, "namespace")) or "",
        )
        return _of_no_form(place, node)

    def _placeless(self, resource: Resource, node: yaml.ScalarNode) -> ImageField:
        scalar = Scalar(
            path=resource.path,
            value=str(node.value),
            line=line_of(node),
            column=node.start_mark.column + 1,
            start=node.start_mark.index,
            end=node.start_mark.index,
            raw="",
            marker=None,
            node=node,
        )
        return ImageField(
            path=resource.path,
            document=resource.document,
            kind=resource.identity.kind,
            name=resource.identity.name,
            container="",
            pointer="",
            parts=(Part(REFERENCE, "image", scalar),),
            problem=_MADE,
        )

    def _scalar(self, resource: Resource, paths: tuple[str, ...], node: yaml.ScalarNode) -> Scalar:
        """Return a scalar of values as it stands in its file, wherever that is."""
        field = self._sources.get(id(node))
        if field is not None:
            return next(part.scalar for part in field.parts if part.scalar.node is node)
        place = self._place_of(resource, node, paths)
        if place is not None:
            return read_scalar(place[0], node)
        return self._placeless(resource, node).scalar

    def _place_of(
        self, resource: Resource, node: yaml.Node, more: tuple[str, ...] = ()
    ) -> tuple[ParsedFile, int, str] | None:
        for path in dict.fromkeys((resource.path, *resource.by, *more)):
            file = self._builder.parsed(path)
            for one in (file, *file.blocks.values()) if file is not None else ():
                if id(one) not in self._walked:
                    self._walked[id(one)] = one
                    self._walk(one)
            if id(node) in self._places:
                break
        return self._places.get(id(node))

    def _walk(self, file: ParsedFile) -> None:
        for number, root in enumerate(file.trees):
            for pointer, node in values_of(root):
                self._places.setdefault(id(node), (file, number, pointer))

    def _know(self, found: Iterable[ImageField]) -> None:
        for field in found:
            for part in field.parts:
                self._sources.setdefault(id(part.scalar.node), field)
            if field.users > 1:
                self._shared[_use_of(field.scalar, field.kind, field.name, field.container)] = field

    def _know_inline(self) -> None:
        """Take in the fields of inline patches, with their lines in the file these stand in."""
        for key, inline in self._builder.patcher.inline.items():
            if key not in self._known_inline:
                self._known_inline.add(key)
                found = [*find_fields(inline.file)]
                if inline.file.host is None:  # its scalars are found nowhere else
                    found += _texts_of(inline.file)
                self._know(_inlined(field, inline) for field in found)

    def _know_embedded(self, embedded: Mapping[int, Embedded]) -> None:
        """Take in the fields of values that are written into a text."""
        for one in {id(one.block): one for one in embedded.values()}.values():
            if one.block.host is None or id(one.block) in self._known_inline:
                continue
            self._known_inline.add(id(one.block))
            place = Place(one.block, 0, one.kind, one.name)
            fields = values_fields(place, root_of(one.block))
            self._know(in_host(field, one.block.host) for field in fields)


def _texts_of(file: ParsedFile) -> Iterator[ImageField]:
    """Yield every scalar of a patch as a field of no known form."""
    for number, root in enumerate(file.trees):
        for pointer, node in scalars_of(root):
            yield _of_no_form(Place(file, number, "Patch", "patch", pointer), node)


def _of_no_form(place: Place, node: yaml.ScalarNode) -> ImageField:
    """Return the field of a text that is found by where it stands alone."""
    scalar = read_scalar(place.file, node)
    container = place.pointer.strip("/").replace("/", ".")
    parts = (Part(REFERENCE, "image", scalar),)
    field = place.field(container, parts, SUBSTITUTION, spelling_problem(scalar))
    return replace(field, containers=frozenset())


def _may_set(steps: tuple[str, ...], field: ImageField) -> bool:
    """Tell whether a value that is put at a place may be a part of an image in values."""
    keys = () if field.container == "values" else tuple(field.container.split("."))
    length = min(len(steps), len(keys))
    return steps[:length] == keys[:length]


def _use_of(scalar: Scalar, kind: str, name: str, container: str) -> tuple[object, ...]:
    """Return what tells a container from others whose images are one text, by an alias."""
    return (id(scalar.node), kind, name, container)


def _as_copied(field: ImageField, *, is_tag: bool) -> ImageField:
    """Return the field of a text that is copied into an image, as a whole or as its tag."""
    parts = tuple(replace(part, role=TAG, key="tag") for part in field.parts)
    return replace(field, parts=parts if is_tag else field.parts)


def _rendered(landing: Landing, entry: ImageEntry) -> Landing:
    """Return an image as an entry of a release's post-renderer makes it; itself if it is another.

    Whether an entry is for it may not be known.
    """
    of = entry.field
    try:
        if not is_for(entry.name, landing.text):
            return landing
    except DoubtfulEntryError as error:
        name = f"postRenderers images {entry.name}"
        return landing.doubted(Unknown(of.path, of.scalar.line, name, str(error), LOOK))
    name = entry.new_name or landing.name
    if entry.sets_version:
        return landing.decided_by(of, name, of.version)
    return replace(landing, name=name)


def _inlined(field: ImageField, inline: Inline) -> ImageField:
    """Return a field of an inline patch as one of the file that this stands in."""
    if inline.file.host is not None:
        return replace(in_host(field, inline.file.host), path=inline.path)
    parts = tuple(
        replace(part, scalar=replace(one, path=inline.path, line=one.line + inline.offset))
        for part in field.parts
        for one in (part.scalar,)
    )
    first = parts[0].scalar
    pointer = f"inline:{first.line}:{first.column}"
    return replace(field, path=inline.path, parts=parts, pointer=pointer, problem=INLINE_PROBLEM)
