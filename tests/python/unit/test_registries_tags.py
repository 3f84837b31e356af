from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.errors import ConfigError
from gitops_rollback.image import parse_image
from gitops_rollback.query.choose import choose
from gitops_rollback.query.tags import Tag
from gitops_rollback.registries.client import Registry
from gitops_rollback.registries.credentials import RegistryEndpoint
from gitops_rollback.registries.failures import RegistryUnavailableError, RepositoryMissingError
from gitops_rollback.registries.hub import parse_tags
from gitops_rollback.web.hosts import is_loopback
from standin import RegistryStandIn
from standin_answers import Question, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "data" / "hub"
TAGS = "/v2/namespaces/acme/repositories/cart/tags"
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def hub() -> Iterator[RegistryStandIn]:
    with RegistryStandIn() as standin:
        yield standin


def listed(hub: RegistryStandIn, image: str, patience: float = 3) -> tuple[Tag, ...]:
    """The tags that a registry without the Hub API lists."""
    registry = Registry(RegistryEndpoint(hub.host), {}, patience=patience)
    return registry.tags(parse_image(f"{hub.host}/acme/{image}"))


def client(hub: RegistryStandIn, **environment: str) -> Registry:
    endpoint = RegistryEndpoint("docker.io", hub.url, hub.url, trusted=True)
    return Registry(endpoint, environment, patience=3)


def names(tags: tuple[Tag, ...]) -> list[str]:
    return [tag.name for tag in tags]


def push_many(hub: RegistryStandIn, count: int) -> None:
    for index in range(count):
        hub.push("acme/cart", f"1.{index}", pushed=START + timedelta(hours=index))


def test_one_page_gives_tags_with_digest_times_size_and_platforms(hub: RegistryStandIn) -> None:
    digest = hub.push("acme/cart", "1.0", pushed=START)
    (tag,) = client(hub).tags(parse_image("acme/cart:1.0"))
    at = "2026-01-01T00:00:00Z"
    assert tag == Tag(
        "1.0", digest, at, at, tag.size, ("linux/amd64",), images=(("linux/amd64", digest),)
    )
    assert tag.size
    assert hub.requests == [f"GET {TAGS}?page_size=100&page=1&ordering=last_updated"]


def test_an_official_image_is_found_below_library(hub: RegistryStandIn) -> None:
    hub.push("library/nginx", "1.29")
    assert names(client(hub).tags(parse_image("nginx:1.29"))) == ["1.29"]


def test_the_answer_is_sorted_here_because_the_order_is_not_documented(
    hub: RegistryStandIn,
) -> None:
    results = [
        {"name": "never", "last_updated": None},
        {"name": "second", "last_updated": "2026-01-01T00:00:00.5Z"},
        {"name": "first", "tag_last_pushed": "2026-01-01T00:00:00Z"},
        {"name": "third", "last_updated": "2026-01-01T02:00:00+01:00"},
    ]
    body = json.dumps({"count": 4, "next": None, "results": results}).encode()
    hub.fail_with(TAGS, 200, body=body)
    image = parse_image("acme/cart:third")
    assert names(client(hub).tags(image)) == ["third", "second", "first", "never"]


def test_one_page_is_enough_when_it_holds_an_older_tag(hub: RegistryStandIn) -> None:
    push_many(hub, 150)
    registries = client(hub)
    assert len(registries.tags(parse_image("acme/cart:1.140"))) == 100
    assert len(hub.requests) == 1


@pytest.mark.parametrize("running", ["1.50", "1.20", "none"])
def test_pages_are_read_until_one_holds_a_tag_older_than_the_running_one(
    hub: RegistryStandIn, running: str
) -> None:
    push_many(hub, 150)
    digest = hub.service.repositories["acme/cart"].tags.get(running)
    image = parse_image(f"acme/cart@{digest}" if digest else f"acme/cart:{running}")
    registries = client(hub)
    tags = registries.tags(image)
    assert len(tags) == len(set(names(tags))) == 150
    assert len(hub.requests) == 2
    if digest:
        assert choose(tuple(tags), image).names[0] == f"1.{int(running[2:]) - 1}"


@pytest.mark.parametrize(("place", "requests"), [(0, 1), (98, 1), (99, 2), (650, 7), (998, 10)])
def test_of_4000_tags_no_more_pages_are_read_than_the_running_one_needs(
    hub: RegistryStandIn, place: int, requests: int
) -> None:
    for number in range(4000):
        hub.push("acme/cart", f"1.{number}", pushed=START + timedelta(minutes=number))
    registries = client(hub)
    tags = registries.tags(parse_image(f"acme/cart:1.{3999 - place}"))
    assert (len(hub.requests), len(tags)) == (requests, 100 * requests)
    assert tags[place + 1].name == f"1.{3998 - place}"


