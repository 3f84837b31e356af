from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_rollback.errors import Exit, UsageError
from gitops_rollback.image import parse_image
from gitops_rollback.query.choose import RUNNING, Selection
from gitops_rollback.query.choose import choose as choose_among
from gitops_rollback.query.tags import (
    Ran,
    Tag,
    asks_for_created,
    newest_first,
    normalised_time,
)
from gitops_rollback.registries.hub import parse_tags

HUB = Path(__file__).resolve().parents[4] / "shared" / "data" / "hub"
START = datetime(2026, 1, 31, 2, 3, 4, tzinfo=UTC)


def digest(name: str) -> str:
    return "sha256:" + (name.encode().hex() * 64)[:64]


def pushed_in_turn(*names: str) -> list[Tag]:
    """Tags pushed a minute after each other, each an image of its own."""
    moments = [START + timedelta(minutes=index) for index in range(len(names))]
    return [
        Tag(name, digest(name), moment.isoformat(), moment.isoformat())
        for name, moment in zip(names, moments, strict=True)
    ]


def select(tags: list[Tag], current: str, query: str | None = None, *ran: str) -> Selection:
    return choose_among(
        tuple(tags), parse_image(current), query, tuple(Ran(digest(name)) for name in ran)
    )


def choose(tags: list[Tag], current: str, query: str | None = None) -> list[str]:
    return list(select(tags, current, query).names)


def test_without_a_query_the_tags_pushed_before_the_running_one_come_newest_first() -> None:
    tags = pushed_in_turn("1.0.0", "1.1.0", "1.2.0", "1.3.0")
    assert choose(tags, "acme/cart:1.2.0") == ["1.1.0", "1.0.0"]


def test_versions_order_what_pushes_put_in_another_order_and_that_is_said() -> None:
    found = select(pushed_in_turn("2.0.0", "1.9.1", "2.0.1"), "acme/cart:2.0.1")
    assert found.names == ("2.0.0", "1.9.1")
    assert found.notes == ("1.9.1 was pushed after 2.0.0: the name decides",)


def test_a_newer_version_that_was_pushed_before_a_hotfix_is_not_taken_without_a_word() -> None:
    found = select(pushed_in_turn("1.4.1", "1.5.0", "1.4.2"), "acme/cart:1.4.2")
    assert found.names == ("1.4.1",)
    assert "pushed before" in found.reasons["1.5.0"]
    assert found.notes == (
        "1.5.0 was pushed before the running image, but is newer by its name: not taken",
    )


def test_an_older_version_that_was_pushed_later_is_no_previous_one() -> None:
    found = select(pushed_in_turn("1.4.0", "1.4.2", "1.4.1"), "acme/cart:1.4.2")
    assert found.names == ("1.4.0",)
    assert "pushed after the running image" in found.reasons["1.4.1"]


def test_an_older_version_that_was_pushed_at_the_same_moment_is_the_previous_one() -> None:
    [before, at_once, running] = pushed_in_turn("1.4.0", "1.4.1", "1.4.2")
    found = select([before, replace(at_once, pushed=running.pushed), running], "acme/cart:1.4.2")
    assert found.names == ("1.4.1", "1.4.0")


def test_what_ran_before_comes_first_whatever_the_clocks_and_the_versions_say() -> None:
    tags = pushed_in_turn("1.4.2", "1.6.0", "1.5.0", "1.4.1")
    found = select(tags, "acme/cart:1.5.0", None, "1.4.1", "1.6.0", "1.5.0")
    assert found.names == ("1.6.0", "1.4.1", "1.4.2")


def test_every_tag_has_its_reason_where_it_is_not_taken() -> None:
    tags = [
        *pushed_in_turn("1.0.0", "1.0.0-alpine", "1.0.0-rc.1", "1.0", "edge", "20260103", "1.1.0"),
        Tag("chart", digest("chart"), no_image="a Helm chart"),
        Tag("also", digest("1.1.0")),
    ]
    found = select(tags, "acme/cart:1.1.0")
    assert found.names == ("1.0.0",)
    assert found.reasons == {
        "1.1.0": RUNNING,
        "also": RUNNING,
        "20260103": "it is a date, and what runs is a version",
        "edge": "it names no version",
        "1.0": "its version has 2 numbers, the running one 3",
        "1.0.0-rc.1": "it is a pre-release, and the running one is a release",
        "1.0.0-alpine": "it is of another form, VERSION-alpine, than the running tag, VERSION",
        "chart": "it is a Helm chart",
    }


