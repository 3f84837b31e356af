"""Markers that a hold put out of action: all of them go back, or a warning says which do not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.decide.edits import elsewhere_warnings, holding, restoring
from gitops_rollback.decide.facts import ServiceAtTip
from gitops_rollback.decide.holds import lost_markers, markers_to_hold, markers_without_hold
from gitops_rollback.ledger.holds import HeldMarker
from gitops_rollback.repo.objects import Tip
from gitops_rollback.services.inventory import read_manifests
from unit.builders import (
    DEPLOYMENT,
    PATH,
    at,
    found_service,
    hold_of,
    service_at_tip,
    state,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.decide.change import MarkerSplice

CART = '{"$imagepolicy": "flux-system:cart"}'
OTHER = '{"$imagepolicy": "flux-system:other"}'
TWO = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: cart   # NOTE
spec:
  template:
    spec:
      initContainers:
        - image: acme/cart:1 # FIRST
          name: migrate
      containers:
        - name: server
          image: acme/cart:1 # SECOND
"""
BOTH = (HeldMarker(PATH, "migrate", CART), HeldMarker(PATH, "server", OTHER))


def held(marker: str) -> str:
    return marker.replace("$imagepolicy", "$imagepolicy-held")


def warnings(
    first: str, second: str, *markers: HeldMarker, note: str = "", template: str = TWO
) -> tuple[str, ...]:
    """What is said when a hold of some markers ends, where these stand there now."""
    text = template.replace("FIRST", first).replace("SECOND", second).replace("NOTE", note)
    hold = hold_of("2", "1", "it crashed", at(2), markers=markers or BOTH)
    found = replace(state("1>2", "2<1"), hold=hold)
    return lost_markers(service_at_tip("acme/cart:1", found, text))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (held(CART), held(OTHER)),
        (CART, OTHER),
        (held(OTHER), held(CART)),
    ],
    ids=["as held", "put back by hand", "behind each other's image"],
)
def test_nothing_is_said_where_every_marker_goes_back(first: str, second: str) -> None:
    assert warnings(first, second) == ()


def test_a_marker_that_people_removed_is_named_with_what_to_add_by_hand() -> None:
    [warning] = warnings(held(CART), "nothing")
    assert warning.startswith(f"{PATH}:13: the marker of container 'server' was removed")
    assert warning.endswith(f"add by hand: # {OTHER}")


def test_of_two_equal_markers_each_counts() -> None:
    same = (HeldMarker(PATH, "migrate", CART), HeldMarker(PATH, "server", CART))
    assert warnings(held(CART), held(CART), *same) == ()
    [warning] = warnings(held(CART), "", *same)
    assert "'server' was removed" in warning
    twice = (HeldMarker(PATH, "server", CART),) * 2
    assert len(warnings("", held(CART), *twice)) == 1


def test_a_marker_that_names_another_policy_now_is_put_back_as_it_stands() -> None:
    [warning] = warnings(held(CART), held(OTHER).replace("other", "new"))
    assert f"the marker was {OTHER} when it was held" in warning
    assert 'is put back as it stands now: {"$imagepolicy": "flux-system:new"}' in warning
    [warning] = warnings(held(CART), OTHER.replace("other", "new"))
    assert "is another by now" in warning


def test_a_marker_on_another_line_is_named_with_its_line() -> None:
    [warning] = warnings(held(CART), "", note=held(OTHER))
    assert warning.startswith(f"{PATH}:4: the held marker {OTHER} stands behind no image of cart")
    assert "by hand" in warning


def test_a_container_or_file_that_is_gone_is_named_with_the_places_left() -> None:
    gone = HeldMarker("old/cart.yaml", "server", OTHER)
    [warning] = warnings("", "", gone)
    assert warning.startswith("old/cart.yaml no longer has the container 'server'")
    assert f"({PATH}:9, {PATH}:13): # {OTHER}" in warning


def test_a_file_that_was_moved_takes_its_marker_along() -> None:
    moved = HeldMarker("old/cart.yaml", "server", OTHER)
    assert warnings("", held(OTHER), moved) == ()


