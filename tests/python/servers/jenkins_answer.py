"""Requests as they reach the Jenkins stand-in, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

PAGE = b"<!DOCTYPE html><html><body>%b</body></html>"


@dataclass(frozen=True)
class Answer:
    """What the server says; `length` overrides the length it announces."""

    status: int
    body: bytes = b""
    type: str = "text/html;charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None
    delay: float = 0.0
    drip: float = 0.0  # seconds after each byte
    hangs_up: bool = False
    is_from_jenkins: bool = True


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    method: str
    path: str
    headers: Message
    body: bytes = b""


def missing() -> Answer:
    """Return what Jenkins says of what is not there."""
    return Answer(404, PAGE % b"Not Found")
