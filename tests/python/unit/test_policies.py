"""Flux image policies as objects, their tag filters, and what they would take again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.image import parse_image
from gitops_rollback.manifest.document import parse
from gitops_rollback.manifest.patterns import UnreadablePatternError
from gitops_rollback.policies import (
    ImagePolicy,
    Policies,
    apply_filter,
    automation_blocks,
    find_policies,
    may_hold_policy,
)
from unit.builders import digest, image

if TYPE_CHECKING:
    from gitops_rollback.refusals import Refusal

TEXT = """\
# What automation takes.
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: cart, namespace: flux-system}
spec:
  imageRepositoryRef: {name: cart}
  filterTags:
    pattern: '^main-(?P<ts>[0-9]+)$'
    extract: '$ts'
  policy:
    numerical:
      order: desc
---
apiVersion: v1
kind: List
items:
- apiVersion: image.toolkit.fluxcd.io/v1beta1
  kind: ImagePolicy
  metadata: {name: payment}
  spec: {policy: {semver: {range: '>=1.0.0'}}}
- {apiVersion: acme.example/v1, kind: ImagePolicy, metadata: {name: other}}
---
apiVersion: image.toolkit.fluxcd.io/v1beta2
kind: ImagePolicy
metadata: {name: plain}
spec:
  policy: {alphabetical: {}}
