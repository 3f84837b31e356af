"""Where a service's image stands that is no known field, and what would make it one. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops_rollback.errors import ManifestError
from gitops_rollback.image import find_image
from gitops_rollback.late import regex
from gitops_rollback.manifest.document import scalars_of
from gitops_rollback.manifest.kustomize import is_kustomization
from gitops_rollback.manifest.objects import objects_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import yaml

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.objects import ManifestObject
    from gitops_rollback.services.config import Environment, Settings
    from gitops_rollback.services.inventory import Manifests

_CONTAINER = regex(r"(?P<pod>/.+)/(?:initC|c)ontainers/\d+/image")


def find_elsewhere(
    service: str, settings: Settings, manifests: Manifests, environment: Environment
) -> ManifestError | None:
    """Return the error that says where else a service's image stands; None where it does not.

    The hint is what to configure so that it is edited, or how to change the file.
    """
    wanted = settings.image.full_repository if settings.image else service
    last = wanted.rpartition("/")[2]
    files = [
        file
        for path, file in manifests.files.items()
        if environment.holds(path) and not is_kustomization(path)
    ]
    for file in files:
        for item in objects_of(file):
            for pointer, node in _scalars(item):
                image = find_image(str(node.value))
                if image is not None and image.repository.rpartition("/")[2] == last:
                    return _pointed(service, file, item, pointer, node)
    named = _text_with(last)
    for file in files:
        for root in file.documents:
            for _pointer, node in scalars_of(root):
                if "\n" in str(node.value) and named.search(str(node.value)):
                    return _in_block(service, file, node)
    return _in_comment(service, named, files)


def _pointed(
    service: str, file: ParsedFile, item: ManifestObject, pointer: str, node: yaml.ScalarNode
) -> ManifestError:
    container = _CONTAINER.fullmatch(pointer)
    line = (
        f'kinds = {{ {item.kind} = "{container["pod"]}" }}'
        if container
        else f'fields = ["{pointer}"]'
    )
    return ManifestError(
        f"{file.path}:{node.start_mark.line + 1} names '{node.value}' at {pointer} of a "
        f"{item.kind}, a kind that is not known to run an image there",
        f"if it does, name the place in .gitops-rollback.toml: [services.{service}] {line}",
    )


def _in_block(service: str, file: ParsedFile, node: yaml.ScalarNode) -> ManifestError:
    return ManifestError(
        f"{file.path}:{node.start_mark.line + 1} names '{service}' only inside a block string, "
        "which is a text to Kubernetes and is not edited",
        "move these values out of the text: into a values file that the object refers to, or "
        "into a mapping (Argo CD: helm.valuesObject)",
    )


def _in_comment(
    service: str, named: re.Pattern[str], files: list[ParsedFile]
) -> ManifestError | None:
    for file in files:
        if named.search(file.text):
            return ManifestError(
                f"{file.path} names '{service}' only in a comment or as a part of a text, which "
                "is no image field",
                f'name the file that has its image: [services.{service}] manifests = ["…"]',
            )
    return None


def _text_with(last: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?:\b|_)(?:image|repository)['\"]?[ \t]*:[ \t]*['\"]?(?:[^\s'\"]*/)?"
        rf"{re.escape(last)}(?=[:@\s'\",}}]|$)",
        re.MULTILINE,
    )


def _scalars(item: ManifestObject) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Yield the scalars of an object that are called image, or something of it."""
    for pointer, node in scalars_of(item.node):
        key = pointer.rpartition("/")[2]
        if key.lower().endswith("image"):
            yield pointer, node
