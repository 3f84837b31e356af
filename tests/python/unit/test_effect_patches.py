"""Patches and selectors do what kustomize 5.7.1 does with them: the results are its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gitops_rollback.effective.objects import Resource, Selector, read_selector, selects
from gitops_rollback.effective.tree import TreeError, apply_operations, operations, strategic_merge
from gitops_rollback.manifest.document import parse

if TYPE_CHECKING:
    from collections.abc import Callable

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop, labels: {app: cart, team: shop}, annotations: {a: b}}
spec:
  replicas: 1
  template:
    spec:
      containers:
      - {name: a, image: "acme/cart:1"}
      - {name: b, image: "acme/cart:1", args: [x, y]}
      volumes: [{name: v, image: {reference: "acme/cart:1"}}]
"""


def node(text: str) -> yaml.Node:
    found = parse("a.yaml", text.encode()).trees[0]
    assert found is not None
    return found


def plain(found: yaml.Node | None) -> Any:  # noqa: ANN401 - whatever the YAML has
    if found is None:
        return None
    return yaml.safe_load(yaml.serialize(found))


def containers(found: yaml.Node | None) -> list[str]:
    spec = plain(found)["spec"]["template"]["spec"]
    return [f"{one['name']}={one.get('image')}" for one in spec.get("containers", [])]


def merged(patch: str, base: str = DEPLOYMENT) -> yaml.Node | None:
    return strategic_merge(node(base), node(patch))


def test_what_a_patch_does_to_lists_of_a_container_is_what_kustomize_makes() -> None:
    """By kustomize 5.7: environment and mounts are merged, the patch's first; others replaced."""
    base = """\
        args: [one, two]
        env: [{name: A, value: b}, {name: C, value: d}]
        envFrom: [{configMapRef: {name: x}}]
        volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: /c}]"""
    patch = """\
        args: [three]
        env: [{name: C, value: e}, {name: F, value: g}]
        envFrom: [{configMapRef: {name: z}}]
        volumeMounts: [{name: w, mountPath: /c}]"""
    made = """\
        args: [three]
        env: [{name: C, value: e}, {name: F, value: g}, {name: A, value: b}]
        envFrom: [{configMapRef: {name: z}}]
        volumeMounts: [{name: w, mountPath: /c}, {name: v, mountPath: /a}]"""

    def pods(text: str) -> yaml.Node:
        head = "apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n"
        return node(f"{head}      containers:\n      - name: server\n{text}\n")

    found = strategic_merge(pods(base), pods(patch))
    assert found is not None
    assert plain(found) == plain(pods(made))
    unknown = "apiVersion: acme.io/v1\nkind: Runner\nenv: [{name: A}]\n"
    other = strategic_merge(node(unknown), node(unknown.replace("A", "B")))
    assert other is not None
    assert plain(other) == plain(node(unknown.replace("A", "B")))


def in_a_service(*ports: str) -> yaml.Node:
    return node(f"apiVersion: v1\nkind: Service\nspec: {{ports: [{', '.join(ports)}]}}\n")


@pytest.mark.parametrize(
    ("base", "patch", "made"),
    [
        (["{port: 1, a: 1}"], ["{port: 1, b: 2}"], ["{port: 1, a: 1, b: 2}"]),
        (["{port: 1}"], ["{port: 2}"], ["{port: 2}", "{port: 1}"]),
        (
            ["{port: 1, protocol: UDP, a: 1}", "{port: 1, protocol: TCP}"],
            ["{port: 1, protocol: TCP, b: 2}", "{port: 3, protocol: TCP}"],
            [
                "{port: 3, protocol: TCP}",
                "{port: 1, protocol: UDP, a: 1}",
                "{port: 1, protocol: TCP, b: 2}",
            ],
        ),
        (
            ["{port: 1, a: 1}", "{port: 1}", "{port: 2}"],
            ["{port: 1, b: 2}"],
            ["{port: 1}", "{port: 2}"],
        ),
        (
            [f"{{port: {one}, protocol: TCP, a: {n}}}" for n, one in enumerate((1, 2, 1))],
            ["{port: 1, protocol: TCP, b: 2}"],
            ["{port: 2, protocol: TCP, a: 1}", "{port: 1, protocol: TCP, a: 2}"],
        ),
        ([], [], []),
        (["{port: 1}"], ["{port: 2}", "{port: 2, a: 1}"], ["{port: 2}", "{port: 1}"]),
    ],
)
def test_ports_are_merged_by_what_they_have_of_port_and_protocol(
    base: list[str], patch: list[str], made: list[str]
) -> None:
    """By kustomize 5.7: of several that are one to it the last is left, without what is patched."""
    found = strategic_merge(in_a_service(*base), in_a_service(*patch))
    assert plain(found) == plain(in_a_service(*made))


