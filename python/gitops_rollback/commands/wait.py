"""Wait until Flux has applied a change and the pods run its image; name what fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import UsageError
from gitops_rollback.session import start

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


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
    from gitops_rollback.commands.waiting import wait  # noqa: PLC0415 - not for a wrong option

    return wait(start(options, environment), change)
