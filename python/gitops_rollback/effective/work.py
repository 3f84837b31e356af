"""What a build holds while it is under way: objects, what is not known, what made what. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.effective.objects import LOOK, Unknown
from gitops_rollback.effective.tree import TreeError
from gitops_rollback.late import dataclass, field
from gitops_rollback.manifest.image_field import EDITABLE, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import yaml

    from gitops_rollback.effective.images import FieldSpec
    from gitops_rollback.effective.objects import Resource
    from gitops_rollback.effective.replace import Copied, Passed, Variable
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.entries import ImageEntry
    from gitops_rollback.manifest.image_field import ImageField


@dataclass(frozen=True)
class Loose:
    """A field that met no object, where not all objects are known: it may decide some image."""

    field: ImageField
    unknowns: tuple[Unknown, ...]


@dataclass(frozen=True)
class Renewed:
    """A scalar that an entry or a replacement made: from which one, and what decides it now.

    `entry` is absent where only a name or a suffix was set; `problem` says why the text has no
    place to edit, and is empty where it has; `copied` is absent but for a replacement's.
    """

    node: yaml.ScalarNode
    was: yaml.Node
    entry: ImageEntry | None
    problem: Problem = EDITABLE
    copied: Copied | None = None


@dataclass(frozen=True)
class Inline:
    """A patch that is written into a file: its text, the file's path, its line less one there.

    `scalar` is the text in the file; it is kept for as long as what it is known by.
    """

    file: ParsedFile
    path: str
    offset: int
    scalar: yaml.ScalarNode


@dataclass
class Work:
    """A build under way.

    `unread` is what adds objects that are not known, `hidden` the files whose objects were not
    looked at because they name no image, `failures` what makes the tool refuse the build, `plugins`
    what needs more than the tool itself; `passed` are the texts that replacements copy, `variables`
    what `vars` say, `there` the objects that were taken, by what tells them apart; `names_values`
    tells that releases follow the new names of what their values come from.
    """

    resources: list[Resource] = field(default_factory=list)
    unread: list[Unknown] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    failures: list[Unknown] = field(default_factory=list)
    plugins: list[Unknown] = field(default_factory=list)
    loose: list[Loose] = field(default_factory=list)
    specs: list[FieldSpec] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)
    there: set[tuple[str, ...]] = field(default_factory=set)
    names_values: bool = False

    def add(self, other: Work) -> None:
        """Take all of another build in."""
        self.resources += other.resources
        self.unread += other.unread
        self.hidden += other.hidden
        self.failures += other.failures
        self.plugins += other.plugins
        self.loose += other.loose
        self.specs += other.specs
        self.paths += other.paths
        self.passed += other.passed
        self.variables += other.variables
        self.names_values |= other.names_values

    def change(self, changed: Callable[[Resource], Resource]) -> None:
        """Change each object; where one does not allow it kustomize fails, and that is noted."""
        for place, resource in enumerate(self.resources):
            try:
                self.resources[place] = changed(resource)
            except TreeError as error:
                line = resource.node.start_mark.line + 1
                why = f"{error}: the build fails"
                self.failures.append(Unknown(resource.path, line, "metadata", why, LOOK))

    def copy(self) -> Work:
        """Return the same, of which what is noted is not noted here."""
        other = Work()
        other.add(self)
        return other

    @property
    def doubts(self) -> Iterator[Unknown]:
        """All that is not known of it."""
        yield from (*self.unread, *self.failures)
        for unknowns in (one.unknowns for one in self.resources):
            yield from unknowns
        for unknowns in (one.unknowns for one in self.loose):
            yield from unknowns

    def doubt(self, *unknowns: Unknown) -> None:
        """Note of every object what could have changed it."""
        self.resources = [one.doubted(*unknowns) for one in self.resources]
