"""What was held and bad does not end with a field, a name or a file."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from gitops_rollback.decide.change import Change, Refused, together
from gitops_rollback.decide.facts import (
    Facts,
    FirstTry,
    History,
    Need,
    NeedBeside,
    Removed,
    Revision,
    ServiceAtTip,
    StateVersions,
)
from gitops_rollback.decide.standing import (
    all_there,
    are_of_others,
    belongs_to,
    doubt_of,
    moved,
    names_in,
    names_of,
    retired_holds,
    standing,
)
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import (
    ConfigError,
    MovedError,
    NotFoundError,
    RefusedError,
    RepositoryError,
    UsageError,
)
from gitops_rollback.image import parse_image
from gitops_rollback.ledger.events import HistoryEntry
from gitops_rollback.ledger.fields import likeness_of, note, note_written
from gitops_rollback.ledger.holds import (
    HeldFile,
    Hold,
    Holds,
    find_holds,
    place_holds,
    render_held,
)
from gitops_rollback.ledger.message import Told
from gitops_rollback.ledger.state import State, render_state
from gitops_rollback.model import Deed
from unit.builders import (
    PRESENT,
    at,
    bad_entry,
    changed,
    decided,
    history,
    hold_of,
    image,
    service_at_tip,
    state,
    stored,
    telling,
)
from unit.test_noted_fields import HERE, NOTED
from unit.test_repair import told, version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.ledger.fields import NotedField
    from gitops_rollback.manifest.image_field import ImageField

HOLD = hold_of("2", "1", "it crashed", at(2), "jane")
BAD = bad_entry("2", at(2))
OURS = HeldFile("cart", "production", HOLD, (NOTED,), (BAD,))
LATER = replace(OURS, hold=replace(HOLD, deed=replace(HOLD.deed, id="held2", at=at(5))))


def place(number: int = 1, found: State | None = None, **more: Any) -> ServiceAtTip:  # noqa: ANN401
    return replace(service_at_tip(f"acme/cart:{number}", found), **more)


def wish(action: Any, **more: Any) -> Wish:  # noqa: ANN401
    return Wish(action, PRESENT, reason="it is over", **more)


def lost(*files: HeldFile, found: State | None = None) -> ServiceAtTip:
    """The service, of which some holds may be that have lost their field."""
    return place(1, found, holds=Holds(lost=files))


def test_the_one_hold_that_lost_its_field_is_ended_with_its_file_and_nothing_else() -> None:
    change = changed(wish("release"), lost(OURS, found=state("0>1")))
    assert (change.deleted, change.ends) == ((OURS.path,), ("held1",))
    assert (change.state, change.markers, change.edits) == (None, (), ())
    assert together([change], skip=False).files == {OURS.path: None}


def test_the_hold_that_lost_its_field_is_named_by_no_state_file_once_it_is_ended() -> None:
    named = replace(state("0>1", bad=(BAD,), hold=HOLD), service="old")
    other = replace(named, service="older", hold=LATER.hold)
    at_tip = replace(lost(OURS, found=state("0>1")), lost=(named, other))
    files = together([changed(wish("release"), at_tip)], skip=False).files
    path = ".gitops-rollback/production/old.json"
    assert files == {OURS.path: None, path: render_state(replace(named, hold=None))}


@pytest.mark.parametrize(
    ("found", "named", "ends"),
    [
        pytest.param(None, ("held2",), ("held2",), id="named"),
        pytest.param(state("0>1", hold=HOLD), None, ("held1",), id="the service's own instead"),
        pytest.param(state("0>1", hold=HOLD), ("held2",), ("held2",), id="named beside its own"),
    ],
)
def test_of_several_holds_the_one_that_is_meant_is_ended(
    found: State | None, named: tuple[str, ...] | None, ends: tuple[str, ...]
) -> None:
    other = replace(LATER, hold=replace(LATER.hold, deed=replace(LATER.hold.deed, id="held3")))
    assert changed(wish("release", holds=named), lost(LATER, other, found=found)).ends == ends


def test_a_rollback_says_which_lost_holds_may_be_of_the_service() -> None:
    change = changed(wish("rollback"), lost(OURS, found=state("0>1")))
    assert change.plan is not None
    assert any("tie the hold to it" in one for one in change.warnings)
    assert [one.code for one in change.plan.lost] == ["lost-hold"]


def test_of_several_lost_holds_none_is_guessed() -> None:
    message = r"2 holds have lost their field.*held1 of.*held2"
    with pytest.raises(ConfigError, match=message) as caught:
        changed(wish("release"), lost(OURS, LATER))
    assert caught.value.hint.endswith("--hold held1")
    assert "let a person with a shell end the one that is meant" in str(caught.value.jenkins_hint)


def test_a_retry_ends_the_holds_that_the_first_try_saw_and_no_other() -> None:
    first = FirstTry(image("~1"), None, ("held1",))
    assert changed(wish("release"), lost(OURS, LATER), first=first).ends == ("held1",)
    with pytest.raises(MovedError, match="held1 is not the hold in force: held2 is"):
        changed(wish("release"), place(1, state("0>1", hold=LATER.hold)), first=first)
    seen_none = replace(first, holds=())
    with pytest.raises(MovedError, match="nothing was held before: held1 is"):
        changed(wish("release"), place(1, state("0>1", hold=HOLD)), first=seen_none)


def test_a_release_says_which_lost_holds_may_be_of_the_service_too() -> None:
    held = lost(LATER, found=state("0>1", hold=HOLD))
    [warning] = changed(wish("release"), held).warnings
    assert f" by jane (2 → 1: it crashed), and its field is found no more: {NOTED.place}" in warning
    assert "gitops-rollback release cart --environment production --hold held2 " in warning
    silent = replace(LATER, hold=replace(LATER.hold, deed=replace(LATER.hold.deed, reason="")))
    [warning] = changed(wish("release"), lost(silent, found=state("0>1", hold=HOLD))).warnings
    assert " by jane (2 → 1), and its field" in warning


def test_a_repair_ties_a_hold_to_the_fields_that_a_person_names() -> None:
    before = state("0>1", bad=(bad_entry("9", at(1)), BAD))
    change = changed(wish("repair", holds=("held1",)), lost(OURS, found=before))
    assert change.state == replace(
        before, hold=HOLD, fields=tuple(note(one) for one in change.at.found.fields)
    )
    alone = changed(wish("repair", holds=("held1",)), lost(OURS, LATER)).state
    assert alone is not None
    assert (alone.hold, alone.bad, alone.service) == (HOLD, (BAD,), "cart")


@pytest.mark.parametrize(
    ("files", "named", "message"),
    [
        ((), ("held1",), r"no hold of held1 has lost its field.*\(there: none\)"),
        ((OURS,), ("other",), r"no hold of other has lost its field.*\(there: held1\)"),
        ((OURS,), (), r"no hold of none"),
        ((OURS, LATER), ("held1", "held2"), r"more than one hold of held1, held2"),
    ],
)
def test_a_repair_ties_one_hold_or_none(
    files: tuple[HeldFile, ...], named: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        changed(wish("repair", holds=named), lost(*files))


def test_with_a_hold_that_is_tied_comes_what_ran_there_by_the_state_file_that_names_it() -> None:
    named = replace(state("0>1", "1>2"), environment="old", hold=HOLD)
    other = replace(state("7>8"), environment="older")
    at = replace(lost(OURS), lost=(other, named))
    tied = changed(wish("repair", holds=("held1",)), at).state
    assert tied is not None
    assert (tied.deployed, tied.environment) == (named.deployed, "production")


def test_a_hold_is_not_tied_over_another_one_in_force() -> None:
    held = lost(OURS, found=state("0>1", hold=LATER.hold))
    with pytest.raises(MovedError, match="held1 is not the hold in force: held2"):
        changed(wish("repair", holds=("held1",)), held)


@pytest.mark.parametrize(
    ("found", "retired", "deleted"),
    [
        (state("1>2"), (), (".gitops-rollback/production/cart.json",)),
        (None, (OURS,), (OURS.path,)),
        (state("1>2"), (OURS,), (".gitops-rollback/production/cart.json", OURS.path)),
    ],
)
def test_what_is_left_of_a_service_without_fields_is_retired(
    found: State | None, retired: tuple[HeldFile, ...], deleted: tuple[str, ...]
) -> None:
    change = changed(wish("retire"), place(1, found, holds=Holds(retired=retired)))
    assert change.deleted == deleted
    assert change.changes_anything


def test_what_is_not_there_cannot_be_retired() -> None:
    with pytest.raises(NotFoundError, match="neither a state file nor a hold"):
        changed(wish("retire"), place())


def test_a_hold_whose_field_is_only_called_otherwise_is_not_retired() -> None:
    with pytest.raises(ConfigError, match=r"the field that is held is still there .*a\.yaml"):
        changed(wish("retire"), place(1, state("1>2"), holds=Holds(ours=(OURS,))))


def test_a_state_file_of_a_field_that_is_only_called_otherwise_is_not_retired() -> None:
    own = replace(state("1>2"), fields=(NOTED,))
    with pytest.raises(ConfigError, match=r"of a field that is still there .*a\.yaml"):
        changed(wish("retire"), replace(place(1), displaced=own))


def test_what_has_lost_its_field_and_may_be_a_service_s_is_not_retired() -> None:
    """The names of who may have it are those that the commands name."""
    own, named = state("1>2", bad=(BAD,)), frozenset({("shop", "default"), ("web", "live")})
    gone = replace(place(1, own, lost=(own,)), named=named)
    with pytest.raises(ConfigError, match=r"of shop or web live, where what is bad .*: 2$") as told:
        changed(wish("retire"), gone)
    assert told.value.hint == (
        "write it down there first: gitops-rollback history shop --repair; "
        "gitops-rollback history web --environment live --repair"
    )
    held = replace(gone, lost=(), holds=Holds(lost=(OURS,)))
    with pytest.raises(RefusedError, match=r"^shop: cart production has been held for ") as refused:
        changed(wish("retire"), held)
    assert "gitops-rollback history shop --repair --hold held1" in refused.value.hint


def test_a_state_file_that_is_or_may_be_of_a_service_is_known_as_its_own() -> None:
    names = ("shop", "store", "basket")
    one, two, three = (State(name, "production") for name in names)
    services = [replace(place(1), aliases=(one,), lost=(two,)), replace(lost(OURS), lost=(three,))]
    assert are_of_others(services) == {(name, "production") for name in (*names, "cart")}


def forgiven(text: str, *bad: str) -> tuple[str, ...]:
    """What is bad still, by tag, after a release that forgives an image."""
    entries = tuple(bad_entry(one, at(2)) for one in bad)
    change = changed(wish("release", forgive=(text,)), place(1, state("0>1", bad=entries)))
    assert change.state is not None
    return tuple(entry.image.tag or "" for entry in change.state.bad)


@pytest.mark.parametrize(
    "text",
    ["2", image("2").digest, "acme/cart:2", image("2").canonical, f"x/y@{image('2').digest}"],
)
def test_an_image_is_forgiven_by_tag_by_digest_and_in_full(text: str) -> None:
    assert forgiven(text, "2", "3") == ("3",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4", r"4 is not on the bad list \(there: 2, 3\)"),
        ("acme/shop:2", r"acme/shop:2 is not on the bad list"),
        ("x:y:z", r"--forgive: 'x:y:z'"),
    ],
)
def test_what_is_not_bad_is_not_forgiven(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        forgiven(text, "2", "3")


def test_a_tag_that_was_bad_with_several_digests_is_not_enough_to_forgive() -> None:
    """Nobody says which of them is meant; a version's are forgiven together."""
    with pytest.raises(UsageError, match="main is on the bad list with several digests") as raised:
        forgiven("main", "main@A", "main@B")
    digests = [str(image(one).digest) for one in ("main@A", "main@B")]
    assert raised.value.message.endswith(f"several digests: {', '.join(digests)}")
    assert raised.value.hint == f"name the one that is meant: --forgive {digests[0]}"
    assert forgiven(str(image("main@B").digest), "main@A", "main@B") == ("main",)
    assert forgiven("main", "main@A", "3") == ("3",)


