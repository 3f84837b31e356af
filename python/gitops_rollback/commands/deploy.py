"""Put a new image into the manifest: record what is replaced, one commit, pushed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.doing import make
from gitops_rollback.commands.wishes import deploy_wishes
from gitops_rollback.errors import UsageError
from gitops_rollback.session import Session, start

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Deploy the image."""
    session = start(options, environment)
    wishes = deploy_wishes(session)
    if options.before_build:
        options.dry_run = True  # the image is not there yet: nothing to write, nothing to record
    elif not options.record and session.filing_store is None:
        raise UsageError(
            "with a Jenkins store, deploy needs the record the build has archived",
            "run gitops-rollback record first and give its file with --record FILE",
        )
    return make(session, wishes, Session.open_tip)
