"""Flux's markers in every form of field that carries one: held by a rollback, and put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.shop import Shop, digest

if TYPE_CHECKING:
    from collections.abc import Mapping

TAG = '# {"$imagepolicy": "flux-system:cart:tag"}'
NAME = '# {"$imagepolicy": "flux-system:cart:name"}'
DIGEST = '# {"$imagepolicy": "flux-system:cart:digest"}'
WHOLE = '# {"$imagepolicy": "flux-system:cart"}'
SHA = digest("cart:1.4.1")

POD_SPEC = f"""\
containers:
- name: server
  image: acme/cart:1.4.1 {WHOLE}
"""


def indented(text: str, blanks: int) -> str:
    return "".join(f"{' ' * blanks}{line}\n" for line in text.splitlines())


def workload(kind: str, path: str = "spec.template.spec", spec: str = POD_SPEC) -> str:
    """A manifest with a pod's spec below a path of keys."""
    text = f"kind: {kind}\nmetadata:\n  name: cart\n"
    keys = path.split(".")
    for depth, key in enumerate(keys):
        text += f"{'  ' * depth}{key}:\n"
    return text + indented(spec, 2 * len(keys))


PLAIN = workload("Deployment").replace(f" {WHOLE}", "")
FLUX = f"""\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: apps, namespace: flux-system}}
spec:
  path: ./apps
  sourceRef: {{kind: GitRepository, name: flux-system}}
  images:
  - name: acme/cart
    newName: acme/cart {NAME}
    newTag: 1.4.1 {TAG}
"""
MARKED: dict[str, tuple[Mapping[str, str], str]] = {
    "container": ({"a.yaml": workload("Deployment")}, "a.yaml"),
    "init container": (
        {"a.yaml": workload("Deployment", spec=POD_SPEC.replace("containers", "initContainers"))},
        "a.yaml",
    ),
    "CronJob": (
        {"a.yaml": workload("CronJob", "spec.jobTemplate.spec.template.spec")},
        "a.yaml",
    ),
    "kind that the configuration names": (
        {
            "a.yaml": workload("Thing", "spec.pod"),
            ".gitops-rollback.toml": '[services.cart]\nkinds = { Thing = "/spec/pod" }\n',
        },
        "a.yaml",
    ),
    "image volume": (
        {
            "a.yaml": "kind: Pod\nmetadata: {name: x}\nspec:\n  containers: []\n  volumes:\n"
            f"  - name: cart\n    image:\n      reference: acme/cart:1.4.1 {WHOLE}\n"
        },
        "a.yaml",
    ),
    "kustomize tag": (
        {
            "kustomization.yaml": f"resources: [a.yaml]\nimages:\n- name: acme/cart\n"
            f"  newName: acme/cart {NAME}\n  newTag: 1.4.1 {TAG}\n",
            "a.yaml": PLAIN,
        },
        "kustomization.yaml",
    ),
    "kustomize digest": (
        {
            "kustomization.yaml": f"resources: [a.yaml]\nimages:\n- name: acme/cart\n"
            f"  newTag: 1.4.1 {TAG}\n  digest: {SHA} {DIGEST}\n",
            "a.yaml": PLAIN,
        },
        "kustomization.yaml",
    ),
    "Helm release": (
        {
            "a.yaml": "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n"
            "metadata: {name: cart}\nspec:\n  values:\n    image:\n"
            f"      repository: acme/cart {NAME}\n      tag: 1.4.1 {TAG}\n"
            f"      digest: {SHA} {DIGEST}\n"
        },
        "a.yaml",
    ),
    "Flux images": ({"flux.yaml": FLUX, "apps/cart.yaml": PLAIN}, "flux.yaml"),
    "Flux images by digest": (
        {
            "flux.yaml": FLUX.replace(f"newTag: 1.4.1 {TAG}", f"digest: {SHA} {DIGEST}"),
            "apps/cart.yaml": PLAIN,
        },
        "flux.yaml",
    ),
}


@pytest.mark.parametrize("form", MARKED)
def test_every_marker_is_held_and_put_back(shop: Shop, form: str) -> None:
    files, path = MARKED[form]
    emptied = dict.fromkeys(shop.git("ls-tree", "-r", "--name-only", "main").splitlines())
    shop.commit({**emptied, **files})
    number = files[path].count('{"$imagepolicy"')
    shop.deploy("1.5.0")
    assert shop.text(path).count('{"$imagepolicy"') == number
    shop.roll_back()
    assert shop.text(path).count('{"$imagepolicy-held"') == number
    assert '{"$imagepolicy"' not in shop.text(path)
    held = shop.state()["hold"]["markers"]
    assert len(held) == number
    assert {marker["path"] for marker in held} == {path}
    shop.ok("release", "--service", "cart", "--reason", "fixed", "--accept", "automation")
    assert shop.text(path).count('{"$imagepolicy"') == number
    assert "$imagepolicy-held" not in shop.text(path)
    assert "hold" not in shop.state()
