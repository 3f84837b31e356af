"""Patches as kustomize applies them: merges and JSON operations, to the objects they choose. Pure.

What is not followed is noted at the objects that it could change, and what would make the tool fail
at all of them (api/internal/builtins, PatchTransformer).
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.objects import (
    LOOK,
    Inline,
    Loose,
    Renewed,
    Resource,
    Unknown,
    Work,
    identity_of,
    read_selector,
)
from gitops_rollback.effective.tree import (
    TreeError,
    UnfollowedError,
    apply_operations,
    entries,
    find,
    operations,
    strategic_merge,
    with_path,
    without,
)
from gitops_rollback.errors import ManifestError
from gitops_rollback.late import dataclass, replace
from gitops_rollback.manifest.document import is_null, lookup, parse, text_of, walk
from gitops_rollback.manifest.kustomize import Patch, read_patch, read_patches
from gitops_rollback.manifest.objects import unlisted
from gitops_rollback.manifest.scalars import block_of
from gitops_rollback.manifest.scan import NULL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gitops_rollback.effective.objects import Identity, Selector
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField

# What a patch changes only where an option of it says so.
_CHANGES = {"allowNameChange": ("metadata", "name"), "allowKindChange": ("kind",)}
# The last steps to an image, or a part of one.
LAST_STEPS = frozenset({"image", "reference", "tag", "digest", "repository", "registry"})


class Patcher:
    """Applies patches to the objects of builds.

    `parsed` reads a file of the repository; `reveal` takes objects of a build that are known in
    outline for objects as any; `renewed` are the scalars that entries and replacements made, by
    their `id`; `inline` the patches that are written into files, as far as they were applied.
    """

    def __init__(
        self,
        parsed: Callable[[str], ParsedFile | None],
        reveal: Callable[[Work, Callable[[Resource], bool]], None],
        renewed: Mapping[int, Renewed],
        find_fields: Callable[[ParsedFile], tuple[ImageField, ...]],
        *,
        has_own_schema: bool,
    ) -> None:
        self.parsed = parsed
        self.reveal = reveal
        self.renewed = renewed
        self.find_fields = find_fields
        self.has_own_schema = has_own_schema
        self.inline: dict[int, Inline] = {}

    def apply(self, patch: Patch, work: Work) -> None:
        """Apply a patch to the objects it is for."""
        name = f"patch {patch.path}" if patch.path else "patch"
        doubt = Unknown(patch.by, patch.line, name, "", LOOK)
        try:
            file, roots = self._roots(patch)
            target = read_selector(patch.target)
            self.reveal(work, partial(_may_choose, target, list(map(identity_of, roots))))
            chosen = [target is None or target.chooses(one) for one in work.resources]
        except (TreeError, ManifestError) as error:
            work.doubt(replace(doubt, why=str(error)))
            return
        work.paths.append(file.path if patch.path else patch.by)
        is_json = any(isinstance(root, yaml.SequenceNode) for root in roots)
        one = _Applied(self, patch, file, doubt, work)
        if target is None and (is_json or not roots):
            one.fail(f"{'a JSON' if is_json else 'an empty'} patch needs a target")
        elif target is not None and len(roots) != 1:
            one.fail("one patch with a target has one document")
        elif is_json:
            one.operate(roots[0], chosen)
        elif target is not None:
            one.merge_chosen(roots[0], chosen)
        else:
            for root in roots:
                one.merge_named(root)
        work.resources = [one for one in work.resources if not is_null(one.node)]

    def _roots(self, patch: Patch) -> tuple[ParsedFile, list[yaml.Node]]:
        """Return a patch's documents, and the file they stand in; inline ones are parsed."""
        if patch.path is not None:
            file = self.parsed(patch.path)
            if file is None:
                raise TreeError(f"{patch.path} is not there, or cannot be read")
            _refuse_brackets(file.text)
        elif patch.inline is None:
            raise TreeError("the patch has neither path nor patch")
        else:
            file = self._inline(patch, patch.inline)
        roots = [root for root in file.trees if root is not None and not is_null(root)]
        every = [one for root in roots for _pointer, one in unlisted(root)]
        for root in every:
            named = (lookup(root, "kind"), find(root, "metadata", "name"))
            if not isinstance(root, yaml.SequenceNode) and not all(map(text_of, named)):
                raise TreeError("kustomize reads no patch that lacks its kind or metadata.name")
        return file, every

    def _inline(self, patch: Patch, scalar: yaml.ScalarNode) -> ParsedFile:
        if id(scalar) not in self.inline:
            if patch.text[:1] == " ":  # kustomize writes the text anew, and cannot read that
                raise TreeError("kustomize fails where the first line of a patch is indented")
            _refuse_brackets(patch.text.strip())
            offset = 1 if scalar.style in ("|", ">") else 0
            file, by = self.parsed(patch.by), patch.by
            parsed = parse(by, patch.text.encode()) if file is None else block_of(file, scalar)
            self.inline[id(scalar)] = Inline(parsed, by, patch.line - 1 + offset, scalar)
        return self.inline[id(scalar)].file


