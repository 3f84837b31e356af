"""What a real kustomize is to build, and what that proves of an edit. Pure.

Nothing that it would fetch, run or inflate is ever built: whatever a kustomization names has to be
a file or a folder of the repository (api/types/kustomization.go, v5, says where it names any; its
loader fetches what begins with http, api/internal/loader), and what generates or transforms has to
be built in. The folder that a root applies is built as it stands and as it would be: between the
two an image may become the one that is meant, and nothing else may differ. What was proven so is
written down with the blobs that were built: where they are the same, it is proven still.
"""

from __future__ import annotations

import json
import posixpath
from hashlib import new
from typing import TYPE_CHECKING, Any

import yaml

from gitops_rollback.effective.effect import OTHER, UNKNOWN, Finding
from gitops_rollback.effective.grammar import GENERATORS, TRANSFORMERS
from gitops_rollback.effective.objects import identity_of
from gitops_rollback.effective.tree import entries, find
from gitops_rollback.errors import ManifestError
from gitops_rollback.image import find_image, may_be
from gitops_rollback.late import dataclass, field
from gitops_rollback.manifest.compare import differences
from gitops_rollback.manifest.document import (
    is_null,
    items_of,
    lookup,
    parse,
    parse_once,
    scalars_of,
    text_of,
)
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.kustomize import KUSTOMIZATION_NAMES, inside
from gitops_rollback.model import one_line, some

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from gitops_rollback.effective.effect import Effect, Landed
    from gitops_rollback.image import ImageReference
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import FieldKey, ImageField

_TAKEN = ("resources", "bases", "components")  # files, or folders with a kustomization
_PLUGINS = ("generators", "transformers", "validators")  # the same, or written in place
_PLAIN = ("crds", "configurations")  # files
_MERGED = ("patchesStrategicMerge",)  # files, or written in place
_NESTED = ("patches", "patchesJson6902", "replacements")  # items that may have a `path`
_GENERATED = ("configMapGenerator", "secretGenerator")
_HELM = ("helmCharts", "helmChartInflationGenerator")
_INFLATES = "HelmChartInflationGenerator"
_FUNCTIONS = ("config.kubernetes.io/function", "config.k8s.io/function")
_DEEPEST = 50  # folders that take each other


class NotBuiltError(Exception):
    """Raised for what no tool is started for; the text says why, for people."""


