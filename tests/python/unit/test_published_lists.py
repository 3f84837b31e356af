"""Lists of tags as images are published with them, and the one that was released before.

Each line of golden/published-tag-lists.txt has the tags in the order of their pushes (`a=b`: `a`
has the digest of `b`), what runs, and what a person would go back to; `-` where nothing tells, `?`
where a person could tell and this program does not: each tag has its reason then. What follows `|`
is right where the registry tells names only. The ways of naming are those of Docker's official
images, linuxserver.io, Bitnami, Grafana, MinIO, GitLab, Istio, of Flux's and Renovate's
documentation, and of what `git describe` and the usual tools for versions make.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops_rollback.image import parse_image
from gitops_rollback.query.choose import Selection, choose
from gitops_rollback.query.tags import Tag
from unit.builders import digest

LISTS = (Path(__file__).parent / "golden" / "published-tag-lists.txt").read_text().splitlines()


def chosen(line: str, *, is_dated: bool) -> tuple[Selection, dict[str, str], str]:
    """What is chosen of a list, the digest of each tag, and what is right."""
    listed, _, told = line.partition(" : ")
    running, _, right = told.partition(" -> ")
    dated, _, undated = right.partition(" | ")
    pairs = [entry.partition("=") for entry in listed.split()]
    of = {name: digest(other or name) for name, _, other in pairs}
    image = parse_image(f"acme/cart:{running}")
    if is_dated:
        image = image.with_version(running, of[running])
    tags = [
        Tag(name, of[name], f"2026-01-31T{10 + minute // 60}:{minute % 60:02}:00Z")
        if is_dated
        else Tag(name)
        for minute, name in enumerate(of)
    ]
    return choose(tuple(tags), image), of, dated if is_dated or not undated else undated


@pytest.mark.parametrize("is_dated", [True, False], ids=["with times", "names only"])
@pytest.mark.parametrize("line", LISTS)
def test_what_was_released_before_is_found_or_each_tag_has_its_reason(
    line: str,
    is_dated: bool,  # noqa: FBT001
) -> None:
    selection, of, right = chosen(line, is_dated=is_dated)
    best = next(iter(selection.names), "-")
    assert best == right.replace("?", "-") or (is_dated and of.get(best) == of.get(right))
    assert {*selection.names, *selection.reasons} == {*of}
    assert all(selection.reasons.values())


def test_of_a_hundred_lists_two_are_refused_needlessly_at_most() -> None:
    needlessly = [line for line in LISTS if line.partition(" -> ")[2].startswith("?")]
    assert len(LISTS) > 800
    assert len(needlessly) < len(LISTS) * 0.02


def test_what_may_have_been_the_one_before_is_said_where_there_are_no_times() -> None:
    line = next(
        one for one in LISTS if one.endswith("1.4.2-0a0a0a0 -> 1.4.2-def5678 | 1.4.1-abc1234")
    )
    notes = chosen(line, is_dated=False)[0].notes
    assert any("1.4.2-def5678 may have been the one before" in note for note in notes)
    assert not chosen(line, is_dated=True)[0].notes


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("1.4.2 1.4.2-1 1.4.3 : 1.4.3 -> ", "1.4.2-1 may have been the one before"),
        ("1.4.2 1.4.2-r1 1.4.3 : 1.4.3 -> ", "1.4.2-r1 may have been the one before"),
        ("1.21.1 1.21.2 1.22 1.22.1 : 1.22.1 -> ", "1.22 may have been the one before"),
        ("1.4.2 1.4.2-alpine 1.4.3 : 1.4.3 -> ", ""),  # another thing, whenever it was pushed
        ("1.4.2 1.4.3 1.4.3-1 : 1.4.3 -> ", ""),  # pushed later
        ("1.4.2 1.4.2-r1=1.4.2 1.4.3 : 1.4.3 -> ", ""),  # the same image
        ("2.7.18 3.12.4 3.12.3 : 3.12.4 -> ", "3.12.3 was pushed after the running image"),
        ("1.4.2.1 1.4.3 : 1.4.3 -> ", "1.4.2.1 has more numbers than 1.4.3"),
    ],
)
def test_what_may_have_come_between_in_another_form_is_said(line: str, note: str) -> None:
    notes = chosen(line, is_dated=True)[0].notes
    assert any(one.startswith(note) for one in notes) if note else not notes
