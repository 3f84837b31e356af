"""What a drill says in one line: of how many services, and never more than is so."""

from __future__ import annotations

import json
import socket
from argparse import Namespace
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gitops_rollback import alarm, errors, schema
from gitops_rollback.clock import Deadline, Stopwatch
from gitops_rollback.commands.drilling import ask_flux
from gitops_rollback.decide.drill import (
    FAILED,
    OK,
    SKIPPED,
    WARNING,
    Finding,
    failed,
    judge_builds,
    judge_flux,
    judge_limit,
    judge_push,
    judge_registry,
    judge_service,
    judge_sets,
    judge_storage,
    summary,
    verdict,
    worst_first,
)
from gitops_rollback.decide.facts import Check
from gitops_rollback.effective.proof import Proof
from gitops_rollback.errors import RepositoryError
from gitops_rollback.forges.rules import Obstacle
from gitops_rollback.ledger.events import Event
from gitops_rollback.model import Build, Deed
from gitops_rollback.refusals import Refusal
from gitops_rollback.session import Session
from gitops_rollback.storage import NOTE
from gitops_rollback.storage import WARNING as RISK
from gitops_rollback.storage import Finding as Found
from unit.builders import at, bad_entry, hold_of, image, service_at_tip, state, stored
from unit.test_plan_files import BAD, BLOCK, GOOD, LOST, SHOWN, plan
from unit.test_transitions import HELD, HOLD, MARKED, MARKED_HELD

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from gitops_rollback.decide.plan import Candidate, Plan
    from gitops_rollback.ledger.holds import Hold

WAY, NEW = replace(plan(GOOD), strategy="git"), plan(service="new")
BACK = replace(plan(service="back", blocks=(BLOCK,)), hold=HOLD)
GONE = Finding("record", WAY.title, WARNING, "is gone")
NO_PUSH = Finding("push", "branch main", FAILED, "may not push")
GHOST = Finding("service", "ghost", FAILED, "is not there")
BROKEN = Finding("marker", WAY.title, FAILED, "is in action")


@pytest.mark.parametrize(
    ("plans", "more", "said"),
    [
        ([WAY], [], "work: 1 service could go back"),
        ([], [], "not work yet: no service that can be read is here"),
        ([WAY, WAY], [GONE], "work: 2 services could go back, with warnings"),
        ([NEW], [], "not work yet: 1 service has nothing to go back to yet"),
        ([NEW, NEW], [], "not work yet: 2 services have nothing to go back to yet"),
        ([WAY, NEW], [], "work: 1 service could go back; 1 has nothing to go back to yet"),
        ([BACK], [], "work: 1 service is back as far as anybody knows, and held"),
        (
            [WAY, BACK],
            [],
            "work: 1 service could go back; 1 is back as far as anybody knows, and held",
        ),
        ([WAY], [NO_PUSH, BROKEN], "fail: branch main: may not push"),
        ([WAY, NEW], [GHOST], "fail: 1 of 3 services could not go back"),
        ([WAY, NEW], [BROKEN, GONE], "fail: 1 of 2 services could not go back"),
    ],
)  # fmt: skip
def test_the_sum_of_a_drill_promises_no_more_than_its_findings(
    plans: list[Plan], more: list[Finding], said: str
) -> None:
    answers = Finding("jenkins", "store", OK, "answers")
    found = [
        one for each in plans for one in judge_service(each, state(), (), "2026-01-01T00:00:00Z")
    ]
    wanted = f"a rollback would {said}"
    assert summary([*found, *more, answers], plans) == wanted


NOW = "2026-02-10T12:00:00Z"
THERE = Check("there", image("1").digest, has_tag=True)
KEPT = replace(GOOD, check=THERE, stored=stored("1", "2"))
GONE_IMAGE = SHOWN.refused("gone", "the registry no longer has it")
RUNS = SHOWN.refused("running", "it runs now")
BY_HAND = replace(GOOD, replaced=Event(Deed("edit", image("2"), from_image=image("1"))))
NONE_MADE = "none was made, for a commit by hand replaced that image: Git's history tells it"
ARCHIVED = Event(Deed("deploy", image("2"), from_image=image("1"), build=Build("shop/cart", 7)))