def test_where_nothing_is_bad_nothing_is_forgiven() -> None:
    with pytest.raises(UsageError, match=r"\(there: none\)"):
        changed(wish("release", forgive=("2",)), place())


HELD = state("1>2", "2<1", bad=(BAD,), hold=HOLD)
SAME = tuple(note(field) for field in place().found.fields)
ELSEWHERE = replace(HELD, environment="old", fields=SAME)


MOVED = replace(ELSEWHERE, fields=tuple(replace(one, path="old/a.yaml") for one in SAME))


def removed(
    found: State | bytes = HELD,
    message: str = "Tidy up",
    environment: str = "production",
    commit: str = "a",
    service: str = "cart",
) -> Removed:
    """A state file that a commit took away."""
    data = render_state(found) if isinstance(found, State) else found
    return Removed(commit * 40, message, service, environment, data)


def test_a_state_file_that_was_deleted_counts_as_it_stood() -> None:
    answer = telling(NeedRemoved=(removed(),))
    found = decided(wish("deploy", image=image("3")), place(), answer)
    assert isinstance(found, Refused)
    assert found.code == "held"
    released = changed(wish("release"), place(), answer)
    assert released.at.restored == {".gitops-rollback/production/cart.json": "production"}
    assert "cart.json was deleted, and counts as it stood before" in released.warnings[-1]
    assert released.state == replace(HELD, hold=None)
    assert together([released], skip=False).files != {}
    plan = decided(wish("rollback"), place(), answer).plan
    assert plan is not None
    assert "cart.json was deleted, and counts as it stood before" in plan.findings[0]