def test_where_the_running_tag_is_not_listed_that_is_the_reason() -> None:
    found = select(pushed_in_turn("1.0.0", "1.1.0"), "acme/cart:1.2.0")
    assert found.names == ()
    assert set(found.reasons.values()) == {
        "the running image, 1.2.0, is not among the tags: nothing tells what is older"
    }


def test_a_word_that_runs_is_read_as_the_version_that_has_its_digest() -> None:
    tags = pushed_in_turn("1.0.0", "pr-7", "1.1.0")
    tags += [replace(tags[2], name=name) for name in ("latest", "1.1", "1", "abc1234")]
    assert choose(tags, "acme/cart:latest") == ["1.0.0"]


def test_two_builds_of_one_version_are_not_guessed_between_where_there_are_no_times() -> None:
    tags = [Tag(name) for name in ("1.4.2-abc1234", "1.4.1-bbb1234", "1.4.1-ccc1234", "1.4.0-ddd1")]
    found = select(tags, "ghcr.io/acme/cart:1.4.2-abc1234")
    assert found.names == ()
    assert "equal by name, and nothing tells the later" in found.reasons["1.4.1-bbb1234"]


def test_of_two_spellings_of_one_version_the_running_tags_own_is_taken() -> None:
    tags = [Tag(name) for name in ("v1.4.2", "1.4.1", "v1.4.1", "v1.4.0")]
    assert choose(tags, "ghcr.io/acme/cart:v1.4.2") == ["v1.4.1", "1.4.1", "v1.4.0"]


@pytest.mark.parametrize(
    ("running", "others", "kept"),
    [
        ("v1.10.3", ["v1.2.0", "1.2.2", "v1.2.2-rc1", "latest", "v2"], ["v1.2.0", "1.2.2"]),
        ("1.2.3-alpine", ["1.2.2-alpine", "1.2.2"], ["1.2.2-alpine"]),
        ("41", ["40", "build-40"], ["40"]),
        ("3f2a1bc", ["7654321", "deadbeef", "1.0.0"], ["7654321", "deadbeef"]),
        ("main-3f2a1bc-1700000000", ["main-aaaaaa1-1600000000", "main-1"], None),
        ("stable", ["1.0.0", "stable-1"], []),
        ("latest", ["1.0.0", "edge"], ["1.0.0", "edge"]),
    ],
)
def test_without_a_query_only_tags_of_the_running_tags_shape_are_kept(
    running: str, others: list[str], kept: list[str] | None
) -> None:
    tags = pushed_in_turn(*others, running)
    expected = others[:1] if kept is None else kept
    assert sorted(choose(tags, f"acme/cart:{running}")) == sorted(expected)


def test_an_image_that_runs_by_digest_alone_may_go_back_to_any_tag_but_latest() -> None:
    tags = pushed_in_turn("latest", "1.0", "edge", "prod")
    assert choose(tags, f"acme/cart@{digest('prod')}") == ["edge", "1.0"]


def test_every_tag_of_the_running_digest_is_left_out_and_its_first_push_counts() -> None:
    tags = pushed_in_turn("1.0.0", "1.1.0", "1.2.0")
    again = Tag("1.1.0-again", digest("1.1.0"), (START + timedelta(days=9)).isoformat())
    assert choose([*tags, again], "acme/cart:1.1.0", "tags[?running]") == []
    assert choose([*tags, again], "acme/cart:1.1.0", "tags[?!older]") == ["1.2.0"]
    assert choose([*tags, again], "acme/cart:1.1.0", "tags[?older]") == ["1.0.0"]
    of_current = f"current.digest == '{digest('1.1.0')}' && tags[0] || tags[1]"
    assert choose([*tags, again], "acme/cart:1.1.0", of_current) == ["1.2.0"]


def test_a_digest_counts_more_than_a_tag_that_was_moved_since() -> None:
    tags = pushed_in_turn("1.0.0", "1.1.0", "1.2.0")
    moved = [*tags[:2], Tag("1.1.0", digest("other"), "2026-02-01T00:00:00Z"), tags[2]]
    assert choose(moved, f"acme/cart:1.1.0@{digest('1.1.0')}") == ["1.0.0"]


