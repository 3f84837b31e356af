"""Connections of our own: kept where that is right, and bodies as they were sent."""

from __future__ import annotations

import gzip
import ssl
import zlib
from contextlib import contextmanager
from http.client import IncompleteRead
from socket import create_server
from threading import Thread
from time import sleep
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.web.connections import Connections, DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = b'{"tags": ["1.0"]}' * 1000
_raw = zlib.compressobj(wbits=-15)
DEFLATED = _raw.compress(TEXT) + _raw.flush()


@contextmanager
def serving(*connections: tuple[bytes, ...]) -> Iterator[tuple[str, list[bytes]]]:
    """Answer on each connection with these bytes, then close it; give the address and requests.

    Where a connection was closed, an empty request stands.
    """
    asked: list[bytes] = []

    def serve() -> None:
        for answers in connections:
            with listener.accept()[0] as there:
                for answer in answers:
                    request = b""
                    while not request.endswith(b"\r\n\r\n"):
                        request += there.recv(65536)
                    asked.append(request)
                    there.sendall(answer)
            asked.append(b"")

    with create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        thread.join(10)
        assert not thread.is_alive(), "fewer connections than were foreseen"


def answer(body: bytes, *headers: str, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {size}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def get(connections: Connections, url: str, seconds: float = 10) -> bytes:
    with connections.urlopen("GET", url, None, {}, seconds) as response:
        return b"".join(response.stream(4096))


@pytest.fixture
def connections() -> Connections:
    return Connections(ssl.create_default_context)


def test_what_was_read_to_its_end_goes_over_one_connection(connections: Connections) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    with serving((answer(b"1"), answer(b""), chunked, answer(b"4"))) as (url, asked):
        bodies = [get(connections, f"{url}/{number}?a=b") for number in range(4)]
        assert bodies == [b"1", b"", b"abc", b"4"]
    assert [one.split(b"\r\n")[0] for one in asked][3] == b"GET /3?a=b HTTP/1.1"


def test_what_was_not_read_to_its_end_is_let_go_of(connections: Connections) -> None:
    with serving((answer(TEXT),), (answer(b"2"),)) as (url, _asked):
        with connections.urlopen("GET", url, None, {}, 10) as response:
            assert next(response.stream(10)) == TEXT[:10]
        assert get(connections, url) == b"2"


def test_a_connection_that_the_server_has_closed_is_not_used_again(
    connections: Connections,
) -> None:
    with serving((answer(b"1"),), (answer(b"2"),)) as (url, asked):
        assert get(connections, url) == b"1"
        while b"" not in asked:
            sleep(0.01)
        assert get(connections, url) == b"2"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(gzip.compress(TEXT), "gzip", id="gzip"),
        pytest.param(gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:]), "GZIP", id="two"),
        pytest.param(zlib.compress(TEXT), "deflate", id="with a header"),
        pytest.param(DEFLATED, "deflate", id="without"),
        pytest.param(TEXT, "identity", id="not packed"),
    ],
)
def test_a_body_is_unpacked(connections: Connections, body: bytes, kind: str) -> None:
    with serving((answer(body, f"Content-Encoding: {kind}"),)) as (url, _asked):
        assert get(connections, url) == TEXT


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(TEXT) + b"more"])
def test_what_is_not_packed_as_it_says_is_refused(connections: Connections, body: bytes) -> None:
    with (
        serving((answer(body, "Content-Encoding: gzip"),)) as (url, _asked),
        pytest.raises(DecodeError),
    ):
        get(connections, url)


def test_an_answer_that_breaks_off_is_none(connections: Connections) -> None:
    with serving((answer(b"1234", length=5),)) as (url, _asked), pytest.raises(IncompleteRead):
        get(connections, url)


def test_a_header_that_is_there_twice_has_both_texts(connections: Connections) -> None:
    two = answer(b"", "WWW-Authenticate: Basic", "www-authenticate: Bearer x")
    with (
        serving((two,)) as (url, _asked),
        connections.urlopen("GET", url, None, {}, 10) as response,
    ):
        assert response.headers.get("WWW-Authenticate") == "Basic, Bearer x"
        assert response.headers.get("Link") is None


def test_what_cannot_stand_in_a_request_is_encoded(connections: Connections) -> None:
    with serving((answer(b""),)) as (url, asked):
        get(connections, f"{url}/ä%20b?c=ö#d")
    assert asked[0].startswith(b"GET /%C3%A4%20b?c=%C3%B6 HTTP/1.1\r\n")
