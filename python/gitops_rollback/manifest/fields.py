"""Find the image fields of a manifest: every place in it that names an image."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_rollback.manifest.document import lookup, paths_to_nodes, text_of
from gitops_rollback.manifest.flux import kustomization_entries, release_entries, release_fields
from gitops_rollback.manifest.helm import ValuesPlace, is_values_file, values_fields
from gitops_rollback.manifest.kustomize import entries_of, is_kustomization
from gitops_rollback.manifest.objects import objects_of
from gitops_rollback.manifest.scalars import refuse_template_file
from gitops_rollback.manifest.workloads import workload_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField

SHARED_PROBLEM = "other parts of the file share this text through an alias"


def find_fields(
    file: ParsedFile, further_kinds: Mapping[str, str] | None = None
) -> tuple[ImageField, ...]:
    """Return the image fields of a file in its order.

    `further_kinds` maps a kind to the JSON pointer of its pod specification. Raises
    `ManifestError` where a key stands twice on the way to a field, and for Helm templates.
    """
    refuse_template_file(file)
    if is_kustomization(file.path):
        found = [entry.field for entry in entries_of(file)]
    else:
        found = [*_of_objects(file, further_kinds or {}), *_of_values(file)]
    return tuple(_told_apart(_with_users(file, found)))


def _of_objects(file: ParsedFile, further_kinds: Mapping[str, str]) -> Iterator[ImageField]:
    for item in objects_of(file):
        yield from workload_fields(item, further_kinds)
        yield from release_fields(item)
        yield from (e.field for e in (*kustomization_entries(item), *release_entries(item)))


def _of_values(file: ParsedFile) -> Iterator[ImageField]:
    if not is_values_file(file.path):
        return
    name = file.path.rpartition("/")[2].partition(".")[0]
    for number, root in enumerate(file.documents):
        if text_of(lookup(root, "kind")) and text_of(lookup(root, "apiVersion")):
            continue
        place = ValuesPlace(file, number, "Values", name, frozenset())
        yield from values_fields(place, root, "")


def _with_users(file: ParsedFile, found: list[ImageField]) -> list[ImageField]:
    """Say of each field how often its text is part of the document, and whether that is known."""
    if "*" not in file.text:
        return found
    counts = {number: paths_to_nodes(root) for number, root in enumerate(file.documents)}
    fields = Counter(id(field.scalar.node) for field in found)
    out = []
    for field in found:
        nodes = [part.scalar.node for part in field.parts]
        users = max(counts[field.document].get(id(node), 1) for node in nodes)
        alone = users <= fields[id(field.scalar.node)]
        problem = field.problem if alone or field.reported_only else SHARED_PROBLEM
        out.append(replace(field, users=users, problem=problem))
    return out


def _told_apart(fields: list[ImageField]) -> Iterator[ImageField]:
    """Give numbers to fields that path, kind, name and container do not tell apart."""
    seen: Counter[tuple[str, str, str, str]] = Counter()
    for field in fields:
        seen[field.recorded_key] += 1
        number = seen[field.recorded_key]
        yield field if number == 1 else replace(field, container=f"{field.container}#{number}")
