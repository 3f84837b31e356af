"""Read a manifest's text into nodes that know their place, without losing a byte."""

from __future__ import annotations

import codecs
import math
import re
import weakref
from collections import Counter, deque
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import yaml

from gitops_rollback.errors import ManifestError, ResourceError, TemplateFileError
from gitops_rollback.late import dataclass, field, regex
from gitops_rollback.manifest.scan import MAP, NULL, SEQUENCE, STRING, compose, tag_of
from gitops_rollback.model import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.manifest.scalars import Host

_BOM = codecs.BOM_UTF8.decode()
_HAS_LIBYAML = hasattr(yaml, "CSafeLoader")
_MERGE = "tag:yaml.org,2002:merge"
# YAML 1.2 core schema (yaml.org/spec/1.2.2, 10.3.2), and what go-yaml adds: y, n, 0b, 1_000.
_OTHER_IN_YAML_1_2 = regex(
    r"[yYnN]|[-+]?0o?[0-7_]+|[-+]?0x[0-9a-fA-F_]+|[-+]?0b[01_]+|[-+]?[0-9][0-9_]*"
    r"|[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_NUMBER = regex(
    r"[-+]?(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)"
)
_TRUTHS = {
    written: truth
    for truth, words in (
        (True, ("y", "yes", "on", "true")),
        (False, ("n", "no", "off", "false")),
    )
    for word in words
    for written in (word, word.capitalize(), word.upper())
}
_LARGEST_PRINTED = 1e21  # Go prints larger numbers with an exponent
HELM_HINT = "a Helm template is not a manifest: name the rendered or values file instead"
_YAML_HINT = "mend the file in the manifests repository"
LARGEST_MANIFEST = 10_000_000  # bytes
# One of these is in every file with a field, or with what changes one.
_SIGNS = (
    b"image",
    b"Image",
    b"IMAGE",
    b"@sha256:",
    b"repository",
    b"tag",
    b"postBuild",
    b".toolkit.fluxcd.io",
    b"argoproj.io/",
)
# What begins in the first column, but for comments: the keys of an object, and what parts two.
_FIRST_COLUMN = regex(rb"^[^\s#][^\n]*", re.MULTILINE)
_DOCUMENT = regex(rb"^---[ \t\r]*(?:#[^\n]*)?$", re.MULTILINE)
_CONTENT = regex(rb"^[ \t]*[^\s#][^\n]*", re.MULTILINE)  # a line that says something
_DEFINITION = regex(rb"kind:[ \t]+(\"?)CustomResourceDefinition\1\s*(#.*)?")
_OTHER_KEY = regex(
    rb"(apiVersion:[ \t]+\"?apiextensions\.k8s\.io/\S+|(metadata|spec|status):)\s*(#.*)?"
)
# What YAML, or Python, takes for the end of a line beside `\n`.
_OTHER_BREAKS = regex(rb"\r(?!\n)|\xc2\x85|\xe2\x80[\xa8\xa9]")
_VERSION_KEY = regex(rb"^apiVersion:", re.MULTILINE)
_KIND_KEY = regex(rb"^kind:", re.MULTILINE)
_PLAIN_KIND = regex(rb"^kind:[ ]+[A-Z]\w*(?<!List)[ ]*\r?$", re.MULTILINE)
_PLAIN_NAME = regex(
    rb"^metadata:[ ]*\r?\n([ ]+)(?:[^\s#][^\n]*\n(?:\1[ ][^\n]*\n)*\1)*"
    rb"name:[ ]+[\"']?(?![nN]ull|NULL)\w",
    re.MULTILINE,
)
_HEAD = regex(
    rb"^(apiVersion|kind|metadata):[ ]*([\"']?)([\w./-]*)\2[ ]*(?:[ ]#[^\n]*)?\r?$", re.MULTILINE
)
_METADATA = regex(rb"^metadata:[^\n]*\n((?:[ ][^\n]*\n|[ \t]*(?:#[^\n]*|\r)?\n)*)", re.MULTILINE)
_OF_METADATA = regex(
    rb"^([ ]+)(name|namespace):"
    rb"(?:[ ]+([\"']?)([\w.:-]*[a-zA-Z][\w.:-]*)\3[ ]*(?:[ ]#[^\n]*)?\r?$)?",
    re.MULTILINE,
)
MOST_NODES = 300_000  # keys and values of one file
MOST_AT_ONCE = 1_100_000  # of all files that are used at the same time: some 300 bytes each
_OF_A_FIELD = 6  # values take as much memory as one image field
_LIKE_A_VALUE = 100  # characters of a text, which is there up to three times
_DEEPEST_TO_COMPOSE = 5_000  # levels; libyaml's composer crashes the process at some 30,000
_DEEPEST = 200  # levels, aliases written out: the widest definitions have some forty
# What may be deeper, or larger with its aliases written out: lines that begin far to the right,
# where two collections can begin in each column, and what looks like an alias.
_COLUMNS, _BRACKETS = 40, 100
_MAY_BE_TANGLED = regex(rf"^[ ?:-]{{{_COLUMNS}}}|(?:^|[\s\[{{,:])\*[^\s*]", re.MULTILINE)


