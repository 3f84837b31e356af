"""Look for what would go wrong before it does: --storage reads volumes, claims and pods.

With PATHS, files and folders of this machine are read; without, an environment of the manifests
repository, or what belongs to one service of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.commands.shared_options import add_common_options, add_service_options
from gitops_rollback.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.options import Options

FORMATS = ("text", "json", "github")


def add_options(options: Options) -> None:
    """Add the options of `check`."""
    options.paths("paths", "with --storage: files or folders to read", metavar="PATH")
    options.flag("storage", "check PersistentVolumes, claims, classes and the pods that use them")
    options.choice(
        "format", "of --storage: text, json, or commands for GitHub Actions", choices=FORMATS
    )
    add_service_options(options)
    add_common_options(options)


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Check; exit 1 if something would be refused or would never start."""
    if not options.storage:
        raise UsageError("check needs to know what to look at", "give --storage")
    from gitops_rollback.commands.checking_storage import check_storage  # noqa: PLC0415 - one of two

    return check_storage(options, environment)
