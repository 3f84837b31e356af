from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.image import parse_image
from gitops_rollback.registries.client import Door, Registry, RegistryHttp
from gitops_rollback.registries.credentials import Access, Credential, RegistryEndpoint, find_access
from gitops_rollback.registries.failures import RegistryUnavailableError
from gitops_rollback.web.answers import Answer
from standin import RegistryStandIn

if TYPE_CHECKING:
    from pathlib import Path

CART = parse_image("acme/cart:1.0")
DOCKER = {"DOCKERHUB_USERNAME": "jane", "DOCKERHUB_TOKEN": "hub-secret"}
REGISTRY = {"REGISTRY_USERNAME": "joe", "REGISTRY_PASSWORD": "registry-secret"}


def found(
    registry: str, url: str, environment: dict[str, str], *, trusted: bool = False
) -> str | None:
    endpoint = RegistryEndpoint(registry, url, trusted=trusted)
    credential = find_access(endpoint, url, environment).credential
    return credential.username if credential else None


def docker_config(folder: Path, auths: dict[str, object]) -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps({"auths": auths}))
    return {"DOCKER_CONFIG": str(folder)}


def packed(pair: str) -> dict[str, str]:
    return {"auth": base64.b64encode(pair.encode()).decode()}


@pytest.mark.parametrize(
    ("registry", "url", "who"),
    [
        ("docker.io", "https://registry-1.docker.io", "jane"),
        ("docker.io", "https://hub.docker.com", "jane"),
        ("docker.io", "https://index.docker.io", "jane"),
        ("docker.io", "http://registry-1.docker.io", None),
        ("docker.io", "https://registry-1.docker.io.evil.example", None),
        ("docker.io", "https://registry-1.docker.io:8443", None),
        ("docker.io", "https://mirror.example", None),
        ("docker.io", "http://127.0.0.1:5000", None),
        ("mirror.example", "https://hub.docker.com", None),
        ("ghcr.io", "https://ghcr.io", None),
    ],
)
def test_the_docker_hub_login_goes_to_docker_hub_alone(
    registry: str, url: str, who: str | None
) -> None:
    assert found(registry, url, DOCKER) == who


@pytest.mark.parametrize(
    ("named", "registry", "url", "who"),
    [
        ("ghcr.io", "ghcr.io", "https://ghcr.io", "joe"),
        ("GHCR.io", "ghcr.io", "https://ghcr.io", "joe"),
        ("ghcr.io:443", "ghcr.io", "https://ghcr.io", "joe"),
        ("r.example:5000", "r.example:5000", "https://r.example:5000", "joe"),
        ("r.example", "r.example:5000", "https://r.example:5000", None),
        ("r.example:5000", "r.example", "https://r.example", None),
        ("ghcr.io", "ghcr.io", "https://evil.example", None),
        ("ghcr.io", "ghcr.io", "http://ghcr.io", None),
        ("mirror.example", "docker.io", "https://mirror.example", "joe"),
        ("mirror.example", "docker.io", "http://mirror.example", None),
        ("localhost:5000", "localhost:5000", "http://localhost:5000", "joe"),
        ("[", "ghcr.io", "https://ghcr.io", None),
        ("", "ghcr.io", "https://ghcr.io", None),
    ],
)
def test_the_registry_login_goes_to_exactly_the_host_it_names(
    named: str, registry: str, url: str, who: str | None
) -> None:
    assert found(registry, url, {**REGISTRY, "REGISTRY_HOST": named}) == who


def test_a_url_of_the_environment_or_an_option_gets_the_registrys_login() -> None:
    assert found("docker.io", "https://mirror.example", DOCKER, trusted=True) == "jane"
    assert found("docker.io", "http://mirror.example", DOCKER, trusted=True) == "jane"
    environment = {**REGISTRY, "REGISTRY_HOST": "ghcr.io"}
    assert found("ghcr.io", "https://mirror.example", environment, trusted=True) == "joe"


@pytest.mark.parametrize("missing", ["DOCKERHUB_USERNAME", "DOCKERHUB_TOKEN"])
def test_half_a_login_is_none(missing: str) -> None:
    assert found("docker.io", "https://hub.docker.com", {**DOCKER, missing: ""}) is None


