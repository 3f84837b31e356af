"""The configuration `.gitops-rollback.toml`: environments, services, sets, registries. Pure.

It stands at the root of the manifests repository and is TOML, because Flux applies every YAML
file it finds. None is needed for a small repository.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from gitops_rollback import schema
from gitops_rollback.errors import ConfigError, nearest_hint
from gitops_rollback.image import ImageReference, InvalidImageError, parse_image
from gitops_rollback.late import dataclass, field, regex
from gitops_rollback.model import is_name, is_safe_path, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FILE = ".gitops-rollback.toml"
DEFAULT_ENVIRONMENT = "default"
_LARGEST = 1_000_000  # bytes
# `a.b.c`: what reads TOML keeps every beginning of such a key, a gigabyte of one of 40 kB.
_MOST_PARTS = 30
_LONG_KEY = regex(r"(?<![\w-])(?:(?:[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')[ \t]*+\.[ \t]*+){30}")
_ARTICLES = {"environment": "an environment", "service": "a service", "set": "a set"}


@dataclass(frozen=True)
class Environment:
    """A part of the manifests repository, deployed on its own.

    `path` is "" for the whole; `branch` is None where there is no configuration; `flux` are globs
    of Flux's own objects for it that stand elsewhere.
    """

    name: str
    path: str = ""
    branch: str | None = None
    flux: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What people call it: the repository, where no environment is configured."""
        return (
            "this repository" if self.name == DEFAULT_ENVIRONMENT else f"environment '{self.name}'"
        )

    def holds(self, path: str) -> bool:
        """Tell whether a file lies in the environment."""
        return not self.path or path == self.path or path.startswith(f"{self.path}/")


@dataclass(frozen=True)
class RegistryUrls:
    """Where the repository's file says a registry and its Hub API are."""

    registry_url: str | None = None
    hub_url: str | None = None