def test_a_hold_whose_file_is_broken_is_told_of() -> None:
    there = replace(place(), state=HELD)
    broken = HeldFile("cart", "production", HOLD, HELD.fields, stood="e" * 40)
    at = replace(there, holds=replace(there.holds, ours=(broken,)))
    [told] = changed(wish("release"), at).warnings
    assert f"{broken.path} is broken, and counts as it stood before" in told
    assert f"git checkout eeeeeeeeeeee -- {broken.path}" in told


def revert_of_it() -> str:
    return f'Revert "cart"\n\nThis reverts commit {1:040x}.\n'


@pytest.mark.parametrize(
    ("gone", "is_held"),
    [
        pytest.param((removed(message=revert_of_it()),), False, id="a revert of what wrote it"),
        pytest.param((removed(message=revert_of_it()), removed()), True,
                     id="by hand, and then a revert of what wrote it anew"),
        pytest.param((removed(message=told("retire")), removed()), False, id="this tool's own"),
        pytest.param((removed(state("1>2")), removed()), False, id="deleted twice: the last"),
        pytest.param((removed(ELSEWHERE, environment="old"),), True, id="under a name of before"),
        pytest.param((removed(replace(ELSEWHERE, fields=()), environment="old"),), False,
                     id="under a name of before, of which fields is not known"),
        pytest.param((removed(replace(MOVED, service="web"), service="web", environment="old"),),
                     False, id="of another name, in an environment that is gone"),
        pytest.param((removed(ELSEWHERE, environment="staging"),), False, id="of another one"),
        pytest.param((), False, id="none"),
    ],
)  # fmt: skip
def test_what_was_deleted_by_hand_holds_and_what_was_taken_back_does_not(
    gone: tuple[Removed, ...], *, is_held: bool
) -> None:
    at_tip = place(elsewhere=frozenset({"staging"}))
    found = changed(wish("release"), at_tip, telling(NeedRemoved=gone))
    assert found.ends == ((HOLD.id,) if is_held else ())


OLD = tuple(replace(one, container="old") for one in MOVED.fields)
STRANGE = tuple(replace(one, name="pay", image="docker.io/acme/pay:1") for one in MOVED.fields)
OURS_THERE = frozenset((one.path, one.likeness) for one in SAME)
OLD_PLACE = NeedBeside("old/a.yaml", MOVED.fields[0].likeness, OURS_THERE)


