"""Quantities as Kubernetes writes them: `10Gi`, `500M`, `1e3`, `0.5`."""

from __future__ import annotations

from fractions import Fraction

from gitops_rollback.late import regex

# k8s.io/apimachinery/pkg/api/resource/quantity.go: sign, digits, then a suffix or an exponent.
_QUANTITY = regex(
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE]\+?\d+)?"
)
_BINARY = "KMGTPE"
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_LONGEST = 64


def parse_quantity(value: object) -> Fraction | None:
    """Return a quantity in its base unit (bytes, for storage); None if it is malformed."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value)
    match = _QUANTITY.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    number, suffix = Fraction(match[1]), match[2] or ""
    if suffix.endswith("i"):
        return number * Fraction(1024 ** (_BINARY.index(suffix[0]) + 1))
    power = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:] or 0)
    if power > _LONGEST:
        return None
    return number * Fraction(10**power) if power >= 0 else number / Fraction(10**-power)