def test_of_4000_tags_the_oldest_are_out_of_reach_without_a_login(hub: RegistryStandIn) -> None:
    for number in range(4000):
        hub.push("acme/cart", f"1.{number}", pushed=START + timedelta(minutes=number))
    registries = client(hub)
    with pytest.raises(RegistryUnavailableError) as caught:
        registries.tags(parse_image("acme/cart:1.7"))
    assert len(hub.requests) == 11
    assert "DOCKERHUB_USERNAME" in caught.value.hint


def test_4000_tags_of_another_registry_are_four_pages(hub: RegistryStandIn) -> None:
    for number in range(4000):
        hub.push("acme/cart", f"1.{number}")
    registries = Registry(RegistryEndpoint(hub.host), {}, patience=20)
    tags = registries.tags(parse_image(f"{hub.host}/acme/cart:1.3999"))
    assert (len(hub.requests), len(tags)) == (4, 4000)
    assert [tag.name for tag in tags[:2]] == ["1.3999", "1.3998"]


def test_a_next_page_that_is_empty_ends_the_list(hub: RegistryStandIn) -> None:
    body = json.dumps({"next": "https://elsewhere.example/2", "results": []}).encode()
    hub.fail_with(TAGS, 200, body=body)
    assert client(hub).tags(parse_image("acme/cart:1.0")) == ()
    assert len(hub.requests) == 1


def test_the_cap_on_anonymous_paging_is_told_from_no_permission(hub: RegistryStandIn) -> None:
    push_many(hub, 1101)
    with pytest.raises(RegistryUnavailableError) as caught:
        client(hub).tags(parse_image("acme/cart:1.0"))
    assert "pagination offset too large" in caught.value.message
    assert "without a login it shows only the newest tags" in caught.value.message
    assert "set DOCKERHUB_USERNAME and DOCKERHUB_TOKEN" in caught.value.hint
    assert len(hub.requests) == 11


def test_a_missing_repository_may_be_a_private_one(hub: RegistryStandIn) -> None:
    with pytest.raises(RepositoryMissingError) as caught:
        client(hub).tags(parse_image("acme/none:1.0"))
    assert "404 Not Found (object not found)" in caught.value.message
    assert "set DOCKERHUB_USERNAME and DOCKERHUB_TOKEN" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b'{"detail": "unauthorized"}', "401 Unauthorized (unauthorized)"),
        (403, b'{"message": "access denied"}', "403 Forbidden (access denied): no permission"),
        (200, b"<html>log in</html>", "something that is no list of tags"),
        (200, b'{"results": [{"name": "1.0"', "something that is no list of tags"),
        (200, b'{"results": {}}', "something that is no list of tags"),
        (200, b"[]", "something that is no list of tags"),
        (302, b"", "not safe to ask"),
        (418, b"short and stout", "418 I'm a Teapot (short and stout), as no registry should"),
        (299, b"", "it answered 299, as no registry should"),
    ],
)
def test_what_hub_should_not_answer_is_said(
    hub: RegistryStandIn, status: int, body: bytes, words: str
) -> None:
    hub.fail_with(TAGS, status, body=body)
    with pytest.raises(RegistryUnavailableError) as caught:
        client(hub).tags(parse_image("acme/cart:1.0"))
    assert words in caught.value.message
    assert caught.value.hint


def test_with_a_login_hub_is_asked_for_a_token_first_and_once() -> None:
    with RegistryStandIn(accounts={"jane": "secret"}) as hub:
        push_many(hub, 3)
        registries = client(hub, DOCKERHUB_USERNAME="jane", DOCKERHUB_TOKEN="secret")
        for _ in range(2):
            assert len(registries.tags(parse_image("acme/cart:1.2"))) == 3
        assert [request.split("?")[0] for request in hub.requests] == [
            "POST /v2/auth/token",
            f"GET {TAGS}",
            f"GET {TAGS}",
        ]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b'{"detail": "Incorrect"}', "401 Unauthorized (Incorrect)"),
        (200, b"{}", "there is no token in its answer"),
        (200, b'{"access_token": "a\\nb"}', "there is no token in its answer"),
        (307, b"", "307 Temporary Redirect"),
    ],
)
def test_a_failed_login_at_hub_is_said(
    hub: RegistryStandIn, status: int, body: bytes, words: str
) -> None:
    hub.fail_with("/v2/auth/token", status, body=body, headers={"Location": "/other"})
    registries = client(hub, DOCKERHUB_USERNAME="jane", DOCKERHUB_TOKEN="secret")
    with pytest.raises(RegistryUnavailableError, match="a token of the Hub API") as caught:
        registries.tags(parse_image("acme/cart:1.0"))
    assert words in caught.value.message
    assert len(hub.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"login_2fa_token": "eyJ", "detail": "Require secondary authentication"}',
        b'{"detail": "Require secondary authentication on MFA enabled account"}',
    ],
)
def test_a_second_factor_is_answered_by_a_token_of_its_own(
    hub: RegistryStandIn, body: bytes
) -> None:
    hub.fail_with("/v2/auth/token", 401, body=body)
    registries = client(hub, DOCKERHUB_USERNAME="jane", DOCKERHUB_TOKEN="password")
    with pytest.raises(RegistryUnavailableError, match="second factor") as caught:
        registries.tags(parse_image("acme/cart:1.0"))
    assert "personal access token" in caught.value.hint
    assert "eyJ" not in caught.value.message


