"""What a label selector wants. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def selects(selector: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    """Tell whether a selector wants what has these labels; an empty one wants everything."""
    wanted = selector.get("matchLabels")
    for key, value in wanted.items() if isinstance(wanted, dict) else ():
        if labels.get(key) != str(value):
            return False
    expressions = selector.get("matchExpressions")
    return all(
        _fits(expression, labels)
        for expression in (expressions if isinstance(expressions, list) else ())
        if isinstance(expression, dict)
    )


def _fits(expression: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    key, operator = str(expression.get("key")), expression.get("operator")
    given = expression.get("values")
    values = [str(value) for value in given] if isinstance(given, list) else []
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False
