"""Which image fields belong to a service: by configuration, else by discovery. Pure.

Nothing is guessed: two image repositories, or fields that disagree, are an error that lists them
and prints the lines to add to the configuration.

A job may be allowed names only (`allowed-services`), by whoever set it up; what they stand for is
said by the repository, to which others push. So a name that is allowed counts for a service's
fields only where every other service that has one of these fields is allowed, too, and never as a
set while a service bears it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gitops_rollback.errors import ConfigError
from gitops_rollback.image import find_image
from gitops_rollback.late import dataclass, replace
from gitops_rollback.ledger.fields import THERE, find_fields
from gitops_rollback.manifest.helm import NO_NAME, NO_VERSION, OTHER_REGISTRY
from gitops_rollback.manifest.image_field import EDITABLE, HELM, POINTED
from gitops_rollback.services import ownership
from gitops_rollback.services.config import FILE
from gitops_rollback.services.inventory import glob_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gitops_rollback.effective.resolve import EffectiveFields
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.fields import NotedField
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.services.config import Config, Environment, Settings
    from gitops_rollback.services.inventory import Manifests


@dataclass(frozen=True)
class ServiceFields:
    """The image fields of one service in one environment, which all name the same image.

    `notes` say what about them is not as one would expect.
    """

    service: str
    environment: Environment
    settings: Settings
    source: str
    fields: tuple[ImageField, ...]
    reported: tuple[ImageField, ...]
    manifests: Manifests
    notes: tuple[str, ...] = ()

    @property
    def image(self) -> ImageReference:
        """The image that all fields name."""
        image = self.fields[0].image
        assert image is not None  # noqa: S101 - `resolve` refuses fields that hold none
        return image

    def effective_in(self, manifests: Manifests) -> EffectiveFields:
        """Return what takes effect for the service in some manifests: its own, or edited ones."""
        return manifests.effective(self.settings.kinds, self.environment, self.settings.fields)


def resolve(
    service: str,
    environment: Environment,
    config: Config,
    manifests: Manifests,
    written: Callable[[], Sequence[NotedField]] = tuple,
) -> ServiceFields:
    """Return the fields of a service; raise `ConfigError` or `ManifestError` if unsure.

    Where none is of its repository, those count that its last rollback has `written`: it went back
    past a move of the repository.
    """
    settings = config.settings(service)
    effective = manifests.effective(settings.kinds, environment, settings.fields)
    live, spare = _near(service, config, effective)
    owned = _owned(service, config, live) or _standing(written(), effective.live)
    owned = [f for f in owned if f.problem != NO_VERSION] or owned  # where another one says it
    idle = _owned(service, config, spare)
    why = effective.effect.idle
    notes = tuple(f"{f.place} ({f.value}) is left as it is: {why[f.key].why}" for f in idle)
    if not owned:
        owned = idle
        notes = tuple(f"{f.place} may have no effect: {why[f.key].why}" for f in owned)
    if not owned:
        raise ownership.unknown(service, environment, settings, manifests, config)
    repositories = {f.image.full_repository: f.image for f in owned if f.image}
    if len(repositories) > 1:
        raise ownership.ambiguous(service, owned)
    ownership.refuse_outside(owned, environment, manifests)
    ownership.refuse_other_environments(owned, environment, config)
    editable = tuple(f for f in owned if not f.reported_only)
    if not editable:
        raise ownership.only_reported(service, owned)
    ownership.refuse_uneditable(service, editable)
    ownership.refuse_shared(editable)
    ownership.refuse_disagreement(service, editable)
    return ServiceFields(
        service=service,
        environment=environment,
        settings=settings,
        source="config" if settings.configured else "discovery",
        fields=editable,
        reported=tuple(f for f in owned if f.reported_only),
        manifests=manifests,
        notes=notes,
    )


def has_fields(
    service: str, environment: Environment, config: Config, manifests: Manifests
) -> bool:
    """Tell whether there is a service of a name, sound or not."""
    settings = config.settings(service)
    effective = manifests.effective(settings.kinds, environment, settings.fields)
    return bool(_owned(service, config, [*effective.live, *(f for f, _why in effective.spare)]))


def has_field(service: str, config: Config, environment: Environment, field: ImageField) -> bool:
    """Tell whether a configured service has, or would have, a field of an environment."""
    prefix = f"{environment.path}/" if environment.path else ""
    globs = config.settings(service).manifests
    is_in_reach = not globs or any(
        glob_pattern(prefix + glob).fullmatch(field.path) for glob in globs
    )
    return is_in_reach and bool(_owned(service, config, [field]))


def _near(
    service: str, config: Config, effective: EffectiveFields
) -> tuple[Iterable[ImageField], Iterable[ImageField]]:
    """Return the live and the spare fields that `_owned` may find.

    They are all where the configuration says which it means.
    """
    own = config.services.get(service, {})
    if config.settings(service).image is not None or "manifests" in own or "containers" in own:
        return effective.live, [field for field, _why in effective.spare]
    return effective.named(service), effective.spare_named(service)


def _owned(service: str, config: Config, found: Iterable[ImageField]) -> list[ImageField]:
    settings = config.settings(service)
    fields = list(found)
    if settings.containers:
        fields = [f for f in fields if not settings.containers.isdisjoint(f.containers)]
    own = config.services.get(service, {})
    by_workload = [f for f in fields if _is_workload_of(service, f)]
    by_configuration = fields if "manifests" in own or "containers" in own else []
    if "fields" in own:
        by_configuration = by_configuration or [f for f in fields if f.form == POINTED]
    if settings.image is not None:
        named = [
            replace(field, shown_name=settings.image.name, problem=EDITABLE)
            for field in by_workload or by_configuration
            if field.problem == NO_NAME
        ]
        sure = [f for f in map(partial(_as_configured, image=settings.image), fields) if f]
        return [*named, *sure]
    by_image = [f for f in fields if f.named and f.named.repository.rpartition("/")[2] == service]
    # What its own workload runs may be its image, where nobody knows what a variable makes of it.
    unnamed = [f for f in by_workload if f.named is None and f.problem not in (NO_NAME, NO_VERSION)]
    return [*by_image, *unnamed] if by_image else by_workload or by_configuration


def _standing(written: Sequence[NotedField], found: Iterable[ImageField]) -> list[ImageField]:
    """Return those fields of which all stand as they were written."""
    matches = find_fields(written, found)
    stand = [
        m.field for m in matches if m.field and m.how == THERE and m.noted.value == m.field.value
    ]
    return stand if len(stand) == len(matches) else []


def _as_configured(field: ImageField, image: ImageReference) -> ImageField | None:
    """Return a field whose image is the configured one; of two names it could have, that one."""
    if field.problem != OTHER_REGISTRY:
        is_it = field.named is not None and field.named.full_repository == image.full_repository
        return field if is_it else None
    for name in (field.name_text, field.other_name):
        found = find_image(name)
        if found is not None and found.full_repository == image.full_repository:
            return replace(field, shown_name=name, problem=EDITABLE)
    return None


def _is_workload_of(service: str, field: ImageField) -> bool:
    """Tell whether a field is of the workload that bears the service's name.

    Of a Helm release that is its main image: what else its values name is a part, not the service.
    """
    is_named = field.name == service or service in field.labels
    return is_named and (field.form != HELM or _is_main(service, field.container))


def _is_main(service: str, container: str) -> bool:
    """Tell whether values name a release's main image: `image`, `images`, or by the service."""
    return container in ("image", "images", "values", service, f"{service}.image")


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
