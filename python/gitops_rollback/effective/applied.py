"""An image on its way through overlays: who uses it, and which field decides its version. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.late import dataclass, replace
from gitops_rollback.manifest.helm import NO_NAME
from gitops_rollback.manifest.image_field import EDITABLE, VARIABLE_PROBLEM, Problem

if TYPE_CHECKING:
    from gitops_rollback.manifest.image_field import ImageField


@dataclass(frozen=True)
class Applied:
    """An image as it stands after some overlays.

    `use` is the workload's own field, `decider` the field whose version counts; `name` and
    `version` are the texts they make together; `over` are the places that were overridden,
    `overlay` the outermost kustomization, `made` why the decider is not edited though it could be.
    """

    use: ImageField
    decider: ImageField
    name: str
    version: str
    over: tuple[str, ...] = ()
    overlay: str = ""
    made: Problem = EDITABLE

    def decided_by(self, field: ImageField, name: str, version: str) -> Applied:
        """Return the image after another field took over its version."""
        over = (*self.over, self.decider.place)
        return replace(self, decider=field, name=name, version=version, over=over, made=EDITABLE)

    def blocked(self, problem: Problem) -> Applied:
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

    def _problem(self) -> Problem:
        decider = self.decider
        if self.made:
            return self.made
        if self.use.reported_only and decider.key != self.use.key:
            return Problem(
                f"it decides the image of {self.use.kind} {self.use.name} ({self.use.place}) too, "
                "whose template is immutable (see `kinds`)"
            )
        is_named = self.name and "${" not in self.name + self.version
        named = is_named and decider.problem in (NO_NAME, VARIABLE_PROBLEM)
        return EDITABLE if named else decider.problem


def begin(field: ImageField) -> Applied:
    """Return a field's image before any overlay."""
    return Applied(field, field, field.shown_name or field.name_text, field.version)
