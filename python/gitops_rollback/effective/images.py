"""Images in objects: where kustomize finds them, and what an `images:` entry makes of one. Pure.

Places as in kustomize: `containers` and `initContainers` at any depth of any kind but definitions
of custom resources (api/filters/imagetag/legacy.go), what its field specifications name
(api/internal/konfig/builtinpluginconsts/images.go), and those of `configurations`. Names are
regular expressions with tag and digest behind them (api/internal/image/image.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.tree import entries, mapping, sequence
from gitops_rollback.late import dataclass, regex
from gitops_rollback.manifest.document import is_null, items_of, lookup, text_of
from gitops_rollback.manifest.objects import POD_SPECS, REPORTED_POD_SPECS
from gitops_rollback.manifest.patterns import UnreadablePatternError, go_matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gitops_rollback.manifest.kustomize import ImageEntry

Path = tuple[str | int, ...]

_LISTS = ("containers", "initContainers")
# The keys that lead to the pods of any kind.
TO_PODS = frozenset(
    step
    for one in (*POD_SPECS.values(), *REPORTED_POD_SPECS.values())
    for step in one.split("/")[1:]
)
_PODS: tuple[tuple[str, ...], ...] = (("spec",), ("spec", "template", "spec"))
# What may follow the name: kustomize up to 5.7 takes no digest but sha256, later ones do.
_CUT = regex(r"[:@]|\Z")  # where a version may begin
_VERSION = regex(r"(:[a-zA-Z0-9_.{}-]*)?(@sha256:[a-zA-Z0-9_.{}-]*)?")
_LATER = regex(r"(:[a-zA-Z0-9_.{}-]*)?(@[a-zA-Z0-9]+([.+_-][a-zA-Z0-9]+)*:[a-zA-Z0-9_.{}-]*)?")


class DoubtfulEntryError(ValueError):
    """Raised where it cannot be said whether an entry is for an image."""


@dataclass(frozen=True)
class FieldSpec:
    """A place of images that a configuration adds: `spec/runner/image` of some kind."""

    path: tuple[str, ...]
    group: str = ""
    version: str = ""
    kind: str = ""

    def is_for(self, node: yaml.Node) -> bool:
        """Tell whether it is for an object."""
        group, _, version = (text_of(lookup(node, "apiVersion")) or "").rpartition("/")
        wanted = (self.group, self.version, self.kind)
        found = (group, version, text_of(lookup(node, "kind")) or "")
        return all(not one or one == other for one, other in zip(wanted, found, strict=True))


# What `images:` reaches by itself, and no transformer in a file (builtinpluginconsts/images.go).
OF_PODS = tuple(
    FieldSpec((*pod, *rest))
    for pod in _PODS
    for rest in (
        *(("containers", "image"), ("initContainers", "image")),
        ("volumes", "image", "reference"),
    )
)


@dataclass(frozen=True)
class Place:
    """Where an image stands in an object; `times` is how often kustomize's filters reach it."""

    path: Path
    node: yaml.ScalarNode
    times: int


def places_of(node: yaml.Node, specs: Iterable[FieldSpec] = ()) -> tuple[Place, ...]:
    """Return the places of an object that an `images:` entry reaches."""
    found: dict[Path, Place] = {}
    for path, image in _reached(node, specs):
        if isinstance(image, yaml.ScalarNode) and not is_null(image):
            times = found[path].times + 1 if path in found else 1
            found[path] = Place(path, image, times)
    return tuple(found.values())


def no_text(node: yaml.Node, specs: Iterable[FieldSpec] = ()) -> yaml.Node | None:
    """Return an image that is no text, on which every `images:` entry fails; None for none.

    It is a mapping in resources of some operators (`image: {repository: …, tag: …}`).
    """
    every = (one for _path, one in _reached(node, specs))
    return next((one for one in every if one and not isinstance(one, yaml.ScalarNode)), None)


def _reached(
    node: yaml.Node, specs: Iterable[FieldSpec]
) -> Iterator[tuple[Path, yaml.Node | None]]:
    if text_of(lookup(node, "kind")) != "CustomResourceDefinition":
        yield from _anywhere(node, ())
        for spec in specs:
            if spec.is_for(node):
                yield from _at(node, spec.path, ())


def _anywhere(node: yaml.Node, path: Path) -> Iterator[tuple[Path, yaml.Node | None]]:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            if not isinstance(item, yaml.ScalarNode):
                yield from _anywhere(item, (*path, index))
        return
    for key, value in entries(node).items():
        if isinstance(value, yaml.ScalarNode):
            continue
        yield from _anywhere(value, (*path, key))
        if key in _LISTS:
            for index, item in enumerate(items_of(value)):
                yield (*path, key, index, "image"), lookup(item, "image")


def _at(
    node: yaml.Node | None, steps: tuple[str, ...], path: Path
) -> Iterator[tuple[Path, yaml.Node | None]]:
    """Yield what stands at a path of a field specification, which lists are gone through in."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _at(item, steps, (*path, index))
    elif not steps:
        yield path, node
    else:
        key = steps[0].removesuffix("[]")
        yield from _at(lookup(node, key), steps[1:], (*path, key))


def put(node: yaml.Node, path: Path, value: yaml.Node) -> yaml.Node:
    """Return a tree with another value at a place that is there."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        items = list(node.value)
        items[step] = put(items[step], rest, value)
        return sequence(items, node)
    # Of a key that stands there twice the first counts, as for `lookup`.
    entries = list(node.value)
    place = next(n for n, (key, _value) in enumerate(entries) if text_of(key) == step)
    entries[place] = (entries[place][0], put(entries[place][1], rest, value))
    return mapping(entries, node)


def split_image(text: str) -> tuple[str, str, str]:
    """Return name, tag and digest of an image's text, as kustomize takes it apart."""
    slash = max(text.find("/"), 0)  # before it a colon is that of a registry's port
    rest, _, digest = text[slash:].partition("@")
    name, _, tag = rest.partition(":")
    return text[:slash] + name, tag, digest


def is_for(name: str, text: str) -> bool:
    """Tell whether an entry of a name is for an image; raise `DoubtfulEntryError` if in doubt."""
    cuts = [found.start() for found in _CUT.finditer(text)]
    earlier = [n for n in cuts if _VERSION.fullmatch(text, n)]
    later = [n for n in cuts if _LATER.fullmatch(text, n)]
    if "|" in name and "(" not in name:
        raise DoubtfulEntryError("a name with | is for more than it says")
    try:
        if any(go_matches(name, text[:n]) for n in earlier):
            return True
        if any(go_matches(name, text[:n]) for n in later):
            raise DoubtfulEntryError(
                "releases of kustomize differ in whether it is for a digest that is not sha256"
            )
    except UnreadablePatternError as error:
        raise DoubtfulEntryError(str(error)) from error
    return False


def changed_text(entry: ImageEntry, text: str, times: int = 1) -> str:
    """Return what an entry makes of an image's text (api/filters/imagetag/updater.go)."""
    name, tag, digest = split_image(text)
    new_tag, new_digest = entry.tag_and_digest
    if new_tag or new_digest:
        tag, digest = new_tag, new_digest
    elif entry.suffix:
        tag, digest = tag + entry.suffix * times, ""
    name = entry.new_name or name
    return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
