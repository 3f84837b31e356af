"""Objects on their way through overlays, and the build that holds them. Pure.

Names and identities as kustomize has them (kyaml/resid, api/resource): an object is found by any
identity it has had, and chosen by its first and its present one.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.tree import TreeError, entries, find, text_node, with_path
from gitops_rollback.late import dataclass, field, regex, replace
from gitops_rollback.manifest.document import lookup, text_of
from gitops_rollback.manifest.image_field import EDITABLE, Problem
from gitops_rollback.manifest.patterns import UnreadablePatternError, go_matches
from gitops_rollback.manifest.scan import MAP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from gitops_rollback.effective.images import FieldSpec
    from gitops_rollback.effective.replace import Passed, Variable
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.manifest.kustomize import ImageEntry

# Kinds that no namespace is given to (kyaml/openapi, of the Kubernetes API; what is not known is
# taken for namespaced, as kustomize does).
CLUSTER_KINDS = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "FlowSchema",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PodSecurityPolicy",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "RuntimeClass",
        "StorageClass",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
    }
)
# What hints about a doubtful effect end with.
LOOK = "look at what it does to the image, then deploy with --accept effect"
ACCEPT = "or, if you know that it has effect, --accept effect"
_UNNAMED = frozenset({"APIService", "CustomResourceDefinition", "Namespace"})  # no prefix for these


@dataclass(frozen=True)
class Unknown:
    """What could touch an image and is not followed: where it stands, and what to do about it.

    One that `is_of_form` is of the text alone, so that an edit can mend it.
    """

    path: str
    line: int
    construct: str
    why: str
    hint: str = ""
    is_of_form: bool = False

    @property
    def text(self) -> str:
        """What is not known, in a line: `prod/kustomization.yaml:4: replacements: …`."""
        return f"{self.path}:{self.line}: {self.construct}: {self.why}"


@dataclass(frozen=True)
class Identity:
    """What an object is called at one moment; `namespace` is empty for the default one."""

    group: str
    version: str
    kind: str
    namespace: str
    name: str

    @property
    def effective_namespace(self) -> str:
        """The namespace as kustomize compares it."""
        if self.kind in CLUSTER_KINDS:
            return ""
        return self.namespace or "default"

    @property
    def is_builtin(self) -> bool:
        """Whether it configures a plugin that kustomize has built in (isBuiltinPlugin)."""
        return (self.group, self.version) == ("", "builtin")

    @property
    def key(self) -> tuple[str, ...]:
        """What tells an object from all others to kustomize (resid, Equals)."""
        return (self.group, self.version, self.kind, self.effective_namespace, self.name)


def identity_of(node: yaml.Node | None) -> Identity:
    """Return what an object, or a patch of one, is called."""
    group, _, version = (text_of(lookup(node, "apiVersion")) or "").rpartition("/")
    metadata = lookup(node, "metadata")
    return Identity(
        group,
        version,
        text_of(lookup(node, "kind")) or "",
        text_of(lookup(metadata, "namespace")) or "",
        text_of(lookup(metadata, "name")) or "",
    )


_NOWHERE = yaml.Mark("", 0, 0, 0, None, 0)


def outline(version: str, kind: str, namespace: str, name: str) -> yaml.Node:
    """Return an object that says no more than what it is called."""
    node: yaml.Node = yaml.MappingNode(MAP, [], _NOWHERE, _NOWHERE)
    texts = {"apiVersion": version, "kind": kind}
    for key, text in texts.items():
        node = with_path(node, (key,), text_node(text, node))
    for key, text in (("name", name), ("namespace", namespace)):
        if text:
            node = with_path(node, ("metadata", key), text_node(text, node))
    return node


def marked_as(node: yaml.Node, like: yaml.Node) -> yaml.Node:
    """Return an object with the name, the namespace, and all labels and annotations of another."""
    metadata = lookup(like, "metadata")
    for key, value in entries(metadata).items():
        if isinstance(value, yaml.ScalarNode):
            node = with_path(node, ("metadata", key), value)
        for name, text in entries(value).items():
            node = with_path(node, ("metadata", key, name), text)
    return node


@dataclass(frozen=True)
class Resource:
    """One object as some overlays make it.

    `path` and `document` are where it comes from; `earlier` are its former identities, oldest
    first; `over` are, by the `id` of a node, the places it replaced; `unknowns` what could have
    changed its images and was not followed; `by` are the files that had a part in it. One that
    `is_outline` has of its content no more than what it is called and what was marked on it.
    """

    node: yaml.Node
    path: str
    document: int
    earlier: tuple[Identity, ...] = ()
    over: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    unknowns: tuple[Unknown, ...] = ()
    by: tuple[str, ...] = ()
    is_outline: bool = False

    @cached_property
    def identity(self) -> Identity:
        """What the object is called now."""
        return identity_of(self.node)

    @property
    def first(self) -> Identity:
        """What the object was called in its file."""
        return self.earlier[0] if self.earlier else self.identity

    def has_been(self, identity: Identity) -> bool:
        """Tell whether the object has, or ever had, an identity."""
        return any(one.key == identity.key for one in (*self.earlier, self.identity))

    def doubted(self, *unknowns: Unknown) -> Resource:
        """Return the object with more that is not known of it."""
        new = unknowns  # of many objects the same many
        if self.unknowns:
            new = tuple(one for one in unknowns if one not in self.unknowns)
        return replace(self, unknowns=(*self.unknowns, *new)) if new else self

    def with_node(self, node: yaml.Node, *by: str) -> Resource:
        """Return the object with other content, to which some files gave a part."""
        return replace(self, node=node, by=tuple(dict.fromkeys((*self.by, *by))))

    def renamed(self, *, prefix: str = "", suffix: str = "", namespace: str = "") -> Resource:
        """Return the object with another name or namespace, where kustomize would give it one."""
        kind, was = self.identity.kind, self.identity
        node = self.node
        if namespace and kind not in CLUSTER_KINDS:
            node = with_path(node, ("metadata", "namespace"), text_node(namespace, node))
        elif namespace and kind == "Namespace":
            node = with_path(node, ("metadata", "name"), text_node(namespace, node))
        name = find(node, "metadata", "name")
        if (prefix or suffix) and kind not in _UNNAMED and name is not None:
            new = text_node(f"{prefix}{text_of(name)}{suffix}", name)
            node = with_path(node, ("metadata", "name"), new)
        if node is self.node:
            return self
        return replace(self, node=node, earlier=(*self.earlier, was))


@dataclass(frozen=True)
class Selector:
    """What chooses objects for a patch: patterns of the whole text, and selectors of labels.

    kustomize's `target` (api/types/selector.go); an empty one chooses all.
    """

    group: str = ""
    version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    labels: str = ""
    annotations: str = ""

    def chooses(self, resource: Resource) -> bool:
        """Tell whether an object is chosen; raise `TreeError` if that cannot be said."""
        first, now = resource.first, resource.identity
        metadata = lookup(resource.node, "metadata")
        try:
            return (
                _fits(self.group, now.group)
                and _fits(self.version, now.version)
                and _fits(self.kind, now.kind)
                and (_fits(self.name, first.name) or _fits(self.name, now.name))
                and (
                    _fits(self.namespace, first.effective_namespace)
                    or _fits(self.namespace, now.effective_namespace)
                )
                and selects(self.labels, lookup(metadata, "labels"))
                and selects(self.annotations, lookup(metadata, "annotations"))
            )
        except UnreadablePatternError as error:
            raise TreeError(str(error)) from error


_KEYS = {
    "group": "group",
    "version": "version",
    "kind": "kind",
    "name": "name",
    "namespace": "namespace",
    "labelSelector": "labels",
    "annotationSelector": "annotations",
}


def read_selector(target: yaml.Node | None) -> Selector | None:
    """Return a patch's target; None where it has none. Raise `TreeError` for unknown keys."""
    if target is None:
        return None
    found = entries(target)
    unknown = sorted(found.keys() - _KEYS.keys() - {"apiVersion"})
    if unknown or not isinstance(target, yaml.MappingNode):
        raise TreeError(f"the target's {', '.join(unknown) or 'shape'} is not known")
    return Selector(**{_KEYS[k]: text_of(v) or "" for k, v in found.items() if k in _KEYS})


