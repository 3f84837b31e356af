"""What of an environment is applied on its own, by whom, and built as its tool would. Pure.

Roots are the folders of Flux's Kustomizations, of Argo CD's Applications, other kustomizations that
nothing takes, and plain files. What applies none of these files is set apart, and what nobody
applies, as far as these files tell, is noted.
"""

from __future__ import annotations

import posixpath
from difflib import SequenceMatcher
from functools import cached_property
from typing import TYPE_CHECKING

from gitops_rollback.effective.appliers import (
    Applier,
    as_built,
    changed_applications,
    has_variable,
    reach_of_path,
    reaches_of,
    reaches_of_set,
    unsettled,
)
from gitops_rollback.effective.argo import argo_additions, directories, overriding
from gitops_rollback.effective.build import Builder
from gitops_rollback.effective.charts import Charts
from gitops_rollback.effective.effect import Idle
from gitops_rollback.effective.grammar import FLUX_KUSTOMIZATION, POST_BUILD, odd_fields
from gitops_rollback.effective.helm import doubts_of_template, is_release
from gitops_rollback.effective.objects import ACCEPT, LOOK, Resource, Unknown, Work
from gitops_rollback.effective.proof import Recipe
from gitops_rollback.effective.raw import Raw
from gitops_rollback.effective.sources import (
    SYSTEM,
    Home,
    Pointing,
    Whose,
    applies,
    doubts_of,
    is_system,
    read_sources_of,
    warnings_of,
)
from gitops_rollback.effective.tree import same
from gitops_rollback.late import dataclass, field, regex, replace
from gitops_rollback.manifest.argo import folders_of, is_application, override_of
from gitops_rollback.manifest.document import lookup, text_of
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.flux import flux_kustomization
from gitops_rollback.manifest.helm import CHART_FILE
from gitops_rollback.manifest.kustomize import is_kustomization
from gitops_rollback.manifest.objects import objects_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.effective.sources import GitSource
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.flux import FluxKustomization
    from gitops_rollback.manifest.image_field import FieldKey, ImageField
    from gitops_rollback.manifest.kustomize import ImageEntry, Kustomization
    from gitops_rollback.manifest.objects import ManifestObject

_ALIKE = 0.7  # of two paths, as difflib has it
_MOST_LEVELS = 3  # of Flux Kustomizations that change others
_MEND = f"mend it, {ACCEPT}"
_BRACES = regex(rb"[^\"'#|>]*\{\{")
_NO_PLUGINS = "Flux inflates no chart and runs no plugin: the build fails"
_SUSPENDED = "it is suspended: nothing is applied until somebody resumes it"
_RESUME = f"take `suspend: true` out of it, {ACCEPT}"


@dataclass(frozen=True)
class Skipped:
    """A file that was not looked into, and why; `braces` is the line of a template's first."""

    path: str
    reason: str
    braces: int = 0

    def to_json(self) -> dict[str, str]:
        """Return the file as results have it."""
        return {"path": self.path, "reason": self.reason}


@dataclass(frozen=True)
class Tree:
    """The files of an environment, as far as they were read, and those that could not be.

    `files` are those that were parsed; `fields` are the image fields of each file, of the kinds
    that are known without configuration, and none for a file that was not worth parsing;
    `kustomizations` are those among the files; `variables` counts how often each Flux variable
    stands in all files, parsed or not; `raw` are the bytes of all, `home` is the repository that
    they are of, `absent` is what kustomizations take and it has not. There may be files from
    outside the environment, which its overlays take.
    """

    files: Mapping[str, ParsedFile]
    skipped: tuple[Skipped, ...] = ()
    fields: Mapping[str, tuple[ImageField, ...]] = field(default_factory=dict, repr=False)
    kustomizations: Mapping[str, Kustomization] = field(default_factory=dict, repr=False)
    variables: Mapping[str, int] = field(default_factory=dict)
    raw: Raw = field(default_factory=Raw, repr=False)
    home: Home = field(default_factory=Home)
    absent: frozenset[str] = frozenset()

    def unparsed(self, word: bytes) -> list[str]:
        """Return the files that were not parsed and have a word."""
        return [path for path, data in self.raw.items() if path not in self.files and word in data]


