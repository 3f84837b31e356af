"""What stands in the way of a deploy or a release, by code, and how each is accepted."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from gitops_rollback.decide.change import Change, Refused
from gitops_rollback.decide.facts import (
    Check,
    Digest,
    Facts,
    FirstTry,
    History,
    Need,
    NeedCheck,
    NeedDigest,
    NeedPlatforms,
    NeedRevision,
    Platforms,
    Revision,
    ServiceAtTip,
)
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import (
    ConfigError,
    GitopsRollbackError,
    MovedError,
    RefusedError,
    RegistryError,
)
from gitops_rollback.image import parse_image
from gitops_rollback.ledger.state import State
from gitops_rollback.model import Build, Deed
from gitops_rollback.repo.objects import Tip
from unit.builders import (
    DEPLOYMENT,
    PATH,
    PRESENT,
    at,
    bad_entry,
    changed,
    decided,
    found_service,
    history,
    hold_of,
    image,
    manifest,
    plainly,
    service_at_tip,
    state,
    stored,
    telling,
)

BAD = bad_entry(image("2"), at(2), "it crashed", "jane", tag="2")
HOLD = hold_of("2", "1", "it crashed", at(2), "jane")
ROLLED_BACK = state("1>2", "2<1", bad=(BAD,), hold=HOLD)


def wish(*accept: str, build: int | None = None, **more: Any) -> Wish:  # noqa: ANN401
    job = Build("shop/cart", build) if build is not None else None
    return Wish("deploy", PRESENT, **{"accept": frozenset(accept), "build": job, **more})


def refusal_of(found: State | None, to: str, doing: Wish, hold: str = "service") -> Refused | None:
    """What refuses a deploy to what runs by the state file; None if nothing does."""
    config = f'[defaults]\nhold = "{hold}"\n'
    running = found.newest.image if found and found.newest else image("1")
    there = service_at_tip(str(running), found, config=config)
    answer = decided(replace(doing, image=image(to)), there)
    return answer if isinstance(answer, Refused) else None


@pytest.mark.parametrize(
    ("found", "to", "doing", "code"),
    [
        pytest.param(None, "3", wish(), None, id="without a state nothing stands in the way"),
        pytest.param(state("1>2"), "3", wish(), None, id="nor after a plain deploy"),
        pytest.param(ROLLED_BACK, "3", wish(), "held", id="a hold"),
        pytest.param(ROLLED_BACK, "3", wish("held", releases=True), None, id="released"),
        pytest.param(ROLLED_BACK, "2", wish("held", releases=True), "bad", id="released, and bad"),
        pytest.param(ROLLED_BACK, "2", wish("held", "bad", releases=True), None, id="both"),
        pytest.param(ROLLED_BACK, "2@built again", wish("held"), "bad", id="bad, built again"),
        pytest.param(replace(ROLLED_BACK, hold=None), "2", wish(), "bad", id="bad, and no hold"),
        pytest.param(state("1>2", "2>3"), "4", wish(build=1), "outdated", id="an older build"),
        pytest.param(state("1>2", "2>3"), "4", wish(build=2), None, id="the same build again"),
        pytest.param(state("1>2", "2>3"), "4", wish(build=3), None, id="a newer build"),
        pytest.param(state("1>2", "2>3"), "4", wish("outdated", build=1), None, id="accepted"),
        pytest.param(state("1>2", "2>3"), "4", wish(), None, id="a deploy by hand has no build"),
        pytest.param(
            state("1>2", "2>3", "3<2"), "4", wish(build=1), "outdated",
            id="a rollback's build number is of another job",
        ),
        pytest.param(
            state("1>2", "2>3"), "4",
            Wish("deploy", PRESENT, build=Build("other/job", 1)), None, id="a build of another job",
        ),
    ],
)  # fmt: skip
def test_what_refuses_a_deploy(found: State | None, to: str, doing: Wish, code: str | None) -> None:
    refused = refusal_of(found, to, doing)
    assert (refused.error.code if refused else None) == code
    assert refused is None or refused.error.hint


AMD, ARM = "linux/amd64", "linux/arm64"
CHART = Platforms(no_image="a Helm chart")
GONE = Check("gone", message="the registry no longer has it")
NO_DIGEST = Digest(None, RegistryError("404", "look"))


@pytest.mark.parametrize(
    ("to", "doing", "check", "digest", "platforms", "code"),
    [
        pytest.param("3", wish(), GONE, None, (AMD,), "gone", id="its digest is not there"),
        pytest.param("3", wish("gone"), GONE, None, (), None, id="accepted"),
        pytest.param("3", wish("tag"), GONE, None, (AMD,), "gone", id="by another code"),
        pytest.param("3", wish(build=7), GONE, None, (AMD,), None, id="a build has pushed it"),
        pytest.param(None, wish(), GONE, NO_DIGEST, (AMD,), "gone", id="its tag is not there"),
        pytest.param(None, wish("tag"), GONE, NO_DIGEST, (AMD,), "gone", id="nor by its tag alone"),
        pytest.param(
            None, wish("gone"), GONE, NO_DIGEST, (AMD,), "tag", id="gone, and no digest"
        ),
        pytest.param(
            None, wish("gone", "tag"), GONE, NO_DIGEST, (AMD,), None, id="both are accepted"
        ),
        pytest.param("3", wish(), Check("there"), None, (AMD,), "platform", id="a platform lacks"),
        pytest.param("3", wish("platform"), Check("there"), None, (AMD,), None, id="accepted, too"),
        pytest.param("3", wish(), Check("there"), None, (AMD, ARM), None, id="all platforms"),
        pytest.param("3", wish(), Check("unknown"), None, (AMD,), None, id="nobody answers"),
    ],
)  # fmt: skip
def test_what_the_registry_says_of_the_image_to_deploy(
    to: str | None,
    doing: Wish,
    check: Check,
    digest: Digest | None,
    platforms: tuple[str, ...],
    code: str | None,
) -> None:
    def answer(need: Need[Any], facts: Facts) -> Any:  # noqa: ANN401 - of the need's own type
        if isinstance(need, NeedCheck):
            return check
        if isinstance(need, NeedDigest):
            return digest
        if isinstance(need, NeedPlatforms):
            return Platforms(frozenset(platforms), frozenset((AMD, ARM)))
        return plainly(need, facts)

    wanted = image(to) if to else parse_image("docker.io/acme/cart:9.9.9")
    found = decided(replace(doing, image=wanted), service_at_tip(str(image("1"))), answer)
    error = found.error if isinstance(found, Refused) else None
    assert (error.code or error.category if error else None) == code


@pytest.mark.parametrize("accepted", [("gone", "platform", "not-an-image"), ()])
def test_a_registry_is_not_asked_for_what_is_accepted_whatever_it_says(
    accepted: tuple[str, ...],
) -> None:
    asked: list[str] = []

    def answer(need: Need[Any], facts: Facts) -> Any:  # noqa: ANN401 - of the need's own type
        asked.append(type(need).__name__)
        return plainly(need, facts)

    decided(replace(wish(*accepted), image=image("3")), service_at_tip(str(image("1"))), answer)
    assert ("NeedCheck" in asked) is (not accepted)
    assert ("NeedPlatforms" in asked) is (not accepted)


@pytest.mark.parametrize(
    ("accepted", "code"),
    [
        pytest.param((), "not-an-image", id="refused"),
        pytest.param(("platform",), "not-an-image", id="another code is no leave"),
        pytest.param(("not-an-image",), None, id="accepted"),
        pytest.param(("not-an-image", "platform"), None, id="nothing is left to ask"),
    ],
)
def test_what_the_registry_says_is_no_image_is_not_deployed(
    accepted: tuple[str, ...], code: str | None
) -> None:
    def answer(need: Need[Any], facts: Facts) -> Any:  # noqa: ANN401 - of the need's own type
        if isinstance(need, NeedCheck):
            return Check("there")
        return CHART if isinstance(need, NeedPlatforms) else plainly(need, facts)

    doing = replace(wish(*accepted), image=image("3"))
    found = decided(doing, service_at_tip(str(image("1"))), answer)
    assert (found.error.code if isinstance(found, Refused) else None) == code
    assert not isinstance(found, Refused) or "a Helm chart" in found.error.message


V6, V7, WINDOWS = "linux/arm/v6", "linux/arm/v7", "windows/amd64@10.0.17763.1"
OF_ALL = {
    "amd": (AMD,), "arm": (ARM,), "both": (AMD, ARM), "v6": (AMD, V6), "v7": (AMD, V7),
    "more": (AMD, V6, ARM), "windows": (WINDOWS,), "unknown": (),
}  # fmt: skip


def deployed_over(deeds: tuple[str, ...], to: str, present: str | None = None) -> Change | Refused:
    """Deploy an image whose name tells what it is there for, as those of the deeds do."""

    def answer(need: Need[Any], facts: Facts) -> Any:  # noqa: ANN401 - of the need's own type
        if isinstance(need, NeedCheck):
            return Check("there")
        if not isinstance(need, NeedPlatforms):
            return plainly(need, facts)
        of, runs = (OF_ALL[str(one.tag)] for one in (need.image, facts.running))
        return Platforms(frozenset(of), frozenset(runs))

    found = state(*deeds) if deeds else None
    running = str(found.newest.image) if found and found.newest else present
    assert running is not None
    return decided(replace(wish(), image=image(to)), service_at_tip(running, found), answer)


@pytest.mark.parametrize(
    ("deeds", "to", "is_refused"),
    [
        pytest.param(("amd>arm",), "amd", False, id="back from what was built for another one"),
        pytest.param(("v7>v6",), "v7", False, id="back from a lower variant"),
        pytest.param(("amd>both",), "amd", True, id="one was added, and may be used by now"),
        pytest.param(("v7>more",), "v7", True, id="one was added beside a change"),
        pytest.param(("both>amd",), "windows", True, id="as neither of them"),
        pytest.param(("both>both",), "amd", True, id="both have it"),
        pytest.param(("arm>amd", "amd<arm"), "amd", True, id="what was rolled back from"),
        pytest.param(("unknown>arm",), "amd", True, id="nobody tells of the one before"),
    ],
)
def test_a_platform_that_came_with_the_running_image_alone_does_not_refuse_the_way_back(
    deeds: tuple[str, ...],
    to: str,
    is_refused: bool,  # noqa: FBT001
) -> None:
    found = deployed_over(deeds, f"{to}@built again")
    assert isinstance(found, Refused) == is_refused
    assert not isinstance(found, Refused) or found.code == "platform"
    if isinstance(found, Change):
        assert any("which ran before it, was not" in text for text in found.warnings)


def test_of_a_running_tag_without_digest_a_platform_is_told_and_not_refused() -> None:
    found = deployed_over((), "amd", "docker.io/acme/cart:both")
    assert isinstance(found, Change)
    (told,) = [text for text in found.warnings if "not there for" in text]
    assert "linux/arm64: docker.io/acme/cart:both is, which is known by its tag only" in told
    by_digest = deployed_over((), "amd", str(image("both")))
    assert isinstance(by_digest, Refused)
    assert by_digest.code == "platform"


COMMIT = "4bb21fd"
OF_COMMIT = replace(state("1>2", "2<1"), bad=(bad_entry(image("2"), at(2), revision=COMMIT),))


@pytest.mark.parametrize(
    ("to", "told", "accepted", "code"),
    [
        ("3", Revision(COMMIT), (), "bad"),
        ("3", Revision(COMMIT), ("bad",), None),
        ("3", Revision("7c0ffee"), (), None),
        ("3", Revision(), (), None),
        ("3", Revision(problem="nobody answers"), (), None),
        ("2", AssertionError("its digest says it"), (), "bad"),
    ],
)
def test_an_image_of_a_commit_that_was_rolled_back_from_is_bad(
    to: str, told: object, accepted: tuple[str, ...], code: str | None
) -> None:
    def answer(need: Need[Any], facts: Facts) -> object:
        if isinstance(need, NeedRevision):
            assert isinstance(told, Revision), told
            return told
        return plainly(need, facts)

    doing = replace(wish(*accepted), image=image(to))
    found = decided(doing, service_at_tip(str(image("1")), OF_COMMIT), answer)
    assert (found.error.code if isinstance(found, Refused) else None) == code
    if isinstance(found, Refused) and to == "3":
        assert "has the revision of 2@" in found.error.message
    if isinstance(found, Change):
        unread = [text for text in found.warnings if "is not known: nobody answers" in text]
        assert bool(unread) == bool(isinstance(told, Revision) and told.problem)
        assert found.state is not None
        assert bool(found.state.bad) != bool(accepted), "forgiven with its commit"


def test_what_ran_is_not_bad_by_a_commit_and_no_registry_is_asked() -> None:
    def answer(need: Need[Any], facts: Facts) -> object:
        assert not isinstance(need, NeedRevision)
        return plainly(need, facts)

    ran = replace(OF_COMMIT, deployed=state("0>1", "1>2", "2<1").deployed)
    back = replace(wish(), image=image("0"))
    assert isinstance(decided(back, service_at_tip(str(image("1")), ran), answer), Change)
    new = replace(wish(), image=image("3"))
    assert isinstance(decided(new, service_at_tip(str(image("1")), ROLLED_BACK), answer), Refused)


def test_a_hold_of_the_image_alone_refuses_no_other() -> None:
    assert refusal_of(ROLLED_BACK, "3", wish(), hold="image") is None
    refused = refusal_of(ROLLED_BACK, "2", wish(), hold="image")
    assert refused is not None
    assert refused.code == "bad"


def test_a_hold_says_by_whom_when_and_why_and_how_to_go_on() -> None:
    refused = refusal_of(ROLLED_BACK, "3", wish())
    assert refused is not None
    assert refused.error.message == (
        "cart production has been held for 118 min by jane: 2 → 1 (it crashed)"
    )
    assert "--release" in refused.error.hint


OTHER_BAD = replace(ROLLED_BACK, bad=(BAD, bad_entry(image("3"), at(1))))
UNJUDGED = (
    "cart production: whether ImagePolicy flux-system:cart would take 3 again, which was rolled "
    "back from, cannot be judged: the repository does not hold it"
)


@pytest.mark.parametrize(
    ("found", "codes", "why"),
    [
        pytest.param(ROLLED_BACK, "bad", "", id="what is left of the bad list is nobody's"),
        pytest.param(OTHER_BAD, "bad,automation", f" (automation: {UNJUDGED})",
                     id="a policy may take another bad image"),
    ],
)  # fmt: skip
def test_while_held_the_bad_image_is_offered_with_all_that_accepts_it(
    found: State, codes: str, why: str
) -> None:
    template = DEPLOYMENT.replace("{image}", '{image} # {"$imagepolicy-held": "flux-system:cart"}')
    at_tip = service_at_tip("acme/cart:1", found, template)
    refused = decided(replace(wish(), image=image("2")), at_tip)
    assert isinstance(refused, Refused)
    assert refused.error.code == "held"
    fixed = "2 is on the bad list itself: deploy a fixed image with {}; if it is good after all: {}"
    all_of_it = f"--release --accept {codes}"
    assert refused.error.hint == fixed.format("--release", all_of_it) + why
    in_forms = f"RELEASE and ACCEPT {codes} (in a step release: true, accept: '{codes}')"
    release = "RELEASE (in a step release: true)"
    assert refused.error.jenkins_hint == fixed.format(release, in_forms) + why
    accepted = wish("held", *codes.split(","), releases=True)
    assert changed(replace(accepted, image=image("2")), at_tip).ends == (HOLD.id,)


def test_who_accepts_the_bad_image_is_offered_to_end_the_hold() -> None:
    refused = refusal_of(ROLLED_BACK, "2", wish("bad"))
    assert refused is not None
    assert refused.error.hint.startswith("if this is the fix: --release; ")


def test_a_bad_image_that_is_accepted_is_none_that_a_policy_must_not_take() -> None:
    """It was built again: another digest, and bad by its tag."""
    template = DEPLOYMENT.replace("{image}", '{image} # {"$imagepolicy-held": "flux-system:cart"}')
    at_tip = service_at_tip("acme/cart:1", ROLLED_BACK, template)
    again = image("2").with_version("2", OF_NINE)
    doing = replace(wish("held", "bad", releases=True), image=again)
    assert changed(doing, at_tip).ends == (HOLD.id,)


def test_an_outdated_build_names_the_one_that_came_later() -> None:
    refused = refusal_of(state("1>2", "2>3"), "4", wish(build=1))
    assert refused is not None
    assert refused.error.message == (
        "cart production: shop/cart #2 deployed 3 already, and this is shop/cart #1"
    )
    assert "--allow-older" in refused.error.hint


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
    answer = decided(Wish("release", PRESENT), there)
    assert [answer.error.code for _ in codes if isinstance(answer, Refused)] == codes
    assert isinstance(answer, Refused) == bool(codes)


def test_the_image_that_will_run_is_not_one_that_must_not_come_back() -> None:
    template = DEPLOYMENT.replace("{image}", '{image} # {"$imagepolicy-held": "flux-system:cart"}')
    there = service_at_tip(str(image("1")), ROLLED_BACK, template)
    back = wish("held", "bad", releases=True, image=image("2"))
    assert isinstance(decided(back, there), Change)


def check(
    found: State | None,
    present: str = "acme/cart:1",
    deploys: str = "2",
    doing: Wish | None = None,
    **record: Any,  # noqa: ANN401
) -> Change:
    """The deploy with a record; raise what refuses it."""
    given = stored("~1", "2", 9, **{"value": "acme/cart:1", **record})
    doing = replace(doing or wish(), image=image(deploys), record=given)
    return changed(replace(doing, accept=doing.accept | {"tag"}), service_at_tip(present, found))


def test_a_record_of_what_stands_there_is_right() -> None:
    assert check(None).edits
    assert check(state("0>1")).edits
    assert check(None, deploys="~2").edits
    assert check(None, replaced_by=None).edits
    assert check(None, service="shop", environment="old").edits, "the field is the same"


@pytest.mark.parametrize(
    ("settings", "error", "code", "message"),
    [
        pytest.param(
            {"service": "shop", "fields": ()}, ConfigError, None, "for service 'shop'", id="service"
        ),
        pytest.param(
            {"environment": "x", "fields": ()}, ConfigError, None, "environment 'x'",
            id="environment",
        ),
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
            {"present": "acme/cart:7", "found": state("1>2", "2>3"), "doing": wish(build=1)},
            RefusedError, "outdated", "shop/cart #2 deployed 3", id="a later build since",
        ),
        pytest.param(
            {"present": "acme/cart:7", "found": state("1>2", "2>3"),
             "doing": wish("outdated", build=1)},
            MovedError, None, "record, archive", id="a later build since, accepted",
        ),
        pytest.param(
            {"present": "acme/cart:7", "found": ROLLED_BACK, "doing": wish("held", releases=True)},
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
    own = str(whole.deployed[1].record)
    assert not check(whole, present=str(image("3")), sha256=own).changes_anything
    with pytest.raises(MovedError):
        check(whole, present=str(image("3")), sha256="sha256:other")


@pytest.mark.parametrize(
    ("deploys", "is_other"),
    [("2", False), ("x@2", False), ("~2", False), ("3", True), ("2@3", True), ("~3", True)],
)
def test_a_record_was_used_for_an_image_by_its_digest_else_by_its_tag(
    deploys: str,
    is_other: bool,  # noqa: FBT001
) -> None:
    whole = state("1>2")
    present, own = str(image("2")), str(whole.deployed[0].record)
    if is_other:
        with pytest.raises(MovedError, match=r"was used to deploy docker\.io/acme/cart:2@"):
            check(whole, present, deploys, sha256=own)
    else:
        assert not check(whole, present, deploys, sha256=own).changes_anything


def test_a_record_that_was_used_before_says_what_runs_since() -> None:
    whole = state("1>2", "2>3")
    own = str(whole.deployed[1].record)
    done = check(whole, present=str(image("3")), sha256=own)
    (told,) = done.warnings
    assert "2 was deployed with this record" in told
    assert "3 runs now: nothing is done" in told
    assert done.to_json()["deployedBefore"] == image("2").canonical
    as_it_was = check(whole, present=str(image("2")), sha256=own)
    assert as_it_was.warnings == ()
    assert "deployedBefore" not in as_it_was.to_json()


def test_a_record_that_was_used_for_another_image_is_moved() -> None:
    whole = state("1>2", "2>3")
    own = str(whole.deployed[1].record)
    with pytest.raises(MovedError, match=r"used to deploy .*cart:2@.* would replace"):
        check(whole, present=str(image("3")), deploys="4", sha256=own)


def test_an_image_of_another_repository_is_refused() -> None:
    with pytest.raises(ConfigError, match="another repository than cart production"):
        changed(wish(image=image("2", "acme/shop")), service_at_tip("acme/cart:1"))


def test_where_rollbacks_alone_left_another_repository_its_images_are_the_service_s() -> None:
    moved, next_ = image("2", "ghcr.io/acme/cart"), image("3", "ghcr.io/acme/cart")
    back = Deed("rollback", image("1"), moved, at(3), id="3")
    there = State("cart", "production", (back,))
    goes = changed(wish(image=next_, releases=True), service_at_tip(str(image("1")), there))
    assert [edit.value for edit in goes.edits] == [str(next_)]
    later = replace(there, deployed=(Deed("deploy", image("4"), image("1"), at(4), id="4"), back))
    for text, known in (("acme/cart:1.9", there), (str(image("4")), later)):
        with pytest.raises(ConfigError, match="another repository"):
            changed(wish(image=next_), service_at_tip(text, known))


OF_NINE = "sha256:" + "9" * 64


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("1.3.0", "give the whole image, not its tag alone: ghcr.io/acme/cart:1.3.0"),
        (OF_NINE, f"give the whole image, not its digest alone: ghcr.io/acme/cart@{OF_NINE}"),
        ("cart", "did you mean ghcr.io/acme/cart? only the version changes"),
        ("cart:1.3.0", "did you mean ghcr.io/acme/cart? only the version changes"),
        ("acme/cart", "did you mean ghcr.io/acme/cart? only the version changes"),
        ("ghcr.io/acme/crat:1", "did you mean ghcr.io/acme/cart? only the version changes"),
        ("acme/payment:1", "only the version changes"),
    ],
)
def test_a_tag_or_a_digest_alone_is_told_how_it_is_meant(given: str, hint: str) -> None:
    there = service_at_tip("ghcr.io/acme/cart:1")
    with pytest.raises(ConfigError) as told:
        changed(wish(image=parse_image(given)), there)
    assert (told.value.hint or "").startswith(hint)


def test_another_running_image_than_expected_is_moved() -> None:
    there = service_at_tip(str(image("1")))
    for expected in (None, image("~1"), image("1")):
        assert changed(wish(image=image("3"), expected=expected), there).edits
    with pytest.raises(MovedError, match=r"not docker\.io/acme/cart:2@.* as --from says"):
        changed(wish(image=image("3"), expected=image("2")), there)


def test_what_changed_since_this_run_began_is_moved_and_names_the_newest_author() -> None:
    there = service_at_tip(str(image("1")))
    first = FirstTry(image("0"), None, ())
    with pytest.raises(MovedError, match=r"not .*cart:0@.* as when this began .*by joe"):
        changed(wish(image=image("3")), there, first=first)


@pytest.mark.parametrize(
    ("commits", "revision", "is_bad"),
    [
        pytest.param((), "", True, id="its version was rolled back from"),
        pytest.param(("2@again",), "", False, id="it ran here, and was not rolled back from"),
        pytest.param(("2@other",), "", False, id="a tag with several digests is no version"),
        pytest.param(("2@other",), "c0ffee", True, id="but it is built from the bad commit"),
        pytest.param(("3",), "", True, id="what else ran does not matter"),
    ],
)
def test_an_image_is_bad_by_its_version_only_where_no_commit_tells_otherwise(
    commits: tuple[str, ...],
    revision: str,
    is_bad: bool,  # noqa: FBT001
) -> None:
    bad = bad_entry(image("2"), at(2), "it crashed", "jane", tag="2", revision="c0ffee")
    there = service_at_tip(str(image("1")), state("1>2", "2<1", bad=(bad,)))
    answer = telling(
        NeedHistory=History(history(*commits)), NeedRevision=Revision(revision or None)
    )
    found = decided(wish(image=image("2@again")), there, answer)
    assert (isinstance(found, Refused) and found.code == "bad") == is_bad


SINCE = "rolled back from on 2026-01-31T11:00:00Z"


@pytest.mark.parametrize(
    ("deploys", "marks", "told"),
    [
        ("2", {}, f"2 was {SINCE}"),
        ("9@2", {}, f"9 was {SINCE}"),
        ("2@9", {}, ""),
        ("3", {}, ""),
        ("3", {"revision": "c0ffee"}, "3@{3} has the revision of 2@{2}, which was " + SINCE),
        ("2@9", {"tag": "2"}, "2@{9} has the tag of 2@{2}, which was " + SINCE),
        ("3", {"tag": "2"}, ""),
        ("3@2", {"tag": "2", "revision": "c0ffee"}, f"3 was {SINCE}"),
    ],
)
@pytest.mark.parametrize("by", ["", "jane"])
@pytest.mark.parametrize("reason", [None, "it is slow"])
def test_an_image_is_bad_by_its_digest_its_tag_or_its_revision(
    deploys: str, marks: dict[str, Any], told: str, by: str, reason: str | None
) -> None:
    was = bad_entry("2", "2026-01-31T11:00:00Z", reason, by or None, **marks)
    at_tip = service_at_tip(str(image("1")), state("0>1", bad=(was,)))
    answer = telling(NeedRevision=Revision("c0ffee"))
    found = decided(replace(wish(), image=image(deploys)), at_tip, answer)
    shorts = {one: image(one).short_digest for one in "239"}
    for one, short in shorts.items():
        told = told.replace(f"{{{one}}}", str(short))
    why = f"{f' by {by}' if by else ''}{f' ({reason})' if reason else ''}"
    expected = f"cart production: {told}{why}" if told else None
    assert (found.error.message if isinstance(found, Refused) else None) == expected


DONE = {"deploy": "deployed", "rollback": "rolled back", "recorded": "written down"}


@pytest.mark.parametrize("action", DONE)
@pytest.mark.parametrize("by", ["", "jane"])
@pytest.mark.parametrize("build", [None, Build("shop/cart", 7)])
@pytest.mark.parametrize("runs", ["1", "9"])
def test_of_another_image_that_runs_is_told_how_it_came_there(
    action: str, by: str, build: Build | None, runs: str
) -> None:
    whole = state("0>1")
    deed = replace(whole.deployed[0], action=action, by=by or None, build=build)
    there = service_at_tip(str(image(runs)), replace(whole, deployed=(deed,)))
    with pytest.raises(MovedError) as caught:
        changed(wish(image=image("3"), expected=image("2")), there)
    who, number = f" by {by}" if by else "", ", shop/cart #7" if build else ""
    told = f": {DONE[action]} 119 min ago{who} (0 → 1{number})" if runs == "1" else ""
    assert caught.value.message == (
        f"cart production runs {image(runs).canonical}, not {image('2').canonical} as --from says"
        f"{told}"
    )


@pytest.mark.parametrize("is_named", [True, False])
def test_a_file_that_cannot_be_read_is_told_where_the_configuration_names_it(
    *, is_named: bool
) -> None:
    files = {PATH: manifest(str(image("1"))), "apps/cart/broken.yaml": b"image: [\n"}
    config = '[services.cart]\nmanifests = ["apps/cart/*.yaml"]\n' if is_named else ""
    at_tip = ServiceAtTip(Tip("main", "1" * 40), found_service(files, config), state("0>1"))
    told = changed(replace(wish(), image=image("2")), at_tip).warnings
    assert any("not looked into: apps/cart/broken.yaml" in one for one in told) is is_named
