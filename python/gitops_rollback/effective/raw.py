"""The bytes of all files that were read, and what some of them are, whichever is asked about. Pure.

Of many services each is looked at by itself, among files that are the same for all: what these tell
is looked for once.
"""

from __future__ import annotations

import posixpath
import re
from functools import cached_property
from typing import TYPE_CHECKING

from gitops_rollback.effective.stacks import gives_values, is_helmfile
from gitops_rollback.late import regex
from gitops_rollback.manifest.helm import CHART_FILE, is_chart_file

if TYPE_CHECKING:
    from collections.abc import Mapping

IGNORE_FILE = ".sourceignore"  # a list of what Flux leaves out
_CARVEL = regex(
    rb"^[ \t]*#@|^\{?[ \t]*[\"']?apiVersion[\"']?[ \t]*:[ \t]*[\"']?kbld\.k14s\.io/", re.MULTILINE
)
_SIGNS_OF_CARVEL = (b"#@", b"kbld.k14s.io/")


def is_ignore_file(path: str) -> bool:
    """Tell whether a file is a list of what Flux leaves out."""
    return posixpath.basename(path) == IGNORE_FILE


def decoded(data: bytes) -> str:
    """Return what a file says, also where it is no text all through."""
    return data.decode(errors="replace")


class Raw(dict[str, bytes]):
    """The bytes of files by their paths."""

    @cached_property
    def order(self) -> dict[str, int]:
        """How many files were read before each."""
        return {path: number for number, path in enumerate(self)}

    @cached_property
    def ignores(self) -> dict[str, bytes]:
        """The lists of what Flux leaves out."""
        return {path: data for path, data in self.items() if is_ignore_file(path)}

    @cached_property
    def charts(self) -> list[str]:
        """The files that make their folder a chart."""
        return [path for path in self if is_chart_file(path)]

    def is_of_templates(self, path: str) -> bool:
        """Tell whether a file is a template of a chart, in which nobody can edit an image."""
        steps = path.split("/")[:-1]
        return any(
            step == "templates" and "/".join((*steps[:number], CHART_FILE)) in self
            for number, step in enumerate(steps)
        )

    @cached_property
    def giving_values(self) -> list[str]:
        """The files that may say which values a chart gets."""
        return [path for path, data in self.items() if gives_values(path, data)]

    @cached_property
    def helmfiles(self) -> list[str]:
        """The files that may be helmfiles."""
        return [path for path, data in self.items() if is_helmfile(path, data)]

    @cached_property
    def of_charts(self) -> dict[str, list[str]]:
        """The files below each folder of templates, or of charts within a chart."""
        found: dict[str, list[str]] = {}
        for path in self:
            steps = path.split("/")[:-1]
            for number, step in enumerate(steps, start=1):
                if step in ("templates", "charts"):
                    found.setdefault("/".join(steps[:number]), []).append(path)
        return found

    @cached_property
    def of_carvel(self) -> dict[str, list[str]]:
        """The files for ytt and kbld, by their folders."""
        found: dict[str, list[str]] = {}
        for path, data in self.items():
            if _is_of_carvel(data):
                found.setdefault(posixpath.dirname(path), []).append(path)
        return found

    def with_files(self, files: Mapping[str, bytes]) -> Raw:
        """Return them with some files as they will be, or besides.

        What an edit of a manifest changes nothing of is not looked for again.
        """
        new = Raw({**self, **files})
        if all(self._is_like(path, data) for path, data in files.items()):
            vars(new).update(vars(self))
        return new

    def _is_like(self, path: str, data: bytes) -> bool:
        """Tell whether a file with other bytes is what it was, to all that is told here."""
        was = self.get(path)
        if was is None or is_ignore_file(path):
            return False
        is_helms = is_helmfile(path, data) == is_helmfile(path, was)
        return is_helms and _is_of_carvel(data) == _is_of_carvel(was)


def _is_of_carvel(data: bytes) -> bool:
    return any(sign in data for sign in _SIGNS_OF_CARVEL) and _CARVEL.search(data) is not None
