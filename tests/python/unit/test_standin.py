from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import requests

from standin import RegistryStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

TAGS = "/v2/namespaces/acme/repositories/cart/tags"


@pytest.fixture
def hub() -> Iterator[RegistryStandIn]:
    with RegistryStandIn() as standin:
        yield standin


def get(hub: RegistryStandIn, path: str, **headers: str) -> requests.Response:
    with requests.get(hub.url + path, headers=headers, timeout=5) as response:
        return response


def test_a_pushed_manifest_hashes_to_its_digest_by_tag_and_by_digest(hub: RegistryStandIn) -> None:
    digest = hub.push("acme/cart", "1.0", content=b"one")
    for reference in ("1.0", digest):
        response = get(hub, f"/v2/acme/cart/manifests/{reference}")
        assert response.headers["Docker-Content-Digest"] == digest
        assert "sha256:" + hashlib.sha256(response.content).hexdigest() == digest
    assert hub.push("acme/cart", "same", content=b"one") == digest


def test_a_head_has_the_headers_of_a_get_and_no_body(hub: RegistryStandIn) -> None:
    digest = hub.push("acme/cart", "1.0")
    with requests.head(f"{hub.url}/v2/acme/cart/manifests/1.0", timeout=5) as response:
        assert response.headers["Docker-Content-Digest"] == digest
        assert response.content == b""
    assert hub.requests == ["HEAD /v2/acme/cart/manifests/1.0"]


def test_the_hub_lists_tags_newest_first_and_in_pages(hub: RegistryStandIn) -> None:
    for day in range(1, 6):
        hub.push("acme/cart", f"1.{day}", pushed=datetime(2026, 1, day, tzinfo=UTC))
    page = get(hub, f"{TAGS}?page_size=2&page=2").json()
    assert [tag["name"] for tag in page["results"]] == ["1.3", "1.2"]
    assert page["count"] == 5
    assert page["results"][0]["tag_last_pushed"] == "2026-01-03T00:00:00Z"
    assert requests.get(page["next"], timeout=5).json()["next"] is None
    assert requests.get(page["previous"], timeout=5).json()["previous"] is None


def test_a_tag_of_old_has_no_dates_and_the_hub_can_be_told_what_to_say(
    hub: RegistryStandIn,
) -> None:
    hub.push("acme/cart", "old", pushed=None)
    hub.hub_says("acme/cart", "old", images=[], digest=None)
    tag = get(hub, f"{TAGS}/old").json()
    assert (tag["last_updated"], tag["tag_last_pushed"]) == (None, None)
    assert (tag["images"], tag["digest"]) == ([], None)


def test_a_retagged_image_keeps_its_digest_and_a_deleted_one_is_gone(hub: RegistryStandIn) -> None:
    digest = hub.push("acme/cart", "1.0")
    assert hub.retag("acme/cart", "1.0", "stable") == digest
    hub.delete("acme/cart", "1.0")
    assert get(hub, "/v2/acme/cart/manifests/1.0").status_code == 404
    assert get(hub, f"/v2/acme/cart/manifests/{digest}").status_code == 200
    hub.delete("acme/cart", digest)
    assert get(hub, "/v2/acme/cart/manifests/stable").status_code == 404
    assert get(hub, "/v2/acme/cart/tags/list").json()["tags"] == []
    with pytest.raises(KeyError, match="acme/cart has no"):
        hub.retag("acme/cart", "1.0", "stable")


def test_what_is_missing_is_said_in_the_words_of_the_real_ones(hub: RegistryStandIn) -> None:
    missing = get(hub, TAGS)
    assert (missing.status_code, missing.json()["message"]) == (404, "object not found")
    hub.push("acme/cart", "1.0")
    tag = get(hub, f"{TAGS}/2.0")
    assert (tag.status_code, tag.json()["message"]) == (404, "httperror 404: tag '2.0' not found")
    manifest = get(hub, "/v2/acme/cart/manifests/2.0")
    assert manifest.json()["errors"][0]["code"] == "MANIFEST_UNKNOWN"
    assert get(hub, "/v2/acme/none/tags/list").json()["errors"][0]["code"] == "NAME_UNKNOWN"
    assert get(hub, "/v2/acme/cart/blobs/x").status_code == 404
    assert get(hub, "/elsewhere").text == "404 page not found\n"


