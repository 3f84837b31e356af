"""Image fields of workloads: containers and image volumes of pods and pod templates. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from gitops_rollback.late import dataclass, regex, replace
from gitops_rollback.manifest.document import items_of, lookup, printed, text_of
from gitops_rollback.manifest.helm import NO_NAME
from gitops_rollback.manifest.image_field import (
    CONTAINER,
    POINTED,
    REFERENCE,
    TAG,
    VOLUME,
    ImageField,
    Part,
    Problem,
)
from gitops_rollback.manifest.scalars import (
    read_scalar,
    reference_problem,
    refuse_duplicate_keys,
    refuse_template,
    spelling_problem,
)
from gitops_rollback.model import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gitops_rollback.manifest.objects import ManifestObject

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
    way = _way(item.node, pointer) if pointer is not None else None
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
        way = _way(item.node, pointer)
        if way is not None and isinstance(way[-1], yaml.ScalarNode):
            name = pointer.strip("/").replace("/", ".")
            yield ImageNode(name, way[-1], f"{item.pointer}{pointer}", POINTED, way[:-1])


def _way(node: yaml.Node, pointer: str) -> tuple[yaml.Node, ...] | None:
    """Return the nodes down to where a pointer leads; None where that is not there."""
    nodes = [node]
    for step in pointer.strip("/").split("/"):
        below = _step(nodes[-1], step.replace("~1", "/").replace("~0", "~"))
        if below is None:
            return None
        nodes.append(below)
    return tuple(nodes)


def _pod_spec(item: ManifestObject) -> str | None:
    if item.kind == "Service" and item.api_group == KNATIVE:
        return _KNATIVE_SERVICE
    if item.kind == "Configuration" and item.api_group != KNATIVE:
        return None
    return POD_SPECS.get(item.kind) or REPORTED_POD_SPECS.get(item.kind)


def _step(node: yaml.Node, key: str) -> yaml.Node | None:
    """Go one step of a JSON pointer (RFC 6901), into a mapping or a sequence."""
    items, index = items_of(node), whole_number(key)
    if index is not None and index < len(items):
        return items[index]
    return lookup(node, key)


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
