"""Which image fields take effect in an environment, after overlays, Helm and Flux. Pure.

What is applied on its own are roots: the folders of Flux's Kustomizations, other kustomizations
that nothing takes, and plain files. Each is built as its tool would (`build`), its images are
found (`landing`), and Flux's variables are filled in last.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gitops_rollback.effective.appliers import (
    ignored,
    left_alone,
    not_filled,
    paused,
    pinned_revision,
    rolled_out_by_hand,
)
from gitops_rollback.effective.build import is_local
from gitops_rollback.effective.effect import Beside, Effect, Idle, Landed
from gitops_rollback.effective.helm import is_release
from gitops_rollback.effective.landing import Lander, Landing, begin
from gitops_rollback.effective.objects import ACCEPT, LOOK, Unknown, Work
from gitops_rollback.effective.roots import Root, Roots, Tree
from gitops_rollback.effective.stacks import (
    Layer,
    is_replaced,
    overridden,
    stacks_of,
)
from gitops_rollback.effective.tree import find
from gitops_rollback.effective.variables import (
    Variables,
    broken_in,
    filled,
    flaw_of,
    substitute,
    variable_names,
)
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.manifest.document import scalars_of, text_of
from gitops_rollback.manifest.flux import definitions
from gitops_rollback.manifest.image_field import HELM, KUSTOMIZE, PATCH, Problem
from gitops_rollback.manifest.kustomize import is_kustomization
from gitops_rollback.manifest.objects import objects_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import yaml

    from gitops_rollback.effective.objects import Identity, Resource
    from gitops_rollback.effective.proof import Recipe
    from gitops_rollback.manifest.flux import Definition, FluxKustomization, Source
    from gitops_rollback.manifest.image_field import FieldKey, ImageField
    from gitops_rollback.manifest.kustomize import Kustomization
    from gitops_rollback.manifest.objects import ManifestObject

_NO_SUCH = "nothing that the patch is for has such a container"
_BE_FOR_SUCH = f"let it be for what has one, or take it out, {ACCEPT}"
_NAME_ONE = (
    "give it the name of an image there, or, where a custom resource has that image, configure its "
    f"place (`fields`), or take it out, {ACCEPT}"
)
_LATER = "values that come later set it, or nothing takes the text that it stands in"


@dataclass(frozen=True)
class EffectiveFields:
    """The fields that take effect, and those that probably do not.

    `spare` are entries and patches that meet no image, and workloads beside or below a
    kustomization that does not list them, each with why.
    """

    live: tuple[ImageField, ...]
    spare: tuple[tuple[ImageField, Idle], ...] = ()
    effect: Effect = field(default_factory=Effect)

    def named(self, service: str) -> list[ImageField]:
        """Return the fields of `live` that bear a name: their image's, their workload's, a label.

        Without a look at all fields, since there may be as many services.
        """
        return self._live_by_name.get(service, [])

    def spare_named(self, service: str) -> list[ImageField]:
        """Return those of `spare` in the same way."""
        return self._spare_by_name.get(service, [])

    @cached_property
    def _live_by_name(self) -> dict[str, list[ImageField]]:
        return _by_name(self.live)

    @cached_property
    def _spare_by_name(self) -> dict[str, list[ImageField]]:
        return _by_name(one for one, _why in self.spare)


def resolve_fields(
    tree: Tree,
    holds: Callable[[str], bool],
    kinds: Mapping[str, str],
    pointers: tuple[str, ...] = (),
) -> EffectiveFields:
    """Return the fields that decide the images of an environment, and what takes effect.

    `holds` tells which files are in the environment; `kinds` and `pointers` say where further
    images stand.
    """
    return _Resolver(tree, holds, kinds, pointers).resolve()


def _by_name(fields: Iterable[ImageField]) -> dict[str, list[ImageField]]:
    found: dict[str, list[ImageField]] = {}
    for one in fields:
        images = (one.named.repository.rpartition("/")[2],) if one.named else ()
        for name in {one.name, *one.labels, *images}:
            found.setdefault(name, []).append(one)
    return found


class _Resolver:
    def __init__(
        self,
        tree: Tree,
        holds: Callable[[str], bool],
        kinds: Mapping[str, str],
        pointers: tuple[str, ...],
    ) -> None:
        self._tree = tree
        self._holds = holds
        self._roots = Roots(tree, holds)
        self._builder = self._roots.builder
        charts, sources = self._roots.charts, self._roots.sources
        self._lander = Lander(self._builder, charts, tree.fields, kinds, pointers, sources)
        self._images: list[Landing] = []
        self._landed: list[Landed] = []
        self._beside: dict[Beside, str] = {}

    def resolve(self) -> EffectiveFields:
        """Build every root, and say which fields decide."""
        charts: set[str] = set()
        doubtful: list[Recipe] = []
        for root in self._roots.settled():
            if root.recipe is not None and root.doubts:
                doubtful.append(root.recipe)
            charts.update(self._land(root))
        for values in self._values(charts):
            image = self._with_labels(self._named(begin(values)))
            image = image.doubted(
                *self._roots.reached(posixpath.dirname(values.path)),
                *overridden(values, self._stacks),
                *self._unread_in(image),
            )
            image = replace(image, warnings=tuple(self._said_of(image)))
            self._add(Root(values.path, "", Work()), image, image)
        self._images += [begin(entry.field) for entry in self._roots.unmet_entries()]
        live = _merged(image.field for image in self._images)
        spare = tuple(self._spare(live))
        idle = {one.key: why for one, why in spare}
        effect = Effect(tuple(self._landed), idle, tuple(doubtful), self._beside)
        return EffectiveFields(live, spare, effect)

    def _land(self, root: Root) -> set[str]:
        """Take in the images of a root; return the files of charts that these come from."""
        found = self._landings(root)
        variables, doubts = self._variables(root.flux)
        unfilled = tuple(self._unfilled(root, variables))
        found = [one.doubted(*unfilled) for one in found]
        self._beside.update(self._texts_beside(root, found, variables))
        for landing, image in _substituted(found, variables, doubts):
            narrowed = replace(image, decider=self._lander.narrowed(image.decider))
            self._add(root, landing, self._with_labels(narrowed))
        for loose in root.work.loose:
            image = replace(begin(loose.field), overlay=root.overlay)
            self._add(root, image, image.doubted(*loose.unknowns))
        return {path for landing in found for path in landing.charts}

    def _add(self, root: Root, written: Landing, image: Landing) -> None:
        """Take in an image; `written` is it before variables were filled in."""
        self._images.append(image)
        self._landed.append(_landed(root, written, image))

    def _landings(self, root: Root) -> list[Landing]:
        """Return the images of a root's objects."""
        reached = (*root.work.failures, *self._roots.unread, *self._roots.reached(root.folder))
        resources = [one for one in root.work.resources if not is_local(one)]
        refers = any(is_release(one) for one in resources)
        among = [*resources, *self._roots.beside(root)] if refers else resources
        if not root.work.names_values:  # what a release names is what bears that name now
            among = [replace(one, earlier=()) for one in among]
        found: list[Landing] = []
        for resource in resources:
            alone = left_alone(resource) or paused(resource) or pinned_revision(resource)
            doubted = resource.doubted(*reached, *_if_any(alone))
            own = [_of_root(root, resource, one) for one in self._lander.land(doubted, among)]
            found += self._lander.post_rendered(resource, own)
        return found

    def _variables(
        self, flux: FluxKustomization | None
    ) -> tuple[Variables | None, dict[str, Unknown]]:
        """Return the variables that are filled into what is applied, and what is doubtful of them.

        None where nothing of Flux applies it.
        """
        if flux is None:
            return None, {}
        known, doubts = self._definitions(flux)
        secrets = tuple(one.name for one in flux.sources if one.kind == "Secret")
        strategy = text_of(find(flux.spec, "postBuild", "substituteStrategy"))
        is_filled = bool(flux.definitions or flux.sources) or strategy == "Always"
        return Variables(known, self._tree.variables, secrets, is_filled=is_filled), doubts

    def _texts_beside(
        self, root: Root, found: list[Landing], variables: Variables | None
    ) -> Iterator[tuple[Beside, str]]:
        """Yield the texts of no image that move with variables, or with what replacements copy."""

        def told(text: str) -> str:
            return filled(text, variables) if variables else text

        images = {one for landing in found for one in _places(root, landing.use)}
        names = {one.first: one.identity for one in root.work.resources}
        for one in root.work.passed:
            owner = _owner(root, names.get(one.first, one.first))
            if (owner, one.pointer) not in images:
                yield Beside(owner, one.pointer, one.by), told(one.text)
        for variable in root.work.variables:
            value = variable.text(root.work.resources)
            uses = self._with_text(root, root.work.resources, f"$({variable.name})")
            yield from ((Beside(*at, variable.by), told(value)) for at, _text in uses if value)
        if variables is None or not variables.definitions:
            return
        for where, text in self._filled_texts(root):
            if where not in images:
                yield Beside(*where, "a variable of Flux"), told(text)

    def _filled_texts(
        self, root: Root
    ) -> Iterator[tuple[tuple[tuple[str, str, str, str], str], str]]:
        """Yield the places and the texts that Flux may fill variables in."""
        raw = self._tree.raw
        hidden = [path for path in root.work.hidden if b"${" in raw.get(path, b"")]
        every = (*root.work.resources, *self._builder.hidden_objects(hidden))
        return self._with_text(root, (one for one in every if not_filled(one) is None), "${")

    def _unfilled(self, root: Root, variables: Variables | None) -> Iterator[Unknown]:
        """Yield why Flux applies nothing, for a variable that it cannot take or look for."""
        flux = root.flux
        if flux is None or variables is None or not variables.is_filled:
            return
        place = (flux.file_path, flux.line, f"Flux Kustomization {flux.name}")
        why = flaw_of(flux, variables.definitions)
        if why:
            yield Unknown(*place, why, f"mend it, {ACCEPT}", is_of_form=True)
        for (owner, pointer), text in self._filled_texts(root):
            broken = broken_in(text)
            if broken:
                why = f"it fills in no '{broken}', at {pointer} of {owner[1]} {owner[3]}: it fails"
                hint = f"write a second dollar before it, {ACCEPT}"
                yield Unknown(*place, why, hint)

    def _with_text(
        self, root: Root, among: Iterable[Resource], text: str
    ) -> Iterator[tuple[tuple[tuple[str, str, str, str], str], str]]:
        """Yield the places of objects whose texts have some text in them, and these."""
        wanted = text.encode()
        for one in among:
            files = (self._tree.raw.get(path, b"") for path in (one.path, *one.by))
            if any(wanted in data for data in files):
                owner = _owner(root, one.identity)
                for pointer, node in scalars_of(one.node):
                    if text in node.value:
                        yield (owner, pointer), str(node.value)

    def _definitions(
        self, flux: FluxKustomization
    ) -> tuple[dict[str, Definition], dict[str, Unknown]]:
        """Return the variables of a Flux Kustomization, and those that a later source may define.

        Its own win, then later sources.
        """
        found = dict(flux.definitions)
        doubts: dict[str, Unknown] = {}
        hidden: set[str] = set()
        unread: Source | None = None
        for source in flux.sources:
            values = self._values_of(source, flux)
            if values is None:
                unread = unread or source
            for key, definition in (values or {}).items():
                if key in found or key in hidden:
                    continue
                if definition.place.kind == "Secret":
                    hidden.add(key)
                    continue
                found[key] = definition
                if unread is not None:
                    doubts[key] = _may_define(unread, key, flux)
        return found, doubts

    def _values_of(self, source: Source, flux: FluxKustomization) -> dict[str, Definition] | None:
        """Return what a ConfigMap or Secret defines; None where it stands in none of the files.

        It is looked for in the namespace of the Kustomization, else among those that say none. Of a
        Secret the keys can be read, also where SOPS has encrypted what they stand for.
        """
        named = [
            one for one in self._data if (one[0].kind, one[0].name) == (source.kind, source.name)
        ]
        exact = [one for one in named if one[0].namespace == (flux.namespace or None)]
        open_ = [one for one in named if one[0].namespace is None or not flux.namespace]
        every = [values for _item, values in exact or open_]
        merged = {key: one for values in reversed(every) for key, one in values.items()}
        return merged if every else None

    @cached_property
    def _data(self) -> list[tuple[ManifestObject, dict[str, Definition]]]:
        """The ConfigMaps and Secrets of the files, with what each defines."""
        unparsed = map(self._builder.parsed, self._tree.unparsed(b"Secret"))
        secrets = (item for file in unparsed if file is not None for item in objects_of(file))
        return [
            (
                item,
                definitions(item, item.find("data"), "/data")
                | definitions(item, item.find("stringData"), "/stringData"),
            )
            for item in (*self._roots.objects, *secrets)
            if item.kind in ("ConfigMap", "Secret")
        ]

    def _with_labels(self, image: Landing) -> Landing:
        """Return an image of values that takes no digest where its chart makes a label of the tag.

        A label has at most 63 characters, and no at-sign: the release would fail. An entry of a
        release's post-renderer is none.
        """
        use = image.use
        if use.form != HELM or image.decider.form == KUSTOMIZE or image.decider.tag_only:
            return image
        charts: dict[str, yaml.Node | None] = dict.fromkeys(self._charts_of(image))
        if image.folder is not None:
            charts[image.folder] = image.values
        for folder, values in charts.items():
            why = self._lander.templates.no_digest(folder, use.container, values)
            if why:
                return replace(image, decider=replace(image.decider, tag_only=why))
        return image

    def _named(self, image: Landing) -> Landing:
        """Return an image of values that no release here takes, with the name its chart gives."""
        read = self._lander.templates.name
        names = {name for one in self._charts_of(image) if (name := read(one, image.use))}
        return replace(image, name=min(names)) if len(names) == 1 else image

    def _unread_in(self, image: Landing) -> Iterator[Unknown]:
        """Yield why the chart that an image's values are of may not make it."""
        for folder in self._charts_of(image):
            yield from _if_any(self._lander.templates.doubt(folder, image.use))
            for path in self._unread_helmfiles:
                why = "it cannot be read, and may give the chart other values"
                yield Unknown(path, 1, "helmfile", why, LOOK)

    def _said_of(self, image: Landing) -> Iterator[str]:
        """Yield what is to be said of an image of values that no release here takes."""
        for folder in sorted(self._charts_of(image)):
            yield from self._lander.templates.warnings(folder, image.use)

    @cached_property
    def _unread_helmfiles(self) -> list[str]:
        return [one for one in self._tree.raw.helmfiles if self._builder.parsed(one) is None]

    def _charts_of(self, image: Landing) -> set[str]:
        """Return the charts in this repository that an image's values are of."""
        paths = (image.decider.path, image.use.path)
        return {
            folder
            for folder in (posixpath.dirname(path) for path in paths)
            if self._roots.is_chart(folder)
        }

    @cached_property
    def _stacks(self) -> list[tuple[Layer, ...]]:
        """The layers of values by what is not followed: of kustomize, helmfile and Fleet."""
        tree = self._tree
        files = [file for path, file in tree.files.items() if not is_kustomization(path)]
        more = (path for path in tree.raw.giving_values if path not in tree.files)
        files += [file for file in map(self._builder.parsed, more) if file is not None]
        return stacks_of(tree.kustomizations.values(), files, self._roots.charts)

    def _values(self, charts: set[str]) -> Iterator[ImageField]:
        """Yield the fields of files of Helm values that no release in these files takes."""
        for path, fields in self._tree.fields.items():
            if path in charts or path in self._roots.taken or not self._holds(path):
                continue
            own = (one for one in fields if one.kind == "Values")
            yield from (one for one in own if not is_replaced(one, self._stacks))

    def _spare(self, live: Iterable[ImageField]) -> Iterator[tuple[ImageField, Idle]]:
        """Yield fields that decide nothing and were not overridden, with why."""
        fields = tuple(live)
        keys = {one.key for one in fields}
        over = {place for one in fields for place in one.overrides}
        for path, found in self._tree.fields.items():
            for one in found:
                if one.key in keys or one.place in over:
                    continue
                why = self._roots.elsewhere.get(one.key) or self._why_spare(one, path)
                if why is not None:
                    yield one, why

    def _why_spare(self, one: ImageField, path: str) -> Idle | None:
        if one.scalar.block is not None:
            is_value = one.form == HELM
            return Idle(_LATER) if is_value else Idle(_NO_SUCH, _BE_FOR_SUCH)
        if one.form == KUSTOMIZE:
            return Idle("no image of its kustomization bears that name", _NAME_ONE)
        if path in self._roots.taken:
            return None if one.form == HELM else Idle(_NO_SUCH, _BE_FOR_SUCH)
        if one.form == PATCH:
            hint = f"list it under `patches` of a kustomization, {ACCEPT}"
            return Idle("no kustomization takes the patch", hint)
        ruling = self._roots.ruling(path)
        if ruling is None or one.kind == "Values" or not self._holds(path):
            return None
        return self._unlisted(path, ruling)

    def _unlisted(self, path: str, ruling: Kustomization) -> Idle:
        """Say why a file has no effect, and how it has: what is listed there is applied."""
        folder = posixpath.dirname(path)
        here = folder == ruling.folder
        between = [str(one) for one in PurePosixPath(path).parents if _is_below(one, ruling.folder)]
        bare = next((one for one in between if one in self._roots.taken), "")
        if bare:
            return Idle(
                f"{bare}/ is taken by a kustomization and has none: the build fails",
                f"list it in {bare}/kustomization.yaml, {ACCEPT}",
                (ruling.path,),
            )
        return Idle(
            f"{ruling.folder or '.'}/ has a kustomization that does not list it",
            f"list it in {ruling.path}, "
            + (
                ""
                if here
                else f"or, where Flux applies {folder} by itself, in a kustomization.yaml there, "
            )
            + ACCEPT,
            (ruling.path,),
        )


