"""What stands in the way of a deploy or a release, by code, and how each is accepted."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.decide import guard, recorded
from gitops_rollback.decide.acts import Act
from gitops_rollback.errors import ConfigError, GitopsRollbackError, MovedError, RefusedError
from gitops_rollback.model import Build
from gitops_rollback.policies.objects import Policies
from unit.builders import (
    DEPLOYMENT,
    PRESENT,
    at,
    bad_entry,
    hold_of,
    image,
    service_at_tip,
    state,
    stored,
)

if TYPE_CHECKING:
    from gitops_rollback.ledger.state import State

BAD = bad_entry(image("2"), at(2), "it crashed", "jane", tag="2")
HOLD = hold_of("2", "1", "it crashed", at(2), "jane")
ROLLED_BACK = state("1>2", "2<1", bad=(BAD,), hold=HOLD)
URL = "https://github.com/acme/manifests.git"


def act(*accept: str, build: int | None = None, **more: Any) -> Act:  # noqa: ANN401
    job = Build("shop/cart", build) if build is not None else None
    return Act(present=PRESENT, accept=frozenset(accept), build=job, **more)


def code_of(found: State | None, to: str, doing: Act) -> str | None:
    """The code of the refusal, or None if nothing stands in the way."""
    try:
        guard.refuse_deploy(found, image(to), doing)
    except RefusedError as error:
        return error.code if error.hint else "a refusal without a hint"
    return None


@pytest.mark.parametrize(
    ("found", "to", "doing", "code"),
    [
        pytest.param(None, "3", act(), None, id="without a state nothing stands in the way"),
        pytest.param(state("1>2"), "3", act(), None, id="nor after a plain deploy"),
        pytest.param(ROLLED_BACK, "3", act(), "held", id="a hold"),
        pytest.param(ROLLED_BACK, "3", act("held", releases=True), None, id="released"),
        pytest.param(ROLLED_BACK, "2", act("held", releases=True), "bad", id="released, and bad"),
        pytest.param(ROLLED_BACK, "2", act("held", "bad", releases=True), None, id="both accepted"),
        pytest.param(ROLLED_BACK, "~2", act("held"), "bad", id="bad by its tag"),
        pytest.param(ROLLED_BACK, "2@built again", act("held"), "bad", id="bad, built again"),
        pytest.param(replace(ROLLED_BACK, hold=None), "2", act(), "bad", id="bad, and no hold"),
        pytest.param(ROLLED_BACK, "3", act(hold_kind="image"), None, id="hold = image, another"),
        pytest.param(ROLLED_BACK, "2", act(hold_kind="image"), "bad", id="hold = image, the bad"),
        pytest.param(state("1>2", "2>3"), "4", act(build=1), "outdated", id="an older build"),
        pytest.param(state("1>2", "2>3"), "4", act(build=2), None, id="the same build again"),
        pytest.param(state("1>2", "2>3"), "4", act(build=3), None, id="a newer build"),
        pytest.param(state("1>2", "2>3"), "4", act("outdated", build=1), None, id="accepted"),
        pytest.param(state("1>2", "2>3"), "4", act(), None, id="a deploy by hand has no build"),
        pytest.param(
            state("1>2", "2>3", "3<2"), "4", act(build=1), "outdated",
            id="a rollback's build number is of another job",
        ),
        pytest.param(
            state("1>2", "2>3"), "4",
            Act(PRESENT, build=Build("other/job", 1)), None, id="a build of another job",
        ),
    ],
)  # fmt: skip
def test_what_refuses_a_deploy(found: State | None, to: str, doing: Act, code: str | None) -> None:
    assert code_of(found, to, doing) == code


def test_a_hold_says_by_whom_when_and_why_and_how_to_go_on() -> None:
    with pytest.raises(RefusedError) as caught:
        guard.refuse_deploy(ROLLED_BACK, image("3"), act())
    assert caught.value.message == (
        "cart production has been held for 118 min by jane: 2 → 1 (it crashed)"
    )
    assert "--release" in caught.value.hint


def test_while_held_the_bad_image_is_not_offered_a_release() -> None:
    with pytest.raises(RefusedError) as caught:
        guard.refuse_deploy(ROLLED_BACK, image("2"), act())
    assert caught.value.code == "held"
    assert caught.value.hint == "2 is on the bad list itself: deploy a fixed image with --release"


def test_an_outdated_build_names_the_one_that_came_later() -> None:
    [block] = guard.deploy_blocks(
        state("1>2", "2>3"),
        image("4"),
        build=Build("shop/cart", 1),
        hold_kind="service",
        present=PRESENT,
    )
    assert block.message == (
        "cart production: shop/cart #2 deployed 3 already, and this is shop/cart #1"
    )
    assert "--allow-older" in block.hint


@pytest.mark.parametrize(
    ("found", "marker", "codes"),
    [
        (state("1>2"), "imagepolicy-held", []),
        (ROLLED_BACK, "imagepolicy-held", ["automation"]),
        (ROLLED_BACK, "imagepolicy", []),
        (replace(ROLLED_BACK, bad=()), "imagepolicy-held", []),
    ],
    ids=["no hold", "a held marker and a bad image", "put back by hand", "nothing bad"],
)
def test_what_refuses_a_release(found: State, marker: str, codes: list[str]) -> None:
    template = DEPLOYMENT.replace("{image}", f'{{image}} # {{"${marker}": "flux-system:cart"}}')
    there = service_at_tip(str(image("1")), found, template)
    blocks = guard.release_blocks(there, image("1"), Policies())
    assert [block.code for block in blocks] == codes
    assert guard.asks_for_policies(there) == bool(codes)


def test_the_image_that_will_run_is_not_one_that_must_not_come_back() -> None:
    template = DEPLOYMENT.replace("{image}", '{image} # {"$imagepolicy-held": "flux-system:cart"}')
    there = service_at_tip(str(image("1")), ROLLED_BACK, template)
    assert guard.release_blocks(there, image("2"), Policies()) == ()


def check(
    found: State | None,
    present: str = "acme/cart:1",
    deploys: str = "2",
    doing: Act | None = None,
    **record: Any,  # noqa: ANN401
) -> None:
    given = stored("~1", "2", **{"value": "acme/cart:1", **record})
    recorded.check_record(
        service_at_tip(present, found), given, image(deploys), URL, doing or act()
    )


def test_a_record_of_what_stands_there_is_right() -> None:
    check(None)
    check(state("0>1"))
    check(None, deploys="~2")
    check(None, replaced_by=None)


@pytest.mark.parametrize(
    ("settings", "error", "code", "message"),
    [
        pytest.param({"service": "shop"}, ConfigError, None, "for service 'shop'", id="service"),
        pytest.param({"environment": "x"}, ConfigError, None, "environment 'x'", id="environment"),
        pytest.param({"branch": "x"}, ConfigError, None, "for branch 'x'", id="branch"),
        pytest.param({"repository": "x"}, ConfigError, None, "repository x", id="repository"),
        pytest.param({"deploys": "3"}, MovedError, None, "was made for .*:2@", id="another image"),
        pytest.param(
            {"present": "acme/cart:7"}, MovedError, None,
            r"/containers/0/image: recorded acme/cart:1, now acme/cart:7", id="an edit by hand",
        ),
        pytest.param(
            {"fields": ()}, MovedError, None, "recorded absent, now acme/cart:1", id="other fields"
        ),
        pytest.param(
            {"present": "acme/cart:7", "found": ROLLED_BACK}, RefusedError, "held", "has been held",
            id="a hold since",
        ),
        pytest.param(
            {"present": "acme/cart:7", "found": replace(ROLLED_BACK, hold=None),
             "image": image("2")},
            RefusedError, "held", "rolled back 118 min ago by jane, after this deploy",
            id="a rollback since, and released",
        ),
        pytest.param(
            {"present": "acme/cart:7", "found": replace(ROLLED_BACK, hold=None),
             "image": image("1")},
            MovedError, None, "recorded acme/cart:1", id="a rollback before the record",
        ),
        pytest.param(
            {"present": "acme/cart:7", "found": state("1>2", "2>3"), "doing": act(build=1)},
            RefusedError, "outdated", "shop/cart #2 deployed 3", id="a later build since",
        ),
        pytest.param(
            {"present": "acme/cart:7", "found": state("1>2", "2>3"),
             "doing": act("outdated", build=1)},
            MovedError, None, "record, archive", id="a later build since, accepted",
        ),
        pytest.param(
            {"present": "acme/cart:7", "found": ROLLED_BACK, "doing": act("held", releases=True)},
            MovedError, None, "record, archive", id="a hold since, released",
        ),
    ],
)  # fmt: skip
def test_a_record_that_is_not_of_what_stands_there(
    settings: dict[str, Any], error: type[GitopsRollbackError], code: str | None, message: str
) -> None:
    with pytest.raises(error) as caught:
        check(settings.pop("found", None), **settings)
    assert caught.value.code == code
    assert re.search(message, f"{caught.value.message}; {caught.value.hint}")


def test_a_deploy_finds_its_own_commit_by_the_hash_of_its_record() -> None:
    whole = state("1>2", "2>3")
    assert recorded.is_committed(whole, str(whole.deployed[1].record))
    assert not recorded.is_committed(whole, "sha256:other")
    assert not recorded.is_committed(None, "sha256:other")


def test_an_image_of_another_repository_is_refused() -> None:
    guard.refuse_other_repository("cart production", image("1"), image("2"))
    with pytest.raises(ConfigError, match="another repository than cart production"):
        guard.refuse_other_repository("cart production", image("1"), image("2", "acme/shop"))


def test_another_running_image_than_expected_is_moved() -> None:
    guard.refuse_moved("cart", None, image("1"), "as --from says")
    guard.refuse_moved("cart", image("~1"), image("1"), "as --from says")
    with pytest.raises(MovedError, match=r"not docker\.io/acme/cart:2@.* as --from says"):
        guard.refuse_moved("cart", image("2"), image("1"), "as --from says")
