"""Registries as they are: one stand-in for each way in which they differ."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.image import ImageReference, parse_image
from gitops_rollback.registries.client import Registry
from gitops_rollback.registries.credentials import RegistryEndpoint
from gitops_rollback.registries.failures import RegistryUnavailableError
from standin import RegistryStandIn
from standin_answers import Question, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gitops_rollback.query.tags import Tag

TAGS = "/v2/acme/cart/tags/list"


@pytest.fixture
def registry() -> Iterator[RegistryStandIn]:
    with RegistryStandIn() as server:
        for tag in ("1.0.0", "1.1.0", "1.2.0"):
            server.push("acme/cart", tag)
        yield server


def image(server: RegistryStandIn, tag: str = "1.2.0") -> ImageReference:
    return parse_image(f"{server.host}/acme/cart:{tag}")


def client(server: RegistryStandIn, environment: dict[str, str] | None = None) -> Registry:
    return Registry(RegistryEndpoint(server.host), environment or {}, patience=3)


def names(tags: tuple[Tag, ...]) -> list[str]:
    return [tag.name for tag in tags]


def behind(server: RegistryStandIn, first: Callable[[Question], Reply | None]) -> None:
    """Let something answer before the registry does; None lets the registry answer."""
    own = server.service.answer

    def answer(question: Question) -> Reply:
        return first(question) or own(question)

    server.answer = answer  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("most", "status"),
    [(100, 413), (50, 413), (100, 400), (50, 400), (0, 400)],
)
def test_a_registry_that_allows_smaller_pages_only_is_asked_for_smaller_ones(
    registry: RegistryStandIn, most: int, status: int
) -> None:
    def limited(question: Question) -> Reply | None:
        size = int(question.query.get("n", 0))
        if size <= most:
            return None
        error = {"errors": [{"code": "TOO_MANY_TAGS_REQUESTED", "message": f"max is {most}"}]}
        return Reply(status, json.dumps(error).encode())

    behind(registry, limited)
    assert names(client(registry).tags(image(registry))) == ["1.2.0", "1.1.0", "1.0.0"]
    last = registry.requests[-1]
    assert last == f"GET {TAGS}{f'?n={most}' if most else ''}"


def test_a_registry_that_pages_without_links_is_read_to_its_end(registry: RegistryStandIn) -> None:
    everything = [f"1.{number}.0" for number in range(230)]

    def paged(question: Question) -> Reply | None:
        size = min(int(question.query.get("n", 1000)), 1000)
        if size > 100:
            return Reply(413, b'{"errors": []}')
        start = everything.index(question.query["last"]) + 1 if "last" in question.query else 0
        return Reply(200, json.dumps({"tags": everything[start : start + size]}).encode())

    behind(registry, paged)
    assert sorted(names(client(registry).tags(image(registry)))) == sorted(everything)


def test_a_registry_without_the_repository_in_its_links_is_followed(
    registry: RegistryStandIn,
) -> None:
    def artifactory(question: Question) -> Reply | None:
        if "last" in question.query:
            return Reply(200, b'{"tags": ["2"]}')
        return Reply(200, b'{"tags": ["1"]}', {"Link": "</v2/tags/list?last=1&n=1>; rel=next"})

    behind(registry, artifactory)
    assert names(client(registry).tags(image(registry))) == ["2", "1"]
    assert registry.requests[-1] == f"GET {TAGS}?last=1&n=1"


def challenge(server: RegistryStandIn, realm: str = "/token") -> Reply:
    header = f'Bearer realm="{server.url}{realm}",service="back"'
    return Reply(401, b'{"errors": [{"code": "UNAUTHORIZED"}]}', {"WWW-Authenticate": header})


def test_a_redirect_to_a_registry_with_its_own_tokens_gets_its_token_and_no_login(
    registry: RegistryStandIn,
) -> None:
    def guarded(question: Question) -> Reply | None:
        if question.path == "/token":
            return Reply(200, b'{"token": "anonymous-of-back"}')
        shown = question.headers.get("authorization")
        return None if shown == "Bearer anonymous-of-back" else challenge(registry)

    behind(registry, guarded)
    with RegistryStandIn() as front:
        behind(front, lambda question: Reply(307, b"", {"Location": registry.url + question.path}))
        login = {
            "REGISTRY_HOST": front.host,
            "REGISTRY_USERNAME": "jane",
            "REGISTRY_PASSWORD": "secret-of-front",
        }
        registries = client(front, login)
        assert len(names(registries.tags(image(front)))) == 3
        registries.digest_of(image(front))
        shown = json.dumps([registry.headers, front.headers])
    secret = base64.b64encode(b"jane:secret-of-front").decode()
    assert secret not in json.dumps(registry.headers), "the login is of the other host"
    assert "anonymous-of-back" not in json.dumps(front.headers), "the token is of this host"
    assert "Basic" not in shown


def test_a_host_behind_a_redirect_that_asks_for_a_password_gets_none(
    registry: RegistryStandIn,
) -> None:
    behind(registry, lambda _: Reply(401, b"", {"WWW-Authenticate": 'Basic realm="x"'}))
    with RegistryStandIn() as front:
        behind(front, lambda question: Reply(307, b"", {"Location": registry.url + question.path}))
        login = {
            "REGISTRY_HOST": front.host,
            "REGISTRY_USERNAME": "jane",
            "REGISTRY_PASSWORD": "secret-of-front",
        }
        with pytest.raises(RegistryUnavailableError, match="401"):
            client(front, login).tags(image(front))
    assert all("authorization" not in headers for headers in registry.headers)


@pytest.mark.parametrize("by_helper", [False, True])
def test_an_identity_token_is_exchanged_for_an_access_token(
    registry: RegistryStandIn,
    tmp_path: Path,
    by_helper: bool,  # noqa: FBT001 - a row of a table
) -> None:
    bodies: list[bytes] = []

    def azure(question: Question) -> Reply | None:
        if question.path == "/oauth2/token":
            bodies.append(question.body)
            return Reply(200, b'{"access_token": "access-1"}')
        shown = question.headers.get("authorization")
        return None if shown == "Bearer access-1" else challenge(registry, "/oauth2/token")

    behind(registry, azure)
    pair = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()
    config: dict[str, object] = {
        "auths": {registry.host: {"auth": pair, "identitytoken": "identity-1"}}
    }
    if by_helper:
        config = {"credHelpers": {registry.host: "azure"}}
        program = tmp_path / "docker-credential-azure"
        program.write_text('#!/bin/sh\necho \'{"Username": "<token>", "Secret": "identity-1"}\'\n')
        program.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps(config))
    environment = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert len(client(registry, environment).tags(image(registry))) == 3
    assert len(bodies) == 1
    assert b"grant_type=refresh_token" in bodies[0]
    assert b"refresh_token=identity-1" in bodies[0]
    assert b"scope=repository%3Aacme%2Fcart%3Apull" in bodies[0]
    assert "identity-1" not in json.dumps([registry.headers, registry.requests])


def test_a_registry_behind_a_path_is_asked_there(registry: RegistryStandIn) -> None:
    with RegistryStandIn() as proxy:
        behind(
            proxy,
            lambda question: (
                Reply(307, b"", {"Location": registry.url + question.path[6:]})
                if question.path.startswith("/cache/v2/")
                else Reply(404, b"nothing here")
            ),
        )
        endpoint = RegistryEndpoint("ghcr.io", f"{proxy.url}/cache", trusted=True)
        registries = Registry(endpoint, {}, patience=3)
        assert len(registries.tags(parse_image("ghcr.io/acme/cart:1.2.0"))) == 3


@pytest.mark.parametrize("status", [404, 405])
@pytest.mark.parametrize(
    "body", [b"404 page not found", b"<html>", b'{"errors": [{"code": "NOT_FOUND"}]}']
)
def test_a_mirror_of_docker_hub_without_hubs_api_is_read_as_any_registry(
    registry: RegistryStandIn, status: int, body: bytes
) -> None:
    behind(
        registry,
        lambda question: Reply(status, body) if "/namespaces/" in question.path else None,
    )
    endpoint = RegistryEndpoint("docker.io", registry.url, registry.url, trusted=True)
    registries = Registry(endpoint, {}, patience=3)
    assert names(registries.tags(parse_image("acme/cart:1.2.0"))) == ["1.2.0", "1.1.0", "1.0.0"]


def test_a_mirror_that_alone_is_named_is_asked_for_names_and_hub_is_left_alone(
    registry: RegistryStandIn,
) -> None:
    endpoint = RegistryEndpoint("docker.io", registry.url, trusted=True)
    registries = Registry(endpoint, {}, patience=3)
    assert names(registries.tags(parse_image("acme/cart:1.2.0"))) == ["1.2.0", "1.1.0", "1.0.0"]
    assert registry.requests == [f"GET {TAGS}?n=1000"]