def test_what_runs_by_the_digest_of_its_platform_is_the_tag_that_holds_it() -> None:
    """As Docker Hub's pages and `crane digest --platform` show it."""
    tags = [
        replace(tag, images=(("linux/amd64", digest(f"{tag.name} amd64")),))
        for tag in pushed_in_turn("1.0.0", "1.1.0", "1.2.0")
    ]
    running = f"acme/cart:1.2.0@{digest('1.2.0 amd64')}"
    assert select(tags, running).names == ("1.1.0", "1.0.0")
    assert select(tags, running).reasons["1.2.0"] == RUNNING
    assert choose(tags, running, "results[1].images[0].digest") == ["1.1.0"]
    assert choose(tags, running, "results[].images[].digest") == ["1.1.0", "1.0.0"]


def test_nothing_is_older_than_a_running_image_that_no_tag_explains() -> None:
    tags = pushed_in_turn("1.0.0", "1.1.0")
    assert choose(tags, f"acme/cart:1.1.0@{digest('gone')}") == []


def test_an_image_that_was_pushed_again_is_as_old_as_its_first_deployment() -> None:
    tags = pushed_in_turn("1.1.0", "1.2.0", "1.3.0", "1.0.0")
    assert choose(tags, "acme/cart:1.3.0") == ["1.2.0", "1.1.0"]
    found = select(tags, "acme/cart:1.3.0", None, "1.0.0", "1.3.0")
    assert found.names == ("1.0.0", "1.2.0", "1.1.0")


def test_where_the_running_image_was_pushed_again_nothing_newer_becomes_older() -> None:
    tags = pushed_in_turn("1.2.0", "edge-2", "latest")
    running = parse_image("acme/cart:latest")
    assert choose_among(tuple(tags), running).names == ("edge-2", "1.2.0")
    at = (START + timedelta(seconds=30)).isoformat()
    assert choose_among(tuple(tags), running, None, (Ran(digest("latest"), at),)).names == (
        "1.2.0",
    )


def test_latest_and_the_newest_tag_of_one_digest_are_both_the_running_image() -> None:
    tags = pushed_in_turn("1.0.0", "1.1.0")
    tags.append(replace(tags[1], name="latest"))
    for running in ("acme/cart:latest", "acme/cart:1.1.0", f"acme/cart@{digest('1.1.0')}"):
        assert choose(tags, running) == ["1.0.0"]


def test_signatures_attestations_and_names_that_are_no_tags_are_left_out() -> None:
    hexadecimal = "a" * 64
    names = [
        f"sha256-{hexadecimal}",
        f"sha256-{hexadecimal}.sig",
        "1.0.0.att",
        "1.0.0.sbom",
        "not a tag",
    ]
    tags = [*pushed_in_turn(*names, "1.0.0"), Tag("proof", no_image="an attestation")]
    assert choose(tags, "acme/cart:1.1.0", "tags") == ["1.0.0"]
    assert choose(tags, "acme/cart:1.1.0", "results") == ["1.0.0"]
    assert select(tags, "acme/cart:1.1.0").reasons["proof"] == "it is an attestation"


def test_a_tag_without_a_time_comes_last_and_is_older_only_by_its_name() -> None:
    tags = [Tag("0.9.0", digest("0.9.0")), *pushed_in_turn("1.0.0", "1.1.0")]
    assert [tag.name for tag in newest_first(tags)] == ["1.1.0", "1.0.0", "0.9.0"]
    assert choose(tags, "acme/cart:1.1.0", "tags[?older]") == ["1.0.0"]
    assert choose(tags, "acme/cart:1.1.0") == ["1.0.0", "0.9.0"]
    ids = [Tag("aaa1111", digest("aaa1111")), *pushed_in_turn("bbb1111", "ccc1111")]
    assert choose(ids, "acme/cart:ccc1111") == ["bbb1111"]


def test_the_time_of_update_stands_in_for_that_of_push() -> None:
    tags = [
        Tag("1.0.0", digest("1.0.0"), updated="2020-01-01T00:00:00Z"),
        Tag("1.1.0", digest("1.1.0"), updated="2020-01-02T00:00:00Z"),
    ]
    assert choose(tags, "acme/cart:1.1.0") == ["1.0.0"]


def test_where_a_registry_gives_names_only_the_lower_versions_are_older() -> None:
    tags = [Tag(name) for name in ("1.10.0", "1.9.0", "1.2.0-rc1", "1.11.0", "latest")]
    assert choose(tags, f"ghcr.io/acme/cart:1.10.0@{digest('x')}") == ["1.9.0"]


