"""The configuration: every key, every error with the nearest right one, environments and sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitops_rollback import schema
from gitops_rollback.errors import ConfigError
from gitops_rollback.ledger.holds import FOLDER as HELD
from gitops_rollback.ledger.records import parse_record
from gitops_rollback.ledger.state import parse_state, render_state
from gitops_rollback.look.environment_files import Paths, likely_paths
from gitops_rollback.model import is_name, is_safe_path, one_line, whole_number
from gitops_rollback.services.config import Config, Environment, parse_config
from gitops_rollback.services.inventory import glob_pattern, glob_root

WHOLE = """\
[defaults]
manifests = ["apps/{service}/*.yaml"]       # globs below the environment's path
image = "docker.io/acme/{service}"
urls = ["https://git.acme.com/manifests"]
deploy-job = "shop/{service}"
pin = "digest"
hold = "service"
storage-guard = "warn"
[environments.staging]
path = "clusters/staging"
branch = "main"
[services.cart]
containers = ["server"]
manifests = ["cart/deployment.yaml"]
query = "tags[?older && starts_with(name, 'v')]"
kinds = { Job = "/spec/template/spec" }
[sets]
checkout = ["cart", "payment"]
[registries."docker.io"]
hub-url = "https://hub.docker.com"
registry-url = "https://registry-1.docker.io"
"""
SHA = "sha256:" + "ab" * 32
RECORD = {
    "schemaVersion": 1,
    "service": "cart",
    "environment": "production",
    "repository": "https://github.com/acme/manifests.git",
    "branch": "main",
    "commit": "0" * 40,
    "image": f"docker.io/acme/cart:1.4.2@{SHA}",
    "digestFrom": "manifest",
    "action": "deploy",
    "fields": [
        {
            "path": "clusters/production/apps/cart/deployment.yaml",
            "document": 0,
            "kind": "Deployment",
            "name": "cart",
            "container": "server",
            "pointer": "/spec/template/spec/containers/0/image",
            "image": "docker.io/acme/cart:1.4.2",
            "value": "acme/cart:1.4.2",
        }
    ],
    "manifests": [{"path": "clusters/x.yaml", "sha256": SHA, "copied": True}],
    "replacedBy": f"docker.io/acme/cart:1.5.0@{SHA}",
    "unchanged": False,
    "build": {"job": "shop/cart", "number": 41, "url": "https://jenkins.example/job/41/"},
    "recordedAt": "2026-01-31T02:03:04Z",
    "by": "jane",
}
ENTRY = {
    "id": "0123456789ab",
    "action": "rollback",
    "image": f"docker.io/acme/cart:1.4.2@{SHA}",
    "from": "docker.io/acme/cart:1.5.0",
    "at": "2026-01-31T02:03:04Z",
    "by": "jane",
    "reason": "it crashed",
    "build": {"job": "shop/rollback", "number": 7},
    "record": SHA,
}
STATE = {
    "schemaVersion": 1,
    "service": "cart",
    "environment": "production",
    "deployed": [ENTRY],
    "bad": [
        {
            "image": "docker.io/acme/cart:1.5.0",
            "reason": "it crashed",
            "by": "jane",
            "at": "2026-01-31T02:03:04Z",
        }
    ],
    "hold": {
        "from": "docker.io/acme/cart:1.5.0",
        "to": f"docker.io/acme/cart:1.4.2@{SHA}",
        "by": "jane",
        "reason": "it crashed",
        "at": "2026-01-31T02:03:04Z",
        "build": {"job": "shop/rollback", "number": 7},
        "markers": [{"path": "a.yaml", "container": "server", "marker": "{}"}],
    },
}


def config(text: str) -> Config:
    return parse_config(text.encode(), "trunk")


def test_the_configuration_of_the_design_is_read_in_full() -> None:
    found = config(WHOLE)
    assert found.environments["staging"] == Environment("staging", "clusters/staging", "main")
    cart = found.settings("cart")
    assert cart.configured
    assert cart.manifests == ("cart/deployment.yaml",)
    assert cart.image is not None
    assert cart.image.full_repository == "docker.io/acme/cart"
    assert cart.containers == {"server"}
    assert (cart.deploy_job, cart.pin, cart.hold, cart.storage_guard) == (
        "shop/cart",
        "digest",
        "service",
        "warn",
    )
    assert cart.query == "tags[?older && starts_with(name, 'v')]"
    assert cart.kinds == {"Job": "/spec/template/spec"}
    assert found.sets == {"checkout": ("cart", "payment")}
    assert found.registries["docker.io"].hub_url == "https://hub.docker.com"
    assert found.registries["docker.io"].registry_url == "https://registry-1.docker.io"


def test_defaults_are_filled_with_the_service_s_name() -> None:
    payment = config(WHOLE).settings("payment")
    assert payment.manifests == ("apps/payment/*.yaml",)
    assert str(payment.image) == "docker.io/acme/payment"
    assert payment.deploy_job == "shop/payment"
    assert payment.query is None


def test_without_a_file_there_is_one_environment_and_nothing_is_configured() -> None:
    assert Config().choose_environment(None) == Environment("default")
    assert Config().choose_environment("default").holds("any/path.yaml")
    settings = Config().settings("cart")
    assert not settings.configured
    assert (settings.pin, settings.hold, settings.storage_guard) == ("digest", "service", "warn")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[default]\n", "unknown key default", "did you mean defaults?"),
        ("[enviroments.x]\n", "unknown key enviroments", "did you mean environments"),
        ("[defaults]\nmanifest = ['a']\n", "unknown key manifest in defaults", "manifests?"),
        ("[services.cart]\nqery = 'x'\n", "unknown key qery in services.cart", "query?"),
        ("[services.cart]\nstorage_guard = 'x'\n", "storage_guard", "storage-guard?"),
        ("[environments.x]\nbranches = 'x'\n", "environments.x", "did you mean branch?"),
        ("[registries.x]\nhub = 'https://x'\n", "unknown key hub", "hub-url"),
        ("[registries.x]\nzzz = 'x'\n", "unknown key zzz", "known keys: hub-url, registry-url"),
        ("[defaults]\npin = 'tags'\n", "defaults.pin", ""),
        ("[defaults]\nhold = true\n", "defaults.hold", ""),
        ("[defaults]\nstorage-guard = 'off'\n", "defaults.storage-guard", ""),
        ("[defaults]\nmanifests = 'a.yaml'\n", "defaults.manifests", ""),
        ("[defaults]\nmanifests = []\n", "defaults.manifests", ""),
        ("[services.cart]\nkinds = { Job = 'spec' }\n", "kinds", ""),
        ("[services]\ncart = 1\n", "services.cart", ""),
        ("services = 1\n", "services", ""),
        ("[registries.x]\nhub-url = 'ftp://x'\n", "hub-url", ""),
        ("[services.Cart]\n", "'Cart' cannot name a service", "small letters"),
        ("[services.'a..b']\n", "'a..b' cannot name a service", "small letters"),
        ("[services.-a]\n", "'-a' cannot name a service", "small letters"),
        (f"[services.{'a' * 64}]\n", "cannot name a service", "at most 63"),
        ("[environments.'a/b']\n", "'a/b' cannot name an environment", "small letters"),
        ("[environments.'a..b']\n", "'a..b' cannot name an environment", "small letters"),
        ("[sets]\n'A' = ['cart']\n", "'A' cannot name a set", "small letters"),
        ("[sets]\na = ['B']\n", "sets.a", ""),
        ("[sets]\na = []\n", "sets.a", ""),
        ("[services.a]\n[sets]\na = ['b']\n", "'a' names a set and a service", "rename"),
        ("[environments.x]\npath = '../y'\n", "'../y' of environment 'x' leads out", "without .."),
        ("[environments.x]\npath = 'a/.git'\n", "leads out of the repository", "without .."),
        ("[environments.x]\npath = 'a//b'\n", "leads out of the repository", "without .."),
        ("[defaults]\nmanifests = ['../a.yaml']\n", "'../a.yaml' are not below", "without .."),
        ("[defaults]\nmanifests = ['/a.yaml']\n", "'/a.yaml' are not below", "relative"),
        ("[services.a]\nmanifests = ['b/../../c']\n", "are not below", "relative"),
        ("[defaults]\nimage = 'acme/Shop-{service}'\n", "must be lower case", "acme/{service}"),
        ("[services.a]\nimage = 'acme/a:1'\n", "acme/a:1 names a version", "acme/a"),
        (f"[services.a]\nimage = 'acme/a@{SHA}'\n", "names a version", "only the repository"),
        ("[defaults\n", "is no TOML", "mend"),
        ("a = '\\ud800'", "unknown key a", "known keys"),
        ("a = " + "[" * 100_000, "is no TOML", "mend"),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest_right(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(text)
    assert message in caught.value.message
    assert caught.value.message.startswith(".gitops-rollback.toml")
    assert hint in caught.value.hint
    assert caught.value.hint
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a = '\xff'", "is no TOML"),
        (b"#" * 1_000_001, "1000001 bytes"),
        (b"a = " + b"9" * 5000, "is no TOML"),
        (b"a" + b".a" * 20_000 + b" = 1", "more than 30 parts"),
        (b"[" + b"'a' . " * 20_000 + b"a]", "more than 30 parts"),
        (b"a" * 900_000 + b" = 1", "unknown|key"),
    ],
)
def test_bytes_that_are_no_configuration_are_an_error(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(data)


def test_a_byte_order_mark_is_no_error() -> None:
    assert parse_config("\ufeff[sets]\na = ['b']\n".encode()).sets == {"a": ("b",)}


TWO = "[environments.staging]\npath = './a/'\n[environments.production]\nbranch = 'live'\n"


def test_the_only_environment_is_chosen_and_of_several_one_has_to_be_named() -> None:
    one = config("[environments.staging]\npath = 'a'\n")
    assert one.choose_environment(None).name == "staging"
    several = config(TWO)
    assert several.choose_environment("staging").path == "a"
    with pytest.raises(ConfigError, match="several environments are configured: staging, prod"):
        several.choose_environment(None)


@pytest.mark.parametrize(
    ("text", "name", "hint"),
    [
        (TWO, "stagging", "did you mean staging?"),
        (TWO, "zzz", "choose with --environment"),
        (TWO, "default", "--environment"),
        ("", "production", "--environment"),
    ],
)
def test_an_unknown_environment_is_an_error_with_the_nearest(
    text: str, name: str, hint: str
) -> None:
    with pytest.raises(ConfigError, match=f"there is no environment '{name}'") as caught:
        config(text).choose_environment(name)
    assert hint in caught.value.hint


def test_an_environment_without_a_branch_is_on_the_one_the_file_was_read_from() -> None:
    found = config(TWO).environments
    assert (found["staging"].branch, found["production"].branch) == ("trunk", "live")


def test_an_environment_holds_what_is_below_its_path_and_nothing_else() -> None:
    environment = Environment("staging", "clusters/staging")
    assert environment.holds("clusters/staging/a.yaml")
    assert environment.holds("clusters/staging")
    assert not environment.holds("clusters/staging-2/a.yaml")
    assert not environment.holds("clusters/a.yaml")


def test_sets_stand_for_their_services_each_once() -> None:
    found = config("[sets]\nall = ['a', 'b']\nmore = ['b', 'c']\n")
    assert found.expand(["all", "more", "d", "a"]) == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("apps/*.yaml", "apps/a.yaml", True),
        ("apps/*.yaml", "apps/b/a.yaml", False),
        ("apps/**/*.yaml", "apps/a.yaml", True),
        ("apps/**/*.yaml", "apps/b/c/a.yaml", True),
        ("apps/**", "apps/b/c/a.yaml", True),
        ("**/cart.yaml", "cart.yaml", True),
        ("a?.yaml", "ab.yaml", True),
        ("a?.yaml", "a/.yaml", False),
        ("a.yaml", "a.yaml", True),
        ("a.yaml", "abyaml", False),
        ("a[1].yaml", "a[1].yaml", True),
        ("a[1].yaml", "a1.yaml", False),
        ("apps/*/cart/*.yaml", "apps/team/cart/a.yaml", True),
        ("apps/*/cart/*.yaml", "apps/team/shop/cart/a.yaml", False),
        ("apps/*/cart/*.yaml", "apps/team/shop/cart.yaml", False),
        ("apps/*/cart/*.yaml", "other/team/cart/a.yaml", False),
        ("**/cart/a?.yaml", "apps/team/cart/ab.yaml", True),
        ("{service}/{service}.yaml", "cart/cart.yaml", True),
        ("{service}/{service}.yaml", "cart/shop.yaml", False),
    ],
)
def test_globs_stay_within_a_folder_unless_they_say_otherwise(
    glob: str, path: str, *, matches: bool
) -> None:
    assert bool(glob_pattern(glob).fullmatch(path)) == matches
    root = glob_root(glob)
    assert not matches or path == root or not root or path.startswith(f"{root}/")
    others = ["a", "apps", "apps-2/a.yaml", "apps.yaml", "cart/cart.yml", "z/z.yaml", "\U0010ffff"]
    if "{service}" not in glob:
        assert (path in Paths([*others, path]).matching(glob)) == matches


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ("a/b.yaml", True),
        ("ä/😀.yaml", True),
        ("a/.github/b", True),
        ("", False),
        ("/a", False),
        ("a//b", False),
        ("a/", False),
        ("./a", False),
        ("a/../b", False),
        ("..", False),
        ("a\\b", False),
        (".git/config", False),
        ("a/.GIT/config", False),
        ("a\0b", False),
        ("a\nb", False),
    ],
)
def test_a_path_from_outside_stays_inside(path: str, *, safe: bool) -> None:
    assert is_safe_path(path) == safe


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("cart", True),
        ("a", True),
        ("0-a.b_c", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("", False),
        ("Cart", False),
        ("a.", False),
        (".a", False),
        ("a..b", False),
        ("a/b", False),
        ("cart\n", False),
        ("ä", False),
    ],
)
def test_names_of_services_and_environments(name: str, *, good: bool) -> None:
    assert is_name(name) == good


def test_text_from_outside_becomes_one_short_line() -> None:
    assert one_line("a\n\tb\x1b[0m\u2028c  d") == "a b [0m c d"
    assert one_line("x" * 600) == "x" * 499 + "…"


def test_the_schemas_accept_every_key_of_the_design() -> None:
    record, state = json.dumps(RECORD).encode(), json.dumps(STATE).encode()
    now = {"schemaVersion": 2}
    assert parse_record(record, "record.json").record.to_json() == RECORD | now
    written = json.loads(render_state(parse_state(state, "production", "cart")))
    assert len(written["hold"].pop("id")) == 12  # the first version had none, and no version tags
    assert [entry.pop("tag") for entry in written["bad"]] == ["1.5.0"]
    assert written == STATE | now


def test_every_published_schema_compiles_and_refuses_what_is_no_object() -> None:
    files = (Path(schema.__file__).parent / "schemas").iterdir()
    names = {path.name.removesuffix(".schema.json") for path in files} - {"common", "codes"}
    assert len(names) >= 7
    for name in names:
        with pytest.raises(schema.InvalidDocumentError):
            schema.check([], name)


def test_a_set_that_is_none_is_named_with_the_nearest() -> None:
    config = parse_config(b'[sets]\ncheckout = ["cart"]\n')
    assert config.expand(["checkout"], ["checkout"]) == ("cart",)
    with pytest.raises(ConfigError) as caught:
        config.expand(["chekout"], ["chekout"])
    assert "there is no set 'chekout'" in caught.value.message
    assert caught.value.hint == "did you mean checkout?"


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("41", 41), ("007", 7), ("9" * 18, 10**18 - 1), ("9" * 19, None), ("9" * 5000, None),
     ("", None), ("-1", None), ("1.0", None), ("\u0663", None), ("\u00b2", None), (" 1", None)],
)  # fmt: skip
def test_a_number_from_outside_is_a_few_ascii_digits(text: str, number: int | None) -> None:
    assert whole_number(text) == number


def test_what_is_fetched_beside_the_configuration_bears_a_name_or_matters_for_all() -> None:
    """Nothing is refused or chosen by this: what is missing is fetched when it is read."""
    of_cart = [
        "apps/cart/deployment.yaml",
        "apps/cart/base/image.yml",
        "clusters/eu/cart.yaml",
        ".gitops-rollback/staging/cart.json",
    ]
    for_all = [f"{HELD}/0123.json", "fleet/flux-system/gotk.yaml", "fleet/apps.yaml"]
    others = ["apps/cartography/deployment.yaml", "apps/cart/logo.png", "README.md", "a.yaml"]
    above = ["kustomization.yaml", "apps/Kustomization", "clusters/eu/kustomization.yml"]
    found = likely_paths([*of_cart, *for_all, *others, *above], ["cart"])
    assert {*of_cart, *for_all, *above} <= {*found}
    assert {*others}.isdisjoint(found)
    assert likely_paths(others, ["cart"]) == []
