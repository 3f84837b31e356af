"""What the model of effects follows, leaves or doubts at the edges of kustomize's grammar."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.effective.appliers import charts_to_follow
from gitops_rollback.effective.argo import Directory
from gitops_rollback.effective.grammar import (
    FLUX_KUSTOMIZATION,
    HELM_RELEASE,
    odd_fields,
)
from gitops_rollback.effective.objects import Identity
from gitops_rollback.effective.replace import passed_on, read_replacements, replaced
from gitops_rollback.effective.sources import names_repositories
from gitops_rollback.effective.stacks import Layer
from gitops_rollback.effective.tree import apply_operations, operations, strategic_merge
from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.document import parse
from unit.builders import DEPLOYMENT, digest
from unit.test_effect_patches import node, plain
from unit.test_effect_replacements import VERSIONS, from_versions, images_after, resource
from unit.test_effect_transformers import overlaid
from unit.test_effective import FLUX, OVERLAY, deciders, effect_of, fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    import yaml

    from gitops_rollback.effective.grammar import Touch

CART = DEPLOYMENT.format(image="acme/cart:1")
# `kubectl api-resources --namespaced=false` of what repositories hold
OF_THE_CLUSTER = re.findall(
    r"\w+",
    "Namespace Node PersistentVolume MutatingWebhookConfiguration ValidatingWebhookConfiguration"
    " CustomResourceDefinition APIService FlowSchema PriorityLevelConfiguration IngressClass"
    " RuntimeClass ClusterRole ClusterRoleBinding PriorityClass CSIDriver CSINode StorageClass"
    " VolumeAttachment PodSecurityPolicy",
)
A = digest("a")


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ("{a: {b: {$patch: delete}, c: 1}}", {"a": {"c": 1}}),
        ("{a: {$patch: delete}}", {}),
        ("{a: null}", {}),
        ("{a: {b: null, c: 1}}", {"a": {"c": 1}}),
    ],
)
def test_what_a_patch_deletes_where_nothing_was_is_not_there(
    patch: str, expected: dict[str, object]
) -> None:
    assert plain(strategic_merge(node("{}"), node(patch))) == expected


# Kubernetes' API: what has a pod in it, and where.
PODS = """\
v1 Pod spec
v1 PodTemplate template.spec
v1 ReplicationController spec.template.spec
apps/v1 Deployment spec.template.spec
apps/v1 StatefulSet spec.template.spec
apps/v1 DaemonSet spec.template.spec
apps/v1 ReplicaSet spec.template.spec
batch/v1 Job spec.template.spec
batch/v1 CronJob spec.jobTemplate.spec.template.spec
batch/v1beta1 CronJob spec.jobTemplate.spec.template.spec
"""


def with_pod(version: str, kind: str, place: str, pod: object) -> yaml.Node:
    for key in reversed(place.split(".")):
        pod = {key: pod}
    assert isinstance(pod, dict)
    return node(json.dumps({"apiVersion": version, "kind": kind, **pod}))


@pytest.mark.parametrize(
    "listed", ["containers", "initContainers", "ephemeralContainers", "volumes"]
)
@pytest.mark.parametrize("pod", PODS.splitlines())
def test_lists_of_every_pod_that_have_names_are_merged_by_them(pod: str, listed: str) -> None:
    version, kind, place = pod.split()
    base = with_pod(version, kind, place, {listed: [{"name": "a", "x": 1}, {"name": "b"}]})
    patch = with_pod(version, kind, place, {listed: [{"name": "a", "y": 2}]})
    found = {listed: [{"name": "a", "x": 1, "y": 2}, {"name": "b"}]}
    assert plain(strategic_merge(base, patch)) == plain(with_pod(version, kind, place, found))


def test_lists_of_a_kind_that_is_not_known_are_replaced() -> None:
    base, patch = (
        with_pod("apps/v2", "Deployment", "spec.template.spec", {"containers": [{"name": name}]})
        for name in "ab"
    )
    assert plain(strategic_merge(base, patch)) == plain(patch)


def test_an_item_of_a_list_is_replaced_by_a_json_patch() -> None:
    patch = json.dumps([{"op": "replace", "path": "/a/1", "value": 9}])
    assert plain(apply_operations(node("a: [1, 2, 3]"), operations(node(patch)))) == {
        "a": [1, 9, 3]
    }


@pytest.mark.parametrize(
    ("kind", "namespace", "compared"),
    [
        *((kind, "shop", "") for kind in OF_THE_CLUSTER),
        ("Deployment", "", "default"),
        ("Deployment", "shop", "shop"),
    ],
)
def test_what_belongs_to_the_whole_cluster_is_in_no_namespace(
    kind: str, namespace: str, compared: str
) -> None:
    assert Identity("", "v1", kind, namespace, "a").effective_namespace == compared


def test_a_replacement_that_reaches_no_image_changes_nothing() -> None:
    target = "{select: {kind: ConfigMap}, fieldPaths: [data.a]}"
    replacement = read_replacements(node(from_versions("data.cart", target)))
    cart = resource(CART)
    assert not replacement.touches_images
    assert replaced(cart, replacement, (cart,)) == (cart, [])
    assert not list(passed_on(replacement, (cart,), "a.yaml:1"))  # its source is not there


@pytest.mark.parametrize(
    ("path", "touches"),
    [
        ("spec.template", True),
        ("spec.template.spec.containers.*", True),
        ("spec.sidecarImage", True),
        ("spec.replicas", False),
        ("metadata.labels.app", False),
    ],
)
def test_a_replacement_reaches_images_by_what_is_above_them_too(path: str, touches: bool) -> None:  # noqa: FBT001
    target = f"{{select: {{kind: Deployment}}, fieldPaths: ['{path}']}}"
    assert read_replacements(node(from_versions("data.cart", target))).touches_images is touches


def test_a_layer_of_values_says_what_it_sets_and_what_it_may_set() -> None:
    layer = Layer("a.yaml", "", node("{image: {tag: 1}, text: a, none: {}}"), "values")
    assert layer.says(["image"], ["tag"])
    assert not layer.says(["image"], ["digest"])
    assert layer.says(["text", "image"], ["tag"])  # a text where the values have a mapping
    assert not layer.says(["other"], ["tag"])
    assert Layer("a.yaml", "", None, "not read").says(["image"], ["tag"])


@pytest.mark.parametrize(
    ("image", "tag", "message"),
    [
        ("acme/cart:${TAG}", "'a b'", "a b"),
        ("acme/cart:${TAG}", "'1.0/2'", "1.0/2"),
        ("acme/${TAG}", "Cart", "must be lower case"),
        ("acme/cart:${TAG}${TAG}", "'1'", "more than one variable for one thing"),
        ("acme/cart:${TAG}@sha256:${TAG}${TAG}", "a" * 32, "more than one variable for one thing"),
        ("acme/cart:7@sha256:${TAG}${TAG}", "a" * 32, "more than one variable for one thing"),
        ("acme/cart:${TAG}@sha256:${TAG}", "a" * 64, "more than one variable for one thing"),
        ("acme/cart@sha256:${TAG}", "a" * 64, "more than one variable for one thing"),
        ("acme/cart:7@${TAG}", f"'{A}'", "tag and digest stand in different files"),
        ("acme/cart:${TAG}-x", "'1'", ""),
    ],
)
def test_what_a_variable_makes_has_to_be_an_image(image: str, tag: str, message: str) -> None:
    files = {
        "flux.yaml": f"{FLUX}  postBuild: {{substitute: {{TAG: {tag}}}}}\n",
        "apps/a.yaml": DEPLOYMENT.format(image=f'"{image}"'),
    }
    if message:
        with pytest.raises(ManifestError, match=message):
            fields(files)
        return
    [found] = fields(files)
    assert found.tag_only == "the manifest writes more behind ${TAG}"


def test_tag_and_digest_of_an_image_are_variables_of_one_file() -> None:
    files = {
        "flux.yaml": (
            f"{FLUX}  postBuild:\n    substitute: {{TAG: '1'}}\n"
            "    substituteFrom: [{kind: ConfigMap, name: versions}]\n"
        ),
        "apps/a.yaml": DEPLOYMENT.format(image='"acme/cart:${TAG}@${DIGEST}"'),
        "versions.yaml": (
            f"kind: ConfigMap\nmetadata: {{name: versions}}\ndata: {{DIGEST: '{A}'}}\n"
        ),
    }
    with pytest.raises(ManifestError, match="tag and digest are variables in different files"):
        fields(files)


def test_a_patch_with_a_target_has_one_document() -> None:
    two = "patches:\n- target: {kind: Deployment}\n  path: p.yaml\n"
    _images, why = overlaid(
        two, p="kind: X\nmetadata: {name: b}\n---\nkind: X\nmetadata: {name: d}\n"
    )
    assert "one patch with a target has one document" in why


def test_a_json_patch_of_its_own_list_is_followed() -> None:
    pointer = "/spec/template/spec/containers/0/image"
    operation = json.dumps([{"op": "replace", "path": pointer, "value": "acme/cart:8"}])
    target = "{group: apps, version: v1, kind: Deployment, name: cart}"
    images, why = overlaid(
        f"patchesJson6902:\n- target: {target}\n  path: p.json.yaml\n", **{"p.json": operation}
    )
    assert (images, why) == (["acme/cart:8"], [])


def test_a_component_that_takes_itself_is_run_once() -> None:
    part = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
    files = {
        "a.yaml": CART,
        "kustomization.yaml": "resources: [a.yaml]\ncomponents: [part]\n",
        "part/kustomization.yaml": (
            f"{part}components: [../part]\nimages: [{{name: acme/cart, newTag: '4'}}]\n"
        ),
    }
    assert [one.image for one in effect_of(files).landed] == ["acme/cart:4"]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{name: acme/cart, newTag: '5'}", "acme/cart:5"),
        ("{name: acme/cart, newName: acme/shop}", "acme/shop:1"),
        ("{name: acme/other, newTag: '5'}", "acme/cart:1"),
    ],
)
def test_an_entry_of_flux_reaches_files_without_a_kustomization(entry: str, expected: str) -> None:
    files = {"flux.yaml": f"{FLUX}  images: [{entry}]\n", "apps/a.yaml": CART}
    assert expected in [one.image for one in effect_of(files).landed]
    assert deciders(files)


def test_an_entry_of_flux_takes_the_place_of_the_one_of_that_name() -> None:
    files = {
        "flux.yaml": f"{FLUX}  images: [{{name: acme/cart, newTag: '5'}}]\n",
        "apps/kustomization.yaml": (
            "resources: [a.yaml]\nimages: [{name: acme/cart, newTag: '3'}]\n"
        ),
        "apps/a.yaml": CART,
    }
    assert [one.image for one in effect_of(files).landed] == ["acme/cart:5"]


def test_operations_of_flux_that_stand_as_a_list_are_not_followed() -> None:
    pointer = "/spec/template/spec/containers/0/image"
    listed = json.dumps([{"op": "replace", "path": pointer, "value": "acme/cart:8"}])
    found = {}
    for patch in (listed, json.dumps(listed)):
        text = f"{FLUX}  patchesJson6902: [{{target: {{kind: Deployment}}, patch: {patch}}}]\n"
        [landed] = effect_of({"flux.yaml": text, "apps/a.yaml": CART}).landed
        found[landed.image] = [why.why for why in landed.unknowns]
    assert found == {"acme/cart:1": ["the patch has neither path nor patch"], "acme/cart:8": []}


def test_a_patch_by_a_schema_of_its_own_is_not_followed() -> None:
    text = "openapi: {path: schema.json}\npatches:\n- target: {kind: Deployment}\n  path: p.yaml\n"
    patch = CART.replace("acme/cart:1", "acme/cart:9")
    _images, why = overlaid(text, p=patch)
    assert any("a schema of its own" in one for one in why)
    _images, why = overlaid(text.removeprefix("openapi: {path: schema.json}\n"), p=patch)
    assert why == []


def test_the_schema_of_a_base_is_that_of_an_overlay_s_patches_for_what_they_patch() -> None:
    base = "resources: [d.yaml, e.yaml]\nopenapi: {path: schema.json}\n"
    files = {
        "base/kustomization.yaml": base,
        "base/d.yaml": CART,
        "base/e.yaml": CART.replace("name: cart", "name: other"),
        "overlay/kustomization.yaml": "resources: [../base]\npatches: [{path: p.yaml}]\n",
        "overlay/p.yaml": CART.replace("acme/cart:1", "acme/cart:9"),
    }
    landed = effect_of(files, OVERLAY).landed
    assert {one.image: len(one.unknowns) for one in landed} == {"acme/cart:9": 1, "acme/cart:1": 0}


@pytest.mark.parametrize(
    ("name", "text", "fails"),
    [
        ("values.yaml", "a: b\n", True),
        ("list.yml", "- a\n", True),
        ("t.yaml", "image: {{ .Values.image }}\n", True),
        ("two.yaml", f"{CART.replace('name: cart', 'name: two')}---\nimage: acme/x:1\n", True),
        ("none.yaml", "--- # kind\n# none\n---\n...\n", False),
        ("two.yaml", f"{CART.replace('name: cart', 'name: two')}---\n", False),
        ("values.json", '{"a": 1}', False),
        ("inner/.sops.yaml", "a: b\n", False),
        ("part/kustomization.yaml", "kind: Component\n", True),
        ("part/kustomization.yaml", "resources: []\n", False),
    ],
)
def test_flux_takes_every_file_of_a_folder_and_fails_on_what_is_no_object(
    name: str, text: str, *, fails: bool
) -> None:
    landed = effect_of({"flux.yaml": FLUX, "apps/a.yaml": CART, f"apps/{name}": text}).landed
    assert {bool(one.unknowns) for one in landed} == {fails}


# Whether kustomize 5.7.1 builds a folder that has a file, or a kustomization, of such a text.
BUILDS = {
    "x.yaml": {
        "": True,
        "---\n---\n# none\n": True,
        "{}\n": True,
        "[]\n": True,
        "kind: List\nitems: []\n": True,
        "kind: FooList\n": True,
        "kind: A\nmetadata: {name: 12}\n": True,
        "kind: A\nmetadata: {name: x}\ndata: {a: b, <<: {a: c}}\n": True,
        "kind: A\nmetadata:\n  labels:\n    name: y\n  name: x\n": True,
        "kind: A\nmetadata:\n  labels:\n    name: y\n": False,
        "kind: A\nmetadata:\n  name: null\n": False,
        "kind: A\nmetadata: {name: ''}\n": False,
        "kind: A\nmetadata: {generateName: x}\n": False,
        "kind: A\nmetadata:\n  name: x\n---\na: b\n": False,
        "kind: null\nmetadata: {name: x}\n": False,
        "kind: List\nitems: [{kind: A}]\n": False,
        "kind: AList\nitems: [{metadata: {name: x}}]\n": False,
        "kind: A\nmetadata: {name: x}\nimage: y\ndata: {a: b, a: c}\n": False,
        "a: [\n": False,
        "1\n": False,
    },
    "x/kustomization.yaml": {
        "resources: []\n": True,
        "commonLabels: {}\n": True,
        "metadata: {name: x}\n": True,
        "namespace: a\n": True,
        "": False,
        "kind: Kustomization\n": False,
        "kind: Component\n": False,
        "resources:\n": False,
        "namespace: ''\n": False,
        "bases: []\n": False,
        "- a\n": False,
    },
}


@pytest.mark.parametrize(
    ("name", "text", "builds"),
    [(name, text, builds) for name, rows in BUILDS.items() for text, builds in rows.items()],
)
def test_what_is_no_object_and_what_says_nothing_fail_the_build(
    name: str, text: str, *, builds: bool
) -> None:
    listed = "resources: [a.yaml, %s]\n"
    if "Component" in text:
        listed = "resources: [a.yaml]\ncomponents: [%s]\n"
    top = {"apps/a.yaml": CART, "apps/kustomization.yaml": listed % name.partition("/")[0]}
    [landed] = effect_of({**top, f"apps/{name}": text}).landed
    assert bool(landed.unknowns) is not builds


def test_a_component_is_no_resource_and_a_kustomization_no_component() -> None:
    part = {"part/kustomization.yaml": "kind: Component\nimages: []\n", "apps/a.yaml": CART}
    whole = {"part/kustomization.yaml": "images: []\n", "apps/a.yaml": CART}
    found = {}
    for key, files in (("resources", part), ("components", whole), ("components", part)):
        listed = (
            "resources: [a.yaml, ../part]"
            if key == "resources"
            else ("resources: [a.yaml]\ncomponents: [../part]")
        )
        [landed] = effect_of({**files, "apps/kustomization.yaml": f"{listed}\n"}).landed
        found[key, files is part] = [why.why for why in landed.unknowns]
    assert found == {
        ("resources", True): ["it is a Component: the build fails"],
        ("components", False): ["it is no Component: the build fails"],
        ("components", True): [],
    }


def test_a_component_of_flux_that_is_not_there_makes_the_images_unsure() -> None:
    files = {"flux.yaml": f"{FLUX}  components: [../part]\n", "apps/a.yaml": CART}
    [landed] = effect_of(files).landed
    assert any(why.why == "it is not there" for why in landed.unknowns)


def test_a_field_path_that_leads_to_no_text_copies_nothing() -> None:
    target = "{select: {kind: Deployment}, fieldPaths: [spec.template]}"
    assert images_after(from_versions("data.cart", target), VERSIONS)[0] == "acme/cart:1"


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\n", True),
        ("apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\n", False),
        ("kind: GitRepository\n", False),
    ],
)
def test_a_file_that_may_name_a_repository_is_known_by_its_words(text: str, may: bool) -> None:  # noqa: FBT001
    assert names_repositories(text.encode()) is may


def test_charts_of_releases_that_apply_are_looked_for_and_no_others() -> None:
    release = (
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: a}\n"
        "spec: {chart: {spec: {chart: ./charts/{}, sourceRef: {kind: GitRepository, name: a}}}}\n"
    )
    texts = {name: release.replace("{}", name) for name in ("meant", "other")}
    files = {f"{name}.yaml": parse(f"{name}.yaml", text.encode()) for name, text in texts.items()}
    assert charts_to_follow({"meant.yaml": b""}, files, ["meant.yaml"]) == ["charts/meant"]
    takes = b"dependencies:\n- name: x\n  repository: 'file://../x'\n- repository: file://../y\n"
    read = {"charts/meant/Chart.yaml": takes, "charts/y/Chart.yaml": b"", "charts/y/.x": b""}
    assert charts_to_follow(read, files, ["meant.yaml"]) == [
        *(f"charts/meant/{name}" for name in ("templates", "charts", ".helmignore")),
        "charts/x",
        *(f"charts/y/{name}" for name in ("templates", "charts", ".helmignore")),
    ]
    whole = {"charts/meant/Chart.yaml": b"", "charts/meant/templates/a.yaml": b""}
    assert charts_to_follow(whole, files, ["meant.yaml"]) == []


@pytest.mark.parametrize(
    ("include", "exclude", "path", "is_sure"),
    [
        ("", "", "apps/a.yaml", True),
        ("*.yaml", "", "apps/a.yaml", True),
        ("*.json", "", "apps/a.yaml", False),
        ("", "a.*", "apps/a.yaml", False),
        ("[", "", "apps/a.yaml", False),
        ("", "[", "apps/a.yaml", False),
        ("", "", "apps/b/a.yaml", False),
        ("", "", "other/a.yaml", False),
    ],
)
def test_a_folder_of_an_application_takes_what_its_patterns_surely_mean(
    include: str,
    exclude: str,
    path: str,
    is_sure: bool,  # noqa: FBT001
) -> None:
    folder = Directory("apps", "cart", "a.yaml", 1, include=include, exclude=exclude)
    assert folder.has(path) is is_sure


# fluxcd.io/flux/components: helm/helmreleases, kustomize/kustomizations, "Writing a … spec".
OF_RELEASES = (
    "commonMetadata", "dependsOn", "driftDetection", "install", "interval", "kubeConfig",
    "maxHistory", "persistentClient", "releaseName", "rollback", "serviceAccountName",
    "storageNamespace", "targetNamespace", "test", "timeout", "uninstall", "upgrade",
)  # fmt: skip
OF_KUSTOMIZATIONS = (
    "commonMetadata", "deletionPolicy", "dependsOn", "force", "healthChecks", "interval",
    "kubeConfig", "prune", "retryInterval", "serviceAccountName", "timeout", "wait",
)  # fmt: skip


@pytest.mark.parametrize(
    ("names", "grammar"), [(OF_RELEASES, HELM_RELEASE), (OF_KUSTOMIZATIONS, FLUX_KUSTOMIZATION)]
)
def test_what_says_how_and_when_flux_applies_touches_no_image(
    names: tuple[str, ...], grammar: Mapping[str, Touch]
) -> None:
    for name in names:
        assert [*odd_fields("a.yaml", node(f"{name}: a"), grammar, "an object")] == [], name
        assert [*odd_fields("a.yaml", node(f"{name}x: a"), grammar, "an object")] != [], name
