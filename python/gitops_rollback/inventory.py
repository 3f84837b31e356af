"""The manifests of an environment as parsed files, and the globs that choose them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.document import ParsedFile, may_hold_image, parse
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.kustomize import is_kustomization
from gitops_rollback.model import is_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gitops_rollback.config import Config
    from gitops_rollback.manifest.image_field import ImageField

MOST_DISCOVERED_FILES = 2_000


@dataclass(frozen=True)
class Skipped:
    """A file that was not looked into, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Manifests:
    """The parsed files of an environment, and those that could not be."""

    files: Mapping[str, ParsedFile]
    skipped: tuple[Skipped, ...] = ()

    def only(self, paths: Iterable[str]) -> Manifests:
        """Return the part that stands in some paths."""
        chosen = set(paths)
        return Manifests(
            {path: file for path, file in self.files.items() if path in chosen},
            tuple(skip for skip in self.skipped if skip.path in chosen),
        )

    def fields(self, kinds: Mapping[str, str]) -> tuple[ImageField, ...]:
        """Return all image fields, in the order of the files."""
        return tuple(f for file in self.files.values() for f in find_fields(file, kinds))


def read_manifests(files: Mapping[str, bytes]) -> Manifests:
    """Parse files; those that cannot hold an image are left out, the unreadable are reported."""
    parsed: dict[str, ParsedFile] = {}
    skipped = []
    for path, data in files.items():
        if not may_hold_image(data) and not is_kustomization(path):
            continue
        try:
            file = parse(path, data)
            find_fields(file)
        except ManifestError as error:
            skipped.append(Skipped(path, error.message))
            continue
        parsed[path] = file
    return Manifests(parsed, tuple(skipped))


def glob_pattern(glob: str) -> re.Pattern[str]:
    """Return a glob as a pattern: `*` and `?` stay within a folder, `**` crosses folders.

    `{service}` matches a name, as the group `service`.
    """
    out = []
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\{service\})", glob):
        match part:
            case "**/":
                out.append("(?:.*/)?")
            case "**":
                out.append(".*")
            case "*":
                out.append("[^/]*")
            case "?":
                out.append("[^/]")
            case "{service}":
                first = "(?P<service>" not in "".join(out)
                out.append("(?P<service>[a-z0-9][a-z0-9._-]*)" if first else "(?P=service)")
            case _:
                out.append(re.escape(part))
    return re.compile("".join(out))


def glob_root(glob: str) -> str:
    """Return the folder or file that a glob's matches lie below: its part without wildcards."""
    fixed = re.split(r"[*?\[{]", glob, maxsplit=1)[0]
    return fixed if fixed == glob else fixed.rpartition("/")[0]


def service_names(manifests: Manifests, config: Config, paths: Iterable[str]) -> dict[str, str]:
    """Return the names of all services, each with its source: `config` or `discovery`."""
    names = dict.fromkeys(config.services, "config")
    for glob in config.defaults.get("manifests", ()):
        if "{service}" in glob:
            pattern = glob_pattern(glob)
            found = (match["service"] for path in paths if (match := pattern.fullmatch(path)))
            names.update(dict.fromkeys(filter(is_name, found), "config"))
    if "manifests" not in config.defaults:
        for field in manifests.fields({}):
            if field.image is not None:
                names.setdefault(field.image.repository.rpartition("/")[2], "discovery")
    return names
