"""What a deploy, a rollback and a release do to the manifest, the markers and the state file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.decide.facts import Check, NeedCheck, NeedPolicies
from gitops_rollback.decide.plan import edits_to_json
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import RefusedError
from gitops_rollback.image import same
from gitops_rollback.ledger.fields import note_written
from gitops_rollback.ledger.holds import Bad, HeldMarker, Hold
from gitops_rollback.ledger.message import Told, render
from gitops_rollback.manifest.edit import rewritten
from gitops_rollback.model import Build, Deed
from unit.builders import (
    DEPLOYMENT,
    PATH,
    PRESENT,
    at,
    bad_entry,
    changed,
    decided,
    digest,
    hold_of,
    image,
    plainly,
    service_at_tip,
    state,
    stored,
    telling,
)

if TYPE_CHECKING:
    from gitops_rollback.decide.change import Change
    from gitops_rollback.decide.facts import Facts, Need, ServiceAtTip
    from gitops_rollback.ledger.state import State

MARKER = '{"$imagepolicy": "flux-system:cart"}'
HELD = MARKER.replace("policy", "policy-held")
MARKED = DEPLOYMENT.replace("{image}", "{image} # " + MARKER)
MARKED_HELD = DEPLOYMENT.replace("{image}", "{image} # " + HELD)
RECORD = digest("record")
ALL = frozenset({"automation"})
BAD = bad_entry(image("2"), PRESENT, "it crashed", "jane")
HOLD = hold_of("2", "1", "it crashed", at(2), "joe", markers=(
    HeldMarker(PATH, "server", MARKER),
))  # fmt: skip
WISH = Wish("rollback", PRESENT, build=Build("shop/cart", 9), by="jane", reason="it crashed")


def text_after(change: Change) -> str:
    """The manifest after a change."""
    file = change.at.found.manifests.files[PATH]
    return rewritten(file, change.edits, [marker.splice for marker in change.markers]).data.decode()


def rolled_back(found: ServiceAtTip, to: str, wish: Wish = WISH) -> Change:
    """A rollback to an image that is named, whatever it was rolled back from."""
    wish = replace(wish, to=image(to).canonical, accept=frozenset({"bad", "never-ran", "unproven"}))
    return changed(wish, found, filed=stored("0", "1", sha256=RECORD))


def deployed(
    found: ServiceAtTip,
    to: str,
    *accept: str,
    record: str = RECORD,
    **more: Any,  # noqa: ANN401
) -> Change:
    wish = replace(WISH, action="deploy", image=image(to), accept=frozenset(accept), **more)
    answer = telling(NeedCheck=Check("there", image(to).digest, has_tag=True))
    return changed(wish, found, answer, filed=stored("~1", None, sha256=record))


def released(found: ServiceAtTip, *forgive: str) -> Change:
    return changed(replace(WISH, action="release", forgive=forgive, accept=ALL), found)


def new_state(change: Change) -> State:
    assert change.state is not None
    return change.state


def trailer_values(message: str, name: str) -> list[str]:
    prefix = f"{name}: "
    return [line[len(prefix) :] for line in message.splitlines() if line.startswith(prefix)]


def test_a_deploy_writes_the_image_and_an_entry() -> None:
    change = deployed(service_at_tip("acme/cart:1"), "2")
    assert text_after(change).endswith(f"image: acme/cart:2@{digest('2')}\n")
    newest = new_state(change).newest
    assert newest is not None
    assert (newest.action, newest.image, newest.from_image) == ("deploy", image("2"), image("~1"))
    assert (newest.at, newest.by, newest.record) == (PRESENT, "jane", RECORD)
    assert newest.build == Build("shop/cart", 9)
    assert new_state(change).hold is None
    assert change.changes_anything


def test_each_entry_has_an_id_of_its_own_that_is_the_same_again() -> None:
    found = service_at_tip("acme/cart:1")

    def id_of(record: str = RECORD, present: str = PRESENT) -> str:
        return new_state(deployed(found, "2", record=record, present=present)).deployed[0].id

    assert id_of() == id_of()
    assert len({id_of(), id_of("other"), id_of(present=at(1))}) == 3


def test_a_rollback_writes_the_image_the_bad_list_the_hold_and_the_marker() -> None:
    change = rolled_back(service_at_tip(str(image("2")), state("1>2"), MARKED), "1")
    assert text_after(change).endswith(f"image: {image('1')} # {HELD}\n")
    after = new_state(change)
    assert after.newest is not None
    assert (after.newest.action, after.newest.image) == ("rollback", image("1"))
    [entry] = after.bad
    assert (entry.image, entry.deed.reason, entry.deed.by) == (image("2"), "it crashed", "jane")
    assert (entry.deed.at, entry.deed.build) == (PRESENT, Build("shop/cart", 9))
    assert after.hold == Hold(after.newest, (HeldMarker(PATH, "server", MARKER),))
    assert after.hold.id == after.newest.id == entry.deed.id
    [noted] = after.fields
    assert (noted.value, noted.image) == (str(image("1")), image("1").canonical)


def test_a_rollback_without_a_state_file_begins_one() -> None:
    after = new_state(rolled_back(service_at_tip(str(image("2"))), "1"))
    assert (after.service, after.environment) == ("cart", "production")
    assert len(after.deployed) == 1
    assert [entry.image for entry in after.bad] == [BAD.image]


def test_a_rollback_over_a_rollback_keeps_the_markers_that_are_held() -> None:
    before = state("1>2", "2<1", bad=(BAD,), hold=HOLD)
    change = rolled_back(service_at_tip(str(image("1")), before, MARKED_HELD), "0")
    assert text_after(change).endswith(f"@{digest('0')} # {HELD}\n")
    after = new_state(change)
    assert after.hold is not None
    assert after.hold.markers == HOLD.markers
    assert after.hold.from_image == image("1")
    assert [bad.image for bad in after.bad] == [image("1"), image("2")]


def test_a_marker_put_back_by_hand_is_held_again_and_listed_once() -> None:
    before = state("1>2", "2<1", bad=(BAD,), hold=HOLD)
    after = new_state(rolled_back(service_at_tip(str(image("1")), before, MARKED), "0"))
    assert after.hold is not None
    assert after.hold.markers == HOLD.markers


def test_a_rollback_to_a_bad_image_that_was_accepted_takes_it_off_the_list() -> None:
    before = state("1>2", "2<1", bad=(BAD,))
    after = new_state(rolled_back(service_at_tip(str(image("1")), before), "2"))
    assert [bad.image for bad in after.bad] == [image("1")]


@pytest.mark.parametrize(
    ("hold", "releases", "held"),
    [("service", True, False), ("image", False, False), ("service", False, True)],
    ids=["--release", "hold = image", "accepted alone"],
)
def test_a_deploy_while_held_ends_the_hold_and_restores_markers_where_it_may(
    hold: str,
    *,
    releases: bool,
    held: bool,
) -> None:
    before = state("1>2", "2<1", bad=(BAD,), hold=HOLD)
    config = f'[defaults]\nhold = "{hold}"\n'
    found = service_at_tip(str(image("1")), before, MARKED_HELD, config)
    change = deployed(found, "3", "held", "automation", releases=releases)
    after = new_state(change)
    assert (after.hold is not None) == held
    assert after.bad == (BAD,)
    assert text_after(change).endswith(f"@{digest('3')} # {HELD if held else MARKER}\n")


def test_a_release_ends_the_hold_keeps_the_bad_list_and_restores_markers() -> None:
    before = state("1>2", "2<1", bad=(BAD,), hold=HOLD)
    change = released(service_at_tip(str(image("1")), before, MARKED_HELD))
    assert new_state(change) == replace(before, hold=None)
    assert change.edits == ()
    assert text_after(change).endswith(f"{image('1')} # {MARKER}\n")
    assert change.summary.action == "release"


def test_a_release_may_forgive_without_a_hold() -> None:
    before = state("1>2", "2<1", bad=(BAD,))
    found = service_at_tip(str(image("1")), before, MARKED)
    change = released(found, "2")
    assert new_state(change) == replace(before, bad=())
    assert change.markers == ()


@pytest.mark.parametrize("before", [None, state("1>2")], ids=["no state", "no hold"])
def test_a_release_puts_markers_back_that_were_left_behind_when_a_hold_was_lost(
    before: State | None,
) -> None:
    found = service_at_tip("acme/cart:2", before, MARKED_HELD)
    other = deployed(found, "3")
    assert other.markers == ()
    assert "is out of action although nothing is held" in other.warnings[0]
    change = released(found)
    assert text_after(change) == MARKED.replace("{image}", "acme/cart:2")
    assert (change.state, change.warnings) == (before, ())


@pytest.mark.parametrize("before", [None, state("1>2")], ids=["no state", "no hold"])
def test_a_release_of_what_is_not_held_changes_nothing(before: State | None) -> None:
    found = service_at_tip("acme/cart:2", before, MARKED)
    change = released(found)
    assert not change.changes_anything


BY_TAG = '[defaults]\npin = "tag"\n'


@pytest.mark.parametrize("before", [None, state("0>1@A")], ids=["no digest known", "another"])
def test_a_deploy_that_no_text_tells_is_refused_and_accepted_writes_the_ledger_alone(
    before: State | None,
) -> None:
    found = service_at_tip("acme/cart:1", before, config=BY_TAG)
    with pytest.raises(RefusedError) as refused:
        deployed(found, "1@B")
    assert refused.value.code == "same-tag"
    change = deployed(found, "1@B", "same-tag")
    newest = new_state(change).newest
    assert newest is not None
    assert (newest.action, newest.image) == ("recorded", image("1@B"))
    assert (change.edits, change.summary.action) == ((), "recorded")
    assert change.changes_anything
    assert not change.changes_what_runs
    assert change.to_json()["action"] == "recorded"
    [noted] = new_state(change).fields
    assert (noted.value, noted.image) == ("acme/cart:1", image("1@B").canonical)


@pytest.mark.parametrize(
    ("check", "written"),
    [
        (Check("there", digest("B"), has_tag=True), ""),
        (Check("there", digest("B")), f"@{digest('B')}"),
        (Check("unknown", message="nobody answers"), ""),
    ],
    ids=["the tag has it", "the tag has another by now", "nobody answers"],
)
def test_a_tag_is_written_alone_unless_it_means_another_image(check: Check, written: str) -> None:
    found = service_at_tip("acme/cart:1", state("0>1@A"), config=BY_TAG)
    wish = replace(WISH, action="deploy", image=image("3@B"))
    change = changed(wish, found, telling(NeedCheck=check))
    assert [edit.value for edit in change.edits] == [f"acme/cart:3{written}"]
    told = [
        "cart production: 3 is another image at the registry by now: its digest is written, too"
    ]
    assert [w for w in change.warnings if "by now" in w] == (told if written else [])
    unsure = (
        "cart production: 3: that its tag is sha256:424242424242 is not verified: nobody answers; "
        "the tag alone is written"
    )
    assert (unsure in change.warnings) == (check.status == "unknown")
    untagged = replace(wish, image=image("3@B").with_version(None, digest("B")))
    edits = changed(untagged, found, telling(NeedCheck=check)).edits
    assert [edit.value for edit in edits] == [f"acme/cart@{digest('B')}"]


def test_a_deploy_that_one_of_two_fields_does_not_tell_is_refused_with_that_field() -> None:
    """The server's text loses its digest and its pods are replaced; the worker's pods are not."""
    both = DEPLOYMENT + "        - name: worker\n          image: acme/cart:1\n"
    found = service_at_tip(str(image("1@A")), None, both, BY_TAG)
    noted = tuple(note_written(one, one.value, image("1@A")) for one in found.found.fields)
    found = replace(found, state=replace(state("0>1@A"), fields=noted))
    with pytest.raises(RefusedError, match=r"deployment.yaml:12, of sha256:4141") as refused:
        deployed(found, "1@B")
    assert refused.value.code == "same-tag"
    change = deployed(found, "1@B", "same-tag")
    assert [(edit.field.container, edit.value) for edit in change.edits] == [
        ("server", "docker.io/acme/cart:1")
    ]
    assert (change.summary.action, change.changes_what_runs) == ("deploy", True)
    meant = {one.container: one.image for one in new_state(change).fields}
    assert meant == {"server": image("1@B").canonical, "worker": image("1@B").canonical}


def test_a_later_build_that_was_written_down_alone_is_later_all_the_same() -> None:
    found = service_at_tip("acme/cart:1", state("0>1@A"), config=BY_TAG)
    later = deployed(found, "1@B", "same-tag", build=Build("shop/cart", 12))
    found = replace(found, state=later.state)
    with pytest.raises(RefusedError, match="shop/cart #12 wrote down 1 already"):
        deployed(found, "3", build=Build("shop/cart", 11))
    assert found.deploy_job == "shop/cart"


def test_a_rollback_to_what_the_tag_means_by_now_is_refused_and_accepted_holds() -> None:
    """The registry has the earlier image under the tag again: there is nothing to write."""
    found = service_at_tip("acme/cart:1", state("0>1@A", "1@A>1@B"), config=BY_TAG)

    def answer(need: Need[Any], facts: Facts) -> Any:  # noqa: ANN401
        there = Check("there", digest("A"), has_tag=True)
        return there if isinstance(need, NeedCheck) else plainly(need, facts)

    with pytest.raises(RefusedError) as refused:
        changed(WISH, found, answer, filed=stored("1@B", "1@A"))
    assert refused.value.code == "same-tag"
    wish = replace(WISH, accept=frozenset({"same-tag"}))
    change = changed(wish, found, answer, filed=stored("1@B", "1@A"))
    assert (change.edits, change.changes_what_runs) == ((), False)
    assert change.to_json()["action"] == "recorded"
    after = new_state(change)
    assert after.hold is not None
    assert after.hold.to == image("1@A")
    assert [same(entry.image, image("1@B")) for entry in after.bad] == [True]


def test_deploying_what_runs_changes_nothing_unless_it_releases() -> None:
    before = state("1>2", "2<1", bad=(BAD,), hold=HOLD)
    found = service_at_tip(str(image("1")), before, MARKED_HELD)
    assert not deployed(found, "1").changes_anything
    change = deployed(found, "1", "automation", releases=True)
    assert new_state(change).hold is None
    assert len(change.markers) == 1


def test_a_deploy_and_an_edit_back_leave_the_manifest_as_it_was() -> None:
    text = f"acme/cart:1@{digest('1')}"
    found = service_at_tip(text, template=MARKED)
    forward = text_after(deployed(found, "2"))
    found = service_at_tip(f"acme/cart:2@{digest('2')}", template=MARKED)
    assert text_after(rolled_back(found, "1")) != forward
    assert text_after(rolled_back(found, "1")) == MARKED_HELD.replace("{image}", text)


def test_what_is_left_alone_is_a_warning() -> None:
    job = "---\nkind: Job\nmetadata: {name: migrate}\nspec: {template: {spec: {containers: [{"
    template = DEPLOYMENT + job + "name: m, image: 'acme/cart:1'}]}}}\n"
    change = rolled_back(service_at_tip("acme/cart:2", template=template), "1")
    [warning, unproven] = change.warnings
    assert unproven == "1: nothing shows that it ran here"
    assert warning.startswith("Job migrate (apps/cart/deployment.yaml:14) names acme/cart:1 too")


def test_the_commit_s_message_is_for_people_and_its_trailers_for_programs() -> None:
    change = rolled_back(service_at_tip("acme/cart:2", state("1>2")), "1")
    text = render([change.summary])
    assert text.splitlines()[0] == "cart production: 2 → 1 (rollback)"
    assert {
        name: trailer_values(text, f"Gitops-{name}")
        for name in ("Action", "Service", "Environment", "From", "To", "Record", "Build", "By")
    } == {
        "Action": ["rollback"],
        "Service": ["cart"],
        "Environment": ["production"],
        "From": [image("2").canonical],
        "To": [image("1").canonical],
        "Record": [RECORD],
        "Build": ["shop/cart #9"],
        "By": ["jane"],
    }


def test_a_reason_stays_one_line_whatever_is_in_it() -> None:
    wish = replace(WISH, reason="it\r\nGitops-By: mallory\u2028\x1b[31mcrashed")
    text = render([rolled_back(service_at_tip("acme/cart:2"), "1", wish).summary])
    assert trailer_values(text, "Gitops-By") == ["jane"]
    assert trailer_values(text, "Gitops-Reason") == ["it Gitops-By: mallory [31mcrashed"]


@pytest.mark.parametrize(
    ("running", "to", "subject"),
    [
        ("dev@A", "dev@B", "cart production: dev@sha256:414141414141 → dev@sha256:424242424242"),
        ("~dev", "dev@B", "cart production: dev@? → dev@sha256:424242424242"),
        ("dev@B", "dev@B", "cart production: dev"),
    ],
)
def test_versions_of_one_tag_are_told_apart_by_digest(running: str, to: str, subject: str) -> None:
    text = render([Told("cart", "production", Deed("rollback", image(to), image(running)))])
    assert text.startswith(f"{subject} (rollback)\n")


def test_several_services_share_a_commit_with_a_group_of_trailers_each() -> None:
    one = rolled_back(service_at_tip("acme/cart:2"), "1").summary
    text = render([one, replace(one, service="payment")])
    assert text.splitlines()[0] == "cart, payment production: rollback"
    assert trailer_values(text, "Gitops-Service") == ["cart", "payment"]
    many = render([replace(one, service=f"service-{n}") for n in range(20)])
    assert many.splitlines()[0] == "20 services production: rollback"


def test_a_release_s_subject_names_what_runs() -> None:
    found = service_at_tip("acme/cart:1", state("1>2", "2<1", hold=HOLD))
    text = render([released(found).summary])
    assert text.splitlines()[0] == "cart production: 1 (release)"


def test_a_change_is_a_result_with_canonical_images_and_each_edit() -> None:
    change = rolled_back(service_at_tip("acme/cart:2"), "1")
    assert change.to_json() == {
        "service": "cart",
        "environment": "production",
        "from": image("~2").canonical,
        "to": image("1").canonical,
        "edits": edits_to_json(change.edits),
        "effectProof": {"by": "model"},
        "warnings": ["1: nothing shows that it ran here"],
    }
    assert edits_to_json(change.edits) == [
        {
            "path": PATH,
            "line": 10,
            "container": "server",
            "old": "acme/cart:2",
            "new": f"acme/cart:1@{digest('1')}",
        }
    ]


@pytest.mark.parametrize(
    ("bad", "template", "is_asked"),
    [((BAD,), MARKED_HELD, True), ((), MARKED_HELD, False), ((BAD,), MARKED, False)],
)
def test_policies_are_asked_for_where_a_held_marker_could_bring_a_bad_image_back(
    bad: tuple[Bad, ...],
    template: str,
    is_asked: bool,  # noqa: FBT001
) -> None:
    asked = []

    def answer(need: Need[Any], facts: Facts) -> Any:  # noqa: ANN401 - of the need's own type
        asked.append(type(need))
        return plainly(need, facts)

    at = service_at_tip(str(image("1")), state("1>2", "2<1", bad=bad, hold=HOLD), template)
    decided(Wish("release", PRESENT), at, answer)
    assert (NeedPolicies in asked) is is_asked
