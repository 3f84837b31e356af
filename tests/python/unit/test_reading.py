"""Only regular files are read, up to a size, and nothing waits."""

from __future__ import annotations

import os
import socket
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.ledger.records import MissingRecord
from gitops_rollback.reading import read_file
from gitops_rollback.stores.directory import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Callable


def fifo(path: Path) -> None:
    os.mkfifo(path)


def zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening, chdir(path.parent):
        listening.bind(path.name)  # a whole path may be too long for one


def large(path: Path) -> None:
    path.write_bytes(b"x" * 1001)


HOSTILE = [fifo, zero, loop, unix_socket, large, Path.mkdir]


@pytest.mark.parametrize("lay", HOSTILE)
def test_what_is_no_file_of_a_sensible_size_is_not_read(
    tmp_path: Path, lay: Callable[[Path], None]
) -> None:
    lay(tmp_path / "x")
    with pytest.raises(OSError, match="x"):
        read_file(tmp_path / "x", 1000)


def test_a_file_and_a_link_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "link", 1000) == b"x" * 1000


@pytest.mark.parametrize("lay", HOSTILE)
def test_what_lies_in_a_store_in_place_of_a_record_is_passed_over_and_named(
    tmp_path: Path, lay: Callable[[Path], None]
) -> None:
    record = tmp_path / "1" / "gitops-rollback" / "default" / "cart" / "record.json"
    record.parent.mkdir(parents=True)
    lay(record)
    store = DirectoryStore(tmp_path)
    assert list(store.newest("default", "cart")) == []
    assert len(store.problems) == 1
    assert "record.json" in store.problems[0]


@pytest.mark.parametrize("lay", HOSTILE)
def test_what_lies_in_a_store_in_place_of_a_note_is_as_good_as_no_note(
    tmp_path: Path, lay: Callable[[Path], None]
) -> None:
    (tmp_path / ".records").mkdir()
    lay(tmp_path / ".records" / ("a" * 64))
    found = DirectoryStore(tmp_path).find("default", "cart", None, f"sha256:{'a' * 64}")
    assert isinstance(found, MissingRecord)
    assert found.reason.endswith(" of cart"), "no environment is configured"


@pytest.mark.parametrize("name", ["-1", "٣", "1e3", "9" * 30, "0x1", " 1", "1 "])
def test_a_folder_whose_name_is_no_number_of_ours_is_none(tmp_path: Path, name: str) -> None:
    record = tmp_path / name / "gitops-rollback" / "default" / "cart" / "record.json"
    record.parent.mkdir(parents=True)
    record.write_bytes(b"{}")
    store = DirectoryStore(tmp_path)
    assert list(store.newest("default", "cart")) == []
    assert store.problems == []
