"""What a real kustomize makes of a part of the repository: the files it reads, and the builds."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from gitops_rollback.decide.facts import Blobs, Rendered
from gitops_rollback.effective.recipe import NotBuiltError, as_applied, files_of
from gitops_rollback.repo.builder import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gitops_rollback.decide.facts import NeedRendered
    from gitops_rollback.effective.recipe import Recipe
    from gitops_rollback.repo.builder import KustomizeBuilder
    from gitops_rollback.repo.objects import Entry
    from gitops_rollback.repo.repository import Repository

_MOST_FILES = 2_000
_LARGEST = 50_000_000  # bytes of all files of a build
_MOST_LEVELS = 50  # of folders that take each other, each a batch of its own


class BuildReader:
    """Builds at one commit; `make_builder` is called when a tool is needed."""

    def __init__(
        self, repository: Repository, commit: str, make_builder: Callable[[], KustomizeBuilder]
    ) -> None:
        self._repository = repository
        self._commit = commit
        self._make_builder = make_builder
        self._files: dict[str, bytes] = {}
        self._paths: dict[Recipe, frozenset[str]] = {}

    def blobs(self, recipe: Recipe) -> Blobs:
        """Return the blobs that a build of a recipe reads, by their paths."""
        try:
            return Blobs({path: self._entries[path].oid for path in sorted(self._read(recipe))})
        except NotBuiltError as error:
            return Blobs(problem=str(error))

    def build(self, need: NeedRendered) -> Rendered:
        """Return what a tool makes of a recipe before some edits and after them, or why nothing."""
        try:
            tool = self._builder.tool
            files = {path: self._files[path] for path in self._read(need.recipe)}
            edited = {path: data for path, data in need.edited if path in files}
            made = (as_applied(need.recipe, files), as_applied(need.recipe, {**files, **edited}))
            versions = ({**files, **made[0]}, {**edited, **made[1]})
            tool, (before, after) = self._builder.build(need.recipe.folder, versions)
        except BuildError as error:
            return Rendered(problem=str(error), is_missing=error.is_missing)
        except NotBuiltError as error:
            return Rendered(problem=str(error))
        return Rendered(tool.name, tool.version, before, after)

    @cached_property
    def _builder(self) -> KustomizeBuilder:
        return self._make_builder()

    @cached_property
    def _entries(self) -> Mapping[str, Entry]:
        return {entry.path: entry for entry in self._repository.list_files(self._commit, [""])}

    def _read(self, recipe: Recipe) -> frozenset[str]:
        """Read the files of a recipe, a batch for each level; raise `NotBuiltError` of too many."""
        if recipe in self._paths:
            return self._paths[recipe]
        for _level in range(_MOST_LEVELS):
            paths = files_of(recipe, self._entries, self._files)
            if len(paths) > _MOST_FILES:
                raise NotBuiltError(f"{recipe.title} is made of more than {_MOST_FILES} files")
            missing = [self._entries[path] for path in paths if path not in self._files]
            if not missing:
                self._paths[recipe] = paths
                return paths
            found = self._repository.read(entry.oid for entry in missing)
            self._files |= {entry.path: found[entry.oid] for entry in missing}
            if sum(map(len, self._files.values())) > _LARGEST:
                raise NotBuiltError(f"{recipe.title} is of more than {_LARGEST // 1_000_000} MB")
        raise NotBuiltError(f"{recipe.title}: more than {_MOST_LEVELS} folders take each other")
