"""The Kubernetes objects of a manifest, with the place of everything in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from gitops_rollback.late import dataclass, field
from gitops_rollback.manifest.document import items_of, lookup, text_of
from gitops_rollback.storage import values
from gitops_rollback.storage.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.storage.values import Steps


@dataclass(frozen=True)
class KubernetesObject:
    """One object of a file: `value` without what is null, `namespace` None where none is written.

    `is_patch` marks a part of an object that kustomize lays over another, `is_refused` one that the
    API server does not take as it is written: no claim and no volume comes of it.
    """

    path: str
    document: int
    api_version: str
    kind: str
    name: str
    namespace: str | None
    value: dict[str, Any] = field(repr=False, hash=False)
    node: yaml.Node = field(repr=False, compare=False)
    text: str = field(repr=False, compare=False, default="")
    is_patch: bool = False
    is_refused: bool = False

    @property
    def title(self) -> str:
        """Kind and name, as people say it: `PersistentVolumeClaim data`."""
        return f"{self.kind or 'object'} {self.name}".rstrip()

    @property
    def identity(self) -> tuple[str, str | None, str]:
        """What there can be only one of in a cluster."""
        return (self.kind, self.namespace, self.name)

    def get(self, *steps: str | int) -> Any:  # noqa: ANN401 - whatever the manifest holds
        """Return what keys and indexes lead to; None if there is nothing."""
        value: Any = self.value
        for step in steps:
            if isinstance(step, int):
                value = value[step] if isinstance(value, list) and step < len(value) else None
            else:
                value = value.get(step) if isinstance(value, dict) else None
        return value

    def mapping(self, *steps: str | int) -> dict[str, Any]:
        """Return the mapping that keys lead to; an empty one for anything else."""
        value = self.get(*steps)
        return value if isinstance(value, dict) else {}

    def place(self, steps: Steps) -> tuple[int, int]:
        """Return line and column, from 1, of what steps lead to, as far as it is there."""
        return values.mark_of(self.node, steps)

    def source(self, steps: Steps) -> str:
        """Return the text of what keys and indexes lead to, as it stands in the file."""
        node = values.node_at(self.node, steps)
        return self.text[node.start_mark.index : node.end_mark.index] if node else ""

    def finding(
        self, severity: str, code: str, steps: Steps, message: str, *, effect: str, mend: str
    ) -> Finding:
        """Return a finding about this object, at the key or item that `steps` lead to."""
        line, column = self.place(steps)
        return Finding(severity, code, self.path, line, column, message, effect, mend, self.title)


def find_objects(file: ParsedFile, *, is_patch: bool = False) -> Iterator[KubernetesObject]:
    """Yield the objects of a file, those in a `List` too; raises `ManifestError` as `plain`."""
    for number, root in enumerate(file.documents):
        for node in _objects(root):
            value = values.plain(file.path, node)
            metadata = value.get("metadata")
            metadata = metadata if isinstance(metadata, dict) else {}
            yield KubernetesObject(
                path=file.path,
                document=number,
                api_version=_text(value.get("apiVersion")),
                kind=_text(value.get("kind")),
                name=_text(metadata.get("name")),
                namespace=_text(metadata.get("namespace")) or None,
                value=value,
                node=node,
                text=file.text,
                is_patch=is_patch,
            )


def _objects(root: yaml.Node | None) -> Iterator[yaml.Node]:
    kind = text_of(lookup(root, "kind"))
    items = lookup(root, "items")
    if kind is not None and kind.endswith("List") and isinstance(items, yaml.SequenceNode):
        for item in items_of(items):
            yield from _objects(item)
    elif isinstance(root, yaml.MappingNode):
        yield root


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""
