"""A folder is removed although somebody still writes to it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from gitops_rollback.repo.process import remove

if TYPE_CHECKING:
    from pathlib import Path

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
