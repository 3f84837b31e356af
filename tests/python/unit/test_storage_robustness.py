"""Whatever a manifest holds, it is looked at: no shape of it makes the check fail."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitops_rollback.manifest import document
from gitops_rollback.storage.review import read_objects, review
from unit.test_storage_binding import claim, volume
from unit.test_storage_risks import CLASS, stateful, workload

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[3]
TEXTS = (
    (ROOT / "examples/storage/storage.yaml").read_text(encoding="utf-8"),
    (ROOT / "examples/jenkins-home/volume.yaml").read_text(encoding="utf-8"),
    f"{workload()}---\n{claim()}---\n{volume()}---\n{CLASS}---\n{stateful()}",
)
ODD: tuple[Any, ...] = (
    *(None, "", "x", 0, -1, 1.5, True, [], {}, ["x"], [None], [[]], {"x": None}, [{"name": 1}]),
    *({"storage": []}, {"matchLabels": []}, {"matchExpressions": [1]}, "${X}", "9" * 50),
)


def test_what_objects_hold_of_their_files_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "_READ", document._Read())  # noqa: SLF001 - none of other tests
    document.let_go()
    objects = read_objects({"a.yaml": TEXTS[0].encode()})
    document.let_go()
    assert document._READ.total > 0  # noqa: SLF001 - as above
    del objects
    assert document._READ.total == 0  # noqa: SLF001 - as above


def paths_of(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401
    found = [here] if here else []
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, below in items:
        found += paths_of(below, (*here, key))
    return found


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_value_anywhere_is_a_finding_at_most(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    documents = list(yaml.safe_load_all(text))
    for _ in range(data.draw(st.integers(1, 4))):
        paths = paths_of(documents)
        path = data.draw(st.sampled_from(paths))
        holder: Any = documents
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = deepcopy(data.draw(st.sampled_from(ODD)))
    changed = yaml.safe_dump_all(documents)
    found = review({"a.yaml": changed.encode(), "b.json": json.dumps(documents[0]).encode()})
    for finding in found.findings:
        assert finding.line >= 1
        assert finding.message
        assert finding.mend


@given(data=st.data())
def test_lines_that_are_moved_removed_or_indented_are_a_finding_at_most(
    data: st.DataObject,
) -> None:
    lines = data.draw(st.sampled_from(TEXTS)).splitlines()
    for _ in range(data.draw(st.integers(1, 5))):
        number = data.draw(st.integers(0, len(lines) - 1))
        line = lines[number]
        lines[number] = data.draw(
            st.sampled_from(["", line.lstrip(), f"  {line}", f"\t{line}", line[:-1], f"{line}:"])
        )
    review({"a.yaml": "\n".join(lines).encode()})