@dataclass(frozen=True)
class Recipe:
    """What is built to get what a root applies.

    `folder` is the kustomization's, "" for the repository's root. Where it has none, Flux makes one
    of `resources`. `namespace`, `prefix` and `suffix` are what Flux sets in it, empty for nothing.
    """

    folder: str
    resources: tuple[str, ...] = ()
    namespace: str = ""
    prefix: str = ""
    suffix: str = ""

    @property
    def title(self) -> str:
        """What people call it."""
        return self.folder or "."

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in plans."""
        every = {
            "folder": self.title,
            "resources": list(self.resources),
            "namespace": self.namespace,
            "prefix": self.prefix,
            "suffix": self.suffix,
        }
        return {key: value for key, value in every.items() if value}


def read_recipe(document: Mapping[str, Any]) -> Recipe:
    """Read a recipe as plans hold it."""
    folder = document["folder"]
    return Recipe(
        "" if folder == "." else folder,
        tuple(document.get("resources", ())),
        document.get("namespace", ""),
        document.get("prefix", ""),
        document.get("suffix", ""),
    )


def files_of(recipe: Recipe, there: Collection[str], files: Mapping[str, bytes]) -> frozenset[str]:
    """Return the paths that a recipe reads; those of them that are not in `files` may name more.

    `there` are all paths of the repository, `files` the bytes of those that were read. Raises
    `NotBuiltError` for what no tool is started for.
    """
    sources = _Sources(there, files)
    if not recipe.resources:
        sources.folder(recipe.folder, recipe.title, 0)
    for path in recipe.resources:
        sources.take(recipe.folder, posixpath.relpath(path, recipe.folder or "."), "Flux", 0)
    return frozenset(sources.wanted)


class _Sources:
    """The files that a recipe reads, as they are found."""

    def __init__(self, there: Collection[str], files: Mapping[str, bytes]) -> None:
        self._there = there
        self._files = files
        self.wanted: set[str] = set()
        self._seen: set[tuple[str, str | None]] = set()

    def folder(self, folder: str, by: str, depth: int, *, plugins_of: str | None = None) -> None:
        """Take a kustomization with all that it names."""
        names = [posixpath.join(folder, name) for name in KUSTOMIZATION_NAMES]
        found = [path for path in names if path in self._there]
        if len(found) != 1:
            number = "no kustomization" if not found else "two kustomizations"
            raise NotBuiltError(f"{by} takes {folder or '.'}/, which has {number}")
        if (folder, plugins_of) in self._seen:
            return
        self._seen.add((folder, plugins_of))
        if depth > _DEEPEST:
            raise NotBuiltError(f"{by}: more than {_DEEPEST} folders take each other")
        file = self._read(found[0])
        roots = _roots(file)
        if len(roots) > 1:
            raise NotBuiltError(f"{found[0]} has several documents")
        for root in roots:
            self._kustomization(root, found[0], folder, depth, plugins_of)

    def _kustomization(
        self, root: yaml.Node, path: str, folder: str, depth: int, plugins_of: str | None
    ) -> None:
        """Take all that a kustomization names; `plugins_of` tells that it configures plugins."""
        listed = [
            (key, item, f"{path}:{item.start_mark.line + 1}: {key}")
            for key in (*_TAKEN, *_PLUGINS, *_PLAIN, *_MERGED, *_NESTED, *_GENERATED)
            for item in items_of(_value(root, key))
        ]
        for key, item, by in listed:
            if key in _TAKEN:
                self.take(folder, text_of(item), by, depth, plugins_of)
            elif key in _PLUGINS:
                self._plugin(folder, item, by, depth)
            elif key in _PLAIN:
                self._file(folder, text_of(item), by)
            elif key in _MERGED:
                self._inline_or_file(folder, item, by)
            elif key in _NESTED:
                self._named(folder, _value(item, "path"), by)
            else:
                self._generated(folder, item, by)
        self._named(folder, _value(_value(root, "openapi"), "path"), f"{path}: openapi")
        if any(_value(root, key) is not None for key in _HELM):
            raise NotBuiltError(f"{path}: charts are not inflated")

    def take(
        self, folder: str, text: str | None, by: str, depth: int, plugins_of: str | None = None
    ) -> None:
        """Take a file, or a folder with a kustomization."""
        path = inside(folder, text or "")
        if path is None or "\n" in (text or ""):
            raise NotBuiltError(f"{by}: {one_line(text or 'it', 80)} is not in this repository")
        if path not in self._there:
            self.folder(path, by, depth + 1, plugins_of=plugins_of)
            return
        file = self._read(path)
        if plugins_of is not None and file is not None:
            self._check_plugins(file, plugins_of, by)

    def _plugin(self, folder: str, item: yaml.Node, by: str, depth: int) -> None:
        """Take what configures a generator or a transformer: in place, a file or a folder."""
        inline = _object_in(item)
        if inline is not None:
            self._check_plugins(inline, folder, by)
        else:
            self.take(folder, text_of(item), by, depth, plugins_of=folder)

    def _check_plugins(self, file: ParsedFile, folder: str, by: str) -> None:
        """Refuse what is not built in, and take the files that the rest names."""
        for root in _roots(file):
            identity = identity_of(root)
            annotations = entries(find(root, "metadata", "annotations"))
            is_known = identity.kind in TRANSFORMERS or identity.kind in GENERATORS
            is_builtin = identity.is_builtin and is_known
            if not is_builtin or any(name in annotations for name in _FUNCTIONS):
                what = identity.kind or "what it names"
                raise NotBuiltError(f"{by}: {what} is not built in, and no plugin is run")
            if identity.kind == _INFLATES:
                raise NotBuiltError(f"{by}: charts are not inflated")
            self._named(folder, _value(root, "path"), by)
            for item in items_of(_value(root, "paths")):
                self._inline_or_file(folder, item, by)
            for item in items_of(_value(root, "replacements")):
                self._named(folder, _value(item, "path"), by)
            self._generated(folder, root, by)

    def _generated(self, folder: str, item: yaml.Node, by: str) -> None:
        """Take the files that the data of a ConfigMap or Secret come from."""
        for node in items_of(_value(item, "files")):
            self._file(folder, (text_of(node) or "").rpartition("=")[2], by)
        for node in items_of(_value(item, "envs")):
            self._file(folder, text_of(node), by)
        self._named(folder, _value(item, "env"), by)

    def _inline_or_file(self, folder: str, item: yaml.Node, by: str) -> None:
        if _object_in(item) is None:
            self._file(folder, text_of(item), by)

    def _named(self, folder: str, node: yaml.Node | None, by: str) -> None:
        if text_of(node):
            self._file(folder, text_of(node), by)

    def _file(self, folder: str, text: str | None, by: str) -> None:
        path = inside(folder, text or "")
        if path is None or path not in self._there:
            raise NotBuiltError(f"{by}: {one_line(text or 'it', 80)} is no file of this repository")
        self.wanted.add(path)

    def _read(self, path: str) -> ParsedFile | None:
        """Return a file, parsed; None where it was not read yet."""
        self.wanted.add(path)
        if path not in self._files:
            return None
        try:
            return parse_once(path, self._files[path])
        except ManifestError as error:
            raise NotBuiltError(error.message) from error


def as_applied(recipe: Recipe, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the kustomization of a recipe as Flux makes it; nothing where it leaves it as it is.

    fluxcd/pkg, kustomize/kustomize_generator.go: one without a kustomization gets one of all that
    is there, and the namespace, the prefix and the suffix are set in it. Raises `NotBuiltError`
    where that cannot be written without reading the file as something else than kustomize does.
    """
    wanted = {
        "namespace": recipe.namespace,
        "namePrefix": recipe.prefix,
        "nameSuffix": recipe.suffix,
    }
    told = {key: value for key, value in wanted.items() if value}
    if recipe.resources:
        taken = [posixpath.relpath(path, recipe.folder or ".") for path in recipe.resources]
        made = {"resources": taken, **told}
        return {posixpath.join(recipe.folder, KUSTOMIZATION_NAMES[0]): json.dumps(made).encode()}
    if not told:
        return {}
    names = (posixpath.join(recipe.folder, name) for name in KUSTOMIZATION_NAMES)
    path = next(name for name in names if name in files)
    try:
        return {path: _with_texts(path, files[path], told)}
    except ManifestError as error:
        raise NotBuiltError(f"{path}: {', '.join(told)} cannot be set there: {error}") from error


