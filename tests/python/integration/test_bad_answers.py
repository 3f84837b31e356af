"""What registries and Jenkins may answer instead: one clear error each, and nothing written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from integration.shop import CART_STATE, Shop, digest
from servers.jenkins_answer import Answer
from servers.jenkins_server import LOGIN_PAGE, JenkinsServer
from standin import RegistryStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator


ROLLBACK = ("--service", "cart", "--reason", "x")
TAGS = "/v2/namespaces/acme/repositories/cart/tags"
MANIFEST = "/v2/acme/cart/manifests/"
HTML = b"<html><body>Sign in to the Wi-Fi</body></html>"
LATER = {"X-Retry-After": str(int(time.time()) + 90_000)}
RECORD = "/job/shop/job/cart/8/artifact/gitops-rollback/default/cart/record.json"
LIST = "/job/shop/job/cart/api/json"


@pytest.fixture
def hub() -> Iterator[RegistryStandIn]:
    with RegistryStandIn() as standin:
        yield standin


def refused(shop: Shop, arguments: tuple[str, ...], told: tuple[int, str, str]) -> None:
    """Roll back, which has to fail with this code and category, and with these words."""
    code, category, words = told
    run = shop.refused(code, category, "rollback", *ROLLBACK, *arguments)
    assert words in f"{run.error['message']} {run.error['hint']} {run.stderr}"
    assert len(run.error["message"]) < 1000
    assert all(character.isprintable() for character in run.error["message"])


@pytest.mark.parametrize(
    ("status", "headers", "body", "words"),
    [
        (404, {}, HTML, "not as Hub does"),
        (404, {}, b'{"message": "object not found"}', "private repository"),
        (401, {}, b'{"detail": "bad token"}', "bad token"),
        (403, {}, b'{"message": "pagination offset too large for anonymous requests"}', "login"),
        (403, {}, b"denied", "no permission"),
        (402, {}, b"", "402 Payment Required"),
        (418, {}, b"short and stout", "short and stout"),
        (429, {"Retry-After": "90000"}, b"Too Many Requests (HAP429).", "HAP429"),
        (429, LATER, b"{}", "it may not be asked again for a day or more"),
        (429, {}, b"", "too many requests"),
        (500, {}, b"\x1b[31mred\x07", "500 Internal Server Error"),
        (502, {}, HTML, "a web page"),
        (504, {}, b"", "504 Gateway Timeout"),
        (301, {}, b"", "not safe to ask"),
        (302, {"Location": "file:///etc/passwd"}, b"", "not safe to ask"),
        (302, {"Location": TAGS}, b"", "redirects"),
        (200, {}, HTML, "no list of tags"),
        (200, {}, b"", "no list of tags"),
        (200, {}, b"[]", "no list of tags"),
        (200, {}, b'{"results": null}', "no list of tags"),
        (200, {}, b'{"results": [{"name": "1.4', "no list of tags"),
        (200, {}, b'{"results": ' * 5000, "no list of tags"),
        (200, {}, b"\xff\xfe\x00", "no list of tags"),
        (200, {}, b" " * 3_200_000, "larger than 3 MB"),
    ],
)
def test_what_hub_may_answer_instead_of_tags(
    released: Shop,
    hub: RegistryStandIn,
    status: int,
    headers: dict[str, str],
    body: bytes,
    words: str,
) -> None:
    released.environment |= {"GITOPS_HUB_URL": hub.url, "GITOPS_REGISTRY_URL": hub.url}
    hub.fail_with(TAGS, status, headers=headers, body=body)
    refused(released, ("--strategy", "registry"), (1, "registry", words))


@pytest.mark.parametrize(
    ("status", "headers", "body", "words"),
    [
        (404, {}, HTML, "not as a registry does"),
        (404, {}, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}', "MANIFEST_UNKNOWN"),
        (401, {}, b"", "401 Unauthorized"),
        (401, {"WWW-Authenticate": 'Bearer realm="gopher://x"'}, b"", "no safe address"),
        (403, {}, b'{"errors": [{"code": "DENIED", "message": "no"}]}', "no permission"),
        (429, {}, b'{"errors": [{"code": "TOOMANYREQUESTS"}]}', "429 Too Many"),
        (503, {}, b"", "503 Service Unavailable"),
        (200, {}, HTML, "no manifest"),
        (200, {}, b'{"schemaVersion": ', "no manifest"),
        (200, {"Docker-Content-Digest": "md5:1"}, b"[]", "no manifest"),
    ],
)
def test_what_a_registry_may_answer_instead_of_a_manifest(
    released: Shop,
    hub: RegistryStandIn,
    status: int,
    headers: dict[str, str],
    body: bytes,
    words: str,
) -> None:
    released.environment |= {"GITOPS_HUB_URL": hub.url, "GITOPS_REGISTRY_URL": hub.url}
    hub.fail_with(MANIFEST, status, headers=headers, body=body)
    refused(released, ("--to", "9.9.9"), (6, "refused", words))


NO_RECORD = (4, "not-found")
DOWN = (1, "jenkins")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(401), (*DOWN, "it wants to know who asks")),
        (Answer(403, HTML), (*DOWN, "JENKINS_USER")),
        (Answer(404, HTML, is_from_jenkins=False), (*DOWN, "not as Jenkins does")),
        (Answer(404, HTML), (*NO_RECORD, "it was deleted")),
        (Answer(429), (*DOWN, "too many requests")),
        (Answer(500, HTML), (*DOWN, "Jenkins itself failed")),
        (Answer(503, b"Please wait while Jenkins is getting ready to work"), (*DOWN, "starting")),
        (Answer(200, LOGIN_PAGE), (*DOWN, "probably a login")),
        (Answer(200, b"{}", "application/json", length=5000), (*DOWN, "broke off")),
        (Answer(200, b"x" * 1_100_000), (*DOWN, "larger than 1 MB")),
        (Answer(302, headers=(("Location", "ftp://x/"),)), (*DOWN, "not safe to ask")),
        (Answer(200, hangs_up=True), (*DOWN, "broke off")),
    ],
    ids=lambda value: f"{value.status}" if isinstance(value, Answer) else None,
)
def test_what_jenkins_may_answer_instead_of_a_record(
    built: Shop, answer: Answer, told: tuple[int, str, str]
) -> None:
    with JenkinsServer() as server:
        built.environment["JENKINS_URL"] = server.url
        server.add("shop/cart", 9, {})
        server.force("/job" if not answer.is_from_jenkins else RECORD, answer)
        refused(built, ("--strategy", "artifact"), told)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "no complete JSON"),
        (b"[]", "must be object"),
        (b'{"schemaVersion": 3}', "newer gitops-rollback"),
        (b'{"schemaVersion": 1, "service": "cart"}', "must contain"),
        (b'{"image": "\\ud800"}', "no complete JSON"),
    ],
)
def test_what_an_archive_may_hold_instead_of_a_record(built: Shop, body: bytes, words: str) -> None:
    with JenkinsServer() as server:
        built.environment["JENKINS_URL"] = server.url
        server.force(RECORD, Answer(200, body, "application/json"))
        named = ("--strategy", "artifact", "--to", "1.4.2")
        run = built.refused(6, "refused", "rollback", *ROLLBACK, *named)
    assert run.error["code"] == "tampered"
    assert words in run.error["message"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"[]", (*DOWN, "no JSON object")),
        (b'{"allBuilds": null}', (*DOWN, "no builds of its own")),
        (b'{"allBuilds": [{"number": "8"}, null, {"number": -1}]}', (*NO_RECORD, "")),
        (LOGIN_PAGE, (*DOWN, "probably a login")),
    ],
)
def test_what_jenkins_may_answer_instead_of_a_list_of_builds(
    built: Shop, body: bytes, told: tuple[int, str, str]
) -> None:
    built.commit({CART_STATE: None})
    with JenkinsServer() as server:
        built.environment["JENKINS_URL"] = server.url
        server.force(LIST, Answer(200, body, "application/json"))
        refused(built, ("--strategy", "artifact", "--store", "jenkins:shop/cart"), told)


def test_an_answer_that_names_another_digest_is_not_believed(
    released: Shop, hub: RegistryStandIn
) -> None:
    released.environment |= {"GITOPS_HUB_URL": hub.url, "GITOPS_REGISTRY_URL": hub.url}
    headers: dict[str, Any] = {"Docker-Content-Digest": digest("another")}
    hub.fail_with(MANIFEST, 200, headers=headers, body=b'{"schemaVersion": 2, "layers": []}')
    plan = released.ok("plan", "--service", "cart", "--to", digest("cart:1.4.2")).service()
    assert plan["to"]["verified"] is False
    words = f"what it sent is not {digest('another')}"
    assert any(words in finding for finding in plan["findings"])
