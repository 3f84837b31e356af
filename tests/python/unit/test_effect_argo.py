"""Values in texts and in Argo CD's Applications: what decides them is edited where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gitops_rollback.decide.edits import deploy_edits
from gitops_rollback.decide.effect import blocks_of, edited, findings_of
from gitops_rollback.decide.facts import ServiceAtTip
from gitops_rollback.errors import GitopsRollbackError
from gitops_rollback.manifest.argo import override_of
from gitops_rollback.repo.objects import Tip
from gitops_rollback.services.catalogue import resolve
from gitops_rollback.services.config import Config, Environment
from gitops_rollback.services.inventory import read_manifests
from unit.builders import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

NEW = f"9@{digest('9')}"
APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: cart, namespace: argocd}
spec:
  source:
    repoURL: https://github.com/acme/gitops
"""
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cart, namespace: shop}
spec:
  valuesFrom: [{kind: ConfigMap, name: cart-values}]
"""
VALUES = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: cart-values, namespace: shop}
data:
  values.yaml: |
    image: # of the cart
      repository: acme/cart

      tag: "1"
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec: {template: {spec: {containers: [{name: server, image: "acme/cart:0"}]}}}
"""
IMAGE = "image: {repository: acme/cart, tag: '%s'}\n"


class NotProvenError(Exception):
    """Raised where the effect of a deploy is not proven."""


def of_source(text: str) -> str:
    return APPLICATION + "".join(f"    {line}\n" for line in text.splitlines())


def deployed(files: Mapping[str, str]) -> dict[str, str]:
    """The files after a deploy of service cart; raises `NotProvenError` if it is refused."""
    manifests = read_manifests({path: text.encode() for path, text in files.items()})
    found = resolve("cart", Environment("production"), Config(), manifests)
    image = found.image.with_version("9", digest("9"))
    edits = deploy_edits(found.fields, image, frozenset(), "digest")
    at = ServiceAtTip(Tip("main", "0" * 40), found, None)
    for block in blocks_of(at, findings_of(at, edits, image)):
        raise NotProvenError(block.message)
    after = edited(manifests.files, edits)
    return {**files, **{path: file.encode(file.text).decode() for path, file in after.items()}}


LAYERS = {
    "text": ({"app.yaml": of_source("helm:\n  values: |\n    " + IMAGE % "1")}, "app.yaml"),
    "text under an object": (
        {
            "app.yaml": of_source(
                "helm:\n  values: |\n    " + IMAGE % "0" + "  valuesObject:\n    " + IMAGE % "1"
            )
        },
        "app.yaml",
    ),
    "parameter over a text": (
        {
            "app.yaml": of_source(
                "helm:\n  values: |\n    " + IMAGE % "0" + "  parameters:\n"
                "  - {name: image.tag, value: '1'}"
            )
        },
        "app.yaml",
    ),
    "parameters alone": (
        {
            "app.yaml": of_source(
                "helm:\n  parameters:\n  - {name: image.repository, value: acme/cart}\n"
                "  - {name: image.tag, value: '1'}"
            )
        },
        "app.yaml",
    ),
    "file over the chart": (
        {
            "app.yaml": of_source("path: charts/cart\nhelm: {valueFiles: [prod.yaml]}"),
            "charts/cart/Chart.yaml": "name: cart\n",
            "charts/cart/values.yaml": IMAGE % "0",
            "charts/cart/prod.yaml": "image: {tag: '1'}\n",
        },
        "charts/cart/prod.yaml",
    ),
    "object over a file that is fetched": (
        {
            "app.yaml": of_source(
                "helm: {valueFiles: ['https://x.example/v'], valuesObject: {image: 'acme/cart:1'}}"
            )
        },
        "app.yaml",
    ),
    "file of another source": (
        {
            "app.yaml": APPLICATION.replace("source:", "sources:")
            .replace("    repoURL", "  - repoURL")
            .rstrip()
            + "\n    helm: {valueFiles: [$here/envs/cart-values.yaml]}\n  - {ref: here}\n",
            "envs/cart-values.yaml": IMAGE % "1",
        },
        "envs/cart-values.yaml",
    ),
    "image of kustomize": (
        {
            "app.yaml": of_source("path: apps/cart\nkustomize:\n  images: ['acme/cart:1']"),
            "apps/cart/kustomization.yaml": "resources: [deployment.yaml]\n",
            "apps/cart/deployment.yaml": DEPLOYMENT,
        },
        "app.yaml",
    ),
    "ConfigMap of a release": ({"release.yaml": RELEASE, "values.yaml": VALUES}, "values.yaml"),
    "ConfigMap in a list that is applied": (
        {
            "kustomization.yaml": "resources: [release.yaml, values.yaml]\n",
            "release.yaml": RELEASE,
            "values.yaml": VALUES,
        },
        "values.yaml",
    ),
}