def _with_texts(path: str, data: bytes, texts: Mapping[str, str]) -> bytes:
    """Return a kustomization with some texts set at its top."""
    text = parse(path, data).text
    for key, value in texts.items():
        root = parse(path, text.encode()).documents[0]
        written = json.dumps(value)
        node = lookup(root, key)
        if isinstance(node, yaml.ScalarNode):
            text = text[: node.start_mark.index] + written + text[node.end_mark.index :]
        elif isinstance(root, yaml.MappingNode) and not root.flow_style and node is None:
            text = f"{text.rstrip()}\n{key}: {written}\n"
        else:
            raise NotBuiltError(f"{path}: {key} cannot be set there, as Flux does")
    found = parse(path, text.encode())
    read = {key: text_of(lookup(found.documents[0], key)) for key in texts}
    if len(found.documents) != 1 or read != dict(texts):
        raise NotBuiltError(f"{path}: {', '.join(texts)} cannot be set there, as Flux does")
    return text.encode()


def _object_in(item: yaml.Node) -> ParsedFile | None:
    """Return what is written in place of a path: objects that say what they are, else None.

    kustomize takes a text for a path where it reads no objects in it.
    """
    try:
        file = parse("", (text_of(item) or "").encode())
    except ManifestError:
        return None
    roots = _roots(file)
    return file if roots and all(_says_what_it_is(root) for root in roots) else None


def _roots(file: ParsedFile | None) -> list[yaml.Node]:
    """Return the documents of a file that say anything."""
    return [root for root in file.trees if root and not is_null(root)] if file is not None else []


def _says_what_it_is(root: yaml.Node) -> bool:
    identity = identity_of(root)
    return bool(identity.kind and identity.name and identity.version)


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """Return the value of a key in any case, as Go reads JSON (encoding/json).

    Raises `NotBuiltError` where several keys may be meant.
    """
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    found = [value for name, value in pairs if (text_of(name) or "").casefold() == key.casefold()]
    if len(found) > 1:
        raise NotBuiltError(f"line {found[1].start_mark.line + 1}: {key} stands there twice")
    return found[0] if found else None


