"""Connections that are kept for the next request, by the standard library alone.

To import urllib3 takes 17 ms of CPU, a tenth of a run that asks a registry. It is asked where a
proxy is between, which may want TLS by itself.
"""

from __future__ import annotations

import select
import zlib
from contextlib import contextmanager
from http.client import HTTP_PORT, HTTPS_PORT, HTTPConnection, HTTPSConnection, IncompleteRead
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlsplit
from weakref import finalize

from gitops_rollback.web.hosts import MOST_AT_ONCE, origin_of

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterator, Mapping
    from http.client import HTTPMessage, HTTPResponse

_KEPT = "%!#$&'()*+,/:;=?@[]~"  # what stands in an address as it is
_ANY_HEADER = 32 + zlib.MAX_WBITS  # of gzip, or of what is called deflate


class DecodeError(ValueError):
    """Raised for a body that is not packed as its answer says."""


class Response:
    """One answer: its beginning is read, the rest is to be."""

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = _joined(response.headers)

    def stream(self, size: int) -> Iterator[bytes]:
        """Yield the body, unpacked; raises `IncompleteRead`, `DecodeError`, `OSError`."""
        packed = self.headers.get("Content-Encoding", "").strip().lower()
        unpack = _Unpacker().feed if packed in ("gzip", "x-gzip", "deflate") else bytes
        while data := self._response.read(size):
            yield unpack(data)
        if self._response.length:
            raise IncompleteRead(b"", self._response.length)


class Connections:
    """Connects to servers; `trusting` makes what certificates are looked at with, if one has any.

    Raises `OSError`, `ValueError` and `HTTPException`.
    """

    def __init__(self, trusting: Callable[[], ssl.SSLContext]) -> None:
        self._trusting = trusting
        self._kept: dict[str, list[HTTPConnection]] = {}
        finalize(self, _close, self._kept)

    @contextmanager
    def urlopen(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], seconds: float
    ) -> Iterator[Response]:
        """Send a request. The connection is kept where the answer was read to its end."""
        kept = self._kept.setdefault(origin_of(url), [])
        connection = self._taken(kept, url, seconds)
        try:
            parts = urlsplit(url)._replace(scheme="", netloc="", fragment="")
            target = quote(parts.geturl() or "/", safe=_KEPT)
            connection.request(method, target if target[0] == "/" else f"/{target}", body, headers)
            response = connection.getresponse()
            yield Response(response)
            if response.isclosed() and connection.sock is not None and len(kept) < MOST_AT_ONCE:
                kept.append(connection)
                return
        except BaseException:
            connection.close()
            raise
        connection.close()

    def _taken(self, kept: list[HTTPConnection], url: str, seconds: float) -> HTTPConnection:
        while kept:
            try:
                connection = kept.pop()
            except IndexError:  # another thread took the last
                break
            sock: socket.socket = connection.sock
            if not _has_ended(sock):
                sock.settimeout(seconds)
                return connection
            connection.close()
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            context = self._trusting()
            return HTTPSConnection(host, port or HTTPS_PORT, timeout=seconds, context=context)
        return HTTPConnection(host, port or HTTP_PORT, timeout=seconds)


class _Unpacker:
    """Unpacks gzip, one after the other too, and deflate with its header or without."""

    def __init__(self) -> None:
        self._unpacks = zlib.decompressobj(_ANY_HEADER)
        self._is_begun = False

    def feed(self, data: bytes) -> bytes:
        found = b""
        while data:
            is_first, self._is_begun = not self._is_begun, True
            if self._unpacks.eof:
                self._unpacks = zlib.decompressobj(_ANY_HEADER)
            try:
                found += self._unpacks.decompress(data)
            except zlib.error as error:
                if not is_first:
                    raise DecodeError(str(error)) from error
                self._unpacks = zlib.decompressobj(-zlib.MAX_WBITS)
            else:
                data = self._unpacks.unused_data
        return found


def _joined(headers: HTTPMessage) -> Mapping[str, str]:
    """Let a header that is there more than once have all of its texts, as a list."""
    for name in {name.lower() for name in headers}:
        texts = headers.get_all(name, [])
        if len(texts) > 1:
            del headers[name]
            headers[name] = ", ".join(texts)
    return cast("Mapping[str, str]", headers)


def _close(kept: Mapping[str, list[HTTPConnection]]) -> None:
    for connections in kept.values():
        for connection in connections:
            connection.close()


def _has_ended(sock: socket.socket) -> bool:
    """Tell whether a server has closed what was kept, or says something that nobody asked for."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