def test_a_bad_image_that_runs_though_its_service_is_held_is_told() -> None:
    """A commit by hand is met by no guard of this tool: by day somebody is to see it."""
    hold, mark = hold_of("2", "1", "it crashed", at(2), "jane"), bad_entry("2", at(2), "it crashed")
    both = (state("1>2", "2<1", bad=(mark,), hold=hold), state("1>2", "2<1", bad=(mark,)))
    runs = replace(WAY, running=image("2"))
    held, released = (
        [f for f in judge_service(runs, s, (), at(3)) if f.check == "hold"] for s in both
    )
    assert [(one.level, one.message) for one in held] == [
        (WARNING, "2 runs, which was rolled back from: it crashed, though the service is held")
    ]
    assert released == []
    back = judge_service(replace(WAY, running=image("1")), both[0], (), at(3))
    assert not [one for one in back if one.check == "hold"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("tags[?older", "at character 12"),
        (
            "tags[?older && start_with(name, 'v')]",
            "at character 16: Unknown function: start_with()",
        ),
        ("tags[?older]", ""),
        (None, ""),
    ],
)
def test_a_configured_query_that_cannot_be_read_is_told_by_day(
    query: str | None, said: str
) -> None:
    """Most rollbacks ask no registry, so nothing else would tell of it before the night."""
    found = judge_service(WAY, state(), (), NOW, query)
    told = [(one.level, one.message) for one in found if one.check == "query"]
    assert [level for level, _message in told] == ([WARNING] if said else [])
    assert all(said in message and ".gitops-rollback.toml" in message for _level, message in told)


@pytest.mark.parametrize(
    ("sets", "is_only", "subjects"),
    [
        ({"all": ("cart", "ghost")}, False, ["set all"]),
        ({"sound": ("cart",), "far": ("ghost",)}, False, []),
        ({"sound": ("cart",), "far": ("ghost",)}, True, ["set far"]),
    ],
)
def test_a_set_that_would_fail_where_some_of_it_is_or_all_should_be_is_told(
    sets: dict[str, tuple[str, ...]], subjects: list[str], *, is_only: bool
) -> None:
    found = list(judge_sets("this repository", sets, {"ghost": GHOST}, is_only=is_only))
    assert [one.subject for one in found] == subjects
    assert all(one.message.startswith("is not there; a rollback of the set") for one in found)


ERRORS = [one for one in vars(errors).values() if hasattr(one, "category")]


def found_of(whole: Plan, check: str) -> list[tuple[str, str]]:
    """The level and the message of what one check found."""
    found = judge_service(whole, state(), (), NOW)
    assert {one.category for one in found} <= {one.category for one in ERRORS}
    schema.check({"schemaVersion": 1, "findings": [one.to_json() for one in found]}, "result-check")
    return [(one.level, one.message) for one in found if one.check == check]


@pytest.mark.parametrize(
    ("whole", "level", "said"),
    [
        pytest.param(plan(KEPT), OK, "2 → 1", id="the one before"),
        pytest.param(plan(GOOD), OK, "2 → 1, not verified at the registry", id="nobody answers"),
        pytest.param(plan(), WARNING, "nothing ran before what runs now: there is nothing to go "
                     "back to yet", id="a new service"),
        pytest.param(plan(RUNS), WARNING, "nothing ran before what runs now: there is nothing to "
                     "go back to yet", id="nothing but what runs"),
        pytest.param(plan(RUNS, BAD), FAILED, "there is no image to go back to: 0: it crashed",
                     id="a refused one"),
        pytest.param(plan(SHOWN), FAILED, "there is no image to go back to: 0: it is shown only",
                     id="one that is shown"),
        pytest.param(replace(plan(BAD), hold=HOLD), OK, "is rolled back as far as anybody knows",
                     id="held"),
    ],
)  # fmt: skip
def test_a_drill_tells_where_a_rollback_would_go(whole: Plan, level: str, said: str) -> None:
    assert found_of(whole, "target") == [(level, said)]


