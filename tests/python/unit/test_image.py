"""Docker's reference grammar, printed back as written, and which references are one image."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_rollback.image import (
    InvalidImageError,
    contradicts,
    is_digest,
    is_tag,
    label_of,
    may_be,
    parse_image,
    same,
    same_here,
    same_reference,
    step,
    step_of,
)
from unit.builders import digest

SHA256 = digest("image")
SHA384 = "sha384:" + "ab" * 48
SHA512 = digest("image", "sha512")


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "found"),
    [
        ("nginx", "docker.io", "library/nginx", None, None),
        ("nginx:1.27", "docker.io", "library/nginx", "1.27", None),
        ("library/nginx", "docker.io", "library/nginx", None, None),
        ("docker.io/nginx", "docker.io", "library/nginx", None, None),
        ("docker.io/library/nginx", "docker.io", "library/nginx", None, None),
        ("index.docker.io/nginx", "docker.io", "library/nginx", None, None),
        ("index.docker.io/acme/cart:1", "docker.io", "acme/cart", "1", None),
        ("acme/cart", "docker.io", "acme/cart", None, None),
        ("acme/shop/cart:1", "docker.io", "acme/shop/cart", "1", None),
        (f"acme/cart@{SHA256}", "docker.io", "acme/cart", None, SHA256),
        (f"acme/cart:1.4.2@{SHA256}", "docker.io", "acme/cart", "1.4.2", SHA256),
        (f"acme/cart@{SHA384}", "docker.io", "acme/cart", None, SHA384),
        (f"acme/cart:v1@{SHA512}", "docker.io", "acme/cart", "v1", SHA512),
        ("ghcr.io/acme/cart:1", "ghcr.io", "acme/cart", "1", None),
        ("ghcr.io/cart", "ghcr.io", "cart", None, None),
        ("localhost/cart:1", "localhost", "cart", "1", None),
        ("localhost:5000/cart:1", "localhost:5000", "cart", "1", None),
        ("localhost:5000", "docker.io", "library/localhost", "5000", None),
        ("registry:5000/acme/cart", "registry:5000", "acme/cart", None, None),
        (
            f"10.0.0.7:443/a/b/c:x_Y-z.9@{SHA256}",
            "10.0.0.7:443",
            "a/b/c",
            "x_Y-z.9",
            SHA256,
        ),
        ("[::1]:5000/cart:1", "[::1]:5000", "cart", "1", None),
        ("[2001:db8::1]/acme/cart", "[2001:db8::1]", "acme/cart", None, None),
        ("MyHost/acme/cart:1", "MyHost", "acme/cart", "1", None),
        ("Registry.Example.com/cart", "Registry.Example.com", "cart", None, None),
        ("acme/my-cart__a.b_c--d:1", "docker.io", "acme/my-cart__a.b_c--d", "1", None),
        ("acme/cart:_", "docker.io", "acme/cart", "_", None),
        (f"acme/cart:{'t' * 128}", "docker.io", "acme/cart", "t" * 128, None),
        (f"acme/{'a' * 64}", "docker.io", f"acme/{'a' * 64}", None, None),
        (f"{'a' * 64}:1", "docker.io", f"library/{'a' * 64}", "1", None),
        (f"{'a' * 64}@{SHA256}", "docker.io", f"library/{'a' * 64}", None, SHA256),
    ],
)
def test_a_reference_is_read_in_dockers_grammar(
    text: str, registry: str, repository: str, tag: str | None, found: str | None
) -> None:
    image = parse_image(text)
    assert (image.registry, image.repository, image.tag, image.digest) == (
        registry,
        repository,
        tag,
        found,
    )
    assert str(image) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no repository"),
        (":1", "names no repository"),
        (f"@{SHA256}", "names no repository"),
        ("acme/Cart", "must be lower case"),
        ("Cart:1", "must be lower case"),
        ("ghcr.io/Acme/cart", "must be lower case"),
        ("acme//cart", "is malformed"),
        ("acme/cart/", "is malformed"),
        ("/acme/cart", "is malformed"),
        ("-acme/cart", "is malformed"),
        ("acme/cart-:1", "is malformed"),
        ("acme/a___b", "is malformed"),
        ("acme/a..b", "is malformed"),
        ("acme/ca rt", "is malformed"),
        ("acme/cart\n", "is malformed"),
        ("acme/cärt", "is malformed"),
        ("https://ghcr.io/acme/cart", "malformed registry"),
        ("-host.example/cart", "malformed registry"),
        ("host:port/cart", "malformed registry"),
        ("[::1/cart", "malformed registry"),
        ("acme/cart:", "malformed tag"),
        ("acme/cart:.1", "malformed tag"),
        ("acme/cart:-1", "malformed tag"),
        ("acme/cart:1 ", "malformed tag"),
        ("acme/cart:1\n", "malformed tag"),
        ("acme/cart:{{ tag }}", "malformed tag"),
        (f"acme/cart:{'t' * 129}", "malformed tag"),
        ("acme/cart@", "malformed digest"),
        ("acme/cart@sha256:", "64 small hexadecimal digits"),
        (f"acme/cart@{SHA256[:-1]}", "64 small hexadecimal digits"),
        (f"acme/cart@{SHA256}0", "64 small hexadecimal digits"),
        (f"acme/cart@sha256:{'AB' * 32}", "64 small hexadecimal digits"),
        (f"acme/cart@sha512:{'ab' * 32}", "128 small hexadecimal digits"),
        (f"acme/cart@md5:{'ab' * 16}", "a digest looks like"),
        (f"acme/cart@{SHA256}@{SHA256}", "malformed digest"),
        ("a" * 64, "image id"),
        (f"acme/{'a' * 251}", "longer than 255"),
        ("ghcr.io/{{ .Values.image }}", "is malformed"),
        ("$IMAGE", "is malformed"),
    ],
)
def test_what_is_no_reference_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidImageError, match=re.escape(reason)):
        parse_image(text)


_component = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}", fullmatch=True)
_registry = st.sampled_from(
    [
        "acme/",
        "docker.io/",
        "index.docker.io/",
        "ghcr.io/",
        "localhost:5000/",
        "[::1]:5000/",
        "Host/",
    ]
)
_tag = st.just("") | st.from_regex(r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
_digest = st.just("") | st.from_regex(r"@sha256:[0-9a-f]{64}", fullmatch=True)
references = st.tuples(
    _registry, st.lists(_component, min_size=1, max_size=3).map("/".join), _tag, _digest
).map("".join)


@given(references)
def test_every_reference_is_printed_back_as_written(text: str) -> None:
    image = parse_image(text)
    assert str(image) == text
    canonical = parse_image(image.canonical)
    assert canonical.canonical == image.canonical
    assert same_reference(canonical, image)
    assert may_be(canonical, image)


@given(st.text(max_size=40))
def test_any_other_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    with suppress(InvalidImageError):
        assert str(parse_image(text)) == text


ONE, TWO = digest("one"), digest("two")


@pytest.mark.parametrize(
    ("left", "right", "may"),
    [
        ("acme/cart:1", "docker.io/acme/cart:1", True),
        ("nginx", "docker.io/library/nginx:latest", True),
        ("acme/cart:1", "acme/cart:2", False),
        ("acme/cart:1", "acme/shop:1", False),
        ("acme/cart:1", "ghcr.io/acme/cart:1", False),
        (f"acme/cart:1@{ONE}", f"acme/cart:1@{ONE}", True),
        (f"acme/cart:1@{ONE}", f"acme/cart:2@{ONE}", True),
        (f"acme/cart:1@{ONE}", f"acme/cart@{ONE}", True),
        (f"acme/cart:1@{ONE}", f"acme/cart:1@{TWO}", False),
        (f"acme/cart:1@{ONE}", f"acme/shop:1@{ONE}", False),
        (f"acme/cart:1@{ONE}", "acme/cart:1", True),
        (f"acme/cart:1@{ONE}", "acme/cart:2", False),
        (f"acme/cart@{ONE}", "acme/cart:1", False),
        (f"acme/cart@{ONE}", "acme/cart", False),
        (f"acme/cart:latest@{ONE}", "acme/cart", True),
        (f"ghcr.io/acme/cart:1@{ONE}", "acme/cart:1", False),
    ],
)
def test_which_references_may_be_one_image(left: str, right: str, *, may: bool) -> None:
    a, b = parse_image(left), parse_image(right)
    assert (may_be(a, b), may_be(b, a)) == (may, may)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("acme/cart:1.4.2", "1.4.2"),
        (f"acme/cart:1.4.2@{SHA256}", "1.4.2"),
        (f"acme/cart@{SHA256}", SHA256[:19]),
        ("acme/cart", "latest"),
    ],
)
def test_people_call_a_version_by_its_tag_or_else_by_its_digest(text: str, label: str) -> None:
    assert parse_image(text).label == label_of(text) == label


@pytest.mark.parametrize(
    ("text", "label"), [("no image", "no image"), ("", ""), (None, "an unknown image")]
)
def test_what_is_no_image_is_called_by_its_text(text: str | None, label: str) -> None:
    assert label_of(text) == label


def test_another_version_keeps_the_name_as_it_was_written() -> None:
    image = parse_image(f"index.docker.io/acme/cart:1@{ONE}")
    assert str(image.with_version("2", None)) == "index.docker.io/acme/cart:2"
    assert image.with_version(None, TWO).canonical == f"docker.io/acme/cart@{TWO}"


def test_tags_and_digests_are_told_apart() -> None:
    assert is_tag("1.4.2")
    assert not is_tag("a/b")
    assert not is_tag("1.4.2\n")
    assert is_digest(SHA256)
    assert not is_digest("sha256:ab")
    assert not is_digest(f"{SHA256}\n")
    assert not is_digest(f"md5:{'ab' * 16}")


D1, D2 = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@pytest.mark.parametrize(
    ("one", "other", "is_same", "here", "against"),
    [
        (f"a/b:1@{D1}", f"a/b:2@{D1}", True, True, False),
        (f"a/b:1@{D1}", f"ghcr.io/c/d:2@{D1}", True, False, False),
        (f"a/b:1@{D1}", f"a/b:1@{D2}", False, False, True),
        (f"a/b:1@{D1}", f"c/d:1@{D2}", False, False, True),
        (f"a/b:1@{D1}", "a/b:1", None, None, False),
        (f"a/b:1@{D1}", "a/b:2", None, None, True),
        (f"a/b@{D1}", "a/b:2", None, None, False),
        (f"a/b:1@{D1}", "c/d:1", None, False, True),
        ("a/b:1", "a/b:1", None, None, False),
        ("a/b", "a/b:latest", None, None, False),
        ("a/b:1", "a/b:2", None, None, True),
    ],
)
def test_equal_digests_are_the_same_image_and_a_tag_tells_nothing(
    one: str, other: str, *, is_same: bool | None, here: bool | None, against: bool
) -> None:
    for left, right in ((one, other), (other, one)):
        pair = parse_image(left), parse_image(right)
        assert same(*pair) is is_same
        assert same_here(*pair) is here
        assert contradicts(*pair) is against
        assert not same_reference(*pair) or left == right


def test_references_are_written_alike_however_their_name_is_abbreviated() -> None:
    assert same_reference(parse_image("nginx:1"), parse_image("docker.io/library/nginx:1"))
    assert not same_reference(parse_image("nginx:1"), parse_image(f"nginx:1@{D1}"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("a/b:1.5.0", "a/b:1.4.2", "1.5.0 → 1.4.2"),
        (f"a/b:1@{D1}", f"a/b:2@{D2}", "1 → 2"),
        (f"a/b:main@{D1}", f"a/b:main@{D2}", f"main@{D1[:19]} → main@{D2[:19]}"),
        (f"a/b:main@{D1}", "a/b:main", f"main@{D1[:19]} → main@?"),
        (f"a/b:1@{D1}", f"a/b:1@{D1}", "1 → 1"),
    ],
)
def test_a_change_under_one_tag_is_told_by_digests(old: str, new: str, told: str) -> None:
    assert step(parse_image(old), parse_image(new)) == told
    assert step_of(old, new) == told


def test_a_change_of_what_is_no_image_is_told_as_it_stands() -> None:
    assert step_of("?!", "a/b:2") == "?! → 2"
    assert step_of("a/b:2", "?!") == "2 → ?!"
