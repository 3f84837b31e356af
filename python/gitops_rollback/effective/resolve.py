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

from gitops_rollback.effective.applied import Applied, begin
from gitops_rollback.effective.appliers import (
    Applier,
    as_built,
    changed_applications,
    has_variable,
    left_alone,
    not_filled,
    paused,
    reach_of_path,
    reaches_of_set,
    rolled_out_by_hand,
)
from gitops_rollback.effective.argo import argo_additions, directories, overriding
from gitops_rollback.effective.build import Addition, Builder, Work, is_local
from gitops_rollback.effective.effect import Effect, Idle, Landed
from gitops_rollback.effective.grammar import FLUX_KUSTOMIZATION, POST_BUILD, odd_fields
from gitops_rollback.effective.helm import is_release, label_with
from gitops_rollback.effective.landing import Lander, Landing
from gitops_rollback.effective.objects import ACCEPT, Resource, Unknown
from gitops_rollback.effective.recipe import Recipe
from gitops_rollback.effective.sources import Home, Pointing, Whose, applies, read_sources_of
from gitops_rollback.effective.stacks import Layer, overridden, stacks_of
from gitops_rollback.effective.tree import same
from gitops_rollback.effective.variables import Variables, substitute, variable_names
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.manifest.argo import folders_of, is_application, override_of
from gitops_rollback.manifest.document import is_config_map, lookup, text_of
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.flux import definitions, flux_kustomization
from gitops_rollback.manifest.image_field import HELM, KUSTOMIZE, PATCH, Problem
from gitops_rollback.manifest.kustomize import is_kustomization
from gitops_rollback.manifest.objects import objects_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.entries import ImageEntry
    from gitops_rollback.manifest.flux import Definition, FluxKustomization
    from gitops_rollback.manifest.image_field import FieldKey, ImageField
    from gitops_rollback.manifest.kustomize import Kustomization
    from gitops_rollback.manifest.objects import ManifestObject

_MOST_LEVELS = 3  # of Flux Kustomizations that change others
_MEND = f"mend it, {ACCEPT}"
_SUSPENDED = "it is suspended: nothing is applied until somebody resumes it"
_RESUME = f"take `suspend: true` out of it, {ACCEPT}"


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


@dataclass(frozen=True)
class Tree:
    """The files of an environment, as far as they were read.

    `files` are those that were parsed, `raw` the bytes of all; `fields` are the image fields of
    each file, `kustomizations` those among them; `uses` says how often each Flux variable
    stands in all of them, `unreadable` what is wrong with those that cannot be read, `home` which
    repository they are of. There may be files from outside the environment, which its overlays
    take.
    """

    files: Mapping[str, ParsedFile]
    raw: Mapping[str, bytes]
    fields: Mapping[str, tuple[ImageField, ...]]
    kustomizations: Mapping[str, Kustomization]
    uses: Mapping[str, int]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    home: Home = field(default_factory=Home)


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
        images = (one.image.repository.rpartition("/")[2],) if one.image else ()
        for name in {one.name, *one.labels, *images}:
            found.setdefault(name, []).append(one)
    return found


def _folders_above(path: str) -> Iterator[str]:
    """Yield the folders that a file is in, from its own up to the root: `/` of a whole path."""
    folder = posixpath.dirname(path)
    yield folder
    while folder != posixpath.dirname(folder):
        folder = posixpath.dirname(folder)
        yield folder


