"""How waiting goes: what is waited for, what is told of it, and how a run that waits ends.

The same for `wait` and for what waits after its push. Whether the change runs, `rollout` tells.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from gitops_rollback.alarm import lasting
from gitops_rollback.clock import Deadline
from gitops_rollback.commands.wishes import request_of
from gitops_rollback.errors import (
    Exit,
    GitopsRollbackError,
    Interrupted,
    InterruptedRunError,
    UsageError,
)
from gitops_rollback.forges.address import address_of
from gitops_rollback.forges.rules import CommitStatuses
from gitops_rollback.late import replace
from gitops_rollback.look.snapshot import read_snapshot
from gitops_rollback.look.targets import Branch, find_targets
from gitops_rollback.options import repeated
from gitops_rollback.outlet import one as one_line
from gitops_rollback.rollout import Rollout, Wish, error_of, failures_of, refuse_others
from gitops_rollback.tell.output import write_result
from gitops_rollback.tell.terminal import is_terminal, say, show_progress
from gitops_rollback.tell.waited import wait_result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gitops_rollback.rollout import Target
    from gitops_rollback.session import Session

_SETTLING = 10.0  # seconds after the wait, to look at the branch once more and to tell


def wait(session: Session, change: dict[str, Any] | None) -> int:
    """Wait for a change; `change` is the result of what made it, if that is known.

    Writes the result; raises `ClusterError` where the change does not get through or cannot be seen
    though a cluster was asked for, `MovedError` where it was replaced.
    """
    result, error = watch(session, change, session.options.timeout)
    if error is not None:
        error.found = result
        raise error
    write_result(result, session.options.output)
    return Exit.DONE


def watch(
    session: Session, change: dict[str, Any] | None, seconds: float
) -> tuple[dict[str, Any], GitopsRollbackError | None]:
    """Wait for a change for some seconds; return the result, and what it ends with if not well.

    It has a deadline of its own, and so a repository of its own, which git opens once more.
    Raises `InterruptedRunError` where a person or a build ends the wait, which ends nothing else.
    """
    began = session.watch.elapsed()
    session = replace(session, deadline=Deadline(seconds + _SETTLING))
    targets: list[Target] = []
    try:
        with (
            lasting(seconds + _SETTLING),
            Rollout(_wish(session), session.watch.elapsed, say, _looked_on()) as rollout,
            session.open_repository() as repository,
        ):
            tip = session.open_tip(repository)
            commit = (change or {}).get("commit") or getattr(session.options, "commit", None)
            request = request_of(session.options)
            with session.watch.phase("fetch"):
                services = read_snapshot(repository, request, tip, commit).services
            given = partial(_given, session)
            targets += find_targets(services, given, _contexts(session))
            if change is not None and commit is None:
                refuse_others(change, targets)
            branch = Branch(repository, request, tip, say)

            def statuses() -> CommitStatuses:
                return _statuses(session)

            seen = rollout.see(targets, branch, statuses, began + seconds)
            failures = failures_of(seen, seconds)
            waited = session.watch.seconds()["total"]
            result = wait_result(targets, seen, failures, change, waited)
            for warning in result["warnings"]:
                say(f"warning: {warning}")
            return result, error_of(seen, [*failures.values()])
    except (Interrupted, KeyboardInterrupt) as error:
        raise _interrupted(session, targets, change) from error


def _looked_on() -> Callable[[str], None] | None:
    """Return what shows on a terminal what is waited for, in one line; None in a log."""
    if not is_terminal(sys.stderr):
        return None
    width = shutil.get_terminal_size().columns - 4
    return lambda text: show_progress(one_line(text)[:width])


def _wish(session: Session) -> Wish:
    options = session.options
    return Wish(
        session.url,
        session.environment,
        repeated(options, "kube_context"),
        repeated(options, "kustomization"),
        options.hasten,
    )


def _statuses(session: Session) -> CommitStatuses:
    """Return the reader of commit statuses; raise `UsageError` where the repository has none."""
    try:
        address = address_of(session.remote, session.options.forge, session.options.forge_url)
    except UsageError as error:
        raise UsageError(
            "the repository is on no GitHub or GitLab whose commit statuses could be read",
            error.hint,
        ) from error
    return CommitStatuses(address, session.environment, session.deadline)


def _given(session: Session, environment: str) -> str:
    """Return the options that a command about the service has to repeat, as a shell reads them."""
    options = session.options
    given = [("--repository", options.repository), ("--branch", options.branch)]
    if options.environment or environment not in ("", "default"):
        given.insert(1, ("--environment", environment))
    return shlex.join(part for name, value in given if value for part in (name, str(value)))


def _contexts(session: Session) -> str:
    """Return the contexts that were given, as a shell reads them."""
    contexts = repeated(session.options, "kube_context")
    return shlex.join(part for one in contexts for part in ("--kube-context", one))


def _interrupted(
    session: Session, targets: Sequence[Target], change: dict[str, Any] | None
) -> InterruptedRunError:
    """Return the error of a wait that was ended: what was pushed stays, and how to look on."""
    commit = targets[0].commit if targets else (change or {}).get("commit", "")
    services = [one.service for one in targets] or list(request_of(session.options).names)
    names = " ".join(f"--service {shlex.quote(one)}" for one in services)
    given = targets[0].given if targets else _given(session, session.options.environment or "")
    where = f"--commit {commit}" if commit else ""
    look_on = " ".join(part for part in (names, where, given, _contexts(session)) if part)
    pushed = f"commit {commit[:12]} is pushed" if commit else "what was pushed stays pushed"
    return InterruptedRunError(
        f"interrupted while waiting: {pushed}, and Flux applies it whether anybody looks or not",
        f"look on: gitops-rollback wait {look_on}",
        {"commit": commit} if commit else {},
    )
