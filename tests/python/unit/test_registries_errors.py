from __future__ import annotations

import gzip
import logging
import socket
import threading
import time
from contextlib import suppress
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.clock import Deadline
from gitops_rollback.image import parse_image
from gitops_rollback.look.registry import RegistryFacts
from gitops_rollback.registries.client import Registry
from gitops_rollback.registries.credentials import RegistryEndpoint
from gitops_rollback.registries.failures import RegistryUnavailableError
from gitops_rollback.services.config import Config
from gitops_rollback.web.answers import Answer
from standin import RegistryStandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANIFEST = "/v2/acme/cart/manifests/"
TAGS = "/v2/namespaces/acme/repositories/cart/tags"
CART = parse_image("acme/cart:1.0")


@pytest.fixture
def hub() -> Iterator[RegistryStandIn]:
    with RegistryStandIn() as standin:
        yield standin


def tags_of_docker(environment: dict[str, str], patience: float = 3) -> object:
    return Registry(RegistryEndpoint("docker.io"), environment, patience=patience).tags(CART)


def client(url: str, patience: float = 3, **environment: str) -> Registry:
    endpoint = RegistryEndpoint("docker.io", url, url)
    return Registry(endpoint, environment, patience=patience)


def refusal(ask: Callable[[], object]) -> RegistryUnavailableError:
    with pytest.raises(RegistryUnavailableError) as caught:
        ask()
    assert caught.value.hint
    return caught.value


