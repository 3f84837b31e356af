"""What a refusal of an unknown effect says is done to the letter: then the deploy is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gitops_rollback.decide.change import Change, Refused
from gitops_rollback.decide.facts import ServiceAtTip
from gitops_rollback.decide.wish import Wish
from gitops_rollback.repo.objects import Tip
from unit.builders import DEPLOYMENT, PRESENT, decided, found_service, image

if TYPE_CHECKING:
    from collections.abc import Mapping

WORKLOAD = DEPLOYMENT.format(image=image("1.0"))
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
LISTED = "resources: [%s]\n"
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cart}
spec:
  postRenderers:
  - kustomize:
      images: [{name: docker.io/acme/cart, newTag: "1.0"}]
"""
VALUES = '  values: {image: {repository: docker.io/acme/cart, tag: "0.9"}}\n'

# Files, what the hint says, and the files after doing that: None takes one away.
HINTS: dict[str, tuple[dict[str, str], str, dict[str, str | None]]] = {
    "a file that is not listed": (
        {
            "apps/kustomization.yaml": LISTED % "ns.yaml",
            "apps/ns.yaml": NAMESPACE,
            "apps/deployment.yaml": WORKLOAD,
        },
        "list it in apps/kustomization.yaml",
        {"apps/kustomization.yaml": LISTED % "ns.yaml, deployment.yaml"},
    ),
    "a folder that is applied by itself": (
        {
            "apps/kustomization.yaml": LISTED % "ns.yaml",
            "apps/ns.yaml": NAMESPACE,
            "apps/cart/deployment.yaml": WORKLOAD,
        },
        "or, where Flux applies apps/cart by itself, in a kustomization.yaml there",
        {"apps/cart/kustomization.yaml": LISTED % "deployment.yaml"},
    ),
    "a folder that is taken and has no kustomization": (
        {"apps/kustomization.yaml": LISTED % "cart", "apps/cart/deployment.yaml": WORKLOAD},
        "list it in apps/cart/kustomization.yaml",
        {"apps/cart/kustomization.yaml": LISTED % "deployment.yaml"},
    ),
    "two kustomizations": (
        {
            "apps/kustomization.yaml": LISTED % "deployment.yaml",
            "apps/kustomization.yml": LISTED % "deployment.yaml",
            "apps/deployment.yaml": WORKLOAD,
        },
        "take one of them away",
        {"apps/kustomization.yml": None},
    ),
    "an entry for what only a chart names": (
        {"apps/release.yaml": RELEASE},
        "name the image in the release's values too",
        {"apps/release.yaml": RELEASE + VALUES},
    ),
}


def deployed(files: Mapping[str, str | None], *accept: str) -> Change | Refused:
    data = {path: text.encode() for path, text in files.items() if text is not None}
    at = ServiceAtTip(Tip("main", "1" * 40), found_service(data), None)
    wish = Wish("deploy", PRESENT, image=image("2.0"), accept=frozenset(accept))
    return decided(wish, at)


@pytest.mark.parametrize("name", HINTS)
def test_what_a_hint_says_is_done_to_the_letter_and_the_deploy_is_right(name: str) -> None:
    files, hint, done = HINTS[name]
    refused = deployed(files)
    assert isinstance(refused, Refused)
    assert refused.code == "effect"
    assert hint in refused.error.hint
    assert refused.error.hint.endswith("--accept effect")
    after = deployed({**files, **done})
    assert isinstance(after, Change), after
    assert after.edits
    assert after.proof is not None
    assert after.proof.by == "model"


@pytest.mark.parametrize("name", HINTS)
def test_what_is_accepted_all_the_same_is_said_to_be_accepted(name: str) -> None:
    files, _hint, _done = HINTS[name]
    taken = deployed(files, "effect")
    assert isinstance(taken, Change)
    assert taken.proof is not None
    assert taken.proof.by == "accepted"