def test_an_organization_signs_in_with_its_own_name_and_token() -> None:
    with RegistryStandIn(accounts={"acme": "dckr_oat_1"}) as hub:
        push_many(hub, 3)
        registries = client(hub, DOCKERHUB_USERNAME="acme", DOCKERHUB_TOKEN="dckr_oat_1")
        assert len(registries.tags(parse_image("acme/cart:1.2"))) == 3
        assert registries.digest_of(parse_image("acme/cart:1.2"))


def test_a_tag_without_images_is_one_and_an_attestation_is_none(hub: RegistryStandIn) -> None:
    unknown = {"architecture": "unknown", "os": "unknown", "digest": None}
    arm = {"architecture": "arm", "os": "linux", "variant": "v7"}
    for tag in ("bare", "proof", "many"):
        hub.push("acme/cart", tag)
    hub.hub_says("acme/cart", "bare", images=[])
    hub.hub_says("acme/cart", "proof", images=[unknown])
    hub.hub_says("acme/cart", "many", images=[arm, unknown, arm])
    tags = {tag.name: tag for tag in client(hub).tags(parse_image("acme/cart:bare"))}
    assert [tags[name].no_image for name in ("bare", "proof", "many")] == ["", "an attestation", ""]
    assert tags["many"].platforms == ("linux/arm/v7",)
    assert tags["bare"].digest


def test_the_only_image_gives_the_digest_that_an_old_answer_leaves_out() -> None:
    digest = "sha256:" + "a" * 64
    one = {"digest": digest, "os": "linux", "architecture": "amd64"}
    entries: list[object] = [
        {"name": "one", "images": [one]},
        {"name": "two", "images": [one, one]},
        {"name": "odd", "digest": "md5:1", "full_size": True, "images": ["x"]},
        {"name": "not a tag"},
        {"name": None},
        "text",
    ]
    tags = parse_tags(entries)
    assert [(tag.name, tag.digest) for tag in tags] == [
        ("one", digest),
        ("two", None),
        ("odd", None),
    ]
    assert tags[2].size is None


@pytest.mark.parametrize(
    ("file", "count"),
    [("tags-crazymax-diun-page1-2023-02.json", 10), ("results-marqaaron-2021-01.json", None)],
)
def test_recorded_answers_are_read(hub: RegistryStandIn, file: str, count: int | None) -> None:
    if not RECORDED.is_dir():
        pytest.skip(f"recorded Docker Hub answers are not here: {RECORDED}")
    document = json.loads((RECORDED / file).read_bytes())
    page = document if isinstance(document, dict) else {"next": None, "results": document}
    hub.fail_with(TAGS, 200, body=json.dumps({**page, "next": None}).encode())
    tags = client(hub).tags(parse_image("acme/cart:latest"))
    assert len(tags) == (count or len(page["results"]))
    assert all(not tag.no_image and tag.updated and tag.platforms for tag in tags)


# Registries without the Hub API ------------------------------------------------------------------


def test_another_registry_gives_names_the_highest_version_first(hub: RegistryStandIn) -> None:
    for tag in ("1.9", "1.10", "1.2"):
        hub.push("acme/cart", tag)
    tags = Registry(RegistryEndpoint(hub.host), {}, patience=3).tags(
        parse_image(f"{hub.host}/acme/cart:1.10")
    )
    assert names(tags) == ["1.10", "1.9", "1.2"]
    assert tags[0] == Tag("1.10")
    assert hub.requests == ["GET /v2/acme/cart/tags/list?n=1000"]


NO_TIMES: tuple[object, ...] = (
    *("0", "-1", "x", "9" * 18, "9" * 5000),
    *(1700000060500, None, []),
)


