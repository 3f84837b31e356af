"""What is told as JSON, whole: every key with what it holds, and which are left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitops_rollback.decide.change import Change, Refused
from gitops_rollback.decide.facts import Check
from gitops_rollback.decide.plan import Candidate
from gitops_rollback.decide.wish import Wish
from gitops_rollback.effective.proof import BUILD, MODEL, Proof, Recipe, read_proof
from gitops_rollback.ledger.events import Event
from gitops_rollback.ledger.measures import Measures
from gitops_rollback.manifest.document import parse
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.image_field import Problem
from unit.builders import (
    DEPLOYMENT,
    bad_entry,
    decided,
    deployment,
    image,
    service_at_tip,
    state,
    stored,
)

ONE, TWO, THREE = (image(label).canonical for label in "123")
PRESENT = "2026-01-31T12:00:00Z"
PLACED = Event(deployment("deploy", 1, "1", "2"), commit="c0ffee")
REPLACED = Event(deployment("deploy", 2, "2", "3"))
CANDIDATE = Candidate(
    image("2"),
    frozenset({"git", "artifact"}),
    deployed_at="2026-01-31T10:01:00Z",
    placed=PLACED,
    replaced=REPLACED,
    reason="bad",
    message="it is bad",
    check=Check("there"),
    built_at="2026-01-30T10:00:00Z",
    revision="abc",
)
TOLD = {
    "image": TWO,
    "sources": ["artifact", "git"],
    "deployedAt": "2026-01-31T10:01:00Z",
    "builtAt": "2026-01-30T10:00:00Z",
    "revision": "abc",
    "by": "jane",
    "build": {"job": "shop/cart", "number": 1},
    "archivedBy": {"job": "shop/cart", "number": 2},
    "commit": "c0ffee",
    "verdict": "acceptable",
    "reason": "bad",
    "message": "it is bad",
    "verified": True,
}


def test_a_candidate_is_told_whole() -> None:
    assert CANDIDATE.to_json() == TOLD
    bare = Candidate(image("2"), frozenset()).to_json()
    kept = {"image": TWO, "sources": [], "verdict": "acceptable", "message": "", "verified": False}
    assert bare == kept
    assert CANDIDATE.refused("gone", "it is gone").to_json() == {
        **TOLD,
        "verdict": "refused",
        "reason": "gone",
        "message": "it is gone",
    }


def test_a_plan_is_told_whole() -> None:
    there = service_at_tip(str(image("2")), state("1>2"))
    found = decided(Wish("rollback", PRESENT), there)
    assert isinstance(found, Change | Refused)
    assert found.plan is not None
    plan = replace(found.plan, chosen=replace(CANDIDATE, stored=stored("1", "2")), source="git")
    told = plan.to_json()
    assert told["to"] == {
        "image": TWO,
        **({"value": plan.edits[0].value} if plan.edits else {}),
        "source": "git",
        "build": {"job": "shop/cart", "number": 1},
        "archivedBy": {"job": "shop/cart", "number": 2},
        "record": stored("1", "2").sha256,
        "verified": True,
    }
    assert told["current"] == {"image": TWO, "value": str(image("2"))}
    assert (told["service"], told["environment"]) == ("cart", "production")
    assert told["candidates"] == [one.to_json() for one in plan.candidates]
    assert "named" not in replace(plan, is_named=False).to_json()
    assert replace(plan, is_named=True).to_json()["named"] is True
    assert replace(plan, passed_over=("a",)).to_json()["passedOver"] == ["a"]
    assert replace(plan, findings=("a",), warnings=("b",)).to_json()["findings"] == ["a", "b"]


def test_what_is_refused_and_what_is_done_is_told_whole() -> None:
    bad = (bad_entry("2", "2026-01-31T11:00:00Z"),)
    there = service_at_tip(str(image("1")), state("0>1", bad=bad))
    found = decided(Wish("deploy", PRESENT, image=image("2")), there)
    assert isinstance(found, Refused)
    assert found.to_json() == {
        "service": "cart",
        "environment": "production",
        "code": "bad",
        "message": found.error.message,
        "hint": found.error.hint,
    }
    done = decided(Wish("deploy", PRESENT, image=image("3")), there)
    assert isinstance(done, Change)
    edit = {"path": "apps/cart/deployment.yaml", "line": 10, "container": "server"}
    assert done.to_json() == {
        "service": "cart",
        "environment": "production",
        "from": ONE,
        "to": THREE,
        "edits": [{**edit, "old": ONE, "new": THREE}],
        "warnings": [],
        "effectProof": {"by": "model"},
    }


@pytest.mark.parametrize("folder", ["", "apps"])
@pytest.mark.parametrize("namespace", ["", "n"])
@pytest.mark.parametrize("resources", [(), ("a.yaml", "b.yaml")])
def test_a_proof_is_told_whole_and_read_back(
    folder: str, namespace: str, resources: tuple[str, ...]
) -> None:
    recipe = Recipe(folder, resources, namespace, "p-" * bool(namespace), "-s" * bool(resources))
    proof = Proof(BUILD, "kustomize", "5.7", (recipe,), {"b": "2", "a": "1"}, {"c": "3"})
    shown: dict[str, object] = {"folder": folder or "."}
    shown |= {"resources": list(resources), "suffix": "-s"} if resources else {}
    shown |= {"namespace": "n", "prefix": "p-"} if namespace else {}
    assert proof.to_json() == {
        "by": "build",
        "tool": "kustomize",
        "version": "5.7",
        "builds": [shown],
        "tree": {"a": "1", "b": "2"},
        "edited": {"c": "3"},
    }
    assert read_proof(proof.to_json()) == proof
    assert Proof(MODEL).to_json() == {"by": "model"}
    assert read_proof({"by": "model"}) == Proof(MODEL)


def test_a_field_is_told_whole() -> None:
    text = f"---\n{DEPLOYMENT.format(image='acme/cart:1')}"
    [field] = find_fields(parse("apps/a.yaml", text.encode()))
    told = {
        "path": "apps/a.yaml",
        "line": 11,
        "column": 18,
        "document": 0,
        "kind": "Deployment",
        "name": "cart",
        "container": "server",
        "value": "acme/cart:1",
        "form": "container",
    }
    assert field.to_json() == told
    more = replace(field, problem=Problem("no"), overrides=("b:1",)).to_json()
    assert more == {**told, "problem": "no", "overrides": ["b:1"]}


def test_measures_are_told_whole() -> None:
    found = Measures(2, "2026-01-01T00:00:00Z", 4, 1, 1, (10.0,), (20.0,), (30.0,), 5).to_json()
    plain = {key: value for key, value in found.items() if not isinstance(value, dict)}
    assert plain == {
        "completeSince": "2026-01-01T00:00:00Z",
        "deployments": 4,
        "deploymentsPerDay": 2.0,
        "failedDeployments": 1,
        "changeFailureRate": 0.25,
        "rollbacks": 1,
        "openHolds": 5,
    }
    spreads = {key: value["median"] for key, value in found.items() if isinstance(value, dict)}
    assert spreads == {"recoverySeconds": 10, "recoveryAppliedSeconds": 20, "holdSeconds": 30}