@pytest.mark.parametrize("running", ["acme/cart:3f2a1bc", "acme/cart", "acme/cart:latest"])
def test_where_a_registry_gives_names_only_commits_and_latest_have_no_order(running: str) -> None:
    assert choose([Tag("1a2b3c4"), Tag("3f2a1bc"), Tag("1.0.0")], running) == []


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("2021-01-04T19:55:17.37199Z", "2021-01-04T19:55:17.371990Z"),
        ("2021-01-04T19:55:17Z", "2021-01-04T19:55:17.000000Z"),
        ("2021-01-04T19:55:17.123456789+02:00", "2021-01-04T17:55:17.123456Z"),
        ("2021-01-04T19:55:17", "2021-01-04T19:55:17.000000Z"),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+02:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_brought_to_one_form(given_text: str | None, expected: str | None) -> None:
    assert normalised_time(given_text) == expected


@given(st.lists(st.datetimes(min_value=datetime(1970, 1, 1)), min_size=2))  # noqa: DTZ001 - UTC is added below
def test_the_order_of_normalised_texts_is_the_order_of_times(moments: list[datetime]) -> None:
    aware = [moment.replace(tzinfo=UTC) for moment in moments]
    texts = [normalised_time(moment.isoformat()) or "" for moment in aware]
    assert sorted(texts) == [normalised_time(moment.isoformat()) for moment in sorted(aware)]