@pytest.mark.parametrize("is_hold", [False, True], ids=["a state file", "the file of a hold"])
@pytest.mark.parametrize(
    ("fields", "beside", "is_held"),
    [
        pytest.param(MOVED.fields, False, True, id="that moved"),
        pytest.param(MOVED.fields, True, False, id="beside which ours stood: of one that is gone"),
        pytest.param(MOVED.fields, None, True, id="of which nobody knows"),
        pytest.param(OLD, False, True, id="that moved, and its container was renamed"),
        pytest.param(OLD, True, False, id="beside which ours stood, of another container"),
        pytest.param(STRANGE, False, False, id="of another image, and another workload"),
        pytest.param((), False, False, id="of no field"),
    ],
)
def test_what_was_deleted_under_a_name_of_before_counts_unless_it_was_a_twin_s(
    fields: tuple[NotedField, ...],
    beside: bool | None,  # noqa: FBT001
    is_held: bool,  # noqa: FBT001
    *,
    is_hold: bool,
) -> None:
    gone = removed(replace(MOVED, fields=fields), environment="old")
    if is_hold:
        gone = removed_hold(found=replace(LATER, environment="old", fields=fields))
    asked = []

    def answer(need: Need[Any], facts: Facts) -> Any:  # noqa: ANN401
        asked.append(need)
        return telling(NeedRemoved=(gone,), NeedBeside=beside)(need, facts)

    found = changed(wish("release"), place(), answer)
    assert bool(found.ends) == is_held
    likely = fields and fields is not STRANGE
    wanted = [replace(OLD_PLACE, like=fields[0].likeness)] if likely else []
    assert [need for need in asked if isinstance(need, NeedBeside)] == wanted


def test_of_two_files_that_were_deleted_the_one_that_knew_the_other_counts() -> None:
    """A release as `shop` wrote all that `cart` had, and ended its hold."""
    released = replace(ELSEWHERE, hold=None, environment="older")
    gone = (removed(released, environment="older"), removed(commit="b"))
    assert changed(wish("release"), place(), telling(NeedRemoved=gone)).ends == ()


OTHER_HELD = replace(ELSEWHERE, hold=LATER.hold, deployed=state("3<2").deployed)


@pytest.mark.parametrize("commit", ["a", "b"])
@pytest.mark.parametrize(
    "other",
    [
        pytest.param(OTHER_HELD, id="neither knew the other"),
        pytest.param(replace(OTHER_HELD, hold=HOLD), id="both of one hold"),
    ],
)
def test_every_hold_that_a_deleted_file_names_counts(other: State, commit: str) -> None:
    """Two rollbacks were merged, each under a name of its own, and all files were deleted."""
    gone = (removed(other, environment="old", commit=commit), removed())
    answer = telling(NeedRemoved=gone)
    held = tuple(dict.fromkeys([other.hold.id if other.hold else "", HOLD.id]))
    assert changed(wish("release"), place(), answer).ends == held
    assert changed(wish("release", holds=held), place(), answer).changes_anything
    if len(held) > 1:
        with pytest.raises(MovedError, match="held2 is not the only hold in force: held1"):
            changed(wish("release", holds=("held2",)), place(), answer)


def removed_hold(
    message: str = "Tidy up", commit: str = "a", found: HeldFile | bytes = LATER
) -> Removed:
    """The file of a hold that a commit took away."""
    data = render_held(found) if isinstance(found, HeldFile) else found
    return Removed(commit * 40, message, "held2", ".held", data)


HERE_HELD = replace(LATER, fields=SAME)
RENAMED = replace(HERE_HELD, fields=tuple(replace(one, container="old") for one in SAME))


@pytest.mark.parametrize(
    ("gone", "held"),
    [
        pytest.param((removed_hold(found=HERE_HELD), removed()), ("held2", "held1"),
                     id="with a state file that knows another hold"),
        pytest.param((removed(), removed_hold(found=HERE_HELD)), ("held2", "held1"),
                     id="listed after it"),
        pytest.param((removed_hold(found=HERE_HELD, commit="b"), removed()), ("held2", "held1"),
                     id="after it"),
        pytest.param((removed(), removed_hold(found=HERE_HELD, commit="b")), ("held1",),
                     id="before it: who wrote that knew it"),
        pytest.param((removed_hold(found=HERE_HELD),), ("held2",), id="alone"),
        pytest.param((removed_hold(told("release"), found=b""), removed()), ("held1",),
                     id="by this tool: it had ended"),
        pytest.param((removed_hold(found=b"{"), removed()), ("held1",),
                     id="broken, as the error about it says"),
        pytest.param((removed_hold(found=RENAMED), removed()), ("held2", "held1"),
                     id="of a container that was renamed"),
        pytest.param((removed_hold(found=replace(RENAMED, service="shop")), removed()), ("held1",),
                     id="of another service's field"),
    ],
)  # fmt: skip
def test_the_file_of_a_hold_that_was_deleted_by_hand_holds(
    gone: tuple[Removed, ...], held: tuple[str, ...]
) -> None:
    """Two rollbacks were merged under one name: a state file names one of their holds."""
    answer = telling(NeedRemoved=gone)
    change = changed(wish("release"), place(), answer)
    assert change.ends == held
    assert change.at.state is not None
    assert [entry.image for entry in change.at.state.bad] == [BAD.image]
    found = decided(wish("deploy", image=image("3")), place(), answer)
    assert isinstance(found, Refused)
    assert found.code == "held"


@pytest.mark.parametrize("elsewhere", [frozenset(), frozenset({"staging"})], ids=["gone", "there"])
def test_a_deleted_hold_of_another_environment_is_left_to_it(elsewhere: frozenset[str]) -> None:
    gone = (removed_hold(found=replace(HERE_HELD, environment="staging")),)
    change = changed(wish("release"), place(elsewhere=elsewhere), telling(NeedRemoved=gone))
    assert change.ends == (() if elsewhere else ("held2",))


