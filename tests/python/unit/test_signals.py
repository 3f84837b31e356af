"""A signal ends the command, wherever in the interpreter it arrives."""

from __future__ import annotations

import subprocess
import sys

from gitops_rollback.errors import Exit

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


# As `from _ssl import RAND_egd` does of one that arrives while it looks for that name.
MADE_ANOTHER = """
import os, signal, sys
from gitops_rollback import cli
from gitops_rollback.errors import Interrupted

def dispatch(*_arguments):
    try:
        if sys.argv[1:]:
            os.kill(os.getpid(), signal.SIGTERM)
    except Interrupted:
        pass
    raise TypeError("expected a message argument")

cli._dispatch = dispatch
sys.exit(cli._run(["services"], {}))
"""


def test_a_signal_of_which_c_code_makes_another_error_is_no_bug() -> None:
    def run(*signals: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-c", MADE_ANOTHER, *signals]
        return subprocess.run(line, capture_output=True, check=False, text=True, timeout=60)

    stopped, wrong = run("signal"), run()
    assert stopped.returncode == Exit.INTERRUPTED
    assert stopped.stderr.startswith("error: interrupted; what was pushed before, if anything")
    assert wrong.returncode == Exit.BUG
    assert "has a bug: TypeError: expected a message argument" in wrong.stderr
