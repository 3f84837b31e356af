"""What holds in every unit test, whatever it is about."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gitops_rollback.effective.objects import Unknown
    from gitops_rollback.effective.roots import Tree

_WORD = re.compile(r"[\w$-]{2,}")
# What is told of a whole object, or of a replacement, stands where that begins.
_BEGINS = ("apiVersion", "kind", "---", "metadata", "source:")
# What is told where none of its words stand: at a source, at what is missing, at a pattern.
_OTHERS = (
    "Application",
    "reconcileStrategy",
    "patch ",
    "a configuration in place",
    "postRenderers images",
    "configMapGenerator",  # at the item, which has the name
    "spec.ignore",
    "this file",
)


@pytest.fixture(autouse=True)
def _each_doubt_names_its_place(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Look at each doubt about what takes effect: the line that it names says what it is about.

    A person goes to that line, and to no other. In bytes that are drawn anything may stand there.
    """
    from gitops_rollback.effective.resolve import resolve_fields  # noqa: PLC0415 - see below
    from gitops_rollback.services import inventory  # noqa: PLC0415 - once coverage is measured

    def looked_at(tree: Tree, *arguments: Any) -> Any:  # noqa: ANN401 - of what is looked at
        found = resolve_fields(tree, *arguments)
        for landed in found.effect.landed:
            for doubt in landed.unknowns:
                _check(tree, doubt)
        return found

    if not request.node.nodeid.partition("::")[0].endswith("test_fuzz.py"):
        monkeypatch.setattr(inventory, "resolve_fields", looked_at)


def _check(tree: Tree, doubt: Unknown) -> None:
    data = tree.raw.get(doubt.path)
    if data is None:
        return
    lines = data.decode(errors="replace").splitlines() or [""]
    assert 1 <= doubt.line <= len(lines), f"{doubt.text}: there are {len(lines)} lines"
    line = lines[doubt.line - 1]
    is_other = doubt.construct.startswith(_OTHERS) or doubt.path.endswith("ignore")
    is_of_it = any(word in line for word in _WORD.findall(doubt.construct))
    is_of_it = is_of_it or doubt.construct.rpartition(":")[0] in tree.raw  # a place of another file
    is_start = doubt.line == 1 or line.lstrip(" -").startswith(_BEGINS)
    assert is_of_it or is_start or is_other, f"{doubt.text}: {line}"
