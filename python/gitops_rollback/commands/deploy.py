"""Put a new image into the manifest: record what is replaced, one commit, pushed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.results import report_change, timed
from gitops_rollback.commands.session import start
from gitops_rollback.commands.shared_options import (
    add_accept_options,
    add_common_options,
    add_from_option,
    add_keep_option,
    add_person_options,
    add_proposal_options,
    add_service_options,
    add_skip_option,
    add_store_options,
)
from gitops_rollback.errors import UsageError
from gitops_rollback.options import images_by_service

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.options import Options


def add_options(options: Options) -> None:
    """Add the options of `deploy`."""
    add_service_options(options)
    options.names(
        "image", "the image to deploy; SERVICE=IMAGE for each of several services", metavar="IMAGE"
    )
    options.files("record", "the record of what this replaces; one for each", metavar="FILE")
    add_from_option(options)
    options.flag("release", "deploy, and end the hold in the same commit")
    options.flag("allow-older", "deploy although a later build of the same job did")
    add_accept_options(options, "deploy")
    add_keep_option(options)
    options.flag("dry-run", "show what would be done; change nothing")
    add_skip_option(options)
    add_proposal_options(options)
    add_person_options(options)
    add_store_options(options)
    add_common_options(options)


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
