"""List what was deployed and rolled back, newest first, and what proves it.

Changes nothing, but with --repair, which rebuilds broken or hand-edited state files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.doing import do, report_change
from gitops_rollback.commands.wishes import for_each, plain_wish, request_of
from gitops_rollback.errors import Exit, UsageError
from gitops_rollback.look.snapshot import read_retired
from gitops_rollback.session import start
from gitops_rollback.tell.output import write_result

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """List the entries of each service, merged from every source."""
    session = start(options, environment)
    with session.open_repository() as repository:
        if options.retire:
            if not session.reason:
                raise UsageError("to retire a service needs a reason", "say why: --reason TEXT")
            if options.all:
                raise UsageError(
                    "--all are the services that are there, and --retire is for those that are not",
                    "name what is gone: --service NAME",
                )
            tip = session.open_tip(repository)
            wishes = for_each(plain_wish(session, "retire"))
            outcome = do(session, repository, tip, wishes, read=read_retired)
            return report_change(session, outcome)
        if options.repair:
            outcome = do(
                session,
                repository,
                session.open_tip(repository),
                for_each(plain_wish(session, "repair")),
                states=bool(options.hold),
            )
            return report_change(session, outcome)
        from gitops_rollback.look.retrace import retrace_all  # noqa: PLC0415 - see open_repository

        snapshot = session.read(repository, request_of(options), session.open_tip(repository))
        store = session.store(snapshot)
        services = retrace_all(repository, store, snapshot, options.limit)
    write_result({"services": [retraced.to_json() for retraced in services]}, options.output)
    return Exit.DONE
