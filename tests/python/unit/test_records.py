"""Records: read as written, refused if unsound, and which repository they are for."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from gitops_rollback.errors import ConfigError, UnwritableError
from gitops_rollback.ledger.records import (
    LARGEST_RECORD,
    ManifestCopy,
    Record,
    digest_of_bytes,
    elsewhere_from,
    is_copy,
    parse_record,
    render_record,
)
from gitops_rollback.model import repository_key
from unit.builders import digest, record
from unit.test_config import RECORD


@pytest.mark.parametrize(
    "made",
    [
        record("1", "2"),
        record("~1", None, digest_from="moved", build=None, by=None),
        record("1", "1", unchanged=True, action="rollback", commit="a" * 64),
    ],
    ids=["full", "little", "unchanged rollback with a SHA-256 commit"],
)
def test_a_record_is_read_as_it_was_written(made: Record) -> None:
    data = render_record(made)
    stored = parse_record(data, "record.json")
    assert stored.record == made
    assert stored.sha256 == digest_of_bytes(data)
    assert render_record(stored.record) == data
    assert b"null" not in data


def changed(*path: str | int, value: Any) -> bytes:  # noqa: ANN401
    """The record of the design with one value changed."""
    document = copy.deepcopy(RECORD)
    target: Any = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "no complete JSON", id="empty"),
        pytest.param(json.dumps(RECORD).encode()[:-9], "no complete JSON", id="truncated"),
        pytest.param(b"{" * 200_000, "no complete JSON", id="braces"),
        pytest.param(b"[" * 200_000, "no complete JSON", id="deep"),
        pytest.param(changed("by", value="\ud83d"), "no complete JSON", id="half a pair"),
        pytest.param(
            json.dumps(RECORD)[:-1].encode() + b', "image": "acme/cart:0"}', "twice", id="twice"
        ),
        pytest.param(
            json.dumps(RECORD)[:-1].encode() + b', "x": NaN}', "NaN is no number", id="NaN"
        ),
        pytest.param(
            json.dumps(RECORD)[:-1].encode() + b', "x": 1e999}', "no complete JSON", id="1e999"
        ),
        pytest.param(b" " * (LARGEST_RECORD + 1), "more than 1 MB", id="over 1 MB"),
        pytest.param(b"null", "is not sound", id="null"),
        pytest.param(changed("schemaVersion", value=0), "schemaVersion", id="version"),
        pytest.param(changed("service", value="../x"), "service", id="service"),
        pytest.param(changed("environment", value="A"), "environment", id="environment"),
        pytest.param(changed("commit", value="main"), "commit", id="commit"),
        pytest.param(changed("action", value="delete"), "action", id="action"),
        pytest.param(changed("fields", value=[]), "fields", id="no fields"),
        pytest.param(changed("fields", 0, "kind", value=None), "kind", id="null inside"),
        pytest.param(changed("image", value="Acme/a/B"), "lower case", id="image"),
        pytest.param(changed("image", value="x" * 521), "image", id="long image"),
        pytest.param(changed("replacedBy", value="a b"), "malformed", id="replacedBy"),
        pytest.param(changed("recordedAt", value="yesterday"), "recordedAt", id="time"),
        pytest.param(changed("build", "number", value=0), "build.number", id="build"),
        *(
            pytest.param(changed(*place, "path", value=path), "leads out", id=f"{place[0]} {name}")
            for place in (("fields", 0), ("manifests", 0))
            for name, path in (
                ("..", "a/../../b"),
                ("absolute", "/etc/passwd"),
                ("backslash", "a\\b"),
                (".git", "x/.git/config"),
                (".GIT", ".Git/config"),
                ("NUL", "a\0b"),
                ("line end", "a\nb"),
                ("empty part", "a//b"),
                ("dot", "./a"),
            )
        ),
    ],
)
def test_a_record_that_is_not_sound_is_an_error_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_record(data, "shop/cart #41")
    assert caught.value.message.startswith("the record shop/cart #41 is not sound: ")
    assert message in caught.value.message
    assert caught.value.hint
    assert len(caught.value.message) < 900


def test_a_newer_record_asks_for_the_newer_version() -> None:
    with pytest.raises(ConfigError, match=r"by a newer gitops-rollback \(schema 3\)"):
        parse_record(changed("schemaVersion", value=3), "record.json")


def test_split_fields_of_other_versions_are_read() -> None:
    data = changed("fields", 0, "parts", value={"tag": "1.4.2"})
    assert parse_record(data, "x").record.fields[0].value == "acme/cart:1.4.2"


THIS = {
    "repository": "git@github.com:acme/manifests.git",
    "branch": "main",
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, None),
        ({"branch": "live"}, "it is for branch 'main', not 'live'"),
        (
            {"repository": "/srv/m"},
            "it is for the repository https://github.com/acme/manifests.git, not /srv/m",
        ),
    ],
)
def test_a_record_is_for_one_branch_and_repository(
    change: dict[str, str], expected: str | None
) -> None:
    assert elsewhere_from(record("1", "2"), **{**THIS, **change}) == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/manifests.git",
        "https://github.com/acme/manifests",
        "https://github.com/acme/manifests/",
        "https://github.com/acme/manifests.git/",
        "http://github.com/acme/manifests",
        "https://jane@GitHub.com/acme/manifests.git",
        "https://github.com:443/acme/manifests.git",
        "ssh://git@github.com/acme/manifests.git",
        "ssh://git@github.com:2222/acme/manifests",
        "git@github.com:acme/manifests.git",
        "github.com:acme/manifests",
        "git@github.com:/acme/manifests.git",
    ],
)
def test_one_repository_has_one_key_however_it_is_reached(url: str) -> None:
    assert repository_key(url) == "github.com/acme/manifests"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("/srv/git/manifests.git", "/srv/git/manifests"),
        ("file:///srv/git/manifests.git", "/srv/git/manifests"),
        ("/srv/a:b/manifests", "/srv/a:b/manifests"),
        ("https://github.com/Acme/manifests", "github.com/Acme/manifests"),
        ("https://[::1]:8080/manifests.git", "::1/manifests"),
        ("https://[oops/manifests", "https://[oops/manifests"),
    ],
)
def test_other_repositories_have_keys_of_their_own(url: str, key: str) -> None:
    assert repository_key(url) == key


def test_a_record_of_a_repository_that_is_no_url_is_for_something_else() -> None:
    odd = record("1", "2", repository="https://[oops/manifests")
    assert "it is for the repository https://[oops" in str(elsewhere_from(odd, **THIS))


@pytest.mark.parametrize(
    ("path", "is_it"),
    [
        ("gitops-rollback/production/cart/manifests/apps/a.yaml", True),
        ("below/gitops-rollback/production/cart/manifests/a.yaml", True),
        ("gitops-rollback/production/cart/manifests/x/manifests/a.yaml", True),
        ("gitops-rollback/production/shop/manifests/a.yaml", False),
        ("gitops-rollback/production/cart/a.yaml", False),
        ("apps/manifests/a.yaml", False),
        ("other/production/cart/manifests/a.yaml", False),
    ],
)
def test_a_copy_beside_a_record_is_no_manifest(path: str, is_it: bool) -> None:  # noqa: FBT001
    records = {
        "gitops-rollback/production/cart/record.json",
        "below/gitops-rollback/production/cart/record.json",
    }
    assert is_copy(path, records) == is_it


def test_a_record_whose_paths_could_not_be_read_again_is_not_written() -> None:
    made = record("1", "2")
    odd = replace(made, manifests=(ManifestCopy("a\\b.yaml", digest("x"), copied=True),))
    with pytest.raises(UnwritableError, match="is no plain path"):
        render_record(odd)