@dataclass(frozen=True)
class _Root:
    """What is applied on its own, built: its objects, and what Flux does to them afterwards.

    `recipe` is what kustomize itself builds of it, and `doubts` what is not known that this tells.
    """

    name: str
    folder: str
    work: Work
    overlay: str = ""
    flux: FluxKustomization | None = None
    recipe: Recipe | None = None
    doubts: frozenset[Unknown] = frozenset()
    of_variables: tuple[Unknown, ...] = ()


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
        by_folder = {one.folder: one for one in tree.kustomizations.values()}
        _let_take_all_below(by_folder, tree.files)
        self._by_folder = by_folder
        self._builder = Builder(tree.files, tree.raw, by_folder, find_fields)
        self._taken = {path for one in by_folder.values() for path in one.references}
        self._unreadable = {posixpath.dirname(p) for p in tree.unreadable if is_kustomization(p)}
        files = (file for path, file in tree.files.items() if not is_kustomization(path))
        objects = [item for file in files for item in objects_of(file)]
        self._sources = read_sources_of(objects, tree.home)
        self._lander = Lander(
            self._builder, tree.files, tree.fields, kinds, pointers, self._sources
        )
        self._unread = self._unreadable_appliers()
        raw = [one for item in objects if (one := flux_kustomization(item)) is not None]
        self._raw_flux = raw
        self._flux = [Applier(one) for one in raw]
        self._reaches = [reach for item in objects for reach in reaches_of_set(item)]
        self._reaches += [reach for one in raw if (reach := reach_of_path(one)) is not None]
        self._applications = [item for item in objects if is_application(item)]
        self._overriding = [
            item
            for path, file in tree.files.items()
            if (item := overriding(path, file)) is not None and self._is_alone(item)
        ]
        self._config_maps = [
            (item, definitions(item, item.find("data"), "/data"))
            for item in objects
            if item.kind == "ConfigMap"
        ]
        self._elsewhere: dict[FieldKey, Idle] = {}  # entries for what another repository has
        self._argo: dict[str, bool] = {}  # what Argo CD takes, and whether all below it
        for item in self._applications:
            for folder, below in directories(item.node, self._sources):
                self._argo[folder] = self._argo.get(folder, False) or below

    def resolve(self) -> EffectiveFields:
        """Build every root, and say which fields decide."""
        images: list[Applied] = []
        landed: list[Landed] = []
        charts: set[str] = set()
        doubtful: list[Recipe] = []
        for root in self._settled_roots():
            if root.recipe is not None and root.doubts:
                doubtful.append(root.recipe)
            found = self._landings(root)
            for landing in found:
                charts.update(landing.charts)
            applied = self._substituted(root, [one.image for one in found])
            applied = [self._with_labels(one) for one in applied]
            images += applied
            landed += [_landed(root, one, image) for one, image in zip(found, applied, strict=True)]
            for loose in root.work.loose:
                image = replace(begin(loose.field), overlay=root.overlay)
                images.append(image)
                landed.append(_landed_field(root, image, loose.unknowns))
        for values in self._values(charts):
            image = self._with_labels(begin(values))
            images.append(image)
            unknowns = (
                *self._reached(posixpath.dirname(values.path)),
                *overridden(values, self._stacks),
            )
            landed.append(_landed_field(_Root(values.path, "", Work()), image, unknowns))
        for entry in self._unmet_flux_entries():
            images.append(begin(entry.field))
        live = _merged(image.field for image in images)
        spare = tuple(self._spare(live))
        idle = {one.key: why for one, why in spare}
        return EffectiveFields(live, spare, Effect(tuple(landed), idle, tuple(doubtful)))

    def _settled_roots(self) -> list[_Root]:
        """Return the roots once the objects that apply manifests are what others make of them."""
        roots = list(self._roots())
        for _level in range(_MOST_LEVELS):
            built = [one for root in roots for one in root.work.resources]
            found = as_built(self._raw_flux, built, self._tree.files)
            if found == self._flux and _have_same_sources(found, self._flux):
                break
            self._flux = found
            roots = list(self._roots())
        built = [one for root in roots for one in root.work.resources]
        self._reaches += changed_applications(self._applications, built)
        return roots

    def _roots(self) -> Iterator[_Root]:
        """Yield what is deployed on its own: by Flux, else kustomizations and plain files."""
        covered: set[str] = set()
        self._elsewhere.clear()
        for root in self._flux_roots():
            covered.update(root.work.paths)
            yield root
        for item in self._overriding:
            resource = Resource(item.node, item.file.path, 0, by=(item.file.path,))
            work = Work(resources=[resource], paths=[item.file.path])
            covered.add(item.file.path)
            yield _Root(item.file.path, posixpath.dirname(item.file.path), work)
        for application in (*self._applications, *self._overriding):
            for root in self._argo_roots(application):
                covered.update(root.work.paths)
                yield root
        for folder, one in self._by_folder.items():
            is_part = folder in self._taken or one.is_component or one.path in covered
            if not is_part and self._holds(one.path):
                work = self._builder.of_folder(folder)
                doubts = frozenset(work.doubts)
                yield _Root(one.path, folder, work, one.path, None, Recipe(folder), doubts)
        for path in self._tree.files:
            if is_kustomization(path) or path in self._taken or path in covered:
                continue
            if self._holds(path) and self._ruling(path) is None:
                folder = posixpath.dirname(path)
                work = Work(resources=list(self._builder.of_file(path)), paths=[path])
                work.doubt(*self._unreadable_above(folder))
                yield _Root(path, folder, work)

    def _ruling(self, path: str) -> Kustomization | None:
        """Return the nearest kustomization of the environment at or above a file, if any.

        It alone says what is applied of all below it: neither kustomize nor Flux looks into folders
        below it that it does not list. A chart below it is Helm's, and one that cannot be read may
        list anything; what an Application of Argo CD takes is applied by that.
        """
        for folder in _folders_above(path):
            ruling = self._by_folder.get(folder)
            if ruling is not None:
                return ruling if self._holds(ruling.path) else None
            if self._is_chart(folder) or folder in self._unreadable:
                return None
            below = self._argo.get(folder)
            if below is not None and (below or posixpath.dirname(path) == folder):
                return None
        return None

    def _unreadable_appliers(self) -> list[Unknown]:
        """Return the files of Flux and Argo CD that cannot be read: they may change any image.

        A template of a chart is none: it is what Helm makes of it that is applied.
        """
        return [
            Unknown(path, 1, "an object that applies manifests", why, _MEND)
            for path, why in self._tree.unreadable.items()
            if not is_kustomization(path)
            and applies(self._tree.raw.get(path, b""))
            and not any(self._is_chart(folder) for folder in _folders_above(path))
        ]

    def _is_chart(self, folder: str) -> bool:
        return posixpath.join(folder, "Chart.yaml") in self._tree.raw

    def _unreadable_above(self, folder: str) -> list[Unknown]:
        """Return the kustomizations at or above a folder that cannot be read: they may take it."""
        return [
            Unknown(path, 1, "kustomization", why, f"mend it, {ACCEPT}")
            for path, why in self._tree.unreadable.items()
            if is_kustomization(path)
            and f"{folder}/".startswith(f"{posixpath.dirname(path)}/".removeprefix("/"))
        ]

    def _flux_roots(self) -> Iterator[_Root]:
        """Yield what the Flux Kustomizations of this repository apply, as far as it was read.

        One that applies another branch only matters where none applies this one; one of which
        nobody knows whose files it applies, where it would change them.
        """
        pointed = [(one, self._pointing(one.flux)) for one in self._flux]
        ours = [one.flux.path for one, to in pointed if to.whose is Whose.OURS]
        for applier, to in pointed:
            flux = applier.flux
            if has_variable(flux.path):
                self._set_apart(flux.entries, Pointing(to.whose, f"its path is {flux.path}"))
                continue
            is_covered = any(_is_at_or_below(flux.path, path) for path in ours)
            if to.whose is Whose.ANOTHERS or (to.whose is Whose.OTHER_REVISION and is_covered):
                self._set_apart(flux.entries, to)
                continue
            if to.whose is Whose.UNKNOWN and not flux.changes_images:
                continue
            root = self._flux_root(applier, to)
            if root is not None:
                yield root

    def _pointing(self, flux: FluxKustomization) -> Pointing:
        reference = lookup(flux.spec, "sourceRef")
        return self._sources.of_flux(reference, flux.namespace, flux.file_path)

    def _set_apart(self, entries: Iterable[ImageEntry], to: Pointing) -> None:
        """Note entries that are for what does not stand on this branch."""
        for entry in entries:
            why = f"it is for files that are not on this branch: {to.why}"
            self._elsewhere[entry.field.key] = Idle(why)

    def _flux_root(self, applier: Applier, to: Pointing) -> _Root | None:
        """Return what a Flux Kustomization applies; None where nothing of it was read."""
        flux = applier.flux
        title = f"Flux Kustomization {flux.name}"
        odd = [*applier.unknowns]
        if to.whose is not Whose.OURS:
            odd.append(Unknown(flux.file_path, flux.line, title, to.why, to.hint))
        if flux.is_suspended:
            odd.append(Unknown(flux.file_path, flux.line, title, _SUSPENDED, _RESUME))
        odd += [
            *odd_fields(flux.file_path, flux.spec, FLUX_KUSTOMIZATION, "a Flux Kustomization"),
            *odd_fields(flux.file_path, lookup(flux.spec, "postBuild"), POST_BUILD, "postBuild"),
        ]
        addition = Addition(
            path=flux.file_path,
            line=flux.line,
            patches=flux.patches,
            json_patches=flux.json_patches,
            entries=flux.entries,
            components=self._components(flux),
            namespace=flux.target_namespace,
            prefix=flux.prefix,
            suffix=flux.suffix,
        )
        folder = flux.path
        if folder in self._by_folder:
            work = self._builder.of_folder(folder, addition)
            overlay = self._by_folder[folder].path
            paths: list[str] = []
        else:
            paths = self._scanned(folder)
            if not paths:
                return None
            work = self._builder.of_paths(paths, addition)
            overlay = ""
        recipe = Recipe(folder, tuple(paths), addition.namespace, addition.prefix, addition.suffix)
        doubts = frozenset(work.doubts)
        work.doubt(*odd)
        name = f"{flux.file_path} {flux.name}"
        is_told = not addition.changes_images
        return _Root(
            name,
            folder,
            work,
            overlay,
            flux,
            recipe if is_told else None,
            doubts,
            applier.of_variables,
        )

    def _components(self, flux: FluxKustomization) -> tuple[str, ...]:
        """Return the components of a Flux Kustomization, which may do without some."""
        if text_of(lookup(flux.spec, "ignoreMissingComponents")) != "true":
            return flux.components
        return tuple(one for one in flux.components if one in self._by_folder)

    def _is_alone(self, overrides: ManifestObject) -> bool:
        """Tell whether a file of overrides is for an Application that is none of these files."""
        folder = posixpath.dirname(overrides.file.path)
        own = override_of(overrides.file.path)
        return not any(
            folder in folders_of(item) and own in ("", item.name) for item in self._applications
        )

    def _argo_roots(self, application: ManifestObject) -> Iterator[_Root]:
        """Yield the folders whose kustomization an Application of Argo CD changes."""
        for folder, addition, doubts, to in argo_additions(
            application, self._sources, self._builder.parsed
        ):
            if to.whose is Whose.ANOTHERS:
                self._set_apart(addition.entries, to)
            elif folder in self._by_folder and self._holds(self._by_folder[folder].path):
                work = self._builder.of_folder(folder, addition)
                work.doubt(*doubts)
                name = f"{application.file.path} {application.name}"
                yield _Root(name, folder, work, self._by_folder[folder].path)

    def _scanned(self, folder: str) -> list[str]:
        """Return what Flux takes of a folder without a kustomization: files, and folders with.

        A kustomization that cannot be read may take anything: its folder stays one that is unknown.
        """
        if folder in self._unreadable:
            return [folder]
        prefix = f"{folder}/" if folder else ""
        known = {*self._by_folder, *self._unreadable}
        inner = sorted(one for one in known if one.startswith(prefix) and one != folder)
        tops = [one for one in inner if not any(one.startswith(f"{o}/") for o in inner)]
        files = [
            path
            for path in self._tree.files
            if path.startswith(prefix)
            and path.endswith((".yaml", ".yml"))
            and not any(path.startswith(f"{top}/") for top in tops)
        ]
        return [*files, *tops]

    def _landings(self, root: _Root) -> list[Landing]:
        """Return the images of a root's objects."""
        work = root.work
        by = (root.flux.file_path,) if root.flux is not None else ()
        reached = (*self._unread, *self._reached(root.folder))
        resources = [one for one in work.resources if not is_local(one)]
        refers = any(is_release(one) for one in resources)
        among = [*resources, *self._beside(root)] if refers else resources
        found: list[Landing] = []
        for resource in resources:
            alone = left_alone(resource) or paused(resource)
            slow = rolled_out_by_hand(resource)
            doubted = resource.doubted(*work.failures, *reached, *_if_any(alone))
            of_variables = (*root.of_variables, *_if_any(not_filled(resource)))
            for landing in self._lander.land(doubted, among):
                if of_variables and "${" in landing.image.name + landing.image.version:
                    unknowns = (*landing.unknowns, *of_variables)
                    landing = replace(landing, unknowns=unknowns)  # noqa: PLW2901 - it is that one
                landing = replace(landing, warnings=(*landing.warnings, *slow))  # noqa: PLW2901
                paths = tuple(dict.fromkeys((*landing.paths, *work.paths, *by)))
                image = replace(landing.image, overlay=root.overlay)
                found.append(replace(landing, image=image, paths=paths))
            found = self._post_rendered(resource, found)
        return found

    def _reached(self, folder: str) -> tuple[Unknown, ...]:
        """Return what may reach a folder that is not followed."""
        return tuple(one.unknown for one in self._reaches if one.has(folder))

    def _beside(self, root: _Root) -> Iterator[Resource]:
        """Yield what is applied beside a plain file: a release may refer to an object of it."""
        if root.overlay or root.flux is not None:
            return
        for path in self._by_parent.get(root.folder, ()):
            if path != root.name:
                yield from self._builder.of_file(path)
        raw = self._tree.raw
        beside = (path for path in raw if posixpath.dirname(path) == root.folder)
        unparsed = (path for path in beside if path not in self._tree.files)
        yield from self._builder.hidden_objects(p for p in unparsed if is_config_map(raw[p]))

    @cached_property
    def _by_parent(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self._tree.files:
            found.setdefault(posixpath.dirname(path), []).append(path)
        return found

    def _post_rendered(self, resource: Resource, found: list[Landing]) -> list[Landing]:
        """Apply the `images` of a release's post-renderers to whatever its chart makes."""
        return self._lander.post_rendered(resource, found)

    def _substituted(self, root: _Root, images: list[Applied]) -> list[Applied]:
        """Fill in Flux's variables."""
        flux = root.flux
        if flux is None:
            return images
        places = {image.decider.key: image.name + image.version for image in images}
        used = Counter(name for text in places.values() for name in variable_names(text))
        secrets = tuple(one.name for one in flux.sources if one.kind == "Secret")
        variables = Variables(self._definitions(flux), self._tree.uses, secrets)
        return [substitute(image, variables, used) for image in images]

    def _definitions(self, flux: FluxKustomization) -> dict[str, Definition]:
        """Return the variables of a Flux Kustomization: its own win, then later sources.

        A ConfigMap is looked for in the namespace of the Kustomization, else among those that say
        no namespace.
        """
        found = dict(flux.definitions)
        for source in flux.sources:
            if source.kind != "ConfigMap":
                continue
            named = [one for one in self._config_maps if one[0].name == source.name]
            exact = [one for one in named if one[0].namespace == (flux.namespace or None)]
            open_ = [one for one in named if one[0].namespace is None or not flux.namespace]
            for _item, values in exact or open_:
                for key, definition in values.items():
                    found.setdefault(key, definition)
        return found

    def _with_labels(self, image: Applied) -> Applied:
        """Return an image of values that takes no digest where its chart makes a label of the tag.

        A label has at most 63 characters, and no at-sign: the release would fail.
        """
        use = image.use
        if use.form != HELM or image.decider.tag_only:
            return image
        for folder in self._charts_of(image):
            place = label_with(self._tree.raw, folder, use.container)
            if place:
                why = f"the chart writes the tag into a label too ({place})"
                return replace(image, decider=replace(image.decider, tag_only=why))
        return image

    def _charts_of(self, image: Applied) -> set[str]:
        """Return the charts in this repository that an image's values are of."""
        paths = (image.decider.path, image.use.path)
        return {
            folder
            for folder in (posixpath.dirname(path) for path in paths)
            if self._is_chart(folder)
        }

    @cached_property
    def _stacks(self) -> list[tuple[Layer, ...]]:
        """The layers of values by what is not followed: of kustomize, helmfile and Fleet."""
        tree = self._tree
        files = [file for path, file in tree.files.items() if not is_kustomization(path)]
        charts = (path for path in tree.raw if posixpath.basename(path) == "Chart.yaml")
        unparsed = (self._builder.parsed(path) for path in charts if path not in tree.files)
        files += [file for file in unparsed if file is not None]
        return stacks_of(tree.kustomizations.values(), files, self._builder.parsed)

    def _values(self, charts: set[str]) -> Iterator[ImageField]:
        """Yield the fields of files of Helm values that no release in these files takes."""
        for path, fields in self._tree.fields.items():
            if path in charts or path in self._taken or not self._holds(path):
                continue
            yield from (one for one in fields if one.kind == "Values")

    def _unmet_flux_entries(self) -> list[ImageEntry]:
        """Return the `spec.images` of Flux Kustomizations whose folder is not among the files."""
        return [
            entry
            for flux in (one.flux for one in self._flux)
            if flux.path not in self._by_folder and not self._scanned(flux.path)
            for entry in flux.entries
            if entry.sets_version and entry.field.key not in self._elsewhere
        ]

    def _spare(self, live: Iterable[ImageField]) -> Iterator[tuple[ImageField, Idle]]:
        """Yield fields that decide nothing and were not overridden, with why."""
        fields = tuple(live)
        keys = {one.key for one in fields}
        over = {place for one in fields for place in one.overrides}
        for path, found in self._tree.fields.items():
            for one in found:
                if one.key in keys or one.place in over:
                    continue
                why = self._elsewhere.get(one.key) or self._why_spare(one, path)
                if why is not None:
                    yield one, why

    def _why_spare(self, one: ImageField, path: str) -> Idle | None:
        if one.scalar.block is not None:
            return Idle("nothing that the patch is for has such a container")
        if one.form == KUSTOMIZE:
            return Idle("no image of its kustomization bears that name")
        if path in self._taken:
            why = "nothing that it patches has such a container"
            return None if one.form == HELM else Idle(why)
        if one.form == PATCH:
            return Idle("no kustomization takes the patch")
        ruling = self._ruling(path)
        if ruling is None or one.kind == "Values" or not self._holds(path):
            return None
        return self._unlisted(path, ruling)

    def _unlisted(self, path: str, ruling: Kustomization) -> Idle:
        """Say why a file has no effect, and how it has: what is listed there is applied."""
        folder = posixpath.dirname(path)
        here = folder == ruling.folder
        between = [str(one) for one in PurePosixPath(path).parents if _is_below(one, ruling.folder)]
        bare = next((one for one in between if one in self._taken), "")
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


def _have_same_sources(some: Iterable[Applier], others: Iterable[Applier]) -> bool:
    """Tell whether Flux Kustomizations take their files from the same sources, one by one."""
    pairs = zip(some, others, strict=True)
    return all(
        same(lookup(one.flux.spec, "sourceRef"), lookup(other.flux.spec, "sourceRef"))
        for one, other in pairs
    )


def _if_any(unknown: Unknown | None) -> tuple[Unknown, ...]:
    return (unknown,) if unknown is not None else ()


def _is_at_or_below(folder: str, other: str) -> bool:
    return PurePosixPath(folder).is_relative_to(PurePosixPath(other))


def _is_below(folder: PurePosixPath, other: str) -> bool:
    above = PurePosixPath(other)  # an empty one is the root, as `.` is
    return folder != above and folder.is_relative_to(above)


def _landed(root: _Root, landing: Landing, image: Applied) -> Landed:
    use = landing.image.use
    before = landing.image.name + landing.image.version
    is_kustomize_alone = "${" not in before and root.doubts.issuperset(landing.unknowns)
    return Landed(
        root=root.name,
        kind=use.kind,
        namespace=use.namespace,
        workload=use.name,
        container=use.container,
        name=image.name,
        version=image.version,
        decider=image.decider.key,
        unknowns=landing.unknowns,
        warnings=landing.warnings,
        paths=tuple(dict.fromkeys((*landing.paths, image.decider.path))),
        other_name=image.decider.other_name,
        applied=root.overlay or use.path,
        recipe=root.recipe if is_kustomize_alone else None,
    )


def _landed_field(root: _Root, image: Applied, unknowns: tuple[Unknown, ...]) -> Landed:
    one = image.decider
    return Landed(
        root=root.name,
        kind=one.kind,
        namespace=one.namespace,
        workload=one.name,
        container=one.container,
        name=image.name,
        version=image.version,
        decider=one.key,
        unknowns=unknowns,
        paths=(one.path,),
        other_name=one.other_name,
        applied=image.overlay or one.path,
        recipe=root.recipe if root.doubts.issuperset(unknowns) else None,
    )


def _let_take_all_below(
    kustomizations: dict[str, Kustomization], files: Mapping[str, ParsedFile]
) -> None:
    """Let a kustomization that lists nothing take the files below it: its entries mean those."""
    for folder, kustomization in kustomizations.items():
        if kustomization.references or kustomization.remote or not kustomization.entries:
            continue
        prefix = f"{folder}/" if folder else ""
        below = [path for path in files if path.startswith(prefix) and not is_kustomization(path)]
        kustomizations[folder] = replace(kustomization, resources=tuple(below))


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
        )
    return tuple(one for by_name in merged.values() for one in _of_names(by_name))


def _of_names(by_name: Mapping[str, ImageField]) -> Iterator[ImageField]:
    for one in by_name.values():
        if len(by_name) == 1 or one.form == KUSTOMIZE:
            yield one
        else:
            names = ", ".join(by_name)
            yield replace(one, problem=Problem(f"it is the version of several images: {names}"))
