"""Image fields of workloads: containers and image volumes of pods and pod templates. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.image import InvalidImageError, parse_image
from gitops_rollback.manifest.document import items_of, lookup, text_of
from gitops_rollback.manifest.image_field import (
    CONTAINER,
    REFERENCE,
    VARIABLE_PROBLEM,
    VOLUME,
    ImageField,
    Part,
)
from gitops_rollback.manifest.scalars import (
    read_scalar,
    refuse_duplicate_keys,
    refuse_template,
    spelling_problem,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gitops_rollback.manifest.image_field import Scalar
    from gitops_rollback.manifest.objects import ManifestObject

# Where the pod specification of each kind stands (kubernetes.io API reference; Rollout:
# argo-rollouts.readthedocs.io/en/stable/features/specification; Knative Service and
# Configuration: knative.dev/docs/serving/reference/serving-api).
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
    "Configuration": "/spec/template/spec",
}
KNATIVE = "serving.knative.dev"
_KNATIVE_SERVICE = "/spec/template/spec"  # a core Service has no pods
# A Job's template is immutable: it is reported, and edited only where the configuration says so.
REPORTED_POD_SPECS: dict[str, str] = {"Job": "/spec/template/spec"}

_CONTAINER_LISTS = ("initContainers", "containers")


@dataclass(frozen=True)
class _Workload:
    """One object with a pod specification, and what its fields have in common."""

    object: ManifestObject
    prefix: str
    nodes: tuple[yaml.Node, ...]  # from the object down to its pod specification
    reported_only: bool


def workload_fields(item: ManifestObject, further_kinds: Mapping[str, str]) -> Iterator[ImageField]:
    """Yield the image fields of an object that has a pod specification.

    Raises `ManifestError` where a key stands twice on the way to a field, or for a Helm template.
    """
    pointer = further_kinds.get(item.kind) or _pod_spec(item)
    if pointer is None:
        return
    nodes = [item.node]
    for step in pointer.strip("/").split("/"):
        below = _step(nodes[-1], step.replace("~1", "/").replace("~0", "~"))
        if below is None:
            return
        nodes.append(below)
    workload = _Workload(
        object=item,
        prefix=f"{item.pointer}{pointer}",
        nodes=tuple(nodes),
        reported_only=item.kind in REPORTED_POD_SPECS and item.kind not in further_kinds,
    )
    for list_name in _CONTAINER_LISTS:
        yield from _container_fields(workload, list_name)
    yield from _volume_fields(workload)


def _pod_spec(item: ManifestObject) -> str | None:
    if item.kind == "Service" and item.api_group == KNATIVE:
        return _KNATIVE_SERVICE
    if item.kind == "Configuration" and item.api_group != KNATIVE:
        return None
    return POD_SPECS.get(item.kind) or REPORTED_POD_SPECS.get(item.kind)


def _step(node: yaml.Node, key: str) -> yaml.Node | None:
    """Go one step of a JSON pointer (RFC 6901), into a mapping or a sequence."""
    items = items_of(node)
    if items and key.isdecimal() and int(key) < len(items):
        return items[int(key)]
    return lookup(node, key)


def _container_fields(workload: _Workload, list_name: str) -> Iterator[ImageField]:
    containers = lookup(workload.nodes[-1], list_name)
    for index, container in enumerate(items_of(containers)):
        assert containers is not None  # noqa: S101 - it has items
        refuse_duplicate_keys(workload.object.file.path, [*workload.nodes, containers, container])
        image = lookup(container, "image")
        refuse_template(workload.object.file, image)
        if isinstance(image, yaml.ScalarNode):
            name = text_of(lookup(container, "name")) or f"{list_name}[{index}]"
            pointer = f"{workload.prefix}/{list_name}/{index}/image"
            yield _field(workload, image, name, pointer, CONTAINER)


def _volume_fields(workload: _Workload) -> Iterator[ImageField]:
    """Yield image volumes: kubernetes.io/docs/tasks/configure-pod-container/image-volumes."""
    volumes = lookup(workload.nodes[-1], "volumes")
    for index, volume in enumerate(items_of(volumes)):
        source = lookup(volume, "image")
        reference = lookup(source, "reference")
        if not isinstance(reference, yaml.ScalarNode) or source is None:
            continue
        refuse_duplicate_keys(workload.object.file.path, [*workload.nodes, volume, source])
        refuse_template(workload.object.file, reference)
        name = f"volume:{text_of(lookup(volume, 'name')) or index}"
        pointer = f"{workload.prefix}/volumes/{index}/image/reference"
        yield _field(workload, reference, name, pointer, VOLUME)


def _field(
    workload: _Workload, node: yaml.ScalarNode, name: str, pointer: str, form: str
) -> ImageField:
    item = workload.object
    scalar = read_scalar(item.file, node)
    problem = spelling_problem(scalar) or _reference_problem(scalar)
    if workload.reported_only:
        problem = f"the template of a {item.kind} is immutable (see `kinds`)"
    return ImageField(
        path=item.file.path,
        document=item.document,
        kind=item.kind,
        name=item.name,
        container=name,
        pointer=pointer,
        parts=(Part(REFERENCE, "image", scalar),),
        namespace=item.namespace or "",
        form=form,
        labels=item.names,
        containers=frozenset((name,)),
        problem=problem,
        reported_only=workload.reported_only,
    )


def _reference_problem(scalar: Scalar) -> str:
    """Return why the text is no image reference, or none by itself."""
    if scalar.is_null:
        return "the value is empty"
    if "${" in scalar.value:
        return VARIABLE_PROBLEM
    try:
        parse_image(scalar.value)
    except InvalidImageError as error:
        return str(error)
    return ""
