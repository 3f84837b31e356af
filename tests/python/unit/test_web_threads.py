"""Threads that ask registries: used again when they are done, left behind when they are late."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gitops_rollback.image import parse_image
from gitops_rollback.registries.client import Registry
from gitops_rollback.registries.credentials import RegistryEndpoint
from gitops_rollback.web.hosts import MOST_AT_ONCE
from gitops_rollback.web.patience import Helpers
from servers.serving import Serving
from unit.builders import digest


def test_one_thread_does_one_piece_of_work_after_the_other() -> None:
    helpers = Helpers[int]()
    threads = {helpers.run(threading.get_ident, 5) for _ in range(3)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_thread_that_has_nothing_to_do_ends_with_what_it_helps() -> None:
    helpers = Helpers[threading.Thread]()
    thread = helpers.run(threading.current_thread, 5)
    assert thread.is_alive()
    del helpers
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()


def test_what_the_work_raises_is_raised_and_the_thread_goes_on() -> None:
    helpers = Helpers[int]()
    before = helpers.run(threading.get_ident, 5)
    with pytest.raises(ZeroDivisionError):
        helpers.run(lambda: 1 // 0, 5)
    assert helpers.run(threading.get_ident, 5) == before


def test_a_thread_that_is_late_is_left_behind_until_it_comes_to_its_end() -> None:
    helpers = Helpers[int]()
    before = helpers.run(threading.get_ident, 5)
    go_on = threading.Event()
    with pytest.raises(TimeoutError):
        helpers.run(lambda: int(go_on.wait()), 0.01)
    assert helpers.run(threading.get_ident, 5) != before
    go_on.set()


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
