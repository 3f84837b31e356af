"""Every byte that is written and said, held against golden files.

    GITOPS_GOLDEN=write .venv/bin/python -m pytest -q tests/python/integration/test_golden.py

writes them anew after a change that is meant: look at the difference. It is a change of what people
see or of a format, and the commit that has it says why. State files, records and trailers change
only with their `schemaVersion`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.conftest import end_what_runs_in
from integration.scenes import SCENES
from integration.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parent / "golden"
WRITES = os.environ.get("GITOPS_GOLDEN") == "write"


@pytest.mark.parametrize("name", SCENES)
def test_every_byte_is_that_of_the_golden_file(name: str, tmp_path: Path) -> None:
    said = played(SCENES[name], tmp_path)
    golden = GOLDEN / f"{name}.txt"
    if WRITES:
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")


def test_a_scenario_played_elsewhere_and_later_has_the_same_bytes(tmp_path: Path) -> None:
    act = SCENES["rollback-to-the-previous-image"]
    assert played(act, tmp_path / "one") == played(act, tmp_path / "another")


def test_every_golden_file_has_a_scenario() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(SCENES)


def played(act: Callable[[Stage], None], folder: Path) -> str:
    """Return the transcript of a scenario."""
    stage = Stage(folder)
    try:
        act(stage)
    finally:
        end_what_runs_in(folder)
    return stage.transcript()
