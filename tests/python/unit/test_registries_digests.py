from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from gitops_rollback.image import parse_image
from gitops_rollback.registries.client import Registry, parse_challenges
from gitops_rollback.registries.contents import Contents
from gitops_rollback.registries.credentials import RegistryEndpoint
from gitops_rollback.registries.failures import (
    ManifestMissingError,
    RegistryUnavailableError,
    RepositoryMissingError,
)
from standin import RegistryStandIn
from standin_answers import Question, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "/v2/acme/cart/manifests/"


@pytest.fixture
def hub() -> Iterator[RegistryStandIn]:
    with RegistryStandIn() as standin:
        yield standin


def client(hub: RegistryStandIn, patience: float = 3, **environment: str) -> Registry:
    endpoint = RegistryEndpoint("docker.io", hub.url, hub.url, trusted=True)
    return Registry(endpoint, environment, patience=patience)


def test_one_head_gives_the_digest_of_a_tag(hub: RegistryStandIn) -> None:
    digest = hub.push("acme/cart", "1.0")
    registries = client(hub)
    assert registries.digest_of(parse_image("acme/cart:1.0")) == digest
    assert hub.requests == [f"HEAD {MANIFEST}1.0"]
    assert len(hub.requests) == 1


def test_the_head_takes_every_kind_of_manifest_and_says_who_asks(hub: RegistryStandIn) -> None:
    hub.push("acme/cart", "1.0")
    client(hub).digest_of(parse_image("acme/cart:1.0"))
    accepted = hub.headers[0]["accept"].split(", ")
    assert len(accepted) == 4
    assert "application/vnd.docker.distribution.manifest.list.v2+json" in accepted
    assert hub.headers[0]["user-agent"].startswith("gitops-rollback/")


def test_a_digest_is_asked_for_rather_than_the_tag_beside_it(hub: RegistryStandIn) -> None:
    digest = hub.push("acme/cart", "1.0")
    hub.push("acme/cart", "1.0", content=b"moved")
    assert client(hub).digest_of(parse_image(f"acme/cart:1.0@{digest}")) == digest
    assert hub.requests == [f"HEAD {MANIFEST}{digest}"]


def test_an_image_without_tag_and_digest_means_latest(hub: RegistryStandIn) -> None:
    digest = hub.push("library/nginx", "latest")
    assert client(hub).digest_of(parse_image("nginx")) == digest


def test_without_a_digest_header_the_content_is_read_and_hashed(hub: RegistryStandIn) -> None:
    digest = hub.push("acme/cart", "1.0")
    hub.service.digest_header = False
    registries = client(hub)
    assert registries.digest_of(parse_image("acme/cart:1.0")) == digest
    assert registries.digest_of(parse_image(f"acme/cart@{digest}")) == digest
    assert hub.requests[:2] == [f"HEAD {MANIFEST}1.0", f"GET {MANIFEST}1.0"]


def test_a_missing_tag_is_told_from_a_missing_repository(hub: RegistryStandIn) -> None:
    hub.push("acme/cart", "1.0")
    with pytest.raises(ManifestMissingError) as caught:
        client(hub).digest_of(parse_image("acme/cart:2.0"))
    assert not isinstance(caught.value, RepositoryMissingError)
    assert "docker.io/acme/cart:2.0" in caught.value.message
    assert "MANIFEST_UNKNOWN" in caught.value.message
    assert "deleted" in caught.value.hint
    body = json.dumps({"errors": [{"code": "NAME_UNKNOWN", "message": "unknown"}]}).encode()
    hub.fail_with(MANIFEST, 404, body=body)
    with pytest.raises(RepositoryMissingError, match="NAME_UNKNOWN"):
        client(hub).digest_of(parse_image("acme/cart:2.0"))


@pytest.mark.parametrize(
    "body", [b"<html>not found</html>", b"404 page not found\n", b'{"found": false}']
)
def test_a_404_that_is_none_of_a_registry_proves_nothing(hub: RegistryStandIn, body: bytes) -> None:
    hub.fail_with(MANIFEST, 404, body=body)
    with pytest.raises(RegistryUnavailableError, match="not as a registry does"):
        client(hub).digest_of(parse_image("acme/cart:1.0"))


