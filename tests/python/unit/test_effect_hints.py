"""What a refusal of an unknown effect says is done to the letter: then the deploy is right."""

from __future__ import annotations

import json
import textwrap
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

CONFIG = ".gitops-rollback.toml"
ENTRY = 'images: [{name: docker.io/acme/cart, newTag: "1.0"}]\n'
RUNNER = """\
apiVersion: acme.io/v1
kind: Runner
metadata: {name: cart}
spec: {parts: [{image: "docker.io/acme/cart:1.0"}]}
"""
JSON_PATCH = f"""\
- op: replace
  path: /spec/template/spec/containers/0/image
  value: {image("1.0")}
"""
OTHER = WORKLOAD.replace(str(image("1.0")), "busybox").replace("name: cart", "name: shop")
PATCHED = LISTED % "shop.yaml" + "patches: [{path: patch.yaml, target: {kind: %s}}]\n"
INLINE = (
    LISTED % "shop.yaml"
    + "patches:\n- target: {kind: %s}\n  patch: |\n"
    + textwrap.indent(JSON_PATCH, "    ")
)

APPS: dict[str, str | None] = {
    "apps/kustomization.yaml": LISTED % "deployment.yaml",
    "apps/deployment.yaml": WORKLOAD,
}
CLUSTER = "clusters/apps.yaml"
APPLIED = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  path: ./apps
  sourceRef: {kind: GitRepository, name: flux-system}
"""
SOURCES = "substituteFrom: [{kind: ConfigMap, name: settings}, {kind: Secret, name: more}]"
SETTINGS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: flux-system}
data: {TAG: "1.0"}
"""
WITH_NAME = '%s: [{name: docker.io/acme/cart, newName: docker.io/acme/cart, newTag: "1.0"}]\n'
PLAIN_RELEASE = RELEASE.partition("  postRenderers")[0]
KNATIVE = """\
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: cart}
spec:
  template:
    spec: {containers: [{name: server, image: "docker.io/acme/cart:1.0"}]}
"""

# Files, what the hint says, and the files after doing that: None takes one away.
HINTS: dict[str, tuple[Mapping[str, str | None], str, Mapping[str, str | None]]] = {
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
    "an entry for a name that nothing has": (
        {"apps/kustomization.yaml": LISTED % "runner.yaml" + ENTRY, "apps/runner.yaml": RUNNER},
        "give it the name of an image there",
        {"apps/runner.yaml": WORKLOAD},
    ),
    "an image of a custom resource": (
        {"apps/kustomization.yaml": LISTED % "runner.yaml" + ENTRY, "apps/runner.yaml": RUNNER},
        "where a custom resource has that image, configure its place (`fields`)",
        {CONFIG: '[services.cart]\nfields = ["/spec/parts/0/image"]\n'},
    ),
    "a patch that none takes": (
        {
            "apps/kustomization.yaml": LISTED % "shop.yaml",
            "apps/shop.yaml": OTHER,
            "apps/patch.yaml": JSON_PATCH,
        },
        "list it under `patches` of a kustomization",
        {"apps/kustomization.yaml": PATCHED % "Deployment"},
    ),
    "a patch whose target is not there": (
        {
            "apps/kustomization.yaml": PATCHED % "StatefulSet",
            "apps/shop.yaml": OTHER,
            "apps/patch.yaml": JSON_PATCH,
        },
        "let it be for what has one",
        {"apps/kustomization.yaml": PATCHED % "Deployment"},
    ),
    "a patch in the kustomization whose target is not there": (
        {"apps/kustomization.yaml": INLINE % "StatefulSet", "apps/shop.yaml": OTHER},
        "let it be for what has one",
        {"apps/kustomization.yaml": INLINE % "Deployment"},
    ),
    "an entry for what only a chart names": (
        {"apps/release.yaml": RELEASE},
        "name the image in the release's values too",
        {"apps/release.yaml": RELEASE + VALUES},
    ),
    "a Flux Kustomization that is suspended": (
        {**APPS, CLUSTER: APPLIED + "  suspend: true\n"},
        "take `suspend: true` out of it",
        {CLUSTER: APPLIED},
    ),
    "an object that is taken twice": (
        {**APPS, "apps/kustomization.yaml": LISTED % "deployment.yaml, deployment.yaml"},
        "name it once",
        APPS,
    ),
    "a kustomization that is empty": (
        {
            **APPS,
            "apps/kustomization.yaml": LISTED % "deployment.yaml, below",
            "apps/below/kustomization.yaml": "# nothing yet\n",
        },
        "write `resources: []` into it",
        {"apps/below/kustomization.yaml": "resources: []\n"},
    ),
    "a release that is suspended": (
        {"apps/release.yaml": PLAIN_RELEASE + "  suspend: true\n" + VALUES},
        "take it out",
        {"apps/release.yaml": PLAIN_RELEASE + VALUES},
    ),
    "a patch of what a chart makes": (
        {
            "apps/release.yaml": PLAIN_RELEASE
            + VALUES
            + "  postRenderers:\n  - kustomize: {patches: [{target: {kind: Deployment}, patch: "
            + f"{json.dumps(JSON_PATCH)}}}]}}\n"
        },
        "take the image out of the patch and set it in values",
        {"apps/release.yaml": PLAIN_RELEASE + VALUES},
    ),
    "a variable that a Secret may define later": (
        {
            **APPS,
            "apps/deployment.yaml": WORKLOAD.replace(
                str(image("1.0")), "docker.io/acme/cart:${TAG}"
            ),
            CLUSTER: APPLIED + f"  postBuild: {{{SOURCES}}}\n",
            "clusters/settings.yaml": SETTINGS,
        },
        "define TAG in postBuild.substitute, which counts",
        {CLUSTER: APPLIED + f'  postBuild: {{substitute: {{TAG: "1.0"}}, {SOURCES}}}\n'},
    ),
    "an entry of Flux that names no newName": (
        {
            "apps/kustomization.yaml": LISTED % "deployment.yaml" + WITH_NAME % "images",
            "apps/deployment.yaml": WORKLOAD,
            CLUSTER: APPLIED + "  " + ENTRY,
        },
        "write newName and newTag both in the Flux Kustomization's entry",
        {CLUSTER: APPLIED + WITH_NAME % "  images"},
    ),
    "files that .sourceignore leaves out": (
        {**APPS, CLUSTER: APPLIED, ".sourceignore": "/apps\n"},
        "take the pattern out",
        {".sourceignore": None},
    ),
    "a schema that not all releases have": (
        {
            **APPS,
            "apps/kustomization.yaml": LISTED % "deployment.yaml" + "openapi: {version: v1.20.4}\n",
        },
        "take it out",
        APPS,
    ),
    "traffic that stays at a revision": (
        {
            "apps/service.yaml": KNATIVE + "  traffic: [{revisionName: cart-1, percent: 100}]\n",
        },
        "let the traffic follow the latest revision, without a name",
        {"apps/service.yaml": KNATIVE + "  traffic: [{latestRevision: true, percent: 100}]\n"},
    ),
    "a rollout that is paused": (
        {"apps/deployment.yaml": WORKLOAD.replace("spec:\n  t", "spec:\n  paused: true\n  t")},
        "change it there",
        {"apps/deployment.yaml": WORKLOAD.replace("spec:\n  t", "spec:\n  paused: false\n  t")},
    ),
}


def deployed(files: Mapping[str, str | None], *accept: str) -> Change | Refused:
    data = {path: text.encode() for path, text in files.items() if text is not None}
    config = data.pop(CONFIG, b"").decode()
    at = ServiceAtTip(Tip("main", "1" * 40), found_service(data, config), None)
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