def _if_any(unknown: Unknown | None) -> tuple[Unknown, ...]:
    return (unknown,) if unknown is not None else ()


def _is_below(folder: PurePosixPath, other: str) -> bool:
    above = PurePosixPath(other)  # an empty one is the root, as `.` is
    return folder != above and folder.is_relative_to(above)


def _may_define(source: Source, name: str, flux: FluxKustomization) -> Unknown:
    """Return that a source, which is not read, may define a variable anew."""
    where = f"substituteFrom {source.kind} {source.name}"
    why = f"it comes later, stands in none of these files, and may define {name} too"
    hint = f"define {name} in postBuild.substitute, which counts, {ACCEPT}"
    return Unknown(flux.file_path, source.line, where, why, hint)


def _of_root(root: Root, resource: Resource, landing: Landing) -> Landing:
    """Return an image of an object with what its root adds: files, warnings, what is not known."""
    unknowns = landing.unknowns
    if "${" in landing.text:
        unknowns = (*unknowns, *root.of_variables, *_if_any(not_filled(resource)))
    by: tuple[str, ...] = ()
    if root.flux is not None:
        by = (root.flux.file_path,)
        unknowns = (*unknowns, *ignored(resource, landing.use.pointer, root.flux))
    return replace(
        landing,
        overlay=root.overlay,
        unknowns=unknowns,
        warnings=(*landing.warnings, *root.warnings, *rolled_out_by_hand(resource)),
        paths=tuple(dict.fromkeys((*landing.paths, *root.work.paths, *by))),
    )


