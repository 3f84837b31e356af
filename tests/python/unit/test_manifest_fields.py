"""Which places of a manifest are image fields, in any way YAML lets them be written."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.document import holds_definitions_alone, may_hold_image, parse
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.helm import is_values_file

if TYPE_CHECKING:
    from gitops_rollback.manifest.image_field import ImageField

COLLECTED = Path(__file__).resolve().parents[4] / "shared" / "data" / "manifests"
CONTAINERS = [{"name": "server", "image": "acme/cart:1"}]
POD = {"initContainers": [{"name": "wait", "image": "busybox:1"}], "containers": CONTAINERS}
TEMPLATE = {"template": {"spec": POD}}


def fields_of(text: str, kinds: dict[str, str] | None = None) -> tuple[ImageField, ...]:
    return find_fields(parse("a.yaml", text.encode()), kinds)


def workload(kind: str, spec: object, name: str = "cart") -> dict[str, object]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def test_the_fields_of_a_file_are_looked_for_once_for_the_same_kinds() -> None:
    job = yaml.safe_dump(workload("Run", TEMPLATE))
    file = parse("a.yaml", job.encode())
    kinds = {"Run": "/spec/template/spec"}
    assert find_fields(file) is find_fields(file, {}) == ()
    assert find_fields(file, kinds) is find_fields(file, dict(kinds))
    assert [one.container for one in find_fields(file, kinds)] == ["wait", "server"]
    assert find_fields(file, {}, ("/metadata/name",))[0].pointer == "/metadata/name"


@pytest.mark.parametrize(
    ("kind", "spec", "pointer"),
    [
        ("Pod", POD, "/spec"),
        ("Deployment", TEMPLATE, "/spec/template/spec"),
        ("StatefulSet", TEMPLATE, "/spec/template/spec"),
        ("DaemonSet", TEMPLATE, "/spec/template/spec"),
        ("ReplicaSet", TEMPLATE, "/spec/template/spec"),
        ("ReplicationController", TEMPLATE, "/spec/template/spec"),
        ("Rollout", TEMPLATE, "/spec/template/spec"),
        ("DeploymentConfig", TEMPLATE, "/spec/template/spec"),
        ("CloneSet", TEMPLATE, "/spec/template/spec"),
        ("ScaledJob", {"jobTargetRef": TEMPLATE}, "/spec/jobTargetRef/template/spec"),
        ("CronJob", {"jobTemplate": {"spec": TEMPLATE}}, "/spec/jobTemplate/spec/template/spec"),
        ("Job", TEMPLATE, "/spec/template/spec"),
    ],
)
def test_every_kind_with_a_pod_has_its_containers_and_init_containers(
    kind: str, spec: object, pointer: str
) -> None:
    found = fields_of(json.dumps(workload(kind, spec)))
    assert [(f.kind, f.name, f.container, f.value, f.pointer) for f in found] == [
        (kind, "cart", "wait", "busybox:1", f"{pointer}/initContainers/0/image"),
        (kind, "cart", "server", "acme/cart:1", f"{pointer}/containers/0/image"),
    ]
    assert {f.reported_only for f in found} == {kind == "Job"}
    assert all(bool(f.problem) == (kind == "Job") for f in found)


@pytest.mark.parametrize(
    "kind", ["Service", "ConfigMap", "Secret", "Workflow", "HelmRelease", "Configuration"]
)
def test_kinds_without_a_known_pod_have_no_image_fields(kind: str) -> None:
    assert fields_of(json.dumps(workload(kind, TEMPLATE))) == ()


def test_further_kinds_are_read_where_the_configuration_says() -> None:
    text = json.dumps(workload("Farm", {"work/load": TEMPLATE}))
    found = fields_of(text, {"Farm": "/spec/work~1load/template/spec"})
    assert [f.container for f in found] == ["wait", "server"]
    assert found[1].pointer == "/spec/work~1load/template/spec/containers/0/image"


def test_a_job_that_the_configuration_lists_may_be_edited() -> None:
    found = fields_of(json.dumps(workload("Job", TEMPLATE)), {"Job": "/spec/template/spec"})
    assert [(f.reported_only, f.problem) for f in found] == [(False, ""), (False, "")]


@pytest.mark.parametrize("kind", ["List", "DeploymentList"])
def test_the_items_of_a_list_are_objects(kind: str) -> None:
    items = [workload("Deployment", TEMPLATE), workload("Pod", POD, "other")]
    found = fields_of(json.dumps({"kind": kind, "items": items}))
    assert [f.name for f in found] == ["cart", "cart", "other", "other"]
    assert found[3].pointer == "/items/1/spec/containers/0/image"


def test_a_list_in_a_list_is_taken_apart_as_kustomize_does() -> None:
    pod, other = workload("Pod", POD), workload("Pod", POD, "other")
    inner = {"kind": "PodList", "items": [other, pod]}
    found = fields_of(json.dumps({"kind": "List", "items": [pod, inner, other]}))
    assert [f.name for f in found[::2]] == ["cart", "other", "cart", "other"]
    assert found[2].pointer == "/items/1/items/0/spec/initContainers/0/image"


def test_each_document_of_a_file_is_looked_into() -> None:
    text = "---\n---\n# nothing\n--- {kind: Service}\n---\n" + json.dumps(workload("Pod", POD))
    found = fields_of(text + "\n...\n---\njust text\n")
    assert [(f.document, f.value) for f in found] == [(3, "busybox:1"), (3, "acme/cart:1")]


def test_a_workload_goes_by_its_name_and_its_labels() -> None:
    labels = {"app": "shop", "app.kubernetes.io/name": "cart", "tier": "x"}
    pod = {"kind": "Pod", "metadata": {"name": "cart-v1", "labels": labels}, "spec": POD}
    assert fields_of(json.dumps(pod))[0].labels == {"cart-v1", "cart", "shop"}


def test_what_has_no_name_gets_one_to_be_found_again_by() -> None:
    [field] = fields_of('{"kind": "Pod", "spec": {"containers": [{"image": "a:1"}]}}')
    assert field.recorded_key == ("a.yaml", "Pod", "Pod", "containers[0]")


def test_a_field_is_its_path_document_and_pointer_and_knows_its_namespace() -> None:
    pod = "{kind: Pod, metadata: {name: cart, namespace: shop}, spec: {containers: [{image: a}]}}"
    one, two = fields_of(f"{pod}\n---\n{pod}\n")
    assert one.key == ("a.yaml", 0, "/spec/containers/0/image")
    assert two.key == ("a.yaml", 1, "/spec/containers/0/image")
    assert two.namespace == "shop"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        "42",
        "[image]",
        "kind: [Pod]",
        "kind: Pod",
        "kind: Pod\nspec: image",
        "kind: Pod\nspec: {containers: image}",
        "kind: Pod\nspec: {containers: [image, [image], {name: image}]}",
        "kind: Pod\nspec: {containers: [{image: {tag: 1}}]}",
        "kind: List\nitems: image",
        "kind: List\nitems: [image]",
        "kind: CronJob\nspec: {jobTemplate: {}}",
        "apiVersion: v1\nspec: {containers: [{image: a}]}",
    ],
)
def test_what_has_another_shape_has_no_image_fields(text: str) -> None:
    assert fields_of(text) == ()


POD_YAML = "kind: Pod\nmetadata: {name: cart}\nspec:\n  containers:\n  - name: server\n"


@pytest.mark.parametrize(
    ("image", "value", "column"),
    [
        ("    image: acme/cart:1\n", "acme/cart:1", 12),
        ("    image: acme/cart:1", "acme/cart:1", 12),
        ("    image:    acme/cart:1   # why\n", "acme/cart:1", 15),
        ("    image: 'acme/cart:1'\n", "acme/cart:1", 12),
        ('    image: "acme/cart:1"\n', "acme/cart:1", 12),
        ("    image: !!str acme/cart:1\n", "acme/cart:1", 18),
        ("    image: &img acme/cart:1\n", "acme/cart:1", 17),
        ("    image: &img !!str 'acme/cart:1'\n", "acme/cart:1", 23),
        ('    "image": acme/cart:1\n', "acme/cart:1", 14),
        ("    ? image\n    : acme/cart:1\n", "acme/cart:1", 7),
        ("    image:\n      acme/cart:1\n", "acme/cart:1", 7),
        ("    image: &img\n      acme/cart:1\n", "acme/cart:1", 7),
        ("    env: [{value: 😀}]\n    image: acme/cart:1\n", "acme/cart:1", 12),
        ("    # 😀 line\n    image: acme/cart:1\n", "acme/cart:1", 12),
    ],
)
def test_a_field_is_found_at_its_place_however_it_is_written(
    image: str, value: str, column: int
) -> None:
    file = parse("a.yaml", (POD_YAML + image).encode())
    [field] = find_fields(file)
    raw = file.text[field.scalar.start : field.scalar.end]
    assert (field.value, raw.strip("'\""), field.problem) == (value, value, "")
    assert field.scalar.line == file.text[: field.scalar.start].count("\n") + 1
    assert field.scalar.column == column
    assert field.place == f"a.yaml:{field.scalar.line}"


@pytest.mark.parametrize("end", ["\r\n", "\r", "\x85", "\u2028"], ids=["CRLF", "CR", "NEL", "LS"])
@pytest.mark.parametrize("bom", ["", "\ufeff"], ids=["no BOM", "BOM"])
def test_other_line_ends_and_a_byte_order_mark_do_not_move_a_field(end: str, bom: str) -> None:
    text = bom + (POD_YAML + "    image: acme/cart:1 # {}\n    env: []\n").replace("\n", end)
    file = parse("a.yaml", text.encode())
    [field] = find_fields(file)
    assert file.text[field.scalar.start : field.scalar.end] == "acme/cart:1"
    assert (field.scalar.line, field.scalar.column) == (6, 12)
    assert file.encode(file.text) == text.encode()


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("    image: |\n      acme/cart:1\n", "spans several lines"),
        ("    image: >-\n      acme/cart:1\n", "spans several lines"),
        ('    image: "acme/\\\n      cart:1"\n', "spans several lines"),
        ("    image: 'acme\n      cart:1'\n", "spans several lines"),
        ('    image: "acme/c\\x61rt:1"\n', "written with escapes"),
        ("    image: <IMAGE>\n", "malformed"),
        ("    image: ${IMAGE}\n", "Flux variable that nothing"),
        ("    image:\n", "the value is empty"),
        ("    image: ~\n", "the value is empty"),
        ("    image: ''\n", "names no repository"),
        ("    image: Acme/Cart:1\n", "lower case"),
    ],
)
def test_what_cannot_be_edited_safely_has_a_problem(image: str, problem: str | None) -> None:
    fields = fields_of(POD_YAML + image)
    if problem is None:
        assert fields == ()
        return
    assert problem in fields[0].problem


@pytest.mark.parametrize("image", ["{{ image }}", '"{{ image }}"', "acme/cart:{{ .Values.tag }}"])
def test_an_image_that_helm_fills_in_makes_the_file_a_template(image: str) -> None:
    with pytest.raises(ManifestError, match=r"a\.yaml:\d+:12 is a Helm template"):
        fields_of(POD_YAML + f"    image: {image}\n")


@pytest.mark.parametrize(
    ("line", "is_template"),
    [
        ("namespace: {{ .ns }}", True),
        ("labels: {a: {{ .ns }}}", True),
        ("args: [{{ .ns }}]", True),
        ("# {{ .ns }}", False),
        ("args: ['{{ .ns }}']", False),
        ("args: [{a: {b: c}}]", False),
    ],
)
def test_a_file_in_which_helm_fills_in_anything_is_a_template(
    line: str,
    is_template: bool,  # noqa: FBT001
) -> None:
    text = POD_YAML + f"    image: acme/cart:1\n{line}\n"
    if not is_template:
        assert [field.value for field in fields_of(text)] == ["acme/cart:1"]
        return
    with pytest.raises(ManifestError, match=r"a\.yaml:7:\d+ is a Helm template"):
        fields_of(text)


@pytest.mark.parametrize(
    "text",
    [
        POD_YAML + "    image: &img acme/cart:1\n    env: [{name: X, value: *img}]\n",
        POD_YAML + "    image: *img\nx: &img a\n",
        POD_YAML.replace("spec:", "spec: &s") + "    image: acme/cart:1\nother: *s\n",
    ],
    ids=["value", "undefined", "spec"],
)
def test_text_that_an_alias_shares_is_not_edited(text: str) -> None:
    try:
        fields = fields_of(text)
    except ManifestError as error:
        assert "undefined alias" in error.message  # noqa: PT017 - one of the rows
        return
    assert fields
    assert all("through an alias" in field.problem for field in fields)


def test_an_image_that_a_merge_key_gives_to_two_containers_is_one_text_of_both() -> None:
    text = POD_YAML.replace("- name", "- &c\n    name") + "    image: acme/cart:1\n"
    one, two = fields_of(text + "  - {<<: *c, name: second}\n")
    assert (one.container, two.container) == ("server", "second")
    assert one.scalar.node is two.scalar.node
    assert not one.problem


@pytest.mark.parametrize(
    ("text", "place", "key"),
    [
        (POD_YAML + "    image: a:1\n    image: b:1\n", "a.yaml:7:5", "image"),
        (POD_YAML + "    image: a:1\n  containers: []\n", "a.yaml:7:3", "containers"),
        (POD_YAML + "    image: a:1\nkind: Pod\n", "a.yaml:7:1", "kind"),
        (POD_YAML + "    image: a:1\n    name: other\n", "a.yaml:7:5", "name"),
    ],
)
def test_a_key_that_stands_twice_is_an_error_with_line_and_column(
    text: str, place: str, key: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        fields_of(text)
    start = f"{place}: the key '{key}' stands twice (first in line "
    assert caught.value.message.startswith(start)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"kind: Pod\nspec:\n\tcontainers: []\n", "a.yaml:3:1 is not readable as YAML"),
        (b"kind: Pod\nspec:\n\tcontainers: []\n", "indented with spaces, never with tabs"),
        (b"a: [1\nb: 2\n", "a.yaml:2:"),
        (b"kind: Pod\n name: x\n", "a.yaml:2:"),
        (b"a: b: c\n", "a.yaml:1:5 is not readable"),
        (b"{{- if .Values.on }}\nkind: Pod\n{{- end }}\n", "is a Helm template"),
        (b"a: &x b\nc: &x [*x]\n", "a.yaml contains itself"),
        (b"a: &x b\nc: &x d\ne: *y\n", "a.yaml:3:4 is not readable as YAML: found undefined alias"),
        (b"a: '{{ .b }}'\nc: *x\n", "a.yaml:2:4 is not readable as YAML: found undefined alias"),
        (b"kind: Pod\nimage: {{ .Values.image }}:1\n", "a.yaml:2:"),
        (b"kind: Pod\nname: \xff\n", "a.yaml is not UTF-8 text: byte 16"),
        ("kind: Pod".encode("utf-16"), "is not UTF-8 text"),
        (b"kind: Pod\nname: \x00\n", "a.yaml is not readable as YAML"),
        (b"kind: Pod\nname: \x07\n", "a.yaml is not readable as YAML"),
        (b"a: *b\n", "a.yaml:1:4 is not readable as YAML: found undefined alias"),
        (b"%YAML 9.9\n---\na: 1\n%x\n", "a.yaml"),
        (b"[" * 200_000, "a.yaml"),
        (b"a: " + b"x" * 10_000_000, "more bytes than a manifest may have"),
    ],
)
def test_what_is_no_manifest_is_one_error_that_names_the_place(data: bytes, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        find_fields(parse("a.yaml", data))
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("operation", "expected"),
    [("add", 1), ("replace", 1), ("test", 0), ("remove", 0), ("copy", 0)],
)
def test_the_operations_that_write_an_image_are_fields(operation: str, expected: int) -> None:
    path = "/spec/template/spec/containers/0/image"
    found = fields_of(f"- {{op: {operation}, path: {path}, value: 'acme/cart:1'}}\n- 1\n")
    assert [one.pointer for one in found] == ["/0/value"] * expected


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("values.yaml", True),
        ("cart/values-prod.yml", True),
        ("cart-Values.yaml", True),
        ("values.prod.yaml", True),
        ("cart/values/prod.yaml", True),
        ("values/cart/prod.yaml", False),
        ("cart/evaluated.yaml", False),
        ("cart/prod.yaml", False),
    ],
)
def test_a_file_of_values_is_known_by_its_name_or_its_folder(path: str, *, is_one: bool) -> None:
    assert is_values_file(path) is is_one


def test_what_a_merge_key_gives_stands_in_its_place_alone() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {y: 3, <<: *a}\nc: {<<: [*a, {z: 4}]}\n"
    root = parse("a.yaml", text.encode()).trees[0]
    assert isinstance(root, yaml.MappingNode)
    keys = [[key.value for key, _value in value.value] for _key, value in root.value]
    assert keys == [["x", "y"], ["y", "x"], ["x", "y", "z"]]


def test_text_that_only_image_fields_share_is_theirs_together() -> None:
    text = POD_YAML.replace("- name", "- &c\n    name") + "    image: acme/cart:1\n  - *c\n"
    fields = fields_of(text)
    assert [(f.container, f.users, f.problem) for f in fields] == [
        ("server", 2, ""),
        ("server#2", 2, ""),
    ]


def test_values_that_an_alias_repeats_are_fields_once() -> None:
    text = (
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: cart}\nspec:\n"
    )
    values = "  values: {one: &a {image: {repository: acme/cart, tag: '1'}}, two: *a}\n"
    assert [one.pointer for one in fields_of(text + values)] == ["/spec/values/one/image"]


def test_an_anchor_that_is_used_again_stands_for_the_later_text() -> None:
    """As kustomize 5.7, kubectl and Helm 3.19 read it."""
    again = "  - &c {name: a, image: &i 'a:1'}\n  - {<<: *c, name: b, args: [&i '2']}\n"
    images = [one.value for one in fields_of(POD_YAML + f"    image: &i b:1\n{again}")]
    assert images == ["b:1", "a:1", "a:1"]
    shared = fields_of(POD_YAML + "    image: &i b:1\n  - {name: c, image: &i 'c:1'}\n---\na: b\n")
    assert [(one.value, one.problem) for one in shared] == [("b:1", ""), ("c:1", "")]


def test_an_alias_that_contains_itself_does_not_hang() -> None:
    with pytest.raises(ManifestError, match=r"a\.yaml contains itself"):
        fields_of("kind: List\nitems: &a [*a, {kind: Pod, spec: {containers: *a}}]\n")


def test_files_without_the_word_image_are_not_worth_parsing() -> None:
    assert not may_hold_image(b"kind: Service\n")
    assert may_hold_image(b"x: {image: y}")
    assert may_hold_image(b"data: {CART_IMAGE: acme/cart:1}")
    assert may_hold_image(b"data: {CART: acme/cart@sha256:12}")


DEFINITION = """\
# made by a tool
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: pods.acme.example
spec:
  names: {kind: Pod}
  schema:
    properties:
      image: {type: string}
