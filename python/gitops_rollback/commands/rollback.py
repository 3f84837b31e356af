"""Put the image to go back to into the manifest, mark the other bad, and hold the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.results import report_change, timed
from gitops_rollback.commands.session import start
from gitops_rollback.commands.shared_options import (
    add_choice_options,
    add_common_options,
    add_keep_option,
    add_person_options,
    add_proposal_options,
    add_service_options,
    add_skip_option,
    add_store_options,
)
from gitops_rollback.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.options import Options


def add_options(options: Options) -> None:
    """Add the options of `rollback`."""
    add_service_options(options)
    add_choice_options(options)
    options.text("plan", "the plan to follow, as plan --output wrote it", metavar="FILE")
    options.files("record", "the record of what this replaces; one for each", metavar="FILE")
    options.text("record-dir", "where to write the record of what this replaces", metavar="DIR")
    add_keep_option(options)
    options.flag("dry-run", "show what would be done; change nothing")
    options.flag("unattended", "nobody looks on: refuse (6, storage) where the storage changed")
    add_skip_option(options)
    add_proposal_options(options)
    add_person_options(options)
    add_store_options(options)
    add_common_options(options)


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
