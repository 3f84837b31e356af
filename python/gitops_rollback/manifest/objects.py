"""The objects of a file, and the image fields of those that are workloads. Pure.

An object is a document, or an item of a `List`. Images stand in the containers and image volumes
of pods and pod templates, and at further pointers.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.late import dataclass, regex, replace
from gitops_rollback.manifest.document import (
    is_null,
    items_of,
    line_of,
    lookup,
    printed,
    text_of,
    way_to,
)
from gitops_rollback.manifest.helm import NO_NAME
from gitops_rollback.manifest.image_field import (
    CONTAINER,
    POINTED,
    REFERENCE,
    TAG,
    VOLUME,
    ImageField,
    Part,
    Place,
    Problem,
)
from gitops_rollback.manifest.scalars import (
    read_scalar,
    reference_problem,
    refuse_duplicate_keys,
    refuse_template,
    spelling_problem,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gitops_rollback.manifest.document import ParsedFile

_CONTENTS = ("data", "stringData")  # of a Secret


@dataclass(frozen=True)
class ManifestObject:
    """One Kubernetes object, and where it stands: its document, and its pointer in there."""

    file: ParsedFile
    document: int
    pointer: str
    node: yaml.Node
    kind: str

    @property
    def name(self) -> str:
        """The object's name; its kind where it has none."""
        return text_of(lookup(lookup(self.node, "metadata"), "name")) or self.kind

    @property
    def namespace(self) -> str | None:
        """The namespace the object says it is in."""
        return text_of(lookup(lookup(self.node, "metadata"), "namespace"))

    @property
    def api_group(self) -> str:
        """The group of the object's `apiVersion`; empty for the core group."""
        version = text_of(lookup(self.node, "apiVersion")) or ""
        return version.rpartition("/")[0]

    @property
    def names(self) -> frozenset[str]:
        """The names people know the object by: its own, and those of its labels."""
        metadata = lookup(self.node, "metadata")
        labels = lookup(metadata, "labels")
        texts = (
            text_of(lookup(metadata, "name")),
            text_of(lookup(labels, "app.kubernetes.io/name")),
            text_of(lookup(labels, "app")),
        )
        return frozenset(text for text in texts if text)

    @property
    def place(self) -> Place:
        """The place of the object, for what fields it has."""
        return Place(
            self.file,
            self.document,
            self.kind,
            self.name,
            self.pointer,
            self.namespace or "",
            self.names,
        )

    @property
    def line(self) -> int:
        """The line the object begins on, counted from 1."""
        return line_of(self.node)

    def find(self, *keys: str) -> yaml.Node | None:
        """Return the node below some keys, or None."""
        node: yaml.Node | None = self.node
        for key in keys:
            node = lookup(node, key)
        return node


def folder_of(text: str) -> str:
    """Return a folder of a repository as Flux and Argo CD take it; empty for the root."""
    path = posixpath.normpath(text.strip("/"))
    return "" if path == "." else path


def objects_of(file: ParsedFile) -> Iterator[ManifestObject]:
    """Yield each object of a file; documents without a `kind` are none."""
    for number, root in enumerate(file.trees):
        if text_of(lookup(root, "kind")) is None:
            continue
        for pointer, node in unlisted(root):
            kind = text_of(lookup(node, "kind")) or ""
            if kind != "List":  # one without items
                yield ManifestObject(file, number, pointer, node, kind)