@dataclass(frozen=True)
class _Applied:
    """A patch that is applied to the objects of a build: of a file, with its doubt."""

    patcher: Patcher
    patch: Patch
    file: ParsedFile
    doubt: Unknown
    work: Work

    def fail(self, why: str) -> None:
        """Note that the build fails by it."""
        self.work.failures.append(replace(self.doubt, why=why))

    def operate(self, root: yaml.Node, chosen: Sequence[bool]) -> None:
        """Do the operations of a JSON patch to the objects that its target chose."""
        try:
            steps = operations(root)
        except TreeError as error:
            self.fail(str(error))
            return
        resources = self.work.resources
        for index, fits in enumerate(chosen):
            try:
                node = apply_operations(resources[index].node, steps) if fits else None
            except TreeError as error:
                self.fail(str(error))
                continue
            if node is not None:
                resources[index] = self._patched(resources[index], node)

    def merge_chosen(self, root: yaml.Node, chosen: Sequence[bool]) -> None:
        """Merge it into the objects that its target chose."""
        for index, fits in enumerate(chosen):
            if fits:
                self._merge(index, root)
        if self.work.unread and not any(chosen):
            self._loosen(root)

    def merge_named(self, root: yaml.Node) -> None:
        """Merge it into the one object that it names itself."""
        wanted = identity_of(root)
        found = [n for n, one in enumerate(self.work.resources) if one.has_been(wanted)]
        name = f"{wanted.kind} {wanted.name}"
        if len(found) > 1:
            self.fail(f"it is for {name}, of which there are several: the build fails")
        elif found:
            self._merge(found[0], root)
        elif self.work.unread:
            self._loosen(root)
        else:
            why = f"there is no {name} of that version and namespace to patch: the build fails"
            self.fail(why)

    def _loosen(self, root: yaml.Node) -> None:
        """Note a patch that met no object: it may be for one that is not known."""
        inside_root = {id(node) for node in walk(root)}
        fields = self.patcher.find_fields(self.file)
        loose = (field for field in fields if id(field.scalar.node) in inside_root)
        self.work.loose += [Loose(one, tuple(self.work.unread)) for one in loose]

    def _merge(self, index: int, root: yaml.Node) -> None:
        resource = self.work.resources[index]
        if self.patcher.has_own_schema:
            why = "a patch is merged by a schema of its own (openapi)"
            resource = resource.doubted(replace(self.doubt, why=why))
        try:
            node = strategic_merge(resource.node, _nameless(root))
        except UnfollowedError as error:
            self.work.resources[index] = resource.doubted(replace(self.doubt, why=str(error)))
            return
        except TreeError as error:
            self.fail(str(error))
            return
        if node is None:
            gone = yaml.ScalarNode(NULL, "", resource.node.start_mark, resource.node.end_mark)
            self.work.resources[index] = replace(resource, node=gone)
            return
        new = self._patched(resource, node)
        for option, keys in _CHANGES.items():
            value = find(root, *keys)
            is_allowed = text_of(lookup(self.patch.options, option)) == "true"
            if is_allowed and value is not None and text_of(value):
                new = replace(new, node=with_path(new.node, keys, value))
        if new.identity != resource.identity:
            new = replace(new, earlier=(*new.earlier, resource.identity))
        self.work.resources[index] = new

    def _patched(self, resource: Resource, node: yaml.Node) -> Resource:
        """Return an object after a patch, with the images that the patch put others in place of."""
        before = dict(images_in(resource.node))
        over = dict(resource.over)
        for key, image in images_in(node):
            old = before.get(key)
            if old is not None and old is not image:
                place = f"{resource.path}:{old.start_mark.line + 1}"
                over[id(image)] = (*over.get(id(old), ()), self._place_of(old, place))
        return replace(resource.with_node(node, self.file.path), over=over)

    def _place_of(self, node: yaml.Node, place: str) -> str:
        """Return the place of an image that was replaced: that of its entry, where one made it."""
        made = self.patcher.renewed.get(id(node))
        return made.entry.field.place if made is not None and made.entry is not None else place