MODEL = "model"
BUILD = "build"
RESTORED = "restored"
ACCEPTED = "accepted"
_SHA1_LENGTH = 40
_MOST_SHOWN = 3
_HINT = "look at what the overlays make of it, then deploy with --accept effect"


@dataclass(frozen=True)
class Proof:
    """What proves that an edit takes effect.

    `by` is `model` where the files were followed, `build` where a tool of some version built the
    `recipes`, `restored` where a rollback brings back an effect that was there, `accepted` where
    nothing proves it and a person took it all the same. `tree` are the blobs that were built, by
    path; `edited` those that the edit makes of them.
    """

    by: str
    tool: str = ""
    version: str = ""
    recipes: tuple[Recipe, ...] = ()
    tree: Mapping[str, str] = field(default_factory=dict)
    edited: Mapping[str, str] = field(default_factory=dict)

    def covers(
        self, recipes: Iterable[Recipe], tree: Mapping[str, str], edited: Mapping[str, str]
    ) -> bool:
        """Tell whether it is of these builds still: the same blobs, and the same edit of them."""
        is_build = self.by == BUILD and set(recipes) <= set(self.recipes)
        return is_build and self.tree == tree and self.edited == edited

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in plans and results."""
        if self.by != BUILD:
            return {"by": self.by}
        return {
            "by": self.by,
            "tool": self.tool,
            "version": self.version,
            "builds": [recipe.to_json() for recipe in self.recipes],
            "tree": dict(sorted(self.tree.items())),
            "edited": dict(sorted(self.edited.items())),
        }


def read_proof(document: Mapping[str, Any]) -> Proof:
    """Read a proof as plans hold it, which the schema has checked."""
    return Proof(
        by=document["by"],
        tool=document.get("tool", ""),
        version=document.get("version", ""),
        recipes=tuple(read_recipe(one) for one in document.get("builds", ())),
        tree=document.get("tree", {}),
        edited=document.get("edited", {}),
    )


def blob_id(data: bytes, commit: str) -> str:
    """Return the id that a blob has in the repository of a commit: git's own hash of it."""
    blob = b"blob %d\0" % len(data) + data
    return new("sha1" if len(commit) == _SHA1_LENGTH else "sha256", blob).hexdigest()


@dataclass(frozen=True)
class Built:
    """What a tool made of a recipe, as it stands and as it would be."""

    recipe: Recipe
    before: bytes
    after: bytes


@dataclass(frozen=True)
class Reached:
    """What the model knows of a root, and what is meant: the edited fields with their images.

    `kinds` and `pointers` say where further images stand.
    """

    was: Effect
    meant: Mapping[FieldKey, ImageReference]
    kinds: Mapping[str, str]
    pointers: tuple[str, ...] = ()

    def landed(self, recipe: Recipe) -> dict[tuple[str, ...], Landed]:
        """Return the images of a recipe by kind, namespace, name and container."""
        return {one.place[1:]: one for one in self.was.landed if one.recipe == recipe}

    def is_meant(self, image: ImageField) -> bool:
        """Tell whether an image is one that is meant; of one without a name, by its version."""
        return any(_is(image, one) for one in self.meant.values())

    def names(self, node: yaml.ScalarNode) -> bool:
        """Tell whether a text is an image that is meant, with its name."""
        return find_image(str(node.value)) in self.meant.values()

    def is_ours(self, image: ImageField) -> bool:
        """Tell whether an image is of a repository that is edited."""
        found = find_image(image.effective)
        ours = {one.full_repository for one in self.meant.values()}
        return found is not None and found.full_repository in ours


def judge_build(built: Built, reached: Reached) -> tuple[Finding, ...]:
    """Return what stands against an edit, as a build before it and after it shows.

    Another image than was meant, and an image that stays though its field was edited, are `other`;
    whatever else differs is not proven.
    """
    where = built.recipe.title
    try:
        before, after = (parse(f"{where} (built)", one) for one in (built.before, built.after))
        old, new_ = (_fields(file, reached) for file in (before, after))
    except ManifestError as error:
        return (_unknown(f"what is built of {where} cannot be read: {error.message}"),)
    both = [(one, new_[key]) for key, one in old.items() if key in new_]
    changed = [pair for pair in both if _moved(*pair)]
    kept = (pair[1] for pair in both if not _moved(*pair))
    found = [finding for pair in changed for finding in _of_changed(*pair, built.recipe, reached)]
    found += [finding for one in kept for finding in _of_kept(one, built.recipe, reached)]
    found += _rest(before, after, [new for _old, new in changed], built.recipe, reached)
    if not changed:
        found.append(_unknown(f"what is built of {where} stays as it is: the edit has no effect"))
    return tuple(dict.fromkeys(found))