---
apiVersion: image.toolkit.fluxcd.io/v1beta2
kind: ImagePolicy
metadata: {name: patch}
"""


def policy(order: str, value: str, pattern: str = "", extract: str = "") -> ImagePolicy:
    return ImagePolicy("flux/p.yaml", 7, "flux-system", "cart", order, value, pattern, extract)


def blocks(
    found: ImagePolicy | None,
    bad: str = "1.5.0",
    after: str = "1.4.2",
    marker: str = "flux-system:cart",
    unread: tuple[str, ...] = (),
) -> tuple[Refusal, ...]:
    policies = Policies((found,) if found else (), unread)
    return automation_blocks("cart production", [marker], [image(bad)], image(after), policies)


def verdict(found: ImagePolicy, bad: str = "1.5.0", after: str = "1.4.2") -> str:
    """`takes`, `leaves`, or `unjudged`."""
    for block in blocks(found, bad, after):
        return "unjudged" if "cannot be judged" in block.message else "takes"
    return "leaves"


def test_policies_are_found_with_their_place_in_every_api_version_and_in_lists() -> None:
    found = find_policies(parse("flux/p.yaml", TEXT.encode()))
    assert found == (
        ImagePolicy(
            "flux/p.yaml", 12, "flux-system", "cart", "numerical", "desc",
            "^main-(?P<ts>[0-9]+)$", "$ts",
        ),
        ImagePolicy("flux/p.yaml", 20, "", "payment", "semver", ">=1.0.0"),
        ImagePolicy("flux/p.yaml", 23, "", "plain", "alphabetical", ""),
        ImagePolicy("flux/p.yaml", 29, "", "patch", "", ""),
    )  # fmt: skip
    assert may_hold_policy(TEXT.encode())
    assert not may_hold_policy(b"kind: ImageRepository")


def test_a_policy_without_a_namespace_can_be_that_of_any_marker() -> None:
    policies = Policies(find_policies(parse("p.yaml", TEXT.encode())))
    assert [p.name for p in policies.named("flux-system:cart:tag")] == ["cart"]
    assert policies.named("other:cart") == ()
    assert [p.name for p in policies.named("other:payment")] == ["payment"]


@pytest.mark.parametrize(
    ("found", "bad", "after", "wanted"),
    [
        (policy("semver", ">=1.0.0"), "1.5.0", "1.4.2", "takes"),
        (policy("semver", ">=1.0.0"), "1.5.0", "1.6.0", "leaves"),
        (policy("semver", "1.4.x"), "1.5.0", "1.4.2", "leaves"),
        (policy("semver", ">=1.0.0 !=1.5.0"), "1.5.0", "1.4.2", "leaves"),
        (policy("semver", ">=1.0.0"), "1.4.0", "1.4.2", "leaves"),
        (policy("semver", "1.5.x"), "1.5.0", "1.6.0", "takes"),
        (policy("semver", ">=1.0.0"), "latest", "1.4.2", "leaves"),
        (policy("semver", ">=1.0.0"), "v1.5.0", "v1.4.2", "takes"),
        (policy("semver", ">=1.0.0-0"), "1.5.0-rc.1", "1.4.2", "takes"),
        (policy("semver", ">=1.0.0"), "1.5.0-rc.1", "1.4.2", "leaves"),
        (policy("semver", ">=1.0.0-0 <2.0.0"), "1.5.0-rc.1", "1.4.2", "unjudged"),
        (policy("semver", "${CART_RANGE}"), "1.5.0", "1.4.2", "unjudged"),
        (policy("semver", ""), "1.5.0", "1.4.2", "unjudged"),
        (policy("alphabetical", "asc"), "b", "a", "takes"),
        (policy("alphabetical", ""), "a", "b", "leaves"),
        (policy("alphabetical", "DESC"), "a", "b", "takes"),
        (policy("alphabetical", "down"), "a", "b", "unjudged"),
        (policy("numerical", "asc"), "10", "9", "takes"),
        (policy("numerical", "asc"), "9", "10", "leaves"),
        (policy("numerical", "desc"), "9", "10", "takes"),
        (policy("numerical", "asc"), "x", "10", "unjudged"),
        (policy("numerical", "asc"), "1e400", "10", "unjudged"),
        (policy("alphabetical", "desc", "", "$x"), "b", "a", "takes"),
        (policy("semver", ">=1.0.0"), "1.5-rc.1", "1.4.2", "leaves"),
        (policy("semver", ">=1.0.0-rc"), "1.5-rc.1", "1.4.2", "takes"),
        (policy("numerical", "asc"), "9", "x", "takes"),
        (policy("", ""), "1.5.0", "1.4.2", "unjudged"),
        (policy("semver", ">=1.0.0", "^1\\.4\\."), "1.5.0", "1.4.2", "leaves"),
        (policy("numerical", "asc", "^main-(?P<n>\\d+)$", "$n"), "main-12", "main-9", "takes"),
        (policy("numerical", "asc", "^main-(?P<n>\\d+)$", "$n"), "main-12", "main-13", "leaves"),
        (policy("numerical", "asc", "^main-(?P<n>\\d+)$", "$n"), "dev-12", "main-9", "leaves"),
        (policy("numerical", "asc", "^main-(?P<n>\\d+)$", "$n"), "main-12", "1.4.2", "takes"),
        (policy("semver", ">=1.0.0", "(?=x)"), "1.5.0", "1.4.2", "unjudged"),
        (policy("semver", ">=1.0.0"), "main@a", "main@b", "leaves"),
        (policy("alphabetical", ""), "main@a", "main@b", "takes"),
    ],
)  # fmt: skip
def test_what_a_policy_would_take_again(
    found: ImagePolicy, bad: str, after: str, wanted: str
) -> None:
    assert verdict(found, bad, after) == wanted


def test_the_refusal_names_policy_place_and_image_and_how_to_narrow_it() -> None:
    [block] = blocks(policy("semver", ">=1.0.0"))
    assert block.code == "automation"
    assert block.message == (
        "cart production: ImagePolicy flux-system:cart (flux/p.yaml:7, semver >=1.0.0) would take "
        "1.5.0 again, which was rolled back from"
    )
    assert "range: '>=1.0.0 !=1.5.0'" in block.hint
    assert "--accept automation" in block.hint


@pytest.mark.parametrize(
    "found",
    [
        policy("semver", "1.4.x || 1.5.x"),
        policy("semver", ">=1.0.0", "^v(?P<v>.*)$", "$v"),
        policy("alphabetical", ""),
    ],
    ids=["two ranges", "an extracted version", "no range"],
)
def test_no_range_is_proposed_that_is_not_proven(found: ImagePolicy) -> None:
    [block] = blocks(found, bad="v1.5.0", after="v1.4.2")
    assert "narrow the policy in flux/p.yaml:7 so that it leaves v1.5.0 out" in block.hint


def test_what_cannot_be_judged_says_why_and_where_to_look() -> None:
    [block] = blocks(None)
    assert "cannot be judged: the repository does not hold it" in block.message
    assert "kubectl -n flux-system get imagepolicy cart" in block.hint
    [block] = blocks(None, unread=("b.yaml is not readable as YAML",))
    assert "not looked into: b.yaml" in block.message
    [block] = blocks(None, marker="a; rm:-rf")
    assert "kubectl" not in block.hint


def test_a_bad_image_known_by_its_digest_alone_cannot_be_judged() -> None:
    bad = parse_image(f"acme/cart@{digest('2')}")
    policies = Policies((policy("semver", ">=9.0.0"),))
    [block] = automation_blocks("cart", ["flux-system:cart"], [bad], image("1.4.2"), policies)
    assert "which tags sha256:" in block.message


def test_each_policy_is_judged_once_and_names_alone_bring_nothing_back() -> None:
    policies = Policies((policy("semver", ">=1.0.0"),))
    markers = ["flux-system:cart:tag", "flux-system:cart:digest", "a:b:name", "a:c"]
    found = automation_blocks("cart", markers, [image("1.5.0")], image("1.4.2"), policies)
    assert [re.search(r"ImagePolicy (\S+)", block.message)[1] for block in found] == [  # type: ignore[index]
        "flux-system:cart",
        "a:c",
    ]
    assert automation_blocks("cart", markers, [], image("1.4.2"), policies) == ()


def test_of_several_policies_of_a_name_the_one_that_takes_it_counts() -> None:
    wide = ImagePolicy("b.yaml", 1, "", "cart", "semver", ">=1.0.0")
    policies = Policies((policy("semver", "1.4.x"), wide))
    [block] = automation_blocks(
        "cart", ["flux-system:cart"], [image("1.5.0")], image("1.4.2"), policies
    )
    assert "b.yaml:1" in block.message


@pytest.mark.parametrize(
    ("pattern", "extract", "tag", "wanted"),
    [
        ("", "", "x", "x"),
        ("", "$1.0", "x", ".0"),
        ("(x)", "$01-${é}", "x", "-"),
        ("^main-", "", "main-1", "main-1"),
        ("^main-", "", "dev-1", None),
        ("[0-9]+", "", "main-1", "main-1"),
        ("^main-[a-f0-9]+-(?P<ts>[0-9]+)", "$ts", "main-0abc-77", "77"),
        ("^v(\\d+)\\.(\\d+)", "${1}.$2.0", "v1.2", "1.2.0"),
        ("^v(\\d+)", "$1x", "v1", ""),
        ("^v(\\d+)", "$$1-$9", "v1", "$1-"),
        ("^(a)|b$", "$1", "b", ""),
        ("^(?:rel|rc)-.*$", "", "rc-1", "rc-1"),
        ("^.{3,5}$", "", "1.2", "1.2"),
        ("^[^-]+$", "", "1.2", "1.2"),
        ("^[\\w.]+$", "", "1.2", "1.2"),
        ("^\\d$", "", "٣", None),
    ],
)
def test_tags_are_filtered_and_extracted_as_go_does(
    pattern: str, extract: str, tag: str, wanted: str | None
) -> None:
    assert apply_filter(pattern, extract, tag) == wanted


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)", "(?!a)", "(?<=a)", "(?i)a", "(?<n>a)", "(a)\\1", "\\z", "\\pL", "[[:alpha:]]",
        "a++", "a**", "(a+)+$", "(a|aa)*$", "(", "[", "[z-a]", "a{1", "x" * 400, ".*" * 10, "\\",
        "[0--9]", "[a||b]",
    ],
)  # fmt: skip
def test_a_pattern_that_could_mean_something_else_is_not_judged(pattern: str) -> None:
    with pytest.raises(UnreadablePatternError):
        apply_filter(pattern, "", "a" * 128)
