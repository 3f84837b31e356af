"""An image on its way through overlays: who uses it, and which field decides its version. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops_rollback.effective.patches import selects
from gitops_rollback.manifest.helm import NO_NAME
from gitops_rollback.manifest.image_field import (
    CONTAINER,
    DIGEST,
    HELM,
    TAG,
    VARIABLE_PROBLEM,
    VOLUME,
    ImageField,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gitops_rollback.manifest.entries import ImageEntry

_IN_CONTAINERS = re.compile(r"/(initC|c)ontainers/\d+/image$")


@dataclass(frozen=True)
class Applied:
    """An image as it stands after some overlays.

    `use` is the workload's own field, `decider` the field whose version counts; `name` and
    `version` are the texts they make together; `over` are the places that were overridden,
    `overlay` the outermost kustomization; `given_names` are those that overlays gave its object.
    """

    use: ImageField
    decider: ImageField
    name: str
    version: str
    over: tuple[str, ...] = ()
    overlay: str = ""
    given_names: tuple[str, ...] = ()

    def decided_by(self, field: ImageField, name: str, version: str) -> Applied:
        """Return the image after another field took over its version."""
        return replace(
            self, decider=field, name=name, version=version, over=(*self.over, self.decider.place)
        )

    def blocked(self, problem: str) -> Applied:
        """Return the image after something took over that cannot be edited."""
        return replace(self, decider=replace(self.decider, problem=problem))

    def renamed(self, prefix: str, suffix: str) -> Applied:
        """Return the image after an overlay put something before or behind its object's name."""
        name = (self.use.name, *self.given_names)[-1]
        return replace(self, given_names=(*self.given_names, f"{prefix}{name}{suffix}"))

    def is_of(self, kind: str | None, name: str | None) -> bool:
        """Tell whether a patch's target chooses the object, by any name it has had."""
        names = (self.use.name, *self.given_names)
        return selects(kind, self.use.kind) and any(selects(name, known) for known in names)

    @property
    def field(self) -> ImageField:
        """The field to edit, with what it takes effect on."""
        decider = self.decider
        own = decider.name_text
        return replace(
            decider,
            labels=decider.labels | self.use.labels,
            containers=decider.containers | self.use.containers,
            shown_name=self.name if self.name != own else decider.shown_name,
            overrides=tuple(dict.fromkeys((*decider.overrides, *self.over))),
            problem=self._problem(),
            overlay=self.overlay,
        )

    def _problem(self) -> str:
        decider = self.decider
        if self.use.reported_only and decider.key != self.use.key:
            return (
                f"it decides the image of {self.use.kind} {self.use.name} ({self.use.place}) too, "
                "whose template is immutable (see `kinds`)"
            )
        is_named = self.name and "${" not in self.name + self.version
        return (
            "" if is_named and decider.problem in (NO_NAME, VARIABLE_PROBLEM) else decider.problem
        )


def begin(field: ImageField) -> Applied:
    """Return a field's image before any overlay."""
    return Applied(field, field, field.shown_name or field.name_text, field.version)


def is_reached(use: ImageField) -> bool:
    """Tell whether kustomize's `images` reach a field: lists of containers, and image volumes.

    It looks for such lists in objects of any kind, but not at other values (api/filters/imagetag/
    legacy.go); at volumes from 5.7 on.
    """
    return use.form in (CONTAINER, VOLUME) or (
        use.form == HELM and _IN_CONTAINERS.search(use.pointer) is not None
    )


def apply_entries(
    images: Iterable[Applied],
    entries: Iterable[ImageEntry],
    reaches: Callable[[ImageField], bool] = is_reached,
) -> tuple[list[Applied], list[ImageEntry]]:
    """Apply `images:` entries in their order; return the images, and the entries that met none."""
    out = list(images)
    unused = []
    for entry in entries:
        met = False
        for index, image in enumerate(out):
            if not reaches(image.use):
                continue
            changed = _apply_entry(image, entry)
            met = met or changed is not image
            out[index] = changed
        if not met:
            unused.append(entry)
    return out, unused


def _apply_entry(image: Applied, entry: ImageEntry) -> Applied:
    if entry.is_pattern:
        if not entry.may_match(image.name):
            return image
        return image.blocked(
            f"the `images:` name {entry.name} in {entry.field.place} is a regular expression"
        )
    if not entry.matches(image.name, image.version):
        return image
    name = entry.new_name or image.name
    if entry.sets_version:
        return image.decided_by(entry.field, name, entry.field.version)
    if entry.suffix:
        return image.blocked(f"the tagSuffix in {entry.field.place} changes its tag")
    return replace(image, name=name)


def apply_patch(image: Applied, patch: ImageField) -> Applied:
    """Apply the field of a strategic merge patch to the image of the same container or key."""
    if patch.form != HELM or image.use.form != HELM:
        return image.decided_by(patch, patch.name_text, patch.version)
    name = patch.name_text or image.name
    if not patch.version:
        return replace(image, name=name)
    base = image.decider
    digest, tag = base.part(DIGEST), patch.part(TAG)
    if digest and digest.text and patch.part(DIGEST) is None and tag is not None:
        patch = replace(patch, problem=f"the digest in {base.path}:{digest.scalar.line} counts")
    return image.decided_by(patch, name, patch.version)
