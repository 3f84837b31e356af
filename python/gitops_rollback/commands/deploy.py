"""Put a new image into the manifest: record what is replaced, one commit, pushed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.results import report_change, timed
from gitops_rollback.commands.session import start
from gitops_rollback.errors import UsageError
from gitops_rollback.options import images_by_service

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Deploy the image."""
    session = start(options, environment)
    images = images_by_service(options, "image")
    if not images:
        raise UsageError("no image is named", "give it with --image IMAGE")
    if not options.record and session.is_archived_by_jenkins:
        raise UsageError(
            "with a Jenkins store, deploy needs the record the build has archived",
            "run gitops-rollback record first and give its file with --record FILE",
        )
    with timed(session), session.open_repository() as repository:
        from gitops_rollback.commands.deploying import deploy  # noqa: PLC0415 - see open_repository

        outcome, blocked = deploy(session, repository, images)
        if options.keep:
            from gitops_rollback.commands.keeping import keep_builds  # noqa: PLC0415 - only if asked

            outcome = keep_builds(session, repository, outcome)
    return report_change(session, outcome, "deployed", blocked=blocked)
