"""Replacements of kustomize: a text copied from one object into places of others. Pure.

api/types/replacement.go and api/filters/replacement: what is plain is done, the rest raises.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.images import TO_PODS, Path, put
from gitops_rollback.effective.objects import Identity, Renewed
from gitops_rollback.effective.tree import OPAQUE, TreeError, entries, text_node
from gitops_rollback.late import dataclass, regex
from gitops_rollback.manifest.document import is_null, items_of, lookup, text_of
from gitops_rollback.manifest.image_field import EDITABLE
from gitops_rollback.manifest.patterns import UnreadablePatternError, go_pattern
from gitops_rollback.model import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gitops_rollback.effective.objects import Resource
    from gitops_rollback.manifest.image_field import Problem

_STEP = regex(r"(?:\[[^\]]*\]|[^.\[\]])+")
_CHOICE = regex(r"\[(?P<key>[^=\]]+)=(?P<value>[^\]]*)\]")
# What an image can stand in, or below: a target elsewhere cannot touch one.
_ABOVE_IMAGES = TO_PODS | {"containers", "initContainers"}
_PLACES = frozenset({"image", "reference", "tag"})  # where an image, or its tag, surely is
_WHOLE = frozenset({"image", "reference"})
_NARROW = frozenset({"labels", "matchLabels", "selector", "name"})
_IMAGES = frozenset({"image", "reference", "tag", "digest", "repository", "registry", "version"})


class BuildError(TreeError):
    """Raised for what makes kustomize fail; the text says why, for people."""


@dataclass(frozen=True)
class Target:
    """The places that a replacement writes to, and in which objects."""

    select: dict[str, str]
    reject: tuple[dict[str, str], ...]
    paths: tuple[tuple[str, ...], ...]
    delimiter: str
    index: int
    creates: bool


@dataclass(frozen=True)
class Replacement:
    """What is copied, and where to; what names no version means none where it `is_exact`."""

    source: dict[str, str]
    path: tuple[str, ...]
    delimiter: str = ""
    index: int = 0
    targets: tuple[Target, ...] = ()
    is_exact: bool = False

    @property
    def touches_images(self) -> bool:
        """Whether some target is a place where an image can stand."""
        return any(_is_near_images(path) for target in self.targets for path in target.paths)

    def concerns(self, resource: Resource) -> bool:
        """Tell whether an object is what is copied from, or is written to."""
        if self.copies(resource):
            return True
        return any(_is_chosen(resource, target) for target in self.targets)

    def copies(self, resource: Resource) -> bool:
        """Tell whether it copies from an object."""
        if not self.is_exact:
            return _fits(resource, self.source)
        wanted = {key: self.source.get(key, "") for key in ("group", "version", "kind", "name")}
        found = (*resource.earlier, resource.identity)
        return any(
            _has(one, self.source) and all(vars(one)[key] == wanted[key] for key in wanted)
            for one in found
        )


@dataclass(frozen=True)
class Passed:
    """A text that a replacement writes to a place of some object: from which scalar, and where to.

    `first` is what the object was called in its file, or is chosen by where it was not read. No
    digest can stand in what `is_narrow`: a label, a name, or a text that is no whole image.
    """

    source: yaml.ScalarNode
    text: str
    first: Identity
    pointer: str
    by: str
    is_narrow: bool


def passed_on(replacement: Replacement, among: Sequence[Resource], by: str) -> Iterator[Passed]:
    """Yield what a replacement, which stands in `by`, writes, and where: to images too."""
    try:
        _origin, source, text = _value(replacement, among)
    except TreeError:
        return
    is_part = bool(replacement.delimiter) or _WHOLE.isdisjoint(replacement.path[-1:])
    for target in replacement.targets:
        select = {key: target.select.get(key, "") for key in Identity.__annotations__}
        chosen = [one for one in among if _is_chosen(one, target)]
        for path in target.paths:
            for one in chosen:
                is_image = _is_near_images(path) and path[-1] in _PLACES
                is_narrow = not is_image and (is_part or not _NARROW.isdisjoint(path))
                places = [place for place, _node in _at(one.node, path, ())] or [path]
                for place in places:
                    pointer = "".join(f"/{step}" for step in place)
                    yield Passed(source, text, one.first, pointer, by, is_narrow)
            if not chosen:
                yield Passed(source, text, Identity(**select), ".".join(path), by, is_part)


@dataclass(frozen=True)
class Variable:
    """A text of an object that stands wherever `$(NAME)` does, once all is built: old `vars`."""

    name: str
    source: Replacement
    by: str

    def text(self, among: Sequence[Resource]) -> str | None:
        """Return the text, as some objects have it; None where that is not known."""
        try:
            return _value(self.source, among)[2]
        except TreeError:
            return None


def read_variables(root: yaml.Node | None, by: str) -> Iterator[Variable]:
    """Yield the `vars` of a kustomization (api/types/var.go), which stand in `by`."""
    for item in items_of(lookup(root, "vars")):
        reference = {k: text_of(v) or "" for k, v in entries(lookup(item, "objref")).items()}
        group, _, version = reference.pop("apiVersion", "").rpartition("/")
        path = text_of(lookup(lookup(item, "fieldref"), "fieldpath")) or "metadata.name"
        steps = _steps(path.replace("[", ".").replace("]", ""))
        known = {key: text for key, text in reference.items() if key in Identity.__annotations__}
        source = {**known, "group": group, "version": version}
        yield Variable(
            text_of(lookup(item, "name")) or "", Replacement(source, steps, is_exact=True), by
        )


def read_replacements(node: yaml.Node) -> Replacement:
    """Read a replacement; raise `TreeError` for what it says beyond what is followed.

    It is a `BuildError` where kustomize fails of it.
    """
    source = lookup(node, "source")
    is_said = source is not None or lookup(node, "sourceValue") is not None
    if not is_said or not items_of(lookup(node, "targets")):
        raise BuildError("a replacement has a source and targets")
    if entries(node).keys() - {"source", "targets"} or source is None:
        raise TreeError("it has no source that is followed")
    options = lookup(source, "options")
    path = _steps(text_of(lookup(source, "fieldPath")) or "metadata.name")
    if "*" in path:
        raise BuildError("kustomize looks up no source by a wildcard")
    return Replacement(
        source=_texts(source, "fieldPath", "options"),
        path=path,
        delimiter=text_of(lookup(options, "delimiter")) or "",
        index=_number(lookup(options, "index")),
        targets=tuple(_target(target) for target in items_of(lookup(node, "targets"))),
    )


def demand(replacement: Replacement, among: Sequence[Resource], *, are_all: bool) -> None:
    """Raise `BuildError` where kustomize does not find what a replacement copies, or where to.

    `are_all` tells that there are no more objects than these.
    """
    found = [one for one in among if replacement.copies(one)]
    what = " ".join(filter(None, map(replacement.source.get, ("kind", "name")))) or "what it copies"
    if len(found) > 1 or (are_all and not found):
        how = "is there several times" if found else "is not there"
        raise BuildError(f"{what} {how}")
    for one in found:
        text = _looked_up(one.node, replacement.path)
        if text is None:
            raise BuildError(f"{what} has no {'.'.join(replacement.path)}")
        parts = str(text.value).split(replacement.delimiter) if replacement.delimiter else ()
        is_known = isinstance(text, yaml.ScalarNode) and text.tag != OPAQUE
        if parts and is_known and not 0 <= replacement.index < len(parts):
            raise BuildError(f"it copies part {replacement.index}, which is not there")
    for target in replacement.targets:
        for one in (one for one in among if not target.creates and _is_chosen(one, target)):
            for path in target.paths:
                if _is_missing(one.node, path):
                    title = f"{one.identity.kind} {one.identity.name}"
                    raise BuildError(f"{title} has no {'.'.join(path)} to write to")


def _looked_up(node: yaml.Node | None, path: tuple[str, ...]) -> yaml.Node | None:
    """Return what stands at a field path, or something opaque; None for nothing, and what is null.

    kustomize takes the first of several items that a step in brackets means.
    """
    if node is None or is_null(node) or (isinstance(node, yaml.CollectionNode) and not node.value):
        return None
    if not path or node.tag == OPAQUE:
        return node
    below = (child for _at, child in _children(node, path[0], is_first=True))
    return next((one for child in below if (one := _looked_up(child, path[1:]))), None)


def _is_missing(node: yaml.Node, path: tuple[str, ...]) -> bool:
    """Tell whether nothing is there to write to, as far as that is known."""
    if not path or node.tag == OPAQUE:
        return False
    return all(_is_missing(child, path[1:]) for _at, child in _children(node, path[0]))


def replaced(
    resource: Resource,
    replacement: Replacement,
    among: Sequence[Resource],
    problem: Problem = EDITABLE,
) -> tuple[Resource, list[Renewed]]:
    """Return an object with a replacement done, and each scalar it got, with why it is no place.

    Raises `TreeError` where that is not followed exactly.
    """
    made: list[Renewed] = []
    if not replacement.touches_images:
        return resource, made
    for target in replacement.targets:
        if not _is_chosen(resource, target):
            continue
        for path in target.paths:
            found = tuple(_at(resource.node, path, ()))
            if target.creates and not found and _is_near_images(path):
                raise TreeError("it creates a field")
            for place, node in found:
                origin, source, text = _value(replacement, among)
                new = text_node(_within(str(node.value), text, target), node)
                is_whole = new.value == source.value and not target.delimiter
                is_tag = _is_tag(str(node.value), str(new.value), str(source.value), target)
                copied = (origin, source, is_tag) if is_whole or is_tag else ()
                made.append(Renewed(new, node, None, problem, *copied))
                resource = resource.with_node(put(resource.node, place, new))
    return resource, made


def _is_tag(old: str, new: str, source: str, target: Target) -> bool:
    """Tell whether a text became the whole tag of an image, whose name has no colon."""
    name = old.partition(":")[0]
    is_behind = (target.delimiter, target.index) == (":", 1) and "@" not in name
    return is_behind and new == f"{name}:{source}"


def _value(
    replacement: Replacement, among: Sequence[Resource]
) -> tuple[Resource, yaml.ScalarNode, str]:
    """Return the text that is copied, with the scalar and the object that it comes from."""
    found = [
        (one, node)
        for one in among
        if _fits(one, replacement.source)
        # kustomize takes the first of several items that a step in brackets means
        for _place, node in islice(_at(one.node, replacement.path, ()), 1)
    ]
    if len(found) != 1:
        raise TreeError("what it copies from was not read")
    [(origin, source)] = found
    text = str(source.value)
    if not replacement.delimiter:
        return origin, source, text
    parts = text.split(replacement.delimiter)
    if replacement.index >= len(parts):
        raise TreeError("it copies a part that is not there")
    return origin, source, parts[replacement.index]


def _within(old: str, new: str, target: Target) -> str:
    """Return a text with the replaced part, as kustomize's `setFieldValue` has it."""
    if not target.delimiter:
        return new
    parts = old.split(target.delimiter)
    if target.index < 0:
        parts.insert(0, new)
    elif target.index >= len(parts):
        parts.append(new)
    else:
        parts[target.index] = new
    return target.delimiter.join(parts)


