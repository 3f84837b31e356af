"""The small values that records, state files, plans and results share, and their JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from gitops_rollback.image import ImageReference, parse_image

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Build:
    """A Jenkins build: the job's full name, the number, and the URL if it is known."""

    job: str
    number: int
    url: str | None = None

    def __str__(self) -> str:
        return f"{self.job} #{self.number}"

    def to_json(self) -> dict[str, Any]:
        """Return the build as it stands in records and results."""
        return without_none({"job": self.job, "number": self.number, "url": self.url})


@dataclass(frozen=True)
class Request:
    """Which services are meant; those of `names` that have to be sets are in `sets` too.

    `allowed` are the only services and sets that may be meant; empty if any may. With
    `everything` all services of the environment are meant, of those that may. `without_states`
    leaves state files unread, for they are to be rebuilt.
    """

    names: tuple[str, ...]
    environment: str | None
    branch: str | None
    sets: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    everything: bool = False
    without_states: bool = False


def build_from_json(value: dict[str, Any] | None) -> Build | None:
    """Return the build of a checked document, if it has one."""
    return Build(value["job"], int(value["number"]), value.get("url")) if value else None


def image_from_json(text: str | None) -> ImageReference | None:
    """Return an image of a checked document; raise `InvalidImageError` if it is malformed."""
    return parse_image(text) if text is not None else None


def without_none(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping without its None values: absent in JSON, never null."""
    return {key: value for key, value in mapping.items() if value is not None}


def is_name(text: str) -> bool:
    """Tell whether a text can name a service, an environment or a set."""
    return _NAME.fullmatch(text) is not None and ".." not in text


def is_safe_path(path: str) -> bool:
    """Tell whether a path from outside stays inside the repository and out of `.git`."""
    parts = path.split("/")
    return (
        not path.startswith("/")
        and "\\" not in path
        and all(character.isprintable() for character in path)
        and all(part not in ("", ".", "..") and part.lower() != ".git" for part in parts)
    )


def one_line(text: str, longest: int = 500) -> str:
    """Return a text from outside as one line without control characters, cut to a length."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    short = " ".join(printable.split())
    return short if len(short) <= longest else short[: longest - 1] + "…"
