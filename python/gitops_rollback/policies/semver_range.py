"""Version ranges as Flux reads them, with Masterminds/semver: does one take a version? Pure.

Grammar and meaning: github.com/Masterminds/semver, `constraints.go` (v3.2 to v3.5), and
github.com/fluxcd/pkg, `version/version.go`: a tag has a leading `v` or not, zeros before its three
numbers or not, and two dots somewhere. No Python library reads ranges in this way (a comma,
`=>`, pre-releases); versions and their order are the `semver` library's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops_rollback.late import dataclass, regex

if TYPE_CHECKING:
    from collections.abc import Callable

    from semver import Version

_ANY = ("x", "X", "*")
_VERSION = (
    r"v?([0-9|xX*]+)(\.[0-9|xX*]+)?(\.[0-9|xX*]+)?"
    r"(-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_FLAGS = re.ASCII
_ONE = regex(rf"\s*(=>|=<|>=|<=|!=|~>|[=><~^]|)\s*{_VERSION}", _FLAGS)
_BETWEEN = regex(r"\s*,\s*|\s+", _FLAGS)
_HYPHEN = regex(rf"\s*({_VERSION})\s+-\s+({_VERSION})\s*", _FLAGS)
_LOOSE = regex(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?([-+].*)?", _FLAGS)
_LONGEST = 256  # characters of a version (Masterminds/semver, MaxVersionLen)
_LARGEST = 1_000  # characters of a range
_NUMBERS_END = 2**64  # no number of a version is as large


class UnreadableRangeError(ValueError):
    """Raised for a text that Flux would not take as a range either."""


@dataclass(frozen=True)
class _Condition:
    """One comparison; `given` tells how many of the version's three numbers were named."""

    operator: str
    version: Version
    given: int


def takes_version(range_: str, tag: str) -> bool | None:
    """Tell whether a range takes a tag; None where releases of Flux disagree.

    A tag that is no version is never taken. Raises `UnreadableRangeError` if the range is none.
    """
    groups = [_group(part) for part in _without_hyphens(range_).split("||")]
    version = version_of(tag)
    if version is None:
        return False
    verdicts = [_group_takes(group, version) for group in groups]
    if True in verdicts:
        return True
    return None if None in verdicts else False


def version_of(tag: str) -> Version | None:
    """Return a tag as a version, None if Flux passes it over.

    Two dots are wanted, wherever they stand: `1.2-rc.1` is 1.2.0-rc.1, `1.2` is none.
    """
    return _version(tag) if tag.count(".") > 1 else None


def _version(text: str) -> Version | None:
    """Read a version loosely, as `NewVersion` does; its numbers may be padded (`2026.01.15`)."""
    from semver import Version  # noqa: PLC0415 - only where a policy goes by versions

    loose = _LOOSE.fullmatch(text) if len(text) <= _LONGEST else None
    if loose is None:
        return None
    *written, rest = loose.groups(default="")
    numbers = [int(number or 0) for number in written]
    if max(numbers) >= _NUMBERS_END:
        return None
    try:
        return Version.parse(".".join(map(str, numbers)) + rest)
    except ValueError:
        return None


def _group_takes(group: list[_Condition], version: Version) -> bool | None:
    """Tell whether all conditions of a group hold.

    A pre-release is taken only where the conditions name one: one of them (v3.4 and later), or
    each (before, but for `!=` of a whole version).
    """
    fits = all(_CHECKS[condition.operator](version, condition) for condition in group)
    if not fits or not version.prerelease:
        return fits
    naming = [condition for condition in group if condition.version.prerelease]
    exempt = [c for c in group if c.operator == "!=" and c.given == 3]  # noqa: PLR2004
    newer = bool(naming)
    older = all(c in naming or c in exempt for c in group)
    return newer if newer == older else None


def _without_hyphens(range_: str) -> str:
    if len(range_) > _LARGEST:
        raise UnreadableRangeError(f"a range of {len(range_)} characters")
    text = range_
    for match in _HYPHEN.finditer(range_):
        text = text.replace(match[0], f">= {match[1]}, <= {match[6]} ", 1)
    return text


