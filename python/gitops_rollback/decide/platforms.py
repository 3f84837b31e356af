"""Whether an image can take another one's place on the platforms that one is there for. Pure.

A platform is `os/architecture[/variant][@os.version]`. What runs where: github.com/containerd/
platforms (compare.go: arm, amd64) and learn.microsoft.com, "Windows container version
compatibility": a container of process isolation needs the build of its host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.late import regex

if TYPE_CHECKING:
    from collections.abc import Iterable

_BUILD = regex(r"\d+\.\d+\.\d+")
# Without a variant these are what all builders mean by it.
_DEFAULTS = {"arm": 7, "arm64": 8, "amd64": 1}
_VARIANT = regex(r"v(\d{1,9})(?:\.(\d{1,9}))?")


def lacking(candidate: Iterable[str], running: Iterable[str]) -> tuple[str, ...]:
    """Return the platforms of the running image for which a candidate cannot run.

    A lower variant serves: a node for arm/v7 runs arm/v6, one for amd64/v3 runs amd64. What a
    candidate does not say, such as Windows' version, does not count against it.
    """
    offered = [_parts(platform) for platform in candidate]
    return tuple(
        platform
        for platform in sorted(running)
        if not any(_serves(one, _parts(platform)) for one in offered)
    )


def _parts(platform: str) -> tuple[str, str, str, str]:
    name, _, version = platform.partition("@")
    system, architecture, variant = (*name.split("/"), "", "")[:3]
    return system, architecture, variant, version


def _serves(offered: tuple[str, str, str, str], wanted: tuple[str, str, str, str]) -> bool:
    if offered[:2] != wanted[:2]:
        return False
    return _is_lower_variant(offered[1], offered[2], wanted[2]) and _is_same_build(
        offered[3], wanted[3]
    )


def _is_lower_variant(architecture: str, offered: str, wanted: str) -> bool:
    if offered == wanted:
        return True
    default = _DEFAULTS.get(architecture)
    if default is None:
        return False
    one, other = _level(offered, default), _level(wanted, default)
    return one is not None and other is not None and one <= other


def _level(variant: str, default: int) -> tuple[int, int] | None:
    if not variant:
        return default, 0
    found = _VARIANT.fullmatch(variant)
    return (int(found[1]), int(found[2] or 0)) if found else None


def _is_same_build(offered: str, wanted: str) -> bool:
    one, other = _BUILD.match(offered), _BUILD.match(wanted)
    return one is None or other is None or one[0] == other[0]