def _fits(pattern: str, text: str) -> bool:
    return not pattern or go_matches(pattern, text)


_TERM = regex(
    r"\s*(?:(?P<absent>!)\s*(?P<gone>[\w./-]+)"
    r"|(?P<key>[\w./-]+)\s*(?:(?P<operator>==|=|!=)\s*(?P<value>[\w.-]*)"
    r"|(?P<within>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?:,|$)",
    re.ASCII,
)


def selects(selector: str, labels: yaml.Node | None) -> bool:
    """Tell whether a selector chooses labels: kubernetes.io/docs/concepts, labels and selectors.

    Raises `TreeError` for a selector that is none.
    """
    present = {key: text_of(value) or "" for key, value in entries(labels).items()}
    position = 0
    while position < len(selector):
        term = _TERM.match(selector, position)
        if term is None:
            raise TreeError(f"the selector '{selector}' is not understood")
        position = term.end()
        if not _holds(term, present):
            return False
    return True


def _holds(term: re.Match[str], present: Mapping[str, str]) -> bool:
    if term["absent"]:
        return term["gone"] not in present
    found = present.get(term["key"])
    if term["operator"] == "!=":
        return found != term["value"]
    if term["operator"]:
        return found == term["value"]
    if term["within"]:
        wanted = {value.strip() for value in term["values"].split(",")}
        return (found in wanted) == (term["within"] == "in")
    return found is not None