@pytest.mark.parametrize(
    ("key", "registry", "url", "who"),
    [
        ("https://index.docker.io/v1/", "docker.io", "https://registry-1.docker.io", "ann"),
        ("https://index.docker.io/v1/", "docker.io", "https://hub.docker.com", "ann"),
        ("https://index.docker.io/v1/", "docker.io", "https://mirror.example", None),
        ("ghcr.io", "ghcr.io", "https://ghcr.io", "ann"),
        ("https://ghcr.io/v2/", "ghcr.io", "https://ghcr.io", "ann"),
        ("ghcr.io", "quay.io", "https://quay.io", None),
        ("r.example:5000", "r.example:5000", "https://r.example:5000", "ann"),
        ("mirror.example", "docker.io", "https://mirror.example", "ann"),
    ],
)
def test_docker_s_own_file_is_read_in_all_its_forms_of_keys(
    tmp_path: Path, key: str, registry: str, url: str, who: str | None
) -> None:
    environment = docker_config(tmp_path, {key: packed("ann:secret:with:colons")})
    assert found(registry, url, environment) == who


def test_what_docker_keeps_below_a_host_is_not_taken_for_its_login(tmp_path: Path) -> None:
    """As `docker login` in a browser leaves it, where no helper keeps secrets."""
    auths = {
        "https://index.docker.io/v1/": packed("ann:access"),
        "https://index.docker.io/v1/access-token": packed("jwt:access"),
        "https://index.docker.io/v1/refresh-token": packed("refresh:refresh"),
        "ghcr.io": packed("joe:whole"),
        "ghcr.io/acme": packed("tim:part"),
    }
    for order in (list(auths), list(reversed(auths))):
        environment = docker_config(tmp_path, {key: auths[key] for key in order})
        assert found("docker.io", "https://registry-1.docker.io", environment) == "ann"
        assert found("ghcr.io", "https://ghcr.io", environment) == "joe"


def test_docker_s_file_is_found_at_home_and_stands_behind_the_variables(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    docker_config(tmp_path / ".docker", {"docker.io": {"username": "ann", "password": "x"}})
    home = {"HOME": str(tmp_path)}
    assert found("docker.io", "https://hub.docker.com", home) == "ann"
    assert found("docker.io", "https://hub.docker.com", {**home, **DOCKER}) == "jane"


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"auth": ""},
        {"auth": "not base64!"},
        {"auth": "/////w=="},
        {"auth": "ä\ud800"},
        packed("<token>:"),
        packed("nobody"),
        {"username": "ann"},
        {"username": 1, "password": 2},
        "text",
        None,
    ],
)
def test_an_entry_that_is_no_login_is_passed_over(tmp_path: Path, entry: object) -> None:
    assert found("ghcr.io", "https://ghcr.io", docker_config(tmp_path, {"ghcr.io": entry})) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"auths": []}', "[" * 100000, "\ud800"])
def test_a_file_of_docker_s_that_cannot_be_read_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_bytes(text.encode(errors="surrogatepass"))
    assert found("ghcr.io", "https://ghcr.io", {"DOCKER_CONFIG": str(tmp_path)}) is None
    assert found("ghcr.io", "https://ghcr.io", {"DOCKER_CONFIG": str(tmp_path / "none")}) is None


def test_a_password_is_in_no_repr() -> None:
    credential = Credential("jane", "hub-secret", "somewhere")
    assert "hub-secret" not in repr(credential)
    access = find_access(RegistryEndpoint("docker.io"), "https://hub.docker.com", DOCKER)
    assert "hub-secret" not in repr(access)


# What goes over the wire --------------------------------------------------------------------------


def sent(hub: RegistryStandIn) -> str:
    return json.dumps([*hub.requests, *hub.headers])


def ask_everything(hub: RegistryStandIn, environment: dict[str, str], *, trusted: bool) -> None:
    endpoint = RegistryEndpoint("docker.io", hub.url, hub.url, trusted=trusted)
    registries = Registry(endpoint, environment, patience=3)
    for ask in (registries.tags, registries.digest_of):
        with pytest.raises(RegistryUnavailableError) as caught:
            ask(CART)
        assert "secret" not in caught.value.message + caught.value.hint