@pytest.mark.parametrize(
    ("candidates", "level", "meaning"),
    [
        ((GONE_IMAGE, KEPT), WARNING, "a rollback would go on to 2 → 1"),
        ((GONE_IMAGE, GONE_IMAGE, KEPT), WARNING, "a rollback would go on to 2 → 1"),
        ((GONE_IMAGE,), FAILED, "there is no other image to go back to"),
    ],
)
def test_a_drill_says_what_a_rollback_would_pass_over(
    candidates: tuple[Candidate, ...], level: str, meaning: str
) -> None:
    whole = plan(*candidates)
    said = f"0 cannot be gone back to (gone): the registry no longer has it; {meaning}"
    assert found_of(whole, "image") == [(level, said)]
    assert found_of(whole, "target") == []


@pytest.mark.parametrize(
    ("whole", "found"),
    [
        pytest.param(plan(KEPT), [(OK, "is kept and readable")], id="kept"),
        pytest.param(plan(GOOD), [(WARNING, "the record of 1 is not to be had")], id="none"),
        pytest.param(
            replace(plan(replace(GOOD, replaced=ARCHIVED)), findings=("a", "artifact: no answer")),
            [(WARNING, "the record of 1 is not to be had in shop/cart #7: artifact: no answer")],
            id="an archive that does not answer",
        ),
        pytest.param(plan(BY_HAND), [(OK, NONE_MADE)], id="replaced by a commit by hand"),
        pytest.param(
            replace(plan(BY_HAND), strategy="artifact"),
            [(WARNING, "the record of 1 is not to be had")],
            id="replaced by a commit by hand, and a record is wanted",
        ),
        pytest.param(replace(plan(GOOD), strategy="git"), [], id="by Git alone"),
        pytest.param(plan(LOST), [], id="no image, either"),
    ],
)
def test_a_drill_tells_whether_the_record_is_kept(
    whole: Plan, found: list[tuple[str, str]]
) -> None:
    assert found_of(whole, "record") == found


@pytest.mark.parametrize(
    ("target", "check", "is_told"),
    [
        ("1", THERE, False),
        ("1", replace(THERE, has_tag=False), True),
        ("1", Check("unknown"), False),
        ("1", None, False),
        ("~1", replace(THERE, has_tag=False), False),
    ],
)
def test_a_drill_tells_of_a_tag_that_means_another_image_by_now(
    target: str,
    check: Check | None,
    is_told: bool,  # noqa: FBT001
) -> None:
    whole = plan(replace(GOOD, image=image(target), check=check))
    assert bool(found_of(whole, "tag")) == is_told


def test_a_drill_tells_what_would_be_refused_but_not_that_it_is_done_already() -> None:
    held = Refusal("storage", "the claim shrank", "accept it")
    assert found_of(plan(GOOD, blocks=(BLOCK, held)), "refused") == [(FAILED, "the claim shrank")]


def test_storage_that_changed_is_one_warning_where_it_does_not_refuse() -> None:
    whole = replace(plan(GOOD), storage_changes=("the claim shrank", "the class changed"))
    assert found_of(whole, "storage") == [(WARNING, "the claim shrank; and 1 more")]
    refused = replace(whole, blocks=(Refusal("storage", "the claim shrank", "accept it"),))
    assert found_of(refused, "storage") == []


