"""Everything there is to say about the storage of some manifests."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import ManifestError
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.manifest.document import parse_once
from gitops_rollback.manifest.kustomize import Kustomization, is_kustomization, read_kustomization
from gitops_rollback.storage import model
from gitops_rollback.storage.binding import check_bindings
from gitops_rollback.storage.model import Finding, KubernetesObject, find_objects, in_order
from gitops_rollback.storage.mounts import POD_SPEC_PATHS, World, check_mounts, worlds
from gitops_rollback.storage.required import check_required
from gitops_rollback.storage.risks import check_risks
from gitops_rollback.storage.structure import check_kind, check_structure, is_checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gitops_rollback.storage.binding import Binding


_OF_NO_NAMESPACE = ("PersistentVolume", "StorageClass")


@dataclass(frozen=True)
class Review:
    """Findings by place, what becomes of each claim, and the files that are templates."""

    findings: tuple[Finding, ...]
    worlds: tuple[World, ...] = field(repr=False)
    objects: int
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """What becomes of each claim."""
        return tuple(binding for world in self.worlds for binding in world.bindings)

    def claims_to_json(self) -> list[dict[str, Any]]:
        """Return what becomes of each claim, as it stands in results."""
        return [_claim_to_json(binding) for binding in self.bindings]


def review(files: Mapping[str, bytes]) -> Review:
    """Look at the storage in manifests, given as bytes by path."""
    read = read_objects(files)
    return review_objects(read.items, read.findings, read.skipped)


def review_objects(
    items: Iterable[KubernetesObject],
    findings: Iterable[Finding] = (),
    skipped: tuple[tuple[str, str], ...] = (),
) -> Review:
    """Look at objects that were read; `findings` are those of reading them."""
    items = tuple(items)
    checked = tuple(item for item in items if is_checked(item))
    found = list(findings)
    for item in items:
        found += check_kind(item)
    meeting = []
    for item in checked:
        structure = check_structure(item)
        own = [*structure.findings, *check_required(item, structure)]
        found += own
        # A pod that has lost its volumes mounts none: that is said once.
        if not structure.displaced or item.kind not in POD_SPEC_PATHS:
            meeting.append(replace(item, is_refused=any(one.is_refusal for one in own)))
    together = tuple(worlds(meeting))
    for world in together:
        found += _of_world(world)
    return Review(in_order(found), together, len(checked), skipped)


@dataclass(frozen=True)
class ReadObjects:
    """The objects of some files, what is wrong with the files, and which are templates."""

    items: tuple[KubernetesObject, ...]
    findings: tuple[Finding, ...]
    skipped: tuple[tuple[str, str], ...]


def read_objects(files: Mapping[str, bytes]) -> ReadObjects:
    """Read the objects of files that may hold storage."""
    kustomizations = read_kustomizations({p: d for p, d in files.items() if is_kustomization(p)})
    patches, spaces = patch_paths(kustomizations), namespaces(kustomizations)
    items: list[KubernetesObject] = []
    findings: list[Finding] = []
    skipped = []
    for path, data in files.items():
        if is_kustomization(path) or not model.may_hold_storage(data):
            continue
        try:
            file, problems = model.read(path, data)
            findings += problems
            if file is not None:
                found = find_objects(file, is_patch=path in patches)
                items += [_in_namespace(item, namespace_of(path, spaces)) for item in found]
        except (model.TemplateError, ManifestError) as error:
            skipped.append((path, str(error)))
    return ReadObjects(tuple(items), tuple(findings), tuple(skipped))


def _in_namespace(item: KubernetesObject, namespace: str | None) -> KubernetesObject:
    if namespace is None or item.kind in _OF_NO_NAMESPACE:
        return item
    return replace(item, namespace=namespace)


def _of_world(world: World) -> Iterator[Finding]:
    yield from check_mounts(world)
    yield from check_bindings(world)
    yield from check_risks(world)


def _claim_to_json(binding: Binding) -> dict[str, Any]:
    claim = binding.claim
    line, _column = claim.item.place(claim.steps)
    namespace = {"namespace": claim.namespace} if claim.namespace else {}
    volume = {"volume": binding.volume.name} if binding.volume else {}
    if binding.either:
        volume = {"volume": " or ".join(one.name for one in binding.either)}
    return {
        "name": claim.name,
        **namespace,
        "path": claim.item.path,
        "line": line,
        "state": binding.state,
        **volume,
        "reason": binding.reason,
    }


def read_kustomizations(files: Mapping[str, bytes]) -> list[Kustomization]:
    """Read kustomizations; of one that cannot be read, what is wrong is not said here."""
    found = []
    for path, data in files.items():
        try:
            found.append(read_kustomization(parse_once(path, data)))
        except ManifestError:
            continue  # it names no patch and no namespace
    return found


def patch_paths(kustomizations: Iterable[Kustomization]) -> frozenset[str]:
    """Return the paths of the files that kustomizations use as patches."""
    return frozenset(
        patch.path for one in kustomizations for patch in one.patches if patch.path is not None
    )


def namespaces(kustomizations: Iterable[Kustomization]) -> dict[str, str]:
    """Return the namespaces that kustomizations give to what is in and below their folders."""
    return {one.folder: one.namespace for one in kustomizations if one.namespace}


def namespace_of(path: str, known: Mapping[str, str]) -> str | None:
    """Return the namespace that the nearest kustomization gives to a file; None if none does."""
    folder = path
    while folder not in ("", "/"):
        folder = posixpath.dirname(folder)
        if folder in known:
            return known[folder]
    return None
