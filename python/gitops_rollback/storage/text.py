"""Read a manifest for its storage: what is no YAML, and lines indented with tabs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.errors import ManifestError
from gitops_rollback.late import regex
from gitops_rollback.manifest.document import ParsedFile, parse_once
from gitops_rollback.storage.findings import ERROR, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

# What makes a file worth parsing; a misspelt kind has one of these words all the same.
_WORTH = regex(rb"persist|storage|volume|container|hostpath", re.IGNORECASE)
_TAB = regex(r"[ ]*\t\s*[^\s#]")
_TEMPLATE = regex(r"\{\{|\{%")
_BLOCK = ("|", ">")
_STOPS = "the file is no YAML: Flux stops (BuildFailed), and applies nothing of this folder"
_MOST_LINES = 8


class TemplateError(Exception):
    """Raised for a file that is a template and no manifest; its message says so."""


def may_hold_storage(data: bytes) -> bool:
    """Tell cheaply whether a file is worth parsing."""
    return _WORTH.search(data) is not None


def read(path: str, data: bytes) -> tuple[ParsedFile | None, tuple[Finding, ...]]:
    """Parse a file, or say what keeps it from being YAML; raises `TemplateError`."""
    try:
        file = parse_once(path, data)
    except ManifestError as error:
        text = data.decode(errors="replace")
        if _TEMPLATE.search(text):
            raise TemplateError(error.message) from error
        return None, (_unreadable(path, text, error),)
    _refuse_template(file)
    return file, tuple(_tabs_within(file))


def _unreadable(path: str, text: str, error: ManifestError) -> Finding:
    lines = _tabbed(text)
    line, column = error.line or 1, error.column or 1
    if lines and line in (lines[0] - 1, *lines):
        return _tab(path, text, lines)
    reason = error.message.partition(": ")[2] or error.message
    return Finding(
        ERROR,
        "yaml",
        path,
        line,
        column,
        f"the file is not readable as YAML: {reason}",
        effect=_STOPS,
        mend="mend this line, or the one above it: its indentation, a colon, a quote",
    )


def _tab(path: str, text: str, lines: list[int]) -> Finding:
    first = lines[0]
    further = ", ".join(map(str, lines[1:_MOST_LINES]))
    more = f" (also lines {further}{' …' if len(lines) > _MOST_LINES else ''})" if further else ""
    return Finding(
        ERROR,
        "tab",
        path,
        first,
        text.splitlines()[first - 1].index("\t") + 1,
        f"the line is indented with a tab{more}",
        effect=_STOPS,
        mend="indent with spaces, two for each level: YAML takes no tabs",
    )


def _tabbed(text: str) -> list[int]:
    return [n for n, line in enumerate(text.splitlines(), start=1) if _TAB.match(line)]


def _tabs_within(file: ParsedFile) -> Iterator[Finding]:
    """Find lines after a tab that YAML takes for the rest of the text above."""
    if not _tabbed(file.text):
        return
    for node in _nodes(file):
        raw = file.text[node.start_mark.index : node.end_mark.index]
        if not isinstance(node, yaml.ScalarNode) or node.style in _BLOCK or "\n" not in raw:
            continue
        lines = [number + node.start_mark.line for number in _tabbed(raw) if number > 1]
        if lines:
            yield _tab(file.path, file.text, lines)


def _nodes(file: ParsedFile) -> Iterator[yaml.Node]:
    """Yield every node of a file once, but keys."""
    waiting = [root for root in file.documents if root is not None]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            waiting.extend(value for _key, value in node.value)


def _refuse_template(file: ParsedFile) -> None:
    """Refuse what YAML reads as mappings and Helm as values: `name: {{ .Values.name }}`."""
    if "{{" not in file.text:
        return
    for node in _nodes(file):
        is_scalar = isinstance(node, yaml.ScalarNode)
        if not is_scalar and file.text.startswith("{{", node.start_mark.index):
            raise TemplateError(f"{file.path}:{node.start_mark.line + 1} is a Helm template")
