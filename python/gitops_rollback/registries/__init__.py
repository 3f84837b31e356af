"""Clients of Docker Hub and of OCI registries: the only place that talks to them.

`Registries` is loaded when it is first asked for: it brings requests, which takes longer to import
than all the rest, and many commands need no registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.query.tags import Tag
from gitops_rollback.registries.credentials import RegistryEndpoint
from gitops_rollback.registries.failures import (
    ManifestMissingError,
    RegistryUnavailableError,
    RepositoryMissingError,
)

if TYPE_CHECKING:
    from gitops_rollback.registries.client import Registries

__all__ = [
    "ManifestMissingError",
    "Registries",
    "RegistryEndpoint",
    "RegistryUnavailableError",
    "RepositoryMissingError",
    "Tag",
]


def __getattr__(name: str) -> object:
    if name == "Registries":
        from gitops_rollback.registries.client import Registries  # noqa: PLC0415 - see above

        return Registries
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
