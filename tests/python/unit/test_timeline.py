"""Replay of deployments as a stack, from a state file, from records, from Git's history."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.image import parse_image
from gitops_rollback.ledger.fields import note_written
from gitops_rollback.ledger.message import Told
from gitops_rollback.ledger.stack import Running, build_timeline, read_running
from gitops_rollback.model import Deed
from unit.builders import at, digest, history, image, records, service_at_tip, state

if TYPE_CHECKING:
    from gitops_rollback.ledger.stack import Timeline


def stack(found: Timeline) -> list[str]:
    """The images of the levels, oldest first, as builders name them."""
    return [
        level.image.label if level.image.digest else f"~{level.image.tag}" for level in found.levels
    ]


@pytest.mark.parametrize(
    ("steps", "running", "expected"),
    [
        pytest.param(["1>2"], "2", ["1", "2"], id="a deploy pushes"),
        pytest.param([">2"], "2", ["2"], id="the first deploy of all has nothing below"),
        pytest.param(["1>2", "2>2"], "2", ["1", "2"], id="a redeploy pushes nothing"),
        pytest.param(["1>2", "2<1"], "1", ["1"], id="a rollback drops what is above"),
        pytest.param(["1>2", "2<1", "1>3"], "3", ["1", "3"], id="A B A C leaves out B"),
        pytest.param(["1>2", "2>1", "1>3"], "3", ["1", "2", "1", "3"], id="a deploy back pushes"),
        pytest.param(["1>2", "2>3", "3<1"], "1", ["1"], id="a rollback may skip levels"),
        pytest.param(
            ["1>2", "2>3", "3<2", "2<1"], "1", ["1"], id="rollbacks may follow each other"
        ),
        pytest.param(
            ["1>2", "2<9"], "9", ["1", "9"], id="a rollback beside the stack replaces the top"
        ),
        pytest.param(["2<1"], "1", ["1"], id="a state that begins with a rollback"),
        pytest.param(
            ["1>2", "2>1", "1>2", "2>3", "3<2"],
            "2",
            ["1", "2", "1", "2"],
            id="a rollback finds the newest level of its image",
        ),
        pytest.param(["1>2", "7>3"], "3", ["1", "2", "7", "3"], id="an edit by hand in between"),
        pytest.param(
            ["1>2", "2>3", "2>4"], "4", ["1", "2", "4"], id="an edit back by hand in between"
        ),
        pytest.param(["1>2", "7<2"], "2", ["1", "2"], id="a rollback of an edit by hand"),
        pytest.param(
            ["~dev>dev@A", "dev@A>dev@B"], "dev@B", ["~dev", "dev", "dev"], id="one tag, moved"
        ),
        pytest.param(
            ["dev@A>~dev", "~dev<dev@A"], "dev@A", ["dev"], id="the same digest before the tag"
        ),
        pytest.param(["~1>2", "2<1"], "1", ["1"], id="a rollback tells the digest of a level"),
    ],
)
def test_the_state_file_is_replayed_as_a_stack(
    steps: list[str], running: str, expected: list[str]
) -> None:
    found = build_timeline(image(running), state(*steps), None, None)
    assert stack(found) == expected
    assert found.explains


@pytest.mark.parametrize(
    ("commits", "written", "expected"),
    [
        (("1", "~2", "~1", "2@B"), "acme/cart:1", ["1", "2"]),
        (("1", "~2", "~1", "2@B"), f"acme/cart:1@{digest('1')}", ["1", "~1", "2"]),
        (("1", "~2", "~1", "~2", "~1", "2@B"), "acme/cart:1", ["1", "~1", "2"]),
    ],
    ids=[
        "a tag, as the service writes it",
        "the tag alone by hand",
        "either the deed's or by hand",
    ],
)
def test_a_squash_leaves_what_the_deed_wrote(
    commits: tuple[str, ...], written: str, expected: list[str]
) -> None:
    """Its commit tells no more than the text; what that was written for, the state file does."""
    [field] = service_at_tip("acme/cart:1").found.fields
    told = replace(state("~2<1"), fields=(note_written(field, written, image("1")),))
    found = build_timeline(image("2@B"), told, None, history(*commits), is_explained=False)
    assert stack(found) == expected


@pytest.mark.parametrize(
    ("commits", "written", "expected"),
    [
        (("~3", "~2", "2@B"), "acme/cart:2", ["1", "2", "2"]),
        (("~3", "~2"), "acme/cart:2", ["1", "2"]),
        (("~3", "~2", "2@B"), f"acme/cart:2@{digest('2')}", ["1", "2", "3", "~2", "2"]),
        (("~3", "~2", "5", "~2", "2@B"), "acme/cart:2", ["1", "2", "3", "~2", "2"]),
    ],
    ids=[
        "the tag, as the service writes it",
        "the revert runs",
        "the tag alone by hand",
        "one of two by hand",
    ],
)
def test_who_reverts_a_deploy_gives_back_what_the_tag_meant(
    commits: tuple[str, ...], written: str, expected: list[str]
) -> None:
    """The revert brings the state file back; of what its text means, only that tells."""
    taken = Told("cart", "production", Deed("deploy", image("3"), image("2"), record="other"))
    own = Told(
        "cart", "production", Deed("deploy", image("2"), image("1"), record=digest("record 1"))
    )
    entries = history("1", "~2", *commits)[::-1]
    entries = (entries[0], replace(entries[1], told=own), replace(entries[2], told=taken),
               *entries[3:])  # fmt: skip
    [field] = service_at_tip("acme/cart:2").found.fields
    told = replace(state("1>2"), fields=(note_written(field, written, image("2")),))
    found = build_timeline(image(commits[-1]), told, None, entries[::-1], is_explained=False)
    assert stack(found) == expected


def test_commits_above_what_the_state_file_left_there_are_no_edits() -> None:
    """A file was moved, and back: between the two its path tells of nothing."""
    commits = history("1@A", "~1")
    found = build_timeline(image("1@A"), state("2<1@A"), None, commits, is_explained=True)
    assert found.rolled_back is not None
    assert (found.rolled_back.action, stack(found)) == ("rollback", ["1"])
    edited = build_timeline(image("~1"), state("2<1@A"), None, commits, is_explained=False)
    assert edited.rolled_back is None
    assert stack(edited) == ["1", "~1"]


@pytest.mark.parametrize(
    ("steps", "images", "running", "expected"),
    [
        pytest.param(["1>2"], ["1", "2", "3"], "3", ["1", "2", "3"], id="an edit on top"),
        pytest.param(["1>2"], ["2", "3", "4"], "4", ["1", "2", "3", "4"], id="two edits on top"),
        pytest.param(["1>2", "2>3"], ["3", "2"], "2", ["1", "2"], id="an edit back is a rollback"),
        pytest.param(["1>2"], ["2", "3", "2"], "2", ["1", "2"], id="there and back again"),
        pytest.param(["1>2"], ["7", "8"], "8", ["7", "8"], id="a history that misses the top"),
        pytest.param(
            ["1>2", "2>3", "3<2"],
            ["1", "2", "4", "5"],
            "5",
            ["1", "2", "4", "5"],
            id="edits above deeds that were folded into a commit that changed nothing",
        ),
        pytest.param(
            ["1>2", "2>3", "3<2"],
            ["1", "2", "4", "2"],
            "2",
            ["1", "2"],
            id="an edit back to what such deeds left",
        ),
        pytest.param(
            ["1>2", "2>3", "3<2"],
            ["1", "2", "3"],
            "3",
            ["1", "2", "3"],
            id="an edit to the bad image itself, whose deeds were folded",
        ),
        pytest.param(
            ["1>2", "2>3", "3>4", "4<2"],
            ["1", "2", "3", "4"],
            "4",
            ["1", "2", "3", "4"],
            id="edits that are like the deeds that were folded",
        ),
        pytest.param(["1>2"], [], "8", [], id="nothing explains it"),
    ],
)
def test_edits_by_hand_are_spliced_on_top_of_the_state(
    steps: list[str], images: list[str], running: str, expected: list[str]
) -> None:
    found = build_timeline(image(running), state(*steps), None, history(*images))
    assert stack(found) == expected


@pytest.mark.parametrize(
    ("steps", "running", "expected", "never"),
    [
        pytest.param(["1>2", "2>3"], "3", ["1", "2", "3"], [], id="records chain"),
        pytest.param(
            ["1>", "2>"], "3", ["1", "2", "3"], [], id="without replacedBy they chain too"
        ),
        pytest.param(
            ["1>2", "1>3"], "3", ["1", "3"], ["2"], id="an aborted build was not deployed"
        ),
        pytest.param(
            ["1>2", "2>3", "2>4"], "3", ["1", "2", "3"], ["4"], id="the newest was aborted"
        ),
        pytest.param(["1>2", "2<1", "1>3"], "3", ["1", "3"], [], id="a rollback's record"),
        pytest.param(
            ["1>2", "2>2"], "2", ["1", "2"], [], id="a re-run that recorded the new image"
        ),
        pytest.param(["1>2", "2>"], "2", ["1", "2"], [], id="a re-run without replacedBy"),
        pytest.param(["1>2"], "7", [], [], id="records that do not explain what runs"),
        pytest.param(["~dev>dev@A", "~dev>dev@B"], "dev@B", ["~dev", "dev"], [], id="a moving tag"),
        pytest.param(
            ["1>2"], "~2", [], [], id="a tag that runs is not the digest that a build archived"
        ),
        pytest.param(["1>2@A", "~2>3"], "3", ["1", "~2", "3"], [], id="nor one below"),
    ],
)
def test_without_a_state_file_records_chain_backwards(
    steps: list[str], running: str, expected: list[str], never: list[str]
) -> None:
    found = build_timeline(image(running), None, records(*steps), None)
    assert stack(found) == expected
    assert [i.tag for i in found.never_deployed] == never


def test_unchanged_records_are_no_deployments() -> None:
    first, second = reversed(records("1>2", "2>2"))
    unchanged = type(second)(
        type(second.record)(**{**vars(second.record), "unchanged": True}), "", ""
    )
    found = build_timeline(image("2"), None, (unchanged, first), None)
    assert [event.build and event.build.number for event in found.events] == [1]


def test_a_record_that_git_confirms_has_both_proofs_and_the_commit() -> None:
    found = build_timeline(image("2"), None, records("1>2"), history("1", "2"))
    assert found.events[-1].proofs == {"artifact", "git"}
    assert found.events[-1].commit == f"{2:040x}"


def test_what_git_shows_as_committed_was_not_never_deployed() -> None:
    chain = records("1>2", "7>3")
    assert [i.tag for i in build_timeline(image("3"), None, chain, None).never_deployed] == ["2"]
    found = build_timeline(image("3"), None, chain, history("1", "2", "7", "3"))
    assert found.never_deployed == ()


def test_where_commits_alone_tell_what_ran_what_was_only_recorded_since_never_did() -> None:
    """Of what was recorded before the oldest of them they tell nothing."""
    newest, _older = records("1>2", "2>4")
    since = build_timeline(image("2"), None, [newest], history("1", "2"))
    assert (stack(since), [i.tag for i in since.never_deployed]) == (["1", "2"], ["4"])
    before = build_timeline(image("2"), None, records("2>4"), history("1", "2"))
    assert (stack(before), before.never_deployed) == (["1", "2"], ())


def test_what_records_show_as_rolled_back_from_is_bad_until_it_is_deployed_again() -> None:
    chain = ["1>2", "2<1", "1>3"]
    [bad] = build_timeline(image("3"), None, records(*chain), None).bad
    assert (bad.image, bad.tag, bad.deed.by) == (image("2"), "2", "jane")
    found = build_timeline(image("2"), None, records(*chain, "3>2"), None)
    assert found.bad == ()


@pytest.mark.parametrize(
    ("images", "running", "expected", "rolled_back"),
    [
        pytest.param(["1", "2", "3"], "3", ["1", "2", "3"], False, id="edits push"),
        pytest.param(["1", "2", "1"], "1", ["1"], True, id="an edit back is a rollback"),
        pytest.param(["1", "2", "2", "3"], "3", ["1", "2", "3"], False, id="the same text again"),
        pytest.param(["1", "2", "1", "3"], "3", ["1", "3"], False, id="A B A C"),
        pytest.param(["1"], "1", ["1"], False, id="one commit only"),
        pytest.param(["1", "2"], "7", [], False, id="a history that does not end with what runs"),
    ],
)
def test_history_alone_is_replayed_too(
    images: list[str], running: str, expected: list[str], *, rolled_back: bool
) -> None:
    found = build_timeline(image(running), None, None, history(*images))
    assert stack(found) == expected
    assert (found.rolled_back is not None) == rolled_back


@pytest.mark.parametrize(
    ("steps", "rolled_back"),
    [
        (["1>2"], None),
        (["1>2", "2<1"], "1"),
        (["1>2", "2>3", "3<2", "2<1"], "1"),
        (["1>2", "2<1", "1>3"], None),
        (["1>2", "2>1"], None),
    ],
)
def test_whether_the_running_image_got_there_by_a_rollback(
    steps: list[str], rolled_back: str | None
) -> None:
    running = image(steps[-1].replace("<", ">").split(">")[1])
    found = build_timeline(running, state(*steps), None, None).rolled_back
    assert (found.image if found else None) == (image(rolled_back) if rolled_back else None)


def test_each_level_knows_the_event_whose_record_is_of_it() -> None:
    found = build_timeline(image("3"), state("1>2", "7>3"), None, None)
    replaced = {level.image.tag: level.replaced for level in found.levels}
    seven, two = replaced["7"], replaced["2"]
    assert seven is not None
    assert seven.record == digest("record 2")
    assert two is not None
    assert two.record is None
    assert two.proofs == frozenset({"git"})


@pytest.mark.parametrize(
    ("field", "steps", "expected", "source", "explained"),
    [
        ("2", ["1>2"], "2", "manifest", True),
        ("2", [], "2", "manifest", False),
        ("~2", ["1>2"], "2", "state", True),
        ("~2", ["1>2", "2>3"], "~2", "", False),
        ("~2", ["1>~2"], "~2", "", True),
        ("~9", ["1>2"], "~9", "", False),
        ("~dev", ["1>dev@A", "dev@A>dev@B"], "dev@B", "state", True),
        ("~dev", ["1>dev@A", "dev@A>~dev"], "~dev", "", True),
    ],
)
def test_the_running_digest_is_proven_by_the_field_or_by_the_last_deploy_of_its_text(
    field: str, steps: list[str], expected: str, source: str, *, explained: bool
) -> None:
    read = read_running(service_at_tip(str(image(field))).found.fields, state(*steps))
    assert read is not None
    assert (read.image, read.digest_from) == (image(expected), source)
    assert read.is_explained is explained


def test_without_a_state_file_a_tag_proves_no_digest() -> None:
    for told in (None, state()):
        read = read_running(service_at_tip("acme/cart:2").found.fields, told)
        assert read == Running(parse_image("acme/cart:2"))


def test_an_image_of_another_repository_proves_nothing() -> None:
    fields = service_at_tip("acme/shop:2", template=TWO.partition("    - {name: worker")[0]).found
    assert read_running(fields.fields, state("1>2")) == Running(parse_image("acme/shop:2"))


TWO = """\
kind: Pod
metadata: {name: cart}
spec:
  containers:
    - {name: server, image: '{image}'}
    - {name: worker, image: 'acme/cart:2@DIGEST'}