def _target(node: yaml.Node) -> Target:
    if lookup(node, "select") is None:
        raise BuildError("a target says by `select` what it is for")
    options = lookup(node, "options")
    if text_of(lookup(options, "encoding")):
        raise TreeError("its encoding is not followed")
    return Target(
        select=_texts(lookup(node, "select")),
        reject=tuple(map(_texts, items_of(lookup(node, "reject")))),
        paths=tuple(_steps(text_of(path) or "") for path in items_of(lookup(node, "fieldPaths")))
        or (("metadata", "name"),),
        delimiter=text_of(lookup(options, "delimiter")) or "",
        index=_number(lookup(options, "index")),
        creates=text_of(lookup(options, "create")) == "true",
    )


def _texts(node: yaml.Node | None, *but: str) -> dict[str, str]:
    found = {key: text_of(value) or "" for key, value in entries(node).items() if key not in but}
    odd = found.keys() - {"group", "version", "kind", "name", "namespace"}
    if odd:
        raise TreeError(f"it chooses by {', '.join(sorted(odd))}")
    return found


def _is_chosen(resource: Resource, target: Target) -> bool:
    if not _fits(resource, target.select):
        return False
    return not any(one and _fits(resource, one) for one in target.reject)


def _fits(resource: Resource, wanted: dict[str, str]) -> bool:
    """Tell whether an object is chosen, by any identity it has had."""
    return any(_has(one, wanted) for one in (*resource.earlier, resource.identity))