@pytest.mark.parametrize(
    "body", [b"<html>please log in</html>", b'{"schemaVersion": 2, "con', b"[]", b"", b"[" * 100000]
)
def test_a_200_that_is_no_manifest_is_not_hashed(hub: RegistryStandIn, body: bytes) -> None:
    hub.fail_with(MANIFEST, 200, body=body)
    with pytest.raises(RegistryUnavailableError, match="something that is no manifest"):
        client(hub).digest_of(parse_image("acme/cart:1.0"))


def test_another_manifest_than_the_one_asked_for_is_refused(hub: RegistryStandIn) -> None:
    asked, other = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    hub.fail_with(MANIFEST, 200, headers={"Docker-Content-Digest": other})
    with pytest.raises(RegistryUnavailableError, match="another one, sha256:bbb"):
        client(hub).digest_of(parse_image(f"acme/cart@{asked}"))
    hub.fail_with(MANIFEST, 200, body=b'{"schemaVersion": 2}')
    with pytest.raises(RegistryUnavailableError, match="another one, sha256:"):
        client(hub).digest_of(parse_image(f"acme/cart@{asked}"))


def test_a_registry_that_knows_no_head_is_asked_with_get(hub: RegistryStandIn) -> None:
    digest = hub.push("acme/cart", "1.0")
    answer = hub.service.answer

    def without_head(question: Question) -> Reply:
        return Reply(405) if question.method == "HEAD" else answer(question)

    hub.answer = without_head  # type: ignore[method-assign]
    assert client(hub).digest_of(parse_image("acme/cart:1.0")) == digest


def test_a_token_is_fetched_once_for_a_repository() -> None:
    with RegistryStandIn(require_token=True) as hub:
        digest = hub.push("acme/cart", "1.0")
        hub.push("acme/shop", "1.0")
        registries = client(hub)
        for _ in range(2):
            assert registries.digest_of(parse_image("acme/cart:1.0")) == digest
        assert len(hub.requests) == 4
        assert hub.requests[1].startswith("GET /token?scope=repository%3Aacme%2Fcart%3Apull")
        assert "service=stand-in" in hub.requests[1]
        assert "authorization" not in hub.headers[1]
        registries.digest_of(parse_image("acme/shop:1.0"))
        assert "acme%2Fshop" in hub.requests[4], "asked for at once, since a token is wanted here"
        assert len(hub.requests) == 6


def test_who_ask_at_once_share_a_token() -> None:
    with RegistryStandIn(require_token=True) as hub:
        for tag in ("1.0", "1.1"):
            hub.push("acme/cart", tag)
        registries, answer, met = client(hub), hub.answer, Barrier(2)

        def together(question: Question) -> Reply:
            if "authorization" not in question.headers and "/manifests/" in question.path:
                met.wait(5)
            return answer(question)

        with patch.object(hub, "answer", together), ThreadPoolExecutor(2) as pool:
            images = [parse_image(f"acme/cart:{tag}") for tag in ("1.0", "1.1")]
            assert len(set(pool.map(registries.digest_of, images))) == 2
        assert len([line for line in hub.requests if "/token" in line]) == 1


@pytest.mark.parametrize("tagged", [True, False])
def test_what_was_read_for_its_digest_is_not_asked_for_again(
    hub: RegistryStandIn, *, tagged: bool
) -> None:
    digest = hub.push("acme/cart", "1.0", platforms=("linux/amd64", "linux/arm64"))
    registries = client(hub)
    image = parse_image("acme/cart:1.0" if tagged else f"acme/cart@{digest}")
    assert registries.digest_of(image, reads=True) == digest
    assert registries.contents(parse_image(f"acme/cart:1.0@{digest}")).digest == digest
    assert len(hub.requests) == 1


def test_what_is_read_for_its_digest_is_what_it_says(hub: RegistryStandIn) -> None:
    digest = hub.push("acme/cart", "1.0")
    hub.service.repositories["acme/cart"].manifests[digest] = b'{"schemaVersion": 2}'
    for image in ("acme/cart:1.0", f"acme/cart@{digest}"):
        with pytest.raises(RegistryUnavailableError, match=f"what it sent is not {digest}"):
            client(hub).digest_of(parse_image(image), reads=True)