def _substituted(
    found: list[Landing], variables: Variables | None, doubts: Mapping[str, Unknown]
) -> Iterator[tuple[Landing, Landing]]:
    """Yield images, each with what it is once Flux's variables are filled in."""
    if variables is None:
        yield from ((one, one) for one in found)
        return
    texts = {one.decider.key: one.text for one in found}
    used = Counter(name for text in texts.values() for name in variable_names(text))
    for one in found:
        unknowns = (doubts[name] for name in variable_names(one.text) if name in doubts)
        yield one, substitute(one.doubted(*unknowns), variables, used)


def _owner(root: Root, one: Identity) -> tuple[str, str, str, str]:
    return (root.name, one.kind, one.namespace, one.name)


def _places(root: Root, use: ImageField) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield where an image stands in its object: as a whole, and its parts."""
    owner = (root.name, use.kind, use.namespace, use.name)
    yield owner, use.pointer
    yield from ((owner, f"{use.pointer}/{part.key}") for part in use.parts)


def _landed(root: Root, written: Landing, image: Landing) -> Landed:
    use = image.use
    is_kustomize_alone = "${" not in written.text and root.doubts_all(image.unknowns)
    return Landed(
        root=root.name,
        kind=use.kind,
        namespace=use.namespace,
        workload=use.name,
        container=use.container,
        name=image.name,
        version=image.version,
        decider=image.decider.key,
        unknowns=image.unknowns,
        warnings=image.warnings,
        paths=tuple(dict.fromkeys((*image.paths, image.decider.path))),
        other_name=image.decider.other_name,
        applied=root.overlay or use.path,
        recipe=root.recipe if is_kustomize_alone else None,
    )


def _merged(fields: Iterable[ImageField]) -> tuple[ImageField, ...]:
    """Return each field once for each name that its image has, with all that it decides.

    An entry may decide images of several names; a field with a name of its own may not.
    """
    merged: dict[FieldKey, dict[str, ImageField]] = {}
    for one in fields:
        by_name = merged.setdefault(one.key, {})
        name = one.shown_name or one.name_text
        known = by_name.get(name, one)
        by_name[name] = replace(
            known,
            labels=known.labels | one.labels,
            containers=known.containers | one.containers,
            overrides=tuple(dict.fromkeys((*known.overrides, *one.overrides))),
            problem=known.problem or one.problem,
            tag_only=known.tag_only or one.tag_only,
        )
    return tuple(one for by_name in merged.values() for one in _of_names(by_name))


def _of_names(by_name: Mapping[str, ImageField]) -> Iterator[ImageField]:
    for one in by_name.values():
        if len(by_name) == 1 or one.form == KUSTOMIZE:
            yield one
        else:
            names = ", ".join(by_name)
            why = f"it is the version of several images: {names};"
            yield replace(one, problem=Problem(why, "give each a version of its own"))