@dataclass(frozen=True)
class Root:
    """What is applied on its own, built: its objects, and what Flux does to them afterwards.

    `recipe` is what kustomize itself builds of it, and `doubts` what is not known that this tells;
    `of_variables` is not known of Flux's variables, `warnings` are said of all its images.
    """

    name: str
    folder: str
    work: Work
    overlay: str = ""
    flux: FluxKustomization | None = None
    recipe: Recipe | None = None
    doubts: frozenset[Unknown] = frozenset()
    of_variables: tuple[Unknown, ...] = ()
    warnings: tuple[str, ...] = ()

    @cached_property
    def _ids(self) -> frozenset[int]:
        return frozenset(map(id, self.doubts))

    def doubts_all(self, unknowns: Sequence[Unknown]) -> bool:
        """Tell whether all of it is doubtful of the build; of many it is mostly these very ones."""
        return self._ids.issuperset(map(id, unknowns)) or self.doubts.issuperset(unknowns)


class Roots:
    """Finds and builds the roots of some files.

    `by_folder` are the kustomizations, `taken` what these name; `unread` are the files of appliers
    that cannot be read; `elsewhere` has the entries that are for what another repository has, with
    why, once the roots were built.
    """

    def __init__(self, tree: Tree, holds: Callable[[str], bool]) -> None:
        self._tree = tree
        self._holds = holds
        self.by_folder = {one.folder: one for one in tree.kustomizations.values()}
        _let_take_all_below(self.by_folder, tree.files)
        self.builder = Builder(tree.files, tree.raw, self.by_folder, find_fields, tree.absent)
        self.charts = Charts(tree.raw, self.builder.parsed, tree.absent)
        self.taken = {path for one in self.by_folder.values() for path in one.references}
        resources = {path for one in self.by_folder.values() for path in one.resources}
        self._patches = {
            patch.path
            for one in self.by_folder.values()
            for patch in (*one.patches, *one.json_patches)
            if patch.path is not None and patch.path not in resources
        }
        unread = (skip.path for skip in tree.skipped if is_kustomization(skip.path))
        self._unreadable = frozenset(map(posixpath.dirname, unread))
        files = (file for path, file in tree.files.items() if not is_kustomization(path))
        self.objects = [item for file in files for item in objects_of(file)]
        self.sources = read_sources_of(self.objects, tree.home, tree.raw)
        self.unread = self._unreadable_appliers()
        self._written = [one for i in self.objects if (one := flux_kustomization(i)) is not None]
        self.flux = [Applier(one) for one in self._written if not self._is_incomplete(one)]
        reaches = (reach_of_path(one) for one in self._written)
        self._reaches = [reach for item in self.objects for reach in reaches_of_set(item)]
        self._reaches += [reach for reach in reaches if reach is not None]
        self._applications = [item for item in self.objects if is_application(item)]
        self._reaches += [
            one for item in self._applications for one in reaches_of(item, self.sources)
        ]
        self._overriding = [
            item
            for path, file in tree.files.items()
            if (item := overriding(path, file)) is not None and self._is_alone(item)
        ]
        self._directories = [
            one for item in self._applications for one in directories(item, self.sources)
        ]
        self.elsewhere: dict[FieldKey, Idle] = {}
        self._of_charts: dict[str, tuple[Unknown, ...]] = {}

    def settled(self) -> list[Root]:
        """Return the roots once the objects that apply manifests are what others make of them."""
        roots = list(self._every())
        for _level in range(_MOST_LEVELS):
            built = [one for root in roots for one in root.work.resources]
            found = as_built(self._written, built, self._tree.files, self._patches)
            if found == self.flux and _have_same_sources(found, self.flux):
                break
            self.flux = found
            roots = list(self._every())
        else:
            self._reaches += unsettled(self._written)
        built = [one for root in roots for one in root.work.resources]
        self._reaches += changed_applications(self._applications, built)
        return roots

    def _is_incomplete(self, flux: FluxKustomization) -> bool:
        """Tell whether it is a part until a kustomization is built: a patch, or without its path.

        Applied as it is written, each of some hundreds would take the whole repository.
        """
        path = flux.file_path
        has_path = lookup(flux.spec, "path") is not None
        return path in self._patches or (path in self.taken and not has_path)

    def reached(self, folder: str) -> tuple[Unknown, ...]:
        """Return what may reach a folder that is not followed."""
        return tuple(one.unknown for one in self._reaches if one.has(folder))

    def is_chart(self, folder: str) -> bool:
        """Tell whether a folder is a Helm chart."""
        return posixpath.join(folder, CHART_FILE) in self._tree.raw

    def unmet_entries(self) -> list[ImageEntry]:
        """Return the `spec.images` of Flux Kustomizations whose folder is not among the files."""
        return [
            entry
            for flux in (one.flux for one in self.flux)
            if flux.added.entries
            and flux.path not in self.by_folder
            and not self._scanned(flux.path)
            for entry in flux.added.entries
            if entry.sets_version and entry.field.key not in self.elsewhere
        ]

    def ruling(self, path: str) -> Kustomization | None:
        """Return the nearest kustomization of the environment at or above a file, if any.

        It alone says what is applied of all below it: neither kustomize nor Flux looks into folders
        below it that it does not list. A chart below it is Helm's, and one that cannot be read may
        list anything; what an Application of Argo CD takes is applied by that.
        """
        for folder in folders_above(path):
            ruling = self.by_folder.get(folder)
            if ruling is not None:
                return ruling if self._holds(ruling.path) else None
            if self.is_chart(folder) or folder in self._unreadable:
                return None
            if any(one.folder == folder and one.has(path) for one in self._directories):
                return None
        return None

    def _every(self) -> Iterator[Root]:
        """Yield what is deployed on its own: by Flux, else kustomizations and plain files."""
        covered: set[str] = set()
        self.elsewhere.clear()
        for root in (*self._flux_roots(), *self._roots_of_argo()):
            covered.update(root.work.paths)
            yield root
        for folder, one in self.by_folder.items():
            is_part = folder in self.taken or one.is_component or one.path in covered
            if not is_part and self._holds(one.path):
                work = self.builder.of_folder(folder).copy()
                doubts = frozenset(work.doubts)
                work.doubt(*self._not_applied(one.path, work))
                yield Root(one.path, folder, work, one.path, None, Recipe(folder), doubts)
        for path in self._tree.files:
            if is_kustomization(path) or path in self.taken or path in covered:
                continue
            if self._holds(path) and self.ruling(path) is None:
                folder = posixpath.dirname(path)
                work = Work(resources=list(self.builder.of_file(path)), paths=[path])
                work.doubt(*self._unreadable_above(folder), *self._not_applied(path, work))
                work.doubt(*self._of_template(folder))
                yield Root(path, folder, work)

    def _of_template(self, folder: str) -> tuple[Unknown, ...]:
        """Return why what stands in a folder of a chart may not be applied by a release of it."""
        above = folders_above(f"{folder}/x")
        chart = next((one for one in above if self.is_chart(one)), None)
        if chart is None:
            return ()
        if chart not in self._of_charts:
            among = [Resource(o.node, o.file.path, o.document) for o in self.objects]
            self._of_charts[chart] = tuple(
                doubt
                for one in among
                if is_release(one)
                for doubt in doubts_of_template(one, among, chart, self.charts, self.sources)
            )
        return self._of_charts[chart]

    def _not_applied(self, path: str, work: Work) -> Iterator[Unknown]:
        """Yield why nobody applies a kustomization or a plain file, as far as these files tell."""
        near = [one for one in self._directories if is_at_or_below(path, one.folder)]
        if any(one.has(path) for one in near):
            return
        yield from self._left_out(work, ())
        yield from self._made_by_others(path)
        if near:
            yield near[0].leaves(path)
        elif self._is_flux_known and not self._may_take(path):
            why = "no Flux Kustomization among these files takes it: nobody is known to apply it"
            hint = f"let one take it, {ACCEPT}"
            yield Unknown(path, 1, "what applies it", why, hint)
        else:
            yield from self._missed(path)

    def _missed(self, path: str) -> Iterator[Unknown]:
        """Yield what is not there to somebody who may have meant these files, and fails of that.

        A path with a slip in it is told by its likeness.
        """
        is_taken = self._may_take(path)
        for flux in (one.flux for one in self.flux):
            is_ours = self._pointing(flux).whose is Whose.OURS
            if flux.path in self._tree.absent and is_ours and not is_taken:
                yield _not_there(flux.file_path, flux.line, flux.path, path)
        for one in (other for other in self._lacking if other.path != path):
            for lacked in self._tree.absent.intersection((*one.resources, *one.components)):
                if _is_like(lacked, path):
                    yield _not_there(one.path, *one.named(lacked), path)

    @cached_property
    def _lacking(self) -> list[Kustomization]:
        """The kustomizations that take what is not there, and are taken by nobody."""
        every = self.by_folder.items() if self._tree.absent else ()
        return [
            one
            for folder, one in every
            if not self._tree.absent.isdisjoint((*one.resources, *one.components))
            and folder not in self.taken
            and not one.is_component
            and self._holds(one.path)
        ]

    def _made_by_others(self, path: str) -> Iterator[Unknown]:
        """Yield what tells that a tool that is not followed makes what is applied of a plain file.

        Carvel's ytt reads comments that begin with `#@`, kbld a configuration of its own.
        """
        for other in self._tree.raw.of_carvel.get(posixpath.dirname(path), ()):
            why = "ytt or kbld makes what is applied of the files beside it"
            yield Unknown(other, 1, "what makes it", why, LOOK)

    @cached_property
    def _is_flux_known(self) -> bool:
        """Whether what Flux applies stands in these files: its own source, and more than itself."""
        names = {one.name for one in self._written}
        return bool(names - {SYSTEM}) and any(map(is_system, self.sources.git))

    def _may_take(self, path: str) -> bool:
        """Tell whether a Flux Kustomization may take a file: by its path, whosever files it has."""
        return any(
            self._pointing(flux).whose is not Whose.ANOTHERS
            for flux in (one.flux for one in self.flux)
            if has_variable(flux.path) or is_at_or_below(path, flux.path)
        )

    def _left_out(self, work: Work, sources: Iterable[GitSource]) -> list[Unknown]:
        """Return which of the files that a build takes Flux does not have; note what tells that."""
        some = tuple(sources)
        generated = (
            path
            for one in map(self._tree.kustomizations.get, work.paths)
            for path in (one.generated if one is not None else ())
        )
        paths = dict.fromkeys((*work.paths, *work.hidden, *generated))
        found = [one for path in paths if (one := self.sources.left_out(path, some)) is not None]
        work.paths += [one.path for one in found]
        return found

    def _unreadable_appliers(self) -> list[Unknown]:
        """Return the files of Flux and Argo CD that cannot be read: they may change any image.

        A template is none: it is what is made of it that is applied. What has a mistake may be in
        the cluster as it was before.
        """
        return [
            Unknown(one.path, 1, "an object that applies manifests", one.reason, _MEND)
            for one in self._tree.skipped
            if not is_kustomization(one.path)
            and applies(self._tree.raw.get(one.path, b""))
            and not any(self.is_chart(folder) for folder in folders_above(one.path))
            and not _is_template(self._tree.raw[one.path], one.braces)
        ]

    def _unreadable_above(self, folder: str) -> list[Unknown]:
        """Return the kustomizations at or above a folder that cannot be read: they may take it."""
        return [
            Unknown(one.path, 1, "kustomization", one.reason, _MEND)
            for one in self._tree.skipped
            if is_kustomization(one.path) and is_at_or_below(folder, posixpath.dirname(one.path))
        ]

    def _flux_roots(self) -> Iterator[Root]:
        """Yield what the Flux Kustomizations of this repository apply, as far as it was read.

        One that applies another branch only matters where none applies this one; one of which
        nobody knows whose files it applies, where it would change them.
        """
        pointed = [(one, self._pointing(one.flux)) for one in self.flux]
        ours = [one.flux.path for one, to in pointed if to.whose is Whose.OURS]
        for applier, to in pointed:
            flux = applier.flux
            if has_variable(flux.path):
                self._set_apart(flux.added.entries, Pointing(to.whose, f"its path is {flux.path}"))
                continue
            is_covered = any(is_at_or_below(flux.path, path) for path in ours)
            if to.whose is Whose.ANOTHERS or (to.whose is Whose.OTHER_REVISION and is_covered):
                self._set_apart(flux.added.entries, to)
                continue
            if to.whose is Whose.UNKNOWN and not flux.changes_images:
                continue
            root = self._flux_root(applier, to)
            if root is not None:
                yield root

    def _pointing(self, flux: FluxKustomization) -> Pointing:
        reference = lookup(flux.spec, "sourceRef")
        return self.sources.of_flux(reference, flux.namespace, flux.file_path)

    def _set_apart(self, entries: Iterable[ImageEntry], to: Pointing) -> None:
        """Note entries that are for what does not stand on this branch."""
        for entry in entries:
            why = f"it is for files that are not on this branch: {to.why}"
            hint = to.hint or f"deploy in the repository that has them (--repository), {ACCEPT}"
            self.elsewhere[entry.field.key] = Idle(why, hint)

    def _flux_root(self, applier: Applier, to: Pointing) -> Root | None:
        """Return what a Flux Kustomization applies; None where nothing of it was read."""
        flux = applier.flux
        addition = flux.added
        if text_of(lookup(flux.spec, "ignoreMissingComponents")) == "true":
            there = tuple(one for one in addition.components if one in self.by_folder)
            addition = replace(addition, components=there)
        folder = flux.path
        paths: list[str] = []
        if folder in self.by_folder:
            work = self.builder.of_folder(folder, addition)
            overlay = self.by_folder[folder].path
        else:
            paths = self._scanned(folder, to.sources)
            if not paths:
                return None
            tops = self._tops(folder)
            others = {} if folder in paths else self._tree.raw.keys() - self._tree.files.keys()
            unparsed = sorted(self._plain(others, folder, tops, to.sources))
            work = self.builder.of_paths((*paths, *unparsed), addition)
            overlay = ""
        hint = f"let a HelmRelease apply the chart, {ACCEPT}"
        work.failures += [replace(one, why=_NO_PLUGINS, hint=hint) for one in work.plugins]
        recipe = Recipe(folder, tuple(paths), addition.namespace, addition.prefix, addition.suffix)
        doubts = frozenset(work.doubts)
        work.doubt(*applier.unknowns, *_doubts_of_flux(flux, to), *self._left_out(work, to.sources))
        return Root(
            f"{flux.file_path} {flux.name}",
            folder,
            work,
            overlay,
            flux,
            None if addition.changes_images else recipe,
            doubts,
            applier.of_variables,
            warnings_of(to.sources),
        )

    def _is_alone(self, overrides: ManifestObject) -> bool:
        """Tell whether a file of overrides is for an Application that is none of these files."""
        folder = posixpath.dirname(overrides.file.path)
        own = override_of(overrides.file.path)
        return not any(
            folder in folders_of(item) and own in ("", item.name) for item in self._applications
        )

    def _roots_of_argo(self) -> Iterator[Root]:
        """Yield Applications that files of overrides stand for, and what Applications change."""
        for item in self._overriding:
            resource = Resource(item.node, item.file.path, 0, by=(item.file.path,))
            work = Work(resources=[resource], paths=[item.file.path])
            yield Root(item.file.path, posixpath.dirname(item.file.path), work)
        for application in (*self._applications, *self._overriding):
            for folder, addition, doubts, to in argo_additions(
                application, self.sources, self.charts
            ):
                if to.whose is Whose.ANOTHERS:
                    self._set_apart(addition.entries, to)
                elif folder in self.by_folder and self._holds(self.by_folder[folder].path):
                    work = self.builder.of_folder(folder, addition)
                    work.doubt(*doubts)
                    name = f"{application.file.path} {application.name}"
                    yield Root(name, folder, work, self.by_folder[folder].path)

    def _scanned(self, folder: str, sources: Iterable[GitSource] = ()) -> list[str]:
        """Return what Flux takes of a folder without a kustomization: files, and folders with.

        A kustomization that cannot be read may take anything: its folder stays one that is unknown.
        """
        if folder in self._unreadable:
            return [folder]
        tops = self._tops(folder)
        return [*self._plain(self._tree.files, folder, tops, sources), *tops]

    def _tops(self, folder: str) -> list[str]:
        """Return the highest folders below one that have a kustomization."""
        prefix = f"{folder}/" if folder else ""
        known = {*self.by_folder, *self._unreadable}
        inner = {one for one in known if one.startswith(prefix) and one != folder}
        return sorted(one for one in inner if inner.isdisjoint(folders_above(one)))

    def _plain(
        self, paths: Iterable[str], folder: str, tops: list[str], sources: Iterable[GitSource]
    ) -> list[str]:
        """Return the files that Flux takes by themselves."""
        prefix, highest = f"{folder}/" if folder else "", frozenset(tops)
        return [
            path
            for path in paths
            if path.startswith(prefix)
            and path.endswith((".yaml", ".yml"))
            and highest.isdisjoint(folders_above(path))
            and self.sources.left_out(path, sources) is None
        ]

    def beside(self, root: Root) -> Iterator[Resource]:
        """Yield what is applied beside a plain file: a release may refer to an object of it."""
        if root.overlay or root.flux is not None:
            return
        for path in self._by_parent.get(root.folder, ()):
            if path != root.name:
                yield from self.builder.of_file(path)
        yield from self.builder.hidden_objects(self._unparsed_in(root.folder))

    def _unparsed_in(self, folder: str) -> list[str]:
        """Return the files of a folder that were not parsed and may hold values."""
        unparsed = self._tree.unparsed(b"ConfigMap")
        return [path for path in unparsed if posixpath.dirname(path) == folder]

    @cached_property
    def _by_parent(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self._tree.files:
            found.setdefault(posixpath.dirname(path), []).append(path)
        return found


def folders_above(path: str) -> Iterator[str]:
    """Yield the folders that a file is in, from its own up to the root: `/` of a whole path."""
    folder = posixpath.dirname(path)
    yield folder
    while folder != posixpath.dirname(folder):
        folder = posixpath.dirname(folder)
        yield folder


def _not_there(path: str, line: int, lacked: str, meant: str) -> Unknown:
    why = f"it is not there, so that what takes it fails, and may be meant for {meant}"
    return Unknown(path, line, lacked, why, f"mend the path, or take it out, {ACCEPT}")


def _is_like(lacked: str, path: str) -> bool:
    """Tell whether the path of a file, or of a folder, may be another's with a slip in it."""
    is_file = lacked.endswith((".yaml", ".yml"))
    other = path if is_file else posixpath.dirname(path)
    return SequenceMatcher(None, lacked, other).ratio() >= _ALIKE


def _is_template(data: bytes, number: int) -> bool:
    """Tell whether a file cannot be read for braces in a line: nobody's YAML is that, unquoted."""
    near = [line for line in data.splitlines()[:number] if line.strip()][-2:]
    return any(_BRACES.match(line) for line in near)


def is_at_or_below(path: str, folder: str) -> bool:
    """Tell whether a path is a folder or below it; an empty one is the root."""
    return not folder or path == folder or path.startswith(f"{folder}/")


def _doubts_of_flux(flux: FluxKustomization, to: Pointing) -> Iterator[Unknown]:
    """Yield what is not known of a Flux Kustomization and its source, or keeps it from applying."""
    title = f"Flux Kustomization {flux.name}"
    if to.whose is not Whose.OURS:
        yield Unknown(flux.file_path, flux.line, title, to.why, to.hint)
    if flux.is_suspended:
        yield Unknown(flux.file_path, flux.line, title, _SUSPENDED, _RESUME)
    yield from odd_fields(flux.file_path, flux.spec, FLUX_KUSTOMIZATION, "a Flux Kustomization")
    build = lookup(flux.spec, "postBuild")
    yield from odd_fields(flux.file_path, build, POST_BUILD, "postBuild")
    for source in to.sources:
        yield from doubts_of(source)


def _have_same_sources(some: Iterable[Applier], others: Iterable[Applier]) -> bool:
    """Tell whether Flux Kustomizations take their files from the same sources, one by one."""
    pairs = zip(some, others, strict=True)
    return all(
        same(lookup(one.flux.spec, "sourceRef"), lookup(other.flux.spec, "sourceRef"))
        for one, other in pairs
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