def serve_raw(answer: bytes, drip: float = 0) -> tuple[str, threading.Thread]:
    """A server that answers one connection with these bytes, if need be one at a time."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        connection, _ = listener.accept()
        with listener, connection:
            connection.recv(65536)
            step = 1 if drip else max(1, len(answer))
            with suppress(ConnectionError):  # who asked has lost patience
                for start in range(0, len(answer), step):
                    connection.sendall(answer[start : start + step])
                    time.sleep(drip)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return f"http://127.0.0.1:{port}", thread


# No answer ----------------------------------------------------------------------------------------


def test_a_port_where_nothing_listens_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    error = refusal(lambda: client(url).digest_of(CART))
    host = url.removeprefix("http://")
    what = "the manifest of docker.io/acme/cart:1.0"
    assert error.message == f"asked {host} for {what}: connection refused"


def test_a_name_without_an_address_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = refusal(lambda: tags_of_docker({}))
    assert error.message.startswith("asked hub.docker.com for the tags of docker.io/acme/cart: no")
    assert "DNS" in error.hint


def test_a_slow_name_look_up_costs_no_more_than_the_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()

    def slow(*_: object, **__: object) -> None:
        release.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "late")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    error = refusal(lambda: tags_of_docker({}, 0.2))
    release.set()
    assert "no complete answer within 0.2 s" in error.message
    assert "--timeout" in error.hint


def test_a_server_that_accepts_and_says_nothing_times_out_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        registries = client(f"http://127.0.0.1:{listener.getsockname()[1]}", 0.2)
        first = refusal(lambda: registries.digest_of(CART))
        second = refusal(lambda: registries.tags(CART))
        listener.settimeout(0)
        listener.accept()[0].close()
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert "no complete answer within 0.2 s" in first.message
    asked = ("the manifest of docker.io/acme/cart:1.0", "the tags of docker.io/acme/cart")
    assert second.message == first.message.replace(*asked), "each says what it was about"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 200,
        b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b" " * 200,
    ],
)
def test_a_server_that_drips_bytes_does_not_beat_the_bound(answer: bytes) -> None:
    url, _ = serve_raw(answer, drip=0.25)  # each byte in time, and 50 s for all of them
    error = refusal(lambda: client(url, 0.3).tags(CART))
    assert "no complete answer within 0.3 s" in error.message


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
)
def test_an_answer_that_breaks_off_is_said(answer: bytes) -> None:
    url, thread = serve_raw(answer)
    error = refusal(lambda: client(url).tags(CART))
    assert error.message.endswith(" broke off") or "broke off before" in error.message
    thread.join(5)


OK = b"HTTP/1.1 200 OK\r\n"
ODD = {
    OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello": "contradict each other",
    OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello": "or damaged",
    OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n": "be read (ValueError)",
    b"HTTP/1.1 302 F\r\nContent-Length: 0\r\nLocation: https://a..b/\r\n\r\n": "no address to ask",
    OK + b"X: " + b"a" * 100_000 + b"\r\n\r\n": "is no HTTP",
    b"HTTP/1.1 abc OK\r\n\r\n": "is no HTTP",
    b"SSH-2.0-OpenSSH_9.2\r\n": "is no HTTP",
}


@pytest.mark.parametrize("answer", ODD, ids=range(len(ODD)))
def test_of_an_odd_answer_is_said_what_was_odd_and_what_to_look_at(answer: bytes) -> None:
    url, thread = serve_raw(answer)
    error = refusal(lambda: client(url).tags(CART))
    assert error.message.endswith(ODD[answer])
    assert "address" in error.hint
    thread.join(5)


def test_a_server_without_tls_is_said(hub: RegistryStandIn) -> None:
    url = hub.url.replace("http://", "https://")
    error = refusal(lambda: client(url).tags(CART))
    assert "no trusted TLS connection: " in error.message
    assert "REQUESTS_CA_BUNDLE" in error.hint


def test_a_ca_bundle_that_is_not_there_is_said(hub: RegistryStandIn) -> None:
    url = hub.url.replace("http://", "https://")
    error = refusal(lambda: client(url, REQUESTS_CA_BUNDLE="/none/ca.pem").tags(CART))
    assert error.message.endswith("REQUESTS_CA_BUNDLE names no file")


def test_what_nobody_thought_of_is_named_by_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(*_: object, **__: object) -> None:
        raise ValueError("odd")

    monkeypatch.setattr("urllib3.PoolManager.urlopen", odd)
    error = refusal(lambda: tags_of_docker({}))
    assert error.message.endswith("its answer could not be read (ValueError)")
    assert "look at its address" in error.hint


def test_a_host_that_is_not_reached_does_not_stop_another(hub: RegistryStandIn) -> None:
    digest = hub.push("acme/cart", "1.0")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = f"http://127.0.0.1:{listener.getsockname()[1]}"
    registries = Registry(RegistryEndpoint("docker.io", hub.url, closed), {}, patience=3)
    refusal(lambda: registries.tags(CART))
    assert registries.digest_of(CART) == digest


def test_when_the_patience_is_used_up_nothing_more_is_asked(hub: RegistryStandIn) -> None:
    hub.delay(TAGS, 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = f"http://127.0.0.1:{listener.getsockname()[1]}"
        registries = Registry(RegistryEndpoint("docker.io", hub.url, silent), {}, patience=0.1)
        refusal(lambda: registries.tags(CART))
    error = refusal(lambda: registries.digest_of(CART))
    assert "was not asked" in error.message
    assert "the 0.1 s for waiting are used up" in error.message
    assert hub.requests == []


# Answers of trouble -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_host_in_trouble_is_asked_once(hub: RegistryStandIn, status: int) -> None:
    hub.fail_with("/v2/", status, body=b"Too Many Requests (HAP429).\n")
    registries = client(hub.url)
    first = refusal(lambda: registries.tags(CART))
    second = refusal(lambda: registries.digest_of(CART))
    assert f"it answered {status} " in first.message
    assert "(Too Many Requests (HAP429).)" in first.message
    assert (second.message, second.hint) == (first.message, first.hint)
    assert len(hub.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_to_one_repository_is_none_to_another(hub: RegistryStandIn, status: int) -> None:
    digest = hub.push("acme/shop", "1.0")
    hub.fail_with(MANIFEST, status)
    registries = client(hub.url)
    error = refusal(lambda: registries.digest_of(CART))
    assert f"it answered {status} " in error.message
    assert registries.digest_of(parse_image("acme/shop:1.0")) == digest


def test_a_check_does_not_wait_for_a_busy_host_but_says_when_it_is_free(
    hub: RegistryStandIn, pauses: list[float]
) -> None:
    hub.fail_with("/v2/", 429, headers={"Retry-After": "60"})
    error = refusal(lambda: client(hub.url).tags(CART))
    assert pauses == []
    assert "429 Too Many Requests; it may be asked again in 60 s, at " in error.message
    assert error.message.endswith(" UTC")
    assert "sign in for a higher limit" in error.hint


@pytest.mark.parametrize(
    ("headers", "when", "wait"),
    [
        ({}, "", "wait a while"),
        ({"Retry-After": "soon"}, "", "wait a while"),
        ({"Retry-After": "0.5"}, "in 1 s", "wait until then"),
        ({"Retry-After": "-5"}, "in 1 s", "wait until then"),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, "in 1 s", "wait until then"),
        ({"Retry-After": "1000000001"}, "in 1 s", "wait until then"),
        ({"Retry-After": "9" * 60}, "for a day or more", "wait until then"),
    ],
)
def test_when_a_busy_host_may_be_asked_again_is_said_as_far_as_it_says_so(
    hub: RegistryStandIn, pauses: list[float], headers: dict[str, str], when: str, wait: str
) -> None:
    hub.fail_with("/v2/", 429, headers=headers)
    error = refusal(lambda: client(hub.url).tags(CART))
    assert pauses == []
    assert when in error.message
    assert ("asked again" in error.message) is bool(when)
    assert wait in error.hint


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch, hub: RegistryStandIn) -> list[float]:
    """Pauses that were made: none lasts, and the host recovers after the second."""
    made: list[float] = []

    def pause(seconds: float) -> None:
        made.append(seconds)
        if len(made) == 2:
            hub.recover()

    monkeypatch.setattr("gitops_rollback.web.http.sleep", pause)
    return made


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, lambda _now: {"Retry-After": "7"}, 7),
        (503, lambda _now: {"Retry-After": "7"}, 7),
        (429, lambda now: {"Retry-After": formatdate(now + 30, usegmt=True)}, 30),
        (429, lambda now: {"X-Retry-After": str(int(now) + 30)}, 30),
        (
            429,
            lambda now: {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(now) + 30)},
            30,
        ),
        (429, lambda _now: {"Retry-After": "0"}, 1),
        (429, lambda _now: {"X-Retry-After": "1"}, 1),
    ],
)
def test_with_time_to_wait_a_busy_host_is_waited_for_as_long_as_it_says(
    hub: RegistryStandIn,
    pauses: list[float],
    caplog: pytest.LogCaptureFixture,
    status: int,
    headers: Callable[[float], dict[str, str]],
    seconds: float,
) -> None:
    digest = hub.push("acme/cart", "1.0")
    hub.fail_with("/v2/", status, headers=headers(time.time()))
    with caplog.at_level(logging.INFO, logger="gitops_rollback"):
        assert client(hub.url, 120).digest_of(CART) == digest
    assert pauses == pytest.approx([seconds, seconds], abs=20)
    assert len(caplog.messages) == 2
    assert f"answered {status} for the manifest of docker.io/acme/cart:1.0: waiting" in caplog.text


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, {}),
        (429, {"Retry-After": "soon"}),
        (429, {"X-Retry-After": "nan"}),
        (429, {"X-Retry-After": "inf"}),
        (429, {"Retry-After": "9" * 500}),
        (429, {"Retry-After": "11"}),
        (429, {"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "1"}),
        (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"}),
        (500, {"Retry-After": "1"}),
    ],
)
def test_a_host_that_names_no_time_within_the_patience_is_not_waited_for(
    hub: RegistryStandIn, pauses: list[float], status: int, headers: dict[str, str]
) -> None:
    hub.fail_with("/v2/", status, headers=headers)
    assert f"{status} " in refusal(lambda: client(hub.url, 10).digest_of(CART)).message
    assert pauses == []


@pytest.mark.parametrize("status", [502, 503, 504])
def test_what_is_needed_is_asked_for_again_where_a_host_is_out_of_order_for_a_moment(
    hub: RegistryStandIn, pauses: list[float], status: int
) -> None:
    digest = hub.push("acme/cart", "1.0")
    hub.fail_with("/v2/", status)
    assert client(hub.url, 10).digest_of(CART) == digest
    assert pauses == [0.2, 0.4]
    assert len(hub.requests) == 3
    hub.fail_with("/v2/", status)
    assert f"{status} " in refusal(lambda: client(hub.url, 3).digest_of(CART)).message
    assert len(hub.requests) == 4, "what is only checked is asked once"


def test_waiting_again_and_again_ends_with_the_patience(
    hub: RegistryStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[float] = []
    monkeypatch.setattr("gitops_rollback.web.http.sleep", made.append)
    hub.fail_with("/v2/", 429, headers={"Retry-After": "0"})
    refusal(lambda: client(hub.url, 5).digest_of(CART))
    assert made == [1, 1, 1, 1]


# Sizes, redirects, words --------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_that_is_larger_than_any_page_is_not_read(
    hub: RegistryStandIn, *, packed: bool
) -> None:
    body = b" " * 3_100_000
    headers = {"Content-Encoding": "gzip"} if packed else {}
    hub.fail_with("/v2/", 200, body=gzip.compress(body) if packed else body, headers=headers)
    error = refusal(lambda: client(hub.url).tags(CART))
    assert "the answer is larger than 3 MB" in error.message


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "ZSTD", "gzip,aws-chunked"])
def test_an_answer_that_is_packed_twice_or_as_nobody_asked_is_not_unpacked(
    hub: RegistryStandIn, encoding: str
) -> None:
    body = gzip.compress(gzip.compress(b'{"tags": ["1.0"]}'))
    hub.fail_with("/v2/", 200, body=body, headers={"Content-Encoding": encoding})
    error = refusal(lambda: client(hub.url).tags(CART))
    assert "its answer is packed as nobody asked for, or damaged" in error.message
    assert "something else may have answered" in error.hint


def test_a_redirect_is_followed_and_counted(hub: RegistryStandIn) -> None:
    digest = hub.push("acme/shop", "1.0")
    hub.fail_with(MANIFEST, 307, headers={"Location": "/v2/acme/shop/manifests/1.0"})
    registries = client(hub.url)
    assert registries.digest_of(CART) == digest
    assert len(hub.requests) == 2


@pytest.mark.parametrize("location", ["ftp://x/", "http://[", "http://u:p@host/", ""])
def test_a_redirect_to_nowhere_is_not_followed(hub: RegistryStandIn, location: str) -> None:
    hub.fail_with(MANIFEST, 302, headers={"Location": location})
    error = refusal(lambda: client(hub.url).digest_of(CART))
    assert "an address that is not safe to ask" in error.message
    assert len(hub.requests) == 1


def test_redirects_in_a_circle_end(hub: RegistryStandIn) -> None:
    hub.fail_with(MANIFEST, 302, headers={"Location": f"{MANIFEST}1.0"})
    assert "more than 5 redirects" in refusal(lambda: client(hub.url).digest_of(CART)).message
    assert len(hub.requests) == 6


def test_words_of_a_server_are_shortened_and_cleaned(hub: RegistryStandIn) -> None:
    hub.fail_with("/v2/", 403, body=b"\x1b[31mno\r\nway\x00 \xff" + b"x" * 5000)
    message = refusal(lambda: client(hub.url).tags(CART)).message
    assert message.isprintable()
    assert "[31mno way" in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"detail": "d", "message": "m"}', "(d)"),
        (b'{"message": "m", "errinfo": {}}', "(m)"),
        (b'{"detail": "Rate limit exceeded", "error": false}', "(Rate limit exceeded)"),
        (b'{"errors": [{"code": "DENIED", "message": "no"}]}', "(DENIED: no)"),
        (b'{"errors": []}', ""),
        (b'{"errors": ["text"]}', ""),
        (b'{"errors": "text", "message": 5}', ""),
        (b" <!DOCTYPE html>", "(a web page)"),
        (b"plain", "(plain)"),
        (b"", ""),
    ],
)
def test_every_form_of_error_is_understood(body: bytes, words: str) -> None:
    assert str(Answer("https://x/", 403, {}, body)) == f"403 Forbidden {words}".rstrip()


# Proxies ------------------------------------------------------------------------------------------


def test_a_proxy_of_the_environment_is_used_but_not_for_this_machine(
    hub: RegistryStandIn,
) -> None:
    hub.fail_with("/v2/", 200, body=b'{"tags": ["1.0"]}')
    endpoint = RegistryEndpoint("r.example", "http://r.example")
    registries = Registry(endpoint, {"http_proxy": hub.url}, patience=3)
    assert registries.tags(parse_image("r.example/acme/cart:1.0"))
    assert hub.requests == ["GET http://r.example/v2/acme/cart/tags/list?n=1000"]
    elsewhere = {"HTTP_PROXY": "http://127.0.0.1:1"}
    assert Registry(RegistryEndpoint(hub.host), elsewhere, patience=3).tags(
        parse_image(f"{hub.host}/acme/cart:1.0")
    )


def test_a_proxy_that_fails_is_told_from_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = {"ALL_PROXY": "http://jane:secret@127.0.0.1:1"}
    error = refusal(lambda: tags_of_docker(proxy))
    assert error.message.endswith("through the proxy: connection refused")
    assert "secret" not in error.message + error.hint
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    free = {**proxy, "NO_PROXY": "docker.com"}
    error = refusal(lambda: tags_of_docker(free))
    assert "proxy:" not in error.message


@pytest.mark.parametrize(
    "proxy", ["https://user:secret@", "http://", "http://[::1", "http://proxy:99999", "a b:c\x1b"]
)
def test_a_proxy_that_is_no_address_is_said_and_not_repeated(proxy: str) -> None:
    error = refusal(
        lambda: Registry(RegistryEndpoint("docker.io"), {"https_proxy": proxy}, patience=3).tags(
            CART
        )
    )
    assert error.message.endswith("the environment's proxy is no address")
    assert "https_proxy" in error.hint
    assert "secret" not in error.message + error.hint


def test_a_proxy_that_speaks_socks_is_said() -> None:
    environment = {"https_proxy": "socks5://proxy.example:1080"}
    error = refusal(
        lambda: Registry(RegistryEndpoint("docker.io"), environment, patience=3).tags(CART)
    )
    assert "the environment's proxy speaks no HTTP" in error.message
    assert "SOCKS is not spoken" in error.hint


def test_a_surrounding_netrc_and_proxy_are_not_read(
    hub: RegistryStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("default login jane password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    hub.push("acme/cart", "1.0")
    client(hub.url).digest_of(CART)
    assert "authorization" not in hub.headers[0]


def test_what_is_only_checked_is_not_asked_for_where_the_time_of_the_run_is_up() -> None:
    """Else the run ends by its own clock, which says that it computed."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        facts = RegistryFacts(Config(), {}, Deadline(0), hub_url=url, registry_url=url)
        assert "are used up" in facts.check(CART, CART).message
        assert "are used up" in facts.revision(CART).problem


def test_a_registry_that_took_all_the_time_of_the_run_ends_it() -> None:
    """To go by the tag alone would be no way out then."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        facts = RegistryFacts(Config(), {}, Deadline(0.3), hub_url=url, registry_url=url)
        with pytest.raises(RegistryUnavailableError, match="no complete answer within"):
            facts.digest(CART, patient=True)


@pytest.mark.parametrize(
    "body",
    [b'{"tags":[' + b"{}," * 600_000 + b"{}]}", b'{"tags":[' + b"[" * 1_100_000],
    ids=["objects", "levels"],
)
def test_an_answer_of_more_values_than_can_be_of_use_is_none(body: bytes) -> None:
    answer = Answer("https://registry.example/", 200, {}, body)
    assert answer.json is None
    assert Answer(answer.url, 200, {}, b'{"a":[1,2]}').json_of(4) == {"a": [1, 2]}
    assert Answer(answer.url, 200, {}, b'{"a":[1,2]}').json_of(2) is None
