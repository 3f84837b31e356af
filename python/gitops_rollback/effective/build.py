"""kustomize in memory, as far as images go: what a folder's kustomization makes of its objects.

Order and meaning as in kustomize (api/internal/target/kusttarget.go): resources, generators,
components; then merge patches and `patches`, namespace, prefix, suffix, labels, annotations, JSON
patches, `images`, replacements; then `transformers`. Whatever is not followed is noted at the
objects it could change, and what would make the tool fail at all of them. Pure.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.generated import generated, refilled
from gitops_rollback.effective.grammar import (
    CONFIGURATION,
    GENERATORS,
    KUSTOMIZATION,
    TRANSFORMERS,
    Touch,
    misshapen,
    odd_fields,
    unmakeable,
)
from gitops_rollback.effective.images import (
    OF_PODS,
    DoubtfulEntryError,
    FieldSpec,
    changed_text,
    is_for,
    no_text,
    places_of,
    put,
    split_image,
)
from gitops_rollback.effective.objects import (
    ACCEPT,
    LOOK,
    Loose,
    Renewed,
    Resource,
    Unknown,
    Work,
    marked_as,
    outline,
)
from gitops_rollback.effective.patches import LAST_STEPS, Patcher, images_in, patches_of
from gitops_rollback.effective.replace import (
    BuildError,
    demand,
    passed_on,
    read_replacements,
    read_variables,
    replaced,
)
from gitops_rollback.effective.tree import TreeError, entries, find, text_node, with_path
from gitops_rollback.errors import SPELT_NEARLY, ManifestError, did_you_mean, nearest
from gitops_rollback.late import replace
from gitops_rollback.manifest.document import (
    are_named,
    holds_definitions_alone,
    items_of,
    line_of,
    lookup,
    outlines,
    parse_once,
    root_of,
    text_of,
)
from gitops_rollback.manifest.image_field import EDITABLE, Place, Problem
from gitops_rollback.manifest.kustomize import (
    KUSTOMIZATION_NAMES,
    inside,
    merged_entries,
    read_entry,
)
from gitops_rollback.manifest.objects import objects_of, odd_objects
from gitops_rollback.manifest.scalars import (
    block_of,
    in_host,
    refuse_duplicate_keys,
    refuse_template_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.effective.raw import Raw
    from gitops_rollback.effective.replace import Variable
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.manifest.kustomize import Addition, ImageEntry, Kustomization, Listed

_SCHEMA = "v1.21.2"  # of the Kubernetes API, that kustomize has built in since 2021
_FAILS = "the build fails"
_MEND = (
    "mend it, or list it nowhere; where Flux takes every YAML file of a folder, move it to another,"
    f" or name it in .sourceignore; {ACCEPT}"
)
_MEND_REPLACEMENT = f"mend the replacement, or take it out, {ACCEPT}"
_NO_PATH = "it names no path, on which kustomize fails"
_PATCHING = frozenset(
    {"PatchTransformer", "PatchJson6902Transformer", "PatchStrategicMergeTransformer"}
)
_NAMING = frozenset(
    {"NamespaceTransformer", "PrefixTransformer", "SuffixTransformer", "PrefixSuffixTransformer"}
)
_MARKING = {"LabelTransformer": "labels", "AnnotationsTransformer": "annotations"}
_REFERRING = "fieldSpecs"  # of a kind that objects refer to by its name
_LOCAL = "config.kubernetes.io/local-config"


class Builder:
    """Builds kustomizations of some files; what it made of a folder it keeps."""

    def __init__(
        self,
        files: Mapping[str, ParsedFile],
        raw: Raw,
        by_folder: Mapping[str, Kustomization],
        find_fields: Callable[[ParsedFile], tuple[ImageField, ...]],
        absent: frozenset[str] = frozenset(),
    ) -> None:
        self._files = dict(files)
        self.raw, self.absent = raw, absent
        self.by_folder = by_folder
        self.renewed: dict[int, Renewed] = {}
        self.near: set[int] = set()  # images that an entry means, and whose version it leaves
        # That of a base is the schema of all that is built after it, the overlay's patches too.
        own = any(find(one.root, "openapi", "path") is not None for one in by_folder.values())
        self.patcher = Patcher(
            self.parsed, self.reveal, self.renewed, find_fields, has_own_schema=own
        )
        self._built: dict[str, Work] = {}
        self._running: list[str] = []
        self.shared: dict[int, str] = {}  # what replacements copy to where no digest can be
        self._in_place: dict[int, ParsedFile] = {}  # what is written into kustomizations
        self._objects: dict[str, tuple[Resource, ...]] = {}
        self._outlines: dict[str, tuple[Resource, ...]] = {}
        self._flaws: dict[str, Unknown | None] = {}

    def of_folder(self, folder: str, addition: Addition | None = None) -> Work:
        """Return what the kustomization of a folder makes; with an addition it is made anew."""
        if addition is None and folder in self._built:
            return self._built[folder]
        work = Work()
        if folder in self._running:
            one = self.by_folder[folder]
            line = one.line_of("resources")
            work.failures.append(Unknown(one.path, line, "resources", "it takes itself: a circle"))
            return work
        self._running.append(folder)
        try:
            one = self.by_folder[folder]
            self._run(one.added_to(addition) if addition else one, work)
        finally:
            self._running.pop()
        if addition is None:
            self._built[folder] = work
        return work

    def of_paths(self, paths: Iterable[str], addition: Addition) -> Work:
        """Return what Flux makes of a folder without a kustomization: it takes all in there."""
        work = Work()
        for path in paths:
            self._take(path, addition.path, addition.line, work)
        for folder in addition.components:
            self._component(folder, addition.path, addition.line, work)
        for patch in addition.patches:
            self.patcher.apply(patch, work)
        self._rename(addition, addition.path, addition.line, work)
        for patch in addition.json_patches:
            self.patcher.apply(patch, work)
        for entry in merged_entries((), addition.entries):
            self._set_image(entry, work, (*OF_PODS, *work.specs))
        return work

    def of_file(self, path: str) -> tuple[Resource, ...]:
        """Return the objects of a file; nothing for one that is no manifest, or names no image."""
        if path not in self._objects:
            file = self._files.get(path)
            found = objects_of(file) if file is not None else ()
            self._objects[path] = tuple(
                Resource(item.node, path, item.document, by=(path,)) for item in found
            )
        return self._objects[path]

    def parsed(self, path: str) -> ParsedFile | None:
        """Return a file, parsed if it was not; None where it is not there or cannot be read."""
        if path not in self._files and path in self.raw:
            try:
                self._files[path] = parse_once(path, self.raw[path])
            except ManifestError:
                return None
        return self._files.get(path)

    def _run(self, kustomization: Kustomization, work: Work) -> None:
        """Do all that a kustomization says, to its own objects or, as a component, to others'."""
        path = kustomization.path
        work.paths.append(path)
        names = (posixpath.join(kustomization.folder, name) for name in KUSTOMIZATION_NAMES)
        for other in (one for one in names if one in self.raw and one != path):
            why = f"{other} stands beside it: {_FAILS}"
            hint = f"take one of them away, {ACCEPT}"
            work.failures.append(Unknown(path, 1, "kustomization", why, hint))
        if kustomization.root is not None:
            work.failures += misshapen(path, kustomization.root)
            work.failures += unmakeable(path, kustomization.root)
        if not kustomization.is_of_kustomize:
            why, hint = (
                f"its apiVersion and kind are not kustomize's: {_FAILS}",
                f"mend it, {ACCEPT}",
            )
            work.failures.append(Unknown(path, 1, "kustomization", why, hint))
        for taken in self.absent.intersection(kustomization.taken) if self.absent else ():
            work.failures.append(Unknown(path, *kustomization.named(taken), *self._missing(taken)))
        self._refuse_definitions(kustomization, work)
        for resource in kustomization.resources:
            self._take(resource, path, kustomization.line_of("resources"), work)
        for listed in kustomization.remote:
            why = "it is not in this repository"
            work.unread.append(Unknown(path, listed.line, listed.text, why, LOOK))
        self._configure(kustomization, work)
        self._generate(kustomization, work)
        for folder in kustomization.components:
            self._component(folder, path, kustomization.line_of("components"), work)
        self._transform(kustomization, work)

    def _refuse_definitions(self, kustomization: Kustomization, work: Work) -> None:
        """Note `crds` that are no OpenAPI document: the definition itself, as people list it."""
        for node in items_of(lookup(kustomization.root, "crds")):
            file = self.parsed(inside(kustomization.folder, text_of(node) or "") or "")
            values = entries(root_of(file)).values()
            if not all(isinstance(one, yaml.MappingNode) for one in values):
                why = f"it is no OpenAPI document, which kustomize reads there: {_FAILS}"
                hint = f"list the definition in resources, {ACCEPT}"
                place = (kustomization.path, line_of(node), "crds")
                work.failures.append(Unknown(*place, why, hint))

    def _missing(self, path: str) -> tuple[str, str]:
        """Return what is said of what is not there, and the hint, with what is spelt nearly so."""
        near = did_you_mean(nearest(path, (*self.by_folder, *self.raw), SPELT_NEARLY))
        hint = f"{near} add it, or take it out, {ACCEPT}".strip()
        return f"it is not there: {_FAILS}", hint

    def _component(self, folder: str, path: str, line: int, work: Work) -> None:
        component = self.by_folder.get(folder)
        if component is None or not component.is_component:
            why = "it is not there" if component is None else f"it is no Component: {_FAILS}"
            told = self._missing(folder) if folder in self.absent else (why, LOOK)
            work.failures.append(Unknown(path, line, f"component {folder}", *told))
        elif folder in self._running:
            why = f"it takes itself, a circle: {_FAILS}"
            work.failures.append(Unknown(path, line, f"component {folder}", why, LOOK))
        else:
            self._refuse_empty(component, work)
            self._running.append(folder)
            self._run(component, work)
            self._running.pop()

    def _take(self, path: str, by: str, line: int, work: Work) -> None:
        """Add the objects of a resource: a folder with a kustomization, or a file."""
        if path in self.by_folder:
            if self.by_folder[path].is_component:
                why, hint = f"it is a Component: {_FAILS}", f"list it in components, {ACCEPT}"
                work.failures.append(Unknown(by, line, f"resource {path}", why, hint))
            self._refuse_empty(self.by_folder[path], work)
            new = self.of_folder(path)
            self._refuse_twice(new.every, path, by, line, work)
            work.add(new)
        elif path not in self.raw:
            not_read = ("it was not read, or cannot be", LOOK)
            told = self._missing(path) if path in self.absent else not_read
            missing = Unknown(by, line, f"resource {path}", *told)
            work.unread.append(missing)  # it may be another service's
            if any(posixpath.join(path, name) in self.raw for name in KUSTOMIZATION_NAMES):
                work.failures.append(missing)
        else:
            self._take_file(path, by, line, work)

    def _take_file(self, path: str, by: str, line: int, work: Work) -> None:
        """Add the objects of a file; one that names no image is only looked at in doubt."""
        data = self.raw[path]
        if path not in self._flaws:
            self._flaws[path] = self._flaw(path, data)
        flaw = self._flaws[path]
        if flaw is not None:
            work.unread.append(flaw)
            work.failures.append(flaw)
        if path in self._files:
            found = self.of_file(path)
            self._refuse_twice(found, path, by, line, work)
            work.resources += found
            work.paths.append(path)
        elif b"image" not in data or holds_definitions_alone(data):
            work.hidden.append(path)
            if flaw is None:
                others = self._outlined(path)
                self._refuse_twice(others, path, by, line, work)
                work.others += others
        elif flaw is None:
            work.unread.append(Unknown(by, line, f"resource {path}", "it cannot be read", LOOK))

    def _flaw(self, path: str, data: bytes) -> Unknown | None:
        """Return on what of a file kustomize fails: no YAML, or no object with kind and name.

        Braces in quotes are a text for who reads the object, such as an ExternalSecret's.
        """
        file = self._files.get(path)
        if file is None and b"{{" not in data and are_named(data):
            return None
        try:
            file = file or parse_once(path, data)
            refuse_template_file(file)
            refuse_duplicate_keys(path, file.nodes)
        except ManifestError as error:
            return Unknown(path, 1, "this file", f"{error}: {_FAILS}", _MEND)
        odd = next((node for root in file.trees for node in odd_objects(root)), None)
        if odd is None:
            return None
        why = f"it is no object of Kubernetes, which has a kind and a name: {_FAILS}"
        return Unknown(path, line_of(odd), "this file", why, _MEND)

    def _refuse_empty(self, one: Kustomization, work: Work) -> None:
        """Note that a kustomization says nothing (types/kustomization.go, CheckEmpty)."""
        if one.is_empty:
            hint = f"write `resources: []` into it, {ACCEPT}"
            why = f"it is empty: {_FAILS}"
            work.failures.append(Unknown(one.path, 1, "kustomization", why, hint))

    def _refuse_twice(
        self, new: Iterable[Resource], path: str, by: str, line: int, work: Work
    ) -> None:
        """Note that an object is there already: kustomize takes none twice (resmap, Append)."""
        twice = work.take(new)
        if twice is not None:
            why = f"{_title(twice)} is there already: {_FAILS}"
            work.failures.append(
                Unknown(by, line, f"resource {path}", why, f"name it once, {ACCEPT}")
            )

    def _outlined(self, path: str) -> tuple[Resource, ...]:
        """Return what the objects of a file are called, without a look at more where that goes."""
        if path not in self._outlines:
            data = self.raw[path]
            names = outlines(data)
            if names is not None:
                found = (outline(*one) for one in names)
                self._outlines[path] = tuple(
                    Resource(node, path, number, is_outline=True)
                    for number, node in enumerate(found)
                )
            else:  # definitions have megabytes, and nobody refers to one
                is_small = not holds_definitions_alone(data)
                self._outlines[path] = self.hidden_objects((path,)) if is_small else ()
        return self._outlines[path]

    def reveal(self, work: Work, is_wanted: Callable[[Resource], bool]) -> None:
        """Take objects in outline for objects as any: what changes them is followed."""
        wanted = {id(one): one for one in work.others if is_wanted(one)}
        if wanted:
            work.others = [one for one in work.others if id(one) not in wanted]
            work.resources += map(self.revealed, wanted.values())

    def revealed(self, one: Resource) -> Resource:
        """Return an object with all that its file says, and what was done to its outline."""
        if not one.is_outline:
            return one
        real = self.hidden_objects((one.path,))[one.document]
        node = marked_as(real.node, one.node)
        return replace(one, node=node, document=real.document, is_outline=False)

    def _configure(self, kustomization: Kustomization, work: Work) -> None:
        """Read `configurations`: they say where images stand in further kinds."""
        for listed in kustomization.configurations:
            file = self.parsed(listed.path) if listed.path else None
            root = root_of(file)
            if root is not None and file is not None:
                work.failures += misshapen(
                    file.path, root, shape=CONFIGURATION, of="this configuration"
                )
            else:
                why = "it cannot be read"
                work.failures.append(
                    Unknown(kustomization.path, listed.line, f"configuration {listed.text}", why)
                )
            work.names_values |= names_values(root)
            for key, specs in entries(root).items():
                for spec in items_of(specs):
                    for one in items_of(lookup(spec, _REFERRING)) or [spec]:
                        self._specify(key, one, listed.path or "", work)

    def _specify(self, key: str, spec: yaml.Node, path: str, work: Work) -> None:
        found = _spec(spec)
        if found is None:
            work.doubt(Unknown(path, line_of(spec), key, _NO_PATH, LOOK))
        elif key == "images":
            work.specs.append(found)
        elif found.path[-1] in LAST_STEPS:
            why = f"it lets {key} write to {'/'.join(found.path)}"
            work.doubt(Unknown(path, line_of(spec), key, why, LOOK))

    def _generate(self, kustomization: Kustomization, work: Work) -> None:
        path = kustomization.path
        for unknown in odd_fields(path, kustomization.root, KUSTOMIZATION, "kustomize"):
            if unknown.construct in KUSTOMIZATION:  # of its grammar: it adds objects
                work.unread.append(unknown)
                work.plugins.append(unknown)
            else:
                work.failures.append(unknown)
        for listed in kustomization.generators:
            for item, unknown in self._configured(kustomization, listed, work):
                is_builtin = item is not None and item.identity.is_builtin
                touch = GENERATORS.get(item.identity.kind) if item and is_builtin else None
                if touch in (None, Touch.NOT_UNDERSTOOD):
                    work.unread.append(unknown)
                    work.plugins.append(unknown)
        if items_of(lookup(kustomization.root, "validators")):  # none is built in
            line = kustomization.line_of("validators")
            work.plugins.append(Unknown(path, line, "validators", ""))
        if lookup(kustomization.root, "configMapGenerator") is not None:
            work.hidden.append(path)
        for key, by, node in generated(kustomization.root):
            self._absorb(Resource(node, path, 0), by, key, work)

    def _absorb(self, made: Resource, by: yaml.Node, key: str, work: Work) -> None:
        """Add what is generated, or merge it into what is there (resmap, appendReplaceOrMerge)."""
        behavior = text_of(lookup(by, "behavior")) or "create"
        self.reveal(work, lambda one: one.has_been(made.identity))
        found = [n for n, one in enumerate(work.resources) if one.has_been(made.identity)]
        title = _title(made)

        def fail(why: str) -> None:
            hint = f"say another behavior, or another name, {ACCEPT}"
            work.failures.append(
                Unknown(made.path, line_of(by), key, f"{title} {why}: {_FAILS}", hint)
            )

        if len(found) > 1:
            fail("is there several times, and one of it is generated")
        elif behavior not in ("merge", "replace"):
            if found:
                fail("is there already, and not generated with `behavior: merge`")
            work.others.append(made)
            work.take((made,))
        elif found:
            [number] = found
            old = work.resources[number]
            work.resources[number] = old.with_node(refilled(old.node, made.node, behavior))
        elif not work.unread:
            fail(f"is not there, and generated with `behavior: {behavior}`")

    def _configured(
        self, kustomization: Kustomization, listed: Listed, work: Work
    ) -> Iterator[tuple[Resource | None, Unknown]]:
        """Yield the objects that configure generators or transformers, each with its doubt."""
        path, line = kustomization.path, listed.line
        name = "a configuration in place" if listed.is_inline else listed.text
        doubt = Unknown(path, line, name, "what it does is not followed", LOOK)
        if listed.is_inline:
            found = self._inline_objects(listed, path)
        elif listed.path in self.by_folder:
            built = self.of_folder(listed.path or "")
            found = (*built.resources, *self.hidden_objects(built.hidden))
            work.paths += [*built.paths, *built.hidden]
        elif listed.path and self.parsed(listed.path) is not None:
            found = self.hidden_objects((listed.path,))
            work.paths.append(listed.path)
        else:
            found = ()
        if not found:
            yield None, doubt
        for item in found:
            place = replace(
                doubt, path=item.path, line=line_of(item.node), construct=item.identity.kind
            )
            yield item, doubt if listed.is_inline else place

    def hidden_objects(self, paths: Iterable[str]) -> tuple[Resource, ...]:
        """Return the objects of files that name no image, where they matter all the same."""
        files = [file for path in paths if (file := self.parsed(path)) is not None]
        return tuple(Resource(o.node, f.path, o.document) for f in files for o in objects_of(f))

    def _inline_objects(self, listed: Listed, path: str) -> tuple[Resource, ...]:
        """Return the objects that are written in place of a path."""
        host, node = self.parsed(path), listed.node
        assert host is not None  # noqa: S101 - it was read, and the text stands in it
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - it is a text
        try:
            file = block_of(host, node)
        except ManifestError:
            return ()
        found = tuple(Resource(o.node, "", o.document) for o in objects_of(file))
        self._in_place.update({id(one.node): file for one in found})
        return found

    def _transform(self, kustomization: Kustomization, work: Work) -> None:
        """Apply what a kustomization says to the objects it has, in kustomize's order."""
        root = kustomization.root
        version = find(root, "openapi", "version")
        if version is not None and text_of(version) != _SCHEMA:
            path, hint = kustomization.path, f"take it out, {ACCEPT}"
            why = f"releases of kustomize differ in which they have; most have {_SCHEMA} alone"
            line = kustomization.line_of("openapi")
            work.failures.append(Unknown(path, line, "openapi", why, hint))
        for patch in kustomization.patches:
            self.patcher.apply(patch, work)
        line = kustomization.line_of("namespace")
        self._rename(kustomization, kustomization.path, line, work)
        self._label(root, work)
        self._count(kustomization, work)
        for patch in kustomization.json_patches:
            self.patcher.apply(patch, work)
        for entry in kustomization.entries:
            self._set_image(entry, work, (*OF_PODS, *work.specs))
        self._replace(lookup(root, "replacements"), kustomization.path, kustomization, work)
        for listed in kustomization.transformers:
            for item, unknown in self._configured(kustomization, listed, work):
                self._transform_by(item, unknown, kustomization, work)
        self._doubt_variables(kustomization, work)

    def _rename(self, by: Kustomization | Addition, path: str, line: int, work: Work) -> None:
        """Give objects the namespace, the prefix and the suffix that they get."""
        work.rename(namespace=by.namespace)
        keys = Counter(one.identity.key for one in work.every if one.identity.name)
        twice = next((key for key, times in keys.items() if times > 1), None)
        if twice is not None and by.namespace:
            why = f"{twice[2]} {twice[4]} is there twice in that namespace: {_FAILS}"
            work.failures.append(Unknown(path, line, "namespace", why, _MEND))
        work.rename(prefix=by.prefix)
        work.rename(suffix=by.suffix)

    def _count(self, kustomization: Kustomization, work: Work) -> None:
        """Note a count for a name that no object has or had (ReplicaCountTransformer)."""
        listed = items_of(lookup(kustomization.root, "replicas"))
        if not listed or work.unread:
            return
        known = {is_.name for one in work.every for is_ in (*one.earlier, one.identity)}
        for one in listed:
            name = text_of(lookup(one, "name")) or ""
            if isinstance(one, yaml.MappingNode) and name not in known:
                why = f"no object is called {name}: {_FAILS}"
                place = (kustomization.path, line_of(one), "replicas")
                work.failures.append(Unknown(*place, why, _MEND))

    def _label(self, root: yaml.Node | None, work: Work) -> None:
        """Set labels and annotations: selectors of later patches go by them."""
        for label in items_of(lookup(root, "labels")):
            self._set_metadata("labels", lookup(label, "pairs"), work)
        self._set_metadata("labels", lookup(root, "commonLabels"), work)
        self._set_metadata("annotations", lookup(root, "commonAnnotations"), work)

    def _set_metadata(self, where: str, values: yaml.Node | None, work: Work) -> None:
        wanted = entries(values)
        if not wanted:
            return

        def marked(resource: Resource) -> Resource:
            node = resource.node
            for key, value in wanted.items():
                node = with_path(node, ("metadata", where, key), value)
            return resource.with_node(node)

        work.change(marked)

    def _set_image(self, entry: ImageEntry, work: Work, specs: Sequence[FieldSpec]) -> None:
        """Apply an `images:` entry; one that met nothing may decide what is not known."""
        met = False
        for index, resource in enumerate(work.resources):
            odd = no_text(resource.node, specs)
            if odd is not None:
                why = f"the image in {resource.path}:{line_of(odd)} is no text: it fails"
                place = entry.field
                work.failures.append(
                    Unknown(place.path, place.scalar.line, f"images: {entry.name}", why, LOOK)
                )
            changed = self._with_image(resource, entry, specs)
            met = met or changed is not resource
            work.resources[index] = changed
        if not met and work.unread and entry.sets_version:
            work.loose.append(Loose(entry.field, tuple(work.unread)))

    def _with_image(
        self, resource: Resource, entry: ImageEntry, specs: Sequence[FieldSpec]
    ) -> Resource:
        node, of = resource.node, entry.field
        title = f"images: {entry.name}"
        for place in places_of(node, specs):
            text = str(place.node.value)
            try:
                if not is_for(entry.name, text):
                    if is_for(entry.name, split_image(text)[0]):
                        self.near.add(id(place.node))
                    continue
            except DoubtfulEntryError as error:
                return resource.doubted(Unknown(of.path, of.scalar.line, title, str(error), LOOK))
            new = text_node(changed_text(entry, text, place.times), place.node)
            problem = EDITABLE
            if not entry.sets_version and entry.suffix:
                problem = Problem(f"the tagSuffix in {of.place} changes its tag")
            decides = entry if entry.sets_version else None
            if decides is None:
                self.near.add(id(new))
            self.renewed[id(new)] = Renewed(new, place.node, decides, problem)
            node = put(node, place.path, new)
        if node is resource.node:
            return resource
        made = resource.with_node(node, of.path)
        if not entry.doubt:
            return made
        hint = f"write newName and newTag both in the Flux Kustomization's entry, {ACCEPT}"
        return made.doubted(Unknown(of.path, of.scalar.line, title, entry.doubt, hint))

    def _replace(
        self, replacements: yaml.Node | None, path: str, by: Kustomization, work: Work
    ) -> None:
        """Apply replacements that stand in a file, in place or in files of their own."""
        for item in items_of(replacements):
            written = text_of(lookup(item, "path"))
            node: yaml.Node | None = item
            where = path
            if written is not None:
                file = self.parsed(inside(by.folder, written) or "")
                node = root_of(file)
                where = file.path if file is not None else path
                work.paths.append(where)
            several = items_of(node) if isinstance(node, yaml.SequenceNode) else [node]
            for one in several:
                doubt = Unknown(
                    where, line_of(one or item), "replacement", "it cannot be read", LOOK
                )
                self._replace_one(one, doubt, work)

    def _replace_one(self, node: yaml.Node | None, doubt: Unknown, work: Work) -> None:
        if node is None:
            work.doubt(doubt)
            return
        try:
            steps = read_replacements(node)
        except BuildError as error:
            work.failures.append(replace(doubt, why=f"{error}: {_FAILS}", hint=_MEND_REPLACEMENT))
            return
        except TreeError as error:
            work.doubt(replace(doubt, why=str(error)))
            return
        self.reveal(work, steps.concerns)
        by = f"the replacement in {doubt.path}:{doubt.line}"
        try:
            demand(steps, work.resources, are_all=not work.unread)
            passed = tuple(passed_on(steps, work.resources, by))
            work.passed += passed
            self.shared.update({id(one.source): by for one in passed if one.is_narrow})
            hint = "write an `images:` entry in the place of that replacement"
            problem = Problem(f"{by} sets it;", hint)
            among = tuple(work.resources)
            for number, resource in enumerate(among):
                work.resources[number], made = replaced(resource, steps, among, problem)
                self.renewed.update({id(one.node): one for one in made})
        except BuildError as error:
            work.failures.append(replace(doubt, why=f"{error}: {_FAILS}", hint=_MEND_REPLACEMENT))
        except TreeError as error:
            work.doubt(replace(doubt, why=str(error)))

    def _transform_by(
        self, item: Resource | None, doubt: Unknown, by: Kustomization, work: Work
    ) -> None:
        """Apply what `transformers` names: those that kustomize has built in are followed."""
        if item is None or not item.identity.is_builtin:
            work.doubt(doubt)
            return
        node, kind, path = item.node, item.identity.kind, item.path or by.path
        specs = _specs(node, doubt, work)
        if kind != "ImageTagTransformer" and any(spec.path[-1] in LAST_STEPS for spec in specs):
            work.doubt(replace(doubt, why="its fieldSpecs name images"))
        if kind == "ImageTagTransformer":
            self._image_transformer(item, specs, doubt, work)
        elif kind in _PATCHING:
            for patch in patches_of(node, path, by.folder):
                self.patcher.apply(patch, work)
        elif kind in _NAMING:
            self._rename_by(node, kind, work)
        elif kind in _MARKING:
            self._set_metadata(_MARKING[kind], lookup(node, _MARKING[kind]), work)
        elif kind == "ReplacementTransformer":
            self._replace(lookup(node, "replacements"), path, by, work)
        elif TRANSFORMERS.get(kind) is not Touch.NEVER:
            work.doubt(doubt)

    def _rename_by(self, node: yaml.Node, kind: str, work: Work) -> None:
        """Give the names or the namespace of a transformer in a file of its own."""
        if kind == "NamespaceTransformer":
            name = text_of(find(node, "metadata", "namespace")) or ""
            work.rename(namespace=name)
            return
        prefix, suffix = (text_of(lookup(node, key)) or "" for key in ("prefix", "suffix"))
        work.rename(prefix=prefix)
        work.rename(suffix=suffix)

    def _image_transformer(
        self, item: Resource, specs: list[FieldSpec], doubt: Unknown, work: Work
    ) -> None:
        file = self._in_place.get(id(item.node)) or self._files.get(item.path)
        entry = None
        # One that an overlay changed stands in no file.
        if file is not None and item.node in file.trees and (item.path or file.host is not None):
            place = Place(file, item.document, item.identity.kind, item.identity.name, "/imageTag")
            entry = read_entry(place, lookup(item.node, "imageTag"))
        if file is None or entry is None:
            work.doubt(doubt)
            return
        if file.host is not None:
            entry = replace(entry, field=in_host(entry.field, file.host))
        self._set_image(entry, work, specs)

    def _flaws_of(self, variables: Iterable[Variable], work: Work) -> Iterator[str]:
        """Yield why the build fails of some `vars` (accumulator, MergeVars and ResolveVars)."""
        known = {one.name for one in work.variables}
        for one in variables:
            if one.name in known:
                yield f"{one.name} is there already"
            known.add(one.name)
            self.reveal(work, one.source.concerns)
            try:
                demand(one.source, work.resources, are_all=not work.unread)
            except BuildError as error:
                yield f"{one.name}: {error}"

    def _doubt_variables(self, kustomization: Kustomization, work: Work) -> None:
        """Note images with a `$(VAR)`, which `vars` may fill, and what these are taken from."""
        if lookup(kustomization.root, "vars") is None:
            return
        path, line = kustomization.path, kustomization.line_of("vars")
        new = tuple(read_variables(kustomization.root, f"`vars` in {path}:{line}"))
        for why in self._flaws_of(new, work):
            work.failures.append(Unknown(path, line, "vars", f"{why}: {_FAILS}", _MEND))
        work.variables += new
        doubt = Unknown(path, line, "vars", "they may fill its text", LOOK)
        work.resources = [
            one.doubted(doubt)
            if any("$(" in str(image.value) for _key, image in images_in(one.node))
            else one
            for one in work.resources
        ]