""".replace("DIGEST", digest("2"))


@pytest.mark.parametrize(
    ("text", "written", "expected", "source", "explained"),
    [
        pytest.param("acme/cart:2", "acme/cart:2", "2", "state", True, id="as it was written"),
        pytest.param(f"acme/cart:2@{digest('2')}", "acme/cart:2", "2", "manifest", True,
                     id="with the digest that was meant"),
        pytest.param("acme/cart:2", f"acme/cart:2@{digest('2')}", "~2", "", False,
                     id="a digest that was dropped by hand"),
        pytest.param("acme/cart:3", "acme/cart:2", "~3", "", False, id="another tag"),
        pytest.param(f"acme/cart:3@{digest('3')}", "acme/cart:2", "3", "manifest", False,
                     id="another digest"),
    ],
)  # fmt: skip
def test_a_text_runs_the_image_that_it_was_written_with_as_long_as_it_stands_there(
    text: str, written: str, expected: str, source: str, *, explained: bool
) -> None:
    [field] = service_at_tip(text).found.fields
    told = replace(state("1>2"), fields=(note_written(field, written, image("2")),))
    read = read_running([field], told)
    assert read is not None
    assert (read.image.canonical, read.digest_from) == (image(expected).canonical, source)
    assert read.is_explained == explained


def test_a_field_with_a_digest_and_one_that_was_written_for_it_are_of_one_image() -> None:
    fields = service_at_tip("acme/cart:2", template=TWO).found.fields
    told = replace(state("1>2"), fields=(note_written(fields[0], "acme/cart:2", image("2")),))
    read = read_running(fields, told)
    assert read is not None
    assert (read.image.canonical, read.digest_from) == (image("2").canonical, "state")
    other = replace(told, fields=(note_written(fields[0], "acme/cart:2", image("2@B")),))
    assert read_running(fields, other) is None, "written for another image"
    bare = service_at_tip("acme/cart:2", template=TWO.replace("cart:2@", "cart@")).found.fields
    read = read_running(bare, told)
    assert read is not None
    assert read.image.canonical == image("2").canonical, "with the tag that one of them has"


def test_a_field_that_was_copied_is_of_the_image_of_its_text_whose_digest_is_not_known() -> None:
    fields = service_at_tip("acme/cart:2", template=TWO.replace(f"@{digest('2')}", "")).found.fields
    one, other = (note_written(field, "acme/cart:2", image("2")) for field in fields)
    read = read_running(fields, replace(state("1>2"), fields=(one,)))
    assert read is not None
    assert (read.image, read.digest_from, read.is_explained) == (fields[0].image, "", False)
    other = replace(other, image=image("2@B").canonical)
    assert read_running(fields, replace(state("1>2"), fields=(one, other))) is None, "of two images"


def test_without_a_state_file_only_a_digest_tells_what_runs() -> None:
    for text, source in (("acme/cart:2", ""), (f"acme/cart:2@{digest('2')}", "manifest")):
        read = read_running(service_at_tip(text).found.fields, None)
        assert read is not None
        assert (read.digest_from, read.is_explained) == (source, False)
    assert read_running([], None) is None


def test_records_go_on_below_what_the_state_file_tells() -> None:
    timeline = build_timeline(image("3"), state("2>3"), records("0>1", "1>2", "2>3"), ())
    # the record of the state file's own deed is not made again
    assert [level.image for level in timeline.levels] == [image("2"), image("3")]
    late = replace(state("2>3").deployed[0], at=at(30), record=None)
    whole = replace(state("2>3"), deployed=(late,))
    timeline = build_timeline(image("3"), whole, records("0>1", "1>2"), ())
    assert [level.image for level in timeline.levels] == [image(one) for one in "0123"]


def test_each_record_is_proven_by_the_commit_of_its_own_image() -> None:
    timeline = build_timeline(image("3"), None, records("1>2", "2>3"), history("1", "2", "3"))
    placed = [level.placed.commit if level.placed else None for level in timeline.levels]
    assert placed == [f"{number:040x}" for number in (1, 2, 3)]
    alone = build_timeline(image("3"), None, records("1>2", "2>3"), history("3"))
    assert [level.image for level in alone.levels] == [image(one) for one in "123"]


@pytest.mark.parametrize(
    ("recorded", "committed", "ran"),
    [
        pytest.param(["2>9"], "1219", "19", id="a pull request that was closed, then by hand"),
        pytest.param(["0>1", "1>2", "8>9"], "0129", "0129", id="its record alone is left out"),
        pytest.param(["8>1", "1>2"], "0912", "0912", id="further down, too"),
        pytest.param(
            ["2>1"], "0121", "01", id="one that was not merged: then by hand, to its image"
        ),
        pytest.param(["8>1", "1>2"], "12", "812", id="below the oldest commit records go on"),
    ],
)
def test_a_record_that_commits_contradict_never_reached_the_branch(
    recorded: list[str], committed: str, ran: str
) -> None:
    running = image(committed[-1])
    timeline = build_timeline(running, None, records(*recorded), history(*committed))
    assert [level.image for level in timeline.levels] == [image(one) for one in ran]


def test_a_record_of_a_deploy_that_was_taken_back_does_not_tell_how_its_image_came_again() -> None:
    [made] = records("1>2")
    entries = list(history("1", "2", "1", "9", "2"))  # reverted, then 9 and 2 by hand
    deed = Deed("deploy", image("2"), image("1"), record=made.sha256)
    entries[3] = replace(entries[3], told=Told("cart", "production", deed))
    timeline = build_timeline(image("2"), None, (made,), tuple(entries))
    assert stack(timeline) == ["1", "9", "2"]


def test_a_ledger_may_begin_with_a_rollback() -> None:
    timeline = build_timeline(image("1"), state("<1"), None, ())
    assert [level.image for level in timeline.levels] == [image("1")]
    assert timeline.rolled_back is not None


def test_a_tag_that_was_written_over_its_digest_is_an_image_of_its_own() -> None:
    timeline = build_timeline(image("3"), state("1<2", "~2<3"), None, ())
    assert [level.image for level in timeline.levels] == [image("2"), image("3")]
