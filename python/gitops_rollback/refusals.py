"""What stands in the way of a change. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """What stands in the way of a change, and how to accept it."""

    code: str
    message: str
    hint: str