@pytest.mark.parametrize(
    ("since", "by", "reason", "said"),
    [
        ("2026-02-04T12:00:00Z", "joe", "it crashed", None),
        ("2026-02-03T11:59:00Z", "joe", "it crashed", "held for 7 d by joe: it crashed"),
        ("2026-02-01T12:00:00Z", None, "", "held for 9 d: no reason was given"),
    ],
)
def test_a_hold_of_more_than_a_week_is_a_warning(
    since: str, by: str | None, reason: str, said: str | None
) -> None:
    hold = replace(HOLD, deed=replace(HOLD.deed, at=since, by=by, reason=reason))
    found = judge_service(plan(GOOD), state("1>2", hold=hold), (), NOW)
    assert [one.message for one in found if one.check == "hold"] == ([said] if said else [])


def test_a_hold_that_has_lost_its_field_and_may_be_of_the_service_is_a_warning() -> None:
    lost = replace(plan(GOOD), lost=(Refusal("lost-hold", "it is held", "tie it"),))
    [told] = [one for one in judge_service(lost, state("1>2"), (), NOW) if one.check == "hold"]
    assert (told.level, told.message, told.hint) == (WARNING, "it is held", "tie it")


@pytest.mark.parametrize(
    ("template", "hold", "is_told"),
    [(MARKED, HOLD, True), (MARKED_HELD, HOLD, False), (MARKED, None, False)],
)
def test_a_marker_in_action_under_a_hold_fails_a_drill(
    template: str,
    hold: Hold | None,
    is_told: bool,  # noqa: FBT001
) -> None:
    held = state("1>2", "2<1", hold=hold)
    fields = service_at_tip("acme/cart:1", held, template).found.fields
    found = [f for f in judge_service(plan(GOOD), held, fields, NOW) if f.check == "marker"]
    assert [one.level for one in found] == ([FAILED] if is_told else [])
    assert all("is in action although the service is held" in one.message for one in found)
    assert HELD not in "".join(one.message for one in found)


def kustomization(path: str, *ready: str, suspend: bool = False) -> dict[str, Any]:
    """A Kustomization as the cluster tells it, with the status of its condition Ready."""
    conditions = [{"type": "Healthy", "status": "False"}]
    conditions += [{"type": "Ready", "status": one, "message": "no\nsource"} for one in ready]
    return {
        "metadata": {"namespace": "flux-system", "name": "apps"},
        "spec": {"path": path, "suspend": suspend},
        "status": {"conditions": conditions},
    }


@pytest.mark.parametrize(
    ("kustomizations", "level", "said"),
    [
        ([kustomization("./apps")], OK, "answers; 1 Kustomizations apply these files"),
        ([kustomization("./", "True")], OK, "answers; 1 Kustomizations apply these files"),
        ([kustomization("./app", "False")], OK, "answers; 0 Kustomizations apply these files"),
        ([{"metadata": {}}], OK, "answers; 1 Kustomizations apply these files"),
        ([kustomization("apps/", "False")], WARNING, "is not ready: no source"),
        (
            [kustomization("apps", "False", suspend=True)],
            WARNING,
            "is suspended: Flux would not apply a rollback",
        ),
    ],
)
def test_a_drill_tells_whether_flux_would_apply_a_commit(
    kustomizations: list[dict[str, Any]], level: str, said: str
) -> None:
    [found] = judge_flux(kustomizations, ["apps/cart/deployment.yaml"])
    assert (found.level, found.message) == (level, said)
    assert found.subject == ("cluster" if level == OK else "flux-system/apps")
    if "suspended" in said:
        assert found.hint == "flux resume kustomization apps --namespace flux-system"


def test_the_worst_stands_first_and_each_once() -> None:
    levels = (SKIPPED, OK, FAILED, WARNING, OK)
    found = [Finding("c", level, level, "m") for level in levels]
    assert [one.level for one in worst_first(found)] == [FAILED, WARNING, OK, SKIPPED]
    assert [verdict(found), verdict(found[3:]), verdict(found[:2])] == ["failed", "warnings", "ok"]


