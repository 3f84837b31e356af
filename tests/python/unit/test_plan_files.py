"""Plans as files, and what plans mean for a run: 4 before 6, all or nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback import schema
from gitops_rollback.commands.given import read_plan
from gitops_rollback.decide.change import Refused, together
from gitops_rollback.decide.edits import rollback_edits
from gitops_rollback.decide.facts import Check
from gitops_rollback.decide.plan import Candidate, Plan, PlannedService, parse_plan
from gitops_rollback.decide.rollback import obstacle
from gitops_rollback.effective.proof import BUILD, MODEL, Proof, Recipe
from gitops_rollback.errors import Exit, NotFoundError, UsageError
from gitops_rollback.ledger.records import MissingRecord
from gitops_rollback.refusals import Refusal
from unit.builders import digest, image, service_at_tip, state
from unit.test_plan import AB, ABA, LONG, World, by_records, by_state
from unit.test_transitions import HOLD

if TYPE_CHECKING:
    from pathlib import Path

BUILT = Proof(
    BUILD, "kustomize", "5.7", (Recipe("apps"),), {"a.yaml": "0" * 40}, {"a.yaml": "1" * 40}
)
BLOCK = Refusal("already", "cart was rolled back", "--again")


def plan(*candidates: Candidate, blocks: tuple[Refusal, ...] = (), service: str = "cart") -> Plan:
    chosen = next((c for c in candidates if c.verdict == "chosen"), None)
    return Plan(
        service=service,
        environment="production",
        strategy="auto",
        running=image("2"),
        value="acme/cart:2",
        candidates=candidates,
        chosen=chosen,
        source="git" if chosen else None,
        blocks=blocks,
    )


GOOD = Candidate(image("1"), frozenset({"git"}), verdict="chosen")
SHOWN = Candidate(image("0"), frozenset({"registry"}))
BAD = SHOWN.refused("bad", "it crashed")
LOST = SHOWN.refused(None, "its record is not in the archive: deleted")


def document(*plans: Plan) -> dict[str, Any]:
    """Plans as `plan --output` writes them."""
    services = []
    for one in plans:
        fields = service_at_tip("acme/cart:2").found.fields
        edits = rollback_edits(fields, one.chosen, frozenset(), "digest") if one.chosen else ()
        services.append(replace(one, edits=edits).to_json())
    return {
        "schemaVersion": 1,
        "repository": "https://github.com/acme/manifests.git",
        "branch": "main",
        "commit": "0" * 40,
        "services": services,
    }


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(by_state(*LONG, checks={"3": Check("unknown")}).plan(), id="state"),
        pytest.param(by_records(*LONG).plan(), id="records"),
        pytest.param(World("1", state(*ABA, hold=HOLD)).plan(), id="blocked"),
        pytest.param(World("2", tags=("2", "1")).plan(), id="registry, shown only"),
        pytest.param(by_state(*AB).plan(to="0"), id="named"),
        pytest.param(
            by_state(*AB, stored={digest("record 1"): MissingRecord("x")}).plan(
                strategy="artifact"
            ),
            id="a missing record",
        ),
    ],
)
def test_every_plan_fits_its_published_schema(whole: Plan) -> None:
    written = document(whole)
    schema.check(written, "plan")
    assert "null" not in json.dumps(written)


def test_a_plan_that_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(document(plan(GOOD), plan(GOOD, service="payment"))))
    found = read_plan(str(path))
    assert (found.repository, found.branch) == ("https://github.com/acme/manifests.git", "main")
    planned = found.planned("payment", "production")
    assert (planned.running, planned.to, planned.strategy) == (image("2"), image("1"), "auto")
    with pytest.raises(UsageError, match="the plan does not name shop production"):
        found.planned("shop", "production")


def changed(**changes: Any) -> bytes:  # noqa: ANN401
    return json.dumps({**document(plan(GOOD)), **changes}).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no plan to follow"),
        (b"[1", "no plan to follow"),
        (b"[" * 200_000, "no plan to follow"),
        (b"null", "no plan to follow"),
        (b'{"schemaVersion": 1, "error": {"category": "usage"}}', "no plan to follow"),
        (b'{"schemaVersion": 1}', "no plan to follow"),
        (changed(schemaVersion=2), "by a newer"),
        (changed(services=[]), "names no service"),
        (changed(repository="\ud800"), "no plan to follow"),
        (json.dumps(document(plan(BAD))).encode(), "found no image to go back to for cart"),
        (changed().replace(b"docker.io/acme/cart:1@", b"docker.io/acme/Cart:1@"), "lower case"),
    ],
)
def test_what_is_no_plan_to_follow_is_an_error(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_plan(str(path))
    assert message in caught.value.message
    assert str(path) in caught.value.message


def test_a_plan_whose_image_was_refused_says_by_what_it_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(document(plan(BAD, blocks=(BLOCK,)))), encoding="utf-8")
    with pytest.raises(UsageError, match=r"image to go back to for cart \(refused: already\)") as e:
        read_plan(str(path))
    assert e.value.hint == "make it with gitops-rollback plan --output FILE; --again"


def test_a_plan_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_plan(str(tmp_path / "plan.json"))


@pytest.mark.parametrize(
    ("whole", "message", "hint"),
    [
        pytest.param(plan(), "go back to for cart production", "--to TAG", id="nothing at all"),
        pytest.param(plan(BAD), "(0: it crashed)", "--accept bad", id="refused"),
        pytest.param(plan(LOST), "(0: its record is not in", "--strategy auto", id="no record"),
        pytest.param(plan(SHOWN), "go back to", "--strategy registry, or --to 0", id="shown"),
        pytest.param(
            replace(plan(), strategy="registry"),
            "go back to",
            "the registry has no other tag",
            id="no tag",
        ),
    ],
)
def test_no_image_to_go_back_to_is_4_with_the_reasons(whole: Plan, message: str, hint: str) -> None:
    error = obstacle(whole)
    assert error is not None
    assert error.exit_code == Exit.NOT_FOUND
    assert message in error.message
    assert hint in error.hint


def test_what_is_refused_for_a_reason_of_its_own_is_6_with_its_code() -> None:
    assert obstacle(plan(GOOD)) is None
    assert obstacle(by_state(*AB).plan(to="2")) is None, "it runs already"
    for whole in (plan(blocks=(BLOCK,)), plan(GOOD, blocks=(BLOCK,))):
        error = obstacle(whole)
        assert error is not None
        assert (error.exit_code, error.code, error.hint) == (Exit.REFUSED, "already", "--again")


def test_of_several_services_one_without_an_image_counts_before_one_that_is_refused() -> None:
    there = service_at_tip("acme/cart:2")
    found = [
        Refused(there, error)
        for whole in (plan(blocks=(BLOCK,)), plan())
        if (error := obstacle(whole)) is not None
    ]
    with pytest.raises(NotFoundError) as caught:
        together(found, skip=False)
    assert caught.value.message.startswith("2 of 2 services cannot be done, so none was: there is")
    assert [one["code"] for one in caught.value.found["blocked"]] == ["already", "not-found"]


def test_naming_what_runs_is_nothing_to_do() -> None:
    assert by_state(*AB).plan(to="2").runs_already
    assert not by_state(*ABA).plan().runs_already
    assert not by_state(*AB).plan().runs_already


def test_a_digest_that_runs_is_nothing_to_do_under_another_tag() -> None:
    assert by_state(*AB, checks={"9": Check("there", digest("2"))}).plan(to="9").runs_already


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("proof", [None, Proof(MODEL), BUILT])
def test_what_is_planned_for_a_service_is_read_back_whole(
    is_named: bool,  # noqa: FBT001
    proof: Proof | None,
) -> None:
    written = document(replace(plan(GOOD), is_named=is_named, proof=proof))
    [read] = parse_plan(json.dumps(written).encode(), "plan.json").services
    assert read == PlannedService(
        "cart", "production", "auto", image("2"), image("1"), is_named, proof
    )
