"""What the commits of the manifests repository tell of a service: bounded, newest first.

This tool's trailers count where they name the image that the commit left in the manifest; else it
is an edit by its author: by a person, another tool, a merge or a revert.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.document import parse
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.image_field import KUSTOMIZE, SUBSTITUTION
from gitops_rollback.timeline.events import HistoryEntry
from gitops_rollback.timeline.message import read_trailers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gitops_rollback.facts.snapshot import ServiceAtTip
    from gitops_rollback.image import ImageReference
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.repo.objects import PathChange
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.timeline.message import Summary

# How many commits are looked at: few first, for each of them costs the server.
DEPTHS = (50, 1000)


def walk(
    repository: Repository,
    at: ServiceAtTip,
    is_enough: Callable[[Sequence[HistoryEntry]], bool],
) -> tuple[HistoryEntry, ...]:
    """Walk back until there is enough, at most `DEPTHS[-1]` commits of the branch.

    The first of the service's files stands for all: one commit changes them together.
    """
    entries: tuple[HistoryEntry, ...] = ()
    for depth in DEPTHS:
        changes = repository.history(at.tip, at.found.fields[0].path, depth)
        blobs = repository.read(change.oid for change in changes)
        read = (_entry(change, blobs[change.oid], at) for change in changes)
        entries = tuple(entry for entry in read if entry is not None)
        if is_enough(entries):
            break
    return entries


def _entry(change: PathChange, data: bytes, at: ServiceAtTip) -> HistoryEntry | None:
    image = _image_in(at.found.fields[0].path, data, at)
    if image is None:
        return None
    told = read_trailers(change.message, at.service, at.environment)
    told = told if told is not None and _fits(told, image) else None
    return HistoryEntry(change.commit, change.at, change.by, image, told, change.is_oldest)


def _fits(told: Summary, image: ImageReference) -> bool:
    return told.to.may_be(image) and told.from_image.full_repository == image.full_repository


def _image_in(path: str, data: bytes, at: ServiceAtTip) -> ImageReference | None:
    """Return the service's image in an earlier version of its first file, if it has one."""
    wanted = at.found.fields[0]
    try:
        fields = _fields_in(path, data, at)
    except ManifestError:
        return None  # a version that nobody could deploy is no deployment
    for candidate in fields:
        image = candidate.image
        same_place = candidate.key == wanted.key
        if same_place and image and image.full_repository == at.found.image.full_repository:
            return image
    return None


def _fields_in(path: str, data: bytes, at: ServiceAtTip) -> Iterable[ImageField]:
    """Return the fields of an earlier version, named as overlays name the present one."""
    file, found, wanted = parse(path, data), at.found, at.found.fields[0]
    if wanted.form == SUBSTITUTION:  # only the manifest that uses the variable makes it an image
        earlier = found.manifests.with_files({path: file})
        return earlier.effective(found.settings.kinds, found.environment).live
    fields = find_fields(file, found.settings.kinds)
    if wanted.shown_name is None or wanted.form == KUSTOMIZE:
        return fields
    return tuple(replace(field, shown_name=wanted.shown_name) for field in fields)