@given(st.lists(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}", fullmatch=True), unique=True))
def test_whatever_the_names_a_choice_is_among_the_others(names: list[str]) -> None:
    tags = [*pushed_in_turn(*names), *(Tag(name) for name in names)]
    for name in names[:3]:
        chosen = choose(tags, f"acme/cart:{name}")
        assert set(chosen) <= set(names) - {name}


# jmespath still takes `text` without quotes between backticks, and says that it is a thing of old.
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@given(st.text(alphabet="tags[]?&@|*.'`\"()0:1-older,pushed{} =<!\\", max_size=30))
def test_whatever_the_query_it_gives_names_or_a_usage_error(query: str) -> None:
    with suppress(UsageError):
        given = choose(pushed_in_turn("1.0.0", "1.1.0"), "acme/cart:1.1.0", query)
        assert set(given) <= {"1.0.0"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("tags[?older]", ["1.1.0", "v1.0.0"]),
        ("tags[?older && starts_with(name, 'v')]", ["v1.0.0"]),
        ("tags[?older].name", ["1.1.0", "v1.0.0"]),
        ("tags[?older] | [0]", ["1.1.0"]),
        ("tags[?older] | [0].name", ["1.1.0"]),
        ("reverse(sort_by(tags[?older && pushed], &pushed))", ["1.1.0", "v1.0.0"]),
        ("[tags[1], tags[1].name, tags[0]]", ["1.1.0", "1.3.0"]),
        ("tags[?name == 'none']", []),
        ("tags[?name == 'none'] | [0]", []),
        ("results[1].name", []),
        ("results[2].name", ["1.1.0"]),
        ("results[?name!='latest'] | [3].name", ["v1.0.0"]),
        ("results[?last_updated < '2026-01-31T02:04:05'].name", ["1.1.0", "v1.0.0"]),
        ("results[0].digest", ["1.3.0"]),
        ("sort_by(results, &tag_last_pushed)[0]", ["v1.0.0"]),
    ],
)
def test_a_query_gives_tags_or_names_in_its_order(query: str, expected: list[str]) -> None:
    tags = pushed_in_turn("v1.0.0", "1.1.0", "1.2.0", "1.3.0")
    assert choose(tags, "acme/cart:1.2.0", query) == expected


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("tags[?older", "cannot be read at character 12: Incomplete expression"),
        ("tags older", "cannot be read at character 6: Unexpected token: older"),
        ("tags[^]", "cannot be read at character 6: Unknown token ^"),
        ("tags[?name == 'x]", "cannot be read at character 15: Unclosed ' delimiter"),
        ("", "cannot be answered: Invalid JMESPath expression: cannot be empty"),
        ("newest(tags)", "cannot be answered at character 1: Unknown function: newest()"),
        ("tags[?newest(name)]", "cannot be answered at character 7: Unknown function: newest()"),
        (
            "max_by(tags)",
            "cannot be read at character 1: Expected 2 arguments for function max_by()",
        ),
        ("sort(tags) | sort(@, `1`)", "cannot be read: Expected 1 argument for function sort()"),
        ("tags | merge()", "Expected at least 1 argument for function merge()"),
        ("tags[?start_with(name, 'v')]", "start_with(); did you mean starts_with"),
        ("tags[?zzz && newest(name)]", "Unknown function: newest()"),
        ("tags[0:1:0]", "slice step cannot be zero"),
        ("(" * 3000, "recursion"),
        ("length(`1`)", "answered at character 1: length() was given a value of type number"),
        ("tags[?matches(name, '(a+)+')]", "the pattern '(a+)+' is not read as Go reads it"),
        ("tags[?matches(name, '[')]", "cannot be answered: the pattern '['"),
        ("tags[?in_range(name, 'new')]", "cannot be answered: "),
        ("tags[?matches(size, '1')]", "matches() was given a value of type null"),
        ("by_version('1.0')", "by_version() was given a value of type string"),
        ("tags[*].older", "gives a boolean where a tag or its name is wanted"),
        ("length(tags)", "gives a number where"),
        ("[tags]", "gives a list where"),
        ("results[0].images[0].digest || 'none'", "'none', which is no tag"),
        ("results[*].last_updated", "which is no tag that could be gone back to"),
        (".results[].name", "cannot be read at character 1"),
        ("results[] | select(.name)", "cannot be read"),
        ("{a: `1`}", "gives an object without a name"),
        ("'2.0.0'", "gives '2.0.0', which is no tag"),
    ],
)
def test_a_query_that_is_wrong_is_a_usage_error_that_says_where(query: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(pushed_in_turn("1.0.0", "1.1.0"), "acme/cart:1.1.0", query)
    assert words in caught.value.message
    assert "tags[?older" in caught.value.hint
    first = (
        'results[0] is {"name": "1.1.0"' if "results" in query else 'tags[0] is {"name": "1.0.0"'
    )
    assert first in caught.value.hint or "null" in words
    assert caught.value.exit_code == Exit.USAGE


def test_a_query_written_for_jq_is_told_what_to_write_instead() -> None:
    for query, advice in (
        (".results[].name", "results[].name"),
        ("results[] | select(name)", "results[?starts_with(name, 'v')]"),
    ):
        with pytest.raises(UsageError) as caught:
            choose(pushed_in_turn("1.0.0", "1.1.0"), "acme/cart:1.1.0", query)
        assert "this is jq: " in caught.value.hint
        assert advice in caught.value.hint


@pytest.mark.parametrize(
    "query",
    [
        "tags[0].name|" + "|".join(["join('',[@,@])"] * 40),
        "tags[0].name|" + "|".join(["[@,@]"] * 40),
        "tags[0].name|" + "|".join(["[@,@]"] * 24) + "|" + "|".join(["[]"] * 24),
        "tags[0].name|" + "|".join(["{a:@,b:@}"] * 60) + "|to_string(@)",
        "tags[].name|" + "|".join(["[@,@][]"] * 30) + "|sort(@)",
        "tags[*].[" + ",".join(["name"] * 400) + "]|" + "|".join(["[*].[@,@][]"] * 20),
    ],
)
def test_a_query_whose_value_doubles_at_each_step_is_given_up(query: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(pushed_in_turn("1.0.0", "1.1.0"), "acme/cart:1.1.0", query)
    assert "is not answered: " in caught.value.message


VERSIONS = ("1.9.0", "v1.10.0-rc.1", "1.10.0", "latest", "1.11.0", "2.0.0", "1.12.0")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("by_version(tags)", ["2.0.0", "1.11.0", "1.10.0", "v1.10.0-rc.1", "1.9.0"]),
        ("by_version(tags[].name)", ["2.0.0", "1.11.0", "1.10.0", "v1.10.0-rc.1", "1.9.0"]),
        ("by_version(tags[?in_range(name, '<1.12.0')])", ["1.11.0", "1.10.0", "1.9.0"]),
        ("tags[?in_range(name, '~1.10')].name", ["1.10.0"]),
        ("tags[?matches(name, '^v?1\\.1\\d\\.0$')].name", ["1.11.0", "1.10.0"]),
        ("tags[?older && matches(name, 'rc')]", ["v1.10.0-rc.1"]),
        ("by_version(`[]`)", []),
    ],
)
def test_queries_can_order_by_version_and_choose_by_range_and_pattern(
    query: str, expected: list[str]
) -> None:
    assert choose(pushed_in_turn(*VERSIONS), "acme/cart:1.12.0", query) == expected


