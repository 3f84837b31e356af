"""The grammar of what can change an image is closed, and the documentation has all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops_rollback.effective import grammar
from gitops_rollback.manifest.kustomize import FIELDS
from gitops_rollback.services.config import Environment
from gitops_rollback.services.inventory import read_manifests
from unit.builders import DEPLOYMENT

DOCS = Path(__file__).resolve().parents[3] / "docs" / "manifests.md"
TABLES = (
    grammar.KUSTOMIZATION,
    grammar.TRANSFORMERS,
    grammar.GENERATORS,
    grammar.FLUX_KUSTOMIZATION,
    grammar.POST_BUILD,
    grammar.GIT_REPOSITORY,
    grammar.HELM_RELEASE,
    grammar.POST_RENDERER,
)
CART = DEPLOYMENT.format(image="acme/cart:1")
FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  path: ./apps
"""
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cart}
spec:
  values: {image: {repository: acme/cart, tag: v1}}
"""


def unknowns(files: dict[str, str]) -> list[str]:
    data = {path: text.encode() for path, text in files.items()}
    landed = read_manifests(data).effective({}, Environment("production")).effect.landed
    assert landed
    return [unknown.text for one in landed for unknown in one.unknowns]


def test_every_field_of_every_table_stands_in_the_documentation() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert [name for table in TABLES for name in table if f"`{name}`" not in text] == []


def test_the_table_of_kustomize_has_the_fields_that_are_read_in_any_case() -> None:
    assert grammar.KUSTOMIZATION.keys() == FIELDS


@pytest.mark.parametrize("name", [k for k, v in grammar.KUSTOMIZATION.items() if v.name == "NEVER"])
def test_what_cannot_touch_an_image_does_not_matter(name: str) -> None:
    text = f"resources: [a.yaml]\n{name}: {{}}\n"
    assert unknowns({"kustomization.yaml": text, "a.yaml": CART}) == []


@pytest.mark.parametrize(
    ("path", "text", "construct"),
    [
        (
            "kustomization.yaml",
            "resources: [a.yaml]\nimagess: []\n",
            "kustomization.yaml:2: imagess",
        ),
        (
            "kustomization.yaml",
            "resources: [a.yaml]\ntransformers: [t.yaml]\n",
            "kustomization.yaml:2: t.yaml",
        ),
        (
            "kustomization.yaml",
            "resources: [a.yaml]\ntransformers:\n- |\n  apiVersion: x/v1\n  kind: Own\n",
            "kustomization.yaml:3: a configuration in place",
        ),
        ("kustomization.yaml", "resources: [a.yaml]\nvalidators: [v.yaml]\n", ""),
        (
            "flux.yaml",
            FLUX.replace("./apps", "./") + "  imagesFrom: []\n",
            "flux.yaml:6: imagesFrom",
        ),
        ("flux.yaml", FLUX.replace("./apps", "./") + "  prune: true\n", ""),
        ("b.yaml", RELEASE + "  valuesFromAbove: {}\n", "b.yaml:6: valuesFromAbove"),
        ("b.yaml", RELEASE + "  upgrade: {}\n", ""),
        (
            "b.yaml",
            RELEASE + "  postRenderers: [{kustomize: {replacements: []}}]\n",
            "b.yaml:6: replacements",
        ),
    ],
)
def test_a_field_that_is_not_known_leaves_the_image_unproven(
    path: str, text: str, construct: str
) -> None:
    found = unknowns({"a.yaml": CART, path: text})
    assert any(one.startswith(construct) for one in found) if construct else found == []