class _Tags:
    """Looks at the same plain text once, and has no tags by paths."""

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str:
        """Return the tag of a node that has none."""
        if kind is yaml.ScalarNode:
            return tag_of(value) if implicit[0] else STRING
        return MAP if kind is yaml.MappingNode else SEQUENCE

    def descend_resolver(self, _parent: object, _index: object) -> None:
        """Nothing: no path says a tag."""

    def ascend_resolver(self) -> None:
        """Nothing either."""


class Loader(_Tags, yaml.CSafeLoader if _HAS_LIBYAML else yaml.SafeLoader):  # type: ignore[misc]
    """PyYAML's, faster."""


class _Renaming(_Tags, yaml.SafeLoader):
    """One that takes an anchor again for something else, as YAML 1.2 and the tools have it."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return a node; from where an anchor stands on, it is that of this node."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(event.anchor, None)
        return super().compose_node(parent, index)


class TangledError(ManifestError):
    """Raised for a document that is readable, and that nothing can go through."""


@dataclass(frozen=True)
class ParsedFile:
    """One manifest file: its `text` without a byte order mark, and the root node of each document.

    Offsets of nodes count characters of `text`; line ends are as in the file. `host` is absent but
    for a text within another file, whose `blocks` keeps it (see `scalars.py`); `found` keeps the
    image fields (see `fields.py`).
    """

    path: str
    text: str
    bom: bool
    documents: tuple[yaml.Node, ...] = field(repr=False)
    host: Host | None = field(default=None, repr=False, compare=False)
    blocks: dict[int, ParsedFile] = field(default_factory=dict, repr=False, compare=False)
    found: dict[tuple[object, ...], tuple[ImageField, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def trees(self) -> tuple[yaml.Node, ...]:
        """The documents as a program sees them: with merge keys (`<<`) written out."""
        if "<<" not in self.text:
            return self.documents
        return tuple(map(expanded, self.documents))

    @cached_property
    def places(self) -> Mapping[int, tuple[int, str]]:
        """Document and pointer of each scalar by its `id`: of those that no alias repeats."""
        found: dict[int, tuple[int, str]] = {}
        for number, root in enumerate(self.documents):
            counts = paths_to_nodes(root) if "*" in self.text else {}
            for pointer, node in scalars_of(root):
                if counts.get(id(node), 1) == 1:
                    found[id(node)] = number, pointer
        return found

    @property
    def nodes(self) -> Iterator[yaml.Node]:
        """Every node of every document, what aliases repeat once."""
        return (node for root in self.documents for node in walk(root))

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return self.encode(self.text)

    def encode(self, text: str) -> bytes:
        """Return the bytes of a changed text, with the byte order mark the file had."""
        return ((_BOM if self.bom else "") + text).encode()


class Parsed:
    """The files that are parsed: each while somebody holds it, and the last ones in any case.

    The last ones are kept, as one part of a run lets a file go that the next one asks for.
    """

    _MOST_KEPT = 3_000_000  # characters, whose nodes take some 60 MB

    def __init__(self) -> None:
        self._held: WeakValueDictionary[tuple[str, bytes], ParsedFile] = WeakValueDictionary()
        self._last: deque[ParsedFile] = deque()
        self._characters = 0

    def get(self, path: str, data: bytes) -> ParsedFile | None:
        """Return a file that is parsed already."""
        return self._held.get((path, data))

    def add(self, path: str, data: bytes, file: ParsedFile) -> None:
        """Remember a file, and let go of the first ones where they are too many."""
        self._held[path, data] = file
        self._last.append(file)
        self._characters += len(file.text)
        while self._characters > self._MOST_KEPT:
            self._characters -= len(self._last.popleft().text)

    def let_go(self) -> None:
        """Keep no file that nobody else holds."""
        self._last.clear()
        self._characters = 0


_PARSED = Parsed()


def let_go() -> None:
    """Keep no parsed file that nobody holds: what comes next has nothing to do with them."""
    _PARSED.let_go()


def may_hold_image(data: bytes) -> bool:
    """Tell cheaply whether a file is worth parsing: it names an image, or a Flux variable.

    The definition of a custom resource describes images and holds none; some have megabytes.
    """
    return any(word in data for word in _SIGNS) and not holds_definitions_alone(data)


def holds_definitions_alone(data: bytes) -> bool:
    """Tell cheaply whether every object of a file is surely a CustomResourceDefinition.

    It is, where nothing begins in the first column but the keys that these have, each object names
    its kind there once, and no line ends otherwise than Git sees it. In doubt it is not.
    """
    if b"CustomResourceDefinition" not in data or _OTHER_BREAKS.search(data):
        return False
    objects = [part for part in _DOCUMENT.split(data) if _CONTENT.search(part)]
    return all(map(_is_definition, objects))


def _is_definition(data: bytes) -> bool:
    """Tell whether one object has nothing in its first column but the keys of a definition."""
    first = next(_CONTENT.finditer(data))
    lines = _FIRST_COLUMN.findall(data)
    kinds = [line for line in lines if _DEFINITION.fullmatch(line)]
    is_plain = all(line in kinds or _OTHER_KEY.fullmatch(line) for line in lines)
    return is_plain and len(kinds) == 1 and not first[0][:1].isspace()


def are_objects(data: bytes) -> bool:
    """Tell cheaply whether every document of a file is surely one object, as it is applied."""
    documents = [part for part in _DOCUMENT.split(data) if _CONTENT.search(part)]
    return all(_VERSION_KEY.search(part) and _KIND_KEY.search(part) for part in documents)


def are_named(data: bytes) -> bool:
    """Tell cheaply whether every document of a file surely has a kind and a name, and is no list.

    In doubt it has not.
    """
    documents = [part for part in _DOCUMENT.split(data) if _CONTENT.search(part)]
    return all(_PLAIN_KIND.search(part) and _PLAIN_NAME.search(part) for part in documents)


def outlines(data: bytes) -> tuple[tuple[str, str, str, str], ...] | None:
    """Tell cheaply what the objects of a file are called: apiVersion, kind, namespace and name.

    None where that takes more than a look at the first columns.
    """
    documents = [part for part in _DOCUMENT.split(data) if _CONTENT.search(part)]
    found = tuple(map(_outline, documents))
    return None if None in found else tuple(one for one in found if one is not None)


def _outline(data: bytes) -> tuple[str, str, str, str] | None:
    heads = _HEAD.findall(data)
    values = {key: value for key, _quote, value in heads}
    block = _METADATA.search(data + b"\n")
    is_plain = len(heads) == len(values) == 3 and not values[b"metadata"]  # noqa: PLR2004
    if not is_plain or block is None or b"<<" in block[1] or b"\t" in block[1]:
        return None
    content = _CONTENT.search(block[1])
    indent = len(content[0]) - len(content[0].lstrip()) if content else 0
    own = [one for one in _OF_METADATA.findall(block[1]) if len(one[0]) == indent]
    named = {key: text for _indent, key, _quote, text in own}
    version, kind = values[b"apiVersion"], values[b"kind"]
    is_said = named.get(b"name") and all(named.values()) and len(named) == len(own)
    if not (is_said and version and kind) or kind.endswith(b"List"):
        return None
    namespace = named.get(b"namespace", b"")
    return version.decode(), kind.decode(), namespace.decode(), named[b"name"].decode()


def is_config_map(data: bytes) -> bool:
    """Tell cheaply whether a file may have a ConfigMap, where Flux variables can stand."""
    return b"ConfigMap" in data


def parse(path: str, data: bytes) -> ParsedFile:
    """Parse a manifest; raise `ManifestError` with path, line and column if it is none."""
    text = _decode(path, data)
    bom = text.startswith(_BOM)
    text = text.removeprefix(_BOM)
    try:
        most = _refuse_too_much(path, text)
        documents = _composed(text)
        _refuse_tangled(path, text, documents)
    except yaml.MarkedYAMLError as error:
        raise _located(path, text, error) from error
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ManifestError(f"{path} is not readable as YAML: {reason}", _YAML_HINT) from error
    file = ParsedFile(path, text, bom, documents)
    _READ.add(file, most)
    return file


def _composed(text: str) -> tuple[yaml.Node, ...]:
    """Return the root of each document, by the fastest way that this Python has."""
    plain = None if _HAS_LIBYAML else compose(text)
    if plain is not None:
        return plain
    try:
        return tuple(yaml.compose_all(text, Loader=Loader))
    except yaml.composer.ComposerError:  # of an anchor, which may stand there twice
        return tuple(yaml.compose_all(text, Loader=_Renaming))


class _Read:
    """How many keys and values the files have that were parsed and are still used.

    Each file is bounded by itself; but thousands of them are read together, and who may push to
    the repository chooses how many there are. It counts what is there: what is let go is free.
    """

    def __init__(self) -> None:
        self.total = 0
        self._files: dict[int, tuple[weakref.ref[ParsedFile], int, bool]] = {}
        self._beside: dict[int, int] = {}

    def add(self, file: ParsedFile, most: int) -> None:
        """Count a file that has at most so many; raise `ResourceError` where they are too many."""
        key = id(file)
        most += _bulk(file)
        self._files[key] = (weakref.ref(file, lambda _gone: self._forget(key)), most, False)
        self.total += most
        self._bound(file)

    def add_fields(self, file: ParsedFile, number: int) -> None:
        """Count the fields of a file, however often it is asked for them; raise as `add` does."""
        more = max(0, number * _OF_A_FIELD - self._beside.get(id(file), 0))
        self._beside[id(file)] = self._beside.get(id(file), 0) + more
        self.total += more
        self._bound(file)

    def _bound(self, file: ParsedFile) -> None:
        if self.total > MOST_AT_ONCE:
            _PARSED.let_go()
            self._count()
        if self.total > MOST_AT_ONCE:
            raise ResourceError(
                f"the manifests that are read together are larger than {MOST_AT_ONCE} keys and "
                f"values: {file.path} and what follows is not read",
                "name fewer services, or files, at once; or give the environment a `path` or the "
                "service `manifests`, so that less is read",
            )

    def _forget(self, key: int) -> None:
        self.total -= self._files.pop(key)[1] + self._beside.pop(key, 0)

    def _count(self) -> None:
        """Replace what files have at most by what they have: a long text is one value."""
        for key, (reference, most, is_counted) in list(self._files.items()):
            file = reference()
            if file is None or is_counted:
                continue
            count = sum(1 for _node in file.nodes) + _bulk(file)
            self._files[key] = (reference, count, True)
            self.total += count - most


_READ = _Read()


def _bulk(file: ParsedFile) -> int:
    """Return how many keys and values take as much memory as a file's text."""
    return len(file.text) // _LIKE_A_VALUE