def test_a_hold_that_this_tool_ended_is_over_whatever_an_older_file_names() -> None:
    """One name's file was deleted; the hold ended under the other name, whose file went later."""
    older = replace(ELSEWHERE, hold=LATER.hold)
    ended = removed_hold(told("release"), found=b"")
    gone = (removed(state("0>1")), ended, removed(older, environment="old", commit="b"))
    assert changed(wish("release"), place(), telling(NeedRemoved=gone)).ends == ()
    for by_hand in ((), (removed_hold(found=HERE_HELD, commit="b"),)):
        gone = (gone[0], *by_hand, gone[-1])
        assert changed(wish("release"), place(), telling(NeedRemoved=gone)).ends == ("held2",)


def test_a_hold_is_over_that_ended_when_the_file_which_tells_of_it_was_deleted() -> None:
    """One name's file was deleted; the hold ended under the other name, whose file went later."""
    marked = replace(BAD, deed=replace(BAD.deed, id=HOLD.id))
    older = removed(replace(ELSEWHERE, bad=(marked,)), environment="old", commit="b")
    for known, held in ((state("0>1", bad=(marked,)), ()), (state("0>1", bad=(BAD,)), (HOLD.id,))):
        change = changed(wish("release"), place(), telling(NeedRemoved=(removed(known), older)))
        assert change.ends == held
        assert change.at.restored.keys() == {removed(known).path, older.path}


def test_files_that_one_commit_deleted_each_told_what_was_so_under_its_name() -> None:
    """One knew all that the other had deployed; its hold was tied to the field since."""
    known = replace(ELSEWHERE, hold=LATER.hold)
    answer = telling(NeedRemoved=(removed(known, environment="old"), removed()))
    assert changed(wish("release"), place(), answer).ends == ("held2", "held1")


def test_a_broken_file_that_was_deleted_counts_as_this_tool_wrote_it_last() -> None:
    written = (version(2, "By hand", b"{"), version(1, told("rollback"), HELD))
    gone = (removed(b"{"),)
    answer = telling(NeedRemoved=gone, NeedStateVersions=StateVersions(None, written))
    assert changed(wish("release"), place(), answer).ends == (HOLD.id,)
    nothing = telling(NeedRemoved=gone, NeedStateVersions=StateVersions(None, ()))
    assert changed(wish("release"), place(), nothing).ends == ()
    other = telling(NeedRemoved=(removed(b"{", environment="old"),))
    with pytest.raises(RepositoryError, match=r"old/cart\.json is broken") as caught:
        changed(wish("release"), place(), other)
    assert f"git checkout {'a' * 12}~1 -- .gitops-rollback/old/cart.json" in caught.value.hint


def test_two_holds_on_one_field_end_together_where_both_were_seen() -> None:
    both = place(1, state("0>1", hold=LATER.hold), holds=Holds(ours=(OURS, LATER)))
    assert changed(wish("release"), both).ends == ("held2", "held1")
    with pytest.raises(MovedError, match="held2 is not the only hold in force: held1") as caught:
        changed(wish("release", holds=("held2",)), both)
    assert "--hold held2,held1" in caught.value.hint
    assert changed(wish("release", holds=("held1", "held2")), both).changes_anything


NAME = State("cart", "production")
ALIAS = replace(state("1>2"), service="shop", fields=(NOTED,))
MOVED_AWAY = replace(ALIAS, fields=(replace(NOTED, name="basket", path="b.yaml"),))
FIELD = cast("ImageField", HERE)
BASKET = cast("ImageField", replace(HERE, path="b.yaml", name="basket"))
PAY = cast("ImageField", replace(HERE, path="p.yaml", name="pay", value="acme/pay:1"))


def standing_of(
    own: State | None,
    others: Sequence[State] = (),
    held: Sequence[HeldFile] = (),
    *,
    fields: Sequence[ImageField] = (FIELD,),
    branch: Sequence[ImageField] = (),
    elsewhere: Sequence[str] = (),
    twins: Sequence[State] = (),
) -> ServiceAtTip:
    """What counts for fields, which are all that the branch has unless it is said."""
    found = replace(place().found, fields=tuple(fields))
    at = replace(place(), found=found, state=own, elsewhere=frozenset(elsewhere))
    everything = tuple(branch or fields)
    return standing(at, others, place_holds(held, everything), everything, twins)


def test_one_account_is_made_of_the_state_files_of_all_names_and_of_the_holds() -> None:
    found = standing_of(None, [ALIAS], [OURS])
    assert found.state is not None
    assert found.aliases == (ALIAS,)
    assert (found.state.deployed, found.state.hold, found.state.bad) == (
        ALIAS.deployed,
        HOLD,
        (BAD,),
    )
    own = replace(NAME, hold=LATER.hold)
    newest = standing_of(own, [], [OURS])
    assert newest.state is not None
    assert newest.state.hold == LATER.hold


