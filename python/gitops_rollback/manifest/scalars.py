"""Scalars of a file with their place, their raw text and the marker behind them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from gitops_rollback.errors import ManifestError
from gitops_rollback.image import InvalidImageError, parse_image
from gitops_rollback.late import regex
from gitops_rollback.manifest.document import HELM_HINT, duplicate_key
from gitops_rollback.manifest.image_field import EDITABLE, VARIABLE_PROBLEM, Problem, Scalar
from gitops_rollback.manifest.markers import find_marker, find_marker_above

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.manifest.blocks import Host
    from gitops_rollback.manifest.document import ParsedFile

_LINE_BREAK = regex("\r\n|[\r\n\x85\u2028\u2029]")  # as YAML 1.1 has them
_NODE_PROPERTIES = regex(r"(?:[&!]\S*\s+)*")


def read_scalar(file: ParsedFile, node: yaml.ScalarNode) -> Scalar:
    """Return a scalar node with its place; anchors and tags before it are no part of it."""
    start, end = node.start_mark.index, node.end_mark.index
    properties = _NODE_PROPERTIES.match(file.text, start, end)
    skipped = properties[0] if properties else ""
    *above, last = _LINE_BREAK.split(skipped)
    if file.host is not None:
        return _in_block(file, node, file.host, start + len(skipped))
    return Scalar(
        value=str(node.value),
        line=node.start_mark.line + 1 + len(above),
        column=len(last) + 1 + (0 if above else node.start_mark.column),
        start=start + len(skipped),
        end=end,
        raw=file.text[start + len(skipped) : end],
        marker=find_marker(file.text, end) or find_marker_above(file.text, start),
        node=node,
    )


def _in_block(file: ParsedFile, node: yaml.ScalarNode, host: Host, start: int) -> Scalar:
    """Return a scalar of a text within a file: its place is that in the file.

    A comment behind it is a part of the text, which is no marker to Flux.
    """
    end = node.end_mark.index
    run = host.run_at(start)
    return Scalar(
        value=str(node.value),
        line=run.line,
        column=run.column + start - run.inner,
        start=host.outer(start),
        end=host.outer_end(end) if end > start else host.outer(start),
        raw=file.text[start:end],
        marker=None,
        node=node,
        block=file,
    )


def spelling_problem(scalar: Scalar) -> Problem:
    """Return why the characters of a scalar cannot be replaced one for one; empty if they can."""
    raw = scalar.raw
    style = scalar.node.style
    if style in ("|", ">") or "\n" in raw or "\r" in raw:
        return Problem("the value spans several lines")
    inside = raw[1:-1] if style else raw
    if inside != scalar.value:
        return Problem("the value is written with escapes")
    return EDITABLE


def reference_problem(scalar: Scalar) -> Problem:
    """Return why a scalar is no image reference that can be edited; empty if it is one."""
    problem = spelling_problem(scalar)
    if problem:
        return problem
    if scalar.is_null:
        return Problem("the value is empty")
    if "${" in scalar.value:
        return VARIABLE_PROBLEM
    try:
        parse_image(scalar.value)
    except InvalidImageError as error:
        return Problem(str(error))
    return EDITABLE


def refuse_duplicate_keys(path: str, nodes: Iterable[yaml.Node]) -> None:
    """Raise `ManifestError` with the place of a key that stands twice in one of the nodes."""
    for node in nodes:
        key = duplicate_key(node)
        if key is not None:
            mark = key.start_mark
            first = next(one for one, _value in node.value if one.value == key.value)
            raise ManifestError(
                f"{path}:{mark.line + 1}:{mark.column + 1}: the key '{key.value}' stands twice "
                f"(first in line {first.start_mark.line + 1})",
                "remove one of them: which one counts differs between tools",
            )


def refuse_template(file: ParsedFile, image: yaml.Node) -> None:
    """Refuse a file whose image is `{{ … }}`: to YAML a mapping, to Helm a value."""
    mark = image.start_mark
    is_text = isinstance(image, yaml.ScalarNode)
    has_braces = "{{" in image.value if is_text else file.text.startswith("{{", mark.index)
    if not has_braces:
        return
    raise ManifestError(
        f"{file.path}:{mark.line + 1}:{mark.column + 1} is a Helm template (image: {{{{ … }}}})",
        HELM_HINT,
    )


def refuse_template_file(file: ParsedFile) -> None:
    """Refuse a file in which some value is `{{ … }}`: to YAML a mapping whose key is a mapping.

    No Kubernetes object has that, so nothing can apply the file as it stands.
    """
    for node in file.nodes if "{{" in file.text else ():
        entries = node.value if isinstance(node, yaml.MappingNode) else ()
        if any(isinstance(key, yaml.MappingNode) for key, _value in entries):
            mark = node.start_mark
            place = f"{file.path}:{mark.line + 1}:{mark.column + 1}"
            raise ManifestError(f"{place} is a Helm template ({{{{ … }}}})", HELM_HINT)
