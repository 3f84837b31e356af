"""What a kustomization says: what it takes, patches and sets; its `images:` entries. Pure.

Fields as in kustomize (api/types/kustomization.go), those included that it still reads though they
are old: `bases`, `imageTags`, `patchesStrategicMerge`, `patchesJson6902`. An entry chooses images
by their `name` as written; `newTag` or `digest` replace both of the image, `newName` only the name
(api/filters/imagetag/updater.go). Flux objects have such entries, too.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.image import InvalidImageError, is_tag, parse_image
from gitops_rollback.late import dataclass, field, regex, replace
from gitops_rollback.manifest.document import (
    is_null,
    items_of,
    line_of,
    lookup,
    scalars_of,
    text_of,
)
from gitops_rollback.manifest.image_field import (
    DIGEST,
    EDITABLE,
    KUSTOMIZE,
    NAME,
    NO_IMAGE,
    TAG,
    VARIABLE_PROBLEM,
    Part,
    Place,
    Problem,
    split_version,
)
from gitops_rollback.manifest.scalars import read_scalar, refuse_duplicate_keys, spelling_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField

_ROLES = {"newName": NAME, "newTag": TAG, "digest": DIGEST}
_SIGNS = frozenset("*+?()[]{}|^$\\")  # of a name that is a regular expression, and none itself
NO_VERSION = Problem("it sets no tag or digest: the image it renames keeps its own")


@dataclass(frozen=True)
class ImageEntry:
    """An `images:` entry: the image name it is for, and the field it is.

    `new_name` is absent where the name stays; `suffix` is kustomize's `tagSuffix`; `version` is
    what one text says that is the whole entry (Argo CD's), tag and digest behind the name; `doubt`
    says why it may not count as it stands.
    """

    name: str
    new_name: str | None
    suffix: str
    field: ImageField
    version: str = ""
    doubt: str = ""

    @property
    def sets_version(self) -> bool:
        """Whether the entry replaces tag and digest."""
        return bool(self.version or self.field.version)

    @property
    def tag_and_digest(self) -> tuple[str, str]:
        """The tag and the digest that it sets; empty where it sets none."""
        if self.version:
            written, _, of_content = self.version.partition("@")
            return (written.removeprefix(":"), of_content)
        tag, digest = self.field.part(TAG), self.field.part(DIGEST)
        return (tag.text if tag else "", digest.text if digest else "")

    def under(self, other: ImageEntry) -> ImageEntry:
        """Return what Flux makes of the entry where its own has the same name: it is merged in.

        Tag and digest are one thing there (fluxcd/pkg, kustomize/kustomize_generator.go). Until
        July 2026 the whole entry was replaced: what Flux's own does not say is in doubt.
        """
        loses_name = self.new_name is not None and other.new_name is None
        loses_version = self.sets_version and not other.sets_version
        lost = "newName" if loses_name else "newTag or digest" if loses_version else ""
        doubt = f"releases of Flux differ in whether the {lost} of {self.field.place} counts"
        field = other.field if other.sets_version else self.field
        version = other.version if other.sets_version else self.version
        name = other.new_name or self.new_name
        doubt = doubt if lost else other.doubt
        return replace(self, new_name=name, field=field, version=version, doubt=doubt)


def read_entries(place: Place, images: yaml.Node | None) -> Iterator[ImageEntry]:
    """Yield the entries of an `images:` list in their order.

    Raises `ManifestError` where a key stands twice in one.
    """
    for index, node in enumerate(items_of(images)):
        entry = read_entry(place.below(f"/{index}"), node)
        if entry is not None:
            yield entry


def read_entry(place: Place, node: yaml.Node | None) -> ImageEntry | None:
    """Return one entry; None for what has no name. Raises `ManifestError` as `read_entries`.

    It bears no name of a workload, whosever it is.
    """
    name = lookup(node, "name")
    text = text_of(name)
    if node is None or not isinstance(name, yaml.ScalarNode) or not text:
        return None
    refuse_duplicate_keys(place.file.path, [node])
    parts = tuple(_parts(place.file, node))
    shown = split_version(text)[0] or text  # there may be a tag behind it
    new_name = next((p.text for p in parts if p.role == NAME and p.text), None)
    all_parts = parts or (Part(NAME, "name", read_scalar(place.file, name)),)
    field = replace(
        place.field(text, all_parts, KUSTOMIZE, _problem(parts, shown)),
        labels=frozenset(),
        shown_name=None if new_name else shown,
    )
    return ImageEntry(text, new_name, text_of(lookup(node, "tagSuffix")) or "", field)


def _parts(file: ParsedFile, node: yaml.Node) -> Iterator[Part]:
    known = {name.lower(): role for name, role in _ROLES.items()}  # kustomize takes any case
    found = {}
    for key, value in node.value:
        role = known.get((text_of(key) or "").lower())
        if role is not None and isinstance(value, yaml.ScalarNode):
            found[role] = Part(role, str(key.value), read_scalar(file, value))
    yield from (found[role] for role in _ROLES.values() if role in found)


def _problem(parts: tuple[Part, ...], name: str) -> Problem:
    texts = {part.role: part.text for part in parts}
    if not texts.get(TAG) and not texts.get(DIGEST):
        return NO_VERSION
    for part in parts:
        problem = spelling_problem(part.scalar)
        if problem:
            return problem
    own = texts.get(NAME) or ("image" if _SIGNS.intersection(name) else name)
    return version_problem(own, texts.get(TAG, ""), texts.get(DIGEST, ""))


def version_problem(name: str, tag: str, digest: str) -> Problem:
    """Return why name, tag and digest make no image, or none that can be edited."""
    if "${" in name + tag + digest:
        return VARIABLE_PROBLEM
    if "@" in tag and digest:
        return Problem("it names two digests")
    if tag and not is_tag(tag.partition("@")[0]):
        return Problem(f"'{tag}' is no tag")
    text = name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    try:
        parse_image(text)
    except InvalidImageError as error:
        return Problem(f"{error}:", NO_IMAGE)
    return EDITABLE


KUSTOMIZATION_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
COMPONENT = "Component"
_WORDS = """
    apiVersion kind metadata openapi namePrefix nameSuffix namespace commonLabels labels
    commonAnnotations patchesStrategicMerge patchesJson6902 patches images imageTags replacements
    replicas vars sortOptions resources components crds bases configMapGenerator secretGenerator
    helmGlobals helmCharts helmChartInflationGenerator generatorOptions configurations generators
    transformers validators buildMetadata
"""
FIELDS = frozenset(_WORDS.split())
_PLAIN = ("crds", "generators", "validators")
_RESOURCES = ("resources", "bases")
_IMAGES = ("images", "imageTags")
_MOVED = ("bases", "imageTags")  # into other fields, before it is looked whether there are any
_SUFFIXES = (".yaml", ".yml", ".json")

# By which objects get another name or kind, or are chosen by another text than their name.
_RENAMES = regex(r"allow(?:Name|Kind)Change|\[(?!name=)[^\]\n]*=")


@dataclass(frozen=True)
class Patch:
    """A patch of a kustomization: a file of its own, or text written into it.

    `by` is the file that has it, and `line` where; `path` is its own file's in the repository;
    `text` the inline text, `inline` the scalar it stands in. `target` chooses what is patched, and
    is absent where the patch says so itself.
    """

    by: str
    line: int
    path: str | None = None
    text: str = ""
    target: yaml.Node | None = field(default=None, repr=False, compare=False)
    options: yaml.Node | None = field(default=None, repr=False, compare=False)
    inline: yaml.ScalarNode | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Listed:
    """One text of a list that names files or folders, or has a configuration written into it.

    `path` is that of the repository; None for what stands elsewhere, or is written in place.
    """

    text: str
    line: int
    path: str | None
    node: yaml.Node | None = None

    @property
    def is_inline(self) -> bool:
        """Whether the text is a configuration itself."""
        return _is_inline(self.text)


@dataclass(frozen=True)
class Addition:
    """What is added to a kustomization before it is built, by what stands in a file.

    By Flux (fluxcd/pkg, kustomize generator), by an Application of Argo CD.
    """

    path: str
    line: int
    patches: tuple[Patch, ...] = ()
    json_patches: tuple[Patch, ...] = ()
    entries: tuple[ImageEntry, ...] = ()
    components: tuple[str, ...] = ()
    namespace: str = ""
    prefix: str = ""
    suffix: str = ""

    @property
    def changes_images(self) -> bool:
        """Whether it has more than names and a namespace, which touch no image."""
        return bool(self.patches or self.json_patches or self.entries or self.components)


@dataclass(frozen=True)
class Kustomization:
    """A kustomization file: paths are from the root of the repository, `remote` ones as written.

    Patches stand in the order in which kustomize applies them, but that `json_patches` come after
    names and namespaces were given.
    """

    path: str
    file: ParsedFile = field(repr=False)
    root: yaml.Node | None = field(repr=False)
    resources: tuple[str, ...]
    components: tuple[str, ...]
    remote: tuple[Listed, ...]
    patches: tuple[Patch, ...]
    json_patches: tuple[Patch, ...]
    entries: tuple[ImageEntry, ...]
    replacements: tuple[Listed, ...]
    transformers: tuple[Listed, ...]
    generators: tuple[Listed, ...]
    configurations: tuple[Listed, ...]
    namespace: str = ""
    prefix: str = ""
    suffix: str = ""
    generated: tuple[str, ...] = ()

    def added_to(self, more: Addition) -> Kustomization:
        """Return what becomes of it with what somebody adds before it is built."""
        return replace(
            self,
            components=(*self.components, *more.components),
            patches=(*self.patches, *more.patches),
            json_patches=(*self.json_patches, *more.json_patches),
            entries=merged_entries(self.entries, more.entries),
            namespace=more.namespace or self.namespace,
            prefix=more.prefix or self.prefix,
            suffix=more.suffix or self.suffix,
        )

    @property
    def folder(self) -> str:
        """The folder the kustomization stands for."""
        return posixpath.dirname(self.path)

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing: an empty list counts, but of the old fields that are moved."""
        fields = self.root.value if isinstance(self.root, yaml.MappingNode) else ()
        return all(
            text_of(key) in ("apiVersion", "kind")
            or is_null(value)
            or text_of(value) == ""
            or (text_of(key) in _MOVED and not items_of(value))
            for key, value in fields
        )

    @property
    def is_of_kustomize(self) -> bool:
        """Whether kind and apiVersion are those of a kustomization, where there are any."""
        kind, version = (text_of(lookup(self.root, key)) for key in ("kind", "apiVersion"))
        number = "v1alpha1" if kind == COMPONENT else "v1beta1"
        is_kind = kind in (None, "", "Kustomization", COMPONENT)
        return is_kind and version in (None, "", f"kustomize.config.k8s.io/{number}")

    @property
    def is_component(self) -> bool:
        """Whether it is a part of others, and nothing by itself."""
        return text_of(lookup(self.root, "kind")) == COMPONENT

    def line_of(self, key: str) -> int:
        """Return the line that a field stands in, counted from 1."""
        for name, _value in self.root.value if isinstance(self.root, yaml.MappingNode) else ():
            if text_of(name) == key:
                return line_of(name)
        return 1

    @property
    def copies(self) -> bool:
        """Whether it may write a part of one object's text into another's."""
        return bool(self.transformers) or lookup(self.root, "replacements") is not None

    @property
    def references(self) -> tuple[str, ...]:
        """All it takes from the repository: resources, components, files of patches and more."""
        listed = (*self.replacements, *self.transformers, *self.generators, *self.configurations)
        patches = (*self.patches, *self.json_patches)
        return (
            *self.resources,
            *self.components,
            *(patch.path for patch in patches if patch.path),
            *(one.path for one in listed if one.path),
        )

    @property
    def taken(self) -> tuple[str, ...]:
        """What has to be there, or the build fails, and does not make an image doubtful besides."""
        besides = [
            *(one for key in _PLAIN for one in items_of(lookup(self.root, key))),
            lookup(lookup(self.root, "openapi"), "path"),
        ]
        texts = (one for one in map(text_of, besides) if one and not _is_inline(one))
        paths = (path for text in texts if (path := inside(self.folder, text)) is not None)
        return (*self.resources, *self.generated, *paths)

    def named(self, taken: str) -> tuple[int, str]:
        """Return the line that something it takes is named in, and as what."""
        for _pointer, node in scalars_of(self.root):
            if node.value and inside(self.folder, node.value.rpartition("=")[2]) == taken:
                return line_of(node), node.value
        return 1, taken


def _generated(folder: str, root: yaml.Node | None) -> Iterator[str]:
    """Yield the files that the data of generated ConfigMaps and Secrets come from."""
    for key in ("configMapGenerator", "secretGenerator"):
        for item in items_of(lookup(root, key)):
            listed = [*items_of(lookup(item, "files")), *items_of(lookup(item, "envs"))]
            texts = (
                (text_of(one) or "").rpartition("=")[2] for one in (*listed, lookup(item, "env"))
            )
            yield from (path for text in texts if text and (path := inside(folder, text)))


def is_kustomization(path: str) -> bool:
    """Tell whether kustomize would read the file as a kustomization."""
    return posixpath.basename(path) in KUSTOMIZATION_NAMES


def may_copy(one: Kustomization, kind: str, name: str | None) -> bool:
    """Tell whether a kustomization may write a part of the text of some object into another's.

    `name` is None where the object may be called otherwise by then. The source of a replacement is
    named, by no pattern (api/types/replacement.go); one that stands in a file is not looked at.
    """
    listed = lookup(one.root, "replacements")
    if one.transformers or not isinstance(listed, yaml.SequenceNode):
        return one.copies
    for item in items_of(listed):
        source = lookup(item, "source")
        is_kind = text_of(lookup(source, "kind")) in (None, "", kind)
        if is_kind and (name is None or text_of(lookup(source, "name")) in (None, "", name)):
            return True
    return False


def may_rename(one: Kustomization) -> bool:
    """Tell whether objects may be called otherwise, or of another kind, once a kustomization did.

    So it is told, too, where what is copied is chosen by a text that an edit may change.
    """
    says_so = bool(one.prefix or one.suffix or one.transformers)
    return says_so or _RENAMES.search(one.file.text) is not None


def read_kustomization(file: ParsedFile) -> Kustomization:
    """Read a kustomization; raise `ManifestError` where a key of an entry stands twice."""
    root = spelled(file.trees[0] if file.trees else None, FIELDS)
    folder = posixpath.dirname(file.path)
    taken = [one for key in _RESOURCES for one in _listed(folder, lookup(root, key))]
    components = _listed(folder, lookup(root, "components"))

    def patches(key: str) -> tuple[Patch, ...]:
        return tuple(read_patches(file.path, lookup(root, key)))

    def text(key: str) -> str:
        return text_of(lookup(root, key)) or ""

    return Kustomization(
        path=file.path,
        file=file,
        root=root,
        resources=tuple(one.path for one in taken if one.path is not None),
        components=tuple(one.path for one in components if one.path is not None),
        remote=tuple(one for one in (*taken, *components) if one.path is None),
        patches=(*patches("patchesStrategicMerge"), *patches("patches")),
        json_patches=patches("patchesJson6902"),
        entries=entries_of(file),
        replacements=tuple(_replacements(folder, lookup(root, "replacements"))),
        transformers=tuple(_listed(folder, lookup(root, "transformers"))),
        generators=tuple(_listed(folder, lookup(root, "generators"))),
        configurations=tuple(_listed(folder, lookup(root, "configurations"))),
        namespace=text("namespace"),
        prefix=text("namePrefix"),
        suffix=text("nameSuffix"),
        generated=tuple(_generated(folder, root)),
    )


def merged_entries(
    own: Iterable[ImageEntry], added: Iterable[ImageEntry]
) -> tuple[ImageEntry, ...]:
    """Return the entries of a kustomization with those of Flux merged in, by their names.

    Those of the old `imageTags` come last, and are not looked at for a name.
    """
    listed = tuple(own)
    old = [one for one in listed if one.field.pointer.startswith("/imageTags/")]
    out = [one for one in listed if one not in old]
    for entry in added:
        index = next((n for n, one in enumerate(out) if one.name == entry.name), None)
        if index is None:
            out.append(entry)
        else:
            out[index] = out[index].under(entry)
    return (*out, *old)


def entries_of(file: ParsedFile) -> tuple[ImageEntry, ...]:
    """Return the `images:` entries of a kustomization file, with those of the old `imageTags:`."""
    return tuple(
        entry
        for number, root in enumerate(file.trees)
        for key in _IMAGES
        for entry in read_entries(
            Place(file, number, "Kustomization", "kustomization", f"/{key}"),
            lookup(spelled(root, FIELDS), key),
        )
    )


def patch_texts(file: ParsedFile) -> Iterator[yaml.ScalarNode]:
    """Yield the texts of the patches and transformers that are written into a kustomization."""
    for tree in file.trees if "patch" in file.text or "transformer" in file.text else ():
        root = spelled(tree, FIELDS)
        for listed in _listed("", lookup(root, "transformers")):
            if listed.is_inline and isinstance(listed.node, yaml.ScalarNode):
                yield listed.node
        for key in ("patchesStrategicMerge", "patches", "patchesJson6902"):
            for patch in read_patches("", lookup(root, key)):
                if patch.inline is not None:
                    yield patch.inline


def spelled(root: yaml.Node | None, names: Iterable[str]) -> yaml.Node | None:
    """Return a mapping whose keys are written as the fields are: kustomize takes any case.

    It reads JSON as Go does, for which `nameprefix` is `namePrefix` (encoding/json).
    """
    if not isinstance(root, yaml.MappingNode):
        return root
    known = {name.lower(): name for name in names}
    keys = {str(key.value) for key, _value in root.value if isinstance(key, yaml.ScalarNode)}
    if all(key in known.values() or key.lower() not in known for key in keys):
        return root
    pairs = []
    for key, value in root.value:
        name = known.get(str(key.value).lower(), "") if isinstance(key, yaml.ScalarNode) else ""
        if name and name not in keys:
            key = yaml.ScalarNode(key.tag, name, key.start_mark, key.end_mark)  # noqa: PLW2901
        pairs.append((key, value))
    return yaml.MappingNode(root.tag, pairs, root.start_mark, root.end_mark)


def inside(folder: str, text: str) -> str | None:
    """Return a path from the root of the repository; None for what is elsewhere."""
    if "://" in text or text.startswith(("git@", "git::", "/")) or "?ref=" in text:
        return None
    path = posixpath.normpath(posixpath.join(folder, text))
    if path == ".." or path.startswith("../"):  # of local files, people may name those above too
        return path if folder.startswith("..") else None
    return "" if path == "." else path


def read_patches(by: str, patches: yaml.Node | None, folder: str | None = None) -> Iterator[Patch]:
    """Yield the patches of a list in a file: of paths, inline texts, or both with targets.

    Paths are from that file's folder, unless another is given.
    """
    folder = posixpath.dirname(by) if folder is None else folder
    for item in items_of(patches):
        if isinstance(item, yaml.ScalarNode):  # patchesStrategicMerge: a path or an inline patch
            line, written = line_of(item), str(item.value)
            path = None if _is_inline(written) else inside(folder, written)
            yield Patch(by, line, path) if path else Patch(by, line, text=written, inline=item)
        else:
            yield read_patch(by, item, "patch", folder)


def _is_inline(text: str) -> bool:
    """Tell whether a text that could name a file is YAML or JSON itself."""
    return "\n" in text or text.lstrip().startswith("{")


def read_patch(by: str, item: yaml.Node, key: str, folder: str) -> Patch:
    """Return a patch that has a `path`, or its text under a key, beside its target."""
    target, options = lookup(item, "target"), lookup(item, "options")
    path, inline = text_of(lookup(item, "path")), lookup(item, key)
    if path:
        return Patch(by, line_of(item), inside(folder, path), "", target, options)
    if isinstance(inline, yaml.ScalarNode):
        line = line_of(inline)
        return Patch(by, line, None, str(inline.value), target, options, inline)
    return Patch(by, line_of(item), None, "", target, options)


def candidates(path: str) -> tuple[str, ...]:
    """Return the files that a path of a kustomization can mean: itself, or a folder's own."""
    if path.endswith(_SUFFIXES):
        return (path,)
    return (path, *(posixpath.join(path, name) for name in KUSTOMIZATION_NAMES))


def _listed(folder: str, texts: yaml.Node | None) -> list[Listed]:
    found = []
    for item in items_of(texts):
        text = text_of(item)
        if text:
            path = None if _is_inline(text) else inside(folder, text)
            found.append(Listed(text, line_of(item), path, item))
    return found


def _replacements(folder: str, replacements: yaml.Node | None) -> Iterator[Listed]:
    """Yield the files of replacements; those written in place have no path."""
    for item in items_of(replacements):
        path = text_of(lookup(item, "path"))
        line = line_of(item)
        yield Listed(path or "", line, inside(folder, path) if path else None)