def test_a_hold_that_only_the_state_file_of_another_name_has_is_in_force_too() -> None:
    """Two rollbacks were merged under two names, and the files of the holds were deleted."""
    own = replace(state("3>4", hold=LATER.hold), fields=(NOTED,))
    alias = replace(ALIAS, hold=HOLD, bad=(BAD,))
    found = standing_of(own, [alias])
    [other] = found.holds.ours
    assert (other.hold, other.fields, other.bad) == (HOLD, (NOTED,), (BAD,))
    at_tip = place(1, found.state, aliases=found.aliases, holds=found.holds)
    change = changed(wish("release"), at_tip)
    assert change.ends == ("held2", "held1")
    files = together([change], skip=False).files
    assert "hold" not in json.loads(files[".gitops-rollback/production/shop.json"] or b"")


def test_where_nothing_is_known_of_the_fields_there_is_no_state() -> None:
    found = standing_of(None, [MOVED_AWAY], branch=[FIELD, BASKET])
    assert (found.state, found.aliases, found.lost) == (None, (), ())


@pytest.mark.parametrize(("elsewhere", "is_bad"), [((), True), (("production",), False)])
def test_what_is_bad_in_a_lost_state_file_that_may_be_ours_is_bad_here(
    elsewhere: tuple[str, ...],
    is_bad: bool,  # noqa: FBT001
) -> None:
    gone = replace(ALIAS, fields=(replace(NOTED, container="old"),), bad=(BAD,))
    found = standing_of(None, [gone], elsewhere=elsewhere)
    assert found.lost == ((gone,) if is_bad else ())
    assert (found.state.bad if found.state else ()) == ((BAD,) if is_bad else ())


OLDER = replace(ALIAS, service="cart", environment="canary", bad=(BAD,), fields=(
    replace(NOTED, path="canary/cart.yaml"),
))  # fmt: skip


def test_what_a_twin_that_is_gone_had_is_bad_here_and_its_images_never_ran() -> None:
    found = standing_of(None, [OLDER], twins=[OLDER])
    assert (found.aliases, found.lost) == ((), (OLDER,))
    assert found.state is not None
    assert (found.state.deployed, found.state.bad) == ((), (BAD,))
    held = replace(OURS, environment="canary", fields=OLDER.fields)
    [placed] = place_holds([held], [FIELD])
    assert find_holds([placed], [FIELD]).ours == (held,)
    assert find_holds([placed.as_lost], [FIELD]) == Holds(lost=(held,))


@pytest.mark.parametrize(
    ("file", "own", "is_in_doubt"),
    [
        pytest.param(OLDER, None, True, id="a state file"),
        pytest.param(replace(OURS, environment="canary", fields=OLDER.fields), None, True,
                     id="a hold"),
        pytest.param(replace(OLDER, deployed=()), NAME, True, id="a state file of no deed"),
        pytest.param(OLDER, replace(NAME, deployed=OLDER.deployed), False,
                     id="that the own state file knows"),
        pytest.param(OLDER, replace(NAME, deployed=(replace(OLDER.deployed[0], id="other"),)), True,
                     id="that it does not know"),
        pytest.param(replace(OLDER, environment="staging"), None, False,
                     id="of an environment that there is"),
        pytest.param(ALIAS, None, False, id="of a field at its place"),
        pytest.param(replace(OLDER, fields=(*ALIAS.fields, *MOVED_AWAY.fields)), None, False,
                     id="one of whose fields is at its place"),
        pytest.param(replace(OLDER, fields=(replace(NOTED, container="old"),)), None, False,
                     id="of a field that is lost"),
        pytest.param(replace(OLDER, fields=(replace(NOTED, document=7),)), None, False,
                     id="of the same file"),
    ],
)  # fmt: skip
def test_what_nobody_s_environment_wrote_of_a_field_elsewhere_is_in_doubt(
    file: State | HeldFile,
    own: State | None,
    is_in_doubt: bool,  # noqa: FBT001
) -> None:
    wanted = NeedBeside(
        "canary/cart.yaml", NOTED.likeness, frozenset({(NOTED.path, likeness_of(FIELD))})
    )
    doubt = doubt_of(file, own, [FIELD], {"production", "staging"}, [FIELD, BASKET])
    assert doubt == (wanted if is_in_doubt else None)


def test_the_hold_that_the_own_state_file_names_counts_though_its_field_was_renamed() -> None:
    renamed = replace(OURS, fields=(replace(NOTED, container="old"),))
    own = replace(NAME, hold=HOLD)
    found = standing_of(own, [], [renamed])
    assert (found.holds.ours, found.holds.lost) == ((renamed,), ())


def test_a_service_may_have_the_names_that_its_repositories_of_before_gave_it() -> None:
    assert names_in(State("web", "production")) == frozenset()
    bad = replace(BAD, deed=replace(BAD.deed, image=parse_image("ghcr.io/acme/basket:2")))
    held = Hold(replace(HOLD.deed, from_image=parse_image("ghcr.io/acme/store:3")))
    known = replace(state("1>2"), bad=(bad,), hold=held)
    assert names_in(known) == {"cart", "basket", "store"}


def test_a_state_file_belongs_to_the_fields_that_it_is_of_if_all_are_there() -> None:
    assert belongs_to(MOVED_AWAY, [FIELD], [BASKET]) == BASKET
    assert belongs_to(ALIAS, [FIELD], [FIELD]) is None
    assert belongs_to(MOVED_AWAY, [FIELD], []) is None
    half = replace(MOVED_AWAY, fields=(*MOVED_AWAY.fields, replace(NOTED, container="old")))
    assert belongs_to(half, [FIELD], [BASKET]) is None