def count_fields(file: ParsedFile, number: int) -> None:
    """Count the image fields of a file as keys and values; raise `ResourceError` if too many."""
    _READ.add_fields(file, number)


def parse_once(path: str, data: bytes) -> ParsedFile:
    """Return what `parse` does; of a file that is still held parsed it is that very one.

    For files of the repository, of which one path and text is one file. Nodes are never changed.
    """
    known = _PARSED.get(path, data)
    if known is None:
        known = parse(path, data)
        _PARSED.add(path, data, known)
    return known


def root_of(file: ParsedFile | None) -> yaml.Node | None:
    """Return the first document of a file, as a program sees it; None without any."""
    return file.trees[0] if file is not None and file.trees else None


def line_of(node: yaml.Node) -> int:
    """Return the line that a node begins in, counted from 1."""
    return int(node.start_mark.line) + 1


def lookup(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """Return the value of a mapping's key, or None; merge keys are not followed."""
    if not isinstance(node, yaml.MappingNode):
        return None
    for name, value in node.value:
        if isinstance(name, yaml.ScalarNode) and name.value == key:
            found: yaml.Node = value
            return found
    return None


def way_to(root: yaml.Node, pointer: str) -> tuple[yaml.Node, ...]:
    """Return the nodes from a root down to a JSON pointer (RFC 6901), as far as they are there."""
    nodes = [root]
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        items, index = items_of(nodes[-1]), whole_number(key)
        is_item = index is not None and index < len(items)
        below = items[index or 0] if is_item else lookup(nodes[-1], key)
        if below is None:
            break
        nodes.append(below)
    return tuple(nodes)


def pointer_to(pointer: str, key: str) -> str:
    """Return the JSON pointer (RFC 6901) to a key below what another one points to."""
    return f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"


def text_of(node: yaml.Node | None) -> str | None:
    """Return the text of a scalar node, or None for anything else."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def truth_of(node: yaml.Node | None) -> bool | None:
    """Return the truth that Go's YAML reads in a scalar (`no`, `off`, `n`); None for all else."""
    if not isinstance(node, yaml.ScalarNode) or node.style:
        return None
    return _TRUTHS.get(str(node.value))


def is_null(node: yaml.Node | None) -> bool:
    """Tell whether nothing is there, or YAML's null."""
    return node is None or (isinstance(node, yaml.ScalarNode) and node.tag == NULL)


def items_of(node: yaml.Node | None) -> list[yaml.Node]:
    """Return the items of a sequence node; an empty list for anything else."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def duplicate_key(node: yaml.Node | None) -> yaml.ScalarNode | None:
    """Return the first key that stands twice in a mapping, or None."""
    if not isinstance(node, yaml.MappingNode):
        return None
    seen: set[str] = set()
    for name, _value in node.value:
        if not isinstance(name, yaml.ScalarNode):
            continue
        if name.value in seen:
            return name
        seen.add(name.value)
    return None


def reads_as_string(value: str) -> bool:
    """Tell whether YAML 1.1 and 1.2 read a plain scalar as a string: no number, date or truth.

    A short commit such as `123e456` is a number in YAML 1.2, and to the parsers written in Go.
    """
    if _OTHER_IN_YAML_1_2.fullmatch(value):
        return False
    return tag_of(value) == STRING


def reads_as_text(node: yaml.ScalarNode) -> bool:
    """Tell whether a program in Go reads a text in a scalar: no number or truth; a date is one."""
    value = str(node.value)
    return bool(node.style) or not (value in _TRUTHS or _OTHER_IN_YAML_1_2.fullmatch(value))


def printed(node: yaml.ScalarNode) -> str:
    """Return what a program in Go prints for a plain number or truth; empty for anything else.

    `1.20` is printed as `1.2`, `010` as `8`, `1e3` as `1000`, `on` as `true` (gopkg.in/yaml,
    `strconv`).
    """
    truth = truth_of(node)
    if truth is not None:
        return "true" if truth else "false"
    text = str(node.value).replace("_", "")
    if node.style or not _NUMBER.fullmatch(text) or reads_as_string(str(node.value)):
        return ""
    sign, digits = ("-", text[1:]) if text[0] == "-" else ("", text.lstrip("+"))
    for prefix, base in (("0x", 16), ("0o", 8), ("0b", 2)):
        if digits.lower().startswith(prefix):
            return sign + str(int(digits[2:], base))
    if digits.isdecimal():
        is_octal = digits[0] == "0" and len(digits) > 1 and not set(digits) & {"8", "9"}
        return sign + str(int(digits, 8 if is_octal else 10))
    number = float(digits)
    if not math.isfinite(number) or number >= _LARGEST_PRINTED:
        return ""
    return sign + (str(int(number)) if number == int(number) else repr(number))


def paths_to_nodes(root: yaml.Node | None) -> dict[int, int]:
    """Return for the `id` of each node how many places of a document it is part of.

    That is 1 but for nodes that aliases repeat. Nodes of which one contains itself count as 2.
    """
    edges: dict[int, list[yaml.Node]] = {}
    degree: Counter[int] = Counter()
    waiting = [root] if root is not None else []
    while waiting:
        node = waiting.pop()
        if id(node) in edges:
            continue
        edges[id(node)] = list(children(node))
        degree.update(id(child) for child in edges[id(node)])
        waiting.extend(edges[id(node)])
    counts = dict.fromkeys(edges, 0)
    ready = [root] if root is not None and not degree[id(root)] else []
    counts.update({id(node): 1 for node in ready})
    while ready:
        node = ready.pop()
        for child in edges[id(node)]:
            counts[id(child)] += counts[id(node)]
            degree[id(child)] -= 1
            if not degree[id(child)]:
                ready.append(child)
    return {key: count if count and not degree[key] else 2 for key, count in counts.items()}


def expanded(node: yaml.Node, memo: dict[int, yaml.Node] | None = None) -> yaml.Node:
    """Return a tree with its merge keys (`<<`) written out, as every YAML parser does on loading.

    What a mapping says itself wins over what it merges, an earlier merged one over a later.
    """
    memo = {} if memo is None else memo
    known = memo.get(id(node))
    if known is not None:
        return known
    memo[id(node)] = node  # of nodes that contain themselves the inner one stays as it is
    if isinstance(node, yaml.MappingNode):
        memo[id(node)] = _expanded_mapping(node, memo)
    elif isinstance(node, yaml.SequenceNode):
        items = [expanded(item, memo) for item in node.value]
        if any(new is not old for new, old in zip(items, node.value, strict=True)):
            memo[id(node)] = yaml.SequenceNode(SEQUENCE, items, node.start_mark, node.end_mark)
    return memo[id(node)]


def _expanded_mapping(node: yaml.MappingNode, memo: dict[int, yaml.Node]) -> yaml.Node:
    own = [(key, expanded(value, memo)) for key, value in node.value if key.tag != _MERGE]
    merged: list[tuple[yaml.Node, yaml.Node]] = []
    for key, value in node.value:
        if key.tag == _MERGE:
            for source in items_of(value) or [value]:
                merged += getattr(expanded(source, memo), "value", None) or []
    if not merged:
        same = all(new[1] is old[1] for new, old in zip(own, node.value, strict=False))
        return node if same and len(own) == len(node.value) else _mapping(own, node)
    known = {text_of(key) for key, _value in own}
    for pair in merged:
        key = text_of(pair[0])
        if key not in known:
            known.add(key)
            own.append(pair)
    return _mapping(own, node)


def _mapping(entries: list[tuple[yaml.Node, yaml.Node]], like: yaml.Node) -> yaml.MappingNode:
    return yaml.MappingNode(MAP, entries, like.start_mark, like.end_mark)


def children(node: yaml.Node) -> Iterator[yaml.Node]:
    """Yield the keys and values of a mapping, or the items of a sequence."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def walk(node: yaml.Node | None) -> Iterator[yaml.Node]:
    """Yield a node and all below it, what aliases repeat once."""
    seen: set[int] = set()
    waiting = [node] if node is not None else []
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting.extend(children(one))


def scalars_of(root: yaml.Node | None) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Yield every scalar value of a tree with its pointer, what aliases repeat once."""
    for pointer, node in values_of(root):
        if isinstance(node, yaml.ScalarNode):
            yield pointer, node


def values_of(root: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    """Yield a node and all values and items below it, each with its pointer, aliases once."""
    seen: set[int] = set()
    waiting = [("", root)] if root is not None else []
    while waiting:
        pointer, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield pointer, node
        if isinstance(node, yaml.MappingNode):
            waiting += [(pointer_to(pointer, text_of(k) or ""), v) for k, v in node.value]
        waiting += [(f"{pointer}/{n}", one) for n, one in enumerate(items_of(node))]


def _decode(path: str, data: bytes) -> str:
    if len(data) > LARGEST_MANIFEST:
        raise ManifestError(
            f"{path} has more bytes than a manifest may have ({LARGEST_MANIFEST})",
            "split the file, or name the right one in .gitops-rollback.toml",
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path} is not UTF-8 text: byte {error.start} cannot be read", _YAML_HINT
        ) from error


def _refuse_too_much(path: str, text: str) -> int:
    """Refuse what would crash the composer, or take all memory and time; count it where it could.

    Returns how many nodes the text has at most.

    Each node takes some hundred bytes and is looked at several times. A long text within a file,
    such as a dashboard in a ConfigMap, is one node.
    """
    longest_line = len(max(text.splitlines(), key=len, default=""))
    is_flat = text.count("[") + text.count("{") + longest_line <= _DEEPEST_TO_COMPOSE
    # Each node needs one of these: `- - x` is two lists, `? ? x` two mappings.
    most = sum(map(text.count, ("\n", ",", ":", "- ", "? ", "[", "{")))
    if is_flat and most <= MOST_NODES:
        return most
    depth = number = 0
    for number, event in enumerate(yaml.parse(text, Loader=Loader)):
        if number > MOST_NODES:
            raise ManifestError(
                f"{path} has more than {MOST_NODES} keys and values: it is not read",
                "split the file, or name the right one with `manifests` in .gitops-rollback.toml",
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST_TO_COMPOSE:
            raise TangledError(f"{path} is nested more than {depth - 1} levels deep", _YAML_HINT)
    return number


def _refuse_tangled(path: str, text: str, documents: tuple[yaml.Node, ...]) -> None:
    """Refuse what contains itself, is too deep, or too large once its aliases are written out.

    Nobody who goes through a document has to look out for that any more. What reads it in the
    cluster refuses the first and the last, too (gopkg.in/yaml, `decode.go`).
    """
    brackets = text.count("[") + text.count("{")
    if brackets <= _BRACKETS and _MAY_BE_TANGLED.search(text) is None:
        return
    waiting = [(root, 1) for root in documents]
    number = 0
    while waiting:
        node, depth = waiting.pop()
        number += 1
        if depth > _DEEPEST or number > MOST_NODES:
            raise TangledError(
                f"{path} contains itself, is nested more than {_DEEPEST} levels deep, or has more "
                f"than {MOST_NODES} keys and values with its aliases written out",
                "write the aliases out, or split the file",
            )
        waiting += [(child, depth + 1) for child in children(node)]


def template_error(path: str, mark: yaml.Mark, what: str) -> TemplateFileError:
    """Return the error for a file that is a template at some place."""
    place = (mark.line + 1, mark.column + 1)
    text = f"{path}:{place[0]}:{place[1]} is a Helm template ({what})"
    return TemplateFileError(text, HELM_HINT).at(*place)


def _located(path: str, text: str, error: yaml.MarkedYAMLError) -> ManifestError:
    mark = error.problem_mark or error.context_mark
    place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else path
    reason = " ".join(str(error.problem or error.context or "not YAML").split())
    is_template = "{{" in text
    if isinstance(error, yaml.composer.ComposerError):  # of an anchor: the syntax is sound
        is_template = False
        reason = str(error.context or reason).partition(";")[0]
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    if is_template and mark is not None:
        return template_error(path, mark, reason)
    if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in reason:
        reason += "; YAML is indented with spaces, never with tabs"
    located = ManifestError(f"{place} is not readable as YAML: {reason}", _YAML_HINT)
    return located.at(mark.line + 1, mark.column + 1) if mark is not None else located
