"""List the services that are configured or discovered, with their image fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import Exit, GitopsRollbackError, UsageError
from gitops_rollback.look.snapshot import Overview, read_overview, sure_names
from gitops_rollback.model import Request, is_name
from gitops_rollback.services import catalogue, inventory
from gitops_rollback.session import start
from gitops_rollback.tell.output import write_result

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """List them, and whether `--all` means each; one whose fields are not sure has the reason."""
    session = start(options, environment)
    name = options.environment
    if name is not None and not is_name(name):
        raise UsageError(f"'{name}' cannot name an environment", "give a configured name")
    with session.open_repository() as repository:
        tip = session.open_tip(repository)
        overview = read_overview(repository, Request((), name, options.branch), tip)
        sure = sure_names(overview)
    names = inventory.service_names(
        overview.manifests, overview.config, overview.environment, overview.paths
    )
    services = [
        {**_service(name, source, overview), "inAll": name in sure if sure else is_name(name)}
        for name, source in sorted(names.items())
    ]
    skipped = [skip.to_json() for skip in overview.manifests.skipped]
    write_result({"services": services, "skipped": skipped}, options.output)
    return Exit.DONE


def _service(name: str, source: str, overview: Overview) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "service": name,
        "environment": overview.environment.name,
        "source": source,
        "fields": [],
    }
    try:
        found = catalogue.resolve(name, overview.environment, overview.config, overview.of(name))
    except GitopsRollbackError as error:
        return {**entry, "problem": error.message}
    fields = [field.to_json() for field in (*found.fields, *found.reported)]
    return {**entry, "image": found.image.canonical, "fields": fields}
