"""A state file is rebuilt from its versions that this tool wrote, else from what else tells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.decide.accounts import from_events, mended, newest_written
from gitops_rollback.decide.change import Change, Refused, together
from gitops_rollback.decide.facts import StateVersions, Version
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import NotFoundError, RepositoryError
from gitops_rollback.ledger.events import from_state
from gitops_rollback.ledger.holds import HeldFile, Hold, Holds
from gitops_rollback.ledger.message import Told, action_of, render
from gitops_rollback.ledger.state import State, render_state
from gitops_rollback.model import Deed, LogEntry
from unit.builders import (
    DEPLOYMENT,
    PRESENT,
    at,
    bad_entry,
    changed,
    decided,
    hold_of,
    image,
    service_at_tip,
    state,
    telling,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

NEVER = "By hand\n"
FIRST = state("1>2")
SECOND = state("1>2", "2>3")


def told(action: str, service: str = "cart", environment: str = "production") -> str:
    return render([Told(service, environment, Deed(action, image("2"), image("1")))])


def version(number: int, message: str, found: State | bytes) -> Version:
    data = found if isinstance(found, bytes) else render_state(found)
    return Version(f"{number:040x}", message, data)


def newest(*versions: Version) -> State | None:
    return newest_written(versions, "production", "cart")


def revert_of(number: int) -> str:
    return f'Revert "something"\n\nThis reverts commit {number:040x}.\n'


def test_the_newest_version_that_this_tool_wrote_counts() -> None:
    right, older = version(2, told("deploy"), SECOND), version(1, told("deploy"), FIRST)
    assert newest(right, older) == SECOND
    assert newest(version(3, NEVER, FIRST), right, older) == SECOND
    assert newest(version(3, NEVER, b"{"), right, older) == SECOND
    assert newest(version(3, told("release"), FIRST), right, older) == FIRST
    assert newest(version(3, told("deploy", "payment"), FIRST), right) == SECOND
    assert newest(version(3, told("deploy"), b"{"), right) == SECOND, "no sound one: the one before"
    assert newest(version(3, NEVER, FIRST)) is None
    assert newest() is None


def test_what_a_newer_version_wrote_is_not_broken_and_no_older_one_stands_for_it() -> None:
    newer = version(2, told("deploy"), render_state(SECOND).replace(b": 2", b": 9", 1))
    older = version(1, told("deploy"), FIRST)
    with pytest.raises(RepositoryError, match="newer gitops-rollback"):
        newest(newer, older)
    told_so = telling(NeedStateVersions=StateVersions(newer.data, (newer, older)))
    refused = decided(Wish("repair", PRESENT), service_at_tip("acme/cart:1"), told_so)
    assert isinstance(refused, Refused)
    assert refused.error.hint == "use that version here too"


def test_what_was_reverted_is_as_if_it_had_never_been_and_a_revert_of_that_brings_it_back() -> None:
    right, older = version(2, told("rollback"), SECOND), version(1, told("deploy"), FIRST)
    once = version(3, revert_of(2), FIRST)
    assert newest(once, right, older) == FIRST
    assert newest(version(4, revert_of(3), SECOND), once, right, older) == SECOND
    title = right.message.partition("\n")[0]
    by_host = version(3, f'Revert "{title}" (#2)\n\nReverts acme/gitops#1\n', FIRST)
    assert newest(by_host, right, older) == FIRST, "a host names its subject alone"


def test_a_commit_of_several_services_tells_of_each() -> None:
    both = render(
        [
            Told("cart", "production", Deed("deploy", image("2"), image("1"))),
            Told("payment", "production", Deed("rollback", image("1"), image("2"))),
        ]
    )
    assert action_of(both, "cart", "production") == "deploy"
    assert action_of(both, "payment", "production") == "rollback"
    assert action_of(both, "payment", "staging") is None
    assert (
        action_of("Gitops-Service: cart\nGitops-Environment: production\n", "cart", "production")
        is None
    )


def test_events_tell_what_was_deployed_what_is_bad_and_what_is_held() -> None:
    marker = '{"$imagepolicy-held": "flux-system:cart"}'
    there = service_at_tip(
        "acme/cart:2", template=DEPLOYMENT.replace("{image}", f"acme/cart:2 # {marker}")
    )
    before = state("1>2", "2>3", "3<2")
    events = tuple(reversed(from_state(before)))
    rebuilt = from_events(there, events, [])
    assert rebuilt is not None
    strip = [replace(entry, id="") for entry in rebuilt.deployed]
    assert strip == [replace(entry, id="") for entry in before.deployed]
    [entry] = rebuilt.bad
    assert (entry.image, entry.deed.at, entry.deed.by) == (image("3"), at(3), "jane")
    assert isinstance(rebuilt.hold, Hold)
    assert (rebuilt.hold.from_image, rebuilt.hold.to) == (image("3"), image("2"))
    assert [held.marker for held in rebuilt.hold.markers] == [
        '{"$imagepolicy": "flux-system:cart"}'
    ]
    released = from_events(there, events, [version(9, told("release"), b"{")])
    assert released is not None
    assert released.hold is None
    assert released.bad == rebuilt.bad


@pytest.mark.parametrize(
    ("said", "is_held"),
    [
        pytest.param([("release", "old")], False, id="released under the name of before"),
        pytest.param([("repair", "old"), ("release", "old")], False, id="and something since"),
        pytest.param([("rollback", "old"), ("release", "old")], True, id="rolled back since"),
        pytest.param([("release", "staging")], True, id="of an environment that there is"),
    ],
)
def test_a_release_under_another_name_of_the_fields_ends_what_commits_tell_to_be_held(
    said: list[tuple[str, str]],
    is_held: bool,  # noqa: FBT001
) -> None:
    there = replace(service_at_tip("acme/cart:2"), elsewhere=frozenset({"staging"}))
    events = tuple(reversed(from_state(state("1>2", "2>3", "3<2"))))
    log = tuple(
        LogEntry("a", PRESENT, "joe", told(action, environment=name)) for action, name in said
    )
    rebuilt = from_events(there, events, [], log)
    assert rebuilt is not None
    assert (rebuilt.hold is not None) == is_held


def test_a_deploy_of_a_bad_image_and_a_deploy_after_a_rollback_count() -> None:
    there = service_at_tip("acme/cart:3")
    events = tuple(reversed(from_state(state("1>2", "2>3", "3<2", "2>3"))))
    rebuilt = from_events(there, events, [])
    assert rebuilt is not None
    assert (rebuilt.bad, rebuilt.hold) == ((), None)


def test_edits_by_hand_alone_are_nothing_to_rebuild_from() -> None:
    there = service_at_tip("acme/cart:3")
    edits = tuple(
        replace(event, deed=replace(event.deed, action="edit")) for event in from_state(FIRST)
    )
    assert from_events(there, edits, []) is None
    assert from_events(there, (), []) is None


BAD, OTHER = bad_entry("2", at(2)), bad_entry("9", at(1))
HOLD = hold_of("2", "1", "it crashed", at(2))
HELD = replace(state("1>2", "2<1", bad=(BAD,)), hold=HOLD)


def test_a_sound_file_that_came_by_a_merge_is_right_as_it_stands() -> None:
    assert mended(HELD, FIRST) == (HELD, ())
    assert mended(HELD, None) == (HELD, ())
    assert mended(None, HELD) == (HELD, ())
    assert mended(None, None) == (None, ())
    assert mended(HELD, HELD) == (HELD, ())


def test_a_repair_removes_no_hold_and_no_bad_mark_and_says_what_nothing_proves() -> None:
    free = replace(HELD, hold=None, bad=())
    right, said = mended(free, HELD)
    assert right == HELD
    assert said == (f"the hold since {HOLD.at} stands: nothing proves that it has ended",)
    right, said = mended(replace(HELD, bad=(OTHER, BAD)), free)
    assert right == replace(HELD, bad=(OTHER, BAD))
    assert said == (
        f"the hold since {HOLD.at} stands: nothing proves that it has ended",
        "9 stays bad: nothing proves that it is not",
        "2 stays bad: nothing proves that it is not",
    )


def test_a_bad_mark_that_was_changed_by_hand_is_put_right() -> None:
    marked = replace(BAD, deed=replace(BAD.deed, id="x"))
    forged = replace(OTHER, deed=replace(OTHER.deed, id="x"))
    written = replace(HELD, bad=(marked,))
    assert mended(replace(HELD, bad=(forged,)), written)[0] == written


def repaired(broken: Sequence[Version], held: State | None = None, *files: HeldFile) -> Change:
    """A repair of a file that cannot be read, with what its versions and other names tell."""
    there = replace(service_at_tip("acme/cart:1", held), holds=Holds(ours=files))
    answer = telling(NeedStateVersions=StateVersions(b"{", tuple(broken)))
    return changed(Wish("repair", PRESENT), there, answer)


def test_a_rollback_that_came_by_a_squash_is_not_forgotten_with_the_file_that_was_broken() -> None:
    squashed = [version(3, NEVER, b"{"), version(2, "Merge (#7)\n", HELD)]
    assert repaired([*squashed, version(1, told("deploy"), FIRST)]).state == HELD
    assert repaired(squashed).state == HELD
    free = [version(2, "By hand\n", replace(HELD, hold=None)), version(1, told("rollback"), HELD)]
    *_, warning = repaired([version(3, NEVER, b"{"), *free]).warnings
    assert f"the hold since {HOLD.at} stands: nothing proves that it has ended" in warning
    reverted = [version(3, revert_of(2), FIRST), *squashed[1:], version(1, told("deploy"), FIRST)]
    assert repaired(reverted).state == FIRST


def test_a_repair_ends_no_hold_that_a_file_of_its_own_or_another_name_tells_of() -> None:
    file = HeldFile("cart", "production", HOLD, (), (BAD,))
    found = repaired([version(1, told("deploy"), FIRST)], replace(HELD, deployed=()), file)
    assert found.state == replace(FIRST, hold=HOLD, bad=(BAD,))
    assert any("the hold since" in said for said in found.warnings)
    assert None not in together([found], skip=False).files.values()


def test_what_is_bad_by_another_name_s_file_alone_is_written_down_where_nothing_tells_more() -> (
    None
):
    found = repaired([], State("cart", "production", bad=(BAD,)))
    assert found.state == State("cart", "production", bad=(BAD,))
    assert any("2 stays bad" in said for said in found.warnings)
    with pytest.raises(NotFoundError, match="nothing to rebuild"):
        repaired([], State("cart", "production"))