def test_a_state_file_moves_to_the_name_that_its_fields_have_or_nothing_is_written() -> None:
    basket = State("basket", "production")
    own = replace(MOVED_AWAY, service="cart")
    theirs = replace(state("3>4").deployed[0], id="theirs")
    there = replace(basket, deployed=(theirs,), fields=own.fields)
    strange = replace(there, fields=(NOTED,))
    branch = [FIELD, BASKET]
    whole = replace(own, service="basket")
    assert moved(own, basket, None, branch, counted=False) == whole
    assert moved(own, basket, strange, branch, counted=True) == whole
    both = moved(own, basket, there, branch, counted=True)
    assert {one.id for one in both.deployed} == {own.deployed[0].id, "theirs"}
    with pytest.raises(ConfigError, match=r"basket\.json is of other fields, too"):
        moved(own, basket, strange, branch, counted=False)


def test_a_hold_is_retired_where_it_is_nobody_s() -> None:
    gone = place(1, holds=Holds(retired=(OURS, replace(LATER, fields=()))))
    [(one, command), (two, _command)] = retired_holds([gone, gone])
    assert one.startswith("retired: the hold held1 of cart production (since ")
    assert command.endswith(": gitops-rollback history cart --retire --reason TEXT")
    there = replace(gone, elsewhere=frozenset({"staging"}))
    assert "cart --environment production --retire" in retired_holds([there])[0][1]
    removed = Holds(retired=(replace(OURS, environment="old"),))
    assert "--environment old" in retired_holds([place(1, holds=removed)])[0][1]
    assert one.endswith(f"its field is found no more, {NOTED.place}")
    assert two.endswith("its field is found no more, and none was written down")
    assert retired_holds([gone, place()]) == ()
    assert retired_holds([]) == ()


@pytest.mark.parametrize(
    ("environment", "elsewhere"), [("production", ()), ("old", ()), ("staging", ("staging",))]
)
def test_a_hold_that_may_be_of_a_service_beside_these_is_not_retired(
    environment: str, elsewhere: tuple[str, ...]
) -> None:
    held = replace(OURS, environment=environment, fields=(replace(NOTED, container="old"),))
    [cart] = place().found.fields
    found = standing_of(None, [], [held], fields=[PAY], branch=[PAY, cart], elsewhere=elsewhere)
    [(told, hint)] = retired_holds([found])
    if not elsewhere:
        assert told.endswith(f"found no more, {held.fields[0].place}, and may be {cart.place}")
        assert hint == "gitops-rollback check cart --environment production tells more"
    else:
        assert told.startswith("retired: ")
        assert "history cart --environment staging --retire" in hint
    assert retired_holds([found, standing_of(None, [], [held])]) == ()


def test_a_service_whose_fields_have_a_second_name_writes_what_is_bad_and_held_for_both() -> None:
    alias = replace(state("0>1", bad=(BAD,), hold=HOLD), service="shop", fields=(NOTED,))
    gone = replace(alias, service="old")
    own = state("0>1", bad=(BAD,), hold=HOLD)
    at_tip = place(1, own, aliases=(alias,), lost=(gone,), holds=Holds(ours=(OURS,)))
    change = changed(wish("release", forgive=("2",)), at_tip)
    assert isinstance(change, Change)
    files = together([change], skip=False).files
    names = [f".gitops-rollback/production/{name}.json" for name in ("cart", "shop", "old")]
    assert {*files} == {OURS.path, *names}
    assert files[OURS.path] is None
    for name in names:
        written = json.loads(files[name] or b"")
        assert (written["bad"], written.get("hold")) == ([], None)


@pytest.mark.parametrize(
    ("noted", "written"),
    [
        pytest.param(("x.yaml",), (NOTED.path,), id="the field has moved"),
        pytest.param(("x.yaml", "y.yaml"), ("x.yaml", "y.yaml"), id="which of two is not known"),
        pytest.param((NOTED.path, "y.yaml"), (NOTED.path, "y.yaml"), id="one stands there still"),
    ],
)
def test_the_file_of_another_name_says_where_a_field_stands_now_unless_two_are_alike(
    noted: Sequence[str], written: Sequence[str]
) -> None:
    own = replace(state("0>1", hold=HOLD), fields=(NOTED,))
    fields = tuple(replace(NOTED, path=path, value="old") for path in noted)
    alias = replace(state("0>1", hold=HOLD), service="shop", fields=fields)
    change = changed(wish("release"), place(1, own, aliases=(alias,), holds=Holds(ours=(OURS,))))
    files = together([change], skip=False).files
    told = json.loads(files[".gitops-rollback/production/shop.json"] or b"")["fields"]
    assert tuple(one["path"] for one in told) == tuple(written)
    values = [NOTED.value if path == NOTED.path else "old" for path in written]
    assert [one["value"] for one in told] == values


def test_a_service_may_be_called_by_its_workload_its_labels_and_its_image() -> None:
    [field] = place().found.fields
    known = replace(field, name="web", labels=frozenset({"basket"}))
    assert names_of([known]) == {"web", "basket", "cart"}
    nameless = place(1).found.fields[0]
    unread = replace(
        nameless,
        parts=(replace(nameless.parts[0], scalar=replace(nameless.scalar, value="{{ x }}")),),
    )
    assert names_of([unread]) == {"cart"}


def of_tags_alone(*texts: str) -> tuple[HistoryEntry, ...]:
    """Commits of this tool that wrote tags, and told in words which images these meant."""
    return tuple(
        replace(entry, image=entry.image.with_version(entry.image.tag, None), told=told)
        for entry in history(*texts)
        for told in [Told("cart", "production", Deed("deploy", entry.image, image("0")))]
    )


