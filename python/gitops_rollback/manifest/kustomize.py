"""What a kustomization says: what it takes, patches and sets. Pure.

Order and meaning as in kustomize (api/internal/target/kusttarget.go): resources, components,
then merge patches, `patches`, JSON patches, and `images` last (`kusttarget_configplugin.go`).
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_rollback.manifest.document import items_of, lookup, text_of
from gitops_rollback.manifest.entries import EntryList, ImageEntry, read_entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    import yaml

    from gitops_rollback.manifest.document import ParsedFile

KUSTOMIZATION_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_RESOURCES = ("resources", "bases")
_PATCH_LISTS = ("patchesStrategicMerge", "patches", "patchesJson6902")
_OTHER_CHANGES = ("transformers", "replacements")


@dataclass(frozen=True)
class Patch:
    """A patch of a kustomization: a file of its own, or text written into it.

    `path` is that file's in the repository; `text` the inline text. `target_kind` and
    `target_name` are regular expressions that choose what is patched, absent where it is not said.
    """

    line: int
    path: str | None = None
    text: str = ""
    target_kind: str | None = None
    target_name: str | None = None


@dataclass(frozen=True)
class Kustomization:
    """A kustomization file: paths are from the root of the repository, `remote` ones as written.

    `others` are the lines of what else can change an image, with its text.
    """

    path: str
    resources: tuple[str, ...]
    components: tuple[str, ...]
    remote: tuple[str, ...]
    patches: tuple[Patch, ...]
    entries: tuple[ImageEntry, ...]
    others: tuple[tuple[int, str], ...]
    namespace: str = ""
    name_prefix: str = ""
    name_suffix: str = ""

    @property
    def folder(self) -> str:
        """The folder the kustomization stands for."""
        return posixpath.dirname(self.path)

    @property
    def references(self) -> tuple[str, ...]:
        """All it takes from the repository: resources, components, files of patches."""
        return (
            *self.resources,
            *self.components,
            *(patch.path for patch in self.patches if patch.path),
        )


def is_kustomization(path: str) -> bool:
    """Tell whether kustomize would read the file as a kustomization."""
    return posixpath.basename(path) in KUSTOMIZATION_NAMES


def read_kustomization(file: ParsedFile) -> Kustomization:
    """Read a kustomization; raise `ManifestError` where a key of an entry stands twice."""
    root = file.documents[0] if file.documents else None
    folder = posixpath.dirname(file.path)
    resources, remote = _split(folder, root, _RESOURCES)
    components, more_remote = _split(folder, root, ("components",))
    return Kustomization(
        path=file.path,
        resources=resources,
        components=components,
        remote=(*remote, *more_remote),
        patches=tuple(p for key in _PATCH_LISTS for p in _patches(folder, lookup(root, key))),
        entries=entries_of(file),
        others=tuple(
            (node.start_mark.line + 1, file.text[node.start_mark.index : node.end_mark.index])
            for key in _OTHER_CHANGES
            if (node := lookup(root, key)) is not None
        ),
        namespace=text_of(lookup(root, "namespace")) or "",
        name_prefix=text_of(lookup(root, "namePrefix")) or "",
        name_suffix=text_of(lookup(root, "nameSuffix")) or "",
    )


def entries_of(file: ParsedFile) -> tuple[ImageEntry, ...]:
    """Return the `images:` entries of a kustomization file."""
    return tuple(
        entry
        for number, root in enumerate(file.documents)
        for entry in read_entries(
            EntryList(file, number, "Kustomization", "kustomization", "/images"),
            lookup(root, "images"),
        )
    )


def inline_patches(patches: yaml.Node | None) -> tuple[Patch, ...]:
    """Return the patches of a Flux object, which are all inline (spec.patches)."""
    return tuple(_patches("", patches))


def _split(
    folder: str, root: yaml.Node | None, keys: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what some lists name within the repository, and what from elsewhere."""
    texts = [
        text for key in keys for item in items_of(lookup(root, key)) if (text := text_of(item))
    ]
    local = [(text, _inside(folder, text)) for text in texts]
    return (
        tuple(path for _text, path in local if path is not None),
        tuple(text for text, path in local if path is None),
    )


def _inside(folder: str, text: str) -> str | None:
    """Return the path from the root of the repository; None for what is elsewhere."""
    if "://" in text or text.startswith(("git@", "git::", "/")) or "?ref=" in text:
        return None
    path = posixpath.normpath(posixpath.join(folder, text))
    if path == ".." or path.startswith("../"):  # of local files, people may name those above too
        return path if folder.startswith("..") else None
    return "" if path == "." else path


def _patches(folder: str, patches: yaml.Node | None) -> Iterator[Patch]:
    for item in items_of(patches):
        line = item.start_mark.line + 1
        written = text_of(item)
        if written is not None:  # patchesStrategicMerge: a path or an inline patch
            is_path = "\n" not in written and not written.lstrip().startswith("{")
            path = _inside(folder, written) if is_path else None
            yield Patch(line, path) if path else Patch(line, text=written)
            continue
        target = lookup(item, "target")
        kind, name = text_of(lookup(target, "kind")), text_of(lookup(target, "name"))
        path_text = text_of(lookup(item, "path"))
        inline = lookup(item, "patch")
        if path_text is not None:
            yield Patch(line, _inside(folder, path_text), "", kind, name)
        elif inline is not None:
            inline_line = inline.start_mark.line + 1
            yield Patch(inline_line, None, text_of(inline) or "", kind, name)