def test_a_finding_has_a_hint_where_there_is_one() -> None:
    plain = {"check": "c", "subject": "s", "level": "ok", "message": "m"}
    assert Finding("c", "s", OK, "m").to_json() == plain
    assert Finding("c", "s", OK, "m", "do it").to_json() == {**plain, "hint": "do it"}


RESTORES = "a rollback restores what was in effect: nothing of it changed since the image ran"


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        (None, []),
        (Proof("model"), []),
        (
            Proof("build", "kustomize", "v5.7.1"),
            [(OK, "a rollback takes effect: kustomize v5.7.1 built it")],
        ),
        (
            Proof("restored"),
            [(OK, RESTORES)],
        ),
    ],
)  # fmt: skip
def test_a_drill_names_what_proves_the_effect_where_that_is_not_the_files(
    proof: Proof | None, said: list[tuple[str, str]]
) -> None:
    assert found_of(replace(plan(GOOD), proof=proof), "effect") == said


BY_PULL_REQUEST = Obstacle("a rule that a push does not meet: pull_request", by_proposal=True)
CLOSED = Obstacle("the repository is archived: it takes no pushes")


@pytest.mark.parametrize(
    ("against", "level", "message", "hint"),
    [
        (None, OK, "these credentials may push; nobody was asked", ""),
        ((), OK, "these credentials may push, and no rule of the branch is against it", ""),
        ((BY_PULL_REQUEST,), WARNING, BY_PULL_REQUEST.text, "--pull-request"),
        (
            (BY_PULL_REQUEST, CLOSED),
            WARNING,
            f"{BY_PULL_REQUEST.text}; {CLOSED.text}",
            "by night the push is refused",
        ),
    ],
)
def test_a_pull_request_is_advised_only_where_it_passes_every_rule(
    against: tuple[Obstacle, ...] | None, level: str, message: str, hint: str
) -> None:
    found = judge_push("branch main", against, "nobody was asked")
    assert (found.level, found.message) == (level, message)
    assert hint in found.hint
    assert ("--pull-request" in found.hint) == (hint == "--pull-request")


def test_a_check_that_ended_with_an_error_fails_with_its_category() -> None:
    found = failed("push", "branch main", RepositoryError("may not push", "ask for it"))
    expected = Finding("push", "branch main", FAILED, "may not push", "ask for it", "repository")
    assert found == expected


def test_a_registry_and_its_limit_warn_where_they_could_hinder_a_rollback() -> None:
    assert judge_registry("docker.io", "").level == OK
    silent = judge_registry("docker.io", "it answered 401")
    assert (silent.level, silent.message, silent.category) == (
        WARNING, "it answered 401", "registry",
    )  # fmt: skip
    assert judge_limit("docker.io", "90 of 100", is_near=False).level == OK
    near = judge_limit("docker.io", "3 of 100", is_near=True)
    assert (near.level, near.message, near.category) == (WARNING, "3 of 100", "registry")


LARGE = Found(RISK, "reclaim-delete", "a.yaml", 3, 5, "is deleted", "data go", "Retain", "claim a")
SMALL = Found(NOTE, "no-expansion", "a.yaml", 9, 1, "lets none grow", "stays", "allow it")


def test_a_note_is_no_risk_of_storage_and_is_that_no_builds_were_looked_at() -> None:
    message = "a.yaml:3:5: is deleted; data go"
    risk = Finding("storage", "claim a", WARNING, message, "Retain", "manifest")
    assert [*judge_storage("west", [LARGE, SMALL], "")] == [risk]
    assert [*judge_storage("west", [SMALL], "")] == [
        Finding("storage", "west", OK, "nothing is at risk")
    ]
    assert [one.level for one in judge_builds([LARGE, SMALL])] == [WARNING, SKIPPED]