def test_a_host_that_only_the_repository_names_sees_no_login() -> None:
    environment = {**DOCKER, **REGISTRY, "REGISTRY_HOST": "ghcr.io"}
    with RegistryStandIn(require_token=True) as hub:
        hub.push("acme/cart", "1.0")
        hub.fail_with("/v2/namespaces/", 401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        hub.fail_with("/v2/acme/", 401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        ask_everything(hub, environment, trusted=False)
        challenge = f'Bearer realm="{hub.url}/token",service="s"'
        hub.fail_with("/v2/acme/", 401, headers={"WWW-Authenticate": challenge})
        ask_everything(hub, environment, trusted=False)
        assert "Basic" not in sent(hub)
        assert "POST" not in sent(hub)
        assert len(hub.requests) == 6


def test_what_withheld_the_login_is_said() -> None:
    with RegistryStandIn(accounts={"jane": "hub-secret"}) as hub:
        registries = Registry(RegistryEndpoint("docker.io", hub.url), DOCKER, patience=3)
        with pytest.raises(RegistryUnavailableError) as caught:
            registries.digest_of(CART)
    assert "goes to no host that only a file names" in caught.value.hint
    assert f"set REGISTRY_HOST, REGISTRY_USERNAME and REGISTRY_PASSWORD (for {hub.host})" in (
        caught.value.hint
    )


def test_the_same_host_sees_the_login_when_the_environment_names_it() -> None:
    with RegistryStandIn(accounts={"jane": "hub-secret"}) as hub:
        digest = hub.push("acme/cart", "1.0")
        endpoint = RegistryEndpoint("docker.io", hub.url, hub.url, trusted=True)
        registries = Registry(endpoint, DOCKER, patience=3)
        assert registries.digest_of(CART) == digest
        assert registries.tags(CART)[0].digest == digest


def test_a_redirect_to_another_host_takes_no_login_along() -> None:
    with RegistryStandIn() as other, RegistryStandIn(accounts={"jane": "hub-secret"}) as hub:
        digest = other.push("acme/cart", "1.0")
        path = "/v2/acme/cart/manifests/1.0"
        endpoint = RegistryEndpoint("docker.io", hub.url, trusted=True)
        registries = Registry(endpoint, DOCKER, patience=3)
        hub.push("acme/cart", "0.9")
        registries.digest_of(parse_image("acme/cart:0.9"))
        hub.fail_with(path, 307, headers={"Location": other.url + path})
        assert registries.digest_of(CART) == digest
        assert "authorization" in hub.headers[-1]
        assert "authorization" not in other.headers[0]


def test_a_login_is_never_posted_to_where_a_redirect_leads() -> None:
    with RegistryStandIn() as other, RegistryStandIn() as hub:
        hub.fail_with("/v2/", 307, headers={"Location": f"{other.url}/v2/auth/token"})
        registries = Registry(
            RegistryEndpoint("docker.io", hub.url, hub.url, trusted=True),
            DOCKER,
            patience=3,
        )
        with pytest.raises(RegistryUnavailableError, match="307"):
            registries.tags(CART)
        assert other.requests == []


def test_a_server_that_repeats_a_login_is_not_quoted() -> None:
    basic = base64.b64encode(b"jane:hub-secret").decode()
    with RegistryStandIn() as hub:
        body = f"do not know hub-secret nor {basic}".encode()
        hub.fail_with("/v2/", 403, body=body)
        endpoint = RegistryEndpoint("docker.io", hub.url, hub.url, trusted=True)
        registries = Registry(endpoint, DOCKER, patience=3)
        for ask in (registries.tags, registries.digest_of):
            with pytest.raises(RegistryUnavailableError) as caught:
                ask(CART)
            assert "hub-secret" not in caught.value.message
            assert basic not in caught.value.message
        with pytest.raises(RegistryUnavailableError, match=r"do not know \*\*\* nor \*\*\*"):
            registries.tags(CART)


def test_a_registry_with_tls_may_not_send_its_users_to_a_server_without() -> None:
    class Challenging(RegistryHttp):
        def send(self, _method: str, url: str, **_: object) -> Answer:  # type: ignore[override]
            sent_to.append(url)
            challenge = {"WWW-Authenticate": 'Bearer realm="http://auth.example/token"'}
            return Answer(url, 401, challenge, b"")

    sent_to: list[str] = []
    http = Challenging({}, 3)
    access = Access(Credential("jane", "hub-secret", "x"), "")
    door = Door(http, "https://registry.example", access)
    with pytest.raises(RegistryUnavailableError, match="no safe address of a token server"):
        door.send("GET", "/v2/", what="it", scope="s", headers={}, largest=1000)
    assert sent_to == ["https://registry.example/v2/"]


HELPER = """\
#!/bin/sh
read -r address
echo "$1 $address" >> "$0.asked"
case $address in
  *{host}*) printf '{{"ServerURL": "%s", "Username": "{user}", "Secret": "{secret}"}}' "$address" ;;
  *) echo "credentials not found in native keychain"; exit 1 ;;
esac
"""


def helper(folder: Path, name: str, script: str = "", **fields: str) -> dict[str, str]:
    """Install a credential helper, and return the environment in which it is found."""
    known = {"host": "ghcr.io", "user": "keychain-user", "secret": "keychain-secret"}
    program = folder / f"docker-credential-{name}"
    program.write_text(script or HELPER.format(**{**known, **fields}))
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin", "DOCKER_CONFIG": str(folder)}


def configure(folder: Path, **config: object) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def asked(folder: Path, name: str) -> list[str]:
    file = folder / f"docker-credential-{name}.asked"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.parametrize(
    ("config", "registry", "who", "questions"),
    [
        ({"credHelpers": {"ghcr.io": "pass"}}, "ghcr.io", "keychain-user", ["get ghcr.io"]),
        ({"credHelpers": {"ghcr.io": "pass"}}, "quay.io", None, []),
        ({"credsStore": "pass"}, "ghcr.io", "keychain-user", ["get ghcr.io"]),
        ({"credsStore": "pass"}, "quay.io", None, ["get quay.io"]),
        ({"credsStore": "other", "credHelpers": {"ghcr.io": "pass"}}, "ghcr.io", "keychain-user",
         ["get ghcr.io"]),
        ({"credsStore": "pass", "auths": {"quay.io": packed("ann:x")}}, "quay.io", "ann",
         ["get quay.io"]),
        ({"credHelpers": {"ghcr.io": "../../bin/pass"}}, "ghcr.io", None, []),
        ({"credHelpers": {"ghcr.io": 7}, "credsStore": []}, "ghcr.io", None, []),
    ],
)  # fmt: skip
def test_a_credential_helper_is_asked_for_the_host_whose_turn_it_is(
    tmp_path: Path, config: dict[str, object], registry: str, who: str | None, questions: list[str]
) -> None:
    environment = helper(tmp_path, "pass")
    configure(tmp_path, **config)
    assert found(registry, f"https://{registry}", environment) == who
    assert asked(tmp_path, "pass") == questions


def test_a_helper_knows_docker_hub_by_docker_s_own_name_for_it(tmp_path: Path) -> None:
    environment = helper(tmp_path, "pass", host="index.docker.io")
    configure(tmp_path, credsStore="pass")
    for url in ("https://registry-1.docker.io", "https://hub.docker.com"):
        assert found("docker.io", url, environment) == "keychain-user"
    assert set(asked(tmp_path, "pass")) == {"get https://index.docker.io/v1/"}


def test_a_host_that_only_a_file_names_gets_nothing_of_a_helper_but_its_own(tmp_path: Path) -> None:
    environment = helper(tmp_path, "pass")
    configure(tmp_path, credsStore="pass", credHelpers={"docker.io": "pass"})
    assert found("docker.io", "https://mirror.example", environment) is None
    assert asked(tmp_path, "pass") == ["get mirror.example"]


def test_a_login_of_the_environment_needs_no_helper(tmp_path: Path) -> None:
    environment = {**helper(tmp_path, "pass"), "REGISTRY_HOST": "ghcr.io", **REGISTRY}
    configure(tmp_path, credsStore="pass")
    assert found("ghcr.io", "https://ghcr.io", environment) == "joe"
    assert asked(tmp_path, "pass") == []


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/bin/sh\necho top-secret; exit 3\n", "failed (3)"),
        ("#!/bin/sh\necho top-secret\n", "answered no user name and secret"),
        ("#!/bin/sh\nexec yes top-secret\n", "answered more than 64 kB"),
        ("#!/bin/sh\nyes top-secret >&2 &\nexec sleep 20\n", "did not answer within 1 s"),
        ("#!/bin/sh\nexec sleep 20\n", "did not answer within 1 s"),
        ("#!/bin/sh\nsleep 20 & sleep 20\n", "did not answer within 1 s"),
        ("#!/nowhere/sh\n", "cannot be run: No such file or directory"),
    ],
)
def test_a_helper_that_fails_is_named_and_not_quoted(
    tmp_path: Path, script: str, words: str
) -> None:
    environment = helper(tmp_path, "pass", script)
    configure(tmp_path, credsStore="pass")
    endpoint = RegistryEndpoint("ghcr.io")
    access = find_access(endpoint, "https://ghcr.io", environment, 1.0)
    assert access.credential is None
    assert f"docker-credential-pass {words}" in access.hint
    assert "top-secret" not in access.hint


