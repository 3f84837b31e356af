"""A signal ends the command, wherever in the interpreter it arrives."""

from __future__ import annotations

import subprocess
import sys

# The interpreter drops what is raised while it removes an object, and goes on.
PROGRAM = """
import os, signal, time
from gitops_rollback import cli
from gitops_rollback.errors import Interrupted

class Removed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _turn in range(100_000):
            pass

cli._catch_signals()
try:
    Removed()
    time.sleep(20)
    print("deaf")
except Interrupted:
    print("heard")
"""


def test_a_signal_that_arrives_where_exceptions_are_dropped_is_not_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, check=False, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("heard\n", "")
