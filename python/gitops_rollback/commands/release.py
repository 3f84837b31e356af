"""Lift a hold and restore the Flux markers; the bad list stays, but for what is forgiven."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.doing import make
from gitops_rollback.commands.wishes import release_wishes
from gitops_rollback.errors import UsageError
from gitops_rollback.session import Session, start

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Release the services."""
    session = start(options, environment)
    if not session.reason:
        raise UsageError("a release needs a reason", "say why with --reason TEXT")
    return make(session, release_wishes(session), Session.open_tip)
