"""The registry is connected to before it is asked: where to, and what is sent there."""

from __future__ import annotations

from socket import create_server
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.image import parse_image
from gitops_rollback.look.registry import Ahead
from gitops_rollback.registries.client import Registry
from gitops_rollback.registries.credentials import RegistryEndpoint
from standin import RegistryStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from socket import socket

NOWHERE = RegistryEndpoint("docker.io", "http://127.0.0.1:1")
CART = parse_image("acme/cart:1.0")


@pytest.fixture
def listener() -> Iterator[socket]:
    with create_server(("127.0.0.1", 0)) as made:
        made.settimeout(5)
        yield made


def address(listener: socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_the_one_that_was_asked_last_is_connected_to_and_told_nothing(
    tmp_path: Path, listener: socket
) -> None:
    mark, url = tmp_path / "registry" / "mark", address(listener)
    assert Ahead({}, mark).connect(None) == []
    Ahead({}, mark).used(RegistryEndpoint("docker.io", url, trusted=True))
    assert Ahead({}, mark).connect(None) == [], "who names it does so next time"
    Ahead({}, mark).used(RegistryEndpoint("docker.io", url))
    for future in Ahead({}, mark).connect(None):
        future.result(5)
        with listener.accept()[0] as there:
            assert there.recv(1) == b"", "its end, when it is not needed"


def test_the_one_that_a_person_named_wins(tmp_path: Path, listener: socket) -> None:
    Ahead({}, tmp_path / "mark").used(NOWHERE)
    made = Ahead({}, tmp_path / "mark").connect(address(listener))
    assert [future.result(5) for future in made] == [None, None]


def test_who_asks_goes_over_what_was_connected(tmp_path: Path) -> None:
    with RegistryStandIn() as hub:
        digest = hub.push("acme/cart", "1.0")
        ahead = Ahead({}, tmp_path / "mark")
        for future in ahead.connect(hub.url):
            future.result(5)
        connections = ahead.used(RegistryEndpoint("docker.io", hub.url, hub.url))
        connections.connect = None  # type: ignore[assignment]
        connections._new = None  # type: ignore[assignment]  # noqa: SLF001 - nothing else connects
        registry = Registry(
            RegistryEndpoint("docker.io", hub.url, hub.url), {}, patience=3, connections=connections
        )
        assert registry.digest_of(CART) == digest


@pytest.mark.parametrize("text", ["", "ghcr.io", "https://u:p@ghcr.io", "\xff", "file:///etc"])
def test_what_is_no_address_is_connected_to_by_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "mark").write_text(text, encoding="latin-1")
    assert Ahead({}, tmp_path / "mark").connect(None) == []


def test_behind_a_proxy_nobody_is(tmp_path: Path) -> None:
    proxy = {"https_proxy": "http://127.0.0.1:1"}
    assert Ahead(proxy, tmp_path / "mark").connect("https://ghcr.io") == []


def test_where_nothing_can_be_noted_all_goes_on(tmp_path: Path) -> None:
    (tmp_path / "registry").touch()
    ahead = Ahead({}, tmp_path / "registry" / "mark")
    assert ahead.used(NOWHERE) is ahead.used(NOWHERE)
