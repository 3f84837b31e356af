"""An image on its way through overlays: who uses it, and which field decides its version. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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
    from collections.abc import Iterable

    from gitops_rollback.manifest.entries import ImageEntry


@dataclass(frozen=True)
class Applied:
    """An image as it stands after some overlays.

    `use` is the workload's own field, `decider` the field whose version counts; `name` and
    `version` are the texts they make together; `over` are the places that were overridden,
    `overlay` the outermost kustomization.
    """

    use: ImageField
    decider: ImageField
    name: str
    version: str
    over: tuple[str, ...] = ()
    overlay: str = ""

    def decided_by(self, field: ImageField, name: str, version: str) -> Applied:
        """Return the image after another field took over its version."""
        return replace(
            self, decider=field, name=name, version=version, over=(*self.over, self.decider.place)
        )

    def blocked(self, problem: str) -> Applied:
        """Return the image after something took over that cannot be edited."""
        return replace(self, decider=replace(self.decider, problem=problem))

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
        if self.use.reported_only and (decider.path, decider.pointer) != (
            self.use.path,
            self.use.pointer,
        ):
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


def apply_entries(
    images: Iterable[Applied], entries: Iterable[ImageEntry]
) -> tuple[list[Applied], list[ImageEntry]]:
    """Apply `images:` entries in their order; return the images, and the entries that met none."""
    out = list(images)
    unused = []
    for entry in entries:
        met = False
        for index, image in enumerate(out):
            if image.use.form not in (CONTAINER, VOLUME, HELM):
                continue
            changed = _apply_entry(image, entry)
            met = met or changed is not image
            out[index] = changed
        if not met:
            unused.append(entry)
    return out, unused


def _apply_entry(image: Applied, entry: ImageEntry) -> Applied:
    if entry.is_pattern:
        if image.name.rpartition("/")[2] not in entry.name:
            return image
        return image.blocked(
            f"the `images:` name {entry.name} in {entry.field.place} is a regular expression"
        )
    if not entry.matches(image.name):
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