def _may_choose(target: Selector | None, wanted: Sequence[Identity], one: Resource) -> bool:
    """Tell whether a patch may be for an object of which not more than an outline is known."""
    if target is None:
        return any(map(one.has_been, wanted))
    return replace(target, labels="", annotations="").chooses(one)


def _refuse_brackets(text: str) -> None:
    """Raise `TreeError` for a list in brackets that is YAML alone: kustomize takes it for JSON."""
    if not text.startswith("["):
        return
    try:
        json.loads(text)
    except ValueError as error:
        raise TreeError("a patch that begins with [ has to be JSON") from error


def images_in(node: yaml.Node | None) -> Iterator[tuple[tuple[str, ...], yaml.ScalarNode]]:
    """Yield the image scalars of an object by where they stand: containers by their names."""
    waiting: list[tuple[tuple[str, ...], yaml.Node]] = [((), node)] if node is not None else []
    while waiting:
        path, one = waiting.pop()
        if isinstance(one, yaml.SequenceNode):
            for index, item in enumerate(one.value):
                waiting.append(((*path, text_of(lookup(item, "name")) or str(index)), item))
        for key, value in entries(one).items():
            if not isinstance(value, yaml.ScalarNode):
                waiting.append(((*path, key), value))
            elif key in LAST_STEPS or key.endswith(("Image", "Tag")):
                yield (*path, key), value


def _nameless(root: yaml.Node) -> yaml.Node:
    """Return a patch without what it is chosen by: kustomize keeps the object's own."""
    node: yaml.Node = root
    for key in ("apiVersion", "kind"):
        node = without(node, key)
    metadata = lookup(node, "metadata")
    assert metadata is not None  # noqa: S101 - it has its name
    rest = without(without(metadata, "name"), "namespace")
    return with_path(node, ("metadata",), rest) if rest.value else without(node, "metadata")


def patches_of(node: yaml.Node, by: str, folder: str) -> list[Patch]:
    """Return the patches that a transformer holds, which stands in a file; paths are of a folder.

    That is the folder of the kustomization that names it, wherever the file stands.
    """
    kind = text_of(lookup(node, "kind"))
    if kind != "PatchStrategicMergeTransformer":
        return [read_patch(by, node, "patch" if kind == "PatchTransformer" else "jsonOp", folder)]
    inline = lookup(node, "patches")
    found = list(read_patches(by, lookup(node, "paths"), folder))
    if isinstance(inline, yaml.ScalarNode):
        line = node.start_mark.line + 1
        found.append(Patch(by, line, text=str(inline.value), inline=inline))
    return found
