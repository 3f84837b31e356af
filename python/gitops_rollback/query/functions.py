"""What queries can call beside JMESPath's own functions: patterns, ranges and order of versions.

They read patterns and ranges as the image policies of Flux do, so that a query can say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jmespath.functions import Functions, signature

from gitops_rollback.policies import apply_filter, takes_version, version_of

if TYPE_CHECKING:
    from semver import Version


class QueryFunctions(Functions):  # type: ignore[misc]
    """`matches(name, pattern)`, `in_range(name, range)` and `by_version(tags)`."""

    @signature({"types": ["string"]}, {"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_matches(self, name: str, pattern: str) -> bool:
        """Tell whether a regular expression is found in a name."""
        return apply_filter(pattern, "", name) is not None

    @signature({"types": ["string"]}, {"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_in_range(self, name: str, range_: str) -> bool:
        """Tell whether a name is a semantic version in a range such as `>=1.4 <2` or `~1.4`."""
        return takes_version(range_, name) is True

    @signature({"types": ["array"]})  # type: ignore[untyped-decorator]
    def _func_by_version(self, items: list[Any]) -> list[Any]:
        """Return the tags or names that are semantic versions, the highest first."""
        versions = [(_version(item), item) for item in items]
        known = [(version, item) for version, item in versions if version is not None]
        return [item for _, item in sorted(known, key=lambda pair: pair[0], reverse=True)]


def _version(item: object) -> Version | None:
    name = item.get("name") if isinstance(item, dict) else item
    return version_of(name) if isinstance(name, str) else None
