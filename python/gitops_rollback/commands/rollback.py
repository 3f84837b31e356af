"""Put the image to go back to into the manifest, mark the other bad, and hold the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.results import report_change, timed
from gitops_rollback.commands.session import start
from gitops_rollback.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Roll back."""
    session = start(options, environment)
    if not session.reason:
        raise UsageError("a rollback needs a reason", "say why with --reason TEXT")
    with timed(session), session.open_repository() as repository:
        from gitops_rollback.commands.rolling_back import (  # noqa: PLC0415 - see open_repository
            roll_back,
        )

        outcome, blocked = roll_back(session, repository)
        if options.keep:
            from gitops_rollback.commands.keeping import keep_builds  # noqa: PLC0415 - only if asked

            outcome = keep_builds(session, repository, outcome)
    return report_change(session, outcome, "rolled back, held", blocked=blocked)
