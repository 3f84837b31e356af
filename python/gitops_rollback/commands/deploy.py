"""Put a new image into the manifest: record what is replaced, one commit, pushed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.doing import do
from gitops_rollback.commands.keeping import keep_builds
from gitops_rollback.commands.results import report_change, timed, waits_after
from gitops_rollback.commands.wishes import deploy_wishes
from gitops_rollback.errors import UsageError
from gitops_rollback.session import start

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Deploy the image."""
    session = start(options, environment)
    wishes = deploy_wishes(session)
    if options.before_build:
        options.dry_run = True  # the image is not there yet: nothing to write, nothing to record
    elif not options.record and session.is_archived_by_jenkins:
        raise UsageError(
            "with a Jenkins store, deploy needs the record the build has archived",
            "run gitops-rollback record first and give its file with --record FILE",
        )
    with timed(session), session.open_repository() as repository:
        outcome = do(session, repository, session.open_tip(repository), wishes)
        if options.keep:
            outcome = keep_builds(session, repository, outcome)
    if waits_after(session, outcome):
        from gitops_rollback.commands.after import see_through  # noqa: PLC0415 - if asked

        return see_through(session, outcome)
    return report_change(session, outcome)
