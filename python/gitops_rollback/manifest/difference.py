"""Whether an edited text reads back as intended: the proof of every edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from gitops_rollback.late import dataclass
from gitops_rollback.manifest.document import children
from gitops_rollback.manifest.scan import STRING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True)
class Intended:
    """What an edit wants of a scalar: its value, and whether it is written as it was recorded.

    What was recorded may read as a number, as it did before.
    """

    value: str
    as_recorded: bool = False


def first_difference(
    old: yaml.Node | None, new: yaml.Node | None, wanted: Mapping[int, Intended]
) -> yaml.Node | None:
    """Return the first node of `old` that is not in `new` as intended, or None if all are.

    `wanted` maps the `id` of an old scalar to what is intended; every other node has to be the
    same in structure, tag and value.
    """
    compared: set[tuple[int, int]] = set()
    waiting = [(old, new)]
    while waiting:
        before, after = waiting.pop()
        if (id(before), id(after)) in compared:
            continue
        compared.add((id(before), id(after)))
        if before is None or after is None or type(before) is not type(after):
            if before is after:
                continue
            return before or after
        if not _same_node(before, after, wanted):
            return before
        waiting.extend(zip(children(before), children(after), strict=True))
    return None


def _same_node(before: yaml.Node, after: yaml.Node, wanted: Mapping[int, Intended]) -> bool:
    intended = wanted.get(id(before))
    if intended is not None:  # what read as a number or as null before may be a text now
        tags = (before.tag, STRING, _NULL) if after.value == "null" else (before.tag, STRING)
        return after.value == intended.value and (intended.as_recorded or after.tag in tags)
    if before.tag != after.tag:
        return False
    if isinstance(before, yaml.ScalarNode):
        return bool(after.value == before.value)
    return len(before.value) == len(after.value)