@dataclass(frozen=True)
class Settings:
    """What holds for one service: its own table over `[defaults]`."""

    configured: bool
    manifests: tuple[str, ...] = ()
    image: ImageReference | None = None
    containers: frozenset[str] = frozenset()
    deploy_job: str | None = None
    pin: str = "digest"
    hold: str = "service"
    storage_guard: str = "warn"
    effect_proof: str = "auto"
    schema_label: str | None = None
    query: str | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Config:
    """The whole configuration; empty where there is no file."""

    environments: Mapping[str, Environment] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    registries: Mapping[str, RegistryUrls] = field(default_factory=dict)

    @property
    def urls(self) -> tuple[str, ...]:
        """What else the manifests repository is called: by Flux, by Argo CD, by a mirror of it."""
        return tuple(self.defaults.get("urls", ()))

    @property
    def words(self) -> tuple[bytes, ...]:
        """What stands in each file that has an image at a configured pointer: its last key."""
        tables = (self.defaults, *self.services.values())
        pointers = (pointer for table in tables for pointer in table.get("fields", ()))
        keys = (pointer.rpartition("/")[2] for pointer in pointers)
        return tuple({key.replace("~1", "/").replace("~0", "~").encode() for key in keys})

    def settings(self, service: str) -> Settings:
        """Return the settings of a service; raise `ConfigError` if its image is malformed."""
        merged = {**self.defaults, **self.services.get(service, {})}
        texts = {key: _fill(value, service) for key, value in merged.items()}
        return Settings(
            configured=service in self.services or "manifests" in self.defaults,
            manifests=tuple(texts.get("manifests", ())),
            image=_image(texts.get("image")),
            containers=frozenset(texts.get("containers", ())),
            deploy_job=texts.get("deploy-job"),
            pin=texts.get("pin", "digest"),
            hold=texts.get("hold", "service"),
            storage_guard=texts.get("storage-guard", "warn"),
            effect_proof=texts.get("effect-proof", "auto"),
            schema_label=texts.get("schema-label"),
            query=merged.get("query"),
            kinds=texts.get("kinds", {}),
            fields=tuple(texts.get("fields", ())),
        )

    def choose_environment(self, name: str | None) -> Environment:
        """Return the environment of a name, or the only one there is."""
        known = self.environments or {DEFAULT_ENVIRONMENT: Environment(DEFAULT_ENVIRONMENT)}
        if name is None and len(known) == 1:
            return next(iter(known.values()))
        if name is None:
            raise ConfigError(
                f"several environments are configured: {', '.join(known)}",
                "choose one with --environment",
            )
        if name not in known:
            raise ConfigError(
                f"there is no environment '{name}'; there is {', '.join(known)}",
                nearest_hint(name, known) or f"choose with --environment, or add it to {FILE}",
            )
        return known[name]

    def expand(self, names: Iterable[str], sets: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the services that names of services and sets stand for, each once.

        Raises `ConfigError` if one of `sets` is no set.
        """
        for name in sets:
            if name not in self.sets:
                raise ConfigError(
                    f"there is no set '{name}'; there is {', '.join(self.sets) or 'none'}",
                    nearest_hint(name, self.sets) or f"add it to [sets] in {FILE}",
                )
        services = (member for name in names for member in self.sets.get(name, (name,)))
        return tuple(dict.fromkeys(services))

    def of_allowed(self, names: Iterable[str], allowed: tuple[str, ...]) -> tuple[str, ...]:
        """Return those names that are allowed; all where nothing limits them."""
        members = self.expand(allowed)
        return tuple(name for name in names if not allowed or name in members)

    def check_allowed(self, services: Iterable[str], allowed: tuple[str, ...]) -> None:
        """Raise `ConfigError` if a service is none of those that are allowed; none is: all are."""
        named = tuple(services)
        let_through = {*self.of_allowed(named, allowed)}
        refused = [service for service in named if service not in let_through]
        if refused:
            raise ConfigError(
                f"this job or folder may not touch {', '.join(refused)}; allowed is "
                f"{', '.join(allowed)}",
                "use the job of the team that owns it, or have it added to allowedServices",
            )


def parse_config(data: bytes, branch: str | None = None) -> Config:
    """Read the configuration; raise `ConfigError` naming what is wrong and the nearest right.

    `branch` is where it was read: the branch of every environment that names none.
    """
    if len(data) > _LARGEST:
        raise ConfigError(f"{FILE} has {len(data)} bytes", "it may have at most 1 MB")
    try:
        text = data.decode("utf-8-sig")
        if _LONG_KEY.search(text):
            raise ConfigError(f"{FILE} has a key of more than {_MOST_PARTS} parts", "mend the file")
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is no TOMLDecodeError
        raise ConfigError(f"{FILE} is no TOML: {error}", "mend the file") from error
    _check_names(document)
    try:
        schema.check(document, "config")
    except schema.InvalidDocumentError as error:
        hint = next((nearest_hint(key, error.known) for key in error.unknown), "")
        known = (
            f"known keys: {', '.join(error.known)}"
            if error.known
            else "docs/configuration.md says what each key takes"
        )
        raise ConfigError(f"{FILE}: {error}", hint or known) from error
    config = Config(
        environments={
            name: _environment(name, table, branch)
            for name, table in document.get("environments", {}).items()
        },
        defaults=document.get("defaults", {}),
        services=document.get("services", {}),
        sets={name: tuple(members) for name, members in document.get("sets", {}).items()},
        registries={
            name: RegistryUrls(table.get("registry-url"), table.get("hub-url"))
            for name, table in document.get("registries", {}).items()
        },
    )
    _check(config)
    return config


def _fill(value: Any, service: str) -> Any:  # noqa: ANN401 - a TOML value
    if isinstance(value, str):
        return value.replace("{service}", service)
    if isinstance(value, list):
        return [_fill(item, service) for item in value]
    return value


def _image(text: str | None) -> ImageReference | None:
    if text is None:
        return None
    try:
        image = parse_image(text)
    except InvalidImageError as error:
        raise ConfigError(
            f"{FILE}: image: {error}",
            'write the repository\'s name, for example image = "docker.io/acme/{service}"',
        ) from error
    if image.tag is not None or image.digest is not None:
        raise ConfigError(
            f"{FILE}: the image {text} names a version",
            f"write only the repository: {image.name}",
        )
    return image


def _environment(name: str, table: Mapping[str, Any], branch: str | None) -> Environment:
    path = table.get("path", "").strip("/")
    path = "" if path == "." else path.removeprefix("./")
    if path and not is_safe_path(path):
        raise ConfigError(
            f"{FILE}: the path '{table['path']}' of environment '{name}' leads out of the "
            "repository",
            "give a folder of the repository, without ..",
        )
    for glob in table.get("flux", ()):
        if not is_safe_path(glob):
            raise ConfigError(
                f"{FILE}: the `flux` glob '{glob}' of environment '{name}' leads out of the "
                "repository",
                "write it from the repository's root, without ..",
            )
    return Environment(name, path, table.get("branch", branch), tuple(table.get("flux", ())))


def _check_names(document: Mapping[str, Any]) -> None:
    for what in ("environment", "service", "set"):
        names = document.get(f"{what}s", {})
        for name in names if isinstance(names, dict) else ():
            if not is_name(name):
                raise ConfigError(
                    f"{FILE}: '{one_line(name, 80)}' cannot name {_ARTICLES[what]}",
                    "names have small letters, digits, dots, dashes, underscores; at most 63",
                )


def _check(config: Config) -> None:
    for name in config.sets:
        if name in config.services:
            raise ConfigError(f"{FILE}: '{name}' names a set and a service", "rename the set")
    for name in ("service", *config.services):
        for glob in config.settings(name).manifests:
            if not is_safe_path(glob):
                raise ConfigError(
                    f"{FILE}: the manifests '{glob}' are not below the environment's path",
                    "write them relative to it, without ..",
                )