@pytest.mark.parametrize("key", ["username", "password", "identitytoken"])
def test_a_login_with_half_a_character_is_as_none(tmp_path: Path, key: str) -> None:
    login = {"username": "jane", "password": "hub-secret", key: "\ud800x"}
    configure(tmp_path, auths={"ghcr.io": login, "quay.io": {**login, "auth": "amFuZTpzZWNyZXQ="}})
    environment = {"DOCKER_CONFIG": str(tmp_path)}
    told = "jane" if key == "identitytoken" else None  # the password beside it still serves
    assert found("ghcr.io", "https://ghcr.io", environment) == told
    assert found("quay.io", "https://quay.io", environment) == "jane"


def test_a_helper_that_answers_half_a_character_gives_no_login(tmp_path: Path) -> None:
    said = '#!/bin/sh\necho \'{"Username": "jane", "Secret": "\\ud800x"}\'\n'
    environment = helper(tmp_path, "pass", said)
    configure(tmp_path, credsStore="pass")
    access = find_access(RegistryEndpoint("ghcr.io"), "https://ghcr.io", environment, 1.0)
    assert access.credential is None
    assert "answered no user name and secret" in access.hint


def test_a_password_of_bytes_that_are_no_text_is_not_quoted_either() -> None:
    secret = os.fsdecode(b"top-\xff-secret")
    with RegistryStandIn() as hub:
        hub.fail_with("/v2/", 403, body=b"do not know top-\xff-secret")
        environment = {"DOCKERHUB_USERNAME": "jane", "DOCKERHUB_TOKEN": secret}
        endpoint = RegistryEndpoint("docker.io", hub.url, hub.url, trusted=True)
        with pytest.raises(RegistryUnavailableError, match=r"do not know \*\*\*"):
            Registry(endpoint, environment, patience=3).tags(CART)