def test_ports_that_only_sometimes_name_a_protocol_are_not_followed() -> None:
    with pytest.raises(TreeError, match=r"an item of spec\.ports has no protocol to merge it by"):
        strategic_merge(in_a_service("{port: 1}"), in_a_service("{port: 1, protocol: TCP}"))


def in_pod(text: str) -> str:
    return f"{{spec: {{template: {{spec: {text}}}}}}}"


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ("{containers: [{name: b, image: new}]}", ["b=new", "a=acme/cart:1"]),
        ("{containers: [{name: c, image: new}]}", ["c=new", "a=acme/cart:1", "b=acme/cart:1"]),
        ("{containers: [{name: b, $patch: delete}]}", ["a=acme/cart:1"]),
        ("{containers: [{name: z, $patch: delete}]}", ["a=acme/cart:1", "b=acme/cart:1"]),
        ("{containers: [{name: b, image: new}, {$patch: replace}]}", ["b=new"]),
        (
            "{containers: [{name: b, $patch: replace, image: new}]}",
            ["b=acme/cart:1", "a=acme/cart:1"],
        ),
        ("{containers: [{$patch: delete}]}", []),
        ("{containers: null}", []),
        ("{containers: [{name: b, image: null}]}", ["b=None", "a=acme/cart:1"]),
        ("{$patch: replace, containers: [{name: c, image: n}]}", ["c=n"]),
        ("{containers: [{name: b, $patch: merge, image: n}]}", ["b=n", "a=acme/cart:1"]),
    ],
)
def test_a_merge_patch_of_containers(patch: str, expected: list[str]) -> None:
    assert containers(merged(in_pod(patch))) == expected


def test_a_merge_patch_merges_mappings_and_replaces_other_lists() -> None:
    text = "{spec: {replicas: null, more: {a: {b: null, c: 1}}}, metadata: {x: [1]}}"
    found = plain(merged(text))
    assert found["spec"].keys() == {"template", "more"}
    assert found["spec"]["more"] == {"a": {"c": 1}}
    assert found["metadata"]["x"] == [1]
    of_lists = plain(merged(in_pod("{containers: [{name: b, args: [z]}]}")))
    assert of_lists["spec"]["template"]["spec"]["containers"][0]["args"] == ["z"]


def test_a_patch_may_delete_the_whole_object() -> None:
    assert merged("{$patch: delete}") is None


def test_the_lists_of_a_kind_without_a_schema_are_replaced() -> None:
    base = DEPLOYMENT.replace("apps/v1", "example.org/v1")
    assert containers(merged(in_pod("{containers: [{name: c, image: n}]}"), base)) == ["c=n"]


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (in_pod("{containers: {a: b}}"), "another shape than what it patches at spec.template."),
        ("[]", "another shape than what it patches at its top"),
        (in_pod("{containers: [{image: b}]}"), "no name to merge it by"),
        (in_pod("{volumes: [{$patch: merge}, {name: v, $patch: other}]}"), "other is not known"),
        (in_pod("{tolerations: [{$patch: replace}, {key: a}]}"), r"\$patch at .*tolerations"),
        ("{spec: {$setElementOrder/x: []}}", r"\$setElementOrder/x"),
        ("{spec: {new: {$retainKeys: []}}}", r"\$retainKeys"),
        ("{spec: {$patch: other}}", r"\$patch: other is not known"),
    ],
)
def test_a_merge_patch_that_the_tool_refuses_or_that_is_not_followed(
    patch: str, message: str
) -> None:
    with pytest.raises(TreeError, match=message):
        merged(patch)


