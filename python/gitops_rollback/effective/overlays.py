"""Run kustomizations in memory, as far as images go: resources, components, patches, images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gitops_rollback.effective.applied import Applied, apply_entries, apply_patch, begin
from gitops_rollback.effective.patches import Operation, fields_of_patch, operations_of
from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.image_field import CONTAINER, HELM, KUSTOMIZE, VOLUME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.entries import ImageEntry
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.manifest.kustomize import Kustomization, Patch

_USES = (CONTAINER, VOLUME, HELM)


@dataclass
class Overlays:
    """The kustomizations of some files, and what each of them makes of the images below it.

    `release_entries` are the `images` of Helm releases, by path and release; `spare` are fields of
    `images:` entries and patches that no image met.
    """

    files: Mapping[str, ParsedFile]
    fields: Mapping[str, tuple[ImageField, ...]]
    kustomizations: Mapping[str, Kustomization]  # by folder
    release_entries: Mapping[str, Mapping[str, tuple[ImageEntry, ...]]]
    spare: list[ImageField] = field(default_factory=list)
    _running: list[str] = field(default_factory=list)

    def of_folder(self, folder: str) -> list[Applied]:
        """Return the images of a kustomization; nothing for one that contains itself."""
        if folder in self._running:
            return []
        self._running.append(folder)
        try:
            kustomization = self.kustomizations[folder]
            images = self._transformed(kustomization, self._resources(kustomization))
            return [replace(image, overlay=kustomization.path) for image in images]
        finally:
            self._running.pop()

    def of_file(self, path: str) -> list[Applied]:
        """Return the images of a file's workloads and releases, its own entries applied."""
        out: list[Applied] = []
        releases = self.release_entries.get(path, {})
        uses = [begin(f) for f in self.fields.get(path, ()) if f.form in _USES]
        for name in dict.fromkeys((image.use.kind, image.use.name) for image in uses):
            images = [image for image in uses if (image.use.kind, image.use.name) == name]
            entries = releases.get(name[1], ()) if name[0] == "HelmRelease" else ()
            if entries:
                images, unused = apply_entries(images, entries, _is_any)
                images += [begin(e.field) for e in unused if e.sets_version]
            out += images
        known = {image.use.name for image in uses}
        for owner, entries in releases.items():
            if owner not in known:  # its chart's values say nothing
                out += [begin(entry.field) for entry in entries if entry.sets_version]
        return out

    def _resources(self, kustomization: Kustomization) -> list[Applied]:
        out: list[Applied] = []
        for path in kustomization.resources:
            if path in self.kustomizations:
                out += self.of_folder(path)
            else:
                out += self.of_file(path)
        return out

    def _transformed(self, kustomization: Kustomization, images: list[Applied]) -> list[Applied]:
        """Apply what a kustomization does to images: those of its own, or its user's."""
        for folder in kustomization.components:
            component = self.kustomizations.get(folder)
            if component is not None and folder not in self._running:
                self._running.append(folder)
                images = self._transformed(component, [*images, *self._resources(component)])
                self._running.pop()
        images = self._patched_by(kustomization, images)
        if kustomization.name_prefix or kustomization.name_suffix:
            images = [
                image.renamed(kustomization.name_prefix, kustomization.name_suffix)
                for image in images
            ]
        images, unused = apply_entries(images, kustomization.entries)
        for entry in unused:
            if entry.sets_version:
                self._keep(entry.field, kustomization, images)
        for line, text in kustomization.others:
            if "image" in text:
                problem = f"transformers or replacements in {kustomization.path}:{line} may set it"
                images = [
                    image.blocked(problem) if image.use.form != KUSTOMIZE else image
                    for image in images
                ]
        return images

    def _patched_by(self, kustomization: Kustomization, images: list[Applied]) -> list[Applied]:
        """Apply the patches of a kustomization in their order."""
        for patch in kustomization.patches:
            images, unmet = self.patched(images, patch, kustomization.path)
            if patch.target_kind is None and patch.target_name is None:
                images += [begin(field) for field in unmet]  # containers more
            else:
                for field in unmet:
                    self._keep(field, kustomization, images)
        return images

    def _keep(self, unmet: ImageField, by: Kustomization, images: list[Applied]) -> None:
        """Keep a field that met no image: its own word counts where bases are not known."""
        if self._is_known(by):
            self.spare.append(unmet)
        else:
            images.append(begin(unmet))

    def _is_known(self, kustomization: Kustomization) -> bool:
        """Tell whether all that a kustomization takes was read; those running are looked at."""
        if kustomization.remote:
            return False
        folders = [path for path in kustomization.resources if path in self.kustomizations]
        files = [path for path in kustomization.resources if path not in self.kustomizations]
        return all(path in self.fields for path in files) and all(
            folder in self._running or self._is_known(self.kustomizations[folder])
            for folder in folders
        )

    def patched(
        self, images: list[Applied], patch: Patch, path: str
    ) -> tuple[list[Applied], list[ImageField]]:
        """Apply one patch, be it a file or inline, a merge or a list of JSON operations.

        Return the images, and the fields of the patch that met none.
        """
        try:
            operations = operations_of(self.files, patch)
        except ManifestError as error:
            return [_unread(image, patch, path, error) for image in images], []
        if operations:
            return [_operated(image, patch, path, operations) for image in images], []
        out = list(images)
        unmet = []
        for patch_field in fields_of_patch(self.fields, patch, path):
            met = False
            for index, image in enumerate(out):
                if _is_patched(image, patch_field, patch):
                    out[index] = apply_patch(image, patch_field)
                    met = True
            if not met and patch_field.form in _USES:
                unmet.append(patch_field)
        return out, unmet


def _unread(image: Applied, patch: Patch, path: str, error: ManifestError) -> Applied:
    if not image.is_of(patch.target_kind, patch.target_name):
        return image
    return image.blocked(f"the patch in {path}:{patch.line} cannot be read: {error.message}")


def _is_any(_use: ImageField) -> bool:
    """Tell that the images of a post-renderer reach whatever the chart makes of its values."""
    return True


def _is_patched(image: Applied, patched: ImageField, patch: Patch) -> bool:
    use = image.use
    if use.container != patched.container or use.form != patched.form:
        return False
    if patch.target_kind is None and patch.target_name is None:
        return use.kind == patched.kind and patched.name in (use.name, *image.given_names)
    return image.is_of(patch.target_kind, patch.target_name)


def _operated(image: Applied, patch: Patch, path: str, operations: Iterable[Operation]) -> Applied:
    use = image.use
    if not image.is_of(patch.target_kind, patch.target_name):
        return image
    for operation in operations:
        if operation.touches(use.pointer):
            image = replace(
                image.blocked(
                    f"the JSON patch in {path}:{patch.line} sets it; write a strategic merge "
                    "patch in a file of its own, or an `images:` entry"
                ),
                name=operation.name or image.name,
                version=operation.version if operation.name else image.version,
            )
    return image
