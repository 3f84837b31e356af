"""Who may touch what: a job is allowed names, and what it changes are fields. Pure.

The names are given to the job by whoever set it up; what they stand for is said by the repository,
to which others push. So a name that is allowed counts for a service's fields only where every other
service that has one of these fields is allowed, too, and never as a set while a service bears it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import ConfigError
from gitops_rollback.services.catalogue import has_field
from gitops_rollback.services.config import FILE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.services.catalogue import ServiceFields
    from gitops_rollback.services.config import Config


def two_meanings(name: str) -> ConfigError:
    """Return the error for a name that is that of a set and that of a service."""
    return ConfigError(
        f"'{name}' is the name of a set in {FILE}, and there is a service of that name: which of "
        "them is meant is not known",
        f"give the set another name in [sets] of {FILE}",
    )


def refuse_others_fields(
    service: ServiceFields, others: Iterable[str], config: Config, allowed: tuple[str, ...]
) -> None:
    """Raise `ConfigError` if a service's fields are also those of one that is not allowed.

    `others` are the names under which state files speak of these fields. None allowed: all are.
    """
    if not allowed:
        return
    configured = (
        name
        for name in config.services
        if any(has_field(name, config, service.environment, field) for field in service.fields)
    )
    names = dict.fromkeys((*others, *configured))
    refused = [name for name in names if name not in config.expand(allowed)]
    if refused:
        places = ", ".join(field.place for field in service.fields[:3])
        raise ConfigError(
            f"this job or folder may not touch {', '.join(refused)}, and the image fields of "
            f"'{service.service}' ({places}) are those of {refused[0]}, too; allowed is "
            f"{', '.join(allowed)}",
            "use the job of the team that owns it, or have it added to allowedServices",
        )
