"""Version ranges mean to us what they mean to Flux: held against its own library's answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitops_rollback.policies.semver_range import UnreadableRangeError, takes_version

GOLDEN = json.loads(
    (Path(__file__).parent / "golden" / "semver" / "ranges.json").read_text(encoding="utf-8")
)
VERDICTS = {True: "y", False: "n", None: "?"}


@pytest.mark.parametrize("text", GOLDEN["verdicts"])
def test_a_range_takes_what_it_takes_in_flux(text: str) -> None:
    wanted = GOLDEN["verdicts"][text]
    if wanted == "error":
        with pytest.raises(UnreadableRangeError):
            takes_version(text, "1.0.0")
        return
    found = "".join(VERDICTS[takes_version(text, version)] for version in GOLDEN["versions"])
    assert found == wanted.replace("-", "n")


def test_the_answers_of_flux_are_many_and_of_every_kind() -> None:
    cells = "".join(row for row in GOLDEN["verdicts"].values() if row != "error")
    assert len(cells) > 15_000
    assert min(cells.count(letter) for letter in "yn?-") > 50
    assert list(GOLDEN["verdicts"].values()).count("error") > 10


def test_an_endless_range_is_refused_before_it_is_read() -> None:
    with pytest.raises(UnreadableRangeError):
        takes_version(">=1.0.0 " * 1000, "1.0.0")