@pytest.mark.parametrize(("files", "path"), LAYERS.values(), ids=LAYERS)
def test_the_value_that_the_chart_gets_is_edited_where_it_stands(
    files: dict[str, str], path: str
) -> None:
    after = deployed(files)
    assert {name for name in files if after[name] != files[name]} == {path}
    before, changed = files[path].splitlines(), after[path].splitlines()
    [(old, new)] = [pair for pair in zip(before, changed, strict=True) if pair[0] != pair[1]]
    assert new == old.replace("acme/cart:1", f"acme/cart:{NEW}").replace("'1'", f"'{NEW}'").replace(
        '"1"', f'"{NEW}"'
    )


UNKNOWN = {
    "file that is not there": (
        "helm: {valueFiles: [gone.yaml], valuesObject: {image: 'acme/cart:1'}}"
    ),
    "parameter of a list": (
        "helm:\n  valuesObject: {image: 'acme/cart:1'}\n"
        "  parameters: [{name: 'extra[0].image', value: x}]"
    ),
    "text of values that is no YAML": (
        "helm:\n  values: 'a: ['\n  parameters:\n"
        "  - {name: image.repository, value: acme/cart}\n  - {name: image.tag, value: '1'}"
    ),
    "file parameter": (
        "helm:\n  valuesObject: {image: 'acme/cart:1'}\n"
        "  fileParameters: [{name: image, path: x.txt}]"
    ),
}


@pytest.mark.parametrize("text", UNKNOWN.values(), ids=UNKNOWN)
def test_a_layer_that_is_not_read_makes_the_effect_unknown(text: str) -> None:
    with pytest.raises(NotProvenError, match="is not proven"):
        deployed({"app.yaml": of_source(text)})


@pytest.mark.parametrize(
    ("path", "application"),
    [
        (".argocd-source.yaml", ""),
        ("apps/cart/.argocd-source.yaml", ""),
        ("apps/cart/.argocd-source-cart.yaml", "cart"),
        ("apps/cart/.argocd-source-a-b.yaml", "a-b"),
        ("apps/cart/argocd-source.yaml", None),
        ("apps/cart/.argocd-source-.yaml", None),
        ("apps/cart/.argocd-source.yml", None),
        (".argocd-source.yaml/x.yaml", None),
    ],
)
def test_a_file_of_overrides_is_told_by_its_name(path: str, application: str | None) -> None:
    assert override_of(path) == application


def test_patches_that_an_application_adds_are_not_followed() -> None:
    files, _path = LAYERS["image of kustomize"]
    text = of_source("path: apps/cart\nkustomize: {patches: [{patch: x}]}")
    line = text[: text.index("[{patch")].count("\n") + 1
    with pytest.raises(NotProvenError, match=rf":{line}: kustomize\.patches: not followed"):
        deployed({**files, "app.yaml": text})


REFUSED = {
    "text that an alias repeats": (
        "helm:\n  values: &v |\n    image: {repository: acme/cart, tag: '0'}\n  other: *v",
        "stands in the text of helm.values",
    ),
    "image that is renamed": (
        "path: apps/cart\nkustomize: {images: ['acme/cart=x.io/cart:1']}",
        "its text renames the image",
    ),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED)
def test_a_text_that_cannot_be_edited_is_refused_with_why(text: str, why: str) -> None:
    files, _path = LAYERS["image of kustomize"]
    with pytest.raises(GitopsRollbackError, match=why):
        deployed({**files, "app.yaml": of_source(text)})


@pytest.mark.parametrize(
    ("below", "is_taken"), [("", False), ("directory: {recurse: true}", True)], ids=["flat", "all"]
)
def test_what_an_application_takes_needs_no_kustomization_that_lists_it(
    below: str, *, is_taken: bool
) -> None:
    files = {
        "kustomization.yaml": "resources: [app.yaml]\n",
        "app.yaml": of_source(f"path: apps\n{below}"),
        "apps/deployment.yaml": DEPLOYMENT.replace(":0", ":1"),
    }
    assert NEW in deployed(files)["apps/deployment.yaml"]
    files["apps/cart/deployment.yaml"] = files.pop("apps/deployment.yaml")
    if is_taken:
        assert NEW in deployed(files)["apps/cart/deployment.yaml"]
        return
    with pytest.raises(NotProvenError, match="has a kustomization that does not list it"):
        deployed(files)
