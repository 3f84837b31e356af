"""Would a rollback work right now? Nothing is changed; meant to be run every night.

Each service is planned as if it were rolled back: is there an image to go back to, is it there for
every platform, is its record kept, may one push, do Jenkins and the registries answer. Without
--service: all that are configured or have a state file. Exit 1: a rollback would fail; 8: it would
work, with warnings.

--storage reads volumes, claims and pods only: with PATHS, files and folders of this machine;
without, an environment of the manifests repository, or what belongs to one service of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Check; exit 1 if a rollback would fail, or what was looked at would be refused."""
    if options.storage:
        from gitops_rollback.commands.checking_storage import check_storage  # noqa: PLC0415 - one of two

        return check_storage(options, environment)
    if options.paths:
        raise UsageError("paths are read with --storage only", "give --storage, or no path")
    from gitops_rollback.commands.drilling import drill  # noqa: PLC0415 - the other

    return drill(options, environment)