@dataclass(frozen=True)
class Loose:
    """A field that met no object, where not all objects are known: it may decide some image."""

    field: ImageField
    unknowns: tuple[Unknown, ...]


@dataclass(frozen=True)
class Renewed:
    """A scalar that an entry or a replacement made: from which one, and what decides it now.

    `entry` is absent where only a name or a suffix was set; `problem` says why the text has no
    place to edit, and is empty where it has. `source` is what a replacement copies it from as it
    is, `origin` the object of that; `is_tag` tells that it became the tag of an image, behind the
    first colon, and nothing else of it.
    """

    node: yaml.ScalarNode
    was: yaml.Node
    entry: ImageEntry | None
    problem: Problem = EDITABLE
    origin: Resource | None = None
    source: yaml.ScalarNode | None = None
    is_tag: bool = False


@dataclass(frozen=True)
class Inline:
    """A patch that is written into a file: its text, the file's path, its line less one there.

    `scalar` is the text in the file; it is kept for as long as what it is known by.
    """

    file: ParsedFile
    path: str
    offset: int
    scalar: yaml.ScalarNode


@dataclass
class Work:
    """A build under way.

    `unread` is what adds objects that are not known, `hidden` the files whose objects were not
    looked at because they name no image, `others` these objects in outline, and those that are
    generated, `failures` what makes the tool refuse the build, `plugins`
    what needs more than the tool itself; `passed` are the texts that replacements copy, `variables`
    what `vars` say, `there` the objects that were taken, by what tells them apart; `names_values`
    tells that releases follow the new names of what their values come from.
    """

    resources: list[Resource] = field(default_factory=list)
    unread: list[Unknown] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    others: list[Resource] = field(default_factory=list)
    failures: list[Unknown] = field(default_factory=list)
    plugins: list[Unknown] = field(default_factory=list)
    loose: list[Loose] = field(default_factory=list)
    specs: list[FieldSpec] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)
    there: set[tuple[str, ...]] = field(default_factory=set)
    names_values: bool = False

    def take(self, new: Iterable[Resource]) -> Resource | None:
        """Note what is there from now on; return an object that was there already, if any."""
        twice = None
        for one in new:
            if one.identity.name and one.identity.key in self.there:
                twice = twice or one
            self.there.add(one.identity.key)
        return twice

    def add(self, other: Work) -> None:
        """Take all of another build in."""
        self.resources += other.resources
        self.unread += other.unread
        self.hidden += other.hidden
        self.others += other.others
        self.failures += other.failures
        self.plugins += other.plugins
        self.loose += other.loose
        self.specs += other.specs
        self.paths += other.paths
        self.passed += other.passed
        self.variables += other.variables
        self.names_values |= other.names_values

    def change(self, changed: Callable[[Resource], Resource]) -> None:
        """Change each object; where one does not allow it kustomize fails, and that is noted."""
        for objects in (self.resources, self.others):
            for place, resource in enumerate(objects):
                try:
                    objects[place] = changed(resource)
                except TreeError as error:
                    line = resource.node.start_mark.line + 1
                    why = f"{error}: the build fails"
                    self.failures.append(Unknown(resource.path, line, "metadata", why, LOOK))

    def rename(self, *, prefix: str = "", suffix: str = "", namespace: str = "") -> None:
        """Give objects other names or another namespace, where kustomize would."""
        if prefix or suffix or namespace:
            self.change(lambda o: o.renamed(prefix=prefix, suffix=suffix, namespace=namespace))
            self.there = {one.identity.key for one in self.every}

    def copy(self) -> Work:
        """Return the same, of which what is noted is not noted here."""
        other = Work()
        other.add(self)
        return other

    @property
    def every(self) -> tuple[Resource, ...]:
        """All its objects, some of them in outline."""
        return (*self.resources, *self.others)

    @property
    def doubts(self) -> Iterator[Unknown]:
        """All that is not known of it."""
        yield from (*self.unread, *self.failures)
        for unknowns in (one.unknowns for one in self.resources):
            yield from unknowns
        for unknowns in (one.unknowns for one in self.loose):
            yield from unknowns

    def doubt(self, *unknowns: Unknown) -> None:
        """Note of every object what could have changed it."""
        self.resources = [one.doubted(*unknowns) for one in self.resources]