@pytest.mark.parametrize(
    ("pushed", "told"),
    [
        ("1700000060500", "2023-11-14T22:14:20.500000+00:00"),
        *((odd, None) for odd in NO_TIMES),
    ],
)
def test_google_s_registries_tell_when_a_tag_was_pushed(
    hub: RegistryStandIn, pushed: object, told: str | None
) -> None:
    digest = "sha256:" + "a" * 64
    about = {"tag": ["main-abc1234", "gone", 7], "timeUploadedMs": pushed, "imageSizeBytes": "1"}
    manifests = {digest: about, "sha256:bad": about, "sha256:" + "b" * 64: {"tag": None}}
    document = {"child": [], "manifest": manifests, "tags": ["main-abc1234", "main-def5678"]}
    hub.fail_with("/v2/acme/", 200, body=json.dumps(document).encode())
    tags = Registry(RegistryEndpoint(hub.host), {}, patience=3).tags(
        parse_image(f"{hub.host}/acme/cart:1.0")
    )
    assert set(tags) == {Tag("main-abc1234", digest, told), Tag("main-def5678")}
    assert tags[0].name == "main-abc1234" or told is None


@pytest.mark.parametrize("host", ["", "http://elsewhere.example", "//elsewhere.example/prefix"])
def test_a_link_is_followed_within_the_host_only(hub: RegistryStandIn, host: str) -> None:
    path = "/v2/acme/cart/tags/list"
    link = f'<{host}{path}?n=2&last=b>; rel="next"'
    hub.push("acme/cart", "c")
    answer = hub.service.answer

    def two_pages(question: Question) -> Reply:
        if "last" in question.query:
            return answer(question)
        return Reply(200, b'{"name": "acme/cart", "tags": ["a", "b", 7, "no tag"]}', {"Link": link})

    hub.answer = two_pages  # type: ignore[method-assign]
    tags = Registry(RegistryEndpoint(hub.host), {}, patience=3).tags(
        parse_image(f"{hub.host}/acme/cart:c")
    )
    assert names(tags) == ["c", "b", "a"]
    assert hub.requests[1] == f"GET {path}?n=2&last=b"


@pytest.mark.parametrize(
    ("link", "asked"),
    [('</x?n=1000>; rel="next"', 2), ('</x>; rel="next"', 1), ("nonsense", 1), (";", 1)],
)
def test_a_link_that_leads_nowhere_new_ends_the_list(
    hub: RegistryStandIn, link: str, asked: int
) -> None:
    hub.fail_with("/v2/acme/", 200, headers={"Link": link}, body=b'{"tags": ["a"]}')
    tags = Registry(RegistryEndpoint(hub.host), {}, patience=3).tags(
        parse_image(f"{hub.host}/acme/cart:a")
    )
    assert names(tags) == ["a"]
    assert len(hub.requests) == asked


@pytest.mark.parametrize("link", ["n=1000", "n=2"], ids=["the first page", "it as it is cut"])
def test_a_link_that_leads_back_is_not_followed_and_what_comes_after_is_asked_for(
    hub: RegistryStandIn, link: str
) -> None:
    def looping(question: Question) -> Reply:
        page = {"b": ["c"], "c": []}.get(question.query.get("last", ""), ["a", "b"])
        return Reply(200, json.dumps({"tags": page}).encode(), {"Link": f'</x?{link}>; rel="next"'})

    hub.answer = looping  # type: ignore[method-assign]
    tags = Registry(RegistryEndpoint(hub.host), {}, patience=3).tags(
        parse_image(f"{hub.host}/acme/cart:a")
    )
    assert names(tags) == ["c", "b", "a"]


@pytest.mark.parametrize(("size", "asked"), [(100, 3), (50, 3), (49, 1)])
def test_a_page_that_is_cut_without_a_word_is_not_taken_for_the_whole_list(
    hub: RegistryStandIn, size: int, asked: int
) -> None:
    every = [f"1.{number:03}" for number in range(size + 3)]

    def capped(question: Question) -> Reply:
        rest = [name for name in every if name > question.query.get("last", "")]
        return Reply(200, json.dumps({"tags": rest[:size]}).encode())

    hub.answer = capped  # type: ignore[method-assign]
    tags = Registry(RegistryEndpoint(hub.host), {}, patience=3).tags(
        parse_image(f"{hub.host}/acme/cart:a")
    )
    assert len(tags) == (size if size == 49 else len(every))
    assert len(hub.requests) <= asked


