"""What each source tells of an image to go back to, and what is said where it tells nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.decide.change import Change, Refused
from gitops_rollback.decide.facts import (
    Check,
    History,
    NeedPlatforms,
    NeedRecords,
    Records,
    Revision,
    Tags,
    Unanswered,
)
from gitops_rollback.decide.plan import PlanFile, PlannedService
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import (
    ConfigError,
    JenkinsError,
    NotFoundError,
    RegistryError,
    UsageError,
)
from gitops_rollback.ledger.message import Told, render
from gitops_rollback.model import Deed, LogEntry
from gitops_rollback.query.tags import Tag
from gitops_rollback.services.config import Settings
from unit.builders import (
    DEPLOYMENT,
    NAME,
    PRESENT,
    URL,
    at,
    bad_entry,
    changed,
    decided,
    digest,
    history,
    image,
    plainly,
    records,
    service_at_tip,
    state,
    stored,
    telling,
)
from unit.test_plan import AB, GONE, World
from unit.test_repair import revert_of, told

if TYPE_CHECKING:
    from gitops_rollback.decide.plan import Plan
    from gitops_rollback.ledger.state import State

AMD, ARM = "linux/amd64", "linux/arm64"
NO_ANSWER = JenkinsError("Jenkins did not answer", "look at it")


def planned(answer: Any = plainly, *steps: str, **choice: Any) -> Plan:  # noqa: ANN401
    """The plan of a rollback where the newest image of a state file runs."""
    found = state(*(steps or AB))
    newest = found.newest
    assert newest is not None
    doing = Wish("rollback", PRESENT, **choice)
    plan = decided(doing, service_at_tip(str(newest.image), found), answer).plan
    assert plan is not None
    return plan


def test_what_runs_already_is_nothing_to_do_and_no_error() -> None:
    there = service_at_tip(str(image("2")), state(*AB))
    change = changed(Wish("rollback", PRESENT, to="2"), there)
    assert (change.changes_anything, change.summary.action) == (False, "deploy")
    assert (change.summary.to, change.summary.from_image) == (image("2"), image("2"))


def test_of_a_tag_that_several_images_ran_under_the_last_is_meant_and_the_others_are_told() -> None:
    runs = state("0>dev@A", "dev@A>dev@B")
    change = changed(Wish("rollback", PRESENT, to="dev"), service_at_tip(str(image("dev@B")), runs))
    assert not change.changes_anything
    assert any(f"--to {digest('A')[:19]}" in told for told in change.warnings)
    steps = ("0>dev@A", "dev@A>2", "2>dev@B", "dev@B>3")
    plan = planned(plainly, *steps, to="dev")
    assert plan.chosen is not None
    assert plan.chosen.image.digest == digest("B")
    [note] = [one for one in plan.warnings if "another image, too" in one]
    begin = digest("A")[:19]
    assert f"(--to {begin})" in note
    chosen = planned(plainly, *steps, to=begin).chosen
    assert chosen is not None
    assert chosen.image.digest == digest("A"), "what is printed works"
    assert not any("another" in one for one in planned(plainly, *steps, to="2").warnings)


def test_the_text_that_was_rolled_back_from_is_bad_where_nobody_knows_its_digest() -> None:
    """A tag that is no version, which ran before, too; a record tells what it meant at most."""
    steps = ("0>~dev", "~dev>1", "1>~dev", "~dev<1")
    there = service_at_tip(str(image("1")), state(*steps, bad=(bad_entry("~dev", at(4)),)))
    answer = telling(NeedRecord=stored("dev@A", "1", sha256=digest("record 2")))
    plan = decided(Wish("rollback", PRESENT, again=True), there, answer).plan
    assert plan is not None
    assert [(one.image, one.reason) for one in plan.candidates] == [
        (image("~dev"), "bad"),
        (image("0"), None),
    ]


def test_without_any_image_a_rollback_is_not_found_with_its_plan() -> None:
    found = decided(Wish("rollback", PRESENT), service_at_tip(str(image("2"))))
    assert isinstance(found, Refused)
    assert isinstance(found.error, NotFoundError)
    assert found.plan is not None


def test_of_an_image_that_nobody_verified_no_more_is_asked() -> None:
    asked = []

    def answer(need: Any, facts: Any) -> Any:  # noqa: ANN401
        asked.append(type(need))
        return telling(NeedCheck=Check("unknown", message="no answer"))(need, facts)

    plan = planned(answer)
    assert NeedPlatforms not in asked
    assert plan.chosen is not None
    assert not plan.chosen.verified
    assert plan.warnings[-1].startswith("1: not verified: no answer; were it deleted")


def of_registry(*tags: Tag) -> Any:  # noqa: ANN401 - an answer
    return telling(NeedTags=Tags(tags))


def tag(name: str, minute: int, **more: Any) -> Tag:  # noqa: ANN401
    moment = at(minute)
    return Tag(**{"name": name, "digest": digest(name), "pushed": moment, **more})


@pytest.mark.parametrize(
    ("pushed", "other", "code"),
    [
        pytest.param(30, 0, "never-ran", id="pushed since the ledger begins"),
        pytest.param(0, 30, "unproven", id="pushed before"),
    ],
)
def test_when_the_named_image_was_pushed_tells_whether_it_can_have_run(
    pushed: int, other: int, code: str
) -> None:
    plan = planned(of_registry(tag("8", other), tag("7", pushed)), to="7")
    assert [block.code for block in plan.blocks] == [code]


BOTH = ((AMD, digest("x")), (ARM, digest("y")))


@pytest.mark.parametrize(
    ("named", "code"),
    [
        pytest.param(tag("7", 1, images=BOTH), None, id="for all platforms"),
        pytest.param(tag("7", 1, images=BOTH[:1]), "platform", id="for one alone"),
        pytest.param(tag("7", 1, no_image="a Helm chart"), "not-an-image", id="no image"),
        pytest.param(tag("7", 1, digest=None, images=BOTH[:1]), "platform", id="by its name"),
    ],
)
def test_platforms_that_the_registry_s_list_tells_are_not_asked_for_again(
    named: Tag, code: str | None
) -> None:
    asked = []

    def answer(need: Any, facts: Any) -> Any:  # noqa: ANN401
        asked.append(type(need))
        return of_registry(tag("2", 2, images=BOTH), named)(need, facts)

    plan = planned(answer, to=image("7").canonical, accept=frozenset({"unproven", "never-ran"}))
    assert [block.code for block in plan.blocks] == ([code] if code else [])
    assert NeedPlatforms not in asked


def test_a_registry_that_does_not_answer_ends_a_rollback_that_goes_by_it() -> None:
    failed = Tags(failure=RegistryError("the registry did not answer", "later"))
    found = decided(
        Wish("rollback", PRESENT, strategy="registry"),
        service_at_tip(str(image("2")), state(*AB)),
        telling(NeedTags=failed),
    )
    assert isinstance(found, Refused)
    assert found.error is failed.failure


@pytest.mark.parametrize(
    ("needs", "strategy", "is_over"),
    [
        ({"NeedRecord": Unanswered(NO_ANSWER)}, "artifact", True),
        ({"NeedRecord": Unanswered(NO_ANSWER)}, "auto", False),
        ({"NeedRecords": Records(failure=NO_ANSWER)}, "artifact", True),
    ],
)
def test_an_archive_that_does_not_answer_is_an_error_where_it_was_named(
    needs: dict[str, Any],
    strategy: str,
    is_over: bool,  # noqa: FBT001
) -> None:
    running = "9" if "NeedRecords" in needs else "2"  # the state file explains it, or does not
    there = service_at_tip(str(image(running)), state(*AB))
    found = decided(Wish("rollback", PRESENT, strategy=strategy), there, telling(**needs))
    if is_over:
        assert isinstance(found, Refused)
        assert found.error is NO_ANSWER
        return
    assert isinstance(found, Change)
    assert found.plan is not None
    assert "artifact: Jenkins did not answer" in found.plan.findings[0]


def test_records_that_could_not_be_read_are_named() -> None:
    there = service_at_tip(str(image("9")), state(*AB))
    answer = telling(NeedRecords=Records(unread="2 records were passed over"))
    plan = decided(Wish("rollback", PRESENT), there, answer).plan
    assert plan is not None
    assert any(one.startswith("records: 2 records were passed over; ") for one in plan.findings)


def test_records_are_asked_for_one_by_one_and_no_more_than_forty() -> None:
    every = records(*(f"{number}>{number + 1}" for number in range(60)))
    asked: list[int] = []

    def answer(need: Any, facts: Any) -> Any:  # noqa: ANN401
        if isinstance(need, NeedRecords):
            asked.append(need.count)
            return Records(every[: need.count], has_more=need.count < len(every))
        return telling(NeedCheck=GONE)(need, facts)

    found = decided(Wish("rollback", PRESENT), service_at_tip(str(image("60"))), answer)
    assert isinstance(found, Refused)
    assert asked == [*range(1, 41)]


def test_where_records_end_the_search_ends() -> None:
    asked: list[int] = []

    def answer(need: Any, facts: Any) -> Any:  # noqa: ANN401
        if isinstance(need, NeedRecords):
            asked.append(need.count)
            found = records(*AB)[: need.count]
            return Records(found, has_more=len(found) == need.count)
        return telling(NeedCheck=GONE)(need, facts)

    assert isinstance(
        decided(Wish("rollback", PRESENT), service_at_tip(str(image("2"))), answer), Refused
    )
    assert asked == [1, 2]


def test_a_query_that_gives_nothing_is_told_with_what_it_was_asked_of() -> None:
    answer = of_registry(tag("2", 2), tag("1", 1))
    plan = planned(answer, query="tags[?name=='9']")
    assert plan.chosen is None
    told_of = [one for one in plan.findings if "the query 'tags[?name=='9']' gives none" in one]
    assert len(told_of) == 1
    assert any('"running"' in one for one in plan.findings), "a line of what it is asked of"


def test_tags_that_are_not_taken_are_told_by_their_reason_three_of_each() -> None:
    others = [tag(f"feature-{name}", 1) for name in "abcde"]
    plan = planned(of_registry(tag("2", 2), *others), strategy="registry")
    assert plan.chosen is None
    [reason] = [one for one in plan.findings if "feature-" in one and " and 2 more: " in one]
    assert reason.count("feature-") == 3
    assert any(one.startswith("to take one all the same: --query ") for one in plan.findings)


def test_the_registry_s_own_query_of_the_configuration_takes_a_tag_without_being_asked() -> None:
    settings = Settings(configured=True, query="tags[?name=='1']")
    plan = World("2", tags=("2", "1"), settings=settings).plan(accept=frozenset({"unproven"}))
    assert plan.chosen is not None
    assert plan.chosen.sources == {"registry"}


def test_an_image_built_from_a_bad_commit_is_bad_under_whatever_tag() -> None:
    bad = bad_entry("2", at(3), tag="2", revision="c0ffee")
    there = service_at_tip(str(image("1")), state("1>2", "2<1", bad=(bad,)))
    answer = telling(NeedRevision=Revision("c0ffee"))
    plan = decided(Wish("rollback", PRESENT, to=image("7").canonical), there, answer).plan
    assert plan is not None
    assert [block.code for block in plan.blocks] == ["bad"]
    assert "has its revision" in plan.blocks[0].message


def test_an_image_that_only_commits_tell_of_has_run_all_the_same() -> None:
    there = service_at_tip(str(image("2")), state(*AB))
    whole = History(history("7", "1", "2"), is_whole=True)
    answer = telling(NeedHistory=whole)
    named = f"{NAME}:other@{digest('7')}"
    plan = decided(Wish("rollback", PRESENT, to=named), there, answer).plan
    assert plan is not None
    assert plan.blocks == ()


@pytest.mark.parametrize(
    ("ledger", "has_tag", "codes"),
    [
        pytest.param(state("~1>2"), False, ["unproven"], id="the tag has another digest"),
        pytest.param(state("~1>2"), True, [], id="the tag has it"),
        pytest.param(state("1>2"), True, ["unproven"], id="the tag ran with another digest"),
    ],
)
def test_a_digest_that_is_only_named_has_not_run_because_its_tag_did(
    ledger: State, codes: list[str], *, has_tag: bool
) -> None:
    there = service_at_tip(str(image("2")), ledger)
    answer = telling(NeedCheck=Check("there", digest("7"), has_tag=has_tag))
    plan = decided(Wish("rollback", PRESENT, to=f"{NAME}:1@{digest('7')}"), there, answer).plan
    assert plan is not None
    assert [block.code for block in plan.blocks] == codes


def test_a_tag_of_another_repository_that_ran_here_proves_nothing() -> None:
    moved = image("2", "ghcr.io/acme/cart")
    whole = state("1>2", "2>3")
    newest = replace(whole.deployed[0], image=image("3", "ghcr.io/acme/cart"), from_image=moved)
    there = service_at_tip(str(newest.image), replace(whole, deployed=(newest, whole.deployed[1])))
    plan = decided(Wish("rollback", PRESENT, to="ghcr.io/acme/cart:1"), there).plan
    assert plan is not None
    assert [block.code for block in plan.blocks] == ["unproven"]


def test_an_image_that_was_rewritten_by_hand_is_found_by_the_digest_that_was_deployed() -> None:
    world = World("1", state("1>2", "~2<1"))
    plan = world.plan(to=digest("2"), accept=frozenset({"unproven", "mutable-tag"}))
    assert plan.chosen is not None
    assert plan.chosen.image == image("2")
    assert plan.chosen.placed is not None


def test_a_commit_that_was_reverted_by_hand_is_gone_back_already() -> None:
    def log(*messages: str) -> tuple[LogEntry, ...]:
        numbers = range(len(messages), 0, -1)
        entries = zip(numbers, messages, strict=True)
        return tuple(LogEntry(f"{n:040x}", at(n), "joe", text) for n, text in entries)

    there = service_at_tip(str(image("1")), state("0>1"))
    answer = telling(NeedLog=log(revert_of(1), told("deploy")))
    found = decided(Wish("rollback", PRESENT), there, answer)
    assert isinstance(found, Refused)
    assert found.code == "already"
    assert "2 was reverted by hand" in found.error.message
    assert "by joe, 2 → 1" in found.error.message
    renamed = service_at_tip(str(image("1")), state("0>1"), DEPLOYMENT.replace("cart", "shop"))
    log_of_shop = telling(NeedLog=log(revert_of(1), told("deploy", "shop")))
    again = decided(Wish("rollback", PRESENT), renamed, log_of_shop)
    assert isinstance(again, Refused)
    assert again.error.message == found.error.message
    assert isinstance(decided(Wish("rollback", PRESENT, again=True), there, answer), Change)
    # Deeds since, folded into a commit that says nothing: their state file tells of them.
    [deed] = state("0>1").deployed
    since = replace(state("0>1"), deployed=(replace(deed, at=at(3)),))
    squashed = service_at_tip(str(image("1")), since)
    folded = telling(NeedLog=log("Merge (#7)", revert_of(1), told("deploy")))
    assert isinstance(decided(Wish("rollback", PRESENT), squashed, folded), Change)
    # One that is told below the deploy is not since, though an agent's clock was ahead.
    first = render([Told("cart", "production", Deed("deploy", image("1"), image("0")))])
    below = telling(NeedLog=log(revert_of(2), told("deploy"), first))
    assert isinstance(decided(Wish("rollback", PRESENT), squashed, below), Refused)


def test_what_only_the_oldest_commits_tell_of_a_time_is_gone_back_to() -> None:
    def world(*images: str) -> World:
        later = replace(state(*AB).deployed[0], at=at(30))
        *entries, oldest = history(*images)
        known = (*entries, replace(oldest, is_oldest=True))
        return World("2", replace(state(*AB), deployed=(later,)), known)

    accept = frozenset({"unproven", "never-ran"})
    for images in (("1", "2"), ("7", "8")):  # on the stack, and of no event at all
        plan = world(*images).plan(as_of=at(1), accept=accept)
        assert plan.chosen is not None
        assert plan.chosen.image == image(images[0])
        assert plan.chosen.sources >= {"git"}


def test_a_tag_with_the_digest_of_an_old_commit_has_run() -> None:
    whole = History(history("7", "1", "2"), is_whole=True)
    tags = Tags((tag("2", 2), tag("other", 1, digest=digest("7"))))
    answer = telling(NeedHistory=whole, NeedTags=tags)
    plan = planned(answer, query="tags[?name=='other']")
    assert plan.chosen is not None
    assert plan.chosen.image.tag == "other"
    assert not any("nothing shows that it ran" in one for one in plan.warnings)


def test_a_plan_without_an_image_for_a_service_is_not_followed_for_it() -> None:
    entry = PlannedService("cart", "production", "auto", image("2"), None)
    nothing = PlanFile("plan.json", URL, "main", (entry,))
    with pytest.raises(NotFoundError, match="the plan found no image to go back to for cart"):
        changed(
            Wish("rollback", PRESENT, planned=nothing),
            service_at_tip(str(image("2")), state(*AB)),
        )


def test_the_record_that_is_taken_is_told_by_its_hash() -> None:
    own = stored("1", "2", sha256=digest("record 1"))
    plan = planned(telling(NeedRecord=own, NeedChanges=()))
    assert plan.to_json()["to"]["record"] == own.sha256


@pytest.mark.parametrize(
    ("named", "near"),
    [
        pytest.param("v1.1.0", "1.1.0", id="with a v"),
        pytest.param("V1.1.0", "1.1.0", id="in capitals"),
        pytest.param("1.1", "1.1.0", id="in part"),
        pytest.param("1.1.O", "1.1.0", id="with another letter"),
        pytest.param("acme/cart:v1.1.0", "1.1.0", id="as an image"),
        pytest.param("2", "#2", id="the number of a build"),
        pytest.param(digest("1.1.0")[7:], digest("1.1.0")[:19], id="the digits of a digest"),
        pytest.param(f"{digest('1.1.0')[:-1]}0", digest("1.1.0")[:19], id="a wrong digest"),
        pytest.param(f"{digest('1.1.0')[:13]}f", digest("1.1.0")[:19], id="a wrong short digest"),
        pytest.param(digest("1.1.0")[:19].upper(), digest("1.1.0")[:19], id="a digest in capitals"),
        pytest.param("latest", "", id="nothing like it"),
        pytest.param("v7.2.9", "", id="only what runs is like it"),
    ],
)
def test_what_ran_and_is_spelt_nearly_as_what_is_named_is_said_and_not_taken(
    named: str, near: str
) -> None:
    steps = state("latency>1.1.0", "1.1.0>7.2.9")
    there = service_at_tip(str(image("7.2.9")), steps)
    found = decided(Wish("rollback", PRESENT, to=named), there, telling(NeedCheck=GONE))
    assert isinstance(found, Refused)
    meant = f"did you mean {near}?"
    assert found.error.hint.startswith(meant) is bool(near), found.error.hint
    in_jenkins = found.error.jenkins_hint or found.error.hint
    assert in_jenkins.startswith(meant) is bool(near)


def test_a_commit_that_ran_once_is_near_to_one_that_differs_by_a_letter() -> None:
    answer = telling(NeedCheck=GONE, NeedHistory=History(history("513469a", "1932033"), True))
    there = service_at_tip(str(image("1932033")))
    found = decided(Wish("rollback", PRESENT, to="513469b"), there, answer)
    assert isinstance(found, Refused)
    assert found.error.hint.startswith("did you mean 513469a?")


@pytest.mark.parametrize(
    ("config", "asked", "kind"),
    [
        ("[services.cart]\nquery = 'length(tags)'\n", None, ConfigError),
        ("", "length(tags)", UsageError),
    ],
)
def test_a_query_that_gives_no_tags_is_the_error_of_who_wrote_it(
    config: str, asked: str | None, kind: type[ConfigError | UsageError]
) -> None:
    there = service_at_tip(str(image("2")), state(*AB), config=config)
    found = decided(Wish("rollback", PRESENT, strategy="registry", query=asked), there)
    assert isinstance(found, Refused)
    assert type(found.error) is kind
    assert ".gitops-rollback.toml" in found.error.message or asked
