"""The merged account: which sources prove what, where they disagree, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from gitops_rollback.image import parse_image
from gitops_rollback.ledger.events import HistoryEntry
from gitops_rollback.ledger.merge import (
    REVERTED,
    Ledger,
    entry_to_json,
    merge,
    proves,
    reaches_below,
)
from gitops_rollback.ledger.message import (
    Told,
    find_revert,
    read_trailers,
    render,
    subject,
    trailers_of,
)
from gitops_rollback.ledger.records import MissingRecord
from gitops_rollback.model import Build, Deed, LogEntry
from unit.builders import at, digest, history, image, records, state, stored

if TYPE_CHECKING:
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.ledger.state import State


def commit(number: int, text: str, *told: str, **more: Any) -> HistoryEntry:  # noqa: ANN401
    """A commit after which `text` runs; `told` is a step in its trailers, as in `state`."""
    summary = None
    for step in told:
        action = "rollback" if "<" in step else "deploy"
        old, new = step.split("<" if action == "rollback" else ">")
        deed = Deed(
            action,
            image(new),
            image(old),
            by="jane",
            reason="why",
            build=Build("shop/cart", number),
            record=digest(f"record {number}"),
        )
        summary = Told("cart", "production", deed)
    return HistoryEntry(f"{number:040x}", at(number), "joe", image(text), summary, **more)


def account(
    running: str,
    told: State | None = None,
    commits: tuple[HistoryEntry, ...] = (),
    archived: tuple[StoredRecord, ...] = (),
    named: dict[str, StoredRecord] | None = None,
) -> Ledger:
    return merge(image(running), told, commits, archived, named or {})


def test_of_what_no_source_tells_of_there_is_no_account() -> None:
    """As in a long history in whose newest commits nobody changed the file."""
    assert account("1") == Ledger(())


def lines(ledger: Ledger) -> list[str]:
    """`deploy 1>2 artifact git` for each event, newest first."""
    return [
        f"{event.action} {event.from_image.label if event.from_image else ''}>{event.image.label} "
        f"{' '.join(sorted(event.proofs))}"
        for event in ledger.events
    ]


def conflicts(ledger: Ledger) -> list[str]:
    return [text for event in ledger.events for text in event.conflicts]


def test_all_three_sources_prove_one_event_once() -> None:
    commits = (commit(2, "3", "2>3"), commit(1, "2", "1>2"))
    ledger = account("3", state("1>2", "2>3"), commits, records("1>2", "2>3"))
    assert lines(ledger) == ["deploy 2>3 artifact git", "deploy 1>2 artifact git"]
    assert [event.commit for event in ledger.events] == [f"{2:040x}", f"{1:040x}"]
    assert conflicts(ledger) == []


def test_an_edit_between_two_deploys_is_an_entry_of_its_own() -> None:
    commits = (commit(3, "4", "3>4"), commit(2, "3"), commit(1, "2", "1>2"))
    told = state("1>2", "3>4")
    newest = replace(told.deployed[0], record=digest("record 3"))
    ledger = account("4", replace(told, deployed=(newest, told.deployed[1])), commits)
    assert lines(ledger) == ["deploy 3>4 git", "edit 2>3 git", "deploy 1>2 git"]
    assert ledger.events[1].by == "joe"


def test_edits_on_top_of_the_state_file_come_first() -> None:
    commits = (commit(3, "4"), commit(2, "3", "2>3"), commit(1, "2", "1>2"))
    ledger = account("4", state("1>2", "2>3"), commits)
    assert lines(ledger) == ["edit 3>4 git", "deploy 2>3 git", "deploy 1>2 git"]


@pytest.mark.parametrize(
    ("deeds", "edits", "expected"),
    [
        (["1>2", "2>3", "3<2"], ["3"], ["edit 2>3", "rollback 3>2", "deploy 2>3", "deploy 1>2"]),
        (["1>2", "2>3"], ["4", "5"], ["edit 4>5", "edit 2>4", "deploy 2>3", "deploy 1>2"]),
    ],
    ids=["into one that changed nothing", "into an edit by hand"],
)
def test_edits_come_after_deeds_that_were_folded(
    deeds: list[str], edits: list[str], expected: list[str]
) -> None:
    commits = [commit(1, "2", "1>2")]
    commits += [commit(number, text) for number, text in enumerate(edits, 2)]
    ledger = account(edits[-1], state(*deeds), tuple(reversed(commits)))
    assert [line.removesuffix(" git") for line in lines(ledger)] == expected


def test_a_deploy_whose_commit_was_reverted_with_its_state_is_marked() -> None:
    commits = (commit(3, "2"), commit(2, "3", "2>3"), commit(1, "2", "1>2"))
    ledger = account("2", state("1>2"), commits)
    assert lines(ledger) == ["edit 3>2 git", "deploy 2>3 git", "deploy 1>2 git"]
    assert ledger.events[1].conflicts == (REVERTED,)


def test_a_merge_commit_without_trailers_is_what_made_the_entry() -> None:
    ledger = account("3", state("1>2", "2>3"), (commit(9, "3"), commit(8, "2"), commit(7, "1")))
    assert lines(ledger) == ["deploy 2>3 git", "deploy 1>2 git", "edit >1 git"]
    assert [event.commit for event in ledger.events] == [f"{n:040x}" for n in (9, 8, 7)]


def test_without_a_state_file_trailers_tell_what_commits_were() -> None:
    commits = (commit(3, "1", "2<1"), commit(2, "2", "1>2"), commit(1, "1"))
    ledger = account("1", None, commits)
    assert lines(ledger) == ["rollback 2>1 git", "deploy 1>2 git", "edit >1 git"]
    assert (ledger.events[0].by, ledger.events[0].reason) == ("jane", "why")
    assert conflicts(ledger) == []


def test_where_the_fetch_ends_a_commit_need_not_have_changed_anything() -> None:
    commits = (commit(2, "2"), commit(1, "1", is_oldest=True))
    assert lines(account("2", None, commits)) == ["edit 1>2 git"]
    commits = (commit(2, "2"), commit(1, "1", "0>1", is_oldest=True))
    assert lines(account("2", None, commits)) == ["edit 1>2 git", "deploy 0>1 git"]


def test_records_alone_chain_backwards_and_name_what_was_never_deployed() -> None:
    archived = records("1>2", "2>9", "2>3")
    ledger = account("3", None, (), archived)
    assert lines(ledger) == ["deploy 2>3 artifact", "deploy 1>2 artifact"]
    assert [s.record.replaced_by for s in ledger.never_deployed] == [image("9")]


def test_records_tell_of_what_was_before_git_s_reach() -> None:
    told = state("1>2", "2>3", "3>4")
    short = replace(told, deployed=told.deployed[:1])
    ledger = account("4", short, (), records("1>2", "2>3", "3>4"))
    assert lines(ledger) == [
        "deploy 3>4 artifact git",
        "deploy 2>3 artifact",
        "deploy 1>2 artifact",
    ]


def test_what_was_recorded_since_tells_nothing_of_what_was_before_git_s_reach() -> None:
    """Build 5 would have put back what ran before, and was aborted."""
    ledger = account("2", None, (commit(1, "2", "1>2"),), (stored("0", "1", 5),))
    assert lines(ledger) == ["deploy 1>2 git"]
    assert [str(s.record.build) for s in ledger.never_deployed] == ["shop/cart #5"]


def test_an_aborted_build_that_archived_is_no_deployment() -> None:
    archived = (stored("3", "9", 4), *records("1>2", "2>3"))
    ledger = account("3", state("1>2", "2>3"), (), archived)
    assert lines(ledger) == ["deploy 2>3 artifact git", "deploy 1>2 artifact git"]
    assert [str(s.record.build) for s in ledger.never_deployed] == ["shop/cart #4"]


def test_a_re_run_build_that_recorded_the_new_image_as_previous_proves_nothing() -> None:
    again = stored("3", "3", 2, unchanged=True, sha256=digest("again"))
    ledger = account("3", state("1>2", "2>3"), (), (again, *records("1>2")))
    assert lines(ledger) == ["deploy 2>3 git", "deploy 1>2 artifact git"]
    assert conflicts(ledger) == []


def test_another_record_in_the_build_s_archive_is_a_conflict_and_no_proof() -> None:
    changed = stored("1.9", "3", 2, sha256=digest("changed"))
    for archived, named in (((changed,), {}), ((), {digest("record 2"): changed})):
        ledger = account("3", state("1>2", "2>3"), (), archived, named)
        assert lines(ledger) == ["deploy 2>3 git", "deploy 1>2 git"]
        assert "tampered" in ledger.events[0].conflicts[0]


@pytest.mark.parametrize(
    ("archived", "words"),
    [
        (stored("1.9", "3", 2), "says that it replaced docker.io/acme/cart:1.9@"),
        (stored("2", "3.1", 2), "says that docker.io/acme/cart:3.1@"),
    ],
)
def test_a_record_that_tells_of_other_images_is_a_conflict(
    archived: StoredRecord, words: str
) -> None:
    ledger = account("3", state("1>2", "2>3"), (), (archived,))
    assert words in ledger.events[0].conflicts[0]
    assert lines(ledger)[0] == "deploy 2>3 git"


def test_a_commit_that_replaced_another_image_is_a_conflict() -> None:
    commits = (commit(2, "3", "2>3"), commit(1, "1.9"))
    ledger = account("3", state("1>2", "2>3"), commits)
    assert "its commit replaced docker.io/acme/cart:1.9@" in ledger.events[0].conflicts[0]


def test_clocks_that_disagree_do_not_change_the_order() -> None:
    told = state("1>2", "2>3")
    late = replace(told.deployed[1], at=at(59))
    ledger = account("3", replace(told, deployed=(told.deployed[0], late)))
    assert lines(ledger) == ["deploy 2>3 git", "deploy 1>2 git"]
    assert conflicts(ledger) == [f"dated before what it follows ({at(59)})"]


def test_edits_get_their_records_by_what_was_replaced_by_what() -> None:
    ledger = account("2", None, history("1", "2"), records("1>2"))
    assert lines(ledger) == ["edit 1>2 artifact git", "edit >1 git"]
    assert str(ledger.events[0].build) == "shop/cart #1"


def test_each_edit_of_the_same_images_has_a_record_of_its_own() -> None:
    ledger = account("2", None, history("1", "2", "1", "2"), records("1>2", "2>1", "1>2"))
    assert [str(event.build) for event in ledger.events[:3]] == [
        "shop/cart #3", "shop/cart #2", "shop/cart #1"
    ]  # fmt: skip


SUMMARY = Told(
    "cart",
    "production",
    Deed(
        "rollback",
        image("1"),
        image("2"),
        by="jane",
        reason="it crashed",
        build=Build("shop/cart", 41),
        record=digest("record 1"),
    ),
)


def test_trailers_are_read_as_they_were_written() -> None:
    other = replace(SUMMARY, service="payment")
    for summaries in ((SUMMARY,), (other, SUMMARY)):
        assert read_trailers(render(summaries), "cart", "production") == SUMMARY
    assert read_trailers(render([other]), "cart", "production") is None
    assert read_trailers(render([SUMMARY]), "cart", "staging") is None


def test_what_programs_read_of_trailers_is_never_cut() -> None:
    """Images of 520 characters, jobs of 1,024; what is for people is cut, and stands elsewhere."""
    name = f"{'a' * 63}.example/{'b' * 180}"
    old, new = (parse_image(f"{name}:{tag * 128}@sha512:{tag * 128}") for tag in "12")
    deed = replace(SUMMARY.deed, image=new, from_image=old, build=Build("x" * 1_024, 2**31 - 1))
    told = replace(SUMMARY, deed=deed)
    assert read_trailers(render([told]), "cart", "production") == told
    long = replace(told, deed=replace(deed, reason="y" * 600))
    read = read_trailers(render([long]), "cart", "production")
    assert read is not None
    assert (len(read.reason or ""), read.deed.image, read.build) == (500, new, deed.build)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Gitops-Action: rollback", "Gitops-Action: release"),
        ("Gitops-Action: rollback", "Gitops-Action: rm -rf"),
        ("Gitops-From: docker.io/acme", "Gitops-From: docker.io/ACME"),
        ("Gitops-To:", "Gitops-Too:"),
    ],
)
def test_trailers_that_this_tool_would_not_write_say_nothing(old: str, new: str) -> None:
    text = render([SUMMARY])
    assert old in text
    assert read_trailers(text.replace(old, new), "cart", "production") is None


def test_of_trailers_only_those_of_the_services_that_are_meant_are_told() -> None:
    other, odd = replace(SUMMARY, service="payment"), replace(SUMMARY, service="shop")
    text = render([other, odd, SUMMARY]).replace("Gitops-To:", "Gitops-Too:", 1)
    assert list(trailers_of(text, ["cart", "payment"])) == [SUMMARY]
    assert list(trailers_of(text, ["cart", "shop"])) == [odd, SUMMARY]


def test_a_record_and_a_build_that_cannot_be_are_left_out() -> None:
    text = render([SUMMARY]).replace("sha256:7", "sha256:x").replace("shop/cart #41", "41")
    told = read_trailers(text, "cart", "production")
    assert told is not None
    assert (told.record, told.build) == (None, None)


def entry(number: int, message: str, *parents: int) -> LogEntry:
    named = tuple(f"{parent:040x}" for parent in parents)
    return LogEntry(f"{number:040x}", at(number), "joe", message, named)


DEPLOY = render([Told("cart", "production", Deed("deploy", image("2"), image("1")))])
BACK = render([SUMMARY])
REVERT = f"{1:040x}"
TITLE = DEPLOY.partition("\n")[0]
OTHERS = render([Told("payment", "production", Deed("deploy", image("2"), image("1")))])


@pytest.mark.parametrize(
    ("messages", "is_found"),
    [
        pytest.param(
            [f"Undo\n\nThis reverts commit {REVERT}.\n", DEPLOY], True, id="by its commit"
        ),
        pytest.param(
            [f'Revert "{subject([SUMMARY])}"\n\nReverts acme/x#1\n', BACK, DEPLOY], False,
            id="a rollback that was reverted",
        ),
        pytest.param(
            [f'Revert "{DEPLOY.partition(chr(10))[0]}"\n\nReverts acme/x#1\n', "x\n", DEPLOY], True,
            id="by its subject",
        ),
        pytest.param(
            [f'Revert "{TITLE} (#11)" (#12)\n\nReverts acme/x#11', DEPLOY], True,
            id="by its subject, with the number of a pull request",
        ),
        pytest.param(
            [f'Revert "{TITLE}"', DEPLOY.replace(TITLE, f"{TITLE} (#11)")], True,
            id="by the subject of what a host squashed",
        ),
        pytest.param(
            [f'Revert "{TITLE}"', OTHERS.replace(OTHERS.partition("\n")[0], TITLE), DEPLOY], True,
            id="by a subject that a later commit of other services has, too",
        ),
        pytest.param([DEPLOY], False, id="nothing reverted"),
        pytest.param(["x\n"], False, id="nothing at all"),
        pytest.param(
            [f"Again\n\nThis reverts commit {2:040x}.\n",
             f"Undo\n\nThis reverts commit {REVERT}.\n", DEPLOY],
            False, id="a revert of the revert",
        ),
        pytest.param(
            [BACK, f"Undo\n\nThis reverts commit {REVERT}.\n", DEPLOY], False,
            id="a deed of this tool since",
        ),
        pytest.param([f"Undo\n\nThis reverts commit {9:040x}.\n"], False, id="out of reach"),
    ],
)  # fmt: skip
def test_a_deploy_that_was_reverted_by_hand_is_found(
    messages: list[str], *, is_found: bool
) -> None:
    log = [entry(len(messages) - place, message) for place, message in enumerate(messages)]
    found = find_revert(log, {"shop", "cart"}, {"production"})
    assert (found is not None) == is_found
    assert found is None or (found[0].to, found[1].by) == (image("2"), "joe")
    assert find_revert(log, {"shop"}, {"production"}) is None


def test_a_message_of_many_services_is_read_once_for_all() -> None:
    names = [f"s{number}" for number in range(20)]
    log = [entry(2, f"Undo {names}\n"), entry(1, DEPLOY)]
    with patch("gitops_rollback.ledger.message._REVERTS") as reverts:
        reverts.findall.return_value = []  # as of such messages
        assert [find_revert(log, {name}, {"production"}) for name in names] == [None] * 20
    assert len(reverts.findall.mock_calls) <= len(log)


def test_a_merge_that_was_reverted_takes_back_what_it_brought() -> None:
    brought = [
        entry(4, "Merge it\n", 1, 3),
        entry(3, DEPLOY, 2),
        entry(2, "x\n", 1),
        entry(1, "y\n"),
    ]
    undo = entry(5, f"Undo\n\nThis reverts commit {4:040x}, reversing\nchanges made to 1.\n", 4)
    found = find_revert([undo, *brought], {"cart"}, {"production"})
    assert found is not None
    assert (found[0].to, found[1].at) == (image("2"), at(5))
    before = [
        entry(4, "Merge it\n", 1, 3),
        entry(3, "x\n", 1),
        entry(1, DEPLOY, 0),
        entry(0, "y\n"),
    ]
    assert find_revert([undo, *before], {"cart"}, {"production"}) is None, "it stood there before"


def test_a_merge_that_carried_several_deeds_is_what_made_the_newest() -> None:
    told = state("1>2", "2>3")
    # one commit without trailers, from what ran before the first deed to what the last one left
    commits = (commit(2, "3"), commit(1, "1", is_oldest=True))
    assert lines(account("3", told, commits))[0] == "deploy 2>3 git"
    assert reaches_below(told, commits) == 0
    assert reaches_below(told, (commit(2, "3"), commit(1, "1"), commit(0, "0"))) > 0


def test_a_record_that_was_looked_up_and_is_none_is_a_conflict() -> None:
    told = state("1>2")
    named = {str(told.deployed[0].record): MissingRecord("it was cut off", is_tampered=True)}
    found = merge(image("2"), told, (), (), named)
    assert conflicts(found) == ["tampered: it was cut off"]


def test_a_record_of_another_deed_of_the_same_build_is_not_taken_for_it() -> None:
    told = state("1>2")
    later = stored("5", "6", 1, sha256=digest("later"), recorded_at=at(9))
    assert conflicts(account("2", told, (), (later,))) == []
    assert lines(account("2", told, (), (later,)))[0] == "deploy 1>2 git"


def test_an_account_proves_what_runs_if_it_ends_there() -> None:
    events = account("2", state("1>2")).events
    assert proves(events, image("2"))
    assert not proves(events, image("3"))
    assert not proves((), image("2"))


def test_an_event_is_told_with_all_that_is_known_of_it() -> None:
    own = stored("1", "2", 1)
    [event] = account("2", state("1>2"), (), (own,)).events
    told = entry_to_json(event)
    assert (told["at"], told["proofs"]) == (at(1), ["artifact", "git"])
    assert None not in told.values()


def test_the_commit_that_says_what_it_did_is_taken_before_one_that_could_have_done_it() -> None:
    """Somebody dropped the digest again that a rollback had written."""
    told = state("0>1", "~2<2")
    commits = (commit(3, "~2"), commit(2, "2", "~2<2"), commit(1, "~2"), commit(0, "1", "0>1"))
    assert lines(account("~2", told, commits))[:2] == ["edit 2>2 git", "rollback 2>2 git"]