status:
  conditions: []
"""
WORKLOAD = yaml.safe_dump(
    {"kind": "Deployment", "metadata": {"name": "cart"}, "spec": TEMPLATE}, sort_keys=False
)


@pytest.mark.parametrize("text", [
    DEFINITION, f"---\n{DEFINITION}---\n# nothing\n--- # another\n{DEFINITION}",
    DEFINITION.replace("\n", "\r\n"), DEFINITION.replace("kind: Custom", "kind:  Custom"),
    DEFINITION.replace("CustomResourceDefinition", '"CustomResourceDefinition" # big', 1),
])  # fmt: skip
def test_definitions_of_kinds_are_not_worth_parsing(text: str) -> None:
    assert not may_hold_image(text.encode())
    assert fields_of(text) == ()


@pytest.mark.parametrize("text", [
    f"{DEFINITION}---\n{WORKLOAD}",
    f"{WORKLOAD}---\n{DEFINITION}",
    f"---\n{textwrap.indent(WORKLOAD, '  ')}---\n{DEFINITION}",
    f"{DEFINITION}--- {{kind: Pod, spec: {{containers: [{{image: a/cart:1}}]}}}}\n",
    f"kind: List\nitems:\n- {textwrap.indent(WORKLOAD, '  ').lstrip()}# {DEFINITION}",
    f"{DEFINITION}\u0085---\u0085{WORKLOAD}",
    f"{DEFINITION}\r---\r{WORKLOAD}",
    WORKLOAD.replace("metadata:", "metadata:\n  labels: {x: CustomResourceDefinition}"),
    DEFINITION.replace("kind: Custom", "kind: Deployment\nkind: Custom"),
    f"%YAML 1.1\n---\n{DEFINITION}",
    f"  image: acme/cart:1\n{DEFINITION}",
])  # fmt: skip
def test_where_it_is_not_sure_that_all_are_definitions_a_file_is_parsed(text: str) -> None:
    assert may_hold_image(text.encode())


@pytest.mark.skipif(not COLLECTED.exists(), reason="the collection is not here")
def test_no_file_of_definitions_in_real_repositories_has_a_field() -> None:
    found = {path: path.read_bytes() for path in COLLECTED.rglob("*.y*ml") if path.is_file()}
    left_out = {path: data for path, data in found.items() if holds_definitions_alone(data)}
    for data in left_out.values():
        assert find_fields(parse("a.yaml", data)) == ()
    assert len(left_out) < len(found)
