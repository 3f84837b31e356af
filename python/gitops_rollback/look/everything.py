"""All services of an environment, where none is named: configured or deployed, else found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.effective.sources import Home
from gitops_rollback.errors import ConfigError
from gitops_rollback.ledger.state import FOLDER
from gitops_rollback.look.environment_files import discoverable, read_files
from gitops_rollback.model import is_name
from gitops_rollback.services import inventory
from gitops_rollback.services.config import FILE

if TYPE_CHECKING:
    from gitops_rollback.model import Request
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.services.config import Config, Environment


def known_names(
    repository: Repository, config: Config, environment: Environment, tip: Tip
) -> tuple[str, ...]:
    """Return the services that the configuration or a state file names; else all that are found.

    Where some are named, what is merely found may be somebody else's image, such as a proxy: who
    takes everything back does not mean that.
    """
    states = f"{FOLDER}/{environment.name}"
    entries = repository.list_files(tip.commit, dict.fromkeys([environment.path, states]))
    paths = [entry.path for entry in entries]
    names = inventory.configured_names(config, environment, paths)
    names += [
        path.removeprefix(f"{states}/").removesuffix(".json")
        for path in paths
        if path.startswith(f"{states}/") and path.endswith(".json")
    ]
    sure = tuple(sorted(name for name in set(names) if is_name(name)))
    return sure or _found_names(repository, config, environment, tip)


def _found_names(
    repository: Repository, config: Config, environment: Environment, tip: Tip
) -> tuple[str, ...]:
    entries = repository.list_files(tip.commit, [environment.path])
    files = read_files(repository, discoverable(entries, environment))
    manifests = inventory.read_manifests(files, Home(repository.url, tip.branch))
    found = inventory.service_names(manifests, config, environment, files)
    return tuple(sorted(name for name in found if is_name(name)))


def all_names(
    repository: Repository, request: Request, config: Config, environment: Environment, tip: Tip
) -> tuple[str, ...]:
    """Return the services that are known, of those allowed; raise `ConfigError` if none is."""
    allowed = config.expand(request.allowed)
    names = known_names(repository, config, environment, tip)
    found = tuple(name for name in names if not allowed or name in allowed)
    if not found:
        raise ConfigError(
            f"no service of {environment.told} is configured, deployed or found",
            f"name services with --service, or in {FILE}: [services.NAME]",
        )
    return found
