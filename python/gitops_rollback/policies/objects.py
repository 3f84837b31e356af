"""Flux image policies: which tag automation takes for a marker. Pure.

`ImagePolicy` of `image.toolkit.fluxcd.io`, v1beta1 to v1 (fluxcd/image-reflector-controller,
`docs/spec/v1/imagepolicies.md`, `internal/policy`): of the tags that match `filterTags.pattern`,
or of what `extract` makes of them, the highest by `semver.range`, `alphabetical.order` or
`numerical.order`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.late import dataclass
from gitops_rollback.manifest.document import items_of, lookup, text_of

if TYPE_CHECKING:
    import yaml

    from gitops_rollback.manifest.document import ParsedFile

_GROUP = "image.toolkit.fluxcd.io/"
_KIND = "ImagePolicy"
ORDERS = ("semver", "alphabetical", "numerical")


@dataclass(frozen=True)
class ImagePolicy:
    """One image policy and its place; `line` counts from 1.

    `order` is one of `ORDERS`, or empty where the object names none; `value` is the range, or the
    direction (`asc`, `desc`, or empty). `namespace` is empty where kustomize or Flux sets it.
    """

    path: str
    line: int
    namespace: str
    name: str
    order: str
    value: str
    pattern: str = ""
    extract: str = ""

    @property
    def place(self) -> str:
        """Where the policy stands, for people: `path:line`."""
        return f"{self.path}:{self.line}"

    @property
    def rule(self) -> str:
        """What it takes, for people: `semver >=1.0.0`."""
        filtered = f" of tags like {self.pattern}" if self.pattern else ""
        return f"{self.order} {self.value or 'asc'}{filtered}"

    def is_named(self, namespace: str, name: str) -> bool:
        """Tell whether a marker with this namespace and name can mean this policy."""
        return self.name == name and self.namespace in ("", namespace)


@dataclass(frozen=True)
class Policies:
    """The image policies of the repository, and why some files could not be looked into."""

    found: tuple[ImagePolicy, ...] = ()
    unread: tuple[str, ...] = ()

    def named(self, marker: str) -> tuple[ImagePolicy, ...]:
        """Return the policies that a marker's text, `namespace:policy[:part]`, can mean."""
        namespace, _, rest = marker.partition(":")
        name = rest.partition(":")[0]
        return tuple(policy for policy in self.found if policy.is_named(namespace, name))


def may_hold_policy(data: bytes) -> bool:
    """Tell cheaply whether a file is worth parsing for policies."""
    return _KIND.encode() in data


def find_policies(file: ParsedFile) -> tuple[ImagePolicy, ...]:
    """Return the image policies of a file, also those in a `List`."""
    found = []
    waiting = [root for root in reversed(file.documents) if root is not None]
    while waiting:
        root = waiting.pop()
        if text_of(lookup(root, "kind")) in ("List", f"{_KIND}List"):
            waiting += reversed(items_of(lookup(root, "items")))
            continue
        is_policy = text_of(lookup(root, "kind")) == _KIND
        if is_policy and (text_of(lookup(root, "apiVersion")) or "").startswith(_GROUP):
            found.append(_policy(file.path, root))
    return tuple(found)


def _policy(path: str, root: yaml.Node) -> ImagePolicy:
    metadata, spec = lookup(root, "metadata"), lookup(root, "spec")
    chosen = lookup(spec, "policy")
    order = next((name for name in ORDERS if lookup(chosen, name) is not None), "")
    key = "range" if order == "semver" else "order"
    value = lookup(lookup(chosen, order), key) if order else None
    filter_ = lookup(spec, "filterTags")
    place = value if value is not None else root
    return ImagePolicy(
        path=path,
        line=place.start_mark.line + 1,
        namespace=text_of(lookup(metadata, "namespace")) or "",
        name=text_of(lookup(metadata, "name")) or "",
        order=order,
        value=text_of(value) or "",
        pattern=text_of(lookup(filter_, "pattern")) or "",
        extract=text_of(lookup(filter_, "extract")) or "",
    )
