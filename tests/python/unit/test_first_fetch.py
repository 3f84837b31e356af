"""How much is asked for first, on real processes that write real files."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.repo.copy import LARGEST, NONE, SMALL, FirstFetch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

URL = "https://git.acme.example/manifests.git"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home")}


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    folder = tmp_path / "repository.git" / "objects" / "pack"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def clone() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "20"]) as running:
        yield running
        running.kill()


def test_a_repository_that_nobody_knows_is_asked_for_its_small_files(
    environment: dict[str, str],
) -> None:
    assert FirstFetch(URL, environment).option == SMALL


def test_one_that_grows_beyond_the_bound_is_given_up_and_remembered(
    environment: dict[str, str], packs: Path, clone: subprocess.Popen[bytes]
) -> None:
    first = FirstFetch(URL, environment)
    first.watch(clone, packs.parents[1])
    with (packs / "tmp_pack_x").open("wb") as file:
        file.truncate(LARGEST + 1)

    assert clone.wait(10) != 0
    assert first.gave_up()
    assert not first.gave_up(), "once: what fails later fails for another reason"
    assert first.option == NONE
    assert FirstFetch(URL, environment).option == NONE
    assert FirstFetch(f"{URL}x", environment).option == SMALL


def test_a_clone_that_fails_after_a_fetch_was_given_up_is_not_told_as_too_large(
    environment: dict[str, str], packs: Path, clone: subprocess.Popen[bytes]
) -> None:
    """A fetch upon a cache is given up where a history is new; then the tip alone is cloned."""
    first = FirstFetch(URL, environment)
    first.watch(clone, packs.parents[1])
    with (packs / "tmp_pack_x").open("wb") as file:
        file.truncate(LARGEST + 1)
    assert clone.wait(10) != 0
    with subprocess.Popen(["false"]) as failing:
        first.watch(failing, packs.parents[1])
        failing.wait(10)
    assert not first.gave_up()
    assert FirstFetch(URL, environment).option == SMALL


def test_one_that_stays_small_is_left_alone(
    environment: dict[str, str], packs: Path, clone: subprocess.Popen[bytes]
) -> None:
    first = FirstFetch(URL, environment)
    first.watch(clone, packs.parents[1])
    with (packs / "tmp_pack_x").open("wb") as file:
        file.truncate(LARGEST)
    time.sleep(0.2)

    assert clone.poll() is None
    first.end(packs.parents[1])
    assert not first.gave_up()
    assert FirstFetch(URL, environment).option == SMALL


def test_one_that_came_too_quickly_is_asked_for_less_the_next_time(
    environment: dict[str, str], packs: Path
) -> None:
    first = FirstFetch(URL, environment)
    with (packs / "pack-1.pack").open("wb") as file:
        file.truncate(LARGEST + 1)

    first.end(packs.parents[1])

    assert first.option == SMALL, "what came is here"
    assert FirstFetch(URL, environment).option == NONE


def test_it_is_remembered_for_a_month_beside_other_caches(
    tmp_path: Path, packs: Path, environment: dict[str, str]
) -> None:
    environment["XDG_CACHE_HOME"] = str(tmp_path / "caches")
    with (packs / "pack-1.pack").open("wb") as file:
        file.truncate(LARGEST + 1)
    FirstFetch(URL, environment).end(packs.parents[1])
    (mark,) = (tmp_path / "caches" / "gitops-rollback" / "large").iterdir()
    assert mark.stat().st_mode & 0o777 == 0o600
    assert "acme" not in mark.name

    for days, option in ((29, NONE), (31, SMALL)):
        at = time.time() - days * 86400
        os.utime(mark, (at, at))
        assert FirstFetch(URL, environment).option == option


def test_a_home_that_cannot_be_written_is_no_error(tmp_path: Path, packs: Path) -> None:
    (tmp_path / "file").touch()
    environment = {"HOME": str(tmp_path / "file")}
    with (packs / "pack-1.pack").open("wb") as file:
        file.truncate(LARGEST + 1)

    FirstFetch(URL, environment).end(packs.parents[1])

    assert FirstFetch(URL, environment).option == SMALL