def test_a_hundred_thousand_tags_are_too_many(hub: RegistryStandIn) -> None:
    body = json.dumps({"tags": [str(number) for number in range(100_001)]}).encode()
    hub.fail_with("/v2/acme/", 200, body=body)
    with pytest.raises(RegistryUnavailableError, match="more than 100000, too many") as caught:
        Registry(RegistryEndpoint(hub.host), {}, patience=30).tags(
            parse_image(f"{hub.host}/acme/cart:a")
        )
    assert "--to" in caught.value.hint


def test_a_list_that_never_ends_is_given_up(
    hub: RegistryStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitops_rollback.registries.oci._MOST_PAGES", 4)

    def endless(question: Question) -> Reply:
        last = f"{question.query.get('last', '')}x"
        body = json.dumps({"tags": [last]}).encode()
        return Reply(200, body, {"Link": f'</x?last={last}>; rel="next"'})

    hub.answer = endless  # type: ignore[method-assign]
    with pytest.raises(RegistryUnavailableError, match="more than 4, too many"):
        Registry(RegistryEndpoint(hub.host), {}, patience=3).tags(
            parse_image(f"{hub.host}/acme/cart:a")
        )


def test_a_list_of_null_is_empty(hub: RegistryStandIn) -> None:
    hub.fail_with("/v2/acme/", 200, body=b'{"name": "acme/cart", "tags": null}')
    assert (
        Registry(RegistryEndpoint(hub.host), {}, patience=3).tags(
            parse_image(f"{hub.host}/acme/cart:a")
        )
        == ()
    )


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>", "something that is no list of tags"),
        (200, b'{"tags": {"a": 1}}', "something that is no list of tags"),
        (200, b'{"errors": []}', "something that is no list of tags"),
        (404, b"404 page not found", "not as a registry does"),
        (403, b'{"errors": [{"code": "DENIED", "message": "no"}]}', "403 Forbidden (DENIED: no)"),
    ],
)
def test_what_a_registry_should_not_answer_is_said(
    hub: RegistryStandIn, status: int, body: bytes, words: str
) -> None:
    hub.fail_with("/v2/acme/", status, body=body)
    with pytest.raises(RegistryUnavailableError) as caught:
        Registry(RegistryEndpoint(hub.host), {}, patience=3).tags(
            parse_image(f"{hub.host}/acme/cart:a")
        )
    assert words in caught.value.message


def test_a_registry_says_which_repository_it_does_not_know(hub: RegistryStandIn) -> None:
    with pytest.raises(RepositoryMissingError, match="NAME_UNKNOWN"):
        Registry(RegistryEndpoint(hub.host), {}, patience=3).tags(
            parse_image(f"{hub.host}/acme/none:a")
        )


def test_a_registry_with_a_hub_url_is_asked_through_it(hub: RegistryStandIn) -> None:
    hub.push("acme/cart", "1.0")
    endpoint = RegistryEndpoint("registry.example", hub_url=hub.url)
    registries = Registry(endpoint, {}, patience=3)
    (tag,) = registries.tags(parse_image("registry.example/acme/cart:1.0"))
    assert tag.pushed


# Addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("ghcr.io", "https://ghcr.io"),
        ("registry.example:5000", "https://registry.example:5000"),
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("127.8.8.8", "http://127.8.8.8"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("127.0.0.1.example", "https://127.0.0.1.example"),
        ("localhost.example", "https://localhost.example"),
    ],
)
def test_only_this_machine_is_asked_without_tls(registry: str, url: str) -> None:
    endpoint = RegistryEndpoint(registry)
    assert endpoint.registry_url == url
    assert endpoint.owns(url)
    assert is_loopback(url) == url.startswith("http://")


def test_docker_io_alone_has_the_hub_api_by_itself() -> None:
    assert RegistryEndpoint("docker.io").hub_api_url == "https://hub.docker.com"
    assert RegistryEndpoint("ghcr.io").hub_api_url is None
    configured = RegistryEndpoint("ghcr.io", "http://mirror.example:80/", "https://hub.example/x/")
    assert configured.registry_url == "http://mirror.example:80"
    assert configured.hub_api_url == "https://hub.example/x"


@pytest.mark.parametrize(
    "url",
    [
        "registry.example",
        "ftp://registry.example",
        "https://",
        "https://jane:secret@registry.example",
        "https://registry.example?x=1",
        "https://registry.example#x",
        "https://registry.example:99999",
        "https://[::1",
        "https://registry.example/\n",
    ],
)
def test_an_address_that_cannot_be_asked_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _ = RegistryEndpoint("docker.io", url).registry_url
    assert caught.value.message == "the registry-url of docker.io is no address that can be asked"
    with pytest.raises(ConfigError, match="hub-url"):
        _ = RegistryEndpoint("docker.io", None, url).hub_api_url
