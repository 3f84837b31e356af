"""What a chart in the repository makes of a value beyond the image. Pure.

Templates are not rendered: they are looked through for labels that a tag is written into.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops_rollback.late import regex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KEY = regex(r"^(?P<indent>[ \t-]*)(?P<key>[\w./-]+):")
_LABELS = frozenset({"labels", "matchLabels", "selector", "commonLabels"})


def label_with(raw: Mapping[str, bytes], folder: str, container: str) -> str:
    """Return the place in a chart's templates where an image's tag is a label; empty for none.

    `container` are the keys of the image in the values: `image`, `web.image`.
    """
    prefix = f"{folder}/templates/".removeprefix("/")
    value = re.compile(rf"\.Values\.{re.escape(container)}\.(?:tag|imageTag)\b")
    for path, data in raw.items():
        if path.startswith(prefix):
            for line in _labels_with(data.decode(errors="replace"), value):
                return f"{path}:{line}"
    return ""


def _labels_with(text: str, value: re.Pattern[str]) -> Iterator[int]:
    """Yield the lines, counted from 1, in which a label has a value."""
    above: list[tuple[int, str]] = []  # indentation and key of what a line stands in
    for number, line in enumerate(text.splitlines(), start=1):
        match = _KEY.match(line)
        if match is None:
            continue
        indent = len(match["indent"])
        while above and above[-1][0] >= indent:
            above.pop()
        if value.search(line) and any(key in _LABELS for _indent, key in above):
            yield number
        above.append((indent, match["key"]))
