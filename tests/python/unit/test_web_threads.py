"""Threads that ask registries, left behind when they are late, and their connections."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gitops_rollback.image import parse_image
from gitops_rollback.registries.client import Registry
from gitops_rollback.registries.credentials import RegistryEndpoint
from gitops_rollback.web.hosts import MOST_AT_ONCE
from gitops_rollback.web.http import in_background
from servers.serving import Serving
from unit.builders import digest


def test_what_the_work_gives_or_raises_reaches_who_waits_for_it() -> None:
    assert in_background(threading.get_ident).result(5) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 // 0).result(5)


def test_work_that_is_late_is_left_behind_and_keeps_no_program_from_ending() -> None:
    go_on = threading.Event()
    late = in_background(lambda: (go_on.wait(), threading.current_thread())[1])
    with pytest.raises(TimeoutError):
        late.result(0.01)
    go_on.set()
    assert late.result(5).daemon


class _Connections(Serving):
    """A registry that answers when as many ask as may; it counts who comes."""

    def __init__(self) -> None:
        self.seen: set[object] = set()
        together = threading.Barrier(MOST_AT_ONCE)
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                seen.add(self.client_address)
                together.wait(20)
                self.send_response(200)
                self.send_header("Docker-Content-Digest", digest("a"))
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        self.url = f"http://127.0.0.1:{self._server.server_port}"


def test_connections_are_kept_for_all_that_ask_at_once() -> None:
    with _Connections() as server, ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        endpoint = RegistryEndpoint("docker.io", server.url, server.url)
        registries = Registry(endpoint, {}, patience=30)
        for _ in range(3):
            list(
                pool.map(lambda _: registries.digest_of(parse_image("cart:1")), range(MOST_AT_ONCE))
            )
    assert len(server.seen) == MOST_AT_ONCE
