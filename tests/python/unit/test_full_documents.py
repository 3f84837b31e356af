"""A document that says all that can be said has just the keys of its published schema.

So each key that is written, or read, is one that others were promised; and none is read as unknown,
which would be written back beside the known one, and stand in its place.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback import schema
from gitops_rollback.decide.change import Refused
from gitops_rollback.decide.drill import failed
from gitops_rollback.decide.facts import Check
from gitops_rollback.decide.plan import Candidate, Plan
from gitops_rollback.decide.wish import Wish
from gitops_rollback.effective.proof import BUILD, Proof, Recipe, read_proof
from gitops_rollback.errors import RefusedError
from gitops_rollback.ledger.events import Event
from gitops_rollback.ledger.fields import note_written
from gitops_rollback.ledger.holds import (
    Bad,
    HeldFile,
    HeldMarker,
    Hold,
    parse_held,
    render_held,
)
from gitops_rollback.ledger.measures import Measures
from gitops_rollback.ledger.merge import entry_to_json
from gitops_rollback.ledger.records import parse_record, render_record
from gitops_rollback.ledger.state import State, parse_state, render_state
from gitops_rollback.manifest.image_field import Problem
from gitops_rollback.model import RECORDED, Build, Deed
from gitops_rollback.refusals import Refusal
from unit.builders import PRESENT, at, changed, digest, image, record, service_at_tip, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMAS = Path(schema.__file__).parent / "schemas"
MADE_BY = Build("shop/cart", 7, "https://jenkins.example/job/shop/job/cart/7/")
DEED = Deed(
    "deploy",
    image("2"),
    image("1"),
    at(1),
    "jane",
    "it is better",
    MADE_BY,
    digest("record"),
    "id1",
)
BACK = replace(DEED, action="rollback", image=image("1"), from_image=image("2"), id="id2")
MARKER = HeldMarker("apps/cart/deployment.yaml", "server", '{"$imagepolicy": "flux-system:cart"}')
HOLD = Hold(BACK, (MARKER,))
BAD = Bad(replace(BACK, action="bad", image=image("2"), from_image=None, record=None), "2", "abc")
EDITED = changed(Wish("deploy", PRESENT, image=image("2")), service_at_tip(str(image("1"))))
FIELD = replace(
    EDITED.edits[0].field, overrides=("apps/cart.yaml:1",), problem=Problem("it is", "write it")
)
EDITS = tuple(replace(one, field=FIELD) for one in EDITED.edits)
NOTED = replace(
    note_written(EDITED.edits[0].field, "acme/cart:2", image("2")),
    namespace="shop", parts={"tag": "2"},
)  # fmt: skip
STATE = State("cart", "production", (BACK, DEED), (BAD,), HOLD, (NOTED,))
HELD = HeldFile("cart", "production", replace(HOLD, markers=()), (NOTED,), (BAD,))
RECORD = record("1", "2", 7, fields=(NOTED,), build=MADE_BY)
PROOF = Proof(
    BUILD, "kustomize", "v5.7.1", (Recipe("apps", ("cart.yaml",), "shop", "a-", "-b"),),
    {"apps/cart.yaml": "1" * 40}, {"apps/cart.yaml": "2" * 40},
)  # fmt: skip
EVENT = Event(DEED, "1" * 40, proofs=frozenset({"git"}), conflicts=("the record says another",))
TAKEN = Candidate(
    image("1"), frozenset({"git"}), at(1), EVENT, EVENT, stored("1", "2"), "chosen", "bad", "it is",
    Check("there", digest("1")), built_at=at(1), revision="abc",
)  # fmt: skip
PLAN = Plan(
    "cart", "production", "auto", image("2"), "acme/cart:2", (TAKEN,), TAKEN, "git",
    (Refusal("bad", "it crashed", "take another"),), ("a finding",), HOLD, passed_over=("one",),
    is_named=True, edits=EDITS, proof=PROOF,
)  # fmt: skip
CHANGE = replace(
    EDITED, edits=EDITS, warnings=("a warning",), ends=("id2",), proof=PROOF, before=image("1"),
    summary=replace(EDITED.summary, deed=replace(DEED, action=RECORDED)),
)  # fmt: skip
REFUSED = Refused(EDITED.at, RefusedError("bad", "it crashed", "take another"))
MEASURES = Measures(7, at(1), 5, 2, 1, (60.0,), (70.0,), (80.0,), 1)
OTHERS = {  # which a command adds
    "measures": [".environment", ".service"],
    "field": [".overriddenBy"],
}
# What is written, the schema, and where in it: keys, and [] for what a list has.
DOCUMENTS: dict[str, tuple[Any, str, str]] = {
    "state": (json.loads(render_state(STATE)), "state", ""),
    "hold": (json.loads(render_held(HELD)), "held", ""),
    "record": (json.loads(render_record(RECORD)), "record", ""),
    "plan": (PLAN.to_json(), "plan", "services []"),
    "change": (CHANGE.to_json(), "result-change", "services []"),
    "refusal": (REFUSED.to_json(), "result-change", "blocked []"),
    "finding": (failed("record", "cart", REFUSED.error).to_json(), "result-check", "findings []"),
    "measures": (MEASURES.to_json(), "result-stats", "total"),
    "entry": (entry_to_json(EVENT), "result-history", "services [] entries []"),
    "field": (FIELD.to_json(), "result-fields", "fields []"),
}


def schema_of(file: str, node: Any) -> tuple[str, Any]:  # noqa: ANN401 - a schema
    """A schema, or what it refers to, with the file that it stands in."""
    while "$ref" in node:
        other, _, path = node["$ref"].partition("#/")
        file = other or file
        node = json.loads((SCHEMAS / file).read_text())
        for step in path.split("/"):
            node = node[step]
    return file, node


def differing(
    file: str,
    node: Any,  # noqa: ANN401 - as above
    values: list[Any],
    place: str = "",
) -> Iterator[str]:
    """Yield the keys that only one has: a schema, or the documents of which it is."""
    file, node = schema_of(file, node)
    if "items" in node:
        inner = [one for value in values for one in value]
        if inner:  # a hold's markers stand in the state file alone
            yield from differing(file, node["items"], inner, f"{place}[]")
        return
    known = node.get("properties", {})
    if known:
        yield from (f"{place}.{key}" for key in {key for one in values for key in one} ^ set(known))
    for key, below in known.items():
        inner = [one[key] for one in values if key in one]
        yield from differing(file, below, inner, f"{place}.{key}")


@pytest.mark.parametrize("what", DOCUMENTS)
def test_what_says_all_has_the_keys_of_its_schema_and_no_others(what: str) -> None:
    document, name, place = DOCUMENTS[what]
    file = f"{name}.schema.json"
    node = json.loads((SCHEMAS / file).read_text())
    for step in place.split():
        file, node = schema_of(file, node)
        node = node["items"] if step == "[]" else node["properties"][step]
    assert sorted(differing(file, node, [document])) == OTHERS.get(what, [])


def unknown_in(value: object) -> Iterator[object]:
    """Yield all that a value, or what it is made of, has read and did not know."""
    if is_dataclass(value):
        for one in fields(value):
            inner = getattr(value, one.name)
            yield from [inner] if one.name == "more" and inner else unknown_in(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from unknown_in(inner)


@pytest.mark.parametrize(
    ("made", "data", "read"),
    [
        (STATE, render_state(STATE), lambda data: parse_state(data, "production", "cart")),
        (HELD, render_held(HELD), lambda data: parse_held(data, HELD.path)),
        (RECORD, render_record(RECORD), lambda data: parse_record(data, "here").record),
        (PROOF, json.dumps(PROOF.to_json()).encode(), lambda data: read_proof(json.loads(data))),
    ],
    ids=["state", "hold", "record", "proof"],
)
def test_what_says_all_is_read_as_it_was_written_and_nothing_of_it_is_unknown(
    made: object, data: bytes, read: Callable[[bytes], object]
) -> None:
    found = read(data)
    assert found == made
    assert list(unknown_in(found)) == []