def test_where_no_token_is_to_be_had_for_another_repository_the_registry_is_asked() -> None:
    with RegistryStandIn(require_token=True) as hub:
        hub.push("acme/cart", "1.0")
        hub.push("acme/shop", "1.0")
        registries = client(hub)
        registries.digest_of(parse_image("acme/cart:1.0"))
        hub.fail_with("/token", 403)
        with pytest.raises(RegistryUnavailableError, match="a token for repository:acme/shop:pull"):
            registries.digest_of(parse_image("acme/shop:1.0"))
        assert [line.partition("?")[0] for line in hub.requests[3:]] == [
            "GET /token",
            "HEAD /v2/acme/shop/manifests/1.0",
            "GET /token",
        ]


def test_a_token_that_expired_is_fetched_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with RegistryStandIn(require_token=True) as hub:
        digest = hub.push("acme/cart", "1.0")
        registries = client(hub)
        registries.digest_of(parse_image("acme/cart:1.0"))
        monkeypatch.setattr("standin_answers._TOKEN", "renewed-")
        assert registries.digest_of(parse_image("acme/cart:1.0")) == digest
        assert len([request for request in hub.requests if "/token" in request]) == 2


def test_a_login_opens_a_private_repository() -> None:
    with RegistryStandIn(accounts={"jane": "secret"}) as hub:
        digest = hub.push("acme/cart", "1.0")
        registries = client(hub, DOCKERHUB_USERNAME="jane", DOCKERHUB_TOKEN="secret")
        assert registries.digest_of(parse_image("acme/cart:1.0")) == digest
        with pytest.raises(RegistryUnavailableError) as caught:
            client(hub).digest_of(parse_image("acme/cart:1.0"))
    assert "401 Unauthorized" in caught.value.message
    assert "set DOCKERHUB_USERNAME and DOCKERHUB_TOKEN" in caught.value.hint


def test_a_refused_login_names_the_variables_and_not_their_values() -> None:
    with RegistryStandIn(accounts={"jane": "secret"}) as hub:
        hub.push("acme/cart", "1.0")
        registries = client(hub, DOCKERHUB_USERNAME="jane", DOCKERHUB_TOKEN="wrong-password")
        with pytest.raises(RegistryUnavailableError) as caught:
            registries.digest_of(parse_image("acme/cart:1.0"))
    assert "the login of DOCKERHUB_USERNAME and DOCKERHUB_TOKEN was refused" in caught.value.hint
    assert "wrong-password" not in caught.value.message + caught.value.hint


def test_a_registry_with_basic_login_is_answered_so(hub: RegistryStandIn) -> None:
    hub.fail_with(MANIFEST, 401, headers={"WWW-Authenticate": 'Basic realm="registry"'})
    registries = client(hub, DOCKERHUB_USERNAME="jane", DOCKERHUB_TOKEN="secret")
    with pytest.raises(RegistryUnavailableError, match="401"):
        registries.digest_of(parse_image("acme/cart:1.0"))
    sent = [headers.get("authorization") for headers in hub.headers]
    assert sent == [None, "Basic amFuZTpzZWNyZXQ="]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>", "there is no token in its answer"),
        (200, b'{"token": 7}', "there is no token in its answer"),
        (200, b'{"token": "a\\nb"}', "there is no token in its answer"),
        (403, b'{"details": "no"}', "403 Forbidden: no permission"),
        (500, b"", "500 Internal Server Error"),
    ],
)
def test_a_token_server_that_fails_is_an_error_of_its_own(
    status: int, body: bytes, words: str
) -> None:
    with RegistryStandIn(require_token=True) as hub:
        hub.fail_with("/token", status, body=body)
        with pytest.raises(RegistryUnavailableError, match="a token for repository") as caught:
            client(hub).digest_of(parse_image("acme/cart:1.0"))
    assert words in caught.value.message


@pytest.mark.parametrize("realm", ["", "ftp://x/token", "http://user:pw@host/", "http://[", "/a"])
def test_a_realm_that_is_no_address_is_not_asked(hub: RegistryStandIn, realm: str) -> None:
    hub.fail_with(MANIFEST, 401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})
    with pytest.raises(RegistryUnavailableError, match="no safe address of a token server"):
        client(hub).digest_of(parse_image("acme/cart:1.0"))
    assert len(hub.requests) == 1


def test_a_401_without_a_challenge_is_final(hub: RegistryStandIn) -> None:
    hub.fail_with(MANIFEST, 401)
    with pytest.raises(RegistryUnavailableError, match="401 Unauthorized"):
        client(hub).digest_of(parse_image("acme/cart:1.0"))
    assert len(hub.requests) == 1


