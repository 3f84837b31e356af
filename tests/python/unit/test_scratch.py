"""What a run makes for itself is its own, and is removed: by itself, or by the next run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gitops_rollback import scratch
from gitops_rollback.repo.turn import Handover, Turn
from gitops_rollback.scratch import own_folder, remove, sweep, write_whole

# Writes for a while into a folder, for as long as that is there, as a child of git does.
WRITER = """
import sys, time
from pathlib import Path
folder = Path(sys.argv[1])
end = time.monotonic() + 0.2
print("begun", flush=True)
number = 0
while time.monotonic() < end and folder.exists():
    number += 1
    try:
        (folder / str(number)).write_bytes(b"x")
    except FileNotFoundError:
        break
"""
# Makes a folder of its own, says where, and lives until it is told to end.
LIVING = """
import sys
from pathlib import Path
from gitops_rollback.scratch import own_folder
own = own_folder(Path(sys.argv[1]), "run-")
(own.path / "file").write_text("x")
print(own.path, flush=True)
sys.stdin.read()
"""


def test_a_folder_that_is_still_written_to_is_removed(tmp_path: Path) -> None:
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        command = [sys.executable, "-I", "-c", WRITER, str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout
            assert writer.stdout.readline() == b"begun\n"
            remove(folder)
            assert not folder.exists()


def test_a_folder_that_is_not_there_is_no_problem(tmp_path: Path) -> None:
    remove(tmp_path / "none")


def test_the_folder_of_a_run_that_lives_stays_and_that_of_a_killed_one_goes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIVING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as living:
        assert living.stdout
        folder = Path(living.stdout.readline().decode().strip())
        sweep(tmp_path, "run-")
        assert (folder / "file").read_text() == "x"
        living.kill()
        living.wait()
    sweep(tmp_path, "other-")
    assert folder.is_dir(), "only what is named so is looked at"
    sweep(tmp_path, "run-")
    assert not folder.exists()


def test_what_was_swept_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    make = tempfile.mkdtemp

    def swept_at_once(prefix: str, dir: Path) -> str:  # noqa: A002 - tempfile's
        path = make(prefix=prefix, dir=dir)
        made.append(path)
        if len(made) == 1:
            sweep(tmp_path, "run-")
        return str(path)

    monkeypatch.setattr(tempfile, "mkdtemp", swept_at_once)
    own = own_folder(tmp_path, "run-")
    assert [Path(path).exists() for path in made] == [False, True]
    assert own.path == Path(made[1])
    own.end()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_private_and_has_a_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = own_folder(Path(), "run-")
    assert own.path.is_absolute()
    assert own.path.stat().st_mode & 0o777 == 0o700
    own.end()


def test_links_and_what_is_no_file_are_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "run-link").symlink_to(elsewhere)
    os.mkfifo(tmp_path / "run-fifo")
    sweep(tmp_path, "run-")
    assert {path.name for path in tmp_path.iterdir()} == {"elsewhere", "run-link", "run-fifo"}
    sweep(tmp_path / "nowhere", "run-")


def test_a_file_is_written_whole_and_what_a_killed_run_left_beside_it_goes(tmp_path: Path) -> None:
    (tmp_path / f"{scratch.RESULT}abc").write_text("half")
    (tmp_path / ".gitops-rollback.toml").write_text("[defaults]\n")
    write_whole(tmp_path / "result.json", "{}\n")
    write_whole(tmp_path / "result.json", "{ }\n")
    assert (tmp_path / "result.json").read_text() == "{ }\n"
    assert (tmp_path / "result.json").stat().st_mode & 0o777 == 0o644
    assert {path.name for path in tmp_path.iterdir()} == {"result.json", ".gitops-rollback.toml"}


@pytest.mark.parametrize(("name", "text"), [("new", "\ud800"), ("target", "{}")])
def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path, name: str, text: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises((OSError, ValueError)):
        write_whole(tmp_path / name, text)
    assert list(tmp_path.iterdir()) == [target]


def test_a_pipe_or_a_device_is_written_into_and_stays_what_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)
    write_whole(pipe, "{}\n")
    assert os.read(reader, 9) == b"{}\n"
    os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_what_is_kept_for_later_runs_is_private_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        scratch.private(tmp_path / "a" / "b" / "c")
        Turn(tmp_path / "d" / "turns" / "main").wait(0, 0)
        Handover(tmp_path / "e" / "turns" / "main.next").wait()
    finally:
        os.umask(mask)
    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert len(made) == 8
    assert {path.stat().st_mode & 0o777 for path in made} == {0o700}