POD = "/spec/template/spec/containers"


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ([{"op": "replace", "path": f"{POD}/1/image", "value": "n"}], ["a=acme/cart:1", "b=n"]),
        ([{"op": "add", "path": f"{POD}/1/image", "value": "n"}], ["a=acme/cart:1", "b=n"]),
        (
            [{"op": "add", "path": f"{POD}/-", "value": {"name": "c", "image": "n"}}],
            ["a=acme/cart:1", "b=acme/cart:1", "c=n"],
        ),
        (
            [{"op": "add", "path": f"{POD}/1", "value": {"name": "c", "image": "n"}}],
            ["a=acme/cart:1", "c=n", "b=acme/cart:1"],
        ),
        ([{"op": "remove", "path": f"{POD}/0"}], ["b=acme/cart:1"]),
        ([{"op": "remove", "path": f"{POD}/0/image"}], ["a=None", "b=acme/cart:1"]),
        (
            [{"op": "move", "from": f"{POD}/0", "path": f"{POD}/1"}],
            ["b=acme/cart:1", "a=acme/cart:1"],
        ),
        (
            [{"op": "copy", "from": "/metadata/name", "path": f"{POD}/0/image"}],
            ["a=cart", "b=acme/cart:1"],
        ),
        (
            [
                {"op": "test", "path": f"{POD}/0", "value": {"image": "acme/cart:1", "name": "a"}},
                {"op": "test", "path": "/spec/nothing", "value": None},
                {"op": "replace", "path": f"{POD}/0/image", "value": "n"},
            ],
            ["a=n", "b=acme/cart:1"],
        ),
        (
            [{"op": "replace", "path": POD, "value": [{"name": "z", "image": "n"}]}],
            ["z=n"],
        ),
        (  # json-patch, as kustomize has it, demands no more than the mapping
            [
                {"op": "replace", "path": "/metadata/nothing", "value": "n"},
                {"op": "copy", "from": "/metadata/nothing", "path": f"{POD}/0/image"},
            ],
            ["a=n", "b=acme/cart:1"],
        ),
    ],
)
def test_a_json_patch(patch: list[dict[str, object]], expected: list[str]) -> None:
    found = apply_operations(node(DEPLOYMENT), operations(node(json.dumps(patch))))
    assert containers(found) == expected


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"op": "test", "path": f"{POD}/0/image", "value": "x"}, "another value"),
        ({"op": "test", "path": "/spec/replicas", "value": "1"}, "another value"),
        ({"op": "replace", "path": "/spec/nothing/below", "value": 1}, "not there"),
        ({"op": "replace", "path": f"{POD}/-", "value": {}}, "item -"),
        ({"op": "replace", "path": "/spec/replicas/x", "value": 1}, "no mapping"),
        ({"op": "remove", "path": "/spec/nothing"}, "not there"),
        ({"op": "add", "path": "/spec/nothing/below", "value": 1}, "not there"),
        ({"op": "add", "path": f"{POD}/7", "value": 1}, "item 7"),
        ({"op": "remove", "path": f"{POD}/-"}, "item -"),
        ({"op": "remove", "path": f"{POD}/01"}, "item 01"),
        ({"op": "move", "path": "/x"}, "the operation move"),
        ({"op": "copy", "from": "", "path": "/x"}, "not there"),
        ({"op": "merge", "path": "/x", "value": 1}, "the operation merge"),
        ({"op": "add", "path": "", "value": {}}, "whole object"),
        ({"op": "add", "path": "spec", "value": {}}, "no JSON pointer"),
        ({"path": "/spec"}, "no op or no path"),
        ({"op": "add", "path": "/spec/replicas/x", "value": 1}, "no mapping"),
    ],
)
def test_a_json_patch_that_the_tool_refuses(operation: dict[str, object], message: str) -> None:
    with pytest.raises(TreeError, match=message):
        apply_operations(node(DEPLOYMENT), operations(node(json.dumps([operation]))))