def _has(identity: Identity, wanted: dict[str, str]) -> bool:
    found = {**vars(identity), "namespace": identity.namespace or "default"}
    return all(not text or found[key] == text for key, text in wanted.items())


def _at(
    node: yaml.Node, steps: tuple[str, ...], path: Path
) -> Iterator[tuple[Path, yaml.ScalarNode]]:
    """Yield the scalars at a field path."""
    if not steps:
        if isinstance(node, yaml.ScalarNode):
            yield path, node
        return
    for place, child in _children(node, steps[0]):
        yield from _at(child, steps[1:], (*path, place))


def _children(
    node: yaml.Node, step: str, *, is_first: bool = False
) -> Iterator[tuple[str | int, yaml.Node]]:
    """Yield what a step of a field path means in a node.

    What stands in brackets is a pattern of a part of the text (kyaml/yaml/match.go), but where the
    first item of that very text is looked up.
    """
    choice = _CHOICE.fullmatch(step)
    if not isinstance(node, yaml.SequenceNode):
        yield from ((key, value) for key, value in entries(node).items() if step in ("*", key))
        return
    for index, item in enumerate(node.value):
        if step in ("*", str(index)):
            yield index, item
        elif choice is not None:
            text = text_of(lookup(item, choice["key"]))
            if text == choice["value"] or (not is_first and _has_part(choice["value"], text)):
                yield index, item


