"""A push over http that begins before it is known what to push.

Each push asks first what the server has: two round trips over a connection of its own, more by
TLS. `git push` asks when it is told what to push; a run knows long before that a push comes, and
would only wait. So what git itself runs for a push is run here, the transport (git help
gitremote-helpers): it asks, waits, and is told then. What became of the push is given as `git push
--porcelain` gives it.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from gitops_rollback.repo.process import REMOTE, Git, GitFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SCHEMES = ("http", "https")
# What `git push` would make of the address, or of the push, by people's settings.
_OWN_WAYS = ("insteadof", "pushinsteadof", "push.gpgsign")
# What git finds out by itself, from what the server has: it sends nothing then.
_FOUND_HERE = (
    "stale info", "fetch first", "non-fast forward", "needs force", "already exists",
    "remote ref updated since checkout",
)  # fmt: skip


def begin(git: Git, url: str, repository: Path) -> subprocess.Popen[bytes] | None:
    """Let git ask what the server of a URL has; None where `git push` has to.

    The repository to push from may be made meanwhile, or made anew: so git stands beside it.
    """
    scheme = url.partition("://")[0]
    try:
        if scheme not in _SCHEMES or any(name.endswith(_OWN_WAYS) for name in git.configured()):
            return None
    except GitFailedError:
        return None  # the push says why
    where = {"GIT_DIR": str(repository)}
    running = git.start(
        f"remote-{scheme}", REMOTE, url, environment=where, folder=repository.parent
    )
    if running.stdin is not None:
        with suppress(BrokenPipeError):  # it has ended: then `git push` is asked
            os.write(running.stdin.fileno(), b"option object-format true\nlist for-push\n")
    return running


def finish(
    git: Git, running: subprocess.Popen[bytes], commit: str, reference: str, expected: str
) -> subprocess.CompletedProcess[bytes]:
    """Push a commit to a reference that is at an expected one, as `git push --porcelain` would.

    Raises `GitFailedError` as that does.
    """
    told = f"option cas {reference}:{expected}\npush {commit}:{reference}\n\n"
    try:
        said = git.finish(running, stdin=told.encode(errors="surrogateescape")).stdout
        failure = None
    except GitFailedError as error:  # it ends so whenever it is told nothing more
        said, failure = error.stdout, error
    lines = [line.partition(" ") for line in said.decode(errors="surrogateescape").splitlines()]
    answer = _report(lines, reference) or _unsent(lines, reference, commit, expected)
    stdout = answer.replace("\t", f"\t{reference}\t", 1).encode(errors="surrogateescape")
    if failure is not None and not answer.startswith(("*", "=")):
        failure.stdout = stdout
        raise failure
    return subprocess.CompletedProcess(["push"], 0, stdout, b"")


def has_sent_nothing(failure: GitFailedError) -> bool:
    """Tell whether a push ended since what it was told ahead is not what is expected now."""
    return b"(stale info)" in failure.stdout


def _report(lines: Iterable[tuple[str, str, str]], reference: str) -> str:
    """Return what is reported of a reference; empty where nothing is, or that nothing is."""
    reports = {"ok": "*\t[{why}]\n", "error": "!\t[{by}] ({why})\n"}
    for how, _, rest in lines:
        name, _, why = rest.partition(" ")
        if name != reference or how not in reports or why == "expecting report":
            continue
        by = "rejected" if why in _FOUND_HERE else "remote rejected"
        form = "=\t[{why}]\n" if why == "up to date" else reports[how]
        return form.format(by=by, why=why.strip('"'))
    return ""


def _unsent(
    lines: Iterable[tuple[str, str, str]], reference: str, commit: str, expected: str
) -> str:
    """Return why nothing was sent, by what the server told that it has; empty if that is no reason.

    From a repository that is cut off, as ours, git does not report of what it does not send.
    """
    there = next((oid for oid, _, name in lines if name == reference), expected)
    if there == commit:
        return "=\t[up to date]\n"
    return "!\t[rejected] (stale info)\n" if there != expected else ""
