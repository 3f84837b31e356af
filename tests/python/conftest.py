"""What property tests draw: always the same few hundred, or new ones at length.

A run of all tests fails by what was changed and by nothing else; `HYPOTHESIS_PROFILE=long` looks
for what nobody has seen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

from gitops_rollback import redaction

_MEMORY = Path("/dev/shm")
_ROOM = 3 << 30  # bytes: all tests together, at their whole length, leave less than one third
_TEMPORARY = "PYTEST_DEBUG_TEMPROOT"  # where pytest makes its folders

settings.register_profile("short", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=10_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))


def pytest_configure(config: pytest.Config) -> None:
    """Let folders of tests be in memory where that can be: they copy thousands of repositories."""
    is_given = config.getoption("basetemp") or _TEMPORARY in os.environ
    if not is_given and _serves(_MEMORY):
        os.environ[_TEMPORARY] = str(_MEMORY)


def _serves(folder: Path) -> bool:
    """Tell whether a folder has room, and lets programs that stand in it run: hooks, wrappers."""
    program = folder / f"gitops-rollback-tests-{os.getpid()}"
    try:
        if shutil.disk_usage(folder).free < _ROOM:
            return False
        program.write_text("#!/bin/sh\n", encoding="utf-8")
        program.chmod(0o700)
        return subprocess.run([program], check=False).returncode == 0
    except OSError:
        return False  # there is none, or none to write in
    finally:
        program.unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def _no_secret_of_another_test() -> None:
    """Forget the secrets of the test before: what is one there would be hidden here, too."""
    redaction.forget()
