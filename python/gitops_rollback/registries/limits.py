"""How near a host's limits are, as its answers tell. Pure.

Docker Hub's API sends `X-RateLimit-Limit` and `-Remaining`, its registry `ratelimit-limit:
100;w=21600` and `ratelimit-remaining` with the answer to a manifest (docs.docker.com, "Usage and
limits"). Others follow the draft of the IETF with the same names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = re.compile(r"\s*(\d{1,9})\b")
_PAIRS = (
    ("X-RateLimit-Limit", "X-RateLimit-Remaining"),
    ("ratelimit-limit", "ratelimit-remaining"),
)
_NEAR = 10  # a tenth


@dataclass(frozen=True)
class RateLimit:
    """How many requests a host still answers, and of how many."""

    host: str
    remaining: int
    limit: int

    @property
    def is_near(self) -> bool:
        """Whether less than a tenth is left."""
        return self.remaining * _NEAR < self.limit

    def __str__(self) -> str:
        return f"{self.host} allows {self.remaining} more requests of {self.limit}"


def read_limit(host: str, headers: Mapping[str, str]) -> RateLimit | None:
    """Return the limit that an answer's headers tell, if they do."""
    for limit_name, remaining_name in _PAIRS:
        limit = _NUMBER.match(headers.get(limit_name, ""))
        remaining = _NUMBER.match(headers.get(remaining_name, ""))
        if limit and remaining:
            return RateLimit(host, int(remaining[1]), int(limit[1]))
    return None
