"""Credentials, each bound to the scheme, host and port it is for: asked for by address alone."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Protocol

from gitops_rollback.late import dataclass, field
from gitops_rollback.web.hosts import belongs_to, origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping


class Who(Protocol):
    """Says who asks, address by address."""

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Return the headers for a request: none where nothing is for that host."""
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be seen."""
        ...


@dataclass(frozen=True)
class Bound:
    """Headers that say who asks, for one origin and no other.

    `origin` is `scheme://host[:port]`; where it is http, the same host by TLS counts as it.
    """

    origin: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Return the headers for a request: none where it goes anywhere else."""
        return self.headers if belongs_to(url, self.origin) else {}

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be seen: whole headers, and what follows `Basic` or `Bearer`."""
        values = [value for value in self.headers.values() if value]
        return (*values, *(value.partition(" ")[2] for value in values if " " in value))


NOBODY = Bound("")


class Keyring:
    """What several hosts asked for, each shown to the host that asked for it."""

    def __init__(self) -> None:
        self._known: dict[str, Bound] = {}

    @property
    def is_used(self) -> bool:
        """Whether there is anything on it."""
        return bool(self._known)

    def keep(self, url: str, authorization: str) -> bool:
        """Keep what to show to the host of an address; tell whether that is new."""
        bound = bound_to(url, authorization)
        is_new = self._known.get(bound.origin) != bound
        self._known[bound.origin] = bound
        return is_new

    def headers_for(self, url: str) -> Mapping[str, str]:
        """Return the headers for a request: those of the host's own key, if it has one."""
        return self._known.get(origin_of(url), NOBODY).headers

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be seen."""
        return tuple(secret for bound in self._known.values() for secret in bound.secrets)


def basic(username: str, password: str) -> str:
    """Return the value of an Authorization header for a user name and a password."""
    pair = f"{username}:{password}".encode(errors="surrogateescape")  # as the variables hold it
    return f"Basic {base64.b64encode(pair).decode()}"


def bound_to(url: str, authorization: str | None, more: Mapping[str, str] | None = None) -> Bound:
    """Bind an Authorization header, and perhaps others, to the origin of an address."""
    headers = {"Authorization": authorization} if authorization else {}
    return Bound(origin_of(url), {**headers, **(more or {})})
