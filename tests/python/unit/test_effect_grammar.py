"""The grammar of what can change an image is closed, and the documentation has all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gitops_rollback.effective import grammar
from gitops_rollback.effective.effect import judge
from gitops_rollback.image import parse_image
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
DATA = CART.encode()
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
    text = f"resources: [a.yaml]\n{name}:\n"
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


@pytest.mark.parametrize(
    ("text", "construct"),
    [
        ("commonLabels:\n  version: 1", "commonLabels.version"),
        ("commonAnnotations: {a: y}", "commonAnnotations.a"),
        ("labels: [{pairs: {v: 1.0}}]", "labels.pairs.v"),
        ("images: [{name: redis, newTag: 7}]", "images.newTag"),
        ("images:\n- name: redis\n  newTag: 1234567", "images.newTag"),
        ("images: [{name: redis, newTag: 12e4567}]", "images.newTag"),
        ("images: [{name: redis, tag: v7}]", "images.tag"),
        ("images: {name: redis, newTag: v7}", "images"),
        ("replicas: [{name: cart, count: '3'}]", "replicas.count"),
        ("replicas: [{name: cart, count: 1.5}]", "replicas.count"),
        ("namePrefix: 1", "namePrefix"),
        ("configMapGenerator: [{name: c, files: f.txt}]", "configMapGenerator.files"),
        ("configMapGenerator:\n- name: c\n  literals:\n  - 1", "configMapGenerator.literals"),
        ("generatorOptions: {disableNameSuffixHash: 'true'}", "generatorOptions.disable"),
        ("sortOptions: [fifo]", "sortOptions"),
    ],
)
def test_what_kustomize_cannot_read_fails_the_build_of_all_beside_it(
    text: str, construct: str
) -> None:
    files = {"kustomization.yaml": f"resources: [a.yaml]\n{text}\n", "a.yaml": CART}
    [found] = unknowns(files)
    assert re.match(rf"kustomization.yaml:\d: {construct}.*: the build fails", found)


@pytest.mark.parametrize(
    "text",
    [
        "commonLabels: {version: '1'}\ncommonAnnotations:\n",
        "images: [{name: redis, newtag: v7, Digest: }]",
        "images: [{name: redis, newTag: 2026-01-15}, {name: a, newTag: 1.2.3}]",
        "replicas: [{name: cart, count: 3}]\ngeneratorOptions: {immutable: on}",
        "replicas: [{<<: {count: 1}, name: cart}]",
        "configMapGenerator: [{name: c, literals: [a=1], options: {labels: {a: b}}}]",
        "metadata: {name: prod}\nsortOptions: {order: fifo}\nbuildMetadata: [originAnnotations]",
    ],
)
def test_what_kustomize_reads_is_no_doubt(text: str) -> None:
    assert unknowns({"kustomization.yaml": f"resources: [a.yaml]\n{text}\n", "a.yaml": CART}) == []


# What kustomize makes of it, or that it cannot; the tool itself judges them, too.
CM = "configMapGenerator"
MADE = [
    f"{CM}: [{{name: c, literals: [a=1]}}, {{name: c, behavior: merge, literals: [b=2]}}]",
    f"{CM}: [{{name: c, namespace: o, literals: [a=1]}}, {{name: c, literals: [b=2]}}]",
    f"{CM}: [{{name: c, literals: [a=]}}]\nsecretGenerator: [{{name: c, literals: [a=b=c]}}]",
    f"{CM}: [{{name: c, files: [a.yaml, b=a.yaml]}}]",
    "replicas: [{name: cart, count: 2}]\nnamePrefix: pre-",
    "replicas: [{name: pre-cart, count: 2}]\nnamePrefix: pre-",
    "patches: [{path: p.yaml}]\npatchesStrategicMerge: []",
    "sortOptions: {order: legacy}",
]
NOT_MADE = [
    f"{CM}: [{{literals: [a=1]}}]",
    f"{CM}: [{{name: c, literals: [a]}}]",
    f"{CM}: [{{name: c, literals: ['=a']}}]",
    f"{CM}: [{{name: c, literals: [a=1, a=2]}}]",
    f"{CM}: [{{name: c, literals: [a=1]}}, {{name: c, literals: [b=2]}}]",
    f"{CM}: [{{name: c, files: [a.yaml, a.yaml]}}]",
    f"{CM}: [{{name: c, files: ['=a.yaml']}}]",
    f"{CM}: [{{name: c, files: ['b=c=a.yaml']}}]",
    "secretGenerator: [{name: '', literals: [a=1]}]",
    "replicas: [{name: basket, count: 2}]",
    "replicas: [{count: 2}]",
    "patches: [{path: p.yaml, patch: 'kind: Deployment'}]",
    "sortOptions: {order: odd}",
]


@pytest.mark.parametrize("text", [*MADE, *NOT_MADE])
def test_what_kustomize_cannot_make_fails_the_build_of_all_beside_it(text: str) -> None:
    patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart}\n"
    files = {
        "kustomization.yaml": f"resources: [a.yaml]\n{text}\n",
        "a.yaml": CART,
        "p.yaml": patch,
    }
    found = unknowns(files)
    assert bool(found) == (text in NOT_MADE), found
    assert all(": the build fails" in one for one in found)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization", 0),
        ("kind: Kustomization", 0),
        ("apiVersion: kustomize.config.k8s.io/v1\nkind: Kustomization", 1),
        ("apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization", 1),
        ("kind: Kustomize", 1),
    ],
)
def test_a_kustomization_of_another_kind_or_version_fails_the_build(head: str, said: int) -> None:
    files = {"kustomization.yaml": f"{head}\nresources: [a.yaml]\n", "a.yaml": CART}
    found = unknowns(files)
    assert len(found) == said
    assert all("are not kustomize's" in one for one in found)


def test_a_patch_of_nothing_fails_the_build_where_it_has_no_target() -> None:
    files = {"a.yaml": CART, "p.yaml": "# off for now\n"}
    for patch in ("patches: [{path: p.yaml}]", "patchesStrategicMerge: [p.yaml]"):
        text = f"resources: [a.yaml]\n{patch}\n"
        [found] = unknowns(files | {"kustomization.yaml": text})
        assert "an empty patch needs a target" in found


@pytest.mark.parametrize(("tag", "other", "found"), [("1234567", "v7", 0), ("1.2.3", "7", 1)])
def test_an_edit_mends_the_number_that_it_replaces_and_no_other(
    tag: str, other: str, found: int
) -> None:
    text = (
        "resources: [a.yaml]\nimages:\n- name: acme/cart\n  newTag: {tag}\n"
        f"- name: redis\n  newTag: {other}\n"
    )
    before, after = (
        read_manifests({"kustomization.yaml": text.format(tag=one).encode(), "a.yaml": DATA})
        .effective({}, Environment("production"))
        .effect
        for one in (tag, "1.5.0")
    )
    [one] = before.landed
    meant = {one.decider: parse_image("acme/cart:1.5.0")}
    assert [finding.code for finding in judge(before, after, meant)] == ["unknown"] * found