def test_a_pointer_may_have_escaped_signs() -> None:
    text = '[{"op": "add", "path": "/metadata/labels/a~1b~0c", "value": "x"}]'
    found = plain(apply_operations(node(DEPLOYMENT), operations(node(text))))
    assert found["metadata"]["labels"]["a/b~c"] == "x"


@pytest.mark.parametrize(
    ("target", "chosen"),
    [
        ("{kind: Deployment}", True),
        ("{kind: Deploy}", False),
        ("{kind: Deploy.*}", True),
        ("{kind: 'Deployment|Job', name: ca..}", True),
        ("{group: apps, version: v1}", True),
        ("{group: extensions}", False),
        ("{version: v2}", False),
        ("{namespace: shop}", True),
        ("{namespace: default}", False),
        ("{labelSelector: 'app=cart'}", True),
        ("{labelSelector: 'app = cart, team in (a, shop)'}", True),
        ("{annotationSelector: 'a=b'}", True),
        ("{annotationSelector: 'a=c'}", False),
        ("{}", True),
    ],
)
def test_a_target_chooses_by_whole_patterns_and_selectors(target: str, chosen: bool) -> None:  # noqa: FBT001
    selector = read_selector(node(target))
    assert selector is not None
    assert selector.chooses(Resource(node(DEPLOYMENT), "a.yaml", 0)) == chosen


def test_an_object_is_chosen_by_its_first_and_its_present_name() -> None:
    found = Resource(node(DEPLOYMENT), "a.yaml", 0).renamed(prefix="p-", namespace="other")
    again = found.renamed(suffix="-s")
    assert [Selector(name=name).chooses(again) for name in ("cart", "p-cart", "p-cart-s")] == [
        True,
        False,
        True,
    ]
    assert Selector(namespace="shop").chooses(again)
    assert Selector(namespace="other").chooses(again)
    assert found.renamed() is found


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: read_selector(node("{kinds: x}")), "target's kinds"),
        (lambda: read_selector(node("text")), "target's shape"),
        (lambda: selects("(", None), "is not understood"),
        (
            lambda: Selector(name=r"\Qa\E").chooses(Resource(node(DEPLOYMENT), "a.yaml", 0)),
            "not read as Go reads it",
        ),
    ],
)
def test_a_target_that_is_not_understood_is_said_so(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(TreeError, match=message):
        make()


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("", True),
        ("app", True),
        ("!app", False),
        ("!other", True),
        ("app==cart", True),
        ("app!=cart", False),
        ("other!=x", True),
        ("app in (a,cart)", True),
        ("app notin (a,cart)", False),
        ("other notin (a)", True),
        ("app=cart,team=web", False),
        ("a.b/c=d", False),
    ],
)
def test_a_selector_of_labels(selector: str, chosen: bool) -> None:  # noqa: FBT001
    assert selects(selector, node("{app: cart, team: shop}")) == chosen


@pytest.mark.parametrize(
    ("version", "kind", "keys"),
    [
        ("v1", "Pod", ("spec",)),
        ("v1", "PodTemplate", ("template", "spec")),
        ("v1", "ReplicationController", ("spec", "template", "spec")),
        *(
            ("apps/v1", kind, ("spec", "template", "spec"))
            for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
        ),
        ("batch/v1", "Job", ("spec", "template", "spec")),
        ("batch/v1", "CronJob", ("spec", "jobTemplate", "spec", "template", "spec")),
        ("batch/v1beta1", "CronJob", ("spec", "jobTemplate", "spec", "template", "spec")),
    ],
)
def test_the_containers_of_each_kind_with_a_schema_are_merged_by_name(
    version: str, kind: str, keys: tuple[str, ...]
) -> None:
    def of(*names: str) -> str:
        pod: Any = {"containers": [{"name": name, "image": f"{name}:1"} for name in names]}
        for key in reversed(keys):
            pod = {key: pod}
        return json.dumps({"apiVersion": version, "kind": kind, **pod})

    found = plain(merged(of("b", "c"), of("a", "b")))
    for key in keys:
        found = found[key]
    assert sorted(one["name"] for one in found["containers"]) == ["a", "b", "c"]