def _has_part(pattern: str, text: str | None) -> bool:
    """Tell whether a pattern is of some part of a text."""
    try:
        return text is not None and go_pattern(pattern).search(text) is not None
    except UnreadablePatternError as error:
        raise TreeError(str(error)) from error


def _is_near_images(path: tuple[str, ...]) -> bool:
    if "metadata" in path[:-1]:
        return False
    last = next((step for step in reversed(path) if not step.startswith("[")), "")
    if last in _IMAGES or last.endswith(("Image", "Tag")):
        return True
    plain = [step for step in path if not step.startswith("[") and not step.isdecimal()]
    return all(step in _ABOVE_IMAGES or step == "*" for step in plain)


def _steps(text: str) -> tuple[str, ...]:
    r"""Split a field path at its dots; those in brackets are text, and `\\.` is a dot."""
    marked = text.replace("\\.", "\0")
    found: list[str] = []
    for part in _STEP.findall(marked):
        bracket = part.find("[")
        pieces = [part] if bracket <= 0 else [part[:bracket], part[bracket:]]
        found += [_plain(piece.replace("\0", ".")) for piece in pieces]
    return tuple(found)


def _plain(step: str) -> str:
    """Return a step without brackets where these hold a key that has dots in it."""
    return step.strip("[]") if "." in step and "=" not in step else step


def _number(node: yaml.Node | None) -> int:
    text = text_of(node) or "0"
    number = whole_number(text.removeprefix("-"))
    if number is None:
        raise TreeError(f"its index '{text}' is no number")
    return -number if text.startswith("-") else number