def names_values(configuration: yaml.Node | None) -> bool:
    """Tell whether releases of Helm follow the names of ConfigMaps by a configuration.

    kustomize gives no object of its own a new name in their `valuesFrom` (fluxcd.io, HelmReleases).
    """
    return any(
        (text_of(lookup(spec, "path")) or "").startswith("spec/valuesFrom")
        for one in items_of(lookup(configuration, "nameReference"))
        for spec in items_of(lookup(one, _REFERRING))
    )


def _title(one: Resource) -> str:
    return f"{one.identity.kind} {one.identity.name}"


def is_local(resource: Resource) -> bool:
    """Tell whether kustomize leaves an object out at the end: it configures something only."""
    value = text_of(find(resource.node, "metadata", "annotations", _LOCAL))
    return value is not None and value != "false"


def _specs(node: yaml.Node, doubt: Unknown, work: Work) -> list[FieldSpec]:
    """Return the field specifications of a transformer; one without a path is in doubt."""
    specs = [_spec(spec) for spec in items_of(lookup(node, "fieldSpecs"))]
    if None in specs:
        work.doubt(replace(doubt, why=f"fieldSpecs: {_NO_PATH}"))
    return [spec for spec in specs if spec is not None]


def _spec(node: yaml.Node) -> FieldSpec | None:
    """Read a field specification; None where it names no path: on its objects the build fails."""
    texts = {key: text_of(value) or "" for key, value in entries(node).items()}
    steps = tuple(step for step in texts.get("path", "").split("/") if step)
    if not steps:
        return None
    return FieldSpec(steps, texts.get("group", ""), texts.get("version", ""), texts.get("kind", ""))