@pytest.mark.parametrize(
    ("query", "asks"),
    [
        ("sort_by(tags[?created], &created)", True),
        ("tags[?older]", False),
        ("tags[?pushed > '2026']", False),
        (None, False),
    ],
)
def test_only_a_query_that_names_the_time_of_build_asks_for_it(
    query: str | None,
    asks: bool,  # noqa: FBT001 - a row of a table
) -> None:
    assert asks_for_created(query) is asks


@pytest.mark.parametrize("query", ["tags[?older][0]", "results[] [1].name", "tags[*][-1]"])
def test_an_index_behind_a_projection_is_told_to_be_asked_of_each_tag(query: str) -> None:
    tags = pushed_in_turn("1.0.0", "1.1.0", "1.2.0")
    answer = select(tags, "acme/cart:1.2.0", query)
    assert not answer.names
    assert any("so write | [0]" in reason for reason in answer.reasons.values())
    right = select(tags, "acme/cart:1.2.0", f"{query.partition('[')[0]}[] | [1].name")
    assert right.names
    assert not any("write |" in reason for reason in right.reasons.values())


def test_sorting_by_a_value_that_some_tags_lack_says_how_to_keep_the_others() -> None:
    tags = [Tag("0.9.0"), *pushed_in_turn("1.0.0", "1.1.0")]
    with pytest.raises(UsageError) as caught:
        choose(tags, "acme/cart:1.1.0", "sort_by(tags, &pushed)")
    assert "sort_by() was given a value of type null" in caught.value.message
    assert "reverse(sort_by(tags[?older && pushed], &pushed))" in caught.value.hint


def test_a_message_repeats_a_long_query_shortened_and_on_one_line() -> None:
    with pytest.raises(UsageError) as caught:
        choose([], "acme/cart:1", "tags[?\n\x1b[31m" + "x" * 1000)
    assert len(caught.value.message) < 500
    assert caught.value.message.isprintable()


def recorded(name: str) -> list[Tag]:
    if not HUB.is_dir():
        pytest.skip(f"recorded Docker Hub answers are not here: {HUB}")
    document = json.loads((HUB / name).read_bytes())
    return parse_tags(document["results"] if isinstance(document, dict) else document)


def test_a_recorded_page_of_2023_gives_the_version_before_the_running_one() -> None:
    tags = recorded("tags-crazymax-diun-page1-2023-02.json")
    names = [tag.name for tag in newest_first(tags) if tag.name[0].isdecimal()]
    running = max(name for name in names if name.count(".") == 2)
    chosen = choose(tags, f"crazymax/diun:{running}")
    assert chosen
    assert all(name.count(".") == 2 and name < running for name in chosen)


def test_in_a_recorded_answer_of_2021_two_tags_of_one_digest_both_count_as_running() -> None:
    tags = recorded("results-marqaaron-2021-01.json")
    assert {tag.name for tag in tags} >= {"latest", "1.2.1"}
    assert "1.2.1" not in choose(tags, "acme/x:latest", "tags")
    assert choose(tags, "acme/x:latest") == choose(tags, "acme/x:1.2.1")
    assert choose(tags, "acme/x:latest")[0] < "1.2.1"


def test_a_tag_that_is_another_image_by_now_is_said_as_such() -> None:
    tags = pushed_in_turn("1.0.0", "1.1.0", "1.2.0")
    running = f"acme/cart:1.2.0@{digest('what it was')}"
    found = select(tags, running)
    assert not found.names
    told = "the tag 1.2.0 is another image by now than the one that runs"
    assert all(why.startswith(told) for why in found.reasons.values())
    assert found.left == "1.1.0", "not what took the place of the one that runs"
    assert select(tags, running, None, "1.0.0", "what it was").notes == (
        f"{told}: what ran before decides",
    )


def test_a_running_tag_that_is_not_listed_is_said_where_names_decide() -> None:
    found = select([Tag("1.0.0"), Tag("1.1.0")], "acme/cart:1.2.0")
    assert found.names == ("1.1.0", "1.0.0")
    (note,) = found.notes
    assert note == ("the running image, 1.2.0, is not among the tags: the order of names decides")
