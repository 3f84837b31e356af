"""Read what counts for the fields of services: state files of their other names, holds in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.facts import ServiceAtTip
from gitops_rollback.decide.standing import names_of, standing
from gitops_rollback.ledger.state import FOLDER, State, parse_state, path_of
from gitops_rollback.look.environment_files import is_state, read_files
from gitops_rollback.model import is_name
from gitops_rollback.services import inventory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from gitops_rollback.ledger.holds import HeldFile
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.services.catalogue import ServiceFields
    from gitops_rollback.services.config import Config
    from gitops_rollback.services.inventory import Manifests

    Found = Sequence[tuple[ServiceFields, State | None]]


def read_standings(
    repository: Repository, tip: Tip, config: Config, found: Found, held: Sequence[HeldFile]
) -> Iterator[ServiceAtTip]:
    """Yield each service with what counts for its fields, whatever they are called.

    Nothing is fetched for it but state files of names that a service's fields have too, and files
    in which a hold has its field, where they are not read already.
    """
    environments = [e for e in repository.list_folders(tip.commit, FOLDER) if is_name(e)]
    names = {fields.service: _names(fields, config, environments) for fields, _own in found}
    others = _states(repository, tip, {path for paths in names.values() for path in paths})
    shared = {id(fields.manifests): fields.manifests for fields, _own in found}
    branch = [field for fields, _own in found for field in fields.fields]
    branch += fields_where_noted(repository, tip, tuple(shared.values()), [*held, *others.values()])
    for fields, own in found:
        name = State(fields.service, fields.environment.name)
        theirs = [others[path] for path in names[fields.service] if path in others]
        counts = standing(name, own, theirs, held, fields.fields, branch)
        yield ServiceAtTip(tip, fields, counts.state, counts.aliases, counts.holds)


def _names(fields: ServiceFields, config: Config, environments: Sequence[str]) -> list[str]:
    """Return where the state files of a service's other names would stand."""
    named = {*names_of(fields.fields), fields.service}
    named |= {name for name in config.services if _may_be(name, fields, config)}
    own = path_of(fields.environment.name, fields.service)
    paths = (path_of(e, name) for e in environments for name in sorted(named) if is_name(name))
    return [path for path in paths if path != own]


def _may_be(name: str, fields: ServiceFields, config: Config) -> bool:
    """Tell whether a configured service may have one of the fields, by its manifests."""
    settings = config.settings(name)
    prefix = f"{fields.environment.path}/" if fields.environment.path else ""
    patterns = [inventory.glob_pattern(prefix + glob) for glob in settings.manifests]
    return any(one.fullmatch(field.path) for one in patterns for field in fields.fields)


def _states(repository: Repository, tip: Tip, paths: set[str]) -> dict[str, State]:
    """Read those state files that are there, by path."""
    entries = repository.list_files(tip.commit, sorted(paths)) if paths else []
    states = {}
    for path, data in read_files(repository, entries).items():
        environment, _slash, name = path.removeprefix(f"{FOLDER}/").partition("/")
        states[path] = parse_state(data, environment, name.removesuffix(".json"))
    return states


def fields_where_noted(
    repository: Repository,
    tip: Tip,
    read: Collection[Manifests],
    noted: Iterable[HeldFile | State],
) -> list[ImageField]:
    """Return the fields of all manifests that are read, and of the files that `noted` names."""
    everything = [f for one in read for fields in one.fields.values() for f in fields]
    known = {path for one in read for path in one.files}
    wanted = {field.path for one in noted for field in one.fields} - known
    if not wanted:
        return everything
    entries = [e for e in repository.list_files(tip.commit, sorted(wanted)) if e.path in wanted]
    files = read_files(repository, [e for e in entries if not is_state(e.path)])
    more = inventory.read_manifests(files)
    return [*everything, *(f for fields in more.fields.values() for f in fields)]
