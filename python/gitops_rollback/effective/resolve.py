"""Which image fields take effect in an environment, after overlays and Flux. Pure.

kustomize's order (api/internal/target/kusttarget.go): resources, components, patches, `images`;
what Flux adds comes last: its own patches and images, then variables.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops_rollback.effective.applied import Applied, apply_entries, begin
from gitops_rollback.effective.overlays import Overlays
from gitops_rollback.effective.variables import Variables, substitute, variable_names
from gitops_rollback.manifest.flux import (
    Definition,
    FluxKustomization,
    definitions,
    flux_kustomization,
    release_entries,
)
from gitops_rollback.manifest.image_field import KUSTOMIZE
from gitops_rollback.manifest.kustomize import is_kustomization
from gitops_rollback.manifest.objects import objects_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.entries import ImageEntry
    from gitops_rollback.manifest.image_field import FieldKey, ImageField
    from gitops_rollback.manifest.kustomize import Kustomization


@dataclass(frozen=True)
class EffectiveFields:
    """The fields that take effect, and those that probably do not.

    `spare` are entries that meet no image, and workloads beside a kustomization that does not
    list them, each with why.
    """

    live: tuple[ImageField, ...]
    spare: tuple[tuple[ImageField, str], ...] = ()


def resolve_fields(
    files: Mapping[str, ParsedFile],
    fields: Mapping[str, tuple[ImageField, ...]],
    kustomizations: Mapping[str, Kustomization],
    uses: Mapping[str, int],
    holds: Callable[[str], bool],
) -> EffectiveFields:
    """Return the fields that decide the images of an environment.

    `files` may have files from outside it, which its overlays take; `fields` are the image fields
    of each, `kustomizations` those among them; `holds` tells which files are in the environment;
    `uses` says how often each Flux variable stands in all its files.
    """
    return _Resolver(files, fields, kustomizations, uses, holds).resolve()


class _Resolver:
    def __init__(
        self,
        files: Mapping[str, ParsedFile],
        fields: Mapping[str, tuple[ImageField, ...]],
        kustomizations: Mapping[str, Kustomization],
        uses: Mapping[str, int],
        holds: Callable[[str], bool],
    ) -> None:
        self._files = files
        self._uses = uses
        self._holds = holds
        self._config_maps: dict[str, dict[str, Definition]] = {}
        self._flux: list[FluxKustomization] = []
        entries: dict[str, dict[str, tuple[ImageEntry, ...]]] = {}
        for path, file in files.items():
            for item in [] if is_kustomization(path) else objects_of(file):
                flux = flux_kustomization(item)
                if flux is not None:
                    self._flux.append(flux)
                if item.kind == "ConfigMap":
                    found = definitions(item, item.find("data"), "/data")
                    self._config_maps.setdefault(item.name, {}).update(found)
                if item.kind == "HelmRelease":
                    entries.setdefault(path, {})[item.name] = release_entries(item)
        by_folder = {one.folder: one for one in kustomizations.values()}
        _let_take_all_below(by_folder, files)
        self._taken = {path for one in by_folder.values() for path in one.references}
        self._overlays = Overlays(files, fields, by_folder, entries)

    def resolve(self) -> EffectiveFields:
        """Run every root, and say which fields decide."""
        images: list[Applied] = []
        for folder, found in self._roots():
            images += self._with_flux(folder, found)
        images += [begin(entry.field) for entry in self._unmet_flux_entries()]
        live = _merged(image.field for image in images)
        live_places = {field.key for field in live}
        spare = [
            (field, "no image of its kustomization bears that name")
            for field in self._overlays.spare
        ]
        spare += [
            (field, f"{posixpath.dirname(path)}/ has a kustomization that does not list it")
            for path in self._unlisted()
            for field in self._overlays.fields[path]
        ]
        left = [(f, why) for f, why in spare if f.key not in live_places]
        return EffectiveFields(live, tuple(left))

    def _roots(self) -> Iterable[tuple[str, list[Applied]]]:
        """Yield what is deployed on its own, with its folder: kustomizations, and plain files."""
        overlays = self._overlays
        for folder, kustomization in overlays.kustomizations.items():
            if folder not in self._taken and self._is_deployed(kustomization.path):
                yield folder, overlays.of_folder(folder)
        for path in self._files:
            folder = posixpath.dirname(path)
            if is_kustomization(path) or path in self._taken:
                continue
            if folder in overlays.kustomizations:
                yield folder, [begin(f) for f in overlays.fields[path] if f.kind == "Values"]
            elif self._is_deployed(path):
                yield folder, overlays.of_file(path)

    def _is_deployed(self, path: str) -> bool:
        """Tell whether a file is of the environment, or of a folder that Flux applies for it."""
        return self._holds(path) or bool(self._flux_of(posixpath.dirname(path)))

    def _unmet_flux_entries(self) -> list[ImageEntry]:
        """Return the `spec.images` of Flux Kustomizations whose folder is not among the files."""
        folders = {posixpath.dirname(path) for path in self._files}
        return [
            entry
            for flux in self._flux
            if not any(self._flux_applies(flux, folder) for folder in folders)
            for entry in flux.entries
            if entry.sets_version
        ]

    def _flux_applies(self, flux: FluxKustomization, folder: str) -> bool:
        if folder == flux.path:
            return True
        is_below = not flux.path or folder.startswith(f"{flux.path}/")
        return is_below and flux.path not in self._overlays.kustomizations

    def _unlisted(self) -> list[str]:
        return [
            path
            for path in self._files
            if not is_kustomization(path)
            and path not in self._taken
            and posixpath.dirname(path) in self._overlays.kustomizations
            and self._holds(path)
            and any(field.kind != "Values" for field in self._overlays.fields[path])
        ]

    def _flux_of(self, folder: str) -> list[FluxKustomization]:
        """Return the Flux Kustomizations that apply a folder."""
        return [flux for flux in self._flux if self._flux_applies(flux, folder)]

    def _with_flux(self, folder: str, images: list[Applied]) -> list[Applied]:
        """Apply what Flux does to the images of a root; once for each of its Kustomizations."""
        applying = self._flux_of(folder)
        if not applying:
            return images
        out: list[Applied] = []
        for flux in applying:
            found = images
            for patch in flux.patches:
                found, unmet = self._overlays.patched(found, patch, flux.file_path)
                found += [begin(field) for field in unmet]
            found, unused = apply_entries(found, flux.entries)
            found += [begin(e.field) for e in unused if e.sets_version and not images]
            places = {i.decider.key: i.name + i.version for i in found}
            used = Counter(name for text in places.values() for name in variable_names(text))
            variables = Variables(self._definitions(flux), self._uses, _secrets(flux))
            out += [substitute(image, variables, used) for image in found]
        return out

    def _definitions(self, flux: FluxKustomization) -> dict[str, Definition]:
        """Return the variables of a Flux Kustomization: its own win, then later sources."""
        found = dict(flux.definitions)
        for kind, name in flux.sources:
            if kind == "ConfigMap":
                for key, definition in self._config_maps.get(name, {}).items():
                    found.setdefault(key, definition)
        return found


def _let_take_all_below(
    kustomizations: dict[str, Kustomization], files: Mapping[str, ParsedFile]
) -> None:
    """Let a kustomization that lists nothing take the files below it: its entries mean those."""
    for folder, kustomization in kustomizations.items():
        if kustomization.references or kustomization.remote or not kustomization.entries:
            continue
        prefix = f"{folder}/" if folder else ""
        below = [path for path in files if path.startswith(prefix) and not is_kustomization(path)]
        kustomizations[folder] = replace(kustomization, resources=tuple(below))


def _secrets(flux: FluxKustomization) -> tuple[str, ...]:
    return tuple(name for kind, name in flux.sources if kind == "Secret")


def _merged(fields: Iterable[ImageField]) -> tuple[ImageField, ...]:
    """Return each field once, with all it decides; several names for one version are a problem."""
    merged: dict[FieldKey, ImageField] = {}
    for field in fields:
        key = field.key
        known = merged.get(key)
        if known is None:
            merged[key] = field
            continue
        problem = known.problem or field.problem
        if (known.shown_name or "") != (field.shown_name or "") and field.form != KUSTOMIZE:
            names = f"{known.shown_name or known.name_text}, {field.shown_name or field.name_text}"
            problem = f"it is the version of several images: {names}"
        merged[key] = replace(
            known,
            labels=known.labels | field.labels,
            containers=known.containers | field.containers,
            overrides=tuple(dict.fromkeys((*known.overrides, *field.overrides))),
            problem=problem,
        )
    return tuple(merged.values())
