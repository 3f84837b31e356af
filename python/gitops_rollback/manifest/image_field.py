"""An image field: one place in a manifest that names an image, with all that is known of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gitops_rollback.image import ImageReference, InvalidImageError, parse_image

if TYPE_CHECKING:
    import yaml

    from gitops_rollback.manifest.markers import Marker


@dataclass(frozen=True)
class Scalar:
    """One scalar of a file.

    `line` and `column` count from 1; `start` and `end` are offsets of the scalar (quotes included)
    in the file's text; `marker` is the Flux marker behind it.
    """

    value: str
    line: int
    column: int
    start: int
    end: int
    marker: Marker | None
    node: yaml.ScalarNode = field(repr=False, compare=False)


@dataclass(frozen=True)
class ImageField:
    """One place in a file that names an image.

    `document` counts from 0; `labels` are the names the workload goes by; `problem` says why the
    field must not be edited, and is empty where it may; `reported_only` marks kinds that are
    left alone unless the configuration lists them.
    """

    path: str
    document: int
    kind: str
    name: str
    container: str
    pointer: str
    scalar: Scalar
    labels: frozenset[str] = frozenset()
    problem: str = ""
    reported_only: bool = False

    @property
    def value(self) -> str:
        """The text as it stands, without quotes."""
        return self.scalar.value

    @property
    def markers(self) -> tuple[Marker, ...]:
        """The Flux markers behind the value, or behind its parts where it is split."""
        return (self.scalar.marker,) if self.scalar.marker is not None else ()

    @property
    def image(self) -> ImageReference | None:
        """The image reference the field holds; None where its text is none."""
        try:
            return parse_image(self.value)
        except InvalidImageError:
            return None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Path, kind, name and container: how a record finds the field again at another tip."""
        return (self.path, self.kind, self.name, self.container)

    @property
    def place(self) -> str:
        """Where the field stands, for people: `path:line`."""
        return f"{self.path}:{self.scalar.line}"

    def to_json(self) -> dict[str, Any]:
        """Return the field as it stands in results."""
        problem = {"problem": self.problem} if self.problem else {}
        return {
            "path": self.path,
            "line": self.scalar.line,
            "column": self.scalar.column,
            "document": self.document,
            "kind": self.kind,
            "name": self.name,
            "container": self.container,
            "value": self.value,
            **problem,
        }