def test_a_hold_lists_markers_that_are_held_already_and_those_lost_before() -> None:
    text = TWO.replace("FIRST", held(CART)).replace("SECOND", OTHER)
    assert markers_to_hold(service_at_tip("acme/cart:1", None, text)) == BOTH
    lost = HeldMarker("old/cart.yaml", "server", CART)
    hold = hold_of("2", "1", "it crashed", at(2), markers=(lost, BOTH[0]))
    found = service_at_tip("acme/cart:1", replace(state("1>2"), hold=hold), text)
    assert markers_to_hold(found) == (lost, *BOTH)


def test_markers_out_of_action_without_a_hold_are_told_of() -> None:
    text = TWO.replace("FIRST", held(CART)).replace("SECOND", OTHER)
    [warning] = markers_without_hold(service_at_tip("acme/cart:1", state("0>1"), text))
    assert warning.startswith(f"{PATH}:9: the marker {CART} is out of action")
    hold = hold_of("2", "1", "it crashed", at(2), markers=BOTH)
    found = service_at_tip("acme/cart:1", replace(state("1>2"), hold=hold), text)
    assert markers_without_hold(found) == ()


EVERYWHERE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  template:
    spec:
      containers:
        - name: server
          image: acme/cart:1 # {"$imagepolicy": "flux-system:cart", "note": "keep"}
          env:
            - name: VERSION
              value: "1" # {"$imagepolicy": "flux-system:cart:tag"}
            - name: OTHER
              value: "1" # {"$imagepolicy": "flux-system:other:tag"}
            - name: TEXT
              value: 'no # {"$imagepolicy": "flux-system:cart"}'
---
apiVersion: example.org/v1
kind: Batch
metadata: {name: batch}
spec:
  # {"$imagepolicy": "flux-system:cart"}
  images:
    # why # {"$imagepolicy": "flux-system:cart"}
    -
      # {"$imagepolicy": "flux-system:cart:name"}
      acme/cart
"""


def applied(text: str, splices: Iterable[MarkerSplice]) -> str:
    for one in sorted(splices, key=lambda one: one.splice.start, reverse=True):
        text = text[: one.splice.start] + one.splice.text + text[one.splice.end :]
    return text


def test_every_marker_of_the_policies_is_held_wherever_it_stands_and_no_other() -> None:
    found = service_at_tip("acme/cart:1", None, EVERYWHERE)
    after = applied(EVERYWHERE, holding(found))
    lines = [n for n, line in enumerate(after.splitlines(), start=1) if "-held" in line]
    assert lines == [9, 12, 22, 26]
    assert [(held.container, held.marker) for held in markers_to_hold(found)][1:] == [
        ("value", '{"$imagepolicy": "flux-system:cart:tag"}'),
        ("images", CART),
        ("line 26", '{"$imagepolicy": "flux-system:cart:name"}'),
    ]
    assert [text.partition(":")[2].partition(":")[0] for text in elsewhere_warnings(found)] == [
        "12",
        "22",
        "26",
    ]


def test_markers_outside_the_environment_are_left_alone() -> None:
    marked = DEPLOYMENT.replace("{image}", f"acme/cart:1 # {CART}")
    files = {f"{folder}/cart.yaml": marked.encode() for folder in ("a", "ab", "a/b")}
    config = '[environments.production]\npath = "a"\n'
    service = found_service({f"a/{PATH}": marked.encode()}, config)
    every = replace(service, manifests=read_manifests({f"a/{PATH}": marked.encode(), **files}))
    found = ServiceAtTip(Tip("main", "1" * 40), every, None)
    assert {one.path for one in markers_to_hold(found)} == {
        f"a/{PATH}",
        "a/cart.yaml",
        "a/b/cart.yaml",
    }


def test_a_release_puts_back_exactly_what_its_hold_lists() -> None:
    listed = markers_to_hold(service_at_tip("acme/cart:1", None, EVERYWHERE))
    held_text = applied(EVERYWHERE, holding(service_at_tip("acme/cart:1", None, EVERYWHERE)))
    more = held_text + f"  more: a # {held(CART)}\n"
    hold = hold_of("2", "1", "it crashed", at(2), markers=listed)
    found = service_at_tip("acme/cart:1", replace(state("1>2", "2<1"), hold=hold), more)
    after = applied(more, restoring(found))
    assert after == EVERYWHERE + f"  more: a # {held(CART)}\n"
    assert restoring(service_at_tip("acme/cart:1", None, EVERYWHERE)) == ()