def test_challenges_are_read_with_quotes_commas_and_several_schemes() -> None:
    header = (
        'Basic realm="a, \\"b\\"", bearer realm="https://x/t",service=s,scope="r:a/b:pull,push"'
    )
    assert parse_challenges(header) == {
        "basic": {"realm": 'a, "b"'},
        "bearer": {"realm": "https://x/t", "service": "s", "scope": "r:a/b:pull,push"},
    }
    assert parse_challenges("") == {}
    assert parse_challenges("Negotiate") == {}


BOTH = ("linux/amd64", "linux/arm64/v8")


def test_an_index_names_its_platforms_and_an_image_its_own(hub: RegistryStandIn) -> None:
    digest = hub.push("acme/cart", "1.1", platforms=BOTH)
    hub.push("acme/cart", "1.0", platforms=())
    old, new = parse_image("acme/cart:1.0"), parse_image(f"acme/cart@{digest}")
    registries = client(hub)
    for _ in range(2):
        assert registries.contents(old).platforms == ("linux/amd64",)
        assert registries.contents(new) == Contents("", ("linux/amd64", "linux/arm64"), digest)
    gets = [line for line in hub.requests if line.startswith("GET")]
    assert len(gets) == 3, "two manifests and a configuration, once each"


@pytest.mark.parametrize(("platforms", "gets"), [((), 2), (BOTH, 3)])
def test_what_was_read_of_an_image_is_not_read_again_for_its_label_and_time(
    hub: RegistryStandIn, platforms: tuple[str, ...], gets: int
) -> None:
    told = "2026-01-31T02:03:04Z"
    hub.push("acme/cart", "1.0", platforms=platforms, created=told, labels={"schema": "9"})
    image, registries = parse_image("acme/cart:1.0"), client(hub)
    for _ in range(2):
        assert registries.contents(image).platforms[0] == "linux/amd64"
        assert registries.label(image, "schema") == "9"
        assert registries.created(image) == told
    assert len(hub.requests) == gets, hub.requests


@pytest.mark.parametrize("left", [[], [{"mediaType": "a/b", "digest": "sha256:" + "0" * 64}]])
def test_of_an_index_that_names_no_platform_s_image_no_label_is_said_to_lack(
    hub: RegistryStandIn, left: list[object]
) -> None:
    hub.push("acme/cart", "1.0", platforms=BOTH, labels={"schema": "9"})
    stored = hub.service.repositories["acme/cart"]
    index = json.loads(stored.manifests[stored.tags["1.0"]])
    data = json.dumps({**index, "manifests": left}).encode()
    stored.tags["1.0"] = f"sha256:{hashlib.sha256(data).hexdigest()}"
    stored.manifests[stored.tags["1.0"]] = data
    with pytest.raises(RegistryUnavailableError, match=r"labels of docker\.io/acme/cart") as told:
        client(hub).label(parse_image("acme/cart:1.0"), "schema")
    assert "push the image again" in told.value.hint


@pytest.mark.parametrize("spoiled", ["manifest", "configuration"])
def test_bodies_that_are_not_what_their_digest_says_are_refused(
    hub: RegistryStandIn, spoiled: str
) -> None:
    digest = hub.push("acme/cart", "1.1", platforms=BOTH)
    hub.push("acme/cart", "1.0")
    stored = hub.service.repositories["acme/cart"]
    if spoiled == "manifest":
        stored.manifests[digest] = stored.manifests[digest].replace(b"arm64", b"ppc64")
    else:
        stored.blobs = dict.fromkeys(stored.blobs, b'{"os": "linux", "architecture": "arm64"}')
    with pytest.raises(RegistryUnavailableError, match="what it sent is not sha256:"):
        client(hub).contents(parse_image(f"acme/cart:{'1.1' if spoiled == 'manifest' else '1.0'}"))


@pytest.mark.parametrize(
    ("pushed", "created"),
    [
        ({"created": "2026-01-31T02:03:04Z"}, "2026-01-31T02:03:04Z"),
        ({"created": "2026-01-31T02:03:04Z", "platforms": BOTH}, "2026-01-31T02:03:04Z"),
        ({}, None),
    ],
)
def test_the_time_of_build_is_read_from_the_configuration(
    hub: RegistryStandIn, pushed: dict[str, Any], created: str | None
) -> None:
    hub.push("acme/cart", "1.0", **pushed)
    assert client(hub).created(parse_image("acme/cart:1.0")) == created
    assert len(hub.requests) <= 3