def test_what_is_no_file_of_docker_s_is_as_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    (tmp_path / "endless").mkdir()
    (tmp_path / "endless" / "config.json").symlink_to("/dev/zero")
    for folder in (tmp_path, tmp_path / "endless", tmp_path / "nowhere"):
        assert found("ghcr.io", "https://ghcr.io", {"DOCKER_CONFIG": str(folder)}) is None


def test_a_helper_s_login_opens_a_private_repository_and_its_time_counts(tmp_path: Path) -> None:
    with RegistryStandIn(accounts={"keychain-user": "keychain-secret"}) as hub:
        digest = hub.push("acme/cart", "1.0")
        environment = helper(tmp_path, "pass", host="127.0.0.1")
        configure(tmp_path, credHelpers={hub.host: "pass"})
        image = parse_image(f"{hub.host}/acme/cart:1.0")
        endpoint = RegistryEndpoint(hub.host)
        assert Registry(endpoint, environment, patience=3).digest_of(image) == digest
        slow = HELPER.replace("read -r", "sleep 1; read -r")
        fields = {"host": "127.0.0.1", "user": "keychain-user", "secret": "keychain-secret"}
        helper(tmp_path, "pass", slow.format(**fields))
        with pytest.raises(RegistryUnavailableError, match="used up"):
            Registry(endpoint, environment, patience=1).digest_of(image)