def told_in_history(number: int, text: str, left: str) -> HistoryEntry:
    """A commit of this tool that rolled back from an image."""
    deed = Deed("rollback", image(text), image(left))
    told = Told("cart", "production", deed)
    return HistoryEntry(f"{number:040x}", at(number), "joe", image(text), told)


@pytest.mark.parametrize(
    ("entries", "revision", "code"),
    [
        pytest.param(history("1"), None, "bad", id="its version, and it never ran here"),
        pytest.param(history("1", "2@again", "1"), "c0ffee", "", id="it ran, and was good"),
        pytest.param(
            (told_in_history(3, "1", "2@again"), *history("2@again")),
            "c0ffee",
            "bad",
            id="of a bad commit: it ran long ago, and was rolled back from",
        ),
        pytest.param(history("2@other", "1"), None, "", id="a tag that had several digests"),
        pytest.param(
            of_tags_alone("2@other", "1"), None, "", id="the same, where tags alone are written",
        ),
        pytest.param(
            of_tags_alone("1", "2@again", "1"), "c0ffee", "",
            id="it ran, and was good, where tags alone are written",
        ),
        pytest.param(
            history("2@other", "1"), "c0ffee", "bad",
            id="a tag that had several digests, but the commit it is built from",
        ),
        pytest.param(
            history("1", "0", "2@other"), None, "bad",
            id="a tag that somebody put there with another digest since",
        ),
    ],
)  # fmt: skip
def test_history_is_asked_before_an_image_is_bad_by_the_tag_of_another(
    entries: tuple[HistoryEntry, ...], revision: str | None, code: str
) -> None:
    bad = (bad_entry("2", at(2), tag="2", revision="c0ffee"),)
    answer = telling(NeedHistory=History(entries), NeedRevision=Revision(revision))
    found = decided(
        wish("deploy", image=image("2@again")), place(1, state("0>1", bad=bad)), answer,
        filed=stored("1", "2@again"),
    )  # fmt: skip
    assert (found.code if isinstance(found, Refused) else "") == code


@pytest.mark.parametrize(
    ("entries", "left"),
    [
        pytest.param(history("1"), (), id="it is bad by the tag of that"),
        pytest.param(history("2@other", "1"), ("2",), id="nothing says that it is bad"),
    ],
)
def test_what_is_accepted_takes_off_what_refused_it_and_nothing_else(
    entries: tuple[HistoryEntry, ...], left: tuple[str, ...]
) -> None:
    bad = (bad_entry("2", at(2), tag="2"),)
    change = changed(
        wish("deploy", image=image("2@again"), accept=frozenset({"bad"})),
        place(1, state("0>1", bad=bad)),
        telling(NeedHistory=History(entries)),
        filed=stored("1", "2@again"),
    )
    assert change.state is not None
    assert tuple(entry.image.tag for entry in change.state.bad) == left


def test_a_hold_that_lost_its_field_elsewhere_is_left_to_that_environment() -> None:
    fields = place().found.fields
    renamed = replace(note(fields[0]), container="renamed")
    theirs = replace(OURS, environment="staging", fields=(renamed,))
    for elsewhere, lost in ((frozenset({"staging"}), ()), (frozenset[str](), (theirs,))):
        found = standing_of(None, (), [theirs], fields=fields, elsewhere=[*elsewhere]).holds
        assert (found.ours, found.lost) == ((), lost)
        assert found.retired == (() if lost else (theirs,))
    assert all_there([replace(OURS, fields=(note(fields[0]),))], fields)
    assert not all_there([theirs], fields)


def standing_alone(*steps: str, hold_id: str = "") -> State:
    """A state file of the service; of its newest deed the id is that of a hold, if it is given."""
    found = state(*steps)
    [newest, *older] = found.deployed[:20]
    newest = replace(newest, id=hold_id or newest.id)
    [field] = place().found.fields
    text = f"acme/cart:{newest.image.tag}"
    noted = (note_written(field, text, newest.image),)
    return replace(found, fields=noted, deployed=(newest, *older))


BESIDE = replace(ELSEWHERE, deployed=(replace(HELD.deployed[0], id="id9"),))
MANY = [f"{number}>{number + 1}" for number in range(9, 39)]


@pytest.mark.parametrize(
    ("own", "gone", "held"),
    [
        pytest.param(standing_alone("1>2"), (removed(BESIDE, environment="old"),), ("held1",),
                     id="a state file that the own one does not know"),
        pytest.param(standing_alone("1>2"), (removed_hold(found=HERE_HELD),), ("held2",),
                     id="the file of a hold that it does not know"),
        pytest.param(standing_alone("1>2", hold_id="id9"), (removed(BESIDE, environment="old"),),
                     (), id="a state file that it knows"),
        pytest.param(standing_alone("1>2", hold_id="held2"), (removed_hold(found=HERE_HELD),), (),
                     id="a hold that it knows: it ended"),
        pytest.param(standing_alone(*MANY), (removed_hold(found=HERE_HELD),), (),
                     id="of before all that it has room for"),
        pytest.param(standing_alone("2>1"), (removed_hold(found=HERE_HELD),), (),
                     id="where the own one tells what runs"),
    ],
)  # fmt: skip
def test_what_was_deleted_counts_beside_a_state_file_that_does_not_tell_what_runs(
    own: State, gone: tuple[Removed, ...], held: tuple[str, ...]
) -> None:
    """A pull request of one name was merged when the other one's state file had come."""
    change = changed(wish("release"), place(1, own), telling(NeedRemoved=gone))
    assert change.ends == held
