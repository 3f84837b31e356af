"""The charts of a repository: which others each takes, and what values these have. Pure."""

from __future__ import annotations

import posixpath
from functools import cached_property
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.objects import ACCEPT, Unknown
from gitops_rollback.effective.tree import entries, find, mapping, with_path
from gitops_rollback.manifest.document import is_null, items_of, lookup, root_of, text_of
from gitops_rollback.manifest.helm import CHART_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gitops_rollback.effective.raw import Raw
    from gitops_rollback.manifest.document import ParsedFile

VALUES_FILE = "values.yaml"
_OLD_FILE = "requirements.yaml"  # where a chart of old says which it takes
_MOST_CHARTS = 500  # that one takes, each as often as it is taken


class Charts:
    """The charts among some files, of which `raw` has the bytes; `parsed` reads one of them.

    A chart is known by its folder; `absent` are paths that are named somewhere and not there.
    """

    def __init__(
        self,
        raw: Raw,
        parsed: Callable[[str], ParsedFile | None] = lambda _path: None,
        absent: frozenset[str] = frozenset(),
    ) -> None:
        self.raw, self.parsed, self.absent = raw, parsed, absent

    def root(self, *path: str) -> yaml.Node | None:
        """Return what a file says."""
        return root_of(self.parsed(posixpath.join(*path)))

    def has(self, folder: str) -> bool:
        """Tell whether a folder is a chart that can be read."""
        return self.parsed(posixpath.join(folder, CHART_FILE)) is not None

    def about(self, folder: str) -> yaml.Node | None:
        """Return what a chart says of itself."""
        return self.root(folder, CHART_FILE)

    def values(self, folder: str) -> yaml.Node | None:
        """Return a chart's own values."""
        return self.root(folder, VALUES_FILE)

    def declared(self, folder: str) -> Iterator[tuple[str, yaml.Node]]:
        """Yield what a chart says of the charts that it takes, with the file that says it."""
        for name in (CHART_FILE, _OLD_FILE):
            listed = items_of(lookup(self.root(folder, name), "dependencies"))
            yield from ((posixpath.join(folder, name), one) for one in listed)

    def taken_by(self, folder: str) -> list[tuple[str, str]]:
        """Return the charts that one takes, with the keys of their values there; none of too many.

        The folder is empty for one that is none of these files.
        """
        return [] if folder in self._endless else self._taken.get(folder, [])

    @cached_property
    def parents(self) -> dict[str, list[tuple[str, str]]]:
        """The charts that take each one, with the key of its values there."""
        found: dict[str, list[tuple[str, str]]] = {}
        for parent, charts in self._taken.items():
            for key, folder in charts:
                found.setdefault(folder, []).append((parent, key))
        return found

    @cached_property
    def _taken(self) -> dict[str, list[tuple[str, str]]]:
        charts = [posixpath.dirname(path) for path in self.raw.charts]
        within: dict[str, list[str]] = {}  # by the folder that each stands in
        for one in charts:
            within.setdefault(posixpath.dirname(one), []).append(one)
        there = frozenset(charts)
        return {
            one: self._taken_of(one, there, within.get(posixpath.join(one, "charts"), []))
            for one in charts
        }

    def _taken_of(
        self, chart: str, there: frozenset[str], within: list[str]
    ) -> list[tuple[str, str]]:
        """Return what a chart takes: in its `charts` folder, or by a path that it says."""
        found = []
        for _path, one in self.declared(chart):
            name, alias, written = (
                text_of(lookup(one, key)) or "" for key in ("name", "alias", "repository")
            )
            places = [posixpath.join(chart, "charts", name)]
            if written.startswith("file://"):
                path = posixpath.join(chart, written.removeprefix("file://"))
                places.append(posixpath.normpath(path))
            found.append((alias or name, next((one for one in places if one in there), "")))
        named = {folder for _key, folder in found}
        more = ((posixpath.basename(one), one) for one in within if one not in named)
        return [*found, *more]

    @cached_property
    def _endless(self) -> frozenset[str]:
        """The charts that take too many, with all that these take, or take themselves."""
        return frozenset(filter(self._is_endless, self._taken))

    def _is_endless(self, folder: str) -> bool:
        waiting = [folder]
        for _number in range(_MOST_CHARTS):
            if not waiting:
                return False
            waiting += [below for _key, below in self._taken[waiting.pop()] if below]
        return bool(waiting)

    @cached_property
    def unfollowed(self) -> Unknown | None:
        """That the charts which one takes are not followed: whose values count, nobody knows."""
        why = f"it takes itself, or more than {_MOST_CHARTS} charts with those that these take"
        hint = f"let it take less, {ACCEPT}"
        for folder in sorted(self._endless)[:1]:
            return Unknown(posixpath.join(folder, CHART_FILE), 1, "dependencies", why, hint)
        return None

    def of_taken(self, folder: str | None) -> tuple[yaml.Node | None, list[str]]:
        """Return the values of the charts that one takes, below their keys, and their files.

        helm.sh/docs/chart_template_guide/subcharts_and_globals
        """
        values: yaml.Node | None = None
        paths: list[str] = []
        taken = self.taken_by(folder) if folder is not None else ()
        for key, chart in ((key, chart) for key, chart in taken if chart):
            own, more = self.of_taken(chart)
            root = self.values(chart)
            if isinstance(root, yaml.MappingNode):
                own, more = merged(own, root), [*more, posixpath.join(chart, VALUES_FILE)]
            own = self.with_imports(chart, own)
            if own is not None:
                values = with_path(values, (key,), own)
                paths += more
        return values, paths

    def with_imports(self, folder: str | None, values: yaml.Node | None) -> yaml.Node | None:
        """Return a chart's values over those that it imports from the charts that it takes.

        helm.sh/docs/topics/charts, "Importing Child Values": of several the first counts, and what
        is said of a chart by who installs it comes later.
        """
        found: yaml.Node | None = None
        for _path, one in self.declared(folder) if folder is not None else ():
            name = name_of(one)
            for item in items_of(lookup(one, "import-values")):
                child, parent = (text_of(lookup(item, key)) or "" for key in ("child", "parent"))
                if isinstance(item, yaml.ScalarNode):
                    child, parent = f"exports.{item.value}", "."
                table = find(values, name, *child.split("."))
                if isinstance(table, yaml.MappingNode):
                    to = tuple(key for key in parent.split(".") if key)  # "." are all values
                    new = with_path(None, to, table)
                    found = merged(new, found) if found is not None else new
        return values if values is None or found is None else merged(found, values)


def name_of(dependency: yaml.Node) -> str:
    """Return what a chart calls one that it takes: the key of its values."""
    return text_of(lookup(dependency, "alias")) or text_of(lookup(dependency, "name")) or ""


def merged(under: yaml.Node | None, over: yaml.Node, *, keeps_null: bool = False) -> yaml.Node:
    """Return values with others over them; a null removes what it is over, unless it is kept."""
    if not isinstance(under, yaml.MappingNode) or not isinstance(over, yaml.MappingNode):
        return over
    changes = entries(over)
    out = []
    for key, value in under.value:
        change = changes.pop(text_of(key) or "", None)
        if change is None:
            out.append((key, value))
        elif keeps_null or not is_null(change):
            out.append((key, merged(value, change, keeps_null=keeps_null)))
    new = ((key, value) for key, value in over.value if (text_of(key) or "") in changes)
    out += [(key, value) for key, value in new if keeps_null or not is_null(value)]
    return mapping(out, over)
