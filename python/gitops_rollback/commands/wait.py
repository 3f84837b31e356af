"""Wait until Flux has applied a change and the pods run its image; name what fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.session import start
from gitops_rollback.commands.shared_options import (
    add_common_options,
    add_forge_options,
    add_service_options,
)
from gitops_rollback.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.options import Options

_PATIENCE = 300.0  # seconds: a rollout takes longer than a push


def add_options(options: Options) -> None:
    """Add the options of `wait`."""
    add_service_options(options)
    options.text("commit", "the commit to wait for (default: the branch's tip)", metavar="COMMIT")
    options.text("change", "the result of the deploy or rollback to wait for", metavar="FILE")
    options.names(
        "kube-context",
        "a context of the kubeconfig; may be repeated (default: its current one)",
        metavar="NAME",
    )
    options.names(
        "kustomization",
        "without a cluster: whose commit status counts; may be repeated",
        metavar="NAME",
    )
    add_forge_options(options)
    add_common_options(options, _PATIENCE)


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Wait."""
    change = None
    if options.change:
        from gitops_rollback.commands.given import read_change  # noqa: PLC0415 - one of two ways

        if options.commit:
            raise UsageError("--commit and --change both name a commit", "give one of them")
        change = read_change(options.change)
        options.service = [f"{one['service']}" for one in change["services"]]
        options.environment = change["services"][0]["environment"]
        options.commit = change.get("commit")
    session = start(options, environment)
    with session.open_repository() as repository:
        from gitops_rollback.commands.waiting import wait  # noqa: PLC0415 - see open_repository

        return wait(session, repository, change)
