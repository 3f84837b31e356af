"""The manifests of an environment as parsed files, and the globs that choose them. Pure."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from gitops_rollback.effective.raw import Raw, is_ignore_file
from gitops_rollback.effective.resolve import EffectiveFields, resolve_fields
from gitops_rollback.effective.roots import Skipped, Tree, folders_above
from gitops_rollback.effective.sources import NOWHERE, Home
from gitops_rollback.effective.templates import is_beside
from gitops_rollback.effective.variables import uses_in
from gitops_rollback.errors import ManifestError, TemplateFileError
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.manifest.argo import override_of
from gitops_rollback.manifest.document import (
    ParsedFile,
    are_objects,
    is_config_map,
    may_hold_image,
    parse_once,
)
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.helm import is_chart_file
from gitops_rollback.manifest.kustomize import is_kustomization, read_kustomization
from gitops_rollback.model import is_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.services.config import Config, Environment

MOST_DISCOVERED_FILES = 2_000
_FILES_OF_A_PART = 200
_TYING = (b"fluxcd.io", b"argoproj.io", b"helm.cattle.io")
# What puts a text of a ConfigMap, whatever it says, into an image.
_TAKING_CONFIG_MAPS = (b"substituteFrom", b"eplacement", b"targetPath")


@dataclass(frozen=True)
class Manifests(Tree):
    """The files of an environment, with what takes effect of them, once it was asked for."""

    _found: dict[tuple[object, ...], EffectiveFields] = field(
        default_factory=dict, compare=False, repr=False
    )

    def only(self, paths: Iterable[str]) -> Manifests:
        """Return the part that stands in some paths."""
        chosen = set(paths)
        if chosen.issuperset(self.files) and chosen.issuperset(self._skips):
            return self
        there = sorted(chosen & self.raw.keys(), key=self.raw.order.__getitem__)
        kustomizations = self.kustomizations
        return replace(
            self,
            files={path: self.files[path] for path in there if path in self.files},
            skipped=tuple(self._skips[path] for path in there if path in self._skips),
            kustomizations={path: kustomizations[path] for path in there if path in kustomizations},
            _found={},
        )

    @cached_property
    def _skips(self) -> dict[str, Skipped]:
        return {skip.path: skip for skip in self.skipped}

    def with_files(self, files: Mapping[str, ParsedFile]) -> Manifests:
        """Return the manifests with some files read anew, or read besides."""
        fields = {path: find_fields(file) for path, file in files.items()}
        kustomizations = {p: read_kustomization(f) for p, f in files.items() if is_kustomization(p)}
        return replace(
            self,
            files={**self.files, **files},
            fields={**{path: self.fields[path] for path in self.files}, **fields},
            kustomizations={**self.kustomizations, **kustomizations},
            raw=self.raw.with_files({path: file.data for path, file in files.items()}),
            _found={},
        )

    def effective(
        self,
        kinds: Mapping[str, str],
        environment: Environment,
        pointers: tuple[str, ...] = (),
    ) -> EffectiveFields:
        """Return what takes effect in an environment, and the fields that decide; once.

        `kinds` and `pointers` say where further images stand.
        """
        key = (environment, pointers, *sorted(kinds.items()))
        if key not in self._found:
            fields = {path: self.fields[path] for path in self.files}
            if kinds or pointers:
                for path, file in self.files.items():
                    fields[path] = find_fields(file, kinds, pointers)
            tree = replace(self, fields=fields)
            self._found[key] = resolve_fields(tree, environment.holds, kinds, pointers)
        return self._found[key]


def read_manifests(
    files: Mapping[str, bytes], home: Home = NOWHERE, words: Iterable[bytes] = ()
) -> Manifests:
    """Parse the files of a repository.

    Those that cannot hold an image are left out, but for those that have one of some words; the
    unreadable are reported.
    """
    further = tuple(words)
    parsed: dict[str, ParsedFile] = {}
    fields: dict[str, tuple[ImageField, ...]] = {}
    kustomizations = {}
    skipped = []
    takes_config_maps = any(
        any(word in data for word in _TAKING_CONFIG_MAPS) for data in files.values()
    )
    for path, data in files.items():
        wanted = may_hold_image(data) or (takes_config_maps and is_config_map(data))
        wanted = wanted or any(word in data for word in further)
        if is_beside(path) or (not wanted and not is_kustomization(path)):
            fields[path] = ()
            continue
        try:
            file = parse_once(path, data)
            fields[path] = find_fields(file)
        except ManifestError as error:
            line = error.line if isinstance(error, TemplateFileError) else None
            skipped.append(Skipped(path, error.message, line or 0))
            continue
        parsed[path] = file
        if is_kustomization(path):
            kustomizations[path] = read_kustomization(file)
    variables = Counter(n for data in files.values() if b"${" in data for n in uses_in(data))
    return Manifests(parsed, tuple(skipped), fields, kustomizations, variables, Raw(files), home)


def joined(one: Manifests, other: Manifests) -> Manifests:
    """Return the manifests of two readings; the repository is that of the first."""
    return replace(
        one,
        files={**one.files, **other.files},
        skipped=(*one.skipped, *other.skipped),
        fields={**one.fields, **other.fields},
        kustomizations={**one.kustomizations, **other.kustomizations},
        variables=Counter(one.variables) + Counter(other.variables),
        raw=Raw({**one.raw, **other.raw}),
        _found={},
    )


def parts_of(paths: Iterable[str], read: Callable[[str], bytes]) -> Iterator[dict[str, bytes]]:
    """Yield files with their bytes in parts that nothing ties to each other, each read when asked.

    Files of nothing but objects are parted from all others, where no kustomization takes them or
    stands at or above them, nor a chart, and no file has what applies others.
    """
    tied: dict[str, bytes] = {}
    apart: dict[str, None] = {}
    ties = False
    for path in paths:
        data = read(path)
        ties = ties or _ties(path, data)
        if is_beside(path) or is_kustomization(path) or not are_objects(data):
            tied[path] = data
        else:
            apart[path] = None
    read_ = read_manifests({path: data for path, data in tied.items() if is_kustomization(path)})
    taken = {path for one in read_.kustomizations.values() for path in one.references}
    ruling = {
        posixpath.dirname(path) for path in tied if is_kustomization(path) or is_chart_file(path)
    }
    for path in list(apart):
        if ties or path in taken or not ruling.isdisjoint(folders_above(path)):
            del apart[path]
            tied[path] = read(path)
    if tied or not apart:
        yield tied
    tied = {}  # whoever took it may let it go
    rest = iter(apart)
    while part := list(islice(rest, _FILES_OF_A_PART)):
        yield {path: read(path) for path in part}


def _ties(path: str, data: bytes) -> bool:
    """Tell cheaply whether a file may apply others, or change what is applied of them."""
    return (
        is_ignore_file(path) or override_of(path) is not None or any(one in data for one in _TYING)
    )


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


def configured_names(config: Config, environment: Environment, paths: Iterable[str]) -> list[str]:
    """Return the services that the configuration names, or that its globs find in some paths."""
    names = list(config.services)
    prefix = f"{environment.path}/" if environment.path else ""
    for glob in config.defaults.get("manifests", ()):
        if "{service}" in glob:
            pattern = glob_pattern(prefix + glob)
            found = (match["service"] for path in paths if (match := pattern.fullmatch(path)))
            names += filter(is_name, found)
    return names


def service_names(
    manifests: Manifests, config: Config, environment: Environment, paths: Iterable[str]
) -> dict[str, str]:
    """Return the names of all services, each with its source: `config` or `discovery`."""
    names = dict.fromkeys(configured_names(config, environment, paths), "config")
    if "manifests" not in config.defaults:
        for image_field in manifests.effective({}, environment).live:
            if image_field.image is not None:
                names.setdefault(image_field.image.repository.rpartition("/")[2], "discovery")
    return names
