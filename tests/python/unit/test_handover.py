"""What is handed on with a turn: taken whole or not at all, kept while somebody waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from gitops_rollback.repo import turn
from gitops_rollback.repo.copy import short_of
from gitops_rollback.repo.turn import Handover

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHAIN = f"chain-{short_of('main')}"
ONE, TWO, THREE, FOUR = (character * 40 for character in "1234")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "turns" / "main.next"


@pytest.fixture
def waiting(place: Path) -> Iterator[Handover]:
    """A run that waits."""
    run = Handover(place)
    run.wait()
    yield run
    run.end()


def pack(folder: Path, commit: str) -> Path:
    """Make what stands for the pack of a commit; return its path without an ending."""
    path = folder / f"pack-{commit}"
    for ending in (".pack", ".idx"):
        path.with_name(path.name + ending).write_text(commit + ending)
    return path


def leave(place: Path, folder: Path, *commits: str) -> None:
    """Let a run for each commit but the first hand it on."""
    for before, commit in pairwise(commits):
        assert Handover(place).is_wanted()
        Handover(place).leave("main", before, commit, pack(folder, commit))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def packs_of(*commits: str) -> list[str]:
    return sorted(f"pack-{one}{ending}" for one in commits for ending in (".pack", ".idx"))


@pytest.mark.parametrize(("tip", "brought"), [(ONE, (TWO, THREE)), (TWO, (THREE,))])
def test_who_waits_goes_on_from_the_tip_that_he_has_with_what_came_upon_it(
    place: Path, waiting: Handover, tmp_path: Path, tip: str, brought: tuple[str, ...]
) -> None:
    (packs := tmp_path / "packs").mkdir()
    leave(place, tmp_path, ONE, TWO, THREE)
    assert waiting.is_elsewhere("main", tip)
    assert waiting.take("main", tip, packs) == THREE
    assert names(packs) == packs_of(*brought)
    assert (packs / f"pack-{THREE}.idx").read_text() == f"{THREE}.idx"


@pytest.mark.parametrize("tip", [THREE, FOUR], ids=["the last", "another"])
def test_upon_the_last_one_and_upon_what_nobody_here_pushed_there_is_nothing(
    place: Path, waiting: Handover, tmp_path: Path, tip: str
) -> None:
    leave(place, tmp_path, ONE, TWO, THREE)
    assert waiting.is_elsewhere("main", tip) == (tip == FOUR)
    assert waiting.take("main", tip, tmp_path / "packs") is None


def test_what_somebody_else_pushed_in_between_begins_another_chain(
    place: Path, waiting: Handover, tmp_path: Path
) -> None:
    (packs := tmp_path / "packs").mkdir()
    leave(place, tmp_path, ONE, TWO)
    leave(place, tmp_path, THREE, FOUR)
    assert names(place) == [CHAIN, *packs_of(FOUR)]
    assert waiting.is_elsewhere("main", ONE), "but what leads there is not here"
    assert waiting.take("main", THREE, packs) == FOUR


def test_each_branch_has_a_chain_of_its_own(place: Path, waiting: Handover, tmp_path: Path) -> None:
    leave(place, tmp_path, ONE, TWO)
    Handover(place).leave("other", ONE, THREE, pack(tmp_path, THREE))
    assert waiting.is_elsewhere("other", TWO)
    leave(place, tmp_path, TWO, FOUR)
    assert waiting.take("main", ONE, tmp_path) == FOUR


def test_a_chain_has_an_end(place: Path, waiting: Handover, tmp_path: Path) -> None:
    with patch.object(turn, "MOST", 2):
        leave(place, tmp_path, ONE, TWO, THREE, FOUR)
    assert names(place) == [CHAIN, *packs_of(FOUR)]
    assert waiting.take("main", THREE, tmp_path) == FOUR


def test_where_nobody_waits_nothing_is_kept(place: Path, tmp_path: Path) -> None:
    assert not Handover(place).is_wanted()
    assert not place.exists()
    run = Handover(place)
    run.wait()
    leave(place, tmp_path, ONE, TWO)
    run.take("main", ONE, tmp_path)
    assert not run.is_elsewhere("main", ONE), "it waits no more"
    assert not Handover(place).is_wanted()
    assert not place.exists()


def test_a_run_that_was_killed_waits_no_more(place: Path) -> None:
    code = (
        "import os, sys, pathlib; from gitops_rollback.repo.turn import Handover\n"
        "run = Handover(pathlib.Path(sys.argv[1])); run.wait(); assert run.is_wanted()\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(place)], check=False).returncode == -9
    assert place.exists()
    assert not Handover(place).is_wanted()
    assert not place.exists()


@pytest.mark.parametrize("harm", ["chain", "pack"])
def test_what_came_to_harm_is_not_taken(
    place: Path, waiting: Handover, tmp_path: Path, harm: str
) -> None:
    (packs := tmp_path / "packs").mkdir()
    leave(place, tmp_path, ONE, TWO)
    if harm == "chain":
        (place / CHAIN).write_text(f"{ONE} -\n{TWO} ../../pack")
    else:
        (place / f"pack-{TWO}.idx").unlink()
    assert waiting.is_elsewhere("main", ONE) == (harm == "pack")
    assert waiting.take("main", ONE, packs) is None
    assert f"pack-{TWO}.idx" not in names(packs)


@pytest.mark.parametrize("kind", ["link", "open", "file"])
def test_a_place_that_is_not_this_accounts_alone_is_not_used(
    place: Path, tmp_path: Path, kind: str
) -> None:
    place.parent.mkdir()
    (elsewhere := tmp_path / "elsewhere").mkdir(mode=0o700)
    if kind == "link":
        place.symlink_to(elsewhere)
    elif kind == "open":
        place.mkdir()
        place.chmod(0o770)
    else:
        place.touch()
    run = Handover(place)
    run.wait()
    assert not Handover(place).is_wanted()
    assert place.exists(), "it is left alone"
    assert run.take("main", ONE, tmp_path) is None


def test_where_links_are_not_it_is_copied(place: Path, waiting: Handover, tmp_path: Path) -> None:
    (packs := tmp_path / "packs").mkdir()
    with patch.object(os, "link", side_effect=OSError(18, "Cross-device link")):
        leave(place, tmp_path, ONE, TWO, THREE)
        assert waiting.take("main", ONE, packs) == THREE
    assert names(packs) == packs_of(TWO, THREE)