def _fields(file: ParsedFile, reached: Reached) -> dict[tuple[int, str], ImageField]:
    found = find_fields(file, reached.kinds, reached.pointers)
    return {(one.document, one.pointer): one for one in found}


def _moved(old: ImageField, new_: ImageField) -> bool:
    return [part.text for part in old.parts] != [part.text for part in new_.parts]


def _of_changed(
    old: ImageField, new_: ImageField, recipe: Recipe, reached: Reached
) -> Iterator[Finding]:
    """Yield that an image became another than was meant, or that it was not to change."""
    one = reached.landed(recipe).get(_place(new_))
    if not reached.is_meant(new_):
        what = f"{new_.effective} would take effect in {_title(new_, recipe)}"
        yield _other(f"after the edit {what}, as it is built{_because(one)}", new_)
        return
    if new_.reported_only:
        yield _other(f"{_title(new_, recipe)} would change, whose template is immutable", new_)
    decided_elsewhere = one is not None and one.decider not in reached.meant and not one.unknowns
    if decided_elsewhere or not (reached.is_ours(old) or one is not None):
        yield _other(
            f"the edit changes more than was meant: {_title(new_, recipe)} would be "
            f"{new_.effective}, as it is built",
            new_,
        )


def _of_kept(one: ImageField, recipe: Recipe, reached: Reached) -> Iterator[Finding]:
    """Yield that an image stays, though its field was edited, or though nobody says whose it is."""
    if reached.is_meant(one):
        return
    known = reached.landed(recipe).get(_place(one))
    if known is not None and known.decider in reached.meant:
        what = f"{_title(one, recipe)} stays {one.effective}"
        yield _other(f"after the edit {what}, as it is built{_because(known)}", one)
    elif known is None and reached.is_ours(one):
        yield _unknown(f"{_title(one, recipe)} stays {one.effective}, as it is built")


def _rest(
    before: ParsedFile,
    after: ParsedFile,
    changed: Iterable[ImageField],
    recipe: Recipe,
    reached: Reached,
) -> Iterator[Finding]:
    """Yield what differs beside the images; what may be one is named as the configuration would."""
    parts = {id(part.scalar.node) for one in changed for part in one.parts}
    scalars = [
        (number, pointer, node)
        for number, root in enumerate(after.documents)
        for pointer, node in scalars_of(root)
    ]
    ignored = [(number, pointer) for number, pointer, node in scalars if id(node) in parts]
    found = differences(before, after, ignored)
    if not found:
        return
    shown = some([one.what for one in found], _MOST_SHOWN, "; ")
    message = f"what is built of {recipe.title} differs in more than the image: {shown}"
    images = (p for _number, p, node in scalars if id(node) not in parts and reached.names(node))
    image = next(images, "")
    hint = f'if it is an image too, configure its place: fields = ["{image}"]; or {_HINT}'
    yield Finding(UNKNOWN, message, hint if image else _HINT)


def _is(one: ImageField, image: ImageReference) -> bool:
    found = find_image((one.name_text or image.name) + one.version)
    return found is not None and may_be(found, image)


def _because(one: Landed | None) -> str:
    """Name what the model does not follow of an image: that is what made it another."""
    return f" ({one.unknowns[0].text})" if one is not None and one.unknowns else ""


def _place(one: ImageField) -> tuple[str, ...]:
    return (one.kind, one.namespace, one.name, one.container)


def _title(one: ImageField, recipe: Recipe) -> str:
    return f"{one.kind} {one.name}, container '{one.container}' (by {recipe.title})"


def _other(message: str, one: ImageField) -> Finding:
    hint = (
        f"look at what the overlays make of {one.kind} {one.name}, and set the image where they do"
    )
    return Finding(OTHER, message, hint)


def _unknown(message: str) -> Finding:
    return Finding(UNKNOWN, message, _HINT)
