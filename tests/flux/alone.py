"""What a cluster has once, and tests that run beside each other may use one after another alone.

By a lock of the machine, not by a worker: two runs on one cluster wait for each other too, and
xdist's groups do nothing under pytest 9 (pytest-xdist 3.8).
"""

from __future__ import annotations

import fcntl
import re
import tempfile
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def alone(kubeconfig: str, what: str) -> Iterator[None]:
    """Be the only process of this machine that uses something of a cluster; waits for that."""
    cluster = sha256(Path(kubeconfig).read_bytes()).hexdigest()[:16]
    name = f"gitops-test-{cluster}-{re.sub('[^a-z0-9]+', '-', what)}.lock"
    with (Path(tempfile.gettempdir()) / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
