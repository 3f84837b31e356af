"""What differs between two versions of a manifest, but for its image fields. Pure.

Documents are matched by kind, namespace and name, the items of lists by what names them (`name`,
`containerPort`, `mountPath`, …), so that an item that was put in between hides nothing. Values are
not shown: they may be nobody's business, and a log is read by many.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.errors import ManifestError
from gitops_rollback.late import dataclass
from gitops_rollback.manifest.document import items_of, line_of, lookup, parse, pointer_to, text_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from gitops_rollback.manifest.document import ParsedFile

# What names an item of a list in Kubernetes' own types (their patchMergeKey), most telling first.
_NAMES = ("name", "mountPath", "devicePath", "containerPort", "port", "key", "ip", "topologyKey")
# Where the pod's own part begins; it is left out of what people read.
_POD = ("spec.jobTemplate.spec.template.spec.", "spec.template.spec.")


@dataclass(frozen=True)
class Difference:
    """One place that differs: its line in the newer version, and what became of it."""

    line: int
    what: str


@dataclass(frozen=True)
class _Place:
    """Where a comparison stands: a JSON pointer in the newer version, and a path for people."""

    pointer: str = ""
    path: str = ""

    def key(self, name: str) -> _Place:
        path = f"{self.path}.{name}" if self.path else name
        return _Place(pointer_to(self.pointer, name), path)

    def item(self, index: int, name: str) -> _Place:
        return _Place(f"{self.pointer}/{index}", f"{self.path}[{name}]")


def differences(
    old: ParsedFile, new: ParsedFile, ignored: Collection[tuple[int, str]]
) -> list[Difference]:
    """Return what differs, by line; `ignored` are (document, JSON pointer) of the newer version."""
    before = dict(_titled(old))
    found: list[Difference] = []
    for number, (key, node) in enumerate(_titled(new)):
        title, _nth = key
        if key not in before:
            found.append(Difference(line_of(node), f"{title} is new"))
            continue
        pointers = tuple(pointer for document, pointer in ignored if document == number)
        inside = _Comparison(pointers).compare(before.pop(key), node, _Place())
        found += [Difference(one.line, f"{title}: {one.what}") for one in inside]
    found += [Difference(1, f"{title} is no longer there") for title, _nth in before]
    return sorted(found, key=lambda difference: (difference.line, difference.what))


def _titled(file: ParsedFile) -> Iterator[tuple[tuple[str, int], yaml.Node]]:
    """Yield the documents with their titles, of which several may bear one: each by its turn."""
    before: Counter[str] = Counter()
    for node in file.documents:
        title = _title(node)
        yield (title, before[title]), node
        before[title] += 1


class _Comparison:
    """Compares two nodes; what aliases repeat is compared once."""

    def __init__(self, ignored: tuple[str, ...]) -> None:
        self._ignored = ignored
        self._seen: set[tuple[int, int]] = set()

    def compare(self, old: yaml.Node, new: yaml.Node, place: _Place) -> Iterator[Difference]:
        """Yield what differs at a place and below it."""
        if (id(old), id(new)) in self._seen or self._is_ignored(place):
            return
        self._seen.add((id(old), id(new)))
        if isinstance(old, yaml.MappingNode) and isinstance(new, yaml.MappingNode):
            yield from self._mappings(old, new, place)
        elif isinstance(old, yaml.SequenceNode) and isinstance(new, yaml.SequenceNode):
            yield from self._lists(old, new, place)
        elif type(old) is not type(new) or text_of(old) != text_of(new):
            within = self._within(place)
            if not within or _differ_elsewhere(text_of(old), text_of(new), within):
                yield Difference(line_of(new), f"{_shown(place)} changed")

    def _within(self, place: _Place) -> tuple[tuple[int, str], ...]:
        """Return what is ignored inside a text that is YAML itself, as (document, pointer)."""
        prefix = f"{place.pointer}#"
        inner = (one.removeprefix(prefix) for one in self._ignored if one.startswith(prefix))
        found = (one.partition("/") for one in inner)
        return tuple((int(number or 0), f"/{pointer}") for number, _slash, pointer in found)

    def _mappings(
        self, old: yaml.MappingNode, new: yaml.MappingNode, place: _Place
    ) -> Iterator[Difference]:
        before, after = _keys(old), _keys(new)
        for name, (line, value) in after.items():
            inner = place.key(name)
            if name in before:
                yield from self.compare(before[name][1], value, inner)
            elif not self._is_ignored(inner):
                yield Difference(line, f"{_shown(inner)} is new")
        for name in before.keys() - after.keys():
            yield Difference(line_of(new), f"{_shown(place.key(name))} is no longer there")

    def _lists(
        self, old: yaml.SequenceNode, new: yaml.SequenceNode, place: _Place
    ) -> Iterator[Difference]:
        before = dict(_items(old))
        for index, (name, value) in enumerate(_items(new)):
            inner = place.item(index, name)
            if name in before:
                yield from self.compare(before.pop(name), value, inner)
            else:
                yield Difference(line_of(value), f"{_shown(inner)} is new")
        for name in before:
            yield Difference(line_of(new), f"{_shown(place.item(0, name))} is no longer there")

    def _is_ignored(self, place: _Place) -> bool:
        return any(
            place.pointer == outer or place.pointer.startswith(f"{outer}/")
            for outer in self._ignored
        )


def _differ_elsewhere(
    old: str | None, new: str | None, ignored: Collection[tuple[int, str]]
) -> bool:
    """Tell whether two texts that are YAML themselves differ but for what is ignored."""
    if old is None or new is None:
        return True
    try:
        before, after = parse("", old.encode()), parse("", new.encode())
    except ManifestError:
        return True
    return bool(differences(before, after, ignored))


def _keys(node: yaml.MappingNode) -> dict[str, tuple[int, yaml.Node]]:
    return {text_of(key) or "?": (line_of(key), value) for key, value in node.value}


def _items(node: yaml.SequenceNode) -> list[tuple[str, yaml.Node]]:
    """Return a list's items with their names: what names them all, else their numbers."""
    items = items_of(node)
    for key in _NAMES:
        names = [text_of(lookup(item, key)) for item in items]
        if all(names) and len(set(names)) == len(names):
            return [(name or "", item) for name, item in zip(names, items, strict=True)]
    return [(str(index), item) for index, item in enumerate(items)]


def _title(node: yaml.Node | None) -> str:
    metadata = lookup(node, "metadata")
    namespace, name = text_of(lookup(metadata, "namespace")), text_of(lookup(metadata, "name"))
    kind = text_of(lookup(node, "kind")) or "document"
    return f"{kind} {f'{namespace}/' if namespace else ''}{name or ''}".rstrip()


def _shown(place: _Place) -> str:
    path = place.path
    for prefix in _POD:
        path = path.removeprefix(prefix)
    return path or "all of it"
