"""What a tag is made of, and which of two tags of one form is the older."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_rollback.query.shapes import (
    NEWER,
    OLDER,
    OTHER,
    SAME,
    UNORDERED,
    Shapes,
    is_version_tag,
)


def related(running: str, *others: str, also: tuple[str, ...] = ()) -> list[str]:
    shapes = Shapes([running, *others, *also])
    return [shapes.compare(other, running).kind for other in others]


@pytest.mark.parametrize(
    ("running", "older", "others"),
    [
        # versions, and the text around them, which is compared exactly
        ("1.4.2-alpine3.18", ["1.4.1-alpine3.18"], ["1.4.1-alpine3.17", "1.4.1", "1.4.1-rc.1"]),
        ("v1.10.0", ["v1.9.0", "1.9.0", "1.9.0.1"], ["v1.9", "v1.9.0-amd64"]),
        ("python3.12-1.4.2", ["python3.12-1.4.1"], ["python3.11-1.4.1", "python-3.12-1.4.1"]),
        ("jdk-17-1.4.2", ["jdk-17-1.4.1"], ["jdk-21-1.4.1"]),
        ("8.5-jdk17", ["8.4-jdk17"], ["8.4-jdk21", "8.4"]),
        ("1.21-3.18", ["1.20-3.18"], ["1.20-3.17"]),
        (
            "1.4.2-cuda12.4-ubuntu22.04",
            ["1.4.1-cuda12.4-ubuntu22.04"],
            ["1.4.1-cuda12.3-ubuntu22.04", "1.4.1-cuda12.4-ubuntu20.04"],
        ),
        (
            "1.4.2-debian-11-r3",
            ["1.4.2-debian-11-r2", "1.4.1-debian-11-r30"],
            ["1.4.1-debian-12-r1"],
        ),
        ("1.4.2.RELEASE", ["1.4.1.RELEASE"], ["1.4.1"]),
        ("cart-v1.4.2", ["cart-v1.4.1"], ["payment-v1.4.1", "v1.4.1"]),
        ("cart1.4.2", ["cart1.4.1"], ["tray1.4.1"]),
        ("2026.01.15", ["2026.01.14", "2026.1.9"], ["2026.01"]),
        # pre-releases: below their release, and no way back from a release
        ("1.4.2-rc.2", ["1.4.2-rc.1", "1.4.2-beta.9", "1.4.1"], ["1.4.1-rc.1-alpine"]),
        ("1.4.2rc1", ["1.4.2b3", "1.4.2a9", "1.4.1"], []),
        ("10.0.100-preview.2.25080.5", ["10.0.100-preview.1.25099.1", "9.0.1"], []),
        # commits after a release, as git describes them
        ("v1.4.2-5-gabc1234", ["v1.4.2-3-gabc1235", "v1.4.2", "v1.4.1-9-gabcdef0"], []),
        ("v1.4.2", ["v1.4.1"], ["v1.4.1-9-gabcdef0"]),
        # dates and times
        ("20260115", ["20260114"], ["20261399", "123"]),
        ("2026-01-15", ["2026-01-14", "20251231"], ["2026-01"]),
        ("20260115.3", ["20260115.2", "20260114.12"], ["20260114"]),
        ("20260115-103000", ["20260115-093000", "20260114-235959"], []),
        ("20260115103000", ["20260115093000"], []),
        ("nightly-20260103", ["nightly-20260102"], ["weekly-20260102"]),
        ("main-1a2b3c4-1700000300", ["main-ffeeddc-1700000100"], ["dev-ffeeddc-1700000100"]),
        ("main-1a2b3c4-1700000300", ["main-1234567-1700000100"], []),
        # numbers
        ("123", ["99"], ["build-99", "v99", "1.2"]),
        ("build-123", ["build-99"], ["ci-99"]),
        ("build123", ["build99"], ["ci99"]),
        ("main-123-abc1234", ["main-99-bbc1234"], ["dev-99-bbc1234"]),
        ("v12", ["v9", "v9.1"], []),
    ],
)
def test_tags_of_one_form_are_ordered_and_others_are_not(
    running: str, older: list[str], others: list[str]
) -> None:
    assert related(running, *older) == [OLDER] * len(older)
    assert related(running, *others) == [OTHER] * len(others)
    for one in older:
        if not Shapes([one]).of(one).is_pre_release or "-rc" in running or "rc" in running:
            shapes = Shapes([one, running])
            assert shapes.compare(running, one).kind in (NEWER, OTHER)


@pytest.mark.parametrize(
    ("running", "commits", "others"),
    [
        ("def5678", ["abc1234", "1234567"], ["20260103", "123", "1.0.0"]),
        ("1932033", ["271969a", "513469a"], ["20260103"]),
        ("sha-1a2b3c4", ["sha-1a2b3c5", "sha-1234567"], ["1a2b3c5"]),
        ("pr-45-abc1234", ["pr-45-bbc1234"], ["pr-44-abc1235"]),
        ("f" * 40, ["e" * 40], ["abc1234-dirty"]),
    ],
)
def test_commit_ids_are_of_one_form_and_have_no_order(
    running: str, commits: list[str], others: list[str]
) -> None:
    assert related(running, *commits) == [UNORDERED] * len(commits)
    assert related(running, *others, also=tuple(commits)) == [OTHER] * len(others)


def test_digits_among_numbers_are_a_number_and_among_commit_ids_a_commit_id() -> None:
    assert related("1932034", "1932033") == [OLDER]
    assert related("1932034", "1932033", also=("271969a",)) == [UNORDERED]


def test_a_number_behind_a_version_counts_builds_or_names_a_base() -> None:
    assert related("1.4.2-55", "1.4.1-50", "1.4.1-54") == [OLDER, OLDER], "builds"
    assert related("1.4.2-1", "1.4.1-1", "1.4.1-2") == [OLDER, OLDER], "revisions"
    bases = ("1.4.1-17", "1.4.1-21", "1.4.2-21")
    assert related("1.4.2-17", *bases) == [OLDER, OTHER, OTHER]


def test_a_number_that_stands_beside_several_commits_is_no_build_number() -> None:
    builds = ("shop-7-aaa1111", "shop-6-bbb1111")
    assert related("shop-8-ccc1111", *builds) == [OLDER, OLDER]
    branches = ("shop-8-aaa1111", "shop-6-bbb1111", "shop-6-ddd1111")
    assert related("shop-8-ccc1111", *branches) == [UNORDERED, OTHER, OTHER]


def test_two_builds_of_one_version_are_told_apart_from_one_version_spelled_twice() -> None:
    assert related("1.4.2-abc1234", "1.4.2-abc1235") == [SAME]
    assert related("v1.4.2", "1.4.2") == [SAME]


@pytest.mark.parametrize(
    ("tag", "others", "is_one"),
    [
        ("1.4.2", (), True),
        ("1.4", (), True),
        ("1.4", ("1.4.2",), False),
        ("1.4-alpine3.18", ("1.4.2-alpine3.18",), False),
        ("1", ("1.4.2",), False),
        ("1", ("2", "3"), True),
        ("v1", (), False),
        ("abc1234", (), True),
        ("20260103", (), True),
        ("build-7", (), True),
        ("main-abc1234", (), True),
        ("main", (), False),
        ("latest", (), False),
        ("prod-alpine3.18", (), False),
    ],
)
def test_a_version_tag_names_one_build(tag: str, others: tuple[str, ...], is_one: bool) -> None:  # noqa: FBT001 - a row of a table
    assert is_version_tag(tag, others) is is_one


TAGS = st.lists(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True), min_size=2)
LIKELY = st.lists(
    st.from_regex(
        r"(v|main-|build-)?(\d{1,3}(\.\d{1,2}){0,3}|[0-9a-f]{7}|2026\d{4})(-(rc\.?\d|alpine3\.1[78]|r\d|\d))?",
        fullmatch=True,
    ),
    min_size=3,
)


@given(st.one_of(TAGS, LIKELY))
def test_whatever_the_tags_the_text_is_kept_and_the_order_is_one(names: list[str]) -> None:
    shapes = Shapes(names)
    for name in names:
        pieces = shapes.of(name).pieces
        assert name.startswith(pieces[0].text)
        assert shapes.compare(name, name).kind in (SAME, UNORDERED)
    first, second = names[:2]
    there, back = shapes.compare(first, second).kind, shapes.compare(second, first).kind
    if there == OLDER and back != OTHER:
        assert back == NEWER