def _group(text: str) -> list[_Condition]:
    """Read conditions that all have to hold, with blanks or commas between them."""
    conditions = []
    position = 0
    while True:
        match = _ONE.match(text, position)
        if match is None:
            raise UnreadableRangeError(f"'{text}' is no range")
        conditions.append(_condition(match, text))
        rest = text[match.end() :]
        if not rest.strip():
            return conditions
        between = _BETWEEN.match(text, match.end())
        if between is None:
            raise UnreadableRangeError(f"'{text}' is no range")
        position = between.end()


def _condition(match: re.Match[str], text: str) -> _Condition:
    operator, *numbers, suffix = match.groups()
    names = [(number or "x").lstrip(".") for number in numbers]
    given = next((index for index, name in enumerate(names) if name in _ANY), 3)
    known = names[:given] + ["0"] * (3 - given)
    version = _version(".".join(known) + (suffix or ""))
    if version is None:
        raise UnreadableRangeError(f"'{text}' is no range")
    return _Condition(operator, version, given)


def _compare(version: Version, condition: _Condition) -> int:
    return version.compare(condition.version)


def _has_same(version: Version, condition: _Condition) -> bool:
    """Tell whether the first two numbers of both are the same, as far as they were named."""
    wanted = min(2, condition.given)
    return version.to_tuple()[:wanted] == condition.version.to_tuple()[:wanted]


def _equals(version: Version, condition: _Condition) -> bool:
    if condition.given < 3:  # noqa: PLR2004 - of three numbers
        return _within_tilde(version, condition)
    return _compare(version, condition) == 0


def _differs(version: Version, condition: _Condition) -> bool:
    if condition.given in (0, 3):  # `!=x` is `!=0.0.0`
        return _compare(version, condition) != 0
    if not _has_same(version, condition):
        return True
    # `!=1.2` leaves out 1.2.*, but of `!=1.2-rc` only what has that pre-release.
    return condition.given == 2 and version.prerelease != condition.version.prerelease  # noqa: PLR2004


def _exceeds(version: Version, condition: _Condition) -> bool:
    if condition.given in (1, 2):
        wanted = condition.given
        return version.to_tuple()[:wanted] > condition.version.to_tuple()[:wanted]
    return _compare(version, condition) > 0


def _is_at_most(version: Version, condition: _Condition) -> bool:
    if condition.given == 3:  # noqa: PLR2004
        return _compare(version, condition) <= 0
    wanted = condition.given or 2
    return version.to_tuple()[:wanted] <= condition.version.to_tuple()[:wanted]


def _within_tilde(version: Version, condition: _Condition) -> bool:
    if _compare(version, condition) < 0:
        return False
    is_zero = condition.version.to_tuple()[:3] == (0, 0, 0)
    if is_zero and condition.given in (0, 3):
        return True
    return _has_same(version, condition)


def _within_caret(version: Version, condition: _Condition) -> bool:
    """Tell whether the first number that is not zero is the same, and none is smaller."""
    if _compare(version, condition) < 0:
        return False
    wanted = condition.version
    if wanted.major > 0 or condition.given == 1:
        return version.major == wanted.major
    if wanted.minor > 0 or condition.given == 2:  # noqa: PLR2004
        return (version.major, version.minor) == (0, wanted.minor)
    return version.to_tuple()[:3] == wanted.to_tuple()[:3]


_CHECKS: dict[str, Callable[[Version, _Condition], bool]] = {
    "": _equals,
    "=": _equals,
    "!=": _differs,
    ">": _exceeds,
    "<": lambda version, condition: _compare(version, condition) < 0,
    ">=": lambda version, condition: _compare(version, condition) >= 0,
    "=>": lambda version, condition: _compare(version, condition) >= 0,
    "<=": _is_at_most,
    "=<": _is_at_most,
    "~": _within_tilde,
    "~>": _within_tilde,
    "^": _within_caret,
}