def unlisted(root: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    """Yield a document's objects with their pointers: those of a `List`, of a list in it too.

    So does kustomize (api/resource/factory.go).
    """
    waiting = [("", root)]
    while waiting:
        pointer, node = waiting.pop()
        items = lookup(node, "items")
        if items is None or not (text_of(lookup(node, "kind")) or "").endswith("List"):
            yield pointer, node
        else:
            found = [(f"{pointer}/items/{n}", item) for n, item in enumerate(items_of(items))]
            waiting += reversed(found)


def odd_objects(root: yaml.Node) -> Iterator[yaml.Node]:
    """Yield what of a document is no object to kustomize: without a kind, or a name but for lists.

    What is empty it passes over (kyaml/yaml/rnode.go, GetValidatedMetadata).
    """
    for _pointer, node in unlisted(root):
        if is_null(node) or (isinstance(node, yaml.CollectionNode) and not node.value):
            continue
        kind, name = (lookup(node, "kind"), lookup(lookup(node, "metadata"), "name"))
        is_named = (text_of(kind) or "").endswith("List") or _says(name)
        if not (_says(kind) and is_named):
            yield node


def _says(node: yaml.Node | None) -> bool:
    return bool(text_of(node)) and not is_null(node)


def selects(selector: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector wants what has these labels; an empty one wants everything.

    `matchLabels` and `matchExpressions`, as Kubernetes has them; no unknown operator wants any.
    """
    wanted = selector.get("matchLabels")
    for key, value in wanted.items() if isinstance(wanted, dict) else ():
        if labels.get(key) != str(value):
            return False
    expressions = selector.get("matchExpressions")
    return all(
        _fits(expression, labels)
        for expression in (expressions if isinstance(expressions, list) else ())
        if isinstance(expression, dict)
    )


def _fits(expression: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    key, operator = str(expression.get("key")), expression.get("operator")
    given = expression.get("values")
    values = [str(value) for value in given] if isinstance(given, list) else []
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False


def holds_clear_secret(file: ParsedFile) -> bool:
    """Tell whether a file has a Secret with `data` or `stringData` that is not encrypted."""
    return any(
        kind == "Secret" and lookup(node, "sops") is None and _has_contents(node)
        for root in file.trees
        for node, kind in _objects(root)
    )


def _objects(root: yaml.Node) -> Iterator[tuple[yaml.Node, str]]:
    """Yield each object with its kind: the items of a SecretList may leave theirs out."""
    waiting = [(root, "")]
    while waiting:
        node, kind = waiting.pop()
        kind = text_of(lookup(node, "kind")) or kind
        yield node, kind
        waiting += [(item, kind.removesuffix("List")) for item in items_of(lookup(node, "items"))]


def _has_contents(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode) and any(
        isinstance(value, yaml.MappingNode) and value.value
        for key, value in node.value
        if text_of(key) in _CONTENTS
    )


# Where the pod specification of each kind stands (kubernetes.io API reference; Rollout:
# argo-rollouts.readthedocs.io/en/stable/features/specification; Knative Service and
# Configuration: knative.dev/docs/serving/reference/serving-api; DeploymentConfig of OpenShift:
# docs.openshift.com; ScaledJob of KEDA: keda.sh/docs; CloneSet: openkruise.io/docs).
POD_SPECS: dict[str, str] = {
    "Pod": "/spec",
    "PodTemplate": "/template/spec",
    "Deployment": "/spec/template/spec",
    "StatefulSet": "/spec/template/spec",
    "DaemonSet": "/spec/template/spec",
    "ReplicaSet": "/spec/template/spec",
    "ReplicationController": "/spec/template/spec",
    "CronJob": "/spec/jobTemplate/spec/template/spec",
    "Rollout": "/spec/template/spec",
    "DeploymentConfig": "/spec/template/spec",
    "ScaledJob": "/spec/jobTargetRef/template/spec",
    "CloneSet": "/spec/template/spec",
    "Configuration": "/spec/template/spec",
}
KNATIVE = "serving.knative.dev"
_KNATIVE_SERVICE = "/spec/template/spec"  # a core Service has no pods
# A Job's template is immutable: it is reported, and edited only where the configuration says so.
REPORTED_POD_SPECS: dict[str, str] = {"Job": "/spec/template/spec"}

# A version, a commit, or a word with a number: what stands alone at a pointer and is no name.
_TAG_ALONE = regex(
    r"(?:v?\d[\w.+-]*|[0-9a-f]{7,40}|\w[\w.]*[-._]\w*\d[\w.-]*)(?:@sha256:[0-9a-f]{64})?"
)
_CONTAINER_LISTS = ("initContainers", "containers")


@dataclass(frozen=True)
class ImageNode:
    """An image in an object: the scalar, and the nodes from the object down to it.

    `container` is what it is called there; `reported_only` marks kinds that are left alone unless
    the configuration lists them.
    """

    container: str
    node: yaml.Node
    pointer: str
    form: str
    way: tuple[yaml.Node, ...]
    reported_only: bool = False


def workload_fields(
    item: ManifestObject, further_kinds: Mapping[str, str], pointers: Iterable[str] = ()
) -> Iterator[ImageField]:
    """Yield the image fields of an object: of its pod specification, and at further pointers.

    Raises `ManifestError` where a key stands twice on the way to a field, or for a Helm template.
    """
    for image in image_nodes(item, further_kinds, pointers):
        refuse_duplicate_keys(item.file.path, image.way)
        refuse_template(item.file, image.node)
        if isinstance(image.node, yaml.ScalarNode):
            yield _field(item, image, image.node)


def image_nodes(
    item: ManifestObject, further_kinds: Mapping[str, str], pointers: Iterable[str] = ()
) -> Iterable[ImageNode]:
    """Return the images of an object; `pointers` are JSON pointers to some at other places."""
    found: dict[str, ImageNode] = {}
    for image in (*_pod_images(item, further_kinds), *_pointed(item, pointers)):
        found.setdefault(image.pointer, image)
    return found.values()


def _pod_images(item: ManifestObject, further_kinds: Mapping[str, str]) -> Iterator[ImageNode]:
    pointer = further_kinds.get(item.kind) or _pod_spec(item)
    way = _way(item, pointer) if pointer is not None else None
    if way is None:
        return
    reported_only = item.kind in REPORTED_POD_SPECS and item.kind not in further_kinds
    prefix = f"{item.pointer}{pointer}"
    for list_name in _CONTAINER_LISTS:
        containers = lookup(way[-1], list_name)
        for index, container in enumerate(items_of(containers)):
            assert containers is not None  # noqa: S101 - it has items
            image = lookup(container, "image")
            if image is not None:
                name = text_of(lookup(container, "name")) or f"{list_name}[{index}]"
                below = f"{prefix}/{list_name}/{index}/image"
                nodes = (*way, containers, container)
                yield ImageNode(name, image, below, CONTAINER, nodes, reported_only)
    volumes = lookup(way[-1], "volumes")
    for index, volume in enumerate(items_of(volumes)):
        source = lookup(volume, "image")
        reference = lookup(source, "reference")
        if isinstance(reference, yaml.ScalarNode) and source is not None:
            name = f"volume:{text_of(lookup(volume, 'name')) or index}"
            below = f"{prefix}/volumes/{index}/image/reference"
            yield ImageNode(name, reference, below, VOLUME, (*way, volume, source), reported_only)


def _pointed(item: ManifestObject, pointers: Iterable[str]) -> Iterator[ImageNode]:
    for pointer in pointers:
        way = _way(item, pointer)
        if way is not None and isinstance(way[-1], yaml.ScalarNode):
            name = pointer.strip("/").replace("/", ".")
            yield ImageNode(name, way[-1], f"{item.pointer}{pointer}", POINTED, way[:-1])


def _way(item: ManifestObject, pointer: str) -> tuple[yaml.Node, ...] | None:
    """Return the nodes down to where a pointer leads; None where that is not there."""
    way = way_to(item.node, pointer)
    return way if len(way) > pointer.count("/") else None


def _pod_spec(item: ManifestObject) -> str | None:
    if item.kind == "Service" and item.api_group == KNATIVE:
        return _KNATIVE_SERVICE
    if item.kind == "Configuration" and item.api_group != KNATIVE:
        return None
    return POD_SPECS.get(item.kind) or REPORTED_POD_SPECS.get(item.kind)


def _field(item: ManifestObject, image: ImageNode, node: yaml.ScalarNode) -> ImageField:
    scalar = read_scalar(item.file, node)
    part = Part(REFERENCE, "image", scalar)
    problem = reference_problem(scalar)
    if image.form == POINTED and _TAG_ALONE.fullmatch(scalar.value):
        part = Part(TAG, "tag", scalar, printed=printed(node))
        problem = spelling_problem(scalar) or NO_NAME
    if image.reported_only:
        problem = Problem(f"the template of a {item.kind} is immutable (see `kinds`)")
    place = replace(item.place, pointer=image.pointer)
    field = place.field(image.container, (part,), image.form, problem)
    return replace(field, reported_only=image.reported_only)
