"""What differs between two versions of a manifest, line by line, but for its images."""

from __future__ import annotations

import pytest

from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.compare import differences
from gitops_rollback.manifest.document import parse

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, labels: {app: cart}}
spec:
  replicas: 2
  template:
    spec:
      containers:
        - name: server
          image: acme/cart:1.5.0
          env:
            - {name: LOG_LEVEL, value: info}
            - {name: GREETING, value: hello}
          ports: [{containerPort: 8080}]
          envFrom: [{configMapRef: {name: cart-config}}]
          readinessProbe: {httpGet: {path: /ready, port: 8080}}
          args: [serve, --fast]
        - name: proxy
          image: envoyproxy/envoy:v1
---
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {ports: [{port: 80}]}
"""
IMAGE = {(0, "/spec/template/spec/containers/0/image")}


def changed(*edits: tuple[str, str]) -> list[str]:
    """What differs after these edits of the manifest, as `LINE what`."""
    new = MANIFEST
    for before, after in edits:
        assert before in new
        new = new.replace(before, after)
    found = differences(parse("old", MANIFEST.encode()), parse("new", new.encode()), IMAGE)
    return [f"{difference.line} {difference.what}" for difference in found]


# The lists of a pod, and the key that names their items: Kubernetes' API, patchMergeKey.
LISTS = (
    *("env name", "volumeMounts mountPath", "volumeDevices devicePath", "ports containerPort"),
    *("ports port", "items key", "hostAliases ip", "topologySpreadConstraints topologyKey"),
)


@pytest.mark.parametrize("list_", LISTS)
def test_an_item_is_told_by_what_names_it_wherever_it_stands(list_: str) -> None:
    listed, key = list_.split()
    text = f"kind: X\nmetadata: {{name: x}}\nspec: {{{listed}: [%s]}}\n"
    old, new = f"{{{key}: a, v: 1}}", f"{{{key}: b, v: 1}}, {{{key}: a, v: 1}}"
    before, after = (parse("x", (text % items).encode()) for items in (old, new))
    [difference] = differences(before, after, set())
    assert difference.what == f"X x: spec.{listed}[b] is new"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("value: info", "value: debug",
         ["12 Deployment cart: containers[server].env[LOG_LEVEL].value changed"]),
        ("            - {name: LOG_LEVEL, value: info}\n", "",
         ["12 Deployment cart: containers[server].env[LOG_LEVEL] is no longer there"]),
        ("            - {name: GREETING, value: hello}\n",
         "            - {name: NEW, value: x}\n            - {name: GREETING, value: hello}\n",
         ["13 Deployment cart: containers[server].env[NEW] is new"]),
        ("containerPort: 8080", "containerPort: 9090",
         ["14 Deployment cart: containers[server].ports[8080] is no longer there",
          "14 Deployment cart: containers[server].ports[9090] is new"]),
        ("name: cart-config", "name: cart-config-2",
         ["15 Deployment cart: containers[server].envFrom[0].configMapRef.name changed"]),
        ("path: /ready", "path: /healthz",
         ["16 Deployment cart: containers[server].readinessProbe.httpGet.path changed"]),
        ("--fast", "--safe", ["17 Deployment cart: containers[server].args[1] changed"]),
        ("replicas: 2", "replicas: 3", ["5 Deployment cart: spec.replicas changed"]),
        ("envoy:v1", "envoy:v2", ["19 Deployment cart: containers[proxy].image changed"]),
        ("kind: Service", "kind: Secret",
         ["1 Service cart is no longer there", "21 Secret cart is new"]),
        ("  replicas: 2\n", "", ["5 Deployment cart: spec.replicas is no longer there"]),
        ("replicas: 2", "replicas: 2\n  paused: true", ["6 Deployment cart: spec.paused is new"]),
        ("ports: [{port: 80}]", "ports: none", ["24 Service cart: spec.ports changed"]),
        ("spec: {ports: [{port: 80}]}", "spec: 7", ["24 Service cart: spec changed"]),
        ("acme/cart:1.5.0", "acme/cart:1.4.2", []),
        ("replicas: 2", "replicas: 2  # twice", []),
        ("{name: cart, labels: {app: cart}}", "{labels: {app: cart}, name: cart}", []),
    ],
)  # fmt: skip
def test_each_difference_is_told_with_its_line(before: str, after: str, told: list[str]) -> None:
    assert changed((before, after)) == told


def test_values_are_not_shown() -> None:
    assert "hunter2" not in " ".join(changed(("value: info", "value: hunter2")))


def test_a_document_that_contains_itself_is_not_compared() -> None:
    text = "kind: A\nmetadata: {name: x}\nspec: &a\n  inner: *a\n  value: 1\n"
    with pytest.raises(ManifestError, match="old contains itself"):
        parse("old", text.encode())


def test_aliases_upon_aliases_are_compared_once() -> None:
    levels = "".join(f"l{n}: &l{n} [*l{n - 1}, *l{n - 1}]\n" for n in range(1, 14))
    text = f"kind: A\nmetadata: {{name: x}}\nl0: &l0 {{value: 1}}\n{levels}"
    old, new = (
        parse("old", text.encode()),
        parse("new", text.replace("value: 1", "value: 2").encode()),
    )
    assert [one.what for one in differences(old, new, ())] == ["A x: l0.value changed"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("a:1", "a:2", 0),
        ("replicas: 1", "replicas: 2", 1),
        ("kind: Pod", "kind: [", 1),
        ("a:1", "a:2 # comment", 0),
    ],
)
def test_an_image_in_a_text_that_is_yaml_itself_is_left_out_and_nothing_else_of_it(
    before: str, after: str, told: int
) -> None:
    text = "patches:\n- patch: |\n    kind: Pod\n    spec:\n      image: a:1\n      replicas: 1\n"
    old, new = (parse("k", one.encode()) for one in (text, text.replace(before, after)))
    found = differences(old, new, {(0, "/patches/0/patch#/spec/image")})
    assert [one.what for one in found] == ["document: patches[0].patch changed"] * told
    assert len(differences(old, new, set())) == 1