def test_who_has_not_signed_in_sees_a_thousand_tags(hub: RegistryStandIn) -> None:
    hub.push("acme/cart", "1.0")
    assert get(hub, f"{TAGS}?page_size=100&page=10").status_code == 200
    refused = get(hub, f"{TAGS}?page_size=100&page=11")
    assert refused.status_code == 403
    assert refused.json()["message"].startswith("pagination offset too large")


def test_names_of_tags_come_in_pages_with_a_link(hub: RegistryStandIn) -> None:
    for tag in ("a", "b", "c"):
        hub.push("acme/cart", tag)
    page = get(hub, "/v2/acme/cart/tags/list?n=2")
    assert page.json() == {"name": "acme/cart", "tags": ["a", "b"]}
    assert page.headers["Link"] == '</v2/acme/cart/tags/list?n=2&last=b>; rel="next"'
    assert get(hub, "/v2/acme/cart/tags/list?n=2&last=b").json()["tags"] == ["c"]


def test_a_token_opens_a_registry_that_asks_for_one() -> None:
    with RegistryStandIn(require_token=True) as hub:
        hub.push("acme/cart", "1.0")
        refused = get(hub, "/v2/acme/cart/manifests/1.0")
        assert refused.status_code == 401
        assert 'scope="repository:acme/cart:pull"' in refused.headers["WWW-Authenticate"]
        token = get(hub, "/token?service=stand-in").json()["token"]
        authorization = f"Bearer {token}"
        opened = get(hub, "/v2/acme/cart/manifests/1.0", Authorization=authorization)
        assert opened.status_code == 200
        assert get(hub, "/v2/", Authorization=authorization).json() == {}


def test_private_repositories_open_for_accounts_only() -> None:
    with RegistryStandIn(accounts={"jane": "secret"}) as hub:
        hub.push("acme/cart", "1.0")
        nobody = get(hub, "/token").json()["token"]
        path = "/v2/acme/cart/manifests/1.0"
        assert get(hub, path, Authorization=f"Bearer {nobody}").status_code == 401
        assert requests.get(f"{hub.url}/token", auth=("jane", "no"), timeout=5).status_code == 401
        answer = requests.get(f"{hub.url}/token", auth=("jane", "secret"), timeout=5)
        token = answer.json()["token"]
        assert get(hub, path, Authorization=f"Bearer {token}").status_code == 200
        assert get(hub, TAGS).status_code == 404
        assert get(hub, TAGS, Authorization=f"Bearer {token}").status_code == 200


def test_the_hub_login_gives_a_token_for_the_right_secret_only() -> None:
    with RegistryStandIn(accounts={"jane": "secret"}) as hub:
        login = f"{hub.url}/v2/auth/token"
        wrong = {"identifier": "jane", "secret": "guess"}
        assert requests.post(login, json=wrong, timeout=5).status_code == 401
        right = {"identifier": "jane", "secret": "secret"}
        assert requests.post(login, json=right, timeout=5).json()["access_token"]


def test_failures_and_delays_last_until_it_recovers(hub: RegistryStandIn) -> None:
    digest = hub.push("acme/cart", "1.0")
    hub.fail_with("/v2/acme/", 429, headers={"Retry-After": "60"}, body=b"Too Many Requests")
    failed = get(hub, "/v2/acme/cart/manifests/1.0")
    assert (failed.status_code, failed.headers["Retry-After"]) == (429, "60")
    assert get(hub, TAGS).status_code == 200
    hub.recover()
    hub.delay("/v2/acme/", 0.05)
    started = time.monotonic()
    late = get(hub, "/v2/acme/cart/manifests/1.0")
    assert time.monotonic() - started >= 0.05
    assert late.headers["Docker-Content-Digest"] == digest


def test_old_registries_leave_the_digest_out_of_the_headers(hub: RegistryStandIn) -> None:
    hub.push("acme/cart", "1.0")
    hub.service.digest_header = False
    assert "Docker-Content-Digest" not in get(hub, "/v2/acme/cart/manifests/1.0").headers