def test_storage_that_was_not_looked_at_is_not_well() -> None:
    [found] = judge_storage("west", [], "there are 3000 files")
    assert (found.level, found.message) == (SKIPPED, "not looked at: there are 3000 files")


def test_a_cluster_that_is_silent_until_time_is_up_is_a_warning(tmp_path: Path) -> None:
    """What the drill has found before is told."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = {"server": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": where}],
            "users": [{"name": "u", "user": {"token": "x"}}],
        }
        (tmp_path / "config").write_text(json.dumps(config), encoding="utf-8")
        environment = {"KUBECONFIG": str(tmp_path / "config")}
        session = Session(Namespace(), environment, "", Deadline(1), Stopwatch(), "")
        with alarm.bounded(0.1):
            found = [*ask_flux(session, ["a.yaml"])]
    assert [(one.level, one.message) for one in found] == [
        (WARNING, "did not answer within --timeout")
    ]


ANSWERS = Finding("flux", "cluster", OK, "answers; 1 Kustomizations apply these files")
APPLIES = {"metadata": {"namespace": "flux", "name": "apps"}, "spec": {"path": "./apps"}}
NO_LOOK = "gitops-rollback check --storage FOLDER looks at the files of a clone"
ASK = "ask for a merge with --pull-request, or let this account pass the rules by"
WHOLE: list[tuple[Finding, Finding]] = [
    (judge_flux([APPLIES], ["apps/cart.yaml"])[0], ANSWERS),
    (
        judge_flux([{**APPLIES, "spec": {"suspend": True}}], ["cart.yaml"])[0],
        Finding(
            *("flux", "flux/apps", WARNING, "is suspended: Flux would not apply a rollback"),
            "flux resume kustomization apps --namespace flux",
        ),
    ),
    (
        judge_flux(
            [
                {
                    **APPLIES,
                    "status": {
                        "conditions": [{"type": "Ready", "status": "False", "message": "m"}]
                    },
                }
            ],
            ["apps/cart.yaml"],
        )[0],
        Finding(
            *("flux", "flux/apps", WARNING, "is not ready: m"),
            *("mend that first: Flux applies nothing of it until then", "cluster"),
        ),
    ),
    (
        judge_push("branch main", None, "why"),
        Finding("push", "branch main", OK, "these credentials may push; why"),
    ),
    (
        judge_push("branch main", (BY_PULL_REQUEST,), ""),
        Finding("push", "branch main", WARNING, BY_PULL_REQUEST.text, ASK, "repository"),
    ),
    (
        judge_registry("docker.io", ""),
        Finding("registry", "docker.io", OK, "answers with these credentials"),
    ),
    (
        judge_registry("docker.io", "401"),
        Finding(
            *("registry", "docker.io", WARNING, "401"),
            "look at its credentials and at the network; a rollback goes on, unverified",
            "registry",
        ),
    ),
    (
        judge_limit("docker.io", "90 of 100", is_near=False),
        Finding("limit", "docker.io", OK, "90 of 100"),
    ),
    (
        judge_limit("docker.io", "3 of 100", is_near=True),
        Finding(
            *("limit", "docker.io", WARNING, "3 of 100"),
            "log in (an account has a higher limit), or wait until it is reset",
            "registry",
        ),
    ),
    (
        next(judge_builds([LARGE])),
        Finding("builds", "claim a", WARNING, "is deleted; data go", "Retain"),
    ),
    (
        next(judge_storage("west", [], "too many")),
        Finding("storage", "west", SKIPPED, "not looked at: too many", NO_LOOK),
    ),
    (
        next(judge_sets("here", {"all": ["ghost"]}, {"ghost": GHOST}, is_only=True)),
        Finding(
            *("service", "set all", WARNING),
            "is not there; a rollback of the set in here would fail",
        ),
    ),
]


@pytest.mark.parametrize(("found", "whole"), WHOLE)
def test_a_finding_is_told_whole(found: Finding, whole: Finding) -> None:
    assert found == whole
