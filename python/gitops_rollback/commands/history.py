"""List what was deployed and rolled back, newest first, and what proves it.

Changes nothing, but with --repair, which rebuilds broken or hand-edited state files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.doing import do
from gitops_rollback.commands.results import report_change
from gitops_rollback.commands.wishes import repair_wishes, request_of
from gitops_rollback.errors import Exit
from gitops_rollback.output import say, wrapped, write_result
from gitops_rollback.session import start

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.ledger.events import Event
    from gitops_rollback.look.retrace import Retraced

_MOST = 20  # entries, as many as a state file keeps


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """List the entries of each service, merged from every source."""
    session = start(options, environment)
    with session.open_repository() as repository:
        if options.repair:
            outcome = do(
                session,
                repository,
                session.open_tip(repository),
                repair_wishes(session),
                states=False,
            )
            return report_change(session, outcome, "repaired", idle="has a sound state file")
        from gitops_rollback.look.retrace import retrace_all  # noqa: PLC0415 - see open_repository

        snapshot = session.read(repository, request_of(options), session.open_tip(repository))
        store = session.store(snapshot)
        services = retrace_all(repository, store, snapshot.services, options.limit)
    for retraced in services:
        _show(retraced)
    write_result({"services": [retraced.to_json() for retraced in services]}, options.output)
    return Exit.DONE


def _show(retraced: Retraced) -> None:
    """Print the entries so that they can be read on a terminal as narrow as a telephone."""
    say(*wrapped(f"{retraced.at.title}: runs {retraced.running.canonical}"))
    for event in retraced.events:
        say(*(line for text in _lines(event) for line in wrapped(text, "  ")))
    for finding in retraced.findings:
        say(*wrapped(f"note: {finding}", "  "))


def _lines(event: Event) -> list[str]:
    old = f"{event.from_image.label} → " if event.from_image else ""
    who = f"by {event.by}" if event.by else ""
    why = f": {event.reason}" if event.reason else ""
    build = str(event.build) if event.build else ""
    commit = f"commit {event.commit[:12]}" if event.commit else ""
    proofs = f"proven by {', '.join(sorted(event.proofs))}" if event.proofs else "not proven"
    return [
        f"{(event.at or 'at some time').replace('T', ' ')} {event.action} {old}{event.image.label}",
        *(f"  {text}" for text in (f"{who}{why}".lstrip(": "),) if text),
        f"  {', '.join(text for text in (build, commit, proofs) if text)}",
        *(f"  conflict: {conflict}" for conflict in event.conflicts),
    ]
