"""Find the image fields of a manifest: every place in it that names an image.

Those of JSON patches (RFC 6902) are what operations write to places of images.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.late import regex, replace
from gitops_rollback.manifest.argo import application_fields, override_fields
from gitops_rollback.manifest.document import (
    count_fields,
    items_of,
    lookup,
    paths_to_nodes,
    text_of,
    walk,
    way_to,
)
from gitops_rollback.manifest.flux import (
    inline_patches,
    kustomization_entries,
    release_entries,
    release_fields,
)
from gitops_rollback.manifest.helm import NO_NAME, is_values_file, values_fields
from gitops_rollback.manifest.image_field import (
    DIGEST,
    EDITABLE,
    PATCH,
    REFERENCE,
    TAG,
    VARIABLE_PROBLEM,
    Part,
    Place,
    Problem,
)
from gitops_rollback.manifest.kustomize import entries_of, is_kustomization, patch_texts, read_entry
from gitops_rollback.manifest.objects import objects_of, workload_fields
from gitops_rollback.manifest.scalars import (
    fields_in,
    read_scalar,
    reference_problem,
    refuse_duplicate_keys,
    refuse_template_file,
    spelling_problem,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField

SHARED_PROBLEM = Problem("other parts of the file share this text through an alias")


def find_fields(
    file: ParsedFile,
    further_kinds: Mapping[str, str] | None = None,
    pointers: tuple[str, ...] = (),
) -> tuple[ImageField, ...]:
    """Return the image fields of a file in its order, looked for once.

    `further_kinds` maps a kind to the JSON pointer of its pod specification, `pointers` lead to
    images in any object. Raises `ManifestError` where a key stands twice on the way to a field,
    and for Helm templates.
    """
    key = (pointers, *sorted((further_kinds or {}).items()))
    if key not in file.found:
        file.found[key] = _found(file, further_kinds or {}, pointers)
    return file.found[key]


def _found(
    file: ParsedFile, further_kinds: Mapping[str, str], pointers: tuple[str, ...]
) -> tuple[ImageField, ...]:
    refuse_template_file(file)
    if is_kustomization(file.path) and file.host is None:
        found = [entry.field for entry in entries_of(file)]
        found += _of_blocks(file, patch_texts(file))
        refuse_duplicate_keys(file.path, _mappings(file) if found else ())
    else:
        found = [
            *_of_objects(file, further_kinds, pointers),
            *_of_values(file),
            *override_fields(file),
            *_of_json_patches(file),
        ]
        for field in found:
            refuse_duplicate_keys(file.path, way_to(file.documents[field.document], field.pointer))
    count_fields(file, len(found))
    sealed = {n: why for n, root in enumerate(file.documents) if (why := sealed_by(root))}
    found = [
        replace(one, problem=sealed[one.document]) if one.document in sealed else one
        for one in found
    ]
    return tuple(_told_apart(_with_users(file, found)))


def sealed_by(root: yaml.Node | None) -> Problem:
    """Say what seals a document against any edit: a signature of SOPS; empty where nothing does.

    With `mac_only_encrypted` SOPS signs what is encrypted and nothing else.
    """
    sops = lookup(root, "sops")
    if text_of(lookup(sops, "mac")) is None:
        return EDITABLE
    if text_of(lookup(sops, "mac_only_encrypted")) == "true":
        return EDITABLE
    return Problem(
        "SOPS signs the whole file (its MAC covers every value): after an edit `sops --decrypt` "
        "fails;",
        "edit it with sops, or move the image to a file that is not encrypted",
    )


def _of_objects(
    file: ParsedFile, further_kinds: Mapping[str, str], pointers: tuple[str, ...]
) -> Iterator[ImageField]:
    for item in objects_of(file):
        yield from workload_fields(item, further_kinds, pointers)
        yield from release_fields(item)
        yield from (e.field for e in (*kustomization_entries(item), *release_entries(item)))
        yield from application_fields(item)
        yield from _of_blocks(file, inline_patches(item))
        if item.kind == "ImageTagTransformer":
            entry = read_entry(item.place.below("/imageTag"), item.find("imageTag"))
            yield from [entry.field] if entry is not None else []


def _of_blocks(file: ParsedFile, texts: Iterable[yaml.ScalarNode]) -> Iterator[ImageField]:
    """Yield the fields of texts within a file that are YAML themselves, and can be edited there."""
    for text in texts:
        yield from fields_in(file, text, find_fields)


def _of_values(file: ParsedFile) -> Iterator[ImageField]:
    """Yield the fields of Helm values: of any file that is none of Kubernetes' objects.

    Where its name does not say that it holds values, only a name with its tag beside it is taken.
    """
    name = file.path.rpartition("/")[2].partition(".")[0]
    is_sure = is_values_file(file.path)
    for number, root in enumerate(file.trees):
        if text_of(lookup(root, "kind")) and (text_of(lookup(root, "apiVersion")) or not is_sure):
            continue
        if isinstance(root, yaml.MappingNode):
            place = Place(file, number, "Values", name)
            yield from values_fields(place, root, only_split=not is_sure)


def _of_json_patches(file: ParsedFile) -> Iterator[ImageField]:
    """Yield what the operations of JSON patches write to places of images."""
    for number, root in enumerate(file.documents):
        for index, item in enumerate(items_of(root)):
            path = text_of(lookup(item, "path"))
            if path is None or text_of(lookup(item, "op")) not in ("add", "replace"):
                continue
            place = Place(file, number, "Patch", "patch", f"/{index}/value")
            yield from patch_fields(place, path, lookup(item, "value"))


def _mappings(file: ParsedFile) -> Iterator[yaml.Node]:
    """Yield every mapping of a file: kustomize and Flux read none of it if a key stands twice."""
    for root in file.documents:
        yield from walk(root)


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


_IMAGE = regex(r"/(image|reference|[A-Za-z]*Image)$")
_ITEM = regex(r"/(initC|c)ontainers/(-|[0-9]+)$")
_VALUE = regex(r"^/spec/values/(?P<keys>.*)$")


def patch_fields(place: Place, target: str, value: yaml.Node | None) -> Iterator[ImageField]:
    """Yield the image fields of an operation's value, which is written to a place, `target`."""
    values = _VALUE.match(target)
    if isinstance(value, yaml.ScalarNode):
        if values and target.rpartition("/")[2] in ("tag", "imageTag", "image_tag"):
            yield _part(place, target, value, TAG)
        elif values and target.endswith("/digest"):
            yield _part(place, target, value, DIGEST)
        elif _IMAGE.search(target) and not _is_switch(value):
            yield _part(place, target, value, REFERENCE)
    elif values is not None and value is not None:
        key = values["keys"].rpartition("/")[2]
        above = place.pointer.rpartition("/")[0]
        for field in values_fields(replace(place, pointer=above), _below(value, key)):
            inner = field.pointer.removeprefix(above).removeprefix(f"/{key}")
            yield replace(field, form=PATCH, pointer=place.pointer + inner)
    elif _ITEM.search(target):
        image = lookup(value, "image")
        if isinstance(image, yaml.ScalarNode):
            name = text_of(lookup(value, "name")) or target
            field = _part(place.below("/image"), target, image, REFERENCE)
            yield replace(field, container=name)


def _below(value: yaml.Node, key: str) -> yaml.Node:
    """Return a mapping with the value under the key that it gets."""
    name = yaml.ScalarNode("tag:yaml.org,2002:str", key, value.start_mark, value.start_mark)
    return yaml.MappingNode(
        "tag:yaml.org,2002:map", [(name, value)], value.start_mark, value.end_mark
    )


def _is_switch(value: yaml.ScalarNode) -> bool:
    return ":" not in value.value and "/" not in value.value and "$" not in value.value


def _part(place: Place, target: str, node: yaml.ScalarNode, role: str) -> ImageField:
    scalar = read_scalar(place.file, node)
    problem = reference_problem(scalar)
    if role != REFERENCE:
        is_variable = VARIABLE_PROBLEM if "${" in scalar.value else EDITABLE
        problem = spelling_problem(scalar) or is_variable or NO_NAME
    return place.field(target, (Part(role, "value", scalar),), PATCH, problem)
